"""What lies on several volumes together, as data: what rules about completeness ask for."""

from __future__ import annotations

from typing import NamedTuple


class StorageGroup(NamedTuple):
    """What lies on several volumes together: an array, a volume group, a file system of several devices, a pool."""

    kind: str
    """``md | lvm2 | btrfs | storage-spaces``"""
    id: str
    """The array's volume (``md/data``), the group's name, the volume that a btrfs is read as, a pool's GUID."""
    uuid: str | None
    name: str | None
    """As its tools show it; of md without the host."""
    host: str | None
    """The host that md notes in an array's name."""
    level: str | None
    """``raid1``, ``linear``; of btrfs the profiles of its chunks. None = not recorded, or of each volume its own."""
    members: tuple[str, ...]
    """Volumes that are here and are used."""
    expected: int | None
    """How many there should be; None = not recorded here."""
    missing: tuple[str, ...]
    """What is not here or cannot be used, as its tools call it."""
    unused: tuple[str, ...]
    """Volumes that are here and hold none of its content: spares, members that failed or were left behind, twins."""
    redundant: bool | None
    """It can do without any one member; None = not known here."""
    reason: str | None = None
    """Why it is not read."""


class Subvolume(NamedTuple):
    """A tree of files inside a file system that can be mounted by itself (btrfs)."""

    id: int
    path: str
    """From the top level, without a leading slash; empty for the top level itself."""
    is_default: bool = False
    """It is mounted when none is named."""
