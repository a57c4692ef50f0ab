"""Who may do what by sudo, as sudo itself reads its files."""

from __future__ import annotations

import pytest

from tests.unit.memory import guest, image
from vhdprep.errors import Unreadable
from vhdprep.guest import sudo
from vhdprep.probes.guest import sudo_grants

PASSWD = "root:x:0:0::/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/bash\nbob smith:x:1001:1001::/home/bob:/bin/bash\n"
INCLUDE = "@includedir /etc/sudoers.d\n"


def found(look, sudoers, **more):
    files = {"/etc/passwd": PASSWD, "/etc/sudoers": sudoers, **{path.replace("__", "/"): text for path, text in more.items()}}
    return [f"{place.path}:{place.number}" for place in look(guest(files))]


@pytest.mark.parametrize(
    ("line", "is_unknown"),
    [
        ("ann ALL=(ALL) ALL", False),
        ("eve ALL=(ALL) NOPASSWD: ALL", True),
        ("ann, eve ALL = ALL", True),
        ("ann,root\tALL=ALL", False),
        ("bob\\ smith ALL=ALL", False),
        ('"bob smith" ALL=ALL', False),
        ("%eve ALL=ALL", False),
        ("%domain\\ users ALL=ALL", False),
        ("+eve ALL=ALL", False),
        ("ALL ALL=(ALL) ALL", False),
        ("ALL, !eve ALL=(ALL) ALL", False),
        ("#1000 ALL=ALL", False),
        ("#4711 ALL=ALL", True),
        ("#eve ALL=ALL", False),
        ("# 4711 ALL=ALL", False),
        ("eve@example.org ALL=ALL", False),
        ("EXAMPLE\\\\eve ALL=ALL", False),
        ("User_Alias PEOPLE = ann, eve", False),
        ("User_Alias OTHER = eve : PEOPLE = ann\nPEOPLE ALL=ALL", False),
        ("User_Alias OTHER = eve : PEOPLE = ann\nOTHER ALL=ALL", True),
        ("User_Alias A = B\nUser_Alias B = A\nA ALL=ALL", False),
        ("Cmnd_Alias X = /bin/eve", False),
        ("Defaults:eve !requiretty", False),
        ("ann ALL = \\\n  ALL", False),
        ("ann, \\\n  eve ALL = ALL", True),
    ],
)
def test_a_right_of_an_account_that_is_not_there(line, is_unknown):
    assert bool(found(sudo.unknown_accounts, line)) is is_unknown


@pytest.mark.parametrize(
    ("line", "is_for_everyone"),
    [
        ("ALL ALL=(ALL) ALL", True),
        ("ALL\tALL=(ALL:ALL) NOPASSWD: ALL", True),
        ("ALL ALL=ALL", True),
        ("ALL ALL=(root) /bin/ls, ALL", True),
        ("User_Alias ANY = ALL\nANY ALL=(ALL) ALL", True),
        ("#ALL ALL=(ALL) ALL", False),
        ("ALL ALL=(nobody) ALL", False),
        ("ALL ALL=(ALL) NOPASSWD: /usr/bin/id", False),
        ("ALL ALL=(root,ALL) /usr/bin/id", False),
        ("ALL ALL=(root) ls, (nobody) ALL", False),
        ("%ALL ALL=(ALL) ALL", False),
        ("ann ALL=(ALL) ALL", False),
        ("root ALL=(ALL) ALL", False),
    ],
)
def test_a_right_that_makes_everyone_root(line, is_for_everyone):
    assert bool(found(sudo.everyone, line)) is is_for_everyone


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("Defaults targetpw\n", ["/etc/sudoers:1"]),
        ("Defaults env_reset, targetpw\n", ["/etc/sudoers:1"]),
        ("Defaults rootpw\n", ["/etc/sudoers:1"]),
        ("Defaults !targetpw\n", []),
        ("Defaults targetpw\nDefaults !targetpw\n", []),
        ("Defaults !targetpw\nDefaults targetpw\n", ["/etc/sudoers:2"]),
        ("Defaults:ann targetpw\n", []),
        ("Defaults@ALL targetpw\n", ["/etc/sudoers:1"]),
        ("# Defaults targetpw\n", []),
        ('Defaults badpass_message="targetpw"\n', []),
    ],
)
def test_the_last_setting_decides_whose_password_is_asked_for(text, places):
    assert found(sudo.target_password, text) == places


def test_files_are_included_where_they_are_named_and_in_their_order():
    files = {"__etc__sudoers.d__a": "Defaults targetpw\n", "__etc__sudoers.d__b": "Defaults !targetpw\n"}
    assert found(sudo.target_password, INCLUDE, **files) == []
    assert found(sudo.target_password, INCLUDE + "Defaults targetpw\n", **files) == ["/etc/sudoers:2"]


def test_names_with_a_dot_or_a_tilde_are_not_included():
    files = {"__etc__sudoers.d__old.bak": "eve ALL=ALL\n", "__etc__sudoers.d__old~": "eve ALL=ALL\n", "__etc__sudoers.d__new": "eve ALL=ALL\n"}
    assert found(sudo.unknown_accounts, INCLUDE, **files) == ["/etc/sudoers.d/new:1"]
    assert found(sudo.unknown_accounts, "root ALL=ALL\n", **files) == []


def test_only_the_first_main_file_is_read_and_relative_includes_lie_beside_it():
    files = {"__usr__etc__sudoers": "eve ALL=ALL\n", "__etc__more": "eve ALL=ALL\n"}
    assert found(sudo.unknown_accounts, "#include more\n", **files) == ["/etc/more:1"]
    assert [place.path for place in sudo.unknown_accounts(guest({"/etc/passwd": PASSWD, "/usr/etc/sudoers": "eve ALL=ALL\n"}))] == [
        "/usr/etc/sudoers"
    ]


def test_a_place_is_that_of_the_first_of_continued_lines():
    assert found(sudo.unknown_accounts, "root ALL=ALL\neve ALL = \\\n ALL\n") == ["/etc/sudoers:2"]


def test_includes_that_turn_in_circles_are_not_followed_for_ever():
    with pytest.raises(Unreadable, match="lead too far"):
        found(sudo.everyone, "@include /etc/sudoers\n")


def test_a_thousand_files_are_read_and_no_more():
    files = {f"__etc__sudoers.d__{number}": "" for number in range(sudo.MAX_FILES)}
    with pytest.raises(Unreadable, match="lead too far"):
        found(sudo.everyone, INCLUDE, **files)


def test_the_probe_shows_the_entry_and_leaves_out_what_it_is_told_to():
    seen = image({"/etc/passwd": PASSWD, "/etc/sudoers": "eve ALL=(ALL) ALL\n" + INCLUDE, "/etc/sudoers.d/waagent": "eve ALL=(ALL) ALL\n"})
    observation = sudo_grants(seen, having="unknown-account", ignore=("/etc/sudoers.d/waagent",))
    assert [(part.value, part.where) for part in observation.parts] == [("eve ALL=(ALL) ALL", "/etc/sudoers:1")]
