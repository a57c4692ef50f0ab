"""What is new against the report of an earlier image. It changes what is shown, never the verdict: only a waiver accepts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.accepted import Baseline
from vhdprep.errors import UsageError
from vhdprep.model import ABSENT, Finding, Outcome, Value
from vhdprep.savedreport import read

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from vhdprep.model import Report
    from vhdprep.savedreport import Saved

_LINE = re.compile(r":\d+$")
_WRONG = (Outcome.FAIL, Outcome.UNKNOWN)


def load(path: Path) -> Saved:
    """The report to compare with.

    Raises:
        UsageError: it is none, or no rules were asked for it.
    """
    saved = read(path)
    if saved.verdict is None:
        raise UsageError(f"{path}: is a report of `inspect`, which asks no rules; make it with `vhdprep check --format json --output FILE IMAGE`")
    return saved


def apply(report: Report, before: Saved, file: str) -> Report:
    """The report with every failed or undecided finding marked as new or known."""
    known: dict[tuple[str, Outcome], set[tuple[str, str]]] = {}
    for each in before.findings:
        known.setdefault((each.rule_id, each.outcome), set()).update(_keys(each.seen))
    findings = tuple(_marked(each, known.get((each.rule_id, each.outcome))) for each in report.findings)
    wrong_now = {each.rule_id for each in findings if each.outcome in _WRONG}
    asked = {each.rule_id for each in findings}
    gone = tuple(dict.fromkeys(rule for rule, outcome in known if outcome in _WRONG and rule in asked and rule not in wrong_now))
    notices = list(report.notices)
    if before.target is not report.target:
        notices.append(f"{file}: that image was to become {before.target}, this one {report.target}; different rules were asked")
    baseline = Baseline(file, before.subject, str(before.verdict), gone)
    return report._replace(findings=findings, notices=tuple(notices), baseline=baseline)


def _marked(finding: Finding, known: set[tuple[str, str]] | None) -> Finding:
    if finding.outcome not in _WRONG:
        return finding
    seen = _keys((each.where, _text(each.value)) for each in finding.observations)
    return finding._replace(is_new=known is None or not seen <= known)


def _keys(seen: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """By the place alone, whose content may well be another; where the place is a line of a file, by the line's content and not its number."""
    return {(_LINE.sub("", where), value) if _LINE.search(where) else (where, "") for where, value in seen}


def _text(value: Value) -> str:
    """As a report that was read back has it."""
    return "None" if value is ABSENT else ", ".join(value) if isinstance(value, tuple) else str(value)
