"""The parents of a differencing VHD: found beside the child or by its relative locator, and proven by their unique id.

A locator is text out of the image. It can only lead to a file that is a VHD with the very id that the child
names, so nothing else of the host is ever read through it; absolute locators are not followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable, UsageError
from vhdprep.model import Defect, DiskType
from vhdprep.vhd import layout
from vhdprep.vhd.container import describe, open_image

if TYPE_CHECKING:
    from pathlib import Path

    from vhdprep.model import Container

MAX_CHAIN = 32
"""Longest chain that is followed; Hyper-V itself stops working well far earlier."""
MAX_LOCATOR = 4096
"""Bytes of a locator that are read."""


class Link(NamedTuple):
    """One file of a chain."""

    path: Path
    container: Container


def follow(path: Path, container: Container) -> tuple[list[Link], list[Defect]]:
    """The chain from the child ``path`` to its base, and what is odd about it.

    Raises:
        Unreadable: a parent is missing, is another disk, or the chain runs in a circle.
    """
    chain = [Link(path, container)]
    defects: list[Defect] = []
    while chain[-1].container.type is DiskType.DIFFERENCING:
        child = chain[-1]
        if len(chain) > MAX_CHAIN:
            raise Unreadable(f"the chain of parents is longer than {MAX_CHAIN}")
        parent = _find_parent(child)
        if any(parent.path.samefile(link.path) for link in chain):
            raise Unreadable(f"the chain of parents runs in a circle at {parent.path.name}")
        chain.append(parent)
        defects += _compare_times(child, parent)
    return chain, defects


def _find_parent(child: Link) -> Link:
    wanted = child.container.fields.get("header:parent_unique_id")
    names = _candidates(child)
    others = []
    for path in names:
        try:
            if not path.is_file():
                continue
            found = describe(path)
        except (UsageError, OSError, ValueError):
            continue
        if found.format == "vhd" and found.fields.get("footer:unique_id") == wanted:
            return Link(path, found)
        others.append(path.name)
    shown = " or ".join(dict.fromkeys(path.name for path in names)) or child.container.parent
    if others:
        raise Unreadable(f"a differencing VHD holds only changes, and {others[0]} beside it is not its parent: another unique id than {wanted}")
    raise Unreadable(f"a differencing VHD holds only changes, and its parent {shown} is missing; put it beside, or merge the chain")


def _candidates(child: Link) -> list[Path]:
    """Files that may be the parent: by the relative locator, then by the bare name in the child's folder."""
    folder = child.path.parent
    names = [name for name in (*_relative_locators(child), child.container.parent or "") if name]
    found: list[Path] = []
    for name in names:
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts or "\0" in name:
            continue
        if not name.startswith(("\\", "/")) and ":" not in name:
            found.append(folder.joinpath(*parts))
        found.append(folder / parts[-1])
    return list(dict.fromkeys(found))


def _relative_locators(child: Link) -> list[str]:
    """Texts of the relative locators, platform code ``W2ru`` (UTF-16, little-endian)."""
    found = []
    for index in range(layout.PARENT_LOCATORS):
        entry = str(child.container.fields.get(f"header:parent_locator_{index}", ""))
        platform, _, place = entry.rpartition("@")
        offset, _, length = place.partition("+")
        if platform == "'W2ru'" and offset.isdecimal() and length.isdecimal():
            with open_image(child.path) as handle:
                handle.seek(int(offset))
                found.append(handle.read(min(int(length), MAX_LOCATOR)).decode("utf-16-le", "replace").rstrip("\0"))
    return found


def _compare_times(child: Link, parent: Link) -> list[Defect]:
    """The child keeps its parent's modification time (VHD specification, "Parent Time Stamp"); 0 = not kept."""
    kept = int(child.container.fields.get("header:parent_time_stamp", 0))
    changed = int(parent.path.stat().st_mtime) - layout.EPOCH
    if not kept or kept == changed:
        return []
    text = f"{parent.path.name} was changed at another time (second {changed} of VHD time) than {child.path.name} says ({kept})."
    return [Defect("parent-time", "header", text)]
