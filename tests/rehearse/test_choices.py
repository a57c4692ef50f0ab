"""What the rehearsed machine looks like, and which images get none."""

from __future__ import annotations

import pytest

from fixtures import build, content
from tests.unit.memory import image as described
from vhdprep.check import open_image, open_tree
from vhdprep.errors import NotRehearsable
from vhdprep.guest.image import Image
from vhdprep.model import Target
from vhdprep.rehearse.choices import Hardware, choose

INSTEAD = "start a test machine of it on Azure instead"
VIRTIO = ("virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net", "sd_mod")
AHCI = ("ahci", "libahci", "libata", "sd_mod")
DVD = ("cdrom", "sr_mod", "udf")
UEFI = "UEFI: the disk can boot as generation 1 and 2"
MODULES = "/lib/modules/6.1"


def linux(early=(), late=(), built_in=(), *, argument="root=UUID=11111111-2222-3333-4444-555555555555", files=None, **given):
    """An image whose initramfs, root and kernel hold these modules; None in their place = it is not there."""
    tree = {"/boot/grub/grub.cfg": f"menuentry x {{ linux /boot/vmlinuz-6.1 {argument}\ninitrd /boot/initrd\n}}", "/boot/vmlinuz-6.1": "x"}
    if early is not None:
        tree["/boot/initrd"] = content.initramfs([_path(name) for name in early], "gzip", microcode=False)
    if late is not None:
        tree[f"{MODULES}/modules.dep"] = "".join(f"{_path(name)}:\n" for name in late)
    if built_in is not None:
        tree[f"{MODULES}/modules.builtin"] = "".join(f"{_path(name)}\n" for name in built_in)
    return described(tree | (files or {}), **given)


def _path(name):
    return name if name.endswith(".img") else f"kernel/drivers/{name.replace('nvme_core', 'nvme-core')}.ko.xz"


def buses(image):
    chosen = choose(image)
    return chosen.machine, chosen.disk, chosen.nic, chosen.dvd


def refusal(image):
    with pytest.raises(NotRehearsable) as raised:
        choose(image)
    return str(raised.value)


def test_everything_there_is_told_in_full():
    assert choose(linux(VIRTIO, (*VIRTIO, *DVD))) == Hardware(
        "uefi",
        "q35",
        "virtio-scsi",
        "virtio-net",
        "virtio-scsi",
        (),
        (
            UEFI,
            "disk: virtio-scsi, for the kernel has virtio_pci, virtio_scsi, sd_mod before the root is mounted",
            "network card: virtio-net, for the kernel has virtio_pci, virtio_net once the root is mounted",
            "DVD drive: virtio-scsi, for the kernel has virtio_pci, virtio_scsi once the root is mounted",
        ),
    )


@pytest.mark.parametrize(
    ("early", "late", "built_in", "wanted"),
    [
        (("virtio_pci", "virtio_blk"), ("virtio_net", *AHCI), (), ("q35", "virtio-blk", "virtio-net", "ahci")),
        (("nvme", "nvme_core"), ("virtio_pci", "virtio_scsi", "e1000e"), (), ("q35", "nvme", "e1000e", "virtio-scsi")),
        ((), ("virtio_pci", "virtio_scsi", "e1000"), ("nvme", "nvme_core"), ("q35", "nvme", "e1000", "virtio-scsi")),
        (AHCI, ("vmxnet3",), (), ("q35", "ahci", "vmxnet3", "ahci")),
        (("ata_piix", "libata", "sd_mod"), ("8139cp",), (), ("pc", "ide", "rtl8139", "ide")),
        (("nvme", "nvme_core"), ("e1000e", "ata_piix", "libata"), (), ("pc", "nvme", "e1000e", "ide")),
        ((), (), VIRTIO, ("q35", "virtio-scsi", "virtio-net", "virtio-scsi")),
        (VIRTIO, (), (), ("q35", "virtio-scsi", "virtio-net", "virtio-scsi")),
        (
            ("virtio_blk", "nvme", "nvme_core"),
            ("virtio_scsi", "virtio_net", "sd_mod"),
            ("virtio_pci",),
            ("q35", "virtio-blk", "virtio-net", "virtio-scsi"),
        ),
    ],
)
def test_each_bus_and_card_is_taken_where_its_drivers_are(early, late, built_in, wanted):
    assert buses(linux(early, (*late, *DVD), built_in)) == wanted


