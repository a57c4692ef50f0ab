"""Many images on one machine: every one gets its answer, whatever happens over the others, and nothing is done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or not Path("/proc").is_dir(), reason="these tests look at processes as Linux shows them")


def verdicts(summary):
    return {each["subject"].rpartition("/")[2]: each["verdict"] for each in summary["images"]}


def errors(summary):
    return {each["subject"].rpartition("/")[2]: each["error"] for each in summary["images"] if each["error"]}


def wait_for(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen within half a minute")


def test_every_image_is_judged_as_check_judges_it(fleet):
    fleet.add("a.vhd")
    fleet.add("deep/b.VHD", "debian-12-used")
    fleet.add("c.vhd", "container-checksum")
    fleet.add("notes.txt")
    summary = fleet.summary("images", "--jobs", 2, "--results", "kept")
    assert verdicts(summary) == {"a.vhd": "ready", "b.VHD": "not-ready", "c.vhd": "not-ready"}
    assert summary["counts"] == {"images": 3, "ready": 1, "not-ready": 2, "inconclusive": 0, "not-judged": 0, "not-reached": 0}
    for each in summary["images"]:
        command = [sys.executable, "-m", "vhdprep", "check", each["subject"], "--format", "json"]
        alone = json.loads(subprocess.run(command, capture_output=True, env=fleet.environment, cwd=fleet.folder, check=False).stdout)
        kept = json.loads((fleet.folder / each["report"]).read_text())
        assert {**alone, "run": None} == {**kept, "run": None}
        assert each["counts"] == alone["counts"]
    assert fleet.processes() == []


def test_what_happens_over_one_image_stays_with_it(fleet):
    for name in ("a.vhd", "bug-b.vhd", "deadly-c.vhd", "forever-d.vhd", "once-e.vhd", "z.vhd"):
        fleet.add(name)
    (fleet.images / "corrupt.vhd").write_bytes(bytes(range(256)) * 64)
    (fleet.folder / "list").write_text("# the library\nimages/*.vhd\n\nimages/gone.vhd\n")
    summary = fleet.summary("@list", "--jobs", 2, "--timeout", 8)
    assert errors(summary) == {
        "bug-b.vhd": "vhdprep failed over it, which is a bug: ValueError: a bug",
        "deadly-c.vhd": "the worker died 3 times while it judged it, last of signal 9",
        "forever-d.vhd": "it was not judged within 8 seconds by the clock",
        "gone.vhd": "images/gone.vhd: there is no such file; check the path",
    }
    assert {name: verdict for name, verdict in verdicts(summary).items() if name not in errors(summary)} == {
        "a.vhd": "ready",
        "corrupt.vhd": "not-ready",
        "once-e.vhd": "ready",
        "z.vhd": "ready",
    }
    assert fleet.processes() == []


def test_a_second_run_does_only_what_is_missing(fleet):
    first, second, third = (fleet.add(name) for name in ("a.vhd", "b.vhd", "bug-c.vhd"))
    once = fleet.summary("images", "--results", "kept")
    assert (fleet.judged(), once["run"]["reused"]) == (["a.vhd", "b.vhd", "bug-c.vhd"], 0)
    again = fleet.summary("images", "--results", "kept")
    assert (fleet.judged(), again["run"]["reused"]) == (["bug-c.vhd"], 2)
    assert {**once, "run": None} == {**again, "run": None}
    os.utime(second)
    third.unlink()
    (fleet.folder / once["images"][0]["report"]).write_text('{"schema": "vhdprep-report/1"}')
    fleet.summary("images", "--results", "kept")
    assert fleet.judged() == ["a.vhd", "b.vhd"]
    assert len(list((fleet.folder / "kept").iterdir())) == 2
    fleet.summary("images", "--results", "kept", "--select", "vhd-*", "--as", "specialized")
    assert fleet.judged() == ["a.vhd", "b.vhd"]
    assert len(list((fleet.folder / "kept").iterdir())) == 4
    fleet.summary(first, "--results", "kept", "--fresh")
    assert fleet.judged() == ["a.vhd"]


def test_a_program_that_is_killed_loses_nothing_that_was_finished(fleet):
    for number in range(8):
        fleet.add(f"slow-{number}.vhd")
    kept = fleet.folder / "kept"
    process = fleet.start("images", "--jobs", 2, "--results", "kept")
    wait_for(lambda: kept.exists() and len(list(kept.glob("*.json"))) >= 2)
    process.kill()
    process.communicate()
    wait_for(lambda: not fleet.processes())
    finished = {path.name.partition(".vhd")[0] + ".vhd" for path in kept.glob("*.json")}
    fleet.judged()
    summary = fleet.summary("images", "--jobs", 2, "--results", "kept")
    assert set(fleet.judged()) == {f"slow-{number}.vhd" for number in range(8)} - finished
    assert summary["counts"]["ready"] == 8
    assert summary["run"]["reused"] == len(finished) >= 2


@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_the_run_gets_what_is_finished_and_leaves_no_process(fleet, wish):
    for number in range(8):
        fleet.add(f"slow-{number}.vhd")
    fleet.add("forever-9.vhd")
    kept = fleet.folder / "kept"
    process = fleet.start("images", "--jobs", 2, "--results", "kept", "--format", "json")
    wait_for(lambda: kept.exists() and len(list(kept.glob("*.json"))) >= 2)
    begin = time.monotonic()
    process.send_signal(wish)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err, time.monotonic() - begin < 10) == (130, "", True)
    assert fleet.processes() == []
    summary = json.loads(out)
    assert summary["verdict"] == "inconclusive"
    assert summary["counts"]["ready"] >= 2
    assert summary["counts"]["ready"] + summary["counts"]["not-reached"] == 9


def test_a_disk_of_a_named_machine_is_judged_with_it_and_not_by_itself(fleet):
    fleet.add("os.vhd")
    fleet.add("data.vhd")
    fleet.add("other.vhd")
    (fleet.folder / "vm.yaml").write_text("disks:\n  - {file: images/os.vhd, role: os}\n  - {file: images/data.vhd}\ndestination: specialized\n")
    (fleet.folder / "wrong.yaml").write_text("discs: []\n")
    summary = fleet.summary("vm.yaml", "wrong.yaml", "images", "--results", "kept")
    assert [each["subject"] for each in summary["images"]] == ["images/other.vhd", "vm.yaml", "wrong.yaml"]
    assert errors(summary)["wrong.yaml"].endswith("wrong.yaml:1: unknown key 'discs'; did you mean disks?")
    report = json.loads((fleet.folder / summary["images"][1]["report"]).read_text())
    assert (report["target"], [each["role"] for each in report["disks"]]) == ("specialized", ["os", "data"])
    fleet.judged()
    os.utime(fleet.images / "data.vhd")
    fleet.summary("vm.yaml", "--results", "kept")
    assert fleet.judged() == ["os.vhd"]


def test_waivers_digests_and_severity_count_as_for_check(fleet):
    fleet.add("a.vhd", "debian-12-used")
    (fleet.folder / "w.yaml").write_text("- {rule: linux-ssh-host-keys-removed, reason: A lab., owner: lab, expiry: 2999-01-31}\n")
    summary = fleet.summary("images", "--waivers", "w.yaml", "--digest", "--results", "kept", "--select", "linux-ssh-host-keys-removed")
    assert summary["verdict"] == "inconclusive" or summary["verdict"] == "ready"
    assert summary["images"][0]["findings"][0]["outcome"] == "waived"
    report = json.loads((fleet.folder / summary["images"][0]["report"]).read_text())
    assert len(report["disks"][0]["digests"]["file"]) == 64


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: there is no such file, folder or match"),
        (["images"], "images: there is no image; files are recognised by .vhd, .vhdx, .avhd, .avhdx, or all of them taken with --all"),
        (["images", "--all", "--jobs", "0"], "--jobs takes 1 to 1024, not 0"),
        (["images", "--all", "--timeout", "0"], "--timeout takes seconds, not 0"),
        (["images", "--all", "--fail-on", "note"], "--fail-on takes error or warning, not 'note'"),
        (["images", "--all", "--fresh"], "--fresh is about --results DIR; without it everything is judged anyway"),
        (
            ["images", "--all", "--format", "selftest"],
            "there is no report format 'selftest'; choose one of: text, json, markdown, sarif, junit, html",
        ),
        (["images", "--all", "--output", "images/a.img"], "images/a.img: is the image, or another file of this run; name another one for the report"),
        (["images", "--all", "--select", "nothing"], "no rule is called 'nothing'; see `vhdprep rules list`"),
        (["@nowhere"], "nowhere: the list cannot be read (No such file or directory)"),
    ],
)
def test_a_call_that_cannot_be_meant_starts_nothing(fleet, arguments, said):
    fleet.add("a.img")
    assert fleet.run(*arguments) == (2, "", f"vhdprep: {said}\n")
    assert fleet.judged() == []
