"""Changes carried out on the copy, in libguestfs's appliance. The only code that writes into a guest's file systems.

What is mounted is what this program read, each volume at a place of its own; libguestfs's idea of the system is never asked
for, no link of the guest is followed, and nothing of the guest is executed. A file that is written over stays the same file: its owner, its
mode and its labels are those it had.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vhdprep import isolate
from vhdprep.errors import BackendUnavailable, CopyFailed, first_line
from vhdprep.model import VolumeKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vhdprep.model import Volume
    from vhdprep.prepare.keys import KeyEdit
    from vhdprep.prepare.plan import Change

_DISTRIBUTION = Path("/usr/lib/python3/dist-packages")
"""Where Debian and Ubuntu put the bindings, which are no package of PyPI; a virtual environment does not look there."""
_PIECE = 1024 * 1024
"""Bytes that are sent at a time; the protocol bears 4 MiB."""
_LABEL = "security.selinux"


class Editor(Protocol):
    """Whatever can carry out a change."""

    def perform(self, change: Change, data: bytes) -> None:
        """Do what ``change`` says; ``data`` is what a file is to hold.

        Raises:
            CopyFailed: it could not be done.
        """
        ...


@contextmanager
def open_editor(disk: Path, volumes: Sequence[Volume], needed: set[str]) -> Iterator[Editor]:
    """An editor of the raw disk in ``disk``, with the volumes of these ids mounted; on leaving, everything is on the disk.

    Raises:
        BackendUnavailable: the appliance cannot run here.
        CopyFailed: a volume cannot be mounted for writing, or a change could not be carried out.
    """
    handle = _launched(disk)
    try:
        editor = _GuestfsEditor(handle, [each for each in volumes if each.id in needed])
        yield editor
        _asked("the changes cannot be brought to the disk", handle.umount_all)
        _asked("the appliance does not end as it should", handle.shutdown)
    finally:
        handle.close()


class _GuestfsEditor:
    """Volumes mounted in an appliance."""

    def __init__(self, handle: Any, volumes: Sequence[Volume]) -> None:
        """Mount ``volumes`` for writing."""
        self._handle = handle
        self._places: dict[str, str] = {}
        self._plain: set[str] = set()
        for number, volume in enumerate(volumes):
            device = self._device(volume)
            place = f"/v{number}"
            options = "subvolid=5" if volume.filesystem == "btrfs" else ""
            handle.mkmountpoint(place)
            _asked(f"{volume.id}: its {volume.filesystem} cannot be mounted for writing", handle.mount_options, options, device, place)
            self._places[volume.id] = place

    def perform(self, change: Change, data: bytes) -> None:
        """Do what ``change`` says."""
        path = self._places[change.spot.volume] + change.spot.path
        self._refuse_links(change, path)
        why = f"{change.shown}: {change.what} failed"
        if change.before is not None and change.what != "link":
            _asked(f"{change.shown}: is not in the copy, though it was read there", self._handle.lstatns, path)
        if change.what == "remove":
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
            _asked(why, self._handle.upload, str(local), path)

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

    def _device(self, volume: Volume) -> str:
        """The appliance's name of a volume: a partition by where it begins."""
        if volume.kind is VolumeKind.WHOLE_DISK:
            return "/dev/sda"
        if volume.kind is VolumeKind.LOGICAL_VOLUME:
            device = f"/dev/{volume.id}"
            found = _asked("logical volumes cannot be listed", self._handle.lvs)
            if device in found:
                return device
        else:
            for each in _asked("partitions cannot be listed", self._handle.part_list, "/dev/sda"):
                if each["part_start"] == volume.offset:
                    return f"/dev/sda{each['part_num']}"
        raise CopyFailed(f"{volume.id}: libguestfs's appliance does not see this volume, so nothing can be changed on it")


def _launched(disk: Path) -> Any:
    """A running appliance; where it does not start, once more without KVM, which may be there and not work."""
    first: RuntimeError | None = None
    for settings in ({}, {"force_tcg": "1"}):
        handle = bindings()(python_return_dict=True)
        if "LIBGUESTFS_BACKEND" not in os.environ:
            handle.set_backend("direct")  # no service of the host is needed
        for name, value in settings.items():
            handle.set_backend_setting(name, value)
        handle.add_drive_opts(str(disk.resolve()), format="raw", discard="besteffort")
        try:
            handle.launch()
        except RuntimeError as error:
            handle.close()
            first = first or error
        else:
            return handle
    why = first_line(first) if first else ""
    raise BackendUnavailable(f"libguestfs's appliance, in which the copy is edited, does not start ({why}); run: libguestfs-test-tool") from first


def _asked(why: str, action: Any, *arguments: Any) -> Any:
    """Translate libguestfs's errors at the door."""
    try:
        return action(*arguments)
    except RuntimeError as error:
        raise CopyFailed(f"{why}: {first_line(error)}") from error


def bindings() -> Any:
    """The class of libguestfs's handles.

    Raises:
        BackendUnavailable: the bindings are not there for this Python.
    """
    try:
        return importlib.import_module("guestfs").GuestFS
    except ImportError as first:
        if not (_DISTRIBUTION / "guestfs.py").exists():
            raise BackendUnavailable(
                "a copy is edited by libguestfs, and its Python bindings are not installed: sudo apt-get install python3-guestfs"
            ) from first
    sys.path.append(str(_DISTRIBUTION))
    try:
        return importlib.import_module("guestfs").GuestFS
    except ImportError as error:
        raise BackendUnavailable(
            f"libguestfs's bindings in {_DISTRIBUTION} do not fit this Python ({first_line(error)}); use the distribution's own: /usr/bin/python3"
        ) from error
    finally:
        sys.path.remove(str(_DISTRIBUTION))
