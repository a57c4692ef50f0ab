"""``--manifest`` and ``--data``: machines of several disks at the command line."""

from __future__ import annotations

import json

import pytest

from fixtures import build
from tests.cli.test_cli import run
from tests.schemas import REPORT


@pytest.fixture
def machine(tmp_path):
    """A folder with links to the images of a recipe, and a manifest of what is said of them."""

    def lay_out(name="debian-12-set-used", manifest="", disks="- {file: os.vhd, role: os}\n- {file: data0.vhd}\n- {file: data1.vhd}\n"):
        for file, image in zip(("os.vhd", "data0.vhd", "data1.vhd"), (build.build(name), *build.data_disks(name)), strict=False):
            (tmp_path / file).symlink_to(image)
        (tmp_path / "vm.yaml").write_text(f"disks:\n{disks}{manifest}")
        return tmp_path

    return lay_out


def test_a_manifest_stands_in_the_place_of_the_image_and_the_next_command_names_it(machine):
    done = run("check", "--manifest", "vm.yaml", cwd=machine(manifest="generation: 2\n"))
    assert done.returncode == 1
    assert "  by the manifest vm.yaml: generation 2\n" in done.stdout
    assert "  data disk at LUN 0 data0.vhd: dynamic VHD" in done.stdout
    assert done.stdout.endswith("To see what can be put right in a copy:\n  vhdprep prepare --manifest vm.yaml --plan-only\n")


def test_the_next_command_names_data_disks_and_the_destination(machine):
    done = run("check", "os.vhd", "--data", "data0.vhd", "--data", "data1.vhd", "--as", "marketplace", cwd=machine())
    assert done.stdout.endswith("  vhdprep prepare os.vhd --data data0.vhd --data data1.vhd --as marketplace --plan-only\n")


def test_a_report_of_a_machine_keeps_to_its_schema_and_says_what_was_declared(machine):
    done = run("check", "--manifest", "vm.yaml", "--format", "json", cwd=machine("debian-12-set", manifest="version: 1.2.3\n"))
    report = json.loads(done.stdout)
    REPORT.validate(report)
    assert report["verdict"] == "ready"
    assert [(each["role"], each["lun"], each["path"]) for each in report["disks"]] == [
        ("os", None, "os.vhd"),
        ("data", 0, "data0.vhd"),
        ("data", 1, "data1.vhd"),
    ]
    assert report["declared"] == {
        "path": "vm.yaml",
        "version": "1.2.3",
        "disks": [
            {"role": "os", "file": "os.vhd", "lun": None, "size": None},
            {"role": "data", "file": "data0.vhd", "lun": 0, "size": None},
            {"role": "data", "file": "data1.vhd", "lun": 1, "size": None},
        ],
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "--manifest", "vm.yaml", "os.vhd"], "name either an IMAGE, a tree with --root DIR, or a set of disks with --manifest FILE"),
        (["check", "--manifest", "vm.yaml", "--data", "data0.vhd"], "a manifest names them itself"),
        (
            ["check", "--manifest", "vm.yaml", "--as", "specialized"],
            "--as, or the plan, says specialized, and vm.yaml says `destination: generalized`; leave one out",
        ),
        (["check", "--manifest", "none.yaml"], "none.yaml: the manifest cannot be read (No such file or directory)"),
        (
            ["check", "--manifest", "vm.yaml", "--output", "data0.vhd"],
            "data0.vhd: is the image, or another file of this run; name another one for the report",
        ),
        (["prepare", "--manifest", "vm.yaml"], "name the COPY to make, or say --plan-only"),
        (["prepare", "--manifest", "vm.yaml", "os.vhd"], "os.vhd: is there already"),
    ],
)
def test_a_call_that_contradicts_itself_is_one_line_and_exit_code_2(machine, arguments, said):
    done = run(*arguments, cwd=machine(manifest="destination: generalized\n"))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_is_wrong_in_a_manifest_is_said_with_file_and_line(machine):
    done = run("check", "--manifest", "vm.yaml", cwd=machine(manifest="generation: 3\n"))
    assert (done.returncode, done.stderr) == (2, "vhdprep: vm.yaml:5: generation is one of: 1, 2\n")


def test_a_disk_that_a_manifest_names_and_that_is_not_there_is_a_mistake_in_the_call(machine):
    folder = machine()
    (folder / "data1.vhd").unlink()
    done = run("check", "--manifest", "vm.yaml", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "data1.vhd" in done.stderr


def test_inspect_and_prepare_take_a_manifest_too(machine):
    folder = machine()
    assert "data disk at LUN 1" in run("inspect", "--manifest", "vm.yaml", cwd=folder).stdout
    plan = run("prepare", "--manifest", "vm.yaml", "--plan-only", cwd=folder)
    assert plan.stdout.endswith("  vhdprep prepare --manifest vm.yaml os-prepared\n")
