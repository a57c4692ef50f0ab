"""What makes the program easy to use: suggestions, completion, a manual page, a doctor that names the cure."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys

import pytest

from fixtures import manpage
from tests.cli.test_cli import ROOT, run
from vhdprep.cli import progress as progress_module
from vhdprep.cli.completion import Shell
from vhdprep.cli.progress import Progress

PROGRAM = "import sys; sys.argv[0] = 'vhdprep'; from vhdprep.cli import main; main()"


@pytest.fixture
def program(tmp_path):
    """A folder with `vhdprep` in it."""
    path = tmp_path / "vhdprep"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c "{PROGRAM}" "$@"\n')
    path.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("chekc", "a.vhd"), "Did you mean 'check'?"),
        (("rules", "lits"), "Did you mean 'list'?"),
        (("check", "--wavers", "w", "a.vhd"), "--waivers"),
        (("rules", "explain", "linux-ssh-host-key-removed"), "did you mean linux-ssh-host-keys-removed?"),
        (("check", "--select", "linux-ssh-host-key-removed", "a.vhd"), "did you mean linux-ssh-host-keys-removed?"),
        (("check", "a.vhd", "--format", "jsno"), "choose one of: text, json"),
    ],
)
def test_what_was_meant_is_suggested(arguments, meant):
    done = run(*arguments)
    assert (done.returncode, meant in done.stderr) == (2, True)


def asked(program, words):
    """What bash would offer after these words, by the script that it is given."""
    script = f'. <(vhdprep completion bash); COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; _vhdprep_completion vhdprep; echo "${{COMPREPLY[@]}}"'
    environment = {**os.environ, "PATH": f"{program}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_completes_commands_options_and_rule_ids(program):
    assert asked(program, ["vhdprep", "ch"]) == ["check"]
    assert asked(program, ["vhdprep", "check", "--wai"]) == ["--waivers"]
    assert asked(program, ["vhdprep", "rules", "explain", "vhd-footer-c"]) == [
        "vhd-footer-checksum-valid",
        "vhd-footer-complete",
        "vhd-footer-copy-equal",
    ]
    assert "json" in asked(program, ["vhdprep", "check", "--format", "js"])


@pytest.mark.parametrize("shell", Shell)
def test_every_shell_gets_a_script_that_asks_the_program(shell):
    done = run("completion", shell)
    assert (done.returncode, "_VHDPREP_COMPLETE" in done.stdout, "vhdprep" in done.stdout) == (0, True, True)


@pytest.mark.parametrize(("shell", "check"), [("bash", "-n"), ("zsh", "-n"), ("fish", "-n")])
def test_the_shells_themselves_take_their_scripts(tmp_path, shell, check):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(run("completion", shell).stdout)
    subprocess.run([shell, check, path], check=True)


def test_the_manual_page_is_the_programs():
    assert (ROOT / "vhdprep" / "cli" / "vhdprep.1").read_text(encoding="utf-8") == manpage.page()


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_groff_finds_nothing_wrong_with_the_manual_page():
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbou", "-ww", ROOT / "vhdprep" / "cli" / "vhdprep.1"], capture_output=True, text=True, check=True
    )
    assert (done.stderr, "--waivers FILE" in done.stdout) == ("", True)


def test_doctor_ends_every_complaint_with_a_command():
    hide = "import sys; sys.modules['pyfsxfs'] = sys.modules['lzma'] = sys.modules['sqlalchemy'] = sys.modules['guestfs'] = None; "
    done = subprocess.run(
        [sys.executable, "-c", hide + PROGRAM, "doctor"], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    missing = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith("  missing")}
    assert done.returncode == 2
    assert missing["pyfsxfs"].endswith(f"run: {sys.executable} -m pip install libfsxfs-python")
    assert missing["lzma"].endswith("run: sudo apt-get install python3-full, and use that Python")
    assert missing["audit"].endswith(f"run: {sys.executable} -m pip install 'vhdprep[audit]'")
    assert any(missing["guestfs"].endswith(each) for each in ("python3-guestfs", "-m venv --system-site-packages DIR"))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_shows_share_rate_and_time_left_once_it_takes_long(monkeypatch):
    now = iter([0.0, *(0.0, 0.3, 1.5, 3.0)])
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(after=1) as progress:
        for done in (0, 10, 100, 200):
            progress(done, 400, "rules")
        assert sys.stderr.getvalue() == "\r\033[Krules 25 %, 67 a second, 4 s left\r\033[Krules 50 %, 67 a second, 3 s left"
    assert sys.stderr.getvalue().endswith("\r\033[K")


def test_progress_is_silent_where_nobody_looks(capsys):
    with Progress() as progress:
        progress(1, 2, "copy")
    assert capsys.readouterr() == ("", "")
