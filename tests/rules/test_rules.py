"""The catalogue enforces itself: every rule is proven, every word of the vocabulary is used, docs are in step."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from fixtures import applications, build, coverage, marketplace, phases, reference, serverroles
from fixtures.docs import compiled_rules, conformance_table, limits
from tests.schemas import validator
from vhdprep import remedy as remedies
from vhdprep.byhand import steps
from vhdprep.guest.formats import yamltext
from vhdprep.model import Outcome, Severity
from vhdprep.probes import PROBES
from vhdprep.ruleset import compiled, schema
from vhdprep.ruleset.load import builtin_rules_dir, load_rules, rule_files
from vhdprep.ruleset.matchers import MATCHERS
from vhdprep.ruleset.parse import Parser
from vhdprep.ruleset.rule import AppliesTo, Not
from vhdprep.ruleset.selftest import run_examples

RULES = load_rules()
FILES = rule_files()
SCHEMA = validator(schema.rule_schema())
LEAVES = {rule.id: [leaf for check in (rule.check, rule.when) if check is not None for leaf in Parser.leaves(check)] for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_example_of_a_rule_holds(rule):
    broken = [result for result in run_examples(rule, FILES[rule.id]) if not result.holds]
    assert broken == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_turning_a_rule_upside_down_turns_its_examples_red(rule):
    upside_down = rule._replace(check=Not(rule.check))
    wrong = {result.wanted for result in run_examples(upside_down, FILES[rule.id]) if not result.holds}
    assert {Outcome.PASS, Outcome.FAIL} <= wrong


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_file_follows_its_json_schema(rule):
    text = FILES[rule.id].read_text(encoding="utf-8").split("\n---\n", 1)[0]
    SCHEMA.validate(yamltext.load(text))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_tells_what_to_do_in_safe_words(rule):
    assert steps(rule.remedy)
    assert rule.why.endswith(".")
    assert rule.title[0].isupper() or rule.title.startswith(("cloud-init", "sshd", "waagent", "fstab", "hv_"))
    assert all(reference.startswith("https://") for reference in rule.references)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.id)


def test_a_rule_without_a_failing_example_is_reported(tmp_path):
    path = FILES["linux-ssh-host-keys-removed"]
    first, second = path.read_text(encoding="utf-8").split("\n---\n", 1)
    copy = tmp_path / path.name
    copy.write_text(f"{first}\n---\n{second.replace('outcome: fail', 'outcome: pass')}", encoding="utf-8")
    rule = next(rule for rule in RULES if rule.id == path.stem)
    assert any("an example that is fail" in result.wanted for result in run_examples(rule, copy))


def test_every_error_rule_has_a_disk_image_on_which_it_fails():
    failing = {rule_id for recipe in build.recipes().values() for rule_id in recipe["expect"].get("fail", [])}
    assert [rule.id for rule in RULES if rule.severity is Severity.ERROR and rule.id not in failing] == []


def test_every_application_is_on_an_image_as_used_and_on_one_as_merely_installed():
    """No rule of the family is without proof, and none fires where its application never ran."""
    recipes = build.recipes()
    applications = {rule.id for rule in RULES if rule.source.startswith("apps/")}
    used = {
        rule_id
        for name, recipe in recipes.items()
        if "applications-used" in name or "defender-tenant" in name
        for rule_id in recipe["expect"]["fail"]
    }
    assert applications == used
    assert [recipes[name]["expect"]["fail"] for name in recipes if "applications-installed" in name] == [[], []]


def test_every_probe_matcher_and_remedy_is_used_by_a_rule():
    leaves = [leaf for found in LEAVES.values() for leaf in found]
    assert {probe.name for probe in PROBES} - {leaf.probe.name for leaf in leaves} == set()
    assert set(MATCHERS) - {leaf.matcher for leaf in leaves} == set()
    assert set(remedies.REMEDIES) - {remedies.kind(rule.remedy) for rule in RULES} == set()


def test_every_defect_that_is_reported_is_asked_for_by_exactly_one_rule():
    sources = "".join(path.read_text(encoding="utf-8") for path in Path("vhdprep").rglob("*.py") if path.name not in ("selftest.py",))
    reported = set(re.findall(r'Defect\(\s*"([a-z0-9-]+)"', sources)) | {"trailing-bytes", "footer-cut"}
    checks = [leaf for rule in RULES for leaf in Parser.leaves(rule.check) if leaf.probe.name.endswith("_defects")]
    asked = sorted(kind for leaf in checks for kind in leaf.params["kinds"])
    assert asked == sorted(reported)


def test_the_vocabulary_serves_several_rules_a_probe():
    """One probe a rule would be code in disguise; on average a probe serves at least three rules."""
    used = {probe.name: sum(any(leaf.probe is probe for leaf in found) for found in LEAVES.values()) for probe in PROBES}
    assert sum(used.values()) / len(PROBES) >= 3


def test_generated_files_are_in_step():
    assert json.loads((builtin_rules_dir() / "schema.json").read_text(encoding="utf-8")) == schema.rule_schema()
    assert (builtin_rules_dir() / compiled.NAME).read_text(encoding="utf-8") == compiled_rules()
    assert (builtin_rules_dir() / "CONFORMANCE.md").read_text(encoding="utf-8") == conformance_table()
    assert (builtin_rules_dir() / "WINDOWS.md").read_text(encoding="utf-8") == phases.page()
    assert (builtin_rules_dir() / "SERVER-ROLES.md").read_text(encoding="utf-8") == serverroles.page(RULES)
    assert (builtin_rules_dir() / "MARKETPLACE.md").read_text(encoding="utf-8") == marketplace.page(RULES)
    assert (builtin_rules_dir() / "APPLICATIONS.md").read_text(encoding="utf-8") == applications.page(RULES)
    assert (builtin_rules_dir() / "REFERENCE.md").read_text(encoding="utf-8") == reference.index(RULES)
    assert (Path("vhdprep") / "LIMITS.md").read_text(encoding="utf-8") == limits()
    manual = (builtin_rules_dir() / "README.md").read_text(encoding="utf-8")
    assert schema.vocabulary() in manual
    assert coverage.table(RULES) in manual


def test_the_reference_page_has_every_rule_and_asks_nobody():
    page = reference.page(RULES)
    assert re.findall(r'<article id="([^"]+)"', page) == sorted(
        FILES, key=lambda rule: reference.place(next(each for each in RULES if each.id == rule))
    )
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in page
    assert not re.search(r"\b(?:src|srcset|action)=|url\(|@import", page.replace("http-equiv", "").split("</head>")[0])


@pytest.mark.parametrize(
    ("applies_to", "admitted"),
    [
        (AppliesTo(), {"debian", "flatcar", "windows", "unknown"}),
        (AppliesTo({"os": ("linux",), "version": (">=99",), "target": ("marketplace",)}), {"debian", "flatcar", "unknown"}),
        (AppliesTo({"os": ("linux",)}, {"family": ("flatcar",)}), {"debian", "unknown"}),
        (AppliesTo({"os": ("linux",)}, {"family": ("flatcar",), "version": ("<1",)}), {"debian", "flatcar", "unknown"}),
        (AppliesTo({"family": ("debian",)}), {"debian"}),
        (AppliesTo({"distro": ("windows",)}), {"windows"}),
    ],
)
def test_the_table_counts_a_rule_where_its_conditions_admit_the_distribution(applies_to, admitted):
    rule = RULES[0]._replace(applies_to=applies_to)
    assert {distro for distro in ("debian", "flatcar", "windows", "unknown") if coverage.admits(rule, distro)} == admitted
