"""JUnit XML: a suite for each disk, a case for each rule and each volume. They are red if and only if the verdict is not *ready*.

A rehearsal has a suite of its own, a case for each step of a first boot; that is red if and only if the rehearsal did not pass.

The structure is what Jenkins' and Ant's schemas have in common; GitLab and Azure Pipelines read it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from vhdprep.byhand import steps
from vhdprep.model import Outcome, Verdict
from vhdprep.rehearsal import Milestone
from vhdprep.report import rehearsed, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vhdprep.model import DiskReport, Finding, Report, Volume
    from vhdprep.rehearsal import Rehearsal

_COUNTED = ("failure", "error", "skipped")


def render(report: Report, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """The report as XML in UTF-8."""
    suites = ET.Element("testsuites")
    for number, disk in enumerate(report.disks or (None,)):
        suites.append(_suite(report, disk, number))
    if report.rehearsal:
        suites.append(_rehearsal(report, report.rehearsal, len(suites)))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _suite(report: Report, disk: DiskReport | None, number: int) -> ET.Element:
    """One disk; the first one, or the tree, also has the rules, which are about the whole image."""
    name = words.safe(disk.container.path if disk else report.subject)
    cases = [_case(each, decides=words.decides(report, each.severity)) for each in report.findings] if number == 0 else []
    cases = [_judged(report, any(_is_red(each) for each in cases)), *cases] if number == 0 else []
    cases += [_volume(each, name) for each in disk.volumes] if disk else []
    seconds = report.seconds if number == 0 else 0.0
    suite = _filled(name, number, report.started, seconds, _properties(report, disk), cases)
    ET.SubElement(suite, "system-out").text = words.summary(report) if number == 0 else ""
    ET.SubElement(suite, "system-err").text = "\n".join(words.safe(each) for each in report.gaps) if number == 0 else ""
    return suite


def _filled(name: str, number: int, started: str, seconds: float, properties: Iterable[tuple[str, str]], cases: list[ET.Element]) -> ET.Element:
    """A suite with its totals, its properties and its cases, in the order of Ant's schema; its output is still to come."""
    totals = {"tests": str(len(cases))}
    totals |= {
        total: str(sum(each.find(kind) is not None for each in cases))
        for total, kind in zip(("failures", "errors", "skipped"), _COUNTED, strict=True)
    }
    times = {"time": f"{seconds:.3f}", "timestamp": started[:19]}
    suite = ET.Element("testsuite", {"name": name, "package": "vhdprep", "id": str(number), "hostname": "localhost", **totals, **times})
    listed = ET.SubElement(suite, "properties")
    for key, value in properties:
        ET.SubElement(listed, "property", {"name": key, "value": words.safe(value)})
    suite.extend(cases)
    return suite


def _rehearsal(report: Report, found: Rehearsal, number: int) -> ET.Element:
    """The first boot: its outcome, its steps, and what two machines have in common."""
    told = rehearsed.tell(found, verbose=True)
    outcome, *twins = rehearsed.findings(found)
    missing = found.missing if outcome.outcome is Outcome.FAIL else None
    reached = {each.milestone for each in found.reached}
    cases = [_case(outcome, decides=True), *(_step(each, each in reached, each is missing) for each in Milestone)]
    cases += [_case(each, decides=True) for each in twins]
    properties = [("outcome", str(found.outcome)), ("summary", told.headline), *((each.label, ", ".join(each.told)) for each in told.facts)]
    suite = _filled(f"rehearsal of {words.safe(report.subject)}", number, report.started, found.seconds, properties, cases)
    evidence = [f"{each.mark}: {each.what}: {each.value} ({each.where})" for each in told.evidence]
    ET.SubElement(suite, "system-out").text = "\n".join([told.headline, told.claim, *evidence, *told.console])
    ET.SubElement(suite, "system-err").text = ""
    return suite


