"""Partition tables: MBR with its chain, GPT with both headers, and what is wrong with them."""

from __future__ import annotations

import struct
import zlib

import pytest
import pyvsgpt

from vhdprep.disk.native import NativeDisk, gpt, mbr

SECTOR = 512
SECTORS = 4096
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"


class Bytes:
    """A disk in memory."""

    def __init__(self, size=SECTORS * SECTOR):
        self.data = bytearray(size)
        self.size = size

    def read_at(self, offset, size):
        return bytes(self.data[offset : offset + size])

    def put(self, sector, data):
        self.data[sector * SECTOR : sector * SECTOR + len(data)] = data


def boot_record(*entries, signature=0x1A2B3C4D):
    """A boot record with entries of (status, type, first, count)."""
    sector = bytearray(SECTOR)
    struct.pack_into("<I", sector, 0x1B8, signature)
    for number, (status, kind, first, count) in enumerate(entries):
        struct.pack_into("<B3xB3xII", sector, 446 + 16 * number, status, kind, first, count)
    sector[510:] = b"\x55\xaa"
    return bytes(sector)


def gpt_disk(partitions=((2048, 3071),), *, last=SECTORS - 1, entry_count=128, type_guid="af3dc60f838472478e793d69d8477de4", attributes=0):
    """A disk with a sound GPT; ``type_guid`` as stored."""
    disk = Bytes()
    entries = bytearray(128 * 128)
    for number, (first, final) in enumerate(partitions):
        struct.pack_into("<16s16sQQQ72s", entries, 128 * number, bytes.fromhex(type_guid), bytes([number + 1]) * 16,
                         first, final, attributes, f"part {number + 1}".encode("utf-16-le"))  # fmt: skip

    def header(my, other, table):
        data = bytearray(struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, my, other, 34, last - 34, b"\x11" * 16, table,
                                     entry_count, 128, zlib.crc32(entries)))  # fmt: skip
        struct.pack_into("<I", data, 16, zlib.crc32(data))
        return bytes(data)

    disk.put(0, boot_record((0, 0xEE, 1, last)))
    disk.put(1, header(1, last, 2))
    disk.put(2, entries)
    disk.put(last - 32, entries)
    disk.put(last, header(last, 1, last - 32))
    return disk


def kinds(disk):
    return [defect.kind for defect in NativeDisk(disk).defects]


def test_a_sound_gpt_is_read_with_names_and_guids():
    table = gpt.read(gpt_disk(((2048, 3071), (3072, 4000))))
    assert table.defects == []
    assert [(each.number, each.offset, each.size, each.type_id, each.label) for each in table.partitions] == [
        (1, 2048 * SECTOR, 1024 * SECTOR, LINUX, "part 1"),
        (2, 3072 * SECTOR, 929 * SECTOR, LINUX, "part 2"),
    ]
    assert table.fields["gpt:alternate_lba"] == table.fields["gpt:last_lba"] == SECTORS - 1


def test_a_gpt_is_read_as_pyvsgpt_reads_it(image):
    path = image("debian-12-split")
    volume = pyvsgpt.volume()
    with path.open("rb") as file:
        volume.open_file_object(file)
        other = [(part.get_volume_offset(), part.size, str(part.identifier)) for part in volume.partitions]
        size = path.stat().st_size - 512
        disk = Bytes(0)
        disk.size, disk.read_at = size, lambda offset, count: (file.seek(offset), file.read(count))[1]
        mine = [(each.offset, each.size, each.part_uuid) for each in gpt.read(disk).partitions]
    assert mine == other


def test_a_broken_primary_header_falls_back_to_the_backup():
    disk = gpt_disk()
    disk.put(1, b"\0" * 92)
    table = gpt.read(disk)
    assert [each.number for each in table.partitions] == [1]
    assert [defect.kind for defect in table.defects] == ["gpt-primary"]


