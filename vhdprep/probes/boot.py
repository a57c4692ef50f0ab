"""Probes of the boot path: loader, default entry, kernel, drivers, fstab."""

from __future__ import annotations

from typing import Literal

from vhdprep.errors import Unreadable
from vhdprep.guest import boot, modules
from vhdprep.guest.assemble import find_volume
from vhdprep.guest.formats import pe
from vhdprep.guest.formats.fstab import FstabEntry
from vhdprep.guest.image import Guest, Image
from vhdprep.model import ABSENT, Observation, Value
from vhdprep.probes.registry import probe


@probe(returns="the path; for `root` the volume id; absent when it is missing")
def boot_entry(image: Image, *, field: Literal["kernel", "initramfs", "root"]) -> Observation:
    """The entry that the boot loader starts by default, and whether what it names exists.

    field: its `kernel`, its `initramfs` (the first that is missing, else the last), or the volume of `root=`.
    """
    guest = image.need_guest()
    entry = boot.default_entry(guest)
    value: Value = ABSENT
    if field == "kernel":
        value = entry.kernel_path or ABSENT
        return Observation(value, f"{entry.place} ({entry.kernel})")
    if field == "initramfs":
        missing = [named for named, path in entry.initrds if path is None]
        if not missing and entry.initrds:
            value = entry.initrds[-1][1] or ABSENT
        return Observation(value, f"{entry.place} ({', '.join(missing) or 'initrd'})")
    image.need_disk()
    volume = boot.root_volume(guest)
    named = entry.values("root")
    if named and volume is None:
        _refuse_unread(guest, named[-1])
    return Observation(volume.id if volume else ABSENT, f"{entry.place} (root={named[-1] if named else 'not given'})")


@probe(returns="a list of the values given, in order; a bare flag gives one empty value")
def kernel_argument(image: Image, *, name: str) -> Observation:
    """An argument on the command line of the default boot entry."""
    entry = boot.default_entry(image.need_guest())
    return Observation(entry.values(name), f"{entry.place} ({name})")


@probe(returns="`built-in | module | blocked | absent`")
def kernel_module(image: Image, *, name: str) -> Observation:
    """Whether the default kernel can load a driver once the root is mounted.

    `blocked`: modprobe.d or the command line keeps it from loading. Names compare with - and _ equal.
    """
    guest = image.need_guest()
    wanted = modules.normal(name)
    if wanted in modules.built_in(guest):
        return Observation("built-in", f"kernel module {name}")
    blocked = {**modules.blocked(guest), **modules.blocked_at_boot(guest)}
    if wanted in blocked:
        return Observation("blocked", blocked[wanted])
    return Observation("module" if wanted in modules.installed(guest) else "absent", f"kernel module {name}")


@probe(returns="`built-in | initramfs | absent`")
def early_module(image: Image, *, name: str) -> Observation:
    """Whether the default entry's kernel has a driver before the root is mounted."""
    guest = image.need_guest()
    wanted = modules.normal(name)
    if wanted in modules.built_in(guest):
        return Observation("built-in", f"kernel module {name}")
    found = modules.in_initramfs(guest, frozenset({wanted}))
    names = ", ".join(path or named for named, path in boot.default_entry(guest).initrds)
    return Observation("initramfs" if found else "absent", f"{names or 'initramfs'} ({name})")


@probe(returns="a list of paths on the EFI system partition")
def efi_files(image: Image, *, patterns: tuple[str, ...]) -> Observation:
    """Files on the EFI system partition, names without case; empty when the disk has none.

    patterns: `/EFI/BOOT/NAME`; `*` stands for any one directory or file.
    """
    guest = image.need_guest()
    image.need_disk()
    _refuse_unread_esp(image)
    parts = [Observation("file", path) for pattern in patterns for path in _esp_glob(guest, pattern)]
    return Observation.listing(", ".join(f"ESP:{pattern}" for pattern in patterns), tuple(parts))


@probe(returns="the machine (`x86_64`, `aarch64`), or `signed | unsigned`, or `shim | other`; absent when there is no such program")
def efi_program(image: Image, *, path: str, field: Literal["machine", "signature", "loader"]) -> Observation:
    """An EFI program on the EFI system partition, by its headers. Who signed it is not looked at."""
    guest = image.need_guest()
    image.need_disk()
    _refuse_unread_esp(image)
    found = guest.esp.lstat(path) if guest.esp else None
    if guest.esp is None or found is None:
        return Observation(ABSENT, f"ESP:{path}")
    head = guest.esp.read(path, pe.HEAD)
    strings = pe.strings_at(head)
    program = pe.parse(head, guest.esp.read(path, pe.HEAD, strings) if strings else b"")
    if program is None:
        return Observation("not an EFI program", f"ESP:{path}")
    value = {
        "machine": program.machine,
        "signature": "signed" if program.is_signed else "unsigned",
        "loader": "shim" if ".sbat" in program.sections and ".vendor_" in "".join(program.sections) else "other",
    }[field]
    return Observation(value, f"ESP:{path}")


@probe(returns="a list of places, one for each line")
def fstab_entries(image: Image, *, having: Literal["unresolved", "swap", "swap-file", "stale"]) -> Observation:
    """Lines of /etc/fstab.

    having: `unresolved` = needed for boot but not on this image; `swap` of any
    kind; `swap-file` below /; `stale` = written by cloud-init for a temporary disk of an earlier machine.
    """
    guest = image.need_guest()
    if having == "unresolved":
        image.need_disk()
    parts = []
    for entry in guest.fstab:
        if _entry_has(guest, entry, having):
            parts.append(Observation(f"{entry.spec} on {entry.point} ({entry.type})", f"/etc/fstab:{entry.line}"))
    return Observation.listing("/etc/fstab", tuple(parts))


def _entry_has(guest: Guest, entry: FstabEntry, having: str) -> bool:
    if having == "swap":
        return entry.is_swap
    if having == "swap-file":
        return entry.is_swap and entry.spec.startswith("/") and not entry.spec.startswith("/dev/")
    if having == "stale":
        return "comment=cloudconfig" in entry.options
    at_run_time = entry.spec.startswith(("/dev/disk/azure/", "/dev/disk/cloud/"))
    if entry.is_swap or entry.may_be_missing or at_run_time or not entry.names_device or not entry.needs_disk:
        return False
    if find_volume(entry.spec, guest.volumes) is not None:
        return False
    _refuse_unread(guest, entry.spec)
    return True


def _refuse_unread(guest: Guest, spec: str) -> None:
    """What was not found may lie inside a volume that was not opened: LVM, LUKS, RAID."""
    for each in guest.volumes:
        if each.needed and not each.read:
            raise Unreadable(f"{spec} may lie on {each.id}, which was not read: {each.reason}")


def _refuse_unread_esp(image: Image) -> None:
    guest = image.need_guest()
    unread = [each for each in guest.volumes if each.filesystem == "vfat" and not each.read]
    if guest.esp is None and unread:
        raise Unreadable(f"{unread[0].id}: {unread[0].reason}")


def _esp_glob(guest: Guest, pattern: str) -> list[str]:
    if guest.esp is None:
        return []
    paths = [""]
    for part in pattern.strip("/").split("/"):
        if part == "*":
            paths = [f"{path}/{name}" for path in paths for name in sorted(guest.esp.list(path or "/"))]
        else:
            paths = [f"{path}/{part}" for path in paths]
    return [path for path in paths if guest.esp.lstat(path) is not None]
