"""Windows disks: the phony guests of the recipes, and one with as many names as a real one has."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from tests.disks import open_disk
from vhdprep.check import check, inspect, open_image
from vhdprep.model import Target

MIB = 1024 * 1024


@pytest.fixture
def guest(image):
    """The opened guest of a recipe."""
    opened = []

    def find(name):
        context = open_image(image(name), target=Target.GENERALIZED)
        opened.append(context)
        return context.__enter__().need_guest()

    yield find
    for context in opened:
        context.__exit__(None, None, None)


def test_the_volumes_of_a_windows_disk_are_named(image):
    volumes = inspect(image("windows-2022-generalized")).disks[0].volumes
    assert [(each.id, each.filesystem, each.label, each.state, each.read, each.reason) for each in volumes] == [
        ("p1", "vfat", None, None, True, None),
        ("p2", None, None, None, False, "Microsoft reserved partition"),
        ("p3", "ntfs", "Windows", "clean", True, None),
    ]
    assert volumes[2].uuid == "1A2B3C4D5E6F7081"
    assert volumes[2].free is not None
    assert 40_000_000 < volumes[2].free < volumes[2].size


def test_links_of_windows_stay_in_the_guest(guest):
    files = guest("windows-2022-generalized").files
    assert files.resolve("/documents and settings/All Users/Microsoft") == "/ProgramData/Microsoft"
    assert files.text("/DOCUME~1/Default User/../public/desktop/desktop.ini") == "[.ShellClassInfo]\r\n"
    assert files.is_file("/Users/Default User/ntuser.dat")
    # A junction to the directory that it stands in.
    assert files.is_directory("/ProgramData/Application Data/Application Data/Application Data/Microsoft")
    assert files.glob("/Users/**/*.INI") == ["/Users/Public/Desktop/desktop.ini"]


def test_a_kernel_that_windows_compressed_tells_its_machine(guest):
    found = guest("windows-2022-generalized")
    assert found.facts.arch == "x86_64"
    assert found.files.read("/Windows/System32/ntoskrnl.exe", 2) == b"MZ"


def test_a_directory_of_fifty_thousand_names_is_listed_once(image):
    path = image("windows-2022-large")
    with open_disk(path) as disk:
        files = disk.files(disk.volumes[2])
        begin = time.process_time()
        assert files.lstat("/windows/system32/COMPONENT-19999.dll").size == 2
        names = files.list("/Windows/System32")
        assert len(names) == 50_000 + len({"config", "drivers", "Sysprep", "wbem", "ntoskrnl.exe", "winload.efi", "winload.exe"})
        assert len(files.list("/Windows/WinSxS")) == 50_001
        assert time.process_time() - begin < 1.5
        begin = time.process_time()
        assert all(files.lstat(f"/Windows/System32/{name}") for name in names[:5000])
        assert time.process_time() - begin < 1.5


def test_a_disk_with_as_many_names_as_a_real_one_is_judged_in_little_time_and_memory(image, rules):
    path = image("windows-2022-large")
    begin = time.process_time()
    assert check(path, rules).guest.arch == "x86_64"
    assert time.process_time() - begin < 1.5
    tracemalloc.start()
    try:
        check(path, rules)
        assert tracemalloc.get_traced_memory()[1] < 80 * MIB
    finally:
        tracemalloc.stop()
