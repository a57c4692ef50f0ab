"""LVM2: the logical volumes on the physical volumes of an image's disks.

Read here, because pyvslvm fails on more than one physical volume; on one the tests compare the two. Linear and
striped volumes are read; every other kind is named. Source: LVM2 ``lib/format_text/import_vsn1.c``,
``lib/metadata/lv_manip.c``, ``lib/snapshot/snapshot.c``.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.native import lvmlabel, lvmtext
from vhdprep.disk.native.assembled import ELSEWHERE, Member
from vhdprep.disk.native.mapped import Area, MappedReader, Piece
from vhdprep.errors import Unreadable
from vhdprep.storage import StorageGroup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhdprep.disk.native.lvmtext import Section
    from vhdprep.disk.native.stream import Stream
    from vhdprep.vhd.blocks import Reader

SECTOR = 512
MAX_METADATA_TOTAL = 2 * 1024 * 1024
"""Metadata texts that are kept and taken apart for one image, in bytes, equal copies counted once."""
MAX_LOGICAL_VOLUMES = 512
"""Most logical volumes of one group."""
MAX_SEGMENTS = 20_000
"""Most segments of one group, all volumes together."""
MAX_STRIPES = 128
"""Most areas of one segment; LVM2's own limit."""

_STRIPED = ("striped", "linear")
_POOLS = ("thin-pool", "cache-pool", "vdo-pool")
_NAME = re.compile(r"[a-zA-Z0-9+_.][a-zA-Z0-9+_.-]{0,127}")
"""What LVM2 takes as a name (``lib/misc/lvm-string.c``, ``validate_name``)."""


class LogicalVolume(NamedTuple):
    """One volume of a group. Without ``reader`` it cannot be read, and ``reason`` says why."""

    id: str
    """``group/volume``"""
    size: int
    home: str
    """The first physical volume of its group that is here."""
    reader: Reader | None
    reason: str | None = None
    holds_files: bool = True
    """False for a pool: what lies in it is listed as volumes of its own."""


class _Physical(NamedTuple):
    """A physical volume as its group's metadata describes it."""

    stream: Stream | None
    """None = not here."""
    name: str
    start: int
    """Byte of its first extent."""
    extents: int


class _Group(NamedTuple):
    name: str
    home: str
    extent: int
    """Bytes of an extent."""
    physical: dict[str, _Physical]


def read(streams: Mapping[str, Stream]) -> tuple[list[LogicalVolume], dict[str, Member], list[StorageGroup]]:
    """The logical volumes on the physical volumes ``streams`` (by volume id), what each of those is, and the groups they make."""
    found = _Groups(streams)
    return sorted(found.volumes, key=lambda volume: volume.id), found.members, found.groups


