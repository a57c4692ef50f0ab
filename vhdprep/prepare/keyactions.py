"""Remedies of Windows rules as changes of keys and values.

What Windows and Sysprep note about their own setup is never among them: an image does not become sealed by saying so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep import registrytext
from vhdprep import remedy as kinds
from vhdprep.disk.backend import fold_case
from vhdprep.guest.formats.masking import mask
from vhdprep.guest.registry import DEFAULT
from vhdprep.model import ABSENT
from vhdprep.prepare import keys
from vhdprep.prepare.actions import CannotApply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest
    from vhdprep.guest.registry import Registry
    from vhdprep.model import Finding, Value

_SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
_SERVICE = re.compile(rf"({re.escape(_SERVICES)}\\[^\\]+)(\\Start)?", re.IGNORECASE)
_FIREWALL_RULES = rf"{_SERVICES}\SharedAccess\Parameters\FirewallPolicy\FirewallRules"
_INACTIVE = re.compile(r"(?<=\|)Active=FALSE(?=\|)", re.IGNORECASE)
_WITNESSES = re.compile(
    r"HKLM\\SYSTEM\\Setup(?!\\UnattendFile$)(\\.*)?|HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\(State|Sysprep)(\\.*)?", re.IGNORECASE
)
_NOTED = ("HKLM\\SYSTEM\\SETUP\\", "HKLM\\SOFTWARE\\MICROSOFT\\WINDOWS\\CURRENTVERSION\\SETUP\\STATE\\")
"""Keys that must not go with one above them either."""
_SECRET = "(not shown)"


def edits(finding: Finding, guest: Guest) -> Iterator[tuple[str, keys.KeyEdit]]:
    """The hive file of each change, and the change.

    Raises:
        CannotApply: it cannot be done on this guest.
        Unreadable: a hive that is needed cannot be read or is not edited.
    """
    registry = guest.need_registry()
    secrets = {fold_case(each.where) for each in finding.observations if each.value == _SECRET}
    for each in _wanted(finding, registry):
        shown = each.shown if each.name is None else rf"{each.shown}\{each.name}"
        if _is_noted(shown, whole_key=each.name is None):
            raise CannotApply(f"{shown}: only Setup and Sysprep write there")
        if each.type is not None and (service := _SERVICE.match(shown)) and registry.key(service[1]) is None:
            raise CannotApply(f"{service[1]}: there is no such service")
        before = _before(each, registry)
        if before == (ABSENT if each.name is None else keys.value(each)):
            continue
        hive, inside = keys.place(guest, each.shown)
        words = keys.words(before)
        if fold_case(shown) in secrets or (words and mask(f"{each.name}={words}") != f"{each.name}={words}"):
            words = _SECRET
        yield hive, each._replace(key=inside, before=words)


def _is_noted(path: str, *, whole_key: bool) -> bool:
    """Whether Setup and Sysprep alone write there, however many backslashes stand between the names."""
    plain = "\\".join(filter(None, path.split("\\")))
    return bool(_WITNESSES.fullmatch(plain)) or (whole_key and any(each.startswith(f"{plain.upper()}\\") for each in _NOTED))


def _before(edit: keys.KeyEdit, registry: Registry) -> Value:
    if edit.name is not None:
        return registry.value(edit.shown, edit.name)
    return ABSENT if registry.key(edit.shown) is None else "a key"


def _wanted(finding: Finding, registry: Registry) -> Iterator[keys.KeyEdit]:  # noqa: C901 - one case a kind
    """The changes that the remedy asks for, whether or not they are needed."""
    match finding.remedy:
        case kinds.SetRegistryValue(key, name, kind, value):
            yield _edit(key, name, kind, value)
        case kinds.RemoveRegistryValue(key, name):
            yield _edit(key, name)
        case kinds.RemoveRegistryKey(key):
            yield _edit(key, None)
        case kinds.SetRegistryValues(values):
            named = {fold_case(each.where) for each in finding.observations}
            for wanted in map(registrytext.registry_value, values):
                if fold_case(rf"{wanted.key}\{wanted.name}") in named:
                    yield _edit(*wanted)
        case kinds.RemoveFoundKeys():
            for each in finding.observations:
                if each.where.upper().startswith("HKLM\\"):
                    yield _named(each.where, registry)
        case kinds.StartFoundServices(start):
            for each in finding.observations:
                if service := _SERVICE.fullmatch(each.where):
                    yield _edit(service[1], "Start", "dword", str(registrytext.STARTS.index(start)))
        case kinds.EnableFirewallRules(rules):
            found = {name: text for name in rules if isinstance(text := registry.value(_FIREWALL_RULES, name), str)}
            if not found:
                raise CannotApply(f"none of the rules {', '.join(rules)} is there")
            for name, text in found.items():
                yield _edit(_FIREWALL_RULES, name, "sz", _INACTIVE.sub("Active=TRUE", text))


def _named(where: str, registry: Registry) -> keys.KeyEdit:
    """What a finding names: a value if one is called so, else a key."""
    key, _, name = where.rpartition("\\")
    name = "" if name == DEFAULT else name
    if registry.value(key, name) is not ABSENT:
        return _edit(key, name)
    if registry.key(where) is None:
        raise CannotApply(f"{where}: this is not the path of one key or value")
    return _edit(where, None)


def _edit(key: str, name: str | None, kind: str | None = None, value: str | None = None) -> keys.KeyEdit:
    return keys.KeyEdit("", key, "", name, kind, value)
