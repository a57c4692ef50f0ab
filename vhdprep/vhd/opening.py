"""Open what a container holds as linear bytes, whatever its format, with every parent that it needs."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.model import DiskType
from vhdprep.vhd import layout
from vhdprep.vhd.blocks import DynamicReader, FlatReader
from vhdprep.vhd.container import open_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vhdprep.location import Location
    from vhdprep.model import Container, Defect
    from vhdprep.vhd.blocks import Reader

    _Link = tuple[Location, Container]

_NO_TABLE = {"header-missing", "block-size", "block-count", "block-table-outside"}
"""Defects with which a block table cannot be used."""


@contextmanager
def open_reader(path: Location, container: Container) -> Iterator[Reader]:
    """The disk in ``path``, open while the block runs; its ``defects``, where there are any, are those of the chain of parents.

    Raises:
        UsageError: the file vanished or may not be read.
        Unreadable: it holds no disk, or too little of its structures is left.
    """
    if container.unread:
        raise Unreadable(container.unread)
    with ExitStack() as stack:
        if container.format == "raw":
            yield FlatReader(stack.enter_context(open_image(path)), container.file_size)
            return
        if container.type is None and container.format != "vhdx":
            raise Unreadable(f"there is no disk to read: the file holds {container.contents}")
        links, defects = _chain(path, container)
        yield _open_vhdx(stack, links) if container.format == "vhdx" else _open_vhd(stack, links, defects)


def _chain(path: Location, container: Container) -> tuple[Sequence[_Link], Sequence[Defect]]:
    if container.type is not DiskType.DIFFERENCING:
        return [(path, container)], ()
    from vhdprep.vhd import chain  # late: most images have no parents

    return chain.follow(path, container)


def _open_vhd(stack: ExitStack, links: Sequence[_Link], defects: Sequence[Defect] = ()) -> Reader:
    """The disk of a VHD, over those of its parents."""
    (path, container), *parents = links
    handle = stack.enter_context(open_image(path))
    if container.type is DiskType.FIXED:
        return FlatReader(handle, min(container.virtual_size or 0, container.file_size))
    if broken := {defect.kind for defect in container.defects} & _NO_TABLE:
        raise Unreadable(f"the block table of the {container.type} VHD cannot be used ({', '.join(sorted(broken))})")
    parent = _open_vhd(stack, parents) if parents else None
    return DynamicReader(handle, container.fields, container.file_size, parent, defects)


def _open_vhdx(stack: ExitStack, links: Sequence[_Link]) -> Reader:
    """The disk of a VHDX, over those of its parents."""
    from vhdprep.vhd import vhdx  # late: most images do not need it

    (path, container), *parents = links
    sector = container.fields.get("vhdx:logical_sector_size", layout.SECTOR)
    if sector != layout.SECTOR:
        raise Unreadable(f"{path.name} has logical sectors of {sector} bytes; partition tables that count in these are not read")
    parent = _open_vhdx(stack, parents) if parents else None
    return vhdx.open_reader(stack.enter_context(open_image(path)), container, parent)
