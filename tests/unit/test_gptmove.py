"""Disks of every misalignment grow to whole MiB with a table that sgdisk finds nothing wrong with."""

from __future__ import annotations

import shutil
import struct
import subprocess
import uuid
import zlib

import pytest

from tests.disks import open_disk
from vhdprep.vhd import convert
from vhdprep.vhd.blocks import FlatReader

MIB = 1024 * 1024
needs_sgdisk = pytest.mark.skipif(shutil.which("sgdisk", path="/usr/sbin:/sbin:/usr/bin") is None, reason="needs sgdisk (gdisk)")
MISALIGNED = {"1 byte": 1, "1 sector": 512, "33 sectors": 33 * 512, "34 sectors": 34 * 512, "MiB - 1 sector": MIB - 512, "MiB - 1 byte": MIB - 1}
PARTITIONS = ["-a", "1", "-n", "1:2048:6143", "-t", "1:ef00", "-c", "1:boot", "-n", "2:8192:0", "-t", "2:8300", "-c", "2:root"]


def sgdisk(path, *arguments):
    done = subprocess.run(["sgdisk", *arguments, str(path)], capture_output=True, text=True, check=False, env={"PATH": "/usr/sbin:/sbin:/usr/bin"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_gpt(path, extra=0, *more):
    """16 MiB and ``extra`` bytes, with two partitions, the last one up to the end."""
    with path.open("wb") as out:
        out.truncate(16 * MIB + extra // 512 * 512)
    sgdisk(path, *PARTITIONS, *more)
    with path.open("r+b") as out:
        out.truncate(16 * MIB + extra)
        out.seek(4 * MIB)
        out.write(b"guest")
    return path


def grow(path):
    target = path.with_suffix(".copy")
    with path.open("rb", buffering=0) as handle, target.open("w+b", buffering=0) as out:
        return target, convert.copy(FlatReader(handle, path.stat().st_size), out)


def identity(path):
    """What Windows and Linux know a disk and its partitions by, and where these lie."""
    with path.open("rb") as file, open_disk(path) as disk:
        boot = file.read(446)
        volumes = [(each.id, each.offset, each.size, each.type_id, each.part_uuid, each.part_label) for each in disk.volumes]
        return boot, disk.fields.get("gpt:disk_guid"), disk.fields.get("mbr:signature"), volumes


def assert_sound(path):
    said = sgdisk(path, "-v")
    assert "No problems found" in said, said
    assert "Warning" not in said
    with open_disk(path) as disk:
        assert disk.defects == ()


@needs_sgdisk
@pytest.mark.parametrize("extra", MISALIGNED.values(), ids=MISALIGNED)
def test_a_grown_gpt_is_sound_and_keeps_every_identifier(tmp_path, extra):
    source = make_gpt(tmp_path / "disk.raw", extra)
    before, known = source.read_bytes(), identity(source)
    copy, done = grow(source)
    assert done == convert.Copied(17 * MIB, 16 * MIB + extra, moved_backup=True)
    assert_sound(copy)
    assert identity(copy) == known
    assert copy.read_bytes()[4 * MIB : 16 * MIB - 64 * 512] == before[4 * MIB : 16 * MIB - 64 * 512]
    assert source.read_bytes() == before


@needs_sgdisk
def test_the_protective_entry_covers_the_grown_disk_and_no_other_byte_of_the_mbr_changes(tmp_path):
    source = make_gpt(tmp_path / "disk.raw", 512)
    copy, _ = grow(source)
    old, new = source.read_bytes()[:512], copy.read_bytes()[:512]
    assert struct.unpack_from("<II", new, 446 + 8) == (1, 17 * MIB // 512 - 1)
    assert new[:458] + new[462:] == old[:458] + old[462:]


@needs_sgdisk
def test_a_protective_entry_that_claims_all_stays_as_windows_wrote_it(tmp_path):
    source = make_gpt(tmp_path / "disk.raw", 512)
    with source.open("r+b") as file:
        file.seek(446 + 12)
        file.write(b"\xff" * 4)
    copy, _ = grow(source)
    assert copy.read_bytes()[:512] == source.read_bytes()[:512]


@needs_sgdisk
def test_a_table_whose_backup_is_at_the_end_is_not_touched(tmp_path):
    source = make_gpt(tmp_path / "disk.raw")
    copy, done = grow(source)
    assert done == convert.Copied(16 * MIB, 16 * MIB, moved_backup=False)
    assert copy.read_bytes() == source.read_bytes()


@needs_sgdisk
def test_the_backup_of_a_disk_that_was_grown_before_is_moved_too(tmp_path):
    source = make_gpt(tmp_path / "disk.raw")
    with source.open("r+b") as file:
        file.truncate(20 * MIB)
    copy, done = grow(source)
    assert done == convert.Copied(20 * MIB, 20 * MIB, moved_backup=True)
    assert_sound(copy)


@needs_sgdisk
def test_a_backup_that_is_missing_is_written_from_the_primary(tmp_path):
    source = make_gpt(tmp_path / "disk.raw", 512)
    with source.open("r+b") as file:
        file.seek(16 * MIB)
        file.write(bytes(512))
    copy, done = grow(source)
    assert done.moved_backup
    assert_sound(copy)


def break_byte(at):
    def damage(data):
        data[at] ^= 0xFF

    return damage


def reseal(data, lba):
    at = lba * 512
    data[at + 16 : at + 20] = bytes(4)
    data[at + 16 : at + 20] = zlib.crc32(data[at : at + 92]).to_bytes(4, "little")


def another_backup(data):
    last = len(data) // 512 - 1
    data[last * 512 + 88] ^= 1
    reseal(data, last)


def partition_beyond(data):
    data[1024 + 128 + 40 : 1024 + 128 + 48] = (10**6).to_bytes(8, "little")
    data[512 + 88 : 512 + 92] = zlib.crc32(data[1024 : 1024 + 128 * 128]).to_bytes(4, "little")
    reseal(data, 1)
    last = len(data) // 512 - 1
    data[last * 512 : last * 512 + 512] = bytes(512)


def too_many_entries(data):
    data[512 + 80 : 512 + 84] = b"\xff" * 4
    reseal(data, 1)


@needs_sgdisk
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (break_byte(512 + 60), "the primary GPT header is damaged"),
        (break_byte(1024 + 5), "the checksum of the GPT's entries is wrong"),
        (another_backup, "the two GPT headers describe other partitions"),
        (partition_beyond, "a partition of the GPT reaches beyond the end of the disk, or where the backup would be"),
        (too_many_entries, "the GPT claims 4294967295 entries of 128 bytes"),
    ],
    ids=["header", "entries", "backup", "partition", "count"],
)
def test_a_damaged_table_is_copied_as_it_is_with_the_reason(tmp_path, damage, reason):
    source = make_gpt(tmp_path / "disk.raw", 512)
    data = bytearray(source.read_bytes())
    damage(data)
    source.write_bytes(data)
    copy, done = grow(source)
    assert done == convert.Copied(17 * MIB, 16 * MIB + 512, moved_backup=False, kept_backup=reason)
    assert copy.read_bytes() == bytes(data).ljust(17 * MIB, b"\0")


@needs_sgdisk
def test_beside_other_entries_a_protective_one_keeps_to_its_part(tmp_path):
    source = make_gpt(tmp_path / "disk.raw", 512, "-h", "1")
    before = source.read_bytes()[:512]
    copy, done = grow(source)
    assert done.moved_backup
    assert copy.read_bytes()[:512] == before
    assert "No problems found" in sgdisk(copy, "-v")


@pytest.mark.parametrize("extra", MISALIGNED.values(), ids=MISALIGNED)
def test_a_disk_with_an_mbr_only_grows(tmp_path, extra):
    source = tmp_path / "disk.raw"
    boot = bytearray(512)
    boot[440:444] = b"\x12\x34\x56\x78"
    boot[446:462] = struct.pack("<B3sB3sII", 0x80, b"\x20\x21\0", 7, b"\xfe\xff\xff", 2048, 30000)
    boot[510:512] = b"\x55\xaa"
    source.write_bytes(bytes(boot).ljust(16 * MIB + extra, b"\x01"))
    copy, done = grow(source)
    assert done == convert.Copied(17 * MIB, 16 * MIB + extra, moved_backup=False)
    assert copy.read_bytes() == source.read_bytes().ljust(17 * MIB, b"\0")
    with open_disk(copy) as disk:
        assert (disk.fields["mbr:signature"], [each.size for each in disk.volumes], disk.defects) == ("0x78563412", [30000 * 512], ())


def test_a_gpt_that_nothing_announces_is_left_alone(tmp_path):
    source = tmp_path / "disk.raw"
    header = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, 1, 99, 34, 60, uuid.uuid4().bytes, 2, 128, 128, 0)
    source.write_bytes((bytes(512) + header).ljust(MIB + 512, b"\0"))
    copy, done = grow(source)
    assert done == convert.Copied(2 * MIB, MIB + 512, moved_backup=False)
    assert copy.read_bytes() == source.read_bytes().ljust(2 * MIB, b"\0")
