"""One rule of the Windows firewall, as the registry stores it: ``v2.30|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=3389|…|``.

The grammar is that of [MS-GPFAS] 2.2.2.19, the meaning that of [MS-FASP] 2.2.37. Fields may repeat; the order does not matter.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, NetmaskValueError, ip_network
from typing import NamedTuple

PROFILES = ("domain", "private", "public")
MAX_LENGTH = 64 * 1024
"""Characters of one rule; Windows takes at most 10,000 in each of its texts."""
_ANY_PROTOCOL = 256
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_ICMP = re.compile(r"([0-9]{1,3}):([0-9]{1,3}|\*)")
_ENDPOINT_MAPPER = 135
_TEXTS = frozenset({"name", "desc", "embedctxt", "edge", "defer", "lsm"})
"""Fields that narrow nothing."""
_FOREIGN = frozenset({"apppkgid", "pfn", "luown", "if"})
"""Fields by which a rule is about packaged apps, or about a network card that stayed with the old machine."""
_EVERYBODY = frozenset({"*", "0.0.0.0/0", "0.0.0.0/0.0.0.0", "0.0.0.0-255.255.255.255"})
"""Far ends that are all of IPv4."""
_ACTIONS = {"allow": "allow", "block": "block", "bypass": "bypass"}


class FirewallRule(NamedTuple):
    """What a rule is about, and what it does."""

    action: str
    """``allow | block | bypass``"""
    active: bool
    direction: str
    """``in | out``"""
    protocol: int | None
    """Number of the IP protocol; None = every one."""
    profiles: frozenset[str]
    local_ports: tuple[range, ...] | None
    """None = every one. Ports that only the running machine knows (``RPC``) are none that one could ask for."""
    remote_ports: tuple[range, ...] | None
    icmp: tuple[tuple[int, int | None], ...] | None
    """Types with their codes (None = every one) of ICMP; None = all types."""
    addresses: tuple[str, ...]
    """Far ends that it is limited to, as written: addresses, ranges, networks, words; empty = anybody."""
    program: str
    service: str
    limits: tuple[str, ...]
    """Whatever else narrows it: ``la4=10.0.0.5``, ``security=Authenticate``, or a field that is not known here."""
    foreign: bool
    """It is about packaged apps, another network card, or far ends of IPv6 alone."""

    @property
    def needs_ipsec(self) -> bool:
        """Whether it is about connections that IPsec protects (``Security``, ``Security2`` …), and no others."""
        return any(each.startswith("security") for each in self.limits)

    def has_address(self, address: str) -> bool:
        """Whether its far ends hold an IPv4 address; what a word stands for is not known."""
        return any(_holds(each, address) for each in self.addresses)


def parse(text: str) -> FirewallRule | None:
    """The rule; None = it is none, and Windows leaves it out as well."""
    version, *fields = text[:MAX_LENGTH].rstrip("\0").split("|")
    if len(text) > MAX_LENGTH or not re.fullmatch(r"v[0-9]{1,3}\.[0-9]{1,3}", version):
        return None
    found: dict[str, list[str]] = {}
    for each in fields:
        key, sign, value = each.partition("=")
        if sign:
            found.setdefault(key.casefold(), []).append(value)
        elif each:
            return None
    action = _ACTIONS.get(_last(found, "action"))
    direction, protocol = _last(found, "dir"), _last(found, "protocol")
    if action is None or direction not in ("in", "out") or not re.fullmatch(r"[0-9]{0,3}", protocol):
        return None
    local, remote = _ports(found, "lport"), _ports(found, "rport")
    kinds = [each.casefold() for each in found.pop("iftype", [])]
    profiles = frozenset(each.casefold() for each in found.pop("profile", [])) & frozenset(PROFILES)
    is_six = any(key.startswith("ra6") for key in found) and not any(key.startswith("ra4") for key in found)
    addresses = tuple(value for key in list(found) if key.startswith(("ra4", "ra6")) for value in found.pop(key))
    icmp = tuple(value for key in ("icmp4", "icmp6") for value in found.pop(key, []))
    program, service = _last(found, "app"), _last(found, "svc")
    active = _last(found, "active") == "true"
    taken = {"action", "dir", "protocol", "app", "svc", "active"} | _TEXTS | _FOREIGN
    return FirewallRule(
        action=action,
        active=active,
        direction=direction,
        protocol=None if protocol in ("", str(_ANY_PROTOCOL)) else int(protocol),
        profiles=profiles or frozenset(PROFILES),
        local_ports=local,
        remote_ports=remote,
        icmp=_types(icmp) if icmp else None,
        addresses=() if _EVERYBODY.intersection(addresses) else addresses,
        program=program,
        service="" if service == "*" else service,
        limits=tuple(f"{key}={value}" for key, values in found.items() if key not in taken for value in values),
        foreign=is_six or bool(_FOREIGN & found.keys()) or (bool(kinds) and "lan" not in kinds),
    )


def _last(found: dict[str, list[str]], key: str) -> str:
    return found[key][-1].strip().casefold() if key in found else ""


def _ports(found: dict[str, list[str]], name: str) -> tuple[range, ...] | None:
    """Of ``LPort=``, ``LPort2_10=`` and so on: numbers, ranges, or words."""
    written = [value for key in list(found) if key == name or key.startswith(f"{name}2_") for value in found.pop(key)]
    if not written:
        return None
    ports = []
    for each in (part.strip() for value in written for part in value.split(",")):
        match = _PORTS.fullmatch(each)
        if match:
            ports.append(range(int(match[1]), int(match[2] or match[1]) + 1))
        elif each.casefold() == "rpc-epmap":
            ports.append(range(_ENDPOINT_MAPPER, _ENDPOINT_MAPPER + 1))
    return tuple(ports)


def _types(written: tuple[str, ...]) -> tuple[tuple[int, int | None], ...]:
    matches = [match for each in written if (match := _ICMP.fullmatch(each.strip()))]
    return tuple((int(match[1]), None if match[2] == "*" else int(match[2])) for match in matches)


def _holds(written: str, address: str) -> bool:
    first, _, last = written.partition("-")
    try:
        if last:
            return IPv4Address(first) <= IPv4Address(address) <= IPv4Address(last)
        return IPv4Address(address) in ip_network(written, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        return False
