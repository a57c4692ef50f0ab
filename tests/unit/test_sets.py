"""What lies on several disks: btrfs of several devices, pools of Storage Spaces, volume groups, and the names that fstab has for them."""

from __future__ import annotations

import random
import struct
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from fixtures import btrfs, btrfsset, lvm, mdfile
from fixtures.lvm import Logical, Segment, Span
from tests.unit.test_lvm import physical
from tests.unit.test_md import ELSEWHERE, member
from tests.unit.test_tables import Bytes, gpt_disk
from vhdprep.disk.native import NativeDisk, btrfschunks
from vhdprep.disk.native.assembly import join
from vhdprep.disk.native.mapped import Area
from vhdprep.disk.native.stream import Stream
from vhdprep.errors import Unreadable
from vhdprep.guest.devices import find_volume, mapper_name, need_volume
from vhdprep.model import Volume, VolumeKind
from vhdprep.storage import StorageGroup

MIB = 1024 * 1024
NOISE = random.Random(9).randbytes(3 * MIB)
UUID = "22222222-2222-2222-2222-222222222222"


def opened(*disks):
    """The disks of a machine, what they hold together put together."""
    found = [NativeDisk(disk, f"data{number}:" if number else "") for number, disk in enumerate(disks)]
    join(found)
    return found


def several(tmp_path, profile, count=2, size=16 * MIB, noise=NOISE):
    """A btrfs over ``count`` disks in memory."""
    image = Path(tmp_path, "image")
    image.write_bytes(btrfs.build(btrfsset.capacity([size] * count, profile), [btrfs.Subvolume("", {"/noise": noise, "/small": b"x" * 100})]))
    paths = [Path(tmp_path, f"d{number}") for number in range(count)]
    for path in paths:
        path.write_bytes(bytes(size))
    btrfsset.deal(image, [Span(path, 0, size) for path in paths], profile, ())
    disks = []
    for path in paths:
        disks.append(Bytes(0))
        disks[-1].data, disks[-1].size = bytearray(path.read_bytes()), size
    return disks


def told(disks):
    return [(each.id, each.read, each.needed, each.uuid, each.missing, each.reason) for disk in disks for each in disk.volumes]


@pytest.mark.parametrize(("profile", "count", "redundant"), [("single", 2, False), ("raid0", 2, False), ("raid0", 3, False), ("raid1", 2, True)])
def test_a_btrfs_of_several_devices_is_read_as_the_first_of_them(tmp_path, profile, count, redundant):
    disks = opened(*several(tmp_path, profile, count))
    names = ["disk", "data1:disk", "data2:disk"][:count]
    assert told(disks) == [
        ("disk", True, False, UUID, (), None),
        *((name, False, False, None, (), "part of the btrfs on disk") for name in names[1:]),
    ]
    assert disks[0].files(disks[0].volumes[0]).read("/noise", 9 * MIB) == NOISE
    assert [group for disk in disks for group in disk.groups] == [
        StorageGroup("btrfs", "disk", UUID, None, None, profile, tuple(names), count, (), (), redundant)
    ]


def test_what_has_a_copy_is_read_without_a_device(tmp_path):
    one, other = several(tmp_path, "raid1")
    for disk, missing in ((one, "device 2"), (other, "device 1")):
        disks = opened(disk)
        assert told(disks) == [("disk", True, False, UUID, (missing,), f"degraded: without {missing}")]
        assert disks[0].files(disks[0].volumes[0]).read("/noise", 9 * MIB) == NOISE
        assert (disks[0].groups[0].missing, disks[0].groups[0].redundant) == ((missing,), True)


def test_what_has_no_copy_is_not_read_and_the_reason_says_how_many_are_missing(tmp_path):
    disks = opened(several(tmp_path, "raid0")[0])
    reason = (
        "one of 2 devices of a btrfs: a part of it, kept as raid0, lies on devices that are missing, and there is no whole copy of it; "
        f"1 of its 2 devices are not here; {ELSEWHERE}"
    )
    assert told(disks) == [("disk", False, True, UUID, ("1 of 2 devices",), reason)]


