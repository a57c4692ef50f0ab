"""Linux software RAID: where the bytes are, which members count, and superblocks that lie."""

from __future__ import annotations

import random
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import mdfile
from fixtures.mdfile import FAR, FAULTY, LEFT_SYMMETRIC, NEAR, OFFSET, SPARE, START, Array, Disk
from tests.unit.test_tables import Bytes
from vhdprep.disk.native import NativeDisk, mdlayout, mdsuper
from vhdprep.disk.native import md as reader
from vhdprep.disk.native.assembly import join
from vhdprep.disk.native.stream import Stream
from vhdprep.errors import Unreadable
from vhdprep.model import VolumeKind
from vhdprep.storage import StorageGroup

MIB = 1024 * 1024
ELSEWHERE = "if it is on another disk of the machine, name that with --data"
UUID = Array("raid1").uuid
NOISE = random.Random(3).randbytes(12 * MIB)
PLAIN = Array("raid1")


def member(array, number, content=b"", *, lengths=None, **said):
    """One member in memory."""
    lengths = lengths or [3 * MIB] * 2
    made = Bytes(lengths[number])
    start = START[array.metadata]
    made.data[start : start + len(content)] = content
    disk = Disk(number, said.pop("roles", tuple(range(len(lengths)))), **said)
    for at, data in mdfile.superblock(array, disk, lengths, number).items():
        made.data[at : at + len(data)] = data
    return made


def members(array, lengths, **said):
    """All members of an array that is filled with noise, and the noise as far as it holds it."""
    data = NOISE[: mdfile.capacity(array, lengths)]
    dealt = mdfile.deal(array, mdfile.sizes(array, lengths), data)
    return [member(array, number, content, lengths=lengths, **said) for number, content in enumerate(dealt)], data


def read(*disks, without=()):
    """The only array of these disks, and what each of them is."""
    arrays, roles = reader.read({f"d{n}": Stream(disk, 0, disk.size) for n, disk in enumerate(disks) if n not in without})
    (array,) = arrays
    return array, {name: tuple(role) for name, role in roles.items()}


EVEN, ODD = [3 * MIB] * 4, [3 * MIB, 2 * MIB, 4 * MIB]
SHAPES = [
    pytest.param(Array("linear"), ODD, id="linear"),
    pytest.param(Array("raid0"), EVEN, id="raid0"),
    pytest.param(Array("raid0", layout=1), ODD, id="raid0, zones in the original order"),
    pytest.param(Array("raid0", layout=2), ODD, id="raid0, zones in the other order"),
    pytest.param(Array("raid0", metadata="0.90"), EVEN[:2], id="raid0 of 0.90"),
    *(pytest.param(Array("raid1", metadata=version), EVEN[:2], id=f"raid1 of {version}") for version in START),
    pytest.param(Array("raid1"), [3 * MIB, 4 * MIB], id="raid1 of unequal members"),
    pytest.param(Array("raid4"), EVEN, id="raid4"),
    *(pytest.param(Array("raid5", layout=LEFT_SYMMETRIC, metadata=version), EVEN, id=f"raid5 of {version}") for version in START),
    pytest.param(Array("raid5", layout=LEFT_SYMMETRIC, chunk=4096), EVEN[:3], id="raid5 of small chunks"),
    pytest.param(Array("raid10", layout=NEAR), EVEN, id="raid10 near"),
    pytest.param(Array("raid10", layout=NEAR), EVEN[:3], id="raid10 near on an odd number"),
    pytest.param(Array("raid10", layout=FAR), EVEN[:3], id="raid10 far"),
    pytest.param(Array("raid10", layout=OFFSET), EVEN[:3], id="raid10 offset"),
]


@pytest.mark.parametrize(("shape", "lengths"), SHAPES)
def test_an_array_is_what_was_dealt_out(shape, lengths):
    disks, data = members(shape, lengths)
    array, roles = read(*disks)
    assert (array.reason, array.size) == (None, len(data))
    assert array.reader.read_at(0, len(data) + 99) == data
    assert roles == {f"d{number}": (f"part of the Linux software RAID {array.id}", False) for number in range(len(lengths))}
    places = random.Random(5)
    for _ in range(200):
        at, count = places.randrange(len(data)), places.choice([1, 511, 4096, 70_000, 300_000])
        assert array.reader.read_at(at, count) == data[at : at + count]


