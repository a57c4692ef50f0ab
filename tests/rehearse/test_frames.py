from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.rehearse.guests import CARD, GATEWAY_CARD, ethernet, tcp
from vhdprep.rehearse.network import dhcp, frames, names

# A Linux guest asks who has 10.0.0.1 (as a capture shows it, padded to 60 bytes).
ARP = bytes.fromhex("ffffffffffff000d3a112233080600010800060400010 00d3a1122330a0000040000000000000a000001".replace(" ", "")) + bytes(18)
# The example header of RFC 1071's commentaries: 192.168.0.1 to 192.168.0.199, UDP, checksum b861.
HEADER = bytes.fromhex("4500007300004000401 1b861c0a80001c0a800c7".replace(" ", ""))


def test_an_arp_question_is_read_and_answered():
    frame = frames.parse_frame(ARP)
    assert frame is not None
    question = frames.parse_arp(frame.payload)
    assert question == frames.Question(1, CARD, "10.0.0.4", "10.0.0.1")
    assert frames.arp_reply(question, GATEWAY_CARD) == bytes.fromhex(
        "000d3a112233123456789abc08060001080006040002123456789abc0a000001000d3a1122330a000004"
    )


def test_the_checksum_of_a_known_header():
    assert frames.checksum(HEADER) == 0
    assert frames.checksum(HEADER[:10] + bytes(2) + HEADER[12:]) == 0xB861


def test_an_odd_byte_is_padded_with_zero():
    assert frames.checksum(b"\x12\x34\x56") == 0xFFFF ^ (0x1234 + 0x5600)


def test_a_packet_is_cut_to_its_length():
    raw = HEADER + bytes(95)
    assert frames.parse_packet(raw + b"padding") == frames.Packet("192.168.0.1", "192.168.0.199", 17, True, bytes(95), raw)


def test_options_are_skipped_and_told():
    head = bytearray(HEADER[:20] + b"\x94\x04\0\0")  # router alert, as IGMP sends it
    head[0] = 0x46
    head[2:4] = (24).to_bytes(2, "big")
    head[10:12] = bytes(2)
    head[10:12] = frames.checksum(bytes(head)).to_bytes(2, "big")
    assert frames.parse_packet(bytes(head)) == frames.Packet("192.168.0.1", "192.168.0.199", 17, False, b"", bytes(head))


def changed(at: int, value: bytes) -> bytes:
    """The header with other bytes and a right checksum."""
    head = bytearray(HEADER)
    head[at : at + len(value)] = value
    head[10:12] = bytes(2)
    head[10:12] = frames.checksum(bytes(head)).to_bytes(2, "big")
    return bytes(head) + bytes(95)


def test_packets_that_are_not_whole_are_refused():
    assert frames.parse_packet(changed(6, b"\x40\x00")) is not None
    assert frames.parse_packet(changed(6, b"\x20\x00")) is None, "more fragments follow"
    assert frames.parse_packet(changed(6, b"\x00\x10")) is None, "a later fragment"
    assert frames.parse_packet(changed(0, b"\x65")) is None, "version 6"
    assert frames.parse_packet(changed(0, b"\x44")) is None, "a header of 16 bytes"
    assert frames.parse_packet(changed(2, b"\x00\x13")) is None, "shorter than its header"
    assert frames.parse_packet(changed(2, b"\x00\x74")) is None, "longer than what came"
    assert frames.parse_packet(HEADER[:10] + b"\0\0" + HEADER[12:] + bytes(95)) is None, "checksum"


def test_frames_longer_than_azures_are_refused():
    assert frames.parse_frame(bytes(1514)) is not None
    assert frames.parse_frame(bytes(1515)) is None
    assert frames.parse_frame(bytes(13)) is None


def test_datagrams_there_and_back():
    raw = frames.datagram(("168.63.129.16", 53), ("10.0.0.4", 1024), b"abc")
    packet = frames.parse_packet(raw)
    assert raw[:10] + raw[12:26] + raw[28:] == bytes.fromhex("4500001f000040004011" + "a83f81100a000004" + "00350400000b" + "616263"), (
        "all but the checksums"
    )
    assert packet is not None
    assert frames.parse_datagram(packet.payload) == frames.Datagram(53, 1024, b"abc")
    pseudo = raw[12:20] + b"\0\x11" + raw[24:26]
    assert frames.checksum(pseudo + packet.payload) == 0
    assert frames.parse_datagram(packet.payload[:4] + b"\0\x07" + packet.payload[6:]) is None
    assert frames.parse_datagram(packet.payload[:4] + b"\0\x0c" + packet.payload[6:]) is None


def test_a_connection_is_refused_as_a_closed_port_does():
    asked = frames.parse_packet(tcp(("10.0.0.4", 40000), ("1.2.3.4", 443), frames.SYN, 0xFFFFFFFF))
    assert asked is not None
    segment = frames.parse_segment(asked.payload)
    assert segment == frames.Segment(40000, 443, 0xFFFFFFFF, frames.SYN, 0)
    refusal = frames.reset(asked, segment)
    assert refusal == tcp(("1.2.3.4", 443), ("10.0.0.4", 40000), frames.RST | frames.ACK, 0, 0)[:20] + refusal[20:]
    assert refusal[20:36].hex() == "01bb9c4000000000000000005014" + "0000", "sequence 0, acknowledged: one more than what was sent"
    assert frames.checksum(refusal[12:20] + b"\0\x06\0\x14" + refusal[20:]) == 0


def test_a_datagram_is_refused_with_its_header_and_eight_bytes():
    raw = HEADER + bytes(range(95))
    asked = frames.parse_packet(raw)
    assert asked is not None
    refusal = frames.parse_packet(frames.unreachable(asked))
    assert refusal is not None
    assert (refusal.source, refusal.destination, refusal.protocol) == ("192.168.0.199", "192.168.0.1", 1)
    assert refusal.payload[:2] + refusal.payload[4:] == b"\x03\x03" + bytes(4) + raw[:28]
    assert frames.checksum(refusal.payload) == 0


def test_only_a_first_segment_opens():
    assert [frames.Segment(1, 2, 3, flags, 0).opens for flags in (0x02, 0xC2, 0x12, 0x06, 0x10)] == [True, True, False, False, False]


@given(st.binary(max_size=200))
def test_no_bytes_raise(data):
    frames.parse_frame(data)
    frames.parse_arp(data)
    frames.parse_packet(data)
    frames.parse_datagram(data)
    frames.parse_segment(data)
    names.answer(data)
    dhcp.parse(data)


@given(st.binary(max_size=200))
def test_what_is_built_is_read(data):
    packet = frames.parse_packet(frames.packet("1.2.3.4", "10.0.0.4", 99, data))
    assert packet is not None
    assert packet.payload == data
    assert frames.parse_frame(ethernet(data)) == frames.Frame(GATEWAY_CARD, CARD, 0x0800, data)
