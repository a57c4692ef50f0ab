"""An image on a server as bytes that can be looked at anywhere: blocks are kept, everything is bounded, and a failure is remembered."""

from __future__ import annotations

import io
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, TypeVar, cast

from vhdprep.errors import Unreadable, UsageError, VhdprepError
from vhdprep.remote.ranges import RefusedError, TransientError, UnfitError, UnreachedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from vhdprep.remote.ranges import Ranges


BLOCK = 256 * 1024
"""What is kept is kept in blocks of this size. Of a Debian of 30 GiB 64 KiB take 199 requests and 22 MiB, 256 KiB 120 and 38, 1 MiB 73 and 78."""
MAX_CACHE = 64 * 1024 * 1024
"""Bytes of an image that are kept; the least recently used go first."""
MAX_REQUEST = 4 * 1024 * 1024
"""Bytes of one request, where a long span is read or what is read goes on where it ended."""
MAX_TRANSFERRED = 1024 * 1024 * 1024
"""Bytes that are fetched of one image; judging one takes tens of MiB. Beyond that, downloading it is what helps."""
MAX_WAITING_SECONDS = 600
"""Time spent with one image's server, all requests together."""
MAX_RETRIES = 3
"""Further tries of a request after one that did not work."""
_PAUSE = 0.5
"""Seconds before the first of them; each further one waits twice as long."""

_T = TypeVar("_T")


class RemoteImage:
    """The bytes of an image. After a failure everything fails at once, with the same reason: a server that hangs costs its time once."""

    def __init__(self, ranges: Ranges, shown: str) -> None:
        """``shown``: its address without secrets. The server is not asked yet."""
        self._ranges, self._shown = ranges, shown
        self._size: int | None = None
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next, self._ahead = -1, 1
        self._waited = 0.0
        self._failure: str | None = None
        self.fetched = 0
        """Bytes of it that came over the network."""
        self.requests = 0

    @property
    def known_size(self) -> int:
        """Its size in bytes; 0 as long as nothing was asked."""
        return self._size or 0

    def size(self) -> int:
        """Its size in bytes.

        Raises:
            UsageError: it cannot be reached, is not there, or may not be read.
            Unreadable: the server's answers cannot be used.
        """
        if self._size is None:
            self._size = self._ask(self._ranges.measure)
        return self._size

    def read_at(self, offset: int, size: int) -> bytes:
        """``size`` bytes at ``offset``, fewer only at the end; raises as ``size``."""
        end = min(offset + size, self.size())
        pieces = []
        while offset < end:
            number, inside = divmod(offset, BLOCK)
            pieces.append(self._block(number, -(-end // BLOCK))[inside : inside + end - offset])
            offset += len(pieces[-1])
        return b"".join(pieces)

    def confirm(self) -> str | None:
        """Why what was read is not to be relied upon: the server failed, or the image is another by now. None = it is."""
        if self._failure is None and self._size is not None and self._ranges.must_confirm:
            try:
                self._ask(self._ranges.confirm)
            except Unreadable:
                return self._failure
        return self._failure

    def handle(self) -> BinaryIO:
        """The image as a file that was opened for reading, with a position of its own."""
        return cast("BinaryIO", _Handle(self))

    def _block(self, number: int, after: int) -> bytes:
        """One block; where it has to be fetched, those up to ``after`` are fetched with it."""
        if number not in self._blocks:
            self._fetch(number, after)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _fetch(self, first: int, after: int) -> None:
        """Fetch the blocks up to ``after``, and some beyond where the last request ended at ``first``, in one request."""
        self._ahead = min(self._ahead * 2, MAX_REQUEST // BLOCK) if first == self._next else 1
        most = min(first + MAX_REQUEST // BLOCK, -(-self.size() // BLOCK))
        self._next = first + 1
        while self._next < min(max(after, first + self._ahead), most) and self._next not in self._blocks:
            self._next += 1
        begin, end = first * BLOCK, min(self._next * BLOCK, self.size())
        if self.fetched + end - begin > MAX_TRANSFERRED:
            raise self._failed(f"more than {MAX_TRANSFERRED // 2**20} MiB of it would have to be transferred; download it first")
        if self._waited > MAX_WAITING_SECONDS:
            raise self._failed(f"its server was waited for more than {MAX_WAITING_SECONDS} seconds")
        data = self._ask(lambda: self._ranges.fetch(begin, end))
        self.fetched += len(data)
        for number in range(first, self._next):
            self._blocks[number] = data[(number - first) * BLOCK : (number - first + 1) * BLOCK]
        while len(self._blocks) > MAX_CACHE // BLOCK:
            self._blocks.popitem(last=False)

    def _ask(self, work: Callable[[], _T]) -> _T:
        """What the server answers, with further tries."""
        if self._failure is not None:
            raise Unreadable(self._failure)
        for left in range(MAX_RETRIES, -1, -1):
            begin = time.monotonic()
            self.requests += 1
            try:
                return work()
            except TransientError as error:
                if not left:
                    raise self._failed(f"{error}, in each of {MAX_RETRIES + 1} tries", error) from None
                time.sleep(_PAUSE * 2 ** (MAX_RETRIES - left))
            except (RefusedError, UnfitError) as error:
                raise self._failed(str(error), error) from None
            finally:
                self._waited += time.monotonic() - begin
            if self._waited > MAX_WAITING_SECONDS:
                break
        raise self._failed(f"its server was waited for more than {MAX_WAITING_SECONDS} seconds")

    def _failed(self, reason: str, error: Exception | None = None) -> VhdprepError:
        """What is to be raised; all that is asked later fails with it, but where the image was never seen: the call is wrong then."""
        reason = f"{self._shown}: {reason}"
        if self._size is None and isinstance(error, (RefusedError, UnreachedError)):
            return UsageError(reason)
        self._failure = reason
        return Unreadable(reason)


class _Handle(io.RawIOBase):
    """One position in an image."""

    def __init__(self, image: RemoteImage) -> None:
        """At the image's start."""
        self._image, self._at = image, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move. Servers have no question for holes (``SEEK_DATA``)."""
        if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
            raise io.UnsupportedOperation("seek")
        base = (0, self._at, self._image.size() if whence == io.SEEK_END else 0)[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes from here on; the rest of the image where it is negative."""
        data = self._image.read_at(self._at, size if size >= 0 else max(0, self._image.size() - self._at))
        self._at += len(data)
        return data
