"""What is put together from several volumes, and what those turn out to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vhdprep.storage import StorageGroup
    from vhdprep.vhd.blocks import Reader

ELSEWHERE = "if it is on another disk of the machine, name that with --data"


class Member(NamedTuple):
    """What a volume turned out to be part of."""

    reason: str
    needed: bool
    """It could not be told what lies on it."""


class Array(NamedTuple):
    """A software RAID. Without ``reader`` it cannot be read, and ``reason`` says why."""

    id: str
    """``md/name``"""
    size: int
    home: str
    """Its first member that is here."""
    group: StorageGroup
    reader: Reader | None
    reason: str | None = None
    is_ambiguous: bool = False
    """Several volumes claim one place: whatever Linux makes of it depends on the order in which they appear."""
