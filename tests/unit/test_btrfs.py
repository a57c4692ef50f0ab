"""btrfs: files, subvolumes and extents, and trees that lie."""

from __future__ import annotations

import base64
import io
import random
import struct
import time
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures import btrfs, build
from tests.disks import open_disk
from tests.unit.test_tables import Bytes
from vhdprep.check import check
from vhdprep.disk.backend import FileKind, FileStat
from vhdprep.disk.memory import MemoryDisk, MemoryFiles
from vhdprep.disk.native import NativeDisk, btrfsdata, btrfstree, lzo
from vhdprep.disk.native import btrfs as reader
from vhdprep.disk.native.btrfstree import Device
from vhdprep.disk.native.stream import Stream
from vhdprep.errors import Unreadable
from vhdprep.guest import boot
from vhdprep.guest.assemble import assemble
from vhdprep.model import Volume, VolumeKind
from vhdprep.storage import Subvolume
from vhdprep.vhd.blocks import FlatReader

MIB = 1024 * 1024
TEXT = b"".join(b"line %d of a text that packs well\n" % number for number in range(20_000))
NOISE = random.Random(1).randbytes(300_000)


def disk(data):
    made = Bytes(0)
    made.data, made.size = data, len(data)
    return made


def opened(*subvolumes, size=32 * MIB, **options):
    """The volume and its files."""
    found = NativeDisk(disk(btrfs.build(size, list(subvolumes), **options)))
    (volume,) = found.volumes
    assert volume.reason is None
    return volume, found.files(volume)


def tree(path="", **files):
    return btrfs.Subvolume(path, {f"/{name}": value for name, value in files.items()})


@pytest.mark.parametrize("compression", ["none", "zlib", "zstd"])
def test_files_of_every_shape_are_read(compression):
    files = {"/text": TEXT, "/noise": NOISE, "/small": b"x" * 100, "/empty": b"", "/etc/deep/er": b"1", "/link": "etc/deep", "/folder": None}
    volume, found = opened(btrfs.Subvolume("", files), compression=compression)
    assert (volume.filesystem, volume.state, volume.uuid) == ("btrfs", "clean", "22222222-2222-2222-2222-222222222222")
    assert volume.subvolumes == (Subvolume(5, "", is_default=True),)
    assert found.list("/") == ("empty", "etc", "folder", "link", "noise", "small", "text")
    for path in ("/text", "/noise", "/small", "/empty", "/etc/deep/er"):
        assert found.read(path, 10 * MIB) == files[path]
    assert found.read("/text", 1000, 131_000) == TEXT[131_000:132_000]
    assert found.read("/noise", 9, 299_995) == NOISE[-5:]
    assert found.read("/noise", 9, 300_000) == b""
    assert found.lstat("/text") == FileStat(FileKind.FILE, len(TEXT), 0o644, 0, 0)
    assert found.lstat("/folder") == FileStat(FileKind.DIRECTORY, 0, 0o755, 0, 0)
    assert (found.lstat("/link").kind, found.readlink("/link")) == (FileKind.LINK, "etc/deep")
    assert (found.lstat("/nothing"), found.list("/small"), found.read("/folder", 9), found.readlink("/text")) == (None, (), b"", "")


def test_a_tree_of_many_nodes_is_walked_in_order():
    names = [f"file {number:05}" for number in range(6000)]
    _, found = opened(btrfs.Subvolume("", {f"/many/{name}": name.encode() for name in names}))
    assert list(found.list("/many")) == names
    assert [found.read(f"/many/{name}", 99) for name in names[::500]] == [name.encode() for name in names[::500]]


def test_subvolumes_are_directories_and_have_their_places():
    volume, found = opened(tree("@", a=b"1"), tree("@/srv/deep/sub", b=b"2"), tree("@home", c=b"3"), default="@home")
    assert volume.subvolumes == (
        Subvolume(5, ""),
        Subvolume(257, "@"),
        Subvolume(258, "@/srv/deep/sub"),
        Subvolume(259, "@home", is_default=True),
    )
    assert (found.list("/"), found.list("/@")) == (("@", "@home"), ("a", "srv"))
    assert (found.read("/@/srv/deep/sub/b", 9), found.read("/@home/c", 9)) == (b"2", b"3")


