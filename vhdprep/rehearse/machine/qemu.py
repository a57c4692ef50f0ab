"""The emulated machine as a command line: an Azure machine to whoever asks its firmware, without anything that leads out of it.

Everything that it opens is handed over as a file descriptor, so no path of the host is in it but those of the firmware.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.rehearse.machine.firmware import KVM_PROCESSOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.rehearse.choices import Hardware
    from vhdprep.rehearse.identity import Identity
    from vhdprep.rehearse.machine.firmware import Firmware
    from vhdprep.rehearse.network import Network

MEMORY = 1536
"""MiB of the guest."""
PROCESSORS = 2
_PROCESSORS = {
    2: "qemu64,vendor=GenuineIntel,family=6,model=28,stepping=10,ssse3=on,sse4.1=on,sse4.2=on,popcnt=on,rdrand=on,svm=off,hypervisor=off",
    3: "max,la57=off,hypervisor=off",
}
"""Level of x86-64 → processor.

Without the hypervisor's bit systemd goes by DMI and finds "microsoft", as on Azure; QEMU's own answer would be "qemu". The first is called an
early Atom, which Linux knows to need no mitigations and to have a steady clock (``arch/x86/kernel/cpu/common.c``): a fifth faster.
"""
_VENDOR = "Microsoft Corporation"
_PRODUCT = "Hyper-V UEFI Release v4.1"
_BIOS = "090008 "
_SERIAL = "0000-0000-0000-0000-0000-0000-00"
ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"
"""The chassis asset tag by which cloud-init, waagent and systemd know Azure (cloudinit/sources/azure/identity.py)."""


class Descriptors(NamedTuple):
    """File descriptors that the emulator inherits."""

    overlays: Sequence[int]
    """What the guest writes, of each disk."""
    disks: Sequence[int]
    """Sockets that give each disk's bytes (NBD)."""
    dvd: int | None
    """The provisioning DVD; None = there is none in the drive."""
    variables: int | None
    """A copy of the firmware's variables; None = BIOS."""
    control: int
    """A socket for QMP."""

    def all(self) -> list[int]:
        """To be passed on."""
        return [*self.overlays, *self.disks, *(each for each in (self.dvd, self.variables) if each is not None), self.control]


def arguments(hardware: Hardware, firmware: Firmware, identity: Identity, files: Descriptors, network: Network, *, accelerated: bool) -> list[str]:
    """The command line, which names the ``-netdev`` called ``nic`` that ``network`` brings."""
    return [
        firmware.emulator,
        *("-nodefaults", "-no-user-config", "-display", "none", "-sandbox", network.sandbox),
        *("-action", "shutdown=pause"),  # so that an emulator that ends is one that failed
        *("-machine", hardware.machine + (",pflash0=code,pflash1=variables" if files.variables is not None else "")),
        *(("-accel", "kvm") if accelerated else ("-accel", "tcg,thread=multi,tb-size=512")),
        *("-cpu", KVM_PROCESSOR if accelerated else _PROCESSORS[hardware.level]),
        *("-smp", str(PROCESSORS), "-m", str(MEMORY)),
        *_identity(hardware, identity),
        *_firmware(firmware, files),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=control,fd={files.control}", "-mon", "chardev=control,mode=control"),
        *("-vga", "std"),
        *("-object", "rng-random,id=entropy,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=entropy"),
        *_disks(hardware, files),
        *_dvd(hardware, files),
        *network.words,
        *("-device", f"{_NICS.get(hardware.nic, hardware.nic)},netdev=nic,mac={identity.mac},romfile="),
    ]


_NICS = {"virtio-net": "virtio-net-pci"}
"""Name of a device by QEMU, where it differs from ours."""


