"""What the rehearsed machine must look like, decided from what was read offline, before anything is booted.

A driver that the kernel lacks must never be taken for an image that fails: where nothing that can be emulated has one, there is no rehearsal.
Nor is hardware chosen that is kinder than Azure's: disks are called ``/dev/sda`` where the image can bear it, and a Gen1 DVD is on IDE.

Sources: Linux 6.12 ``drivers/{block,scsi,nvme/host,ata,net}/**/Makefile`` (the drivers' names); QEMU 7.2 ``hw/net/rtl8139.c`` (an 8139C+, which
``8139cp`` drives and ``8139too`` refuses); Hyper-V's Gen1 has its DVD on an emulated PIIX, Gen2 on the VMBus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from vhdprep.errors import NotRehearsable, Unreadable
from vhdprep.guest import boot, modules
from vhdprep.guest.image import BSDS
from vhdprep.model import DiskType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vhdprep.guest.image import Guest, Image

Firmware = Literal["uefi", "bios"]
Machine = Literal["q35", "pc"]


class Hardware(NamedTuple):
    """The devices of the emulated machine."""

    firmware: Firmware
    machine: Machine
    """``pc`` where something is on IDE."""
    disk: str
    """The system disk's bus: ``virtio-scsi | virtio-blk | nvme | ahci | ide``"""
    nic: str
    """``virtio-net | e1000e | e1000 | vmxnet3 | rtl8139``"""
    dvd: str
    """The provisioning DVD's bus: ``virtio-scsi | ahci | ide``"""
    guesses: tuple[str, ...] = ()
    """Which of ``disk``, ``network card``, ``DVD drive`` could only be guessed: if nothing comes of them, the image is not to blame."""
    why: tuple[str, ...] = ()
    """One sentence for each choice."""
    level: int = 2
    """Of x86-64, that the system was built for: 2 or 3 (AVX2), of which an emulated processor is slower."""


class _Device(NamedTuple):
    name: str
    drivers: tuple[str, ...]
    """Modules, in kmod's own spelling, without which a kernel does not see it."""
    called: str = ""
    """How Linux calls disks on it."""


_DISKS = (
    _Device("virtio-scsi", ("virtio_pci", "virtio_scsi", "sd_mod"), "/dev/sd"),
    _Device("virtio-blk", ("virtio_pci", "virtio_blk"), "/dev/vd"),
    _Device("nvme", ("nvme", "nvme_core"), "/dev/nvme"),
    _Device("ahci", ("ahci", "libahci", "libata", "sd_mod"), "/dev/sd"),
    _Device("ide", ("ata_piix", "libata", "sd_mod"), "/dev/sd"),
)
_CARDS = (
    _Device("virtio-net", ("virtio_pci", "virtio_net")),
    _Device("e1000e", ("e1000e",)),
    _Device("e1000", ("e1000",)),
    _Device("vmxnet3", ("vmxnet3",)),
    _Device("rtl8139", ("8139cp",)),
)
_DVDS = (
    _Device("virtio-scsi", ("virtio_pci", "virtio_scsi")),
    _Device("ahci", ("ahci", "libahci", "libata")),
    _Device("ide", ("ata_piix", "libata")),
)
_READING = ("cdrom", "sr_mod", "udf")
"""What reading the DVD takes, whatever it is on: without these it is not read on Azure either."""
_AS_ON_AZURE = ("/dev/sd", "/dev/nvme")
"""Names that a disk may have on Azure; an image that uses one gets a disk of that name."""
_INSTEAD = "start a test machine of it on Azure instead"


def choose(image: Image) -> Hardware:
    """The machine on which the image's own kernel finds its disk, its network and the DVD.

    What could not be told is guessed, and said to be. An image without anything that firmware could start gets a machine too: that is what
    the rehearsal then shows.

    Raises:
        NotRehearsable: no emulated machine could tell anything about this image; the message says why, and what to do instead.
    """
    guest = _guest(image)
    firmware, because = _firmware(image, guest)
    drivers = _Drivers(guest)
    drivers.why.append(because)
    disk = drivers.pick("disk", _disks_for(guest), early=True)
    nic = drivers.pick("network card", _CARDS)
    dvd = drivers.pick("DVD drive", _DVDS if firmware == "uefi" else (_DVDS[-1], *_DVDS[:-1]))
    if blind := [drivers.lack(name) for name in _READING if drivers.has(name) is False]:
        drivers.why.append(f"the DVD will not be read, here as on Azure: {', '.join(blind)}")
    machine: Machine = "pc" if "ide" in (disk, dvd) else "q35"
    return Hardware(firmware, machine, disk, nic, dvd, tuple(drivers.guesses), tuple(drivers.why), _level(guest))


