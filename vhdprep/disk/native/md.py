"""Linux software RAID: the arrays on the members that an image's disks hold.

Which members count is decided as md decides it (Linux ``drivers/md/md.c``: ``super_1_validate``, ``super_90_validate``; mdadm
``Assemble.c``): the newest superblock says who has which place, and whoever was left behind is not used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.native import mdlayout, mdsuper
from vhdprep.disk.native.assembled import ELSEWHERE, Array, Member
from vhdprep.disk.native.mapped import Area
from vhdprep.errors import Unreadable
from vhdprep.storage import StorageGroup

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from vhdprep.disk.native.mdsuper import Superblock
    from vhdprep.disk.native.stream import Stream
    from vhdprep.vhd.blocks import Reader

_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,63}")
_ROLES = {mdsuper.SPARE: "a spare", mdsuper.FAULTY: "a failed member", mdsuper.JOURNAL: "the journal"}
_LATE = 1
"""Events that a member may be behind: the last change of state may not have reached all of them (``super_1_validate``)."""


class _Part(NamedTuple):
    """A volume with its superblock."""

    volume: str
    stream: Stream
    found: Superblock


def read(streams: Mapping[str, Stream], known: Collection[str] = ()) -> tuple[list[Array], dict[str, Member]]:
    """The arrays on the members ``streams`` (by volume id), and what each of those is; ``known``: UUIDs of arrays that are together already."""
    parts: dict[str, list[_Part]] = {}
    members: dict[str, Member] = {}
    for volume, stream in streams.items():
        try:
            part = _Part(volume, stream, mdsuper.read(stream))
        except Unreadable as error:
            members[volume] = Member(f"part of a Linux software RAID, but {error}", needed=True)
            continue
        if part.found.uuid in known:
            members[volume] = Member("part of a Linux software RAID that was put together without it", needed=True)
        else:
            parts.setdefault(part.found.uuid, []).append(part)
    arrays = []
    names = _names(parts)
    for uuid, each in parts.items():
        array, roles = _Assembly(f"md/{names[uuid]}", each).outcome()
        arrays.append(array)
        members |= roles
    return sorted(arrays, key=lambda array: array.id), members


def _names(parts: Mapping[str, list[_Part]]) -> dict[str, str]:
    """A name for each array: its own, or its UUID where it has none that could be, or shares it with another."""
    plain = {uuid: max(each, key=lambda part: part.found.events).found.plain_name for uuid, each in parts.items()}
    taken = list(plain.values())
    return {uuid: name if _NAME.fullmatch(name) and taken.count(name) == 1 else uuid for uuid, name in plain.items()}


class _Assembly:
    """One array."""

    def __init__(self, name: str, parts: list[_Part]) -> None:
        self._name, self._parts = name, parts
        self._newest = max(parts, key=lambda part: part.found.events).found
        self._roles: dict[str, Member] = {}
        self._places: dict[int, list[_Part]] = {}
        for part in parts:
            place, reason = self._place(part.found)
            if place is None:
                self._roles[part.volume] = Member(reason, needed=False)
            else:
                self._places.setdefault(place, []).append(part)

    def _place(self, found: Superblock) -> tuple[int | None, str]:
        """The place of a member, or why it is not used."""
        newest = self._newest
        role = newest.roles[found.number] if found.number < len(newest.roles) else mdsuper.SPARE
        if role in _ROLES:
            return None, f"{_ROLES[role]} of the Linux software RAID {self._name}"
        behind = f"was part of the Linux software RAID {self._name}"
        if found.events + _LATE < newest.events:
            return None, f"{behind} and was left behind: it has seen {found.events} events, the newest member {newest.events}"
        if found.partial:
            return None, f"part of the Linux software RAID {self._name}, not used: {found.partial}"
        return (role, "") if role < newest.disks else (None, f"{behind}, which has only {newest.disks} members now")

    def outcome(self) -> tuple[Array, dict[str, Member]]:
        """The array, and what each of its members is."""
        twins = [part for each in self._places.values() if len(each) > 1 for part in each]
        used = {place: each[0] for place, each in self._places.items() if len(each) == 1}
        missing = [place for place in range(self._newest.disks) if place not in used]
        reason, reader = None, None
        try:
            self._refuse(twins)
            reader = self._reader(used, missing)
        except Unreadable as error:
            reason = str(error)
        for part in (*used.values(), *twins):
            self._roles[part.volume] = Member(f"part of the Linux software RAID {self._name}", needed=False)
        newest = self._newest
        group = StorageGroup(
            "md", self._name, newest.uuid, newest.plain_name, newest.host, mdlayout.LEVELS.get(newest.level, str(newest.level)),
            tuple(used[place].volume for place in sorted(used)), newest.disks, tuple(f"member {place}" for place in missing),
            tuple(part.volume for part in self._parts if part not in used.values()), mdlayout.is_redundant(newest), reason,
        )  # fmt: skip
        return Array(self._name, reader.size if reader else 0, self._parts[0].volume, group, reader, reason, bool(twins)), self._roles

    def _refuse(self, twins: Iterable[_Part]) -> None:
        """What nobody can put together without choosing, or without writing.

        Raises:
            Unreadable: it is so.
        """
        newest = self._newest
        if names := " and ".join(part.volume for part in twins):
            raise Unreadable(f"{names} claim to be the same member of it; which of them is meant cannot be told")
        shapes = {
            (each.level, each.layout, each.chunk, each.disks, each.used, each.version) for parts in self._places.values() for _, _, each in parts
        }
        problems = (
            (newest.level not in mdlayout.LEVELS, f"it is of the level {newest.level}, which is not known here"),
            (newest.unknown, f"it has features that are not known here (0x{newest.unknown:x})"),
            (newest.reshaping, "a change of its shape was under way"),
            (newest.journaled, "it has a write journal, which would have to be replayed"),
            (len(shapes) > 1, "its members contradict one another about its shape"),
        )
        for wrong, text in problems:
            if wrong:
                raise Unreadable(text)

    def _reader(self, used: Mapping[int, _Part], missing: list[int]) -> Reader:
        newest = self._newest
        if mdlayout.lacks_too_many(newest, [place in used for place in range(newest.disks)]):
            numbers = ", ".join(map(str, missing[:8])) + ("…" if len(missing) > 8 else "")
            which = f"member {numbers} of {newest.disks} is" if len(missing) == 1 else f"members {numbers} of {newest.disks} are"
            raise Unreadable(f"{which} missing (counted from 0), which a {mdlayout.LEVELS[newest.level]} cannot do without; {ELSEWHERE}")
        members = [_content(used[place]) if place in used else None for place in range(newest.disks)]
        if newest.level == mdlayout.RAID1:  # any will do; the newest knows most
            best = sorted(used, key=lambda place: (-used[place].found.events, place))
            members = [members[place] for place in best]
        return mdlayout.reader(newest, members)


def _content(part: _Part) -> mdlayout.Member:
    return mdlayout.Member(Area(part.stream, part.found.offset), part.found.size)
