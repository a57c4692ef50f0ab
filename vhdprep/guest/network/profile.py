"""One network profile, and whether it could be for the card that Azure gives a machine."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST = "eth0"
"""Its name: no scheme of udev names cards of the Hyper-V bus, so they keep the kernel's."""
DRIVER = "hv_netvsc"
_MAC = re.compile(r"[0-9A-Fa-f]{1,2}([:-][0-9A-Fa-f]{1,2}){5}|[0-9A-Fa-f]{4}(\.[0-9A-Fa-f]{4}){2}")


class Profile(NamedTuple):
    """One profile."""

    place: str
    stack: str
    """``ifupdown | networkd | netplan | NetworkManager | ifcfg | wicked``, or the program that makes it at boot."""
    interface: str
    """Name or pattern; ``*`` = any."""
    method: str
    """``dhcp | static | off``; off: no IPv4 address of either kind, or not brought up by itself."""
    mac: str | None = None
    """The hardware address that it is pinned to, or that it gives the card."""
    fits: bool = False
    """Whether it could serve the first card, its hardware address left aside."""


def matches(value: str, patterns: Iterable[str]) -> bool:
    """Whether ``value`` matches one of the patterns."""
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def mac(*values: str | None) -> str | None:
    """The first hardware address in the values; ``random``, ``permanent`` and the like are none."""
    return next((word for value in values if value for word in value.split() if _MAC.fullmatch(word)), None)