@pytest.mark.parametrize(("shape", "lengths"), SHAPES)
def test_any_one_member_may_be_missing_where_the_level_allows_it(shape, lengths):
    disks, data = members(shape, lengths)
    for missing in range(len(lengths)):
        array, _ = read(*disks, without=(missing,))
        assert array.group.missing == (f"member {missing}",)
        if array.group.redundant:
            assert array.reader.read_at(0, len(data)) == data
        else:
            reason = f"member {missing} of {len(lengths)} is missing (counted from 0), which a {shape.level} cannot do without; {ELSEWHERE}"
            assert (array.reader, array.reason) == (None, reason)


def test_a_group_says_what_rules_about_completeness_ask_for():
    disks, _ = members(Array("raid5", layout=LEFT_SYMMETRIC), EVEN[:3])
    array, _ = read(*disks, without=(1,))
    assert array.group == StorageGroup("md", "md/data", UUID, "data", "host", "raid5", ("d0", "d2"), 3, ("member 1",), (), redundant=True)


def two(one=None, other=None, array=PLAIN):
    """A mirror whose halves differ in what they say; the content tells them apart."""
    return member(array, 0, b"\0one", **(one or {})), member(array, 1, b"other", **(other or {}))


LEFT = "was part of the Linux software RAID md/data and was left behind: it has seen 7 events, the newest member 42"


@pytest.mark.parametrize(
    ("one", "other", "begins", "role"),
    [
        pytest.param({}, {}, b"\0one", "part of the Linux software RAID md/data", id="both are current"),
        pytest.param({"events": 7}, {}, b"other", LEFT, id="one was left behind"),
        pytest.param({"events": 41}, {}, b"other", "part of the Linux software RAID md/data", id="one is an event behind, which md allows"),
        pytest.param({"roles": (FAULTY, 1)}, {"roles": (FAULTY, 1), "events": 43}, b"other", "a failed member of the Linux software RAID md/data", id="one failed"),
        pytest.param({}, {"roles": (SPARE, 1), "events": 43}, b"other", "a spare of the Linux software RAID md/data", id="one is a spare now"),
        pytest.param({"features": 2}, {}, b"other",
                     "part of the Linux software RAID md/data, not used: it was being rebuilt and is whole only as far as byte 0", id="one is being rebuilt"),
        pytest.param({"features": 16}, {}, b"other", "part of the Linux software RAID md/data, not used: it was to replace another member", id="one replaces another"),
    ],
)  # fmt: skip
def test_the_newest_superblock_says_who_counts(one, other, begins, role):
    array, roles = read(*two(one, other))
    assert array.reader.read_at(0, 5)[: len(begins)] == begins
    assert roles["d0"] == (role, False)


@pytest.mark.parametrize(
    ("array", "said", "reason"),
    [
        (Array("raid1"), {"features": 4}, "a change of its shape was under way"),
        (Array("raid1"), {"features": 512}, "it has a write journal, which would have to be replayed"),
        (Array("raid1"), {"features": 1 << 20}, "it has features that are not known here (0x100000)"),
        (Array("raid5", layout=77), {}, "its layout 77 is not known here"),
        (Array("raid10", layout=0x20102), {}, "its layout 0x20102 is not known here"),
        (Array("raid10", layout=0x0303), {}, "its layout 0x303 is not known here"),
        (Array("raid5", layout=2, chunk=1536), {}, "its superblock claims chunks of 1536 bytes"),
    ],
)
def test_what_nobody_can_put_together_is_named(array, said, reason):
    found, _ = read(member(array, 0, **said), member(array, 1, **said))
    assert (found.reader, found.reason) == (None, reason)


def test_an_unclean_array_is_read_from_its_data_and_never_from_its_parity():
    shape = Array("raid5", layout=LEFT_SYMMETRIC, clean=False)
    disks, data = members(shape, EVEN[:3])
    assert read(*disks)[0].reader.read_at(0, len(data)) == data
    assert read(*disks, without=(0,))[0].reason.startswith("it was not shut down cleanly and a member is missing: its parity cannot be trusted")


def test_zones_without_a_layout_are_not_guessed():
    disks, _ = members(Array("raid0", layout=1), ODD)
    unnamed = [member(Array("raid0"), number, lengths=ODD) for number in range(3)]
    assert read(*disks)[0].reason is None
    assert read(*unnamed)[0].reason.startswith("its members are of different sizes, and it does not say which of two layouts it has")


def test_two_that_claim_to_be_one_member_are_both_refused():
    one, other = two()
    array, roles = read(one, other, two()[0])
    assert (array.reader, array.is_ambiguous) == (None, True)
    assert array.reason == "d0 and d2 claim to be the same member of it; which of them is meant cannot be told"
    assert array.group.unused == ("d0", "d2")
    assert [needed for _, needed in roles.values()] == [False] * 3


