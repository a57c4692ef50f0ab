"""The Windows firewall: rules by the grammar of [MS-GPFAS], decisions by the order of [MS-FASP]."""

from time import perf_counter

import pytest

from vhdprep.errors import Unreadable
from vhdprep.guest import firewall
from vhdprep.guest.firewall import Traffic, decide
from vhdprep.guest.formats import firewallrule
from vhdprep.guest.formats.firewallrule import FirewallRule, parse
from vhdprep.model import Observation
from vhdprep.ruleset.selftest import build_image

LOCAL = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy"
POLICY = r"HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall"
RDP = Traffic("in", 6, 3389, "TermService")
OPEN = "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=3389|App=%SystemRoot%\\system32\\svchost.exe|Svc=termservice|Name=x|"


def guest(registry, unreadable=()):
    return build_image({"registry": registry, "unreadable": list(unreadable)}).need_guest()


def with_rules(*rules, **profiles):
    """A guest with these rules, and values of profiles by name."""
    keys = {rf"{LOCAL}\FirewallRules": {f"r{number}": text for number, text in enumerate(rules)}}
    return guest(keys | {rf"{LOCAL}\{name}": values for name, values in profiles.items()})


def verdict(*rules, traffic=RDP, profile="public", **profiles):
    return decide(with_rules(*rules, **profiles), traffic, profile).value


def test_the_documentations_own_example_is_read_whole():
    text = (
        r"v2.10|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Public|LPort=RPC|RPort=49000|LA4=192.168.1.0/255.255.255.0"
        r"|LA4=192.168.0.0/255.255.255.0|RA4=LocalSubnet|RA6=LocalSubnet|App=c:\path\foo.exe|Name=Firewall Rule Test|Security=Authenticate"
        r"|Security2_9=An-NoEncap|"
    )
    assert parse(text) == FirewallRule(
        action="allow",
        active=True,
        direction="in",
        protocol=6,
        profiles=frozenset({"public"}),
        local_ports=(),
        remote_ports=(range(49000, 49001),),
        icmp=None,
        addresses=("LocalSubnet", "LocalSubnet"),
        program=r"c:\path\foo.exe",
        service="",
        limits=("la4=192.168.1.0/255.255.255.0", "la4=192.168.0.0/255.255.255.0", "security=Authenticate", "security2_9=An-NoEncap"),
        foreign=False,
    )


def test_ports_are_numbers_ranges_and_words_in_any_number_of_fields():
    rule = parse(
        "v2.31|Action=Block|Dir=Out|Protocol=17|LPort=67|LPort2_10=5000-5010|LPort2_20=mDNS|LPort=RPC-EPMap|RPort2_10=1-52|RPort2_10=54-65535|"
    )
    assert rule.local_ports == (range(67, 68), range(135, 136), range(5000, 5011))
    assert rule.remote_ports == (range(1, 53), range(54, 65536))
    assert (rule.active, rule.protocol, rule.profiles, rule.limits) == (False, 17, frozenset({"domain", "private", "public"}), ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3389:TCP:*:Enabled:Remote Desktop",
        "v2.31|Action=Allow|Active=TRUE|Protocol=6|LPort=3389|",
        "v2.31|Action=Permit|Active=TRUE|Dir=In|",
        "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=TCP|",
        "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=" + "6" * 5000 + "|",
        "v2.31|Action=Allow|Active=TRUE|Dir=In|LPort|",
        "v2|Action=Allow|Active=TRUE|Dir=In|",
        "v2.31|Action=Allow|Active=TRUE|Dir=In|Desc=" + "x" * firewallrule.MAX_LENGTH,
    ],
)
def test_what_the_grammar_does_not_make_is_no_rule(text):
    assert parse(text) is None


