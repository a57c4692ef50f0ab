"""Stores of other versions, of other programs, damaged ones, and servers that are not there."""

from __future__ import annotations

import contextlib
import sqlite3
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from tests.audit.reports import day, not_ready, recorded, written
from vhdprep.audit import history, schema
from vhdprep.audit.store import open_store
from vhdprep.errors import UsageError

STEP_2 = ("ALTER TABLE vhdprep_record ADD COLUMN note VARCHAR(20)", "UPDATE vhdprep_record SET note = 'of version 1'")


def version(place):
    return open_store(place, make=True).read(lambda connection: schema.version(connection, ""))


def notes(place):
    return open_store(place, make=False).read(
        lambda connection: connection.execute(text("SELECT note FROM vhdprep_record ORDER BY id")).scalars().all()
    )


def change(path, *statements):
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def refusal(place, *, make=False):
    with pytest.raises(UsageError) as refused:
        open_store(place, make=make).read(history.standings)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_tables_that_steps_make_are_those_that_queries_see(store):
    def columns(connection):
        seen = inspect(connection)
        return {table: {each["name"] for each in seen.get_columns(table)} for table in seen.get_table_names() if table.startswith("vhdprep_")}

    tables = (schema.IMAGE, schema.RECORD, schema.WRONG, schema.VERSION)
    assert store.read(columns) == {table.name: {column.name for column in table.c} for table in tables}


def test_an_older_store_is_brought_up_with_everything_in_it(place, monkeypatch):
    recorded(open_store(place, make=True), not_ready("web.vhd", day(1), "a"))
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, STEP_2))
    assert [each.image for each in open_store(place, make=False).read(history.standings)] == ["web.vhd"]
    assert (notes(place), version(place)) == (["of version 1"], 2)


def test_a_step_that_fails_leaves_the_store_as_it_was(place, monkeypatch):
    recorded(open_store(place, make=True), written())
    with monkeypatch.context() as later:
        later.setattr(schema, "STEPS", (*schema.STEPS, (*STEP_2, "SELECT nothing FROM nowhere")))
        with pytest.raises(UsageError, match="the history cannot be written"):
            open_store(place, make=True)
    assert version(place) == 1
    assert [each.image for each in open_store(place, make=False).read(history.standings)] == ["web.vhd"]


def test_a_store_of_a_later_version_is_refused_and_not_touched(place, monkeypatch):
    with monkeypatch.context() as later:
        later.setattr(schema, "STEPS", (*schema.STEPS, STEP_2))
        open_store(place, make=True)
    for make in (True, False):
        assert "is version 2 of the history, and this vhdprep knows 1; use the newer vhdprep that made it" in refusal(place, make=make)


def test_nothing_that_no_report_can_say_gets_in(store):
    recorded(store, written())
    for statement in (
        "UPDATE vhdprep_record SET verdict = 'perfect'",
        "UPDATE vhdprep_record SET errors = -1",
        "UPDATE vhdprep_record SET digest = 'short'",
        "UPDATE vhdprep_image SET name = ''",
        "UPDATE vhdprep_record SET image_id = 99",
        "INSERT INTO vhdprep_wrong VALUES (99, 'a', 'error', 'fail')",
        "INSERT INTO vhdprep_schema VALUES (2, 1)",
        "DELETE FROM vhdprep_image",
    ):
        with pytest.raises(UsageError, match="the history cannot be written"):
            store.write(lambda connection, statement=statement: connection.execute(text(statement)))