@pytest.mark.parametrize(
    ("files", "argument"),
    [
        ({"/etc/modprobe.d/a.conf": "blacklist virtio-scsi\n"}, ""),
        ({"/etc/modprobe.d/a.conf": "install virtio_scsi /bin/false\n"}, ""),
        ({}, "module_blacklist=virtio_scsi"),
        ({}, "rd.driver.blacklist=x,virtio-scsi"),
    ],
)
def test_a_driver_that_is_blocked_is_not_counted_on(files, argument):
    image = linux((*VIRTIO, "ata_piix", "libata"), DVD, files=files, argument=argument)
    assert buses(image) == ("pc", "virtio-blk", "virtio-net", "ide")


def test_a_driver_in_the_kernel_cannot_be_blocked():
    assert choose(linux((), DVD, VIRTIO, files={"/etc/modprobe.d/a.conf": "blacklist virtio_scsi\n"})).disk == "virtio-scsi"


@pytest.mark.parametrize(
    ("argument", "fstab", "disk"),
    [
        ("root=/dev/sda1", "", "virtio-scsi"),
        ("root=/dev/nvme0n1p1", "", "nvme"),
        ("root=/dev/vda1", "", "virtio-scsi"),
        ("root=/dev/nvme0n1p1 root=/dev/sda1", "", "virtio-scsi"),
        ("root=/dev/sda1 root=/dev/nvme0n1p1", "", "nvme"),
        ("", "/dev/nvme0n1p2 /srv ext4 defaults 0 0\n", "nvme"),
        ("root=/dev/sda1", "/dev/nvme0n1p2 /srv ext4 defaults 0 0\n", "virtio-scsi"),
        ("", "/dev/nvme0n1p2 /srv ext4 nofail 0 0\n", "virtio-scsi"),
        ("", "/dev/nvme0n1p2 /srv ext4 noauto 0 0\n", "virtio-scsi"),
    ],
)
def test_a_disk_is_called_as_the_image_calls_it_if_azure_may_call_it_so(argument, fstab, disk):
    image = linux((*VIRTIO, "nvme", "nvme_core"), DVD, argument=argument, files={"/etc/fstab": fstab})
    assert choose(image).disk == disk


def test_a_root_called_sda_is_not_put_where_it_would_be_called_vda():
    assert refusal(linux(("virtio_pci", "virtio_blk"), (*VIRTIO, *DVD), argument="root=/dev/sda1")) == (
        "no disk that can be emulated has its drivers in the kernel or its initramfs (virtio-scsi lacks virtio_scsi, sd_mod; ahci lacks ahci, libahci, libata, sd_mod; "
        "ide lacks ata_piix, libata, sd_mod), which says nothing of Azure; add those of one of them to a copy, and rehearse that, or "
        "start a test machine of it on Azure instead"
    )


# Firmware


@pytest.mark.parametrize(
    ("given", "firmware", "why"),
    [
        ({}, "uefi", UEFI),
        ({"facts": {"generations": [2], "boot": "uefi"}}, "uefi", "UEFI: the disk can boot as generation 2"),
        ({"facts": {"generations": [1], "boot": "bios"}}, "bios", "BIOS: the disk can boot as generation 1"),
        ({"declared": {"generation": 1}}, "bios", "BIOS: the manifest declares generation 1"),
        ({"declared": {"generation": 2}, "facts": {"generations": [1], "boot": "bios"}}, "uefi", "UEFI: the manifest declares generation 2"),
        ({"declared": {"version": "1.0.0"}}, "uefi", UEFI),
        ({"facts": {"generations": [], "boot": None}}, "bios", "BIOS: nothing was found that firmware could start"),
        (
            {"facts": {"generations": [], "boot": None}, "esp": {}},
            "uefi",
            "UEFI: nothing was found that firmware could start, but an EFI system partition",
        ),
    ],
)
def test_the_firmware_is_that_of_the_generation(given, firmware, why):
    chosen = choose(linux(VIRTIO, (*VIRTIO, *DVD), **given))
    assert (chosen.firmware, chosen.why[0]) == (firmware, why)


