"""Profiles that configure a wired interface, whichever stack they are written for.

Sources: ifupdown 0.8.41 interfaces(5); systemd.network(5); netplan 1.1.2 ``doc/netplan-yaml.md``;
NetworkManager@355bc902 key files and ifcfg-rh; openSUSE/wicked ifcfg(5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest import cloudconfig
from vhdprep.guest.formats import keyvalue
from vhdprep.guest.formats.plain import Lines
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.image import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

_VIRTUAL_NAMES = ("lo", "docker", "veth", "virbr", "br-", "tun", "tap", "bond", "wg", "ve-", "vb-", "vz-")
NETPLAN = ("/usr/lib/netplan/*.yaml", "/lib/netplan/*.yaml", "/etc/netplan/*.yaml")


class Profile(NamedTuple):
    """One profile."""

    place: str
    stack: str
    interface: str
    """Name or pattern; ``*`` = any."""
    method: str
    """``dhcp | static | off``"""
    mac: str | None = None
    """The address it is pinned to."""


@once
def profiles(guest: Guest) -> tuple[Profile, ...]:
    """Every profile that could serve the first wired interface."""
    readers = (_ifupdown, _networkd, _netplan, _network_manager, _ifcfg)
    found = [profile for reader in readers for profile in reader(guest)]
    return tuple(profile for profile in found if not profile.interface.startswith(_VIRTUAL_NAMES))


def _ifupdown(guest: Guest) -> Iterator[Profile]:
    return _interfaces(guest, ["/etc/network/interfaces"], set())


def _interfaces(guest: Guest, paths: list[str], seen: set[str]) -> Iterator[Profile]:
    """Profiles of a file and of those it includes; each file counts once."""
    for path in paths:
        if path not in seen:
            seen.add(path)
            yield from _interfaces_file(guest, path, seen)


def _interfaces_file(guest: Guest, path: str, seen: set[str]) -> Iterator[Profile]:
    mac_of_last = None
    pending: tuple[str, str, str] | None = None
    for number, line in enumerate(lines(guest.files.text(path) or ""), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "hwaddress" and pending:
            mac_of_last = words[-1]
        if words[0] in ("iface", "auto", "mapping", "source", "source-directory") or words[0].startswith("allow-"):
            if pending:
                yield Profile(pending[0], "ifupdown", pending[1], pending[2], mac_of_last)
            pending, mac_of_last = None, None
        if words[0] == "iface" and len(words) > 3 and words[2] == "inet":
            method = {"dhcp": "dhcp", "static": "static"}.get(words[3], "off")
            pending = f"{path}:{number}", words[1], method
        elif words[0] in ("source", "source-directory") and len(words) > 1:
            pattern = words[1] if words[1].startswith("/") else f"/etc/network/{words[1]}"
            yield from _interfaces(guest, guest.files.glob(pattern if words[0] == "source" else f"{pattern}/*"), seen)
    if pending:
        yield Profile(pending[0], "ifupdown", pending[1], pending[2], mac_of_last)


def _networkd(guest: Guest) -> Iterator[Profile]:
    for path in guest.files.glob("/etc/systemd/network/*.network"):
        settings = keyvalue.ini(guest.files.text(path) or "")

        def last(key: str, settings: dict[str, list[keyvalue.Setting]] = settings) -> str:
            return settings[key][-1].value if key in settings else ""

        dhcp = last("Network.DHCP").lower() in ("yes", "true", "ipv4", "both", "v4", "1")
        static = "Network.Address" in settings or "Address.Address" in settings
        method = "dhcp" if dhcp else "static" if static else "off"
        mac = last("Match.MACAddress") or last("Match.PermanentMACAddress") or None
        yield Profile(path, "networkd", last("Match.Name") or "*", method, mac)


def _netplan(guest: Guest) -> Iterator[Profile]:
    for layer in cloudconfig.layers(guest, NETPLAN):
        if layer.problem:
            raise Unreadable(f"{layer.path}: {layer.problem}")
        network = layer.data.get("network") if layer.data else None
        ethernets = network.get("ethernets") if isinstance(network, Lines) else None
        for name, settings in (ethernets if isinstance(ethernets, Lines) else {}).items():
            if not isinstance(settings, Lines):
                continue
            method = "dhcp" if settings.get("dhcp4") is True else "static" if settings.get("addresses") else "off"
            match = settings.get("match")
            mac = match.get("macaddress") if isinstance(match, Lines) else None
            yield Profile(f"{layer.path}:{settings.line}", "netplan", name, method, str(mac) if mac else None)


def _network_manager(guest: Guest) -> Iterator[Profile]:
    for path in guest.files.glob("/{etc,usr/lib}/NetworkManager/system-connections/*"):
        settings = keyvalue.ini(guest.files.text(path) or "")
        values = {key: found[-1].value for key, found in settings.items()}
        if values.get("connection.type", "") not in ("ethernet", "802-3-ethernet"):
            continue
        off = values.get("connection.autoconnect") == "false"
        method = "off" if off else {"auto": "dhcp", "manual": "static"}.get(values.get("ipv4.method", "auto"), "off")
        mac = values.get("ethernet.mac-address") or values.get("802-3-ethernet.mac-address") or None
        yield Profile(path, "NetworkManager", values.get("connection.interface-name", "*"), method, mac)


def _ifcfg(guest: Guest) -> Iterator[Profile]:
    for path in guest.files.glob("/etc/sysconfig/{network-scripts,network}/ifcfg-*"):
        settings = {key: found.value for key, found in keyvalue.shell(guest.files.text(path) or "").items()}
        name = settings.get("DEVICE") or settings.get("NAME") or path.rpartition("ifcfg-")[2]
        boots = settings.get("ONBOOT", "yes").lower() != "no" and settings.get("STARTMODE", "auto") not in ("off", "manual")
        protocol = settings.get("BOOTPROTO", "").lower()
        method = "off" if not boots else "dhcp" if protocol.startswith(("dhcp", "auto")) else "static" if "IPADDR" in settings else "off"
        yield Profile(path, "ifcfg", name, method, settings.get("HWADDR") or settings.get("LLADDR") or None)
