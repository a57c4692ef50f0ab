"""Describe a file as a container: what it is by its bytes, every field, and what is wrong with it.

Reads at most the footers, the header and the block table, so its cost does not grow with the disk.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable, UsageError
from vhdprep.location import Url
from vhdprep.model import Container, Defect, DiskType
from vhdprep.vhd import blocktable, footer, layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from vhdprep.location import Location

_TAIL = 64 * 1024
"""How far from the end a footer is searched when it is not where it belongs."""

_VERSION = b"\x00\x01\x00\x00"
"""File format version 1.0, the only one there is."""

_RAW_MAGICS = (
    (510, b"\x55\xaa"),
    (512, b"EFI PART"),
    (4096, b"EFI PART"),
    (0x438, b"\x53\xef"),
    (0, b"XFSB"),
    (0x10040, b"_BHRfS_M"),
    (512, b"LABELONE"),
)
"""A disk without a container: boot signature, GPT (512 or 4096-byte sectors), ext, XFS, btrfs, LVM2."""


@contextmanager
def open_image(path: Location) -> Iterator[BinaryIO]:
    """Open an image for reading, unbuffered. Reading one on the network raises ``Unreadable`` where its server fails.

    Raises:
        UsageError: it is missing, no regular file, or may not be read.
    """
    if isinstance(path, Url):
        yield path.image.handle()
        return
    with _open_file(path) as handle:
        yield handle


def _open_file(path: Path) -> BinaryIO:
    try:
        if not path.exists():
            raise UsageError(f"{path}: there is no such file; check the path")
        if path.is_dir():
            raise UsageError(f"{path}: is a directory; name the image file inside it")
        if not path.is_file():
            raise UsageError(f"{path}: is a device or pipe; copy it to a file first (vhdprep reads regular files only)")
        return open(path, "rb", buffering=0, opener=_open_quietly)  # Path.open takes no opener
    except PermissionError as error:
        raise UsageError(f"{path}: may not be read; give your user read permission on it") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be opened ({error.strerror}); check the path") from error


def _open_quietly(name: str, flags: int) -> int:
    """Not even the time of the last look changes; hosts grant that to the file's owner alone."""
    try:
        return os.open(name, flags | int(getattr(os, "O_NOATIME", 0)))
    except PermissionError:
        return os.open(name, flags)


def describe(path: Location) -> Container:
    """What ``path`` is, by its bytes, with every defect that the container alone shows; ``unread`` where they could not be read.

    Raises:
        UsageError: it is missing, no regular file, or may not be read.
    """
    try:
        with open_image(path) as handle:
            return _describe(path, handle, handle.seek(0, 2))
    except Unreadable as error:
        return unread(path, str(error))


def unread(path: Location | str, reason: str, file_size: int = 0) -> Container:
    """An image of which nothing is known, and why."""
    return Container(str(path), "unknown", "what could not be read", None, None, file_size, None, None, unread=reason)


def read_at(handle: BinaryIO, offset: int, size: int) -> bytes:
    """Up to ``size`` bytes at ``offset``; shorter at the end of the file."""
    handle.seek(offset)
    return handle.read(size) or b""


