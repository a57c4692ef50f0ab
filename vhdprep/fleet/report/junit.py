"""JUnit XML: a suite for each image, a case for each rule that did not pass. A suite is red if and only if its image is not *ready*."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from vhdprep.model import Outcome, Verdict
from vhdprep.report import words

if TYPE_CHECKING:
    from vhdprep.fleet.summary import Entry, Summary, Told

_COUNTED = (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))


def render(summary: Summary, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """The summary as XML in UTF-8."""
    suites = ET.Element("testsuites")
    for number, each in enumerate(summary.entries):
        suites.append(_suite(summary, each, number))
    if summary.missing:
        text = f"{words.count(summary.missing, 'image')} not reached before the run was ended"
        suites.append(
            _wrapped(summary, "vhdprep fleet", len(summary.entries), [_case("vhdprep.fleet", "every image was reached", "error", text)], {})
        )
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _suite(summary: Summary, entry: Entry, number: int) -> ET.Element:
    cases = [_told(summary, each) for each in entry.told]
    explained = any(case.find(kind) is not None for case in cases for kind in ("failure", "error"))
    problem = entry.error or "; ".join(entry.gaps) or None
    if problem is None and entry.verdict is not Verdict.READY and not explained:
        problem = "no rule that decides was asked, so nothing was judged"
    judged = _case("vhdprep.image", "everything that had to be read was read, and was judged", "error" if problem else None, problem or "")
    facts = {"verdict": str(entry.verdict), **{f"rules: {key}": str(value) for key, value in entry.counts.items()}}
    return _wrapped(summary, entry.subject, number, [judged, *cases], facts | ({"report": entry.report} if entry.report else {}))


def _wrapped(summary: Summary, name: str, number: int, cases: list[ET.Element], facts: dict[str, str]) -> ET.Element:
    totals = {"tests": str(len(cases))} | {total: str(sum(each.find(kind) is not None for each in cases)) for total, kind in _COUNTED}
    times = {"time": "0.000", "timestamp": summary.run.started[:19]}
    attributes = {"name": words.safe(name), "package": "vhdprep", "id": str(number), "hostname": "localhost", **totals, **times}
    suite = ET.Element("testsuite", attributes)
    properties = ET.SubElement(suite, "properties")
    for key, value in {**facts, "tool": f"vhdprep {summary.tool_version}", "ruleset": summary.ruleset_digest}.items():
        ET.SubElement(properties, "property", {"name": key, "value": words.safe(value)})
    suite.extend(cases)
    ET.SubElement(suite, "system-out")
    ET.SubElement(suite, "system-err")
    return suite


def _told(summary: Summary, told: Told) -> ET.Element:
    """Only what decides the verdict is red."""
    red = {Outcome.FAIL: "failure", Outcome.UNKNOWN: "error"}.get(told.outcome)
    tag = red if red and summary.decides(told.rule_id) else "skipped"
    return _case(f"vhdprep.{summary.facts[told.rule_id].severity}", told.rule_id, tag, told.message, kind=str(told.outcome))


def _case(group: str, name: str, tag: str | None, message: str, *, kind: str = "not read") -> ET.Element:
    case = ET.Element("testcase", {"classname": group, "name": name, "time": "0"})
    text = words.safe(message)
    if tag is not None:
        ET.SubElement(case, tag, {"message": f"{kind}: {text}"} if tag == "skipped" else {"type": kind, "message": text})
    return case
