"""What an NTFS volume says of itself: label, free space, and whether its files are up to date.

Sources: ntfs-3g ``include/ntfs-3g/logfile.h``, ``libntfs-3g/logfile.c`` and ``volume.c`` (when it refuses to mount).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from vhdprep.disk.native.ntfs import content
from vhdprep.disk.native.ntfs.attribute import DATA, INFORMATION, LABEL
from vhdprep.disk.native.ntfs.mft import fix_up
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from vhdprep.disk.native.ntfs.index import Listing
    from vhdprep.disk.native.ntfs.mft import Mft

MAX_BITMAP = 64 * 1024 * 1024
"""Bytes of the bitmap of clusters that are counted; 2 TiB in clusters of 4 KiB have as many."""
_LOG_FILE, _VOLUME, _BITMAP = 2, 3, 6
_DIRTY = 0x0001
_MIB = 1024 * 1024
_HIBERNATED = (b"HIBR", b"hibr", b"RSTR", b"rstr")
"""First bytes of hiberfil.sys while it holds a system: put there when it sleeps, changed while it wakes, wiped afterwards."""
_PAGE = 4096
_EMPTY = b"\xff\xff\xff\xff"
_NO_CLIENT, _CLEANLY_CLOSED = 0xFFFF, 0x0002


def label(mft: Mft) -> str | None:
    """The volume's name; None = it has none."""
    attribute = mft.entry(_VOLUME).find(LABEL)
    return mft.read(attribute, 0, 512).decode("utf-16-le", "replace") or None if attribute else None


def free(mft: Mft) -> int | None:
    """Free bytes by the bitmap of clusters; None = the volume is too large to count."""
    bitmap = mft.entry(_BITMAP).find(DATA)
    if bitmap is None or bitmap.size > MAX_BITMAP:
        return None
    used = sum(int.from_bytes(mft.read(bitmap, at, _MIB), "little").bit_count() for at in range(0, bitmap.size, _MIB))
    # Bits after the last cluster are set, so that nobody takes them.
    return (8 * bitmap.size - used) * mft.geometry.cluster


def state(mft: Mft, root: Listing) -> str:
    """``hibernated | unclean | clean``."""
    if _is_hibernated(mft, root):
        return "hibernated"
    information = mft.entry(_VOLUME).find(INFORMATION)
    if information is None:
        raise Unreadable("its record $Volume says neither version nor state")
    flags = struct.unpack_from("<H", mft.read(information, 0, 12), 10)[0]
    return "unclean" if flags & _DIRTY or not _is_log_closed(mft) else "clean"


def _is_hibernated(mft: Mft, root: Listing) -> bool:
    """A shutdown with Fast Startup hibernates the kernel, in the same file."""
    reference = root.find("hiberfil.sys")
    return reference is not None and content.read(mft, mft.entry(reference), 0, 4) in _HIBERNATED


def _is_log_closed(mft: Mft) -> bool:
    """Whether nothing of the journal waits to be replayed.

    Of the two restart pages the newer one counts. A journal of version 2 was not closed: Windows turns it into
    version 1.1 when it dismounts the volume.
    """
    log = mft.entry(_LOG_FILE).find(DATA)
    if log is None:
        raise Unreadable("its journal $LogFile has no content")
    pages = [mft.read(log, at, _PAGE) for at in (0, _PAGE)]
    if all(page[:4] == _EMPTY for page in pages):
        return True
    found = [area for page in pages if (area := _restart_area(page)) is not None]
    if not found:
        return False
    _, clients, flags, version = max(found)
    return version == (1, 1) and (clients == _NO_CLIENT or bool(flags & _CLEANLY_CLOSED))


def _restart_area(page: bytes) -> tuple[int, int, int, tuple[int, int]] | None:
    """Last log number, clients in use, flags, version; None = no restart page."""
    if page[:4] not in (b"RSTR", b"CHKD"):
        return None
    try:
        page = fix_up(page, page[:4], "restart page")
        at, minor, major = struct.unpack_from("<Hhh", page, 24)
        last, clients, flags = struct.unpack_from("<q4xHH", page, at)
    except (Unreadable, struct.error):
        return None
    return last, clients, flags, (major, minor)
