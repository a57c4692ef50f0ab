"""``.network`` and ``.link`` files of systemd-networkd and udev (systemd v257 systemd.network(5), systemd.link(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.guest import unitfiles
from vhdprep.guest.network.profile import DRIVER, FIRST, Profile, mac, matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

_DIRECTORIES = ("/etc/systemd/network", "/usr/local/lib/systemd/network", "/usr/lib/systemd/network", "/lib/systemd/network")
_DHCP = ("yes", "true", "on", "1", "ipv4", "both", "v4")
_FIRST_CARD = {
    "Name": FIRST, "OriginalName": FIRST, "Driver": DRIVER, "Type": "ether", "Path": "acpi-VMBUS:01", "Kind": "", "WLANInterfaceType": "",
    "SSID": "", "BSSID": "",
}  # fmt: skip
"""What a ``[Match]`` section finds on the card that Azure gives a machine."""
_VIRTUAL = {"yes", "true", "1", "vm", "microsoft"}


def read(guest: Guest) -> Iterator[Profile]:
    """Profiles in the order in which they are tried: the first that fits a card is used, later ones are not."""
    taken = False
    for path, settings in _files(guest, "*.network"):
        if not _is_wired(settings):
            continue
        fits = _fits(settings) and not taken
        pin = mac(_last(settings, "Match.MACAddress"), _last(settings, "Match.PermanentMACAddress"), _last(settings, "Link.MACAddress"))
        taken = taken or (fits and pin is None)
        dhcp = _last(settings, "Network.DHCP").lower() in _DHCP
        static = "Network.Address" in settings or "Address.Address" in settings
        unmanaged = _last(settings, "Link.Unmanaged").lower() in ("yes", "true", "on", "1")
        method = "off" if unmanaged else "dhcp" if dhcp else "static" if static else "off"
        yield Profile(path, "networkd", " ".join(settings.get("Match.Name", ["*"])), method, pin, fits)
    for path, settings in _files(guest, "*.link"):
        pin = mac(_last(settings, "Match.MACAddress"), _last(settings, "Match.PermanentMACAddress"), _last(settings, "Link.MACAddress"))
        if pin is not None:
            yield Profile(path, "networkd", _last(settings, "Link.Name") or "*", "off", pin)


def _files(guest: Guest, pattern: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Files by name, each with its drop-ins: ``Section.Key`` → values in force."""
    for name, path in sorted(guest.files.overlaid(_DIRECTORIES, pattern).items()):
        if unitfiles.is_masked(guest, path):
            continue
        settings: dict[str, list[str]] = {}
        for entry in unitfiles.with_drop_ins(guest, path, [f"{directory}/{name}.d" for directory in _DIRECTORIES]):
            settings[entry.key] = [*settings.get(entry.key, ()), entry.value] if entry.value else []
        yield path, {key: values for key, values in settings.items() if values}


def _last(settings: dict[str, list[str]], key: str) -> str:
    return settings[key][-1] if key in settings else ""


def _is_wired(settings: dict[str, list[str]]) -> bool:
    """Whether it could be for an Ethernet card at all, not for a tunnel or a container's end of a cable."""
    if set(" ".join(settings.get("Match.Driver", ())).split()) & {"tun", "veth", "bridge", "bonding", "dummy"}:
        return False
    return all(_holds(settings.get(f"Match.{key}"), _FIRST_CARD[key]) for key in ("Type", "Kind", "WLANInterfaceType", "SSID", "BSSID"))


def _fits(settings: dict[str, list[str]]) -> bool:
    virtual = _last(settings, "Match.Virtualization").lower()
    if virtual and (virtual.removeprefix("!") in _VIRTUAL) is virtual.startswith("!"):
        return False
    return all(_holds(settings.get(f"Match.{key}"), value) for key, value in _FIRST_CARD.items())


def _holds(values: list[str] | None, have: str) -> bool:
    """One key of ``[Match]``: a list of patterns; ``!`` before the first turns it round."""
    patterns = " ".join(values or []).split()
    if not patterns:
        return True
    turned = patterns[0].startswith("!")
    return matches(have, [patterns[0].removeprefix("!"), *patterns[1:]]) is not turned
