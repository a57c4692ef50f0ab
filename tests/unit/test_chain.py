"""Differencing VHDs: parents are found beside the child and proven by their id."""

from __future__ import annotations

import os
import shutil

import pytest

from fixtures import vhdfile
from vhdprep.check import inspect
from vhdprep.errors import Unreadable
from vhdprep.vhd import chain
from vhdprep.vhd.container import describe


@pytest.fixture
def pair(data, tmp_path):
    """Windows 10's own parent and child, in a folder of their own."""
    for name in ("fat-parent.vhd", "fat-differential.vhd"):
        shutil.copy(data(f"vhd/{name}"), tmp_path / name)
    return tmp_path / "fat-parent.vhd", tmp_path / "fat-differential.vhd"


def follow(path):
    return chain.follow(path, describe(path))


def test_the_parent_beside_the_child_is_found_and_the_disk_is_read(pair):
    parent, child = pair
    links, defects = follow(child)
    assert ([link.path for link in links], defects) == ([child, parent], [])
    (disk,) = inspect(child).disks
    assert [(volume.id, volume.filesystem, volume.read) for volume in disk.volumes] == [("p1", "vfat", True)]


def test_a_relative_locator_may_lead_into_another_folder(pair):
    parent, child = pair
    folder = parent.parent / "bases"
    folder.mkdir()
    parent.rename(folder / parent.name)
    moved = child.read_bytes()
    locator = ".\\bases\\fat-parent.vhd".encode("utf-16-le")
    moved = moved[:12288] + locator.ljust(64, b"\0") + moved[12288 + 64 :]
    entry = 512 + 576 + 24 + 8
    child.write_bytes(moved[:entry] + len(locator).to_bytes(4, "big") + moved[entry + 4 :])
    assert follow(child)[0][1].path == folder / parent.name


def test_a_missing_parent_is_named(pair):
    parent, child = pair
    parent.unlink()
    with pytest.raises(Unreadable, match=r"fat-parent\.vhd is missing"):
        follow(child)


def test_a_file_of_the_parents_name_with_another_id_is_not_taken(pair):
    parent, child = pair
    size = parent.stat().st_size - 512
    parent.write_bytes(parent.read_bytes()[:size] + vhdfile.make_footer(size, 2, {"unique_id": "ff" * 16}))
    with pytest.raises(Unreadable, match="is not its parent"):
        follow(child)


def test_a_locator_never_opens_what_is_no_vhd(pair, tmp_path):
    parent, child = pair
    parent.write_text("a canary of the host")
    with pytest.raises(Unreadable) as caught:
        follow(child)
    assert "canary" not in str(caught.value)


def test_a_parent_changed_at_another_time_is_a_defect(pair):
    parent, child = pair
    data = bytearray(child.read_bytes())
    data[512 + 56 : 512 + 60] = (1000).to_bytes(4, "big")
    child.write_bytes(data)
    os.utime(parent, (946_684_800 + 2000, 946_684_800 + 2000))
    assert [(defect.kind, "second 2000 of VHD time" in defect.message) for defect in follow(child)[1]] == [("parent-time", True)]


def test_a_chain_in_a_circle_ends(pair):
    _, child = pair
    data = bytearray(child.read_bytes())
    data[512 + 40 : 512 + 56] = data[68:84]
    child.write_bytes(data)
    shutil.copy(child, child.with_name("fat-parent.vhd"))
    with pytest.raises(Unreadable, match=r"circle|longer"):
        follow(child)
