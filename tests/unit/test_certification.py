"""Items of the marketplace's certification: the table, what findings come to for each of them, and the self-test's own shape."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from vhdprep.errors import NoDisk
from vhdprep.guest import policies, tables
from vhdprep.model import ABSENT, Container, DiskReport, DiskType, Finding, GuestFacts, Observation, Outcome, Report, Severity, Target, Verdict
from vhdprep.policy import Decision, PolicyItem, SelfTest
from vhdprep.report import load_reporter
from vhdprep.report.certification import MAX_ACTUAL, Standing, certify, counts
from vhdprep.ruleset.load import load_rules

ITEMS = policies.items()
RULES = {rule.id: rule for rule in load_rules()}
ITEM = PolicyItem("an-item", "200.3.3", "It is so", Decision.OFFLINE, (), ("a", "b"), None, None, "https://example.org/policies")
TEST = SelfTest("48", "Bash History", "The history is empty.", "no history")
DEBIAN = GuestFacts("linux", "debian", "debian", "12", "Debian GNU/Linux 12 (bookworm)")
DISK = DiskReport("os", Container("x.vhd", "vhd", "a fixed VHD", DiskType.FIXED, 2**30, 2**30 + 512, None, None), "gpt", ())
ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
PASS, FAIL, UNKNOWN, NA, WAIVED, FIXED = (
    Outcome.PASS,
    Outcome.FAIL,
    Outcome.UNKNOWN,
    Outcome.NOT_APPLICABLE,
    Outcome.WAIVED,
    Outcome.FIXED,
)


def finding(rule, outcome, severity=ERROR, reason=None, seen=()):
    return Finding(rule, "A title", severity, outcome, "It is wrong.", seen, reason=reason)


def report(*findings, items=(ITEM,), **more):
    base = Report(
        subject="x.vhd",
        target=Target.MARKETPLACE,
        verdict=Verdict.INCONCLUSIVE,
        disks=(DISK,),
        guest=DEBIAN,
        provisioner=None,
        phase=None,
        gaps=(),
        findings=findings,
        ruleset_digest="0" * 64,
        ruleset_size=len(findings),
        left_out=0,
        started="2026-11-29T12:00:00+00:00",
        seconds=0.25,
        backend="native",
        tool_version="1.2.3",
        policies=items,
    )
    return base._replace(**more)


def only(*findings, item=ITEM, **more):
    """The one item's standing, the rules that make it so, what they saw, and the reason."""
    (found,) = certify(report(*findings, items=(item,), **more))
    return found.standing, found.rules, found.actual, found.reason


def test_the_table_is_dated_and_sourced_and_has_every_item_once():
    table = tables.read(policies.TABLE)
    assert set(table) == {"as_of", "sources", "items"}
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", table["as_of"])
    assert all(address.startswith("https://") for address in table["sources"].values())
    assert {each["source"] for each in table["items"]} == set(table["sources"])
    for what in ([item.id for item in ITEMS], [item.test.id for item in ITEMS if item.test]):
        assert [each for each, number in Counter(what).items() if number > 1] == []


def test_an_item_has_the_rules_that_decide_it_or_says_what_has_to_be_shown():
    assert [item.id for item in ITEMS if item.decision is Decision.OFFLINE and not item.rules] == []
    assert [item.id for item in ITEMS if item.decision is not Decision.OFFLINE and not item.show] == []
    assert [item.id for item in ITEMS if len(set(item.rules)) != len(item.rules)] == []


def test_a_rule_of_an_item_is_there_and_is_asked_of_such_images():
    def never(item, rule):
        only, unless = RULES[rule].applies_to.only, RULES[rule].applies_to.unless
        elsewhere = "marketplace" not in only.get("target", ("marketplace",)) or unless.get("target") == ("marketplace",)
        return elsewhere or bool(item.systems and "os" in only and not set(item.systems) & set(only["os"]))

    pairs = [(item, rule) for item in ITEMS for rule in item.rules]
    assert [rule for _, rule in pairs if rule not in RULES] == []
    assert [(item.id, rule) for item, rule in pairs if never(item, rule)] == []


def test_every_rule_for_the_marketplace_belongs_to_an_item():
    asked = {rule for item in ITEMS for rule in item.rules}
    wanted = {rule.id for rule in RULES.values() if "marketplace" in rule.tags or rule.applies_to.only.get("target") == ("marketplace",)}
    assert wanted - asked == set()


def test_only_numbers_that_were_read_are_printed():
    """The table of contents gives the sections, LISA the number of the item on swap; other sub-numbers are a third party's."""
    assert {item.number for item in ITEMS} == {None, "200.1", "200.2", "200.3", "200.5", "200.6", "200.3.3"}
    assert [item.id for item in ITEMS if item.number == "200.3.3"] == ["linux-swap"]
    words = [text for item in ITEMS for text in (item.id, item.title, item.show or "")]
    assert [text for text in words if re.search(r"200\.\d\.\d", text)] == []


