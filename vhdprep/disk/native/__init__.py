"""The independent backend: in process, read only, no root, no kernel."""

from __future__ import annotations

import importlib
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep.disk import recorder
from vhdprep.disk.native import assembly, kinds, superblock
from vhdprep.disk.native.container import open_reader
from vhdprep.disk.native.partition import BSD_SLICES, MAX_PARTITIONS
from vhdprep.disk.native.stream import Stream
from vhdprep.disk.native.table import read_table
from vhdprep.disk.recorder import NOTHING
from vhdprep.errors import Unreadable, UnsupportedFilesystem, first_line
from vhdprep.model import Defect, Volume, VolumeKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from vhdprep.disk.backend import Disk, Files, Source
    from vhdprep.disk.native.assembled import Array, Member
    from vhdprep.disk.native.btrfsset import Shared
    from vhdprep.disk.native.lvm import LogicalVolume
    from vhdprep.disk.native.partition import Partition
    from vhdprep.storage import StorageGroup
    from vhdprep.vhd.blocks import Reader

READERS = {"ext2": "ext", "ext3": "ext", "ext4": "ext", "xfs": "xfs", "btrfs": "btrfs", "vfat": "fat", "ntfs": "ntfs", "ufs": "ufs"}
"""File system → module of this package with ``open_files``."""

MAX_INNER = 256
"""Most arrays of a disk and partitions in them."""


class Inner(NamedTuple):
    """A volume that lies in another one."""

    stream: Stream
    outer: str
    """What it lies in, or it itself: an array, a logical volume."""
    offset: int
    """Byte there."""


_SEEN = ("filesystem", "uuid", "label", "free", "state", "written")
"""What a volume has from its superblock."""