def test_members_of_two_raid6_missing_are_named():
    shape = Array("raid6", layout=LEFT_SYMMETRIC)
    disks = [member(shape, number, lengths=EVEN) for number in range(4)]
    array, _ = read(*disks, without=(0, 1))
    assert (array.group.missing, array.group.redundant) == (("member 0", "member 1"), True)
    assert array.reason == "two of its members are missing, and what the second parity would give is not computed here"


@pytest.mark.parametrize(
    ("name", "other", "ids"),
    [
        ("host:data", "host:more", ["md/data", "md/more"]),
        ("data", "host:data", [f"md/{UUID}", "md/66666666-0000-4000-8000-000000000002"]),
        ("host:../x", "host:", [f"md/{UUID}", "md/66666666-0000-4000-8000-000000000002"]),
    ],
)
def test_an_array_goes_by_its_name_or_else_by_its_uuid(name, other, ids):
    streams = {}
    for number, (text, last) in enumerate(((name, "1"), (other, "2"))):
        made = member(Array("raid1", name=text, uuid=f"{UUID[:-1]}{last}"), 0)
        streams[f"d{number}"] = Stream(made, 0, made.size)
    assert [array.id for array in reader.read(streams)[0]] == ids


def changed(made, at, data):
    made.data[at : at + len(data)] = data
    return made


@pytest.mark.parametrize(
    ("array", "at", "reason"),
    [
        (Array("raid1"), 4096 + 200, "the checksum of its superblock is wrong"),
        (Array("raid1"), 4096 + 258, "the checksum of its superblock is wrong"),
        (Array("raid1", metadata="0.90"), 3 * MIB - 65536 + 132, "the checksum of its superblock is wrong"),
        (Array("raid1"), 4096 + 220, "its superblock claims 2 members and room for 65282, and to be number 0 of them"),
    ],
)
def test_a_superblock_that_lies_is_a_gap(array, at, reason):
    made = changed(member(array, 0), at, b"\2\xff")
    arrays, roles = reader.read({"p": Stream(made, 0, made.size)})
    assert (arrays, roles) == ([], {"p": (f"part of a Linux software RAID, but {reason}", True)})


def test_bad_blocks_that_were_noted_keep_a_member_out():
    made = member(Array("raid1"), 0, features=8)
    block = made.data[4096:5120]
    struct.pack_into("<HI", block, 184 + 2, 8, 16)
    struct.pack_into("<I", block, 188, 16)
    block[216:220] = bytes(4)
    struct.pack_into("<I", block, 216, sum(struct.unpack("<65I", block[:260])) % (1 << 32) + (sum(struct.unpack("<65I", block[:260])) >> 32))
    made.data[4096:5120] = block
    made.data[4096 + 16 * 512 : 4096 + 16 * 512 + 8] = b"\xff" * 8
    assert mdsuper.read(Stream(made, 0, made.size)).partial is None
    made.data[4096 + 16 * 512] = 0
    assert mdsuper.read(Stream(made, 0, made.size)).partial == "it has bad blocks noted"


def test_an_old_superblock_of_a_big_endian_machine_is_read():
    made = member(Array("raid1", metadata="0.90"), 0)
    at = made.size - 65536
    words = struct.unpack("<1024I", made.data[at : at + 4096])
    swapped = list(words)
    swapped[39:43] = [words[40], words[39], words[42], words[41]]
    made.data[at : at + 4096] = struct.pack(">1024I", *swapped)
    found = mdsuper.read(Stream(made, 0, made.size))
    assert (found.uuid, found.level, found.events, found.disks) == (UUID, 1, mdfile.EVENTS, 2)


def test_an_old_array_whose_shape_is_being_changed_is_named_and_its_content_is_not_taken_for_a_file_system():
    disks = []
    for number in range(2):
        made = member(Array("raid1", metadata="0.90"), number, bytes(0x438) + b"\x53\xef")
        made.data[made.size - 65536 + 8] = 91
        seal(made.data, made.size - 65536, "0.90")
        disks.append(made)
    assert disks_of(*disks)[1] == ("md/0", VolumeKind.ARRAY, None, True, "a change of its shape was under way")


def disks_of(*disks):
    """The volumes of a machine with these disks."""
    found = [NativeDisk(disk, f"data{number}:" if number else "") for number, disk in enumerate(disks)]
    join(found)
    return [(each.id, each.kind, each.filesystem, each.needed, each.reason) for disk in found for each in disk.volumes]


