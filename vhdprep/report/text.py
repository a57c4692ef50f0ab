"""The report for people: verdict first, the rehearsal beside it, what to fix by severity, then what passed and what was not read."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from vhdprep.byhand import steps
from vhdprep.model import Outcome, Severity, Target
from vhdprep.remedy import LockPassword, Manual, RemoveFiles, TruncateFiles
from vhdprep.report import upload, words
from vhdprep.report.certification import Standing, certify, counts
from vhdprep.report.page import VERDICTS, Page, paint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vhdprep.model import Finding, Report
    from vhdprep.report.certification import Certified

_SEVERITIES = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.NOTE: "36"}
EVIDENCE = 6
"""Places that a finding shows unless everything is asked for."""


def render(report: Report, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """The report in lines of at most ``width`` columns where words allow."""
    page = Page(colour=colour, width=max(60, min(width, 110)), verbose=verbose)
    lines = [*_head(report, page), *_rehearsal(report, page)]
    if report.verdict is not None:
        lines += _counts(report, page)
        lines += _advice(report, page)
        for severity in Severity:
            lines += _failed(report, severity, page)
        lines += _undecided(report, page)
        lines += _accepted(report, page)
        lines += _certification(report, page)
        if verbose:
            lines += _rest(report, page)
        lines += ["", *_summary(report, page)]
    else:
        lines += _volumes(report, page)
    return "\n".join(lines) + "\n"


def verdict_line(report: Report, *, colour: bool = False) -> str:
    """One line: the file and its verdict."""
    part = "" if report.disks else " (an unpacked tree: container and disk were not judged)"
    return f"{words.safe(report.subject)}: {paint(words.VERDICTS[report.verdict], VERDICTS[report.verdict], colour)}{part}"


def _head(report: Report, page: Page) -> Iterator[str]:
    yield page.bold(verdict_line(report, colour=page.colour))
    for sentence in words.about(report):
        yield from page.paragraph(sentence, "  ")
    for each in report.disks:
        label = f"{words.role(each)} {words.safe(each.container.path)}: " if each.role == "data" else ""
        yield from page.paragraph(label + ", ".join(part for part in (words.container(each.container), words.disk(each)) if part), "  ")
        for defect in each.container.defects if report.verdict is None else ():
            yield from page.paragraph(words.safe(defect.message), "  ", "defect: ")
    for gap in report.gaps:
        yield from page.paragraph(words.safe(gap), "  ", "not read: ")


def _rehearsal(report: Report, page: Page) -> Iterable[str]:
    """What it did when it was booted; imported only now, for hardly any image is."""
    if report.rehearsal is None:
        return ()
    from vhdprep.report.rehearsaltext import rehearsal_lines

    return rehearsal_lines(report, page)


def _counts(report: Report, page: Page) -> Iterator[str]:
    """One line that says how much there is to read."""
    failed = [each.severity for each in report.findings if each.outcome is Outcome.FAIL]
    words_of = ((failed.count(severity), severity.value) for severity in Severity)
    counts = [words.count(count, name) for count, name in words_of if count]
    if len(counts) > 1:
        yield from page.paragraph(", ".join(counts), "  ")


def _advice(report: Report, page: Page) -> Iterator[str]:
    """When to clean up a Linux guest, and the commands that clear most of it; the agent's come last, they cut the branch they sit on.

    Never of a specialized image: they take the identity that it has to keep.
    """
    removing = (RemoveFiles, TruncateFiles, LockPassword)
    leftovers = [each for each in report.findings if each.outcome is Outcome.FAIL and isinstance(each.remedy, removing)]
    if report.target is Target.SPECIALIZED or report.guest is None or report.guest.os != "linux" or len(leftovers) < 3:
        return
    yield ""
    yield from page.paragraph(
        "Clean up as the last thing before the guest is shut down, in one root shell: a running system writes much of it again, and the "
        "account that you are logged in with is among it. Most goes with these two, where they are installed:",
        "  ",
    )
    yield "    cloud-init clean --logs --seed"
    yield "    waagent -deprovision+user -force; export HISTSIZE=0; shutdown now"


def _failed(report: Report, severity: Severity, page: Page) -> Iterator[str]:
    failed = words.failed(report, severity, everything=page.verbose)
    if not failed:
        return
    code = _SEVERITIES[severity]
    yield ""
    yield page.bold(paint(words.heading(report, failed), code, page.colour))
    for finding in failed:
        yield ""
        yield from _finding(finding, code, page)


def _finding(finding: Finding, code: str, page: Page) -> Iterator[str]:
    yield f"  {paint(finding.severity, code, page.colour)}  {page.bold(finding.rule_id)}"
    yield from page.paragraph(words.safe(finding.message), "    ")
    yield from _evidence(finding, page)
    if finding.azure_says:
        yield from page.paragraph(f'"{finding.azure_says}"', "    ", "Azure says: ")
    if finding.severity is not Severity.NOTE or page.verbose:
        yield from page.paragraph(finding.why, "    ", "Why: ")
    if finding.remedy:
        label = "Remedy: "
        for step in steps(finding.remedy):
            yield from page.paragraph(words.safe(step), "    ", label)
            label = " " * len("Remedy: ")
    if page.verbose:
        for reference in finding.references:
            yield page.dim(f"    See: {reference}")


def _evidence(finding: Finding, page: Page) -> Iterator[str]:
    shown = finding.observations if page.verbose else finding.observations[:EVIDENCE]
    for each in shown:
        text = f"{words.safe(each.where)}  {words.value(each.value)}"
        yield from (page.dim(line) for line in page.paragraph(text, "      "))
    if len(finding.observations) > len(shown):
        yield page.dim(f"      ... and {len(finding.observations) - len(shown)} more (--verbose shows all)")


def _undecided(report: Report, page: Page) -> Iterator[str]:
    groups = words.undecided(report, everything=page.verbose)
    if not groups:
        return
    total = sum(len(group) for group in groups.values())
    yield ""
    yield page.bold(paint(f"{words.count(total, 'rule')} could not be decided", "33", page.colour))
    for reason, group in groups.items():
        yield ""
        yield from page.paragraph(words.safe(reason), "  ", "because ")
        names = [each.rule_id for each in group]
        kept = names if page.verbose else names[:4]
        more = f" and {len(names) - len(kept)} more" if len(names) > len(kept) else ""
        yield from page.paragraph(", ".join(kept) + more, "    ")


def _accepted(report: Report, page: Page) -> Iterator[str]:
    """What is waived, what there is to say about waivers, what the baseline's image had as well and what it had alone."""
    waived = [each for each in report.findings if each.outcome is Outcome.WAIVED]
    if waived:
        yield ""
        yield page.bold(f"{words.count(len(waived), 'finding')} {'is' if len(waived) == 1 else 'are'} waived")
    for finding in waived:
        yield from page.paragraph(f"{finding.rule_id}: {finding.title}", "  ")
        for each in words.accepted(finding):
            yield from page.paragraph(words.safe(each), "      ")
    for notice in report.notices:
        yield from ("", *page.paragraph(words.safe(notice), "", paint("notice: ", "33", page.colour)))
    if text := words.compared(report):
        yield from ("", *page.paragraph(text, ""))


