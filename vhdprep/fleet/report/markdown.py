"""Markdown (GitHub's) for a job summary: what comes out of an image has every mark escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.fleet.report import wording
from vhdprep.model import Verdict
from vhdprep.report import words
from vhdprep.report.markdown import code, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.fleet.summary import Summary

MAX_ROWS = 500
"""Images and rules that are listed unless everything is asked for: a job summary takes a MiB."""


def render(summary: Summary, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """The verdict, images that are not ready, rules that fail most."""
    return "\n".join(_lines(summary, verbose=verbose)) + "\n"


def _lines(summary: Summary, *, verbose: bool) -> Iterator[str]:
    yield from (f"## vhdprep: {wording.title(summary)}", "", f"- {wording.counts(summary)}", f"- {wording.pace(summary)}", "")
    entries = [each for each in summary.entries if verbose or each.verdict is not Verdict.READY]
    if entries:
        yield from ("| image | verdict | because |", "|---|---|---|")
        for each in entries if verbose else entries[:MAX_ROWS]:
            yield f"| {plain(each.subject)} | {wording.state(each)} | {plain(wording.because(summary, each))} |"
        yield from _more(len(entries), verbose=verbose)
    rules = summary.rules()
    if rules:
        yield from ("### Rules that fail most", "", "| rule | severity | failed | undecided | waived | |", "|---|---|---|---|---|---|")
        for count in rules if verbose else rules[:MAX_ROWS]:
            facts = summary.facts[count.rule_id]
            numbers = f"{count.failed} | {count.undecided} | {count.waived}"
            yield f"| {code(count.rule_id)} | {facts.severity} | {numbers} | {plain(facts.title)} |"
        yield from _more(len(rules), verbose=verbose)
    target = summary.target or "each manifest says, else generalized"
    yield f"<sub>vhdprep {summary.tool_version}, {words.count(summary.ruleset_size, 'rule')} ({summary.ruleset_digest[:12]}), as {target}</sub>"


def _more(number: int, *, verbose: bool) -> Iterator[str]:
    yield ""
    if number > MAX_ROWS and not verbose:
        yield from (f"and {number - MAX_ROWS} more", "")
