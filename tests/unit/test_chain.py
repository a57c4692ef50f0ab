"""Differencing VHDs and VHDX: parents are found beside the child and proven by their id."""

from __future__ import annotations

import os
import random
import shutil
import uuid

import pytest

from fixtures import vhdfile, vhdxfile
from tests.disks import open_disk
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


# VHDX

MIB = 1024 * 1024
BASE = random.Random(1).randbytes(3 * MIB)
IDS = [uuid.UUID(int=0xABCDEF << 96 | number) for number in range(1, 5)]


def vhdx_child(path, old, new, parent_id, own_id, **paths):
    vhdxfile.write(new, path, parent=vhdxfile.Parent(old, parent_id, paths), data_write=own_id)


def with_change(data, number):
    return data[: number * 5000] + bytes([number]) * 700 + data[number * 5000 + 700 :]


@pytest.fixture
def vhdx_pair(tmp_path):
    parent, child = tmp_path / "base.vhdx", tmp_path / "child.avhdx"
    vhdxfile.write(BASE, parent, data_write=IDS[0])
    vhdx_child(child, BASE, with_change(BASE, 1), IDS[0], IDS[1], relative_path=".\\base.vhdx", absolute_win32_path="\\\\?\\C:\\VMs\\base.vhdx")
    return parent, child


def read_disk(path):
    with open_disk(path) as disk:
        return disk._reader.read_at(0, disk.size)


def test_the_parent_of_a_vhdx_is_found_beside_it_and_both_are_one_disk(vhdx_pair):
    parent, child = vhdx_pair
    assert [link.path for link in follow(child)[0]] == [child, parent]
    assert read_disk(child) == with_change(BASE, 1)


@pytest.mark.usefixtures("vhdx_pair")
def test_a_chain_of_three_vhdx_reads_from_the_newest_down(tmp_path):
    grandchild = tmp_path / "grandchild.avhdx"
    newest = with_change(with_change(BASE, 1), 2)
    vhdx_child(grandchild, with_change(BASE, 1), newest, IDS[1], IDS[2], relative_path=".\\child.avhdx")
    assert len(follow(grandchild)[0]) == 3
    assert read_disk(grandchild) == newest


def test_a_parent_with_a_log_to_be_carried_out_is_read_as_it_should_be(vhdx_pair):
    parent, child = vhdx_pair
    vhdxfile.interrupt(parent)
    vhdxfile.write_headers(parent, data_write=IDS[0], log=vhdxfile.LOG_GUID)
    assert read_disk(child) == with_change(BASE, 1)


@pytest.mark.parametrize(
    "paths",
    [
        {"relative_path": "..\\elsewhere\\base.vhdx"},
        {"volume_path": "\\\\?\\Volume{26A21BDA-A627-11D7-9931-806E6F6E6963}\\VMs\\base.vhdx"},
        {"absolute_win32_path": "\\\\?\\C:\\VMs\\base.vhdx"},
    ],
)
def test_of_a_path_that_leads_elsewhere_the_name_is_looked_for_beside_the_child(vhdx_pair, paths):
    parent, child = vhdx_pair
    vhdx_child(child, BASE, with_change(BASE, 1), IDS[0], IDS[1], **paths)
    assert follow(child)[0][1].path == parent


def test_a_relative_path_may_lead_into_another_folder(vhdx_pair, tmp_path):
    parent, child = vhdx_pair
    (tmp_path / "bases").mkdir()
    parent.rename(tmp_path / "bases" / "base.vhdx")
    vhdx_child(child, BASE, with_change(BASE, 1), IDS[0], IDS[1], relative_path=".\\bases\\base.vhdx")
    assert follow(child)[0][1].path == tmp_path / "bases" / "base.vhdx"


