"""What a Windows is to others: client, server or domain controller, its domain, who manages it, whose end of support it has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.model import ABSENT, Observation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest
    from vhdprep.guest.registry import Registry

DATABASE = "/Windows/NTDS/ntds.dit"
_OPTIONS = r"HKLM\SYSTEM\CurrentControlSet\Control\ProductOptions"
_DIRECTORY_SERVICE = r"HKLM\SYSTEM\CurrentControlSet\Services\NTDS"
_PRODUCTS = {"winnt": "client", "servernt": "server", "lanmannt": "domain-controller"}
_VERSION = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
_LIFECYCLES = {"ltsc": "(IoT)?EnterpriseS", "enterprise": "(Enterprise|IoTEnterprise|Education|ServerRdsh)"}
"""By the edition; ServerRdsh is the Enterprise for several sessions, which calls itself a server."""
_ACCOUNT = r"HKLM\SECURITY\Policy\PolMachineAccountS"
_POLICIES = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Group Policy\State"
_NETWORK = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"
_ENROLMENTS = r"HKLM\SOFTWARE\Microsoft\Enrollments"
_ENROLLED, _MANAGEMENT = 1, "ms dm server"
"""Of an enrolment for management; Windows enrols itself for other things, under other names."""
_SID = re.compile(r"01[0-9a-f]{2}[0-9a-f]{12}")
"""A security identifier in hexadecimal: revision 1, how many parts, who issued it."""
_MAX_NAME = 255


def product(guest: Guest) -> Observation:
    """``client | server | domain-controller``.

    Raises:
        Unreadable: ProductType is missing, or none that is known.
    """
    registry = guest.need_registry()
    where = rf"{_OPTIONS}\ProductType"
    stated = registry.value(_OPTIONS, "ProductType")
    found = _PRODUCTS.get(stated.casefold()) if isinstance(stated, str) else None
    if found is None:
        raise Unreadable(f"{where} is {'missing' if stated is ABSENT else 'none that is known'}, so what this Windows is cannot be told")
    if found == "server" and registry.key(_DIRECTORY_SERVICE) is not None and guest.files.is_file(DATABASE):
        return Observation("domain-controller", DATABASE)
    return Observation(found, where)


def lifecycle(guest: Guest) -> str:
    """Which of Microsoft's lists says when its support ends: clients by their edition.

    Raises:
        Unreadable: that cannot be told.
    """
    edition = guest.need_registry().value(_VERSION, "EditionID")
    stated = edition if isinstance(edition, str) else ""
    for kind, pattern in _LIFECYCLES.items():
        if re.match(pattern, stated, re.IGNORECASE):
            return f"windows-{kind}"
    return "windows-client" if product(guest).value == "client" else "windows-server"


def domain(guest: Guest) -> Observation:
    """The domain that this machine is, or was, a member of; ``ABSENT`` = none.

    Raises:
        Unreadable: nothing was found, and not everything could be looked at.
    """
    registry = guest.need_registry()
    unread: Unreadable | None = None
    for look in (_by_account, _by_policies):
        try:
            found = look(registry)
        except Unreadable as error:
            unread = unread or error
            found = next(_suffixes(registry), None) if look is _by_account else None
        if found is not None:
            return found
    if unread is not None:
        raise unread
    return Observation(ABSENT, _ACCOUNT)


def management(guest: Guest) -> Observation:
    """The account that the device is enrolled with for management (MDM), or ``an account``; ``ABSENT`` = it is not."""
    key = guest.need_registry().key(_ENROLMENTS)
    for each in key.subkeys() if key else ():
        provider = each.value("ProviderID")
        if each.value("EnrollmentState") == _ENROLLED and isinstance(provider, str) and provider.casefold() == _MANAGEMENT:
            account = each.value("UPN")
            where = rf"{_ENROLMENTS}\{each.name}"
            return Observation(account[:_MAX_NAME] if isinstance(account, str) and account else "an account", where)
    return Observation(ABSENT, _ENROLMENTS)


def _by_account(registry: Registry) -> Observation | None:
    """The domain's identifier; in a workgroup the value is empty or zero."""
    value = registry.value(_ACCOUNT, "")
    return Observation("a domain", _ACCOUNT) if isinstance(value, str) and _SID.match(value) else None


def _by_policies(registry: Registry) -> Observation | None:
    """Names in a directory that a domain's policies were applied to; of local users the name is empty."""
    key = registry.key(_POLICIES)
    for each in key.subkeys() if key else ():
        name = each.value("Distinguished-Name")
        parts = re.findall(r"(?i)(?:^|,)DC=([^,]+)", name[:_MAX_NAME]) if isinstance(name, str) else []
        if parts:
            return Observation(".".join(parts), rf"{_POLICIES}\{each.name}\Distinguished-Name")
    return None


def _suffixes(registry: Registry) -> Iterator[Observation]:
    """The DNS suffix of a domain, or one that was set without a domain."""
    for name in ("Domain", "NV Domain"):
        value = registry.value(_NETWORK, name)
        if isinstance(value, str) and value.strip():
            yield Observation(value[:_MAX_NAME], rf"{_NETWORK}\{name}")
