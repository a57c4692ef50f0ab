"""Whoever writes at the same time, is killed or has no room left: what was said to be recorded is there, and nothing is half there."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from functools import partial

import pytest
from sqlalchemy import func, select

from tests.audit.reports import day, finding, written
from tests.audit.writer import report
from tests.cli.test_cli import ROOT, run
from vhdprep.audit import entry, history, schema
from vhdprep.audit.store import open_store

MIB = 1024 * 1024


class Writer:
    """One that records, and what it has said so far."""

    def __init__(self, number, log):
        self._number, self._log = number, log

    def said(self):
        """The lines, each whole."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    def reports(self):
        """Which reports it has said to be recorded."""
        return [int(line.split()[0]) for line in self.said() if line[0].isdigit()]

    def wait_for(self, enough, seconds=120):
        end = time.monotonic() + seconds
        while not enough(self.said()):
            assert time.monotonic() < end, self.said()[-3:]
            time.sleep(0.01)

    def end(self):
        """How it ended: ``end``, or its error."""
        self.wait_for(lambda said: said and not said[-1][0].isdigit())
        return self.said()[-1]

    def kill(self):
        os.kill(self._number, signal.SIGKILL)
        while True:
            try:
                os.kill(self._number, 0)
            except ProcessLookupError:
                return
            time.sleep(0.002)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts a writer in a process of its own."""
    folder = tmp_path_factory.mktemp("writers")
    numbers = itertools.count()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.audit.writer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as starter:  # fmt: skip

        def begin(place, who, most=10**6):
            log = folder / f"{next(numbers)}"
            starter.stdin.write(f"{place} {who} {most} {log}\n")
            starter.stdin.flush()
            return Writer(int(starter.stdout.readline()), log)

        yield begin
        starter.stdin.close()


def digest(data):
    return entry.content_digest(entry.savedreport.load(data, "x"))


def held(store):
    """The digests of all records, once each of them was seen to be whole."""

    def work(connection):
        counted = select(schema.WRONG.c.record_id, func.count().label("wrong")).group_by(schema.WRONG.c.record_id)
        wrong = {row.record_id: row.wrong for row in connection.execute(counted)}
        columns = schema.RECORD.c
        rows = connection.execute(select(columns.id, columns.digest, columns.body, columns.errors, columns.warnings, columns.undecided)).all()
        for row in rows:
            assert entry.unpack(row.body, row.digest)
            assert wrong.pop(row.id, 0) == row.errors + row.warnings + row.undecided
        assert wrong == {}
        return [row.digest for row in rows]

    return store.read(work)


def is_sound(place):
    """Whether SQLite finds nothing wrong with its file; a server answers for its own."""
    if "://" in place:
        return True
    with contextlib.closing(sqlite3.connect(place)) as connection:
        answers = [connection.execute(f"PRAGMA {name}").fetchall() for name in ("integrity_check", "foreign_key_check")]
    return answers == [[("ok",)], []]


def test_two_writers_that_make_the_store_at_once_lose_nothing(place, start):
    writers = [start(place, who, 120) for who in "ab"]
    assert [writer.end() for writer in writers] == ["end", "end"]
    said = [line.split() for writer in writers for line in writer.said()[:-1]]
    assert (len(said), {new for *_, new in said}, len({number for _, number, _ in said})) == (240, {"True"}, 240)
    store = open_store(place, make=False)
    assert sorted(held(store)) == sorted(digest(report(who, number)) for who in "ab" for number in range(120))
    assert [(each.image, each.records) for each in sorted(store.read(history.standings))] == [
        (f"{who}-{n}.vhd", 12) for who in "ab" for n in range(10)
    ]
    assert is_sound(place)


def test_two_writers_of_the_same_reports_record_each_once(place, start):
    writers = [start(place, "same", 100) for _ in "ab"]
    assert [writer.end() for writer in writers] == ["end", "end"]
    said = [line.split() for writer in writers for line in writer.said()[:-1]]
    assert (len(said), sum(new == "True" for *_, new in said)) == (200, 100)
    assert sorted(held(open_store(place, make=False))) == sorted(digest(report("same", number)) for number in range(100))


def test_a_writer_that_is_killed_at_any_moment_leaves_what_it_said_and_nothing_half(place, start):
    """The first ones may be killed while they make the store, the second writer goes on all the time."""
    chance, said = random.Random(9), set()
    steady = start(place, "steady")
    for turn in range(20):
        victim = start(place, f"victim{turn}")
        time.sleep(chance.random() / 2)
        victim.kill()
        assert [line for line in victim.said() if not line[0].isdigit()] == []
        said |= {digest(report(f"victim{turn}", number)) for number in victim.reports()}
        assert is_sound(place)
    enough = max(60, len(steady.said()) + 5)
    steady.wait_for(lambda lines: len(lines) > enough)
    steady.kill()
    said |= {digest(report("steady", number)) for number in steady.reports()}
    found = held(open_store(place, make=False))
    assert len(said) > 60
    assert said <= set(found)
    assert len(found) - len(said) <= 21, "at most the one that each was about to tell of"


def test_a_server_that_dies_keeps_what_was_said_and_is_written_to_again(server, start):
    place = server.database()
    writer = start(place, "a")
    writer.wait_for(lambda said: len(said) > 5)
    server.crash()
    try:
        assert writer.end().startswith("UsageError: postgresql://postgres@/postgres: the history cannot be written (")
    finally:
        server.start()
    assert {digest(report("a", number)) for number in writer.reports()} <= set(held(open_store(place, make=False)))
    assert start(place, "a", 3).end() == "end"


@contextlib.contextmanager
def small_disk(place):
    """A file system of its own."""
    place.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root mounts a small file system")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", place], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def fill_up(folder):
    """Leave 2 MiB; gives what makes room again."""
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(folder).free - 2 * MIB))
    return ballast.unlink


def large_reports(folder, number=30):
    """Reports that hardly become smaller: 120 KiB each when packed."""
    folder.mkdir()
    noise = random.Random(1)
    for each in range(number):
        data = written(name=f"{each}.vhd", verdict="not-ready", started=day(1), findings=[finding("a")], notices=[noise.randbytes(120_000).hex()])
        (folder / f"{each:03}.json").write_bytes(data)
    return sorted(folder.iterdir())


def told(done):
    """How many reports a run said to be recorded."""
    return sum("recorded (record" in line for line in done.stdout.splitlines())


def check_full(place, reports, fill, relieve):
    """Record one by one until there is no room, then make room: nothing is lost, nothing half there."""
    count = 0
    for path in reports:
        done = fill(path)
        if done.returncode:
            break
        count += told(done)
    assert (done.returncode, count > 2, count < len(reports)) == (2, True, True), (count, done.stderr)
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"vhdprep: {place.split('?')[0]}: the history cannot be written (")
    relieve()
    store = open_store(place, make=False)
    assert len(held(store)) == count
    assert is_sound(place)
    done = run("audit", "record", "--store", place, *reports)
    assert (done.returncode, done.stdout.count(" recorded (record"), done.stdout.count("was recorded already")) == (0, len(reports) - count, count)
    assert len(held(store)) == len(reports)


def test_a_full_disk_costs_the_report_that_it_is_full_for_and_no_other(tmp_path):
    reports = large_reports(tmp_path / "reports")
    with small_disk(tmp_path / "small") as folder:
        place = str(folder / "audit.db")
        check_full(place, reports, lambda path: run("audit", "record", "--store", place, path), fill_up(folder))


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path):
    reports, place = large_reports(tmp_path / "reports"), str(tmp_path / "audit.db")
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (MIB, MIB))
    check_full(place, reports, lambda path: run("audit", "record", "--store", place, path, preexec_fn=limit), lambda: None)


def test_a_group_that_the_disk_is_full_for_is_not_there_at_all(tmp_path):
    reports, place = large_reports(tmp_path / "reports"), str(tmp_path / "audit.db")
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (MIB, MIB))
    done = run("audit", "record", "--store", place, *reports, preexec_fn=limit)
    assert (done.returncode, told(done), done.stderr.strip().endswith("30 of 30 reports were not recorded")) == (2, 0, True)
    assert held(open_store(place, make=True)) == []


def test_a_server_whose_disk_is_full_keeps_what_was_said(server, tmp_path):
    reports = large_reports(tmp_path / "reports")
    with small_disk(server.folder / "small") as folder:
        (space := folder / "space").mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(space, "postgres")
        server.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
        server.execute("CREATE DATABASE full_disk TABLESPACE small STRATEGY file_copy")
        place = server.address("full_disk")
        server.execute("CHECKPOINT")  # nothing that waits to be written takes the room meanwhile
        try:
            check_full(place, reports, lambda path: run("audit", "record", "--store", place, path), fill_up(folder))
        finally:
            server.execute("DROP DATABASE full_disk WITH (FORCE)")
            server.execute("DROP TABLESPACE small")
