"""Roles of a Windows Server: how each one is found, what the table says of it, and when nobody can say."""

from __future__ import annotations

import pytest

from tests.unit.memory import image
from vhdprep.errors import Unreadable
from vhdprep.guest import roles, tables
from vhdprep.guest.roles import CACHE, SERVICES
from vhdprep.probes.windows import server_roles
from vhdprep.ruleset.load import load_rules, read_examples, rule_files
from vhdprep.ruleset.parse import Parser

PRODUCT = r"HKLM\SYSTEM\CurrentControlSet\Control\ProductOptions"
ROLES = roles.table()
COLUMNS = tables.read(roles.TABLE)["columns"]
R2, LATEST = "6.1.7601", "10.0.26100"
SIGNS = [(name, kind, sign) for name, role in ROLES.items() for kind in ("features", "services", "files") for sign in role.get(kind, ())]
LISTED = {CACHE + r"\FileAndStorage-Services": {"InstallState": 1}}
FILES = rule_files()
RULES = {rule.id: rule for rule in load_rules() if any(leaf.probe is server_roles for leaf in Parser.leaves(rule.when or rule.check))}

EXAMPLES = {name: read_examples(FILES[name])["examples"] for name in RULES}


def listed(name, state=1):
    return {rf"{CACHE}\{name}": {"InstallState": state}}


def service(name, start=2):
    return {rf"{SERVICES}\{name}": {"Start": start, "ImagePath": "x.exe"}}


def server(registry=(), version="10.0.20348", product="ServerNT", **given):
    return image(facts={"os": "windows", "version": version}, registry={PRODUCT: {"ProductType": product}, **dict(registry)}, **given)


def shown(kind, sign):
    """An image on which only this sign shows a role, and the place that it must be found at."""
    if kind == "features":
        return server(listed(sign)), rf"{CACHE}\{sign}\InstallState"
    if kind == "services":
        return server(service(sign.replace("*", "one"))), rf"{SERVICES}\{sign.replace('*', 'one')}"
    return server(files={sign: "x"}), sign


def test_the_table_says_something_of_every_role_in_known_words():
    table = tables.read(roles.TABLE)
    assert all(source.startswith("https://") for source in table["sources"])
    for role in ROLES.values():
        assert set(role) <= {"name", "cells", "changed", "features", "services", "files", "partial", "needs", "sold"}
        assert set(role.get("cells", COLUMNS)) == set(COLUMNS)
        assert "cells" in role or role["sold"] is False
        assert role["features"]
        assert all(cell in ("Yes", "No", "N/A") or cell.startswith("Yes, but not ") for cell in role.get("cells", {}).values())
        assert role.get("services") or role.get("partial")


def test_microsofts_table_has_these_21_roles_and_no_others_are_refused():
    refused = {name for name, role in ROLES.items() if role.get("cells", {}).get("2012") == "No"}
    assert sum("cells" in role for role in ROLES.values()) == 21
    assert refused == {
        "AD-Certificate", "AD-Domain-Services", "AD-Federation-Services", "ADLDS", "ADRMS", "DHCP", "Fax", "NPAS", "UpdateServices",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "sign"), SIGNS)
def test_every_sign_of_a_role_shows_it_at_its_own_place(name, kind, sign):
    guest = shown(kind, sign)
    assert roles._place(guest[0].need_guest(), ROLES[name]) == guest[1]


@pytest.mark.parametrize(("name", "kind", "sign"), SIGNS)
def test_a_rule_that_asks_for_a_role_has_an_example_of_every_way_to_find_it(name, kind, sign):
    asking = [rule for rule in RULES if _asks(RULES[rule], name)]
    wanted = {"features": rf"{CACHE}\{sign}", "services": rf"{SERVICES}\{sign.replace('*', 'instance1')}", "files": sign}[kind]
    missing = [rule for rule in asking if not any(_has(example["given"], wanted) for example in EXAMPLES[rule])]
    assert missing == []


def _asks(rule, name):
    """Whether a rule speaks about a role on a version that Azure prepares images of."""
    for leaf in Parser.leaves(rule.when or rule.check):
        params, role = dict(leaf.params), ROLES[name]
        only = params.pop("roles", (name,))
        if name in only and name not in params.get("besides", ()):
            yes = [roles._is_wanted(params["having"], role, roles.cell(role, version)) for version in (R2, "6.2.9200", LATEST)]
            if any(yes):
                return True
    return False


def _has(given, wanted):
    return wanted in given.get("registry", {}) or any(path.startswith(wanted) for path in given.get("files", {}))


@pytest.mark.parametrize(
    ("role", "version", "words"),
    [
        ("DHCP", "5.2.3790", "Yes (column of Windows Server 2008, the oldest documented)"),
        ("DHCP", "6.0.6002", "Yes (Windows Server 2008)"),
        ("DHCP", R2, "No (Windows Server 2008 R2)"),
        ("WDS", R2, "No (Windows Server 2008 R2)"),
        ("WDS", "6.2.9200", "Yes, but not if initialized (Windows Server 2012)"),
        ("WDS", "6.3.9600", "Yes, but not if initialized (column of Windows Server 2012, the newest documented)"),
        ("Fax", LATEST, "No (column of Windows Server 2012, the newest documented)"),
    ],
)
def test_a_version_takes_its_own_column_or_the_nearest_and_says_so(role, version, words):
    assert str(roles.cell(ROLES[role], version)) == words


