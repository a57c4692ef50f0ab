"""What is only recognised: named by the least bytes that give it away, never taken for empty, never read wrong."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest

from tests.unit.test_tables import Bytes, boot_record, gpt_disk
from vhdprep.disk.native import NativeDisk

SIZE = 2 * 1024 * 1024
TO_GO = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")
FAT_SHAPE = {82: b"FAT32   ", 510: b"\x55\xaa"}


def disk(content):
    """Bytes at places; a negative place counts from the end."""
    made = Bytes(SIZE)
    for at, data in content.items():
        at = at % SIZE
        made.data[at : at + len(data)] = data
    return made


def md(at):
    """The superblock of a Linux RAID as it stands at byte ``at``."""
    return struct.pack("<III4x16s32sQi52xQQQ", 0xA92B4EFC, 1, 0, b"\x77" * 16, b"host:root", 0, 1, 0, 0, at // 512)


def old_md(order="<", used=1024):
    return struct.pack(f"{order}9I28x", 0xA92B4EFC, 0, 90, 0, 0, 0, 0, 1, used)


def key(protection, kind=2, value=8, length=36):
    return struct.pack("<4H24xHH", length, kind, value, 1, 0, protection)


def metadata(*entries, size=None):
    """An FVE metadata block with these entries."""
    body = b"".join(entries)
    return b"-FVE-FS-".ljust(64, b"\2") + struct.pack("<III36x", 48 + len(body) if size is None else size, 1, 48) + body


def seven(*entries, size=None):
    return {0: b"\xeb\x58\x90-FVE-FS-", **FAT_SHAPE, 176: struct.pack("<3Q", 0, 65536, 131072), 65536: metadata(*entries, size=size)}


def named(disk):
    (volume,) = NativeDisk(disk).volumes
    assert not volume.read
    assert volume.needed
    return volume.filesystem, volume.reason, volume.uuid, volume.label


RAID = "part of a Linux software RAID"
MEMBER = ("linux_raid_member", RAID, "77777777-7777-7777-7777-777777777777", "host:root")
LOCKED = ("BitLocker", "encrypted with BitLocker", None, None)
SUSPENDED = ("BitLocker", "encrypted with BitLocker; its protection is suspended: a key in the clear lies beside it", None, None)
END = (SIZE - 8192) & ~4095
OLD_END = (SIZE & ~0xFFFF) - 0x10000


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param({0: b"LUKS\xba\xbe\0\1", 168: b"0c1d"}, ("crypto_LUKS", "encrypted with LUKS", "0c1d", None), id="LUKS 1"),
        pytest.param({0: b"LUKS\xba\xbe\0\2", 24: b"root", 168: b"0c1d"}, ("crypto_LUKS", "encrypted with LUKS", "0c1d", "root"), id="LUKS 2"),
        pytest.param({0x4000: b"SKUL\xba\xbe\0\2", 0x40A8: b"0c1d"}, ("crypto_LUKS", "encrypted with LUKS", "0c1d", None), id="LUKS 2, second header"),
        pytest.param({0: md(0)}, MEMBER, id="md 1.1"),
        pytest.param({4096: md(4096)}, MEMBER, id="md 1.2"),
        pytest.param({END: md(END)}, MEMBER, id="md 1.0"),
        pytest.param({END: md(END), 0x438: b"\x53\xef"}, MEMBER, id="md 1.0 with a file system that shows through"),
        pytest.param({OLD_END: old_md()}, ("linux_raid_member", RAID, None, None), id="md 0.90"),
        pytest.param({OLD_END: old_md(">")}, ("linux_raid_member", RAID, None, None), id="md 0.90, big-endian"),
        pytest.param({OLD_END: old_md(), 0: b"XFSB"}, ("linux_raid_member", RAID, None, None), id="md 0.90 with a file system"),
        pytest.param({132 * 1024: struct.pack("<Q", 0xBAB10C)}, ("zfs_member", "part of a ZFS pool", None, None), id="ZFS"),
        pytest.param({255 * 1024: struct.pack(">Q", 0xBAB10C)}, ("zfs_member", "part of a ZFS pool", None, None), id="ZFS, big-endian"),
        pytest.param({3: b"ReFS\0\0\0\0"}, ("ReFS", "ReFS is not read by this backend", None, None), id="ReFS"),
        pytest.param({0xC00: b"PRIVHEAD"}, ("LDM", "part of a Windows dynamic disk", None, None), id="LDM"),
        pytest.param({0: b"SPACEDB "}, ("storage_spaces", "part of a Storage Spaces pool", None, None), id="Storage Spaces"),
        pytest.param({0: b"\xeb\x52\x90-FVE-FS-"}, LOCKED, id="BitLocker of Vista"),
        pytest.param({0: b"\xeb\x58\x90-FVE-FS-", **FAT_SHAPE}, LOCKED, id="BitLocker of 7 and later, which looks like FAT32"),
        pytest.param({0: b"\xeb\x58\x90MSWIN4.1", 424: TO_GO, **FAT_SHAPE}, LOCKED, id="BitLocker To Go"),
        pytest.param(seven(key(0x0100), key(0x0800)), LOCKED, id="BitLocker with TPM and recovery password"),
        pytest.param(seven(key(0x0800), key(0x0000)), SUSPENDED, id="BitLocker suspended"),
        pytest.param({0: b"\xeb\x58\x90MSWIN4.1", 424: TO_GO, **FAT_SHAPE, 440: struct.pack("<Q", 512 * 9), 512 * 9: metadata(key(0))}, SUSPENDED,
                     id="BitLocker To Go suspended"),
        pytest.param({0: b"\xeb\x52\x90-FVE-FS-\0\2\x08", 56: struct.pack("<Q", 10), 40960: metadata(key(0))}, SUSPENDED, id="BitLocker of Vista suspended"),
        pytest.param(seven(key(0, kind=3)), LOCKED, id="another key in the clear"),
        pytest.param(seven(key(0, length=0)), LOCKED, id="an entry without a length"),
        pytest.param(seven(key(0), size=0), LOCKED, id="metadata without entries"),
        pytest.param({0: b"\xeb\x58\x90-FVE-FS-", 176: b"\xff" * 24}, LOCKED, id="metadata outside the volume"),
        pytest.param({6000: b"x"}, (None, "its content is not recognised", None, None), id="something unknown"),
    ],
)  # fmt: skip
def test_a_volume_is_named_by_its_signature(content, expected):
    assert named(disk(content)) == expected


@pytest.mark.parametrize(
    "content",
    [{4096: md(0)}, {END: md(END - 4096)}, {OLD_END: old_md(used=1 << 31)}, {OLD_END: struct.pack("<III52x", 0xA92B4EFC, 1, 0)}],
    ids=["1.2 that says it stands elsewhere", "1.0 of a smaller disk", "0.90 of a larger disk", "0.90 of another version"],
)
def test_remains_of_a_raid_do_not_hide_a_file_system(content):
    made = disk({0x438: b"\x53\xef", **content})
    assert NativeDisk(made).volumes[0].filesystem == "ext2"


def test_swap_is_named_and_leaves_no_gap():
    (volume,) = NativeDisk(disk({4086: b"SWAPSPACE2"})).volumes
    assert (volume.filesystem, volume.reason, volume.needed) == ("swap", "swap space", False)


def test_swap_that_holds_a_hibernated_system_is_a_gap():
    (volume,) = NativeDisk(disk({4086: b"S1SUSPEND"})).volumes
    reason = "swap space with a hibernated system: the file systems are as they were when it fell asleep"
    assert (volume.filesystem, volume.reason, volume.needed) == ("swsuspend", reason, True)


@pytest.mark.parametrize(("kind", "filesystem"), [("42", "LDM"), ("83", "xfs")])
def test_a_partition_of_a_dynamic_disk_is_not_read_by_what_it_begins_with(kind, filesystem):
    made = Bytes()
    made.put(0, boot_record((0x80, int(kind, 16), 100, 3000)))
    made.put(100, b"XFSB")
    (volume,) = NativeDisk(made).volumes
    assert (volume.filesystem, volume.read, volume.needed) == (filesystem, False, True)


@pytest.mark.parametrize(
    ("type_guid", "filesystem"),
    [
        ("aac808588f7ee04285d2e1e90434cfb3", "LDM"),
        ("a0609baf3114624fbc683311714a69ad", "LDM"),
        ("8faf5ce780f6ee4cafa3b001e56efc2d", "storage_spaces"),
    ],
)
def test_parts_of_something_larger_are_known_by_their_partition_type(type_guid, filesystem):
    (volume,) = NativeDisk(gpt_disk(type_guid=type_guid)).volumes
    assert (volume.filesystem, volume.read, volume.needed) == (filesystem, False, True)


def test_a_raid_of_two_partitions_of_one_disk_is_named_on_each():
    made = gpt_disk(((2048, 2559), (2560, 3071)))
    made.put(2048 + 8, md(4096))
    made.put(2560 + 8, md(4096))
    assert [(each.id, each.filesystem, each.uuid, each.needed) for each in NativeDisk(made).volumes] == [
        ("p1", "linux_raid_member", MEMBER[2], True),
        ("p2", "linux_raid_member", MEMBER[2], True),
    ]


@pytest.mark.parametrize("size", [1, 11, 513, 1100, 4100, 70000])
def test_a_signature_in_a_volume_too_small_for_it_breaks_nothing(size):
    for content in (b"LUKS\xba\xbe", b"XFSB", b"\xeb\x58\x90-FVE-FS-", b"\xfc\x4e\x2b\xa9\1", b"\0" * 0x438 + b"\x53\xef", b"\xff" * size):
        made = Bytes(size)
        made.data[: len(content)] = content[:size]
        assert all(not volume.read for volume in NativeDisk(made).volumes)


@pytest.mark.skipif(shutil.which("cryptsetup", path="/usr/sbin:/sbin:/usr/bin") is None, reason="cryptsetup is not installed")
@pytest.mark.parametrize("version", ["luks1", "luks2"])
def test_what_cryptsetup_makes_is_recognised(version, tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(bytes(32 * 1024 * 1024))
    command = [shutil.which("cryptsetup", path="/usr/sbin:/sbin:/usr/bin"), "luksFormat", "-q", "--type", version, "--uuid", MEMBER[2],
               "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", str(path), "-"]  # fmt: skip
    done = subprocess.run(command, input=b"secret", capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cryptsetup cannot make one here: {done.stderr.decode()[:100]}")
    made = Bytes(0)
    made.data, made.size = bytearray(path.read_bytes()), 32 * 1024 * 1024
    assert named(made) == ("crypto_LUKS", "encrypted with LUKS", MEMBER[2], None)
