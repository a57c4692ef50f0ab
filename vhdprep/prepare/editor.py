"""Changes carried out on the copy, in libguestfs's appliance. The only code that writes into a guest's file systems.

What is mounted is what this program read, each volume at a place of its own; libguestfs's idea of the system is never asked
for, no link of the guest is followed, and nothing of the guest is executed. A file that is written over stays the same file: its owner, its
mode and its labels are those it had.
"""

from __future__ import annotations

import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeVar

from vhdprep import isolate
from vhdprep.disk.backend import FileKind
from vhdprep.disk.guestfs.appliance import Appliance
from vhdprep.errors import CopyFailed, first_line
from vhdprep.model import VolumeKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vhdprep.model import Volume
    from vhdprep.prepare.keys import KeyEdit
    from vhdprep.prepare.plan import Change

    _T = TypeVar("_T")

_PIECE = 1024 * 1024
"""Bytes that are sent at a time; the protocol bears 4 MiB."""
MAX_BLANKED = 10_000
"""Files of one removed directory that are overwritten before; larger ones than a mebibyte are only removed."""
_NAME = 256
"""Bytes of a name, as a rule."""
_IF_IMMUTABLE = " (if it is immutable, in the machine: chattr -ia FILE)"
_DRIVERS = {"ext2": "ext4", "ext3": "ext4", "ntfs": "ntfs-3g"}
"""File system → Linux's driver, where their names differ: it is never guessed."""
_LABEL = "security.selinux"


class Editor(Protocol):
    """Whatever can carry out changes."""

    acceleration: str
    """``KVM | TCG``: what the appliance runs with."""

    def blank(self, changes: Sequence[Change]) -> None:
        """Overwrite what these changes remove or replace, so that none of it is left in free blocks.

        Raises:
            CopyFailed: it could not be done.
        """
        ...

    def perform(self, change: Change, data: bytes) -> None:
        """Do what ``change`` says; ``data`` is what a file is to hold.

        Raises:
            CopyFailed: it could not be done.
        """
        ...


@contextmanager
def open_editor(
    disks: Sequence[Path], volumes: Sequence[Sequence[Volume]], needed: set[str], arrays: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Editor]:
    """An editor of the raw disks in ``disks``, with the ``needed`` ones of their volumes mounted; on leaving, everything is on the disks.

    ``arrays``: id of an array's volume → its UUID.

    Raises:
        BackendUnavailable: the appliance cannot run here.
        CopyFailed: a volume cannot be mounted for writing, or a change could not be carried out.
    """
    appliance = Appliance()
    try:
        for disk in disks:
            appliance.add_writable(disk)
        appliance.launch()
        placed = [(device, each) for device, listed in zip(appliance.devices, volumes, strict=True) for each in listed if each.id in needed]
        yield _GuestfsEditor(appliance, placed, arrays)
        _asked("the changes cannot be brought to the disk", appliance.handle.umount_all)
        _asked("the appliance does not end as it should", appliance.handle.shutdown)
    finally:
        appliance.close()


