"""The log of a VHDX: what was not carried out is, in memory; what cannot be trusted is said."""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import subprocess
import uuid

import pytest

from fixtures import vhdxfile
from fixtures.vhdxfile import LOG, METADATA, MIB, SECTOR, TABLE, Entry
from vhdprep.errors import Unreadable
from vhdprep.vhd import vhdx
from vhdprep.vhd.container import describe, open_image
from vhdprep.vhd.vhdx import log

FAR = 7 * MIB
"""A place in the file to write to: the last block of the disk in ``sound``."""
UNCLEAN = "The file was not closed cleanly; its log was carried out in memory ({})."
INCOMPLETE = "The file was not closed cleanly, and its log holds no complete sequence of entries: what it was to change is not known."


def noise(number):
    return random.Random(number).randbytes(SECTOR)


@pytest.fixture(scope="module")
def disk():
    return random.Random(1).randbytes(3 * MIB) + bytes(MIB) + random.Random(2).randbytes(MIB)


@pytest.fixture
def sound(disk, tmp_path):
    path = tmp_path / "disk.vhdx"
    vhdxfile.write(disk, path)
    return path


def read(path):
    container = describe(path)
    with open_image(path) as handle:
        reader = vhdx.open_reader(handle, container)
        return reader.read_at(0, reader.size)


def messages(path):
    return [(defect.kind, defect.message) for defect in describe(path).defects]


def patch(path, at, data):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def replayed(path, entries, at=0):
    """The sectors from ``FAR`` on as a reader sees them after these entries, and how many were carried out."""
    vhdxfile.write_log(path, entries, at=at)
    with open_image(path) as handle:
        file = vhdx.FlatReader(handle, path.stat().st_size)
        after, count = log.replay(file, vhdx.read_header(file)[0])
        return [after.read_at(FAR + SECTOR * number, SECTOR) for number in range(4)], count, after.size


def entries(*numbers, tail=0):
    """Entries with these sequence numbers; each writes its own noise over the first sector, and to a sector of its own."""
    return [Entry([(FAR, noise(number)), (FAR + SECTOR * (index + 1), noise(100 + number))], number, tail) for index, number in enumerate(numbers)]


@pytest.mark.parametrize("at", [0, SECTOR, MIB - SECTOR, MIB - 17 * SECTOR])
@pytest.mark.parametrize("count", [1, 3])
def test_a_disk_whose_tables_stand_in_the_log_reads_as_if_nothing_had_happened(sound, disk, at, count):
    vhdxfile.interrupt(sound, at=at, entries=count)
    before = hashlib.sha256(sound.read_bytes()).hexdigest()
    assert messages(sound) == [("vhdx-unclean", UNCLEAN.format("1 entry" if count == 1 else f"{count} entries"))]
    assert read(sound) == disk
    assert hashlib.sha256(sound.read_bytes()).hexdigest() == before


def test_qemu_carries_the_same_log_out(sound, disk, tmp_path):
    """It writes what is here kept in memory; afterwards both read the same."""
    vhdxfile.interrupt(sound)
    copy, raw = shutil.copy(sound, tmp_path / "copy.vhdx"), tmp_path / "disk.raw"
    refused = subprocess.run(["qemu-img", "convert", "-f", "vhdx", "-O", "raw", str(copy), str(raw)], capture_output=True, text=True, check=False)
    assert "contains a log that needs to be replayed" in refused.stderr
    subprocess.run(["qemu-img", "check", "-q", "-f", "vhdx", "-r", "all", str(copy)], check=True)
    subprocess.run(["qemu-img", "convert", "-f", "vhdx", "-O", "raw", str(copy), str(raw)], check=True)
    assert raw.read_bytes() == read(copy) == read(sound) == disk
    assert messages(copy) == []


def test_a_log_that_qemu_left_behind_is_carried_out(tmp_path):
    """qemu keeps its entries when it is done; with the header's id of the log they are to be carried out again."""
    path = tmp_path / "disk.vhdx"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vhdx", "-o", "block_size=1M", str(path), "8M"], check=True)
    for place in ("0", "3M", "6M"):
        subprocess.run(["qemu-io", "-f", "vhdx", "-c", f"write -q -P 0x43 {place} 4k", str(path)], check=True, capture_output=True)
    whole, found = read(path), describe(path)
    head = path.read_bytes()[LOG : LOG + 64]
    table = found.fields["vhdx:block_table_offset"]
    patch(path, table, bytes(64))
    assert (head[:4], read(path) == whole) == (b"loge", False)
    vhdxfile.write_headers(path, log=uuid.UUID(bytes_le=head[32:48]))
    assert read(path) == whole


