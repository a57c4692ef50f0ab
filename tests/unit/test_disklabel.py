"""Partitions of FreeBSD and OpenBSD: the disklabel inside a slice, and partition types that say what content does not."""

from __future__ import annotations

import struct
from string import ascii_letters

import pytest

from fixtures import bsd
from tests.unit.test_tables import SECTOR, Bytes, boot_record, gpt_disk
from vhdprep.disk.native import NativeDisk

FREEBSD, OPENBSD = 0xA5, 0xA6
START, COUNT = 64, 3000


def sliced(kind, label, *others, start=START):
    """An MBR disk with one slice that holds a disklabel."""
    disk = Bytes()
    disk.put(0, boot_record((0x80, kind, start, COUNT), *others))
    disk.put(start + 1, label)
    return disk


def shown(disk):
    return [(each.id, each.type_id, each.offset // SECTOR, each.size // SECTOR) for each in NativeDisk(disk).volumes]


def test_freebsd_counts_from_the_start_of_the_slice():
    label = bsd.label("freebsd", {"a": (0, 1000, 7), "b": (1000, 500, 1), "d": (1500, 1500, 7)}, size=COUNT)
    assert shown(sliced(FREEBSD, label)) == [
        ("p1", "0xa5", 64, 3000),
        ("p1a", "bsd:7", 64, 1000),
        ("p1b", "bsd:1", 1064, 500),
        ("p1d", "bsd:7", 1564, 1500),
    ]


def test_freebsd_labels_that_count_from_the_disk_say_so_in_their_raw_partition():
    label = bsd.label("freebsd", {"a": (64, 1000, 7)}, size=COUNT, start=64)
    assert shown(sliced(FREEBSD, label))[1:] == [("p1a", "bsd:7", 64, 1000)]


def test_openbsd_counts_from_the_start_of_the_disk_and_names_partitions_by_its_disk():
    label = bsd.label("openbsd", {"a": (64, 1000, 7), "b": (1064, 500, 1), "p": (1564, 1500, 7)}, size=4096, identity="52fdd1ce48744600")
    disk = sliced(OPENBSD, label)
    assert shown(disk)[1:] == [("p1a", "bsd:7", 64, 1000), ("p1b", "bsd:1", 1064, 500), ("p1p", "bsd:7", 1564, 1500)]
    assert [each.part_uuid for each in NativeDisk(disk).volumes][1:] == [f"52fdd1ce48744600.{letter}" for letter in "abp"]


def test_partitions_of_the_table_that_openbsd_shows_again_are_not_two():
    label = bsd.label("openbsd", {"a": (1064, 1000, 7), "i": (64, 1000, 8)}, size=4096)
    disk = sliced(OPENBSD, label, (0, 0x0C, 64, 1000), start=1064)
    assert [each[0] for each in shown(disk)] == ["p1", "p1a", "p2"]


def test_a_gpt_partition_of_either_holds_a_label_too():
    made = gpt_disk(((2048, 3071),), type_guid="a0c74c82a836e311890a952519ad3f61")
    made.put(2049, bsd.label("openbsd", {"a": (2048, 1000, 7)}, size=4096))
    assert [each[0] for each in shown(made)] == ["p1", "p1a"]


def test_the_slice_says_what_it_holds_and_leaves_no_gap():
    outer, *_ = NativeDisk(sliced(FREEBSD, bsd.label("freebsd", {"a": (0, 1000, 7), "b": (1000, 500, 1)}, size=COUNT))).volumes
    assert (outer.read, outer.needed, outer.reason, outer.active) == (False, False, "holds the partitions p1a, p1b", True)


def test_upper_halves_of_openbsds_numbers_count():
    label = bytearray(bsd.label("openbsd", {"a": (64, 1000, 7)}, size=4096))
    struct.pack_into("<H", label, 148 + 8, 1)
    struct.pack_into("<H", label, 136, struct.unpack_from("<H", label, 136)[0] ^ 1)
    assert shown(sliced(OPENBSD, bytes(label)))[1][2] == 64 + 2**32


def test_a_slice_without_a_label_is_one_volume():
    assert shown(sliced(FREEBSD, b"")) == [("p1", "0xa5", 64, 3000)]


def broken(**changes):
    label = bytearray(bsd.label("freebsd", {"a": (0, 1000, 7)}, size=COUNT))
    for at, (code, value) in changes.items():
        place = {"count": 138, "sector": 40, "size": 148}[at]
        (old,) = struct.unpack_from(code, label, place)
        struct.pack_into(code, label, place, value)
        for shift in (0, 16):
            struct.pack_into("<H", label, 136, struct.unpack_from("<H", label, 136)[0] ^ (old >> shift & 0xFFFF) ^ (value >> shift & 0xFFFF))
    return bytes(label)


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (broken(count=("<H", 53)), "its disklabel has 53 entries"),
        (broken(count=("<H", 2)), "its disklabel has 2 entries"),
        (broken(sector=("<I", 4096)), "its disklabel is for sectors of 4096 bytes"),
        (broken()[:148] + b"\1" + broken()[149:], "its disklabel is damaged: the checksum is wrong"),
        (broken(size=("<I", 0)), "its disklabel has 0 partitions"),
    ],
    ids=["too many", "too few", "other sectors", "checksum", "none"],
)
def test_a_label_that_cannot_be_used_is_a_gap(label, reason):
    (volume,) = NativeDisk(sliced(FREEBSD, label)).volumes
    assert (volume.id, volume.read, volume.needed, volume.reason) == ("p1", False, True, reason)


