"""UFS: files of both versions and byte orders, the places of the superblock, and structures that lie."""

from __future__ import annotations

import struct

import pytest

from tests.unit.ufs import LARGE, MIB, TREE, described, opened, volume
from vhdprep.disk.backend import FileKind, FileStat
from vhdprep.disk.native import ufs, ufssuper
from vhdprep.disk.native.stream import Stream
from vhdprep.errors import Unreadable
from vhdprep.vhd.crc32c import crc32c

VERSIONS = [(1, "le"), (1, "be"), (2, "le"), (2, "be")]
BOTH = pytest.mark.parametrize(("version", "endian"), VERSIONS, ids=[f"UFS{version} {endian}" for version, endian in VERSIONS])


@BOTH
@pytest.mark.parametrize("block", [(4096, 512), (16384, 2048), (65536, 8192)], ids=["4 KiB", "16 KiB", "64 KiB"])
def test_files_of_every_shape_are_read(version, endian, block):
    disk = volume(version=version, endian=endian, block=block[0], fragment=block[1], label="rootfs", uuid="65a1b2c3d4e5f607")
    found = described(disk)
    assert (found.filesystem, found.state, found.label, found.uuid) == ("ufs", "clean", "rootfs", "65a1b2c3d4e5f607")
    assert 0 < found.free < found.size
    files = opened(disk)
    assert sorted(files.list("/")) == ["bin", "etc", "folder", "large", "long", "many", "short"]
    for path, content in TREE.items():
        if isinstance(content, bytes):
            assert files.read(path, 10 * MIB) == content
    assert files.read("/large", 1000, 1_234_567) == LARGE[1_234_567:1_235_567]
    assert files.read("/large", 9, len(LARGE) - 5) == LARGE[-5:]
    assert files.read("/large", 9, len(LARGE)) == b""
    assert (files.readlink("/short"), files.readlink("/long")) == ("etc/rc.conf", "x" * 150)
    assert files.lstat("/large")[:2] == (FileKind.FILE, len(LARGE))
    assert files.lstat("/folder").kind is FileKind.DIRECTORY
    assert (files.lstat("/nothing"), files.list("/large"), files.read("/folder", 9), files.readlink("/large")) == (None, (), b"", "")


def test_owner_and_mode_are_those_of_the_inode():
    disk = volume()
    struct.pack_into("<HhII", disk.data, disk.inode("/bin/sh"), 0o104755, 1, 1001, 80)
    assert opened(disk).lstat("/bin/sh") == FileStat(FileKind.FILE, 12000, 0o4755, 1001, 80)


@pytest.mark.parametrize("version", [1, 2])
def test_dissect_reads_the_same(version):
    FFS = pytest.importorskip("dissect.ffs.ffs").FFS  # noqa: N806 - a class
    disk = volume(version=version)
    other, files = FFS(Stream(disk, 0, disk.size)), opened(disk)
    assert set(files.list("/many")) == set(other.get("/many").listdir()) - {".", ".."}
    for path in ("/large", "/bin/sh", "/many/file 0123"):
        assert files.read(path, 10 * MIB) == other.get(path).open().read()
        assert files.lstat(path).mode == other.get(path).mode & 0o7777
    assert [files.readlink(path) for path in ("/short", "/long")] == [other.get(path).link for path in ("/short", "/long")]


@pytest.mark.parametrize(("version", "place"), [(2, 65536), (1, 8192), (1, 0), (2, 0), (2, 262144)])
def test_the_superblock_is_found_where_the_kernel_looks(version, place):
    disk = volume(version=version, block=16384, fragment=2048)
    data = bytearray(disk.data[8192 : 8192 + ufssuper.SIZE])
    struct.pack_into("<q", data, 1000, place)
    disk.put(8192, bytes(ufssuper.SIZE))
    disk.put(place, data)
    stream = Stream(disk, 0, disk.size)
    found = ufssuper.find(stream, stream.read_at(0, 0x11000))
    assert (found.version, found.place, found.problem) == (version, place, None)
    assert described(disk).filesystem == "ufs"


@pytest.mark.parametrize(
    ("version", "place"), [(1, 65536), (1, 262144), (2, 65536)], ids=["UFS1 too far", "UFS1 much too far", "UFS2 that says 8192"]
)
def test_a_copy_is_not_taken_for_the_superblock(version, place):
    disk = volume(version=version)
    disk.put(place, disk.data[8192 : 8192 + ufssuper.SIZE])
    disk.put(8192, bytes(ufssuper.SIZE))
    assert described(disk).filesystem is None


