"""Checksums of metadata: what is sound is read as before, what is damaged is named, and nothing damaged is taken for empty."""

from __future__ import annotations

import os
import random
import re
import struct
import subprocess
import sys
from contextlib import contextmanager

import pytest

from fixtures import btrfs, build, filesystem, vhdfile
from tests.disks import open_disk
from tests.unit.test_tables import Bytes
from tests.unit.test_xfs import Changed
from vhdprep.check import check
from vhdprep.disk.backend import FileKind
from vhdprep.disk.native import NativeDisk, xfssuper
from vhdprep.disk.native.checksum import crc32c
from vhdprep.disk.native.stream import Stream
from vhdprep.errors import Unreadable
from vhdprep.model import Verdict
from vhdprep.vhd.blocks import FlatReader

MIB = 1024 * 1024
NAMES = [f"a name of some length that repeats {number}".replace(" ", "-") for number in range(3000)]
SIZE = 1_234_567
"""Of one file; no other bytes of an image are like it."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A directory of 3000 names, a file of 1200 pieces, links."""
    root = tmp_path_factory.mktemp("tree")
    for directory in ("many", "few", "deep/er", "empty"):
        (root / directory).mkdir(parents=True)
    for number, name in enumerate(NAMES):
        (root / "many" / name).write_text("" if number % 50 else str(number))
    (root / "few" / "the-only-one").write_text("x")
    (root / "deep" / "er" / "file").write_text("y")
    (root / "short").symlink_to("deep/er")
    with (root / "pieces").open("wb") as file:
        for number in range(1200):
            file.seek(number * 16384)
            file.write(b"%d" % number)
    with (root / "sized").open("wb") as file:
        file.truncate(SIZE)
    return root


@pytest.fixture(scope="module")
def make(tree, tmp_path_factory):
    """An image of the tree: ext4, after ``e2fsck -D`` with indexes of directories; XFS; btrfs."""
    place = tmp_path_factory.mktemp("images")
    made = {}

    def build_one(kind, *options):
        if (kind, options) in made:
            return made[kind, options]
        path = made[kind, options] = place / str(len(made))
        with path.open("wb") as file:
            file.truncate({"ext4": 340 if "65536" in options else 96, "xfs": 320, "btrfs": 128}[kind] * MIB)
        if kind == "ext4":
            filesystem.run("mke2fs", "-q", "-F", "-t", "ext4", *options, "-d", tree, path)
            subprocess.run(
                ["e2fsck", "-fyD", path], capture_output=True, check=False, env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
            )
        elif kind == "xfs":
            filesystem.run("mkfs.xfs", "-q", "-f", *options, "-p", filesystem._prototype(tree), path)
        else:
            filesystem.run("mkfs.btrfs", "-q", *options, "--rootdir", tree, path)
        return path

    return build_one


@contextmanager
def opened(path, *changes):
    """The files of the one volume, after ``changes``: byte → what it becomes."""
    with path.open("rb") as file:
        disk = FlatReader(file, path.stat().st_size)
        for at, value in changes:
            disk = Changed(disk, at, value)
        disk = NativeDisk(disk)
        (volume,) = disk.volumes
        assert (volume.read, volume.reason) == (True, None)
        yield disk.files(volume)


def content(files, path=""):
    """Everything below a directory: path → bytes, target, or None for a directory."""
    found = {}
    for name in files.list(path or "/"):
        here = f"{path}/{name}"
        kind = files.lstat(here).kind
        found[here] = files.readlink(here) if kind is FileKind.LINK else files.read(here, 64 * MIB) if kind is FileKind.FILE else None
        if kind is FileKind.DIRECTORY and here != "/lost+found":
            found |= content(files, here)
    return found


