"""netplan's YAML (netplan 1.1.2 ``doc/netplan-yaml.md``): files by name, keys merged, those in /etc hide their namesakes in /usr/lib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vhdprep.errors import Unreadable
from vhdprep.guest import cloudconfig
from vhdprep.guest.formats.plain import Lines
from vhdprep.guest.network.profile import DRIVER, FIRST, Profile, mac, matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

_DIRECTORIES = ("/etc/netplan", "/usr/lib/netplan", "/lib/netplan")


def read(guest: Guest) -> Iterator[Profile]:
    """Profiles of ``ethernets``."""
    places: dict[str, str] = {}
    merged: dict[str, dict[str, Any]] = {}
    for name, path in sorted(guest.files.overlaid(_DIRECTORIES, "*.yaml").items()):
        if name.startswith("."):
            continue
        for identity, settings in _ethernets(guest, path).items():
            if isinstance(settings, Lines):
                places[identity] = f"{path}:{settings.line}"
                merged.setdefault(identity, {}).update(settings)
    for identity, found in merged.items():
        match = found.get("match")
        pin = match.get("macaddress") if isinstance(match, dict) else None
        yield Profile(places[identity], "netplan", identity, _method(found), mac(_text(pin), _text(found.get("macaddress"))), _fits(identity, match))


def _ethernets(guest: Guest, path: str) -> Lines:
    layer = cloudconfig.read_layer(guest, path)
    if layer.problem:
        raise Unreadable(f"{path}: {layer.problem}")
    network = layer.data.get("network") if layer.data else None
    ethernets = network.get("ethernets") if isinstance(network, Lines) else None
    return ethernets if isinstance(ethernets, Lines) else Lines()


def _method(found: dict[str, Any]) -> str:
    if found.get("activation-mode") in ("manual", "off", False):
        return "off"
    return "dhcp" if found.get("dhcp4") is True else "static" if found.get("addresses") else "off"


def _fits(identity: str, match: Any) -> bool:
    """Without ``match`` the identity is the card's name."""
    if not isinstance(match, dict):
        return identity == FIRST
    return all(matches(have, _listed(match[key])) for key, have in (("name", FIRST), ("driver", DRIVER)) if key in match)


def _listed(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
