"""The parents of a differencing VHD or VHDX: found beside the child or by its relative locator, and proven by their id.

A locator is text out of the image. It can only lead to a file that is a VHD or VHDX with the very id that the child
names, so nothing else of the host is ever read through it; absolute locators are not followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable, UsageError
from vhdprep.location import Url
from vhdprep.model import Defect, DiskType
from vhdprep.vhd import layout
from vhdprep.vhd.container import describe, open_image

if TYPE_CHECKING:
    from pathlib import Path

    from vhdprep.location import Location
    from vhdprep.model import Container

MAX_CHAIN = 32
"""Longest chain that is followed; Hyper-V itself stops working well far earlier."""
MAX_LOCATOR = 4096
"""Bytes of a locator that are read."""
_OWN_ID = {"vhd": "footer:unique_id", "vhdx": "vhdx:data_write_guid"}
"""Where a file's own id stands, by format."""


class Link(NamedTuple):
    """One file of a chain."""

    path: Path
    container: Container


def follow(path: Location, container: Container) -> tuple[list[Link], list[Defect]]:
    """The chain from the child ``path`` to its base, and what is odd about it.

    Raises:
        Unreadable: a parent is missing, is another disk, or the chain runs in a circle.
    """
    if isinstance(path, Url):
        raise Unreadable(
            f"a differencing {container.format.upper()} holds only changes, and its parent {container.parent} is not looked for on the network: "
            "what an image says is never asked of a server; download both, or merge the chain"
        )
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
    wanted = _wanted_ids(child.container)
    names = _candidates(child)
    others = []
    for path in names:
        try:
            if not path.is_file():
                continue
            found = describe(path)
        except (UsageError, Unreadable, OSError, ValueError):
            continue
        if found.format == child.container.format and found.fields.get(_OWN_ID[found.format]) in wanted:
            return Link(path, found)
        others.append(path.name)
    kind = f"a differencing {child.container.format.upper()} holds only changes"
    shown = " or ".join(dict.fromkeys(path.name for path in names)) or child.container.parent
    if others:
        since = ", or it was written to since" if child.container.format == "vhdx" else ""
        raise Unreadable(f"{kind}, and {others[0]} beside it is not its parent: another unique id than {' or '.join(wanted)}{since}")
    raise Unreadable(f"{kind}, and its parent {shown} is missing; put it beside, or merge the chain")


def _wanted_ids(child: Container) -> list[str]:
    """The ids of which the parent must have one. A VHDX may have two while changes are merged into the parent."""
    names = ("header:parent_unique_id", "vhdx:parent_linkage", "vhdx:parent_linkage2")
    return [str(child.fields[name]).strip("{}").lower() for name in names if name in child.fields]


def _candidates(child: Link) -> list[Path]:
    """Files that may be the parent: by the relative locator, then by the bare name in the child's folder.

    A locator that leads out of that folder is not followed: it is text out of the image.
    """
    folder = child.path.parent
    names = [name for name in (*_relative_locators(child), *_vhdx_paths(child.container), child.container.parent or "") if name]
    found: list[Path] = []
    for name in names:
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts or "\0" in name or parts[-1] == ".." or ":" in parts[-1]:
            continue
        if ".." not in parts and not name.startswith(("\\", "/")) and ":" not in name:
            found.append(folder.joinpath(*parts))
        found.append(folder / parts[-1])
    return list(dict.fromkeys(found))


def _vhdx_paths(child: Container) -> list[str]:
    """The paths of a VHDX's parent, in the order in which the format wants them tried."""
    return [str(child.fields[f"vhdx:{name}"]) for name in ("relative_path", "volume_path", "absolute_win32_path") if f"vhdx:{name}" in child.fields]


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
