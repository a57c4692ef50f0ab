"""Probes of how a Windows is reached and who gets in: firewall, proxy, adapters, rights, accounts."""

from __future__ import annotations

from typing import Literal

from vhdprep.errors import Unreadable
from vhdprep.guest.image import Image
from vhdprep.guest.registry import binary
from vhdprep.model import ABSENT, Observation
from vhdprep.probes.registry import probe

_CONNECTIONS = r"Microsoft\Windows\CurrentVersion\Internet Settings\Connections"
_PROXY_KEYS = {"64-bit": rf"HKLM\SOFTWARE\{_CONNECTIONS}", "32-bit": rf"HKLM\SOFTWARE\WOW6432Node\{_CONNECTIONS}"}


@probe(returns="`admitted | restricted | blocked | closed`; `restricted` = for some far ends only, `closed` = nothing lets it in")
def firewall_traffic(
    image: Image,
    *,
    protocol: Literal["tcp", "udp", "icmp"],
    port: int,
    port_value: str = "",
    profile: Literal["domain", "private", "public"],
    direction: Literal["in", "out"] = "in",
    service: str = "",
    address: str = "",
) -> Observation:
    r"""What the Windows firewall does with a connection, by its rules and profiles and those of policies.

    port: of the one who answers; of ICMP (version 4) the type, 8 = echo request. port_value: the registry value, as `KEY\NAME`, that
    names another port if it is set. service: the service that answers; rules for other programs do not count. address: the far end
    (IPv4), where only one matters.
    """
    from vhdprep.guest import firewall

    guest = image.need_guest()
    key, _, name = port_value.rpartition("\\")
    stated = guest.need_registry().value(key, name) if port_value else ABSENT
    if stated is not ABSENT and type(stated) is not int:
        raise Unreadable(f"{port_value} is no number")
    number = stated if type(stated) is int else port
    return firewall.decide(guest, firewall.Traffic(direction, firewall.PROTOCOLS[protocol], number, service, address), profile)


@probe(returns="the proxy or script; `bypassed` when the address goes around it; absent when everything is reached directly")
def web_proxy(image: Image, *, address: str, programs: Literal["64-bit", "32-bit"] = "64-bit") -> Observation:
    """The proxy that services use for the web (WinHTTP).

    address: one that must be reached directly. programs: which kind has the setting.
    """
    from vhdprep.guest.formats import winhttp

    where = rf"{_PROXY_KEYS[programs]}\WinHttpSettings"
    value = image.need_guest().need_registry().value(_PROXY_KEYS[programs], "WinHttpSettings")
    if value is ABSENT:
        return Observation(ABSENT, where)
    found = winhttp.parse(binary(value), where)
    if not found.proxy and not found.script:
        return Observation(ABSENT, where)
    if found.passes_by(address) and not found.script:
        return Observation("bypassed", where)
    return Observation(found.proxy or found.script, where)


@probe(returns="a list of places, one for each adapter")
def network_adapters(image: Image, *, having: Literal["static-address", "static-name-server"]) -> Observation:
    """Network adapters of a Windows, also those long gone, on which something was set by hand.

    having: a `static-address`, or a `static-name-server` (also the one for all adapters) that DHCP did not give. Adapters that are
    only software are left out.
    """
    from vhdprep.guest import adapters

    guest = image.need_guest()
    parts = []
    for each in adapters.adapters(guest):
        title = f" ({each.name})" if each.name else ""
        if having == "static-address" and each.addresses:
            gateway = f", gateway {', '.join(each.gateways)}" if each.gateways else ""
            parts.append(Observation(f"{', '.join(each.addresses)}{gateway}{title}", rf"{each.where}\EnableDHCP"))
        if having == "static-name-server" and each.name_servers:
            parts.append(Observation(f"{', '.join(each.name_servers)}{title}", rf"{each.where}\NameServer"))
    everywhere = adapters.words(guest.need_registry().value(adapters.TCPIP, "NameServer")) if having == "static-name-server" else ()
    if everywhere:
        parts.append(Observation(", ".join(everywhere), rf"{adapters.TCPIP}\NameServer"))
    return Observation.listing(rf"{adapters.TCPIP}\Interfaces", tuple(parts))


@probe(returns="a list of places, one for each account or group")
def logon_rights(
    image: Image,
    *,
    right: Literal["interactive", "network", "remote-interactive", "deny-interactive", "deny-network", "deny-remote-interactive"],
    accounts: tuple[str, ...],
) -> Observation:
    """Which of these accounts and groups hold a right to sign in to a Windows, or are denied it.

    accounts: security identifiers, e.g. `S-1-5-32-544` (Administrators).
    """
    from vhdprep.guest import logonrights

    wanted = {each.upper() for each in accounts}
    found = (each for each in logonrights.holders(image.need_guest()) if each.sid in wanted and each.mask & logonrights.RIGHTS[right])
    return Observation.listing("logon rights", tuple(Observation(f"{each.title}: {right} (0x{each.mask:x})", each.where) for each in found))


@probe(returns="a list of places, one for each account")
def local_accounts(
    image: Image, *, having: Literal["enabled", "no-password"], which: Literal["any", "administrator", "guest", "made"] = "any"
) -> Observation:
    """Enabled accounts of a Windows itself. Passwords are never shown.

    having: `enabled`, or enabled with `no-password` or marked as needing none. which: the built-in `administrator` or `guest`, or
    those that people and programs `made`.
    """
    from vhdprep.guest import localaccounts

    named = {"administrator": localaccounts.ADMINISTRATOR, "guest": localaccounts.GUEST}
    parts = []
    for each in localaccounts.accounts(image.need_guest()):
        fits = which == "any" or (each.rid >= localaccounts.FIRST_MADE if which == "made" else each.rid == named[which])
        if fits and each.is_enabled and (having == "enabled" or not (each.has_password and each.needs_password)):
            parts.append(Observation(f"{each.name} (RID {each.rid})", each.where))
    return Observation.listing("local accounts", tuple(parts))
