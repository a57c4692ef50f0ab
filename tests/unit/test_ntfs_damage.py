"""Damaged and hostile NTFS: what cannot be read is said, nothing runs on, nothing is made up."""

from __future__ import annotations

import time
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.ntfs import MIB, Memory, files, opened, written
from vhdprep.disk.native import NativeDisk, ntfs
from vhdprep.disk.native.ntfs import index, mft
from vhdprep.errors import Unreadable, VhdprepError

DATA, ROOT, REPARSE = 0x80, 0x90, 0xC0
TREE = {
    "/victim": "x" * 5000,
    "/small": "resident",
    "/pieces": {"data": "y" * 4096 * 400, "pieces": 400},
    "/packed": {"data": "All work and no play " * 9000, "stored": "lznt1"},
    "/overlay": {"data": "All work and no play " * 900, "stored": "xpress4k"},
    "/link": {"link": "C:\\Users"},
    **{f"/full/a name of some length, number {number}": "" for number in range(100)},
}
THREE_DIRECTORIES = {f"/{directory}/a name of some length {number}": "" for directory in "abc" for number in range(100)}
SOUND = bytes(written(TREE).data)


def patch(name, kind, at, data):
    """Change bytes of one attribute of one file."""
    return lambda disk: disk.put(disk.attribute(name, kind) + at, data)


def in_record(name, at, data):
    return lambda disk: disk.put(disk.record(name) + at, data)


def mapping_pairs(name, data):
    """Other runs for a file that has one."""

    def change(disk):
        at = disk.attribute(name, DATA)
        disk.put(at + disk.number(at + 32, 2), bytes.fromhex(data))

    return change


def in_node(at, data):
    """Change the index node that holds the first name of the directory."""

    def change(disk):
        name = disk.data.index("number 0".encode("utf-16-le"), disk.data.index(b"INDX"))
        disk.put(disk.data.rindex(b"INDX", 0, name) + at, data)

    return change


def child_that_is_its_parent(disk):
    """Let the first entry of the node above all others lead to that node."""
    at = disk.data.index(b"INDX")
    while not (disk.data[at + 36] and b"s\0o\0m\0e" in disk.data[at : at + 4096]):
        at = disk.data.index(b"INDX", at + 1)
    child = at + 64 + disk.number(at + 64 + 8, 2) - 8
    disk.put(child, disk.data[at + 16 : at + 24])


def renamed(old, new):
    """Change a name in every index."""

    def change(disk):
        before, after = old.encode("utf-16-le"), new.encode("utf-16-le", "surrogatepass")
        disk.data = bytearray(bytes(disk.data).replace(before, after))

    return change


def garbage_in_clusters(name):
    def change(disk):
        at = disk.attribute(name, DATA)
        pairs = at + disk.number(at + 32, 2)
        counts, offsets = disk.data[pairs] & 15, disk.data[pairs] >> 4
        cluster = disk.number(pairs + 1 + counts, offsets)
        disk.put(cluster * 4096, b"\xff" * 4096)

    return change


