"""How the default kernel was configured: the file that distributions put beside it."""

from __future__ import annotations

from vhdprep.errors import Unreadable
from vhdprep.guest import boot
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.image import Guest, once

_OPTIONS = {
    "hv_vmbus": "HYPERV_VMBUS", "hv_storvsc": "HYPERV_STORAGE", "hv_netvsc": "HYPERV_NET", "hv_utils": "HYPERV_UTILS", "hv_balloon": "HYPERV_BALLOON",
    "pci_hyperv": "PCI_HYPERV", "pci_hyperv_intf": "PCI_HYPERV_INTERFACE", "nvme": "BLK_DEV_NVME", "nvme_core": "NVME_CORE",
    "mlx4_core": "MLX4_CORE", "mlx4_en": "MLX4_EN", "mlx5_core": "MLX5_CORE", "mana": "MICROSOFT_MANA", "floppy": "BLK_DEV_FD",
    "udf": "UDF_FS", "vfat": "VFAT_FS", "fat": "FAT_FS", "isofs": "ISO9660_FS", "cdrom": "CDROM", "sr_mod": "BLK_DEV_SR",
    "virtio_pci": "VIRTIO_PCI", "virtio_blk": "VIRTIO_BLK", "virtio_scsi": "SCSI_VIRTIO", "virtio_net": "VIRTIO_NET", "sd_mod": "BLK_DEV_SD",
    "ahci": "SATA_AHCI", "libahci": "SATA_AHCI", "libata": "ATA", "ata_piix": "ATA_PIIX", "e1000": "E1000", "e1000e": "E1000E", "8139cp": "8139CP",
    "vmxnet3": "VMXNET3",
}  # fmt: skip
"""Module → the option that builds it (Linux 6.12 ``drivers/**/Makefile``, ``fs/**/Makefile``)."""


@once
def path(guest: Guest) -> str | None:
    """The file that holds it; None = there is none."""
    release = boot.kernel_release(guest)
    places = (f"/boot/config-{release}", f"/lib/modules/{release}/config", f"/lib/modules/{release}/build/.config")
    return next((each for each in places if guest.files.is_file(each)), None)


@once
def options(guest: Guest) -> dict[str, str]:
    """Option without ``CONFIG_`` → ``y``, ``m`` or another value; those switched off are left out.

    Raises:
        Unreadable: there is no such file.
    """
    place = path(guest)
    if place is None:
        raise Unreadable(f"how the kernel {boot.kernel_release(guest)} was configured is not known: no config file lies beside it")
    pairs = (line.partition("=") for line in lines(guest.files.text(place) or "") if line.startswith("CONFIG_"))
    return {key[len("CONFIG_") :]: value for key, _, value in pairs}


def builds_in(guest: Guest, module: str) -> bool:
    """Whether a module (normal name) is part of the kernel image, by its configuration.

    Raises:
        Unreadable: there is no such file, or it is not known which option builds the module.
    """
    option = _OPTIONS.get(module)
    if option is None:
        raise Unreadable(f"which option of the kernel builds {module} is not known here")
    found = options(guest)
    if option == "HYPERV_VMBUS" and option not in found:
        option = "HYPERV"  # kernels before the split of 2025
    return found.get(option) == "y"
