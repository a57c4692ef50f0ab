"""Who gets at a Windows and how: proxy, adapters, rights to sign in, local accounts."""

import struct
from time import process_time

import pytest

from fixtures.hive import _encode
from vhdprep.errors import Unreadable
from vhdprep.guest import localaccounts, logonrights
from vhdprep.guest.formats import winhttp
from vhdprep.guest.formats.winhttp import Settings
from vhdprep.guest.localaccounts import LocalAccount
from vhdprep.model import ABSENT, Observation
from vhdprep.probes.windowsaccess import firewall_traffic, local_accounts, logon_rights, network_adapters, web_proxy
from vhdprep.ruleset.selftest import build_image

CONNECTIONS = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\Connections"
TCPIP = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"
CARDS = r"HKLM\SYSTEM\CurrentControlSet\Control\Network\{4D36E972-E325-11CE-BFC1-08002BE10318}"
RIGHTS = r"HKLM\SECURITY\Policy\Accounts"
USERS = r"HKLM\SAM\SAM\Domains\Account\Users"
AZURE = "168.63.129.16"


def image(registry):
    return build_image({"registry": registry})


def proxy(flags, *texts):
    return struct.pack("<III", 0x28, 0, flags) + b"".join(struct.pack("<I", len(each)) + each for each in texts)


def account(rid, flags, name, password=56):
    return {"F": _encode({"rid": rid, "flags": flags})[1].hex(), "V": _encode({"account": name, "password": password})[1].hex()}


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (bytes.fromhex("1800000000000000010000000000000000000000"), Settings("", (), "")),
        (proxy(1), Settings("", (), "")),
        (proxy(3, b"proxy:8080", b"<local>;168.63.*; 10.0.0.1"), Settings("proxy:8080", ("<local>", "168.63.*", "10.0.0.1"), "")),
        (proxy(1, b"left:8080", b""), Settings("", (), "")),
        (proxy(5, b"", b"", b"http://site/proxy.pac"), Settings("", (), "http://site/proxy.pac")),
        (proxy(3, b"http=http://me:hunter2@proxy:80;https=me:hunter2@proxy:81", b""), Settings("http=http://proxy:80;https=proxy:81", (), "")),
    ],
)
def test_a_proxy_is_three_numbers_and_texts_and_shows_no_password(data, wanted):
    assert winhttp.parse(data, "w") == wanted


@pytest.mark.parametrize("data", [b"", bytes(11), proxy(3, b"proxy")[:-1], struct.pack("<IIII", 40, 0, 3, 2**31)])
def test_a_proxy_that_is_cut_off_is_unreadable(data):
    with pytest.raises(Unreadable):
        winhttp.parse(data, "w")