class _Groups:
    """The volume groups of an image."""

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        self.volumes: list[LogicalVolume] = []
        self.members: dict[str, Member] = {}
        self.groups: list[StorageGroup] = []
        self._by_uuid: dict[str, tuple[str, Stream]] = {}
        self._names: set[str] = set()
        self._claimed: set[str] = set()
        self._texts: dict[bytes, list[str]] = {}
        for name, stream in streams.items():
            try:
                self.members[name] = self._read_label(name, stream)
            except Unreadable as error:
                self.members[name] = Member(f"an LVM2 physical volume, but {error}", needed=True)
        for group, holders in self._newest():
            self._read_group(group, holders)

    def _read_label(self, name: str, stream: Stream) -> Member:
        """Keep the copies of metadata on a physical volume; gives what it is as long as no group claims it."""
        label = lvmlabel.read_label(stream)
        if label.uuid in self._by_uuid:
            raise Unreadable("another one has its identity")
        self._by_uuid[label.uuid] = (name, stream)
        blank = 0
        for text in lvmlabel.read_metadata(stream, label):
            blank += not text
            if text:
                self._texts.setdefault(text, []).append(name)
            if sum(map(len, self._texts)) > MAX_METADATA_TOTAL:
                del self._texts[text]
                raise Unreadable(f"the metadata of all of them is longer than {MAX_METADATA_TOTAL} bytes")
        if blank and not any(name in holders for holders in self._texts.values()):
            return Member("an LVM2 physical volume that belongs to no volume group", needed=False)
        why = "its metadata cannot be read" if label.areas else f"the metadata of its volume group is not here; {ELSEWHERE}"
        return Member(f"an LVM2 physical volume, but {why}", needed=True)

    def _newest(self) -> list[tuple[dict[str, Section], list[str]]]:
        """The latest metadata of each group, by its name, with the physical volumes that hold a copy of any age."""
        newest: dict[str, tuple[int, dict[str, Section], list[str]]] = {}
        for raw, holders in self._texts.items():
            try:
                named = lvmtext.sections(lvmtext.parse(raw.rstrip(b"\0").decode("utf-8", "replace")))
                if len(named) != 1:
                    raise Unreadable("its metadata does not describe exactly one volume group")
                (group,) = named.values()
                identity, sequence = lvmtext.word(group, "id"), lvmtext.number(group, "seqno")
            except Unreadable as error:
                self.members.update({each: Member(f"an LVM2 physical volume, but {error}", needed=True) for each in holders})
                continue
            before = newest.get(identity, (-1, named, []))
            newer = (sequence, named) if sequence > before[0] else before[:2]
            newest[identity] = (*newer, [*before[2], *holders])
        return [(named, holders) for _, named, holders in newest.values()]

    def _read_group(self, named: dict[str, Section], holders: list[str]) -> None:
        """Add the volumes of one group, and note its physical volumes."""
        ((name, section),) = named.items()
        uuids = {str(each.get("id")).replace("-", "") for each in lvmtext.sections(section, "physical_volumes").values()}
        here = [member for uuid, (member, _) in self._by_uuid.items() if uuid in uuids]
        missing = tuple(_hyphened(uuid) for uuid in sorted(uuids - set(self._by_uuid)))
        why = None
        try:
            if name in self._names or not _NAME.fullmatch(name):
                raise Unreadable("another volume group has its name" if name in self._names else "that is no name for one")
            if self._claimed.intersection(here):
                raise Unreadable("another volume group has the same physical volumes")
            group = _Group(name, (here or holders)[0], lvmtext.number(section, "extent_size") * SECTOR, _physical(section, self._by_uuid))
            self.volumes += _volumes(group, section)
        except Unreadable as error:
            why = str(error)
            reason = f"a physical volume of the LVM2 volume group {name[:40]!r}, but {error}"
            self.members.update({each: Member(reason, needed=True) for each in here or holders})
        else:
            self.members.update({each: Member(f"a physical volume of the LVM2 volume group {name}", needed=False) for each in here})
        self.groups.append(StorageGroup("lvm2", name, str(section.get("id")), name, None, None, tuple(here), len(uuids), missing, (), None, why))
        self._names.add(name)
        self._claimed.update(here)


def _hyphened(uuid: str) -> str:
    """As LVM2 shows it."""
    return "-".join(filter(None, (uuid[a:b] for a, b in pairwise((0, 6, 10, 14, 18, 22, 26, 32)))))


def _physical(section: Section, by_uuid: Mapping[str, tuple[str, Stream]]) -> dict[str, _Physical]:
    found = {}
    for key, each in lvmtext.sections(section, "physical_volumes").items():
        uuid = lvmtext.word(each, "id")
        name, stream = by_uuid.get(uuid.replace("-", ""), (uuid[:40], None))
        if "MISSING" in lvmtext.words(each, "flags"):
            stream = None
        found[key] = _Physical(stream, name, lvmtext.number(each, "pe_start") * SECTOR, lvmtext.number(each, "pe_count"))
    return found


def _volumes(group: _Group, section: Section) -> list[LogicalVolume]:
    """Every visible volume of the group.

    Raises:
        Unreadable: the metadata contradicts itself; LVM2 would not take the group either.
    """
    logical = lvmtext.sections(section, "logical_volumes")
    if len(logical) > MAX_LOGICAL_VOLUMES:
        raise Unreadable(f"it has more than {MAX_LOGICAL_VOLUMES} logical volumes")
    if sum(len(lvmtext.sections(each)) for each in logical.values()) > MAX_SEGMENTS:
        raise Unreadable(f"its logical volumes have more than {MAX_SEGMENTS} segments")
    segments = {name: _segments(name, each) for name, each in logical.items()}
    _refuse_shared_extents(group, [segment for each in segments.values() for segment in each])
    snapshots = {name: each[0] for name, each in segments.items() if each and _kind(each[0]) == "snapshot"}
    stores = {name: str(each.get("cow_store") or each.get("merging_store")) for name, each in snapshots.items()}
    merging = {str(each.get("origin")) for each in snapshots.values() if "merging_store" in each}
    found = []
    for name, each in logical.items():
        if not _NAME.fullmatch(stores.get(name, name)):
            raise Unreadable(f"one of its logical volumes is called {name!r}")
        if name in stores.values() or (name not in stores and "VISIBLE" not in lvmtext.words(each, "status")):
            continue
        volume = _volume(group, stores.get(name, name), segments[name])
        found.append(volume._replace(reader=None, reason="a snapshot is waiting to be merged into it") if name in merging else volume)
    return found


