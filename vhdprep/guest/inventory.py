"""What is installed and set up in a guest, in names and words: so much as two images are compared by.

Every part is a reading that rules use as well. A part that cannot be read completely is not there at all, with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest.image import BSDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vhdprep.guest.image import Guest

MAX_ENTRIES = 50_000
"""Units, services or programs of one guest."""
AGENTS = ("walinuxagent", "WALinuxAgent", "waagent", "python-azure-agent", "cloud-init", "azure-init", "hyperv-daemons", "hypervkvpd")
"""Packages that speak to Azure or Hyper-V; they have a part of their own."""
_UNITS = (".service", ".socket", ".timer", ".path")
_DRIVERS = (
    "hv_vmbus", "hv_storvsc", "hv_netvsc", "hv_utils", "hv_balloon", "pci_hyperv", "hyperv_keyboard", "hid_hyperv", "hyperv_fb", "hyperv_drm",
    "mlx4_en", "mlx5_core", "mana", "nvme",
)  # fmt: skip
"""Drivers of Azure's hardware."""


def take(guest: Guest) -> dict[str, Mapping[str, str] | Unreadable]:
    """Part → name → words; or why the part could not be read."""
    if guest.registry is not None:
        from vhdprep.guest import windowsinventory  # late: of no use to a Linux guest

        readings = windowsinventory.READINGS
    elif guest.facts.os in BSDS:
        readings = {"accounts": _accounts}
    else:
        readings = {"boot": _boot, "services": _services, "drivers": _drivers, "accounts": _accounts, "agent": _agent, "packages": _packages}
    return {name: _taken(reading, guest) for name, reading in readings.items()}


def _taken(reading: Callable[[Guest], dict[str, str]], guest: Guest) -> Mapping[str, str] | Unreadable:
    try:
        found = reading(guest)
    except Unreadable as error:
        return error
    return found if len(found) <= MAX_ENTRIES else Unreadable(f"more than {MAX_ENTRIES} entries")


def _boot(guest: Guest) -> dict[str, str]:
    from vhdprep.guest import boot

    entry = boot.default_entry(guest)
    initramfs = ", ".join(each.path or f"{each.named} (missing)" for each in entry.initrds)
    return {
        "loader": entry.loader,
        "kernel": entry.kernel_path or f"{entry.kernel.named} (missing)",
        "initramfs": initramfs or "none",
        "command line": " ".join(entry.arguments),
    }


def _services(guest: Guest) -> dict[str, str]:
    """Units and scripts that are on or off; a unit that cannot be switched (``static``) says nothing about the machine."""
    from vhdprep.guest import systemd
    from vhdprep.guest.unitfiles import UNIT_DIRECTORIES

    if guest.facts.init in ("openrc", "sysv"):
        names = {path.rpartition("/")[2] for path in guest.files.glob("/etc/{,rc.d/}init.d/*") if guest.files.is_file(path)}
    else:
        listed = (name for directory in UNIT_DIRECTORIES for name in guest.files.names(directory))
        names = {name for name in listed if name.endswith(_UNITS) and "@." not in name}
    if len(names) > MAX_ENTRIES:
        raise Unreadable(f"more than {MAX_ENTRIES} units")
    states = ((name, systemd.unit_state(guest, name).state) for name in sorted(names))
    return {name: state for name, state in states if state not in ("static", "absent")}


def _drivers(guest: Guest) -> dict[str, str]:
    from vhdprep.guest import modules

    built_in = {name for name in _DRIVERS if modules.is_built_in(guest, name)}
    early = modules.in_initramfs(guest, frozenset(_DRIVERS) - built_in)
    blocked = {**modules.blocked(guest), **modules.blocked_at_boot(guest)}
    found = dict.fromkeys(sorted(blocked), "blocked")
    for name in _DRIVERS:
        places = [word for word, holds in (("initramfs", name in early), ("root", name in modules.installed(guest))) if holds]
        words = "built in" if name in built_in else " and ".join(places) or "absent"
        found[name] = f"{words}, blocked" if name in blocked else words
    return found


def _accounts(guest: Guest) -> dict[str, str]:
    from vhdprep.guest import accounts

    return {each.name: f"uid {each.uid}, {each.home}, {each.shell}, password {each.password_state}" for each in accounts.accounts(guest)}


def _agent(guest: Guest) -> dict[str, str]:
    from vhdprep.guest import packages

    return {name: version for name, version in packages.installed(guest).items() if name in AGENTS}


def _packages(guest: Guest) -> dict[str, str]:
    from vhdprep.guest import packages

    return {name: version for name, version in packages.installed(guest).items() if name not in AGENTS}
