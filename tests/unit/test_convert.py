"""Copies of every container, byte for byte what was given, with a footer that others read as we do."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import uuid
from itertools import pairwise

import pytest
import pyvhdi
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import vhdfile, vhdxfile
from vhdprep.errors import CopyFailed, Unreadable
from vhdprep.vhd import convert
from vhdprep.vhd.blocks import FlatReader, extents, merge
from vhdprep.vhd.container import describe
from vhdprep.vhd.opening import open_reader

MIB = 1024 * 1024
ID = uuid.UUID("01234567-89ab-4def-8123-456789abcdef")
NOW = 1_764_400_000

needs_qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img (qemu-utils)")


class Memory:
    """A disk of bytes that cannot tell its holes."""

    def __init__(self, data):
        self.data, self.size = data, len(data)

    def read_at(self, offset, size):
        return self.data[offset : offset + size]


def convert_to(path, reader, **options):
    with path.open("w+b", buffering=0) as out:
        done = convert.copy(reader, out, **options)
        convert.append_footer(out, done.size, unique_id=ID, now=NOW)
    return done


def convert_file(source, path):
    with open_reader(source, describe(source)) as reader:
        return convert_to(path, reader)


def scattered(seed, size):
    """Zeros with noise here and there, and a long run of each."""
    chance = random.Random(seed)
    content = bytearray(size)
    for _ in range(12):
        at = chance.randrange(size)
        noise = chance.randbytes(chance.choice((1, 511, 4096, 70_000)))
        content[at : at + len(noise)] = noise
    return bytes(content[:size])


def make(kind, content, folder):
    """``content`` as a container of ``kind``."""
    raw, path = folder / "disk.raw", folder / f"disk-{kind}"
    raw.write_bytes(content)
    if kind == "raw":
        return raw.rename(path)
    if kind in ("fixed", "dynamic"):
        vhdfile.write(raw, path, kind=kind)
    else:
        vhdxfile.pack(raw, path.with_suffix(".vhdx"), parent=kind == "vhdx-differencing", interrupted=kind == "vhdx-interrupted")
        return path.with_suffix(".vhdx")
    return path


@pytest.mark.parametrize("kind", ["raw", "fixed", "dynamic", "vhdx", "vhdx-differencing", "vhdx-interrupted"])
def test_the_copy_of_any_container_holds_the_same_disk(tmp_path, kind):
    content = bytearray(scattered(1, 9 * MIB))
    content[510:512] = b"\x55\xaa"
    source = make(kind, bytes(content), tmp_path)
    before = source.read_bytes()
    done = convert_file(source, tmp_path / "copy.vhd")
    copy = (tmp_path / "copy.vhd").read_bytes()
    assert done == convert.Copied(9 * MIB, 9 * MIB, moved_backup=False)
    assert (copy[:-512] == content, len(copy)) == (True, 9 * MIB + 512)
    assert source.read_bytes() == before


def test_a_real_differencing_vhd_is_copied_with_what_its_parent_holds(data, tmp_path):
    for name in ("fat-parent.vhd", "fat-differential.vhd"):
        shutil.copy(data(f"vhd/{name}"), tmp_path / name)
    done = convert_file(tmp_path / "fat-differential.vhd", tmp_path / "copy.vhd")
    child, parent = pyvhdi.file(), pyvhdi.file()
    child.open(str(tmp_path / "fat-differential.vhd"))
    parent.open(str(tmp_path / "fat-parent.vhd"))
    child.set_parent(parent)
    expected, base = (bytearray(each.read_buffer_at_offset(each.media_size, 0)) for each in (child, parent))
    assert expected != base
    settings = slice(186 * 512, 187 * 512)  # WPSettings.dat, which the child leaves to its parent; pyvhdi reads zeros there
    assert (base[settings][:4], any(expected[settings])) == (b"\x0c\0\0\0", False)
    expected[settings] = base[settings]
    assert (tmp_path / "copy.vhd").read_bytes()[: done.source_size] == expected


@needs_qemu
def test_a_real_dynamic_vhd_and_its_copy_are_the_same_to_qemu_img(data, tmp_path):
    source = data("vhd/hyperv2012r2-dynamic.vhd")
    convert_file(source, tmp_path / "copy.vhd")
    compared = subprocess.run(
        ["qemu-img", "compare", "-f", "vpc", "-F", "vpc", str(source), str(tmp_path / "copy.vhd")], capture_output=True, text=True, check=False
    )
    assert (compared.returncode, compared.stdout) == (0, "Images are identical.\n")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 5 * MIB), kind=st.sampled_from(["memory", "raw", "fixed", "dynamic", "vhdx"]))
def test_every_disk_reads_back_as_its_reader_reads_it(tmp_path_factory, seed, size, kind):
    folder = tmp_path_factory.mktemp("disk")
    size = size if kind in ("memory", "raw", "fixed") else -(-size // 512) * 512
    content = scattered(seed, size)
    try:
        if kind == "memory":
            done = convert_to(folder / "copy.vhd", Memory(content))
        elif kind == "raw":
            (folder / "disk").write_bytes(content)
            with (folder / "disk").open("rb", buffering=0) as handle:
                done = convert_to(folder / "copy.vhd", FlatReader(handle, size))
        else:
            done = convert_file(make(kind, content, folder), folder / "copy.vhd")
        copy = (folder / "copy.vhd").read_bytes()
        assert done.size == -(-size // MIB) * MIB
        assert copy[:-512] == content.ljust(done.size, b"\0")
    finally:
        shutil.rmtree(folder)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(["raw", "dynamic", "vhdx", "vhdx-differencing"]))
def test_what_a_reader_calls_holes_is_zero(tmp_path_factory, seed, kind):
    folder = tmp_path_factory.mktemp("disk")
    try:
        content = bytearray(scattered(seed, 6 * MIB))
        content[510:512] = b"\x55\xaa"
        source = make(kind, bytes(content), folder)
        with open_reader(source, describe(source)) as reader:
            spans = list(extents(reader))
        assert all(begin < end for begin, end in spans)
        assert all(before[1] < after[0] for before, after in pairwise(spans))
        for begin, end in spans:
            content[begin:end] = bytes(end - begin)
        assert not any(content)
    finally:
        shutil.rmtree(folder)


SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=8).map(lambda found: list(merge((a, a + n) for a, n in found)))


@given(spans=SPANS, others=SPANS)
def test_spans_without_others_are_every_byte_that_only_they_have(spans, others):
    def numbers(found):
        return [each for begin, end in found for each in range(begin, end)]

    assert numbers(convert._without(spans, others)) == [each for each in numbers(spans) if each not in numbers(others)]


def test_the_copy_is_sparse_on_the_host(tmp_path):
    convert_to(tmp_path / "copy.vhd", Memory(b"boot".ljust(300 * MIB, b"\0") + b"end"))
    stat = (tmp_path / "copy.vhd").stat()
    assert (stat.st_size, stat.st_blocks * 512 < MIB) == (301 * MIB + 512, True)


def test_the_footer_is_what_the_specification_says(tmp_path):
    convert_to(tmp_path / "copy.vhd", Memory(bytes(64 * MIB)))
    found = describe(tmp_path / "copy.vhd")
    assert found.defects == ()
    assert found.fields == {
        "footer:cookie": "conectix",
        "footer:features": 2,
        "footer:format_version": 0x10000,
        "footer:data_offset": 0xFFFFFFFFFFFFFFFF,
        "footer:time_stamp": NOW - 946_684_800,
        "footer:creator_application": "win ",
        "footer:creator_version": 0x000A0000,
        "footer:creator_host_os": "Wi2k",
        "footer:original_size": 64 * MIB,
        "footer:current_size": 64 * MIB,
        "footer:cylinders": 963,
        "footer:heads": 8,
        "footer:sectors_per_track": 17,
        "footer:disk_type": 2,
        "footer:checksum": found.fields["footer:checksum"],
        "footer:unique_id": str(ID),
        "footer:saved_state": 0,
    }


@needs_qemu
@pytest.mark.parametrize("mib", [1, 3, 20, 127, 504, 1023, 8192, 131_073, 2_088_960])
def test_others_read_the_size_that_was_written(tmp_path, mib):
    path = tmp_path / "copy.vhd"
    with path.open("w+b", buffering=0) as out:
        convert.append_footer(out, mib * MIB, unique_id=ID, now=NOW)
    told = subprocess.run(["qemu-img", "info", "-f", "vpc", "--output=json", str(path)], capture_output=True, check=True)
    assert json.loads(told.stdout)["virtual-size"] == mib * MIB
    other = pyvhdi.file()
    other.open(str(path))
    assert (other.media_size, str(uuid.UUID(other.identifier))) == (mib * MIB, str(ID))
    assert (describe(path).virtual_size, describe(path).defects) == (mib * MIB, ())


def test_progress_tells_what_is_done_of_how_much_in_each_step(tmp_path):
    told = []
    convert_to(tmp_path / "copy.vhd", Memory(b"\1" * (5 * MIB)), progress=lambda *each: told.append(each))
    steps = [step for _, _, step in told]
    assert steps == sorted(steps, reverse=True) or steps == sorted(steps, key=["copy", "compare"].index)
    for step in ("copy", "compare"):
        mine = [(done, total) for done, total, each in told if each == step]
        assert mine == sorted(mine)
        assert {total for _, total in mine} == {5 * MIB}
        assert mine[-1] == (5 * MIB, 5 * MIB)


class Through:
    """A file, with one of its methods exchanged."""

    def __init__(self, file, **exchanged):
        self.file, self.exchanged = file, exchanged

    def __getattr__(self, name):
        return self.exchanged.get(name) or getattr(self.file, name)


def test_a_byte_that_does_not_read_back_is_found(tmp_path):
    def read_flipped(size):
        at, data = out.tell(), out.read(size)
        return data[:-1] + bytes([data[-1] ^ 1]) if at <= 3 * MIB < at + size else data

    words = "does not read back as it was written, between bytes 3145728 and 4194304"
    with (tmp_path / "copy.vhd").open("w+b", buffering=0) as out, pytest.raises(CopyFailed, match=words):
        convert.copy(Memory(b"\1" * (5 * MIB)), Through(out, read=read_flipped))


def test_a_host_that_writes_and_reads_in_small_pieces_is_asked_again(tmp_path):
    content = random.Random(9).randbytes(2 * MIB)
    with (tmp_path / "copy.vhd").open("w+b", buffering=0) as out:
        pieces = {"write": lambda data: out.write(data[:100_000]), "read": lambda size: out.read(min(size, 100_000))}
        convert.copy(Memory(content), Through(out, **pieces))
    assert (tmp_path / "copy.vhd").read_bytes() == content


def test_a_byte_where_the_source_has_a_hole_is_found(tmp_path, monkeypatch):
    source = tmp_path / "disk"
    source.write_bytes(b"\1" * MIB)
    os.truncate(source, 9 * MIB)
    write = convert._write

    def stray(*given):
        write(*given)
        given[1].seek(7 * MIB)
        given[1].write(b"x")

    monkeypatch.setattr(convert, "_write", stray)
    with source.open("rb", buffering=0) as handle, pytest.raises(CopyFailed, match="does not read back"):
        convert_to(tmp_path / "copy.vhd", FlatReader(handle, 9 * MIB))


def test_a_disk_of_no_bytes_and_one_larger_than_any_are_refused(tmp_path):
    for size in (0, convert.MAX_SIZE + 1):
        reader = Memory(b"")
        reader.size = size
        with pytest.raises(CopyFailed, match=f"a disk of {size} bytes is not copied"):
            convert_to(tmp_path / "copy.vhd", reader)


def test_a_block_outside_the_file_stops_the_copy(tmp_path):
    source = make("dynamic", scattered(2, 4 * MIB), tmp_path)
    with source.open("r+b") as file:
        file.seek(1536)
        file.write(b"\x7f\xff\xff\xf0")
    with pytest.raises(Unreadable, match="block 0 of the disk lies outside the file"):
        convert_file(source, tmp_path / "copy.vhd")


def test_a_fixed_disk_that_is_cut_short_is_not_copied(tmp_path):
    source = make("fixed", scattered(2, 4 * MIB), tmp_path)
    whole = source.read_bytes()
    source.write_bytes(whole[: 2 * MIB] + whole[-512:])
    with pytest.raises(CopyFailed, match="is not whole, and a copy of it would hide that"):
        convert.refuse_incomplete(describe(source))
