"""What sshd makes of its configuration, also by sshd itself."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.unit.memory import guest
from vhdprep.errors import Unreadable
from vhdprep.guest import ssh

SSHD = shutil.which("sshd", path="/usr/sbin") or shutil.which("sshd")


def test_sshd_takes_the_first_value_and_expands_include_in_place():
    files = {
        "/etc/ssh/sshd_config": "Include sshd_config.d/*.conf\nClientAliveInterval=3m\nPermitRootLogin no\nMatch User x\nX11Forwarding yes\nMatch all\nPort 22\n",
        "/etc/ssh/sshd_config.d/10-a.conf": 'clientaliveinterval "120"\nMatch User y\nPort 99\n',
        "/etc/ssh/sshd_config.d/20-b.conf": "ClientAliveInterval 60\n",
    }
    found = ssh.options(guest(files))
    assert found["clientaliveinterval"] == ("120", "/etc/ssh/sshd_config.d/10-a.conf:1")
    assert found["permitrootlogin"][0] == "no"
    assert "x11forwarding" not in found
    assert found["port"] == ("22", "/etc/ssh/sshd_config:7")


def test_sshd_keywords_may_be_parted_by_tabs_and_equal_signs():
    found = ssh.options(guest({"/etc/ssh/sshd_config": "PermitRootLogin\tyes\nPort = 22\nSetEnv A=b\n#Banner x\nLonely\n"}))
    assert {key: value for key, (value, _) in found.items()} == {"permitrootlogin": "yes", "port": "22", "setenv": "A=b", "lonely": ""}


def test_an_include_that_includes_itself_ends():
    with pytest.raises(Unreadable, match="nested"):
        ssh.options(guest({"/etc/ssh/sshd_config": "Include sshd_config\n"}))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("180", 180),
        ("3m", 180),
        ("1h30m", 5400),
        ("0", 0),
        ("", None),
        ("abc", None),
        ("1x", None),
        ("5M", 300),
        ("1d2", 86402),
        ("m", None),
        ("1 m", None),
        ("\u0663", None),
    ],
)
def test_times_of_sshd(text, seconds):
    assert ssh.seconds(text) == seconds


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("ClientAliveInterval 180 # four minutes are too many", "180"),
        ("ClientAliveInterval \t = 180", "180"),
        ('ClientAliveInterval "180"', "180"),
        ("ClientAliveInterval '180'", "180"),
        ("  CLIENTALIVEINTERVAL 180\r", "180"),
        ('"ClientAliveInterval" 180', "180"),
        ("ClientAliveInterval 180#", "180#"),
    ],
)
def test_quotes_comments_and_blanks_of_sshd(line, value):
    assert ssh.options(guest({"/etc/ssh/sshd_config": f"{line}\n"}))["clientaliveinterval"][0] == value


def test_arguments_are_split_as_sshd_splits_them():
    text = 'AuthorizedKeysFile .ssh/keys "/etc/ssh/a b/%u" c\\ d "e\\"f" # g\n'
    assert ssh.options(guest({"/etc/ssh/sshd_config": text}))["authorizedkeysfile"][0] == '.ssh/keys /etc/ssh/a b/%u c d e"f'


def test_the_packaged_file_counts_only_where_the_administrator_has_none():
    files = {
        "/usr/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\nPort 2222\n",
        "/etc/ssh/sshd_config.d/1.conf": "PermitRootLogin no\n",
    }
    assert ssh.options(guest(files)).keys() == {"permitrootlogin", "port"}
    assert ssh.options(guest({**files, "/etc/ssh/sshd_config": "X11Forwarding no\n"})).keys() == {"x11forwarding"}


CONFIGURATIONS = {
    "the first value": ("ClientAliveInterval 60\nClientAliveInterval 180\n", {}),
    "nothing set": ("#ClientAliveInterval 180\nPort 22\n", {}),
    "equals and units": ("clientaliveinterval=1m30s\nPermitRootLogin = yes\n", {}),
    "quotes and a comment": ('ClientAliveInterval "3m" # x\nPermitRootLogin "no"\n', {}),
    "a drop-in before": ("Include DIR/*.conf\nClientAliveInterval 9\n", {"b.conf": "ClientAliveInterval 2\n", "a.conf": "ClientAliveInterval 1\n"}),
    "a drop-in after": ("ClientAliveInterval 9\nInclude DIR/*.conf\n", {"a.conf": "ClientAliveInterval 1\nPermitRootLogin no\n"}),
    "a hidden drop-in": ("Include DIR/*.conf\n", {".a.conf": "ClientAliveInterval 1\n", "b.conf": "ClientAliveInterval 2\n"}),
    "two patterns": ('Include DIR/z* "DIR/a*"\n', {"a.conf": "ClientAliveInterval 1\n", "z.conf": "ClientAliveInterval 2\n"}),
    "a Match in a drop-in ends with it": ("Include DIR/*.conf\nClientAliveInterval 9\n", {"a.conf": "Match User x\nPermitRootLogin yes\n"}),
    "a Match in one drop-in and a value in the next": (
        "Include DIR/*.conf\n",
        {"a.conf": "Match User x\nX11Forwarding no\n", "b.conf": "ClientAliveInterval 7\n"},
    ),
    "inside a Match": ("Match User x\nPermitRootLogin yes\n", {}),
    "after Match all": ("Match User x\nPermitRootLogin yes\nMatch all\nPermitRootLogin no\n", {}),
    "an Include inside a Match": ("Match User x\nInclude DIR/a.conf\n", {"a.conf": "PermitRootLogin yes\n"}),
    "an Include inside a Match that itself matches all": ("Match User x\nInclude DIR/a.conf\n", {"a.conf": "Match all\nPermitRootLogin yes\n"}),
    "nested Includes": ("Include DIR/a.conf\n", {"a.conf": "Include DIR/b.conf\nClientAliveInterval 1\n", "b.conf": "ClientAliveInterval 2\n"}),
}


@pytest.mark.skipif(SSHD is None, reason="sshd is not installed (openssh-server)")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_sshd_itself_says_the_same(name, tmp_path):
    main, drop_ins = CONFIGURATIONS[name]
    texts = {f"{tmp_path}/{path}": text.replace("DIR", str(tmp_path)) for path, text in drop_ins.items()}
    for path, text in texts.items():
        (tmp_path / path).write_text(text)
    config, key = tmp_path / "sshd_config", tmp_path / "key"
    config.write_text(main.replace("DIR", str(tmp_path)))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    said = subprocess.run([SSHD, "-T", "-f", config, "-h", key], capture_output=True, text=True, check=False)
    if "rivilege separation" in said.stderr:
        pytest.skip(f"sshd cannot run here: {said.stderr.strip()}")
    theirs = dict(line.split(" ", 1) for line in said.stdout.splitlines())
    ours = ssh.options(guest({**texts, "/etc/ssh/sshd_config": config.read_text()}))
    assert str(ssh.seconds(ours.get("clientaliveinterval", ("0", ""))[0])) == theirs["clientaliveinterval"]
    assert ours.get("permitrootlogin", ("without-password", ""))[0] == theirs["permitrootlogin"]
