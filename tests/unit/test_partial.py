"""A destination's name appears whole or not at all, and never replaces anything."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from vhdprep.errors import CopyFailed, UsageError
from vhdprep.prepare.partial import Partial, partial


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def publish_after(target, happens, error, words):
    with partial(target) as work:
        happens()
        with pytest.raises(error, match=words):
            work.publish()


def test_the_name_appears_by_publishing_with_what_was_written(tmp_path):
    with partial(tmp_path / "new.vhd") as work:
        work.file.write(b"whole")
        assert names(tmp_path) == [".new.vhd.vhdprep-partial"]
        assert work.path.read_bytes() == b"whole"
        work.publish()
    assert names(tmp_path) == ["new.vhd"]
    assert (tmp_path / "new.vhd").read_bytes() == b"whole"
    assert (tmp_path / "new.vhd").stat().st_nlink == 1


def test_nothing_is_left_when_the_block_ends_without_publishing(tmp_path):
    with partial(tmp_path / "new.vhd"):
        pass
    with pytest.raises(KeyboardInterrupt), partial(tmp_path / "new.vhd"):
        raise KeyboardInterrupt
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_what_stands_there_is_refused_before_anything_is_written(tmp_path, kind):
    target = tmp_path / "new.vhd"
    {"file": target.touch, "folder": target.mkdir, "dangling link": lambda: target.symlink_to("nowhere")}[kind]()
    with pytest.raises(UsageError, match=r"new\.vhd: is there already, and nothing is ever overwritten"), partial(target):
        pass
    assert names(tmp_path) == ["new.vhd"]


def test_what_came_to_stand_there_meanwhile_is_not_overwritten(tmp_path):
    target = tmp_path / "new.vhd"
    publish_after(target, lambda: target.write_bytes(b"another's"), UsageError, "is there already")
    assert target.read_bytes() == b"another's"
    assert names(tmp_path) == ["new.vhd"]


def test_where_there_are_no_links_it_is_renamed_and_still_overwrites_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "new.vhd"
    publish_after(target, lambda: target.write_bytes(b"another's"), UsageError, "is there already")
    target.unlink()
    with partial(target) as work:
        work.file.write(b"whole")
        work.publish()
    assert (names(tmp_path), target.read_bytes()) == (["new.vhd"], b"whole")


KILLED = """
import sys, time
from pathlib import Path
from vhdprep.prepare.partial import Partial, partial
with partial(Path(sys.argv[1])) as work:
    work.file.write(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "new.vhd")], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_what_a_killed_run_left_does_not_stop_the_next(tmp_path, writer):
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert names(tmp_path) == [".new.vhd.vhdprep-partial"]
    with partial(tmp_path / "new.vhd") as work:
        assert work.path.read_bytes() == b""
        work.file.write(b"whole")
        work.publish()
    assert names(tmp_path) == ["new.vhd"]


def test_a_run_killed_right_after_the_link_left_a_whole_copy_and_its_second_name_goes(tmp_path):
    target, place = tmp_path / "new.vhd", tmp_path / ".new.vhd.vhdprep-partial"
    target.write_bytes(b"whole")
    place.hardlink_to(target)
    with pytest.raises(UsageError, match="is there already"), partial(target):
        pass
    assert (names(tmp_path), target.read_bytes()) == (["new.vhd"], b"whole")


@pytest.mark.usefixtures("writer")
def test_two_runs_do_not_write_one_copy(tmp_path):
    with pytest.raises(UsageError, match="another vhdprep is writing the same copy"), partial(tmp_path / "new.vhd"):
        pass
    assert (tmp_path / ".new.vhd.vhdprep-partial").read_bytes() == b"half"


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_no_run_left_is_not_touched(tmp_path, kind):
    place = tmp_path / ".new.vhd.vhdprep-partial"
    other = tmp_path / "precious"
    other.write_bytes(b"precious")
    {"link": lambda: place.symlink_to(other), "folder": place.mkdir, "pipe": lambda: os.mkfifo(place)}[kind]()
    with pytest.raises(UsageError, match="stands where the unfinished copy goes"), partial(tmp_path / "new.vhd"):
        pass
    assert (names(tmp_path), other.read_bytes()) == ([place.name, "precious"], b"precious")


def test_another_name_of_what_was_left_keeps_its_content(tmp_path):
    place, other = tmp_path / ".new.vhd.vhdprep-partial", tmp_path / "precious"
    other.write_bytes(b"precious")
    place.hardlink_to(other)
    with partial(tmp_path / "new.vhd") as work:
        work.publish()
    assert other.read_bytes() == b"precious"


def test_a_file_that_was_taken_away_is_not_published(tmp_path):
    place = tmp_path / ".new.vhd.vhdprep-partial"
    publish_after(tmp_path / "new.vhd", lambda: (place.unlink(), place.write_bytes(b"another's")), CopyFailed, "was taken away while it was written")
    assert names(tmp_path) == [".new.vhd.vhdprep-partial"]


def test_a_missing_folder_and_a_name_that_is_too_long_are_one_clear_line(tmp_path):
    for target, words in ((tmp_path / "none" / "new.vhd", "there is no folder"), (tmp_path / ("n" * 250), "File name too long")):
        with pytest.raises(UsageError, match=words) as caught, partial(target):
            pass
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who may not write there")
def test_a_folder_that_may_not_be_written_is_one_clear_line(tmp_path):
    tmp_path.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(UsageError, match=r"new\.vhd: may not be written; give your user write permission on"), partial(tmp_path / "new.vhd"):
            pass
    finally:
        os.seteuid(0)
    assert names(tmp_path) == []


def test_a_text_is_written_to_its_end_or_refused(tmp_path):
    class Slow:
        room = 100

        def write(self, data):
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = min(7, len(data), self.room)
            self.room -= taken
            return taken

    work = Partial(tmp_path / "new", tmp_path / ".new", Slow())
    work.write("x" * 99)
    with pytest.raises(CopyFailed, match="No space left"):
        work.write("yy")
