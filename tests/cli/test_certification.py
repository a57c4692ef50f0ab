"""``check --as marketplace``: every item of certification once, in every format, and the self-test's JSON for no other target."""

from __future__ import annotations

import json

import pytest
from markupsafe import escape

from fixtures import build, filesystem
from tests.cli.test_cli import run
from tests.schemas import REPORT
from vhdprep.guest import policies
from vhdprep.report.markdown import plain

ITEMS = policies.items()
AS = ("--as", "marketplace")


@pytest.fixture(scope="module")
def reports(image, tmp_path_factory):
    """One run's reports by format, of an image that has a scanner, a timer and a job too many."""
    folder = tmp_path_factory.mktemp("reports")
    formats = ("json", "markdown", "html", "selftest")
    pairs = [part for each in formats for part in ("--report", f"{each}={folder / each}")]
    done = run("check", image("debian-12-jobs-and-scanner-marketplace"), *AS, "--verbose", *pairs)
    assert (done.returncode, done.stderr) == (1, "")
    return {"text": done.stdout} | {each: (folder / each).read_text(encoding="utf-8") for each in formats}


def test_every_format_lists_every_item_once(reports):
    values = json.loads(reports["json"])
    REPORT.validate(values)
    assert [each["id"] for each in values["certification"]] == [item.id for item in ITEMS]
    assert [reports["html"].count(f'<th scope="row">{escape(item.title)}</th>') for item in ITEMS] == [1] * len(ITEMS)
    assert [reports["markdown"].count(f"| {plain(item.title)} | {item.decision} |") for item in ITEMS] == [1] * len(ITEMS)
    answers = json.loads(reports["selftest"])
    assert [each["TestID"] for each in answers["Tests"]] == [item.test.id if item.test else item.id for item in ITEMS]
    assert answers["TestResult"] == "Fail"
    for item in ITEMS:
        assert "    " + (f"{item.number} {item.title}" if item.number else item.title)[:60] in reports["text"]


def test_items_stand_as_their_rules_say(reports):
    found = {each["id"]: (each["outcome"], each["because"]) for each in json.loads(reports["json"])["certification"]}
    assert {name: found[name] for name in ("linux-disk-sizes", "no-antivirus", "scheduled-tasks", "data-disk-size", "windows-specifics")} == {
        "linux-disk-sizes": ("failed", ["disk-size-linux-marketplace"]),
        "no-antivirus": ("warning", ["linux-antivirus-and-remote-control-absent"]),
        "scheduled-tasks": ("warning", ["linux-system-jobs-known"]),
        "data-disk-size": ("not-applicable", ["disk-size-data-marketplace", "disk-size-data-marketplace-advised"]),
        "windows-specifics": ("not-applicable", []),
    }


def test_a_waived_rule_waives_its_item_and_one_left_out_leaves_it_undecided(image, tmp_path):
    waivers = tmp_path / "waivers.yaml"
    waivers.write_text("- {rule: linux-system-jobs-known, reason: The offer needs it., owner: x, expiry: 2999-12-31}\n")
    options = ("--waivers", waivers, "--ignore", "linux-shell-history-empty", "--format", "json")
    values = json.loads(run("check", image("debian-12-jobs-and-scanner-marketplace"), *AS, *options).stdout)
    found = {each["id"]: (each["outcome"], each["reason"]) for each in values["certification"]}
    assert found["scheduled-tasks"] == ("waived", "")
    assert found["history"] == found["test-bash-history"] == ("undecided", "left out: linux-shell-history-empty")


def test_secrets_are_not_in_the_self_test(image):
    answers = run("check", image("debian-12-used"), *AS, "--format", "selftest").stdout
    history = next(each for each in json.loads(answers)["Tests"] if each["TestCaseName"] == "Bash History")
    assert history["Result"] == "Failed"
    assert (
        history["ActualValue"] == "/home/azureuser/.bash_history: 23 bytes, SHA-256 96a69e003d56; /root/.bash_history: 62 bytes, SHA-256 4dcb00d7c573"
    )


@pytest.mark.parametrize(
    "arguments", [("check", "--format", "selftest"), ("inspect", "--format", "selftest"), ("check", "--report", "selftest=x.json")]
)
def test_the_self_test_is_refused_for_another_target(image, arguments):
    done = run(arguments[0], image("debian-12-generalized"), *arguments[1:])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "vhdprep: the report format selftest is only for `check --as marketplace`\n"


def test_an_unpacked_tree_passes_no_item_about_the_disk(tmp_path):
    filesystem.lay_out(build.tree("debian-12"), tmp_path / "root")
    values = json.loads(run("check", "--root", tmp_path / "root", *AS, "--format", "json").stdout)
    about_the_disk = ("vhd-footer", "size-whole-mib", "first-mib", "data-disk-size", "linux-disk-sizes")
    found = {each["id"]: each["outcome"] for each in values["certification"] if each["id"] in about_the_disk}
    assert found == dict.fromkeys(about_the_disk, "not-applicable")
    assert values["disks"] == []