def _guest(image: Image) -> Guest:
    """The Linux to be booted."""
    if not image.disks:
        raise NotRehearsable("an unpacked tree has no disk to boot from; make an image of it, and rehearse that")
    disk = image.os_disk
    if disk.disk is None:
        raise NotRehearsable(f"the image cannot be opened ({disk.reason}); mend that first")
    if disk.container.type is DiskType.DIFFERENCING:
        raise NotRehearsable("the image is a differencing disk, of which its parent holds the rest; merge both into one disk, and rehearse that")
    guest = image.guest
    if guest is None:
        sealed = any(each.filesystem in ("crypto_LUKS", "BitLocker") for each in disk.disk.volumes)
        raise NotRehearsable(f"there is nothing to boot ({image.no_guest}); {'rehearse it before it is encrypted' if sealed else 'mend that first'}")
    facts = guest.facts
    if facts.os == "windows":
        raise NotRehearsable(
            f"{facts.product} cannot be rehearsed: what Azure provisions Windows with is not published, so nothing here speaks to it; {_INSTEAD}"
        )
    if facts.os in BSDS:
        raise NotRehearsable(
            f"{facts.product} cannot be rehearsed: which drivers its kernel has is not read here, so a failure would prove nothing; {_INSTEAD}"
        )
    if facts.arch not in ("x86_64", None):
        raise NotRehearsable(f"{facts.product} is built for {facts.arch}, and only machines of x86_64 are emulated here; {_INSTEAD}")
    whole = (guest.root.rpartition("/")[0], guest.root.partition(":")[0])  # the volume group, or the array
    below = (guest.root, *(member for group in disk.disk.groups if group.id in whole for member in group.members))
    if any(each.endswith("/luks") for each in below):
        raise NotRehearsable("the root is encrypted, and a machine would wait for its passphrase; rehearse the image before it is encrypted")
    return guest


def _firmware(image: Image, guest: Guest) -> tuple[Firmware, str]:
    """What starts the machine, and why: what the manifest declares, else the highest generation that the disk can boot in."""
    declared = image.declared.fields.get("generation") if image.declared else None
    if declared is not None:
        return ("uefi", "UEFI: the manifest declares generation 2") if declared == 2 else ("bios", "BIOS: the manifest declares generation 1")
    if guest.facts.generations:
        able = f"the disk can boot as generation {' and '.join(map(str, guest.facts.generations))}"
        return ("uefi", f"UEFI: {able}") if guest.facts.generation == 2 else ("bios", f"BIOS: {able}")
    nothing = "nothing was found that firmware could start"
    return ("uefi", f"UEFI: {nothing}, but an EFI system partition") if guest.esp is not None else ("bios", f"BIOS: {nothing}")


def _level(guest: Guest) -> int:
    """RHEL and its rebuilds are built for x86-64-v3 since version 10."""
    major = (guest.facts.version or "").partition(".")[0]
    return 3 if guest.facts.family == "rhel" and guest.facts.distro != "fedora" and major.isdecimal() and int(major) >= 10 else 2


def _disks_for(guest: Guest) -> tuple[_Device, ...]:
    """Buses on which the disk has the name that the image knows it by, where that is a name of Azure's."""
    try:
        named = boot.default_entry(guest).values("root")[-1:]
    except Unreadable:
        named = ()
    named += tuple(each.spec for each in guest.fstab if each.is_mounted and not each.may_be_missing)
    called = next((prefix for spec in named for prefix in _AS_ON_AZURE if spec.startswith(prefix)), None)
    return tuple(each for each in _DISKS if called in (None, each.called))


class _Drivers:
    """What the default kernel can drive, as far as that can be told, and what was concluded from it."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._doubts: dict[str, None] = {}
        self.guesses: list[str] = []
        self.why: list[str] = []

    def pick(self, what: str, devices: Sequence[_Device], *, early: bool = False) -> str:
        """The first that has all its drivers, else the first that may have them; ``early``: before the root is mounted.

        Raises:
            NotRehearsable: each lacks a driver for certain.
        """
        standing = {device: [self.has(name, early=early) for name in device.drivers] for device in devices}
        if sure := next((device for device, has in standing.items() if all(has)), None):
            when = "before the root is mounted" if early else "once the root is mounted"
            self.why.append(f"{what}: {sure.name}, for the kernel has {', '.join(sure.drivers)} {when}")
            return sure.name
        if likely := next((device for device, has in standing.items() if False not in has), None):
            self.guesses.append(what)
            self._doubts.clear()  # so far they are those of all devices
            for name in likely.drivers:
                self.has(name, early=early)
            self.why.append(f"{what}: {likely.name} is a guess, for {next(iter(self._doubts))}")
            return likely.name
        lacking = (
            f"{device.name} lacks {', '.join(self.lack(name) for name, each in zip(device.drivers, has, strict=True) if each is False)}"
            for device, has in standing.items()
        )
        where = "initramfs" if early else "modules"
        raise NotRehearsable(
            f"no {what} that can be emulated has its drivers in the kernel or its {where} ({'; '.join(lacking)}), which says nothing of Azure; "
            f"add those of one of them to a copy, and rehearse that, or {_INSTEAD}"
        )

    def has(self, name: str, *, early: bool = False) -> bool | None:
        """Whether the kernel can load a driver; None = that cannot be told."""
        built_in = self._told(lambda: modules.is_built_in(self._guest, name))
        if built_in:
            return True
        if name in self._blocked():
            return False
        first = self._told(lambda: bool(modules.in_initramfs(self._guest, frozenset({name}))))
        later = self._told(lambda: name in modules.installed(self._guest))
        if first or (later and not early):
            return True
        hidden = first is None and later is not False  # an initramfs is made of the root's modules
        part_of_it = built_in is None and later is not True
        return None if hidden or part_of_it or (later is None and not early) else False

    def lack(self, name: str) -> str:
        """A driver that is not there, with the place that blocks it."""
        place = self._blocked().get(name)
        return f"{name} (blocked: {place})" if place else name

    def _blocked(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for reading in (modules.blocked, modules.blocked_at_boot):
            self._told(lambda: bool(found.update(reading(self._guest))))  # noqa: B023 - called at once
        return found

    def _told(self, ask: Callable[[], bool]) -> bool | None:
        try:
            return ask()
        except Unreadable as doubt:
            self._doubts[str(doubt)] = None
            return None