@pytest.mark.parametrize(
    ("a", "b", "standing", "because"),
    [
        ((PASS, ERROR), (PASS, NOTE), "passed", "ab"),
        ((PASS, ERROR), (NA, ERROR), "passed", "a"),
        ((FIXED, ERROR), (NA, ERROR), "passed", "a"),
        ((FAIL, ERROR), (PASS, ERROR), "failed", "a"),
        ((FAIL, ERROR), (UNKNOWN, ERROR), "failed", "a"),
        ((FAIL, ERROR), (FAIL, WARNING), "failed", "a"),
        ((FAIL, WARNING), (PASS, ERROR), "warning", "a"),
        ((FAIL, NOTE), (FAIL, WARNING), "warning", "ab"),
        ((FAIL, WARNING), (UNKNOWN, ERROR), "warning", "a"),
        ((UNKNOWN, NOTE), (PASS, ERROR), "undecided", "a"),
        ((UNKNOWN, ERROR), (WAIVED, ERROR), "undecided", "a"),
        ((WAIVED, ERROR), (PASS, ERROR), "waived", "a"),
        ((NA, ERROR), (NA, ERROR), "not-applicable", "ab"),
    ],
)
def test_an_item_that_is_decided_offline_is_as_its_worst_rule(a, b, standing, because):
    found = only(finding("a", *a), finding("b", *b))
    assert found[:2] == (standing, tuple(because))


@pytest.mark.parametrize("outcomes", [(PASS,), (NA,), (WAIVED,), ()])
def test_an_item_whose_rules_were_left_out_is_undecided(outcomes):
    asked = [finding(rule, outcome) for rule, outcome in zip("ab", outcomes, strict=False)]
    missing = tuple("ab"[len(outcomes) :])
    assert only(*asked) == (Standing.UNDECIDED, missing, "", f"left out: {', '.join(missing)}")


def test_what_could_not_be_decided_and_what_was_left_out_are_both_told():
    found = only(finding("a", UNKNOWN, reason="p2 was not read"))
    assert found == (Standing.UNDECIDED, ("a", "b"), "", "p2 was not read; left out: b")


def test_an_item_without_rules_is_never_passed():
    assert only(item=ITEM._replace(rules=()))[0] is Standing.UNDECIDED


def test_what_else_is_open_stands_beside_a_failure():
    item = ITEM._replace(rules=("a", "b", "c"), show="Declare it.")
    found = only(finding("a", FAIL), finding("b", UNKNOWN), item=item)
    assert found == (Standing.FAILED, ("a",), "", "Declare it. Not decided: b, c.")


@pytest.mark.parametrize(("decision", "standing"), [(Decision.PERSON, Standing.NEEDS_PERSON), (Decision.RUNNING_MACHINE, Standing.NEEDS_MACHINE)])
def test_what_is_not_decided_offline_can_be_refuted_but_never_passes(decision, standing):
    item = ITEM._replace(decision=decision, show="Show it.")
    for outcomes in ((PASS, PASS), (UNKNOWN, PASS), (WAIVED, NA), (NA, NA)):
        assert only(*(finding(*each) for each in zip("ab", outcomes, strict=True)), item=item) == (standing, (), "", "Show it.")
    assert only(item=item) == (standing, (), "", "Show it.")
    assert only(finding("a", FAIL), item=item)[:2] == (Standing.FAILED, ("a",))
    assert only(finding("a", FAIL, NOTE), finding("b", PASS), item=item)[:2] == (Standing.WARNING, ("a",))


def test_an_item_about_another_system_is_not_applicable_whatever_its_rules_say():
    item = ITEM._replace(systems=("windows",))
    assert only(finding("a", FAIL), item=item) == (Standing.NOT_APPLICABLE, (), "", "it is only about windows")


def test_where_no_system_was_found_an_item_is_as_its_rules():
    item = ITEM._replace(systems=("windows",), rules=("a",))
    nothing = "no operating system was found"
    assert only(finding("a", UNKNOWN, reason=nothing), item=item, guest=None) == (Standing.UNDECIDED, ("a",), "", nothing)


def test_of_an_unpacked_tree_nothing_about_the_disk_passes():
    unseen = finding("b", NA, reason=str(NoDisk()))
    assert only(finding("a", NA, reason=str(NoDisk())), unseen, disks=()) == (Standing.NOT_APPLICABLE, ("a", "b"), "", str(NoDisk()))
    assert only(finding("a", PASS), unseen, disks=()) == (Standing.UNDECIDED, ("b",), "", str(NoDisk()))


def test_where_warnings_decide_they_fail_items():
    assert only(finding("a", FAIL, WARNING), finding("b", PASS), fail_on=WARNING)[0] is Standing.FAILED


