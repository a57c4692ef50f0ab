"""The JSON summary, schema ``vhdprep-fleet/1``; its JSON Schema lies beside this file. Two runs over the same images differ only under ``run``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vhdprep.model import Verdict

if TYPE_CHECKING:
    from vhdprep.fleet.summary import Entry, Summary

SCHEMA = "vhdprep-fleet/1"


def render(summary: Summary, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """The summary as JSON; always complete."""
    return json.dumps(document(summary), indent=2) + "\n"


def document(summary: Summary) -> dict[str, Any]:
    """The summary as plain values."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "vhdprep", "version": summary.tool_version},
        "ruleset": {"digest": summary.ruleset_digest, "rules": summary.ruleset_size, "left_out": summary.left_out},
        "target": summary.target,
        "fail_on": str(summary.fail_on),
        "verdict": str(summary.verdict),
        "counts": {
            "images": len(summary.entries) + summary.missing,
            **{str(each): summary.how_many(each) for each in Verdict},
            "not-judged": summary.failed,
            "not-reached": summary.missing,
        },
        "rules": [_rule(summary, each.rule_id) | each._asdict() for each in summary.rules()],
        "images": [_image(each) for each in summary.entries],
        "run": summary.run._asdict(),
    }


def _rule(summary: Summary, rule_id: str) -> dict[str, Any]:
    facts = summary.facts[rule_id]
    return {"rule_id": rule_id, "title": facts.title, "severity": str(facts.severity)}


def _image(entry: Entry) -> dict[str, Any]:
    return {
        "subject": entry.subject,
        "verdict": str(entry.verdict),
        "error": entry.error,
        "counts": entry.counts,
        "gaps": list(entry.gaps),
        "findings": [{"rule_id": each.rule_id, "outcome": str(each.outcome), "message": each.message} for each in entry.told],
        "report": entry.report,
    }