def test_a_gen1_dvd_is_on_ide_as_on_azure_where_the_kernel_can():
    bios = {"facts": {"generations": [1], "boot": "bios"}}
    assert buses(linux(VIRTIO, (*DVD, "ata_piix", "libata"), **bios)) == ("pc", "virtio-scsi", "virtio-net", "ide")
    assert buses(linux(VIRTIO, DVD, **bios)) == ("q35", "virtio-scsi", "virtio-net", "virtio-scsi")


# What cannot be told, and what the rehearsal is to show


def test_drivers_in_a_packed_initramfs_are_guessed_by_those_of_the_root():
    chosen = choose(linux(("squashfs-root.img",), ("nvme", "nvme_core", "sd_mod", "e1000e", *AHCI, *DVD)))
    assert chosen[1:6] == ("q35", "nvme", "e1000e", "ahci", ("disk",))
    assert chosen.why[1] == "disk: nvme is a guess, for nvme: may lie in squashfs-root.img inside the initramfs, which is not read"


def test_what_is_proven_comes_before_what_is_guessed():
    assert choose(linux(("squashfs-root.img",), (*VIRTIO, *DVD), ("nvme", "nvme_core")))[3:6] == ("virtio-net", "virtio-scsi", ())


@pytest.mark.parametrize(
    ("image", "doubt"),
    [
        (described({}), "the default boot entry is not known: no boot loader that is read here has a configuration with an entry"),
        (linux(None, None), "the initramfs /boot/initrd is missing"),
        (linux((), (), None), "/lib/modules/6.1/modules.builtin is missing; the kernel's modules cannot be listed"),
    ],
)
def test_an_image_that_will_not_boot_or_is_not_understood_gets_the_likeliest_machine(image, doubt):
    chosen = choose(image)
    assert chosen[:5] == ("uefi", "q35", "virtio-scsi", "virtio-net", "virtio-scsi")
    assert chosen.guesses[0] == "disk"
    assert chosen.why[1].startswith("disk: virtio-scsi is a guess, for ")
    assert doubt in chosen.why[1]


def test_cards_are_guessed_where_the_roots_modules_cannot_be_listed():
    chosen = choose(linux(("nvme", "nvme_core"), None))
    assert chosen[1:6] == ("q35", "nvme", "virtio-net", "virtio-scsi", ("network card", "DVD drive"))
    missing = "/lib/modules/6.1/modules.dep is missing; the kernel's modules cannot be listed"
    assert chosen.why[1:] == (
        "disk: nvme, for the kernel has nvme, nvme_core before the root is mounted",
        f"network card: virtio-net is a guess, for {missing}",
        f"DVD drive: virtio-scsi is a guess, for {missing}",
    )


def test_what_is_a_module_on_the_root_is_not_guessed_to_be_built_in():
    everything = (*VIRTIO, *AHCI, "nvme", "nvme_core", "ata_piix", *DVD)
    assert refusal(linux((), everything, None)).startswith("no disk that can be emulated has its drivers in the kernel or its initramfs (")


def test_the_kernels_configuration_tells_what_is_built_in_too():
    config = "CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_BLK=y\nCONFIG_VIRTIO_NET=y\nCONFIG_BLK_DEV_SD=m\nCONFIG_SATA_AHCI=y\nCONFIG_ATA=y\n"
    image = linux((), DVD, None, files={"/boot/config-6.1": config})
    assert (choose(image)[1:6]) == ("q35", "virtio-blk", "virtio-net", "ahci", ())


