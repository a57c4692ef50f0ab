"""The gate of a pipeline: waivers, a baseline, --fail-on, and the exit code that comes of them."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.cli.test_cli import run
from tests.schemas import REPORT

RULE = "linux-ssh-host-keys-removed"
WAIVER = "- rule: {rule}\n  reason: The lab keeps its keys.\n  owner: lab@example.org\n  expiry: {expiry}\n{more}"


@pytest.fixture
def waivers(tmp_path):
    def write(rule=RULE, expiry="2999-12-31", more=""):
        path = tmp_path / "waivers.yaml"
        path.write_text(WAIVER.format(rule=rule, expiry=expiry, more=more))
        return path

    return write


def report(*arguments):
    done = run("check", "--format", "json", *arguments)
    values = json.loads(done.stdout)
    REPORT.validate(values)
    return done.returncode, values


def test_a_waived_failure_lets_the_image_through_and_is_told(image, waivers):
    path = image("debian-12-host-keys")
    assert run("check", path).returncode == 1
    code, values = report(path, "--waivers", waivers())
    (found,) = (each for each in values["findings"] if each["rule_id"] == RULE)
    assert (code, values["verdict"], values["counts"]["waived"], found["outcome"]) == (0, "ready", 1, "waived")
    assert found["waivers"] == [
        {
            "rule": RULE, "reason": "The lab keeps its keys.", "owner": "lab@example.org", "expiry": "2999-12-31", "outcome": None, "image": None,
            "path": None, "place": f"{waivers()}:1", "expired": False,
        }
    ]  # fmt: skip
    text = run("check", path, "--waivers", waivers()).stdout
    assert "1 finding is waived\n  linux-ssh-host-keys-removed: " in text
    assert "until 2999-12-31 by lab@example.org: The lab keeps its keys." in " ".join(text.split())
    assert "1 waived; everything was read." in " ".join(text.split())


def test_an_expired_waiver_stops_the_image_again_and_says_so(image, waivers):
    done = run("check", image("debian-12-host-keys"), "--waivers", waivers(expiry="2026-01-01"))
    assert done.returncode == 1
    assert "the waiver of linux-ssh-host-keys-removed by lab@example.org expired on 2026-01-01; the finding counts again" in " ".join(
        done.stdout.split()
    )


def test_a_waiver_that_nothing_needs_is_told(image, waivers):
    done = run("check", image("debian-12-generalized"), "--waivers", waivers())
    assert (done.returncode, "is of no use here any more; remove it" in " ".join(done.stdout.split())) == (0, True)


def test_a_defect_of_the_container_is_waived_only_by_name(image, waivers):
    path = image("container-checksum")
    failed = [each["rule_id"] for each in report(path)[1]["findings"] if (each["severity"], each["outcome"]) == ("error", "fail")]
    assert "vhd-footer-checksum-valid" in failed
    for more, outcome in (("", "fail"), ("  outcome: fail\n", "waived")):
        _, values = report(path, "--waivers", waivers("vhd-footer-checksum-valid", more=more))
        assert {each["outcome"] for each in values["findings"] if each["rule_id"] == "vhd-footer-checksum-valid"} == {outcome}


def test_a_waiver_for_one_image_holds_for_no_other(image, waivers):
    path = image("debian-12-host-keys")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert report(path, "--waivers", waivers(more=f"  image: sha256:{digest}\n"))[0] == 0
    assert report(path, "--waivers", waivers(more=f"  image: sha256:{'0' * 64}\n"))[0] == 1


def test_a_broken_file_of_waivers_judges_nothing(image, waivers):
    path = waivers("linux-ssh-host-key-removed")
    done = run("check", image("debian-12-generalized"), "--waivers", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"vhdprep: {path}:1: no rule is called 'linux-ssh-host-key-removed'; did you mean linux-ssh-host-keys-removed?\n"


def test_two_runs_of_one_day_differ_only_under_run(image, waivers):
    (_, one), (_, other) = (report(image("debian-12-used"), "--waivers", waivers()) for _ in range(2))
    assert {**one, "run": None} == {**other, "run": None}


def test_a_run_in_which_no_error_rule_applied_is_not_green(image):
    code, values = report(image("debian-12-generalized"), "--select", "windows-setup-*")
    assert (code, values["verdict"], values["counts"]["fail"]) == (3, "inconclusive", 0)


def test_warnings_keep_an_image_back_where_that_is_asked_for(image):
    path = image("debian-12-used")
    warned = [each["rule_id"] for each in report(path)[1]["findings"] if (each["severity"], each["outcome"]) == ("warning", "fail")]
    only = [option for rule in (*warned[:1], "vhd-type-fixed") for option in ("--select", rule)]
    assert report(path, *only)[0] == 0
    code, values = report(path, *only, "--fail-on", "warning")
    assert (code, values["verdict"], values["fail_on"], values["upload"]) == (1, "not-ready", "warning", None)
    assert "1 warning must be fixed before the upload" in run("check", path, *only, "--fail-on", "warning").stdout
    assert "takes error or warning, not 'note'" in run("check", path, "--fail-on", "note").stderr


def test_against_a_baseline_only_what_is_new_is_shown_and_all_of_it_counts(image, tmp_path):
    last = tmp_path / "last.json"
    assert run("check", image("debian-12-host-keys"), "--format", "json", "--output", last).returncode == 1
    same = run("check", image("debian-12-host-keys"), "--baseline", last)
    assert same.returncode == 1
    assert "error  linux" not in same.stdout
    assert "not-ready): 0 new, 1 as before (linux-ssh-host-keys-removed). The verdict counts them all." in " ".join(same.stdout.split())
    assert "1 error must be fixed" in run("check", image("debian-12-host-keys"), "--baseline", last, "--verbose").stdout
    good = run("check", image("debian-12-generalized"), "--baseline", last)
    assert (good.returncode, "0 new, 0 as before; gone since: linux-ssh-host-keys-removed" in " ".join(good.stdout.split())) == (0, True)
    assert run("check", image("debian-12-generalized"), "--format", "json", "--output", last).returncode == 0
    code, values = report(image("debian-12-host-keys"), "--baseline", last)
    assert (code, [each["rule_id"] for each in values["findings"] if each["is_new"]]) == (1, [RULE])
    assert "1 new error must be fixed" in run("check", image("debian-12-host-keys"), "--baseline", last).stdout


def test_a_baseline_that_is_none_judges_nothing(image, tmp_path):
    for path, words in ((tmp_path / "none.json", "make it with `vhdprep check"), (image("debian-12-generalized"), "that is no report")):
        done = run("check", image("debian-12-generalized"), "--baseline", path)
        assert (done.returncode, done.stdout, words in done.stderr) == (2, "", True)
