"""The independent backend: in process, read only, no root, no kernel."""

from __future__ import annotations

import importlib
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from vhdprep.disk import recorder
from vhdprep.disk.native import superblock
from vhdprep.disk.native.partition import BSD_SLICES, MAX_PARTITIONS
from vhdprep.disk.native.stream import Stream
from vhdprep.disk.native.table import read_table
from vhdprep.disk.recorder import NOTHING
from vhdprep.errors import Unreadable, UnsupportedFilesystem, first_line
from vhdprep.model import Defect, Volume, VolumeKind
from vhdprep.vhd import opening

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vhdprep.disk.backend import Disk, Files, Source
    from vhdprep.disk.native.lvm import LogicalVolume, Member
    from vhdprep.disk.native.partition import Partition
    from vhdprep.vhd.blocks import Reader

READERS = {"ext2": "ext", "ext3": "ext", "ext4": "ext", "xfs": "xfs", "btrfs": "btrfs", "vfat": "fat", "ntfs": "ntfs", "ufs": "ufs"}
"""File system → module of this package with ``open_files``."""

_NO_FILES = {
    "21686148-6449-6E6F-744E-656564454649": "BIOS boot partition (GRUB's core image)",
    "E3C9E316-0B5C-4DB8-817D-F92DF00215AE": "Microsoft reserved partition",
    "9E1A2D38-C612-4316-AA26-8B49521E5A8B": "PReP boot partition",
    "0x41": "PReP boot partition",
    "83BD6B9D-7F41-11DC-BE0B-001560B84F0F": "boot code of FreeBSD",
}
"""Partition types that hold no file system (util-linux ``include/pt-gpt-partnames.h``)."""

_BSD_TYPES = {*BSD_SLICES, "516E7CB6-6ECF-11D6-8FF8-00022D09712B", "bsd:7"}
"""Partition types that hold a UFS, or a disklabel."""

_NO_FILES_EITHER = {"": "holds no file system", "swap": "swap space"}

_BY_TYPE = {
    "0x42": "LDM",
    "5808C8AA-7E8F-42E0-85D2-E1E90434CFB3": "LDM",
    "AF9B60A0-1431-4F62-BC68-3311714A69AD": "LDM",
    "E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D": "storage_spaces",
    "516E7CBA-6ECF-11D6-8FF8-00022D09712B": "zfs_member",
    "bsd:27": "zfs_member",
    "bsd:19": "softraid",
    "516E7CB5-6ECF-11D6-8FF8-00022D09712B": "swap",
    "bsd:1": "swap",
}
"""Partition types whose content is part of something larger, or is overwritten, whatever it begins with."""

_REASONS = {
    "swsuspend": "swap space with a hibernated system: the file systems are as they were when it fell asleep",
    "crypto_LUKS": "encrypted with LUKS",
    "BitLocker": "encrypted with BitLocker",
    "LVM2_member": "an LVM2 physical volume inside another volume, which is not read",
    "linux_raid_member": "part of a Linux software RAID",
    "zfs_member": "part of a ZFS pool",
    "LDM": "part of a Windows dynamic disk",
    "storage_spaces": "part of a Storage Spaces pool",
    "geli": "encrypted with GELI",
    "geom_member": "part of a mirror, stripe or the like of FreeBSD",
    "softraid": "part of an OpenBSD softraid, mirrored or encrypted",
}

_STALE = {
    "unclean": "its journal was not replayed: the newest changes may be missing",
    "hibernated": "Windows is hibernated or was shut down with Fast Startup: its newest changes are not on the disk",
}
"""State of a file system → what may be out of date in what was read."""


