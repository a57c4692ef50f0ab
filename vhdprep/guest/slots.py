"""A root whose ``/usr`` is one of two partitions, of which updates fill the other (Flatcar, CoreOS).

Sources: flatcar/scripts ``build_library/{disk_layout.json,grub.cfg,build_image_util.sh}``, flatcar/bootengine
``dracut/99setup-root``. GRUB takes the slot of the highest priority; ``/`` is the file system labelled ROOT, which the
first boot fills; ``/etc`` lies over what the slot holds for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.backend import FileKind
from vhdprep.disk.memory import MemoryFiles
from vhdprep.errors import Unreadable
from vhdprep.guest.files import GuestFiles
from vhdprep.guest.subvolumes import WHOLE, Root, Subtree, named, tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.disk.backend import Disk, Files, FileStat
    from vhdprep.model import Volume

SLOT = "5DFBF5F4-2848-4BAC-AA5E-0D9A20B745A6"
"""Partition type of both slots."""
_ETC = "/share/flatcar/etc"
_FIRST_BOOT = {
    **{f"/{name}": {"link": f"usr/{name}"} for name in ("bin", "sbin", "lib", "lib64")},
    **{f"/{name}": {"directory": True} for name in ("etc", "usr", "boot", "oem")},
}
"""What the first boot makes in the root."""
_PLACES = {"/oem": "OEM", "/boot": "EFI-SYSTEM"}
"""Mount point → label of the partition there."""


class Overlay:
    """Two trees as one: what stands in the upper one hides its namesake in the lower one; directories show both."""

    def __init__(self, upper: Files, lower: Files) -> None:
        """A device or the like in ``upper`` stands for something that was deleted."""
        self._upper, self._lower = upper, lower
        self.case_sensitive = upper.case_sensitive

    def lstat(self, path: str) -> FileStat | None:
        """What stands at ``path``."""
        files = self._home(path)
        return files.lstat(path) if files else None

    def list(self, path: str) -> Sequence[str]:
        """Names in a directory."""
        found = self.lstat(path)
        if found is None or found.kind is not FileKind.DIRECTORY:
            return ()
        names = dict.fromkeys((*self._upper.list(path), *self._lower.list(path)))
        return tuple(name for name in names if self.lstat(f"{path.rstrip('/')}/{name}") is not None)

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """Bytes of a regular file."""
        files = self._home(path)
        return files.read(path, limit, offset) if files else b""

    def readlink(self, path: str) -> str:
        """Target of a link."""
        files = self._home(path)
        return files.readlink(path) if files else ""

    def _home(self, path: str) -> Files | None:
        """The tree whose entry is seen at ``path``; None = nothing is seen there."""
        parts = path.rstrip("/").split("/")
        for end in range(1, len(parts) + 1):
            found = self._upper.lstat("/".join(parts[:end]) or "/")
            if found is None:
                return self._lower
            if found.kind is not FileKind.DIRECTORY:
                return self._upper if end == len(parts) and found.kind is not FileKind.OTHER else None
        return self._upper


class Slotted(NamedTuple):
    """The tree as it is after the first boot."""

    root: Root
    files: GuestFiles
    mounts: dict[str, str]
    """Mount point → volume id, but for the root."""


def find(disk: Disk) -> Slotted | None:
    """The operating system in such slots; None = this disk has none.

    Raises:
        Unreadable: it has, but what would be booted was not read.
    """
    slots = [volume for volume in disk.volumes if volume.type_id == SLOT]
    if not slots:
        return None
    chosen = max(slots, key=lambda volume: volume.boot_priority)
    if not chosen.boot_priority:
        raise Unreadable(f"none of the partitions for /usr ({', '.join(each.id for each in slots)}) is marked to be booted")
    root = next((volume for volume in disk.volumes if "ROOT" in (volume.label, volume.part_label)), None)
    if root is None:
        raise Unreadable(f"{chosen.id} holds /usr, but no file system is labelled ROOT")
    usr, top = _tree(disk, chosen), _tree(disk, root)
    files = GuestFiles(Overlay(top, MemoryFiles(_FIRST_BOOT)))
    files.mount("/usr", usr)
    files.mount("/etc", Overlay(Subtree(top, "/etc"), Subtree(usr, _ETC)))
    mounts = {"/usr": chosen.id}
    for point, label in _PLACES.items():
        volume = next((each for each in disk.volumes if each.part_label == label), None)
        if volume is not None and volume.filesystem is not None:
            files.mount(point, _tree(disk, volume) if volume.read else f"it lies on {volume.id}, which was not read: {volume.reason}")
            mounts[point] = volume.id
    return Slotted(Root(root, WHOLE, top), files, mounts)


def _tree(disk: Disk, volume: Volume) -> Files:
    if not volume.read:
        raise Unreadable(f"{volume.part_label or volume.id} was not read: {volume.reason}")
    return tree(disk, volume, named(volume, ()) or WHOLE)
