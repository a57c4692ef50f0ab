"""Every format of the reports of four images: valid by the published schemas, and of one mind about the verdict."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import xmlschema

from tests.schemas import REPORT
from vhdprep.check import check
from vhdprep.cli.common import EXIT_CODES
from vhdprep.report import ONLY_FOR, REPORTERS, load_reporter

IMAGES = {
    "debian-12-generalized": "READY",
    "debian-12-used": "NOT READY",
    "windows-2022-answer-file": "NOT READY",
    "windows-2022-hive-missing": "INCONCLUSIVE",
    "disk-luks-root": "INCONCLUSIVE",
}


@pytest.fixture(scope="module", params=IMAGES)
def judged(request, image, rules):
    return IMAGES[request.param], check(image(request.param), rules)


def test_every_format_begins_with_the_verdict(judged):
    verdict, report = judged
    pages = {name: load_reporter(name).render(report) for name in REPORTERS}
    assert f": {verdict}\n" in pages["text"]
    assert pages["markdown"].startswith(f"## vhdprep: {verdict}: ")
    assert pages["github"].startswith(("::notice " if verdict == "READY" else "::error ") + f"title={verdict}%3A ")
    assert f"<h1>{verdict}</h1>" in pages["html"]
    REPORT.validate(json.loads(pages["json"]))
    assert json.loads(pages["sarif"])["runs"][0]["invocations"][0]["exitCode"] == EXIT_CODES[report.verdict]
    red = [case for case in ET.fromstring(pages["junit"]).iter("testcase") if case.find("failure") is not None or case.find("error") is not None]
    assert bool(red) is (verdict != "READY")


def test_every_failed_rule_stands_in_every_format(judged):
    """The self-test's shape has no place for rules."""
    _, report = judged
    failed = [each.rule_id for each in report.findings if each.outcome == "fail"]
    for name in REPORTERS:
        if name in ONLY_FOR:
            continue
        page = load_reporter(name).render(report)
        assert [rule for rule in failed if rule not in page] == []


@pytest.mark.data
def test_sarif_follows_the_schema_of_oasis(judged, data):
    schema = json.loads(data("schemas/sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
    for verbose in (False, True):
        page = load_reporter("sarif").render(judged[1], verbose=verbose)
        assert [error.message for error in validator.iter_errors(json.loads(page))] == []


@pytest.mark.data
@pytest.mark.parametrize("name", ["junit-ant.xsd", "junit-10.xsd"], ids=["ant", "jenkins"])
def test_junit_follows_the_schemas_of_ant_and_jenkins(judged, data, name):
    xmlschema.XMLSchema(data(f"schemas/{name}")).validate(ET.fromstring(load_reporter("junit").render(judged[1])))


@pytest.mark.parametrize("name", REPORTERS)
def test_what_was_only_inspected_has_no_verdict_and_nothing_green(name, image):
    from vhdprep.check import inspect

    page = load_reporter(name).render(inspect(image("debian-12-generalized")))
    assert "READY" not in page
    if name == "junit":
        assert 'errors="1"' in page
    if name == "sarif":
        assert "exitCode" not in json.loads(page)["runs"][0]["invocations"][0]


def test_two_reports_of_one_image_differ_only_in_the_run(image, rules):
    report = check(image("debian-12-used"), rules)
    later = report._replace(started="2031-01-01T00:00:00+00:00", seconds=7.0)
    first, second = (json.loads(load_reporter("sarif").render(each)) for each in (report, later))
    assert first["runs"][0].pop("invocations") != second["runs"][0].pop("invocations")
    assert first == second
