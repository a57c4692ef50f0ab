"""Every recipe: build the image, judge it, compare facts, verdict and the complete list of failures."""

from __future__ import annotations

import pytest

from fixtures import build
from vhdprep.check import check
from vhdprep.model import Outcome, Target, Verdict


@pytest.mark.parametrize("name", build.recipes())
def test_a_fixture_gives_exactly_what_its_recipe_expects(name, rules):
    expect = build.recipes()[name]["expect"]
    target = Target(expect.get("target", "generalized"))
    report = check(build.build(name), rules, data=build.data_disks(name), target=target)
    failed = sorted(finding.rule_id for finding in report.findings if finding.outcome is Outcome.FAIL)
    crashed = [finding.traceback for finding in report.findings if finding.traceback]
    assert crashed == []
    assert failed == sorted(expect["fail"])
    assert report.verdict == Verdict(expect["verdict"])
    for name_of_fact, value in expect.get("facts", {}).items():
        have = getattr(report.guest, name_of_fact)
        assert (list(have) if isinstance(have, tuple) else have) == value
    if "gaps" in expect:
        assert len(report.gaps) == len(expect["gaps"])
        assert all(part in gap for part, gap in zip(expect["gaps"], report.gaps, strict=True))
    if expect["verdict"] == "ready":
        assert report.gaps == ()
        assert report.how_many(Outcome.UNKNOWN) == 0


def test_fixed_and_dynamic_give_the_same_findings_but_for_the_container(rules):
    fixed, dynamic = (check(build.build(f"debian-12-{kind}"), rules) for kind in ("generalized", "dynamic"))
    differing = {
        one.rule_id
        for one, other in zip(fixed.findings, dynamic.findings, strict=True)
        if (one.outcome, one.observations) != (other.outcome, other.observations)
    }
    assert all(rule_id.startswith("vhd-") for rule_id in differing)
    assert fixed.guest == dynamic.guest
    assert fixed.disks[0].volumes == dynamic.disks[0].volumes


def test_two_runs_differ_only_in_their_time(rules):
    from vhdprep.report.json import document

    first, second = (document(check(build.build("debian-12-used"), rules)) for _ in range(2))
    assert first.pop("run").keys() == second.pop("run").keys()
    assert first == second
