from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rehearse.guests import CARD, GATEWAY_CARD, IDENTITY, ethernet, frame_from, tcp, udp, wires
from tests.rehearse.test_dhcp import DHCLIENT, NETWORKD, bootp
from tests.rehearse.test_names import GLIBC, NO_SUCH_NAME, query
from vhdprep.rehearsal import Milestone
from vhdprep.rehearse.identity import GATEWAY, GUEST, METADATA, WIRE
from vhdprep.rehearse.journal import Journal
from vhdprep.rehearse.network import dhcp, frames, pump
from vhdprep.rehearse.network.pump import Pump
from vhdprep.rehearse.network.relay import MAX_FRESH, MAX_IDENTIFIERS, NOTHING, Forward, Relay

PROBE = "168.0.0.1"
SLIRP_CARD = bytes.fromhex("5255a8000001")
EVERYBODY = b"\xff" * 6


def relay(clock=lambda: 0.0) -> tuple[Relay, Journal]:
    journal = Journal()
    return Relay(IDENTITY, journal, PROBE, clock), journal


def arp(sender: str, target: str, operation: int = 1, hardware: bytes = CARD) -> bytes:
    body = bytes.fromhex("000108000604") + operation.to_bytes(2, "big") + hardware + socket.inet_aton(sender) + bytes(6) + socket.inet_aton(target)
    return ethernet(body, 0x0806, hardware, EVERYBODY)


def down(packet: bytes, destination: bytes = CARD) -> Forward:
    return Forward(guest=(destination + GATEWAY_CARD + b"\x08\0" + packet,))


def up(packet: bytes) -> Forward:
    return Forward(uplink=(GATEWAY_CARD + CARD + b"\x08\0" + packet,))


@pytest.mark.parametrize("target", [GATEWAY, WIRE, METADATA, "10.0.0.77"])
def test_the_gateway_answers_for_its_network_and_the_platform(target):
    switch, journal = relay()
    body = bytes.fromhex("0001080006040002") + GATEWAY_CARD + socket.inet_aton(target) + CARD + socket.inet_aton(GUEST)
    assert switch.from_guest(arp(GUEST, target)) == Forward(guest=(CARD + GATEWAY_CARD + b"\x08\x06" + body,))
    assert journal.tried == {}


@pytest.mark.parametrize(
    ("frame", "tried"),
    [
        (arp("0.0.0.0", GUEST), {}),
        (arp(GUEST, GUEST), {}),
        (arp(GUEST, GATEWAY, operation=2), {}),
        (arp("192.168.7.5", "192.168.7.1"), {"arp 192.168.7.1": 1}),
        (arp("192.168.7.5", "192.168.7.5"), {}),
        (arp("0.0.0.0", "192.168.7.5"), {"arp 192.168.7.5": 1}),
    ],
    ids=["probe", "announcement", "answer", "static address", "its announcement", "its probe"],
)
def test_what_the_gateway_does_not_answer(frame, tried):
    switch, journal = relay()
    assert switch.from_guest(frame) == NOTHING
    assert journal.tried == tried


def test_the_uplink_learns_where_the_guest_is():
    switch, _ = relay()
    body = bytes.fromhex("0001080006040002") + CARD + socket.inet_aton(GUEST) + SLIRP_CARD + socket.inet_aton(PROBE)
    assert switch.from_uplink(arp(PROBE, GUEST, hardware=SLIRP_CARD)) == Forward(uplink=(SLIRP_CARD + CARD + b"\x08\x06" + body,))
    assert switch.from_uplink(arp(PROBE, "10.0.0.9", hardware=SLIRP_CARD)) == NOTHING
    assert switch.from_uplink(arp(PROBE, GUEST, operation=2, hardware=SLIRP_CARD)) == NOTHING


@pytest.mark.parametrize("service", [(WIRE, 80), (WIRE, 32526), (METADATA, 80)])
def test_the_services_are_joined_both_ways(service):
    switch, journal = relay()
    asked = tcp((GUEST, 40000), service, frames.SYN, 1)
    said = tcp(service, (GUEST, 40000), frames.SYN | frames.ACK, 2)
    assert switch.from_guest(ethernet(asked, source=CARD) + b"\0\0") == up(asked)
    assert switch.from_uplink(ethernet(said, source=SLIRP_CARD, destination=CARD)) == down(said)
    assert journal.tried == {}


