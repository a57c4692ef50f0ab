"""Machines of several disks: prepared together into one folder, or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures import build
from vhdprep import manifest
from vhdprep.check import check
from vhdprep.errors import CopyFailed, UsageError
from vhdprep.model import Outcome, Target, Verdict
from vhdprep.prepare import copies, run


def quiet(done, total, step):
    """No progress."""


def machine(wish, name):
    """The wish with the data disks of the recipe ``name``, and its system disk."""
    image = build.build(name)
    declared = manifest.load(build.manifest_of(name)) if "manifest" in build.recipes()[name] else None
    data = [Path(each.file) for each in declared.disks[1:]] if declared else build.data_disks(name)
    return image, wish._replace(data=tuple(data), declared=declared)


def left_in(folder):
    return sorted(each.name for each in folder.iterdir())


def test_the_disks_of_a_machine_are_converted_into_one_folder_with_their_manifest(no_files, tmp_path):
    image, wish = machine(no_files, "debian-12-data-disk-dynamic")
    made = run.prepare(image, tmp_path / "out", wish, progress=quiet)
    assert (made.before.verdict, made.after.verdict) == (Verdict.NOT_READY, Verdict.READY)
    assert {each.rule_id for each in made.after.findings if each.outcome is Outcome.FIXED} == {"vhd-type-fixed"}
    assert left_in(tmp_path) == ["out"]
    assert left_in(tmp_path / "out") == ["changes.json", "debian-12-data-disk-dynamic.data0.vhd", "debian-12-data-disk-dynamic.vhd", "manifest.yaml"]
    declared = manifest.load(tmp_path / "out" / "manifest.yaml")
    assert [(each.role, each.lun, Path(each.file).name) for each in declared.disks] == [
        ("os", None, "debian-12-data-disk-dynamic.vhd"),
        ("data", 0, "debian-12-data-disk-dynamic.data0.vhd"),
    ]
    assert [each.container.path for each in made.after.disks] == [str(tmp_path / "out" / Path(each.file).name) for each in declared.disks]


def test_disks_of_one_name_are_told_apart(no_files, tmp_path):
    image, wish = machine(no_files, "debian-12-data-disk-dynamic")
    for folder, source in (("a", image), ("b", wish.data[0])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "disk.vhd").symlink_to(source)
    run.prepare(tmp_path / "a" / "disk.vhd", tmp_path / "out", wish._replace(data=(tmp_path / "b" / "disk.vhd",)), progress=quiet)
    assert left_in(tmp_path / "out") == ["changes.json", "data0-disk.vhd", "manifest.yaml", "os-disk.vhd"]
    assert json.loads((tmp_path / "out" / "changes.json").read_text())["disks"] == [
        {"source": str(tmp_path / folder / "disk.vhd"), "copy": str(tmp_path / "out" / name)}
        for folder, name in (("a", "os-disk.vhd"), ("b", "data0-disk.vhd"))
    ]


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["a/os.vhd", "b/data.vhdx"], ["os.vhd", "data.vhd"]),
        (["a/disk.vhd", "b/Disk.raw", "c/data0-disk.vhd"], ["os-disk.vhd", "data0-Disk.vhd", "data1-data0-disk.vhd"]),
        (["manifest.yaml", "changes.json"], ["manifest.vhd", "changes.vhd"]),
        (["...vhd", "..a"], ["...vhd", "..vhd"]),
        (["caf\udce9.vhd", "\udce9.vhd", "\U0001f4be \x7f\u2028'\".vhd"], ["caf.vhd", "disk.vhd", "\U0001f4be \x7f\u2028'\".vhd"]),
    ],
)
def test_every_copy_has_a_name_of_its_own_that_its_manifest_gives_again(sources, names, tmp_path):
    with copies.open_copies(tmp_path / "out", [Path(each) for each in sources]) as work:
        work.publish("{}", Target.GENERALIZED, None)
    assert [each.destination.name for each in work.disks] == names
    assert [each.file for each in manifest.load(tmp_path / "out" / "manifest.yaml").disks] == [str(tmp_path / "out" / each) for each in names]


def test_one_disk_that_is_not_whole_keeps_the_others_from_being_copied(no_files, tmp_path):
    image, wish = machine(no_files, "debian-12-data-disk-dynamic")
    cut = tmp_path / "cut.vhd"
    cut.write_bytes(wish.data[0].read_bytes()[:-1024])
    with pytest.raises(CopyFailed):
        run.prepare(image, tmp_path / "out", wish._replace(data=(cut,)), progress=quiet)
    assert left_in(tmp_path) == ["cut.vhd"]


def test_what_is_stopped_after_the_copies_leaves_nothing(no_files, tmp_path):
    image, wish = machine(no_files, "debian-12-data-disk-dynamic")

    def stop(done, total, step):
        if step == "check":  # both copies are whole
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.prepare(image, tmp_path / "out", wish, progress=stop)
    assert left_in(tmp_path) == []


def test_a_folder_that_is_there_is_left_alone(no_files, tmp_path):
    image, wish = machine(no_files, "debian-12-data-disk-dynamic")
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="is there already"):
        run.prepare(image, tmp_path / "out", wish, progress=quiet)
    assert left_in(tmp_path) == ["out"]


def test_a_folder_of_a_killed_run_is_put_away_and_one_of_a_running_one_is_not(no_files, tmp_path):
    image, wish = machine(no_files, "debian-12-data-disk-dynamic")
    partial = tmp_path / ".out.vhdprep-partial"
    partial.mkdir()
    (partial / "half.vhd").write_text("half")
    holder = "import fcntl, os, sys, time; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holder, partial], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(UsageError, match="another vhdprep"):
            run.prepare(image, tmp_path / "out", wish, progress=quiet)
        os.kill(other.pid, signal.SIGKILL)
    run.prepare(image, tmp_path / "out", wish, progress=quiet)
    assert left_in(tmp_path) == ["out"]


def test_a_plan_of_a_machine_holds_for_all_its_disks(no_files, tmp_path):
    image, wish = machine(no_files, "debian-12-data-disk-dynamic")
    looked = run.look(image, wish)
    terms = run.make_terms(image, tmp_path, looked.report, wish)
    other = machine(no_files, "debian-12-var-on-data-disk")[1]
    with pytest.raises(UsageError, match="made for something else"):
        run.prepare(
            image, tmp_path / "out", wish._replace(data=build.data_disks("debian-12-set")[:1]), reviewed=(looked.planned.plan, terms), progress=quiet
        )
    assert other.data != wish.data
    assert run.prepare(image, tmp_path / "out", wish, reviewed=(looked.planned.plan, terms), progress=quiet).after.verdict is Verdict.READY


@pytest.mark.libguestfs
@pytest.mark.usefixtures("appliance")
def test_changes_reach_every_disk_and_the_copies_are_ready(wish, rules, tmp_path):
    image, asked = machine(wish, "debian-12-set-used")
    before = [each.read_bytes() for each in (image, *asked.data)]
    made = run.prepare(image, tmp_path / "out", asked, progress=quiet)
    assert (made.before.verdict, made.after.verdict) == (Verdict.NOT_READY, Verdict.READY)
    assert {each.spot.volume for each in made.plan.changes} == {"p3", "data4:disk"}
    assert [each.read_bytes() for each in (image, *asked.data)] == before
    declared = manifest.load(tmp_path / "out" / "manifest.yaml")
    assert [each.lun for each in declared.disks] == [None, 2, 4]
    paths = [Path(each.file) for each in declared.disks]
    again = check(paths[0], rules, data=paths[1:], declared=declared)
    assert (again.verdict, [each.rule_id for each in again.findings if each.outcome is Outcome.FAIL]) == (Verdict.READY, [])
    assert run.look(paths[0], asked._replace(data=tuple(paths[1:]), declared=declared)).planned.plan.is_empty
    assert json.loads((tmp_path / "out" / "changes.json").read_text())["verdict"] == {"before": "not-ready", "after": "ready"}


@pytest.mark.libguestfs
@pytest.mark.usefixtures("appliance")
def test_a_root_on_a_mirror_is_changed_on_both_halves(wish, tmp_path):
    image, asked = machine(wish, "debian-12-root-on-md-used")
    made = run.prepare(image, tmp_path / "out", asked, progress=quiet)
    assert (made.before.verdict, made.after.verdict) == (Verdict.NOT_READY, Verdict.READY)
    assert {each.spot.volume for each in made.plan.changes} == {"md/root"}
    assert all(b"invented\n" not in each.read_bytes() for each in (tmp_path / "out").glob("*.vhd"))
