"""Files made by other people's tools: what the collection's README says of each."""

from __future__ import annotations

import shutil

import pytest

from vhdprep.check import check, inspect

pytestmark = pytest.mark.data


@pytest.mark.parametrize(
    ("name", "container", "creator", "size", "filesystems"),
    [
        ("vhd/hyperv2012r2-dynamic.vhd", "a dynamic VHD", "win ", 136365211648, []),
        ("vhd/virtualpc-dynamic.vhd", "a dynamic VHD", "vpc ", 136365211648, []),
        ("vhd/d2v-zerofilled.vhd", "a dynamic VHD", "d2v\\x00", 263454720, []),
        ("vhd/ext2.vhd", "a dynamic VHD", "qemu", 4212736, ["ext2"]),
        ("vhd/fat-parent.vhd", "a fixed VHD", "win ", 4194304, ["vfat"]),
        ("vhd/fat-differential.vhd", "a differencing VHD", "win ", 4194304, ["vfat"]),
        ("vhdx/ntfs-dynamic.vhdx", "a dynamic VHDX", "Microsoft Windows 10.0.19041.0", 4194304, ["ntfs"]),
        ("vhdx/lvm2.vhdx", "a dynamic VHDX", "Microsoft Windows 10.0.14393.0", 10737418240, ["LVM2_member", "vfat", "ntfs", "ext3"]),
        ("vhdx/xfs5.vhdx", "a dynamic VHDX", "Microsoft Windows 10.0.17134.0", 10737418240, ["xfs"]),
        ("raw/lvm.raw", "a raw disk without a VHD footer", None, 10485760, ["LVM2_member", "ext2", None]),
        ("raw/gpt.raw", "a raw disk without a VHD footer", None, 4194304, ["ext2", "ext4"]),
    ],
)
def test_each_file_is_what_its_readme_says(data, name, container, creator, size, filesystems):
    data("vhd/fat-parent.vhd")  # the parent of the differencing disk lies beside it
    (disk,) = inspect(data(name)).disks
    assert (disk.container.contents, disk.container.creator, disk.container.virtual_size) == (container, creator, size)
    assert [volume.filesystem for volume in disk.volumes] == filesystems
    assert disk.container.defects == ()


def test_sizes_that_are_no_whole_mebibyte_are_refused(data, rules):
    chosen = tuple(rule for rule in rules if rule.id == "vhd-size-whole-mib")
    for name in ("vhd/d2v-zerofilled.vhd", "vhd/ext2.vhd"):
        (finding,) = check(data(name), chosen).findings
        assert finding.outcome == "fail"
        assert finding.observations[0].where == "footer:current_size"


def test_a_differencing_disk_names_its_missing_parent(data, tmp_path):
    alone = shutil.copy(data("vhd/fat-differential.vhd"), tmp_path / "child.vhd")
    report = inspect(alone)
    assert report.disks[0].container.parent.endswith("fat-parent.vhd")
    assert "fat-parent.vhd" in report.gaps[0]


def test_files_of_a_real_xfs_and_fat_are_listed(data):
    from tests.disks import open_disk

    path = data("vhdx/xfs5.vhdx")
    with open_disk(path) as disk:
        files = disk.files(disk.volumes[0])
        assert set(files.list("/")) == {"data", "data.1", "data.2", "data.3", "DATALOSS_WARNING_README.txt", "empty", "folder", "huge"}
        assert files.lstat("/folder").kind == "directory"