@pytest.mark.parametrize(
    ("late", "files", "lacking"),
    [
        (("cdrom", "sr_mod"), {}, "udf"),
        (DVD, {"/etc/modprobe.d/cis.conf": "# CIS\ninstall udf /bin/true\n"}, "udf (blocked: /etc/modprobe.d/cis.conf:2)"),
        ((), {}, "cdrom, sr_mod, udf"),
    ],
)
def test_a_dvd_that_cannot_be_read_is_for_the_rehearsal_to_show(late, files, lacking):
    chosen = choose(linux(VIRTIO, (*VIRTIO, *late), files=files))
    assert (chosen.dvd, chosen.guesses, chosen.why[-1]) == ("virtio-scsi", (), f"the DVD will not be read, here as on Azure: {lacking}")


# Refusals


def test_no_driver_for_a_disk():
    image = linux(("hv_storvsc",), (*VIRTIO, *DVD), files={"/etc/modprobe.d/a.conf": "blacklist nvme\n"})
    assert refusal(image) == (
        "no disk that can be emulated has its drivers in the kernel or its initramfs (virtio-scsi lacks virtio_pci, virtio_scsi, sd_mod; virtio-blk lacks virtio_pci, "
        "virtio_blk; nvme lacks nvme (blocked: /etc/modprobe.d/a.conf:1), nvme_core; ahci lacks ahci, libahci, libata, sd_mod; ide lacks ata_piix, "
        f"libata, sd_mod), which says nothing of Azure; add those of one of them to a copy, and rehearse that, or {INSTEAD}"
    )


def test_no_driver_for_a_network_card():
    assert refusal(linux(("virtio_pci", "virtio_scsi", "sd_mod"), ("hv_netvsc", *DVD))) == (
        "no network card that can be emulated has its drivers in the kernel or its modules (virtio-net lacks virtio_net; e1000e lacks e1000e; e1000 lacks e1000; "
        f"vmxnet3 lacks vmxnet3; rtl8139 lacks 8139cp), which says nothing of Azure; add those of one of them to a copy, and rehearse that, or {INSTEAD}"
    )


def test_no_driver_for_a_dvd():
    assert refusal(linux(("virtio_pci", "virtio_blk"), ("virtio_net", *DVD))) == (
        "no DVD drive that can be emulated has its drivers in the kernel or its modules (virtio-scsi lacks virtio_scsi; ahci lacks ahci, libahci, libata; "
        f"ide lacks ata_piix, libata), which says nothing of Azure; add those of one of them to a copy, and rehearse that, or {INSTEAD}"
    )


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (described(guest=None), "there is nothing to boot (no operating system was found on this disk); mend that first"),
        (
            described(guest=None, disk={"volumes": [{"filesystem": "crypto_LUKS", "read": False}]}),
            "there is nothing to boot (no operating system was found on this disk); rehearse it before it is encrypted",
        ),
        (
            described(guest=None, disk={"root": {"filesystem": "BitLocker", "read": False}}),
            "there is nothing to boot (no operating system was found on this disk); rehearse it before it is encrypted",
        ),
        (described(unreadable=["disk"]), "the image cannot be opened (the container could not be opened); mend that first"),
        (
            described(vhd={"type": "differencing"}),
            "the image is a differencing disk, of which its parent holds the rest; merge both into one disk, and rehearse that",
        ),
        (
            described(facts={"os": "windows"}),
            "Windows Server 2022 Datacenter cannot be rehearsed: what Azure provisions Windows with is not published, so nothing here speaks to it; "
            + INSTEAD,
        ),
        (
            described(facts={"os": "freebsd"}),
            "FreeBSD 14.1-RELEASE cannot be rehearsed: which drivers its kernel has is not read here, so a failure would prove nothing; " + INSTEAD,
        ),
        (
            described(facts={"os": "openbsd"}),
            "OpenBSD 7.5 cannot be rehearsed: which drivers its kernel has is not read here, so a failure would prove nothing; " + INSTEAD,
        ),
        (
            described(facts={"arch": "aarch64"}),
            "Debian GNU/Linux 12 is built for aarch64, and only machines of x86_64 are emulated here; " + INSTEAD,
        ),
        (Image((), described().guest, None, Target.GENERALIZED), "an unpacked tree has no disk to boot from; make an image of it, and rehearse that"),
    ],
)
def test_images_of_which_no_boot_could_tell_anything(image, sentence):
    assert refusal(image) == sentence


