"""The program as people and scripts meet it: commands, exit codes, whole output, bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures import build
from tests.schemas import REPORT
from vhdprep.cli import app
from vhdprep.report import load_reporter

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*arguments, **kwargs):
    """The real program in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    command = [sys.executable, "-m", "vhdprep", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60, **kwargs)


def copy_of(path, target, change):
    """A damaged copy: ``change`` gets the bytes."""
    target.write_bytes(change(path.read_bytes()))
    return target


def outcome(path, *options):
    """Exit code, verdict, and the failing rules of a JSON report."""
    done = run("check", path, "--format", "json", *options)
    report = json.loads(done.stdout)
    REPORT.validate(report)
    failed = {finding["rule_id"] for finding in report["findings"] if finding["outcome"] == "fail"}
    return done.returncode, report["verdict"], failed


def test_a_ready_image_exits_0_and_says_how_to_upload_it(image):
    done = run("check", image("debian-12-generalized"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{image('debian-12-generalized')}: READY\n")
    assert "--upload-size-bytes 67109376" in done.stdout


def test_the_whole_page_of_one_finding(image, rules):
    path = image("debian-12-host-keys")
    done = run("check", path.name, "--select", "linux-ssh-host-keys-removed", cwd=path.parent)
    assert done.returncode == 1
    assert done.stdout == (
        "debian-12-host-keys.vhd: NOT READY\n"
        "  Debian GNU/Linux 12 (bookworm), x86_64, boots as Generation 1 or 2\n"
        "  cloud-init will provision it\n"
        "  fixed VHD, 64 MiB, GPT, 3 volumes, all read\n"
        "\n"
        "1 error must be fixed before the upload\n"
        "\n"
        "  error  linux-ssh-host-keys-removed\n"
        "    Host key files are still there (/etc/ssh/ssh_host_ed25519_key).\n"
        "      /etc/ssh/ssh_host_ed25519_key  9 bytes, SHA-256 edfc089719c0\n"
        "    Why: Every machine made from the image would present the same private host\n"
        "         keys, so any one of them could pass for the others.\n"
        "    Remedy: In a shell of the guest, as root: rm -rf /etc/ssh/*_host_*\n"
        "\n"
        f"0 rules passed; 1 failed; 0 undecided; 0 not applicable; {len(rules) - 1} left out by\n"
        "--select or --ignore; everything was read.\n"
        "To see what can be put right in a copy:\n"
        "  vhdprep prepare debian-12-host-keys.vhd --plan-only\n"
    )


def test_quiet_prints_the_verdict_line_only(image):
    done = run("check", "--quiet", image("debian-12-used"))
    assert (done.returncode, done.stdout) == (1, f"{image('debian-12-used')}: NOT READY\n")


def test_verbose_shows_what_passed_and_every_reference(image):
    done = run("check", "--verbose", image("debian-12-generalized"))
    assert "rules passed\n" in done.stdout
    assert "linux-ssh-host-keys-removed: SSH host keys are not baked into the image" in done.stdout


def test_the_json_report_follows_its_schema_and_reports_go_to_files(image, tmp_path):
    target = tmp_path / "report.json"
    done = run("check", image("debian-12-used"), "--report", f"json={target}", "--quiet")
    assert done.returncode == 1
    report = json.loads(target.read_text(encoding="utf-8"))
    REPORT.validate(report)
    assert list(report) == [
        "schema",
        "tool",
        "ruleset",
        "subject",
        "target",
        "verdict",
        "counts",
        "fail_on",
        "gaps",
        "notices",
        "baseline",
        "declared",
        "disks",
        "guest",
        "provisioner",
        "phase",
        "findings",
        "certification",
        "rehearsal",
        "upload",
        "run",
    ]
    assert report["counts"]["fail"] > 20
    assert sum(report["counts"].values()) == len(report["findings"]) == report["ruleset"]["rules"]


def test_a_report_is_never_written_over_the_image(image, tmp_path):
    path = copy_of(image("debian-12-generalized"), tmp_path / "a.vhd", lambda data: data)
    done = run("check", path, "--output", path)
    assert done.returncode == 2
    assert "is the image" in done.stderr
    assert path.read_bytes() == image("debian-12-generalized").read_bytes()


def test_nothing_of_the_image_is_written(image):
    path = image("debian-12-used")
    before = path.read_bytes(), path.stat().st_mtime_ns
    run("check", path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_an_image_without_write_permission_is_fine(image, tmp_path):
    path = copy_of(image("debian-12-generalized"), tmp_path / "a.vhd", lambda data: data)
    path.chmod(0o444)
    assert outcome(path)[:2] == (0, "ready")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--select", "no-such-rule"], "no rule is called"),
        (["--format", "pdf"], "no report format"),
        (["--report", "json"], "FORMAT=FILE"),
        (["--backend", "magic"], "no backend"),
        (["--rules", "/no/such/dir"], "no directory of rules"),
        (["--output", "/no/such/dir/report.txt"], "cannot be written"),
    ],
)
def test_a_wrong_call_exits_2_and_judges_nothing(image, arguments, word):
    done = run("check", image("debian-12-generalized"), *arguments)
    assert (done.returncode, word in done.stderr) == (2, True)
    assert "READY" not in done.stdout


def test_broken_rules_are_all_named_with_file_and_line(image, tmp_path):
    (tmp_path / "my-rule.yaml").write_text("id: my-other\ntitle: X.\nseverity: fatal\nwhy: w\ncheck: {probe: file_globs, expect: {empty: true}}\n"
                                           "message: m\nremedy: {kind: manual, steps: [x]}\nmisspelt: 1\n")  # fmt: skip
    (tmp_path / "other-rule.yaml").write_text("id: other-rule\nid: twice\n")
    done = run("check", image("debian-12-generalized"), "--rules", tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path}/my-rule.yaml:8: unknown key 'misspelt'" in done.stderr
    assert f"{tmp_path}/other-rule.yaml:2: key 'id' stands twice" in done.stderr


def test_a_users_rule_is_judged_beside_the_built_in_ones(image, tmp_path):
    rule = (
        "id: site-motd-present\ntitle: The message of the day is ours\nseverity: error\nwhy: House rule.\n"
        "check: {probe: file_kind, with: {path: /etc/motd}, expect: {equals: file}}\nmessage: '{where} is {observed}.'\n"
        "remedy: {kind: manual, steps: [Write it.]}\nreferences: ['https://example.org/']\n"
    )
    (tmp_path / "site-motd-present.yaml").write_text(rule)
    done = run("check", image("debian-12-generalized"), "--rules", tmp_path)
    assert done.returncode == 1
    assert "/etc/motd is absent." in done.stdout
    assert run("check", image("debian-12-generalized"), "--rules", tmp_path, "--ignore", "site-*").returncode == 0


def test_a_built_in_rule_is_replaced_only_by_saying_so(image, tmp_path):
    original = next((ROOT / "rules").rglob("linux-ssh-host-keys-removed.yaml")).read_text(encoding="utf-8").split("\n---\n")[0]
    path = tmp_path / "linux-ssh-host-keys-removed.yaml"
    path.write_text(original.replace("severity: error", "severity: note"), encoding="utf-8")
    done = run("check", image("debian-12-host-keys"), "--rules", tmp_path)
    assert (done.returncode, "overrides: linux-ssh-host-keys-removed" in done.stderr) == (2, True)
    path.write_text(original.replace("severity: error", "severity: note") + "\noverrides: linux-ssh-host-keys-removed\n", encoding="utf-8")
    assert run("check", image("debian-12-host-keys"), "--rules", tmp_path).returncode == 0


@pytest.mark.parametrize("fmt", ["qcow2", "vmdk", "vdi", "vhdx"])
def test_other_formats_are_named_by_their_bytes_and_answered_with_the_command(image, tmp_path, fmt):
    path = tmp_path / "image.vhd"
    subprocess.run(["qemu-img", "convert", "-f", "vpc", "-O", fmt, str(image("debian-12-generalized")), str(path)], check=True)
    code, verdict, failed = outcome(path)
    assert (code, verdict) == (1, "not-ready")
    assert f"vhd-container-not-{fmt}" in failed
    assert f"qemu-img convert -f {fmt}" in run("check", path).stdout


def test_vhdx_and_raw_disks_are_inspected_all_the_same(image, tmp_path):
    vhdx, raw = tmp_path / "image.vhd", tmp_path / "image.raw"
    subprocess.run(["qemu-img", "convert", "-f", "vpc", "-O", "vhdx", str(image("debian-12-host-keys")), str(vhdx)], check=True)
    copy_of(image("debian-12-host-keys"), raw, lambda data: data[:-512])
    for path, name in ((vhdx, "vhdx"), (raw, "raw")):
        assert outcome(path)[2] == {f"vhd-container-not-{name}", "linux-ssh-host-keys-removed"}


@pytest.mark.parametrize(
    ("what", "change", "rule"),
    [
        ("an empty file", lambda data: b"", "vhd-container-recognised"),
        ("shorter than a footer", lambda data: data[:300], "vhd-container-recognised"),
        ("garbage", lambda data: b"garbage " * 5000, "vhd-container-recognised"),
        ("a truncated fixed VHD", lambda data: data[: len(data) // 2], "vhd-container-not-raw"),
        ("a wrong checksum", lambda data: data[:-400] + b"\x01" + data[-399:], "vhd-footer-checksum-valid"),
        ("bytes after the footer", lambda data: data + b"x" * 100, "vhd-footer-last"),
    ],
)
def test_a_damaged_container_is_a_named_finding(image, tmp_path, what, change, rule):
    code, verdict, failed = outcome(copy_of(image("debian-12-generalized"), tmp_path / "bad.vhd", change))
    assert (code, verdict) == (1, "not-ready"), what
    assert rule in failed, what


@pytest.mark.parametrize(("at", "value"), [(1536, b"\x7f\xff\xff\xf0"), (1536, b"\0\0\0\x01")], ids=["outside the file", "overlapping"])
def test_a_broken_block_table_is_a_named_finding_and_the_rest_is_read(image, tmp_path, at, value):
    path = copy_of(image("debian-12-dynamic"), tmp_path / "bad.vhd", lambda data: data[:at] + value + data[at + 4 :])
    code, _, failed = outcome(path)
    assert code == 1
    assert "vhd-block-table-sound" in failed


def test_control_characters_of_the_guest_do_not_reach_the_terminal(tmp_path, rules):
    from vhdprep.check import check

    report = check(build.build("debian-12-used"), rules)
    evil = report.guest._replace(product="Evil\x1b[2J\u202e\u2028", hostname="h\x07")
    for name in ("text", "json"):
        page = load_reporter(name).render(report._replace(guest=evil), verbose=True)
        assert not {"\x1b", "\x07", "\u202e", "\u2028"} & set(page)


def test_colour_only_when_asked_for(rules, image):
    from vhdprep.check import check

    report = check(image("debian-12-used"), rules)
    text = load_reporter("text")
    assert "\x1b[31m" in text.render(report, colour=True)
    assert "\x1b" not in text.render(report)
    assert max(len(line) for line in text.render(report, width=80).splitlines() if "https://" not in line and "/" not in line) <= 80


def test_ls_and_cat_show_the_guest(image):
    path = image("debian-12-generalized")
    assert "l 0777     0     0           21 os-release -> ../usr/lib/os-release" in run("ls", path, "/etc").stdout
    assert run("cat", path, "/etc/debian_version").stdout == "12.7\n"
    assert run("cat", path, "/boot/efi/EFI/debian/grub.cfg").stdout.startswith("search.fs_uuid")
    for command, place, words in (
        ("ls", "/nowhere", "no such file in the guest"),
        ("cat", "/nowhere", "no such file"),
        ("cat", "/etc", "is a directory"),
    ):
        done = run(command, path, place)
        assert (done.returncode, words in done.stderr) == (2, True)


def test_ls_on_an_image_without_a_guest_says_why(tmp_path):
    path = tmp_path / "none.vhd"
    path.write_bytes(b"garbage " * 1000)
    done = run("cat", path, "/etc/passwd")
    assert (done.returncode, "no disk to read" in done.stderr) == (2, True)


def test_inspect_shows_container_volumes_and_guest(image):
    done = run("inspect", image("debian-12-mbr"))
    assert done.returncode == 0
    assert "Debian GNU/Linux 12 (bookworm), x86_64, boots as Generation 1\n" in done.stdout
    assert "p1  ext4  63 MiB  0fc8a9d1-6f0a-4c2b-9f4e-3d1c5b7a9e01" in done.stdout
    report = json.loads(run("inspect", image("debian-12-mbr"), "--format", "json").stdout)
    REPORT.validate(report)
    assert (report["verdict"], report["guest"]["generation"]) == (None, 1)
    short = json.loads(run("inspect", image("debian-12-mbr"), "--format", "json", "--container-only").stdout)
    assert (short["disks"][0]["container"], short["disks"][0]["volumes"]) == (report["disks"][0]["container"], [])


def test_rules_are_listed_explained_and_tested():
    assert "error    linux-ssh-host-keys-removed" in run("rules", "list").stdout
    explained = run("rules", "explain", "linux-ssh-host-keys-removed").stdout
    assert "patterns=('/*_host_*',), secret=True) empty True" in explained
    assert "  looks at\n    setting_files: Paths below the directory that a setting names" in explained
    assert "    or on a copy: vhdprep prepare IMAGE COPY\n" in explained
    parts = ("  passes\n    ", "  fails\n    ", "  cannot be decided\n    ")
    assert [explained.count(part) for part in parts] == [1, 1, 1]
    assert r"registry_value(key='HKLM\SYSTEM\Setup', name='CmdLine') matches '\S'" in run("rules", "explain", "windows-setup-resumes").stdout
    assert run("rules", "explain", "linux-ssh-host-key-removed").stderr.endswith("did you mean linux-ssh-host-keys-removed?\n")
    tested = run("rules", "test")
    assert (tested.returncode, tested.stdout.endswith("examples, 0 do not hold\n")) == (0, True)
    assert json.loads(run("rules", "schema").stdout)["title"] == "A vhdprep rule"


def test_a_bug_of_ours_exits_2_and_shows_where():
    code = "import vhdprep.cli, vhdprep.check; vhdprep.check.inspect = None; import sys; sys.argv = ['vhdprep', 'inspect', '/etc/passwd']; vhdprep.cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, "TypeError" in done.stderr) == (2, True)


def test_rules_that_were_left_out_are_counted(image):
    assert "left out by --select or --ignore" in " ".join(run("check", image("debian-12-generalized"), "--ignore", "linux-*").stdout.split())


def test_mistakes_in_examples_are_results_not_crashes(tmp_path):
    first = "id: site-a\ntitle: A\nseverity: note\nwhy: B.\ncheck: {probe: file_kind, with: {path: /a}, expect: {equals: file}}\nmessage: c.\n"
    rule = (
        first
        + "remedy: {kind: manual, steps: [d]}\n---\nexamples:\n  - {name: x, given: {facts: {nonsense: 1}}, outcome: pass}\n  - {outcome: fail}\n"
    )
    (tmp_path / "site-a.yaml").write_text(rule)
    done = run("rules", "test", "--rules", tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "what is given cannot be built" in done.stdout
    (tmp_path / "site-a.yaml").write_text(rule + "  - [\n")
    assert f"{tmp_path}/site-a.yaml:13: in the examples" in run("rules", "test", "--rules", tmp_path).stderr


def test_doctor_names_every_reader():
    done = run("doctor")
    assert done.returncode == 0
    assert "works    pyfsext" in done.stdout


def test_version_and_help():
    assert run("--version").stdout.startswith("vhdprep 0.")
    assert run("check").returncode == 2
    assert [command.name for command in app.registered_commands] == [
        "check",
        "inspect",
        "ls",
        "cat",
        "prepare",
        "rehearse",
        "diff",
        "verify",
        "doctor",
        "completion",
    ]


def test_the_help_in_the_readme_is_the_programs():
    from fixtures.docs import help_text

    assert help_text() in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_data_disk_is_judged_with_the_machine_it_belongs_to(image):
    os_disk, (data,) = image("debian-12-data-disk-dynamic"), build.data_disks("debian-12-data-disk-dynamic")
    done = run("check", os_disk, "--data", data)
    assert done.returncode == 1
    assert f"data disk at LUN 0 {data}: dynamic VHD, 24 MiB, no partition table, 1 volume, all read" in " ".join(done.stdout.split())
    assert "data0: The VHD is dynamic; Azure takes only fixed VHDs." in " ".join(done.stdout.split())


def test_one_file_cannot_be_two_disks(image):
    path = image("debian-12-generalized")
    done = run("check", path, "--data", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is named twice" in done.stderr


def test_an_operating_system_on_a_data_disk_is_not_judged(image):
    image("debian-12-var-on-data-disk")
    (data,) = build.data_disks("debian-12-var-on-data-disk")
    done = run("check", data, "--data", image("debian-12-generalized"))
    assert done.returncode == 1  # the first disk has no partition table
    assert "the operating system lies on data0:p3, a data disk; name its disk first" in " ".join(done.stdout.split())
