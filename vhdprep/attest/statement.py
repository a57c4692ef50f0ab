"""The in-toto statement about one report (in-toto Attestation Framework, Statement v1 and the test-result predicate v0.1)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep.errors import UsageError
from vhdprep.model import Outcome, Severity
from vhdprep.report import rehearsed, words
from vhdprep.report.json import document

if TYPE_CHECKING:
    from vhdprep.model import Report

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
DISK = "#disk"
"""After a file's name: the disk in it, whatever the container."""


class Stated(NamedTuple):
    """What a statement says, as far as it is compared with something."""

    files: tuple[str, ...]
    """SHA-256 of the images' files, the operating system's first."""
    disks: tuple[str | None, ...]
    """SHA-256 of the disks in them."""
    report: dict[str, Any]
    """The whole JSON report."""


def make(report: Report) -> bytes:
    """The statement about ``report``, whose disks carry their digests.

    Raises:
        UsageError: a disk has no digest.
    """
    subjects = []
    for each, name in zip(report.disks, _names([each.container.path for each in report.disks]), strict=True):
        if each.digests is None:
            raise UsageError(f"{each.container.path}: has no digest, so nothing can be stated about it")
        subjects.append({"name": name, "digest": {"sha256": each.digests.file}})
        if each.digests.disk is not None:
            subjects.append({"name": name + DISK, "digest": {"sha256": each.digests.disk}})
    if not subjects:
        raise UsageError("a tree has no digest, so nothing can be stated about it")
    statement = {"_type": TYPE, "subject": subjects, "predicateType": PREDICATE, "predicate": _predicate(report)}
    return json.dumps(statement, indent=1, sort_keys=True).encode()


def _names(paths: list[str]) -> list[str]:
    """What the disks are called in a statement: by file name; data disks with their number, for two may be called alike."""
    bare = [each.replace("\\", "/").rpartition("/")[2] for each in paths]
    return [f"data{number - 1}:{name}" if number else name for number, name in enumerate(bare)]


def _predicate(report: Report) -> dict[str, Any]:
    found = (*report.findings, *(rehearsed.findings(report.rehearsal) if report.rehearsal else ()))

    def named(*outcomes: Outcome, errors: bool | None = None) -> list[str]:
        chosen = (each for each in found if each.outcome in outcomes)
        return [each.rule_id for each in chosen if errors is None or (each.severity is Severity.ERROR) is errors]

    warned = named(Outcome.FAIL, Outcome.UNKNOWN, errors=False) + named(Outcome.WAIVED)
    return {
        "result": "FAILED" if words.exit_code(report) else "WARNED" if warned else "PASSED",
        "configuration": [{"name": "vhdprep rules", "digest": {"sha256": report.ruleset_digest}}],
        "passedTests": named(Outcome.PASS, Outcome.FIXED),
        "warnedTests": sorted(warned),
        "failedTests": named(Outcome.FAIL, Outcome.UNKNOWN, errors=True),
        "report": document(report),
    }


def read(payload: bytes) -> Stated:
    """What a statement says.

    Raises:
        UsageError: it is none, or one about something else.
    """
    try:
        data = json.loads(payload)
        if data["_type"] != TYPE or data["predicateType"] != PREDICATE:
            raise UsageError(f"the statement is none of vhdprep: its predicate is {str(data['predicateType'])[:80]!r}")
        found = {str(each["name"]): str(each["digest"]["sha256"]) for each in data["subject"]}
        report = data["predicate"]["report"]
        names = _names([str(each["path"]) for each in report["disks"]])
        return Stated(tuple(found[name] for name in names), tuple(found.get(name + DISK) for name in names), report)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"the statement is damaged ({type(error).__name__}: {str(error)[:80]})") from error
