"""Arrays and file systems over several disks that Linux itself made: read here as Linux reads them, with every disk and without any one of them."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from uuid import UUID

import pytest

from tests import arrays
from vhdprep.disk.backend import Source
from vhdprep.disk.native import open_disks
from vhdprep.vhd.container import describe

pytestmark = pytest.mark.libguestfs
MIB = 1024 * 1024
CANNOT_DO_WITHOUT = ("linear", "raid0")
STALE_WITHOUT_THE_FIRST = "raid1-stale"
"""Alone, the half that failed is all there is; md would start it too."""


@pytest.fixture(scope="module")
def made(appliance_class):
    """The disks, and what Linux says of what lies on them."""
    return arrays.make(appliance_class)


@contextmanager
def opened(paths, without=None):
    sources = [Source(path, describe(path), f"d{number}:") for number, path in enumerate(paths) if number != without]
    with open_disks(sources) as disks:
        yield disks


def found_of(disks):
    """Every array: its name, group, size and SHA-256; None where it is not read."""
    found = {}
    for disk in disks:
        for group in disk.groups:
            if group.kind == "md":
                volume = next(each for each in disk.volumes if each.id == group.id)
                stream = disk._stream(volume) if volume.id in disk._inner else None
                found[group.uuid] = (group, volume, hashlib.sha256(stream.read_at(0, volume.size)).hexdigest() if stream else None)
    return found


def of(found, told):
    return found[str(UUID(told["uuid"].split()[0].replace(":", "")))]


def test_every_array_is_read_as_linux_reads_it(made):
    paths, told = made
    with opened(paths) as disks:
        found = found_of(disks)
    for name in arrays.ARRAYS:
        _, volume, digest = of(found, told[name])
        assert (name, volume.size, digest) == (name, told[name]["size"], told[name]["sha256"])


@pytest.mark.parametrize("without", range(arrays.DISKS))
def test_without_one_disk_what_is_redundant_is_read_the_same(made, without):
    paths, told = made
    with opened(paths, without) as disks:
        found = found_of(disks)
    for name, array in arrays.ARRAYS.items():
        group, volume, digest = of(found, told[name])
        if without < array.count and (array.level in CANNOT_DO_WITHOUT or (name == "raid5-failed" and without != 1)):
            assert (name, digest, bool(volume.reason)) == (name, None, True)
        elif (name, without) != (STALE_WITHOUT_THE_FIRST, 0):
            assert (name, digest) == (name, told[name]["sha256"])
            assert bool(group.missing) == (without < array.count or ("then" in array._asdict() and bool(array.then)))


def test_members_that_failed_and_spares_hold_nothing(made):
    paths, told = made
    with opened(paths) as disks:
        found = found_of(disks)
    unused = {name: (of(found, told[name])[0].unused, of(found, told[name])[0].missing) for name in ("raid1-stale", "raid5-failed", "raid5-spare")}
    number = {name: place for place, name in enumerate(arrays.ARRAYS, 1)}
    assert unused == {
        "raid1-stale": ((f"d1:p{number['raid1-stale']}",), ("member 1",)),
        "raid5-failed": ((f"d1:p{number['raid5-failed']}",), ("member 1",)),
        "raid5-spare": ((f"d3:p{number['raid5-spare']}",), ()),
    }


@pytest.mark.parametrize("without", [None, 0, 1])
def test_every_profile_of_btrfs_is_read_as_it_was_written(made, without):
    paths, _ = made
    noise = hashlib.sha256(arrays.noise()[: 12 * MIB]).hexdigest()
    read = {}
    with opened(paths, without) as disks:
        for disk in disks:
            for group in (each for each in disk.groups if each.kind == "btrfs"):
                volume = next(each for each in disk.volumes if each.id == group.id)
                if volume.read:
                    files = disk.files(volume)
                    assert hashlib.sha256(files.read("/noise", 20 * MIB)).hexdigest() == noise
                    assert [files.read(f"/many/{number}", 9) for number in range(1, 201)] == [f"{number}\n".encode() for number in range(1, 201)]
                read[volume.label] = volume.read
    copied = {"raid1", "raid1c3", "raid1c4", "raid10"}
    lucky = {"dup"} if without == 0 else set()  # all of it lies on the second device
    assert read == {profile: without is None or profile in copied | lucky for profile in arrays.BTRFS}
