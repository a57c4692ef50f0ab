"""Flatcar: /usr from the slot that GRUB takes, /etc over what the slot holds for it, the root as the first boot makes it."""

from __future__ import annotations

import pytest

from vhdprep.disk.backend import FileKind
from vhdprep.disk.memory import MemoryDisk, MemoryFiles
from vhdprep.errors import Unreadable
from vhdprep.guest.assemble import assemble
from vhdprep.guest.slots import SLOT, Overlay
from vhdprep.model import Volume, VolumeKind

RELEASE = "ID=flatcar\nID_LIKE=coreos\nVERSION_ID={}\nPRETTY_NAME='Flatcar'\n"
USR = {"/lib/systemd/systemd": "ELF", "/share/flatcar/etc/os-release": {"link": "../usr/lib/os-release"}}
DATA = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"


def disk(a=1, b=0, root=None, oem=None, **changes):
    """A disk as Flatcar's, slot A with version 1 and slot B with version 2."""
    trees = {
        "USR-A": {**USR, "/lib/os-release": RELEASE.format(1)},
        "USR-B": {**USR, "/lib/os-release": RELEASE.format(2)},
        "OEM": oem or {"/grub.cfg": 'set oem_id="azure"\n'},
        "ROOT": root or {"/usr": {"directory": True}},
    }
    kinds, priorities = {"USR-A": SLOT, "USR-B": SLOT}, {"USR-A": a, "USR-B": b}
    volumes = []
    for number, name in enumerate(trees, 1):
        volume = Volume(f"p{number}", VolumeKind.PARTITION, 2**30, number * 2**30, kinds.get(name, DATA), "ext4", read=True)
        volume = volume._replace(label=name, part_label=name, boot_priority=priorities.get(name, 0))
        volumes.append(volume._replace(**changes.get(name.replace("-", "_"), {})))
    return MemoryDisk(8 * 2**30, "gpt", volumes, {volume.id: MemoryFiles(tree) for volume, tree in zip(volumes, trees.values(), strict=True)})


@pytest.mark.parametrize(("a", "b", "version"), [(1, 0, "1"), (1, 2, "2"), (2, 1, "1")])
def test_the_slot_of_the_highest_priority_is_usr(a, b, version):
    guest = assemble(disk(a, b))
    facts = guest.facts
    assert (facts.os, facts.distro, facts.family, facts.version, facts.init) == ("linux", "flatcar", "flatcar", version, "systemd")
    assert guest.mounts == {"/": "p4", "/usr": f"p{version}", "/oem": "p3"}
    assert guest.files.text("/oem/grub.cfg") == 'set oem_id="azure"\n'


def test_etc_of_the_root_lies_over_that_of_the_slot():
    guest = assemble(disk(root={"/etc/hostname": "one\n", "/etc/ssh/extra": "", "/var/x": ""}))
    assert guest.facts.hostname == "one"
    assert guest.files.text("/etc/os-release") == RELEASE.format(1)
    assert sorted(guest.files.names("/etc")) == ["hostname", "os-release", "ssh"]
    assert guest.files.readlink("/bin") == "usr/bin"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"a": 0}, r"none of the partitions for /usr \(p1, p2\) is marked to be booted"),
        ({"USR_A": {"read": False, "reason": "odd"}}, "USR-A was not read: odd"),
        ({"ROOT": {"label": "x", "part_label": "y"}}, "p1 holds /usr, but no file system is labelled ROOT"),
        ({"ROOT": {"read": False, "reason": "encrypted with LUKS"}}, "ROOT was not read: encrypted with LUKS"),
        ({"oem": {"/etc/passwd": "", "/bin/sh": ""}}, r"2 operating systems were found \(p4, p3\)"),
    ],
)
def test_what_would_be_booted_must_be_there_and_read(changes, reason):
    with pytest.raises(Unreadable, match=reason):
        assemble(disk(**changes))


def test_an_unread_oem_partition_is_named_where_it_belongs():
    guest = assemble(disk(OEM={"read": False, "reason": "odd"}))
    with pytest.raises(Unreadable, match="it lies on p3, which was not read: odd"):
        guest.files.text("/oem/grub.cfg")


class Upper(MemoryFiles):
    """A tree in which ``/gone`` was deleted, as overlayfs marks it."""

    def lstat(self, path):
        found = super().lstat(path)
        return found._replace(kind=FileKind.OTHER) if path == "/gone" and found else found


def test_what_was_deleted_or_replaced_in_the_upper_tree_hides_the_lower_one():
    upper = Upper({"/gone": "", "/file": "new", "/directory/a": "1", "/was-directory": "now a file"})
    lower = MemoryFiles({"/gone/x": "", "/file": "old", "/directory/b": "2", "/was-directory/x": "", "/link": {"link": "file"}})
    both = Overlay(upper, lower)
    assert sorted(both.list("/")) == ["directory", "file", "link", "was-directory"]
    assert (both.read("/file", 9), both.read("/directory/b", 9), both.readlink("/link")) == (b"new", b"2", "file")
    assert sorted(both.list("/directory")) == ["a", "b"]
    assert (both.lstat("/gone"), both.lstat("/gone/x"), both.lstat("/was-directory/x")) == (None, None, None)
    assert (both.list("/was-directory"), both.list("/gone"), both.read("/gone/x", 9)) == ((), (), b"")
