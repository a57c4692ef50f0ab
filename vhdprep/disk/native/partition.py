"""What both partition tables yield."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vhdprep.model import Defect

SECTOR = 512
MAX_PARTITIONS = 128
"""Most partitions that are looked at; GPT's usual table, and more than any MBR chain has."""


class Partition(NamedTuple):
    """One entry of a table; offset and size in bytes."""

    number: int
    offset: int
    size: int
    type_id: str
    part_uuid: str | None = None
    label: str | None = None
    active: bool = False
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