def test_the_ssh_probe_is_joined_and_only_that():
    switch, journal = relay()
    knocks = tcp((PROBE, 50000), (GUEST, 22), frames.SYN, 1)
    opens = tcp((GUEST, 22), (PROBE, 50000), frames.SYN | frames.ACK, 2)
    assert switch.from_uplink(ethernet(knocks, source=SLIRP_CARD)) == down(knocks)
    assert switch.from_guest(ethernet(opens)) == up(opens)
    assert switch.from_uplink(ethernet(tcp((PROBE, 50000), (GUEST, 23), frames.SYN), source=SLIRP_CARD)) == NOTHING
    assert switch.from_uplink(ethernet(tcp((PROBE, 50000), ("10.0.0.5", 22), frames.SYN), source=SLIRP_CARD)) == NOTHING
    assert switch.from_uplink(ethernet(tcp(("1.2.3.4", 80), (GUEST, 22), frames.SYN), source=SLIRP_CARD)) == NOTHING
    assert switch.from_uplink(ethernet(udp((WIRE, 80), (GUEST, 22), b""), source=SLIRP_CARD)) == NOTHING
    own = tcp((GUEST, 22), (PROBE, 50000), frames.SYN, 2)
    assert switch.from_guest(ethernet(own)) == down(tcp((PROBE, 50000), (GUEST, 22), frames.RST | frames.ACK, 0, 3)[:20] + switch_reset(own)[20:])
    assert journal.tried == {"tcp 168.0.0.1:50000": 1}


def switch_reset(raw: bytes) -> bytes:
    packet = frames.parse_packet(raw)
    assert packet is not None
    segment = frames.parse_segment(packet.payload)
    assert segment is not None
    return frames.reset(packet, segment)


@pytest.mark.parametrize(
    ("destination", "tried"),
    [
        (("1.2.3.4", 443), {"tcp 1.2.3.4:443": 2}),
        (("10.0.0.7", 22), {"tcp 10.0.0.7:22": 2}),
        ((WIRE, 53), {}),
        ((GATEWAY, 80), {}),
        ((METADATA, 443), {}),
    ],
)
def test_connections_to_elsewhere_are_refused_at_once(destination, tried):
    switch, journal = relay()
    asked = tcp((GUEST, 40000), destination, frames.SYN, 1)
    assert switch.from_guest(ethernet(asked)) == down(switch_reset(asked))
    assert switch.from_guest(ethernet(asked)) == down(switch_reset(asked))
    assert switch.from_guest(ethernet(tcp((GUEST, 40000), destination, frames.ACK, 1))) == NOTHING
    assert journal.tried == tried


def test_datagrams_to_elsewhere_are_refused_at_once():
    switch, journal = relay()
    asked = udp((GUEST, 40000), ("8.8.8.8", 53), GLIBC)
    packet = frames.parse_packet(asked)
    assert packet is not None
    assert switch.from_guest(ethernet(asked)) == down(frames.unreachable(packet))
    assert journal.tried == {"udp 8.8.8.8:53": 1}


@pytest.mark.parametrize(
    "frame",
    [
        ethernet(bytes.fromhex("6000000000080001fe800000000000000000000000000001ff02000000000000000000000000000285000000000000 00".replace(" ", "")), 0x86DD),
        ethernet(udp((GUEST, 5353), ("224.0.0.251", 5353), b"mDNS")),
        ethernet(udp((GUEST, 1900), ("239.255.255.250", 1900), b"SSDP")),
        ethernet(udp((GUEST, 5355), ("224.0.0.252", 5355), b"LLMNR")),
        ethernet(udp((GUEST, 137), ("10.0.0.255", 137), b"NetBIOS")),
        ethernet(udp((GUEST, 137), ("255.255.255.255", 137), b"NetBIOS")),
        ethernet(frames.packet(GUEST, "224.0.0.22", 2, b"IGMP")),
        ethernet(frames.packet(GUEST, GATEWAY, 1, b"\x08\0ping")),
        ethernet(frames.packet(GUEST, WIRE, 1, b"\x08\0ping")),
        ethernet(b"LLDP", 0x88CC, destination=bytes.fromhex("0180c200000e")),
        ethernet(tcp((GUEST, 1), ("1.2.3.4", 2), frames.SYN)[:30]),
        ethernet(tcp(("192.168.7.5", 1), (WIRE, 80), frames.SYN)),
        ethernet(tcp((GUEST, 1), (WIRE, 80), frames.SYN), source=b"\xff" * 6),
        b"",
    ],
    ids=["router solicitation", "mDNS", "SSDP", "LLMNR", "NetBIOS", "broadcast", "IGMP", "ping gateway", "ping wire", "LLDP", "cut", "other source", "group", "empty"],
)  # fmt: skip
def test_noise_of_a_booting_guest_leads_to_nothing(frame):
    switch, journal = relay()
    assert switch.from_guest(frame) == NOTHING
    assert journal.tried == {}