def test_a_broken_backup_header_is_named():
    disk = gpt_disk()
    disk.put(SECTORS - 1, b"\0" * 92)
    assert kinds(disk) == ["gpt-backup"]


def test_a_backup_header_away_from_the_end_is_named():
    disk = gpt_disk(last=SECTORS - 101)
    assert kinds(disk) == ["gpt-backup-place"]


def test_a_wrong_entry_checksum_is_named():
    disk = gpt_disk()
    disk.data[2 * SECTOR + 60] ^= 1
    assert "gpt-entries" in kinds(disk)


def test_broken_entries_fall_back_to_those_of_the_backup():
    disk = gpt_disk()
    disk.data[2 * SECTOR + 32] ^= 0xFF
    table = gpt.read(disk)
    assert [each.offset for each in table.partitions] == [2048 * SECTOR]
    assert "gpt-entries" in [defect.kind for defect in table.defects]


def test_a_volume_beyond_the_end_of_the_file_is_a_gap():
    disk = gpt_disk(((2048, 3071), (5000, 6000)))
    (_, outside) = NativeDisk(disk).volumes
    assert (outside.read, outside.needed, outside.reason) == (False, True, "it lies outside the disk")


def test_both_headers_broken_leave_no_partitions():
    disk = gpt_disk()
    disk.data[SECTOR + 20] ^= 1
    disk.put(SECTORS - 1, b"\0" * 92)
    opened = NativeDisk(disk)
    assert (opened.table, opened.volumes) == ("gpt", ())
    assert [defect.kind for defect in opened.defects] == ["gpt-header"]


def test_four_billion_gpt_entries_are_not_read():
    disk = gpt_disk(entry_count=0xFFFFFFFF)
    assert "gpt-entries" in kinds(disk)


def test_overlapping_and_outlying_partitions_are_named():
    assert kinds(gpt_disk(((2048, 3071), (3000, 3500)))) == ["partition-overlap"]
    assert kinds(gpt_disk(((2048, 99999),))) == ["partition-outside-disk"]


def test_a_gpt_without_its_protective_mbr_is_named():
    disk = gpt_disk()
    disk.put(0, boot_record())
    assert kinds(disk) == ["gpt-protective-mbr"]


def test_an_mbr_with_partitions_wins_over_the_remains_of_a_gpt():
    disk = gpt_disk()
    disk.put(0, boot_record((0x80, 0x83, 2048, 100)))
    opened = NativeDisk(disk)
    assert (opened.table, [volume.size for volume in opened.volumes]) == ("mbr", [100 * SECTOR])


def test_a_gpt_for_4096_byte_sectors_is_named():
    disk = Bytes()
    disk.data[4096:4104] = b"EFI PART"
    disk.put(0, boot_record((0, 0xEE, 1, 100)))
    assert kinds(disk) == ["gpt-4096-sectors"]


