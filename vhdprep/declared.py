"""What a manifest says about a machine's image, beyond what lies on its disks. Frozen data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class DeclaredDisk(NamedTuple):
    """One disk of a machine, as its manifest has it."""

    role: Literal["os", "data"]
    file: str
    """As a path of this host: one that is not absolute counts from the manifest's folder."""
    lun: int | None = None
    """Of a data disk; by their order where the manifest does not say."""
    size: int | None = None
    """Bytes that the guest is to see."""


class Declared(NamedTuple):
    """What a manifest says about a machine's image, beyond what lies on its disks."""

    path: str
    disks: tuple[DeclaredDisk, ...]
    """The operating system's first, the others by LUN."""
    fields: Mapping[str, str | int | bool | tuple[str, ...]]
    """What it says of the image: ``generation: 2``, ``architecture: x64``; see ``manifest.FIELDS``."""
    previous: Declared | None = None
    """The manifest of the version before."""
