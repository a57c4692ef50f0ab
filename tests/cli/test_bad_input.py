"""What people really hand in: every kind of bad input, its exit code, and the words it is answered with.

The rows are those of the project's contract on bad input; hostile content is in ``tests/images/test_hostile.py``.
"""

from __future__ import annotations

import os
import shutil
import struct

import pytest

from fixtures import build, vhdfile
from tests.cli.test_cli import copy_of, run
from tests.unit.test_signatures import md, metadata, seven

MIB = 1024 * 1024
ROOT = {"filesystem": "ext4", "uuid": "0fc8a9d1-6f0a-4c2b-9f4e-3d1c5b7a9e01", "mount": "/"}


def disk(place, recipe="debian-12-mbr", **changes):
    """A fixed VHD like the one of a recipe, with changes."""
    raw, path = place / "disk.raw", place / "disk.vhd"
    build.write_disk({**build.recipes()[recipe], **changes}, raw, place)
    vhdfile.write(raw, path)
    return path


def beside(content):
    """The good guest with 4 MiB of ``content`` (place → bytes) in a second partition."""

    def write(place):
        path = disk(place, volumes=[{**ROOT, "size": "50 MiB", "active": True}, {"type": "basic", "size": "4 MiB"}])
        with path.open("r+b") as file:
            for at, data in content.items():
                file.seek(51 * MIB + at % (4 * MIB))
                file.write(data)
        return path

    return write


def unclean_ext4(place):
    """A journal that waits: INCOMPAT_RECOVER is set (kernel ``fs/ext4/ext4.h``)."""
    path = disk(place, volumes=[{**ROOT, "active": True, "options": ["-O", "^metadata_csum"]}])
    with path.open("r+b") as file:
        file.seek(MIB + 1024 + 0x60)
        features = struct.unpack("<I", file.read(4))[0]
        file.seek(MIB + 1024 + 0x60)
        file.write(struct.pack("<I", features | 4))
    return path


def of_nobody(place):
    return disk(place, remove=["/etc/debian_version"],
                edit={"/etc/fstab": {"UUID=A1B2-C3D4                             /boot/efi  vfat  umask=0077         0 1\n": ""},
                      "/usr/lib/os-release": {"\nID=debian": ""}})  # fmt: skip


def empty(place):
    raw, path = place / "disk.raw", place / "disk.vhd"
    raw.write_bytes(bytes(24 * MIB))
    vhdfile.write(raw, path)
    return path


def recipe(name):
    return lambda _: build.build(name)


def unclean_xfs(place):
    """The log's only record is no unmount any more (kernel ``fs/xfs/libxfs/xfs_log_format.h``)."""
    good = build.recipes()["debian-12-mbr"]
    fstab = {**good["edit"]["/etc/fstab"], "ext4  errors=remount-ro": "xfs   defaults"}
    path = disk(place, size="400 MiB", volumes=[{**ROOT, "filesystem": "xfs", "active": True}], edit={**good["edit"], "/etc/fstab": fstab})
    with path.open("r+b") as file:
        file.seek(MIB)
        head = file.read(512)
        block, log, blocks_of_group = (
            struct.unpack_from(">I", head, 4)[0],
            struct.unpack_from(">Q", head, 48)[0],
            struct.unpack_from(">I", head, 84)[0],
        )
        group, inside = divmod(log, 1 << head[124])
        record = MIB + (group * blocks_of_group + inside) * block
        file.seek(record)
        assert file.read(4) == b"\xfe\xed\xba\xbe"
        file.seek(record + 512 + 9)
        file.write(b"\0")
    return path