def test_the_finding_names_the_roles_and_each_has_its_place_and_the_tables_word():
    seen = server_roles(server({**listed("Fax"), **service("DHCPServer")}), having="unsupported")
    says = "No (column of Windows Server 2012, the newest documented)"
    assert seen.value == ("DHCP Server", "Fax Server")
    assert [(part.value, part.where) for part in seen.parts] == [
        (f"DHCP Server: {says}", rf"{SERVICES}\DHCPServer"),
        (f"Fax Server: {says}", rf"{CACHE}\Fax\InstallState"),
    ]


@pytest.mark.parametrize(
    ("version", "having"), [(R2, "unsupported"), ("6.2.9200", "unsupported"), ("6.3.9600", "unsupported-formerly"), (LATEST, "unsupported-formerly")]
)
def test_a_no_for_a_role_that_was_rebuilt_since_is_kept_apart_on_later_versions(version, having):
    found = {each: server_roles(server(service("IAS"), version), having=each).value for each in ("unsupported", "unsupported-formerly")}
    assert found == {"unsupported": (), "unsupported-formerly": (), having: ("Network Policy and Access Services",)}


@pytest.mark.parametrize("version", [R2, "6.2.9200", LATEST])
@pytest.mark.parametrize("registry", [{}, LISTED], ids=["no list", "a list"])
def test_a_server_without_roles_is_decided_with_and_without_a_list(version, registry):
    for having in ("unsupported", "unsupported-formerly", "conditional"):
        assert server_roles(server(registry, version), having=having).value == ()


@pytest.mark.parametrize(
    ("registry", "found"),
    [
        (listed("DHCP", 0), ()),
        (listed("DHCP", 5), ()),
        (service("DHCPServer", 4), ()),
        ({rf"{SERVICES}\DHCPServer": {"Start": 2}}, ()),
        ({rf"{SERVICES}\DHCPServer": {"ImagePath": "x.exe"}}, ()),
        (service("dhcpserver", 3), ("DHCP Server",)),
        ({**listed("DHCP", 0), **service("DHCPServer")}, ("DHCP Server",)),
        ({**listed("DHCP", 1), **service("DHCPServer", 4)}, ("DHCP Server",)),
    ],
)
def test_the_list_or_a_service_that_would_run_shows_a_role(registry, found):
    assert server_roles(server(registry), having="unsupported").value == found


def test_files_count_only_where_the_list_does_not_name_the_role():
    left = {"/Windows/ADAM/adaminstall.exe": "x"}
    assert server_roles(server(listed("ADLDS", 0), files=left), having="unsupported").value == ()
    assert server_roles(server(LISTED, files=left), having="unsupported").value == ("Active Directory Lightweight Directory Services",)


@pytest.mark.parametrize(
    ("registry", "given", "reason"),
    [
        (service("W3SVC"), {}, "Active Directory Rights Management Services: it has no other sure sign"),
        (listed("DHCP", 2), {}, r"ServerComponentCache\DHCP\InstallState is none that is known"),
        ({}, {"version": "6.0.6002"}, "File and Storage Services: it has no other sure sign"),
        ({}, {"version": None}, "which release"),
        ({}, {"product": "odd"}, "ProductType is none that is known"),
        (listed("DHCP", 0), {"unreadable": ["HKLM\\SOFTWARE"]}, "HKLM\\SOFTWARE: cannot be read"),
        (listed("DHCP", 0), {"unreadable": [SERVICES]}, "cannot be read"),
        ({}, {"unreadable": ["/Windows/ADAM"]}, "/Windows/ADAM"),
    ],
)
def test_what_cannot_be_told_is_undecided(registry, given, reason):
    with pytest.raises(Unreadable, match=reason.replace("\\", "\\\\")):
        server_roles(server(registry, **given), having="unsupported")


def test_with_a_list_a_role_that_it_does_not_name_is_not_there():
    assert server_roles(server({**LISTED, **service("W3SVC")}), having="unsupported").value == ()


def test_where_nothing_was_found_the_evidence_names_the_table_and_the_column():
    seen = {version: server_roles(server(LISTED, version), having="unsupported").where for version in (R2, LATEST)}
    assert seen == {
        R2: "rules/data/server-roles.yaml as of 2017-05-02, column of Windows Server 2008 R2",
        LATEST: "rules/data/server-roles.yaml as of 2017-05-02, column of Windows Server 2012, the newest documented",
    }


def test_a_role_that_is_found_decides_though_another_could_not_be_looked_for():
    assert server_roles(server({**listed("Fax", 9), **listed("DHCP")}), having="unsupported").value == ("DHCP Server",)


def test_a_client_has_no_server_roles():
    seen = server_roles(server(service("Fax"), product="WinNT"), having="unsupported")
    assert (seen.value, seen.where) == ((), rf"{PRODUCT}\ProductType")


def test_more_services_than_a_windows_has_are_not_gone_through(monkeypatch):
    monkeypatch.setattr(roles, "_MAX_SERVICES", 3)
    many = {key: value for number in range(5) for key, value in service(f"s{number}").items()}
    with pytest.raises(Unreadable, match="more than 3 services"):
        server_roles(server(many), having="unsupported")
