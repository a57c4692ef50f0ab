"""What the history's commands say: lines for people, JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vhdprep.audit.fleet import label, title, when
from vhdprep.audit.history import ORDER
from vhdprep.audit.trend import sparkline
from vhdprep.report.words import VERDICTS, count, safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from vhdprep.audit.changes import Course, Stage
    from vhdprep.audit.fleet import Told
    from vhdprep.audit.history import Record, Standing
    from vhdprep.audit.trend import Trend
    from vhdprep.diff import Compared

_WIDE = max(len(VERDICTS[verdict]) for verdict in ORDER)
_SHOWN = 6
"""Rules or differences that a line or a change shows."""


def images(standings: Sequence[Standing], shown: Sequence[Standing]) -> Iterator[str]:
    """A line for each image that is to be shown, and what all of them come to."""
    for each in shown:
        as_what = "" if each.target == "generalized" else f" ({each.target})"
        yield f"{VERDICTS[each.verdict]:<{_WIDE}}  since {when(each.since)}  {count(each.records, 'record'):>11}  {safe(each.image)}{as_what}"
    yield title(standings)


def images_document(shown: Sequence[Standing]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "schema": "vhdprep-audit-list/1",
        "images": [
            {
                "image": each.image,
                "target": str(each.target),
                "verdict": str(each.verdict),
                "since": _time(each.since),
                "judged": _time(each.judged),
                "records": each.records,
                "newest_record": each.number,
                **_counts(each),
                "digests": {"file": each.file_digest, "disk": each.disk_digest},
                "wrong": [{"rule_id": rule, "severity": str(severity), "outcome": str(outcome)} for rule, severity, outcome in each.wrong],
            }
            for each in shown
        ],
    }


def course(found: Course) -> Iterator[str]:
    """An image's records, each with what changed."""
    history = found.history
    yield f"{safe(history.image)} ({history.target}): {count(len(history.records), 'record')}"
    if (hidden := len(history.records) - len(found.stages)) > 0:
        yield f"{hidden} earlier, which --last shows"
    for stage in found.stages:
        yield ""
        yield f"{when(stage.record.judged)}  {VERDICTS[stage.record.verdict]:<{_WIDE}}  record {stage.record.number}: {_summary(stage.record)}"
        yield from _stage(stage)


def _stage(stage: Stage) -> Iterator[str]:
    if stage.compared is None:
        yield "    the first that is recorded"
        return
    differences = stage.compared.differences
    if not differences:
        yield "    nothing that could be compared changed" if stage.compared.unread else "    nothing changed"
    for each in differences:
        if each.a is None or each.b is None:
            yield safe(f"    {'+' if each.a is None else '-'} {each.part}: {each.name}: {each.b if each.a is None else each.a}")
        else:
            yield safe(f"    {each.part}: {each.name}: {each.a} -> {each.b}")
    for line in stage.compared.unread:
        yield safe(f"    not compared: {line}")


def courses_document(found: Sequence[Course]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "schema": "vhdprep-audit-show/1",
        "images": [
            {
                "image": each.history.image,
                "target": str(each.history.target),
                "records": [_stage_document(stage) for stage in each.stages],
                "earlier": len(each.history.records) - len(each.stages),
            }
            for each in found
        ],
    }


def _stage_document(stage: Stage) -> dict[str, Any]:
    record = stage.record
    return {
        "record": record.number,
        "digest": record.digest,
        "judged": _time(record.judged),
        "recorded": _time(record.recorded),
        "verdict": str(record.verdict),
        **_counts(record),
        "changes": _changes(stage.compared) if stage.compared else None,
    }


def _changes(compared: Compared) -> dict[str, Any]:
    return {"differences": [each._asdict() for each in compared.differences], "unread": list(compared.unread)}


def trend(found: Trend, standings: Sequence[Standing], told: Sequence[Told]) -> Iterator[str]:
    """A line of bars for each verdict, and the last changes."""
    points = found.points
    yield title(standings)
    if not points:
        return
    yield ""
    yield f"by {found.by}, {label(points[0].begin, found.by)} to {label(points[-1].begin, found.by)}"
    for verdict in ORDER:
        numbers = [point.of(verdict) for point in points]
        yield f"  {VERDICTS[verdict]:<{_WIDE}}  {sparkline(numbers)}  {numbers[0]} -> {numbers[-1]}, at most {max(numbers)}"
    if told:
        yield "\nlast changes"
    for each in told[:_SHOWN]:
        before, now = (VERDICTS[verdict] for verdict in (each.change.before, each.change.now))
        yield f"  {when(each.change.judged)}  {before} -> {now}  {safe(each.image)}{_because(each)}"


def _because(told: Told) -> str:
    parts = [(sign, rule) for sign, rules in (("+", told.began), ("-", told.ended)) for rule in rules]
    rest = f", and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    return f" ({', '.join(f'{sign}{safe(rule)}' for sign, rule in parts[:_SHOWN])}{rest})" if parts else ""


def trend_document(found: Trend, told: Sequence[Told]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "schema": "vhdprep-audit-trend/1",
        "by": str(found.by),
        "points": [{**point._asdict(), "begin": str(point.begin)} for point in found.points],
        "changes": [
            {
                "image": each.image,
                "target": str(each.target),
                "judged": _time(each.change.judged),
                "before": str(each.change.before),
                "now": str(each.change.now),
                "record_before": each.change.record_before,
                "record": each.change.record_now,
                "began": each.began,
                "ended": each.ended,
            }
            for each in told
        ],
    }


def as_json(document: Mapping[str, Any]) -> str:
    """Text that ends a line; other than ASCII is escaped, so control characters are."""
    return json.dumps(document, indent=2) + "\n"


def _summary(record: Record) -> str:
    return f"{count(record.errors, 'error')}, {count(record.warnings, 'warning')}, {record.undecided} undecided"


def _counts(held: Record | Standing) -> dict[str, Any]:
    return {
        "errors": held.errors,
        "warnings": held.warnings,
        "undecided": held.undecided,
        "ruleset": held.ruleset,
        "tool": held.tool,
    }


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
