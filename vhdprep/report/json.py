"""The JSON report, schema ``vhdprep-report/1``; its JSON Schema lies beside this file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vhdprep import remedy as remedies
from vhdprep.byhand import steps
from vhdprep.model import ABSENT, Outcome, Value
from vhdprep.report import upload
from vhdprep.report.certification import certify

if TYPE_CHECKING:
    from vhdprep.declared import Declared
    from vhdprep.model import DiskReport, Finding, GuestFacts, Observation, Phase, Provisioner, Report
    from vhdprep.rehearsal import Milestone, Rehearsal
    from vhdprep.report.certification import Certified

SCHEMA = "vhdprep-report/1"
_VOLUME = ("id", "kind", "offset", "size", "type_id", "filesystem", "read", "reason", "uuid", "label", "part_uuid", "part_label", "free", "state")
_GUEST = ("os", "distro", "family", "version", "product", "arch", "boot", "generation", "generations", "init", "hostname")
_COUNTED = (Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN, Outcome.NOT_APPLICABLE, Outcome.WAIVED)


def render(report: Report, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """The report as JSON; always complete, never coloured. Non-ASCII text is escaped, so control characters are too."""
    return json.dumps(document(report), indent=2) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The report as plain values, in the order of the contract."""
    planned = upload.plan(report)
    return {
        "schema": SCHEMA,
        "tool": {"name": "vhdprep", "version": report.tool_version},
        "ruleset": {"digest": report.ruleset_digest, "rules": report.ruleset_size, "left_out": report.left_out},
        "subject": report.subject,
        "target": str(report.target),
        "verdict": str(report.verdict) if report.verdict else None,
        "counts": {str(outcome): report.how_many(outcome) for outcome in _COUNTED},
        "fail_on": str(report.fail_on),
        "gaps": list(report.gaps),
        "notices": list(report.notices),
        "baseline": report.baseline._asdict() if report.baseline else None,
        "declared": _declared(report.declared) if report.declared else None,
        "disks": [_disk(each) for each in report.disks],
        "guest": _guest(report.guest) if report.guest else None,
        "provisioner": _provisioner(report.provisioner) if report.provisioner else None,
        "phase": _phase(report.phase) if report.phase else None,
        "findings": [_finding(each) for each in report.findings],
        "certification": [_certified(each) for each in certify(report)] if report.policies else None,
        "rehearsal": _rehearsal(report.rehearsal) if report.rehearsal else None,
        "upload": upload.document(planned) if planned else None,
        "run": {
            "started": report.started,
            "seconds": round(report.seconds, 3),
            "backend": report.backend,
            "transferred": report.transferred._asdict() if report.transferred else None,
        },
    }


def _declared(declared: Declared) -> dict[str, Any]:
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in declared.fields.items()}
    return {"path": declared.path, **values, "disks": [each._asdict() for each in declared.disks]}


def _disk(disk: DiskReport) -> dict[str, Any]:
    container = disk.container
    return {
        "role": disk.role,
        "lun": disk.lun,
        "path": container.path,
        "digests": disk.digests._asdict() if disk.digests else None,
        "container": {
            "format": container.format,
            "contents": container.contents,
            "type": str(container.type) if container.type else None,
            "virtual_size": container.virtual_size,
            "file_size": container.file_size,
            "creator": container.creator,
            "parent": container.parent,
            "defects": [{"kind": each.kind, "where": each.where, "message": each.message} for each in container.defects],
            "fields": dict(container.fields),
        },
        "table": disk.table,
        "volumes": [{name: getattr(each, name) for name in _VOLUME} for each in disk.volumes],
    }


def _guest(facts: GuestFacts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in _GUEST}


def _provisioner(found: Provisioner) -> dict[str, Any]:
    return {"who": found.who, "because": _observations(found.because)}


def _phase(found: Phase) -> dict[str, Any]:
    return {"name": found.name, "witnesses": _observations(found.witnesses)}


def _observations(seen: tuple[Observation, ...]) -> list[dict[str, Any]]:
    return [{"where": each.where, "value": _value(each.value)} for each in seen]


def _finding(finding: Finding) -> dict[str, Any]:
    found: dict[str, Any] = {
        "rule_id": finding.rule_id,
        "title": finding.title,
        "severity": str(finding.severity),
        "outcome": str(finding.outcome),
        "message": finding.message,
        "observations": _observations(finding.observations),
        "reason": finding.reason,
        "remedy": _remedy(finding.remedy) if finding.remedy else None,
        "references": list(finding.references),
        "why": finding.why,
        "azure_says": finding.azure_says,
        "waivers": [each._asdict() for each in finding.waivers],
        "is_new": finding.is_new,
    }
    return found | ({"traceback": finding.traceback} if finding.traceback else {})


def _certified(found: Certified) -> dict[str, Any]:
    item = found.item
    return {
        "id": item.id,
        "number": item.number,
        "title": item.title,
        "class": str(item.decision),
        "systems": list(item.systems),
        "rules": list(item.rules),
        "outcome": str(found.standing),
        "because": list(found.rules),
        "actual": found.actual,
        "reason": found.reason,
        "show": item.show,
        "test": item.test._asdict() if item.test else None,
        "source": item.source,
    }


def _rehearsal(found: Rehearsal) -> dict[str, Any]:
    """Milestones by their names, which stay when their words change; a picture only if it is one. Imported only now, as for people."""
    from vhdprep.report.rehearsed import claim, picture

    return {
        "outcome": str(found.outcome),
        "passed": found.passed,
        "cause": found.cause,
        "remedy": found.remedy,
        "missing": _milestone(found.missing) if found.missing else None,
        "reached": [{"milestone": _milestone(each.milestone), "seconds": round(each.seconds, 3), "text": each.text} for each in found.reached],
        "witnesses": [each._asdict() for each in found.witnesses],
        "defects": list(found.defects),
        "tried": list(found.tried),
        "console": list(found.console),
        "screen": picture(found),
        "machine": found.machine,
        "without": list(found.without),
        "seconds": round(found.seconds, 3),
        "twins": None if found.twins is None else [each._asdict() for each in found.twins],
        "common": [each.where for each in found.common],
        "claim": claim(found),
    }


def _milestone(milestone: Milestone) -> str:
    """``goal-state``, by which programs know it."""
    return milestone.name.lower().replace("_", "-")


def _remedy(remedy: remedies.Remedy) -> dict[str, Any]:
    values = {name: getattr(remedy, name) for name in remedies.parameters(type(remedy)) if name != "steps"}
    return {"kind": remedies.kind(remedy), "disposition": str(remedy.disposition), "with": values, "steps": list(steps(remedy))}


def _value(value: Value) -> Any:
    return None if value is ABSENT else list(value) if isinstance(value, tuple) else value
