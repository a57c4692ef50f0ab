"""The rules about leftovers against the tools that remove them: each tool fixes exactly what the published table says."""

from __future__ import annotations

import json
import tomllib

import pytest

from fixtures.docs import CONFORMANCE
from tests.conftest import REAL

TABLE = tomllib.loads(CONFORMANCE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def measured():
    path = REAL / "conformance.json"
    if not path.exists():
        pytest.skip("the tools were not run on the real Debian guest; run `make conformance` as root")
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_rule_about_leftovers_has_its_row(rules):
    about_leftovers = {rule.id for rule in rules if "leftovers" in rule.tags and "linux" in rule.applies_to.only.get("os", ())}
    assert about_leftovers == set(TABLE["rules"]) | set(TABLE["elsewhere"])


def test_every_leftover_is_planted_and_its_rule_fails_before_any_tool_has_run(measured):
    assert set(TABLE["rules"]) - set(measured["failing"]) == set()
    assert set(TABLE["elsewhere"]) & set(measured["failing"]) == set()


@pytest.mark.parametrize("tool", ["waagent", "cloud-init", "virt-sysprep", "opt-in"])
def test_a_tool_turns_exactly_the_rules_whose_thing_it_removes(measured, rules, tool):
    name = "virt-sysprep" if tool == "opt-in" else tool
    if name == "virt-sysprep" and (here := measured["tools"][name]) != TABLE["tools"][name]:
        pytest.skip(f"this machine's virt-sysprep is {here}; the table tells of {TABLE['tools'][name]}")
    about_leftovers = {rule.id for rule in rules if "leftovers" in rule.tags}
    found = {rule: change for rule, change in measured["changes"][tool].items() if rule in about_leftovers}
    assert found == {rule: changes[tool] for rule, changes in TABLE["rules"].items() if tool in changes}
