"""NTFS: names, contents, links, the state of the volume. Volumes are written by our own fixtures and checked by ntfs-3g and pyfsntfs."""

from __future__ import annotations

import os
import random
import shutil
import subprocess

import pyfsntfs
import pytest

from fixtures import content, ntfs
from tests.unit.ntfs import MIB, files, opened, written
from vhdprep.disk.backend import FileKind, fold_case
from vhdprep.disk.native import NativeDisk
from vhdprep.disk.native.stream import Stream
from vhdprep.errors import Unreadable

JACK = "All work and no play makes Jack a dull boy.\r\n"
NOISE = random.Random(7).randbytes(150_000).hex()
CONTENTS = {
    "in the record": "short",
    "empty": "",
    "in clusters": JACK * 2000,
    "in 300 pieces, so in several records": {"data": JACK * 30_000, "pieces": 300},
    "written only to byte 5000": {"data": "x" * 9000, "valid": 5000},
    "compressed": {"data": JACK * 5000, "stored": "lznt1"},
    "compressed, nothing gained": {"data": {"hex": NOISE}, "stored": "lznt1"},
    "compressed, some of it nothing but zeros": {"data": {"hex": "61" * 70_000 + "00" * 140_000 + NOISE[:6000]}, "stored": "lznt1"},
    "compressed, written only to byte 70000": {"data": JACK * 5000, "stored": "lznt1", "valid": 70_000},
    "sparse": {"data": {"hex": "62" * 5000 + "00" * 50_000 + "63" * 10}, "stored": "sparse"},
    "overlay, 4 KiB": {"data": JACK * 500, "stored": "xpress4k"},
    "overlay, 8 KiB": {"data": JACK * 500 + "x", "stored": "xpress8k"},
    "overlay, 16 KiB": {"data": JACK * 500, "stored": "xpress16k", "pieces": 2},
    "overlay, one chunk": {"data": JACK * 30, "stored": "xpress16k"},
    "overlay, nothing gained": {"data": {"hex": NOISE[:20_000]}, "stored": "xpress8k"},
}


def expected(value):
    """The bytes of a file; what follows those that were ever written is zeros."""
    given = value if isinstance(value, dict) and "data" in value else {"data": value}
    data = content.render(given["data"])
    return data[: given.get("valid", len(data))].ljust(len(data), b"\0")


TREE = {
    **{f"/files/{name}": value for name, value in CONTENTS.items()},
    "/Windows/System32/Notepad.exe": "MZ",
    "/Program Files/Common Files/a.txt": {"data": "a", "streams": {"Zone.Identifier": "[ZoneTransfer]"}},
    "/Program Files": {"directory": True, "dos": "PROGRA~1"},
    "/Users/Straße.txt": "eszett",
    "/Users/STRASSE.TXT": "two letters",
    "/Users/日本語.txt": "Japanese",
    "/Users/hard link.txt": {"hard_link": "/Windows/System32/Notepad.exe"},
    "/Documents and Settings": {"junction": "C:\\Users"},
    "/empty": {"directory": True},
}
MANY = {f"/many/{'long ' * (number % 40)}{number}": str(number) for number in range(3000)}


@pytest.fixture(scope="module")
def volume():
    return files({**TREE, **MANY}, 16 * MIB, label="Phony", mft_pieces=5)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    path = tmp_path_factory.mktemp("ntfs") / "volume.raw"
    with path.open("wb") as file:
        file.truncate(16 * MIB)
    ntfs.make(path, 16 * MIB, {**TREE, **MANY}, {"label": "Phony", "mft_pieces": 5})
    return path


def tool(*command):
    """What a program of ntfs-3g prints."""
    path = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{command[0]} is not installed (package ntfs-3g)")
    return subprocess.run([path, *map(str, command[1:])], capture_output=True, check=True).stdout


