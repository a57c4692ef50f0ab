"""SARIF 2.1.0 (OASIS): one run over all images, each an artifact; what failed, was undecided or waived is a result at its image."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from vhdprep.model import Outcome, Severity
from vhdprep.report import words
from vhdprep.report.sarif import SCHEMA, message, uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.fleet.summary import Entry, RuleFacts, Summary

_UNREAD = "vhdprep-everything-read"
_UNREAD_TITLE = "Everything that the verdict depends on was read"
_UNREAD_WHY = "What was not read may hold anything; nobody knows whether the image will work."
_KINDS = {Outcome.FAIL: "fail", Outcome.WAIVED: "fail", Outcome.UNKNOWN: "open"}


def render(summary: Summary, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """One run."""
    ids = [_UNREAD, *summary.facts]
    places = {rule: index for index, rule in enumerate(ids)}
    run = {
        "tool": {
            "driver": {
                "name": "vhdprep",
                "version": summary.tool_version,
                "properties": {"ruleset": summary.ruleset_digest, "rules": summary.ruleset_size, "leftOut": summary.left_out},
                "rules": [_unread(), *(_rule(rule, facts) for rule, facts in summary.facts.items())],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(summary)],
        "artifacts": [{"location": {"uri": uri(each.subject)}, "roles": ["analysisTarget"], "properties": _about(each)} for each in summary.entries],
        "results": [result for number, each in enumerate(summary.entries) for result in _results(summary, each, number, places)],
        "properties": {"verdict": str(summary.verdict), "target": summary.target, "images": len(summary.entries), "notReached": summary.missing},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _about(entry: Entry) -> dict[str, Any]:
    return {"verdict": str(entry.verdict), "counts": entry.counts} | ({"report": words.safe(entry.report)} if entry.report else {})


def _unread() -> dict[str, Any]:
    return {
        "id": _UNREAD,
        "shortDescription": {"text": _UNREAD_TITLE},
        "fullDescription": {"text": _UNREAD_WHY},
        "defaultConfiguration": {"level": str(Severity.ERROR)},
    }


def _rule(rule: str, facts: RuleFacts) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": rule,
        "shortDescription": {"text": words.safe(facts.title)},
        "fullDescription": {"text": words.safe(facts.why)},
        "defaultConfiguration": {"level": str(facts.severity)},
    }
    return found | ({"helpUri": facts.references[0]} if facts.references else {})


def _results(summary: Summary, entry: Entry, number: int, places: dict[str, int]) -> Iterator[dict[str, Any]]:
    where = [{"physicalLocation": {"artifactLocation": {"uri": uri(entry.subject), "index": number}, "region": {"startLine": 1}}}]
    if problem := entry.error or "; ".join(entry.gaps):
        yield _result(_UNREAD, places, "open", "none", f"{_UNREAD_TITLE}: unknown ({problem})", entry, where)
    for each in entry.told:
        facts, kind = summary.facts[each.rule_id], _KINDS[each.outcome]
        text = each.message if kind == "fail" else f"{facts.title}: {each.outcome} ({each.message})"
        found = _result(each.rule_id, places, kind, str(facts.severity) if kind == "fail" else "none", text, entry, where)
        yield found | ({"suppressions": [{"kind": "external", "status": "accepted"}]} if each.outcome is Outcome.WAIVED else {})


def _result(rule: str, places: dict[str, int], kind: str, level: str, text: str, entry: Entry, where: list[Any]) -> dict[str, Any]:
    known = hashlib.sha256(f"{rule}\n{entry.subject}".encode(errors="surrogateescape")).hexdigest()[:32]
    return {
        "ruleId": rule,
        "ruleIndex": places[rule],
        "kind": kind,
        "level": level,
        "message": {"text": message(text)},
        "locations": where,
        "partialFingerprints": {"primaryLocationLineHash": f"{known}:1", "vhdprepRule/v1": known},
        "suppressions": [],
    }


def _invocation(summary: Summary) -> dict[str, Any]:
    lost = [{"level": "error", "message": {"text": f"{summary.missing} images were not reached"}}] if summary.missing else []
    return {
        "executionSuccessful": not summary.missing,
        "startTimeUtc": summary.run.started.replace("+00:00", "Z"),
        "toolExecutionNotifications": lost,
        "exitCode": words.EXIT_CODES[summary.verdict],
        "exitCodeDescription": str(summary.verdict),
    }
