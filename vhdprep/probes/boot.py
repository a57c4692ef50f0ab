"""Probes of the default boot entry: kernel, initramfs, command line, drivers."""

from __future__ import annotations

from typing import Literal

from vhdprep.errors import Unreadable
from vhdprep.guest import boot, kernelconfig, modules
from vhdprep.guest.devices import need_volume
from vhdprep.guest.firmware import identify
from vhdprep.guest.image import Image
from vhdprep.guest.loaders.entry import BootEntry
from vhdprep.model import ABSENT, Observation, Value
from vhdprep.probes.registry import probe


@probe(returns="the path; for `root` the volume id; for `signature` and `start` a word; absent when it is missing")
def boot_entry(image: Image, *, field: Literal["kernel", "initramfs", "root", "signature", "start"]) -> Observation:
    """The entry that the boot loader starts by default, and whether what it names exists.

    field: its `kernel`, its `initramfs` (the first that is missing, else the last), or the volume of `root=` (without it the one that
    systemd finds by its partition type; absent as well when the subvolume of `rootflags=` is); the kernel's `signature` for Secure Boot
    (`signed | unsigned | none`; `none` = it is no EFI program); how it comes to `start`: `alone`, or the loader `waits` at its menu, or
    asks for a `password`.
    """
    guest = image.need_guest()
    entry = boot.default_entry(guest)
    if field == "initramfs":
        return _initramfs(entry)
    if field == "root":
        image.need_disk()
        volume = boot.root_volume(guest)
        named = [f"{name}={value}" for name in ("root", "rootflags") for value in entry.values(name)]
        return Observation(volume.id if volume else ABSENT, f"{entry.place} ({' '.join(named) or 'root= is not given'})")
    value: Value = entry.kernel_path or ABSENT
    if field == "signature":
        value = _signature(entry)
    elif field == "start":
        if entry.halt == "unknown":
            raise Unreadable(f"{entry.place}: whether the menu ends by itself is known only to the running machine")
        value = entry.halt or "alone"
    return Observation(value, f"{entry.place} ({entry.kernel.named})")


@probe(returns="a list of the values given, in order; a bare flag gives one empty value")
def kernel_argument(image: Image, *, name: str, having: Literal["any", "missing-volume"] = "any") -> Observation:
    """An argument on the command line of the default boot entry.

    name: of the argument; `*` gives every argument as it is written. having: `missing-volume` = only values that name a volume which is
    not on the disks of this machine.
    """
    guest = image.need_guest()
    entry = boot.default_entry(guest)
    values = entry.arguments if name == "*" else entry.values(name)
    if having == "missing-volume":
        image.need_disk()
        specs = ((each, each if each.startswith("/") or "=" in each else f"/dev/{each}") for each in values if each)
        values = tuple(each for each, spec in specs if need_volume(spec, guest) is None)
    return Observation(values, f"{entry.place} ({name})")


@probe(returns="`built-in | module | blocked | absent`")
def kernel_module(image: Image, *, name: str) -> Observation:
    """Whether the default kernel can load a driver once the root is mounted.

    `blocked`: modprobe.d or the command line keeps it from loading. Names compare with - and _ equal.
    """
    guest = image.need_guest()
    wanted = modules.normal(name)
    if modules.is_built_in(guest, wanted):
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
    if modules.is_built_in(guest, wanted):
        return Observation("built-in", f"kernel module {name}")
    found = modules.in_initramfs(guest, frozenset({wanted}))
    names = ", ".join(each.path or each.named for each in boot.default_entry(guest).initrds)
    return Observation("initramfs" if found else "absent", f"{names or 'initramfs'} ({name})")


@probe(returns="`y | m | n`, or the value as text")
def kernel_option(image: Image, *, name: str) -> Observation:
    """How an option was set when the default kernel was built, by the config file beside it. name: without `CONFIG_`."""
    guest = image.need_guest()
    return Observation(kernelconfig.options(guest).get(name, "n"), f"{kernelconfig.path(guest)} (CONFIG_{name})")


def _initramfs(entry: BootEntry) -> Observation:
    missing = [each.named for each in entry.initrds if each.path is None]
    value: Value = ABSENT
    if not missing and entry.initrds:
        value = entry.initrds[-1].path or ABSENT
    return Observation(value, f"{entry.place} ({', '.join(missing) or 'initrd'})")


def _signature(entry: BootEntry) -> Value:
    """Of a unified image the signature is that of the whole."""
    spot = entry.kernel.spot
    if spot is None:
        return ABSENT
    program = identify(spot.files, spot.path)
    return "none" if program is None else "signed" if program.image.is_signed else "unsigned"