def _certification(report: Report, page: Page) -> Iterator[str]:
    """How the image stands to the marketplace's certification: what is not passed, and with everything the rest."""
    if not (found := certify(report)):
        return
    yield from ("", page.bold("Certification for the marketplace"))
    yield from page.paragraph(f"{counts(found)}.", "  ")
    for standing in Standing:
        group = [each for each in found if each.standing is standing]
        if group and (page.verbose or standing not in (Standing.PASSED, Standing.NOT_APPLICABLE)):
            yield f"  {standing}:"
            for each in group:
                yield from _item(each, page)


def _item(found: Certified, page: Page) -> Iterator[str]:
    item = found.item
    yield from page.paragraph(f"{item.number} {item.title}" if item.number else item.title, "    ")
    for part in (", ".join(found.rules), found.actual if page.verbose else "", found.reason):
        yield from (page.dim(line) for line in page.paragraph(part, "      "))


def _rest(report: Report, page: Page) -> Iterator[str]:
    for outcome, heading in ((Outcome.PASS, "passed"), (Outcome.NOT_APPLICABLE, "not applicable")):
        found = [each for each in report.findings if each.outcome is outcome]
        if found:
            yield ""
            yield page.bold(f"{words.count(len(found), 'rule')} {heading}")
            for each in found:
                note = f" ({words.safe(each.reason)})" if each.reason else ""
                yield from page.paragraph(f"{each.rule_id}: {each.title}{note}", "  ")