class NativeDisk:
    """A disk opened in process."""

    backends: Sequence[str] = ("native",)

    def __init__(self, reader: Reader, prefix: str = "", avoid: Mapping[str, str] = NOTHING) -> None:
        """Read the table and recognise every partition; ``prefix`` stands before the ids of partitions, ``avoid`` holds volumes not to be read."""
        self._reader, self._prefix, self._avoid = reader, prefix, avoid
        self.size = reader.size
        table = read_table(reader)
        self.table = table.kind if table else None
        self.fields = table.fields if table else {}
        self.defects: Sequence[Defect] = (*getattr(reader, "defects", ()), *(table.defects if table else ()))
        self._files: dict[str, Files] = {}
        self.volumes: Sequence[Volume] = tuple(self._partitions(table.partitions) if table else self._whole_disk())

    def files(self, volume: Volume) -> Files:
        """The file system of ``volume``."""
        if volume.id not in self._files:
            raise UnsupportedFilesystem(f"{volume.id}: {volume.reason or 'not read'}")
        return self._files[volume.id]

    def damage(self) -> Sequence[str]:
        """Nothing: what is damaged is said where it is read."""
        return ()

    def _whole_disk(self) -> list[Volume]:
        """A disk without a table is one file system, something unknown, or empty."""
        stream = Stream(self._reader, 0, self.size)
        found = superblock.recognise(stream)
        volume = Volume(f"{self._prefix}disk", VolumeKind.WHOLE_DISK, self.size, 0, None, None)
        return [] if found is superblock.BLANK else [self._open(volume, stream, found)]

    def _partitions(self, table: Sequence[Partition]) -> list[Volume]:
        """Every partition; after one that holds a disklabel, those of the disklabel."""
        found: list[Volume] = []
        for each in table:
            try:
                inner = self._disklabel(each, table, MAX_PARTITIONS - len(found)) if each.type_id in BSD_SLICES else None
            except Unreadable as error:
                found.append(self._describe(each)._replace(reason=str(error), needed=True))
                continue
            if inner is None:
                found.append(self._partition(each))
            else:
                volumes = [self._partition(one) for one in inner]
                found.append(self._describe(each)._replace(reason=f"holds the partitions {', '.join(one.id for one in volumes)}"))
                found += volumes
        return found

    def _disklabel(self, outer: Partition, table: Sequence[Partition], room: int) -> list[Partition] | None:
        from vhdprep.disk.native import disklabel  # late: only the BSDs have it

        found = disklabel.read(self._reader, outer, table)
        if found is not None and not 0 < len(found) <= room:
            raise Unreadable(f"its disklabel has {len(found)} partitions" + (f"; more than {MAX_PARTITIONS} on a disk are not read" if found else ""))
        return found

    def _describe(self, each: Partition) -> Volume:
        return Volume(
            id=f"{self._prefix}p{each.number}{each.letter}",
            kind=VolumeKind.PARTITION,
            size=each.size,
            offset=each.offset,
            type_id=each.type_id,
            filesystem=None,
            part_uuid=each.part_uuid,
            part_label=each.label,
            active=each.active,
            boot_priority=each.boot_priority,
        )

    def _partition(self, each: Partition) -> Volume:
        volume = self._describe(each)
        stream = Stream(self._reader, each.offset, each.size)
        part_of = _BY_TYPE.get(each.type_id)
        found = superblock.Superblock(part_of) if part_of else superblock.recognise(stream, is_bsd=each.type_id in _BSD_TYPES)
        if found is superblock.BLANK and (each.offset + each.size > self.size or each.size <= 0):
            return volume._replace(reason="it lies outside the disk", needed=True)
        return self._open(volume, stream, found)

    def physical_volumes(self) -> dict[str, Stream]:
        """The LVM2 physical volumes of this disk, by id."""
        return {each.id: self._stream(each) for each in self.volumes if each.filesystem == "LVM2_member"}

    def _stream(self, volume: Volume) -> Stream:
        """The bytes of ``volume``, which is no logical volume."""
        return Stream(self._reader, volume.offset or 0, volume.size)

    def add_logical(self, logical: Sequence[LogicalVolume], roles: Mapping[str, Member]) -> None:
        """Append the logical volumes that are at home here, and say what each physical volume is."""
        mine = {each.id for each in self.volumes}
        plain = [each._replace(reason=roles[each.id].reason, needed=roles[each.id].needed) if each.id in roles else each for each in self.volumes]
        self.volumes = (*plain, *(self._logical(each) for each in logical if each.home in mine))

    def _logical(self, each: LogicalVolume) -> Volume:
        volume = Volume(each.id, VolumeKind.LOGICAL_VOLUME, each.size, None, None, None)
        if each.reader is None:
            return volume._replace(reason=each.reason, needed=each.holds_files)
        stream = Stream(each.reader, 0, each.size)
        return self._open(volume, stream, superblock.recognise(stream))

    def _open(self, volume: Volume, stream: Stream, found: superblock.Superblock) -> Volume:
        """Open the file system if one of the readers can; say why not otherwise."""
        volume = volume._replace(
            filesystem=found.filesystem or None, uuid=found.uuid, label=found.label, free=found.free, state=found.state, written=found.written
        )
        no_files = _NO_FILES.get(volume.type_id or "") if found.filesystem in (None, "") else None
        if reason := no_files or _NO_FILES_EITHER.get(found.filesystem if found.filesystem is not None else "?"):
            return volume._replace(reason=reason)
        if found.filesystem not in READERS:
            unknown = "its content is not recognised" if found.filesystem is None else f"{found.filesystem} is not read by this backend"
            reasons = (_REASONS.get(found.filesystem or "", unknown), found.detail)
            return volume._replace(reason="; ".join(filter(None, reasons)), needed=True)
        if volume.id in self._avoid:
            return volume._replace(reason=self._avoid[volume.id], needed=True)
        stream.name = volume.id
        recorder.note(volume.id)
        try:
            files, facts = self._open_files(volume, stream, found)
        except (OSError, RuntimeError, MemoryError, Unreadable) as error:
            return volume._replace(reason=f"the {found.filesystem} file system cannot be opened ({first_line(error)})", needed=True)
        self._files[volume.id] = files
        return self._judge_state(volume._replace(read=True, **facts), found)

    def _open_files(self, volume: Volume, stream: Stream, found: superblock.Superblock) -> tuple[Files, dict[str, Any]]:
        """The files of ``volume``, and the fields of ``Volume`` that only the opened file system knows."""
        module: Any = importlib.import_module(f"{__name__}.{READERS[found.filesystem or '']}")
        files = module.open_files(stream)
        return files, getattr(files, "facts", {})

    def _judge_state(self, volume: Volume, found: superblock.Superblock) -> Volume:
        """Say what may be out of date in what was read."""
        stale = found.caveat or _STALE.get(volume.state or "")
        return volume._replace(reason=stale, needed=stale is not None)


