"""XFS: a superblock that may be trusted, and a log that was emptied or not."""

from __future__ import annotations

import shutil
import struct
import subprocess
from types import SimpleNamespace

import pytest

from fixtures import btrfs, filesystem
from tests.disks import open_disk
from tests.unit.test_tables import Bytes
from vhdprep.check import check
from vhdprep.disk.memory import MemoryDisk
from vhdprep.disk.native import NativeDisk, xfssuper
from vhdprep.disk.native.stream import Stream
from vhdprep.errors import Unreadable
from vhdprep.model import Outcome, Verdict, Volume, VolumeKind
from vhdprep.probes.disk import volumes
from vhdprep.vhd.blocks import FlatReader

TOOLS = "/usr/sbin:/sbin:/usr/bin"
BLOCK = 4096
LOG_BLOCKS = 64
SECTORS = LOG_BLOCKS * BLOCK // 512
LOG = 2 * 1024 * 1024
"""Byte of the log: block 0 of the second group of 512 blocks, a place that the packed number does not give by itself."""
UNMOUNT, COMMIT = 0x20, 0x02


class Xfs(Bytes):
    """A superblock of version 5 and a log; ``records`` are (sector, cycle, flags, sectors of data)."""

    def __init__(self, *records, fill=0):
        super().__init__(1024 * BLOCK)
        struct.pack_into(">4sIQ16x16sQQ16xIIIIIH", self.data, 0, b"XFSB", BLOCK, 1024, b"\x11" * 16, 1 << 10, 128, 1, 512, 2, 0, LOG_BLOCKS, 0xB4A5)
        struct.pack_into(">HHH", self.data, 102, 512, 512, 8)
        self.data[123:125] = bytes([3, 10])
        self.seal()
        for sector in range(SECTORS if fill else 0):
            struct.pack_into(">I", self.data, LOG + 512 * sector, fill)
        for record in records:
            self.record(*record)

    def seal(self):
        self.data[224:228] = bytes(4)
        self.data[224:228] = struct.pack("<I", btrfs.crc32c(bytes(self.data[:512])) ^ 0xFFFFFFFF)

    def record(self, sector, cycle, flags, count=1, *, headers=1, operations=1, written=None):
        """``headers`` sectors, then ``count`` of data, of which ``written`` reached the disk."""
        whole = headers + count
        for number in range(whole if written is None else written):
            at = LOG + (sector + number) % SECTORS * 512
            if number == 0:
                struct.pack_into(">IIIIQQIII", self.data, at, 0xFEEDBABE, cycle, 2, 512 * count, cycle << 32 | sector, 0, 0, 0, operations)
                struct.pack_into(">I", self.data, at + 320, 32768 * headers)
            else:
                struct.pack_into(">IIBBH", self.data, at, cycle, 8, 0xAA, flags if number == headers else 0, 0)