@BOTH
def test_the_second_cylinder_groups_inodes_of_old_file_systems_are_skewed(version, endian):
    plain = volume(version=version, endian=endian).super
    skewed = plain._replace(group_inodes=64, group_fragments=1000, skew=(32, ~0x7))
    start = 9 * 1000 + (32 * (9 & 7) if version == 1 else 0) + plain.inode_start
    assert skewed.inode_address(9 * 64 + 3) == start * 512 + 3 * plain.inode_size


@BOTH
def test_holes_are_zero(version, endian):
    disk = volume(version=version, endian=endian)
    for number in (1, 12, 13):
        disk.pointer("/large", number, 0)
    data = opened(disk).read("/large", len(LARGE))
    per_block = 4096 // (4 * version)
    ends = [0, 4096, 8192, 12 * 4096, (12 + per_block) * 4096, len(LARGE)]
    assert data[: ends[1]] == LARGE[: ends[1]]
    assert not any(data[ends[1] : ends[2]])
    assert data[ends[2] : ends[3]] == LARGE[ends[2] : ends[3]]
    assert not any(data[ends[3] :])
    assert len(data) == len(LARGE)


def test_a_file_of_exbibytes_that_is_one_hole_costs_what_is_read_of_it():
    disk = volume()
    at = disk.inode("/etc/empty")
    struct.pack_into("<q", disk.data, at + 16, 2**39)
    files = opened(disk)
    assert files.lstat("/etc/empty").size == 2**39
    assert files.read("/etc/empty", 100_000, 2**38) == bytes(100_000)
    assert files.read("/etc/empty", MIB, 2**39 - 10) == bytes(10)


def test_a_file_that_is_longer_than_pointers_reach_is_not_read():
    disk = volume()
    struct.pack_into("<q", disk.data, disk.inode("/etc/empty") + 16, 2**62)
    with pytest.raises(Unreadable, match="more than a file can have"):
        opened(disk).read("/etc/empty", 10, 2**61)


def first_of_second_section(disk):
    """Byte of an entry of /many that begins a section, and its name."""
    at = disk.block("/many") + 512
    return at, disk.data[at + 8 : at + 8 + disk.data[at + 7]].decode()


def test_a_deleted_entry_is_no_name():
    disk = volume()
    at, gone = first_of_second_section(disk)
    disk.put(at, bytes(4))  # the first entry of a section is deleted by its inode alone
    assert set(opened(disk).list("/many")) == {path.rpartition("/")[2] for path in TREE if path.startswith("/many/")} - {gone}


@pytest.mark.parametrize(
    ("clean", "flags", "state", "reason"),
    [
        (1, 0, "clean", None),
        (1, 0x2, "clean", None),
        (0, 0x2, "unclean", "it was not unmounted: until fsck has run it may contradict itself, and the newest changes may be missing"),
        (0, 0xA, "unclean", "its journal was not replayed: the newest changes may be missing"),
        (0, 0x40, "unclean", "its journal was not replayed: the newest changes may be missing"),
        (1, 0x4, "errors", None),
        (0, 0x4, "errors", None),
        (3, 0, "unclean", "it was not unmounted: until fsck has run it may contradict itself, and the newest changes may be missing"),
    ],
)
def test_the_clean_flag_and_the_journal_set_the_state(clean, flags, state, reason):
    disk = volume()
    disk.field(209, "b", clean)
    disk.field(1312, "i", flags)
    found = described(disk)
    assert (found.state, found.reason, found.read, found.needed) == (state, reason, True, reason is not None)


@pytest.mark.parametrize(("old", "new", "state"), [(0x4, 0, "errors"), (0x80, 0x4, "errors"), (0x80, 0, "clean"), (0, 0x4, "clean")])
def test_flags_of_older_systems_stand_elsewhere(old, new, state):
    disk = volume(version=1)
    disk.field(211, "B", old)
    disk.field(1312, "i", new)
    assert described(disk).state == state


