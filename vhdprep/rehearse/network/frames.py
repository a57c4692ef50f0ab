"""Ethernet, ARP, IPv4, UDP and TCP as bytes: the little of them that a machine and its platform exchange.

The guest writes what is parsed here: whatever is not well-formed is ``None``, nothing raises.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

MAX_FRAME = 1514
"""Bytes of an Ethernet frame: Azure's networks carry packets of 1500 bytes."""

BROADCAST = b"\xff" * 6
IPV4 = 0x0800
ARP = 0x0806

ICMP = 1
TCP = 6
UDP = 17

ARP_REQUEST = 1
ARP_REPLY = 2

FIN = 0x01
SYN = 0x02
RST = 0x04
ACK = 0x10

_ETHERNET = struct.Struct("!6s6sH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_TCP = struct.Struct("!HHIIBBHHH")
_PLACE_AND_MORE = 0x3FFF
"""Of an IPv4 header's flags: more fragments follow, and where this one belongs (RFC 791)."""
_PORT_UNREACHABLE = b"\x03\x03"
_TTL = 64


class Frame(NamedTuple):
    """An Ethernet frame without a VLAN."""

    destination: bytes
    """Six bytes."""
    source: bytes
    kind: int
    """The EtherType."""
    payload: bytes


class Question(NamedTuple):
    """An ARP packet for IPv4 over Ethernet (RFC 826)."""

    operation: int
    hardware: bytes
    """The sender's address, six bytes."""
    sender: str
    """The sender's IPv4 address, dotted; ``0.0.0.0`` in a probe (RFC 5227)."""
    target: str


class Packet(NamedTuple):
    """An IPv4 packet that is whole (RFC 791)."""

    source: str
    """Dotted."""
    destination: str
    protocol: int
    plain: bool
    """The header has no options."""
    payload: bytes
    raw: bytes
    """Header and payload, without what padded the frame."""


class Datagram(NamedTuple):
    """A UDP datagram (RFC 768)."""

    source: int
    destination: int
    payload: bytes


class Segment(NamedTuple):
    """What matters of a TCP segment (RFC 9293)."""

    source: int
    destination: int
    sequence: int
    flags: int
    length: int
    """Bytes that it carries."""

    @property
    def opens(self) -> bool:
        """Whether it is a client's first one."""
        return self.flags & (SYN | ACK | RST) == SYN


def mac(text: str) -> bytes:
    """Six bytes of ``12:34:56:78:9a:bc``."""
    return bytes.fromhex(text.replace(":", ""))


def parse_frame(data: bytes) -> Frame | None:
    """An Ethernet frame; ``None`` where it is too short or too long."""
    if not _ETHERNET.size <= len(data) <= MAX_FRAME:
        return None
    destination, source, kind = _ETHERNET.unpack_from(data)
    return Frame(destination, source, kind, data[_ETHERNET.size :])


def parse_arp(data: bytes) -> Question | None:
    """An ARP packet, trailing bytes ignored."""
    if len(data) < _ARP.size:
        return None
    *kinds, operation, hardware, sender, _, target = _ARP.unpack_from(data)
    if kinds != [1, IPV4, 6, 4]:
        return None
    return Question(operation, hardware, socket.inet_ntoa(sender), socket.inet_ntoa(target))


def parse_packet(data: bytes) -> Packet | None:
    """An IPv4 packet; ``None`` for fragments and where lengths or the header's checksum are wrong."""
    if len(data) < _IPV4.size:
        return None
    version, _, total, _, fragment, _, protocol, _, source, destination = _IPV4.unpack_from(data)
    header = (version & 0x0F) * 4
    if version >> 4 != 4 or fragment & _PLACE_AND_MORE or not _IPV4.size <= header <= total <= len(data) or checksum(data[:header]):
        return None
    return Packet(socket.inet_ntoa(source), socket.inet_ntoa(destination), protocol, header == _IPV4.size, data[header:total], data[:total])


def parse_datagram(data: bytes) -> Datagram | None:
    """A UDP datagram out of an IPv4 packet. Its checksum is not looked at: no wire lies between the guest and this process."""
    if len(data) < _UDP.size:
        return None
    source, destination, length, _ = _UDP.unpack_from(data)
    if not _UDP.size <= length <= len(data):
        return None
    return Datagram(source, destination, data[_UDP.size : length])


def parse_segment(data: bytes) -> Segment | None:
    """A TCP segment out of an IPv4 packet."""
    if len(data) < _TCP.size:
        return None
    source, destination, sequence, _, offset, flags, *_ = _TCP.unpack_from(data)
    header = (offset >> 4) * 4
    if not _TCP.size <= header <= len(data):
        return None
    return Segment(source, destination, sequence, flags, len(data) - header)


def frame(destination: bytes, source: bytes, kind: int, payload: bytes) -> bytes:
    """An Ethernet frame. It is not padded: there is no wire that would need it."""
    return _ETHERNET.pack(destination, source, kind) + payload


def arp_reply(question: Question, hardware: bytes) -> bytes:
    """The frame that answers an ARP request: ``hardware`` is where its target is."""
    target, sender = socket.inet_aton(question.target), socket.inet_aton(question.sender)
    body = _ARP.pack(1, IPV4, 6, 4, ARP_REPLY, hardware, target, question.hardware, sender)
    return frame(question.hardware, hardware, ARP, body)


def packet(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    """An IPv4 packet without options."""
    ends = socket.inet_aton(source), socket.inet_aton(destination)
    fields = (0x45, 0, _IPV4.size + len(payload), 0, 0x4000, _TTL, protocol)
    total = checksum(_IPV4.pack(*fields, 0, *ends))
    return _IPV4.pack(*fields, total, *ends) + payload


def datagram(source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
    """An IPv4 packet with a UDP datagram in it."""
    length = _UDP.size + len(payload)
    head = _UDP.pack(source[1], destination[1], length, 0)
    total = checksum(_pseudo(source[0], destination[0], UDP, length) + head + payload) or 0xFFFF  # 0 says that there is none
    return packet(source[0], destination[0], UDP, head[:6] + total.to_bytes(2, "big") + payload)


def reset(to: Packet, segment: Segment) -> bytes:
    """The IPv4 packet by which a port refuses a connection (RFC 9293, 3.5.2)."""
    expected = (segment.sequence + 1 + segment.length) & 0xFFFFFFFF
    fields = (segment.destination, segment.source, 0, expected, 5 << 4, RST | ACK, 0)
    total = checksum(_pseudo(to.destination, to.source, TCP, _TCP.size) + _TCP.pack(*fields, 0, 0))
    return packet(to.destination, to.source, TCP, _TCP.pack(*fields, total, 0))


def unreachable(to: Packet) -> bytes:
    """The IPv4 packet by which a port says that nobody listens to datagrams (RFC 792): with the header and 8 bytes of what came."""
    quoted = to.raw[: len(to.raw) - len(to.payload) + 8]
    head = _PORT_UNREACHABLE + bytes(2 + 4)
    total = checksum(head + quoted).to_bytes(2, "big")
    return packet(to.destination, to.source, ICMP, _PORT_UNREACHABLE + total + bytes(4) + quoted)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071); 0 over bytes that hold their own right one."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _pseudo(source: str, destination: str, protocol: int, length: int) -> bytes:
    return socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!BBH", 0, protocol, length)