def written(root):
    return {
        f"/{path.relative_to(root)}": str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


SOUND = {
    "ext4 as it is made": ("ext4",),
    "ext4 with 32 bits": ("ext4", "-O", "^64bit"),
    "ext4 with a seed of its own": ("ext4", "-O", "metadata_csum_seed"),
    "ext4 with inodes of 128 bytes": ("ext4", "-I", "128"),
    "ext4 with inodes of 1024 bytes": ("ext4", "-I", "1024"),
    "ext4 with blocks of 1 KiB": ("ext4", "-b", "1024"),
    "ext4 with blocks of 4 KiB": ("ext4", "-b", "4096"),
    "ext4 with blocks of 64 KiB": ("ext4", "-b", "65536", "-N", "4096"),
    "ext4 with scattered descriptors": ("ext4", "-O", "meta_bg,^resize_inode", "-b", "1024", "-g", "1024"),
    "ext4 with clusters": ("ext4", "-O", "bigalloc"),
    "ext4 without extents": ("ext4", "-O", "^extent,^64bit"),
    "ext4 without checksums": ("ext4", "-O", "^metadata_csum"),
    "ext4 with checksums of descriptors only": ("ext4", "-O", "^metadata_csum,uninit_bg"),
    "XFS as it is made": ("xfs",),
    "XFS with blocks of 1 KiB": ("xfs", "-b", "size=1024"),
    "XFS with directories of 64 KiB": ("xfs", "-n", "size=65536"),
    "XFS with wide counts of extents": ("xfs", "-i", "nrext64=1"),
    "XFS of version 4": ("xfs", "-m", "crc=0"),
    "btrfs as it is made": ("btrfs",),
    "btrfs with XXH64": ("btrfs", "--csum", "xxhash"),
    "btrfs with SHA-256": ("btrfs", "--csum", "sha256"),
    "btrfs with BLAKE2b": ("btrfs", "--csum", "blake2"),
    "btrfs with nodes of 4 KiB": ("btrfs", "--nodesize", "4096", "--csum", "xxhash"),
}


@pytest.mark.parametrize("kind", SOUND)
def test_a_sound_file_system_is_read_as_it_was_written(kind, make, tree):
    with opened(make(*SOUND[kind])) as files:
        found = content(files)
    found.pop("/lost+found", None)
    assert found == written(tree)


def test_content_that_lies_in_inodes_is_a_gap(make):
    """libfsext reads 60 bytes of it and drops the rest of names, links and files."""
    path = make("ext4", "-O", "inline_data")
    with path.open("rb") as file:
        (volume,) = NativeDisk(FlatReader(file, path.stat().st_size)).volumes
    assert (volume.read, volume.needed, "inline_data" in volume.reason) == (True, True, True)


# One wound


@contextmanager
def flipped(path, at):
    """The files when one bit at ``at`` is another."""
    with opened(path, (at, bytes([bytes_of(path, at, 1)[0] ^ 0x10]))) as files:
        yield files


def bytes_of(path, at, size):
    with path.open("rb") as file:
        file.seek(at)
        return file.read(size)


def place_of(path, block, is_wanted):
    """A byte in the first block that is wanted."""
    with path.open("rb") as file:
        return 24 + next(at for at in range(0, path.stat().st_size, block) if is_wanted(file.read(block)))


def has(value, at=0):
    return lambda block: block[at : at + len(value)] == value


def is_leaf(block):
    return NAMES[7].encode() in block and block[-12:-4] == b"\0\0\0\0\x0c\0\0\xde"


def is_piece_list(block):
    """A block of extents that lie 16 blocks apart."""
    return block[:2] == b"\x0a\xf3" and block[24:28] == b"\x10\0\0\0"


ROOT = re.compile(rb".{4}\x0c\0\x01\x02\.\0{3}.{4}.{2}\x02\x02\.\.\0\0\0{4}.\x08", re.DOTALL)
SIZED = struct.pack("<I", SIZE)
EXT = ("ext4", "-b", "1024")

WOUNDS = {
    "an inode": (EXT, 256, has(SIZED, 4), "/sized", r"inode \d+ is wrong; the file system is damaged: run fsck in the guest"),
    "an inode of 128 bytes": (("ext4", "-I", "128"), 128, has(SIZED, 4), "/sized", r"inode \d+ is wrong"),
    "a block of names": (EXT, 1024, is_leaf, "/many", r"block \d+ of the directory \(inode \d+\) is wrong"),
    "the root of an index": (EXT, 1024, ROOT.match, "/many", r"block 0 of the directory \(inode \d+\) is wrong"),
    "a node of an index": (EXT, 1024, has(b"\0\0\0\0\0\4\0\0\x7e\0"), "/many", r"block \d+ of the directory"),
    "an extent block": (EXT, 1024, is_piece_list, "/pieces", r"an extent block of inode \d+ is wrong"),
    "an inode of XFS": (("xfs",), 512, has(SIZED[::-1], 60), "/sized", r"inode \d+ is wrong; .* run xfs_repair in the guest"),
    "a block of names of XFS": (("xfs",), 4096, has(b"XDD3"), "/many", r"block \d+ of the directory \(inode \d+\) is wrong"),
    "an index of XFS": (("xfs",), 4096, has(b"\x3d\xff", 8), "/many", r"block 83886\d+ of the directory"),
    "an extent block of XFS": (("xfs",), 4096, has(b"BMA3"), "/many", r"an extent block of inode \d+ is wrong"),
    "the middle of a long block": (
        ("xfs", "-n", "size=65536"),
        4096,
        lambda block: NAMES[9].encode() in block,
        "/many",
        r"block \d+ of the directory",
    ),
}


@pytest.mark.parametrize("kind", WOUNDS)
def test_one_bit_is_enough_to_name_the_place(kind, make):
    image, block, wanted, where, says = WOUNDS[kind]
    path = make(*image)
    with flipped(path, place_of(path, block, wanted)) as files:
        for _ in range(2):  # the second look is no more trusting
            with pytest.raises(Unreadable, match=f"^{where}: the checksum of {says}"):
                assert files.list(where) if where == "/many" else files.read(where, 10)
        assert files.read("/few/the-only-one", 9) == b"x"


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (None, "the checksum of the tree node at {node} is wrong; the file system is damaged: run btrfs scrub in the guest"),
        (0x10000 + 0xC4, "its checksums are of an unknown kind (16)"),
        (0x10000 + 0x120, "the checksum of its superblock is wrong"),
    ],
)
def test_a_node_of_btrfs_is_named_and_a_superblock(place, says):
    writer = btrfs.Writer(32 * MIB)
    writer.subvolume(5, {"file": b"x"}, {})
    image = Bytes(0)
    image.data = writer.finish()
    image.size, node = len(image.data), max(at for at in writer.pieces if at % btrfs.NODE == 0)
    image.data[node + 5000 if place is None else place] ^= 0x10
    (volume,) = NativeDisk(image).volumes
    assert (volume.read, volume.needed) == (False, True)
    assert says.format(node=node) in volume.reason