@pytest.mark.parametrize(
    ("root", "groups"),
    [
        ("p1/luks", []),
        ("md/x:p1", [{"kind": "md", "id": "md/x", "members": ["p1", "p2/luks"]}]),
        ("vg/root", [{"kind": "lvm2", "id": "vg", "members": ["p1/luks", "p2"]}]),
    ],
)
def test_a_root_that_a_key_opened_is_encrypted_all_the_same(root, groups):
    image = linux(VIRTIO, (*VIRTIO, *DVD), disk={"groups": groups})
    opened = image._replace(guest=image.guest._replace(root=root))
    assert refusal(opened) == "the root is encrypted, and a machine would wait for its passphrase; rehearse the image before it is encrypted"


def test_an_encrypted_volume_beside_the_root_is_for_the_rehearsal_to_show():
    beside = {"filesystem": "crypto_LUKS", "read": False, "needed": True, "reason": "encrypted"}
    groups = [{"kind": "lvm2", "id": "vg", "members": ["p2/luks"]}, {"kind": "lvm2", "id": "vg2", "members": ["p1"]}]
    image = linux(VIRTIO, DVD, disk={"volumes": [beside], "groups": groups})
    assert choose(image._replace(guest=image.guest._replace(root="vg2/root"))).disk == "virtio-scsi"


def test_a_system_whose_architecture_is_not_told_is_booted():
    assert choose(linux(VIRTIO, DVD, facts={"arch": None})).disk == "virtio-scsi"


# Whole images


@pytest.mark.real_image
@pytest.mark.parametrize("kind", ["fixed", "dynamic"])
def test_the_real_debian(real_image, kind):
    with open_image(real_image(f"debian-12-generalized.{kind}.vhd"), target=Target.GENERALIZED) as image:
        assert choose(image)[:6] == ("uefi", "q35", "virtio-scsi", "virtio-net", "virtio-scsi", ())


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("debian-12-virtio", ("uefi", "q35", "virtio-scsi", "virtio-net", "virtio-scsi", ())),
        ("debian-12-virtio-mbr", ("bios", "pc", "virtio-scsi", "virtio-net", "ide", ())),
        ("debian-12-virtio-lvm", ("uefi", "q35", "virtio-scsi", "virtio-net", "virtio-scsi", ())),
    ],
)
def test_an_image_whose_kernel_drives_virtio(name, wanted):
    with open_image(build.build(name), target=Target.GENERALIZED) as image:
        assert choose(image)[:6] == wanted


NO_CARD = (
    "no network card that can be emulated has its drivers in the kernel or its modules (virtio-net lacks virtio_pci, virtio_net; e1000e lacks e1000e; "
    f"e1000 lacks e1000; vmxnet3 lacks vmxnet3; rtl8139 lacks 8139cp), which says nothing of Azure; add those of one of them to a copy, and rehearse that, or {INSTEAD}"
)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("rhel-9", NO_CARD),
        ("sles-15", NO_CARD),
        ("ubuntu-24.04", NO_CARD),
        ("flatcar", NO_CARD),
        (
            "disk-luks-root",
            "there is nothing to boot (no operating system was found in what could be read; not read: p2 (encrypted with LUKS)); "
            "rehearse it before it is encrypted",
        ),
        (
            "freebsd-14-generalized",
            f"FreeBSD 14.1-RELEASE-p5 cannot be rehearsed: which drivers its kernel has is not read here, so a failure would prove nothing; {INSTEAD}",
        ),
        (
            "debian-12-vhdx-differencing",
            "the image is a differencing disk, of which its parent holds the rest; merge both into one disk, and rehearse that",
        ),
    ],
)
def test_an_image_that_is_refused(name, sentence):
    with open_image(build.build(name), target=Target.GENERALIZED) as image:
        assert refusal(image) == sentence


def test_a_tree(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "os-release").write_text("ID=debian\n")
    (tmp_path / "usr").mkdir()
    with open_tree(tmp_path, target=Target.GENERALIZED) as image:
        assert refusal(image) == "an unpacked tree has no disk to boot from; make an image of it, and rehearse that"
