"""What changed from one recorded report of an image to the next, by meaning, as ``vhdprep diff`` tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.audit import history
from vhdprep.diff import compare, side

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from vhdprep.audit.history import History, Record
    from vhdprep.diff import Compared, Side


class Stage(NamedTuple):
    """One record, and what is not as it was in the one before; None = it is the first."""

    record: Record
    compared: Compared | None


class Course(NamedTuple):
    """The newest records of a history, the oldest of them first."""

    history: History
    stages: tuple[Stage, ...]


def course(connection: Connection, found: History, last: int) -> Course:
    """The newest ``last`` records, each held against the one before it; two reports are in memory at a time.

    Raises:
        UsageError: a report is damaged.
    """
    begin = max(0, len(found.records) - last)
    before = _side(connection, found.records[begin - 1]) if begin else None
    stages = []
    for record in found.records[begin:]:
        now = _side(connection, record)
        stages.append(Stage(record, compare(before, now) if before else None))
        before = now
    return Course(found, tuple(stages))


def _side(connection: Connection, record: Record) -> Side:
    return side(history.report(connection, record.number)[1], f"record {record.number}")
