"""SARIF 2.1.0 (OASIS): what failed, a rehearsal too, what could not be decided, what was waived; with ``--verbose`` everything that was asked."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from vhdprep.byhand import steps
from vhdprep.model import Finding, Outcome, Severity
from vhdprep.report import markdown, rehearsed, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vhdprep.accepted import Waiver
    from vhdprep.model import DiskReport, Observation, Report, Target
    from vhdprep.rehearsal import Rehearsal

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_KINDS = {
    Outcome.PASS: "pass",
    Outcome.FAIL: "fail",
    Outcome.UNKNOWN: "open",
    Outcome.NOT_APPLICABLE: "notApplicable",
    Outcome.WAIVED: "fail",
    Outcome.FIXED: "pass",
}
_ALWAYS = (Outcome.FAIL, Outcome.UNKNOWN, Outcome.WAIVED)


def render(report: Report, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """One run. Two runs on one image differ only under ``invocations``, and in what a rehearsal took."""
    found = (*(rehearsed.findings(report.rehearsal) if report.rehearsal else ()), *report.findings)
    shown = [*_unread(report), *(each for each in found if verbose or each.outcome in _ALWAYS)]
    run = {
        "tool": {"driver": _driver(report, shown)},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report)],
        "artifacts": [_artifact(each) for each in report.disks] or [_tree(report)],
        "results": [_result(finding, index, report) for index, finding in enumerate(shown)],
        "properties": {
            "subject": words.safe(report.subject),
            "target": str(report.target),
            "verdict": str(report.verdict) if report.verdict else None,
            "counts": {str(outcome): report.how_many(outcome) for outcome in Outcome},
            "gaps": [words.safe(each) for each in report.gaps],
            "rehearsal": _rehearsal(report.rehearsal) if report.rehearsal else None,
        },
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _unread(report: Report) -> Iterator[Finding]:
    """Gaps keep an image from being ready without a rule of their own; viewers show results only, so they are one."""
    if report.gaps:
        yield Finding(
            "vhdprep-everything-read",
            "Everything that the verdict depends on was read",
            Severity.ERROR,
            Outcome.UNKNOWN,
            "",
            reason="; ".join(report.gaps),
            why="What was not read may hold anything; nobody knows whether the image will work.",
        )


def _rehearsal(found: Rehearsal) -> dict[str, Any]:
    """Also of one that passed, which has no result of its own."""
    return {"outcome": str(found.outcome), "passed": found.passed, "summary": rehearsed.summary(found), "claim": rehearsed.claim(found)}


def _driver(report: Report, shown: Iterable[Finding]) -> dict[str, Any]:
    return {
        "name": "vhdprep",
        "version": report.tool_version,
        "properties": {"ruleset": report.ruleset_digest, "rules": report.ruleset_size, "leftOut": report.left_out},
        "rules": [_rule(each, report.target) for each in shown],
    }


def _rule(finding: Finding, target: Target) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": finding.rule_id,
        "shortDescription": {"text": words.safe(finding.title)},
        "fullDescription": {"text": words.safe(finding.why)},
        "help": {"text": "\n".join(_help(finding)), "markdown": markdown.rule_help(finding, target)},
        "defaultConfiguration": {"level": str(finding.severity)},
        "properties": {"references": list(finding.references), "tags": ["azure", "image"]},
    }
    return rule | ({"helpUri": finding.references[0]} if finding.references else {})


def _help(finding: Finding) -> Iterable[str]:
    yield words.safe(finding.why)
    if finding.azure_says:
        yield f'Azure says: "{words.safe(finding.azure_says)}"'
    if finding.remedy:
        yield from (f"Remedy: {words.safe(each)}" for each in steps(finding.remedy))
    yield from finding.references


def _result(finding: Finding, index: int, report: Report) -> dict[str, Any]:
    """A finding; with another kind than ``fail`` the level is ``none``, as the standard has it."""
    waived = finding.outcome is Outcome.WAIVED
    text = finding.message if finding.outcome in (Outcome.FAIL, Outcome.WAIVED) else f"{finding.title}: {finding.outcome}"
    if finding.reason and not waived:
        text += f" ({finding.reason})"
    kind = _KINDS[finding.outcome]
    print_of = hashlib.sha256(finding.rule_id.encode()).hexdigest()[:32]
    state = {} if finding.is_new is None else {"baselineState": "new" if finding.is_new else "unchanged"}
    return state | {
        "ruleId": finding.rule_id,
        "ruleIndex": index,
        "kind": kind,
        "level": str(finding.severity) if kind == "fail" else "none",
        "message": {"text": message(text)},
        "locations": [_location(each, report) for each in finding.observations[: words.MAX_PLACES]] or [_location(None, report)],
        "partialFingerprints": {"primaryLocationLineHash": f"{print_of}:1", "vhdprepRule/v1": print_of},
        "suppressions": [_suppression(each) for each in finding.waivers] if waived else [],
        "properties": {"severity": str(finding.severity), "outcome": str(finding.outcome), "places": len(finding.observations)},
    }


def message(text: str) -> str:
    """Text without what viewers take for an embedded link: ``[text](address)``."""
    return words.safe(text).replace("](", "] (")


def _suppression(waiver: Waiver) -> dict[str, Any]:
    properties = {"owner": words.safe(waiver.owner), "expiry": waiver.expiry}
    return {"kind": "external", "status": "accepted", "justification": words.safe(words.waiver(waiver)), "properties": properties}


def _location(seen: Observation | None, report: Report) -> dict[str, Any]:
    """The image, and the place in it. GitHub wants a line; of an image that is its first."""
    path = report.disks[0].container.path if report.disks else report.subject
    physical = {"artifactLocation": {"uri": uri(path, folder=not report.disks), "index": 0}, "region": {"startLine": 1}}
    if seen is None:
        return {"physicalLocation": physical}
    where = words.safe(seen.where)
    name = where.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or where
    kind = "file" if where.startswith("/") else "key" if where.startswith("HK") else "field"
    return {
        "physicalLocation": physical,
        "logicalLocations": [{"name": name, "fullyQualifiedName": where, "kind": kind}],
        "message": {"text": message(f"{where}: {words.value(seen.value)}")},
    }


def _artifact(disk: DiskReport) -> dict[str, Any]:
    described = f"{words.role(disk)}: {words.container(disk.container)}; {words.disk(disk)}"
    location = {"uri": uri(disk.container.path)}
    return {"location": location, "length": disk.container.file_size, "roles": ["analysisTarget"], "description": {"text": words.safe(described)}}


def _tree(report: Report) -> dict[str, Any]:
    return {"location": {"uri": uri(report.subject, folder=True)}, "roles": ["analysisTarget", "directory"]}


def uri(path: str, *, folder: bool = False) -> str:
    """A relative reference, or one with an absolute path; every byte that is no letter of a URI is escaped."""
    if words.is_remote(path):
        return quote(path, safe=":/%@[]")
    return quote(PurePath(path).as_posix(), errors="replace") + ("/" if folder else "")


def _invocation(report: Report) -> dict[str, Any]:
    """How the run went; what had to be read and was not is a notification."""
    begun = datetime.fromisoformat(report.started).astimezone(UTC)
    times = {"startTimeUtc": _utc(begun), "endTimeUtc": _utc(begun + timedelta(seconds=report.seconds))}
    told = [{"level": "warning", "message": {"text": message(notice)}} for notice in report.notices]
    notes = [{"level": "error", "message": {"text": message(f"not read: {gap}")}} for gap in report.gaps]
    invocation: dict[str, Any] = {"executionSuccessful": True, **times, "toolExecutionNotifications": notes + told}
    if report.verdict is not None:
        described = f"{report.verdict}; rehearsal: {report.rehearsal.outcome}" if report.rehearsal else str(report.verdict)
        invocation |= {"exitCode": words.exit_code(report), "exitCodeDescription": described}
    return invocation


def _utc(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
