"""The only door to the database: a file, or a PostgreSQL server. A transaction is whole or not there, and tried again where another was in its way.

A file is SQLite with its rollback journal, not its write-ahead log: it is one file that may be copied, lie on a share and be read where nobody may
write, and what is written here is small. A writer takes the lock at once (``BEGIN IMMEDIATE``), so that none finds out late that another was first;
``synchronous=EXTRA`` makes a report that was acknowledged outlive a loss of power.
On a server the unique digest of a report decides between two that record it at once.
"""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import URL, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from vhdprep.audit import schema
from vhdprep.errors import BackendUnavailable, UsageError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

T = TypeVar("T")
MAX_WAIT = 60.0
"""Seconds that a transaction is tried again while others are in its way."""
_BUSY_SECONDS = 10.0
_CONNECT_SECONDS = 10
_PAUSES = (0.01, 1.0)
"""Seconds: the longest first pause between two tries, and the longest of all."""
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_PASSING = {"40001", "40P01", "55P03", "23505"}
"""What PostgreSQL says of two transactions that cannot both be: serialization, deadlock, a lock that was waited for, one key twice."""
_SETTINGS = ("foreign_keys=ON", "synchronous=EXTRA", "trusted_schema=OFF", "cell_size_check=ON")


class Store:
    """An open store."""

    def __init__(self, engine: Engine, name: str) -> None:
        """``name``: what people call it, without a password."""
        self._engine, self.name, self.is_new = engine, name, False

    def read(self, work: Callable[[Connection], T]) -> T:
        """What ``work`` finds; all its questions are answered as of one moment.

        Raises:
            UsageError: the store cannot be read.
        """
        return self._run(work, writing=False)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do ``work`` wholly or not at all; it may be done several times until it goes through.

        Raises:
            UsageError: the store cannot be written, or others were in the way for ``MAX_WAIT``.
        """
        return self._run(work, writing=True)

    def _run(self, work: Callable[[Connection], T], *, writing: bool) -> T:
        options: dict[str, Any] = {"writing": writing}
        if not writing and self._engine.dialect.name == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"
        end, pause = time.monotonic() + MAX_WAIT, _PAUSES[0]
        while True:
            try:
                with self._engine.connect().execution_options(**options) as connection, connection.begin():
                    return work(connection)
            except SQLAlchemyError as error:
                if not _may_pass(error) or time.monotonic() > end:
                    raise UsageError(f"{self.name}: the history cannot be {'written' if writing else 'read'} ({_reason(error)})") from error
            except ValueError as error:
                raise UsageError(f"{self.name}: the history holds what none can ({first_line(error)}); it is damaged") from error
            time.sleep(random.uniform(0, pause))
            pause = min(2 * pause, _PAUSES[1])


def open_store(place: str, *, make: bool) -> Store:
    """The store at a path or an address, its tables brought up to this version. ``make``: also where there is none yet.

    Raises:
        UsageError: there is none, it is no store, or a later version made it.
        BackendUnavailable: the driver for PostgreSQL is missing.
    """
    store = _of_address(place) if "://" in place else _of_file(Path(place), make=make)
    held = store.read(lambda connection: schema.version(connection, store.name))
    if held == 0 and not make:
        raise UsageError(f"{store.name}: nothing was recorded there yet; `vhdprep audit record REPORT` does it")
    store.is_new = held == 0
    if held != len(schema.STEPS):
        store.write(lambda connection: schema.bring_up(connection, store.name))
    return store


def _of_file(path: Path, *, make: bool) -> Store:
    if not path.exists() and not make:
        raise UsageError(f"{path}: there is no such history; `vhdprep audit record REPORT` makes it, and --store names another")
    address = f"{path.absolute().as_uri()}?mode={'rwc' if make else 'rw'}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            for setting in _SETTINGS:
                connection.execute(f"PRAGMA {setting}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writing") else "BEGIN")

    return Store(engine, str(path))


def _of_address(place: str) -> Store:
    try:
        url = make_url(place)
    except (ArgumentError, ValueError) as error:  # ValueError: the port is no number
        raise UsageError("--store takes a file or postgresql://USER@HOST/DATABASE, and what was given is neither") from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise UsageError(f"--store takes a file or postgresql://USER@HOST/DATABASE, not {url.drivername}://")
    url = url.set(drivername="postgresql+psycopg")
    if "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(_CONNECT_SECONDS)})
    try:
        engine = create_engine(url, poolclass=NullPool)
    except ImportError as error:
        raise BackendUnavailable(
            f"a history on PostgreSQL needs psycopg ({first_line(error)}); run: python -m pip install 'vhdprep[audit-postgresql]'"
        ) from error

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {int(1000 * _BUSY_SECONDS)}")
        connection.commit()

    shown = URL.create("postgresql", username=url.username, host=url.host, port=url.port, database=url.database)
    return Store(engine, shown.render_as_string())


def _may_pass(error: SQLAlchemyError) -> bool:
    """Whether it may well go through the next time."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _LOCKED
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _PASSING


def _reason(error: SQLAlchemyError) -> str:
    return first_line(error.orig) if isinstance(error, DBAPIError) and isinstance(error.orig, Exception) else first_line(error)
