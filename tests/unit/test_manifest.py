"""Manifests: what they may say, what is wrong with them and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from vhdprep import manifest
from vhdprep.check import sources_of
from vhdprep.declared import Declared, DeclaredDisk
from vhdprep.errors import RuleError, UsageError


@pytest.fixture
def load(tmp_path):
    def read(text):
        (tmp_path / "vm.yaml").write_text(text, encoding="utf-8")
        return manifest.load(tmp_path / "vm.yaml")

    return read


@pytest.fixture
def complaints(load):
    """Line and text of each complaint."""

    def read(text):
        with pytest.raises(RuleError) as error:
            load(text)
        return [(each.line, each.text) for each in error.value.complaints]

    return read


def test_a_whole_manifest(load, tmp_path):
    found = load(
        "disks:\n"
        "  - {file: logs.vhd, lun: 3, size: 64 GiB}\n"
        "  - {file: os.vhd, role: os, size: 34359738368}\n"
        "  - {file: /srv/db.vhd, lun: 0}\n"
        "destination: community-gallery\ngeneration: 2\narchitecture: Arm64\nsecurity_type: TrustedLaunchSupported\n"
        "disk_controllers: [SCSI, NVMe]\naccelerated_networking: true\nhibernation: no\nversion: 1.0.12\nkind: gallery\n"
    )
    assert found.path == str(tmp_path / "vm.yaml")
    assert found.disks == (
        DeclaredDisk("os", str(tmp_path / "os.vhd"), None, 32 * 2**30),
        DeclaredDisk("data", "/srv/db.vhd", 0, None),
        DeclaredDisk("data", str(tmp_path / "logs.vhd"), 3, 64 * 2**30),
    )
    assert found.fields == {
        "destination": "community-gallery",
        "kind": "gallery",
        "generation": 2,
        "architecture": "Arm64",
        "security_type": "TrustedLaunchSupported",
        "disk_controllers": ("SCSI", "NVMe"),
        "accelerated_networking": True,
        "hibernation": False,
        "version": "1.0.12",
    }
    assert found.previous is None


def test_disks_without_a_lun_are_numbered_in_their_order(load):
    found = load("disks:\n- {file: os.vhd, role: os}\n- {file: a.vhd}\n- {file: b.vhd}\n")
    assert [each.lun for each in found.disks] == [None, 0, 1]


def test_the_version_before_is_read_too(load, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "vm.yaml").write_text("disks: [{file: os.vhd, role: os}]\ngeneration: 1\nprevious: not-read.yaml\n")
    found = load("disks: [{file: os.vhd, role: os}]\nprevious: old/vm.yaml\n")
    assert (found.previous.fields, found.previous.previous) == ({"generation": 1}, None)
    assert Path(found.previous.disks[0].file) == tmp_path / "old" / "os.vhd"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[]", [(1, "a manifest is a mapping; it begins with `disks:`")]),
        ("generation: 2\n", [(1, "disks is a list; each begins with `- file: NAME.vhd`, one of them says `role: os`")]),
        ("disks: [{file: a.vhd}]\n", [(1, "one disk, and only one, says `role: os`")]),
        ("disks: [{file: a.vhd, role: os}, {file: b.vhd, role: os}]\n", [(1, "one disk, and only one, says `role: os`")]),
        ("disks: [{file: a.vhd, role: os, lun: 0}]\n", [(1, "the disk of the operating system has no LUN")]),
        ("disks:\n- {file: a.vhd, role: os}\n- {file: '', lun: -1, size: big, sort: x}\n", [
            (3, "file names the disk's image"),
            (3, "lun is a number, from 0"),
            (3, "size is a number of bytes, or like 64 GiB (MiB, GiB, TiB)"),
            (3, "unknown key 'sort' of a disk; known: file, role, lun, size"),
        ]),
        ("disks: [{file: a.vhd, role: os}]\ngeneraton: 2\n", [(2, "unknown key 'generaton'; did you mean generation?")]),
        ("disks: [{file: a.vhd, role: os}]\ngeneration: 3\n", [(2, "generation is one of: 1, 2")]),
        ("disks: [{file: a.vhd, role: os}]\ngeneration: two\n", [(2, "generation is a number")]),
        ("disks: [{file: a.vhd, role: os}]\ngeneration: true\n", [(2, "generation is a number")]),
        ("disks: [{file: a.vhd, role: os}]\ndisk_controllers: NVMe\n", [(2, "disk_controllers is a list of texts")]),
        ("disks: [{file: a.vhd, role: os}]\naccelerated_networking: 1\n", [(2, "accelerated_networking is true or false")]),
        ("disks: [{file: a.vhd, role: os}]\nversion: 1\n", [(2, "version is a text, and not empty")]),
        ("disks: [{file: a.vhd, role: os}]\nprevious: []\n", [(2, "previous is the file of the manifest of the version before")]),
        ("disks: [\n", [(2, "did not find expected node content")]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(complaints, text, wanted):
    assert complaints(text) == wanted


def test_more_disks_than_a_machine_takes_are_refused(complaints):
    text = "disks:\n- {file: os.vhd, role: os}\n" + "".join(f"- {{file: {number}.vhd}}\n" for number in range(65))
    assert complaints(text) == [(1, "a machine has at most 64 data disks")]


def test_a_manifest_that_is_missing_is_a_mistake_in_the_call(tmp_path):
    with pytest.raises(UsageError, match="the manifest cannot be read"):
        manifest.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(("luns", "names"), [((2, 4), ["", "data2", "data4"]), ((1, 1), ["", "data0", "data1"])])
def test_a_data_disk_is_called_by_its_lun_unless_two_have_it(tmp_path, luns, names):
    files = [tmp_path / name for name in ("os", "a", "b")]
    for each in files:
        each.touch()
    disks = (DeclaredDisk("os", "os"), *(DeclaredDisk("data", "x", lun) for lun in luns))
    named, _ = sources_of(files[0], files[1:], declared=Declared("vm.yaml", disks, {}))
    assert [each.name for each in named] == names


def test_a_manifest_before_that_no_file_can_be_is_a_mistake_in_the_call(load):
    with pytest.raises(UsageError, match="the manifest cannot be read"):
        load('disks: [{file: a.vhd, role: os}]\nprevious: "a\\0b"\n')
