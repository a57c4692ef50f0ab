"""Which operating system this is: distribution (``release``), architecture, how it boots."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal

from vhdprep.disk.backend import FileKind
from vhdprep.guest import release
from vhdprep.model import GuestFacts

if TYPE_CHECKING:
    from vhdprep.disk.backend import Disk, Files
    from vhdprep.guest.files import GuestFiles

MACHINES = {0x3E: "x86_64", 0xB7: "aarch64", 0x03: "i386", 0x28: "arm", 0xF3: "riscv64", 0x15: "ppc64", 0x16: "s390x"}
"""ELF e_machine → architecture."""

FALLBACK_LOADERS = ("/EFI/BOOT/BOOTX64.EFI", "/EFI/BOOT/BOOTAA64.EFI")
BIOS_BOOT = {"21686148-6449-6E6F-744E-656564454649", "83BD6B9D-7F41-11DC-BE0B-001560B84F0F"}
"""Types of the partitions that hold the next part of the loader on a GPT disk: GRUB's and FreeBSD's."""


def detect(files: GuestFiles, disk: Disk | None, esp: Files | None) -> GuestFacts:
    """The facts of the Linux or BSD guest whose tree is ``files``; without a disk nothing is said of how it boots."""
    found = release.read(files)
    generations = _generations(disk, esp) if disk else ()
    hostname = (files.text("/etc/hostname") or "").strip() or None
    facts = GuestFacts(
        os="linux",
        distro=found.distro,
        family=found.family,
        version=found.version,
        product=found.product,
        arch=_architecture(files),
        boot=choose_boot(generations),
        generations=generations,
        init=_init(files),
        hostname=hostname,
    )
    return _bsd(files, facts) if found.distro in ("unknown", "freebsd", "openbsd") or files.stat("/bin/freebsd-version") else facts


def _bsd(files: GuestFiles, facts: GuestFacts) -> GuestFacts:
    """The same, corrected where it is a BSD: those that have no os-release, or make it at boot only."""
    from vhdprep.guest import detect_bsd  # late: most guests are Linux

    found = detect_bsd.detect(files, facts.distro)
    if found is None:
        return facts
    is_own = facts.distro in ("unknown", found.os)
    return facts._replace(
        os=found.os,
        distro=found.os if is_own else facts.distro,
        family=found.os,
        version=(found.version if is_own else facts.version) or found.version,
        product=found.product if is_own else facts.product,
        init="rc",
        hostname=found.hostname,
    )


def _architecture(files: GuestFiles) -> str | None:
    for path in ("/sbin/init", "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/bin/sh", "/usr/bin/env"):
        head = files.read(path, 20)
        if head[:4] == b"\x7fELF" and len(head) == 20:
            order = "<" if head[5] == 1 else ">"
            machine: int = struct.unpack_from(f"{order}H", head, 18)[0]
            return MACHINES.get(machine, f"ELF machine {machine}")
    return None


def _init(files: GuestFiles) -> str | None:
    if files.stat("/usr/lib/systemd/systemd") or files.stat("/lib/systemd/systemd"):
        return "systemd"
    if files.stat("/sbin/openrc") or files.stat("/sbin/openrc-run"):
        return "openrc"
    return "sysv" if files.stat("/etc/inittab") else None


def _generations(disk: Disk, esp: Files | None) -> tuple[int, ...]:
    """Gen1 needs boot code in the first sector, on GPT also a BIOS boot partition; Gen2 the fallback loader on the ESP."""
    found = []
    has_home = disk.table == "mbr" or any(volume.type_id in BIOS_BOOT for volume in disk.volumes)
    if disk.fields.get("mbr:boot_code") == "present" and has_home:
        found.append(1)
    if esp is not None and any(is_program(esp, path) for path in FALLBACK_LOADERS):
        found.append(2)
    return tuple(found)


def is_program(files: Files, path: str) -> bool:
    """Whether something is at ``path`` that firmware could start: a regular file with content."""
    found = files.lstat(path)
    return found is not None and found.kind is FileKind.FILE and found.size > 0


def choose_boot(generations: tuple[int, ...]) -> Literal["bios", "uefi"] | None:
    """UEFI when the disk can boot that way, else BIOS."""
    if 2 in generations:
        return "uefi"
    return "bios" if 1 in generations else None
