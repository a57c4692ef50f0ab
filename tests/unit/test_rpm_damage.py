"""Hostile and damaged package databases: named with place and reason, in bounded time and memory, never half a list."""

from __future__ import annotations

import sqlite3
import struct
import time
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures import rpmdb
from tests.unit.test_rpm import FEW, HOME, KINDS, NAMES, Logged, headers, installed
from vhdprep.errors import Unreadable
from vhdprep.guest.formats import rpmbdb, rpmndb, rpmsqlite

INT32, STRING = rpmdb.INT32, rpmdb.STRING


def refused(data, kind, words, **given):
    """Reading ``data`` ends soon, in little memory, with these words after the file's name."""
    started = time.process_time()
    tracemalloc.start()
    with pytest.raises(Unreadable) as caught:
        installed(data, kind, **given)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(caught.value).startswith(f"{HOME}/{NAMES[kind]}: ")
    assert words in str(caught.value)
    assert time.process_time() - started < 2
    assert peak < 20 * 2**20


def wounded(data, *wounds):
    out = bytearray(data)
    for at, bits in wounds:
        out[at : at + len(bits)] = bits
    return bytes(out)


def little(*words):
    return struct.pack(f"<{len(words)}I", *words)


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_that_is_cut_off_anywhere_is_no_shorter_list(kind):
    data = getattr(rpmdb, kind)(headers(FEW, files=300))
    for size in range(0, len(data) - 16, 500):
        with pytest.raises(Unreadable):
            installed(data[:size], kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_kind_is_refused(kind):
    for data in (b"", b"x", b"MZ" * 5000, bytes(9000), *(rpmdb.write(FEW, other) for other in KINDS if other != kind)):
        with pytest.raises(Unreadable):
            installed(data, kind)


# Headers


GOOD = [(1000, STRING, 1, b"a\0"), (1001, STRING, 1, b"1\0"), (1002, STRING, 1, b"1\0")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (b"1234567", "a header of 7 bytes claims 0 tags and 0 bytes of data"),
        (bytes(40), "a header of 40 bytes claims 0 tags"),
        (struct.pack(">II", 2**31, 0) + bytes(60), "a header of 68 bytes claims 2147483648 tags"),
        (struct.pack(">II", 600, 0) + bytes(9600), "claims 600 tags and 0 bytes"),
        (rpmdb.header("a", "1-1") + b"\0", "bytes claims 17 tags and 192 bytes of data"),
        (rpmdb.header("a", "1-1")[:-1], "bytes claims 17 tags and 192 bytes of data"),
        (rpmdb.seal(GOOD[1:]), "a header's text 1000 is missing"),
        (rpmdb.seal(GOOD[:1]), "a header's text 1001 is missing"),
        (rpmdb.seal(GOOD[:2]), "a header's text 1002 is missing"),
        (rpmdb.seal([*GOOD[:2], (1002, STRING, 1, b"\0")]), "a header's text 1002 is missing"),
        (rpmdb.seal([*GOOD[:2], (1002, STRING, 2, b"1\0")]), "a header's text 1002 is missing"),
        (rpmdb.seal([*GOOD[:2], (1002, INT32, 1, b"1\0\0\0")]), "a header's text 1002 is missing"),
        (rpmdb.seal([(1000, STRING, 1, b"a" * 256 + b"\0"), *GOOD[1:]]), "a header's text 1000 is missing, too long"),
        (rpmdb.seal([*GOOD, (1003, INT32, 2, bytes(8))]), "a header's epoch is not where the index says"),
        (rpmdb.seal([*GOOD, (1003, STRING, 1, b"1\0")]), "a header's epoch is not where the index says"),
        (wounded(rpmdb.seal(GOOD), (8 + 16 + 8, b"\x7f\xff\xff\xff")), "a header's text 1000 is missing"),
        (wounded(rpmdb.seal(GOOD), (8 + 16 + 8, b"\xff\xff\xff\xff")), "a header's text 1000 is missing"),
        (rpmdb.seal([(5000, STRING, 1, b"x" * 2**20), *GOOD]), "a header's text 1000 is missing"),
    ],
)  # fmt: skip
def test_a_header_that_contradicts_itself_is_named(kind, blob, words):
    refused(getattr(rpmdb, kind)([*headers(FEW), blob]), kind, words)


