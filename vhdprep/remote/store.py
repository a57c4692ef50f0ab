"""Ranges of everything else that fsspec reads: Azure's blobs by account, and whatever the user has installed.

Such file systems are other people's code: how they wait and what they raise is theirs. So each question is asked in a thread of its own
that is left behind when it takes too long, and their errors are translated here, by kind: their words may hold credentials.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

import fsspec

from vhdprep.remote.ranges import MAX_REQUEST_SECONDS, RefusedError, TransientError, UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_T = TypeVar("_T")
_IDENTITY = ("etag", "ETag", "last_modified", "LastModified", "mtime", "updated", "generation")
"""Names under which file systems tell an image from what it was before."""


class StoreRanges:
    """One image of a file system of fsspec."""

    must_confirm = True

    def __init__(self, scheme: str, address: str) -> None:
        """Nothing is asked yet.

        Raises:
            ImportError: what reads this kind of address is not installed.
            LookupError: fsspec knows no such kind.
        """
        try:
            fsspec.get_filesystem_class(scheme)
        except ValueError as error:
            raise LookupError(scheme) from error
        self._address = address
        self._files: Any = None
        self._path = ""
        self._identity: tuple[object, ...] = ()

    def measure(self) -> int:
        """By what the file system says of the image."""
        size, self._identity = self._look()
        return size

    def fetch(self, begin: int, end: int) -> bytes:
        """By the file system's own way of reading a range."""
        data = _ask(lambda: self._files.cat_file(self._path, start=begin, end=end))
        if len(data) > end - begin:
            raise UnfitError(f"{len(data)} bytes came where {end - begin} were asked for")
        if len(data) < end - begin:
            raise TransientError(f"{len(data)} of {end - begin} bytes came")
        return bytes(data)

    def confirm(self) -> None:
        """By the same as ``measure``."""
        if self._look()[1] != self._identity:
            raise UnfitError("the image changed while it was read; stop what writes to it, and run again")

    def _look(self) -> tuple[int, tuple[object, ...]]:
        """Size, and what tells the image from an earlier or later one."""
        facts = _ask(self._facts)
        size = facts.get("size")
        if facts.get("type") == "directory" or not isinstance(size, int):
            raise RefusedError("is no image: it is a folder, or has no size")
        return size, (size, *(str(facts.get(name)) for name in _IDENTITY))

    def _facts(self) -> Mapping[str, Any]:
        if self._files is None:
            self._files, self._path = fsspec.url_to_fs(self._address, skip_instance_cache=True, use_listings_cache=False)
        self._files.invalidate_cache()
        facts: Mapping[str, Any] = self._files.info(self._path)
        return facts


def _ask(work: Callable[[], _T]) -> _T:
    """What ``work`` gives, in bounded time."""
    answer: Future[_T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        return answer.result(MAX_REQUEST_SECONDS)
    except TimeoutError:
        raise TransientError(f"the server did not answer within {MAX_REQUEST_SECONDS} seconds") from None
    except FileNotFoundError:
        raise RefusedError("there is no such image; check the address") from None
    except PermissionError:
        raise RefusedError("may not be read; give the credentials that its library asks for") from None
    except Exception as error:  # noqa: BLE001 - whatever the library raises
        raise _translated(error) from None


def _translated(error: Exception) -> Exception:
    status = getattr(error, "status_code", None)
    if isinstance(error, OSError) or (isinstance(status, int) and (status >= 500 or status in (408, 429))):
        return TransientError(f"the library that reads it failed ({type(error).__name__})")
    said = f" HTTP {status}" if isinstance(status, int) else ""
    return RefusedError(f"the library that reads it gave up ({type(error).__name__}{said}); check the address and the credentials that it asks for")