def test_entries_are_carried_out_from_the_tail_to_the_head(sound):
    sectors, count, _ = replayed(sound, entries(7, 8, 9))
    assert (sectors, count) == ([noise(9), noise(107), noise(108), noise(109)], 3)


def test_what_lies_before_the_tail_was_carried_out_long_ago(sound):
    *old, head = entries(7, 8, 9, tail=3 * SECTOR)
    untouched = sound.read_bytes()[FAR + SECTOR : FAR + 2 * SECTOR]
    sectors, count, _ = replayed(sound, [*old, head])
    assert (sectors, count) == ([noise(9), untouched, noise(108), noise(109)], 2)


def test_of_two_sequences_the_newer_one_counts(sound):
    older, newer = entries(7, 8), entries(20, 21, tail=100 * SECTOR)
    vhdxfile.write_log(sound, older)
    assert replayed(sound, newer, at=100 * SECTOR)[:2] == ([noise(21), noise(120), noise(121), sound.read_bytes()[FAR + 3 * SECTOR :][:SECTOR]], 2)
    vhdxfile.write_log(sound, entries(27, 28))
    assert replayed(sound, newer, at=100 * SECTOR)[0][0] == noise(28)


def test_a_newest_entry_that_was_not_written_whole_is_left_out(sound):
    """Its checksum is wrong; it was never flushed, so nothing depends on it."""
    starts = vhdxfile.write_log(sound, entries(7, 8, 9))
    patch(sound, LOG + starts[2] + SECTOR + 100, b"torn")
    assert messages(sound) == [("vhdx-unclean", UNCLEAN.format("2 entries"))]


def test_an_entry_after_one_that_is_missing_is_left_out(sound):
    assert replayed(sound, [*entries(7, 8), *entries(10)])[0][0] == noise(8)


def test_a_log_without_anything_to_do_is_no_obstacle(sound, disk):
    """So Hyper-V begins it."""
    vhdxfile.write_log(sound, [Entry([], 1)])
    assert (messages(sound), read(sound)) == ([("vhdx-unclean", UNCLEAN.format("1 entry"))], disk)


def test_zeros_take_no_room_in_the_log(sound):
    writes = [(FAR, noise(1)), (FAR + 2 * SECTOR, noise(3)), (FAR, 2 * SECTOR), (FAR + SECTOR, noise(2))]
    assert replayed(sound, [Entry(writes, 1)])[0][:3] == [bytes(SECTOR), noise(2), noise(3)]


def test_the_file_grows_as_its_log_says(sound):
    size = sound.stat().st_size
    assert replayed(sound, [Entry([], 1, last=size + 5 * MIB)])[2] == size + 5 * MIB
    assert replayed(sound, [Entry([(size + MIB, noise(1))], 1, last=size)])[2] == size + MIB + SECTOR


def test_reading_across_the_edge_of_what_was_changed(sound):
    size = sound.stat().st_size
    vhdxfile.write_log(sound, [Entry([(FAR, noise(1)), (size + SECTOR, noise(2))], 1)])
    before = sound.read_bytes()
    with open_image(sound) as handle:
        file = vhdx.FlatReader(handle, size)
        after, _ = log.replay(file, vhdx.read_header(file)[0])
    whole = bytearray(before + bytes(2 * SECTOR))
    whole[FAR : FAR + SECTOR], whole[size + SECTOR :] = noise(1), noise(2)
    with open_image(sound) as handle:
        after = log.Replayed(vhdx.FlatReader(handle, size), after._sectors, after.size)
        for at, length in ((FAR - 3, 7), (FAR + 5, 10), (FAR - 1, SECTOR + 2), (FAR + SECTOR - 2, 4), (size - 2, 3 * SECTOR), (size + 3 * SECTOR, 1)):
            assert after.read_at(at, length) == bytes(whole[at : at + length])


# what cannot be trusted


