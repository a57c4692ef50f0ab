"""The overlay, written by a real QEMU over what the NBD server gives: the image stays as it was, and what was written is read back."""

from __future__ import annotations

import errno
import hashlib
import os

import pytest

from tests.rehearse.disks import Bytes, emulate, needs_qemu, opened
from vhdprep.errors import BackendUnavailable, Unreadable
from vhdprep.rehearse.machine import overlay
from vhdprep.rehearse.machine.overlay import Extent, Layered, Overlay
from vhdprep.vhd.container import describe
from vhdprep.vhd.opening import open_reader

CLUSTER = 65536
KINDS = ["debian-12-generalized", "debian-12-dynamic", "debian-12-vhdx", "debian-12-vhdx-differencing"]


def digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture
def laid():
    """An overlay for a disk of so many bytes, closed at the end."""
    made = []

    def make(size):
        made.append(Overlay(size))
        return made[-1]

    yield make
    for each in made:
        each.close()


@needs_qemu
@pytest.mark.parametrize("name", KINDS)
def test_writes_land_in_the_overlay_and_never_in_the_image(image, laid, name):
    path = image(name)
    before = digest(path), path.stat()
    with open_reader(path, describe(path)) as reader:
        over = laid(reader.size)
        said, failed = emulate(reader, over, "write -P 0xab 1M 64k", "write -P 0xcd 1234k 512", "read -v 1234k 512", "flush")
        disk = over.over(reader)
        assert disk.size == reader.size
        assert disk.read_at(2**20, CLUSTER) == b"\xab" * CLUSTER
        assert disk.read_at(1234 * 1024, 512) == b"\xcd" * 512
        assert disk.read_at(0, 2**20) == reader.read_at(0, 2**20)
        assert disk.read_at(1234 * 1024 + 512, 4096) == reader.read_at(1234 * 1024 + 512, 4096)
    assert "cd cd cd cd" in said
    assert failed is None
    assert (digest(path), path.stat()) == before


@needs_qemu
def test_a_disk_that_ends_within_a_cluster_is_read_to_its_end(laid):
    disk = Bytes(os.urandom(3 * CLUSTER + 512))
    over = laid(disk.size)
    emulate(disk, over, f"write -P 7 {3 * CLUSTER} 512")
    assert over.written() == [Extent(3 * CLUSTER, 3 * CLUSTER + 512, over.written()[0].at)]
    assert over.over(disk).read_at(0, 2**30) == disk.data[: 3 * CLUSTER] + b"\7" * 512


@needs_qemu
def test_what_the_guest_discarded_or_zeroed_reads_as_zeros_and_not_as_the_image(laid):
    disk = Bytes(b"\xff" * (4 * CLUSTER))
    over = laid(disk.size)
    emulate(disk, over, f"write -P 1 0 {CLUSTER}", f"discard 0 {CLUSTER}", f"write -z {CLUSTER} {CLUSTER}")
    assert over.over(disk).read_at(0, 4 * CLUSTER) == bytes(2 * CLUSTER) + disk.data[: 2 * CLUSTER]


@needs_qemu
def test_nothing_is_written_where_nothing_was_written(laid):
    over = laid(2**20)
    assert over.written() == []


@needs_qemu
def test_the_file_has_no_name_and_is_gone_with_the_last_descriptor():
    before = opened()
    over = Overlay(2**20)
    assert os.fstat(over.file.fileno()).st_nlink == 0
    assert os.fstat(over.file.fileno()).st_mode & 0o777 == 0o600
    over.close()
    assert opened() == before


def test_a_host_without_qemu_img_gets_the_command_that_installs_it_and_nothing_stays_open(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    before = opened()
    with pytest.raises(BackendUnavailable, match="qemu-img is not installed; run: sudo apt-get install qemu-utils"):
        Overlay(2**20)
    assert opened() == before


def test_a_folder_that_takes_no_file_is_named(monkeypatch):
    monkeypatch.setattr(overlay.tempfile, "tempdir", "/nonexistent")
    with pytest.raises(Unreadable, match=r"no temporary file can be made \(No such file or directory\); name a folder for it in TMPDIR"):
        Overlay(2**20)


@needs_qemu
def test_an_overlay_that_is_damaged_is_an_error_and_no_empty_list(laid):
    over = laid(2**20)
    over.file.seek(0)
    over.file.write(b"NOT A QCOW")
    with pytest.raises(Unreadable, match="qemu-img map failed: "):
        over.written()


def test_a_tool_that_does_not_end_is_given_up(monkeypatch, tmp_path):
    (slow := tmp_path / "qemu-img").write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(overlay, "_TOOL_SECONDS", 0.2)
    with pytest.raises(Unreadable, match=r"qemu-img create did not end within 0\.2 seconds"):
        Overlay(2**20)


def test_a_host_whose_disk_is_full_says_so(monkeypatch, tmp_path):
    program = tmp_path / "qemu-img"
    program.write_text("#!/bin/sh\necho 'No space left on device' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(Unreadable, match="qemu-img create failed: No space left on device"):
        Overlay(2**20)
    assert os.strerror(errno.ENOSPC) == "No space left on device"


BELOW = bytes(range(100))
PATCHED = BELOW[:10] + b"x" * 10 + bytes(10) + BELOW[30:90] + b"y" * 10


@pytest.fixture
def layered(tmp_path):
    file = tmp_path / "overlay"
    file.write_bytes(b"-----" + b"y" * 10 + b"x" * 10)
    with file.open("rb") as handle:
        yield Layered(Bytes(BELOW), handle, [Extent(10, 20, 15), Extent(20, 30, None), Extent(90, 100, 5)])


def test_every_piece_comes_from_where_it_lies(layered):
    for start in range(101):
        for size in (0, 1, 7, 10, 40, 200):
            assert layered.read_at(start, size) == PATCHED[start : start + size], (start, size)


def test_an_overlay_that_was_cut_off_is_unreadable(tmp_path):
    file = tmp_path / "overlay"
    file.write_bytes(b"short")
    with file.open("rb") as handle, pytest.raises(Unreadable):
        Layered(Bytes(BELOW), handle, [Extent(0, 10, 0)]).read_at(0, 10)