def test_names_are_found_without_case_and_listed_as_stored(volume):
    for path in ("/Windows/System32/Notepad.exe", "/windows/SYSTEM32/NOTEPAD.EXE"):
        assert volume.read(path, 10) == b"MZ"
    assert volume.list("/WINDOWS/system32") == ("Notepad.exe",)
    assert volume.lstat("/Windows/System32/Notepad.ex") is None
    assert volume.lstat("/Windows/System32/Notepad.exe/x") is None
    assert volume.list("/nowhere") == volume.list("/empty") == ()


def test_the_file_system_s_own_files_and_short_names_are_not_listed(volume):
    assert sorted(volume.list("/")) == ["Documents and Settings", "Program Files", "Users", "Windows", "empty", "files", "many"]
    assert volume.list("/PROGRA~1") == ("Common Files",)
    assert volume.lstat("/$MFT") is None


def test_letters_are_folded_one_by_one(volume):
    assert volume.read("/Users/straße.TXT", 99) == b"eszett"
    assert volume.read("/users/strasse.txt", 99) == b"two letters"
    assert fold_case("\u0131\u017fk") == "\u0131\u017fK"


def test_of_two_names_that_differ_in_case_the_exact_one_is_found():
    both = files({"/a/readme": "small", "/a/README": "capital"})
    assert [both.read(f"/a/{name}", 9) for name in ("readme", "README")] == [b"small", b"capital"]
    assert sorted(both.list("/a")) == ["README", "readme"]


def test_a_directory_of_three_thousand_names_is_whole(volume):
    assert sorted(volume.list("/many")) == sorted(path.removeprefix("/many/") for path in MANY)
    assert all(volume.read(path, 9) == value.encode() for path, value in MANY.items())


@pytest.mark.parametrize("name", CONTENTS)
def test_a_content_is_read_whole_and_in_parts(volume, name):
    data, path = expected(CONTENTS[name]), f"/files/{name}"
    stat = volume.lstat(path)
    assert (stat.kind, stat.size) == (FileKind.FILE, len(data))
    assert volume.read(path, MIB * 4) == data
    for offset in (1, 4095, 4096, 8191, 65_530, len(data) - 1, len(data), len(data) + 5):
        assert volume.read(path, 5000, offset) == data[max(0, offset) : max(0, offset) + 5000]


def test_ntfs_3g_finds_nothing_wrong_with_the_fixture(raw):
    assert b"Space in use" in tool("ntfsresize", "--info", "--force", raw)
    assert b"NTFS volume version is 3.1" in tool("ntfsfix", "--no-action", raw)


def test_ntfs_3g_reads_the_same(raw, volume):
    for path in (path for path in TREE if not path.startswith("/files/overlay") and volume.lstat(path).kind is FileKind.FILE):
        assert tool("ntfscat", "--force", raw, path) == volume.read(path, MIB * 4)
    listed = tool("ntfsls", "--force", "--path", "/many", raw).decode().split("\n")
    assert {name.strip() for name in listed} - {"", "."} == {name.strip() for name in volume.list("/many")}


def test_pyfsntfs_reads_the_same(raw, volume):
    other = pyfsntfs.volume()
    other.open(str(raw))
    directories = {"/Windows", "/Windows/System32", "/Users", "/files", "/many", "/Program Files/Common Files"}
    assert compare(volume, other.get_root_directory(), "") == len(TREE) + len(MANY) + len(directories)
    assert other.name == volume.facts["label"]
    other.close()


def compare(volume, entry, path):
    """Both readers agree on everything below; how many entries there are."""
    theirs = {each.name: each for each in entry.sub_file_entries if each.file_reference & 0xFFFFFFFFFFFF >= 24}
    assert sorted(theirs) == sorted(volume.list(path or "/"))
    for name, each in theirs.items():
        kind = volume.lstat(f"{path}/{name}").kind
        if kind is FileKind.FILE:
            assert volume.read(f"{path}/{name}", 8 * MIB) == (each.read_buffer_at_offset(each.size, 0) if each.size else b"")
    return len(theirs) + sum(
        compare(volume, each, f"{path}/{name}") for name, each in theirs.items() if volume.lstat(f"{path}/{name}").kind == "directory"
    )