def test_while_changes_are_merged_either_id_proves_the_parent(vhdx_pair):
    parent, child = vhdx_pair
    second = {"relative_path": ".\\base.vhdx", "parent_linkage2": f"{{{str(IDS[0]).upper()}}}"}
    vhdx_child(child, BASE, with_change(BASE, 1), IDS[3], IDS[1], **second)
    assert follow(child)[0][1].path == parent


def test_a_parent_that_was_written_to_since_is_not_taken(vhdx_pair):
    parent, child = vhdx_pair
    vhdxfile.write_headers(parent, data_write=IDS[3])
    text = f"base.vhdx beside it is not its parent: another unique id than {IDS[0]}, or it was written to since"
    with pytest.raises(Unreadable, match=text):
        follow(child)
    assert inspect(child).gaps == (f"a differencing VHDX holds only changes, and {text}",)


def test_the_missing_parent_of_a_vhdx_is_named(vhdx_pair):
    parent, child = vhdx_pair
    parent.unlink()
    with pytest.raises(Unreadable, match=r"a differencing VHDX holds only changes, and its parent base\.vhdx is missing"):
        follow(child)


def test_a_vhd_is_no_parent_of_a_vhdx_whatever_its_id(vhdx_pair):
    parent, child = vhdx_pair
    parent.write_bytes(bytes(MIB) + vhdfile.make_footer(MIB, 2, {"unique_id": IDS[0].hex}))
    assert describe(parent).fields["footer:unique_id"] == str(IDS[0])
    with pytest.raises(Unreadable, match=r"base\.vhdx beside it is not its parent"):
        follow(child)


def test_a_path_in_a_vhdx_never_opens_what_is_no_vhdx(vhdx_pair, tmp_path):
    _, child = vhdx_pair
    (tmp_path / "canary").write_text("a canary of the host")
    for path in (".\\canary", str(tmp_path / "canary"), "..\\..\\..\\..\\etc\\passwd", "canary\0"):
        vhdx_child(child, BASE, with_change(BASE, 1), IDS[0], IDS[1], relative_path=path)
        with pytest.raises(Unreadable) as caught:
            follow(child)
        assert "of the host" not in str(caught.value)


def test_vhdx_in_a_circle_end(tmp_path):
    one, other = tmp_path / "one.vhdx", tmp_path / "other.vhdx"
    vhdx_child(one, BASE, with_change(BASE, 1), IDS[1], IDS[0], relative_path=".\\other.vhdx")
    vhdx_child(other, BASE, with_change(BASE, 1), IDS[0], IDS[1], relative_path=".\\one.vhdx")
    with pytest.raises(Unreadable, match=r"runs in a circle at one\.vhdx"):
        follow(one)


def test_a_chain_longer_than_is_followed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(chain, "MAX_CHAIN", 2)
    for number in range(3):
        vhdx_child(tmp_path / f"{number}.vhdx", BASE, with_change(BASE, 1), IDS[number + 1], IDS[number], relative_path=f".\\{number + 1}.vhdx")
    vhdxfile.write(BASE, tmp_path / "3.vhdx", data_write=IDS[3])
    with pytest.raises(Unreadable, match="longer than 2"):
        follow(tmp_path / "0.vhdx")


def test_a_child_whose_parent_is_damaged_is_not_read(vhdx_pair):
    parent, child = vhdx_pair
    with parent.open("r+b") as file:
        file.seek(vhdxfile.METADATA)
        file.write(b"x")
    with pytest.raises(Unreadable, match=r'the VHDX cannot be read: There is no "metadata" at byte 2097152'), open_disk(child):
        pass


def test_a_vhdx_of_4096_byte_sectors_is_not_read_for_its_table_would_be_misread(tmp_path):
    path = tmp_path / "disk.vhdx"
    vhdxfile.write(BASE, path, sector=4096)
    with (
        pytest.raises(Unreadable, match=r"disk\.vhdx has logical sectors of 4096 bytes; partition tables that count in these are not read"),
        open_disk(path),
    ):
        pass
