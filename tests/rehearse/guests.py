"""A guest that is not there: its frames, built here by hand, and a TCP client of three steps."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from contextlib import contextmanager

from vhdprep.rehearse.identity import GATEWAY_MAC, GUEST, Identity
from vhdprep.rehearse.network import frames

MAC = "00:0d:3a:11:22:33"
CARD = bytes.fromhex("000d3a112233")
GATEWAY_CARD = bytes.fromhex("123456789abc")
IDENTITY = Identity("u", "rehearsal-1", "ssh-rsa A", "m", "vm", "container", "role", MAC)

assert GATEWAY_CARD.hex(":") == GATEWAY_MAC


def ethernet(payload: bytes, kind: int = 0x0800, source: bytes = CARD, destination: bytes = GATEWAY_CARD) -> bytes:
    return destination + source + kind.to_bytes(2, "big") + payload


def tcp(
    source: tuple[str, int], destination: tuple[str, int], flags: int, sequence: int = 0, ack: int = 0, payload: bytes = b"", options: bytes = b""
) -> bytes:
    """An IPv4 packet with a TCP segment, checksums right."""
    fields = (source[1], destination[1], sequence, ack, (5 + len(options) // 4) << 4, flags, 64000)
    body = struct.pack("!HHIIBBHHH", *fields, 0, 0) + options + payload
    pseudo = socket.inet_aton(source[0]) + socket.inet_aton(destination[0]) + struct.pack("!BBH", 0, 6, len(body))
    body = body[:16] + frames.checksum(pseudo + body).to_bytes(2, "big") + body[18:]
    return frames.packet(source[0], destination[0], 6, body)


def udp(source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
    return frames.packet(source[0], destination[0], 17, struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0) + payload)


@contextmanager
def wires():
    """Two ends of a wire that carries frames."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for each in pair:
        each.setblocking(False)
    with pair[0], pair[1]:
        yield pair


async def frame_from(end: socket.socket, seconds: float = 10) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(end, 4096), seconds)


async def segment_from(end: socket.socket, port: int | None = None) -> tuple[frames.Packet, frames.Segment, int, bytes]:
    """The next TCP segment, or the next to that port: its packet, itself, what it acknowledges, what it carries."""
    while True:
        frame = frames.parse_frame(await frame_from(end))
        assert frame is not None
        packet = frames.parse_packet(frame.payload)
        if packet is None or packet.protocol != 6:
            continue
        segment = frames.parse_segment(packet.payload)
        assert segment is not None
        if port not in (None, segment.destination):
            continue
        offset = (packet.payload[12] >> 4) * 4
        return packet, segment, int.from_bytes(packet.payload[8:12], "big"), packet.payload[offset:]


async def ask(end: socket.socket, service: tuple[str, int], port: int, question: bytes) -> bytes:
    """Connect from the guest, ask, and read what is answered until the other side closes; then close."""
    own = (GUEST, port)
    end.send(ethernet(tcp(own, service, frames.SYN, 100)))
    _, segment, _, _ = await segment_from(end, port)
    assert segment.flags == frames.SYN | frames.ACK
    expected = segment.sequence + 1
    end.send(ethernet(tcp(own, service, frames.ACK, 101, expected)))
    end.send(ethernet(tcp(own, service, frames.ACK | 8, 101, expected, question)))
    answer = b""
    while True:
        packet, segment, _, payload = await segment_from(end, port)
        assert (packet.source, segment.source) == service
        if segment.sequence == expected:
            answer += payload
            expected += len(payload) + (segment.flags & frames.FIN)
            end.send(ethernet(tcp(own, service, frames.ACK, 101 + len(question), expected)))
        if segment.flags & frames.FIN:
            end.send(ethernet(tcp(own, service, frames.ACK | frames.FIN, 101 + len(question), expected)))
            return answer


async def accept(end: socket.socket, question: bytes) -> bytes:
    """Take a connection to the guest's ssh, say something, and return the first words that come."""
    packet, segment, _, _ = await segment_from(end)
    assert (packet.destination, segment.destination, segment.flags) == (GUEST, 22, frames.SYN)
    own, peer = (GUEST, 22), (packet.source, segment.source)
    end.send(ethernet(tcp(own, peer, frames.SYN | frames.ACK, 500, segment.sequence + 1)))
    end.send(ethernet(tcp(own, peer, frames.ACK | 8, 501, segment.sequence + 1, question)))
    while True:
        _, segment, _, payload = await segment_from(end)
        if payload:
            return payload


def drain(descriptor: int) -> list[bytes]:
    """Everything that waits."""
    found = []
    while True:
        try:
            found.append(os.read(descriptor, 4096))
        except BlockingIOError:
            return found