# Slots (ndb)


NDB, NDB_LARGE = rpmdb.ndb(headers(FEW)), rpmdb.ndb(headers({f"p{number}": "1-1" for number in range(300)}))
FIRST = struct.unpack_from("<I", NDB, 32 + 8)[0] * 16


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (NDB[:31], "cut off: 32 bytes are missing at byte 0"),
        (wounded(NDB, (0, b"RpmX")), "is no package database of rpm's ndb kind, version 0 (it begins with 52706d58)"),
        (wounded(NDB, (4, b"\1")), "is no package database of rpm's ndb kind"),
        (wounded(NDB, (12, little(0))), "it claims 0 pages of slots"),
        (wounded(NDB, (12, little(2**32 - 1))), "it claims 4294967295 pages of slots; up to 256 are read"),
        (wounded(NDB, (12, little(200))), "cut off"),
        (wounded(NDB_LARGE, (12, little(3))), "its pages of slots end early"),
        (wounded(NDB_LARGE, (12, little(1))), "it has more than the 1 pages of slots that it claims"),
        (wounded(NDB, (32 + 16 * 100, b"slot")), "its pages of slots end early"),
        (wounded(NDB, (32 + 4, little(0))), "the slot of package 0 points to block 256"),
        (wounded(NDB, (32 + 4, little(2))), "block 256 does not hold the header of package 2"),
        (wounded(NDB, (32 + 8, little(1))), "the slot of package 1 points to block 1, which is not its own"),
        (wounded(NDB, (48, NDB[32:48])), "the slot of package 1 points to block 256, which is not its own"),
        (wounded(NDB, (48 + 4, little(1))), "the slot of package 1 points to block"),
        (wounded(NDB, (32 + 12, little(0))), "the header of package 1 has 0 bytes"),
        (wounded(NDB, (32 + 12, little(2**32 - 1))), "the header of package 1 has 68719476720 bytes; up to 67108864 are read"),
        (wounded(NDB, (32 + 12, little(3))), "block 256 does not hold the header of package 1"),
        (wounded(NDB, (64 + 12, little(10**6))), "cut off: 16000000 bytes are missing"),
        (wounded(NDB, (FIRST, b"blbS")), "block 256 does not hold the header of package 1"),
        (wounded(NDB, (FIRST + 12, little(8))), "block 256 does not hold the header of package 1"),
        (wounded(NDB, (FIRST + 12, little(2**32 - 1))), "block 256 does not hold the header of package 1"),
        (wounded(NDB, (FIRST + 200, b"\xff")), "the header of package 1 has a wrong checksum"),
        (NDB[:-16], "cut off"),
    ],
)  # fmt: skip
def test_a_damaged_slot_database_is_named(data, words):
    refused(data, "ndb", words)


# Berkeley DB