@pytest.mark.parametrize(
    ("written", "address", "holds"),
    [
        ("168.63.129.16", "168.63.129.16", True),
        ("168.63.0.0/255.255.0.0", "168.63.129.16", True),
        ("168.63.0.0/16", "168.63.129.16", True),
        ("168.63.0.1-168.63.129.15", "168.63.129.16", False),
        ("168.63.0.1-168.63.255.255", "168.63.129.16", True),
        ("LocalSubnet", "168.63.129.16", False),
        ("fe80::/64", "168.63.129.16", False),
        ("1.2.3.4-", "168.63.129.16", False),
        ("168.63.129.16/255.0.255.0", "168.63.129.16", False),
    ],
)
def test_addresses_are_single_ones_networks_and_ranges(written, address, holds):
    assert parse(f"v2.31|Action=Allow|Dir=In|RA4={written}|").has_address(address) is holds


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (OPEN, "admitted"),
        (OPEN.replace("TRUE", "FALSE"), "closed"),
        (OPEN.replace("Dir=In", "Dir=Out"), "closed"),
        (OPEN.replace("3389", "3390"), "closed"),
        (OPEN.replace("Protocol=6", "Protocol=17"), "closed"),
        (OPEN.replace("Svc=termservice", "Svc=dhcp"), "closed"),
        (OPEN.replace("svchost", "other"), "closed"),
        (OPEN.replace("Svc=termservice|", "Svc=*|"), "admitted"),
        (OPEN + "Profile=Private|", "closed"),
        (OPEN + "Profile=Private|Profile=Public|", "admitted"),
        (OPEN + "RA4=LocalSubnet|", "restricted"),
        (OPEN + "RA6=fe80::/64|", "closed"),
        (OPEN + "RA42=LocalSubnet|RA6=LocalSubnet|", "restricted"),
        (OPEN + "RPort=50000|", "restricted"),
        (OPEN + "RMauth=O:LSD:(A;;CC;;;S-1-5-84)|", "restricted"),
        (OPEN + "Security=Authenticate|", "closed"),
        (OPEN + "Security2_9=An-NoEncap|", "closed"),
        (OPEN + "RA4=0.0.0.0/0.0.0.0|", "admitted"),
        (OPEN + "SomethingNew=1|", "restricted"),
        (OPEN + "IFType=Lan|", "admitted"),
        (OPEN + "IFType=Wireless|", "closed"),
        (OPEN + "IF={11111111-2222-3333-4444-555566667777}|", "closed"),
        ("v2.0|Action=Allow|Active=TRUE|Dir=In|", "admitted"),
        ("v2.0|Action=ByPass|Active=TRUE|Dir=In|Security=Authenticate|", "closed"),
        ("v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=3389|App=System|", "admitted"),
    ],
)
def test_one_rule_decides(rule, wanted):
    assert verdict(rule) == wanted


def test_a_rule_that_blocks_wins_whatever_its_place():
    block = "v2.31|Action=Block|Active=TRUE|Dir=In|Protocol=6|LPort2_10=1-65535|"
    assert verdict(OPEN, block) == verdict(block, OPEN) == "blocked"
    assert verdict(OPEN, block + "Profile=Domain|") == "admitted"
    assert verdict(OPEN, block + "RA4=10.0.0.0/255.0.0.0|") == "restricted"
    assert verdict(OPEN, block + "RA4=0.0.0.0-255.255.255.255|") == verdict(OPEN, block + "RA4=10.0.0.1|RA4=0.0.0.0/0|") == "blocked"
    assert verdict(OPEN, block + "LUOwn=S-1-5-18|PFN=Some.App|") == "admitted"
    assert verdict(OPEN, block + r"App=c:\other.exe|") == "admitted"
    assert verdict(block) == "blocked"


def test_a_profile_that_is_off_or_shielded_asks_no_rule():
    assert verdict(PublicProfile={"EnableFirewall": 0}) == "admitted"
    assert verdict(OPEN, PublicProfile={"DoNotAllowExceptions": 1}) == "blocked"
    assert verdict(OPEN, PublicProfile={"DoNotAllowExceptions": 1, "EnableFirewall": 0}) == "admitted"
    assert verdict(PublicProfile={"DefaultInboundAction": 0}) == "admitted"
    assert verdict(StandardProfile={"EnableFirewall": 0}) == "closed"
    assert verdict(StandardProfile={"EnableFirewall": 0}, profile="private") == "admitted"


