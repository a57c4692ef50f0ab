"""Stores: a file, and a database of a PostgreSQL server where one can be started."""

from __future__ import annotations

import pytest

from tests.audit.postgres import MissingError, Server
from vhdprep.audit.store import open_store


@pytest.fixture(scope="session")
def server():
    try:
        running = Server()
    except MissingError as error:
        pytest.skip(str(error))
    yield running
    running.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """What `--store` takes, where nothing has been recorded yet."""
    return str(tmp_path / "audit.db") if request.param == "sqlite" else request.getfixturevalue("server").database()


@pytest.fixture
def store(place):
    return open_store(place, make=True)
