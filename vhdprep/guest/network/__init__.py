"""Profiles that configure a wired interface, whichever stack they are written for, and what makes one at boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.guest import systemd
from vhdprep.guest.image import once
from vhdprep.guest.network import ifcfg, ifupdown, netplan, networkd, networkmanager, programs
from vhdprep.guest.network.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.guest.image import Guest

__all__ = ["Profile", "first_card", "made_at_boot", "profiles"]

_VIRTUAL_NAMES = (
    "lo", "docker", "podman", "cni", "veth", "virbr", "vnet", "br-", "tun", "tap", "bond", "team", "wg", "ppp", "dummy", "sit", "wlan", "wlp",
    "ve-", "vb-", "vz-", "vt-", "mv-", "6rd-", "host0",
)  # fmt: skip
_SERVICES = {
    "ifupdown": ("networking.service",),
    "networkd": ("systemd-networkd.service",),
    "NetworkManager": ("NetworkManager.service",),
    "ifcfg": ("NetworkManager.service", "network.service"),
    "wicked": ("wicked.service", "network.service"),
}
"""Stack → units that read its profiles. netplan has none: its generator writes for the others."""
_NETPLAN = "/{usr/sbin/netplan,{usr/,}lib/systemd/system-generators/netplan}"


@once
def profiles(guest: Guest) -> tuple[Profile, ...]:
    """Every profile for a wired interface, of every stack, in use or not."""
    readers = (ifupdown.read, networkd.read, netplan.read, networkmanager.read, ifcfg.read)
    found = [profile for reader in readers for profile in reader(guest)]
    return tuple(profile for profile in found if not profile.interface.startswith(_VIRTUAL_NAMES))


@once
def first_card(guest: Guest) -> tuple[Profile, ...]:
    """Profiles for the card that Azure gives every machine, of stacks that start; of all stacks where none is known to."""
    running = _running(guest)
    return tuple(profile for profile in profiles(guest) if profile.fits and (not running or profile.stack in running))


def made_at_boot(guest: Guest, stacks: Sequence[str] = ()) -> tuple[Profile, ...]:
    """DHCP profiles that no file holds: programs make them for the card that they find. cloud-init is asked when no other does."""
    others = [programs.network_manager(guest, first_card(guest)), *programs.clients(guest)]
    found = tuple(each for each in others if each is not None and (not stacks or each.stack in stacks))
    own = programs.cloud_init(guest) if not found and (not stacks or "cloud-init" in stacks) else None
    return found if own is None else (own,)


def _running(guest: Guest) -> set[str]:
    found = {stack for stack, units in _SERVICES.items() if any(systemd.unit_state(guest, unit).state == "enabled" for unit in units)}
    return found | {"netplan"} if found and guest.files.glob(_NETPLAN) else found