@contextmanager
def open_disks(sources: Sequence[Source], avoid: Mapping[str, str] = NOTHING) -> Iterator[Sequence[Disk | Unreadable]]:
    """Open the disks of one image. An ``Unreadable`` stands for one that nothing here reads, or too little of which is left.

    Raises:
        UsageError: a file vanished or may not be read.
    """
    with ExitStack() as stack:
        disks: list[NativeDisk | Unreadable] = []
        for each in sources:
            try:
                disks.append(NativeDisk(open_reader(stack, each, avoid), each.prefix, avoid))
            except Unreadable as error:
                disks.append(error)
        join([each for each in disks if isinstance(each, NativeDisk)])
        yield disks


def join(disks: Sequence[NativeDisk]) -> None:
    """Add the logical volumes, which may lie on several disks."""
    members = {name: stream for disk in disks for name, stream in disk.physical_volumes().items()}
    if not members:
        return
    from vhdprep.disk.native import lvm  # late: most images have none

    logical, roles = lvm.read(members)
    for disk in disks:
        disk.add_logical(logical, roles)


def open_reader(stack: ExitStack, source: Source, avoid: Mapping[str, str]) -> Reader:
    """The linear bytes of a disk, open as long as ``stack``.

    Raises:
        UsageError: the file vanished or may not be read.
        Unreadable: nothing here reads it, or too little of it is left.
    """
    if recorder.CONTAINER in avoid:
        raise Unreadable(f"{source.path.name} is not read: {avoid[recorder.CONTAINER]}")
    recorder.note(recorder.CONTAINER)
    return stack.enter_context(opening.open_reader(source.path, source.container))