def test_primary_and_logical_partitions_are_numbered_as_linux_does():
    disk = Bytes()
    disk.put(0, boot_record((0x80, 0x83, 100, 50), (0, 0x0F, 1000, 2000)))
    disk.put(1000, boot_record((0, 0x83, 10, 90), (0, 0x05, 200, 300)))
    disk.put(1200, boot_record((0, 0x82, 10, 20)))
    table = mbr.read(disk, disk.read_at(0, SECTOR))
    assert [(each.number, each.offset // SECTOR, each.size // SECTOR, each.type_id, each.active) for each in table.partitions] == [
        (1, 100, 50, "0x83", True),
        (5, 1010, 90, "0x83", False),
        (6, 1210, 20, "0x82", False),
    ]
    assert table.partitions[1].part_uuid == "1a2b3c4d-05"
    assert table.defects == []
    assert table.fields == {"mbr:signature": "0x1a2b3c4d", "mbr:boot_code": "absent", "mbr:active_boot_record": "absent"}


@pytest.mark.parametrize(("status", "mark", "expected"), [(0x80, b"\x55\xaa", "present"), (0x80, b"", "absent"), (0, b"\x55\xaa", None)])
def test_the_active_partition_s_boot_record_is_looked_at(status, mark, expected):
    disk = Bytes()
    disk.put(0, boot_record((0, 0x83, 10, 90), (status, 0x07, 100, 50)))
    disk.put(100, bytes(510) + mark)
    assert mbr.read(disk, disk.read_at(0, SECTOR)).fields.get("mbr:active_boot_record") == expected


@pytest.mark.parametrize(
    ("code", "record", "loader"),
    [
        (b"\xeb\x63GRUB \0Geom", b"", "grub"),
        (b"\x33\xc0Missing operating system", b"\xeb\x58\x90EXTLINUX", "syslinux"),
        (b"\x33\xc0Missing operating system", b"\xeb\x58\x90SYSLINUX", "syslinux"),
        (b"\x33\xc0Missing operating system", b"\xeb\x58\x90mkfs.fat", "other"),
        (b"", b"\xeb\x58\x90EXTLINUX", None),
    ],
)
def test_the_code_in_the_first_sector_names_its_loader(code, record, loader):
    disk = Bytes()
    disk.put(0, code.ljust(440, b"\0") + boot_record((0x80, 0x83, 100, 50))[440:])
    disk.put(100, record)
    assert mbr.read(disk, disk.read_at(0, SECTOR)).fields.get("mbr:boot_loader") == loader


@pytest.mark.parametrize(
    "second",
    [boot_record((0, 0x83, 10, 90), (0, 0x05, 0, 300)), b"\0" * SECTOR, boot_record((0, 0x83, 10, 90), (0, 0x05, 3000, 10))],
    ids=["a circle", "no boot record", "out of the extended partition"],
)
def test_a_broken_chain_of_logical_partitions_ends_and_is_named(second):
    disk = Bytes()
    disk.put(0, boot_record((0, 0x05, 1000, 2000)))
    disk.put(1000, second)
    table = mbr.read(disk, disk.read_at(0, SECTOR))
    assert [defect.kind for defect in table.defects] == ["extended-chain"]


def test_two_extended_partitions_number_their_logical_ones_on():
    disk = Bytes()
    disk.put(0, boot_record((0, 0x05, 1000, 500), (0, 0x05, 2000, 500)))
    for start in (1000, 2000):
        disk.put(start, boot_record((0, 0x83, 10, 90)))
    assert [volume.id for volume in NativeDisk(disk).volumes] == ["p5", "p6"]


def test_a_boot_sector_of_a_file_system_is_no_partition_table():
    disk = Bytes()
    sector = bytearray(boot_record())
    sector[446] = 0x33
    disk.put(0, bytes(sector))
    assert mbr.read(disk, bytes(sector)) is None


def test_an_empty_disk_has_no_volumes():
    opened = NativeDisk(Bytes())
    assert (opened.table, opened.volumes, opened.defects) == (None, (), ())


def test_unknown_content_without_a_table_is_a_volume_that_was_not_read():
    disk = Bytes()
    disk.put(5, b"something")
    (volume,) = NativeDisk(disk).volumes
    assert (volume.id, volume.filesystem, volume.read, volume.needed) == ("disk", None, False, True)


@pytest.mark.parametrize(
    ("attributes", "priority"),
    [
        (0x0101_0000_0000_0000, 1),  # started before
        (0x0012_0000_0000_0000, 2),  # one try left
        (0x0003_0000_0000_0000, 0),  # no try left, and never started
        (0x0150_0000_0000_0000, 0),  # tries, but no priority
        (0x0000_0000_0000_0001, 0),
    ],
)
def test_gpt_attributes_say_which_slot_is_booted(attributes, priority):
    disk = gpt_disk(attributes=attributes)
    (volume,) = NativeDisk(disk).volumes
    assert volume.boot_priority == priority