def test_a_subvolume_inside_a_snapshot_is_an_empty_directory():
    """The snapshot copies the name; the kernel finds no link back to it (``fixup_tree_root_location``)."""
    writer = btrfs.Writer(32 * MIB)
    writer.subvolume(5, {}, {"@": 257, "snapshot": 258})
    places = writer.subvolume(257, {"file": b"1"}, {"inner": 259})
    writer.subvolume(258, {"file": b"1"}, {"inner": 259})
    writer.subvolume(259, {"secret": b"2"}, {})
    writer.link(5, 257, 256, "@")
    writer.link(5, 258, 256, "snapshot")
    writer.link(257, 259, places[""], "inner")
    found = NativeDisk(disk(writer.finish()))
    files = found.files(found.volumes[0])
    assert (files.list("/@/inner"), files.list("/snapshot/inner")) == (("secret",), ())
    assert files.lstat("/snapshot/inner").kind is FileKind.DIRECTORY


def test_holes_and_extents_that_were_only_reserved_are_zero():
    writer = btrfs.Writer(32 * MIB)
    address = writer.put(b"A" * 8192)

    def extent(kind, address, skip, size):
        return struct.pack("<QQBBHBQQQQ", 1, 8192, 0, 0, 0, kind, address, 8192, skip, size)

    writer.extents = lambda inode, data: {
        (inode, btrfs.EXTENT_DATA, 4096): extent(1, address, 4096, 4096),
        (inode, btrfs.EXTENT_DATA, 16384): extent(2, address, 0, 8192),
        (inode, btrfs.EXTENT_DATA, 24576): extent(1, 0, 0, 4096),
        (inode, btrfs.EXTENT_DATA, 28672): extent(1, address, 0, 8192),
    }
    writer.subvolume(5, {"sparse": bytes(30_000)}, {})
    found = NativeDisk(disk(writer.finish()))
    data = found.files(found.volumes[0]).read("/sparse", MIB)
    assert data == bytes(4096) + b"A" * 4096 + bytes(20480) + b"A" * (30_000 - 28672)


WORDS = [b"the", b"quick", b"brown", b"fox", b"jumps", b"over", b"a", b"lazy", b"dog", b"and", b"then", b"some"]
LZO = (
    "$^ifX2mt^901R|!WeRLzdU+sXa&LETAaieRWguj4XCPr9Z+2yJu>fIZ0t$!&wFGQn1_5+vWgvh7tOA$=g$D{P<N&Y=v;=?#<p&C^0x0AFxDA*Gj1Ghc)C4Q!05r4$pbs"
    "eI0MrCA<N&Z4lod0~0i_2DG2{S<5_};lg#-#91Iz)12MRvS0f{OK<RrWhga<Cp0U%+F36LkeC_1$Q3NJhdunH{X0H7YM0)PuMv;wdvv;;cN0U%+ZGA%p@%o;1?0L(l%%"
    "mI`Y)C4Q!0MrRB<N%-#AOlneuo*L)1B?#53!oz)0#pVd000000000000000k0b~RAYmYHc4cxPZ+2yJAQ1onwg3PC00&_TWN&96b8l^BAYyWFcWxkTVS0HWbZBLu0jvU"
    ";0|#VpX9{5;Z+2yJumA#KAY^Z6GUWgYhzKm@03a{r01A)_v;=?#HO~PcVG1Au%mI}Z3bYA;3v3fF%mI`Y)C4@t0f-!+4>z0xj1IIWuo*ba0n`K_0?YxR4<G}~0k9c9%m"
    "I-U3O8&8m<_N1AOHXW000000068c2mk_eZ*65DVsdYHZXj%7dU+spXk{P~000"
)
"""What Linux wrote for the words above, mounted with ``compress=lzo``."""


def test_lzo_is_unpacked_as_linux_packed_it():
    text = b"".join(WORDS[number * number * 7 % 13 % 12] + (b" " if number % 9 else b"\n") for number in range(1600))
    packed = base64.b85decode(LZO)
    assert lzo.unpack_segments(packed, 4096, 8192) == text
    assert lzo.unpack_segments(packed, 4096, 100) == text[:100]


@given(st.binary(max_size=200))
def test_any_bytes_as_lzo_end_within_the_limit(data):
    try:
        assert len(lzo.unpack(data, 1000)) <= 1000
    except Unreadable as error:
        assert str(error) == "an LZO stream ends early"


