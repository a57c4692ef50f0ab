"""What the findings come to for each item of the marketplace's certification; nothing passes that no rule has passed."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import NoDisk
from vhdprep.model import Outcome
from vhdprep.policy import Decision
from vhdprep.report import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vhdprep.model import Finding, Report
    from vhdprep.policy import PolicyItem


class Standing(StrEnum):
    """How an image stands to one item; declared from what is to be done to what is not."""

    FAILED = "failed"
    WARNING = "warning"
    UNDECIDED = "undecided"
    NEEDS_MACHINE = "needs a running machine"
    NEEDS_PERSON = "needs a person"
    WAIVED = "waived"
    PASSED = "passed"
    NOT_APPLICABLE = "not-applicable"


COUNTED = {
    Standing.FAILED: "failed",
    Standing.WARNING: "with warnings",
    Standing.UNDECIDED: "undecided",
    Standing.NEEDS_MACHINE: "for a running machine",
    Standing.NEEDS_PERSON: "for a person",
    Standing.WAIVED: "waived",
    Standing.PASSED: "passed",
    Standing.NOT_APPLICABLE: "not applicable",
}
"""What several items of a standing are called."""
MAX_ACTUAL = 6
"""Places of an item that a report shows; the findings have them all."""
_OPEN = {Decision.RUNNING_MACHINE: Standing.NEEDS_MACHINE, Decision.PERSON: Standing.NEEDS_PERSON}
_BY_OUTCOME = (
    (Standing.WARNING, Outcome.FAIL),
    (Standing.UNDECIDED, Outcome.UNKNOWN),
    (Standing.WAIVED, Outcome.WAIVED),
    (Standing.PASSED, Outcome.PASS),
)
_NO_DISK = str(NoDisk())


class Certified(NamedTuple):
    """One item, and how the image stands to it."""

    item: PolicyItem
    standing: Standing
    rules: tuple[str, ...]
    """Ids of the rules that make it so."""
    actual: str
    """What they saw, in safe words; empty where nothing was seen."""
    reason: str
    """Why it is not decided or not applicable, what has to be shown, or what else is open, in safe words; empty where all is decided."""


def certify(report: Report) -> tuple[Certified, ...]:
    """Every item of the report's policies, in their order; empty for another target than the marketplace."""
    findings = {each.rule_id: each for each in report.findings}
    return tuple(_certify(item, report, findings) for item in report.policies)


def counts(found: Iterable[Certified]) -> str:
    """``2 failed, 3 undecided, 21 passed``: how many items stand how, what is to be done first."""
    number = Counter(each.standing for each in found)
    return ", ".join(f"{number[each]} {word}" for each, word in COUNTED.items() if number[each])


def _certify(item: PolicyItem, report: Report, findings: Mapping[str, Finding]) -> Certified:
    if item.systems and report.guest is not None and report.guest.os not in item.systems:
        return Certified(item, Standing.NOT_APPLICABLE, (), "", f"it is only about {', '.join(item.systems)}")
    asked = [findings[each] for each in item.rules if each in findings]
    left_out = [each for each in item.rules if each not in findings]
    standing, deciding = _standing(asked, report)
    if standing is Standing.FAILED or standing is Standing.WARNING:
        return Certified(item, standing, _ids(deciding), _actual(deciding), _still_open(item, asked, left_out))
    if item.decision in _OPEN:
        return Certified(item, _OPEN[item.decision], (), "", item.show or "")
    if standing is Standing.UNDECIDED or left_out:
        unknown = [each for each in asked if each.outcome is Outcome.UNKNOWN]
        left = [f"left out: {', '.join(left_out)}"] if left_out else []
        reason = "; ".join([*_reasons(unknown), *left]) or "no rule was asked"
        return Certified(item, Standing.UNDECIDED, (*_ids(unknown), *left_out), _actual(unknown), reason)
    unseen = [each for each in asked if each.outcome is Outcome.NOT_APPLICABLE and each.reason == _NO_DISK]
    if standing is Standing.PASSED and unseen:
        return Certified(item, Standing.UNDECIDED, _ids(unseen), "", _NO_DISK)
    reason = "; ".join(_reasons(deciding)) if standing is Standing.NOT_APPLICABLE else ""
    return Certified(item, standing, _ids(deciding), _actual(deciding), reason)


def _standing(asked: list[Finding], report: Report) -> tuple[Standing, list[Finding]]:
    """What the rules alone come to, and those of them that make it so."""
    if errors := [each for each in asked if each.outcome is Outcome.FAIL and words.decides(report, each.severity)]:
        return Standing.FAILED, errors
    outcomes = {Outcome.FIXED: Outcome.PASS}
    for standing, outcome in _BY_OUTCOME:
        if found := [each for each in asked if outcomes.get(each.outcome, each.outcome) is outcome]:
            return standing, found
    return (Standing.NOT_APPLICABLE if asked else Standing.UNDECIDED), asked


def _reasons(findings: list[Finding]) -> list[str]:
    return list(dict.fromkeys(words.safe(each.reason or "no reason was given") for each in findings))


def _still_open(item: PolicyItem, asked: list[Finding], left_out: list[str]) -> str:
    """What has to be shown or done as well, and what could be worse than what was found."""
    unknown = [*(each.rule_id for each in asked if each.outcome is Outcome.UNKNOWN), *left_out]
    return " ".join(part for part in (item.show, f"Not decided: {', '.join(unknown)}." if unknown else "") if part)


def _actual(deciding: list[Finding]) -> str:
    """Places and values; rules have put digests in the place of secrets."""
    seen = list(dict.fromkeys(place for each in deciding for place in each.observations))
    shown = [f"{words.safe(each.where)}: {words.value(each.value)}" for each in seen[:MAX_ACTUAL]]
    return "; ".join(shown) + (f"; and {len(seen) - len(shown)} more" if len(seen) > len(shown) else "")


def _ids(findings: list[Finding]) -> tuple[str, ...]:
    return tuple(each.rule_id for each in findings)
