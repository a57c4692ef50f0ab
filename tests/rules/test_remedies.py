"""Every remedy of every rule, performed in memory on the examples on which the rule fails: it must pass then, and plan nothing more."""

from __future__ import annotations

import pytest

from vhdprep import remedy as kinds
from vhdprep.model import Outcome
from vhdprep.prepare import plan
from vhdprep.prepare.draft import WRITABLE, DraftDisk, DraftFiles
from vhdprep.ruleset.evaluate import judge_rule
from vhdprep.ruleset.load import load_rules, read_examples, rule_files
from vhdprep.ruleset.selftest import build_disk, build_image

FILES = rule_files()
RULES = [rule for rule in load_rules() if not isinstance(rule.remedy, kinds.Manual | kinds.ConvertVhd)]
CASES = [
    pytest.param(rule, example, id=f"{rule.id}: {example['name']}")
    for rule in RULES
    for example in read_examples(FILES[rule.id])["examples"]
    if example["outcome"] == "fail" and example.get("remedied", True)
]
STUBBORN = [
    pytest.param(rule, example, id=f"{rule.id}: {example['name']}")
    for rule in RULES
    for example in read_examples(FILES[rule.id])["examples"]
    if not example.get("remedied", True)
]


def looker(given):
    """The example's image over one draft; hives are files of no content there."""
    if "registry" in given:
        given = given | {"files": {f"/Windows/System32/config/{name}": "" for name in ("SYSTEM", "SOFTWARE")} | given.get("files", {})}
    disk, seen = DraftDisk(build_disk(given), writable=(*WRITABLE, "ufs")), {}

    def look():
        image = build_image(given, disk)
        if image.guest is None or image.guest.esp is None:
            return image
        esp = seen.setdefault("esp", DraftFiles(image.guest.esp, "esp"))
        return image._replace(guest=image.guest._replace(esp=esp))

    return look


@pytest.mark.parametrize(("rule", "example"), CASES)
def test_the_remedy_of_a_rule_makes_its_failing_example_pass_and_plans_nothing_more(rule, example):
    look = looker(example["given"])
    made, _ = plan.make(look, [rule], unsafe=True)
    assert [each.reason for each in made.manual] == []
    if not any(each.keys for each in made.changes):  # keys are changed in the plan's own draft
        assert judge_rule(rule, look()).outcome in (Outcome.PASS, Outcome.NOT_APPLICABLE)
    assert [each.after for each in made.forecast] in ([Outcome.PASS], [Outcome.NOT_APPLICABLE])
    assert made.changes
    assert any(each.keys for each in made.changes) or plan.make(look, [rule], unsafe=True).plan.changes == ()


@pytest.mark.parametrize(("rule", "example"), STUBBORN)
def test_where_the_remedy_cannot_help_the_plan_says_why(rule, example):
    made, _ = plan.make(looker(example["given"]), [rule], unsafe=True)
    assert [each.rule for each in made.manual] == [rule.id]
    assert made.manual[0].reason


def test_the_remedy_of_every_rule_is_shown_to_work():
    assert {rule.id for rule in RULES} - {case.values[0].id for case in CASES} == set()
