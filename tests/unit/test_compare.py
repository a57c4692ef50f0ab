"""What two backends say differently is not known; what they say alike stands."""

from __future__ import annotations

import pytest

from vhdprep.check import check
from vhdprep.compare import compare
from vhdprep.model import ABSENT, Observation, Outcome, Verdict


@pytest.fixture(scope="module")
def report(rules):
    from fixtures import build

    return check(build.build("debian-12-generalized"), rules)


def other(report, **changes):
    return report._replace(backend="guestfs", **changes)


def test_two_equal_reports_are_one(report):
    both = compare(report, other(report))
    assert both == report._replace(backend="native, guestfs", seconds=2 * report.seconds)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outcome": Outcome.FAIL}, "native finds pass (/etc/ssh/ssh_host_* = absent); guestfs finds fail (/etc/ssh/ssh_host_* = absent)"),
        ({"observations": (Observation("key", "/etc/x"),)}, "native finds pass (/etc/ssh/ssh_host_* = absent); guestfs finds pass (/etc/x = key)"),
    ],
)
def test_a_finding_that_differs_is_unknown_with_both_sides_quoted(report, change, said):
    mine = next(each for each in report.findings if each.rule_id == "linux-ssh-host-keys-removed")
    mine = mine._replace(observations=(Observation(ABSENT, "/etc/ssh/ssh_host_*"),))
    first = report._replace(findings=tuple(mine if each.rule_id == mine.rule_id else each for each in report.findings))
    second = tuple(each._replace(**change) if each.rule_id == mine.rule_id else each for each in first.findings)
    both = compare(first, other(first, findings=second))
    unknown = [each for each in both.findings if each.outcome is Outcome.UNKNOWN]
    assert [(each.rule_id, each.reason) for each in unknown] == [("linux-ssh-host-keys-removed", f"the backends differ: {said}")]
    assert both.verdict is Verdict.INCONCLUSIVE


def test_volumes_and_facts_that_differ_are_gaps(report):
    disk = report.disks[0]
    first, *rest = disk.volumes
    changed = disk._replace(volumes=(first._replace(size=1, reason="in other words"), *rest[:-1], rest[-1]._replace(id="p9")))
    both = compare(report, other(report, disks=(changed,), guest=report.guest._replace(version="13")))
    assert [gap.split(" says")[0] for gap in both.gaps] == [
        f"p1: the backends differ in size ({first.size} and 1)",
        "p3: native reads it, guestfs has no such volume",
        "p9: guestfs has it, native has no such volume",
        "the guest: native",
    ]
    assert both.verdict is Verdict.INCONCLUSIVE


def test_what_only_one_of_them_could_not_read_is_a_gap_of_both(report):
    assert compare(report, other(report, gaps=("p3: damaged",))).gaps == ("p3: damaged",)
    assert compare(report._replace(gaps=("p3: damaged",)), other(report)).verdict is Verdict.INCONCLUSIVE
