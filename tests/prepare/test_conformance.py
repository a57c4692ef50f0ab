"""Wherever a tool that cleans images cleans something, prepare leaves it at least as clean: on the same real, used Debian 12."""

from __future__ import annotations

import tomllib

import pytest

from fixtures.docs import CONFORMANCE
from vhdprep.model import Outcome, Target
from vhdprep.prepare import run

pytestmark = pytest.mark.real_image

TABLE = tomllib.loads(CONFORMANCE.read_text(encoding="utf-8"))["rules"]
BY_A_TOOL = sorted(rule for rule, tools in TABLE.items() if {"fixed", "partly"} & set(tools.values()))
NOT_OFFLINE = {
    "linux-domain-not-joined": "leaving a domain is made known to the domain; virt-sysprep removes a part of it alone",
}
"""What a tool does in part and prepare leaves to a person, with the reason."""


@pytest.fixture(scope="module")
def outcomes(real_image, wish):
    """Rule → outcome before and after, as an image for oneself or, where that is not asked of such, as a published one."""
    found = {}
    for target in (Target.GENERALIZED, Target.MARKETPLACE):
        looked = run.look(real_image("debian-12-used.fixed.vhd"), wish._replace(target=target, unsafe=True, users=("azureuser",)))
        after = {each.rule: each.after for each in looked.planned.plan.forecast}
        for each in looked.report.findings:
            if found.get(each.rule_id, (Outcome.NOT_APPLICABLE,))[0] is Outcome.NOT_APPLICABLE:
                found[each.rule_id] = each.outcome, after.get(each.rule_id, each.outcome)
    return found


@pytest.mark.parametrize("rule", BY_A_TOOL)
def test_what_a_tool_cleans_is_clean_after_prepare(outcomes, rule):
    before, after = outcomes[rule]
    assert before is Outcome.FAIL
    assert after in (Outcome.FAIL,) if rule in NOT_OFFLINE else (Outcome.PASS, Outcome.NOT_APPLICABLE)


def test_prepare_spoils_nothing(outcomes):
    assert {rule for rule, (before, after) in outcomes.items() if before is Outcome.PASS and after is not Outcome.PASS} == set()
