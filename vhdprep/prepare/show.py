"""A plan, and what came of it, for people."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import TYPE_CHECKING

from vhdprep.model import Outcome, Severity
from vhdprep.report.rehearsaltext import rehearsal_line
from vhdprep.report.words import safe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vhdprep.model import Verdict
    from vhdprep.prepare.draft import Content
    from vhdprep.prepare.plan import Change, Forecast, Left, Plan
    from vhdprep.prepare.run import Prepared

MAX_ALIKE = 5
"""Paths of one directory that are listed one by one; JSON lists all."""
_WORDS = {"registry": "edit hive", "remove": "remove", "write": "write", "link": "link", "directory": "make directory"}


def plan_text(plan: Plan, verdict: Verdict | None) -> str:
    """What would be done, what stays for a person, and what is withheld."""
    return "\n".join(_plan_lines(plan, verdict)) + "\n"


def outcome_text(made: Prepared) -> str:
    """Before and after, rule by rule, and what is left to do."""
    return "\n".join(_outcome_lines(made)) + "\n"


def _plan_lines(plan: Plan, verdict: Verdict | None) -> Iterator[str]:
    if verdict is not None:
        yield f"The image is {verdict}."
    if plan.is_empty:
        yield "Nothing to do: there is nothing that prepare would change."
    if plan.copy:
        yield from ("", f"Copy into a fixed VHD of a whole number of MiB ({', '.join(plan.copy)})")
    if plan.changes:
        yield from ("", _count(len(plan.changes), "change"))
        for changes in _grouped(plan.changes):
            if len(changes) > MAX_ALIKE:
                first = changes[0]
                yield f"  {first.what} {len(changes)} entries in {safe(_folder(first))}, {safe(first.shown)} among them  ({', '.join(first.rules)})"
            else:
                yield from (line for change in changes for line in _change_lines(change))
    yield from _left_lines(
        "withheld, for it may take away what somebody wants; --allow unsafe does it all the same", plan.withheld, with_reason=False
    )
    yield from _left_lines("left for a person", plan.manual, with_reason=True)
    worse = [each for each in plan.forecast if each.is_worse]
    if worse:
        yield from ("", "These changes would make something worse, and no copy would be made:", *_forecast_lines(worse))
    fixed = sum(each.before is Outcome.FAIL and each.after is Outcome.PASS for each in plan.forecast)
    if fixed:
        yield from ("", f"By this plan {_count(fixed, 'rule')} would pass that {'fails' if fixed == 1 else 'fail'} now.")


def _grouped(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """What is removed from one directory for the same reason, together; everything else by itself."""
    for _, same in groupby(changes, lambda each: (each.rules, _folder(each)) if each.what == "remove" else each):
        yield list(same)


def _folder(change: Change) -> str:
    return change.shown.rpartition("/")[0] or "/"


def _change_lines(change: Change) -> Iterator[str]:
    what = "empty" if change.what == "write" and change.after is not None and not change.after.size else _WORDS[change.what]
    target = f" -> {change.after.target}" if change.after is not None and change.after.target else ""
    yield f"  {what} {safe(change.shown)}{safe(target)}  ({_content(change.before)}; {', '.join(change.rules)})"
    yield from (f"      {safe(line)}" for line in change.lines)
    for edit in change.keys:
        name = f"{edit.shown}\\{edit.name}" if edit.name is not None else edit.shown
        was, will = edit.before or "nothing", edit.value if edit.type else "removed"
        yield f"      {safe(name)}: {safe(was)} -> {safe(str(will))}"


def _content(content: Content | None) -> str:
    if content is None:
        return "new"
    if content.target is not None:
        return f"a link to {safe(content.target)}"
    return f"{content.size} bytes" if content.kind == "file" else str(content.kind)


def _left_lines(title: str, left: Iterable[Left], *, with_reason: bool) -> Iterator[str]:
    worst = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
    chosen = sorted(left, key=lambda each: worst[each.severity])
    if chosen:
        yield from ("", f"{_count(len(chosen), 'finding')} {title}")
    for each in chosen:
        yield f"  {each.severity}  {each.rule}"
        yield from textwrap.wrap(safe(each.message), 100, initial_indent="    ", subsequent_indent="    ")
        if with_reason:
            yield from textwrap.wrap(f"Why not here: {safe(each.reason)}", 100, initial_indent="    ", subsequent_indent="    ")
            yield from (f"    By hand: {safe(step)}" for step in each.steps)


def _outcome_lines(made: Prepared) -> Iterator[str]:
    if made.ledger is None and made.after.rehearsal is not None:
        tried = made.after.rehearsal.passed is not None
        yield f"No copy was made: {'rehearsed, it does not provision' if tried else 'it could not be rehearsed'}."
        yield rehearsal_line(made.after)
        yield from (safe(each) for each in (made.after.rehearsal.cause, made.after.rehearsal.remedy) if each)
        yield from (f"  console: {safe(each)}" for each in made.after.rehearsal.console)
        return
    if made.ledger is None:
        yield "No copy was made: after the changes something would be worse than before."
        yield from _forecast_lines(made.worse)
        yield from (f"  not read any more: {safe(each)}" for each in made.new_gaps)
        return
    yield f"The image was {made.before.verdict}; the copy is {made.after.verdict}."
    if made.after.rehearsal is not None:
        yield rehearsal_line(made.after)
        yield from (f"  defect: {safe(each)}" for each in made.after.rehearsal.defects)
    yield f"{_count(len(made.plan.changes), 'change')} made; all of them in {safe(str(made.ledger))}"
    yield from ("", *_rule_lines(made))
    yield from _left_lines(
        "withheld, for it may take away what somebody wants; --allow unsafe does it all the same", made.plan.withheld, with_reason=False
    )
    yield from _left_lines("left for a person", made.plan.manual, with_reason=True)


def _rule_lines(made: Prepared) -> Iterator[str]:
    """Rules whose outcome changed."""
    had = {each.rule_id: each.outcome for each in made.before.findings}
    for each in made.after.findings:
        if each.outcome is not had[each.rule_id]:
            yield f"  {had[each.rule_id]} -> {each.outcome}  {each.rule_id}"


def _forecast_lines(found: Iterable[Forecast]) -> Iterator[str]:
    yield from (f"  {each.before} -> {each.after}  {each.rule} ({each.severity})" for each in found)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
