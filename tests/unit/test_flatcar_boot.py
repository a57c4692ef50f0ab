"""GRUB as Flatcar builds it: its configuration in an archive, the slot by priority, partitions found by name."""

from __future__ import annotations

import pytest

from fixtures import content
from fixtures.tree import tree
from tests.unit.memory import guest as small_guest
from vhdprep.disk.memory import MemoryDisk, MemoryFiles
from vhdprep.errors import Unreadable
from vhdprep.guest import boot
from vhdprep.guest.assemble import assemble
from vhdprep.guest.loaders.grubwords import search_words
from vhdprep.guest.slots import SLOT
from vhdprep.model import Volume, VolumeKind

ESP_TYPE, DATA = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
A, B = "7130c94a-213a-4e5a-8e26-6cce9662f132", "e03dd35c-7c2d-4a47-b3fe-27f15780a57c"
MENU = tree("flatcar")["/boot/flatcar/grub/grub.cfg.tar"]["tar"]["grub.cfg"]
OEM = tree("flatcar")["/oem/grub.cfg"]


def flatcar(a=1, b=0, archive=None, esp=None, oem=OEM):
    """A disk as Flatcar's, both slots filled, each with a kernel on the EFI partition."""
    archive = content.tar({"grub.cfg": MENU}) if archive is None else archive
    programs = {"/EFI/boot/bootx64.efi": content.efi("x86_64", signed=True, sections=[".text", "mods"])}
    kernels = {f"/flatcar/vmlinuz-{slot}": content.kernel(f"6.6.{number}-flatcar", signed=True) for number, slot in enumerate("ab")}
    usr = {"/lib/os-release": "ID=flatcar\nVERSION_ID=1\n", "/bin/bash": content.elf("x86_64"), "/lib/systemd/systemd": content.elf("x86_64")}
    parts = [
        ("EFI-SYSTEM", ESP_TYPE, None, 0, {**programs, **kernels, "/flatcar/grub/grub.cfg.tar": archive, **(esp or {})}),
        ("USR-A", SLOT, A, a, usr),
        ("USR-B", SLOT, B, b, usr),
        ("OEM", DATA, None, 0, {"/grub.cfg": oem}),
        ("ROOT", DATA, None, 0, {}),
    ]
    volumes, files = [], {}
    for number, (name, kind, part_uuid, priority, content_of) in enumerate(parts, 1):
        volume = Volume(f"p{number}", VolumeKind.PARTITION, 2**30, number * 2**30, kind, "vfat" if number == 1 else "ext4", read=True)
        volumes.append(volume._replace(label=name, part_label=name, part_uuid=part_uuid, boot_priority=priority))
        files[volume.id] = MemoryFiles(content_of, case_sensitive=number != 1)
    return assemble(MemoryDisk(8 * 2**30, "gpt", volumes, files))


@pytest.mark.parametrize(("a", "b", "slot", "uuid"), [(1, 0, "a", A), (1, 2, "b", B)])
def test_the_slot_of_the_highest_priority_and_its_kernel_start(a, b, slot, uuid):
    guest = flatcar(a, b)
    entry = boot.default_entry(guest)
    assert (entry.kernel.path, entry.initrds, entry.halt) == (f"ESP:/flatcar/vmlinuz-{slot}", (), None)
    assert (entry.values("mount.usr"), entry.values("root"), boot.root_volume(guest).id) == ((f"PARTUUID={uuid}",), ("LABEL=ROOT",), "p5")


def test_the_oem_partition_adds_its_console():
    assert boot.default_entry(flatcar()).values("console") == ("tty1", "ttyS0,115200n8")
    assert boot.default_entry(flatcar(oem="set oem_id=azure\n")).values("flatcar.oem.id") == ("azure",)


@pytest.mark.parametrize(("esp", "first"), [({}, ()), ({"/flatcar/first_boot": ""}, ("detected",))])
def test_the_mark_of_a_first_boot_becomes_an_argument(esp, first):
    assert boot.default_entry(flatcar(esp=esp)).values("flatcar.first_boot") == first


@pytest.mark.parametrize(
    "archive",
    [b"", b"grub.cfg".ljust(512, b"\0"), content.tar({"other": MENU}), content.tar({"grub.cfg": MENU})[:124] + b"99999999999\0" + bytes(376)],
)
def test_an_archive_that_holds_no_configuration_is_none(archive):
    with pytest.raises(Unreadable, match="no boot loader that is read here has a configuration with an entry"):
        boot.default_entry(flatcar(archive=archive))


def test_without_a_slot_that_may_be_booted_grub_gives_up():
    text = MENU.replace('set default="flatcar"', 'set default="0"')
    with pytest.raises(Unreadable, match="GRUB leaves its place to the firmware's next boot entry"):
        boot.default_entry(small_guest({"/boot/grub/grub.cfg": text}))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("--no-floppy --set oem --part-label OEM --hint hd0", ("OEM", "oem", "partition")),
        ("--no-floppy --fs-uuid --set=root --hint-bios=hd0,gpt2 11-22", ("11-22", "root", "volume")),
        ("-n -u 11-22 -s", ("11-22", "root", "volume")),
        ("-s boot -f /vmlinuz", ("/vmlinuz", "boot", "file")),
        ("--fs-uuid --set 11-22", ("11-22", "root", "volume")),
        ("--file --set=dev --hint hd0 /x", ("/x", "dev", "file")),
        ("--no-floppy", (None, "root", "volume")),
    ],
)
def test_search_takes_the_word_after_set_for_its_variable(line, found):
    assert search_words(line.split()) == found
