"""The disks of one machine, before they are opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from vhdprep.errors import UsageError
from vhdprep.location import Location, Url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.declared import Declared


class Named(NamedTuple):
    """A disk of the machine before it is opened."""

    role: Literal["os", "data"]
    name: str
    """``data0`` and on, by LUN; empty for the operating system's."""
    path: Location
    lun: int | None


def roles(path: Location, data: Sequence[Location], declared: Declared | None) -> list[Named]:
    """Role, name, file and LUN of every disk; a data disk is called by its LUN (``data0``), or by its place in the order where two have the same.

    Raises:
        UsageError: a file is named twice.
    """
    seen: list[Location] = []
    for each in (path, *data):
        if any(_is_same(each, other) for other in seen):
            raise UsageError(f"{each}: is named twice; every disk of a machine is a file of its own")
        seen.append(each)
    luns = [each.lun for each in declared.disks if each.role == "data"] if declared else list(range(len(data)))
    numbers = luns if len(set(luns)) == len(luns) else range(len(luns))
    others = (Named("data", f"data{number}", each, lun) for number, each, lun in zip(numbers, data, luns, strict=True))
    return [Named("os", "", path, None), *others]


def _is_same(one: Location, other: Location) -> bool:
    if isinstance(one, Url) or isinstance(other, Url):
        return isinstance(one, Url) and isinstance(other, Url) and one.same(other)
    return one.exists() and other.exists() and one.samefile(other)