def test_whole_disks_that_mirror_a_partition_table_are_members_and_the_partitions_are_the_arrays(image):
    content = bytes(1024 * MIB // 1024)
    table = bytearray(content)
    table[446:462] = struct.pack("<BBBBBBBBII", 0, 0, 2, 0, 0x83, 0, 0, 0, 2048, 1024)
    table[510:512] = b"\x55\xaa"
    shape, lengths = Array("raid1", metadata="1.0"), [3 * MIB] * 2
    part = "part of the Linux software RAID md/data"
    assert disks_of(*(member(shape, number, bytes(table), lengths=lengths) for number in range(2))) == [
        ("disk", VolumeKind.WHOLE_DISK, "linux_raid_member", False, part),
        ("md/data", VolumeKind.ARRAY, None, False, "holds the partitions md/data:p1"),
        ("md/data:p1", VolumeKind.PARTITION, None, False, "holds no file system"),
        ("data1:disk", VolumeKind.WHOLE_DISK, "linux_raid_member", False, part),
    ]


def test_an_array_of_arrays_is_put_together_as_far_as_the_limit():
    content = b""
    for depth in range(5):
        length = (3 + 2 * depth) * MIB
        array = Array("raid1", name=f"h:a{depth}", uuid=f"66666666-0000-4000-8000-00000000010{depth}")
        content = bytes(member(array, 0, content, lengths=[length]).data)
    made = Bytes(0)
    made.data, made.size = bytearray(content), len(content)
    assert [(name, filesystem, needed) for name, _, filesystem, needed, _ in disks_of(made)] == [
        ("disk", "linux_raid_member", False), ("md/a4", "linux_raid_member", False), ("md/a3", "linux_raid_member", False),
        ("md/a2", "linux_raid_member", True),
    ]  # fmt: skip


def test_an_array_that_holds_itself_is_not_put_together_twice():
    inner = bytes(member(Array("raid1"), 0, lengths=[3 * MIB]).data)
    found = disks_of(member(Array("raid1"), 0, inner, lengths=[6 * MIB]))
    assert [(name, needed, reason) for name, _, _, needed, reason in found] == [
        ("disk", False, "part of the Linux software RAID md/data"),
        ("md/data", True, "part of a Linux software RAID that was put together without it"),
    ]


@given(st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=9)), min_size=1, max_size=6), st.sampled_from(["1.2", "0.90"]))
@settings(max_examples=200, deadline=None)
def test_superblocks_of_any_bytes_with_a_right_checksum_end_soon(changes, version):
    array = Array("raid10", layout=FAR, metadata=version)
    disks = [member(array, number, lengths=[2 * MIB] * 2) for number in range(2)]
    for disk in disks:
        at = 4096 if version == "1.2" else disk.size - 65536
        for place, data in changes:
            disk.data[at + 12 + place : at + 12 + place + len(data)] = data
        seal(disk.data, at, version)
    begun = time.monotonic()
    for found in reader.read({f"d{n}": Stream(disk, 0, disk.size) for n, disk in enumerate(disks)})[0]:
        try:
            if found.reader:
                found.reader.read_at(0, MIB)
                found.reader.read_at(max(found.size - 5000, 0), 5000)
        except Unreadable:
            pass
    assert time.monotonic() - begun < 2


def seal(data, at, version):
    if version == "0.90":
        words = list(struct.unpack("<1024I", data[at : at + 4096]))
        words[38] = 0
        total = sum(words)
        words[38] = (total & 0xFFFFFFFF) + (total >> 32) & 0xFFFFFFFF
        data[at : at + 4096] = struct.pack("<1024I", *words)
        return
    roles = min(struct.unpack_from("<I", data, at + 220)[0], 1920)
    data[at + 216 : at + 220] = bytes(4)
    data[at + 216 : at + 220] = struct.pack("<I", mdsuper._checksum_new(bytes(data[at : at + 4096]), roles))


@pytest.mark.parametrize("level", [level for level in mdlayout.LEVELS if level not in (-1, 1)])
def test_an_array_of_the_most_members_is_laid_out_at_once(level):
    array = Array(mdlayout.LEVELS[level], layout=FAR if level == 10 else 2)
    lengths = [3 * MIB] * mdsuper.MAX_MEMBERS
    one = member(array, 0, lengths=lengths)
    begun = time.monotonic()
    found, _ = read(one)
    assert (found.reader, len(found.group.missing)) == (None, mdsuper.MAX_MEMBERS - 1)
    assert time.monotonic() - begun < 1