def state(disk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vhdprep.disk.native.READERS", {})
        (volume,) = NativeDisk(disk).volumes
    assert volume.filesystem == "xfs"
    return volume.state


LAST = SECTORS - 2


@pytest.mark.parametrize(
    ("disk", "expected"),
    [
        (Xfs(), "clean"),
        (Xfs((0, 1, UNMOUNT)), "clean"),
        (Xfs((0, 1, UNMOUNT), (2, 1, COMMIT, 5)), "unclean"),
        (Xfs((0, 1, UNMOUNT), (2, 1, COMMIT, 5), (8, 1, UNMOUNT)), "clean"),
        (Xfs((0, 5, COMMIT, 9), (10, 5, UNMOUNT), fill=4), "clean"),
        (Xfs((0, 5, COMMIT, 9), (10, 5, UNMOUNT), (12, 5, COMMIT, 3), fill=4), "unclean"),
        (Xfs((LAST, 5, UNMOUNT), fill=5), "clean"),
        (Xfs((LAST, 5, COMMIT), fill=5), "unclean"),
        (Xfs((LAST + 1, 4, UNMOUNT), fill=4), "unclean"),
        (Xfs((12, 5, UNMOUNT, 1), (0, 5, COMMIT, 11), (300, 4, UNMOUNT), fill=4), "clean"),
        (Xfs((0, 5, COMMIT, 11), (300, 4, UNMOUNT), fill=4), "unclean"),
    ],
    ids=["never written", "made", "mounted", "mounted and unmounted", "unmounted later", "mounted again", "ends at the end", "in use at the end",
         "crosses the end half written", "an older unmount ahead", "only an older unmount"],
)  # fmt: skip
def test_the_last_record_says_whether_it_was_unmounted(disk, expected):
    assert state(disk) == expected


def test_a_record_across_the_end_of_the_log_is_followed():
    disk = Xfs((SECTORS - 3, 4, COMMIT, 1), fill=4)
    disk.record(SECTORS - 1, 4, UNMOUNT)
    struct.pack_into(">I", disk.data, LOG, 5)  # what lies behind the end has the next cycle
    assert state(disk) == "clean"


def test_a_record_that_was_not_written_whole_does_not_count():
    disk = Xfs((0, 5, COMMIT, 9), (10, 5, UNMOUNT), fill=4)
    disk.record(12, 5, COMMIT, 20, written=7)
    assert state(disk) == "clean"
    disk.record(12, 5, COMMIT, 20)
    assert state(disk) == "unclean"


@pytest.mark.parametrize("later", [20, 14], ids=["the search by halves ends in the hole", "the search by halves ends behind it"])
def test_a_hole_before_the_head_is_the_head(later):
    disk = Xfs((0, 5, COMMIT, 9), (10, 5, UNMOUNT), fill=4)
    disk.record(later, 5, COMMIT, 9)  # arrived before the record at sector 12, which never did
    assert state(disk) == "clean"


def test_an_unmount_record_with_more_than_one_header_or_operation():
    disk = Xfs((0, 5, COMMIT, 9), fill=4)
    disk.record(10, 5, UNMOUNT, headers=8)
    assert state(disk) == "clean"
    disk.record(10, 5, UNMOUNT, headers=8, operations=2)
    assert state(disk) == "unclean"


@pytest.mark.parametrize("filler", [b"\xff", b"\xfe\xed\xba\xbe", b"\x00\x00\x00\x01\x00\x00\x00\x02"])
def test_a_log_of_nonsense_is_unclean_and_ends(filler):
    disk = Xfs()
    disk.data[LOG : LOG + SECTORS * 512] = filler * (SECTORS * 512 // len(filler))
    assert state(disk) == "unclean"


def refused(at, value):
    disk = Xfs()
    disk.data[at : at + len(value)] = value
    with pytest.raises(Unreadable) as caught:
        xfssuper.validate(xfssuper.parse(bytes(disk.data[:512])), disk.size)
    assert state(disk) is None
    return str(caught.value)


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (100, b"\xb4\xa6", "it has version 6"),
        (4, b"\0\0\x03\xe8", "its blocks are given as 1000 bytes"),
        (8, b"\xff" * 8, "2 groups of 512 blocks are not 18446744073709551615 blocks"),
        (88, b"\xff" * 4, "4294967295 groups of 512 blocks are not 1024 blocks"),
        (124, b"\x03", "its groups are larger than its block numbers allow"),
        (4, b"\0\0\x20\0", "it claims 8388608 bytes, and its volume has 4194304"),
        (126, b"\1", "mkfs.xfs did not finish"),
        (56, bytes(8), "it names no root directory"),
        (48, bytes(8), "its log lies on another device"),
        (96, b"\xff" * 4, "its log lies outside the volume"),
        (48, b"\x7f" + b"\xff" * 7, "its log lies outside the volume"),
        (104, b"\x01\0", "its inodes are given as 256 bytes, 2^3 in a block"),
        (123, b"\x0c", "its inodes are given as 512 bytes, 2^12 in a block"),
        (192, b"\x05", "its blocks of directories are too large"),
        (60, b"\1", "the checksum of its superblock is wrong"),
        (216, b"\x80\0\0\0", "it has features that are not known here (0x80000000)"),
    ],
)
def test_a_superblock_that_cannot_be_true_is_refused(at, value, reason):
    assert refused(at, value) == reason


def test_a_repair_that_did_not_finish_is_an_error():
    disk = Xfs()
    disk.data[216:220] = b"\0\0\0\x10"
    disk.seal()
    assert state(disk) == "errors"


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4", "xfs", "btrfs", "ntfs"])
def test_a_state_that_is_not_known_is_not_clean(kind):
    volume = Volume("p1", VolumeKind.PARTITION, 1 << 30, 0, None, kind, read=True)
    disk = MemoryDisk(1 << 30, "gpt", [volume], {}, {})
    image = SimpleNamespace(need_disk=lambda: disk, disks=[SimpleNamespace(role="os", disk=disk)], guest=None)
    with pytest.raises(Unreadable, match="p1: whether it was left clean is not known"):
        volumes(image, having="unclean")


