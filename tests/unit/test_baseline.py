"""What is new against an earlier report, and reports that are old, broken or made to harm."""

from __future__ import annotations

import json

import pytest

from tests.unit.test_waivers import finding, report
from vhdprep import baseline, savedreport
from vhdprep.accepted import Baseline
from vhdprep.errors import UsageError
from vhdprep.model import Observation, Target, Verdict
from vhdprep.report import load_reporter


def saved(tmp_path, *findings, **changes):
    path = tmp_path / "last.json"
    values = json.loads(load_reporter("json").render(report(*findings)._replace(verdict=Verdict.NOT_READY)))
    path.write_text(json.dumps(values | changes))
    return path


def against(tmp_path, before, now):
    path = saved(tmp_path, *before)
    done = baseline.apply(report(*now), baseline.load(path), "last.json")
    return [each.is_new for each in done.findings], done.baseline


def line(rule, where, text):
    return finding(rule)._replace(observations=(Observation(text, where),))


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        (finding("a", "pass"), finding("a"), True),
        (finding("a"), finding("a"), False),
        (finding("a", "fail", "/x", "/y"), finding("a", "fail", "/x"), False),
        (finding("a", "fail", "/x"), finding("a", "fail", "/x", "/y"), True),
        (finding("a", "unknown"), finding("a"), True),
        (finding("a"), finding("a", "unknown"), True),
        (finding("a", "waived"), finding("a"), True),
        (finding("a"), finding("a", "waived"), None),
        (finding("a"), finding("a", "pass"), None),
        (line("a", "/etc/ssh/key", "399 bytes"), line("a", "/etc/ssh/key", "411 bytes"), False),
        (line("a", "/etc/fstab:3", "sdb1"), line("a", "/etc/fstab:7", "sdb1"), False),
        (line("a", "/etc/fstab:3", "sdb1"), line("a", "/etc/fstab:3", "sdc1"), True),
    ],
)
def test_what_is_new(tmp_path, before, now, new):
    assert against(tmp_path, [before], [now])[0] == [new]


def test_what_is_gone_is_named(tmp_path):
    _, found = against(
        tmp_path,
        [finding("a"), finding("b", "unknown"), finding("c"), finding("elsewhere")],
        [finding("a", "pass"), finding("b", "pass"), finding("c")],
    )
    assert found == Baseline("last.json", "out/debian.vhd", "not-ready", ("a", "b"))


def test_another_target_is_told(tmp_path):
    before = baseline.load(saved(tmp_path))
    assert "different rules were asked" in baseline.apply(report()._replace(target=Target.SPECIALIZED), before, "last.json").notices[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no JSON; make it with"),
        ("\ud800".encode("utf-16", "surrogatepass").decode("latin-1"), "is no JSON"),
        ("[" * 200_000, "is no JSON"),
        ("9" * 5000, "is no JSON"),
        ("[]", "its schema is 'None', not 'vhdprep-report/1'"),
        ('{"schema": "vhdprep-report/2"}', "its schema is 'vhdprep-report/2'"),
        ('{"schema": "vhdprep-report/1"}', "report.subject is no text"),
    ],
)  # fmt: skip
def test_what_is_no_report_is_told(tmp_path, text, words):
    path = tmp_path / "last.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        savedreport.read(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"findings": 1}, "report.findings is no list"),
        ({"findings": [1]}, r"findings\[0\] is no object"),
        (
            {"findings": [{"rule_id": "a", "observations": [], "severity": "error", "outcome": []}]},
            r"findings\[0\].outcome is '\[\]', none of pass, fail",
        ),
        ({"findings": [{"rule_id": 1, "observations": [{"where": {}}]}]}, r"findings\[0\].where is no text"),
        ({"target": "vm"}, "target is 'vm', none of generalized"),
        ({"verdict": "good"}, "verdict is 'good', none of ready"),
        ({"gaps": None}, "report.gaps is no list"),
        ({"verdict": None}, "is a report of `inspect`, which asks no rules"),
    ],
)
def test_a_report_that_is_bent_is_told(tmp_path, changes, words):
    with pytest.raises(UsageError, match=words):
        baseline.load(saved(tmp_path, **changes))


def test_a_report_of_an_older_version_has_less_in_it(tmp_path):
    path = saved(tmp_path, finding("a"))
    values = json.loads(path.read_text())
    for name in ("fail_on", "notices", "baseline", "phase"):
        del values[name]
    for each in values["findings"]:
        del each["waivers"], each["is_new"]
    path.write_text(json.dumps(values))
    assert [each.rule_id for each in baseline.load(path).findings] == ["a"]


def test_a_report_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(savedreport, "MAX_REPORT", 100)
    with pytest.raises(UsageError, match="is larger than 100 bytes"):
        baseline.load(saved(tmp_path))