@pytest.mark.parametrize("csum", ["xxhash", "sha256", "blake2"])
def test_every_checksum_of_btrfs_sees_one_bit(csum, make):
    path = make("btrfs", "--csum", csum)
    with opened(path) as files:
        device, opening = files._device, set(files._device._nodes)
        files.list("/many")
        address = next(address for address in device._nodes if address not in opening)
        chunk = next(each for each in reversed(device.chunks) if each.start <= address)
        start, offset = chunk.start, chunk.reader._pieces[0].areas[0].offset
    with (
        flipped(path, offset + address - start + 5000) as files,
        pytest.raises(Unreadable, match=f"the checksum of the tree node at {address} is wrong"),
    ):
        files.list("/many")


def sealed(structure, *places, seed=0xFFFFFFFF, invert=0):
    """``structure`` with its checksum, whose bytes lie at ``places``, made right."""
    out = bytearray(structure)
    for place in places:
        out[place] = 0
    for place, byte in zip(places, (crc32c(bytes(out), seed) ^ invert).to_bytes(4, "little"), strict=True):
        out[place] = byte
    return bytes(out)


def test_a_directory_whose_end_is_missing_is_not_a_short_one(make):
    """What a checksum cannot see when someone made it right again, the size does."""
    path = make(*EXT)
    with opened(path) as files:
        number = files._entry("/many").inode_number
    at = struct.unpack("<I", bytes_of(path, 2048 + 8, 4))[0] * 1024 + (number - 1) * 256
    inode, uuid = bytearray(bytes_of(path, at, 256)), bytes_of(path, 1024 + 0x68, 16)
    blocks = struct.unpack_from("<I", inode, 4)[0] // 1024
    struct.pack_into("<I", inode, 4, 1024 * (blocks + 1))
    seed = crc32c(struct.pack("<I", number) + inode[0x64:0x68], crc32c(uuid))
    longer = sealed(inode, 0x7C, 0x7D, 0x82, 0x83, seed=seed)
    with (
        opened(path, (at, longer)) as files,
        pytest.raises(Unreadable, match=rf"/many: block {blocks} of the directory \(inode {number}\) is missing"),
    ):
        files.list("/many")


