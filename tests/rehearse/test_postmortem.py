"""What is seen in the disk afterwards: each witness found, missing, and unreadable; and JSON of a hostile guest."""

from __future__ import annotations

import base64
import json

import pytest

from tests.rehearse.talk import IDENTITY
from tests.unit.memory import guest
from vhdprep.rehearse import postmortem
from vhdprep.rehearse.postmortem import MAX_LOG, MAX_SOURCE, MAX_WORD, MAX_WORDS, Found

KEY = IDENTITY.public_key
PASSWD = "root:x:0:0::/root:/bin/bash\nrehearsal1:x:1000:1000::/home/rehearsal1:/bin/bash\n"
KEYS = "/home/rehearsal1/.ssh/authorized_keys"
DATA = f"#cloud-config\nwrite_files:\n- content: {IDENTITY.marker}\n"
RESULT = "/var/lib/cloud/data/result.json"
CLOUD_LOG, AGENT_LOG = "/var/log/cloud-init.log", "/var/log/waagent.log"


def look(files=None, **given):
    return postmortem._look(guest(files, **given), IDENTITY)


def test_a_machine_that_was_set_up():
    found = look(
        {
            "/etc/hostname": "rehearsal-1\n",
            "/etc/passwd": PASSWD,
            KEYS: f"# made by cloud-init\n{KEY} anna@laptop\n",
            "/var/lib/cloud/instances/0c28/user-data.txt": DATA,
            RESULT: json.dumps({"v1": {"datasource": "DataSourceAzure [seed=/dev/sr0]", "errors": []}}),
        }
    )
    user_data = "/var/lib/cloud/instances/0c28/user-data.txt"
    assert (found.host, found.user, found.key, found.marker) == ("rehearsal-1", True, KEYS, user_data)
    assert (found.source, found.errors, found.unread) == ("DataSourceAzure [seed=/dev/sr0]", (), ())


def test_a_machine_that_was_not_set_up():
    found = look({"/etc/hostname": "", "/etc/passwd": "root:x:0:0::/root:/bin/bash\n"})
    assert (found.host, found.user, found.key, found.marker, found.source) == ("", False, "", "", "")


def test_what_cannot_be_read_is_neither_there_nor_missing():
    found = look({"/etc/passwd": PASSWD}, unreadable=["/etc/hostname", "/home", "/var"])
    assert (found.host, found.user, found.key, found.marker) == (None, True, None, None)
    assert look({}, unreadable=["/etc/passwd"]).user is None
    assert look({}, unreadable=["/etc/passwd"]).key is None


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("rehearsal-1\n", "rehearsal-1"),
        ("# a comment\n\n rehearsal-1 \nother\n", "rehearsal-1"),
        ("", ""),
        ("rehearsal-1.example.com", "rehearsal-1.example.com"),
    ],
)
def test_the_host_name_is_the_first_line_that_is_no_comment(text, host):
    assert look({"/etc/hostname": text}).host == host


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/var/lib/cloud/instances/0c28/user-data.txt", DATA),
        ("/var/lib/waagent/CustomData", DATA),
        ("/var/lib/waagent/CustomData", base64.b64encode(DATA.encode()).decode()),
        ("/var/lib/waagent/CustomData", base64.b64encode(DATA.encode()).decode() + "\n"),
    ],
    ids=["cloud-init", "the agent, decoded", "the agent, as it came", "with a line's end"],
)
def test_custom_data_lies_where_each_provisioner_puts_it(path, content):
    assert look({path: content}).marker == path


@pytest.mark.parametrize("content", ["", "#cloud-config\n", "vhdprep-", "====", "a" * 10**6])
def test_custom_data_of_another_machine_is_none(content):
    assert look({"/var/lib/waagent/CustomData": content}).marker == ""


@pytest.mark.parametrize(
    ("configured", "path"),
    [
        (None, KEYS),
        (None, "/home/rehearsal1/.ssh/authorized_keys2"),
        ("AuthorizedKeysFile /etc/ssh/keys/%u\n", "/etc/ssh/keys/rehearsal1"),
        ("AuthorizedKeysFile %h/.keys .ssh/other\n", "/home/rehearsal1/.keys"),
        ("AuthorizedKeysFile .ssh/one .ssh/other\n", "/home/rehearsal1/.ssh/other"),
        ("AuthorizedKeysFile /etc/ssh/%%/%u\n", "/etc/ssh/%/rehearsal1"),
        ("AuthorizedKeysFile /etc/ssh/keys/%u\n", KEYS),
        ("AuthorizedKeysFile none\n", KEYS),
    ],
)
def test_the_key_is_found_where_sshd_looks_for_it_or_where_it_is_put(configured, path):
    files = {"/etc/passwd": PASSWD, path: f"{KEY}\n"}
    if configured:
        files["/etc/ssh/sshd_config"] = configured
    assert look(files).key == path


def test_a_key_of_somebody_else_is_not_the_key():
    assert look({"/etc/passwd": PASSWD, KEYS: "ssh-rsa AAAAsomething\n"}).key == ""
    assert look({"/etc/passwd": PASSWD, "/root/.ssh/authorized_keys": f"{KEY}\n"}).key == ""


def test_a_link_in_the_guest_leads_nowhere_outside_it():
    assert look({"/etc/passwd": PASSWD, KEYS: {"link": "../../../../../../etc/shadow"}, "/etc/shadow": "rehearsal1:!:1::::::\n"}).key == ""


