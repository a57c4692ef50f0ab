"""Hives in memory: a guest of hive bytes, and everything that a hive holds as plain values."""

from __future__ import annotations

from vhdprep.disk.memory import MemoryFiles
from vhdprep.guest.files import GuestFiles
from vhdprep.guest.formats import regf
from vhdprep.guest.hive import open_hive

CONFIG = "/Windows/System32/config"
PLACE = f"{CONFIG}/SYSTEM"


def guest_files(content):
    return GuestFiles(MemoryFiles(content, case_sensitive=False))


def root_of(data, logs=(), mark=None):
    """The root key of a hive of these bytes, with its logs beside it."""
    beside = {f"{PLACE}.LOG{number}": log for number, log in enumerate(logs, 1)}
    return open_hive(guest_files({PLACE: data, **beside}), PLACE, mark)


def walk(key, path=""):
    """Every key below with its values: ``path → {name: value}``; a name that stands twice has two entries."""
    found, pending = [], [(path, key)]
    while pending:
        path, key = pending.pop()
        found.append((path, sorted(key.values(), key=repr)))
        pending += [(f"{path}\\{each.name}", each) for each in key.subkeys()]
    return sorted(found, key=repr)


def contents(data, logs=()):
    return walk(root_of(data, logs))


def unlimited(monkeypatch):
    """Tests read whole hives, which no rule does."""
    monkeypatch.setattr(regf, "MAX_CELLS", 10**9)