def test_a_device_of_an_older_generation_was_left_behind(tmp_path):
    one, other = several(tmp_path, "raid1")
    other.data[0x10048:0x10050] = bytes(8)
    btrfs.seal(other.data, 0x10000, 4096)
    disks = opened(one, other)
    assert told(disks) == [
        ("disk", True, False, UUID, ("device 2",), "degraded: without device 2"),
        ("data1:disk", False, False, None, (), "was part of the btrfs on disk and was left behind: its generation is older"),
    ]
    assert disks[0].groups[0].unused == ("data1:disk",)


def test_two_that_claim_to_be_one_device_are_both_refused(tmp_path):
    one, other = several(tmp_path, "raid1")
    disks = opened(one, other, other)
    assert [(each.read, each.needed) for disk in disks for each in disk.volumes] == [(False, True), (False, False), (False, False)]
    assert disks[0].groups[0].reason == "data1:disk and data2:disk claim to be the same device of it; which of them is meant cannot be told"


def test_a_device_whose_superblock_is_damaged_is_not_believed(tmp_path):
    one, other = several(tmp_path, "raid1")
    other.data[0x10100] ^= 1
    assert "the checksum of its superblock is wrong" in opened(one, other)[0].volumes[0].reason


def test_a_volume_group_tells_its_identity_and_what_is_missing():
    text = lvm.metadata("vg", [4, 4], [Logical("root", (Segment(0, 2, ((0, 0),)),))])
    whole, half = opened(physical(text), physical(text, number=2)), opened(physical(text))
    identity, second = lvm.hyphened(lvm.identity(999)), lvm.hyphened(lvm.identity(2))
    assert whole[0].groups == (StorageGroup("lvm2", "vg", identity, "vg", None, None, ("disk", "data1:disk"), 2, (), (), None),)
    assert half[0].groups == (StorageGroup("lvm2", "vg", identity, "vg", None, None, ("disk",), 2, (second,), (), None),)


def test_a_volume_group_may_not_pass_for_an_array():
    text = lvm.metadata("md", [4], [Logical("data", (Segment(0, 2, ((0, 0),)),))])
    found = told(opened(member(mdfile.Array("raid1"), 0), physical(text)))
    assert [(name, reason) for name, *_, reason in found if "/" in name] == [
        ("md/data", "degraded: without member 1; holds no file system"),
        ("md/data of LVM2", "an array has the same name"),
    ]


POOL, DISK = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef"), uuid.UUID("11111111-89ab-cdef-0123-456789abcdef")


def space(*kinds, pool=POOL, disk=DISK, at=2):
    """A disk with a member of a pool whose database has records of these kinds, each of two pieces."""
    made = gpt_disk(((2048, 4095),), type_guid="8faf5ce780f6ee4cafa3b001e56efc2d")
    start = 2048 * 512
    made.data[start : start + 512] = (struct.pack(">8sHH", b"SPACEDB ", at, 4096).ljust(at * 16, b"\0") + pool.bytes_le + disk.bytes_le).ljust(
        512, b"\0"
    )
    head = struct.pack(">8sHH", b"SDBC    ", 1, 512).ljust(16, b"\0") + pool.bytes_le + struct.pack(">4xII", 8, 8 + 2 * len(kinds))
    made.data[start + 4096 : start + 4608] = head.ljust(512, b"\0")
    for number, kind in enumerate(kinds):
        for piece in range(2):
            entry = struct.pack(">4sIIHHB", b"SDBB", 0, 8 + number, piece, 2, kind if piece == 0 else 2).ljust(64, b"\0")
            place = start + 4608 + (2 * number + piece) * 64
            made.data[place : place + 64] = entry
    return made


@pytest.mark.parametrize("at", [1, 2])
def test_a_pool_of_storage_spaces_is_counted_and_not_read(at):
    disks = opened(space(1, 2, 2, 3, 4, at=at))
    assert [(each.filesystem, each.needed, each.reason) for each in disks[0].volumes] == [
        ("storage_spaces", True, f"part of a Storage Spaces pool, which is not read; 1 of its 2 disks found; {ELSEWHERE}")
    ]
    assert disks[0].groups == (
        StorageGroup(
            "storage-spaces", str(POOL), str(POOL), None, None, None, ("p1",), 2, ("1 of 2 disks",), (), None, "its format is not documented"
        ),
    )