def test_partitions_of_many_labels_are_bounded():
    disk = Bytes()
    disk.put(0, boot_record(*((0, OPENBSD, 64 + 900 * number, 900) for number in range(4))))
    entries = {letter: (70 + at, 1, 7) for at, letter in enumerate(ascii_letters)}
    for number in range(4):
        disk.put(65 + 900 * number, bsd.label("openbsd", entries, size=4096, count=52))
    volumes = NativeDisk(disk).volumes
    assert len(volumes) < 128
    assert volumes[51].id == "p1Z"
    assert volumes[-1].reason.endswith("more than 128 on a disk are not read")


@pytest.mark.parametrize(
    ("type_guid", "filesystem", "reason", "needed"),
    [
        ("b57c6e51cf6ed6118ff800022d09712b", "swap", "swap space", False),
        ("9d6bbd83417fdc11be0b001560b84f0f", None, "boot code of FreeBSD", False),
        ("ba7c6e51cf6ed6118ff800022d09712b", "zfs_member", "part of a ZFS pool", True),
    ],
    ids=["swap", "boot", "ZFS"],
)
def test_types_of_freebsd_say_what_content_does_not(type_guid, filesystem, reason, needed):
    made = gpt_disk(type_guid=type_guid)
    made.put(2050, b"anything")
    (volume,) = NativeDisk(made).volumes
    assert (volume.filesystem, volume.reason, volume.read, volume.needed) == (filesystem, reason, False, needed)


def test_an_older_file_system_in_the_boot_area_does_not_hide_a_ufs():
    made = gpt_disk(type_guid="b67c6e51cf6ed6118ff800022d09712b")
    superblock = bytearray(1376)
    struct.pack_into("<q", superblock, 1000, 65536)
    struct.pack_into("<I", superblock, 1372, 0x19540119)
    made.put(2048 + 128, superblock)
    made.put(2048 + 2, b"\0" * 56 + b"\x53\xef")
    (volume,) = NativeDisk(made).volumes
    assert (volume.filesystem, volume.read, volume.needed) == ("ufs", False, True)


def test_an_encrypted_softraid_is_known_by_its_type():
    label = bsd.label("openbsd", {"a": (64, 1000, 19)}, size=4096)
    *_, volume = NativeDisk(sliced(OPENBSD, label)).volumes
    assert (volume.filesystem, volume.needed, volume.reason) == ("softraid", True, "part of an OpenBSD softraid, mirrored or encrypted")