def test_a_file_that_is_shorter_than_its_log_knows_is_cut_off(sound):
    size = sound.stat().st_size
    vhdxfile.write_log(sound, [Entry([], 1, flushed=size + MIB)])
    text = f"The file has {size} bytes, but had at least {size + MIB} when its log was written: its end is cut off."
    assert messages(sound) == [("vhdx-log", text)]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"log_version": 1}, "The log has version 1; only version 0 is known."),
        ({"log_offset": 512}, f"The log cannot lie at byte 512 with a length of {MIB}."),
        ({"log_offset": 0}, f"The log cannot lie at byte 0 with a length of {MIB}."),
        ({"log_length": MIB + SECTOR}, f"The log cannot lie at byte {MIB} with a length of {MIB + SECTOR}."),
        ({"log_offset": 2**40}, f"The log ends at byte {2**40 + MIB}, after the end of the file ({8 * MIB})."),
        ({"log_length": 0}, INCOMPLETE),
    ],
)
def test_a_log_that_cannot_be_there_is_named(sound, fields, text):
    vhdxfile.write_headers(sound, log=vhdxfile.LOG_GUID, **fields)
    assert messages(sound) == [("vhdx-log", text)]


WOUNDS = {
    "the signature": (0, b"x"),
    "the checksum": (4, b"xx"),
    "a length of nothing": (8, bytes(4)),
    "a length that is no whole sector": (8, struct.pack("<I", 3 * SECTOR + 1)),
    "a length beyond the log": (8, struct.pack("<I", MIB + SECTOR)),
    "a tail that is no sector": (12, b"\1"),
    "a tail elsewhere": (12, struct.pack("<I", 50 * SECTOR)),
    "a sequence number of zero": (16, bytes(8)),
    "another sequence number": (16, b"\x63"),
    "more descriptors than there is room for": (24, struct.pack("<I", 2**32 - 1)),
    "more descriptors than data": (24, struct.pack("<I", 3)),
    "another log's id": (32, b"\xff"),
    "a descriptor of another kind": (64, b"what"),
    "a place that is no sector": (64 + 16, b"\1"),
    "a descriptor of another entry": (64 + 24, b"\x63"),
    "data without a signature": (SECTOR, b"x"),
    "data of another entry, first half": (SECTOR + 4, b"\1"),
    "data of another entry, second half": (2 * SECTOR - 4, b"\x63"),
}


@pytest.mark.parametrize("wound", WOUNDS)
def test_an_entry_that_is_wrong_anywhere_is_none(sound, wound):
    """Also with a right checksum, for that a hostile file has."""
    at, data = WOUNDS[wound]
    vhdxfile.write_log(sound, entries(7))
    entry = bytearray(sound.read_bytes()[LOG : LOG + 3 * SECTOR])
    entry[at : at + len(data)] = data
    if wound != "the checksum":
        vhdxfile.seal(entry)
    patch(sound, LOG, entry)
    assert messages(sound) == [("vhdx-log", INCOMPLETE)]
    with pytest.raises(Unreadable, match="the VHDX cannot be read: The file was not closed cleanly"):
        read(sound)


def test_a_log_that_rewrites_more_than_is_followed_is_named(sound):
    vhdxfile.write_log(sound, [Entry([(0, 2**40)], 1)])
    assert messages(sound) == [("vhdx-log", f"The log rewrites {2**40} bytes of the file; more than {256 * MIB} are not followed.")]


def test_entries_that_lie_on_one_another_are_not_checked_without_end(sound, monkeypatch):
    monkeypatch.setattr(log, "MAX_CHECKED", 4 * SECTOR)
    vhdxfile.write_log(sound, entries(7, 8))
    assert messages(sound) == [("vhdx-log", f"The log holds more than {4 * SECTOR} bytes of entries, or entries that lie on one another.")]


def test_a_log_larger_than_is_looked_through_is_named(sound, monkeypatch):
    monkeypatch.setattr(log, "MAX_LOG", MIB // 2)
    vhdxfile.write_log(sound, entries(7))
    assert messages(sound) == [("vhdx-log", f"The log has {MIB} bytes; more than {MIB // 2} are not looked through.")]


def test_a_log_without_an_id_is_empty_whatever_stands_in_it(sound, disk):
    vhdxfile.write_log(sound, [Entry([(TABLE, SECTOR), (METADATA, SECTOR)], 1)])
    vhdxfile.write_headers(sound)
    assert (messages(sound), read(sound)) == ([], disk)
