"""Programs that make a DHCP profile at boot for a card that no file is for.

Sources: NetworkManager@355bc902 ``nm-settings.c`` ``have_connection_for_device``, NetworkManager.conf(5);
canonical/cloud-init@04eacd06 ``stages.py`` ``_find_networking_config``, ``DataSourceAzure.py`` ``_generate_network_config``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from vhdprep.guest import boot, cloudconfig, systemd
from vhdprep.guest.formats import keyvalue
from vhdprep.guest.network.profile import DRIVER, FIRST, Profile, matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vhdprep.guest.image import Guest

_CLOUD_CONFIG = ("/etc/cloud/cloud.cfg", "/etc/cloud/cloud.cfg.d/*.cfg")
_CLOUD_OFF = ("/etc/cloud/cloud-init.disabled", "/var/lib/cloud/data/upgraded-network")
_CLIENTS = {"dhcpcd": "dhcpcd.service", "connman": "connman.service"}


def network_manager(guest: Guest, first: Iterable[Profile]) -> Profile | None:
    """NetworkManager's own profile, which it makes where none of its fits the card, be it off, and nobody forbids it."""
    unit = systemd.unit_state(guest, "NetworkManager.service")
    if unit.state != "enabled" or any(each.stack in ("NetworkManager", "ifcfg") and each.mac is None for each in first):
        return None
    settings = _configuration(guest)
    leaves_ifupdown = "ifupdown" in settings.get("main.plugins", "") and settings.get("ifupdown.managed", "false") != "true"
    if leaves_ifupdown and any(each.stack == "ifupdown" for each in first):
        return None
    if any(_covers(settings.get(key, "")) for key in ("main.no-auto-default", "keyfile.unmanaged-devices")):
        return None
    return Profile(unit.where, "NetworkManager", "*", "dhcp")


def cloud_init(guest: Guest) -> Profile | None:
    """The profile that cloud-init writes from Azure's metadata, or without them as its fallback."""
    unit = systemd.unit_state(guest, "cloud-init-local.service")
    if unit.state != "enabled" or any(guest.files.lstat(path) is not None for path in _CLOUD_OFF):
        return None
    network = next(
        (layer.data["network"] for layer in cloudconfig.layers(guest, _CLOUD_CONFIG)[::-1] if layer.data and "network" in layer.data), None
    )
    if network is not None and not _asks(network):
        return None
    if guest.volumes:  # an unpacked tree need not hold a boot loader
        entry = boot.default_entry(guest)
        if any(value.startswith("disabled") for name in ("network-config", "cloud-init") for value in entry.values(name)):
            return None
    return Profile(unit.where, "cloud-init", "*", "dhcp")


def clients(guest: Guest) -> Iterator[Profile]:
    """Clients that ask on every card."""
    for program, name in _CLIENTS.items():
        unit = systemd.unit_state(guest, name)
        if unit.state == "enabled":
            yield Profile(unit.where, program, "*", "dhcp")


def _configuration(guest: Guest) -> dict[str, str]:
    """NetworkManager.conf and its directories, later files over earlier ones; in /etc a file hides its namesake in /usr/lib."""
    own = guest.files.overlaid(["/etc/NetworkManager/conf.d"], "*.conf")
    packaged = guest.files.overlaid(["/usr/lib/NetworkManager/conf.d"], "*.conf")
    paths = [path for name, path in sorted(packaged.items()) if name not in own]
    paths += ["/etc/NetworkManager/NetworkManager.conf", *(path for _, path in sorted(own.items()))]
    return {key: values[-1].value for path in paths for key, values in keyvalue.ini(guest.files.text(path) or "").items()}


def _covers(specification: str) -> bool:
    """Whether a list of devices (``*``, ``interface-name:eth*``, ``driver:…``, ``except:…``) means the first card."""
    found = False
    for word in filter(None, re.split(r"[;,\s]+", specification)):
        negative = word.startswith("except:")
        kind, colon, pattern = word.removeprefix("except:").partition(":")
        have = {"interface-name": FIRST, "driver": DRIVER, "type": "ethernet"}.get(kind, "")
        hit = matches(have, [pattern.removeprefix("=").removeprefix("~")]) if colon else kind in ("*", FIRST)
        if hit and negative:
            return False
        found = found or (hit and not negative)
    return found


def _asks(node: Any) -> bool:
    """Whether a network configuration for cloud-init, of either version, asks for an address by DHCP."""
    if isinstance(node, list):
        return any(_asks(each) for each in node)
    if not isinstance(node, dict):
        return False
    return node.get("dhcp4") is True or node.get("type") in ("dhcp", "dhcp4") or any(_asks(each) for each in node.values())
