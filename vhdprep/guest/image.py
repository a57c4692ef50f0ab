"""What a rule may look at: the image's disks and the guest found on them."""

from __future__ import annotations

from functools import wraps
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from vhdprep.errors import NoDisk, Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vhdprep.declared import Declared
    from vhdprep.disk.backend import Disk, Files
    from vhdprep.guest.files import GuestFiles
    from vhdprep.guest.formats.fstab import FstabEntry
    from vhdprep.guest.registry import Registry
    from vhdprep.location import Url
    from vhdprep.model import Container, GuestFacts, Target, Volume

_R = TypeVar("_R")
BSDS = ("freebsd", "openbsd")
"""Values of ``GuestFacts.os`` that keep accounts and start services in the way of the BSDs."""


class Guest(NamedTuple):
    """One installed operating system."""

    facts: GuestFacts
    files: GuestFiles
    root: str
    """Id of the root volume."""
    mounts: Mapping[str, str]
    """Mount point → volume id, for what fstab mounts from this disk."""
    fstab: tuple[FstabEntry, ...]
    volumes: tuple[Volume, ...]
    """Every volume of the image's disks."""
    esp: Files | None
    """The EFI system partition, if one was read."""
    memo: dict[str, Any]
    """Readings that several probes share; see ``once``."""
    registry: Registry | None = None
    """Of Windows."""
    subvolumes: Mapping[str, str] = MappingProxyType({})
    """Mount point → path of the subvolume that is mounted there, where it is one."""
    open_volume: Callable[[Volume], Files] | None = None
    """The files of a volume, whether it is mounted or not; None = there is no disk."""
    boot_code: str | None = None
    """Whose code stands in the first sector: ``grub | syslinux | other``; None = there is none, or no disk."""

    def need_registry(self) -> Registry:
        """The registry.

        Raises:
            Unreadable: this is no Windows.
        """
        if self.registry is None:
            raise Unreadable(f"{self.facts.product} has no registry")
        return self.registry


class ImageDisk(NamedTuple):
    """One disk of an image."""

    role: Literal["os", "data"]
    container: Container
    disk: Disk | None
    """None = the container could not be opened."""
    reason: str | None = None
    """Why not."""
    name: str = ""
    """``data0``, ``data1`` … by LUN; empty for the operating system's."""
    lun: int | None = None
    """Of a data disk."""


class Image(NamedTuple):
    """Everything a rule may look at."""

    disks: tuple[ImageDisk, ...]
    guest: Guest | None
    no_guest: str | None
    """Why there is no guest to judge."""
    target: Target
    declared: Declared | None = None
    """What a manifest says about it, if there is one."""
    remotes: tuple[Url, ...] = ()
    """Its disks that lie on the network."""

    @property
    def os_disk(self) -> ImageDisk:
        """The disk that the machine boots from.

        Raises:
            NoDisk: an unpacked tree is judged.
        """
        if not self.disks:
            raise NoDisk
        return self.disks[0]

    def need_guest(self) -> Guest:
        """The guest.

        Raises:
            Unreadable: none was recognised.
        """
        if self.guest is None:
            raise Unreadable(self.no_guest or "no operating system was recognised")
        return self.guest

    def need_disk(self) -> Disk:
        """The operating system's disk.

        Raises:
            Unreadable: the container could not be opened.
        """
        if self.os_disk.disk is None:
            raise Unreadable(self.os_disk.reason or "the disk could not be opened")
        return self.os_disk.disk


def remembered_as(function: Callable[[Guest], Any]) -> str:
    """The key of ``Guest.memo`` under which ``once`` keeps what ``function`` found."""
    return f"{function.__module__}.{function.__qualname__}"


def once(function: Callable[[Guest], _R]) -> Callable[[Guest], _R]:
    """Run ``function`` once a guest; an ``Unreadable`` is remembered and raised again."""
    name = remembered_as(function)

    @wraps(function)
    def reading(guest: Guest) -> _R:
        if name not in guest.memo:
            try:
                guest.memo[name] = function(guest)
            except Unreadable as error:
                guest.memo[name] = error
        result = guest.memo[name]
        if isinstance(result, Unreadable):
            raise Unreadable(str(result)) from result
        value: _R = result
        return value

    return reading