def _step(milestone: Milestone, reached: bool, missing: bool) -> ET.Element:
    """A step that never came and is not what was missing is no news: it came too late to matter, or this image has no use for it."""
    case = _named("vhdprep.rehearsal", str(milestone))
    if missing:
        _outcome(case, "failure", "missing", "the first step that never came", ())
    elif not reached:
        _outcome(case, "skipped", "not reached", "it never came", ())
    return case


def _properties(report: Report, disk: DiskReport | None) -> Iterator[tuple[str, str]]:
    yield "verdict", str(report.verdict)
    yield "target", str(report.target)
    yield "tool", f"vhdprep {report.tool_version}"
    yield "ruleset", report.ruleset_digest
    if report.guest:
        yield "guest", words.guest(report.guest)
    if report.baseline:
        yield "baseline", words.compared(report)
    for notice in report.notices:
        yield "notice", notice
    if disk:
        yield "role", disk.role
        yield "container", words.container(disk.container)
        yield "disk", words.disk(disk)


def _judged(report: Report, explained: bool) -> ET.Element:
    """Whether there is a verdict to rely on at all: it keeps an empty run, and one with gaps, from being green."""
    case = _named("vhdprep.image", "everything that had to be read was read, and was judged")
    if report.gaps:
        _outcome(case, "error", "gap", "not everything was read", report.gaps)
    elif report.verdict is not Verdict.READY and not explained:
        _outcome(case, "error", "empty", "no rule that decides was asked, so nothing was judged", ())
    return case


def _is_red(case: ET.Element) -> bool:
    return any(case.find(kind) is not None for kind in ("failure", "error"))


def _case(finding: Finding, *, decides: bool) -> ET.Element:
    """Only what decides the verdict is red: a failed warning is a skipped case that says what it found."""
    case = _named(f"vhdprep.{finding.severity}", finding.rule_id)
    match finding.outcome:
        case Outcome.FAIL:
            _outcome(case, "failure" if decides else "skipped", str(finding.severity), finding.message, _told(finding))
        case Outcome.UNKNOWN:
            _outcome(case, "error" if decides else "skipped", "undecided", finding.reason or "", _told(finding))
        case Outcome.WAIVED:
            _outcome(case, "skipped", "waived", "; ".join(words.accepted(finding)), [finding.message, *_told(finding)])
        case Outcome.NOT_APPLICABLE:
            _outcome(case, "skipped", "not applicable", finding.reason or "", ())
        case _:
            pass
    return case


def _volume(volume: Volume, disk: str) -> ET.Element:
    case = _named("vhdprep.volume", f"{words.safe(volume.id)} of {disk} is read")
    if not volume.read:
        _outcome(case, "skipped", "not read" if volume.needed else "not applicable", volume.reason or "it holds no files", ())
    return case


def _named(group: str, name: str) -> ET.Element:
    return ET.Element("testcase", {"classname": group, "name": name, "time": "0"})


def _outcome(case: ET.Element, tag: str, kind: str, message: str, told: tuple[str, ...] | list[str]) -> None:
    """A skipped case has no type in Ant's schema: its kind begins the message."""
    text = words.safe(message)
    attributes = {"message": f"{kind}: {text}"} if tag == "skipped" else {"type": kind, "message": text}
    ET.SubElement(case, tag, attributes).text = "\n".join(words.safe(each) for each in told)


def _told(finding: Finding) -> list[str]:
    """Evidence, reason and remedy, a line each."""
    shown = finding.observations[: words.MAX_PLACES]
    told = [f"{each.where}: {words.value(each.value)}" for each in shown]
    told += [f"... and {len(finding.observations) - len(shown)} more"] if len(finding.observations) > len(shown) else []
    told += [f"Why: {finding.why}"]
    told += [f"Azure says: {finding.azure_says}"] if finding.azure_says else []
    told += [f"Remedy: {each}" for each in steps(finding.remedy)] if finding.remedy else []
    return told + [f"See: {each}" for each in finding.references]
