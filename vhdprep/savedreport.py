"""A JSON report that was written earlier, read back: also one of an older version, or one that was made to harm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep import hostfile
from vhdprep.errors import UsageError
from vhdprep.model import Outcome, Severity, Target, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SCHEMA = "vhdprep-report/1"
MAX_REPORT = 16 * 1024 * 1024
"""Bytes of a report that is read back; that of a Windows with every finding has half a MiB."""


class SavedFinding(NamedTuple):
    """What one rule concluded then."""

    rule_id: str
    severity: Severity
    outcome: Outcome
    seen: tuple[tuple[str, str], ...]
    """Place and value, as texts."""


class Saved(NamedTuple):
    """What a report says, as far as others are compared with it."""

    subject: str
    target: Target
    verdict: Verdict | None
    gaps: tuple[str, ...]
    findings: tuple[SavedFinding, ...]
    values: dict[str, Any]
    """The whole report; of it only what ``finding``, ``text`` and ``table`` give is known to be sound."""


def looks_like_one(path: Path) -> bool:
    """Whether the file begins as JSON does; no disk does."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip()[:1] == b"{"
    except OSError:
        return False


def read(path: Path) -> Saved:
    """The report in ``path``.

    Raises:
        UsageError: there is none, or what it says is not what a report says.
    """
    return load(hostfile.read(path, MAX_REPORT, "the report", "report"), str(path), path.name)


def load(data: bytes, place: str, file: str = "FILE") -> Saved:
    """The report that these bytes are; ``place`` is where they come from, ``file`` what such a report may be called.

    Raises:
        UsageError: they are no JSON, or what they say is not what a report says.
    """
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place}: is no JSON; make it with `vhdprep check --format json --output {file} IMAGE`") from error
    try:
        return parse(values)
    except WrongError as error:
        raise UsageError(f"{place}: is no report of vhdprep: {error}") from error


class WrongError(Exception):
    """What is wrong, and where."""


def parse(values: Any) -> Saved:
    """What plain values say as a report; raises an error that ``read`` translates."""
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        stated = values.get("schema") if isinstance(values, dict) else None
        raise WrongError(f"its schema is {str(stated)[:60]!r}, not {SCHEMA!r}")
    verdict = values.get("verdict")
    return Saved(
        text(values, "subject"),
        Target(_one_of(values.get("target"), Target, "target")),
        None if verdict is None else Verdict(_one_of(verdict, Verdict, "verdict")),
        tuple(str(each) for each in table(values, "gaps")),
        tuple(_finding(each, f"findings[{number}]") for number, each in enumerate(table(values, "findings"))),
        values,
    )


def _finding(values: Any, where: str) -> SavedFinding:
    if not isinstance(values, dict):
        raise WrongError(f"{where} is no object")
    seen = []
    for each in table(values, "observations", where):
        if not isinstance(each, dict):
            raise WrongError(f"{where}: an observation is no object")
        seen.append((text(each, "where", where), _flat(each.get("value"))))
    severity, outcome = (_one_of(values.get(name), kind, f"{where}.{name}") for name, kind in (("severity", Severity), ("outcome", Outcome)))
    return SavedFinding(text(values, "rule_id", where), Severity(severity), Outcome(outcome), tuple(seen))


def text(values: dict[str, Any], name: str, where: str = "report") -> str:
    """The text ``name`` of an object."""
    value = values.get(name)
    if not isinstance(value, str):
        raise WrongError(f"{where}.{name} is no text")
    return value


def table(values: dict[str, Any], name: str, where: str = "report") -> list[Any]:
    """The list ``name`` of an object."""
    value = values.get(name)
    if not isinstance(value, list):
        raise WrongError(f"{where}.{name} is no list")
    return value


def _one_of(value: object, words: Iterable[str], where: str) -> str:
    if value not in (known := [str(each) for each in words]):
        raise WrongError(f"{where} is {str(value)[:60]!r}, none of {', '.join(known)}")
    return str(value)


def _flat(value: object) -> str:
    return ", ".join(str(each) for each in value) if isinstance(value, list) else str(value)
