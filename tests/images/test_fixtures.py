"""Every recipe: build the image, judge it, compare facts, verdict and the complete list of failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures import build
from vhdprep import manifest
from vhdprep.check import check
from vhdprep.model import Outcome, Target, Verdict


@pytest.mark.parametrize("name", build.recipes())
def test_a_fixture_gives_exactly_what_its_recipe_expects(name, rules):
    expect = build.recipes()[name]["expect"]
    target = Target(expect.get("target", "generalized"))
    image, data, declared = build.build(name), build.data_disks(name), None
    if "manifest" in build.recipes()[name]:
        declared = manifest.load(build.manifest_of(name))
        data = [Path(each.file) for each in declared.disks[1:]]
    report = check(image, rules, data=data, declared=declared, target=target)
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
    if "phase" in expect or (expect["verdict"] == "ready" and report.guest.os == "windows"):
        assert report.phase.name == expect.get("phase", "sealed-oobe")
    if expect["verdict"] == "ready" and report.guest.os == "linux" and target is not Target.SPECIALIZED:
        assert report.provisioner.who in ("cloud-init", "waagent")
    if expect["verdict"] == "ready":
        assert report.gaps == ()
        assert report.how_many(Outcome.UNKNOWN) == 0


def of_the_disk(finding):
    """What a finding says, without the container's own fields."""
    return finding.outcome, [each for each in finding.observations if not each.where.startswith(("file:", "footer:", "vhdx:"))]


@pytest.mark.parametrize("kind", ["dynamic", "vhdx", "vhdx-fixed", "vhdx-log", "vhdx-differencing"])
def test_fixed_dynamic_and_vhdx_of_one_disk_give_the_same_findings_but_for_the_container(kind, rules):
    fixed, other = (check(build.build(f"debian-12-{name}"), rules) for name in ("generalized", kind))
    about_the_disk = [{finding.rule_id: of_the_disk(finding) for finding in report.findings} for report in (fixed, other)]
    differing = {rule_id for rule_id, seen in about_the_disk[0].items() if about_the_disk[1][rule_id] != seen}
    assert {rule_id for rule_id in differing if not rule_id.startswith(("vhd-", "vhdx-"))} == set()
    assert other.guest == fixed.guest
    assert other.disks[0].volumes == fixed.disks[0].volumes
    assert other.gaps == ()


def test_a_vhdx_is_not_offered_for_upload_even_where_its_rule_was_left_out(rules):
    from vhdprep.report import upload

    others = tuple(rule for rule in rules if rule.id != "vhd-container-not-vhdx")
    vhd, vhdx = (check(build.build(f"debian-12-{name}"), others) for name in ("generalized", "vhdx-fixed"))
    assert (vhd.verdict, vhdx.verdict) == (Verdict.READY, Verdict.READY)
    assert (upload.plan(vhd) is None, upload.plan(vhdx)) == (False, None)


def test_two_runs_differ_only_in_their_time(rules):
    from vhdprep.report.json import document

    first, second = (document(check(build.build("debian-12-used"), rules)) for _ in range(2))
    assert first.pop("run").keys() == second.pop("run").keys()
    assert first == second