def test_hostile_proxies_are_read_in_time():
    began = process_time()
    for text in (b":" * winhttp.MAX_TEXT, b"a" * winhttp.MAX_TEXT, b"*1" * (winhttp.MAX_TEXT // 2), b"1;" * (winhttp.MAX_TEXT // 2)):
        winhttp.parse(proxy(3, text, text), "w").passes_by(AZURE)
    assert process_time() - began < 1


def test_services_go_through_the_proxy_unless_the_address_goes_around_it():
    def seen(*texts, flags=3):
        return web_proxy(image({CONNECTIONS: {"WinHttpSettings": proxy(flags, *texts).hex()}}), address=AZURE)

    where = rf"{CONNECTIONS}\WinHttpSettings"
    assert web_proxy(image({}), address=AZURE) == Observation(ABSENT, where)
    assert seen(b"proxy:8080", b"<local>") == Observation("proxy:8080", where)
    assert seen(b"proxy:8080", b"168.63.*") == Observation("bypassed", where)
    assert seen(b"", b"*", b"http://site/proxy.pac", flags=5) == Observation("http://site/proxy.pac", where)
    assert web_proxy(image({CONNECTIONS: {"WinHttpSettings": proxy(3, b"p", b"").hex()}}), address=AZURE, programs="32-bit").value is ABSENT


def test_adapters_with_addresses_by_hand_are_named_with_what_was_set():
    found = image(
        {
            TCPIP: {"NameServer": "10.9.9.9"},
            rf"{TCPIP}\Interfaces\{{1}}": {
                "EnableDHCP": 0,
                "IPAddress": ["10.0.0.5", "10.0.0.6"],
                "DefaultGateway": ["10.0.0.1"],
                "NameServer": "10.0.0.2,10.0.0.3",
            },
            rf"{TCPIP}\Interfaces\{{2}}": {"EnableDHCP": 1, "IPAddress": ["10.0.0.7"], "NameServer": "8.8.8.8", "DhcpNameServer": "8.8.8.8"},
            rf"{TCPIP}\Interfaces\{{3}}": {"EnableDHCP": 0, "IPAddress": ["192.168.100.1"], "NameServer": "1.1.1.1"},
            rf"{TCPIP}\Interfaces\{{4}}": {"EnableDHCP": 0, "IPAddress": ["0.0.0.0"], "NameServer": ""},
            rf"{CARDS}\{{1}}\Connection": {"Name": "LAN", "PnPInstanceId": r"PCI\VEN_8086"},
            rf"{CARDS}\{{3}}\Connection": {"Name": "Loopback", "PnPInstanceId": r"ROOT\NET\0000"},
        }
    )
    assert network_adapters(found, having="static-address").parts == (
        Observation("10.0.0.5, 10.0.0.6, gateway 10.0.0.1 (LAN)", rf"{TCPIP}\Interfaces\{{1}}\EnableDHCP"),
    )
    assert network_adapters(found, having="static-name-server").parts == (
        Observation("10.0.0.2, 10.0.0.3 (LAN)", rf"{TCPIP}\Interfaces\{{1}}\NameServer"),
        Observation("10.9.9.9", rf"{TCPIP}\NameServer"),
    )


def test_each_right_to_sign_in_is_a_bit_of_its_own():
    found = image(
        {
            rf"{RIGHTS}\S-1-5-32-544\ActSysAc": {"(default)": "07040000"},
            rf"{RIGHTS}\S-1-1-0\ActSysAc": {"(default)": "80000000"},
            rf"{RIGHTS}\S-1-5-32-545\Privilgs": {"(default)": "01000000"},
        }
    )
    held = {
        right: [each.where.split("\\")[4] for each in logon_rights(found, right=right, accounts=("S-1-5-32-544", "s-1-1-0")).parts]
        for right in logonrights.RIGHTS
    }
    admins, everyone = ["S-1-5-32-544"], ["S-1-1-0"]
    assert held == {
        "interactive": admins,
        "network": admins,
        "remote-interactive": admins,
        "deny-interactive": [],
        "deny-network": everyone,
        "deny-remote-interactive": [],
    }
    denied = logon_rights(found, right="deny-network", accounts=("S-1-1-0",))
    assert denied.parts == (Observation("Everyone: deny-network (0x80)", rf"{RIGHTS}\S-1-1-0\ActSysAc"),)


@pytest.mark.parametrize(
    "registry",
    [
        {},
        {rf"{RIGHTS}\S-1-1-0\ActSysAc": {"(default)": "8000"}},
        {rf"{RIGHTS}\S-1-1-0\ActSysAc": {"(default)": "nothexas"}},
        {rf"{RIGHTS}\S-1-1-0\ActSysAc": {}},
    ],
)
def test_rights_that_are_missing_or_no_mask_are_unreadable(registry):
    with pytest.raises(Unreadable):
        logon_rights(image(registry), right="network", accounts=("S-1-1-0",))


def test_accounts_are_read_from_what_the_hives_writer_makes():
    found = image(
        {rf"{USERS}\000003E9": account(1001, 0x214, "Jürgen", 24), rf"{USERS}\000001F5": account(501, 0x215, "Guest", 0), rf"{USERS}\Names": {}}
    )
    assert localaccounts.accounts(found.need_guest()) == (
        LocalAccount(1001, "Jürgen", rf"{USERS}\000003E9", is_enabled=True, needs_password=False, has_password=False),
        LocalAccount(501, "Guest", rf"{USERS}\000001F5", is_enabled=False, needs_password=False, has_password=False),
    )


def test_enabled_accounts_are_listed_by_kind_and_by_their_password():
    found = image(
        {
            rf"{USERS}\000001F4": account(500, 0x10, "Administrator", 24),
            rf"{USERS}\000001F5": account(501, 0x214, "Guest", 0),
            rf"{USERS}\000003E8": account(1000, 0x10, "app"),
            rf"{USERS}\000003E9": account(1001, 0x14, "free"),
            rf"{USERS}\000003EA": account(1002, 0x10, "blank", 24),
            rf"{USERS}\000003EB": account(1003, 0x15, "off", 4),
        }
    )

    def names(having, which="any"):
        return [each.value for each in local_accounts(found, having=having, which=which).parts]

    assert names("enabled", "administrator") == ["Administrator (RID 500)"]
    assert names("enabled", "guest") == ["Guest (RID 501)"]
    assert names("enabled", "made") == ["app (RID 1000)", "free (RID 1001)", "blank (RID 1002)"]
    assert names("no-password", "made") == ["free (RID 1001)", "blank (RID 1002)"]
    assert len(names("enabled")) == 5


@pytest.mark.parametrize(
    "registry", [{}, {rf"{USERS}\1": {}}, {rf"{USERS}\1": {"F": "00", "V": "00"}}, {rf"{USERS}\1": account(1, 0, "x") | {"V": 7}}]
)
def test_accounts_that_are_missing_or_cut_off_are_unreadable(registry):
    with pytest.raises(Unreadable):
        local_accounts(image(registry), having="enabled")


def test_the_port_is_whatever_the_registry_says():
    rules = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"
    key, text = r"HKLM\SYSTEM\RDP", "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=33890|"

    def seen(values):
        return firewall_traffic(
            image({rules: {"a": text}, key: values}), protocol="tcp", port=3389, port_value=rf"{key}\PortNumber", profile="public"
        ).value

    assert [seen({}), seen({"PortNumber": 33890})] == ["closed", "admitted"]
    with pytest.raises(Unreadable, match="is no number"):
        seen({"PortNumber": "33890"})