def _summary(report: Report, page: Page) -> Iterator[str]:
    unread = sum(volume.needed and not volume.read for disk in report.disks for volume in disk.volumes)
    counts = [
        words.count(report.how_many(Outcome.PASS), "rule") + " passed",
        f"{report.how_many(Outcome.FAIL)} failed",
        f"{report.how_many(Outcome.UNKNOWN)} undecided",
        f"{report.how_many(Outcome.NOT_APPLICABLE)} not applicable",
        *([f"{waived} waived"] if (waived := report.how_many(Outcome.WAIVED)) else []),
        *([f"{report.left_out} left out by --select or --ignore"] if report.left_out else []),
        *([words.transferred(report.transferred)] if page.verbose and report.transferred else []),
        "everything was read" if not report.gaps else f"{words.count(unread, 'volume')} not read" if unread else "not everything was read",
    ]
    yield from page.paragraph("; ".join(counts) + ".", "")
    if planned := upload.plan(report):
        yield from _upload(planned, page)
    yield from page.paragraph(upload.withheld(report), "")
    if report.disks and any(each.outcome is Outcome.FAIL and each.remedy and not isinstance(each.remedy, Manual) for each in report.findings):
        yield f"To see what can be put right in a copy{', download it and run' if report.transferred else ''}:"
        yield f"  vhdprep prepare {shlex.join(_named(report))} --plan-only"


def _named(report: Report) -> Iterator[str]:
    """The image as it was named on the command line, and what it is to become where that was said."""
    stated = report.declared.fields.get("destination") if report.declared else None
    if report.declared:
        yield from ("--manifest", words.safe(report.declared.path))
    else:
        yield words.safe(words.local_name(report.subject))
        for each in report.disks[1:]:
            yield from ("--data", words.safe(words.local_name(each.container.path)))
    if report.target is not Target.GENERALIZED and stated is None:
        yield from ("--as", str(report.target))


def _upload(planned: upload.Plan, page: Page) -> Iterator[str]:
    """What Azure has to be told, and the Azure CLI's lines; the other ways where everything is asked for. Lines to be copied are not wrapped."""
    yield from page.paragraph(words.safe(f"To upload it as {upload.headline(planned)} ({upload.tags(planned)}):"), "")
    for way, written in upload.ways(planned).items():
        if page.verbose and way != "azure-cli":
            yield from ("", *page.paragraph(f"{upload.TITLES[way][0]}:", ""))
        if page.verbose or way == "azure-cli":
            yield from (f"  {line}".rstrip() for line in (written.splitlines() if isinstance(written, str) else written))
    names = ", ".join(upload.fill_in(planned, located=page.verbose))
    others = "" if page.verbose else " PowerShell, Bicep and Terraform: --verbose."
    yield from page.paragraph(f"Fill in {names}.{others}" if names else others.strip(), "")
    if planned.both_generations:
        yield from page.paragraph("It boots as both generations; for Generation 1 put V1 in the place of V2 and leave --features out.", "")


def _volumes(report: Report, page: Page) -> Iterator[str]:
    for disk in report.disks:
        yield ""
        rows = [
            (
                each.id,
                each.filesystem or "-",
                words.size(each.size).split(" (")[0],
                each.uuid or "-",
                f"not read: {each.reason}" if each.needed and not each.read else (each.reason or ""),
            )
            for each in disk.volumes
        ]
        yield from _table(rows, page)
        if page.verbose:
            for name, value in disk.container.fields.items():
                yield f"  {name:<28}{words.safe(str(value))}"
    if report.guest and report.guest.hostname:
        init = "" if report.guest.os == "windows" else f", init {report.guest.init or 'unknown'}"
        yield f"  host name {words.safe(report.guest.hostname)}{init}"


def _table(rows: Iterable[tuple[str, ...]], page: Page) -> Iterator[str]:
    rows = [tuple(words.safe(cell) for cell in row) for row in rows]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    for row in rows:
        start = "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        if row[4] and len(start) + 2 + len(row[4]) > page.width:
            yield start.rstrip()
            yield from page.paragraph(row[4], "      ")
        else:
            yield f"{start}  {row[4]}".rstrip()