@pytest.mark.parametrize("name", ["debian-12-btrfs", "debian-12-btrfs-snapper"])
def test_a_fixture_is_read_as_dissect_reads_it(image, name):
    dissect = pytest.importorskip("dissect.btrfs")
    path = image(name)
    with open_disk(path) as found:
        volume = found.volumes[-1]
        files = found.files(volume)
        other = dissect.Btrfs(Stream(found._reader, volume.offset, volume.size))
        assert {each.path for each in volume.subvolumes} == {each.path for each in other.subvolumes()}
        assert [each.id for each in volume.subvolumes if each.is_default] == [other.default_subvolume.objectid]
        compared = 0

        def compare(path, node):
            nonlocal compared
            names = {name: child for name, child in node.iterdir() if name not in (".", "..")}
            assert set(files.list(path or "/")) == set(names)
            for name, child in names.items():
                here, mine = f"{path}/{name}", files.lstat(f"{path}/{name}")
                assert (mine.size, mine.mode, mine.uid, mine.gid) == (child.size, child.mode & 0o7777, child.uid, child.gid)
                if child.is_dir():
                    compare(here, child)
                elif child.is_symlink():
                    assert files.readlink(here) == child.link
                else:
                    assert files.read(here, MIB) == child.open().read()
                compared += 1

        compare("", other.fs_tree.root)
        assert compared > 100


# What lies


def broken(change, *subvolumes, **options):
    """The image with its bytes changed; gives the reason why it is not read, or its files."""
    data = btrfs.build(4 * MIB, list(subvolumes) or [tree(a=b"1")], **options)
    change(data)
    btrfs.seal(data, SUPER, 4096)
    (volume,) = NativeDisk(disk(data)).volumes
    return volume.reason


def at(offset, value):
    def change(data):
        data[offset : offset + len(value)] = value

    return change


SUPER = 0x10000


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0x88, b"\2", "one of 2 devices of a btrfs"),
        (0x94, b"\xff\xff\xff\x7f", "it claims nodes of 2147483647 and sectors of 4096 bytes"),
        (0x90, b"\0\0\0\0", "it claims nodes of 16384 and sectors of 0 bytes"),
        (0xA0, b"\xff\xff\xff\xff", "its system chunks do not fit where they must be"),
        (0xBC + 7, b"\x80", "it has features that are not known here (0x8000000000000341)"),
        (0x50, b"\xff" * 8, "no chunk holds the 16384 bytes at 18446744073709551615"),
        (0x50, bytes(8), "no chunk holds the 16384 bytes at 0"),
        (0xC6, b"\7", "is of level 0, not 7"),
        (0xC7, b"\1", "is of level 0, not 1"),
        (0xA0, b"\0", "no chunk holds"),
        (0x32B + 17 + 24, b"\x08", None),
        (0x32B + 17 + 44, b"\2", "an item of a tree is too short"),
        (0x32B + 17 + 44, b"\0", "a chunk of the kind 0x7 has 0 stripes"),
        (0x32B + 17 + 48, b"\2", "a part of it, kept as single, lies on devices that are missing"),
    ],
)
def test_a_superblock_that_lies_is_refused(offset, value, reason):
    found = broken(at(SUPER + offset, value))
    assert found is None if reason is None else reason in found


def hostile(build):
    """A file system whose trees ``build`` writes with a Writer, then opened and walked."""
    writer = btrfs.Writer(32 * MIB)
    build(writer)
    found = NativeDisk(disk(writer.finish()))
    (volume,) = found.volumes
    if not volume.read:
        return volume.reason
    files = found.files(volume)
    try:
        for name in files.list("/"):
            files.lstat(f"/{name}")
            files.list(f"/{name}")
            files.read(f"/{name}", MIB)
            files.readlink(f"/{name}")
    except Unreadable as error:
        return str(error)
    return None