def test_other_protocols_and_other_cards_are_noted():
    switch, journal = relay()
    assert switch.from_guest(ethernet(frames.packet(GUEST, "8.8.8.8", 1, b"\x08\0ping"))) == NOTHING
    assert switch.from_guest(ethernet(frames.packet(GUEST, "1.2.3.4", 47, b""))) == NOTHING
    assert switch.from_guest(ethernet(tcp((GUEST, 1), (WIRE, 80), frames.SYN), source=bytes.fromhex("525400123456"))) == NOTHING
    assert journal.tried == {"icmp 8.8.8.8": 1, "ip-47 1.2.3.4": 1, "mac 52:54:00:12:34:56": 1}


def test_options_of_ipv4_do_not_reach_the_uplink():
    switch, _ = relay()
    head = bytearray(tcp((GUEST, 1), (WIRE, 80), frames.SYN)[:20] + b"\x01\x01\x01\0")
    head[0], head[2:4], head[10:12] = 0x46, (44).to_bytes(2, "big"), bytes(2)
    head[10:12] = frames.checksum(bytes(head)).to_bytes(2, "big")
    raw = bytes(head) + tcp((GUEST, 1), (WIRE, 80), frames.SYN)[20:]
    assert frames.parse_packet(raw) is not None
    assert switch.from_guest(ethernet(raw)) == NOTHING


def test_new_connections_are_bounded_by_time():
    now = [5.0]
    switch, _ = relay(lambda: now[0])
    knock = ethernet(tcp((GUEST, 1), (WIRE, 80), frames.SYN))
    assert [bool(switch.from_guest(knock).uplink) for _ in range(MAX_FRESH + 1)] == [True] * MAX_FRESH + [False]
    now[0] = 6.0
    assert switch.from_guest(knock).uplink


def test_dhcp_is_answered_noted_and_remembered():
    switch, journal = relay()
    request = dhcp.parse(DHCLIENT)
    assert request is not None
    answer = dhcp.answer(request)
    assert answer is not None
    asked = udp(("0.0.0.0", 68), ("255.255.255.255", 67), DHCLIENT)
    assert switch.from_guest(ethernet(asked, destination=EVERYBODY)) == down(frames.datagram((WIRE, 67), (GUEST, 68), answer.message))
    assert switch.from_guest(ethernet(udp(("0.0.0.0", 68), ("255.255.255.255", 67), NETWORKD))) != NOTHING
    assert switch.from_guest(ethernet(udp((GUEST, 68), (WIRE, 67), NETWORKD))) != NOTHING
    assert journal.reached[Milestone.DHCP].text == "rehearsal-1"
    assert journal.tried == {"dhcp 172.16.0.7": 1}
    assert switch.identifiers == ["ff5a1b2c3d00020000ab110123456789abcdef"]
    assert switch.hosts == ["rehearsal-1"]


def test_a_client_that_hears_only_broadcasts_gets_one():
    switch, _ = relay()
    (frame,) = switch.from_guest(ethernet(udp(("0.0.0.0", 68), ("255.255.255.255", 67), bootp("350101ff", flags="8000")))).guest
    packet = frames.parse_packet(frame[14:])
    assert packet is not None
    assert (frame[:6], packet.destination) == (EVERYBODY, "255.255.255.255")


