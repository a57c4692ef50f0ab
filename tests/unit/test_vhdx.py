"""VHDX: every field as it was written, every byte of the disk, and what is wrong in words."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import uuid

import pytest
import pyvhdi

from fixtures import vhdxfile
from fixtures.vhdxfile import METADATA, MIB, TABLE
from vhdprep.errors import Unreadable
from vhdprep.model import DiskType
from vhdprep.vhd import crc32c, vhdx
from vhdprep.vhd.container import describe, open_image
from vhdprep.vhd.vhdx import blocks, header, layout, metadata

ITEMS = METADATA + 65536
"""Where the first item, the file parameters, stands; the others follow in the order of ``vhdxfile.write``."""


def content(size=9 * MIB + MIB // 2, seed=1):
    """Noise here and there, two MiB of zeros in the middle."""
    chance = random.Random(seed)
    data = bytearray(size)
    for _ in range(30):
        at = chance.randrange(size - 6000)
        data[at : at + 5000] = chance.randbytes(5000)
    data[4 * MIB : 6 * MIB] = bytes(2 * MIB)
    return bytes(data)


@pytest.fixture(scope="module")
def disk():
    return content()


@pytest.fixture
def dynamic(disk, tmp_path):
    path = tmp_path / "disk.vhdx"
    vhdxfile.write(disk, path)
    return path


def read(path, offset=0, size=None, parent=None):
    container = describe(path)
    with open_image(path) as handle:
        reader = vhdx.open_reader(handle, container, parent)
        return reader.read_at(offset, reader.size if size is None else size)


def patch(path, *wounds):
    with path.open("r+b") as file:
        for at, data in wounds:
            file.seek(at)
            file.write(data)


def entry_of(path, index):
    return struct.unpack_from("<Q", path.read_bytes(), TABLE + 8 * index)[0]


def set_entry(path, index, state, at=0):
    patch(path, (TABLE + 8 * index, struct.pack("<Q", at << 20 | state)))


def messages(path):
    return [(defect.kind, defect.message) for defect in describe(path).defects]


def seal(path, place, size):
    """Make the checksum of a header or region table right again."""
    with path.open("r+b") as file:
        file.seek(place)
        data = vhdxfile.seal(bytearray(file.read(size)))
        file.seek(place)
        file.write(data)


def test_the_checksum_is_crc_32c():
    assert (crc32c.crc32c(b"123456789"), crc32c.crc32c(b"")) == (0xE3069283, 0)
    assert crc32c.crc32c(bytes(range(256))) == vhdxfile.crc32c(bytes(range(256)))


def test_a_sound_vhdx_is_described_whole(dynamic, disk):
    found = describe(dynamic)
    assert (found.format, found.contents, found.type, found.virtual_size) == ("vhdx", "a dynamic VHDX", DiskType.DYNAMIC, len(disk))
    assert (found.file_size, found.creator, found.parent, found.defects) == (dynamic.stat().st_size, "vhdprep fixtures", None, ())
    assert found.fields == {
        "vhdx:creator": "vhdprep fixtures", "vhdx:version": 1, "vhdx:sequence_number": 2, "vhdx:log_version": 0, "vhdx:log_offset": MIB,
        "vhdx:log_length": MIB, "vhdx:file_write_guid": str(uuid.UUID(int=2)), "vhdx:data_write_guid": str(vhdxfile.DATA_WRITE),
        "vhdx:log_guid": str(uuid.UUID(int=0)), "vhdx:log_entries": 0, "vhdx:block_table_offset": 3 * MIB, "vhdx:block_table_length": MIB,
        "vhdx:metadata_offset": 2 * MIB, "vhdx:metadata_length": MIB, "vhdx:block_size": MIB, "vhdx:leave_allocated": 0, "vhdx:has_parent": 0,
        "vhdx:virtual_size": len(disk), "vhdx:disk_id": "d15c0000-0000-4000-8000-000000000001", "vhdx:logical_sector_size": 512,
        "vhdx:physical_sector_size": 4096,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["fixed", "dynamic"])
@pytest.mark.parametrize("block", [MIB, 4 * MIB, 32 * MIB])
@pytest.mark.parametrize("sector", [512, 4096])
def test_every_byte_is_what_was_written_and_what_pyvhdi_reads(disk, tmp_path, kind, block, sector):
    path = tmp_path / "disk.vhdx"
    vhdxfile.write(disk, path, kind=kind, block=block, sector=sector)
    found = describe(path)
    assert (found.type, found.defects) == (DiskType(kind), ())
    assert read(path) == disk
    other = pyvhdi.file()
    other.open(str(path))
    assert other.read_buffer_at_offset(other.media_size, 0) == disk
    for offset, size in ((0, 1), (MIB - 3, 7), (4 * MIB - 1, 2 * MIB + 2), (len(disk) - 5, 100), (len(disk), 10)):
        assert read(path, offset, size) == disk[offset : offset + size]


def test_a_disk_of_several_gibibytes_skips_the_entries_of_bitmaps(tmp_path):
    """One entry after each 128 blocks of 32 MiB is no block."""
    path = tmp_path / "disk.vhdx"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vhdx", "-o", "block_size=32M", str(path), "9G"], check=True)
    for place in ("4095M", "4096M", "8500M"):
        subprocess.run(["qemu-io", "-f", "vhdx", "-c", f"write -q -P 0x41 {place} 64k", str(path)], check=True, capture_output=True)
    assert describe(path).defects == ()
    for place in (4095 * MIB, 4096 * MIB, 8500 * MIB):
        assert (read(path, place, 65536), read(path, place + 65536, 512)) == (b"A" * 65536, bytes(512))


@pytest.mark.parametrize(("kind", "size"), [("dynamic", "10M"), ("fixed", "10M"), ("dynamic", "70M"), ("fixed", "33792")])
def test_what_qemu_writes_is_sound_and_reads_as_qemu_reads_it(tmp_path, kind, size):
    path, raw = tmp_path / "disk.vhdx", tmp_path / "disk.raw"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vhdx", "-o", f"subformat={kind}", str(path), size], check=True)
    subprocess.run(["qemu-io", "-f", "vhdx", "-c", "write -q -P 0x42 4096 20k", str(path)], check=True, capture_output=True)
    found = describe(path)
    assert (found.type, found.defects, found.creator.startswith("QEMU")) == (DiskType(kind), (), True)
    subprocess.run(["qemu-img", "convert", "-f", "vhdx", "-O", "raw", str(path), str(raw)], check=True)
    assert read(path) == raw.read_bytes()


def test_what_we_write_is_what_qemu_reads(dynamic, disk, tmp_path):
    raw = tmp_path / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-f", "vhdx", "-O", "raw", str(dynamic), str(raw)], check=True)
    assert raw.read_bytes() == disk


@pytest.mark.data
@pytest.mark.parametrize("name", ["ntfs-dynamic", "xfs5"])
def test_real_disks_of_hyper_v_are_sound_and_read_as_pyvhdi_reads_them(data, name):
    path = data(f"vhdx/{name}.vhdx")
    found = describe(path)
    assert (found.type, found.defects, found.creator.startswith("Microsoft Windows 10.0.")) == (DiskType.DYNAMIC, (), True)
    other = pyvhdi.file()
    other.open(str(path))
    assert (other.identifier, other.media_size) == (found.fields["vhdx:data_write_guid"], found.virtual_size)
    with open_image(path) as handle:
        reader = vhdx.open_reader(handle, found)
        for offset in range(0, min(reader.size, 256 * MIB), 4 * MIB):
            assert reader.read_at(offset, 4 * MIB) == other.read_buffer_at_offset(min(4 * MIB, reader.size - offset), offset)


@pytest.mark.parametrize("state", [layout.NOT_PRESENT, layout.UNDEFINED, layout.ZERO, layout.UNMAPPED])
def test_a_block_without_content_is_zero_whatever_place_it_names(dynamic, state):
    set_entry(dynamic, 0, state, at=entry_of(dynamic, 1) >> 20)
    assert (read(dynamic, 0, MIB), describe(dynamic).defects) == (bytes(MIB), ())


@pytest.mark.parametrize("state", [4, 5, layout.PARTIALLY_PRESENT])
def test_a_block_in_a_state_that_it_cannot_have_is_named_and_not_read(dynamic, state):
    set_entry(dynamic, 2, state, at=entry_of(dynamic, 2) >> 20)
    assert messages(dynamic) == [("vhdx-block-state", f"1 of 10 blocks have a state that they cannot have; the first is block 2 (state {state}).")]
    with pytest.raises(Unreadable, match=f"block 2 of the disk has the state {state}, which it cannot have"):
        read(dynamic)


@pytest.mark.parametrize("at", [0, 5000, 2**44 - 1])
def test_a_block_in_the_header_or_outside_the_file_is_named_and_not_read(dynamic, at):
    set_entry(dynamic, 0, layout.FULLY_PRESENT, at=at)
    kind = "vhdx-block-outside-file" if at else "vhdx-block-overlap"
    assert [(kind, f"at byte {at * MIB}." in text) for kind, text in messages(dynamic)] == [(kind, True)]
    with pytest.raises(Unreadable, match="block 0 of the disk lies outside the file"):
        read(dynamic)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_block_on_the_log_the_metadata_or_the_table_is_an_overlap(dynamic, at):
    set_entry(dynamic, 0, layout.FULLY_PRESENT, at=at)
    text = f"1 of 8 blocks overlap another block, a table or the log; the first at byte {at * MIB}."
    assert messages(dynamic) == [("vhdx-block-overlap", text)]


def test_two_blocks_at_one_place_are_an_overlap(dynamic):
    set_entry(dynamic, 0, layout.FULLY_PRESENT, at=entry_of(dynamic, 1) >> 20)
    assert [kind for kind, _ in messages(dynamic)] == ["vhdx-block-overlap"]


def test_a_file_without_its_end_lacks_its_last_block(dynamic):
    size = dynamic.stat().st_size - 1000
    with dynamic.open("r+b") as file:
        file.truncate(size)
    text = f"1 of 8 blocks lie outside the file of {size} bytes; the first at byte {(size // MIB) * MIB}."
    assert messages(dynamic) == [("vhdx-block-outside-file", text)]


# headers and regions


def test_the_header_with_the_greater_sequence_number_counts(dynamic):
    assert describe(dynamic).fields["vhdx:file_write_guid"] == str(uuid.UUID(int=2))
    patch(dynamic, (65536 + 8, struct.pack("<Q", 9)))
    seal(dynamic, 65536, 4096)
    assert describe(dynamic).fields["vhdx:file_write_guid"] == str(uuid.UUID(int=1))


def test_one_damaged_header_is_named_and_the_other_one_used(dynamic, disk):
    patch(dynamic, (131072 + 100, b"\1"))
    ((kind, text),) = messages(dynamic)
    assert (kind, text.startswith("One of the two headers cannot be used (at byte 131072 the checksum is 0x")) == ("vhdx-copy", True)
    assert read(dynamic) == disk


def test_headers_that_are_equal_are_no_contradiction_and_headers_that_differ_are(dynamic, disk):
    first = dynamic.read_bytes()[65536 : 65536 + 4096]
    patch(dynamic, (131072, first))
    assert (describe(dynamic).defects, read(dynamic)) == ((), disk)
    patch(dynamic, (131072 + 16, b"\1"))
    seal(dynamic, 131072, 4096)
    assert messages(dynamic) == [("vhdx-header", "Both headers have the sequence number 1 and differ, so neither is the current one.")]


@pytest.mark.parametrize(
    ("wound", "kind", "text"),
    [
        ([(65536, b"x"), (131072, b"x")], "vhdx-header", 'Neither header can be used: there is no "head" at byte 65536; there is no "head" at byte 131072.'),
        ([(196608, b"x"), (262144, b"x")], "vhdx-region-table", 'Neither region table can be used: there is no "regi" at byte 196608.'),
        ([(METADATA, b"x")], "vhdx-metadata", f'There is no "metadata" at byte {METADATA}.'),
        ([(METADATA + 10, b"\xff\xff")], "vhdx-metadata", "The metadata table claims 65535 entries; 2047 are the most."),
        ([(METADATA + 32, b"x"), (METADATA + 56, b"\0")], "vhdx-metadata", 'The metadata has no "file parameters".'),
        ([(METADATA + 32, b"x")], "vhdx-metadata", "Entry 0 of the metadata is one that a reader must know, and it is not known here."),
        ([(METADATA + 56, b"\1")], "vhdx-metadata", 'The metadata has no "file parameters".'),
        ([(METADATA + 64, uuid.UUID("CAA16737-FA36-4D43-B3B6-33F0AA44E76B").bytes_le)], "vhdx-metadata", 'The metadata has two of "file parameters".'),
        ([(METADATA + 48, b"\xff\xff\xff\xff")], "vhdx-metadata", 'The "file parameters" lies outside the metadata: bytes 4294967295 to 4294967303 of 1048576.'),
        ([(METADATA + 52, b"\4")], "vhdx-metadata", 'The "file parameters" of the metadata has 4 bytes, not 8.'),
        ([(METADATA + 52, b"\0\0\x0f")], "vhdx-metadata", 'The "file parameters" of the metadata has 983040 bytes; more than 65536 are not read.'),
        ([(ITEMS, struct.pack("<I", 3000))], "vhdx-metadata", "The block size is 3000 bytes, not a power of two from 1048576 to 268435456."),
        ([(ITEMS, bytes(4))], "vhdx-metadata", "The block size is 0 bytes, not a power of two from 1048576 to 268435456."),
        ([(ITEMS + 8, struct.pack("<Q", 2**63))], "vhdx-metadata", "The disk claims 9223372036854775808 bytes, not a whole number of its sectors of 512, up to 70368744177664 bytes."),
        ([(ITEMS + 8, struct.pack("<Q", 511))], "vhdx-metadata", "The disk claims 511 bytes, not a whole number of its sectors of 512, up to 70368744177664 bytes."),
        ([(ITEMS + 16, struct.pack("<I", 520))], "vhdx-metadata", "The logical sector size is 520, neither 512 nor 4096."),
        ([(ITEMS + 20, struct.pack("<I", 0))], "vhdx-metadata", "The physical sector size is 0, neither 512 nor 4096."),
        ([(ITEMS + 4, b"\2")], "vhdx-metadata", "The disk has a parent, and the metadata does not say which."),
        ([(ITEMS + 8, struct.pack("<Q", 2**40))], "vhdx-block-table", "The block table has 1048576 bytes; a disk of 1048576 blocks needs 1048831 entries of 8."),
        ([(ITEMS + 8, struct.pack("<Q", 2**46))], "vhdx-block-table", "The disk has 67108864 blocks of 1048576 bytes; more than 2097152 are not read."),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_and_refused(dynamic, wound, kind, text):
    patch(dynamic, *wound)
    found = describe(dynamic)
    assert [(defect.kind, defect.message) for defect in found.defects] == [(kind, text)]
    assert (found.contents == "a damaged VHDX") == (kind != "vhdx-block-table")
    with pytest.raises(Unreadable) as caught:
        read(dynamic)
    assert text.rstrip(".")[1:] in str(caught.value)


@pytest.mark.parametrize(
    ("at", "data", "text"),
    [
        (8, struct.pack("<I", 2048), "The region table claims 2048 entries; 2047 are the most."),
        (8, struct.pack("<I", 1), "The region table does not say where the metadata is."),
        (16, bytes(16), "Entry 0 of the region table is one that a reader must know, and it is not known here."),
        (16, uuid.UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E").bytes_le, "The region table names the metadata twice."),
        (32, struct.pack("<Q", 3 * MIB + 512), f"The block table cannot lie at byte {3 * MIB + 512} with a length of {MIB}."),
        (32, bytes(8), f"The block table cannot lie at byte 0 with a length of {MIB}."),
        (32, struct.pack("<Q", 2**60), f"The block table ends at byte {2**60 + MIB}, after the end of the file ({12 * MIB})."),
        (32, struct.pack("<Q", 2 * MIB), f"Log, block table and metadata overlap at byte {2 * MIB}."),
        (32, struct.pack("<Q", MIB), f"Log, block table and metadata overlap at byte {MIB}."),
        (40, struct.pack("<I", 0xFFF00000), f"The block table ends at byte {3 * MIB + 0xFFF00000}, after the end of the file ({12 * MIB})."),
    ],
)
def test_a_region_that_cannot_be_there_is_named(dynamic, at, data, text):
    for place in layout.REGION_TABLES:
        patch(dynamic, (place + at, data))
        seal(dynamic, place, 65536)
    assert messages(dynamic) == [("vhdx-region-table", text)]


def test_one_damaged_region_table_is_named_and_the_other_one_used(dynamic, disk):
    patch(dynamic, (196608 + 8, b"\0"))
    ((kind, text),) = messages(dynamic)
    assert (kind, text.startswith("One of the two region tables cannot be used (at byte 196608 the checksum is 0x")) == ("vhdx-copy", True)
    assert (text.endswith("; the second was used."), read(dynamic)) == (True, disk)
    patch(dynamic, (262144, b"x"))
    assert messages(dynamic)[0][0] == "vhdx-region-table"


def test_region_tables_that_differ_are_named(dynamic):
    patch(dynamic, (262144 + 1000, b"\1"))
    seal(dynamic, 262144, 65536)
    assert messages(dynamic) == [("vhdx-copy", "The two region tables differ; the first was used.")]


def test_a_version_that_is_not_known_is_refused(dynamic):
    vhdxfile.write_headers(dynamic, version=2)
    assert messages(dynamic) == [("vhdx-header", "The header has version 2; only version 1 is known.")]


def test_a_creator_of_control_characters_is_escaped(dynamic):
    patch(dynamic, (8, "a\x1b[2J\u202e\ud800b".encode("utf-16-le", "surrogatepass") + bytes(40)))
    assert describe(dynamic).creator == "a\\u001b[2J\\u202e\ufffdb"


# differencing


def child_of(parent_content, parent_path, path, data, **paths):
    vhdxfile.write(
        data,
        path,
        block=MIB,
        parent=vhdxfile.Parent(parent_content, vhdxfile.DATA_WRITE, paths or {"relative_path": f".\\{parent_path.name}"}),
        data_write=uuid.UUID(int=5),
    )


@pytest.fixture
def pair(tmp_path):
    """A parent full of noise, and a child with a zero block, a full block, and blocks that are the child's in part."""
    base = random.Random(3).randbytes(8 * MIB)
    changed = bytearray(base)
    changed[MIB : 2 * MIB] = bytes(MIB)
    changed[2 * MIB : 3 * MIB] = b"x" * MIB
    for at, size in ((3 * MIB, 512), (4 * MIB - 1024, 2048), (5 * MIB + 4096, 100_000)):
        changed[at : at + size] = b"y" * size
    parent, child = tmp_path / "parent.vhdx", tmp_path / "child.vhdx"
    vhdxfile.write(base, parent)
    child_of(base, parent, child, bytes(changed))
    return base, bytes(changed), parent, child


