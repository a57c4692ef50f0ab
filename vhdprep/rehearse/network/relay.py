"""The network between the guest and the platform: one switch that lets through what Azure's platform answers, and nothing else.

ARP, DHCP and names are answered here. TCP to the platform's services and the ssh probe pass to the uplink: slirp inside QEMU, or a tap
device in a network namespace of our own; both see the same frames. What is addressed elsewhere is noted and refused at once, because a
guest that waits for time-outs makes a rehearsal long.
"""

from __future__ import annotations

import ipaddress
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.rehearsal import Milestone
from vhdprep.rehearse.identity import DOMAIN, GATEWAY, GATEWAY_MAC, GUEST, METADATA, NETMASK, WIRE
from vhdprep.rehearse.network import dhcp, frames, names

if TYPE_CHECKING:
    from collections.abc import Callable

    from vhdprep.rehearse.identity import Identity
    from vhdprep.rehearse.journal import Journal
    from vhdprep.rehearse.network.frames import Frame, Packet

MAX_IDENTIFIERS = 16
"""Different client identifiers, and different host names, that are kept."""
MAX_FRESH = 32
"""New connections to the platform within a second: each is a process of ours where slirp is the uplink."""

SERVICES = frozenset({(WIRE, 80), (WIRE, 32526), (METADATA, 80)})
"""The platform's services over TCP: wire server, host plugin, instance metadata."""
SSH = 22
NAME_PORT = 53

_NETWORK = ipaddress.IPv4Network(f"{GUEST}/{NETMASK}", strict=False)
_PLATFORM = frozenset({WIRE, METADATA, GATEWAY, GUEST})
_PROTOCOLS = {frames.ICMP: "icmp", frames.TCP: "tcp", frames.UDP: "udp"}
_GROUP = 0x01
"""Of an Ethernet address's first byte: it is a group's (multicast, broadcast)."""


class Forward(NamedTuple):
    """Frames to be sent on."""

    guest: tuple[bytes, ...] = ()
    uplink: tuple[bytes, ...] = ()


NOTHING = Forward()


