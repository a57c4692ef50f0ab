"""Whole runs over real file systems: ext4, XFS on LVM, btrfs. Each starts the appliance once."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vhdprep import remedy as kinds
from vhdprep.check import check, open_image
from vhdprep.diff import compare, look
from vhdprep.disk.backend import FileKind
from vhdprep.model import Outcome, Target, Verdict
from vhdprep.prepare import run
from vhdprep.ruleset.load import load_rules

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = [pytest.mark.libguestfs, pytest.mark.usefixtures("appliance")]

USED = {
    "debian-12-used": {"linux-human-accounts-removed"},
    "rhel-9-used": {"linux-boot-efi-fallback-program-absent", "linux-disk-lvm-absent"},
    "debian-12-btrfs-used": set(),
}
"""Recipe → what takes a person, and is still there afterwards."""


def quiet(done, total, step):
    """No progress."""


def identity(path):
    """What changes when a file is written."""
    found = path.stat()
    return hashlib.sha256(path.read_bytes()).hexdigest(), found.st_size, found.st_mtime_ns, found.st_ctime_ns


@pytest.fixture(scope="module")
def done(image, wish, tmp_path_factory):
    """Recipe → source, its identity before, the copy, and what came of it; each is prepared once."""
    made = {}

    def prepare(name):
        if name not in made:
            source = image(name)
            copy = tmp_path_factory.mktemp(name) / "copy.vhd"
            before = identity(source)
            made[name] = source, before, copy, run.prepare(source, copy, wish._replace(unsafe=True), progress=quiet)
        return made[name]

    return prepare


@pytest.mark.parametrize("name", USED)
def test_a_used_machine_becomes_an_image_that_is_ready(done, rules, name):
    source, before, copy, result = done(name)
    assert identity(source) == before
    report = check(copy, rules)
    assert report.verdict is Verdict.READY
    assert {each.rule_id for each in report.findings if each.outcome is Outcome.FAIL} == USED[name]
    fixed = {each.rule_id for each in result.after.findings if each.outcome is Outcome.FIXED}
    failed = {each.rule_id for each in result.before.findings if each.outcome is Outcome.FAIL}
    assert fixed == failed - USED[name]


@pytest.mark.parametrize("name", USED)
def test_the_forecast_of_the_plan_is_what_came_true(done, name):
    *_, result = done(name)
    wanted = {each.rule: each.after for each in result.plan.forecast}
    came = {each.rule_id: Outcome.PASS if each.outcome is Outcome.FIXED else each.outcome for each in result.after.findings}
    assert {rule: came[rule] for rule in wanted} == wanted


@pytest.mark.parametrize("name", USED)
def test_preparing_what_was_prepared_plans_nothing(done, wish, name):
    _, _, copy, _ = done(name)
    assert run.look(copy, wish._replace(unsafe=True)).planned.plan.is_empty


@pytest.mark.parametrize("name", USED)
def test_the_ledger_names_every_change_with_its_rule(done, name):
    _, _, copy, result = done(name)
    ledger = json.loads(copy.with_name("copy.vhd.changes.json").read_text(encoding="utf-8"))
    assert ledger["verdict"] == {"before": "not-ready", "after": "ready"}
    assert [(each["what"], each["shown"], each["rules"]) for each in ledger["changes"]] == [
        (each.what, each.shown, list(each.rules)) for each in result.plan.changes
    ]
    assert "$6$" not in json.dumps(ledger)


SECRETS = [b"$6$invented$hash", b"invented, not a key", b"Bearer invented"]
"""In files that were removed, and in one that was written over."""


@pytest.mark.parametrize("name", ["debian-12-used", "rhel-9-used"])
def test_nothing_secret_is_left_in_free_blocks(done, name):
    source, _, copy, _ = done(name)
    before, after = source.read_bytes(), copy.read_bytes()
    assert any(secret in before for secret in SECRETS)
    assert [secret for secret in SECRETS if secret in after] == []


def test_comments_modes_and_line_order_of_an_edited_file_are_kept(done):
    _, _, copy, _ = done("rhel-9-used")
    with open_image(copy, target=Target.GENERALIZED) as opened:
        files = opened.guest.files
        assert files.text("/etc/ssh/sshd_config") == "# This file keeps its comments.\nClientAliveInterval 180\nPermitRootLogin prohibit-password\n"
        entry = files.text(files.glob("/boot/loader/entries/*.conf")[0])
        assert "console=tty1 console=ttyS0,115200n8" in entry
        assert "cloud-init=disabled" not in entry


def test_file_systems_are_whole_after_the_changes(done, tmp_path):
    _, _, copy, _ = done("debian-12-used")
    with open_image(copy, target=Target.GENERALIZED) as opened:
        root = next(each for each in opened.os_disk.disk.volumes if each.id == opened.guest.root)
    part = tmp_path / "root.ext4"
    with copy.open("rb") as source, part.open("wb") as out:
        source.seek(root.offset)
        out.write(source.read(root.size))
    assert subprocess.run(["e2fsck", "-fn", part], capture_output=True, check=False).returncode == 0


def test_an_open_journal_is_carried_out_in_the_copy_and_the_plan_made_by_what_is_there_then(image, wish, tmp_path):
    copy = tmp_path / "copy.vhd"
    made = run.prepare(image("debian-12-unclean-journal"), copy, wish, progress=quiet)
    assert made.before.gaps != ()
    assert (made.after.verdict, made.after.gaps) == (Verdict.READY, ())


@pytest.mark.skipif(shutil.which("debugfs") is None, reason="debugfs is not installed")
def test_owner_mode_and_selinux_label_of_an_edited_file_are_kept_and_new_files_get_their_directorys(image, wish, tmp_path):
    source = tmp_path / "source.vhd"
    shutil.copy(image("debian-12-used"), source)
    with open_image(source, target=Target.GENERALIZED) as opened:
        offset = next(each.offset for each in opened.os_disk.disk.volumes if each.id == opened.guest.root)
    debugfs(source, offset, "ea_set /etc/shadow security.selinux system_u:object_r:shadow_t:s0", "set_inode_field /etc/shadow mode 0100640",
            "set_inode_field /etc/shadow gid 42", "ea_set /etc security.selinux system_u:object_r:etc_t:s0", "rm /etc/hostname")  # fmt: skip
    copy = tmp_path / "copy.vhd"
    chosen = tuple(rule for rule in wish.rules if rule.id in ("linux-root-password-locked", "linux-hostname-reset"))
    run.prepare(source, copy, run.Wish(chosen), progress=quiet)
    said = debugfs(copy, offset, "stat /etc/shadow", "ea_get /etc/shadow security.selinux")
    assert "Mode:  0640" in said
    assert "Group:    42" in said
    assert "system_u:object_r:shadow_t:s0" in said


@pytest.mark.skipif(shutil.which("debugfs") is None, reason="debugfs is not installed")
def test_odd_links_names_and_pipes_are_no_obstacle(image, wish, tmp_path):
    source, copy = tmp_path / "source.vhd", tmp_path / "copy.vhd"
    shutil.copy(image("debian-12-used"), source)
    with open_image(source, target=Target.GENERALIZED) as opened:
        offset = next(each.offset for each in opened.os_disk.disk.volumes if each.id == opened.guest.root)
    link = "/etc/modprobe.d/here.conf"
    debugfs(source, offset, "mkdir /etc/modprobe.d", f"symlink {link} /nowhere", "symlink /home/azureuser/caf\udce9 x",
            "symlink '/home/azureuser/two\twords' x", "mknod /home/azureuser/pipe p", "mknod /home/azureuser/disk b 8 0",
            "rm /etc/machine-id", "mknod /etc/machine-id p")  # fmt: skip
    chosen = [rule for rule in wish.rules if rule.id in ("linux-hostname-reset", "linux-machine-id-unset", "linux-human-accounts-removed")]
    chosen = tuple(rule._replace(remedy=kinds.WriteFile(link, "text")) if "hostname" in rule.id else rule for rule in chosen)
    made = run.prepare(source, copy, run.Wish(chosen, users=("azureuser",)), progress=quiet)
    assert made.ledger is not None
    with open_image(copy, target=Target.GENERALIZED) as opened:
        files = opened.guest.files
        assert (files.lstat(link).kind, files.text(link)) == (FileKind.FILE, "text\n")
        assert files.lstat("/home/azureuser") is None


def debugfs(image, offset, *commands):
    """What debugfs says to ``commands``."""
    text = ("\n".join(commands) + "\n").encode("utf-8", "surrogateescape")
    found = subprocess.run(["debugfs", "-w", f"{image}?offset={offset}"], input=text, capture_output=True, check=True)
    return found.stdout.decode()


def test_diff_lists_what_prepare_did_and_nothing_else(done, rules):
    source, _, copy, result = done("debian-12-used")
    found = compare(*(look(each, rules, Target.GENERALIZED, "native") for each in (source, copy)))
    assert {each.name for each in found.differences if each.part == "rules"} == {
        each.rule_id for each in result.after.findings if each.outcome is Outcome.FIXED
    }
    others = [(each.part, each.name, each.b) for each in found.differences if each.part != "rules"]
    assert others == [
        ("verdict", "verdict", "ready"),
        ("system", "hostname", "localhost.localdomain"),
        ("accounts", "root", "uid 0, /root, /bin/bash, password locked"),
        ("accounts", "azureuser", "uid 1000, /home/azureuser, /bin/bash, password locked"),
    ]


def test_a_stranger_gets_to_green_by_what_the_program_says(image, tmp_path):
    shutil.copy(image("debian-12-host-keys"), tmp_path / "our image.vhd")
    command, said = ["vhdprep", "check", "our image.vhd"], []
    while True:
        done = subprocess.run(
            [sys.executable, "-m", *command], capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
        )
        said.append((" ".join(command), done.returncode))
        following = [line for line in done.stdout.splitlines() if line.startswith("  vhdprep ")]
        if not following:
            break
        command = shlex.split(following[-1])
    assert said == [
        ("vhdprep check our image.vhd", 1),
        ("vhdprep prepare our image.vhd --plan-only", 1),
        ("vhdprep prepare our image.vhd our image-prepared.vhd", 0),
    ]
    assert "the copy is ready." in done.stdout
    assert check(tmp_path / "our image-prepared.vhd", load_rules()).verdict is Verdict.READY