def test_a_policy_comes_first_and_may_void_the_rules_of_the_machine():
    local = {rf"{LOCAL}\FirewallRules": {"a": OPEN}, rf"{LOCAL}\PublicProfile": {"EnableFirewall": 0}}
    on = local | {rf"{POLICY}\PublicProfile": {"EnableFirewall": 1, "AllowLocalPolicyMerge": 0}}
    assert decide(guest(on), RDP, "public") == Observation("closed", rf"{POLICY}\PublicProfile\AllowLocalPolicyMerge")
    assert decide(guest(on), RDP, "private").value == "admitted"
    assert decide(guest(on | {rf"{POLICY}\FirewallRules": {"b": OPEN}}), RDP, "public").value == "admitted"
    assert decide(guest(on | {rf"{LOCAL}\Mdm\FirewallRules": {"b": OPEN}}), RDP, "public").value == "admitted"
    own = {rf"{LOCAL}\FirewallRules": {"a": OPEN}, rf"{LOCAL}\PublicProfile": {"AllowLocalPolicyMerge": 0}}
    assert decide(guest(own), RDP, "public").value == "admitted"
    old = local | {rf"{POLICY}\StandardProfile": {"EnableFirewall": 1, "DoNotAllowExceptions": 1}}
    assert [decide(guest(old), RDP, each).value for each in ("domain", "private", "public")] == ["admitted", "blocked", "blocked"]


def test_the_evidence_is_the_rule_that_decides_or_those_that_do_not_suffice():
    found = decide(with_rules(OPEN, OPEN.replace("Allow", "Block")), RDP, "public")
    text = r"v2.31|Action=Block|Active=TRUE|Dir=In|Protocol=6|LPort=3389|App=%SystemRoot%\system32\svchost.exe|Svc=termservice|"
    assert found == Observation("blocked", rf"{LOCAL}\FirewallRules\r1", (Observation(text, rf"{LOCAL}\FirewallRules\r1"),))
    closed = decide(with_rules(OPEN.replace("TRUE", "FALSE")), RDP, "public")
    assert (closed.value, closed.where, [each.where for each in closed.parts]) == (
        "closed",
        rf"{LOCAL}\FirewallRules",
        [rf"{LOCAL}\FirewallRules\r0"],
    )


def test_of_icmp_the_type_counts():
    echo = Traffic("in", 1, 8)
    assert verdict("v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=1|ICMP4=8:*|", traffic=echo) == "admitted"
    assert verdict("v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=1|ICMP4=3:4|ICMP4=8:0|", traffic=echo) == "admitted"
    assert verdict("v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=1|ICMP4=18:*|", traffic=echo) == "closed"
    assert verdict("v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=1|ICMP4=8:1|", traffic=echo) == "closed"
    assert verdict("v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=58|ICMP6=8:*|", traffic=echo) == "closed"


def test_what_goes_out_is_let_out_unless_something_blocks_it():
    agent = Traffic("out", 6, 80, "", "168.63.129.16")
    azure = "v2.31|Action=Allow|Active=TRUE|Dir=Out|RA4=168.63.129.16|RA6=fe80::1|"
    assert verdict(traffic=agent) == "admitted"
    assert verdict(traffic=agent, PublicProfile={"DefaultOutboundAction": 1}) == "closed"
    assert verdict(azure, traffic=agent, PublicProfile={"DefaultOutboundAction": 1}) == "admitted"
    assert verdict("v2.31|Action=Block|Active=TRUE|Dir=Out|Protocol=6|RPort=80|", traffic=agent) == "blocked"
    assert verdict("v2.31|Action=Block|Active=TRUE|Dir=Out|Protocol=6|RPort=80|RA4=LocalSubnet|", traffic=agent) == "admitted"


def test_a_store_that_cannot_be_read_or_has_too_many_rules_decides_nothing(monkeypatch):
    with pytest.raises(Unreadable, match="WindowsFirewall"):
        decide(guest({rf"{LOCAL}\FirewallRules": {"a": OPEN}}, [POLICY]), RDP, "public")
    monkeypatch.setattr(firewall, "MAX_RULES", 1)
    with pytest.raises(Unreadable, match="more than 1 rules"):
        verdict(OPEN, OPEN)


def test_hostile_rules_are_read_in_time():
    began = perf_counter()
    for text in ("LPort=" + "1," * 30000, "|" * 60000, "RA4=1.2.3.4|" * 5000, "=" * 60000):
        parse("v2.31|Action=Allow|Dir=In|" + text)
    assert perf_counter() - began < 1
