"""Azure's DHCP server for one machine (RFC 2131): every answer is the same address, with the options that Azure's own agents look for.

The agents' needs, as read in their sources: WALinuxAgent ``azurelinuxagent/common/dhcp.py`` wants option 245 or a route to the wire server (options
121 and 249), cloud-init ``cloudinit/net/dhcp.py`` takes option 245 as ``unknown-245`` and the routes of option 121.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from vhdprep.rehearse.identity import DOMAIN, GATEWAY, GUEST, METADATA, NETMASK, WIRE

MAX_OPTIONS = 64
"""Options of one request; clients send a dozen."""

SERVER_PORT = 67
CLIENT_PORT = 68
EVERYBODY = "255.255.255.255"

_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE = b"\x63\x82\x53\x63"
_NOWHERE = "0.0.0.0"
_BROADCAST = 0x8000
_SHORTEST = 300
"""Bytes of a message, as relays and old clients demand (RFC 1542, 2.1)."""
_FOREVER = b"\xff\xff\xff\xff"

_DISCOVER, _OFFER, _REQUEST, _, _ACK, _NAK, _, _INFORM = range(1, 9)
_PAD, _HOST, _WANTED, _KIND, _SERVER, _CLASS, _CLIENT, _END = 0, 12, 50, 53, 54, 60, 61, 255
_FIRMWARE = (b"PXEClient", b"HTTPClient")
"""How firmware begins its vendor class when it looks for something to boot."""


class Request(NamedTuple):
    """What a client asks."""

    kind: int
    """The message's type (RFC 2132, 9.6)."""
    transaction: int
    flags: int
    current: str
    """The address that it has; ``0.0.0.0`` where it has none."""
    hardware: bytes
    """The client's address as the header has it, 16 bytes."""
    options: dict[int, bytes]

    @property
    def host(self) -> str:
        """The host name that the client says it has; untrusted, empty where it says none."""
        return self.options.get(_HOST, b"").rstrip(b"\0").decode("ascii", "replace")

    @property
    def identifier(self) -> str:
        """The client identifier in hexadecimal digits: type and hardware address, or what was made of the machine's id; often empty."""
        return self.options.get(_CLIENT, b"").hex()

    @property
    def wanted(self) -> str:
        """The address that the client wants or has; empty where it leaves that to the server."""
        wanted = self.options.get(_WANTED, b"")
        if len(wanted) == 4:
            return socket.inet_ntoa(wanted)
        return "" if self.current == _NOWHERE else self.current


class Reply(NamedTuple):
    """What the server says, and to which address."""

    message: bytes
    destination: str
    """The client's, or everybody's."""


def parse(message: bytes) -> Request | None:
    """A client's message over Ethernet that came without a relay; ``None`` for all else, and for firmware that looks for a boot server."""
    if len(message) < _HEADER.size:
        return None
    operation, kind, length, _, transaction, _, flags, current, _, _, relay, hardware, _, _, cookie = _HEADER.unpack_from(message)
    if (operation, kind, length, cookie, relay) != (1, 1, 6, _COOKIE, bytes(4)):
        return None
    options = _options(message[_HEADER.size :])
    if len(options.get(_KIND, b"")) != 1 or options.get(_CLASS, b"").startswith(_FIRMWARE):
        return None
    return Request(options[_KIND][0], transaction, flags, socket.inet_ntoa(current), hardware, options)


def answer(request: Request) -> Reply | None:
    """What Azure would say; ``None`` where nothing is to be said.

    A client that wants another address than this machine's is refused (NAK), so that it asks anew at once: it holds a lease of an earlier life.
    """
    if request.kind == _DISCOVER:
        return Reply(_message(request, _OFFER, GUEST, _lease()), _to(request))
    if request.kind == _REQUEST and request.options.get(_SERVER, socket.inet_aton(WIRE)) == socket.inet_aton(WIRE):
        if request.wanted != GUEST:
            return Reply(_message(request, _NAK, _NOWHERE, b""), EVERYBODY)
        return Reply(_message(request, _ACK, GUEST, _lease()), _to(request))
    if request.kind == _INFORM and request.current == GUEST:
        return Reply(_message(request, _ACK, _NOWHERE, _settings()), GUEST)
    return None


def _to(request: Request) -> str:
    """RFC 2131, 4.1: to the address that the client has, or to the one that it gets unless it says that it cannot hear that yet."""
    if request.current == _NOWHERE and request.flags & _BROADCAST:
        return EVERYBODY
    return GUEST


def _message(request: Request, kind: int, yours: str, options: bytes) -> bytes:
    current = _NOWHERE if kind == _NAK else request.current
    header = _HEADER.pack(
        2,
        1,
        6,
        0,
        request.transaction,
        0,
        request.flags,
        socket.inet_aton(current),
        socket.inet_aton(yours),
        bytes(4),
        bytes(4),
        request.hardware,
        b"",
        b"",
        _COOKIE,
    )
    first = _option(_KIND, bytes([kind])) + _option(_SERVER, socket.inet_aton(WIRE))
    echo = _option(_CLIENT, request.options[_CLIENT]) if _CLIENT in request.options else b""  # RFC 6842
    return (header + first + options + echo + bytes([_END])).ljust(_SHORTEST, b"\0")


def _lease() -> bytes:
    return _option(51, _FOREVER) + _settings()


def _settings() -> bytes:
    wire, gateway = socket.inet_aton(WIRE), socket.inet_aton(GATEWAY)
    routes = b"\0" + gateway + b"".join(b"\x20" + socket.inet_aton(host) + gateway for host in (WIRE, METADATA))
    return b"".join(
        [
            _option(1, socket.inet_aton(NETMASK)),
            _option(3, gateway),
            _option(6, wire),
            _option(15, DOMAIN.encode()),
            _option(121, routes),  # RFC 3442: whoever reads these ignores option 3, so the first is the default route
            _option(245, wire),
            _option(249, routes),  # the same before it had a number
        ]
    )


def _option(code: int, value: bytes) -> bytes:
    return bytes([code, len(value)]) + value


def _options(data: bytes) -> dict[int, bytes]:
    """The options up to the end or to the first that is cut off; the first of each code counts."""
    options: dict[int, bytes] = {}
    at = 0
    while at + 1 < len(data) and data[at] != _END and len(options) < MAX_OPTIONS:
        if data[at] == _PAD:
            at += 1
            continue
        value = data[at + 2 : at + 2 + data[at + 1]]
        if len(value) == data[at + 1]:
            options.setdefault(data[at], value)
        at += 2 + data[at + 1]
    return options
