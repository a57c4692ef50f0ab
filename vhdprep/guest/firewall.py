r"""What the Windows firewall does with a connection: its rules and its profiles, those of policies first.

Rules of every store count together ([MS-FASP] 2.2.34): a rule that blocks wins over one that allows, and without either the
profile's default holds. A setting of a profile counts from the first store that has it. A policy may void the machine's own
rules (``AllowLocalPolicyMerge``). Rules that only let authenticated machines pass admit nobody here, for in Azure there are none.

``RestrictedServices`` is left out: what is there hardens Windows' own services and its packaged apps, and is the same on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest.formats import firewallrule
from vhdprep.guest.image import once
from vhdprep.model import ABSENT, Observation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.formats.firewallrule import FirewallRule
    from vhdprep.guest.image import Guest

MAX_RULES = 50_000
"""Rules of one store; servers with a fault that adds some at each sign-in had tens of thousands."""
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}
_LOCAL = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy"
_MANAGED, _POLICIES = rf"{_LOCAL}\Mdm", r"HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall"
_PROFILE_KEYS = {
    "domain": (rf"{_POLICIES}\DomainProfile", rf"{_MANAGED}\DomainProfile", rf"{_LOCAL}\DomainProfile"),
    "private": (
        rf"{_POLICIES}\PrivateProfile",
        rf"{_POLICIES}\StandardProfile",
        rf"{_MANAGED}\PrivateProfile",
        rf"{_LOCAL}\StandardProfile",
    ),
    "public": (
        rf"{_POLICIES}\PublicProfile",
        rf"{_POLICIES}\StandardProfile",
        rf"{_MANAGED}\PublicProfile",
        rf"{_LOCAL}\PublicProfile",
    ),
}
"""Where a profile's settings stand; ``StandardProfile`` is the private one, in old policies also the public one."""
_STORES = tuple(rf"{each}\FirewallRules" for each in (_POLICIES, _MANAGED, _LOCAL))
_AZURE = "168.63.129.16"
"""The host's own address: a rule for it alone lets in nobody else."""
_SYSTEM = "system"
_MAX_SHOWN = 10
_MAX_RULE = 160


class Traffic(NamedTuple):
    """A connection that somebody opens."""

    direction: str
    """``in | out``"""
    protocol: int
    port: int
    """The port of the one who answers; of ICMP the type."""
    service: str = ""
    """The Windows service that answers."""
    address: str = ""
    """The far end; empty = anybody."""


class _Stored(NamedTuple):
    rule: FirewallRule
    where: str
    text: str

    @property
    def seen(self) -> Observation:
        shown = "|".join(each for each in self.text.split("|") if not each.startswith(("Name=", "Desc=", "EmbedCtxt=")))
        return Observation(shown[:_MAX_RULE], self.where)


def decide(guest: Guest, traffic: Traffic, profile: str) -> Observation:
    """``admitted | restricted`` (from some only) ``| blocked | closed`` (nothing lets it in), at what decides it."""
    off = _setting(guest, profile, "EnableFirewall")
    if off.value == 0:
        return Observation("admitted", off.where)
    shielded = _setting(guest, profile, "DoNotAllowExceptions")
    if traffic.direction == "in" and shielded.value == 1:
        return Observation("blocked", shielded.where)
    merge = _setting(guest, profile, "AllowLocalPolicyMerge", local=False)
    stores = _STORES[:-1] if merge.value == 0 else _STORES
    about = [each for store in stores for each in _rules(guest)[store] if _is_about(each.rule, traffic)]
    live = [each for each in about if each.rule.active and profile in each.rule.profiles]
    blocks = sorted((each for each in live if each.rule.action == "block"), key=lambda each: _is_limited(each.rule, traffic))
    allows = sorted(
        (each for each in live if each.rule.action == "allow" and not each.rule.needs_ipsec), key=lambda each: _is_limited(each.rule, traffic)
    )
    if blocks and not _is_limited(blocks[0].rule, traffic):
        return Observation("blocked", blocks[0].where, (blocks[0].seen,))
    if allows:
        deciding = next(iter(blocks), None) or allows[0]
        return Observation("restricted" if _is_limited(deciding.rule, traffic) else "admitted", deciding.where, (deciding.seen,))
    default = _setting(guest, profile, "DefaultInboundAction" if traffic.direction == "in" else "DefaultOutboundAction")
    is_open = default.value == 0 or (traffic.direction == "out" and default.value is ABSENT)
    if is_open:
        return Observation("restricted" if blocks else "admitted", blocks[0].where if blocks else default.where)
    where = merge.where if merge.value == 0 else _STORES[-1]
    return Observation("closed", where, tuple(each.seen for each in about[:_MAX_SHOWN]))


def _is_about(rule: FirewallRule, traffic: Traffic) -> bool:
    """Whether the rule concerns the traffic at all, active or not, in whatever profile."""
    if rule.foreign or rule.direction != traffic.direction or rule.protocol not in (None, traffic.protocol):
        return False
    if traffic.address and rule.addresses and not rule.has_address(traffic.address):
        return False
    if not traffic.address and set(rule.addresses) == {_AZURE}:
        return False
    if not _is_for(rule, traffic.service):
        return False
    if traffic.protocol == PROTOCOLS["icmp"]:
        return rule.icmp is None or any(kind == traffic.port and not code for kind, code in rule.icmp)
    ports = rule.local_ports if traffic.direction == "in" else rule.remote_ports
    return ports is None or any(traffic.port in each for each in ports)


def _is_for(rule: FirewallRule, service: str) -> bool:
    """Whether it is about whoever answers: any program, the kernel (which answers for some services), or that service."""
    if rule.program in ("", _SYSTEM):
        return rule.service in ("", service.casefold())
    return bool(service) and rule.program.endswith("\\svchost.exe") and rule.service in ("", service.casefold())


def _is_limited(rule: FirewallRule, traffic: Traffic) -> bool:
    """Whether it is about some of the traffic only."""
    other_end = rule.remote_ports if traffic.direction == "in" else rule.local_ports
    return bool(rule.limits) or other_end is not None or (bool(rule.addresses) and not traffic.address)


def _setting(guest: Guest, profile: str, name: str, *, local: bool = True) -> Observation:
    """The first store's value; without ``local`` those of policies only."""
    registry = guest.need_registry()
    for key in _PROFILE_KEYS[profile] if local else _PROFILE_KEYS[profile][:-1]:
        value = registry.value(key, name)
        if type(value) is int:
            return Observation(value, f"{key}\\{name}")
    return Observation(ABSENT, f"{_PROFILE_KEYS[profile][-1]}\\{name}")


@once
def _rules(guest: Guest) -> dict[str, tuple[_Stored, ...]]:
    """The rules of every store."""
    return {store: tuple(_read(guest, store)) for store in _STORES}


def _read(guest: Guest, path: str) -> Iterator[_Stored]:
    key = guest.need_registry().key(path)
    for number, (name, value) in enumerate(key.values() if key else ()):
        if number == MAX_RULES:
            raise Unreadable(f"{path}: more than {MAX_RULES} rules")
        if isinstance(value, str) and (rule := firewallrule.parse(value)) is not None:
            yield _Stored(rule, f"{path}\\{name}", value)
