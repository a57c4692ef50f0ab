"""Whatever interrupts a copy: the source is as it was, no half file has the destination's name, and the next run succeeds."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
import uuid

import pytest

from fixtures import vhdfile
from vhdprep.errors import CopyFailed, UsageError
from vhdprep.prepare.partial import partial
from vhdprep.prepare.source import open_source
from vhdprep.vhd import convert
from vhdprep.vhd.container import describe

MIB = 1024 * 1024
SIZE = 24 * MIB
COPY = """
import sys, time, uuid
from pathlib import Path
from vhdprep.prepare.partial import partial
from vhdprep.prepare.source import open_source
from vhdprep.vhd import convert
source, target, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
def progress(done, total, step):
    print(step, flush=True)
    time.sleep(pause)
with partial(target) as work:
    with open_source(source, target.parent) as reader:
        done = convert.copy(reader, work.file, progress=progress)
    convert.append_footer(work.file, done.size, unique_id=uuid.uuid4(), now=0)
    work.publish()
"""


@pytest.fixture
def source(tmp_path):
    """A dynamic disk full of noise, in a folder of its own."""
    folder = tmp_path / "source"
    folder.mkdir()
    raw, path = folder / "disk.raw", folder / "disk.vhd"
    raw.write_bytes(random.Random(5).randbytes(SIZE))
    vhdfile.write(raw, path, kind="dynamic")
    return path


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    return folder / "copy.vhd"


def state(path):
    found = path.stat()
    return hashlib.sha256(path.read_bytes()).hexdigest(), found.st_size, found.st_mtime_ns, found.st_ino


def start(source, target, pause=0.0):
    return subprocess.Popen(
        [sys.executable, "-c", COPY, str(source), str(target), str(pause)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def copy(source, target, happens=lambda: None):
    def progress(done, _, step):
        if (done, step) == (SIZE // 2, "copy"):
            happens()

    with partial(target) as work:
        with open_source(source, target.parent) as reader:
            done = convert.copy(reader, work.file, progress=progress)
        convert.append_footer(work.file, done.size, unique_id=uuid.uuid4(), now=0)
        work.publish()


def assert_whole(target):
    assert [each.name for each in target.parent.iterdir()] == ["copy.vhd"]
    assert (target.read_bytes()[:SIZE] == random.Random(5).randbytes(SIZE), describe(target).defects) == (True, ())


def test_killed_at_ten_random_moments(source, target):
    before = state(source)
    chance = random.Random()
    begin = time.monotonic()
    with start(source, target, 0.01) as child:
        child.communicate()
    lasts = time.monotonic() - begin
    assert_whole(target)
    target.unlink()
    left = set()
    for _ in range(10):
        with start(source, target, 0.01) as child:
            time.sleep(chance.uniform(0, lasts))
            child.kill()
        if target.exists():  # it was killed after its end
            assert_whole(target)
            target.unlink()
        left |= {each.name for each in target.parent.iterdir()}
        assert state(source) == before
    assert left <= {".copy.vhd.vhdprep-partial"}
    copy(source, target)
    assert_whole(target)


@pytest.mark.parametrize("step", ["copy", "compare"])
def test_ctrl_c_leaves_nothing(source, target, step):
    before = state(source)
    with start(source, target, 0.02) as child:
        while child.stdout.readline().strip() != step:
            pass
        child.send_signal(signal.SIGINT)
        child.communicate()
    assert child.returncode != 0
    assert list(target.parent.iterdir()) == []
    assert state(source) == before
    copy(source, target)
    assert_whole(target)


def test_a_limit_on_the_size_of_files_is_one_clear_line(source, target):
    before = state(source)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, hard))
    try:
        with pytest.raises(CopyFailed, match="larger than a file may be where it is written") as caught:
            copy(source, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert (list(target.parent.iterdir()), state(source)) == ([], before)
    copy(source, target)
    assert_whole(target)


@pytest.fixture
def small(tmp_path):
    """A file system of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this host lets nobody mount a tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_file_system_that_is_too_small_is_told_before_anything_is_written(source, small):
    before = state(source)
    with pytest.raises(CopyFailed, match="it takes up to 24 MiB, and 8 MiB are free; make room, or write elsewhere"):
        copy(source, small / "copy.vhd")
    assert (list(small.iterdir()), state(source)) == ([], before)


def test_a_file_system_that_fills_up_is_told(tmp_path, small):
    source = tmp_path / "disk.raw"
    source.write_bytes((bytes(510) + b"\x55\xaa").ljust(4096, b"\0") + random.Random(5).randbytes(SIZE - 4096))
    before = state(source)
    with pytest.raises(CopyFailed, match="the copy does not fit where it is written"):
        copy(source, small / "copy.vhd")
    assert (list(small.iterdir()), state(source)) == ([], before)


class Failing:
    """A file whose disk fails in one kind of call."""

    def __init__(self, file, call):
        self.file, self.call = file, call

    def __getattr__(self, name):
        def fail(*_):
            raise OSError(errno.EIO, "Input/output error")

        return fail if name == self.call else getattr(self.file, name)


@pytest.mark.parametrize("call", ["write", "read", "truncate"])
def test_an_error_of_the_hosts_disk_is_told(source, target, call):
    before = state(source)
    words = r"the copy cannot be written and read back \(Input/output error\)"
    with pytest.raises(CopyFailed, match=words), partial(target) as work, open_source(source, target.parent) as reader:
        convert.copy(reader, Failing(work.file, call))
    assert (list(target.parent.iterdir()), state(source)) == ([], before)
    copy(source, target)
    assert_whole(target)


def test_an_error_that_only_shows_when_the_host_writes_to_its_disk_is_told(source, target, monkeypatch):
    def fail(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CopyFailed, match=r"cannot be written and read back \(Input/output error\)"):
        copy(source, target)
    assert list(target.parent.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who has a file open for writing")
def test_a_source_that_another_program_has_open_for_writing_is_not_copied(source, target):
    with source.open("r+b"), pytest.raises(UsageError, match=r"disk\.vhd: is open for writing in another program; shut the machine down"):
        copy(source, target)
    assert list(target.parent.iterdir()) == []
    with source.open("rb"):
        copy(source, target)
    assert_whole(target)


def test_a_source_that_changes_while_it_is_copied_gives_no_copy(source, target):
    def touch():
        with source.open("r+b") as file:
            file.seek(SIZE)
            file.write(b"x")

    with pytest.raises(CopyFailed, match=r"disk\.vhd: changed while it was copied; stop what writes to it, and run again"):
        copy(source, target, touch)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("what", ["exchanged", "gone"])
def test_a_source_that_is_exchanged_or_goes_away_gives_no_copy(source, target, what):
    other = source.with_name("other")
    other.write_bytes(source.read_bytes())
    with pytest.raises(CopyFailed, match="changed while it was copied"):
        copy(source, target, (lambda: other.replace(source)) if what == "exchanged" else source.unlink)
    assert list(target.parent.iterdir()) == []


def test_a_parent_that_changes_gives_no_copy_either(data, tmp_path, target):
    for name in ("fat-parent.vhd", "fat-differential.vhd"):
        (tmp_path / name).write_bytes(data(f"vhd/{name}").read_bytes())
    with pytest.raises(CopyFailed, match=r"fat-parent\.vhd: changed"), open_source(tmp_path / "fat-differential.vhd", target.parent):
        os.utime(tmp_path / "fat-parent.vhd")
