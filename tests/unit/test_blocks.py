"""Dynamic disks as linear bytes, held against what was written and against pyvhdi."""

from __future__ import annotations

import io
import random

import pytest
import pyvhdi

from fixtures import vhdfile
from vhdprep.errors import Unreadable
from vhdprep.vhd.blocks import DynamicReader, FlatReader
from vhdprep.vhd.container import describe, open_image

MIB = 1024 * 1024


@pytest.fixture
def disk(tmp_path):
    """8.5 MiB with data here and there, and the same as a dynamic VHD."""
    content = bytearray(8 * MIB + MIB // 2)
    chance = random.Random(1)
    for _ in range(40):
        at = chance.randrange(len(content) - 5000)
        content[at : at + 5000] = chance.randbytes(5000)
    content[:4000] = chance.randbytes(4000)
    content[4 * MIB : 6 * MIB] = bytes(2 * MIB)
    raw, path = tmp_path / "disk.raw", tmp_path / "disk.vhd"
    raw.write_bytes(content)
    vhdfile.write(raw, path, kind="dynamic")
    return bytes(content), path


def test_every_byte_of_a_dynamic_disk_is_what_was_written(disk):
    content, path = disk
    found = describe(path)
    with open_image(path) as handle:
        reader = DynamicReader(handle, found.fields, found.file_size)
        assert reader.size == len(content)
        assert reader.read_at(0, len(content)) == content
        for offset, size in ((0, 1), (2 * MIB - 3, 7), (4 * MIB - 1, 2 * MIB + 2), (len(content) - 5, 100), (len(content), 10)):
            assert reader.read_at(offset, size) == content[offset : offset + size]


def test_sectors_not_marked_in_the_bitmap_are_zero_as_pyvhdi_reads_them(disk):
    content, path = disk
    found = describe(path)
    with path.open("r+b") as file:
        file.seek(1536)
        first = int.from_bytes(file.read(4), "big") * 512
        file.seek(first)
        file.write(b"\x0f" + b"\xff" * 510 + b"\xf0")
    with open_image(path) as handle:
        reader = DynamicReader(handle, found.fields, found.file_size)
        mine = reader.read_at(0, 2 * MIB)
        assert reader.read_at(2000, 100) == mine[2000:2100]
    other = pyvhdi.file()
    other.open(str(path))
    assert mine == other.read_buffer_at_offset(2 * MIB, 0)
    assert mine != content[: 2 * MIB]


@pytest.mark.parametrize("size", [5 * MIB, 8 * MIB + MIB // 2, 12 * MIB])
def test_what_a_differencing_disk_does_not_have_is_its_parents(disk, size):
    """Every sector by its own bit, without the program's arithmetic; a parent may be smaller or larger."""
    content, path = disk
    found = describe(path)
    chance = random.Random(7)
    beneath = chance.randbytes(size)
    expected = bytearray(beneath[: len(content)].ljust(len(content), b"\0"))
    with path.open("r+b") as file:
        for block in range(5):
            file.seek(1536 + 4 * block)
            at = int.from_bytes(file.read(4), "big") * 512
            if at == 0xFFFFFFFF * 512:
                continue
            bitmap = chance.randbytes(512)
            file.seek(at)
            file.write(bitmap)
            for sector in range(4096):
                place = block * 4096 * 512 + sector * 512
                if bitmap[sector // 8] & 0x80 >> sector % 8 and place < len(content):
                    expected[place : place + 512] = content[place : place + 512]
    with open_image(path) as handle:
        reader = DynamicReader(handle, found.fields, found.file_size, parent=FlatReader(io.BytesIO(beneath), size))
        assert reader.read_at(0, len(content)) == expected
        assert reader.read_at(2 * MIB - 700, 3000) == expected[2 * MIB - 700 : 2 * MIB + 2300]


def test_real_disks_of_other_makers_read_as_pyvhdi_reads_them(data):
    for name in ("vhd/ext2.vhd", "vhd/hyperv2012r2-dynamic.vhd", "vhd/virtualpc-dynamic.vhd"):
        path = data(name)
        found = describe(path)
        other = pyvhdi.file()
        other.open(str(path))
        with open_image(path) as handle:
            reader = DynamicReader(handle, found.fields, found.file_size)
            assert reader.size == other.media_size
            size = min(reader.size, 16 * MIB)
            assert reader.read_at(0, size) == other.read_buffer_at_offset(size, 0)
            assert reader.read_at(reader.size - 4096, 4096) == other.read_buffer_at_offset(4096, other.media_size - 4096)


def test_a_block_outside_the_file_is_unreadable_not_zero(disk):
    _, path = disk
    with path.open("r+b") as file:
        file.seek(1536)
        file.write(b"\x7f\xff\xff\xf0")
    found = describe(path)
    with open_image(path) as handle, pytest.raises(Unreadable, match="block 0 of the disk lies outside the file"):
        DynamicReader(handle, found.fields, found.file_size).read_at(0, 512)


def test_a_flat_reader_ends_where_the_disk_ends(tmp_path):
    path = tmp_path / "disk.raw"
    path.write_bytes(b"0123456789")
    with path.open("rb", buffering=0) as handle:
        reader = FlatReader(handle, 8)
        assert (reader.read_at(6, 10), reader.read_at(8, 1), reader.read_at(100, 1)) == (b"67", b"", b"")