def test_what_was_seen_is_shown_by_place_with_a_count_of_the_rest():
    seen = tuple(Observation(number, f"/x{number}") for number in range(MAX_ACTUAL + 2))
    assert only(finding("a", FAIL, seen=seen[:1]), finding("b", FAIL, seen=(Observation(ABSENT, "/y\x1b"),)))[2] == "/x0: 0; /y\\x1b: absent"
    assert only(finding("a", FAIL, seen=seen))[2].endswith(f"/x{MAX_ACTUAL - 1}: {MAX_ACTUAL - 1}; and 2 more")


def test_the_count_begins_with_what_is_to_be_done():
    person = ITEM._replace(decision=Decision.PERSON)
    found = certify(report(finding("a", FAIL, WARNING), finding("b", PASS), items=(ITEM._replace(rules=("b",)), ITEM, person._replace(rules=()))))
    assert counts(found) == "1 with warnings, 1 for a person, 1 passed"


def test_the_report_in_the_shape_of_the_self_test():
    items = (
        ITEM._replace(test=TEST, rules=("a",)),
        ITEM._replace(id="other", rules=("b",), decision=Decision.PERSON, show="Show it."),
    )
    found = json.loads(load_reporter("selftest").render(report(finding("a", PASS, seen=(Observation((), "~/.bash_history"),)), items=items)))
    assert found == {
        "SchemaVersion": 1,
        "AppCertificationCategory": "Microsoft Single VM Certification",
        "ProviderID": "vhdprep 1.2.3, offline; no certification by Microsoft",
        "OSName": "debian 12",
        "OSDistro": "Debian GNU/Linux 12 (bookworm)",
        "OSVersion": "12",
        "CreatedDate": "11/29/2026 12:00:00",
        "TestResult": "Not decided",
        "APIVersion": "1.5",
        "Tests": [
            {
                "TestID": "48",
                "TestCaseName": "Bash History",
                "Description": "The history is empty.",
                "Result": "Passed",
                "ActualValue": "~/.bash_history: nothing",
                "RequiredValue": "no history",
            },
            {
                "TestID": "other",
                "TestCaseName": "It is so",
                "Description": "It is so.",
                "Result": "Needs a person",
                "ActualValue": "Show it.",
                "RequiredValue": "It is so",
            },
        ],
    }


def selftest(*findings, **more):
    return json.loads(load_reporter("selftest").render(report(*findings, items=(ITEM._replace(rules=("a",)),), **more)))


@pytest.mark.parametrize(
    ("outcome", "severity", "result", "whole"),
    [
        (PASS, ERROR, "Passed", "Not decided"),
        (FAIL, ERROR, "Failed", "Fail"),
        (FAIL, NOTE, "Warning", "Not decided"),
        (UNKNOWN, ERROR, "Not decided", "Not decided"),
        (WAIVED, ERROR, "Waived", "Not decided"),
        (NA, ERROR, "Not applicable", "Not decided"),
    ],
)
def test_no_word_of_the_self_test_but_passed_reads_as_passed(outcome, severity, result, whole):
    found = selftest(finding("a", outcome, severity), verdict=Verdict.READY)
    assert (found["Tests"][0]["Result"], found["TestResult"]) == (result, whole)


def test_an_image_that_is_not_ready_fails_the_self_test_as_a_whole():
    assert selftest(finding("a", PASS), verdict=Verdict.NOT_READY)["TestResult"] == "Fail"


def test_the_self_test_names_a_windows_and_a_disk_without_a_system():
    windows = GuestFacts("windows", "windows", "windows", "10.0.20348", "Windows Server 2022 Datacenter")
    names = [{key: value for key, value in selftest(guest=guest).items() if key.startswith("OS")} for guest in (windows, None)]
    assert names == [{"OSName": "Windows Server 2022 Datacenter", "OSVersion": "10.0.20348"}, {"OSName": "unknown", "OSVersion": "unknown"}]


def test_other_targets_have_no_certification():
    plain = report(finding("a", PASS), items=(), target=Target.GENERALIZED)
    assert json.loads(load_reporter("json").render(plain))["certification"] is None
    for name in ("text", "markdown", "html"):
        assert "ertification" not in load_reporter(name).render(plain)


def test_the_text_names_what_is_open_and_with_everything_the_rest():
    items = (ITEM, ITEM._replace(id="fine", title="That is fine", number=None, rules=("b",)))
    found = report(finding("a", FAIL, seen=(Observation("bad", "/etc/x"),)), finding("b", PASS), items=items)
    brief, whole = (load_reporter("text").render(found, verbose=verbose) for verbose in (False, True))
    assert "Certification for the marketplace\n  1 failed, 1 passed.\n  failed:\n    200.3.3 It is so\n      a\n\n" in brief
    assert "  failed:\n    200.3.3 It is so\n      a\n      /etc/x: bad\n  passed:\n    That is fine\n      b\n" in whole