class _GuestfsEditor:
    """Volumes mounted in an appliance."""

    def __init__(self, appliance: Appliance, volumes: Sequence[tuple[str, Volume]], arrays: Mapping[str, str]) -> None:
        """Mount ``volumes``, each with the appliance's name of its disk, for writing."""
        self.acceleration = appliance.acceleration
        self._appliance, self._arrays = appliance, arrays
        self._handle = handle = appliance.handle
        self._places: dict[str, str] = {}
        self._plain: set[str] = set()
        for number, (disk, volume) in enumerate(volumes):
            device = self._device(disk, volume)
            place = f"/v{number}"
            options = "subvolid=5" if volume.filesystem == "btrfs" else ""
            handle.mkmountpoint(place)
            kind = _DRIVERS.get(volume.filesystem or "", volume.filesystem)
            _asked(f"{volume.id}: its {volume.filesystem} cannot be mounted for writing", handle.mount_vfs, options, kind, device, place)
            self._places[volume.id] = place

    def blank(self, changes: Sequence[Change]) -> None:
        """Overwrite the contents of small files, and have them written before anything is removed: unlinking drops what waits."""
        for change in changes:
            if change.what in ("remove", "write") and change.before is not None:
                path = self._places[change.spot.volume] + change.spot.path
                self._refuse_links(change, path)
                for each in self._files_of(change, path, change.before.kind):
                    self._zero(change, each)
        _asked("the copy cannot be written", self._handle.sync)

    def _files_of(self, change: Change, path: str, kind: FileKind) -> list[str]:
        """At most ``MAX_BLANKED``; the bindings take no name that is not UTF-8."""
        if kind is not FileKind.DIRECTORY:
            return [path] if kind is FileKind.FILE else []
        with tempfile.NamedTemporaryFile(prefix="vhdprep-") as file:  # an answer in one message bears some ten thousand names
            _asked(f"{change.shown}: cannot be listed", self._handle.find0, path, file.name)
            names = file.read(MAX_BLANKED * _NAME).split(b"\0")[:-1][:MAX_BLANKED]
        return [f"{path}/{name.decode()}" for name in names if name.decode("utf-8", "ignore").encode() == name]

    def _zero(self, change: Change, path: str) -> None:
        """Not where another name leads to the same file."""
        found = self._look(change, path)
        size = found["st_size"]
        if stat.S_ISREG(found["st_mode"]) and found["st_nlink"] == 1 and 0 < size <= _PIECE:
            _asked(f"{change.shown}: cannot be overwritten{_IF_IMMUTABLE}", self._handle.pwrite, path, bytes(size), 0)

    def _look(self, change: Change, path: str) -> Mapping[str, int]:
        return _asked(f"{change.shown}: is not in the copy, though it was read there", self._handle.lstatns, path)

    def perform(self, change: Change, data: bytes) -> None:
        """Do what ``change`` says."""
        path = self._places[change.spot.volume] + change.spot.path
        self._refuse_links(change, path)
        why = f"{change.shown}: {change.what} failed"
        if change.before is not None and change.what != "remove" and not stat.S_ISREG(self._look(change, path)["st_mode"]):
            raise CopyFailed(f"{change.shown}: is no regular file in the copy and was one in the plan; the copy is given up")
        if change.what == "remove":
            self._look(change, path)
            _asked(why, self._handle.rm_rf, path)
        elif change.what == "link":
            target = change.after.target if change.after else None
            _asked(why, self._handle.ln_s, target, path)
            self._label(path)
        elif change.what == "directory":
            _asked(why, self._handle.mkdir_mode, path, 0o755)
            self._label(path)
        elif change.what == "registry":
            self._edit_hive(why, path, change.keys)
        else:
            self._write(why, path, data, is_new=change.before is None)

    def _write(self, why: str, path: str, data: bytes, *, is_new: bool) -> None:
        _asked(why, self._handle.write, path, data[:_PIECE])
        for at in range(_PIECE, len(data), _PIECE):
            _asked(why, self._handle.write_append, path, data[at : at + _PIECE])
        if is_new:
            _asked(why, self._handle.chmod, 0o644, path)
            self._label(path)

    def _edit_hive(self, why: str, path: str, edits: Sequence[KeyEdit]) -> None:
        """The hive is edited on the host, in a child process, and put back into the same file."""
        from vhdprep.prepare import hives

        with tempfile.TemporaryDirectory(prefix="vhdprep-") as folder:
            local = Path(folder) / path.rpartition("/")[2]
            _asked(why, self._handle.download, path, str(local))
            isolate.call(lambda _: hives.edit(local, edits))
            _asked(why, self._handle.upload_offset, str(local), path, 0)  # over what stood there; a hive never shrinks

    def _label(self, path: str) -> None:
        """What is new gets the SELinux label of its directory, where that has one."""
        parent = path.rpartition("/")[0] or "/"
        for each in _asked(f"{parent}: its labels cannot be read", self._handle.lgetxattrs, parent):
            if each["attrname"] == _LABEL:
                value = each["attrval"].decode() if isinstance(each["attrval"], bytes) else each["attrval"]
                _asked(f"{path}: cannot be labelled", self._handle.lsetxattr, _LABEL, value, len(value), path)

    def _refuse_links(self, change: Change, path: str) -> None:
        """The plan's paths hold no links; one that does is not what was looked at."""
        whole = path if change.what in ("write", "registry") else path.rpartition("/")[0]
        parts = whole.split("/")[2:]
        at = "/" + path.split("/")[1]
        for part in parts:
            at = f"{at}/{part}"
            if at in self._plain:
                continue
            if _asked(f"{change.shown}: cannot be looked at", self._handle.is_symlink, at):
                raise CopyFailed(f"{change.shown}: {at} is a link in the copy and was none in the plan; the copy is given up")
            self._plain.add(at)

    def _device(self, disk: str, volume: Volume) -> str:
        """The appliance's name of a volume: a partition by where it begins."""
        if volume.kind is VolumeKind.WHOLE_DISK:
            return disk
        array, _, part = volume.id.partition(":p")
        if array in self._arrays:
            if device := self._appliance.arrays().get(self._arrays[array]):
                return f"{device}p{part}" if part else device
        elif volume.kind is VolumeKind.LOGICAL_VOLUME:
            device = f"/dev/{volume.id}"
            found = _asked("logical volumes cannot be listed", self._handle.lvs)
            if device in found:
                return device
        else:
            for each in _asked("partitions cannot be listed", self._handle.part_list, disk):
                if each["part_start"] == volume.offset:
                    return f"{disk}{each['part_num']}"
        raise CopyFailed(f"{volume.id}: libguestfs's appliance does not see this volume, so nothing can be changed on it")


def _asked(why: str, action: Callable[..., _T], *arguments: object) -> _T:
    """Translate libguestfs's errors at the door."""
    try:
        return action(*arguments)
    except (RuntimeError, UnicodeError) as error:
        raise CopyFailed(f"{why}: {first_line(error)}") from error
