"""One image, several destinations: what each asks for, and that they differ nowhere else."""

from __future__ import annotations

import re

import pytest

from fixtures import build
from vhdprep.byhand import steps
from vhdprep.check import check
from vhdprep.model import Outcome, Target, Verdict


def verdicts(name, rules):
    return {str(target): check(build.build(name), rules, target=target).verdict for target in (Target.GENERALIZED, Target.SPECIALIZED)}


@pytest.mark.parametrize("name", ["debian-12-specialized", "windows-2022-specialized"])
def test_a_machine_in_use_is_ready_as_it_is_and_not_as_a_generalized_image(name, rules):
    assert verdicts(name, rules) == {"generalized": Verdict.NOT_READY, "specialized": Verdict.READY}


@pytest.mark.parametrize("name", ["debian-12-generalized", "rhel-9", "ubuntu-22.04", "windows-2022-generalized"])
def test_a_generalized_image_is_ready_as_that_and_not_as_a_machine_in_use(name, rules):
    assert verdicts(name, rules) == {"generalized": Verdict.READY, "specialized": Verdict.NOT_READY}


@pytest.mark.parametrize("name", ["debian-12-used", "debian-12-specialized", "rhel-9-used", "windows-2022-in-use", "windows-2022-generalized"])
def test_destinations_disagree_only_about_rules_that_name_one(name, rules):
    found = {target: {each.rule_id: each for each in check(build.build(name), rules, target=target).findings} for target in Target}
    by_target = {rule.id for rule in rules if "target" in rule.applies_to.only or "target" in rule.applies_to.unless}
    generalized = found[Target.GENERALIZED]
    for target, others in found.items():
        differing = {rule_id for rule_id, finding in others.items() if finding != generalized[rule_id]}
        assert differing - by_target == set(), target
        for rule_id in differing:
            assert Outcome.NOT_APPLICABLE in (others[rule_id].outcome, generalized[rule_id].outcome)


def test_these_rules_are_for_machines_in_use_alone(rules):
    only = {rule.id for rule in rules if rule.applies_to.only.get("target") == ("specialized",)}
    assert only == {
        "linux-account-usable",
        "linux-agent-provisioning-off",
        "linux-cloud-init-keeps-host-keys",
        "linux-machine-id-kept",
        "linux-machine-in-use",
        "machine-drive-letters-found",
        "machine-managed-image-generalized",
        "windows-account-enabled",
        "windows-agent-runs-on-it",
        "windows-imagestate-complete",
        "windows-setup-idle",
    }


def test_nobody_who_keeps_a_machine_as_it_is_is_told_to_generalize_it(rules):
    """A step that does it says that it is for those who want that."""
    does = re.compile("sysprep|deprovision|cloud-init clean|generaliz", re.IGNORECASE)
    kept = [rule for rule in rules if "specialized" in rule.applies_to.only.get("target", ("specialized",)) and rule.remedy]
    told = {step for rule in kept for step in steps(rule.remedy) if does.search(step)}
    assert {step for step in told if not re.search("to generalize it|--as generalized|If Sysprep refuses|^Or generalize", step)} == set()