class Memory:
    """A parent's disk from memory."""

    def __init__(self, data):
        self.data, self.size = data, len(data)

    def read_at(self, offset, size):
        return self.data[offset : offset + size]


def test_a_differencing_vhdx_is_described_with_the_way_to_its_parent(pair):
    _, _, _, child = pair
    found = describe(child)
    assert (found.contents, found.type, found.parent, found.defects) == ("a differencing VHDX", DiskType.DIFFERENCING, ".\\parent.vhdx", ())
    locator = {name: found.fields[f"vhdx:{name}"] for name in layout.LOCATOR_KEYS if f"vhdx:{name}" in found.fields}
    assert locator == {"parent_linkage": f"{{{vhdxfile.DATA_WRITE}}}", "relative_path": ".\\parent.vhdx"}


def test_sectors_come_from_child_or_parent_as_the_bitmap_says(pair):
    base, changed, _, child = pair
    states = [entry_of(child, index) & 7 for index in range(8)]
    assert states == [0, layout.ZERO, layout.FULLY_PRESENT, layout.PARTIALLY_PRESENT, layout.PARTIALLY_PRESENT, layout.PARTIALLY_PRESENT, 0, 0]
    assert read(child, parent=Memory(base)) == changed
    for offset, size in ((3 * MIB + 511, 2), (4 * MIB - 1025, 1026), (5 * MIB + 4000, 100_500), (MIB - 1, 2)):
        assert read(child, offset, size, Memory(base)) == changed[offset : offset + size]


