"""An unpacked tree: the same four operations, and never a file outside of it."""

from __future__ import annotations

import os

import pytest

from fixtures import build, filesystem
from vhdprep.check import check, inspect
from vhdprep.disk.directory import DirectoryFiles
from vhdprep.errors import Unreadable, UsageError
from vhdprep.guest.files import GuestFiles
from vhdprep.model import Outcome, Verdict


@pytest.fixture
def tree(tmp_path):
    """The good Debian guest, laid out in a folder."""

    def make(**more):
        root = tmp_path / "root"
        filesystem.lay_out({**build.tree("debian-12"), **more}, root)
        return root

    return make


def failed(report):
    return sorted(finding.rule_id for finding in report.findings if finding.outcome is Outcome.FAIL)


def test_a_good_tree_is_ready_and_says_that_no_disk_was_judged(tree, rules):
    report = check(tree(), rules, tree=True)
    assert (report.verdict, failed(report), report.gaps, report.disks) == (Verdict.READY, [], (), ())
    about_disks = [finding for finding in report.findings if finding.rule_id.startswith(("vhd-", "disk-"))]
    assert about_disks
    assert {finding.outcome for finding in about_disks} == {Outcome.NOT_APPLICABLE}


def test_what_is_wrong_in_a_tree_is_found(tree, rules):
    report = check(tree(**{"/etc/ssh/ssh_host_rsa_key": "x", "/etc/machine-id": "0" * 32}), rules, tree=True)
    assert (report.verdict, failed(report)) == (Verdict.NOT_READY, ["linux-machine-id-unset", "linux-ssh-host-keys-removed"])


def test_a_tree_and_the_disk_made_of_it_have_the_same_facts(tree, image):
    mine, other = inspect(tree(), tree=True).guest, inspect(image("debian-12-generalized")).guest
    assert mine._replace(boot=other.boot, generations=other.generations) == other


def test_an_empty_folder_is_inconclusive(tmp_path, rules):
    report = check(tmp_path, rules, tree=True)
    assert (report.verdict, len(report.gaps)) == (Verdict.INCONCLUSIVE, 1)


def test_a_missing_folder_is_a_wrong_call(tmp_path):
    with pytest.raises(UsageError, match="no directory"):
        DirectoryFiles(tmp_path / "nowhere")


def test_no_link_leads_to_a_file_of_the_host(tmp_path):
    canary = tmp_path / "canary"
    canary.write_text("of the host")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "absolute").symlink_to(canary)
    (root / "etc" / "climbing").symlink_to("../../canary")
    (root / "etc" / "folder").symlink_to(tmp_path)
    files = GuestFiles(DirectoryFiles(root))
    assert [files.text(f"/etc/{name}") for name in ("absolute", "climbing", "folder/canary")] == [None, None, None]
    with pytest.raises(Unreadable, match="leads out"):
        DirectoryFiles(root).read("/etc/folder/canary", 100)
    with pytest.raises(Unreadable, match="leads out"):
        DirectoryFiles(root).read("/etc/../../canary", 100)


def test_a_pipe_is_never_opened(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    os.mkfifo(root / "pipe")
    files = DirectoryFiles(root)
    assert (files.lstat("/pipe").kind, files.read("/pipe", 10)) == ("other", b"")
