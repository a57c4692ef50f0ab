"""What certification says of images that are good in every other way: nothing fails that is no true defect of an offer."""

from __future__ import annotations

import pytest

from fixtures import build
from vhdprep.check import check
from vhdprep.model import Target, Verdict
from vhdprep.report.certification import Standing, certify

CLEAN = [
    name
    for name, recipe in build.recipes().items()
    if (expect := recipe["expect"])["verdict"] == "ready" and not expect["fail"] and expect.get("target", "generalized") != "specialized"
]
TRUE_DEFECTS = {
    "disk-size-linux-marketplace",  # of phony guests, most disks are smaller than the 1 GiB that is asked for
    "linux-swap-certified",  # OpenBSD, and a FreeBSD in a slice, have their swap on the operating system's disk
    "linux-ssh-keepalive-certified",  # of one whose drop-in with ClientAliveInterval comes too late
}


@pytest.mark.parametrize("name", CLEAN)
def test_nothing_of_a_clean_image_fails_certification_that_is_no_true_defect_of_an_offer(name, rules):
    report = check(build.build(name), rules, data=build.data_disks(name), target=Target.MARKETPLACE)
    found = certify(report)
    assert [each.item for each in found] == list(report.policies)
    assert {rule for each in found for rule in each.rules if each.standing is Standing.FAILED} <= TRUE_DEFECTS
    assert (report.verdict is Verdict.NOT_READY) is any(each.standing is Standing.FAILED for each in found)
    waiting = {each.standing for each in found if each.item.decision != "offline"}
    assert waiting <= {Standing.NEEDS_MACHINE, Standing.NEEDS_PERSON, Standing.WARNING, Standing.NOT_APPLICABLE}
