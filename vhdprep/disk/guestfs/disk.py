"""A disk whose file systems the appliance mounts: which of its devices is which volume, and how each is mounted."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

from vhdprep.disk.guestfs.files import MAX_CHUNK, ApplianceFiles
from vhdprep.disk.native import Inner, NativeDisk, superblock
from vhdprep.disk.native.stream import Stream
from vhdprep.errors import Unreadable
from vhdprep.model import DiskType, Volume, VolumeKind
from vhdprep.storage import Subvolume

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import ExitStack

    from vhdprep.disk.backend import Files, Source
    from vhdprep.disk.guestfs.appliance import Appliance
    from vhdprep.disk.native.assembled import Array
    from vhdprep.disk.native.lvm import LogicalVolume
    from vhdprep.vhd.blocks import Reader

MAX_SUBVOLUMES = 2000
"""Most subvolumes and snapshots of a btrfs that are listed, as in the native backend."""

_MOUNTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ext2": ("ext4", ()),
    "ext3": ("ext4", ()),
    "ext4": ("ext4", ()),
    "xfs": ("xfs", ("nouuid",)),
    "btrfs": ("btrfs", ("subvolid=5",)),
    "vfat": ("vfat", ("utf8",)),
    "ntfs": ("ntfs-3g", ("streams_interface=none",)),
    "ufs": ("ufs", ()),
}
"""File system → Linux's driver, which is never guessed, and its options."""
_TOP = 5
_EXT_RECOVER = 0x4
_REPLAYED = "its journal was replayed, in a scratch copy: the image itself is as unclean as before"