BDB = rpmdb.bdb(headers(FEW, files=300), buckets=2)
META = 72
OVERFLOW = 3 * 4096
"""The first overflow page."""
BUCKET = next(at for at in (4096, 8192) if struct.unpack_from("<H", BDB, at + 20)[0] >= 4)
LAST_ITEM = BUCKET + struct.unpack_from("<H", BDB, BUCKET + 24 + 2 * struct.unpack_from("<H", BDB, BUCKET + 20)[0])[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (BDB[:511], "cut off: 512 bytes are missing at byte 0"),
        (wounded(BDB, (12, little(0x42253))), "is no package database of rpm's Berkeley DB kind"),
        (wounded(BDB, (12, little(0x53162))), "is a Berkeley DB of a kind that rpm does not make"),
        (wounded(BDB, (16, little(7))), "is a Berkeley DB of a kind that rpm does not make (version 7, encryption 0, flags 0)"),
        (wounded(BDB, (24, b"\1")), "(version 9, encryption 1, flags 0)"),
        (wounded(BDB, (26, b"\1")), "(version 9, encryption 0, flags 1)"),
        (wounded(BDB, (20, little(1000))), "its first page claims pages of 1000 bytes"),
        (wounded(BDB, (META, little(2**32 - 1))), "its first page claims pages of 4096 bytes and 4294967296 buckets (masks 1 and 0)"),
        (wounded(BDB, (META, little(2**32 - 1, 2**32 - 1, 2**31 - 1))), "page 2 is used twice, or lies behind the last one (8)"),
        (wounded(BDB, (META, little(0))), "and 1 buckets"),
        (wounded(BDB, (META, little(5, 7, 3))), "page 2 is used twice"),
        (wounded(BDB, (META + 4, little(2))), "(masks 2 and 0)"),
        (wounded(BDB, (96, little(7))), "page 7 says that it is page 7 of kind 7"),
        (wounded(BDB, (96, little(10**6))), "page 1000000 is used twice, or lies behind the last one"),
        (wounded(BDB, (32, little(2))), "is used twice, or lies behind the last one (2)"),
        (wounded(BDB, (BUCKET + 8, little(77))), "says that it is page 77 of kind 13"),
        (wounded(BDB, (BUCKET + 25, b"\x00")), "of kind 0"),
        (wounded(BDB, (BUCKET, bytes(4096))), "says that it is page 0 of kind 0"),
        (wounded(BDB, (BUCKET + 16, little(BUCKET // 4096))), "is used twice"),
        (wounded(BDB, (BUCKET + 20, b"\xff\xff")), "has no room for its 65535 items"),
        (wounded(BDB, (BUCKET + 20, b"\x03")), "has no room for its 3 items"),
        (wounded(BDB, (BUCKET + 26, b"\xff\xff")), "has no room for its"),
        (wounded(BDB, (BUCKET + 26, b"\x20\0")), "has no room for its"),
        (wounded(BDB, (BUCKET + 26, struct.pack("<H", 4090))), "has a key of kind"),
        (wounded(BDB, (LAST_ITEM, b"\2")), "has an item of kind 2 and 12 bytes"),
        (wounded(BDB, (LAST_ITEM + 4, little(0))), "page 0 is used twice"),
        (wounded(BDB, (LAST_ITEM + 8, little(2**32 - 1))), "a header of 4294967295 bytes claims"),
        (wounded(BDB, (OVERFLOW + 25, b"\x0d")), "page 3 says that it is page 3 of kind 13"),
        (wounded(BDB, (OVERFLOW + 22, b"\0\0")), "page 3 claims 0 of the"),
        (wounded(BDB, (OVERFLOW + 22, b"\xff\xff")), "page 3 claims 65535 of the"),
        (BDB[:OVERFLOW], "it is cut off: 12288 bytes for 9 pages of 4096"),
        (BDB[:-1], "it is cut off: 36863 bytes for 9 pages of 4096"),
        (wounded(BDB, (32, little(2**32 - 1))), "it is cut off: 36864 bytes for 4294967296 pages"),
    ],
)  # fmt: skip
def test_a_damaged_berkeley_database_is_named(data, words):
    refused(data, "bdb", words)


@pytest.mark.parametrize(("following", "words"), [(3, "page 3 is used twice"), (0, "page 0 is used twice"), (1, "page 1")])
def test_a_chain_of_pages_that_turns_in_circles_ends(following, words):
    """The name stands behind a long tag, so the chain must be followed."""
    blob = rpmdb.seal([(100, STRING, 1, b"x" * 9000 + b"\0"), *GOOD])
    refused(wounded(rpmdb.bdb([blob]), (OVERFLOW + 16, little(following))), "bdb", words)


# SQLite


@pytest.mark.parametrize(("back", "words"), [(0, "is used twice"), (1, "is used twice"), (None, "page 0 is used twice, or is none of its")])
def test_a_chain_of_sqlites_pages_that_turns_in_circles_ends(back, words):
    data = rpmdb.sqlite([rpmdb.seal([(100, STRING, 1, b"x" * 30_000 + b"\0"), *GOOD])])
    second = [at for at in range(0, len(data), 4096) if data[at + 4 : at + 104] == b"x" * 100][1]
    refused(wounded(data, (second, struct.pack(">I", 0 if back is None else second // 4096 + 1 - back))), "sqlite", words)


def sqlite(*statements, blobs=None, page_size=4096, schema=()):
    """A database after these statements; ``schema`` are changes to its table of tables."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute(f"PRAGMA page_size = {page_size}")
    if blobs is not None:
        rpmdb.fill(database, blobs)
    for statement in statements:
        database.execute(statement)
    database.execute("PRAGMA writable_schema = ON")
    for statement in schema:
        database.execute(statement)
    data = database.serialize()
    database.close()
    return data


SQLITE = sqlite(blobs=headers(FEW, files=0))
TREE = sqlite(blobs=headers({f"p{number}": "1-1" for number in range(60)}))


def root(data):
    """Where the table's first page begins."""
    database = sqlite3.connect(":memory:")
    database.deserialize(data)
    ((page,),) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'Packages'").fetchall()
    database.close()
    return (page - 1) * 4096


LEAF, ROOT = root(SQLITE), root(TREE)
CELL = LEAF + struct.unpack_from(">H", SQLITE, LEAF + 8)[0]
assert SQLITE[LEAF] == 13
assert TREE[ROOT] == 5


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is no SQLite database (it begins with nothing)"),
        (SQLITE[:99], "is no SQLite database (it begins with 53514c69)"),
        (wounded(SQLITE, (16, b"\3\0")), "it claims pages of 768 bytes"),
        (wounded(SQLITE, (16, b"\0\0")), "it claims pages of 0 bytes"),
        (wounded(SQLITE, (56, b"\0\0\0\2")), "its head claims text of kind 2"),
        (wounded(SQLITE, (20, b"\xff"), (16, b"\2\0")), "and 257 bytes on a page"),
        (wounded(SQLITE, (28, b"\x7f\0\0\0")), "it is cut off: "),
        (SQLITE[:-1], "it is cut off: "),
        (wounded(SQLITE, (28, b"\0\0\0\2")), "or is none of its 2 pages"),
        (wounded(SQLITE, (100, b"\x0a")), "page 1 is of kind 10"),
        (wounded(SQLITE, (103, b"\xff\xff")), "page 1 is of kind 13 with 65535 cells"),
        (wounded(SQLITE, (LEAF, b"\x0a")), "is of kind 10"),
        (wounded(SQLITE, (LEAF + 3, b"\x7f\xff")), "with 32767 cells"),
        (wounded(SQLITE, (LEAF + 8, b"\xff\xff")), "reaches beyond its page"),
        (wounded(SQLITE, (LEAF + 8, b"\x0f\xff")), "reaches beyond its page"),
        (wounded(SQLITE, (LEAF + 10, SQLITE[LEAF + 8 : LEAF + 10])), "has row 1 after row 1"),
        (wounded(SQLITE, (CELL, b"\xff" * 9)), "bytes reaches beyond its page"),
        (wounded(SQLITE, (struct.unpack_from(">H", SQLITE, 108)[0], b"\1\1\x20")), "a row claims a head of 32 bytes"),
        (wounded(SQLITE, (CELL + 3, b"\x7f")), "a row claims a head of 127 bytes"),
        (wounded(SQLITE, (CELL + 3, b"\x01")), "a row of the table Packages is not a number and a header"),
        (wounded(SQLITE, (CELL + 4, b"\x01")), "a row of the table Packages is not a number and a header"),
        (wounded(TREE, (ROOT + 8, struct.pack(">I", ROOT // 4096 + 1))), "is used twice"),
        (wounded(TREE, (ROOT + 8, struct.pack(">I", 1))), "page 1 is used twice"),
        (wounded(TREE, (ROOT + 8, bytes(4))), "page 0 is used twice, or is none of its"),
        (wounded(TREE, (ROOT + 8, b"\x7f\0\0\0")), "page 2130706432 is used twice, or is none of its"),
    ],
)  # fmt: skip
def test_a_damaged_sqlite_database_is_named(data, words):
    refused(data, "sqlite", words)


ROW = "(hnum INTEGER PRIMARY KEY, blob BLOB)"


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["CREATE TABLE x (y)"], "the database has no table Packages"),
        ([f"CREATE TABLE Packages2 {ROW}"], "the database has no table Packages"),
        ([f"CREATE TABLE x {ROW}", "CREATE VIEW Packages AS SELECT 1 AS hnum, randomblob(100) AS blob"], "the database has no table Packages"),
        ([f"CREATE TABLE x {ROW}", "CREATE INDEX Packages ON x (blob)"], "the database has no table Packages"),
        (["CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB) WITHOUT ROWID"], "is of kind 10"),
        ([f"CREATE TABLE Packages {ROW}", "INSERT INTO Packages VALUES (1, 'a text of some length')"], "is not a number and a header"),
        ([f"CREATE TABLE Packages {ROW}", "INSERT INTO Packages VALUES (1, NULL)"], "is not a number and a header"),
        (["CREATE TABLE Packages (hnum INTEGER PRIMARY KEY)", "INSERT INTO Packages VALUES (1)"], "is not a number and a header"),
        (["CREATE TABLE Packages (a, b, c)", "INSERT INTO Packages VALUES (1, x'00', x'00')"], "is not a number and a header"),
        ([f"CREATE TABLE Packages {ROW}", "INSERT INTO Packages VALUES (1, zeroblob(100000))"], "a header of 100000 bytes claims 0 tags"),
        ([f"CREATE TABLE Packages {ROW}", "INSERT INTO Packages VALUES (-1, x'00')", "INSERT INTO Packages VALUES (1, x'00')"], "a header of 1 bytes"),
    ],
)  # fmt: skip
def test_what_only_looks_like_rpms_table_is_named_or_checked_like_it(statements, words):
    data = sqlite(*statements)
    refused(data, "sqlite", words)


def test_triggers_and_views_of_the_image_do_not_run():
    hidden = sqlite(
        "CREATE VIEW Installed AS SELECT * FROM Packages",
        "CREATE TRIGGER hide INSTEAD OF INSERT ON Installed BEGIN DELETE FROM Packages; END",
        "CREATE TRIGGER more AFTER INSERT ON Packages BEGIN DELETE FROM Packages; END",
        blobs=headers(FEW),
    )
    assert installed(hidden, "sqlite") == FEW


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("SET rootpage = 1 WHERE name = 'Packages'", "is used twice"),
        ("SET rootpage = 0 WHERE name = 'Packages'", "page 0 is used twice, or is none of its"),
        ("SET rootpage = 99999 WHERE name = 'Packages'", "page 99999 is used twice, or is none of its"),
        ("SET rootpage = 'x' WHERE name = 'Packages'", "page 120 is used twice, or is none of its"),
        ("SET type = 'view' WHERE name = 'Packages'", "the database has no table Packages"),
        ("SET tbl_name = hex(zeroblob(3000)) WHERE name = 'Packages'", "its table of tables has too many rows, or rows of another shape"),
    ],
)
def test_a_table_of_tables_that_lies_is_found_out(change, words):
    refused(sqlite(blobs=headers(FEW), schema=[f"UPDATE sqlite_schema {change}"]), "sqlite", words)


def test_a_database_with_too_many_tables_is_given_up(monkeypatch):
    monkeypatch.setattr(rpmsqlite, "MAX_TABLES", 2)
    refused(sqlite(blobs=headers(FEW)), "sqlite", "its table of tables has too many rows")


@pytest.mark.parametrize(("kind", "reader"), [("sqlite", rpmsqlite), ("bdb", rpmbdb)])
def test_a_database_that_takes_too_many_pages_is_given_up(kind, reader, monkeypatch):
    monkeypatch.setattr(reader, "MAX_PAGES", 3)
    refused(getattr(rpmdb, kind)(headers(FEW, files=300)), kind, "takes more than 3 pages")


def test_a_slot_database_is_not_read_for_one_giant(monkeypatch):
    monkeypatch.setattr(rpmndb, "MAX_HEADER", 4096)
    refused(rpmdb.ndb(headers(FEW, files=300)), "ndb", "bytes; up to 4096 are read")


# Anything at all


BOUNDED = settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
SMALL = {
    "sqlite": rpmdb.sqlite(headers(FEW, files=20), page_size=512),
    "ndb": rpmdb.ndb(headers(FEW, files=20)),
    "bdb": rpmdb.bdb(headers(FEW, files=20), page_size=512),
}
bits = st.one_of(st.binary(min_size=1, max_size=4), st.sampled_from([b"\0", b"\xff", b"\xff\xff", little(0), little(1), little(2**32 - 1)]))
wounds = st.lists(st.tuples(st.one_of(st.integers(0, 600), st.floats(0, 1, exclude_max=True)), bits), min_size=1, max_size=6)
"""Where: a byte of the beginning, which says most, or a share of the whole."""


def hurt(data, wounds):
    return wounded(data, *((int(at * len(data)) if isinstance(at, float) else at % len(data), bits) for at, bits in wounds))


@BOUNDED
@given(kind=st.sampled_from(KINDS), wounds=wounds, cut=st.one_of(st.just(0), st.integers(0, 3000)))
def test_a_wounded_database_is_read_or_refused(kind, wounds, cut):
    data = SMALL[kind]
    data = hurt(data, wounds)[: len(data) - cut]
    with suppress(Unreadable):
        assert len(installed(data, kind)) <= 200


@BOUNDED
@given(kind=st.sampled_from(KINDS), wounds=wounds)
def test_a_wounded_header_in_a_sound_database_is_read_or_refused(kind, wounds):
    blob = hurt(rpmdb.header("package", "1:2-3", files=0), wounds)
    with suppress(Unreadable):
        assert len(installed(getattr(rpmdb, kind)([blob]), kind)) <= 1


@BOUNDED
@given(kind=st.sampled_from(KINDS), data=st.binary(max_size=3000))
def test_any_bytes_behind_the_right_beginning_are_refused(kind, data):
    size = {"sqlite": 100, "ndb": 32, "bdb": 512}[kind]
    with suppress(Unreadable):
        installed(SMALL[kind][:size] + data, kind)


@BOUNDED
@given(wounds=wounds, cut=st.integers(0, 9000))
def test_a_wounded_log_never_breaks_the_reader(tmp_path_factory, wounds, cut):
    data, log = _logged(tmp_path_factory)
    log = hurt(log, wounds)[: len(log) - cut]
    with suppress(Unreadable):
        assert installed(data, "sqlite", beside={"rpmdb.sqlite-wal": log}).items() >= FEW.items()


_LOGGED = []


def _logged(factory):
    if not _LOGGED:
        made = Logged(factory.mktemp("logged") / "rpmdb.sqlite")
        made.put("first", "1-1")
        made.put("second", "1-1")
        _LOGGED.append((made.path.read_bytes(), made.log))
        made.database.close()
    return _LOGGED[0]
