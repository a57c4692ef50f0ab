"""What Linux shows of a file system, turned back into what is stored there; what it cannot read is never taken for empty."""

from __future__ import annotations

import stat

import pytest

from vhdprep.disk.backend import FileKind, FileStat
from vhdprep.disk.guestfs import files as module
from vhdprep.disk.guestfs.appliance import Appliance
from vhdprep.disk.guestfs.files import ApplianceFiles
from vhdprep.errors import Unreadable


class Handle:
    """As much of libguestfs as reading files needs, over ``path: bytes | str (a link) | list (a directory)``."""

    def __init__(self, tree):
        self.tree, self.calls = tree, []

    def readdir(self, path):
        self.calls.append(("readdir", path))
        names = self.tree[path.removeprefix("/v1") or "/"]
        return [{"name": name} for name in names]

    def lstatns(self, path):
        self.calls.append(("lstatns", path))
        value = self.tree[path.removeprefix("/v1") or "/"]
        kind = {list: stat.S_IFDIR, bytes: stat.S_IFREG, str: stat.S_IFLNK}[type(value)]
        return {"st_ino": 1, "st_mode": kind | 0o755, "st_size": len(value), "st_uid": 7, "st_gid": 8}

    def lstatnslist(self, path, names):
        self.calls.append(("lstatnslist", path))
        return [self.lstatns(f"{path}/{name}") for name in names]

    def pread(self, path, count, offset):
        if path.endswith("broken"):
            raise RuntimeError("pread: Input/output error")
        return self.tree[path.removeprefix("/v1")][offset : offset + count]

    def readlink(self, path):
        return self.tree[path.removeprefix("/v1")]


def opened(tree, filesystem="ext4"):
    appliance = Appliance.__new__(Appliance)
    appliance.handle = Handle(tree)
    return ApplianceFiles(appliance, "/v1", "p1", filesystem)


def directory(*names):
    return [".", "..", *names]


def test_a_file_system_of_linux_is_given_as_it_is():
    files = opened({"/": directory("etc", "lib"), "/etc": directory("fstab"), "/etc/fstab": b"one two", "/lib": "usr/lib"})
    assert [files.list(path) for path in ("/", "/etc", "/etc/fstab", "/no", "/lib")] == [("etc", "lib"), ("fstab",), (), (), ()]
    assert files.lstat("/etc/fstab") == FileStat(FileKind.FILE, 7, 0o755, 7, 8)
    assert files.lstat("/etc/FSTAB") is None
    assert (files.read("/etc/fstab", 100, 4), files.read("/etc", 9), files.readlink("/lib"), files.readlink("/etc")) == (b"two", b"", "usr/lib", "")


def test_a_directory_without_its_own_dots_could_not_be_read():
    files = opened({"/": directory("etc"), "/etc": []})
    with pytest.raises(Unreadable, match="/etc: the directory cannot be read"):
        files.list("/etc")
    with pytest.raises(Unreadable, match="/etc: the directory cannot be read"):
        files.lstat("/etc/passwd")


def test_names_of_windows_have_no_case_and_nobody_owns_them():
    files = opened({"/": directory("EFI", "efi"), "/EFI": directory("Boot"), "/EFI/Boot": b"12", "/efi": directory()}, "vfat")
    assert (files.case_sensitive, files.lstat("/EFI/bOOT")) == (False, FileStat(FileKind.FILE, 2, 0, 0, 0))
    assert files.list("/efi") == ()  # an exact match comes first


def test_links_of_ntfs_lead_into_the_guest_not_into_the_appliance():
    files = opened({"/": directory("a", "b", "c"), "/a": "/sysroot/v1/Users", "/b": "/sysroot/v1", "/c": ".NTFS-3G/D:/x"}, "ntfs")
    assert (files.readlink("/a"), files.readlink("/b")) == ("/Users", "/")
    with pytest.raises(Unreadable, match="leads to another volume"):
        files.readlink("/c")


def test_what_another_driver_keeps_is_no_file_that_could_be_read():
    files = opened(
        {"/": directory("wof", "other"), "/wof": "unsupported reparse tag 0x80000017", "/other": "unsupported reparse tag 0xa0000019"}, "ntfs"
    )
    with pytest.raises(Unreadable, match="/wof: its content is kept by reparse tag 0x80000017"):
        files.lstat("/wof")
    assert files.lstat("/other").kind is FileKind.OTHER


def test_a_file_is_read_in_pieces_and_its_end_is_where_its_size_says(monkeypatch):
    monkeypatch.setattr(module, "MAX_CHUNK", 3)
    files = opened({"/": directory("a", "broken"), "/a": b"0123456789", "/broken": b"0"})
    assert files.read("/a", 8, 1) == b"12345678"
    with pytest.raises(Unreadable, match="/broken: libguestfs: pread: Input/output error"):
        files.read("/broken", 1)
    files._appliance.handle.tree["/a"] = b"0123"
    with pytest.raises(Unreadable, match="/a: it ends at byte 4, before its size of 10"):
        files.read("/a", 10)


def test_limits_hold(monkeypatch):
    monkeypatch.setattr(module, "MAX_NAMES", 3)
    with pytest.raises(Unreadable, match="more than 3 entries"):
        opened({"/": directory("a", "b")})
    monkeypatch.setattr(module, "MAX_DIRECTORY", 1)
    with pytest.raises(Unreadable, match="more than 1 bytes of names"):
        opened({"/": directory()})
    monkeypatch.undo()
    with pytest.raises(Unreadable, match="deeper than 256"):
        opened({"/": directory()}).lstat("/a" * 257)


def test_a_directory_costs_two_messages_however_many_of_its_files_are_looked_at():
    files = opened({"/": directory("a", "b", "c"), "/a": b"", "/b": b"", "/c": b""})
    files._appliance.handle.calls.clear()
    for name in "abcd":
        files.lstat(f"/{name}")
    assert [call for call in files._appliance.handle.calls if call[0] != "lstatns"] == [("lstatnslist", "/v1")]


def test_what_the_kernel_complains_of_is_told_once_without_its_names_of_devices():
    appliance = Appliance.__new__(Appliance)
    appliance._heard, appliance.handle = 1.5, Handle({})
    appliance.handle.dmesg = lambda: (
        "[    1.000000] EXT4-fs error (device loop0): of the disk before\n[    2.000000] EXT4-fs (loop1): mounted filesystem\n"
        "[    3.000000] EXT4-fs error (device loop1): inode #20: Directory block failed checksum\n"
        "[    4.000000] FAT-fs (loop2): Volume was not properly unmounted. Some data may be corrupt. Please run fsck.\n"
        "[    5.000000] I/O error, dev sda, sector 1\n"
    )
    assert appliance.damage() == ["EXT4-fs error: inode #20: Directory block failed checksum", "I/O error, dev sda, sector 1"]
    assert appliance.damage() == []