def test_blocks_that_were_zeroed_are_not_the_parents_as_pyvhdi_has_it(pair):
    """Why pyvhdi does not read VHDX here: it gives out what the child's guest had erased."""
    base, changed, parent, child = pair
    other, beneath = pyvhdi.file(), pyvhdi.file()
    other.open(str(child))
    beneath.open(str(parent))
    other.set_parent(beneath)
    assert other.read_buffer_at_offset(MIB, MIB) == base[MIB : 2 * MIB]
    assert read(child, MIB, MIB, Memory(base)) == changed[MIB : 2 * MIB] == bytes(MIB)
    assert other.read_buffer_at_offset(6 * MIB, 2 * MIB) == changed[2 * MIB :]


@pytest.mark.parametrize("state", [layout.UNDEFINED, layout.ZERO, layout.UNMAPPED])
def test_a_block_that_the_child_gave_up_does_not_show_its_parent(pair, state):
    base, _, _, child = pair
    set_entry(child, 0, state)
    assert read(child, 0, MIB, Memory(base)) == bytes(MIB)


def test_a_bitmap_that_is_missing_is_named_and_nothing_is_guessed(pair):
    base, _, _, child = pair
    set_entry(child, 4096, layout.NOT_PRESENT)
    assert messages(child) == [("vhdx-block-state", "3 of 8 blocks have a state that they cannot have; the first is block 3 (state 7).")]
    with pytest.raises(Unreadable, match="which sectors of block 3 are the parent's is not known: the bitmap is missing"):
        read(child, parent=Memory(base))