class Relay:
    """The switch; it holds no descriptor and does not wait."""

    def __init__(self, identity: Identity, journal: Journal, probe: str, clock: Callable[[], float] = time.monotonic) -> None:
        """A switch that nothing has passed yet.

        Args:
            identity: Whose network it is.
            journal: Where milestones and foreign addresses are noted.
            probe: The address that the ssh probe comes from: the uplink's own.
            clock: Seconds.
        """
        self._guest = frames.mac(identity.mac)
        self._gateway = frames.mac(GATEWAY_MAC)
        self._host = identity.host
        self._names = {f"{identity.host}.{DOMAIN}": GUEST}
        self._journal = journal
        self._probe = probe
        self._clock = clock
        self._fresh: deque[float] = deque(maxlen=MAX_FRESH)
        self.identifiers: list[str] = []
        """Client identifiers that the guest sent with DHCP, hexadecimal, each once."""
        self.hosts: list[str] = []
        """Host names that it sent with DHCP, each once, untrusted."""

    def from_guest(self, data: bytes) -> Forward:
        """What a frame of the guest leads to; hostile bytes lead to nothing."""
        frame = frames.parse_frame(data)
        if frame is None or frame.kind not in (frames.ARP, frames.IPV4):
            return NOTHING
        if frame.source != self._guest:
            # Azure drops these too: a machine may only speak with its own address.
            if not frame.source[0] & _GROUP:
                self._journal.try_out(f"mac {frame.source.hex(':')}")
            return NOTHING
        if frame.kind == frames.ARP:
            return self._arp(frame)
        packet = frames.parse_packet(frame.payload)
        return NOTHING if packet is None else self._packet(packet)

    def from_uplink(self, data: bytes) -> Forward:
        """What a frame of the uplink leads to: it may ask for the guest's address, speak for the services, and knock at the guest's ssh."""
        frame = frames.parse_frame(data)
        if frame is None:
            return NOTHING
        if frame.kind == frames.ARP:
            question = frames.parse_arp(frame.payload)
            if question is None or question.operation != frames.ARP_REQUEST or question.target != GUEST:
                return NOTHING
            return Forward(uplink=(frames.arp_reply(question, self._guest),))
        packet = frames.parse_packet(frame.payload) if frame.kind == frames.IPV4 else None
        segment = frames.parse_segment(packet.payload) if packet and packet.protocol == frames.TCP else None
        if packet is None or segment is None or packet.destination != GUEST:
            return NOTHING
        if (packet.source, segment.source) in SERVICES or (packet.source, segment.destination) == (self._probe, SSH):
            return Forward(guest=(frames.frame(self._guest, self._gateway, frames.IPV4, packet.raw),))
        return NOTHING

    def _arp(self, frame: Frame) -> Forward:
        """The gateway answers for the whole network and for the platform, but neither for the guest nor to probes and announcements."""
        question = frames.parse_arp(frame.payload)
        if question is None or question.operation != frames.ARP_REQUEST or question.target == question.sender:
            return NOTHING
        if question.sender == GUEST and (question.target in _PLATFORM or ipaddress.IPv4Address(question.target) in _NETWORK):
            return Forward(guest=(frames.arp_reply(question, self._gateway),))
        if _is_foreign(question.target):
            self._journal.try_out(f"arp {question.target}")  # most often a static address that the image brought along
        return NOTHING

    def _packet(self, packet: Packet) -> Forward:
        if packet.protocol == frames.UDP:
            return self._datagram(packet)
        if packet.source != GUEST:
            return NOTHING
        if packet.protocol == frames.TCP:
            return self._segment(packet)
        if _is_foreign(packet.destination):
            self._journal.try_out(f"{_PROTOCOLS.get(packet.protocol, f'ip-{packet.protocol}')} {packet.destination}")
        return NOTHING

    def _datagram(self, packet: Packet) -> Forward:
        datagram = frames.parse_datagram(packet.payload)
        if datagram is None:
            return NOTHING
        if datagram.destination == dhcp.SERVER_PORT and packet.destination in (WIRE, GATEWAY, dhcp.EVERYBODY):
            return self._dhcp(datagram.payload)
        if packet.source != GUEST:
            return NOTHING
        if (packet.destination, datagram.destination) == (WIRE, NAME_PORT):
            return self._name(datagram)
        return self._refuse(packet, datagram.destination, frames.unreachable(packet))

    def _segment(self, packet: Packet) -> Forward:
        segment = frames.parse_segment(packet.payload)
        if segment is None:
            return NOTHING
        if (packet.destination, segment.destination) in SERVICES:
            return self._service(packet, segment)
        if (packet.destination, segment.source) == (self._probe, SSH) and segment.flags & (frames.ACK | frames.RST):
            return self._up(packet)
        if segment.opens:
            return self._refuse(packet, segment.destination, frames.reset(packet, segment))
        return NOTHING

    def _service(self, packet: Packet, segment: frames.Segment) -> Forward:
        if segment.opens:
            now = self._clock()
            if len(self._fresh) == MAX_FRESH and now - self._fresh[0] < 1:
                return NOTHING  # the guest asks again when a second has passed
            self._fresh.append(now)
        return self._up(packet)

    def _up(self, packet: Packet) -> Forward:
        """To the uplink; no honest client sets options of IPv4, and slirp need not read them."""
        if not packet.plain:
            return NOTHING
        return Forward(uplink=(frames.frame(self._gateway, self._guest, frames.IPV4, packet.raw),))

    def _down(self, packet: bytes) -> Forward:
        return Forward(guest=(frames.frame(self._guest, self._gateway, frames.IPV4, packet),))

    def _refuse(self, packet: Packet, port: int, refusal: bytes) -> Forward:
        if _is_unspoken(packet.destination):
            return NOTHING
        if _is_foreign(packet.destination):
            self._journal.try_out(f"{_PROTOCOLS[packet.protocol]} {packet.destination}:{port}")
        return self._down(refusal)

    def _name(self, datagram: frames.Datagram) -> Forward:
        known = names.answer(datagram.payload, self._names)
        if known is None:
            return NOTHING
        if known.name != self._host and not f".{known.name}".endswith(f".{DOMAIN}"):
            self._journal.try_out(f"dns {known.name}")
        return self._down(frames.datagram((WIRE, NAME_PORT), (GUEST, datagram.source), known.message))

    def _dhcp(self, message: bytes) -> Forward:
        request = dhcp.parse(message)
        if request is None or request.hardware[:6] != self._guest:
            return NOTHING
        self._journal.mark(Milestone.DHCP, request.host)
        _keep(self.identifiers, request.identifier)
        _keep(self.hosts, request.host)
        if request.wanted not in ("", GUEST):
            self._journal.try_out(f"dhcp {request.wanted}")  # a lease of an earlier life
        reply = dhcp.answer(request)
        if reply is None:
            return NOTHING
        packet = frames.datagram((WIRE, dhcp.SERVER_PORT), (reply.destination, dhcp.CLIENT_PORT), reply.message)
        to = frames.BROADCAST if reply.destination == dhcp.EVERYBODY else self._guest
        return Forward(guest=(frames.frame(to, self._gateway, frames.IPV4, packet),))


def _keep(entries: list[str], entry: str) -> None:
    if entry and entry not in entries and len(entries) < MAX_IDENTIFIERS:
        entries.append(entry)


def _is_unspoken(address: str) -> bool:
    """Whether nothing can answer from there: groups, everybody, nobody. They are what every booting machine talks to."""
    known = ipaddress.IPv4Address(address)
    return known.is_multicast or known.is_reserved or known.is_unspecified or known.is_loopback or known == _NETWORK.broadcast_address


def _is_foreign(address: str) -> bool:
    """Whether it belongs to a machine outside the platform."""
    return address not in _PLATFORM and not _is_unspoken(address) and not ipaddress.IPv4Address(address).is_link_local