def test_identifiers_are_bounded():
    switch, _ = relay()
    for at in range(2 * MAX_IDENTIFIERS):
        switch.from_guest(ethernet(udp(("0.0.0.0", 68), ("255.255.255.255", 67), bootp(f"3501013d0200{at:02x}ff"))))
    assert len(switch.identifiers) == MAX_IDENTIFIERS


def test_a_request_for_another_card_is_not_answered():
    switch, journal = relay()
    other = bootp("350101ff").replace(CARD, bytes.fromhex("525400123456"))
    assert switch.from_guest(ethernet(udp(("0.0.0.0", 68), ("255.255.255.255", 67), other))) == NOTHING
    assert journal.reached == {}


def test_names_are_noted_and_unknown():
    switch, journal = relay()
    asked = udp((GUEST, 40000), (WIRE, 53), GLIBC)
    assert switch.from_guest(ethernet(asked)) == down(frames.datagram((WIRE, 53), (GUEST, 40000), NO_SUCH_NAME))
    own = b"".join(bytes([len(label)]) + label for label in b"x.rehearsal.internal.cloudapp.net".split(b".")) + b"\0"
    assert switch.from_guest(ethernet(udp((GUEST, 40000), (WIRE, 53), query(own)))) != NOTHING
    assert switch.from_guest(ethernet(udp((GUEST, 40000), (WIRE, 53), b"?"))) == NOTHING
    assert journal.tried == {"dns archive.ubuntu.com": 1}


ADDRESSES = st.sampled_from([GUEST, WIRE, METADATA, GATEWAY, "8.8.8.8", "255.255.255.255", "0.0.0.0"])


@given(st.binary(max_size=100), ADDRESSES, ADDRESSES, st.sampled_from([1, 6, 17, 47]), st.binary(max_size=1500))
def test_no_frame_raises(raw, source, destination, protocol, payload):
    switch, _ = relay()
    for frame in (raw, ethernet(raw), ethernet(raw, 0x0806), ethernet(frames.packet(source, destination, protocol, payload))):
        switch.from_guest(frame)
        switch.from_uplink(frame)


def test_the_pump_moves_frames_both_ways_and_survives_lost_ends():
    async def move():
        with wires() as (guest, card), wires() as (far, uplink):
            moving = Pump(relay()[0], card.fileno(), uplink.fileno())
            moving.start()
            guest.send(b"")
            guest.send(bytes(9000))
            asked = tcp((GUEST, 1), (WIRE, 80), frames.SYN)
            guest.send(ethernet(asked))
            up_there = await frame_from(far)
            far.send(ethernet(tcp((WIRE, 80), (GUEST, 1), frames.SYN | frames.ACK), source=SLIRP_CARD))
            down_there = await frame_from(guest)
            far.close()
            guest.send(ethernet(asked))
            guest.send(arp(GUEST, GATEWAY))
            answer = await frame_from(guest)
            guest.close()
            await asyncio.sleep(0.01)
            moving.stop()
            moving.stop()
            return up_there[14:] == asked, down_there[:12], answer[:14]

    assert asyncio.run(move()) == (True, CARD + GATEWAY_CARD, CARD + GATEWAY_CARD + b"\x08\x06")


def test_a_guest_that_does_not_listen_loses_frames_and_hears_the_rest_in_order():
    async def move():
        with wires() as (guest, card), wires() as (far, uplink):
            moving = Pump(relay()[0], card.fileno(), uplink.fileno())
            moving.start()
            sent = 0
            for sequence in range(2000):
                try:
                    far.send(ethernet(tcp((WIRE, 80), (GUEST, 1), frames.ACK, sequence), source=SLIRP_CARD))
                except BlockingIOError:
                    await asyncio.sleep(0)
                    continue
                sent += 1
            await asyncio.sleep(0.01)
            heard = []
            while True:
                try:
                    heard.append(int.from_bytes((await frame_from(guest, 0.2))[38:42], "big"))
                except TimeoutError:
                    break
            moving.stop()
            return sent, heard

    sent, heard = asyncio.run(move())
    with wires() as (_, card):
        fits = 0
        with suppress(BlockingIOError):
            while card.send(bytes(54)):
                fits += 1
    assert heard == sorted(heard)
    assert len(heard) == fits + pump.MAX_WAITING < sent
