r"""Network adapters of a Windows and what was set by hand on them (``Tcpip\Parameters\Interfaces``).

Adapters that are only software (``ROOT\…``: loopback, virtual switches) are left out; their addresses are static on purpose.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest
    from vhdprep.model import Value

MAX_ADAPTERS = 1000
TCPIP = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"
_INTERFACES = rf"{TCPIP}\Interfaces"
_CONNECTIONS = r"HKLM\SYSTEM\CurrentControlSet\Control\Network\{4D36E972-E325-11CE-BFC1-08002BE10318}"
_SOFTWARE_ONLY = ("ROOT\\", "SWD\\")
_MAX_NAME = 100


class Adapter(NamedTuple):
    """One adapter, present or long gone."""

    where: str
    """Its key."""
    name: str
    """``Ethernet``; empty = none was given."""
    addresses: tuple[str, ...]
    """Set by hand."""
    gateways: tuple[str, ...]
    name_servers: tuple[str, ...]
    """Set by hand, where they differ from what DHCP gave."""


def adapters(guest: Guest) -> Iterator[Adapter]:
    """Every adapter that TCP/IP was bound to.

    Raises:
        Unreadable: there are too many.
    """
    registry = guest.need_registry()
    key = registry.key(_INTERFACES)
    for number, each in enumerate(key.subkeys() if key else ()):
        if number == MAX_ADAPTERS:
            raise Unreadable(f"{_INTERFACES}: more than {MAX_ADAPTERS} adapters")
        connection = rf"{_CONNECTIONS}\{each.name}\Connection"
        device, name = registry.value(connection, "PnPInstanceId"), registry.value(connection, "Name")
        if isinstance(device, str) and device.upper().startswith(_SOFTWARE_ONLY):
            continue
        is_static = each.value("EnableDHCP") == 0
        servers, given = words(each.value("NameServer")), words(each.value("DhcpNameServer"))
        yield Adapter(
            where=rf"{_INTERFACES}\{each.name}",
            name=name[:_MAX_NAME] if isinstance(name, str) else "",
            addresses=words(each.value("IPAddress")) if is_static else (),
            gateways=words(each.value("DefaultGateway")) if is_static else (),
            name_servers=() if set(servers) == set(given) else servers,
        )


def words(value: Value) -> tuple[str, ...]:
    """Addresses in a text or a list; ``0.0.0.0`` is none."""
    texts = value if isinstance(value, tuple) else (value,) if isinstance(value, str) else ()
    return tuple(word for text in texts for word in re.split(r"[\s,;]+", str(text)) if word and word != "0.0.0.0")
