"""What both partition tables yield."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vhdprep.model import Defect

SECTOR = 512
MAX_PARTITIONS = 128
"""Most partitions that are looked at; GPT's usual table, and more than any MBR chain has."""

BSD_SLICES = {
    "0xa5": "freebsd",
    "516E7CB4-6ECF-11D6-8FF8-00022D09712B": "freebsd",
    "0xa6": "openbsd",
    "824CC7A0-36A8-11E3-890A-952519AD3F61": "openbsd",
}
"""Types of partitions that may hold a disklabel, and whose it is."""


class Partition(NamedTuple):
    """One entry of a table; offset and size in bytes."""

    number: int
    offset: int
    size: int
    type_id: str
    part_uuid: str | None = None
    label: str | None = None
    active: bool = False
    letter: str = ""
    """Of a partition of a disklabel inside the one of this number."""
    boot_priority: int = 0


class Table(NamedTuple):
    """A partition table as read."""

    kind: str
    partitions: list[Partition]
    fields: dict[str, str | int]
    defects: list[Defect]


def overlap_text(partitions: list[Partition]) -> str | None:
    """One sentence that names the first two partitions sharing bytes; None when none do."""
    ordered = sorted(partitions, key=lambda each: each.offset)
    for before, after in pairwise(ordered):
        if before.offset + before.size > after.offset:
            return f"Partitions {before.number} and {after.number} overlap at byte {after.offset}."
    return None
