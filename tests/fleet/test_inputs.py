"""What was named becomes images, each once and in order."""

from __future__ import annotations

import pytest

from vhdprep.errors import UsageError
from vhdprep.fleet.inputs import Named, find


@pytest.fixture
def library(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("lib/b.vhd", "lib/a.VHDX", "lib/deep/c.avhdx", "lib/readme.txt", "lib/[x].vhd", "other/d.vhd"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "lib" / "loop").symlink_to(tmp_path / "lib")
    (tmp_path / "lib" / "gone.vhd").symlink_to("nowhere")
    return tmp_path


def names(*what, everything=False):
    return [each.subject for each in find(what, everything=everything)]


def test_a_folder_gives_what_is_called_like_a_disk_and_follows_no_link_to_a_folder(library):
    assert names("lib") == ["lib/[x].vhd", "lib/a.VHDX", "lib/b.vhd", "lib/deep/c.avhdx"]
    assert names("lib", everything=True) == ["lib/[x].vhd", "lib/a.VHDX", "lib/b.vhd", "lib/deep/c.avhdx", "lib/readme.txt"]


def test_a_file_is_taken_whatever_it_is_called_and_once(library):
    assert names("lib/readme.txt", "./lib/readme.txt", "lib/[x].vhd", f"{library}/other/d.vhd") == [
        f"{library}/other/d.vhd",
        "lib/[x].vhd",
        "lib/readme.txt",
    ]


def test_patterns_match_folders_and_files(library):
    assert names("*/*.vhd") == ["lib/[x].vhd", "lib/b.vhd", "lib/gone.vhd", "other/d.vhd"]
    assert names("oth*") == ["other/d.vhd"]
    assert names("lib/**/*.avhdx", f"{library}/o*/*") == [f"{library}/other/d.vhd", "lib/deep/c.avhdx"]


def test_a_list_names_anything_and_what_is_gone_is_named_all_the_same(library):
    (library / "list.txt").write_text("# ours\n\n  other \nlib/b.vhd\nlib/missing.vhd\n")
    assert names("@list.txt") == ["lib/b.vhd", "lib/missing.vhd", "other/d.vhd"]


def test_disks_of_a_manifest_are_not_images_of_their_own(library):
    (library / "vm.yml").write_text("disks:\n  - {file: lib/b.vhd, role: os}\n")
    assert find(["vm.yml", "lib/*.vhd", "lib/gone.vhd"]) == [
        Named("lib/[x].vhd", ("lib/[x].vhd",)),
        Named("lib/gone.vhd", ("lib/gone.vhd",)),
        Named("vm.yml", ("lib/b.vhd", "vm.yml")),
    ]


@pytest.mark.parametrize("what", ["nowhere", "no*where", "lib/deep/c.vhd"])
def test_what_is_not_there_is_a_mistake_in_the_call(library, what):
    with pytest.raises(UsageError, match="there is no such file, folder or match"):
        names("lib", what)