WOUNDS = {
    "a record written only in part": ("/victim", in_record("victim", 510, b"??"), "written only in part"),
    "a record marked as bad": ("/victim", in_record("victim", 0, b"BAAD"), "does not begin with FILE"),
    "an update sequence outside the record": ("/victim", in_record("victim", 4, b"\xff\xff"), "does not fit"),
    "a record that is free": ("/victim", in_record("victim", 22, b"\0\0"), "no file or to another one"),
    "a record used again": ("/victim", in_record("victim", 16, b"\2\0"), "no file or to another one"),
    "a record that extends another": ("/victim", in_record("victim", 32, b"\5"), "no file or to another one"),
    "an attribute of no length": ("/victim", patch("victim", DATA, 4, bytes(4)), "an attribute does not fit"),
    "an attribute of four gigabytes": ("/victim", patch("victim", DATA, 4, b"\xf8\xff\xff\xff"), "an attribute does not fit"),
    "a value of four gigabytes": ("/small", patch("small", DATA, 16, b"\xff\xff\xff\xff"), "a value does not fit"),
    "runs outside the volume": ("/victim", mapping_pairs("victim", "3102ffff7f00"), "lies outside the volume"),
    "runs before the volume": ("/victim", mapping_pairs("victim", "11028000"), "cannot be"),
    "a run of no clusters": ("/victim", mapping_pairs("victim", "11003000"), "cannot be"),
    "runs that end early": ("/victim", mapping_pairs("victim", "11012000"), "end before"),
    "runs without an end": ("/victim", mapping_pairs("victim", "ff"), "cannot be"),
    "a first piece missing": ("/victim", patch("victim", DATA, 16, b"\7"), "a part of its runs is missing"),
    "an attribute list that names a stranger": ("/pieces", patch("pieces", 0x20, 24 + 16, b"\0\0"), "does not extend"),
    "an attribute list with an entry of no length": ("/pieces", patch("pieces", 0x20, 24 + 4, b"\0\0"), "attribute list"),
    "packed bytes that are none": ("/packed", garbage_in_clusters("packed"), "compressed content is damaged"),
    "a unit as large as the disk": ("/packed", patch("packed", DATA, 34, b"\x14"), "compressed in units of"),
    "a link cut short": ("/link", patch("link", REPARSE, 24 + 4, b"\4\0"), "cannot be read"),
}
DIRECTORY_WOUNDS = {
    "an index in a circle": (child_that_is_its_parent, "runs in a circle"),
    "an index node that is none": (in_node(0, b"XXXX"), "does not begin with INDX"),
    "an index entry of no length": (in_node(64 + 8, bytes(2)), "an entry does not fit"),
    "an index entry longer than its node": (in_node(64 + 8, b"\xf8\xff"), "an entry does not fit"),
    "an index node without its last entry": (in_node(24 + 4, b"\x30\0\0\0"), "a node has no end"),
    "a name with a slash": (renamed("number 7", "number/7"), "cannot be a name"),
    "a name with a zero": (renamed("number 7", "number\x007"), "cannot be a name"),
    "an index of gigabytes": (patch("full", 0xA0, 48, b"\0\0\0\xff"), "larger than"),
    "no index": (patch("full", ROOT, 0, b"\x91"), "index is missing"),
}


@pytest.mark.parametrize("name", WOUNDS)
def test_a_wounded_file_is_unreadable_and_its_neighbours_are_not(name):
    path, wound, reason = WOUNDS[name]
    disk = Memory(SOUND)
    wound(disk)
    found = opened(disk)
    begin = time.process_time()
    with pytest.raises(Unreadable, match=reason) as error:
        found.readlink(path) if path == "/link" else found.read(path, 10 * MIB)
    assert str(error.value).startswith(f"{path}: ")
    assert found.list("/full")
    assert all(found.read(other, 5) for other in ("/victim", "/small", "/overlay") if other != path)
    assert time.process_time() - begin < 2


@pytest.mark.parametrize("name", DIRECTORY_WOUNDS)
def test_a_wounded_directory_is_unreadable_not_empty(name):
    wound, reason = DIRECTORY_WOUNDS[name]
    disk = Memory(SOUND)
    wound(disk)
    found = opened(disk)
    for look in (lambda: found.list("/full"), lambda: found.lstat("/full/any name"), lambda: found.list("/full")):
        with pytest.raises(Unreadable, match=reason):
            look()
    assert found.read("/small", 100) == b"resident"


def test_half_a_surrogate_pair_in_a_name_is_escaped():
    disk = Memory(SOUND)
    renamed("number 70", "number 7\ud800")(disk)
    found = opened(disk)
    name = next(each for each in found.list("/full") if "\\" in each)
    assert name.endswith("number 7\\ud800")
    assert found.lstat(f"/full/{name}") is not None


@pytest.mark.parametrize(
    ("at", "data", "reason"),
    [
        (11, b"\0\0", "clusters of 0"),
        (11, b"\3\2", "clusters of"),
        (13, b"\0", "clusters of 0"),
        (13, b"\xf0", "clusters of 33554432"),
        (64, b"\x81", "records of"),
        (68, b"\x7f", "index nodes of"),
        (48, b"\xff" * 8, "cannot be"),
        (48, b"\xff\xff\xff\0", "record 0 is damaged"),
    ],
)
def test_a_boot_sector_that_cannot_be_leaves_the_volume_unread(at, data, reason):
    disk = Memory(SOUND)
    disk.put(at, data)
    (volume,) = NativeDisk(disk).volumes
    assert (volume.filesystem, volume.read, volume.needed) == ("ntfs", False, True)
    assert reason in volume.reason