JUDGED = [
    # file, shorter than a footer, garbage, truncated, wrong footer checksum, block table outside or overlapping: named, with the numbers
    ("an empty file", lambda place: copy_of(build.build("debian-12-mbr"), place / "x.vhd", lambda _: b""), 1, "it is empty"),
    ("shorter than a footer", lambda place: copy_of(build.build("debian-12-mbr"), place / "x.vhd", lambda data: data[:300]), 1, "only 300 bytes"),
    ("garbage", recipe("container-garbage"), 1, "vhd-container-recognised"),
    ("a truncated VHD", recipe("container-truncated"), 1, "are missing"),
    ("a wrong checksum", recipe("container-checksum"), 1, "its bytes give 0x"),
    ("a block outside the file", recipe("container-block-outside"), 1, "vhd-block-table-sound"),
    ("blocks that overlap", lambda place: copy_of(build.build("debian-12-dynamic"), place / "x.vhd", lambda data: data[:1536] + b"\0\0\0\1" + data[1540:]), 1, "overlap"),
    # VHDX, QCOW2, VMDK, VDI under any name: the command that converts them
    ("a VHDX", recipe("container-vhdx-named-vhd"), 1, "qemu-img convert -f vhdx"),
    ("a QCOW2", recipe("container-qcow2-named-vhd"), 1, "qemu-img convert -f qcow2"),
    ("a VMDK", recipe("container-vmdk-named-vhd"), 1, "qemu-img convert -f vmdk"),
    ("a VDI", recipe("container-vdi-named-vhd"), 1, "qemu-img convert -f vdi"),
    ("a raw disk", recipe("container-raw"), 1, "qemu-img convert -f raw"),
    # a differencing VHD without its parent
    ("a child without its parent", recipe("container-differencing"), 1, "is missing; put it beside, or merge the chain"),
    # several operating systems, none, an unknown one, only a data disk
    ("two operating systems", recipe("disk-two-systems"), 3, "2 operating systems were found"),
    ("no partitions", empty, 1, "the disk has no partitions and no file system"),
    ("an unknown system", of_nobody, 3, "the distribution could not be named"),
    ("a data disk", recipe("disk-data-only"), 3, "it looks like a data disk"),
    # what is recognised, named, and not read
    ("LUKS", beside({0: b"LUKS\xba\xbe\0\2"}), 3, "p2: encrypted with LUKS"),
    ("BitLocker", beside(seven()), 1, "p2: encrypted with BitLocker"),
    ("LDM", beside({0xC00: b"PRIVHEAD"}), 3, "p2: part of a Windows dynamic disk"),
    ("md", beside({4096: md(4096)}), 3, "p2: part of a Linux software RAID"),
    ("ZFS", beside({132 * 1024: struct.pack("<Q", 0xBAB10C)}), 3, "p2: part of a ZFS pool"),
    ("ReFS", beside({3: b"ReFS\0\0\0\0"}), 3, "p2: ReFS is not read by this backend"),
    ("an unclean journal", unclean_ext4, 3, "p1: its journal was not replayed"),
    ("an unclean log of XFS", unclean_xfs, 3, "p1: its journal was not replayed"),
    ("a dirty NTFS", recipe("windows-2022-unclean"), 3, "p3: its journal was not replayed"),
    ("a hibernated NTFS", recipe("windows-2022-hibernated"), 1, "windows-not-hibernated"),
    ("no hive where one must be", recipe("windows-2022-hive-missing"), 3, "is no registry hive"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "code", "words"), JUDGED, ids=[row[0] for row in JUDGED])
def test_what_can_be_opened_is_judged_and_named(tmp_path, name, make, code, words):
    done = run("check", make(tmp_path))
    assert (done.returncode, done.stderr) == (code, "")
    assert words in " ".join(done.stdout.split())
    assert done.stdout.split("\n")[0].endswith({1: "NOT READY", 3: "INCONCLUSIVE"}[code])


def test_a_dirty_hive_is_replayed_from_its_logs_and_unknown_without_them(data, tmp_path):
    config = "/Windows/System32/config"
    hives = {f"{config}/SYSTEM{suffix}": data(f"hives/win10-SYSTEM{suffix}").read_bytes() for suffix in ("", ".LOG1", ".LOG2")}
    volume = {"type": "basic", "filesystem": "ntfs", "mount": "/", "active": True}
    reasons = []
    for add in (hives, {f"{config}/SYSTEM": hives[f"{config}/SYSTEM"]}):
        place = tmp_path / str(len(add))
        place.mkdir()
        path = disk(place, tree=None, size="96 MiB", volumes=[volume], edit={}, remove=[], add={"/bootmgr": "", f"{config}/SOFTWARE": "", **add})
        done = run("check", path, "--select", "windows-setup-resumes")
        reasons.append(("and the logs with the rest are not there" in " ".join(done.stdout.split()), "windows-setup-resumes" in done.stdout))
    assert reasons == [(False, True), (True, True)]


@pytest.mark.parametrize(
    ("name", "word"),
    [("missing.vhd", "there is no such file"), ("folder", "is a directory"), ("pipe", "is a device or pipe"), ("/dev/zero", "is a device or pipe")],
)
def test_what_is_no_file_is_answered_in_one_line(tmp_path, name, word):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for command in (["check"], ["inspect"], ["ls", "/"], ["cat", "/etc/fstab"]):
        done = run(command[0], name, *command[1:], cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"vhdprep: {name}: ")
        assert done.stderr.count("\n") == 1
        assert word in done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_answered_in_one_line(tmp_path):
    path = tmp_path / "closed.vhd"
    path.write_bytes(b"x")
    path.chmod(0)
    done = run("check", path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "give your user read permission" in done.stderr


def test_a_differencing_vhd_is_followed_when_its_parent_is_there(data, tmp_path):
    for name in ("fat-parent.vhd", "fat-differential.vhd"):
        shutil.copy(data(f"vhd/{name}"), tmp_path / name)
    done = run("inspect", tmp_path / "fat-differential.vhd")
    assert done.returncode == 0
    assert "p1" in done.stdout
    assert "vfat" in done.stdout
    assert "is missing" not in done.stdout


def test_a_suspended_bitlocker_volume_says_so(tmp_path):
    key_in_the_clear = struct.pack("<4H24xHH", 36, 2, 8, 1, 0, 0)
    done = run("check", beside({**seven(), 65536: metadata(key_in_the_clear)})(tmp_path))
    assert "its protection is suspended" in " ".join(done.stdout.split())
