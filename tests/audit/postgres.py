"""A PostgreSQL server of the test's own: from Debian's packages, in a folder of its own, on a socket and not on the network."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

USER = "postgres"


class MissingError(Exception):
    """Why there can be none here."""


class Server:
    """A running server; every test takes a database of its own."""

    def __init__(self):
        self._programs = programs()
        self._as_user = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
        self.folder = Path(tempfile.mkdtemp(prefix="vhdprep-pg"))
        self._count = 0
        if self._as_user:
            if not shutil.which("runuser"):
                raise MissingError("runuser, without which root cannot start PostgreSQL, is not installed")
            shutil.chown(self.folder, USER)
        self._run("initdb", "-D", self.folder / "data", "-A", "trust", "-U", USER, "-E", "UTF8", "--no-sync")
        self.start()

    def start(self):
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off -c shared_buffers=16MB -c max_connections=30"
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start")

    def crash(self):
        """Without a checkpoint and without a goodbye, as by kill -9."""
        self._run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")

    def close(self):
        self.crash()
        shutil.rmtree(self.folder)

    def execute(self, statement, database=USER):
        with psycopg.connect(host=str(self.folder), user=USER, dbname=database, autocommit=True) as connection:
            connection.execute(statement)

    def database(self):
        """The address of a place of its own, which is empty; a schema is made in a moment, a database is not."""
        self._count += 1
        name = f"audit{self._count}"
        self.execute(f"CREATE SCHEMA {name}")
        return f"{self.address(USER)}&options=-csearch_path%3D{name}"

    def address(self, database):
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    def _run(self, program, *arguments):
        done = subprocess.run(
            [*self._as_user, str(self._programs / program), *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, cwd="/",
        )  # fmt: skip
        if done.returncode:
            raise MissingError(f"{program} of PostgreSQL does not work here: {done.stderr.strip().splitlines()[-1:]}")


def programs():
    """The folder of the newest server that is installed."""
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path(found).parent if (found := shutil.which("initdb")) else None]
    place = next((each for each in places if each and (each / "initdb").exists() and (each / "pg_ctl").exists()), None)
    if place is None:
        raise MissingError("PostgreSQL is not installed (Debian: postgresql)")
    return place