RESULTS = {
    "22.4": (
        {"v1": {"datasource": "DataSourceAzure [seed=/dev/sr0]", "errors": ["('cc_locale', ProcessExecutionError(1))"]}},
        ("('cc_locale', ProcessExecutionError(1))",),
    ),
    "24.1, recoverable": (
        {"v1": {"datasource": "DataSourceAzure [seed=/dev/sr0]", "errors": [], "recoverable_errors": {"WARNING": ["deprecated"]}}},
        (),
    ),
    "nothing": ({"v1": {"datasource": "DataSourceAzure [seed=/dev/sr0]"}}, ()),
    "null": ({"v1": {"datasource": "DataSourceAzure [seed=/dev/sr0]", "errors": None}}, ()),
}


@pytest.mark.parametrize("version", RESULTS)
def test_what_cloud_init_says_of_itself_in_each_version(version):
    values, errors = RESULTS[version]
    found = look({RESULT: json.dumps(values)})
    assert (found.source, found.errors) == ("DataSourceAzure [seed=/dev/sr0]", errors)


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "7", '"v1"', "{", '{"v1": 7}', '{"v1": []}', '{"v1": null}', '{"v1": {"datasource": 7, "errors": {"a": 1}}}',
        '{"v1": {"datasource": {"a": []}, "errors": [7, null, [], {}]}}', "[" * 100_000, '{"v1":' * 100_000, '{"v1": {"datasource": ' + "[" * 900 + "]" * 900 + "}}",
        '{"v1": {"errors": [' + "9" * 10_000 + "]}}", "\ufeff{}", "\x00",
    ],
)  # fmt: skip
def test_hostile_json_says_nothing(text):
    found = look({RESULT: text})
    assert (found.source, found.errors) == ("", ())


def test_long_words_are_cut():
    found = look({RESULT: json.dumps({"v1": {"datasource": "d" * 10**4, "errors": ["e" * 10**4] * 100}})})
    assert (found.source, found.errors) == ("d" * MAX_SOURCE, ("e" * MAX_WORD,) * MAX_WORDS)


def test_the_last_words_of_each_log_without_those_that_only_an_emulator_causes():
    found = look(
        {
            CLOUD_LOG: "x - util.py[DEBUG]: fine\nx - azure.py[WARNING]: no DVD\nx - util.py[ERROR]: one\nx - util.py[ERROR]: one\nx - kvp.py[WARNING]: hv_kvp is missing\n",
            AGENT_LOG: "2026 INFO Daemon fine\n2026 ERROR Daemon no route\n2026 ERROR Daemon Failed to mount resource disk unable to detect disk topology\n",
        }
    )
    assert found.cloud_words == ("x - azure.py[WARNING]: no DVD", "x - util.py[ERROR]: one")
    assert found.agent_words == ("2026 ERROR Daemon no route",)


def test_of_a_long_log_the_end_is_read():
    found = look({AGENT_LOG: "old ERROR first\n" + "x" * MAX_LOG + "\n" + "".join(f"new ERROR {number}\n" for number in range(20))})
    assert found.agent_words == tuple(f"new ERROR {number}" for number in range(14, 20))


def test_a_log_that_cannot_be_read_is_told():
    assert look({}, unreadable=[AGENT_LOG]).agent_words[0].startswith("/var/log/waagent.log could not be read: ")


def test_who_provisions_is_told_and_what_cannot_be_told_costs_nothing_else():
    assert (
        "/etc/cloud/cloud-init.disabled: cloud-init is switched off by a marker"
        in look({"/usr/bin/cloud-init": "", "/etc/cloud/cloud-init.disabled": ""}).why
    )
    found = look({"/etc/hostname": "rehearsal-1"}, unreadable=["/etc/systemd", "/usr/lib/systemd", "/lib/systemd"])
    assert found.host == "rehearsal-1"


def test_what_tells_machines_apart_is_seen_too():
    assert list(look({"/etc/machine-id": "0123456789abcdef0123456789abcdef\n"}).identity) == ["/etc/machine-id"]


STALE = ("p1: its journal was not carried out",)


def test_where_a_journal_waits_only_what_was_found_is_certain():
    whole = Found(host="rehearsal-1", user=True, key=KEYS, marker="/m")
    assert postmortem._doubted(whole, IDENTITY, STALE) == whole._replace(unread=STALE)
    missed = Found(host="localhost", user=False, key="", marker="")
    assert postmortem._doubted(missed, IDENTITY, STALE) == Found(unread=STALE)
    assert postmortem._doubted(missed, IDENTITY, ()) == missed


class Untouched:
    """An overlay that nothing was written to."""

    def __call__(self, reader):
        return reader


@pytest.mark.parametrize("name", ["debian-12-generalized", "debian-12-dynamic", "debian-12-vhdx"])
def test_a_real_disk_is_looked_into_through_the_reader_that_judges(image, name):
    found = postmortem.look(image(name), (), [Untouched()], IDENTITY, {})
    assert (found.user, found.key, found.marker, found.unread) == (False, "", "", ())


def test_what_the_guest_wrote_is_what_is_seen(image):
    """The layer changes bytes of the disk: the host name that is in the image is another one then."""
    path = image("debian-12-used")

    class Renamed:
        def __init__(self, reader):
            self._reader, self.size = reader, reader.size

        def read_at(self, offset, size):
            data = self._reader.read_at(offset, size)
            return data.replace(b"builder01\n", b"rehearsal\n")

    assert postmortem.look(path, (), [Untouched()], IDENTITY, {}).host == "builder01"
    assert postmortem.look(path, (), [Renamed], IDENTITY, {}).host == "rehearsal"


def test_a_disk_without_a_system_says_so(tmp_path):
    empty = tmp_path / "empty.vhd"
    empty.write_bytes(bytes(2**20))
    (reason,) = postmortem.look(empty, (), [Untouched()], IDENTITY, {}).unread
    assert reason