class NativeDisk:
    """A disk opened in process."""

    backends: Sequence[str] = ("native",)

    def __init__(self, reader: Reader, prefix: str = "", avoid: Mapping[str, str] = NOTHING) -> None:
        """Read the table and recognise every partition; ``prefix`` stands before the ids of partitions, ``avoid`` holds volumes not to be read."""
        self._reader, self._prefix, self._avoid = reader, prefix, avoid
        self.size = reader.size
        table = read_table(reader)
        if table and table.partitions and self._is_member(table.partitions):
            table = None
        self.table = table.kind if table else None
        self.fields = table.fields if table else {}
        self.defects: Sequence[Defect] = (*getattr(reader, "defects", ()), *(table.defects if table else ()))
        self.groups: Sequence[StorageGroup] = ()
        self._files: dict[str, Files] = {}
        self._inner: dict[str, Inner] = {}
        """Volumes that are no span of the disk."""
        self._siblings: dict[str, Mapping[str, Stream]] = {}
        """Volume with a file system of several devices → the others that are here, by id."""
        self._waiting: set[str] = set()
        """Volumes with such a file system whose others were not looked for yet."""
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
        return self._look(self._describe(each), Stream(self._reader, each.offset, each.size), each)

    def _look(self, volume: Volume, stream: Stream, each: Partition) -> Volume:
        """What the partition holds."""
        part_of = kinds.BY_TYPE.get(each.type_id)
        found = superblock.Superblock(part_of) if part_of else superblock.recognise(stream, is_bsd=each.type_id in kinds.BSD_TYPES)
        if found is superblock.BLANK and not 0 < each.size <= stream.get_size():
            return volume._replace(reason="it lies outside the disk", needed=True)
        return self._open(volume, stream, found)

    def _is_member(self, partitions: Sequence[Partition]) -> bool:
        """Whether the whole disk is part of an array: its superblock stands at the end, and in none of the partitions, which are the array's then."""
        whole = Stream(self._reader, 0, self.size)
        if superblock.recognise_raid(whole) is None:
            return False
        from vhdprep.disk.native import mdsuper  # late: most disks have none

        try:
            at = mdsuper.read(whole).at
        except Unreadable:
            return False
        return at > self.size // 2 and not any(each.offset <= at < each.offset + each.size for each in partitions)

    def members(self, filesystem: str) -> dict[str, Stream]:
        """The volumes with this signature, by id."""
        return {each.id: self._stream(each) for each in self.volumes if each.filesystem == filesystem}

    def shared(self) -> dict[str, Stream]:
        """The volumes whose file system has several devices, by id."""
        return {each.id: self._stream(each) for each in self.volumes if each.id in self._waiting}

    def _stream(self, volume: Volume) -> Stream:
        """The bytes of ``volume``."""
        return self._inner[volume.id].stream if volume.id in self._inner else Stream(self._reader, volume.offset or 0, volume.size)

    def tell(self, roles: Mapping[str, Member]) -> None:
        """Say of volumes here what they are part of."""
        self.volumes = tuple(
            each._replace(reason=roles[each.id].reason, needed=roles[each.id].needed) if each.id in roles else each for each in self.volumes
        )

    def add_logical(self, each: LogicalVolume) -> None:
        """Append a logical volume."""
        try:
            volume = self._logical(each)
        except Unreadable as error:
            volume = Volume(each.id, VolumeKind.LOGICAL_VOLUME, each.size, None, None, None, reason=str(error), needed=True)
        self.volumes = (*self.volumes, volume)

    def add_array(self, each: Array) -> None:
        """Append an array, and its partitions where it has a table."""
        volume = Volume(each.id, VolumeKind.ARRAY, each.size, None, None, None, missing=each.group.missing)
        try:
            reader = self._array_reader(each)
            self._inner[each.id] = Inner(Stream(reader, 0, reader.size), each.id, 0)
            found = self._layers(volume._replace(size=reader.size), reader)
        except Unreadable as error:
            found = [volume._replace(reason=str(error), needed=True)]
        self.volumes = (*self.volumes, *found)

    def _array_reader(self, each: Array) -> Reader:
        """The content of an array; raises ``Unreadable`` where it cannot be put together."""
        if each.reader is None:
            raise Unreadable(each.reason or "it is not read")
        return each.reader

    def _layers(self, volume: Volume, reader: Reader) -> list[Volume]:
        """The array, and what lies in it."""
        table = read_table(reader)
        if table is None or not table.partitions:
            stream = self._inner[volume.id].stream
            return [_degraded(self._open(volume, stream, superblock.recognise(stream)))]
        if len(self._inner) + len(table.partitions) > MAX_INNER:
            raise Unreadable(f"arrays of this disk hold more than {MAX_INNER} volumes")
        found = []
        for each in table.partitions:
            inside = self._describe(each)._replace(id=f"{volume.id}:p{each.number}", offset=None)
            stream = Stream(reader, each.offset, each.size)
            self._inner[inside.id] = Inner(stream, volume.id, each.offset)
            found.append(self._look(inside, stream, each))
        return [_degraded(volume._replace(reason=f"holds the partitions {', '.join(one.id for one in found)}")), *found]

    def open_shared(self, each: Shared) -> None:
        """Read a file system of several devices as the volume of the first of them."""
        (before,) = [volume for volume in self.volumes if volume.id == each.home]
        before = before._replace(missing=each.group.missing)
        if each.group.reason is None:
            self._siblings[each.home] = each.others
            stream = self._stream(before)
            opened = _degraded(self._open(before._replace(reason=None, needed=False), stream, superblock.recognise(stream)))
        else:
            opened = before._replace(reason=f"{before.reason}: {each.group.reason}")
        self.volumes = tuple(opened if volume.id == each.home else volume for volume in self.volumes)

    def hide(self, names: Collection[str]) -> None:
        """Take the identity from volumes that share it with the one that they are read as."""
        self.volumes = tuple(each._replace(uuid=None, label=None, free=None, state=None) if each.id in names else each for each in self.volumes)

    def _logical(self, each: LogicalVolume) -> Volume:
        volume = Volume(each.id, VolumeKind.LOGICAL_VOLUME, each.size, None, None, None)
        if each.reader is None:
            return volume._replace(reason=each.reason, needed=each.holds_files)
        stream = Stream(each.reader, 0, each.size)
        self._inner[each.id] = Inner(stream, each.id, 0)
        return self._open(volume, stream, superblock.recognise(stream))

    def _open(self, volume: Volume, stream: Stream, found: superblock.Superblock) -> Volume:
        """Open the file system if one of the readers can; say why not otherwise."""
        seen = found._replace(filesystem=found.filesystem or None)
        volume = volume._replace(**{name: getattr(seen, name) for name in _SEEN})
        no_files = kinds.NO_FILES.get(volume.type_id or "") if found.filesystem in (None, "") else None
        if reason := no_files or kinds.NO_FILES_EITHER.get(found.filesystem if found.filesystem is not None else "?"):
            return volume._replace(reason=reason)
        if found.filesystem not in READERS:
            unknown = "its content is not recognised" if found.filesystem is None else f"{found.filesystem} is not read by this backend"
            reasons = (kinds.REASONS.get(found.filesystem or "", unknown), found.detail)
            return volume._replace(reason="; ".join(filter(None, reasons)), needed=True)
        if volume.id in self._avoid:
            return volume._replace(reason=self._avoid[volume.id], needed=True)
        if found.devices > 1 and volume.id not in self._siblings:
            self._waiting.add(volume.id)
            return volume._replace(reason=f"one of {found.devices} devices of a {found.filesystem}", needed=True)
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
        files = module.open_files(stream, *self._siblings.get(volume.id, {}).values())
        return files, getattr(files, "facts", {})

    def _judge_state(self, volume: Volume, found: superblock.Superblock) -> Volume:
        """Say what may be out of date in what was read."""
        stale = found.caveat or kinds.STALE.get(volume.state or "")
        return volume._replace(reason=stale, needed=stale is not None)


def _degraded(volume: Volume) -> Volume:
    """Say what it is read without."""
    if not volume.missing:
        return volume
    return volume._replace(reason="; ".join(filter(None, (f"degraded: without {', '.join(volume.missing[:8])}", volume.reason))))


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
        assembly.join([each for each in disks if isinstance(each, NativeDisk)])
        yield disks