def _identity(hardware: Hardware, identity: Identity) -> list[str]:
    """SMBIOS as Hyper-V fills it, of each generation."""
    version = _PRODUCT if hardware.firmware == "uefi" else "Hyper-V"
    bios = f"version={_PRODUCT},date=07/12/2024,uefi=on" if hardware.firmware == "uefi" else f"version={_BIOS},date=12/07/2018"
    tables = (
        f"type=0,vendor={_VENDOR if hardware.firmware == 'uefi' else 'American Megatrends Inc.'},{bios}",
        f"type=1,manufacturer={_VENDOR},product=Virtual Machine,version={version},serial={_SERIAL},uuid={identity.vm_id}",
        f"type=2,manufacturer={_VENDOR},product=Virtual Machine,version={version},serial={_SERIAL}",
        f"type=3,manufacturer={_VENDOR},version={version},serial={_SERIAL},asset={ASSET_TAG}",
    )
    return [word for each in tables for word in ("-smbios", each)]


def _firmware(firmware: Firmware, files: Descriptors) -> list[str]:
    """UEFI's code, and its variables; BIOS is the emulator's own."""
    if files.variables is None or firmware.code is None:
        return []
    code = {"node-name": "code", "driver": "raw", "read-only": True, "file": {"driver": "file", "filename": str(firmware.code), "read-only": True}}
    variables = {"node-name": "variables", "driver": "raw", "file": {"driver": "file", "filename": "/dev/fdset/2"}}
    return ["-blockdev", json.dumps(code), "-add-fd", f"fd={files.variables},set=2", "-blockdev", json.dumps(variables)]


def _disks(hardware: Hardware, files: Descriptors) -> list[str]:
    """The image's disks, each as an overlay over what is served; the first one starts the system."""
    found = list(_CONTROLLERS.get(hardware.disk, ()))
    for number, (overlay, disk) in enumerate(zip(files.overlays, files.disks, strict=True)):
        node = {
            "node-name": f"disk{number}",
            "driver": "qcow2",
            "discard": "unmap",
            "cache": {"no-flush": True},
            "file": {"driver": "file", "filename": f"/dev/fdset/{10 + number}", "discard": "unmap"},
            "backing": {"driver": "nbd", "export": "", "read-only": True, "server": {"type": "fd", "str": str(disk)}},
        }
        device = _DISKS[hardware.disk].format(number=number, drive=f"disk{number}")
        boot = ",bootindex=0" if not number else ""
        found += ["-add-fd", f"fd={overlay},set={10 + number}", "-blockdev", json.dumps(node), "-device", device + boot]
    return found


_CONTROLLERS = {"virtio-scsi": ("-device", "virtio-scsi-pci,id=scsi")}
_DISKS = {
    "virtio-blk": "virtio-blk-pci,drive={drive}",
    "virtio-scsi": "scsi-hd,drive={drive},bus=scsi.0,lun={number}",
    "nvme": "nvme,drive={drive},serial={drive}",
    "ahci": "ide-hd,drive={drive},bus=ide.{number}",
    "ide": "ide-hd,drive={drive},bus=ide.0,unit={number}",
}
"""The disk's device on each bus; ``ahci`` is part of q35, ``ide`` of pc."""
_DVDS = {
    "virtio-scsi": "scsi-cd,id=dvd,bus=scsi.0,scsi-id=1,vendor=Msft,product=Virtual CD/ROM",
    "ahci": "ide-cd,id=dvd,bus=ide.5,model=Virtual CD",
    "ide": "ide-cd,id=dvd,bus=ide.1,unit=0,model=Virtual CD",
}


def _dvd(hardware: Hardware, files: Descriptors) -> list[str]:
    """A drive, with the provisioning DVD in it or empty."""
    found = list(_CONTROLLERS.get(hardware.dvd, ())) if hardware.dvd != hardware.disk else []
    device = _DVDS[hardware.dvd]
    if files.dvd is None:
        return [*found, "-device", device]
    node = {"node-name": "media", "driver": "raw", "read-only": True, "file": {"driver": "file", "filename": "/dev/fdset/3", "read-only": True}}
    return [*found, "-add-fd", f"fd={files.dvd},set=3", "-blockdev", json.dumps(node), "-device", f"{device},drive=media"]
