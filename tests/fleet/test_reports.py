"""The summary in every format: the same facts, and nothing that a hostile name or finding could add."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from vhdprep.fleet.report import REPORTERS, load_reporter
from vhdprep.fleet.report import json as as_json
from vhdprep.fleet.summary import Entry, RuleCount, RuleFacts, Run, Summary, Told
from vhdprep.model import Outcome, Severity, Verdict

ROOT = Path(__file__).resolve().parent.parent.parent
SCHEMA = json.loads((ROOT / "vhdprep" / "fleet" / "report" / "schema.json").read_text())
HOSTILE = "<script>alert(1)</script>|`x` [a](http://b) \x1b[31m\u202e\n::error::"
FACTS = {
    "a-b": RuleFacts("A is b", Severity.ERROR, "Because.", ("https://example.org/a",)),
    "c-d": RuleFacts("C is d", Severity.WARNING, "Because.", ()),
}


def entry(subject, verdict, *told, gaps=(), error=None, report=None):
    return Entry(subject, verdict, {} if error else {"pass": 3, "fail": len(told)}, gaps, error, told, report)


def summary(text="x", *, missing=0):
    entries = (
        entry(f"1{text}.vhd", Verdict.NOT_READY, Told("a-b", Outcome.FAIL, text), Told("c-d", Outcome.FAIL, text), report=f"kept/{text}.json"),
        entry("2.vhd", Verdict.INCONCLUSIVE, Told("a-b", Outcome.UNKNOWN, text), gaps=(f"p1: {text}",)),
        entry("3.vhd", Verdict.INCONCLUSIVE, error=text),
        entry("4.vhd", Verdict.READY, Told("a-b", Outcome.WAIVED, text), Told("c-d", Outcome.FAIL, text)),
        entry("5.vhd", Verdict.INCONCLUSIVE),
    )
    run = Run("2026-11-29T10:00:00+00:00", 2.0, "processes", 2, 1)
    return Summary(entries, missing, FACTS, None, Severity.ERROR, "ab" * 32, 2, 0, "1.0", run)


def render(name, text="x", **how):
    return load_reporter(name).render(summary(text), **how)


def test_rules_that_fail_most_come_first_and_the_worst_image_decides():
    found = summary()
    assert found.rules() == [RuleCount("c-d", 2, 0, 0), RuleCount("a-b", 1, 1, 1)]
    assert found.verdict is Verdict.NOT_READY
    assert found._replace(entries=found.entries[1:]).verdict is Verdict.INCONCLUSIVE
    assert found._replace(entries=found.entries[3:4]).verdict is Verdict.READY
    assert found._replace(entries=found.entries[3:4], missing=1).verdict is Verdict.INCONCLUSIVE
    assert found._replace(entries=()).verdict is Verdict.INCONCLUSIVE


def test_the_text_says_how_many_which_and_why():
    assert render("text") == (
        "5 images: NOT READY\n"
        "  1 ready, 1 not ready, 2 inconclusive, 1 not judged\n"
        "\n"
        "Not ready: 1 image\n"
        "  1x.vhd\n"
        "      a-b\n"
        "\n"
        "Inconclusive: 3 images\n"
        "  2.vhd\n"
        "      not read: p1: x; a-b undecided\n"
        "  3.vhd\n"
        "      x\n"
        "  5.vhd\n"
        "      no error rule applied\n"
        "\n"
        "Rules that fail most\n"
        "  failed  undecided  waived\n"
        "       2          0       0  warning  c-d\n"
        "       1          1       1  error    a-b\n"
        "\n"
        "4 judged in 2.0 s by processes, 2.0 a second; 1 as they were judged before.\n"
    )


def test_the_json_keeps_to_its_schema_also_when_a_run_was_ended():
    for found in (summary(), summary(HOSTILE, missing=3)):
        jsonschema.validate(json.loads(as_json.render(found)), SCHEMA)
    assert as_json.document(summary(missing=3))["counts"] == {
        "images": 8,
        "ready": 1,
        "not-ready": 1,
        "inconclusive": 2,
        "not-judged": 1,
        "not-reached": 3,
    }


@pytest.mark.parametrize("missing", [0, 1])
def test_in_junit_a_suite_is_red_if_and_only_if_its_image_is_not_ready(missing):
    suites = ET.fromstring(load_reporter("junit").render(summary(missing=missing))).findall("testsuite")
    red = {each.get("name"): bool(int(each.get("failures")) + int(each.get("errors"))) for each in suites}
    assert red == {"1x.vhd": True, "2.vhd": True, "3.vhd": True, "4.vhd": False, "5.vhd": True} | ({"vhdprep fleet": True} if missing else {})
    assert all(int(each.get("tests")) == len(each.findall("testcase")) for each in suites)


def test_in_sarif_every_result_leads_to_its_image():
    (run,) = json.loads(render("sarif"))["runs"]
    rules = [each["id"] for each in run["tool"]["driver"]["rules"]]
    found = []
    for each in run["results"]:
        place = each["locations"][0]["physicalLocation"]["artifactLocation"]
        assert run["artifacts"][place["index"]]["location"]["uri"] == place["uri"]
        assert rules[each["ruleIndex"]] == each["ruleId"]
        found.append((place["uri"], each["ruleId"], each["kind"], each["level"], len(each["suppressions"])))
    assert found == [
        ("1x.vhd", "a-b", "fail", "error", 0),
        ("1x.vhd", "c-d", "fail", "warning", 0),
        ("2.vhd", "vhdprep-everything-read", "open", "none", 0),
        ("2.vhd", "a-b", "open", "none", 0),
        ("3.vhd", "vhdprep-everything-read", "open", "none", 0),
        ("4.vhd", "a-b", "fail", "error", 1),
        ("4.vhd", "c-d", "fail", "warning", 0),
    ]


def test_sarif_keeps_to_the_schema_of_oasis(data):
    jsonschema.validate(json.loads(render("sarif", HOSTILE)), json.loads(data("schemas/sarif-schema-2.1.0.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", ["junit-ant.xsd", "junit-10.xsd"], ids=["ant", "jenkins"])
def test_junit_keeps_to_the_schema_of(name, data):
    xmlschema = pytest.importorskip("xmlschema")
    xmlschema.XMLSchema(str(data(f"schemas/{name}"))).validate(render("junit", HOSTILE))


def tags(page):
    return re.findall(r"<[/a-z!][^>]*?(?=[\s>])", page)


@pytest.mark.parametrize("name", REPORTERS)
@pytest.mark.parametrize("verbose", [False, True])
def test_what_an_image_says_adds_nothing_to_a_report(name, verbose):
    page = render(name, HOSTILE, verbose=verbose)
    assert not set("\x1b\u202e") & set(page)
    assert "\n::error::" not in page
    if name in ("html", "junit"):
        assert tags(page) == tags(render(name, verbose=verbose))
    if name == "markdown":
        assert "<script>" not in page
        assert "](http" not in page


def test_a_page_leads_to_the_report_of_each_image_and_asks_for_nothing():
    page = render("html")
    assert re.findall(r'href="([^"#]+)"', page) == ["kept/x.json"]
    assert "<script" not in page
    assert 'src="' not in page
