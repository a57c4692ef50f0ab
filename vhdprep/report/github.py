"""GitHub annotations: one workflow command a finding, the verdict first, the rehearsal beside it, the worst next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.byhand import steps
from vhdprep.model import Outcome, Severity, Verdict
from vhdprep.report import words
from vhdprep.report.rehearsed import tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.model import Finding, Report

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}
PLACES = 6
"""Places that an annotation names; GitHub shows ten annotations of a level in a step, and a line or two of each."""


def render(report: Report, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """Lines for a step's standard output; nothing of the image can begin a line of its own."""
    return "".join(line + "\n" for line in _lines(report, verbose=verbose))


def _lines(report: Report, *, verbose: bool) -> Iterator[str]:
    level = "notice" if report.verdict is Verdict.READY else "error"
    yield _command(level, f"{words.VERDICTS[report.verdict]}: {report.subject}", [words.summary(report), *report.gaps, words.compared(report)])
    yield from _rehearsal(report, verbose=verbose)
    for severity in Severity:
        level = "error" if words.decides(report, severity) else _LEVELS[severity]
        for finding in words.failed(report, severity, everything=verbose):
            yield _command(level, f"{finding.rule_id}: {finding.title}", _told(finding))
        for reason, group in words.undecided(report, everything=verbose).items():
            names = [each.rule_id for each in group if each.severity is severity]
            if names:
                yield _command(level, f"{words.count(len(names), severity.value + ' rule')} undecided", [f"because {reason}", ", ".join(names)])
    for finding in report.findings:
        if finding.outcome is Outcome.WAIVED:
            yield _command("notice", f"{finding.rule_id}: waived", [finding.message, *words.accepted(finding)])
    for notice in report.notices:
        yield _command("warning", "waivers", [notice])


def _rehearsal(report: Report, *, verbose: bool) -> Iterator[str]:
    """What it did when it was booted, in one annotation: an error unless it passed, as with the verdict."""
    if (found := report.rehearsal) is None:
        return
    told = tell(found, verbose=verbose)
    lines = [f"{each.label}: {', '.join(each.told)}" for each in told.facts]
    lines += [f"  {each.what}: {each.value} ({each.where})" for each in told.evidence if each.mark == "bad"][:PLACES]
    lines += [f"  | {each}" for each in told.console[-PLACES:]]
    yield _command("notice" if found.passed else "error", f"Rehearsal: {told.headline}", [*lines, told.claim])


def _told(finding: Finding) -> Iterator[str]:
    yield finding.message
    for each in finding.observations[:PLACES]:
        yield f"  {each.where}  {words.value(each.value)}"
    if len(finding.observations) > PLACES:
        yield f"  ... and {len(finding.observations) - PLACES} more"
    yield f"Why: {finding.why}"
    if finding.azure_says:
        yield f"Azure says: {finding.azure_says}"
    if finding.remedy:
        yield from (f"Remedy: {each}" for each in steps(finding.remedy))


def _command(level: str, title: str, told: list[str] | Iterator[str]) -> str:
    text = "\n".join(words.safe(each) for each in told if each)
    return f"::{level} title={_escaped(words.safe(title), _PROPERTY)}::{_escaped(text, _DATA)}"


def _escaped(text: str, table: dict[str, str]) -> str:
    return "".join(table.get(letter, letter) for letter in text)