def test_a_long_link_on_xfs_is_read_from_its_own_block(make):
    """As the kernel writes it; mkfs.xfs 6.1 forgets the header, and xfs_repair would remove such a link."""
    path, target = make("xfs"), "t" * 700
    with opened(path) as files:
        number = files._entry("/short").inode_number
    head = bytes_of(path, 0, xfssuper.MAX_SECTOR)
    found, uuid = xfssuper.parse(head), head[32:48]
    at, block = found.inode_offset(number), found.group_blocks - 1
    inode = bytearray(bytes_of(path, at, found.inode))
    assert not any(bytes_of(path, block * 4096, 4096))
    inode[5] = 2  # its content lies in extents
    struct.pack_into(">Q", inode, 56, len(target))
    struct.pack_into(">I", inode, 76, 1)
    struct.pack_into(">QQ", inode, 176, 0, block << 21 | 1)
    body = struct.pack(">4sIII16sQQQ", b"XSLM", 0, len(target), 0, uuid, number, block * 8, 0) + target.encode()
    changes = [(at, sealed(inode, 100, 101, 102, 103, invert=0xFFFFFFFF))]
    changes.append((block * 4096, sealed(body.ljust(4096, b"\0"), 12, 13, 14, 15, invert=0xFFFFFFFF)))
    with opened(path, *changes) as files:
        assert files.readlink("/short") == target
    says = r"/short: the checksum of the target of the link \(inode \d+\) is wrong"
    with opened(path, *changes, (block * 4096 + 99, b"x")) as files, pytest.raises(Unreadable, match=says):
        files.readlink("/short")


# The library


def test_crc32c_is_that_of_the_standard():
    assert crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283
    assert crc32c(b"6789", crc32c(b"12345")) == crc32c(b"123456789")


def run(code):
    done = subprocess.run([sys.executable, "-W", "default", "-c", f"import sys\n{code}"], capture_output=True, text=True, check=False)
    return done.stdout, done.stderr


def test_without_its_c_part_it_is_right_and_quiet():
    code = "sys.modules['google_crc32c._crc32c'] = None\nfrom vhdprep.vhd.crc32c import crc32c, google_crc32c\n"
    assert run(f"{code}print(google_crc32c.implementation, hex(crc32c(b'123456789')))") == ("python 0xe3069283\n", "")
    assert "google_crc32c" in (said := run(f"{code}from vhdprep.cli.doctor import doctor\ndoctor()")[0])
    assert "but slowly: its C part is missing" in said


def test_it_is_not_imported_before_a_file_system_needs_it():
    code = "import vhdprep.disk.native.superblock, vhdprep.check, vhdprep.cli.check\nprint('google_crc32c' in sys.modules)"
    assert run(code) == ("False\n", "")


# What a person relies on: green


LEFTOVER = "/etc/ssh/ssh_host_ed25519_key"
IMAGES = 40
"""Damaged images of each kind. Of 3000 such images each, 16 of 12,000 were ready before checksums were looked at."""


def one_leftover(base, place, options=()):
    """The good guest of a fixture with one host key, and names enough that its directory lies in a block of its own."""
    recipe = {**build.recipes()[base]}
    recipe["volumes"] = [*recipe["volumes"][:-1], {**recipe["volumes"][-1], **({"options": options} if options else {})}]
    recipe["add"] = {**recipe.get("add", {}), LEFTOVER: "not a key\n", **{f"/etc/ssh/moduli-{number:03}": "" for number in range(40)}}
    raw, path = place / "leftover.raw", place / "leftover.vhd"
    build.write_disk(recipe, raw, place)
    vhdfile.write(raw, path)
    return path


