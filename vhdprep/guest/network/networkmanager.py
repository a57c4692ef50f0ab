"""Key files of NetworkManager (NetworkManager@355bc902 nm-settings-keyfile(5))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.guest.formats import keyvalue
from vhdprep.guest.network.profile import DRIVER, FIRST, Profile, mac, matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

_DIRECTORIES = ("/etc/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections")
_METHODS = {"auto": "dhcp", "manual": "static"}


def read(guest: Guest) -> Iterator[Profile]:
    """Profiles of type ethernet."""
    for name, path in guest.files.overlaid(_DIRECTORIES, "*").items():
        if name.startswith(".") or name.endswith("~") or not guest.files.is_file(path):
            continue
        if path.startswith("/usr/") and not name.endswith(".nmconnection"):
            continue
        values = {key: found[-1].value for key, found in keyvalue.ini(guest.files.text(path) or "").items()}
        if values.get("connection.type") not in ("ethernet", "802-3-ethernet"):
            continue
        off = values.get("connection.autoconnect") in ("false", "no", "0") or "connection.master" in values or "connection.controller" in values
        method = "off" if off else _METHODS.get(values.get("ipv4.method", "auto"), "off")
        wired = [values.get(f"{section}.{key}") for section in ("ethernet", "802-3-ethernet") for key in ("mac-address", "cloned-mac-address")]
        card = values.get("connection.interface-name", "*")
        yield Profile(path, "NetworkManager", card, method, mac(*wired), _fits(values, card))


def _fits(values: dict[str, str], card: str) -> bool:
    wanted = ((FIRST, card), (FIRST, values.get("match.interface-name", "*")), (DRIVER, values.get("match.driver", "*")))
    return all(_match(have, [each for each in re.split(r"[;,\s]+", patterns) if each]) for have, patterns in wanted)


def _match(have: str, patterns: list[str]) -> bool:
    """``|`` before a pattern is the rule, ``!`` excludes, ``&`` demands."""
    refused = [each.lstrip("&!") for each in patterns if "!" in each[:2]]
    wanted = [each.lstrip("|&") for each in patterns if "!" not in each[:2]]
    return not matches(have, refused) and (not wanted or matches(have, wanted))
