"""The JSON that Microsoft's self-test answers with about a virtual machine, of an image that was never started.

Keys, results and date as in https://learn.microsoft.com/partner-center/marketplace-offers/azure-vm-image-test ("Example response"). ``ProviderID``
is not Microsoft's, and the whole is never ``Pass``: some items need a running machine or a person, so this never stands in for the self-test.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vhdprep.model import Verdict
from vhdprep.report import words
from vhdprep.report.certification import Standing, certify

if TYPE_CHECKING:
    from vhdprep.model import Report
    from vhdprep.report.certification import Certified

CATEGORY = "Microsoft Single VM Certification"
API_VERSION = "1.5"
"""Of the documented answer whose shape this is."""
_RESULTS = {
    Standing.FAILED: "Failed",
    Standing.WARNING: "Warning",
    Standing.UNDECIDED: "Not decided",
    Standing.NEEDS_MACHINE: "Needs a running machine",
    Standing.NEEDS_PERSON: "Needs a person",
    Standing.WAIVED: "Waived",
    Standing.PASSED: "Passed",
    Standing.NOT_APPLICABLE: "Not applicable",
}


def render(report: Report, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """The answer; always complete, never coloured. Every text of the image in it is safe."""
    found = certify(report)
    failed = report.verdict is Verdict.NOT_READY or any(each.standing is Standing.FAILED for each in found)
    values = {
        "SchemaVersion": 1,
        "AppCertificationCategory": CATEGORY,
        "ProviderID": f"vhdprep {report.tool_version}, offline; no certification by Microsoft",
        **_system(report),
        "CreatedDate": datetime.fromisoformat(report.started).strftime("%m/%d/%Y %H:%M:%S"),
        "TestResult": "Fail" if failed else "Not decided",
        "APIVersion": API_VERSION,
        "Tests": [_test(each) for each in found],
    }
    return json.dumps(values, indent=2) + "\n"


def _system(report: Report) -> dict[str, str]:
    """What the self-test says of the operating system; of Windows without ``OSDistro``."""
    if (facts := report.guest) is None:
        return {"OSName": "unknown", "OSVersion": "unknown"}
    version = words.safe(facts.version or "unknown")
    product = words.safe(facts.product)
    if facts.os == "windows":
        return {"OSName": product, "OSVersion": version}
    return {"OSName": f"{words.safe(facts.distro)} {version}", "OSDistro": product, "OSVersion": version}


def _test(found: Certified) -> dict[str, Any]:
    item, test = found.item, found.item.test
    return {
        "TestID": test.id if test else item.id,
        "TestCaseName": test.name if test else item.title,
        "Description": test.description if test else f"{item.title}.",
        "Result": _RESULTS[found.standing],
        "ActualValue": "; ".join(part for part in (found.actual, found.reason) if part),
        "RequiredValue": test.required if test else item.title,
    }
