"""What a backend must offer, and where the backends are.

Four file operations, no meaning: links, mount points, globbing and registry hives are built once, above.
"""

from __future__ import annotations

import importlib
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from vhdprep.errors import BackendUnavailable, Unreadable, UnsupportedFilesystem, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from vhdprep.location import Location
    from vhdprep.model import Container, Defect, Volume
    from vhdprep.storage import StorageGroup
    from vhdprep.vhd.blocks import Reader

BACKENDS = {"native": "vhdprep.disk.native", "guestfs": "vhdprep.disk.guestfs", "auto": "vhdprep.disk.auto"}
"""Name → module with ``open_disks``; named as text so that no backend is imported before it is asked for."""


REPLAYED = ("ext3", "ext4", "xfs", "btrfs")
"""File systems whose journal Linux carries out when it mounts them."""


class FileKind(StrEnum):
    """What a directory entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


class FileStat(NamedTuple):
    """What ``lstat`` says of an entry."""

    kind: FileKind
    size: int
    """Bytes; of a link the length of its target."""
    mode: int
    """Permission bits; 0 where the file system has none."""
    uid: int
    gid: int


def fold_case(name: str) -> str:
    """``name`` as file systems of Windows compare it: character by character, ASCII only with ASCII.

    ``str.casefold`` would make ``ß`` and ``ss`` the same name, and ``str.upper`` the dotless i and ``I``.
    """
    if name.isascii():
        return name.upper()
    return "".join(upper if len(upper := each.upper()) == 1 and upper.isascii() == each.isascii() else each for each in name)


class Files(Protocol):
    """One file system, read-only. Paths are absolute with ``/``; links are not followed.

    Every operation raises ``Unreadable`` when the file system's structures cannot be read.
    """

    case_sensitive: bool

    def lstat(self, path: str) -> FileStat | None:
        """What stands at ``path``; None = nothing."""
        ...

    def list(self, path: str) -> Sequence[str]:
        """Names in the directory ``path``, without ``.`` and ``..``; empty when it is no directory."""
        ...

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """At most ``limit`` bytes of the regular file ``path`` from ``offset``."""
        ...

    def readlink(self, path: str) -> str:
        """Target of the link ``path`` as it is stored."""
        ...


class Disk(Protocol):
    """One disk: its table, its volumes, and a way into each file system."""

    size: int
    """Bytes that the guest sees."""
    table: str | None
    """``gpt | mbr | None``"""
    volumes: Sequence[Volume]
    """Partitions and logical volumes, flat, with stable ids."""
    groups: Sequence[StorageGroup]
    """Arrays, volume groups and the like whose first member that is here lies on this disk."""
    defects: Sequence[Defect]
    """What is wrong with the partition table."""
    backends: Sequence[str]
    """Names of those that read it: ``native``, ``guestfs``, or both where one could not do it alone."""
    fields: dict[str, str | int]
    """Facts of the table that rules ask for: ``mbr:signature``, ``gpt:disk_guid``, ``mbr:boot_code`` …"""

    def damage(self) -> Sequence[str]:
        """What came to light while files were read, beyond what reading them said."""
        ...

    def files(self, volume: Volume) -> Files:
        """The file system of ``volume``. Raises ``UnsupportedFilesystem`` when it is not read here."""
        ...


class Source(NamedTuple):
    """A disk to be opened."""

    path: Location
    container: Container
    prefix: str = ""
    """Stands before the ids of its partitions: ``data0:``."""
    key: str | None = None
    """Passphrase of encrypted volumes; only ``guestfs`` can use it."""
    layer: Callable[[Reader], Reader] | None = None
    """Laid over its bytes; only ``native`` does it."""


class Backend(Protocol):
    """A module of ``BACKENDS``."""

    def open_disks(self, sources: Sequence[Source], avoid: Mapping[str, str]) -> AbstractContextManager[Sequence[Disk | Unreadable]]:
        """Open the disks of one image together, for volumes may span them; an ``Unreadable`` stands for one that cannot be.

        ``avoid``: volume id (or ``recorder.CONTAINER``) → why it is not to be read.
        """
        ...


class DiskSet:
    """Several disks of one machine as one: the table is the first one's, the volumes are everyone's."""

    def __init__(self, disks: Sequence[Disk]) -> None:
        """``disks`` begins with the operating system's."""
        first, *_ = disks
        self.size, self.table, self.fields, self.defects = first.size, first.table, first.fields, first.defects
        self.backends: Sequence[str] = tuple(dict.fromkeys(name for disk in disks for name in disk.backends))
        self.volumes: Sequence[Volume] = tuple(volume for disk in disks for volume in disk.volumes)
        self.groups: Sequence[StorageGroup] = tuple(group for disk in disks for group in disk.groups)
        self._disks = disks
        self._homes = {volume.id: disk for disk in disks for volume in disk.volumes}

    def damage(self) -> Sequence[str]:
        """What came to light on any of them."""
        return tuple(text for disk in self._disks for text in disk.damage())

    def files(self, volume: Volume) -> Files:
        """The file system of ``volume``."""
        if volume.id not in self._homes:
            raise UnsupportedFilesystem(f"{volume.id}: is on none of the disks")
        return self._homes[volume.id].files(volume)


def load_backend(name: str) -> Backend:
    """The backend called ``name``.

    Raises:
        UsageError: no such backend.
        BackendUnavailable: a library it needs is not installed.
    """
    if name not in BACKENDS:
        raise UsageError(f"there is no backend {name!r}; choose one of: {', '.join(sorted(BACKENDS))} (or both, to compare)")
    try:
        return cast("Backend", importlib.import_module(BACKENDS[name]))
    except ImportError as error:
        raise BackendUnavailable(f"backend {name!r} cannot be loaded: {error}; run `vhdprep doctor`") from error
