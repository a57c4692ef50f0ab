"""How a store holds reports: the tables, and the steps that led to them.

A store is only ever made and changed by ``STEPS``, which are never edited: a new version is a new step. The tables below are what queries see
after all of them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, DateTime, Integer, LargeBinary, MetaData, String, Table, TypeDecorator, inspect, select, text

from vhdprep.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Dialect

_TYPES = {
    "sqlite": {"key": "INTEGER PRIMARY KEY AUTOINCREMENT", "reference": "INTEGER", "moment": "TEXT", "bytes": "BLOB"},
    "postgresql": {
        "key": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "reference": "BIGINT",
        "moment": "TIMESTAMP WITH TIME ZONE",
        "bytes": "BYTEA",
    },
}
_STEP_1 = (
    """CREATE TABLE vhdprep_image (
        id {key},
        name VARCHAR(255) NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
        target VARCHAR(40) NOT NULL CHECK (length(target) BETWEEN 1 AND 40),
        UNIQUE (name, target))""",
    """CREATE TABLE vhdprep_record (
        id {key},
        image_id {reference} NOT NULL REFERENCES vhdprep_image (id),
        digest VARCHAR(64) NOT NULL UNIQUE CHECK (length(digest) = 64),
        verdict VARCHAR(12) NOT NULL CHECK (verdict IN ('ready', 'not-ready', 'inconclusive')),
        judged {moment} NOT NULL,
        recorded {moment} NOT NULL,
        ruleset VARCHAR(255) NOT NULL,
        tool VARCHAR(255) NOT NULL,
        file_digest VARCHAR(64) CHECK (length(file_digest) = 64),
        disk_digest VARCHAR(64) CHECK (length(disk_digest) = 64),
        errors INTEGER NOT NULL CHECK (errors >= 0),
        warnings INTEGER NOT NULL CHECK (warnings >= 0),
        undecided INTEGER NOT NULL CHECK (undecided >= 0),
        body {bytes} NOT NULL)""",
    """CREATE TABLE vhdprep_wrong (
        record_id {reference} NOT NULL REFERENCES vhdprep_record (id),
        rule VARCHAR(255) NOT NULL,
        severity VARCHAR(7) NOT NULL CHECK (severity IN ('error', 'warning', 'note')),
        outcome VARCHAR(7) NOT NULL CHECK (outcome IN ('fail', 'unknown')),
        PRIMARY KEY (record_id, rule))""",
    "CREATE INDEX vhdprep_record_of_image ON vhdprep_record (image_id, judged, id, verdict)",
    "CREATE INDEX vhdprep_record_in_time ON vhdprep_record (judged, id, image_id, verdict)",
    "CREATE INDEX vhdprep_record_file ON vhdprep_record (file_digest)",
    "CREATE INDEX vhdprep_record_disk ON vhdprep_record (disk_digest)",
)
STEPS = (_STEP_1,)
"""What makes version 1 of nothing, version 2 of version 1, and so on. ``{…}`` stand for what the two databases call differently."""
_LOCK = 0x7668647072657061
"""Of PostgreSQL's advisory locks the one for changing the tables: ``vhdprepa``."""


class Moment(TypeDecorator[datetime]):
    """A time in UTC. SQLite keeps it as text of one length, which sorts as time does."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """To the database."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Out of it."""
        if value is None:
            return None
        found: datetime = value
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


_METADATA = MetaData()
IMAGE = Table("vhdprep_image", _METADATA, Column("id", Integer, primary_key=True), Column("name", String), Column("target", String))
RECORD = Table(
    "vhdprep_record",
    _METADATA,
    Column("id", Integer, primary_key=True),
    Column("image_id", Integer),
    Column("digest", String),
    Column("verdict", String),
    Column("judged", Moment),
    Column("recorded", Moment),
    Column("ruleset", String),
    Column("tool", String),
    Column("file_digest", String),
    Column("disk_digest", String),
    Column("errors", Integer),
    Column("warnings", Integer),
    Column("undecided", Integer),
    Column("body", LargeBinary),
)
WRONG = Table(
    "vhdprep_wrong",
    _METADATA,
    Column("record_id", Integer, primary_key=True),
    Column("rule", String, primary_key=True),
    Column("severity", String),
    Column("outcome", String),
)
VERSION = Table("vhdprep_schema", _METADATA, Column("only_one", Integer, primary_key=True), Column("version", Integer))


def bring_up(connection: Connection, name: str) -> None:
    """Make the tables, or bring those of an earlier version up to this one, all within the transaction that is open.

    Raises:
        UsageError: the store was made by a later version, or is another program's.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    held = version(connection, name)
    if held == 0:
        connection.execute(text("CREATE TABLE vhdprep_schema (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), version INTEGER NOT NULL)"))
        connection.execute(VERSION.insert().values(only_one=1, version=0))
    for step in STEPS[held:]:
        for statement in step:
            connection.execute(text(statement.format_map(_TYPES[connection.dialect.name])))
    connection.execute(VERSION.update().values(version=len(STEPS)))


def version(connection: Connection, name: str) -> int:
    """Of the tables that are there; 0 = there are none yet. ``name``: of the store, for people.

    Raises:
        UsageError: a later version made the store, or it is another program's.
    """
    seen = inspect(connection)
    if not seen.has_table(VERSION.name):
        if connection.dialect.name == "sqlite" and seen.get_table_names():
            raise UsageError(f"{name}: is the database of another program; name another file with --store")
        return 0
    found = connection.execute(select(VERSION.c.version)).scalars().all()
    if len(found) != 1 or not isinstance(found[0], int) or found[0] < 1:
        raise UsageError(f"{name}: does not say which version of the history it is; it is damaged")
    if found[0] > len(STEPS):
        raise UsageError(f"{name}: is version {found[0]} of the history, and this vhdprep knows {len(STEPS)}; use the newer vhdprep that made it")
    return found[0]