def test_the_collection_s_volume_is_read_as_pyfsntfs_reads_it(data):
    from tests.disks import open_disk

    path = data("vhdx/ntfs-dynamic.vhdx")
    with open_disk(path) as disk:
        (found,) = disk.volumes
        assert (found.filesystem, found.label, found.state, found.read, found.reason) == ("ntfs", "TestVolume", "clean", True, None)
        mine, stream = disk.files(found), Stream(disk._reader, found.offset, found.size)
        other = pyfsntfs.volume()
        other.open_file_object(stream)
        assert compare(mine, other.get_root_directory(), "") == 7
        assert mine.read("/A_DIRECTORY/a_file", 100).startswith(b"This is a text file.")
        assert mine.lstat("/a_link").kind is FileKind.LINK
        with pytest.raises(Unreadable, match="leads to the volume x:"):
            mine.readlink("/a_link")
        other.close()


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ({"link": "C:\\ProgramData", "to": "directory"}, "/ProgramData"),
        ({"link": "..\\Windows\\win.ini"}, "../Windows/win.ini"),
        ({"link": "\\Windows\\win.ini"}, "/Windows/win.ini"),
        ({"junction": "c:\\Users\\Default"}, "/Users/Default"),
        ({"junction": "C:\\"}, "/"),
        ({"link": "D:\\data"}, "leads to the volume D:"),
        ({"junction": "\\??\\Volume{01234567-89ab-cdef-0123-456789abcdef}\\"}, "leads to the volume Volume{01234567"),
        ({"link": "\\??\\UNC\\server\\share\\file"}, "leads to UNC"),
        ({"reparse": "030000a000000000"}, "cannot be read"),
    ],
)
def test_a_link_leads_into_the_guest_or_is_refused(value, target):
    found = files({"/a/link": value})
    assert found.lstat("/a/link").kind is FileKind.LINK
    assert found.list("/a/link") == ()
    if target.startswith(("/", "..")):
        assert found.readlink("/a/link") == target
    else:
        with pytest.raises(Unreadable, match=target):
            found.readlink("/a/link")


def overlay_point(provider, algorithm):
    return "1700008010000000" + "".join(number.to_bytes(4, "little").hex() for number in (1, provider, 1, algorithm))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"data": "secret" * 100, "stored": "encrypted"}, "encrypted"),
        ({"data": "chunks" * 100, "reparse": "1300008000000000"}, "data deduplication"),
        ({"data": "elsewhere", "reparse": "1a30009000000000"}, "a cloud service"),
        ({"data": "who knows", "reparse": "efbe008000000000"}, "reparse tag 0x8000beef"),
        ({"data": "x" * 5000, "reparse": overlay_point(1, 0), "streams": {"WofCompressedData": "x"}}, "WIM archive"),
        ({"data": "x" * 5000, "reparse": overlay_point(2, 0)}, "WIM archive or"),
        ({"data": "x" * 5000, "reparse": overlay_point(2, 9), "streams": {"WofCompressedData": "x"}}, "not known"),
        ({"data": "x" * 5000, "reparse": overlay_point(2, 0), "streams": {"WofCompressedData": ""}}, "cannot be read"),
        ({"data": "x" * 5000, "reparse": overlay_point(2, 0), "streams": {"WofCompressedData": "\x05\0\0\0xxx"}}, "table of its chunks"),
        (
            {"data": "x" * 5000, "reparse": overlay_point(2, 0), "streams": {"WofCompressedData": "\x09\0\0\0" + "x" * 20}},
            "compressed content is damaged",
        ),
        ({"data": "x" * 5000, "reparse": "1700008000000000"}, "cannot be read"),
    ],
)
def test_what_is_not_the_content_is_never_read_as_it(value, reason):
    found = files({"/file": value})
    assert found.lstat("/file").kind is FileKind.FILE
    with pytest.raises(Unreadable, match=reason):
        found.read("/file", 100)