def test_changes_alone_are_no_disk(pair):
    with pytest.raises(Unreadable, match="a differencing VHDX holds only changes, and its parent was not opened"):
        read(pair[3])


def test_a_parent_that_is_smaller_ends_in_zeros(pair):
    base, changed, _, child = pair
    assert read(child, 6 * MIB, 2 * MIB, Memory(base[: 7 * MIB])) == changed[6 * MIB : 7 * MIB] + bytes(MIB)


@pytest.mark.parametrize(
    ("at", "data", "text"),
    [
        (0, bytes(16), "The parent is of a kind that is not known, 00000000-0000-0000-0000-000000000000: no VHDX."),
        (18, b"\xff\xff", "The parent locator claims 65535 keys; it has 200 bytes, and 64 keys are the most that are read."),
        (20, b"\xff\xff\xff\xff", "Key 0 of the parent locator lies outside it."),
        (28, b"\xff\xff", "Key 0 of the parent locator lies outside it."),
    ],
)
def test_a_parent_locator_that_lies_is_named(pair, at, data, text):
    _, _, _, child = pair
    place = child.read_bytes().index(layout.LOCATOR_TYPE, METADATA)
    patch(child, (place + at, data))
    assert messages(child) == [("vhdx-metadata", text)]


def test_a_parent_locator_that_says_a_thing_twice_is_named(pair):
    _, _, _, child = pair
    data = child.read_bytes()
    place = data.index(layout.LOCATOR_TYPE, METADATA) + 20
    patch(child, (place + 12, data[place : place + 12]))
    assert messages(child) == [("vhdx-metadata", "The parent locator has the key parent_linkage twice.")]


def test_limits_are_where_they_bound(dynamic, monkeypatch):
    monkeypatch.setattr(blocks, "MAX_BLOCKS", 9)
    assert messages(dynamic)[0][0] == "vhdx-block-table"
    monkeypatch.setattr(metadata, "MAX_ITEMS", 4)
    assert messages(dynamic)[0][0] == "vhdx-metadata"
    monkeypatch.setattr(header, "MAX_REGIONS", 1)
    assert messages(dynamic)[0][0] == "vhdx-region-table"


def test_a_copy_under_another_name_is_the_same_disk(dynamic, disk, tmp_path):
    shutil.copy(dynamic, tmp_path / "image.vhd")
    assert (describe(tmp_path / "image.vhd").format, read(tmp_path / "image.vhd")) == ("vhdx", disk)
