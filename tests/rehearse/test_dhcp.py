from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhdprep.rehearse.network import dhcp

ZERO = "00000000"


def bootp(options: str, flags: str = "0000", current: str = ZERO, operation: str = "01", relay: str = ZERO) -> bytes:
    """A client's message as hexadecimal digits tell it: fixed part, cookie, options."""
    head = operation + "010600" + "3903f326" + "0000" + flags + current + ZERO + ZERO + relay + "000d3a112233" + "00" * 10 + "00" * 192
    return bytes.fromhex(head + "63825363" + options)


# dhclient: DISCOVER, asks for the address of its last lease (172.16.0.7), tells a host name
DHCLIENT = bootp("350101" + "3204ac100007" + "0c0b7265686561727361 6c2d31".replace(" ", "") + "370d011c02030f06770c2c2f1a792a" + "ff" + "00" * 20)
# systemd-networkd: DISCOVER with rapid commit and a client identifier made of the machine's id (RFC 4361)
NETWORKD = bootp("350101" + "5000" + "3d13ff5a1b2c3d00020000ab11" + "0123456789abcdef" + "370701032b0c0f0678" + "390205dc" + "ff")
NETWORKD_CLIENT = "3d13ff5a1b2c3d00020000ab110123456789abcdef"
# BusyBox udhcpc: SELECTING, with option 50 and the server it chose
UDHCPC = bootp("350103" + "3d0701000d3a112233" + "32040a000004" + "3604a83f8110" + "39020240" + "ff")
# dhcpcd: DISCOVER that can only hear broadcasts
DHCPCD = bootp("350101" + "3d0701000d3a112233" + "ff", flags="8000")
# NetworkManager: RENEWING, by the address that it has
RENEWING = bootp("350103" + "ff", current="0a000004")
# WALinuxAgent: nothing but the type
WALINUXAGENT = bootp("350101ff", flags="8000")

SETTINGS = "0104ffffff0003040a0000010604a83f81100f20" + b"rehearsal.internal.cloudapp.net".hex() + "00"


ROUTES = "00" + "0a000001" + "20a83f8110" + "0a000001" + "20a9fea9fe" + "0a000001"
ROUTES = "00" + "0a000001" + "20a83f8110" + "0a000001" + "20a9fea9fe" + "0a000001"
SETTINGS = (
    "0104ffffff00" + "03040a000001" + "0604a83f8110" + "0f1f" + b"rehearsal.internal.cloudapp.net".hex()
    + "7917" + ROUTES + "f504a83f8110" + "f917" + ROUTES
)  # fmt: skip
SERVER = "3604a83f8110"


def reply(kind: str, rest: str, flags: str = "0000", current: str = ZERO, yours: str = "0a000004") -> bytes:
    head = "02010600" + "3903f326" + "0000" + flags + current + yours + ZERO + ZERO + "000d3a112233" + "00" * 10 + "00" * 192
    return bytes.fromhex(head + "63825363" + "3501" + kind + SERVER + rest + "ff").ljust(300, b"\0")


LEASE = "3304ffffffff" + SETTINGS


@pytest.mark.parametrize(
    ("client", "expected", "destination"),
    [
        (DHCLIENT, reply("02", LEASE), "10.0.0.4"),
        (NETWORKD, reply("02", LEASE + NETWORKD_CLIENT), "10.0.0.4"),
        (UDHCPC, reply("05", LEASE + "3d0701000d3a112233"), "10.0.0.4"),
        (DHCPCD, reply("02", LEASE + "3d0701000d3a112233", flags="8000"), "255.255.255.255"),
        (RENEWING, reply("05", LEASE, current="0a000004"), "10.0.0.4"),
        (WALINUXAGENT, reply("02", LEASE, flags="8000"), "255.255.255.255"),
        (bootp("350108ff", current="0a000004"), reply("05", SETTINGS, current="0a000004", yours=ZERO), "10.0.0.4"),
        (bootp("3501033204ac100007ff"), reply("06", "", yours=ZERO), "255.255.255.255"),
        (bootp("350103ff", current="c0a80705"), reply("06", "", yours=ZERO), "255.255.255.255"),
        (bootp("350103ff"), reply("06", "", yours=ZERO), "255.255.255.255"),
    ],
    ids=["dhclient", "networkd", "udhcpc", "dhcpcd", "renewing", "waagent", "inform", "stale lease", "stale address", "wants nothing"],
)  # fmt: skip
def test_the_whole_answer(client, expected, destination):
    request = dhcp.parse(client)
    assert request is not None
    assert dhcp.answer(request) == dhcp.Reply(expected, destination)
    assert len(expected) >= 300


@pytest.mark.parametrize("kind", [2, 4, 5, 6, 7, 9])
def test_other_messages_are_not_answered(kind):
    request = dhcp.parse(bootp(f"3501{kind:02x}ff"))
    assert request is not None
    assert dhcp.answer(request) is None


def test_a_client_that_chose_another_server_is_left_alone():
    request = dhcp.parse(bootp("350103" + "32040a000004" + "36040a000001" + "ff"))
    assert request is not None
    assert dhcp.answer(request) is None


def test_what_the_client_tells_of_itself():
    dhclient, networkd = dhcp.parse(DHCLIENT), dhcp.parse(NETWORKD)
    assert dhclient is not None
    assert networkd is not None
    assert (dhclient.host, dhclient.wanted, dhclient.identifier) == ("rehearsal-1", "172.16.0.7", "")
    assert (networkd.host, networkd.wanted, networkd.identifier) == ("", "", NETWORKD_CLIENT[4:])


@pytest.mark.parametrize(
    "message",
    [
        bootp("350101ff", operation="02"),
        bootp("350101ff", relay="0a000001"),
        bootp("ff"),
        bootp("35020101ff"),
        bootp("350101" + "3c09" + b"PXEClient".hex() + "ff"),
        bootp("350101" + "3c0a" + b"HTTPClient".hex() + "ff"),
        bootp("350101ff")[:239],
        bootp("350101ff").replace(b"\x63\x82\x53\x63", b"\0\0\0\0"),
    ],
    ids=["an answer", "by a relay", "BOOTP", "two bytes of type", "firmware", "firmware over HTTP", "short", "no cookie"],
)
def test_what_is_no_question_of_a_system_is_not_read(message):
    assert dhcp.parse(message) is None


def test_options_that_are_cut_off_or_twice_do_not_count():
    request = dhcp.parse(bootp("000000350101" + "0c0161" + "0c0162" + "3d20aa"))
    assert request is not None
    assert request.options == {53: b"\x01", 12: b"a"}


@given(st.binary(max_size=400))
def test_no_options_raise(data):
    request = dhcp.parse(bootp("350103") + data)
    assert request is not None
    dhcp.answer(request)
    assert request.host is not None
