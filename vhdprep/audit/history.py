"""What is put into a store, and what is asked of it."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, func, or_, select

from vhdprep.audit.entry import Wrong, image_name, unpack
from vhdprep.audit.schema import IMAGE, RECORD, WRONG
from vhdprep.errors import UsageError
from vhdprep.model import Outcome, Severity, Target, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row, Subquery

    from vhdprep.audit.entry import Entry
    from vhdprep.savedreport import Saved

_ROWS = 1000
"""Rows that are fetched at once where all of them are walked through."""
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{12,64})")
_SHOWN = ("id", "verdict", "judged", "errors", "warnings", "undecided", "ruleset", "tool", "file_digest", "disk_digest")
ORDER = (Verdict.NOT_READY, Verdict.INCONCLUSIVE, Verdict.READY)
"""What matters most comes first."""


class Recorded(NamedTuple):
    """What came of recording a report."""

    number: int
    image: str
    """Under which it is recorded, now or since the first time."""
    is_new: bool


class Standing(NamedTuple):
    """How one image stands: its newest record, and since when the verdict is what it is."""

    image: str
    target: Target
    verdict: Verdict
    since: datetime
    judged: datetime
    records: int
    number: int
    """Of the newest record."""
    errors: int
    warnings: int
    undecided: int
    ruleset: str
    tool: str
    file_digest: str | None
    disk_digest: str | None
    wrong: tuple[Wrong, ...]
    """What fails or is undecided now."""


class Event(NamedTuple):
    """One judgement."""

    judged: datetime
    number: int
    image: int
    verdict: Verdict


class Record(NamedTuple):
    """One report of a history, without the report itself."""

    number: int
    digest: str
    judged: datetime
    recorded: datetime
    verdict: Verdict
    errors: int
    warnings: int
    undecided: int
    ruleset: str
    tool: str


class History(NamedTuple):
    """All records of one image for one target, the oldest first."""

    image: str
    target: Target
    records: tuple[Record, ...]


def record(connection: Connection, entries: Iterable[Entry], now: datetime) -> list[Recorded]:
    """Put reports in; the same report a second time is the first, under the name that it has there."""
    return [_record(connection, each, now) for each in entries]


def _record(connection: Connection, entry: Entry, now: datetime) -> Recorded:
    query = select(RECORD.c.id, IMAGE.c.name).join(IMAGE, IMAGE.c.id == RECORD.c.image_id).where(RECORD.c.digest == entry.digest)
    if (held := connection.execute(query).one_or_none()) is not None:
        return Recorded(held.id, held.name, False)
    columns = ("digest", "verdict", "judged", "ruleset", "tool", "file_digest", "disk_digest", "errors", "warnings", "undecided", "body")
    values = {name: getattr(entry, name) for name in columns} | {"verdict": str(entry.verdict)}
    number = _insert(connection, RECORD.insert().values(image_id=_image(connection, entry), recorded=now, **values))
    if entry.wrong:
        rows = [{"record_id": number, "rule": each.rule, "severity": str(each.severity), "outcome": str(each.outcome)} for each in entry.wrong]
        connection.execute(WRONG.insert(), rows)
    return Recorded(number, entry.image, True)


def standings(connection: Connection) -> list[Standing]:
    """Every image: what is not ready first, and of each verdict what has had it longest."""
    ranked = _ranked()
    newest = ranked.alias("newest")
    run = select(ranked.c.image_id, func.min(ranked.c.judged).label("since")).where(ranked.c.place == ranked.c.place_of_verdict)
    since = run.group_by(ranked.c.image_id).subquery("since")
    query = (
        select(IMAGE.c.name, IMAGE.c.target, newest.c.records, since.c.since, *(RECORD.c[name] for name in _SHOWN))
        .select_from(RECORD)
        .join(newest, newest.c.id == RECORD.c.id)
        .join(since, since.c.image_id == RECORD.c.image_id)
        .join(IMAGE, IMAGE.c.id == RECORD.c.image_id)
        .where(newest.c.place == 1)
    )
    wrong = wrong_of(connection, select(newest.c.id).where(newest.c.place == 1))
    found = [_standing(row, wrong.get(row.id, ())) for row in connection.execute(query)]
    return sorted(found, key=lambda each: (ORDER.index(each.verdict), each.since, each.image, each.target))


def wrong_of(connection: Connection, numbers: Any) -> dict[int, tuple[Wrong, ...]]:
    """Record → what failed or was undecided in it, by rule. ``numbers``: of records, a list or a query."""
    found: dict[int, list[Wrong]] = {}
    query = select(WRONG).where(WRONG.c.record_id.in_(numbers)).order_by(WRONG.c.record_id, WRONG.c.rule)
    for row in connection.execute(query):
        found.setdefault(row.record_id, []).append(Wrong(row.rule, Severity(row.severity), Outcome(row.outcome)))
    return {number: tuple(each) for number, each in found.items()}


def events(connection: Connection) -> Iterator[Event]:
    """Every judgement in the order of time; those of one moment as they were recorded."""
    query = select(RECORD.c.judged, RECORD.c.id, RECORD.c.image_id, RECORD.c.verdict).order_by(RECORD.c.judged, RECORD.c.id)
    for row in connection.execute(query, execution_options={"yield_per": _ROWS}):
        yield Event(row.judged, row.id, row.image_id, Verdict(row.verdict))


def span(connection: Connection) -> tuple[datetime, datetime] | None:
    """The first judgement and the last; None = there is none."""
    first, last = connection.execute(select(func.min(RECORD.c.judged), func.max(RECORD.c.judged))).one()
    return None if first is None else (first, last)


def names(connection: Connection) -> dict[int, tuple[str, Target]]:
    """Key of an image → its name and what it is to become."""
    return {row.id: (row.name, Target(row.target)) for row in connection.execute(select(IMAGE))}


def histories(connection: Connection, wanted: str) -> list[History]:
    """What was recorded of the image with this name, or of those with this digest of file or disk; one for each target.

    Raises:
        UsageError: there is no such image.
    """
    keys = connection.execute(select(IMAGE.c.id).where(_is_meant(wanted)).order_by(IMAGE.c.name, IMAGE.c.target)).scalars().all()
    if not keys:
        known = connection.execute(select(IMAGE.c.name).distinct()).scalars().all()
        near = difflib.get_close_matches(wanted, known, 1)
        raise UsageError(f"no report of {wanted!r} is recorded; " + (f"did you mean {near[0]}?" if near else "`vhdprep audit list` shows what is"))
    known_as = names(connection)
    return [History(*known_as[key], _records(connection, key)) for key in keys]


def report(connection: Connection, number: int) -> tuple[bytes, Saved]:
    """The report of a record, as it was written and as values.

    Raises:
        UsageError: there is no such record, or it is damaged.
    """
    row = connection.execute(select(RECORD.c.body, RECORD.c.digest).where(RECORD.c.id == number)).one_or_none()
    if row is None:
        raise UsageError(f"there is no record {number}; `vhdprep audit show IMAGE` shows which there are")
    return unpack(row.body, row.digest)


def _ranked() -> Subquery:
    """Every record with its place in its image's history, from the newest, among all and among those with its verdict.

    As long as the two are equal, nothing but the newest verdict has been given.
    """
    order = (RECORD.c.judged.desc(), RECORD.c.id.desc())
    place = func.row_number().over(partition_by=RECORD.c.image_id, order_by=order)
    of_verdict = func.row_number().over(partition_by=(RECORD.c.image_id, RECORD.c.verdict), order_by=order)
    return select(
        RECORD.c.id,
        RECORD.c.image_id,
        RECORD.c.judged,
        RECORD.c.verdict,
        place.label("place"),
        of_verdict.label("place_of_verdict"),
        func.count().over(partition_by=RECORD.c.image_id).label("records"),
    ).subquery("ranked")


def _image(connection: Connection, entry: Entry) -> int:
    query = select(IMAGE.c.id).where(and_(IMAGE.c.name == entry.image, IMAGE.c.target == str(entry.target)))
    held = connection.execute(query).scalar_one_or_none()
    return held if held is not None else _insert(connection, IMAGE.insert().values(name=entry.image, target=str(entry.target)))


def _insert(connection: Connection, statement: Any) -> int:
    key: Any = connection.execute(statement).inserted_primary_key
    return int(key[0])


def _is_meant(wanted: str) -> ColumnElement[bool]:
    by_name = IMAGE.c.name == image_name(wanted)
    if (digest := _DIGEST.fullmatch(wanted)) is None:
        return by_name
    begins = or_(*(column.startswith(digest[1]) for column in (RECORD.c.file_digest, RECORD.c.disk_digest)))
    return or_(by_name, IMAGE.c.id.in_(select(RECORD.c.image_id).where(begins)))


def _records(connection: Connection, image: int) -> tuple[Record, ...]:
    columns = [RECORD.c["id"], *(RECORD.c[name] for name in Record._fields[1:])]
    rows = connection.execute(select(*columns).where(RECORD.c.image_id == image).order_by(RECORD.c.judged, RECORD.c.id))
    return tuple(Record._make(row)._replace(verdict=Verdict(row.verdict)) for row in rows)


def _standing(row: Row[Any], wrong: tuple[Wrong, ...]) -> Standing:
    values = {name: getattr(row, name) for name in ("since", "judged", "records", "errors", "warnings", "undecided", "ruleset", "tool")}
    return Standing(
        image=row.name,
        target=Target(row.target),
        verdict=Verdict(row.verdict),
        number=row.id,
        file_digest=row.file_digest,
        disk_digest=row.disk_digest,
        wrong=wrong,
        **values,
    )