def _describe(path: Location, handle: BinaryIO, file_size: int) -> Container:
    start = read_at(handle, 0, 0x10048)
    at, defects = _locate_footer(handle, start, file_size)
    if at is None:
        if start.startswith(layout.VHDX_MAGIC):
            from vhdprep.vhd import vhdx  # late: most images are VHDs

            return vhdx.describe(path, handle, file_size)
        return _describe_other(path, start, file_size)
    data = read_at(handle, at, layout.FOOTER_SIZE).ljust(layout.FOOTER_SIZE, b"\0")
    fields = footer.parse(data, layout.FOOTER)
    stored, computed = int(fields["checksum"]), footer.checksum(data, "footer")
    if stored != computed:
        text = f"The footer's checksum is 0x{stored:08x}, its bytes give 0x{computed:08x}."
        defects.append(Defect("footer-checksum", "footer", text))
    type_name = layout.DISK_TYPES.get(int(fields["disk_type"]))
    if type_name is None:
        text = f"The footer's disk type is {fields['disk_type']}; known are 2 (fixed), 3 (dynamic), 4 (differencing)."
        defects.append(Defect("disk-type", "footer", text))
    disk_type = DiskType(type_name) if type_name else None
    named: dict[str, str | int] = {f"footer:{name}": value for name, value in fields.items()}
    parent = None
    if disk_type is DiskType.FIXED:
        defects += _fixed_defects(start, fields, at)
    elif disk_type is not None:
        if start[: layout.FOOTER_SIZE] != data and at != 0:
            defects.append(Defect("footer-copy", "footer", "The footer's copy at the start of the file differs from the footer at its end."))
        header, header_defects = blocktable.describe(handle, fields, file_size)
        named |= {f"header:{name}": value for name, value in header.items()}
        defects += header_defects
        if disk_type is DiskType.DIFFERENCING:
            parent = str(header.get("parent_name", "")) or "(not named)"
    return Container(
        path=str(path),
        format="vhd",
        contents=f"a {disk_type or 'damaged'} VHD",
        type=disk_type,
        virtual_size=int(fields["current_size"]),
        file_size=file_size,
        creator=str(fields["creator_application"]),
        parent=parent,
        fields=named,
        defects=tuple(defects),
    )


def _locate_footer(handle: BinaryIO, start: bytes, file_size: int) -> tuple[int | None, list[Defect]]:
    """Where the best footer stands, and what is wrong with its place."""
    cookie, size = layout.FOOTER_COOKIE, layout.FOOTER_SIZE
    tail_at = max(0, file_size - _TAIL)
    tail = read_at(handle, tail_at, _TAIL)
    if file_size >= size and tail[-size:].startswith(cookie):
        return file_size - size, []
    if any(start[at : at + len(magic)] == magic for at, magic, _, _ in layout.MAGICS):
        return None, []
    if file_size >= size - 1 and tail[1 - size :].startswith(cookie):
        text = "The footer is 511 bytes long, as Virtual PC wrote it before 2004; Azure expects 512."
        return file_size - size + 1, [Defect("footer-short", "footer", text)]
    found = tail.rfind(cookie)
    if found > 0 and tail[found + 12 : found + 16] == _VERSION:  # the cookie alone may stand in any text
        extra = file_size - tail_at - found - size
        text = f"The file goes on for {extra} bytes after its footer." if extra >= 0 else f"The footer is cut short by {-extra} bytes."
        return tail_at + found, [Defect("trailing-bytes" if extra >= 0 else "footer-cut", "footer", text)]
    if start.startswith(cookie) and file_size >= size:
        text = "The file does not end in a footer, only its copy at the start is there: the end is cut off or overwritten."
        return 0, [Defect("footer-missing", "footer", text)]
    return None, []


def _describe_other(path: Location, start: bytes, file_size: int) -> Container:
    kind, contents = "unknown", "nothing that is a known disk format"
    if not file_size:
        contents = "nothing: it is empty"
    elif file_size < layout.FOOTER_SIZE:
        contents = f"only {file_size} bytes, too few for a disk"
    for offset, magic, name, words in layout.MAGICS:
        if start[offset : offset + len(magic)] == magic:
            kind, contents = name, words
            break
    else:
        if any(start[at : at + len(magic)] == magic for at, magic in _RAW_MAGICS):
            kind, contents = "raw", "a raw disk without a VHD footer"
    size = file_size if kind == "raw" else None
    return Container(str(path), kind, contents, None, size, file_size, None, None)


def _fixed_defects(start: bytes, fields: dict[str, str | int], at: int) -> list[Defect]:
    defects = []
    current = int(fields["current_size"])
    if start.startswith(layout.FOOTER_COOKIE) and at != 0:
        text = "The footer says fixed, but the file begins with a footer copy as dynamic disks do."
        defects.append(Defect("leading-footer", "footer", text))
    if at < current:
        text = f"The footer stands at byte {at}; a disk of {current} bytes should come before it: {current - at} are missing."
        defects.append(Defect("truncated", "footer", text))
    return defects
