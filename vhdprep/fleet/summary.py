"""What is said of all images together: of each a few lines, so that memory is bounded by their number and not by their reports."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep.errors import UsageError
from vhdprep.model import Outcome, Severity, Verdict
from vhdprep.savedreport import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_MESSAGE = 400
"""Characters of what a rule found in one image; the rest stands in the image's own report."""
MAX_GAPS = 20
"""Things that were not read of one image; the rest stands in its own report."""
_WORST = (Verdict.NOT_READY, Verdict.INCONCLUSIVE, Verdict.READY)
_SHOWN = (Outcome.FAIL, Outcome.UNKNOWN, Outcome.WAIVED)


class Told(NamedTuple):
    """A rule that did not pass over one image."""

    rule_id: str
    outcome: Outcome
    message: str
    """What it found, or why it could not be decided."""


class Entry(NamedTuple):
    """One image, or one machine."""

    subject: str
    verdict: Verdict
    counts: dict[str, int]
    """By outcome; empty where nothing was judged."""
    gaps: tuple[str, ...]
    error: str | None
    """Why nothing was judged."""
    told: tuple[Told, ...]
    report: str | None
    """The file that its own report was written to."""


class RuleFacts(NamedTuple):
    """What is the same of a rule over all images."""

    title: str
    severity: Severity
    why: str
    references: tuple[str, ...]


class RuleCount(NamedTuple):
    """How often a rule did not pass."""

    rule_id: str
    failed: int
    undecided: int
    waived: int


class Run(NamedTuple):
    """How the run went: what differs between two runs over the same images."""

    started: str
    seconds: float
    engine: str
    jobs: int
    reused: int
    """Images whose report was there before."""


class Summary(NamedTuple):
    """All of them."""

    entries: tuple[Entry, ...]
    missing: int
    """Images that were not reached before the run was ended."""
    facts: dict[str, RuleFacts]
    target: str | None
    """None = as each manifest says, else generalized."""
    fail_on: Severity
    ruleset_digest: str
    ruleset_size: int
    left_out: int
    tool_version: str
    run: Run

    @property
    def verdict(self) -> Verdict:
        """The worst of all; an image that was not reached is inconclusive."""
        found = {each.verdict for each in self.entries} | ({Verdict.INCONCLUSIVE} if self.missing or not self.entries else set())
        return next(each for each in _WORST if each in found)

    def how_many(self, verdict: Verdict) -> int:
        """Images that were judged so."""
        return sum(each.verdict is verdict and each.error is None for each in self.entries)

    @property
    def failed(self) -> int:
        """Images that could not be judged."""
        return sum(each.error is not None for each in self.entries)

    def rules(self) -> list[RuleCount]:
        """Rules that did not pass somewhere, those that fail most first."""
        seen: Counter[tuple[str, Outcome]] = Counter((told.rule_id, told.outcome) for each in self.entries for told in each.told)
        counted = [RuleCount(rule, *(seen[rule, outcome] for outcome in _SHOWN)) for rule in self.facts]
        order = list(Severity)
        return sorted(
            (each for each in counted if each.failed or each.undecided or each.waived),
            key=lambda each: (-each.failed, -each.undecided, order.index(self.facts[each.rule_id].severity), each.rule_id),
        )

    def decides(self, rule_id: str) -> bool:
        """Whether this rule keeps an image from being ready."""
        return self.facts[rule_id].severity in (Severity.ERROR, self.fail_on)


class Gathering:
    """The entries so far, and the rules that they name."""

    def __init__(self) -> None:
        """Nothing is in it."""
        self.entries: list[Entry] = []
        self.facts: dict[str, RuleFacts] = {}

    def add(self, subject: str, report: dict[str, Any], place: str | None) -> None:
        """One report, as it was kept or came from a worker.

        Raises:
            UsageError: it is none.
        """
        try:
            parsed = parse(report)
            told = tuple(self._told(each) for each in report["findings"] if each["outcome"] in _SHOWN)
            counts = {str(key): int(value) for key, value in report["counts"].items()}
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{subject}: what came back is no report ({type(error).__name__})") from error
        verdict = parsed.verdict or Verdict.INCONCLUSIVE
        gaps = parsed.gaps[:MAX_GAPS] + ((f"and {len(parsed.gaps) - MAX_GAPS} more",) if len(parsed.gaps) > MAX_GAPS else ())
        self.entries.append(Entry(subject, verdict, counts, gaps, None, told, place))

    def fail(self, subject: str, error: str) -> None:
        """An image over which nothing was judged."""
        self.entries.append(Entry(subject, Verdict.INCONCLUSIVE, {}, (), error, (), None))

    def _told(self, finding: dict[str, Any]) -> Told:
        rule, outcome = str(finding["rule_id"]), Outcome(finding["outcome"])
        if rule not in self.facts:
            self.facts[rule] = RuleFacts(
                str(finding["title"]), Severity(finding["severity"]), str(finding["why"]), tuple(str(each) for each in finding["references"])
            )
        text = str(finding["reason"] if outcome is Outcome.UNKNOWN else finding["message"])
        return Told(rule, outcome, text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}...")


def ordered(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """By name: whichever came back first must not show."""
    return tuple(sorted(entries, key=lambda each: each.subject))
