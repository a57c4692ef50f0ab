"""The login, against a real sshd of this host, and against servers that behave as no sshd does."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import socket
import stat
import subprocess
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.rehearse.disks import opened
from vhdprep.errors import BackendUnavailable
from vhdprep.rehearse.machine import ssh

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
USER = getpass.getuser()
pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="OpenSSH is not installed; run: sudo apt-get install openssh-client")


def run(work):
    return asyncio.run(asyncio.wait_for(work, 60))


@pytest.fixture(scope="module")
def key():
    made = ssh.Key()
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(key, tmp_path_factory):
    """The address of an sshd that takes the key."""
    if SSHD is None:
        pytest.skip("sshd is not installed; run: sudo apt-get install openssh-server")
    made = os.getuid() == 0 and not Path("/run/sshd").is_dir()
    if made:
        try:
            Path("/run/sshd").mkdir(mode=0o755)
        except OSError as error:
            pytest.skip(f"sshd wants /run/sshd when root starts it, and that cannot be made: {error}")
    folder = tmp_path_factory.mktemp("sshd")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host"], check=True)
    (folder / "keys").write_text(f"{key.public}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/keys\nStrictModes no\nUsePAM no\n"
        f"PidFile none\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
    )
    log = (folder / "log").open("w")
    with subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stderr=log) as process:
        for _ in range(100):
            if process.poll() is not None:
                pytest.skip(f"sshd does not run here: {(folder / 'log').read_text()[-200:]}")
            if run(ssh.answers(("127.0.0.1", port))):
                break
            time.sleep(0.05)
        yield "127.0.0.1", port
        process.kill()
    log.close()
    if made:
        Path("/run/sshd").rmdir()


@asynccontextmanager
async def logged_in(server, key):
    found = await ssh.Session.open(server, USER, key)
    if isinstance(found, str):
        pytest.skip(f"this account cannot log in to its own host: {found}")
    try:
        yield found
    finally:
        await found.close()


async def look(server, key, commands):
    async with logged_in(server, key) as session:
        return await session.look(commands)


def children():
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_the_key_is_one_line_and_its_private_half_lies_in_memory():
    before = opened()
    made = ssh.Key()
    kind, data = made.public.split(" ")
    assert (kind, len(data) > 300) == ("ssh-rsa", True)
    assert stat.S_IMODE(Path(made.path).stat().st_mode) == 0o600
    assert str(Path(made.path).readlink()).startswith("/memfd:")
    assert "PRIVATE KEY" in Path(made.path).read_text()
    made.close()
    assert opened() == before


def test_two_keys_are_two(key):
    other = ssh.Key()
    assert other.public != key.public
    other.close()


def test_a_host_without_ssh_keygen_gets_the_command_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendUnavailable, match="no key can be made with ssh-keygen; run: sudo apt-get install openssh-client"):
        ssh.Key()


def test_a_login_and_what_is_seen(server, key):
    found = run(
        look(
            server, key, {"user": "id -un", "two lines": "echo one; echo two", "no end": "printf x", "nothing": "true", "bad": "echo bad >&2; false"}
        )
    )
    assert found == {"user": USER, "two lines": "one\ntwo", "no end": "x", "nothing": "", "bad": "bad"}


def test_nothing_is_left_of_a_session(server, key):
    before = opened(), children()
    run(look(server, key, {"user": "id -un"}))
    assert (opened(), children()) == before


def test_a_command_that_wants_input_gets_none(server, key):
    assert run(look(server, key, {"reads": "cat", "next": "echo here"})) == {"reads": "", "next": "here"}


def test_a_key_that_is_not_taken_is_told_in_the_client_s_words(server):
    before = opened(), children()
    other = ssh.Key()
    said = run(ssh.Session.open(server, USER, other))
    other.close()
    assert said == f"{USER}@127.0.0.1: Permission denied (publickey)."
    assert (opened(), children()) == before


def test_nobody_at_the_address_is_told():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    made = ssh.Key()
    said = run(ssh.Session.open(address, USER, made))
    made.close()
    assert said.endswith("Connection refused")


def test_an_answer_that_floods_ends_the_look_with_what_came_before(server, key):
    found = run(look(server, key, {"first": "echo 1", "flood": "yes | head -c 1000000", "last": "echo 3"}))
    assert found == {"first": "1"}


def test_a_line_that_never_ends_ends_the_look(server, key):
    assert run(look(server, key, {"first": "echo 1", "line": "head -c 1000000 /dev/zero | tr '\\0' x", "last": "echo 3"})) == {"first": "1"}


def test_a_command_that_hangs_is_given_up_and_its_late_answer_is_not_taken_for_another(server, key, monkeypatch):
    async def work():
        async with logged_in(server, key) as session:
            monkeypatch.setattr(ssh, "_LOOK_SECONDS", 0.5)
            first = await session.look({"quick": "echo 1", "hangs": "sleep 1; echo late", "never": "echo no"})
            monkeypatch.setattr(ssh, "_LOOK_SECONDS", 20)
            return first, await session.look({"user": "id -un"})

    assert run(work()) == ({"quick": "1"}, {"user": USER})


def test_a_stream_that_breaks_off_ends_the_look(server, key):
    assert run(look(server, key, {"first": "echo 1", "breaks": "kill -9 $PPID", "last": "echo 3"})) == {"first": "1"}


def test_words_that_look_like_ours_are_part_of_the_answer(server, key):
    found = run(look(server, key, {"forges": "echo begin-0123456789abcdef; echo end-0123456789abcdef; echo more"}))
    assert found == {"forges": "begin-0123456789abcdef\nend-0123456789abcdef\nmore"}


def test_quiescing_ends_even_where_it_is_not_allowed(server, key, monkeypatch):
    monkeypatch.setattr(ssh, "_QUIESCE", b"echo one; echo done\n")

    async def work():
        async with logged_in(server, key) as session:
            await session.quiesce()
            return await session.look({"still": "echo here"})

    assert run(work()) == {"still": "here"}


@pytest.mark.parametrize(
    "answer", [b"head -c 1000000 /dev/zero | tr '\\0' x\n", b"exit\n", b"sleep 60\n"], ids=["a line that never ends", "gone", "hangs"]
)
def test_quiescing_a_guest_that_misbehaves_ends(server, key, monkeypatch, answer):
    monkeypatch.setattr(ssh, "_QUIESCE", answer)
    monkeypatch.setattr(ssh, "_BANNER_SECONDS", 0.25)

    async def work():
        async with logged_in(server, key) as session:
            await session.quiesce()
            return True

    assert run(work())


def test_what_is_really_asked_for_is_a_sentence_of_a_shell():
    for command in (*ssh.EARLY.values(), *ssh.LATE.values(), ssh._QUIESCE.decode()):
        assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0


@asynccontextmanager
async def pretending(answer):
    """A server that answers each connection with ``answer(reader, writer)``."""

    async def serve(reader, writer):
        try:
            await answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()


@pytest.mark.parametrize(
    ("banner", "answers"),
    [(b"SSH-2.0-OpenSSH_9.2p1\r\n", True), (b"HTTP/1.1 400\r\n", False), (b"", False), (b"SSH-", True), (b"\0\xff\0\xff", False)],
)
def test_who_speaks_as_an_ssh_server_does(banner, answers):
    async def answer(_, writer):
        writer.write(banner)
        await writer.drain()

    async def work():
        async with pretending(answer) as address:
            return await ssh.answers(address)

    assert run(work()) is answers


def test_who_says_nothing_is_no_ssh_server(monkeypatch):
    monkeypatch.setattr(ssh, "_BANNER_SECONDS", 0.3)

    async def work():
        async with pretending(lambda reader, _: reader.read()) as address:
            return await ssh.answers(address)

    assert run(work()) is False


def test_a_server_that_says_ssh_and_then_nothing_is_given_up(key, monkeypatch):
    monkeypatch.setattr(ssh, "_LOGIN_SECONDS", 0.5)

    async def answer(reader, writer):
        writer.write(b"SSH-2.0-hostile\r\n")
        await reader.read()

    async def work():
        async with pretending(answer) as address:
            return await ssh.Session.open(address, USER, key)

    before = opened(), children()
    assert run(work()) == "no answer"
    assert (opened(), children()) == before


def test_a_server_that_floods_before_it_speaks_is_given_up(key, monkeypatch):
    monkeypatch.setattr(ssh, "_LOGIN_SECONDS", 2)

    async def answer(_, writer):
        while True:
            writer.write(b"x" * 65536 + b"\r\n")
            await writer.drain()

    async def work():
        async with pretending(answer) as address:
            return await ssh.Session.open(address, USER, key)

    said = run(work())
    assert isinstance(said, str)
    assert len(said) <= 300


def test_a_login_that_nobody_waits_for_any_more_leaves_no_client(key):
    async def answer(reader, writer):
        writer.write(b"SSH-2.0-hostile\r\n")
        await reader.read()

    async def work():
        async with pretending(answer) as address:
            opening = asyncio.ensure_future(ssh.Session.open(address, USER, key))
            await asyncio.sleep(0.5)
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            return opening.cancelled()

    before = opened(), children()
    assert run(work())
    assert (opened(), children()) == before


def test_nothing_of_this_host_s_own_configuration_is_used(key):
    words = ssh._words(("127.0.0.1", 2222), "anna", key)
    assert words[:3] == ["ssh", "-F", "none"]
    assert words[-2:] == ["anna@127.0.0.1", "sh"]
    assert {"ForwardAgent=no", "ClearAllForwardings=yes", "PermitLocalCommand=no", "IdentitiesOnly=yes", "ControlMaster=no"} <= set(words)
