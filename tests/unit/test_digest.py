"""Digests of a file and of the disk in it: the same disk has the same one, whatever holds it."""

from __future__ import annotations

import hashlib
import os

import pytest

from fixtures import vhdfile, vhdxfile
from vhdprep.errors import UsageError
from vhdprep.storage import Digests
from vhdprep.vhd import digest

SIZE = 8 * 2**20
SECTOR = bytes(510) + b"\x55\xaa"


def quiet(done, total, step):
    """No progress."""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def raw(tmp_path):
    """A disk with something at its beginning, in its middle and at its end, and a file with holes between."""
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.truncate(SIZE)
        for at in (0, 3 * 2**20 + 17, SIZE - 512):
            file.seek(at)
            file.write(os.urandom(512))
        file.seek(510)
        file.write(b"\x55\xaa")  # a disk, by its boot sector
    return path


@pytest.mark.parametrize("kind", ["fixed", "dynamic", "vhdx"])
def test_the_disk_has_the_digest_of_its_bytes_in_every_container(raw, tmp_path, kind):
    image = tmp_path / "image"
    data = raw.read_bytes()
    if kind == "vhdx":
        vhdxfile.pack(raw, image)
    else:
        vhdfile.write(raw, image, kind=kind)
    assert digest.compute(image, quiet) == Digests(sha256(image.read_bytes()), sha256(data))


def test_a_raw_disk_is_its_file(raw):
    assert digest.compute(raw, quiet) == Digests(sha256(raw.read_bytes()), sha256(raw.read_bytes()))


def test_holes_are_not_read(tmp_path):
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.truncate(2**30)
        file.write(SECTOR)
    steps = []
    found = digest.compute(path, lambda done, total, step: steps.append((done, total, step)))
    expected = hashlib.sha256(SECTOR + bytes(2**20 - 512))
    for _ in range(1023):
        expected.update(bytes(2**20))
    assert found.file == expected.hexdigest()
    assert found.file == found.disk
    assert steps[-1] == (2**30, 2**30, "digest")
    assert path.stat().st_blocks * 512 < 2**20  # it still holds next to nothing


def test_a_disk_that_is_cut_off_has_no_digest_and_its_file_has(raw, tmp_path):
    image = tmp_path / "image.vhd"
    vhdfile.write(raw, image)
    cut = image.read_bytes()[2**20 :]
    image.write_bytes(cut)
    assert digest.compute(image, quiet) == Digests(sha256(cut), None)


def test_what_is_no_disk_has_the_digest_of_its_file(tmp_path):
    image = tmp_path / "disk.qcow2"
    image.write_bytes(b"QFI\xfb\0\0\0\3" + bytes(1000))
    assert digest.compute(image, quiet) == Digests(sha256(image.read_bytes()), None)


def test_an_image_that_changes_meanwhile_is_refused(raw):
    def touch(done, total, step):
        if done < total:
            os.utime(raw, (1, 1))

    with pytest.raises(UsageError, match="changed while it was read"):
        digest.compute(raw, touch)