def test_a_store_that_is_not_there_is_made_by_recording_alone(place, tmp_path):
    assert ("nothing was recorded there yet" if "://" in place else "there is no such history") in refusal(place)
    assert [*tmp_path.iterdir()] == []
    assert open_store(place, make=True).is_new
    assert not open_store(place, make=True).is_new


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "nothing was recorded there yet"),
        (b"this is no database, but a text that is long enough to be one" * 20, "file is not a database"),
        (b"SQLite format 3\0" + bytes(4096), "the history cannot be read"),
    ],
)
def test_a_file_that_is_no_store_is_told_in_one_line(tmp_path, content, words):
    (path := tmp_path / "audit.db").write_bytes(content)
    assert words in refusal(str(path))
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_left_alone(tmp_path):
    change(path := tmp_path / "places.db", "CREATE TABLE places (url TEXT)")
    before = path.read_bytes()
    for make in (True, False):
        assert "is the database of another program; name another file with --store" in refusal(str(path), make=make)
    assert path.read_bytes() == before


def test_a_folder_a_missing_folder_and_a_file_that_may_not_be_read_are_told(tmp_path):
    assert "unable to open database file" in refusal(str(tmp_path), make=True)
    assert "unable to open database file" in refusal(str(tmp_path / "none" / "audit.db"), make=True)


def test_what_may_only_be_read_is_read(tmp_path):
    recorded(open_store(path := str(tmp_path / "audit.db"), make=True), written())
    assert [each.name for each in tmp_path.iterdir()] == ["audit.db"], "nothing lies beside the file, which can be copied as it is"
    Path(path).chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        assert [each.image for each in open_store(path, make=False).read(history.standings)] == ["web.vhd"]
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["UPDATE vhdprep_record SET judged = 'x'"], "the history holds what none can"),
        (["PRAGMA ignore_check_constraints=ON", "UPDATE vhdprep_record SET verdict = 'perfect'"], "the history holds what none can"),
        (["UPDATE vhdprep_image SET target = 'moon'"], "the history holds what none can"),
        (["DELETE FROM vhdprep_schema"], "it is damaged"),
        (["DROP TABLE vhdprep_wrong"], "no such table"),
        (["DROP TABLE vhdprep_schema"], "is the database of another program"),
    ],
)
def test_a_store_that_somebody_changed_is_told_in_one_line(tmp_path, statements, words):
    recorded(open_store(path := str(tmp_path / "audit.db"), make=True), written())
    change(path, *statements)
    assert words in refusal(path)


def test_a_report_that_somebody_changed_in_the_store_is_not_shown(tmp_path):
    recorded(store := open_store(path := str(tmp_path / "audit.db"), make=True), written())
    recorded(store, written(started=day(2)))
    change(path, "UPDATE vhdprep_record SET body = (SELECT body FROM vhdprep_record WHERE id = 2) WHERE id = 1")
    with pytest.raises(UsageError, match="is not the one that was recorded; the store was changed"):
        store.read(partial(history.report, number=1))
    assert store.read(partial(history.report, number=2))


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("mysql://user:hunter2@host/db", "--store takes a file or postgresql://USER@HOST/DATABASE, not mysql://"),
        ("http://user:hunter2@host:x/db", "and what was given is neither"),
        ("postgresql://user:hunter2@127.0.0.1:1/db", "postgresql://user@127.0.0.1:1/db: the history cannot be read (connection failed"),
        ("postgresql://user:hunter2@/db?host=/nowhere&password=hunter2", "postgresql://user@/db: the history cannot be read (connection"),
        ("postgresql://user:hunter2@/db?nonsense=hunter2", 'invalid connection option "nonsense"'),
    ],
)
def test_a_server_that_is_not_there_is_told_in_one_line_without_the_password(place, words):
    said = refusal(place, make=True)
    assert (words in said, "hunter2" in said) == (True, False), said


def test_whoever_is_locked_out_waits_and_then_says_so(tmp_path, monkeypatch):
    recorded(store := open_store(path := str(tmp_path / "audit.db"), make=True), written())
    monkeypatch.setattr("vhdprep.audit.store._BUSY_SECONDS", 0.05)
    monkeypatch.setattr("vhdprep.audit.store.MAX_WAIT", 0.2)
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UsageError, match="the history cannot be written \\(database is locked\\)"):
            recorded(store, written(started=day(2)))
        other.rollback()
    assert recorded(store, written(started=day(2))).is_new
