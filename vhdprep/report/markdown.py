"""Markdown (GitHub's) for a job summary or a pull request: what comes out of the image stands in code, or with every mark escaped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.byhand import on_a_copy, steps
from vhdprep.model import Outcome, Severity
from vhdprep.report import upload, words
from vhdprep.report.certification import certify, counts
from vhdprep.report.rehearsed import PICTURED, picture, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.model import Finding, Report, Target

PLACES = 6
"""Places that a finding shows unless everything is asked for."""
MAX_FULL = 40_000
"""Characters after which findings are only named, unless everything is asked for: a comment on GitHub takes 65,536."""
_MARKS = re.compile(r"GH-|www\.|://|[\\`*_{}\[\]()#!|~$%^<>&@]", re.IGNORECASE)
_GAP = "&#8203;"


def render(report: Report, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """The verdict, the rehearsal beside it, what failed with evidence folded, what was not decided, what was read."""
    lines = [f"## vhdprep: {words.VERDICTS[report.verdict]}: {code(report.subject)}", "", *_head(report), "", *_rehearsal(report, verbose=verbose)]
    written = 0
    for severity in Severity:
        failed = words.failed(report, severity, everything=verbose)
        if failed:
            lines += [f"### {words.heading(report, failed)}", ""]
        for finding in failed:
            whole = verbose or written < MAX_FULL
            block = list(_finding(finding, report.target, verbose=verbose)) if whole else [f"- `{finding.rule_id}`: {plain(finding.title)}"]
            written += sum(map(len, block))
            lines += block
    lines += [
        *_undecided(report, verbose=verbose),
        *_waived(report),
        *_certification(report),
        *_coverage(report),
        *_upload(report),
        *_provenance(report),
    ]
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Text that stays text: no markup, no link, no mention, no reference to an issue."""
    return _MARKS.sub(_escape, words.safe(text))