def metadata(path, monkeypatch):
    """Where it lies: what is read of the root file system other than by the libraries."""
    places = set()
    with monkeypatch.context() as patch, open_disk(path) as disk:
        root = disk.volumes[-1]
        read_at = Stream.read_at

        def noting(stream, offset, size):
            if stream._offset == root.offset and size <= 16384:
                places.add((root.offset + offset, size))
            return read_at(stream, offset, size)

        patch.setattr(Stream, "read_at", noting)
        again = NativeDisk(disk._reader)
        content(again.files(again.volumes[-1]))
    return sorted(places)


def wound(file, at, size, rng):
    """Change some bytes; gives what undoes it."""
    file.seek(at)
    before = file.read(size)
    used = max(1, len(before.rstrip(b"\0")))
    begin, length = rng.randrange(used), rng.choice([1, 1, 2, 4, 8, 64, 512])
    middle = {"bit": bytes([before[begin] ^ 1 << rng.randrange(8)]), "noise": rng.randbytes(length), "zeros": bytes(length), "ones": b"\xff" * length}
    how = rng.choice(["bit", "noise", "zeros", "ones", "all"])
    after = bytes(size) if how == "all" else (before[:begin] + middle[how] + before[begin + len(middle[how]) :])[:size]
    file.seek(at)
    file.write(after)
    return (at, before), after != before


@pytest.mark.parametrize("base", ["debian-12-generalized", "debian-12-xfs", "debian-12-btrfs", "debian-12-btrfs-subvolumes"])
def test_no_damage_to_metadata_turns_a_leftover_into_green(base, rules, tmp_path, monkeypatch):
    path = one_leftover(base, tmp_path)
    assert check(path, rules).verdict is Verdict.NOT_READY
    places, seen = metadata(path, monkeypatch), []
    assert len(places) > 5
    with path.open("r+b", buffering=0) as file:
        for number in range(IMAGES):
            rng = random.Random(f"{base} {number}")
            wounds = [wound(file, *rng.choice(places), rng) for _ in range(rng.choice([1, 1, 2, 3]))]
            seen.append(check(path, rules).verdict)
            for (at, before), _ in reversed(wounds):
                file.seek(at)
                file.write(before)
            assert seen[-1] is not Verdict.READY, (number, wounds)
    assert Verdict.INCONCLUSIVE in seen
    assert check(path, rules).verdict is Verdict.NOT_READY


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        ([], ["/etc/ssh: the checksum of"] * 2),
        (["-O", "^metadata_csum"], ["/etc/ssh: block 0 of the directory", "/etc/ssh: the ext is damaged: the inode that stands there is of no kind"]),
    ],
)
def test_a_directory_of_zeros_is_not_an_empty_one(rules, tmp_path, options, reasons):
    """Each of these was ready: the key was gone from view, and nothing said so."""
    path = one_leftover("debian-12-generalized", tmp_path, options)
    with open_disk(path) as disk:
        root, files = disk.volumes[-1], disk.files(disk.volumes[-1])
        verifier, entry = files._verifier, files._entry("/etc/ssh")
        group, index = divmod(entry.inode_number - 1, verifier._group_inodes)
        inode = root.offset + verifier._groups.inode_table(group) * 1024 + index * 256
        block = root.offset + entry.get_extent(0)[0]
    assert bytes_of(path, inode, 2) == struct.pack("<H", 0o40755)
    for (at, size), reason in zip(((block, 1024), (inode, 256)), reasons, strict=True):
        before = bytes_of(path, at, size)
        with path.open("r+b", buffering=0) as file:
            file.seek(at)
            file.write(bytes(size))
            report = check(path, rules)
            file.seek(at)
            file.write(before)
        assert report.verdict is Verdict.INCONCLUSIVE
        assert any(reason in (finding.reason or "") for finding in report.findings)