def test_a_volume_cut_in_the_middle_is_unread():
    (volume,) = NativeDisk(Memory(SOUND[:100_000])).volumes
    assert (volume.read, volume.needed) == (False, True)


def test_a_sparse_file_of_an_exbibyte_costs_only_what_is_asked_for():
    disk = written({"/endless": {"data": "\0" * 5000, "stored": "sparse"}})
    huge = (1 << 59).to_bytes(8, "little")
    at = disk.attribute("endless", DATA)
    disk.put(at + 48, huge + huge)
    disk.put(at + disk.number(at + 32, 2), bytes.fromhex("0600000000008000"))
    found = opened(disk)
    assert found.lstat("/endless").size == 1 << 59
    assert peak(lambda: found.read("/endless", MIB, 1 << 58)) < 4 * MIB


def peak(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_directory_inside_itself_is_left_after_so_many_levels():
    disk = written({"/outer/inner/file": ""})
    outer, inner = ((disk.number(disk.record(name) + 44, 4) | 1 << 48).to_bytes(8, "little") for name in ("outer", "inner"))
    disk.put(disk.data.index(inner, disk.record("outer")), outer)
    found = opened(disk)
    assert found.list("/outer/inner/inner/inner") == ("inner",)
    with pytest.raises(Unreadable, match="deeper than 256"):
        found.lstat("/outer" + "/inner" * 300)


def test_more_names_than_the_limit_are_refused(monkeypatch):
    monkeypatch.setattr(index, "MAX_NAMES", 50)
    with pytest.raises(Unreadable, match="more than 50 entries"):
        opened(Memory(SOUND)).list("/full")


def test_one_index_claimed_again_and_again_is_read_only_so_often(monkeypatch):
    monkeypatch.setattr(ntfs, "MAX_INDEXES", 50_000)
    found = files(THREE_DIRECTORIES)
    assert len(found.list("/a")) == 100
    with pytest.raises(Unreadable, match="bytes of names"):
        [found.list(f"/{directory}") for directory in "abc"]
    assert len(found.list("/a")) == 100


def test_names_are_kept_only_so_many(monkeypatch):
    monkeypatch.setattr(ntfs, "MAX_KEPT", 150)
    found = files(THREE_DIRECTORIES)
    assert [len(found.list(f"/{directory}")) for directory in "abcab"] == [100] * 5
    assert sum(len(each.folded) for each in found._listings.values()) <= 150


def test_attributes_in_too_many_records_are_refused(monkeypatch):
    monkeypatch.setattr(mft, "MAX_EXTENSIONS", 2)
    with pytest.raises(Unreadable, match="spread over 4 records"):
        opened(Memory(SOUND)).read("/pieces", 10)
    monkeypatch.setattr(mft, "MAX_LIST", 10)
    with pytest.raises(Unreadable, match="attribute list of"):
        opened(Memory(SOUND)).read("/pieces", 10)


FIRST = SOUND.index(b"INDX") // 1024
LAST = int.from_bytes(SOUND[48:56], "little") * 4 + 130
"""Kibibytes from the first index node to the last record."""
wounds = st.lists(st.tuples(st.integers(FIRST, LAST), st.integers(0, 420), st.binary(min_size=1, max_size=8)), min_size=1, max_size=12)


@settings(max_examples=150, deadline=5000)
@given(wounds=wounds, boot=st.lists(st.tuples(st.integers(11, 80), st.binary(min_size=1, max_size=2)), max_size=1))
def test_a_wounded_volume_is_read_or_refused_never_feared(wounds, boot):
    disk = Memory(SOUND)
    for unit, at, data in wounds:
        disk.put(unit * 1024 + at, data)
    for at, data in boot:
        disk.put(at, data)
    whole = NativeDisk(disk)
    for volume in whole.volumes:
        assert volume.read or volume.reason
        if volume.read:
            walk(whole.files(volume), "", 0)


def walk(found, path, depth):
    """Look at everything; only our own errors may come."""
    with suppress(VhdprepError):
        for name in found.list(path or "/"):
            with suppress(VhdprepError):
                stat = found.lstat(f"{path}/{name}")
                found.read(f"{path}/{name}", MIB)
                found.readlink(f"{path}/{name}")
                if stat and stat.kind == "directory" and depth < 4:
                    walk(found, f"{path}/{name}", depth + 1)