def code(text: str) -> str:
    """Text in a code span, whatever backticks it has."""
    text = words.safe(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    space = " " if text.startswith(("`", " ")) or text.endswith(("`", " ")) or not text else ""
    return f"{fence}{space}{text}{space}{fence}"


def rule_help(finding: Finding, target: Target) -> str:
    """Why a rule is there, the remedy and the sources."""
    return "\n".join([plain(finding.why), "", *_rest(finding, target)])


def _escape(match: re.Match[str]) -> str:
    mark = match[0]
    if mark in "<>&":
        return {"<": "&lt;", ">": "&gt;", "&": "&amp;"}[mark]
    if mark in "@#":
        return f"\\{mark}{_GAP}"
    return f"\\{mark}" if len(mark) == 1 else mark[:-1] + _GAP + mark[-1] if mark != "://" else f":{_GAP}//"


def _head(report: Report) -> Iterator[str]:
    yield f"- {plain(words.summary(report))}"
    for sentence in words.about(report):
        yield f"- {plain(sentence)}"
    for disk in report.disks:
        yield f"- {words.role(disk)}: {plain(', '.join(part for part in (words.container(disk.container), words.disk(disk)) if part))}"
    for gap in report.gaps:
        yield f"- **not read**: {plain(gap)}"
    for notice in report.notices:
        yield f"- **notice**: {plain(notice)}"
    if text := words.compared(report):
        yield f"- {plain(text)}"


def _rehearsal(report: Report, *, verbose: bool) -> Iterator[str]:
    """What it did when it was booted; the guest's own words folded."""
    if (found := report.rehearsal) is None:
        return
    told = tell(found, verbose=verbose)
    yield f"### Rehearsal: {plain(told.headline)}"
    yield ""
    yield from (f"- **{plain(each.label)}**: {plain(', '.join(each.told))}" for each in told.facts)
    yield f"- {plain(told.claim)}"
    if picture(found):
        yield f"- {PICTURED}"
    yield ""
    if told.evidence or told.console:
        yield "<details><summary>Evidence and the serial console</summary>"
        yield ""
        yield from (f"- {each.mark}: {plain(each.what)}: {code(each.value)} in {code(each.where)}" for each in told.evidence)
        yield from (f"- console: {code(each)}" for each in told.console)
        yield ""
        yield "</details>"
        yield ""


def _finding(finding: Finding, target: Target, *, verbose: bool) -> Iterator[str]:
    shown = finding.observations[: words.MAX_PLACES if verbose else PLACES]
    yield f"**`{finding.rule_id}`**: {plain(finding.message)}"
    yield ""
    yield "<details><summary>Evidence, reason and remedy</summary>"
    yield ""
    yield from (f"- {code(each.where)}: {code(words.value(each.value))}" for each in shown)
    if len(finding.observations) > len(shown):
        yield f"- and {len(finding.observations) - len(shown)} more"
    yield ""
    yield f"**Why**: {plain(finding.why)}"
    yield ""
    yield from _rest(finding, target)
    yield ""
    yield "</details>"
    yield ""


def _rest(finding: Finding, target: Target) -> Iterator[str]:
    if finding.azure_says:
        yield f"**Azure says**: {code(finding.azure_says)}"
        yield ""
    if finding.remedy:
        yield "**Remedy**"
        yield ""
        for prose, command in map(words.step, steps(finding.remedy)):
            yield "- " + ": ".join(part for part in (plain(prose), code(command) if command else "") if part)
        if command := on_a_copy(finding.remedy, target):
            yield f"- or on a copy of the image: {code(command)}"
        yield ""
    if finding.references:
        yield "**Sources**"
        yield ""
    yield from (f"- <{each}>" for each in finding.references if re.fullmatch(r"https://[\w.~:/?#@!$&'()*+,;=%-]+", each))


def _undecided(report: Report, *, verbose: bool) -> Iterator[str]:
    groups = words.undecided(report, everything=verbose)
    if groups:
        yield f"### {words.count(sum(map(len, groups.values())), 'rule')} could not be decided"
        yield ""
        for reason, group in groups.items():
            names = ", ".join(f"`{each.rule_id}`" for each in group)
            yield f"- because {plain(reason)}: {names}"
        yield ""


def _waived(report: Report) -> Iterator[str]:
    waived = [each for each in report.findings if each.outcome is Outcome.WAIVED]
    if waived:
        yield f"### {words.count(len(waived), 'rule')} waived"
        yield ""
        yield from (f"- `{each.rule_id}` ({each.severity}): {plain(each.message)} {plain('; '.join(words.accepted(each)))}" for each in waived)
        yield ""


def _certification(report: Report) -> Iterator[str]:
    if not (found := certify(report)):
        return
    yield "### Certification for the marketplace"
    yield ""
    yield f"{plain(counts(found))}."
    yield ""
    yield "<details><summary>Every item</summary>"
    yield ""
    yield "| number | item | class | outcome | rules | seen, or why not |"
    yield "|---|---|---|---|---|---|"
    for each in found:
        item, rules = each.item, ", ".join(f"`{rule}`" for rule in each.rules)
        said = "; ".join(plain(part) for part in (each.actual, each.reason) if part)
        yield f"| {item.number or ''} | {plain(item.title)} | {item.decision} | {each.standing} | {rules} | {said} |"
    yield ""
    yield "</details>"
    yield ""


def _coverage(report: Report) -> Iterator[str]:
    for disk in report.disks:
        yield f"<details><summary>What was read of the {words.role(disk)}</summary>"
        yield ""
        yield "| volume | file system | size | |"
        yield "|---|---|---|---|"
        for each in disk.volumes:
            yield f"| {plain(each.id)} | {plain(each.filesystem or 'none')} | {words.size(each.size)} | {plain(words.state(each))} |"
        yield ""
        yield "</details>"
        yield ""


def _upload(report: Report) -> Iterator[str]:
    planned = upload.plan(report)
    if planned is None:
        if said := upload.withheld(report):
            yield from ("### Upload", "", plain(said), "")
        return
    yield "### Upload"
    yield ""
    yield f"- {plain(upload.headline(planned))}"
    yield f"- {plain(upload.tags(planned))}"
    yield f"- Fill in what is in capitals: {', '.join(map(code, upload.fill_in(planned)))}"
    yield ""
    for way, written in upload.ways(planned).items():
        title, language = upload.TITLES[way]
        yield f"<details><summary>{title}</summary>"
        yield ""
        yield f"```{language}"
        yield from written.splitlines() if isinstance(written, str) else written
        yield "```"
        yield ""
        yield "</details>"
        yield ""


def _provenance(report: Report) -> Iterator[str]:
    rules = f"{words.count(report.ruleset_size, 'rule')} ({report.ruleset_digest[:12]})"
    yield f"<sub>vhdprep {report.tool_version}, {rules}, as {report.target}, {report.started}, {report.seconds:.2f} s, {report.backend}</sub>"