class DeviceReader:
    """A device of the appliance as linear bytes."""

    def __init__(self, appliance: Appliance, device: str) -> None:
        """Ask for its size.

        Raises:
            Unreadable: there is no such device.
        """
        self._appliance, self._device = appliance, device
        self.size = appliance.ask(lambda: appliance.handle.blockdev_getsize64(device))

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes of the device."""
        pieces, end = [], min(offset + size, self.size)
        while offset < end:
            at, count = offset, min(end - offset, MAX_CHUNK)
            data = self._appliance.ask(lambda at=at, count=count: self._appliance.handle.pread_device(self._device, count, at))  # type: ignore[misc]
            if not data:
                raise Unreadable(f"libguestfs: {self._device} ends at byte {at}")
            pieces.append(data)
            offset += len(data)
        return b"".join(pieces)


class GuestfsDisk(NativeDisk):
    """A disk whose tables are read in process, and whose files are read by the appliance."""

    backends: Sequence[str] = ("guestfs",)

    def __init__(self, reader: Reader, source: Source, avoid: Mapping[str, str], appliance: Appliance, device: str, stack: ExitStack) -> None:
        """``device``: the disk's name in the appliance; ``stack`` unmounts what is mounted.

        Raises:
            Unreadable: qemu shows less of the disk than there is.
        """
        self._appliance, self.device, self._stack, self._key = appliance, device, stack, source.key
        self._devices: dict[str, str] = {}
        """Volume that is no span of the disk → its device."""
        self._replayed: set[str] = set()
        self._listed: Sequence[str] | None = None
        if source.container.format == "vhd" and source.container.type is DiskType.DYNAMIC:
            shown = appliance.ask(lambda: appliance.handle.blockdev_getsize64(device))
            if shown < reader.size:
                raise Unreadable(f"libguestfs: of the {reader.size} bytes of the disk qemu shows {shown}: it goes by the geometry in the footer")
        super().__init__(reader, source.prefix, avoid)

    def damage(self) -> Sequence[str]:
        """What Linux complained of while files were read."""
        try:
            return [f"Linux found damage while it read the file systems: {text}" for text in self._appliance.damage()]
        except Unreadable as error:
            return [str(error)]

    def unlock(self) -> None:
        """Open encrypted partitions with the key, where there is one."""
        for volume in self.volumes if self._key else ():
            if volume.filesystem == "crypto_LUKS" and (partition := self.partition(volume)):
                name = f"vhdprep-{re.sub(r'[^a-z0-9]', '-', volume.id)}"
                try:
                    self._appliance.ask(lambda: self._appliance.handle.cryptsetup_open(partition, self._key or "", name))  # noqa: B023 - called at once
                except Unreadable as error:
                    self.explain(volume, f"encrypted with LUKS, and the key does not open it ({error})", needed=True)
                else:
                    self.explain(volume, f"encrypted with LUKS, opened with the key: {volume.id}/luks", needed=False)
                    self.add_inner(f"{volume.id}/luks", f"/dev/mapper/{name}")

    def partition(self, volume: Volume) -> str | None:
        """The device of a partition; None = Linux knows none."""
        if volume.kind is VolumeKind.WHOLE_DISK:
            return self.device
        if volume.offset is None:
            return None
        number = re.fullmatch(r"p(\d+)", volume.id.rpartition(":")[2])
        return f"{self.device}{number[1]}" if number else None

    def devices(self) -> list[str]:
        """The disk, and the arrays of which it has the first member."""
        return [self.device, *(self._devices[each.id] for each in self.volumes if each.kind is VolumeKind.ARRAY and each.id in self._devices)]

    def explain(self, volume: Volume, reason: str, *, needed: bool) -> None:
        """Say of ``volume`` what became of it."""
        self.volumes = tuple(each._replace(reason=reason, needed=needed) if each.id == volume.id else each for each in self.volumes)

    def add_inner(self, name: str, device: str) -> None:
        """Append the volume called ``name``, which ``device`` of the appliance is, and open what it holds."""
        volume = Volume(name, VolumeKind.LOGICAL_VOLUME, 0, None, None, None)
        try:
            reader = DeviceReader(self._appliance, device)
            stream = Stream(reader, 0, reader.size)
            self._inner[name] = Inner(stream, name, 0)
            self._devices[name] = device
            volume = self._open(volume._replace(size=reader.size), stream, superblock.recognise(stream))
        except Unreadable as error:
            volume = volume._replace(reason=str(error), needed=True)
        self.volumes = (*self.volumes, volume)

    def _array_reader(self, each: Array) -> Reader:
        """An array is read from the device that Linux has made of it, even where its layout is not known here; never where Linux had to guess."""
        device = self._appliance.arrays().get(str(each.group.uuid))
        if each.is_ambiguous or device is None:
            raise Unreadable(each.reason or "Linux's md does not put it together")
        self._devices[each.id] = device
        return DeviceReader(self._appliance, device)

    def _logical(self, each: LogicalVolume) -> Volume:
        """A logical volume of a kind that only Linux can put together is read from its device."""
        device = f"/dev/{each.id}"
        if each.reader is None and each.holds_files and device in self._logical_devices():
            each = each._replace(reader=DeviceReader(self._appliance, device), reason=None)
        return super()._logical(each)

    def _open_files(self, volume: Volume, stream: Stream, found: superblock.Superblock) -> tuple[Files, dict[str, Any]]:
        kind, options = _MOUNTS[found.filesystem or ""]
        facts = super()._open_files(volume, stream, found)[1] if kind == "ntfs-3g" else {}  # how it was left only its own journal says
        if kind == "ufs":
            options = (f"ufstype={'ufs2' if _is_ufs2(stream) else '44bsd'}",)
        device, place = self._device_of_several(volume) if volume.id in self._siblings else self._device(volume)
        if _needs_replay(stream, found):
            self._replayed.add(volume.id)
        else:
            options = ("ro", *options)
        mounted = self._appliance.mount(device, kind, ",".join((*options, *place)))
        if self._appliance.machines > 1:
            self._stack.callback(self._appliance.unmount, mounted)
        if kind == "btrfs":
            facts = {"subvolumes": self._subvolumes(mounted)}
        return ApplianceFiles(self._appliance, mounted, volume.id, found.filesystem or ""), facts

    def _judge_state(self, volume: Volume, found: superblock.Superblock) -> Volume:
        if found.caveat == superblock.INLINE_DATA:  # Linux reads it
            found = found._replace(caveat=None)
        if volume.id in self._replayed and not found.caveat:
            return volume._replace(reason=_REPLAYED)
        return super()._judge_state(volume, found)

    def _device(self, volume: Volume) -> tuple[str, tuple[str, ...]]:
        """The device to mount, and the span of it: a partition is where our reading of the table says, not where Linux's does."""
        inner = self._inner.get(volume.id)
        if inner is not None and inner.outer in self._devices:
            return self._devices[inner.outer], () if inner.outer == volume.id else ("loop", f"offset={inner.offset}", f"sizelimit={volume.size}")
        if volume.offset is None:
            device = f"/dev/{volume.id}"
            if device not in self._logical_devices():  # the name is the image's: it must not lead to anything else of the appliance
                raise Unreadable("Linux's LVM2 does not put it together")
            return device, ()
        return self.device, ("loop", f"offset={volume.offset}", f"sizelimit={min(volume.size, self.size - volume.offset)}")

    def _device_of_several(self, volume: Volume) -> tuple[str, tuple[str, ...]]:
        """The device of a btrfs that has several; the kernel has seen the others where they are."""
        device = self.partition(volume) if volume.offset is not None else self._device(volume)[0]
        if device is None:
            raise Unreadable("Linux does not know all of its devices")
        return device, ("degraded",) if volume.missing else ()

    def _logical_devices(self) -> Sequence[str]:
        """The devices of logical volumes, as Linux's LVM2 lists them."""
        if self._listed is None:
            self._listed = self._appliance.ask(self._appliance.handle.lvs)
        return self._listed

    def _subvolumes(self, mounted: str) -> tuple[Subvolume, ...]:
        default = self._appliance.ask(lambda: self._appliance.handle.btrfs_subvolume_get_default(mounted))
        listed = self._appliance.ask(lambda: self._appliance.handle.btrfs_subvolume_list(mounted))
        if len(listed) > MAX_SUBVOLUMES:
            raise Unreadable(f"it has more than {MAX_SUBVOLUMES} subvolumes")
        paths = {_TOP: "", **{each["btrfssubvolume_id"]: each["btrfssubvolume_path"] for each in listed}}
        if default not in paths:
            raise Unreadable(f"its default subvolume {default} is missing")
        return tuple(Subvolume(number, path, number == default) for number, path in sorted(paths.items()))


def _needs_replay(stream: Stream, found: superblock.Superblock) -> bool:
    """Whether Linux replays a journal when it mounts this; not every file system that was left open has one."""
    if found.state != "unclean":
        return False
    if found.filesystem in ("ext3", "ext4"):
        return bool(struct.unpack("<I", stream.read_at(0x460, 4))[0] & _EXT_RECOVER)
    return found.filesystem in ("xfs", "btrfs")


def _is_ufs2(stream: Stream) -> bool:
    from vhdprep.disk.native import ufssuper  # late: only the BSDs have it

    head = stream.read_at(0, 0x11000)
    found = ufssuper.find(stream, head)
    return found is not None and found.version == 2