@pytest.mark.parametrize("sized", [2048, 4096, 8192])
def test_the_superblocks_checksum_is_checked_where_there_is_one(sized):
    disk = volume()
    disk.field(104, "i", sized)
    disk.field(1308, "I", 1)
    disk.field(1312, "i", 0x200)
    data = bytes(disk.data[8192 : 8192 + sized])
    disk.field(1304, "I", crc32c(data[:1304] + bytes(4) + data[1308:]) ^ 0xFFFFFFFF)
    assert described(disk).read
    disk.data[8192 + sized - 1] ^= 1
    found = described(disk)
    assert (found.read, found.needed) == (False, True)
    assert "checksum is wrong" in found.reason
    disk.field(1312, "i", 0)
    assert described(disk).read, "a kernel without checksums has taken the flag away"


def test_inodes_have_checksums_where_the_superblock_says_so():
    disk = volume(sealed=True)
    assert opened(disk).read("/etc/rc.conf", 99) == TREE["/etc/rc.conf"]
    assert opened(disk).read("/large", len(LARGE)) == LARGE
    at = disk.inode("/etc/rc.conf")
    for byte in (0, 16, 112, 200, 244, 255):
        disk.data[at + byte] ^= 0x80 if byte else 1
        with pytest.raises(Unreadable, match=r"checksum of /etc/rc.conf \(inode \d+\) is wrong; .* run fsck_ffs"):
            opened(disk).read("/etc/rc.conf", 99)
        disk.data[at + byte] ^= 0x80 if byte else 1
    disk.data[disk.inode("/")] ^= 1
    assert "the checksum of / (inode 2) is wrong" in described(disk).reason


SUPERBLOCK_WOUNDS = {
    "a superblock of 9 KB": ((104, "i", 9000), "its superblock claims 9000 bytes"),
    "blocks of 3 bytes": ((48, "i", 3), "its block sizes cannot be"),
    "fragments larger than blocks": ((52, "i", 8192), "its block sizes cannot be"),
    "no groups": ((44, "I", 0), "its groups have no size"),
    "groups without inodes": ((184, "I", 0), "its groups have no size"),
    "groups of a negative size": ((188, "i", -1), "its groups have no size"),
    "more groups than fit": ((44, "I", 77), "its size and its groups disagree"),
    "larger than its volume": ((1080, "q", 2**40), "its size and its groups disagree"),
    "inodes at no place": ((16, "i", 0), "its inodes have no place"),
    "other pointers": ((116, "i", 7), "its numbers of pointers and inodes in a block are wrong"),
    "other inodes": ((120, "I", 7), "its numbers of pointers and inodes in a block are wrong"),
    "links longer than inodes": ((1320, "i", 121), "it keeps links of 121 bytes in inodes"),
}


@pytest.mark.parametrize("name", SUPERBLOCK_WOUNDS)
def test_a_superblock_that_contradicts_itself_is_refused(name):
    (at, code, value), reason = SUPERBLOCK_WOUNDS[name]
    disk = volume()
    disk.field(at, code, value)
    found = described(disk)
    assert (found.filesystem, found.read, found.needed) == ("ufs", False, True)
    assert reason in found.reason


def test_a_file_system_that_is_larger_than_its_volume_is_refused():
    disk = volume()
    del disk.data[8 * MIB :]
    assert "it claims 16777216 bytes, and its volume has 8388608" in described(disk).reason


def test_directories_of_before_1990_are_refused():
    disk = volume(version=1)
    disk.field(1324, "i", -1)
    assert "of the format before 4.4BSD" in described(disk).reason


def entry(number, length, name=b"x", size=None):
    return struct.pack("<IHBB", number, length, 8, len(name) if size is None else size) + name


ENTRY_WOUNDS = {
    "no length": (entry(5, 0), "an entry of the directory cannot be read"),
    "an odd length": (entry(5, 14), "an entry of the directory cannot be read"),
    "across a section": (entry(5, 516), "an entry of the directory cannot be read"),
    "a name longer than itself": (entry(5, 12, size=200), "an entry of the directory cannot be read"),
    "no name": (entry(5, 12, b"", 0), "no name that could be"),
    "a slash": (entry(5, 12, b"a/b"), "no name that could be"),
    "a zero": (entry(5, 12, b"a\0b"), "no name that could be"),
}


@pytest.mark.parametrize("name", ENTRY_WOUNDS)
def test_a_directory_entry_that_lies_makes_its_directory_unreadable(name):
    wound, reason = ENTRY_WOUNDS[name]
    disk = volume()
    disk.put(disk.block("/many") + 512, wound)
    files = opened(disk)
    with pytest.raises(Unreadable, match=reason):
        files.list("/many")
    assert files.read("/etc/rc.conf", 99) == b"sshd_enable=YES\n"


