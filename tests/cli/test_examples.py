"""The ready-made examples: what they would run in a pipeline, run here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.cli.test_cli import ROOT
from tests.cli.test_comfort import PROGRAM
from vhdprep.guest.formats import yamltext
from vhdprep.report import REPORTERS

EXAMPLES = ROOT / ".ci" / "examples"
VERDICTS = {
    "debian-12-generalized": (0, "ready"),
    "debian-12-host-keys": (1, "not-ready"),
    "disk-luks-root": (3, "inconclusive"),
    "container-nothing": (2, "none"),
}
RULE = """id: site-a
title: A
severity: note
why: B.
check: {probe: file_kind, with: {path: /a}, expect: {equals: file}}
message: C.
remedy: {kind: manual, steps: [d]}
---
examples:
  - {name: there, given: {files: {/a: x}}, outcome: OUTCOME}
  - {name: unread, given: {unreadable: [/a]}, outcome: unknown}
  - {name: not there, given: {files: {/b: x}}, outcome: fail}
"""


def values(name):
    return yamltext.load((EXAMPLES / name).read_text(encoding="utf-8"))


@pytest.fixture
def shell(tmp_path):
    """Run a script with `vhdprep` on the path, in an empty folder."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "vhdprep").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c "{PROGRAM}" "$@"\n')
    (bin_folder / "vhdprep").chmod(0o755)

    def run(script, **variables):
        environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "VHDPREP_BACKEND": "native"} | {
            name: str(value) for name, value in variables.items()
        }
        return subprocess.run(["sh", "-e", "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)

    return run


@pytest.fixture
def action(shell, tmp_path):
    """Run the action's step as GitHub's runner does."""

    def run(image, **inputs):
        action = values("github-action/action.yml")
        (step,) = (each for each in action["runs"]["steps"] if each.get("id") == "check")
        given = {name: each.get("default", "") for name, each in action["inputs"].items()} | {"image": image} | inputs
        variables = {name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda match: str(given[match[1]]), text) for name, text in step["env"].items()}
        runner = {"GITHUB_OUTPUT": tmp_path / "output", "GITHUB_STEP_SUMMARY": tmp_path / "summary", "GITHUB_ACTION_PATH": EXAMPLES / "github-action"}
        return shell(step["run"], **variables, **runner)

    return run


@pytest.mark.parametrize("name", VERDICTS)
def test_the_github_action_stops_every_image_that_is_not_ready(action, image, tmp_path, name):
    code, verdict = VERDICTS[name]
    done = action(tmp_path / "none.vhd" if name == "container-nothing" else image(name))
    assert done.returncode == code
    assert (tmp_path / "output").read_text() == f"verdict={verdict}\n"
    if code != 2:
        assert json.loads((tmp_path / "vhdprep.json").read_text())["verdict"] == verdict
        assert f"    {image(name)}: {verdict.upper().replace('-', ' ')}\n" in (tmp_path / "summary").read_text()


def test_no_command_of_the_image_reaches_the_runner(action, image):
    lines = action(image("debian-12-host-keys")).stdout.splitlines()
    token = lines[0].removeprefix("::stop-commands::")
    assert (len(token), lines[-1]) == (32, f"::{token}::")


def test_the_github_action_takes_waivers_and_no_code(action, image, tmp_path):
    waivers = tmp_path / "our waivers.yaml"
    waivers.write_text("- rule: linux-ssh-host-keys-removed\n  reason: r\n  owner: o\n  expiry: 2999-12-31\n")
    assert action(image("debian-12-host-keys"), waivers=waivers).returncode == 0
    done = action(image("debian-12-generalized"), reports="json=$(touch pwned).json\ntext=a b.txt\n")
    assert (done.returncode, (tmp_path / "pwned").exists(), (tmp_path / "a b.txt").exists()) == (0, False, True)
    assert action("--help").returncode == 2


def pipeline_script(name):
    if name == "azure-pipelines.yml":
        (script,) = (each["script"] for each in values(name)["steps"] if "vhdprep check" in each.get("script", ""))
        return script
    return "\n".join(values(name)["check-image"]["script"])


@pytest.mark.parametrize("name", ["azure-pipelines.yml", "gitlab-ci.yml"])
@pytest.mark.parametrize(("fixture", "code"), [("debian-12-generalized", 0), ("debian-12-host-keys", 1)])
def test_a_pipeline_stops_the_bad_image(shell, image, tmp_path, name, fixture, code):
    script = pipeline_script(name)
    if "junit" not in REPORTERS:
        script = re.sub(r"--report junit=\S+ ", "", script)
    done = shell(script, IMAGE=image(fixture))
    assert (done.returncode, done.stdout.count("\n")) == (code, 1)
    assert {path.name for path in (tmp_path / "reports").iterdir()} >= {"vhdprep.txt", "vhdprep.json"}


def test_the_packer_post_processor_makes_a_checked_vhd_or_fails(shell, image, tmp_path):
    inline = re.search(r"inline = \[(.*?)\n    \]", (EXAMPLES / "packer.pkr.hcl").read_text(encoding="utf-8"), re.DOTALL)
    script = "\n".join(json.loads(f"[{inline[1].strip().rstrip(',')}]"))
    disk = tmp_path / "disk.raw"
    disk.write_bytes(image("debian-12-generalized").read_bytes()[:-512])
    done = shell(script, DISK=disk)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "disk.raw.json").read_text())["verdict"] == "ready"
    disk.write_bytes(b"garbage " * 1000)
    assert shell(script, DISK=disk).returncode != 0


def test_the_pre_commit_hook_runs_the_examples_of_the_rules(shell, tmp_path):
    ((hook,),) = (repository["hooks"] for repository in values("pre-commit-config.yaml")["repos"])
    (tmp_path / "rules").mkdir()
    for outcome, code in (("pass", 0), ("fail", 2)):
        (tmp_path / "rules" / "site-a.yaml").write_text(RULE.replace("OUTCOME", outcome))
        assert shell(hook["entry"]).returncode == code
    assert re.search(hook["files"], "rules/site-a.yaml")


def test_the_container_runs_as_nobody():
    lines = [line for line in (EXAMPLES / "Containerfile").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert [line.split()[0] for line in lines] == ["FROM", "COPY", "RUN", "USER", "WORKDIR", "ENTRYPOINT", "CMD"]
    assert ("USER 65534:65534" in lines, json.loads(lines[-2].partition(" ")[2])) == (True, ["vhdprep"])


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_in_the_actions_script():
    subprocess.run(["shellcheck", EXAMPLES / "github-action" / "check.sh"], check=True)