def _segments(name: str, logical: Section) -> list[Section]:
    """The volume's segments in order, without a gap."""
    found = sorted(lvmtext.sections(logical).values(), key=lambda each: lvmtext.number(each, "start_extent"))
    at = 0
    for each in found:
        if lvmtext.number(each, "start_extent") != at:
            raise Unreadable(f"the segments of its logical volume {name} leave a gap or overlap at extent {at}")
        at += lvmtext.number(each, "extent_count")
    return found


def _refuse_shared_extents(group: _Group, segments: list[Section]) -> None:
    """No extent may belong to two segments, nor lie beyond its physical volume."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for segment in segments:
        for name, first in _areas(segment) if _kind(segment) in _STRIPED else ():
            if name in group.physical:
                spans.setdefault(name, []).append((first, first + lvmtext.number(segment, "extent_count") // len(_areas(segment))))
    for name, each in spans.items():
        each.sort()
        if any(before[1] > after[0] for before, after in pairwise(each)):
            raise Unreadable(f"two segments of its logical volumes share extents of {name}")
        if each[-1][1] > group.physical[name].extents:
            raise Unreadable(f"its logical volumes use extents that {name} does not have")


def _kind(segment: Section) -> str:
    """The segment's type without the flags that may follow it."""
    return str(segment.get("type", "striped")).partition("+")[0][:40]


def _areas(segment: Section) -> list[tuple[str, int]]:
    """Name of the physical volume and first extent, for each stripe."""
    flat = lvmtext.words(segment, "stripes")
    pairs = [
        (name, first) for name, first in zip(flat[::2], flat[1::2], strict=False) if isinstance(name, str) and isinstance(first, int) and first >= 0
    ]
    if not 0 < len(pairs) <= MAX_STRIPES or 2 * len(pairs) != len(flat) or lvmtext.number(segment, "stripe_count") != len(pairs):
        raise Unreadable("the stripes of a segment are not given as they must be")
    return pairs


def _volume(group: _Group, name: str, segments: list[Section]) -> LogicalVolume:
    """The volume with its reader, or with the reason why there is none."""
    volume = LogicalVolume(f"{group.name}/{name}", sum(lvmtext.number(each, "extent_count") for each in segments) * group.extent, group.home, None)
    kinds = sorted({_kind(each) for each in segments} - set(_STRIPED))
    if kinds:
        reason = f"an LVM2 volume of the type {', '.join(kinds)}, which is not read"
        return volume._replace(reason=reason, holds_files=not set(kinds) <= set(_POOLS))
    try:
        pieces = [_piece(group, each) for each in segments]
    except Unreadable as error:
        return volume._replace(reason=str(error))
    return volume._replace(reader=MappedReader(pieces))


def _piece(group: _Group, segment: Section) -> Piece:
    areas = _areas(segment)
    size = lvmtext.number(segment, "extent_count") * group.extent
    stripe = lvmtext.number(segment, "stripe_size") * SECTOR if len(areas) > 1 else size
    each = size // len(areas)
    if size % len(areas) or not stripe or each % stripe or (len(areas) > 1 and stripe < 8 * SECTOR):
        raise Unreadable("the stripes of a segment do not fill it")
    found = []
    for name, first in areas:
        physical = group.physical.get(name)
        if physical is None:
            raise Unreadable(f"it lies on another logical volume ({name}), which is not read")
        if physical.stream is None:
            raise Unreadable(f"it lies partly on the physical volume {physical.name}, which is missing; {ELSEWHERE}")
        offset = physical.start + first * group.extent
        if offset + each > physical.stream.get_size():
            raise Unreadable(f"it reaches past the end of {physical.name}")
        found.append(Area(physical.stream, offset))
    return Piece(size, tuple(found), stripe)