def itself(writer):
    """A node one level above the leaves whose child is the node itself."""
    address = -(-writer.at // btrfs.NODE) * btrfs.NODE
    writer.root(5, writer.node(struct.pack("<QBQQQ", 256, 1, 0, address, 1), 1, 1, 5), 1)


def diamond(writer):
    """Seven levels of nodes, each naming the one below as often as fits: 493 to the seventh power paths to one leaf."""
    address, _ = writer.tree({(256, btrfs.INODE_ITEM, 0): btrfs._inode(0, 0o40755), (256, btrfs.DIR_INDEX, 2): entry(b"x")}, 5)
    for level in range(1, 8):
        address = writer.node(struct.pack("<QBQQQ", 256, 1, 0, address, 1) + struct.pack("<QBQQQ", 300, 1, 0, address, 1) * 489, 490, level, 5)
    writer.root(5, address, 7)


def empty_leaves(writer):
    """The same with an empty leaf below."""
    address = writer.node(b"", 0, 0, 5)
    for level in range(1, 8):
        address = writer.node(struct.pack("<QBQQQ", 256, 1, 0, address, 1) * 490, 490, level, 5)
    writer.root(5, address, 7)


def entry(name, target=(257, btrfs.INODE_ITEM, 0), kind=1):
    return struct.pack("<QBQQHHB", *target, 1, 0, len(name), kind) + name


def folder(*entries, **more):
    """The items of a root directory with these entries, and of other inodes."""
    items = {(256, btrfs.INODE_ITEM, 0): btrfs._inode(0, 0o40755)}
    items |= {(256, btrfs.DIR_INDEX, 2 + number): each for number, each in enumerate(entries)}
    return lambda writer: writer.root(5, *writer.tree({**items, **more.get("items", {})}, 5))


def with_file(*extents, size=100, mode=0o100644):
    """A root directory with one file that has these extents."""
    items = {(257, btrfs.INODE_ITEM, 0): btrfs._inode(size, mode)}
    items |= {(257, btrfs.EXTENT_DATA, number * 4096): each for number, each in enumerate(extents)}
    return folder(entry(b"f"), items=items)


def extent(kind, *, unpacked=4096, compression=0, encryption=0, place=(0x100000, 4096, 0, 4096), inline=b""):
    return struct.pack("<QQBBHB", 1, unpacked, compression, encryption, 0, kind) + (struct.pack("<QQQQ", *place) if kind else inline)


def descending(writer):
    items = [((256, btrfs.DIR_INDEX, place), entry(b"x%d" % place)) for place in (5, 4)]
    body, data, end = b"", b"", btrfs.NODE - 101
    for key, value in [((256, btrfs.INODE_ITEM, 0), btrfs._inode(0, 0o40755)), *items]:
        end -= len(value)
        body, data = body + struct.pack("<QBQII", *key, end, len(value)), value + data
    writer.root(5, writer.node(body.ljust(btrfs.NODE - 101 - len(data), b"\0") + data, 3, 0, 5), 0)


def looping_places(writer):
    """A subvolume in a directory that is its own parent."""
    writer.root(
        5, *writer.tree({(256, btrfs.INODE_ITEM, 0): btrfs._inode(0, 0o40755), (300, btrfs.INODE_REF, 300): struct.pack("<QH", 2, 1) + b"a"}, 5)
    )
    writer.link(5, 257, 300, "sub")


def looping_subvolumes(writer):
    writer.subvolume(5, {}, {"a": 257})
    writer.subvolume(257, {}, {"b": 257, "c": 5})
    writer.link(5, 257, 256, "a")
    writer.link(257, 257, 256, "b")
    writer.link(257, 5, 256, "c")


def missing_default(writer):
    writer.subvolume(5, {}, {})
    writer.finish = lambda finish=writer.finish: finish(999)


ZIP_BOMB = zlib.compress(bytes(20 * MIB))
ZSTD_BOMB = zstandard.ZstdCompressor().compress(bytes(500 * MIB))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (itself, "is of level 1, not 0"),
        (diamond, "the keys of a tree do not rise"),
        (empty_leaves, "a tree has an empty leaf"),
        (descending, "the keys of a tree do not rise"),
        (lambda writer: writer.root(5, writer.node(b"", 60_000, 0, 5), 0), "there is no node at"),
        (lambda writer: writer.root(5, writer.node(b"", 0, 1, 5), 1), "there is no node at"),
        (lambda writer: writer.root(5, writer.node(struct.pack("<QBQII", 256, 1, 0, 60_000, 160), 1, 0, 5), 0), "an item lies outside its node"),
        (lambda writer: writer.root(5, writer.put(bytes(btrfs.NODE)), 0), "the checksum of the tree node at"),
        (lambda _: None, "the tree of subvolume 5 is missing"),
        (missing_default, "its default subvolume 999 is missing"),
        (looping_places, "the place of a directory in subvolume 5 cannot be told"),
        (looping_subvolumes, None),
        (folder(entry(b"x")), "/x: its inode 257 is missing"),
        (folder(entry(b"a/b")), "/: a directory entry has no name that could be"),
        (folder(entry(b"..")), "/: a directory entry has no name that could be"),
        (folder(entry(b"")), "/: a directory entry has no name that could be"),
        (folder(entry(b"x")[:20]), "an item of a tree is too short"),
        (folder(entry(b"x", (999, btrfs.ROOT_ITEM, 0), 2)), None),
        (folder(entry(b"x"), items={(257, btrfs.INODE_ITEM, 0): b"short"}), "an item of a tree is too short"),
        (with_file(size=1 << 62), None),
        (with_file(extent(1, place=(31 * MIB + 4096, 1 << 60, 0, 1 << 60)), size=1 << 60), "/f: no chunk holds the 1048576 bytes at"),
        (with_file(extent(1, place=(1 << 63, 4096, 0, 4096))), "/f: no chunk holds the 100 bytes at 9223372036854775808"),
        (with_file(extent(1, compression=9)), "/f: an extent is stored in an unknown way (9, 0, 0)"),
        (with_file(extent(1, encryption=1)), "/f: an extent is stored in an unknown way (0, 1, 0)"),
        (with_file(extent(1, compression=3, unpacked=1 << 40)), "/f: an extent claims to unpack to 1099511627776 bytes"),
        (with_file(extent(1, compression=1, place=(0x100000, 1 << 40, 0, 4096))), "/f: a compressed extent claims 1099511627776 bytes"),
        (with_file(extent(1, compression=1)), "/f: an extent cannot be unpacked (Error -3"),
        (with_file(extent(1, compression=3)), "/f: an extent cannot be unpacked"),
        (with_file(extent(1, compression=2)), "/f: an LZO segment does not fit"),
        (with_file(extent(0, compression=2, inline=b"\xff\0\0\0\xff\xff\0\0xx")), "/f: an LZO segment does not fit"),
        (with_file(extent(0, compression=1, inline=ZIP_BOMB[:3000]), size=1 << 50), None),
        (with_file(extent(0, compression=3, inline=ZSTD_BOMB[:3000]), size=1 << 50), "/f: an extent cannot be unpacked"),
        (with_file(extent(0, inline=b"/" * 3000), size=1 << 50, mode=0o120777), None),
        (with_file(b"short"), "/f: an item of a tree is too short"),
    ],
)  # fmt: skip
def test_trees_that_lie_end_with_a_reason(build, reason):
    tracemalloc.start()
    begin = time.process_time()
    found = hostile(build)
    seconds, peak = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found is None if reason is None else reason in found
    assert seconds < 5
    assert peak < 200 * MIB


