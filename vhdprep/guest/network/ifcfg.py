"""``ifcfg-*`` files of network-scripts and NetworkManager (Red Hat), and of wicked (SUSE; openSUSE/wicked@d6b6f7d2 ifcfg(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.guest import systemd
from vhdprep.guest.formats import keyvalue
from vhdprep.guest.network.profile import FIRST, Profile, mac, matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

_LEFT_OVER = ("~", ".bak", ".old", ".orig", ".rej", ".rpmnew", ".rpmorig", ".rpmsave", ".scpmbackup")
_STARTED = ("auto", "boot", "onboot", "on", "nfsroot", "hotplug", "ifplugd")


def read(guest: Guest) -> Iterator[Profile]:
    """Profiles of both kinds; copies that editors and package managers leave are none."""
    for folder, kind in (("network-scripts", _red_hat), ("network", _suse)):
        for path in guest.files.glob(f"/etc/sysconfig/{folder}/ifcfg-*"):
            if not path.endswith(_LEFT_OVER) and guest.files.is_file(path):
                settings = {key: found.value for key, found in keyvalue.shell(guest.files.text(path) or "").items()}
                if settings.get("TYPE", "Ethernet").lower() == "ethernet":
                    yield kind(guest, path, settings)


def _red_hat(guest: Guest, path: str, settings: dict[str, str]) -> Profile:
    name = settings.get("DEVICE") or path.rpartition("ifcfg-")[2]
    boots = settings.get("ONBOOT", "yes").lower() not in ("no", "n", "false", "f", "0")
    if settings.get("NM_CONTROLLED", "yes").lower() == "no" and systemd.unit_state(guest, "NetworkManager.service").state == "enabled":
        boots = boots and systemd.unit_state(guest, "network.service").state == "enabled"
    dhcp = settings.get("BOOTPROTO", "").lower() in ("dhcp", "bootp")
    return Profile(
        path, "ifcfg", name, _method(settings, boots=boots, dhcp=dhcp), mac(settings.get("HWADDR"), settings.get("MACADDR")), name == FIRST
    )


def _suse(_guest: Guest, path: str, settings: dict[str, str]) -> Profile:
    name = path.rpartition("ifcfg-")[2]
    boots = settings.get("STARTMODE", "manual").lower() in _STARTED
    protocol = settings.get("BOOTPROTO", "").lower()
    dhcp = matches(protocol, ["dhcp", "dhcp4", "dhcp+*", "dhcp4+*"])
    return Profile(path, "wicked", name, _method(settings, boots=boots, dhcp=dhcp), mac(settings.get("LLADDR")), name == FIRST)


def _method(settings: dict[str, str], *, boots: bool, dhcp: bool) -> str:
    if not boots:
        return "off"
    return "dhcp" if dhcp else "static" if any(key.startswith("IPADDR") for key in settings) else "off"
