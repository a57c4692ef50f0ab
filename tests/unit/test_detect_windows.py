"""Finding a Windows: where it is installed, for which machine, how it boots."""

from __future__ import annotations

import pytest

from fixtures import content
from vhdprep.disk.memory import MemoryDisk, MemoryFiles
from vhdprep.errors import Unreadable
from vhdprep.guest.assemble import assemble
from vhdprep.model import GuestFacts, Volume, VolumeKind

GIB = 1024**3
ESP, BASIC = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
ROOT = {"/Windows/System32/config/SOFTWARE": "regf", "/Windows/System32/ntoskrnl.exe": content.efi("x86_64", signed=True, sections=[".text"])}
BOOTABLE = {"mbr:boot_code": "present", "mbr:active_boot_record": "present"}
FACTS = GuestFacts("windows", "windows", "windows", None, "Windows", "x86_64")


def disk(*trees, table="gpt", types=(), active=0, fields=None, unreadable=()):
    """A disk whose volumes hold these trees, names without case."""
    files = {f"p{number}": MemoryFiles(tree, unreadable, case_sensitive=False) for number, tree in enumerate(trees, 1)}
    volumes = [
        Volume(
            name,
            VolumeKind.PARTITION,
            GIB,
            GIB * number,
            dict(zip(files, types, strict=False)).get(name, BASIC),
            "ntfs",
            active=number == active,
            read=True,
        )
        for number, name in enumerate(files, 1)
    ]
    return MemoryDisk(8 * GIB, table, volumes, files, fields or {})


def test_a_gen2_disk_has_a_boot_manager_on_its_esp():
    guest = assemble(disk({"/efi/microsoft/boot/BOOTMGFW.EFI": "MZ"}, ROOT, types=(ESP,)))
    assert guest.facts == FACTS._replace(boot="uefi", generations=(2,))
    assert (guest.root, guest.mounts, guest.fstab) == ("p2", {"/": "p2"}, ())
    assert guest.esp is not None
    assert guest.files.text("/WINDOWS/system32/CONFIG/software") == "regf"


def test_the_fallback_loader_makes_a_gen2_disk_too():
    assert assemble(disk({"/EFI/Boot/bootx64.efi": "MZ"}, ROOT, types=(ESP,))).facts.generations == (2,)


@pytest.mark.parametrize("loader", ["", {"directory": True}], ids=["empty", "a directory"])
def test_a_loader_that_firmware_cannot_start_counts_for_nothing(loader):
    assert assemble(disk({"/EFI/Boot/bootx64.efi": loader}, ROOT, types=(ESP,))).facts.generations == ()


def test_a_gen1_disk_has_its_boot_manager_on_the_active_partition():
    assert assemble(disk({"/bootmgr": ""}, ROOT, table="mbr", active=1, fields=BOOTABLE)).facts == FACTS._replace(boot="bios", generations=(1,))
    assert assemble(disk({**ROOT, "/bootmgr": ""}, table="mbr", active=1, fields=BOOTABLE)).facts.generations == (1,)


@pytest.mark.parametrize(
    "changes",
    [
        {"table": "gpt"},
        {"active": 0},
        {"active": 2},
        {"fields": {**BOOTABLE, "mbr:boot_code": "absent"}},
        {"fields": {**BOOTABLE, "mbr:active_boot_record": "absent"}},
        {"fields": {}},
    ],
)
def test_a_disk_that_lacks_a_part_of_the_bios_path_boots_in_no_generation(changes):
    facts = assemble(disk({"/bootmgr": ""}, ROOT, **{"table": "mbr", "active": 1, "fields": BOOTABLE} | changes)).facts
    assert (facts.boot, facts.generations) == (None, ())


@pytest.mark.parametrize(("machine", "arch"), [("x86_64", "x86_64"), ("aarch64", "aarch64"), ("i386", "i386")])
def test_the_kernel_says_for_which_machine_it_is(machine, arch):
    kernel = {"/Windows/System32/ntoskrnl.exe": content.efi(machine, signed=True, sections=[".text"])}
    assert assemble(disk({**ROOT, **kernel})).facts.arch == arch


def test_without_a_kernel_the_machine_is_not_known():
    assert assemble(disk({"/WINNT/System32/config/SOFTWARE": "regf"})).facts.arch is None


def test_a_windows_in_winnt_is_found():
    tree = {path.replace("/Windows/", "/WINNT/"): value for path, value in ROOT.items()}
    assert assemble(disk(tree)).facts.arch == "x86_64"


def test_what_only_looks_like_windows_is_none():
    for tree in ({"/Windows/System32/ntoskrnl.exe": ""}, {"/Windows.old/System32/config/SOFTWARE": ""}):
        with pytest.raises(Unreadable, match="looks like a data disk"):
            assemble(disk(tree))


def test_names_with_case_are_no_windows():
    tree = MemoryFiles(ROOT)
    volume = Volume("p1", VolumeKind.PARTITION, GIB, GIB, BASIC, "ext4", read=True)
    with pytest.raises(Unreadable, match="looks like a data disk"):
        assemble(MemoryDisk(GIB, "gpt", [volume], {"p1": tree}))


def test_two_systems_are_said():
    with pytest.raises(Unreadable, match=r"2 operating systems were found \(p1, p2\)"):
        assemble(disk(ROOT, ROOT))
    with pytest.raises(Unreadable, match="2 operating systems"):
        assemble(disk(ROOT, {"/etc/os-release": "", "/usr": {"directory": True}}))


def test_a_directory_that_cannot_be_read_is_not_taken_for_no_windows():
    with pytest.raises(Unreadable, match="/Windows/System32"):
        assemble(disk(ROOT, unreadable=["/Windows/System32"]))
