"""Secrets known by their shape: each kind is found, what only looks like one is not, and what was not looked at is told."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from fixtures import planted
from vhdprep.disk.memory import MemoryFiles
from vhdprep.errors import Unreadable
from vhdprep.guest import secretfiles
from vhdprep.guest.files import GuestFiles
from vhdprep.guest.formats import secretchecks, secretpatterns, sitenames
from vhdprep.guest.formats.masking import mask
from vhdprep.guest.formats.secretpatterns import search
from vhdprep.model import Outcome, Target
from vhdprep.probes import leaks
from vhdprep.ruleset.selftest import build_image

PASSWD = {"/etc/passwd": "root:x:0:0::/root:/bin/bash\n"}
DATADOG = "/etc/datadog-agent/datadog.yaml"


def image_of(files, **given):
    return build_image({"files": {**PASSWD, **files}, **given})


def places(image, *kinds):
    return leaks.known_secrets(image, kinds=kinds or secretpatterns.KINDS).value


@pytest.mark.parametrize("name", planted.secrets())
def test_a_secret_of_each_shape_is_found_in_its_line(name):
    text, value = planted.secrets()[name]
    found = [each for each in search(b"# first\n" + text.encode(), DATADOG) if each.kind == name.partition(":")[0]]
    assert [each.line for each in found] == [2]
    assert value.encode()[:40] in found[0].value.replace(b"\n", b"") or found[0].value in value.encode() or b"aes256" in found[0].value


@pytest.mark.parametrize("name", planted.secrets())
def test_nothing_else_is_taken_for_the_same_secret(name):
    text, _ = planted.secrets()[name]
    assert {each.kind for each in search(text.encode(), DATADOG)} == {name.partition(":")[0]}


def test_the_samples_and_the_words_of_rules_name_every_kind_of_the_table():
    assert {name.partition(":")[0] for name in planted.secrets()} == set(secretpatterns.KINDS)
    hint = get_type_hints(leaks.known_secrets.look)["kinds"]
    assert get_args(get_args(hint)[0]) == secretpatterns.KINDS


@pytest.mark.parametrize(
    "text",
    [
        "aws_access_key_id = AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AKIAAAAAAAAAAAAAAAAA",
        "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        "https://x.blob.core.windows.net/c?sig=" + "a" * 43 + "%3D&sv=1&se=2",
        "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345",
        "ghp_" + "x" * 36,
        "glpat-xxxxxxxxxxxxxxxxxxxx",
        "http://user:password@proxy:3128/ http://u:<password>@proxy/ http://u:${PASS}@proxy/ http://u:%s@h/ http://[::1]:80/a@b",
        "Server=db;User Id=u;Password={0};",
        "Password=something;",
        "Authorization: Bearer ${TOKEN} Authorization: Bearer abcdefghijklmnopqrstuvwxyz",
        '{"auths": {"r": {"auth": "bm90aGluZyB0aGVyZQ=="}}}',
        "eyJub3RoaW5n.eyJub3RoaW5n.bm90aGluZyBvZiBpdA",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "-----BEGIN CERTIFICATE-----\n" + "MIIB" * 40,
        "-----BEGIN PRIVATE KEY-----\n" + "A" * 400,
        "dapi00000000000000000000000000000000",
        "api_key: 0123456789abcdef0123456789abcdef",
    ],
)
def test_an_example_a_placeholder_or_a_word_is_no_secret(text):
    assert list(search(text.encode(), DATADOG)) == []


@pytest.mark.parametrize(
    "text",
    [
        "password: q8W7e6r5t4",
        "   MYSQL_ROOT_PASSWORD: 'q8W7e6r5t4'",
        "  - POSTGRES_PASSWORD=q8W7e6r5t4\r\n",
        "h ansible_ssh_pass=q8W7e6r5t4 x=1",
        "$db_password = 'q8W7e6r5t4';",
        "<Password>q8W7e6r5t4</Password>",
        '<add key="Password" value="q8W7e6r5t4"/>',
        '{"dbPassword":"q8W7e6r5t4"}',
        "x: {password: q8W7e6r5t4}",
        "curl --access-token q8W7e6r5t4",
        "<Arguments>-File x.ps1</Arguments><Arguments>-Password q8W7e6r5t4</Arguments>",
        "bindpw q8W7e6r5t4",
        'secret "q8W7e6r5t4";',
        "root password: q8W7e6r5t4",
    ],
)
def test_what_a_setting_calls_a_password_is_found_as_such(text):
    assert [(each.kind, each.value) for each in search(text.encode(), "")] == [("named-password", b"q8W7e6r5t4")]


@pytest.mark.parametrize(
    "text",
    [
        "# password: q8W7e6r5t4",
        "  // token = 'q8W7e6r5t4'",
        "password: $q8W7e6r5t4",
        "password: /run/secrets/q8W7e6r5t4",
        "password: https://vault.invented/q8W7e6r5t4",
        "password requisite pam_pwquality.so retry=3",
        "secret: sha256",
        "password = config.password1",
        "password = getpass(1)",
        "the password q8W7e6r5t4 is",
        '<input type="password" name="pass1" id="pass1">',
        "token=field2",
        "passwd: files systemd",
        'key "password" is &ldquo;1&rdquo;',
        'password="[enc:AesProvider:q8W7e6r5t4:enc]"',
        "compass=q8W7e6r5t4",
    ],
)
def test_what_only_stands_where_a_password_could_is_none(text):
    assert list(search(text.encode(), "")) == []


def test_a_token_in_the_place_of_a_user_name_is_found_unless_it_is_made_to_be_public():
    token = planted.draw("address", 52)
    assert [each.kind for each in search(f"url = https://{token}@dev.azure.com/a/b".encode(), "")] == ["url-password"]
    assert list(search(f"dsn = https://{token}@o1.ingest.sentry.io/1".encode(), "")) == []
    assert list(search(b"url = https://builder@dev.azure.com/a/b", "")) == []


def test_a_key_within_base64_is_one_only_if_it_is_a_clear_private_key():
    import base64

    for label, kinds in (("PRIVATE KEY", ["private-key"]), ("ENCRYPTED PRIVATE KEY", []), ("CERTIFICATE", [])):
        text = base64.b64encode(f"-----BEGIN {label}-----\n{planted.draw('b', 300)}\n".encode())
        assert [each.kind for each in search(b"tls.key: " + text, "")] == kinds


def test_check_digits_are_those_that_github_describes():
    assert secretchecks.has_check_digits(b"ghp_" + b"aB7cD8eF9gH0jK1mN2pQ3rS4tU5vW6" + b"2M5jQM")
    assert not secretchecks.has_check_digits(b"ghp_" + b"aB7cD8eF9gH0jK1mN2pQ3rS4tU5vW6" + b"2M5jQN")


def test_a_password_with_unusual_characters_is_one():
    assert [each.value for each in search(b"http://u:Pa$$w0rd%40!@h/", "")] == [b"Pa$$w0rd%40!"]


def test_keys_with_and_without_a_passphrase_are_told_apart():
    kinds = {name: next(search(text.encode(), "")).kind for name, (text, _) in planted.secrets().items() if "private-key" in name}
    assert kinds == {name: name.partition(":")[0] for name in kinds}
    assert len(kinds) == 11


def test_a_file_with_many_secrets_is_told_of_up_to_a_limit():
    many = planted.secrets()["url-password"][0] * (secretpatterns.MAX_FOUND + 5)
    assert len(list(search(many.encode(), ""))) == secretpatterns.MAX_FOUND


def test_of_a_line_with_many_secrets_none_is_shown():
    line = " ".join(f"SG.{planted.draw(f'a{number}', 22)}.{planted.draw(f'b{number}', 43)}" for number in range(secretpatterns.MAX_FOUND + 5))
    assert set(mask(line).split()) == {"***"}


def test_hostile_text_takes_no_longer_than_its_length_allows():
    import time

    started = time.process_time()
    for piece in (
        "eyJ",
        "sk-",
        "://a:",
        "A",
        "Q~",
        "-----BEGIN PRIVATE KEY-----\n",
        "glpat-",
        "password=",
        "Authorization: basic ",
        " ",
        "a:",
        "\\n",
        "AZDO",
        "password = ",
        "token q8W7e6r5t4 ",
        "LS0tLS1CRUdJT",
        "https://a",
        "secret=q8W7e6r5t4 ",
    ):
        list(search((piece * (200_000 // len(piece))).encode(), DATADOG))
    assert time.process_time() - started < 10


def test_what_belongs_to_the_system_or_to_published_packages_is_not_searched():
    key = planted.text(["private-key"])
    image = image_of(
        {f"{place}/a.key": key for place in ("/usr/share/x", "/var/lib/x", "/opt/v/lib/python3/site-packages/x", "/opt/x/share/doc", "/lib/x")}
    )
    assert places(image) == ()


def test_whatever_else_lies_in_the_root_is():
    token = planted.secrets()["vault-token"][0]
    paths = ["/data/x", "/etc/x", "/home/a/x", "/key.txt", "/opt/x", "/root/.x", "/srv/a/b/x", "/usr/local/etc/x", "/var/spool/cron/crontabs/root"]
    assert sorted(places(image_of(dict.fromkeys(paths, token)))) == [f"{path}:1" for path in sorted(paths)]


def test_a_link_is_not_followed_and_a_file_is_told_once():
    token = planted.secrets()["vault-token"][0]
    assert places(image_of({"/srv/x": token, "/etc/x": {"link": "/srv/x"}, "/opt/loop": {"link": "/opt"}})) == ("/srv/x:1",)


def test_windows_text_in_utf_16_is_read():
    token = planted.secrets()["vault-token"][0]
    data = {"hex": ("\ufeff" + token).encode("utf-16-le").hex()}
    assert places(build_image({"files": {"/Users/a/x.txt": data}, "facts": {"os": "windows"}})) == ("/Users/a/x.txt:1",)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_so_is_one_without_a_mark(encoding):
    token = planted.secrets()["vault-token"][0]
    data = {"hex": ("setting = x\r\n" + token).encode(encoding).hex()}
    assert places(build_image({"files": {"/Users/a/x.txt": data}, "facts": {"os": "windows"}})) == ("/Users/a/x.txt:2",)


def test_programs_and_databases_are_no_text():
    token = planted.secrets()["vault-token"][0].encode()
    assert places(image_of({"/opt/x": {"hex": (b"\0" + token).hex()}})) == ()


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [
        ("MAX_FILES", 5, "more than 5 files"),
        ("MAX_SIZE", 10, "bytes are too many"),
        ("MAX_TOTAL", 10, "more than 10 bytes"),
        ("MAX_DEEP", 1, "deeper than 1"),
    ],
)
def test_what_a_limit_cuts_off_leaves_it_open(monkeypatch, limit, value, said):
    monkeypatch.setattr(secretfiles, limit, value)
    with pytest.raises(Unreadable, match=said):
        places(image_of({"/etc/a/b/c/d": "some text that is not a secret"}))


def test_what_cannot_be_read_leaves_it_open_unless_a_secret_was_found_elsewhere():
    token = planted.secrets()["vault-token"][0]
    with pytest.raises(Unreadable, match="/srv"):
        places(image_of({}, unreadable=["/srv"]))
    assert places(image_of({"/etc/x": token}, unreadable=["/srv"])) == ("/etc/x:1",)
    with pytest.raises(Unreadable, match="/srv"):
        places(image_of({"/etc/x": token}, unreadable=["/srv"]), "aws-key")


def test_the_guest_is_searched_once_for_all_rules(monkeypatch):
    image, reads = image_of({"/etc/x": "text"}), []
    read = GuestFiles.read
    monkeypatch.setattr(GuestFiles, "read", lambda self, path, *more: reads.append(path) or read(self, path, *more))
    places(image, "aws-key")
    places(image, "npm-token")
    assert reads.count("/etc/x") == 1


@pytest.mark.parametrize("name", planted.secrets())
def test_no_secret_is_shown_where_a_rule_shows_the_line(name):
    text, value = planted.secrets()[name]
    if "private-key" not in name and name != "datadog-key:2":  # which only its file tells apart
        assert value not in mask(text.strip())


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("10.1.2.3 db db.firm.corp", ["10.1.2.3", "db.firm.corp"]),
        ("server 192.168.7.1 iburst", ["192.168.7.1"]),
        ("*.* @@172.16.5.4:514", ["172.16.5.4"]),
        ("nameserver fd12:3456::1", ["fd12:3456::1"]),
        ("search firm.internal", ["firm.internal"]),
        ("//files.firm.lan/d /mnt cifs guest", ["files.firm.lan"]),
        ("deb http://mirror.firm.home.arpa/debian x main", ["mirror.firm.home.arpa"]),
        ("127.0.0.1 localhost", []),
        ("168.63.129.16 8.8.8.8 172.32.0.1 169.254.169.254", []),
        ("fe00::0 ip6-localnet ff02::1", []),
        ("search x.internal.cloudapp.net reddog.microsoft.com", []),
        ("server metadata.google.internal", []),
        ("# 10.1.2.3 db.firm.corp", []),
        ("// 10.1.2.3", []),
        ("/etc/jail.local /usr/local/bin", []),
        ("version 1.10.1.2.3.4", []),
    ],
)
def test_hosts_of_a_private_network_are_told_from_others(line, named):
    assert sitenames.hosts(line) == named


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("root: builder@firm.tld", ["builder@firm.tld"]),
        ("MAILTO=a@firm.tld,b@firm.tld", ["a@firm.tld", "b@firm.tld"]),
        ("\temail = a.b+c@firm.co.tld", ["a.b+c@firm.co.tld"]),
        ("you@example.com root@localhost x@host.localdomain a@debian.org", []),
        ("url = git@github.com:a/b", []),
        ("ssh://a@firm.tld:22 http://u:p@firm.tld/", []),
        ("getty@tty1.service user@1000.service", []),
        ("# root: builder@firm.tld", []),
    ],
)
def test_addresses_of_people_are_told_from_others(line, named):
    assert sitenames.mailboxes(line) == named


def test_a_clean_guest_of_each_system_raises_nothing_for_strangers(rules):
    from vhdprep.ruleset.evaluate import judge_rule

    about = [rule for rule in rules if "leaks" in rule.tags]
    for facts in ({}, {"os": "freebsd"}, {"os": "openbsd"}, {"os": "windows"}):
        files = {**PASSWD, "/etc/master.passwd": "root:*:0:0:daemon:0:0::/root:/bin/sh\n"}
        image = build_image({"facts": facts, "files": files, "target": "community-gallery"})
        outcomes = {judge_rule(rule, image).outcome for rule in about}
        assert outcomes == {Outcome.PASS, Outcome.NOT_APPLICABLE}
    assert Target("community-gallery") is image.target
    assert MemoryFiles(files).lstat("/etc/passwd")


PIECES = [
    " ",
    "a",
    "a ",
    "a:",
    "://a:",
    "password=",
    "password ",
    "A_",
    "=",
    "auth ",
    '"a" ',
    "Environment=A ",
    "#",
    ": PSK",
    "_TOKEN",
    "10.1.2.3 ",
    "a.local",
]


def test_no_expression_of_a_rule_about_leaks_takes_the_square_of_a_line(rules):
    import re
    import time

    from vhdprep.ruleset.parse import Parser

    found = {(rule.id, str(leaf.params.get("matching", ""))) for rule in rules if "leaks" in rule.tags for leaf in Parser.leaves(rule.check)}
    slow = set()
    for rule, matching in found:
        for line in (before + piece * (16_000 // len(piece)) for before in ("", "key ", "password") for piece in PIECES):
            started = time.process_time()
            re.search(matching, line)
            if time.process_time() - started > 0.2:
                slow.add(rule)
    assert slow == set()