def test_more_of_anything_than_is_looked_at_is_refused(monkeypatch):
    monkeypatch.setattr(reader, "MAX_SUBVOLUMES", 2)
    assert "more than 2 subvolumes" in broken(lambda data: None, tree("a"), tree("b"))
    monkeypatch.setattr(reader, "MAX_NAMES", 1)
    assert "more than 1 entries" in broken(lambda data: None, tree(a=b"1", b=b"2"))
    monkeypatch.setattr(btrfsdata, "MAX_EXTENTS", 1)
    assert hostile(with_file(extent(1), extent(1))) == "/f: it has more than 1 extents"
    monkeypatch.setattr(btrfstree, "MAX_CHUNKS", 0)
    assert "more than 0 chunks" in broken(lambda data: None)


def test_paths_deeper_than_any_guest_has_are_refused():
    _, found = opened(tree(a=b"1"))
    with pytest.raises(Unreadable, match="deeper than 256"):
        found.lstat("/a" * 300)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wounds=st.lists(st.tuples(st.integers(0, 12 * btrfs.NODE), st.binary(min_size=1, max_size=12)), min_size=1, max_size=8), high=st.booleans())
def test_a_wounded_file_system_never_breaks_the_reader(wounds, high):
    data = bytearray(SOUND)
    for place, bits in wounds:
        begin = (btrfs.START if high else SUPER) + (place if high else place % 4096)
        data[begin : begin + len(bits)] = bits
        btrfs.seal(data, begin // btrfs.NODE * btrfs.NODE if high else SUPER, btrfs.NODE if high else 4096)
    found = NativeDisk(disk(data))
    for volume in found.volumes:
        if volume.read:
            walk(found.files(volume), "", 0)


def walk(files, path, depth):
    try:
        for name in files.list(path or "/"):
            here = f"{path}/{name}"
            stat = files.lstat(here)
            files.read(here, MIB)
            files.readlink(here)
            if stat is not None and stat.kind is FileKind.DIRECTORY and depth < 5:
                walk(files, here, depth + 1)
    except Unreadable:
        return


SOUND = btrfs.build(8 * MIB, [tree("@", a=b"1", big=TEXT), tree("@/x/y", b=b"2" * 3000), tree("@home", c="link")], compression="zstd")


# Which subvolume is the root

ROOT = {"/etc/os-release": "ID=debian\n", "/usr/bin/sh": "x"}


def guest_disk(*subvolumes, content, more=()):
    """A disk in memory: one btrfs with these subvolumes, and other volumes as (id, files)."""
    volume = Volume("p3", VolumeKind.PARTITION, 1, 0, None, "btrfs", uuid="AA", read=True, subvolumes=tuple(subvolumes))
    others = [Volume(name, VolumeKind.PARTITION, 1, 0, None, "ext4", uuid=name.upper(), read=True) for name, _ in more]
    files = {"p3": MemoryFiles(content), **{name: MemoryFiles(each) for name, each in more}}
    return MemoryDisk(1, "gpt", [volume, *others], files)


def below(name, content=ROOT):
    return {f"/{name}{path}": value for path, value in content.items()}


TOP = Subvolume(5, "")
DEFAULT_TOP = Subvolume(5, "", is_default=True)


@pytest.mark.parametrize(
    ("subvolumes", "content", "more", "root"),
    [
        pytest.param([DEFAULT_TOP], ROOT, (), "", id="no subvolumes"),
        pytest.param([DEFAULT_TOP, Subvolume(256, "@"), Subvolume(257, "@home")], below("@"), (), "@", id="Ubuntu"),
        pytest.param([DEFAULT_TOP, Subvolume(256, "root"), Subvolume(257, "home")], below("root"), (), "root", id="Fedora"),
        pytest.param([DEFAULT_TOP, Subvolume(256, "@rootfs")], below("@rootfs"), (), "@rootfs", id="Debian"),
        pytest.param([DEFAULT_TOP, Subvolume(256, "mine")], below("mine"), (), "mine", id="a name of one's own"),
        pytest.param([TOP, Subvolume(258, "@/.snapshots/1/snapshot"), Subvolume(300, "@/.snapshots/2/snapshot", is_default=True)],
                     {**below("@/.snapshots/1/snapshot"), **below("@/.snapshots/2/snapshot")}, (), "@/.snapshots/2/snapshot", id="openSUSE"),
        pytest.param([DEFAULT_TOP, Subvolume(256, "@"), Subvolume(257, "old")], {**below("@"), **below("old")}, (), "@", id="a snapshot beside it"),
        pytest.param([DEFAULT_TOP, Subvolume(256, "@"), Subvolume(257, "new")],
                     {**below("@", {**ROOT, "/boot/grub/grub.cfg": "linux /x rootflags=subvol=new ro"}), **below("new")}, (), "new",
                     id="the boot menu names another"),
        pytest.param([DEFAULT_TOP, Subvolume(256, "one"), Subvolume(257, "two")], {**below("one"), **below("two")},
                     (("p2", {"/loader/entries/a.conf": "options root=x rootflags=noatime,subvolid=257\n"}),), "two", id="by id, on a /boot of its own"),
        pytest.param([DEFAULT_TOP, Subvolume(256, "one"), Subvolume(257, "two")], {**below("one"), **below("two")},
                     (("p2", {"/grub2/grub.cfg": "linux /x rootflags=subvol=/two\n"}),), "two", id="in the menu of a /boot of its own"),
    ],
)  # fmt: skip
def test_the_root_is_the_subvolume_that_is_booted(subvolumes, content, more, root):
    guest = assemble(guest_disk(*subvolumes, content=content, more=more))
    assert (guest.root, guest.subvolumes) == ("p3", {"/": root} if root else {})
    assert guest.files.text("/etc/os-release") == "ID=debian\n"


def test_several_roots_of_which_none_is_named_are_not_chosen_among():
    disk = guest_disk(DEFAULT_TOP, Subvolume(256, "one"), Subvolume(257, "two"), content={**below("one"), **below("two")})
    with pytest.raises(Unreadable, match=r"p3: 2 subvolumes hold an operating system \(one, two\), and nothing tells which one is booted"):
        assemble(disk)


FSTAB = "UUID=aa / btrfs subvol=@ 0 0\nUUID=aa /home btrfs %s 0 0\nUUID=aa /again btrfs subvol=@ 0 0\n"


@pytest.mark.parametrize("options", ["subvol=@home", "rw,subvol=/@home", "subvolid=257", "subvol=@home,subvolid=999", "subvol=/@home/"])
def test_fstab_mounts_subvolumes(options):
    content = {**below("@", {**ROOT, "/etc/fstab": FSTAB % options, "/home/hidden": "x"}), **below("@home", {"/user/.bashrc": "here"})}
    guest = assemble(guest_disk(DEFAULT_TOP, Subvolume(256, "@"), Subvolume(257, "@home"), content=content))
    assert guest.mounts == {"/": "p3", "/home": "p3"}
    assert guest.subvolumes == {"/": "@", "/home": "@home"}
    assert (guest.files.names("/home"), guest.files.text("/home/user/.bashrc")) == (["user"], "here")


@pytest.mark.parametrize(
    ("options", "names"), [("defaults", ["@", "@home"]), ("subvolid=5", ["@", "@home"]), ("subvolid=0", ["@", "@home"]), ("subvol=/", ["@", "@home"])]
)
def test_the_top_level_can_be_mounted_too(options, names):
    content = {**below("@", {**ROOT, "/etc/fstab": FSTAB % options}), **below("@home", {"/a": ""})}
    guest = assemble(guest_disk(DEFAULT_TOP, Subvolume(256, "@"), Subvolume(257, "@home"), content=content))
    assert guest.files.names("/home") == names


def test_a_subvolume_that_does_not_exist_is_named():
    content = below("@", {**ROOT, "/etc/fstab": FSTAB % "subvol=@gone"})
    guest = assemble(guest_disk(DEFAULT_TOP, Subvolume(256, "@"), content=content))
    with pytest.raises(Unreadable, match=r"fstab mounts a subvolume of p3 there that does not exist \(subvol=@gone\)"):
        guest.files.names("/home")


@pytest.mark.parametrize(
    ("prefix", "search", "kernel"),
    [("/@/boot", "AA", "/boot/vmlinuz-1"), ("/boot", "AA", "/boot/vmlinuz-1"), ("/@/boot", "ZZ", None)],
    ids=["from the top level", "from the default", "from a volume that is not there"],
)
def test_the_boot_loaders_paths_are_found_in_the_subvolume(prefix, search, kernel):
    menu = f"menuentry 'x' {{\nsearch --fs-uuid --set=root {search}\nlinux {prefix}/vmlinuz-1 root=UUID=AA\ninitrd {prefix}/initrd-1\n}}\n"
    content = below("@", {**ROOT, "/boot/grub/grub.cfg": menu, "/boot/vmlinuz-1": "k", "/boot/initrd-1": "i"})
    found = boot.default_entry(assemble(guest_disk(DEFAULT_TOP, Subvolume(256, "@"), content=content)))
    assert found.kernel_path == kernel
    assert [(each.named, each.path) for each in found.initrds] == [(f"{prefix}/initrd-1", kernel and "/boot/initrd-1")]


@pytest.mark.parametrize("name", ["debian-12-btrfs", "debian-12-btrfs-subvolumes", "debian-12-btrfs-snapper"])
def test_the_same_tree_on_btrfs_gives_the_same_facts_and_findings(name, rules):
    plain, other = (check(build.build(each), rules) for each in ("debian-12-generalized", name))
    assert other.guest == plain.guest
    assert [(each.rule_id, each.outcome) for each in other.findings] == [(each.rule_id, each.outcome) for each in plain.findings]


def test_a_device_is_read_from_a_file_too():
    data = bytes(SOUND)
    device = Device(Stream(FlatReader(io.BytesIO(data), len(data)), 0, len(data)))
    assert device.node_size == btrfs.NODE
