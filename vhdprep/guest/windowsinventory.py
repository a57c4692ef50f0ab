r"""The inventory of a Windows: services and drivers with their start types, accounts, programs, boot configuration, agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest import localaccounts
from vhdprep.guest.formats import bcd
from vhdprep.guest.registry import BOOT_STORE
from vhdprep.model import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest
    from vhdprep.guest.registry import Key

MAX_KEYS = 50_000
"""Keys of services or installed programs."""
_SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
_PROGRAMS = (r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall", r"HKLM\SOFTWARE\Wow6432Node\Microsoft\Windows\CurrentVersion\Uninstall")
_STARTS = {0: "boot", 1: "system", 2: "automatic", 3: "manual", 4: "disabled"}
_DRIVER_TYPES, _SERVICE_TYPES = 0x0F, 0xF0
_ELEMENTS = {
    "12000002": "path", "12000004": "name", "22000002": "system root", "16000049": "test signing", "25000080": "safe mode", "260000a0": "debugger",
    "26000022": "emergency management",
}  # fmt: skip


def _boot(guest: Guest) -> dict[str, str]:
    root = guest.need_registry().key(f"HKLM\\{BOOT_STORE}")
    if root is None:
        raise Unreadable("no boot configuration was found")
    store = bcd.Store(root)
    loader = store.default_loader()
    if loader is None:
        raise Unreadable("the boot configuration names no default loader")
    found = ((name, store.element(loader, element)) for element, name in _ELEMENTS.items())
    return {name: str(value) for name, value in found if value is not ABSENT}


def _started(guest: Guest, types: int) -> dict[str, str]:
    found = {}
    for each in _subkeys(guest, _SERVICES):
        kind, start = each.value("Type"), each.value("Start")
        if type(kind) is int and kind & types and type(start) is int:
            found[each.name] = _STARTS.get(start, str(start))
    return found


def _services(guest: Guest) -> dict[str, str]:
    return _started(guest, _SERVICE_TYPES)


def _drivers(guest: Guest) -> dict[str, str]:
    return _started(guest, _DRIVER_TYPES)


def _accounts(guest: Guest) -> dict[str, str]:
    return {
        each.name: f"RID {each.rid}, {'enabled' if each.is_enabled else 'disabled'}, {'with' if each.has_password else 'without'} a password"
        for each in localaccounts.accounts(guest)
    }


def _programs(guest: Guest) -> dict[str, str]:
    found = {}
    for path in _PROGRAMS:
        if guest.need_registry().key(path) is not None:
            for each in _subkeys(guest, path):
                name, version = each.value("DisplayName"), each.value("DisplayVersion")
                if isinstance(name, str) and name:
                    found[name] = version if isinstance(version, str) else "no version"
    return found


def _agent(guest: Guest) -> dict[str, str]:
    """By the folders of the agent's versions, and its services."""
    folders = {path.rpartition("/")[2]: "there" for path in guest.files.glob("/WindowsAzure/GuestAgent_*")}
    services = _services(guest)
    return folders | {name: services[name] for name in ("RdAgent", "WindowsAzureGuestAgent") if name in services}


def _subkeys(guest: Guest, path: str) -> Iterator[Key]:
    key = guest.need_registry().key(path)
    if key is None:
        raise Unreadable(f"{path} is missing")
    for number, each in enumerate(key.subkeys()):
        if number == MAX_KEYS:
            raise Unreadable(f"{path}: more than {MAX_KEYS} keys")
        yield each


READINGS = {"boot": _boot, "services": _services, "drivers": _drivers, "accounts": _accounts, "agent": _agent, "packages": _programs}