@pytest.mark.parametrize(
    ("number", "reason"),
    [(1, "there is no inode 1"), (2**31, "there is no inode"), (500, "its inode 500 is not in use")],
    ids=["1", "2**31", "500"],
)
def test_a_name_of_an_inode_that_is_not_there(number, reason):
    disk = volume()
    at, name = first_of_second_section(disk)
    struct.pack_into("<I", disk.data, at, number)
    with pytest.raises(Unreadable, match=reason):
        opened(disk).lstat(f"/many/{name}")


@pytest.mark.parametrize("pointer", [2**40, -1, 10**6], ids=str)
@pytest.mark.parametrize("number", [0, 12, 13], ids=["a block", "a block of pointers", "two levels of pointers"])
def test_a_block_outside_the_file_system_is_not_read(number, pointer):
    disk = volume()
    disk.pointer("/large", number, pointer)
    with pytest.raises(Unreadable, match="there is no block"):
        opened(disk).read("/large", len(LARGE))


def test_a_block_that_reaches_over_the_end_is_not_read():
    disk = volume()
    disk.pointer("/large", 0, disk.super.fragments - 1)
    with pytest.raises(Unreadable, match="lies outside the file system"):
        opened(disk).read("/large", 4096)


def test_pointers_that_run_in_a_circle_end():
    disk = volume()
    block = disk.pointer("/large", 13)
    for offset in range(0, 4096, 8):
        struct.pack_into("<q", disk.data, block * 512 + offset, block)
    data = opened(disk).read("/large", len(LARGE))
    assert data[-4096:].count(struct.pack("<q", block)) > 500
    assert len(data) == len(LARGE)


def test_a_directory_below_itself_is_not_entered_again():
    disk = volume()
    root = disk.data[disk.block("/") : disk.block("/") + 512]
    struct.pack_into("<I", disk.data, disk.block("/") + root.index(b"folder") - 8, ufs.ROOT)
    files = opened(disk)
    with pytest.raises(Unreadable, match="/folder: is the same directory as /; they may run in a circle"):
        files.list("/folder")
    assert files.read("/etc/rc.conf", 99) == b"sshd_enable=YES\n"


def test_a_path_is_not_followed_for_ever():
    with pytest.raises(Unreadable, match="deeper than 256"):
        opened(volume()).lstat("/folder" * 300)


@pytest.mark.parametrize("size", [2**40, 700])
def test_a_directory_of_an_impossible_size_is_not_read(size):
    disk = volume()
    struct.pack_into("<q", disk.data, disk.inode("/many") + 16, size)
    with pytest.raises(Unreadable, match=f"/many: a directory of {size} bytes cannot be"):
        opened(disk).list("/many")


def test_a_directory_with_a_hole_is_not_read():
    disk = volume()
    disk.pointer("/many", 1, 0)
    with pytest.raises(Unreadable, match="an entry of the directory cannot be read"):
        opened(disk).list("/many")


def test_a_snapshot_is_not_read():
    disk = volume()
    struct.pack_into("<I", disk.data, disk.inode("/large") + 88, 0x00200000)
    with pytest.raises(Unreadable, match="snapshots are not read"):
        opened(disk).read("/large", 10)


def test_a_root_that_is_no_directory_makes_the_volume_unread():
    disk = volume()
    struct.pack_into("<H", disk.data, disk.super.inode_address(2), 0o100644)
    found = described(disk)
    assert (found.read, found.reason) == (False, "the ufs file system cannot be opened (its root is no directory)")


@pytest.mark.parametrize(
    ("kind", "filesystem", "reason"),
    [
        (b"GEOM::ELI", "geli", "encrypted with GELI"),
        (b"GEOM::MIRROR", "geom_member", "part of a mirror, stripe or the like of FreeBSD; its last sector says MIRROR"),
        (b"GEOM::LABEL", "ufs", None),
    ],
)
def test_what_geom_made_of_the_volume_comes_first(kind, filesystem, reason):
    disk = volume()
    disk.put(disk.size - 512, kind.ljust(16, b"\0"))
    found = described(disk)
    assert (found.filesystem, found.reason, found.read, found.needed) == (filesystem, reason, reason is None, reason is not None)
