"""Probes of the guest's network configuration."""

from __future__ import annotations

from typing import Literal

from vhdprep.guest import network
from vhdprep.guest.image import Image
from vhdprep.guest.network import Profile
from vhdprep.model import Observation
from vhdprep.probes.registry import probe


@probe(returns="a list of places, one for each profile")
def network_profiles(
    image: Image,
    *,
    having: Literal["dhcp", "static", "off", "mac", "dhcp-without-mac"],
    card: Literal["any", "first"] = "any",
    source: Literal["files", "programs"] = "files",
    stacks: tuple[str, ...] = (),
) -> Observation:
    """Profiles for wired interfaces in ifupdown, networkd, netplan, NetworkManager and ifcfg files.

    having: an address by `dhcp`, a `static` one, neither or not brought up by itself (`off`), a pin to a `mac` address,
    or `dhcp-without-mac`. card: `first` = the one that Azure gives every machine (eth0, driver hv_netvsc), of stacks
    that start. source: `programs` = the profiles that NetworkManager, cloud-init, dhcpcd and connman make at boot by
    themselves. stacks: only of these: `ifupdown`, `networkd`, `netplan`, `NetworkManager`, `ifcfg`, `wicked`,
    `cloud-init`, `dhcpcd`, `connman`.
    """
    guest = image.need_guest()
    files = network.first_card if card == "first" else network.profiles
    found = network.made_at_boot(guest, stacks) if source == "programs" else files(guest)
    parts = (Observation(_words(each), each.place) for each in found if _has(each, having) and (not stacks or each.stack in stacks))
    return Observation.listing("network configuration", tuple(parts))


def _has(profile: Profile, having: str) -> bool:
    if having == "mac":
        return profile.mac is not None
    if having == "dhcp-without-mac":
        return profile.method == "dhcp" and profile.mac is None
    return profile.method == having


def _words(profile: Profile) -> str:
    pin = f", with hardware address {profile.mac}" if profile.mac else ""
    return f"{profile.stack}: {profile.interface} {profile.method}{pin}"