def test_a_pool_that_is_all_here_lacks_nothing():
    other = uuid.UUID("22222222-89ab-cdef-0123-456789abcdef")
    (group,) = opened(space(1, 2, 2), space(1, 2, 2, disk=other))[0].groups
    assert (group.members, group.expected, group.missing) == (("p1", "data1:p1"), 2, ())


@pytest.mark.parametrize("damage", [(0, b"x"), (8, b"\xff\xff")])
def test_a_member_without_a_header_is_still_a_gap(damage):
    made = space(1, 2)
    place, data = damage
    made.data[2048 * 512 + place : 2048 * 512 + place + len(data)] = data
    disks = opened(made)
    assert (disks[0].volumes[0].needed, disks[0].volumes[0].reason, disks[0].groups) == (True, "part of a Storage Spaces pool, which is not read", ())


def test_a_pool_whose_database_is_not_understood_is_not_counted():
    made = space(1, 2)
    made.data[2048 * 512 + 4096] ^= 1
    (group,) = opened(made)[0].groups
    assert (group.expected, group.missing) == (None, ())


VOLUMES = [
    Volume(name, kind, 1, None, None, "ext4", read=True)
    for name, kind in [
        ("md/r0", VolumeKind.ARRAY), ("md/0", VolumeKind.ARRAY), ("md/r0:p1", VolumeKind.PARTITION), ("md/data:p2", VolumeKind.PARTITION),
        ("md/0:p1", VolumeKind.PARTITION), ("md/home", VolumeKind.LOGICAL_VOLUME),
    ]
]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("/dev/md/r0", "md/r0"), ("/dev/md0", "md/0"), ("/dev/md/0", "md/0"), ("/dev/md/r0p1", "md/r0:p1"), ("/dev/md0p1", "md/0:p1"),
        ("/dev/md/data2", "md/data:p2"), ("/dev/md/datap2", None), ("/dev/md127", None), ("/dev/mapper/md-r0", None), ("/dev/mdr0", None),
    ],
)  # fmt: skip
def test_an_array_goes_by_the_names_that_udev_gives_it(spec, expected):
    found = find_volume(spec, VOLUMES)
    assert (found and found.id) == expected


def test_the_number_of_an_array_that_has_a_name_cannot_be_told():
    guest = SimpleNamespace(volumes=VOLUMES)
    with pytest.raises(Unreadable, match="/dev/md127: which volume this names cannot be told from the disk"):
        need_volume("/dev/md127", guest)
    assert need_volume("/dev/md127", SimpleNamespace(volumes=[each for each in VOLUMES if each.kind is not VolumeKind.ARRAY])) is None


def test_an_array_has_no_name_of_the_device_mapper():
    assert [mapper_name(each) for each in VOLUMES[:1] + VOLUMES[-1:]] == [None, "md-home"]


def test_a_btrfs_on_logical_volumes_is_read_where_those_are(tmp_path):
    one, other = several(tmp_path, "raid1", size=4 * lvm.EXTENT, noise=b"")
    disks = []
    for number, content in enumerate((one, other), 1):
        text = lvm.metadata(f"vg{number}", [4], [Logical("data", (Segment(0, 4, ((0, 0),)),))]).replace(
            lvm.hyphened(lvm.identity(999)).encode(), lvm.hyphened(lvm.identity(990 + number)).encode()
        )
        text = text.replace(lvm.hyphened(lvm.identity(1)).encode(), lvm.hyphened(lvm.identity(number)).encode())
        made = physical(text, number=number)
        made.data[lvm.START :] = content.data
        disks.append(made)
    found = opened(*disks)
    assert [(name, read) for name, read, *_ in told(found)] == [("disk", False), ("vg1/data", True), ("data1:disk", False), ("vg2/data", False)]
    assert found[0].files(found[0].volumes[1]).read("/small", 999) == b"x" * 100


def test_a_chunk_over_thousands_of_stripes_is_judged_in_time():
    areas = [Area(Stream(Bytes(0), 0, 0), 0)] * 2046
    started = time.process_time()
    assert btrfschunks.chunk(0, 1 << 40, 0x8, 65536, 0, areas).profile == "raid0"
    assert time.process_time() - started < 0.5
    with pytest.raises(Unreadable, match="lies on devices that are missing"):
        btrfschunks.chunk(0, 1 << 40, 0x80, 65536, 0, [None, *areas])
