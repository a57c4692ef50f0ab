"""What must hold whatever goes wrong. Only the container is wrong here, so nothing is edited and no appliance is needed."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import time

import pytest

from vhdprep import isolate
from vhdprep.check import check
from vhdprep.errors import CopyFailed, UsageError
from vhdprep.model import Outcome, Target, Verdict
from vhdprep.prepare import planfile, run


def quiet(done, total, step):
    """No progress."""


def left_in(folder):
    return sorted(each.name for each in folder.iterdir())


def test_a_dynamic_disk_becomes_a_fixed_one_beside_its_list_of_changes(image, no_files, tmp_path):
    source, copy = image("debian-12-dynamic"), tmp_path / "copy.vhd"
    made = run.prepare(source, copy, no_files, progress=quiet)
    assert (made.before.verdict, made.after.verdict) == (Verdict.NOT_READY, Verdict.READY)
    assert {each.rule_id for each in made.after.findings if each.outcome is Outcome.FIXED} == {"vhd-type-fixed"}
    assert left_in(tmp_path) == ["copy.vhd", "copy.vhd.changes.json"]
    assert run.look(copy, no_files).planned.plan.is_empty


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("container-misaligned-512", "vhd-size-whole-mib"),
        ("container-raw", "vhd-container-not-raw"),
        ("container-features", "vhd-footer-features-plain"),
    ],
)
def test_what_is_wrong_with_the_container_is_cured_by_copying(image, rules, tmp_path, name, rule):
    wish = run.Wish(tuple(each for each in rules if each.id.startswith(("vhd-", "vhdx-", "disk-"))))
    made = run.prepare(image(name), tmp_path / "copy.vhd", wish, progress=quiet)
    assert rule in made.plan.copy
    assert rule in {each.rule_id for each in made.after.findings if each.outcome in (Outcome.FIXED, Outcome.NOT_APPLICABLE)}
    assert made.after.verdict is Verdict.READY


def test_no_time_of_the_source_changes(image, no_files, tmp_path):
    source = tmp_path / "source.vhd"
    source.write_bytes(image("debian-12-dynamic").read_bytes())
    os.utime(source, ns=(10**18, 2 * 10**18))  # looked at before it was written: a look would be noted
    before = source.stat()
    run.prepare(source, tmp_path / "copy.vhd", no_files, progress=quiet)
    assert source.stat() == before


def test_what_stands_at_the_destination_is_never_overwritten(image, no_files, tmp_path):
    copy = tmp_path / "copy.vhd"
    copy.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        run.prepare(image("debian-12-dynamic"), copy, no_files, progress=quiet)
    assert copy.read_text() == "mine"
    assert left_in(tmp_path) == ["copy.vhd"]


def test_a_list_of_changes_that_is_there_already_is_said_before_anything_is_copied(image, no_files, tmp_path):
    (tmp_path / "copy.vhd.changes.json").write_text("an older one")
    steps = []
    with pytest.raises(UsageError, match=r"copy\.vhd\.changes\.json: is there already"):
        run.prepare(image("debian-12-dynamic"), tmp_path / "copy.vhd", no_files, progress=lambda *step: steps.append(step))
    assert steps == []
    assert left_in(tmp_path) == ["copy.vhd.changes.json"]


def test_an_interruption_while_the_copy_is_looked_at_leaves_nothing(image, no_files, tmp_path):
    def stop(done, total, step):
        if step == "check":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.prepare(image("debian-12-dynamic"), tmp_path / "copy.vhd", no_files, progress=stop)
    assert left_in(tmp_path) == []


def test_a_copy_that_would_be_worse_gets_no_name(image, no_files, tmp_path, monkeypatch):
    original = run._look_at_copy

    def damaged(work, *rest):
        work.disks[0].file.seek(-512, os.SEEK_END)
        work.disks[0].file.write(b"\0" * 512)  # as if the footer had not been written
        return original(work, *rest)

    monkeypatch.setattr(run, "_look_at_copy", damaged)
    made = run.prepare(image("debian-12-generalized"), tmp_path / "copy.vhd", no_files, progress=quiet)
    assert made.ledger is None
    assert made.worse
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("moment", [0.05, 0.3, 0.6, 0.9, 1.2, 1.6])
def test_a_run_that_is_killed_leaves_no_copy_and_does_not_stand_in_the_way_of_the_next(image, no_files, tmp_path, moment):
    source, copy = image("debian-12-dynamic"), tmp_path / "copy.vhd"
    before = source.read_bytes()
    command = [sys.executable, "-m", "vhdprep", "prepare", source, copy, "--select", "vhd-*", "--quiet"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(moment)
    running.send_signal(signal.SIGKILL)
    running.wait()
    if copy.exists():  # it was faster
        assert left_in(tmp_path)[0] == "copy.vhd"
        return
    for _ in range(100):
        try:
            run.prepare(source, copy, no_files, progress=quiet)
            break
        except UsageError:  # the child that looked at the copy outlives its parent for a moment
            time.sleep(0.1)
    assert left_in(tmp_path)[:1] == ["copy.vhd"]
    assert source.read_bytes() == before


@pytest.mark.parametrize(("name", "why"), [("windows-2022-hibernated", "Windows sleeps"), ("windows-2022-unclean", "not unmounted cleanly")])
def test_a_volume_that_waits_for_its_journal_is_refused_with_the_reason(image, no_files, tmp_path, name, why):
    with pytest.raises(CopyFailed, match=why):
        run.prepare(image(name), tmp_path / "copy.vhd", no_files, progress=quiet)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["container-checksum", "container-saved-state", "container-odd-length", "container-trailing-bytes", "container-footer-copy"]
)
def test_a_copy_never_hides_what_is_wrong_with_the_file(image, no_files, tmp_path, name):
    with pytest.raises(CopyFailed, match="a copy would hide what is wrong with this file"):
        run.prepare(image(name), tmp_path / "copy.vhd", no_files, progress=quiet)
    assert left_in(tmp_path) == []


def test_a_reviewed_plan_is_carried_out_on_the_image_it_was_made_for_and_on_no_other(image, no_files, tmp_path):
    source = image("debian-12-dynamic")
    looked = run.look(source, no_files)
    terms = run.make_terms(source, tmp_path, looked.report, no_files)
    reviewed = (looked.planned.plan, terms)
    assert run.prepare(source, tmp_path / "copy.vhd", no_files, reviewed=reviewed, progress=quiet).after.verdict is Verdict.READY
    with pytest.raises(UsageError, match="its digest is"):
        run.prepare(image("debian-12-used"), tmp_path / "other.vhd", no_files, reviewed=reviewed, progress=quiet)
    wish = no_files._replace(target=Target.SPECIALIZED)
    with pytest.raises(UsageError, match="its target is 'generalized', here it is 'specialized'"):
        run.prepare(source, tmp_path / "other.vhd", wish, reviewed=reviewed, progress=quiet)
    with pytest.raises(UsageError, match="the plan was changed"):
        run.prepare(source, tmp_path / "other.vhd", no_files, reviewed=(reviewed[0]._replace(copy=()), terms), progress=quiet)
    with pytest.raises(UsageError) as refused:
        run.prepare(source, tmp_path / "other.vhd", no_files, reviewed=(reviewed[0], terms._replace(digest="x" * 1_000_000)), progress=quiet)
    assert len(str(refused.value)) < 500
    assert left_in(tmp_path) == ["copy.vhd", "copy.vhd.changes.json"]


def test_the_digest_of_a_disk_is_the_same_in_any_container(image, no_files, tmp_path):
    source, copy = image("debian-12-dynamic"), tmp_path / "copy.vhd"
    run.prepare(source, copy, no_files, progress=quiet)
    report = run.look(source, no_files).report
    digests = {run.make_terms(each, tmp_path, report, no_files).digest for each in (source, copy)}
    assert len(digests) == 1
    assert planfile.SCHEMA == "vhdprep-plan/1"


def test_work_in_a_child_gives_its_result_its_error_and_survives_a_crash():
    assert isolate.call(lambda avoid: dict(avoid)) == {}
    with pytest.raises(UsageError, match="as it was"):
        isolate.call(lambda _: refuse())
    tries = isolate.call(lambda avoid: avoid or crash())
    assert list(tries) == ["container"]
    assert "SIGSEGV" in tries["container"]


def crash():
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)


def refuse():
    raise UsageError("as it was")


def test_a_disk_that_was_cut_off_is_not_prepared(image, no_files, rules, tmp_path):
    source = tmp_path / "cut.vhd"
    source.write_bytes(image("debian-12-generalized").read_bytes()[:3_000_000])
    with pytest.raises(CopyFailed, match=r"this disk is not whole .disk-table-valid.: .* Compare the image with its original"):
        run.prepare(source, tmp_path / "copy.vhd", no_files._replace(rules=rules), progress=quiet)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cut.vhd"]


@pytest.mark.parametrize("name", ["container-raw", "debian-12-vhdx", "debian-12-dynamic"])
def test_a_good_disk_in_another_container_becomes_ready(image, rules, tmp_path, name):
    made = run.prepare(image(name), tmp_path / "copy.vhd", run.Wish(rules), progress=quiet)
    assert (made.before.verdict, made.after.verdict) == (Verdict.NOT_READY, Verdict.READY)
    assert check(tmp_path / "copy.vhd", rules).verdict is Verdict.READY


def test_a_result_that_cannot_be_handed_over_is_no_crash_of_a_library():
    with pytest.raises(Exception, match="pickle"):
        isolate.call(lambda _: lambda: None)
