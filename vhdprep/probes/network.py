"""Probes of the guest's network configuration."""

from __future__ import annotations

from typing import Literal

from vhdprep.guest import network
from vhdprep.guest.image import Image
from vhdprep.model import Observation
from vhdprep.probes.registry import probe


@probe(returns="a list of places, one for each profile")
def network_profiles(image: Image, *, having: Literal["dhcp", "static", "mac", "dhcp-without-mac"]) -> Observation:
    """Profiles for wired interfaces in ifupdown, networkd, netplan, NetworkManager and ifcfg files.

    having: an address by `dhcp`, a `static` one, a pin to a `mac` address, or `dhcp-without-mac`.
    """
    parts = []
    for profile in network.profiles(image.need_guest()):
        wanted = {
            "dhcp": profile.method == "dhcp",
            "static": profile.method == "static",
            "mac": profile.mac is not None,
            "dhcp-without-mac": profile.method == "dhcp" and profile.mac is None,
        }
        if wanted[having]:
            pin = f", only for {profile.mac}" if profile.mac else ""
            parts.append(Observation(f"{profile.stack}: {profile.interface} {profile.method}{pin}", profile.place))
    return Observation.listing("network configuration", tuple(parts))