def test_the_smallest_volume_that_says_xfs_is_refused():
    disk = Bytes(4)
    disk.data[:4] = b"XFSB"
    (volume,) = NativeDisk(disk).volumes
    assert (volume.read, volume.needed, volume.reason) == (False, True, "the xfs file system cannot be opened (it has version 0)")


class Changed:
    """A reader with some bytes changed."""

    def __init__(self, reader, at, data):
        self.reader, self.size, self.at, self.data = reader, reader.size, at, data

    def read_at(self, offset, size):
        out = bytearray(self.reader.read_at(offset, size))
        for number, byte in enumerate(self.data):
            if 0 <= self.at + number - offset < len(out):
                out[self.at + number - offset] = byte
        return bytes(out)


@pytest.mark.parametrize("name", ["debian-12-xfs", "debian-12-xfs-4"])
def test_what_mkfs_made_is_clean_until_a_record_follows(image, name):
    path = image(name)
    with open_disk(path) as disk:
        root = disk.volumes[-1]
        assert (root.filesystem, root.state, root.read, root.needed) == ("xfs", "clean", True, False)
        found = xfssuper.parse(Stream(disk._reader, root.offset, root.size).read_at(0, 512))
        first = disk._reader.read_at(root.offset + found.log_offset, 512)
        behind = 1 + -(-struct.unpack_from(">I", first, 12)[0] // 512)
        again = NativeDisk(Changed(disk._reader, root.offset + found.log_offset + 512 * behind, first[:508] + b"\1\0\0\1\0\0\0\1"))
        assert again.volumes[-1].state == "unclean"
        assert (again.volumes[-1].read, again.volumes[-1].needed) == (True, True)


@pytest.mark.skipif(shutil.which("xfs_logprint", path=TOOLS) is None, reason="xfs_logprint (package xfsprogs) is not installed")
@pytest.mark.parametrize("version", [4, 5])
def test_xfs_logprint_sees_the_same(version, tmp_path):
    path = tmp_path / "xfs"
    filesystem.make("xfs", path, 320 * 1024 * 1024, {"/file": "x"}, {"options": ["-m", f"crc={version - 4}"]}, tmp_path / "tree")

    def both():
        done = subprocess.run([shutil.which("xfs_logprint", path=TOOLS), "-t", path], capture_output=True, text=True, check=False)
        with path.open("rb") as file:
            (volume,) = NativeDisk(FlatReader(file, path.stat().st_size)).volumes
        return "<CLEAN>" in done.stdout, "<DIRTY>" in done.stdout, volume.state

    assert both() == (True, False, "clean")
    with path.open("r+b") as file:
        offset = xfssuper.parse(file.read(512)).log_offset
        file.seek(offset)
        record = bytearray(file.read(512))
        length = struct.unpack_from(">I", record, 12)[0]
        behind = 1 + -(-length // 512)
        struct.pack_into(">I", record, 12, 512)
        struct.pack_into(">QQ", record, 16, 1 << 32 | behind, 1 << 32)
        file.seek(offset + 512 * behind)
        file.write(record + struct.pack(">IIBBH", 1, 0, 0xAA, COMMIT, 0).ljust(512, b"\0"))
    assert both() == (False, True, "unclean")


@pytest.mark.data
def test_a_real_xfs_that_was_unmounted_is_clean(data):
    path = data("vhdx/xfs5.vhdx")
    with open_disk(path) as disk:
        assert [(each.filesystem, each.state, each.read) for each in disk.volumes] == [("xfs", "clean", True)]


def test_version_4_gives_the_same_findings_as_version_5(image, rules):
    four, five = (check(image(name), rules) for name in ("debian-12-xfs-4", "debian-12-xfs"))
    assert four.verdict is five.verdict is Verdict.READY
    assert [each.outcome for each in four.findings] == [each.outcome for each in five.findings]
    assert four.guest == five.guest
    assert Outcome.UNKNOWN not in {each.outcome for each in four.findings}