def test_a_directory_whose_names_are_kept_elsewhere_is_not_taken_for_an_empty_one():
    found = files({"/layer": {"directory": True, "reparse": "1800008000000000"}, "/cloud": {"directory": True, "reparse": "1a60009000000000"}})
    with pytest.raises(Unreadable, match="a container's layer"):
        found.list("/layer")
    with pytest.raises(Unreadable, match="a container's layer"):
        found.lstat("/layer/file")
    assert found.list("/cloud") == ()


def test_what_stands_for_something_else_is_no_file():
    assert files({"/socket": {"reparse": "1d0000a000000000"}}).lstat("/socket").kind is FileKind.OTHER


@pytest.mark.parametrize(
    ("tree", "options", "state"),
    [
        ({}, {"journal": "empty"}, "clean"),
        ({}, {"journal": "closed"}, "clean"),
        ({}, {"journal": "open"}, "unclean"),
        ({}, {"journal": "version 2"}, "unclean"),
        ({}, {"journal": "closed", "dirty": True}, "unclean"),
        ({"/hiberfil.sys": "HIBR"}, {"dirty": True}, "hibernated"),
        ({"/Hiberfil.SYS": {"data": "hibr" * 5000}}, {}, "hibernated"),
        ({"/hiberfil.sys": "RSTR"}, {}, "hibernated"),
        ({"/hiberfil.sys": "wake"}, {}, "clean"),
        ({"/hiberfil.sys": {"size": 8192}}, {}, "clean"),
        ({"/hiberfil.sys": ""}, {}, "clean"),
        ({"/hiberfil.sys/x": "HIBR"}, {}, "clean"),
    ],
)
def test_the_state_of_a_volume(tree, options, state):
    assert files(tree, **options).facts["state"] == state


def test_a_journal_without_a_sound_page_is_unclean():
    disk = written({}, journal="closed")
    first = disk.data.index(b"RSTR")
    disk.data[first + 4096 + 510] ^= 1
    assert opened(disk).facts["state"] == "clean"
    disk.data[first + 510] ^= 1
    assert opened(disk).facts["state"] == "unclean"


def test_the_newer_page_of_a_journal_counts():
    disk = written({}, journal="closed")
    second = disk.data.index(b"RSTR") + 4096
    disk.put(second + 48 + 14, b"\0\0")
    assert opened(disk).facts["state"] == "clean"
    disk.put(second + 48, (5000).to_bytes(8, "little"))
    assert opened(disk).facts["state"] == "unclean"


def test_free_space_and_label_are_what_ntfs_3g_says(raw, volume):
    lines = tool("ntfsinfo", "--mft", "--force", raw).decode().split("\n")
    clusters = next(int(line.split(":")[1].split()[0]) for line in lines if "Free Clusters" in line)
    assert (volume.facts["free"], volume.facts["label"]) == (clusters * 4096, "Phony")


@pytest.mark.parametrize(
    ("options", "state", "reason"),
    [
        ({}, "clean", None),
        ({"dirty": True}, "unclean", "its journal was not replayed: the newest changes may be missing"),
    ],
)
def test_a_volume_says_what_its_file_system_said(options, state, reason):
    disk = NativeDisk(written({"/x": "y"}, label="Data", uuid="0123456789ABCDEF", **options))
    (found,) = disk.volumes
    assert (found.id, found.filesystem, found.uuid, found.label, found.state) == ("disk", "ntfs", "0123456789ABCDEF", "Data", state)
    assert (found.read, found.reason, found.needed) == (True, reason, reason is not None)
    assert disk.files(found).list("/") == ("x",)
