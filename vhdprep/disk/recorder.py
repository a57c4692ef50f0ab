"""Which volume a library in C is reading, kept where it outlives a crash of the process.

Libraries in C are given the bytes of strangers. Where one of them dies, whoever watches the process must be able to
say over what; see ``vhdprep.isolate``.
"""

from __future__ import annotations

import mmap
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONTAINER = "container"
"""What is noted while a container is opened, before there are volumes."""

NOTHING: Mapping[str, str] = MappingProxyType({})
"""No volume has crashed its reader."""

_SIZE = 512
_note: mmap.mmap | bytearray = bytearray(_SIZE)
_unbounded: Callable[[], AbstractContextManager[None]] = nullcontext


def share() -> None:
    """Keep the note in memory that child processes share with their parent."""
    global _note
    _note = mmap.mmap(-1, _SIZE)


def note(volume: str) -> None:
    """``volume`` is being read from here on; empty = none by a library."""
    _note[:] = volume.encode("utf-8", "replace")[:_SIZE].ljust(_SIZE, b"\0")


def last() -> str:
    """The volume that was noted last."""
    return bytes(_note).rstrip(b"\0").decode("utf-8", "replace")


def unbounded() -> AbstractContextManager[None]:
    """Programs that are started in this block get bounds of their own, not those of this process."""
    return _unbounded()


def when_unbounded(enter: Callable[[], AbstractContextManager[None]]) -> None:
    """What ``unbounded`` does from here on; the process that set the bounds knows."""
    global _unbounded
    _unbounded = enter
