"""``vhdprep prepare`` as people type it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from vhdprep.prepare import planfile


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "vhdprep", "prepare", *map(str, arguments)], capture_output=True, text=True, check=False)


def test_plan_only_says_what_would_be_done_and_writes_nothing(image, tmp_path):
    done = run(image("debian-12-used"), "--plan-only", "--select", "linux-hostname-reset", "--select", "linux-host-keytab-removed",
               "--select", "linux-human-accounts-removed", "--select", "linux-ssh-host-keys-removed")  # fmt: skip
    assert done.stderr == ""
    assert done.stdout == (
        "The image is not-ready.\n"
        "\n"
        "3 changes\n"
        "  remove /etc/ssh/ssh_host_ed25519_key  (19 bytes; linux-ssh-host-keys-removed)\n"
        "  remove /etc/ssh/ssh_host_ed25519_key.pub  (19 bytes; linux-ssh-host-keys-removed)\n"
        "  write /etc/hostname  (10 bytes; linux-hostname-reset)\n"
        "      -builder01\n"
        "      +localhost.localdomain\n"
        "\n"
        "1 finding withheld, for it may take away what somebody wants; --allow unsafe does it all the same\n"
        "  warning  linux-host-keytab-removed\n"
        "    The Kerberos key of the old machine is still there (/etc/krb5.keytab).\n"
        "\n"
        "1 finding left for a person\n"
        "  warning  linux-human-accounts-removed\n"
        "    Accounts that a person can log in with are still there (/etc/passwd:azureuser).\n"
        "    Why not here: it takes a person\n"
        "    By hand: In the guest, as root, for each of them: userdel -r NAME (FreeBSD: pw userdel NAME -r)\n"
        "    By hand: Or with the copy: vhdprep prepare IMAGE COPY --delete-user NAME\n"
        "    By hand: Look for rights that were given to them: grep -rl NAME /etc/sudoers.d\n"
        "\n"
        "By this plan 2 rules would pass that fail now.\n"
        "\n"
        "To carry it out, with the same options otherwise:\n"
        f"  vhdprep prepare {image('debian-12-used')} debian-12-used-prepared.vhd\n"
    )
    assert done.returncode == 1


def test_a_plan_is_written_looked_through_and_carried_out(image, tmp_path):
    source, plan, copy = image("debian-12-dynamic"), tmp_path / "plan.json", tmp_path / "copy.vhd"
    assert run(source, "--plan-only", "--format", "json", "--output", plan, "--select", "vhd-*").returncode == 1
    assert json.loads(plan.read_text(encoding="utf-8"))["plan"]["copy"] == ["vhd-type-fixed"]
    assert planfile.read(plan)[1].selected == ("vhd-*",)
    done = run(source, copy, "--plan", plan)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"The image was not-ready; the copy is ready.\n0 changes made; all of them in {copy}.changes.json\n")
    assert "  fail -> fixed  vhd-type-fixed\n" in done.stdout
    assert run(image("debian-12-used"), tmp_path / "other.vhd", "--plan", plan).returncode == 2


def test_json_tells_before_and_after(image, tmp_path):
    done = run(image("debian-12-dynamic"), tmp_path / "copy.vhd", "--format", "json", "--select", "vhd-*")
    told = json.loads(done.stdout)
    assert (told["schema"], told["before"]["verdict"], told["after"]["verdict"]) == ("vhdprep-prepared/1", "not-ready", "ready")
    assert {each["rule_id"] for each in told["after"]["findings"] if each["outcome"] == "fixed"} == {"vhd-type-fixed"}


def test_calls_that_cannot_be_carried_out_end_in_one_line_and_exit_2(image, tmp_path):
    source, copy = image("debian-12-dynamic"), tmp_path / "copy.vhd"
    for arguments, why in (
        ([source], "name the COPY to make, or say --plan-only"),
        ([source, copy, "--plan-only"], "--plan-only makes no copy; leave COPY out"),
        ([source, source], "is there already, and nothing is ever overwritten"),
        ([source, ""], "is a folder; name the file to make in it"),
        ([source, copy, "--allow", "everything"], "--allow takes only: unsafe"),
        ([source, copy, "--plan", tmp_path / "missing"], "the plan cannot be read"),
        ([tmp_path / "missing", copy], "missing"),
        ([source, copy, "--delete-user", "nobody-there"], "there is no such account"),
        ([source, tmp_path / "no" / "folder", "--quiet"], "there is no folder"),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), arguments
        assert why in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_report_is_written_over_neither_the_image_nor_the_copy(image, tmp_path):
    source, alias, copy = image("debian-12-dynamic"), tmp_path / "alias", tmp_path / "copy.vhd"
    before = source.read_bytes()
    alias.symlink_to(source)
    for arguments in (
        [source, copy, "--output", alias],
        [source, "--plan-only", "--output", source],
        [source, copy, "--output", tmp_path / "." / copy.name],
    ):
        done = run(*arguments, "--select", "vhd-*")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "is the image, or another file of this run; name another one for the report" in done.stderr
    assert source.read_bytes() == before
    assert list(tmp_path.iterdir()) == [alias]


def test_the_report_is_written_over_nothing_that_a_machine_of_several_disks_consists_of(image, tmp_path):
    source, copy, vm = image("debian-12-data-disk-dynamic"), tmp_path / "out", tmp_path / "vm.yaml"
    data = source.with_name("debian-12-data-disk-dynamic.data0.vhd")
    vm.write_text(f"disks:\n- {{file: {source}, role: os}}\n- {{file: {data}}}\ndestination: specialized\n", encoding="utf-8")
    for arguments in (
        [source, copy, "--data", data, "--output", copy / data.name],
        [source, copy, "--data", data, "--output", copy],
        [source, copy, "--output", f"{copy}.changes.json"],
        ["--manifest", vm, copy, "--output", vm],
        ["--manifest", vm, "--plan-only", "--output", vm],
    ):
        done = run(*arguments, "--select", "vhd-*")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "for the report" in done.stderr
    assert list(tmp_path.iterdir()) == [vm]


def test_a_plan_for_something_else_than_the_manifest_says_is_refused(image, tmp_path):
    source, plan, vm = image("debian-12-dynamic"), tmp_path / "plan.json", tmp_path / "vm.yaml"
    vm.write_text(f"disks:\n- {{file: {source}, role: os}}\ndestination: specialized\n", encoding="utf-8")
    run(source, "--plan-only", "--format", "json", "--output", plan, "--select", "vhd-*")
    done = run("--manifest", vm, tmp_path / "copy.vhd", "--plan", plan)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the plan, says generalized, and" in done.stderr
    assert not (tmp_path / "copy.vhd").exists()


def test_quiet_prints_the_copys_verdict_alone(image, tmp_path):
    copy = tmp_path / "copy.vhd"
    assert run(image("debian-12-dynamic"), copy, "--quiet", "--select", "vhd-*").stdout == f"{copy}: READY\n"


def test_an_interrupt_is_no_verdict(image, tmp_path):
    command = [sys.executable, "-m", "vhdprep", "prepare", image("debian-12-dynamic"), tmp_path / "copy.vhd", "--select", "vhd-*"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while not list(tmp_path.iterdir()):
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        said = running.stderr.read()
    if not (tmp_path / "copy.vhd").exists():  # else it was faster
        assert (running.returncode, said) == (130, "vhdprep: interrupted; no copy was made, and the image is as it was\n")
        assert list(tmp_path.iterdir()) == []
