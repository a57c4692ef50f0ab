"""A JSON report as the history holds it: checked, with what is asked for later in columns of its own, and whole."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from vhdprep import savedreport
from vhdprep.errors import UsageError
from vhdprep.model import Outcome, Severity, Target, Verdict
from vhdprep.report.words import safe

if TYPE_CHECKING:
    from vhdprep.savedreport import Saved, SavedFinding

MAX_NAME = 255
"""Characters of an image's name, of a rule's id and of a version, once what cannot be seen is written as an escape."""
MAX_FINDINGS = 10_000
"""Findings of one report; the built-in rules are some 500."""
MAX_DAYS_AHEAD = 1
"""By how much a report may be ahead of this machine's clock."""
_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
"""Before this there was no such report; a clock that was never set says 1970."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Wrong(NamedTuple):
    """A rule that failed, or could not be decided."""

    rule: str
    severity: Severity
    outcome: Outcome


class Entry(NamedTuple):
    """One report on its way into the store."""

    image: str
    target: Target
    digest: str
    """SHA-256 of what the report says, however it is indented."""
    verdict: Verdict
    judged: datetime
    """In UTC, as the report says."""
    ruleset: str
    tool: str
    file_digest: str | None
    disk_digest: str | None
    errors: int
    warnings: int
    undecided: int
    wrong: tuple[Wrong, ...]
    body: bytes
    """The report as it was written, compressed."""


def of(data: bytes, place: str, image: str | None, now: datetime) -> Entry:
    """The report that ``data`` is, read from ``place``. ``image``: under which name, None = that of the file it is about.

    Raises:
        UsageError: it is no report of ``check``, or what it says cannot be.
    """
    saved = savedreport.load(data, place)
    try:
        return _entry(saved, data, image, now)
    except (savedreport.WrongError, UsageError) as error:
        raise UsageError(f"{place}: cannot be recorded: {error}") from error


def _entry(saved: Saved, data: bytes, image: str | None, now: datetime) -> Entry:
    if saved.verdict is None:
        raise UsageError("it is a report of `inspect`, which asks no rules; make it with `vhdprep check --format json`")
    if len(saved.findings) > MAX_FINDINGS:
        raise UsageError(f"it has {len(saved.findings)} findings, more than {MAX_FINDINGS}")
    failed, undecided = (_of_outcome(saved, outcome) for outcome in (Outcome.FAIL, Outcome.UNKNOWN))
    if saved.verdict is Verdict.READY and (saved.gaps or any(each.severity is Severity.ERROR for each in (*failed, *undecided))):
        raise UsageError("it says ready, and by its own findings the image is not")
    file_digest, disk_digest = _digests(saved)
    severities = [each.severity for each in failed]
    return Entry(
        image=image_name(image if image is not None else _file_name(saved.subject)),
        target=saved.target,
        digest=content_digest(saved),
        verdict=saved.verdict,
        judged=_judged(saved, now),
        ruleset=_short(_object(saved, "ruleset"), "digest", "ruleset"),
        tool=_short(_object(saved, "tool"), "version", "tool"),
        file_digest=file_digest,
        disk_digest=disk_digest,
        errors=severities.count(Severity.ERROR),
        warnings=severities.count(Severity.WARNING),
        undecided=len(undecided),
        wrong=_wrong((*failed, *undecided)),
        body=zlib.compress(data),
    )


def unpack(body: bytes, digest: str) -> tuple[bytes, Saved]:
    """The report out of the store, as it was written and as values.

    Raises:
        UsageError: it is not the one that was put in.
    """
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(body, savedreport.MAX_REPORT)
        saved = savedreport.load(data, f"report {digest[:12]}")
    except (zlib.error, UsageError) as error:
        raise UsageError(f"report {digest[:12]} is damaged in the store") from error
    if not unpacker.eof or content_digest(saved) != digest:
        raise UsageError(f"report {digest[:12]} is not the one that was recorded; the store was changed")
    return data, saved


def content_digest(saved: Saved) -> str:
    """SHA-256 of the values in their shortest writing, keys sorted: the same however a report was laid out.

    Raises:
        UsageError: they have no writing as JSON (a number that is none, too many levels).
    """
    try:
        text = json.dumps(saved.values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise UsageError("it is not JSON as every program reads it") from error
    return hashlib.sha256(text.encode()).hexdigest()


def image_name(name: str) -> str:
    """The name in one visible line, as it is kept: no database takes every character.

    Raises:
        UsageError: it is empty or too long.
    """
    name = safe(name).strip()
    if not 0 < len(name) <= MAX_NAME:
        raise UsageError(f"the image's name {'is empty' if not name else f'has more than {MAX_NAME} characters'}; say another with --image NAME")
    return name


def moment(text: str) -> datetime:
    """A time with its zone, in UTC.

    Raises:
        ValueError: it is none.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("no time zone")
    try:
        return found.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("no such time") from error


def _judged(saved: Saved, now: datetime) -> datetime:
    text = savedreport.text(_object(saved, "run"), "started", "run")
    try:
        found = moment(text)
    except ValueError as error:
        raise UsageError(f"run.started is {text[:60]!r}, no time with a zone") from error
    if not _EARLIEST <= found <= now + timedelta(days=MAX_DAYS_AHEAD):
        raise UsageError(f"run.started is {text[:60]!r}, which cannot be; set the clock of the machine that judges")
    return found


def _file_name(subject: str) -> str:
    """Without folders, and of an address without what follows the path, which may be a secret."""
    path = subject.partition("?")[0] if "://" in subject else subject
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def _of_outcome(saved: Saved, outcome: Outcome) -> list[SavedFinding]:
    return [each for each in saved.findings if each.outcome is outcome]


def _wrong(found: tuple[SavedFinding, ...]) -> tuple[Wrong, ...]:
    """One for each rule: a report may name one twice."""
    rules: dict[str, Wrong] = {}
    for each in found:
        rule = safe(each.rule_id)
        if not 0 < len(rule) <= MAX_NAME:
            raise UsageError(f"a rule's id is empty or has more than {MAX_NAME} characters")
        rules.setdefault(rule, Wrong(rule, each.severity, each.outcome))
    return tuple(rules.values())


def _digests(saved: Saved) -> tuple[str | None, str | None]:
    """SHA-256 of the file and of the virtual disk of the first disk, where the report has them."""
    disks = savedreport.table(saved.values, "disks")
    held = disks[0].get("digests") if disks and isinstance(disks[0], dict) else None
    if held is None:
        return None, None
    if not isinstance(held, dict):
        raise UsageError("disks[0].digests is no object")
    found = held.get("file"), held.get("disk")
    if not all(each is None or (isinstance(each, str) and _DIGEST.fullmatch(each)) for each in found):
        raise UsageError("disks[0].digests holds something that is no SHA-256")
    return found


def _object(saved: Saved, name: str) -> dict[str, object]:
    value = saved.values.get(name)
    if not isinstance(value, dict):
        raise UsageError(f"{name} is no object")
    return value


def _short(values: dict[str, object], name: str, where: str) -> str:
    text = safe(savedreport.text(values, name, where))
    if len(text) > MAX_NAME:
        raise UsageError(f"{where}.{name} has more than {MAX_NAME} characters")
    return text
