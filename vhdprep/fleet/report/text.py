"""For people at a terminal: how many, which are not ready and why, and which rules fail most."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from vhdprep.fleet.report import wording
from vhdprep.model import Verdict
from vhdprep.report import words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.fleet.summary import Summary

MAX_RULES = 15
"""Rules that are listed unless everything is asked for."""
_COLOURS = {Verdict.READY: "32", Verdict.NOT_READY: "31", Verdict.INCONCLUSIVE: "33"}


def render(summary: Summary, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """The report; ready images are listed only when everything is asked for."""
    width = max(60, min(width, 110))
    lines = [verdict_line(summary, colour=colour), *wrap(wording.counts(summary), width, initial_indent="  ", subsequent_indent="  ")]
    for verdict in (Verdict.NOT_READY, Verdict.INCONCLUSIVE, *((Verdict.READY,) if verbose else ())):
        lines += _images(summary, verdict, width)
    lines += _rules(summary, width, verbose=verbose)
    return "\n".join([*lines, "", *wrap(f"{wording.pace(summary)}.", width)]) + "\n"


def verdict_line(summary: Summary, *, colour: bool = False) -> str:
    """How many images, and the worst verdict."""
    text = wording.title(summary)
    return f"\x1b[{_COLOURS[summary.verdict]};1m{text}\x1b[0m" if colour else text


def _images(summary: Summary, verdict: Verdict, width: int) -> Iterator[str]:
    found = [each for each in summary.entries if each.verdict is verdict]
    if not found:
        return
    yield from ("", f"{words.VERDICTS[verdict].capitalize()}: {words.count(len(found), 'image')}")
    for each in found:
        yield f"  {words.safe(each.subject)}"
        yield from wrap(wording.because(summary, each), width, initial_indent="      ", subsequent_indent="      ", break_on_hyphens=False)


def _rules(summary: Summary, width: int, *, verbose: bool) -> Iterator[str]:
    found = summary.rules()
    shown = found if verbose else found[:MAX_RULES]
    if not shown:
        return
    yield from ("", "Rules that fail most", "  failed  undecided  waived")
    for each in shown:
        facts = summary.facts[each.rule_id]
        yield f"  {each.failed:>6}  {each.undecided:>9}  {each.waived:>6}  {facts.severity:<7}  {each.rule_id}"
    if len(found) > len(shown):
        yield f"  and {len(found) - len(shown)} more; all of them with --verbose"
