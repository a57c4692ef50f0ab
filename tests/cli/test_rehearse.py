"""``vhdprep rehearse`` and ``prepare --rehearse`` as people type them; no system is booted here."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from vhdprep.cli import progress
from vhdprep.cli import rehearse as command
from vhdprep.model import Target
from vhdprep.rehearsal import Milestone

BOOTABLE = "debian-12-virtio"
"""A fixture for which a machine can be chosen."""


def run(*arguments, command="rehearse", **environment):
    words = [sys.executable, "-m", "vhdprep", command, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=120)


@pytest.fixture
def no_programs(tmp_path):
    folder = tmp_path / "no-programs"
    folder.mkdir()
    return {"PATH": str(folder)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name either an IMAGE"),
        (("--without", "disk", "x.vhd"), "--without takes dvd or imds, not 'disk'"),
        (("--without", "dvd", "--without", "", "x.vhd"), "--without takes dvd or imds, not ''"),
        (("--network", "bridge", "x.vhd"), "--network takes relay or namespace, not 'bridge'"),
        (("no-such.vhd",), "no-such.vhd"),
        (("https://example.blob.core.windows.net/a/disk.vhd",), "only a file of this host can be rehearsed"),
        (("x.vhd", "--format", "selftest"), "selftest"),
        (("x.vhd", "--as", "nonsense"), "nonsense"),
    ],
)
def test_a_call_that_is_wrong_is_one_line_and_exit_2(arguments, words):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    if done.stderr.startswith("vhdprep: "):
        assert done.stderr.count("\n") == 1


def test_a_folder_is_no_image(tmp_path):
    done = run(tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_host_without_the_emulator_gets_the_command_that_installs_it(image, no_programs):
    done = run(image(BOOTABLE), **no_programs)
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "vhdprep: a rehearsal needs qemu-system-x86_64, qemu-img, ssh, ssh-keygen;"
        " run: sudo apt-get install qemu-system-x86 qemu-utils ovmf openssh-client\n",
    )


@pytest.mark.parametrize("package", ["pycdlib", "qemu"])
def test_a_python_without_the_packages_gets_the_command_that_installs_them(image, tmp_path, package):
    """A finder that knows the package, and does not find it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hides:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hides())\n"
    )
    done = run(image(BOOTABLE), PYTHONPATH=f"{tmp_path}{os.pathsep}{Path.cwd()}")
    name = {"qemu": "qemu.qmp"}.get(package, package)
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        f"vhdprep: a rehearsal needs the Python packages {name}; run: {sys.executable} -m pip install 'vhdprep[rehearse]'\n",
    )
    told = run(command="doctor", PYTHONPATH=f"{tmp_path}{os.pathsep}{Path.cwd()}").stdout
    assert f"not done without it: rehearse, and prepare --rehearse ({name}); run: {sys.executable} -m pip install 'vhdprep[rehearse]'\n" in told


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("windows-2022-generalized", 3, "what Azure provisions Windows with is not published"),
        ("freebsd-14-generalized", 3, "which drivers its kernel has is not read here"),
        ("debian-12-generalized", 3, "no network card that can be emulated has its drivers"),
        ("debian-12-used", 1, "no disk that can be emulated has its drivers"),
        ("disk-luks-root", 3, "encrypted"),
    ],
)
def test_what_cannot_be_rehearsed_is_judged_all_the_same_without_any_emulator(image, no_programs, name, code, words):
    done = run(image(name), "--format", "json", **no_programs)
    values = json.loads(done.stdout)
    assert values["rehearsal"]["outcome"] == "not-rehearsable"
    assert words in values["rehearsal"]["cause"]
    assert values["rehearsal"]["passed"] is None
    assert values["verdict"] in ("ready", "not-ready", "inconclusive")
    assert done.returncode == code
    assert done.stderr == ""


def test_quiet_is_two_lines_and_reports_are_files(image, tmp_path, no_programs):
    page, values = tmp_path / "r.md", tmp_path / "r.json"
    done = run(image("debian-12-generalized"), "--quiet", "--report", f"markdown={page}", "--report", f"json={values}", **no_programs)
    assert done.stdout.splitlines() == [f"{image('debian-12-generalized')}: READY", "Rehearsal: not rehearsable"]
    assert done.returncode == 3
    assert json.loads(values.read_text())["rehearsal"]["outcome"] == "not-rehearsable"
    assert "not rehearsable" in page.read_text()


def test_a_report_in_a_file_leaves_the_two_lines(image, tmp_path, no_programs):
    target = tmp_path / "r.html"
    done = run(image("debian-12-generalized"), "--format", "html", "--output", target, **no_programs)
    assert done.stdout.splitlines() == [f"{image('debian-12-generalized')}: READY", "Rehearsal: not rehearsable"]
    assert target.read_text().startswith("<!doctype html>") or "<html" in target.read_text()


def test_a_report_never_lands_on_the_image(image, tmp_path, no_programs):
    path = tmp_path / "image.vhd"
    path.write_bytes(image("debian-12-generalized").read_bytes())
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    assert run(path, "--output", path, **no_programs).returncode == 2
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_the_last_step_is_shown_on_a_terminal_alone(capsys, monkeypatch):
    with progress.Milestones() as show:
        show(None, 0)
        show(Milestone.KERNEL, 8.2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.Milestones() as show:
        show(None, 0)
        show(Milestone.KERNEL, 8.2)
    assert capsys.readouterr().err == "\r\033[K   0 s  switched on\r\033[K   8 s  the kernel started\r\033[K"


def test_on_a_real_terminal_nothing_of_it_stays(image, no_programs):
    """What cannot be rehearsed shows no step: only the sequence that clears the line."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "vhdprep", "rehearse", "--quiet", str(image("debian-12-generalized"))]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=theirs, text=True, check=False, env={**os.environ, **no_programs}, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert (done.returncode, shown) == (3, "\r\033[K")


def test_the_help_says_what_the_exit_codes_mean():
    words = " ".join(run("--help").stdout.split())
    assert "Exit code: 0 ready and rehearsed, 1 one of them is not, 2 nothing was judged, 3 one of them cannot be told." in words


def test_doctor_tells_what_is_missing_for_rehearsals(no_programs):
    done = run(command="doctor", **no_programs)
    assert (
        "rehearsal, where the host has it:\n  missing  QEMU          not done without it: rehearse, and prepare --rehearse: a rehearsal needs"
        in done.stdout
    )
    assert "run: sudo apt-get install qemu-system-x86 qemu-utils ovmf openssh-client" in done.stdout
    assert done.returncode == 0, done.stdout


def test_prepare_wants_the_emulator_before_it_copies_anything(image, tmp_path, no_programs):
    copy = tmp_path / "copy.vhd"
    done = run(image("debian-12-dynamic"), copy, "--rehearse", "--select", "vhd-*", command="prepare", **no_programs)
    assert done.returncode == 2
    assert done.stderr.startswith("vhdprep: a rehearsal needs ")
    assert done.stderr.count("\n") == 1
    assert not copy.exists()


def test_a_plan_is_not_rehearsed(image):
    done = run(image("debian-12-dynamic"), "--plan-only", "--rehearse", command="prepare")
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "vhdprep: --plan-only makes no copy that could be rehearsed; leave --rehearse out\n",
    )


def test_what_prepare_boots_are_the_copies_for_the_same_target(monkeypatch, tmp_path):
    from vhdprep.rehearse import run as running
    from vhdprep.rehearse.machine import firmware

    asked = []
    monkeypatch.setattr(firmware, "find", lambda **_: None)
    monkeypatch.setattr(running, "boot", lambda path, wish, show: asked.append((path, wish.data, wish.target, wish.rules)) or "seen")
    first, second = tmp_path / "a", tmp_path / "b"
    assert command.booting(Target.SPECIALIZED)([first, second]) == "seen"
    assert asked == [(first, (second,), Target.SPECIALIZED, ())]
