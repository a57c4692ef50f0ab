"""Guests that mean harm, hosts that fail, and people who interrupt: the first two are told apart, and nothing is left of any.

Without any boot: an emulator that emulates nothing stands in for the machine. Those that boot are in ``test_tiny_guests``.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from fixtures.build import build
from tests.rehearse import emulator
from vhdprep.errors import BackendUnavailable, RehearsalFailed, Unreadable
from vhdprep.rehearsal import Milestone, Outcome
from vhdprep.rehearse import machine as vm
from vhdprep.rehearse import watch
from vhdprep.rehearse.journal import Journal
from vhdprep.rehearse.machine import console, firmware, overlay, ssh
from vhdprep.rehearse.run import Wish, rehearse

HERE = Path(__file__).resolve().parents[2]
KERNEL = "say('[    0.000000] Linux version 6.1\\n')\n"
OFF = f"{KERNEL}event('SHUTDOWN', guest=True)"
QUICK = watch.Patience(total=20, ready=5, silence=10, grace=0.2, finish=1)


@pytest.fixture(scope="session")
def image():
    """A small image that a machine can be chosen for."""
    return build("debian-12-virtio")


@pytest.fixture(scope="module")
def key():
    """Making one takes a second or more."""
    key = ssh.Key()
    yield key
    key.close()


@pytest.fixture
def emulated(tmp_path, monkeypatch, image):
    """Rehearse it in an emulator that does what a script says."""

    def run(script, path=image, **wishes):
        try:
            firmware.find(uefi=True)
        except BackendUnavailable as error:
            pytest.skip(str(error))
        monkeypatch.setenv("PATH", emulator.path(emulator.install(tmp_path / "bin", script)))
        monkeypatch.setattr(firmware, "accelerated", lambda: False)  # the trial takes its time
        monkeypatch.setattr(vm, "_OFF_SECONDS", 0.3)  # nobody listens there
        return rehearse(path, Wish((), limits=QUICK, **wishes), lambda *_: None).rehearsal

    return run


class TestWhoIsToBlame:
    def test_a_guest_that_switches_itself_off_is_said_to(self, emulated):
        found = emulated(OFF)
        assert (found.outcome, found.cause) == (Outcome.NO_BOOT, "It switched itself off before it came up.")

    def test_after_a_login_prompt_it_is_one_that_never_provisions(self, emulated):
        found = emulated(f"{KERNEL}say('host login: ')\ntime.sleep(0.5)\nevent('SHUTDOWN', guest=True)")
        assert (found.outcome, found.missing) == (Outcome.NEVER, Milestone.READY)
        assert found.cause.startswith("It switched itself off before it was provisioned.")

    def test_one_that_resets_for_ever_is_stopped(self, emulated):
        found = emulated(f"{KERNEL}for _ in range(10000): event('RESET', guest=True)")
        assert (found.outcome, found.cause) == (Outcome.NO_BOOT, "It reset itself 10000 times, and never came up.")

    def test_one_that_writes_too_much_is_told_so_and_the_emulator_survives_it(self, emulated):
        found = emulated(
            f"{KERNEL}try:\n    os.pwrite(overlay, b'x', 1 << 50)\nexcept OSError as error:\n"
            "    event('BLOCK_IO_ERROR', operation='write', reason=error.strerror, nospace=False)"
        )
        assert (found.outcome, found.cause) == (Outcome.NO_BOOT, "It wrote more to a disk than a first boot may before it came up.")

    def test_a_host_without_room_is_not_the_guest_s_fault(self, emulated):
        with pytest.raises(RehearsalFailed, match=r"the host failed to keep what the guest writes \(write: No space left on device\)"):
            emulated(f"{KERNEL}event('BLOCK_IO_ERROR', operation='write', reason='No space left on device', nospace=True)")

    def test_nor_is_an_emulator_that_dies(self, emulated):
        with pytest.raises(RehearsalFailed, match="the emulator ended by itself: it broke"):
            emulated(f"{KERNEL}say('host login: ')\ntime.sleep(1)\nsys.stderr.write('it broke')\nsys.stderr.flush()\nos.abort()")

    def test_nor_is_one_that_dies_in_the_moment_of_being_greeted(self, emulated):
        with pytest.raises(RehearsalFailed, match=r"the emulator (does not start|ended by itself): it broke"):
            emulated("sys.stderr.write('it broke')\nsys.stderr.flush()\nos.abort()")

    def test_nor_is_an_image_that_vanishes_while_it_runs(self, emulated, image, tmp_path):
        copy = tmp_path / "image.vhd"
        subprocess.run(["cp", "--sparse=always", image, copy], check=True)
        read = "struct.pack('>IHHQQI', 0x25609513, 0, 0, 7, 8 << 20, 512)"
        script = (
            f"{KERNEL}import struct\ndisk.recv(18)\ndisk.sendall(struct.pack('>I8sII', 3, b'IHAVEOPT', 1, 0))\ndisk.recv(10)\n"
            f"os.truncate({str(copy)!r}, 4096)\ndisk.sendall({read})\nevent('BLOCK_IO_ERROR', operation='read', reason='Input/output error')"
        )
        found = emulated(script, copy)
        assert found.outcome is Outcome.IMPOSSIBLE
        assert found.cause.startswith("A part of the image could not be read while it ran, so what it did proves nothing: ")


class TestWhatTheEmulatorIsGiven:
    def test_it_learns_nothing_of_the_user(self, emulated, tmp_path, monkeypatch):
        monkeypatch.setenv("AZURE_CLIENT_SECRET", "hunter2")
        told = tmp_path / "told"
        emulated(f"open({str(told)!r}, 'w').write(repr((sorted(os.environ), os.getcwd())))\n{OFF}")
        assert told.read_text() == repr((["LC_ALL", "PATH"], "/"))

    def test_it_holds_the_descriptors_that_it_needs_and_none_of_the_image(self, emulated, tmp_path):
        told = tmp_path / "told"
        look = "[re.sub('[0-9]+', 'N', os.readlink('/proc/self/fd/' + each)) for each in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + each)]"
        emulated(f"found = {look}\nopen({str(told)!r}, 'w').write('\\n'.join(found))\n{OFF}")
        held = told.read_text().splitlines()
        assert {each for each in held if each.startswith("/") and "(deleted)" not in each} <= {"/dev/null"}
        assert not [each for each in held if "key" in each]

    def test_it_leaves_no_core_and_no_endless_file(self, emulated, tmp_path):
        told = tmp_path / "told"
        emulated(f"import resource as r\nopen({str(told)!r}, 'w').write(repr((r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_FSIZE)[0])))\n{OFF}")
        core, most = eval(told.read_text())
        assert core == (0, 0)
        assert overlay.MIN_ROOM <= most <= overlay.MAX_OVERLAY

    def test_a_program_on_the_leash_dies_with_whoever_started_it(self, tmp_path):
        starter = (
            "import subprocess, sys, time; from vhdprep.rehearse.machine import leash\n"
            "print(subprocess.Popen(['sleep', '100'], preexec_fn=leash.leash()).pid, flush=True); time.sleep(100)"
        )
        with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, cwd=HERE) as parent:
            child = int(parent.stdout.readline())
            parent.kill()
        assert _gone(child)


class TestInterrupted:
    """Whatever ends us, no process and no file remains; Ctrl-C ends with its own exit code and without a traceback."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
    def test_while_the_machine_runs(self, image, tmp_path, number):
        try:
            firmware.find(uefi=True)
        except BackendUnavailable as error:
            pytest.skip(str(error))
        told, folder = tmp_path / "told", tmp_path / "tmp"
        folder.mkdir()
        script = f"{KERNEL}open({str(told)!r} + '.new', 'w').write(str(os.getpid()))\nos.rename({str(told)!r} + '.new', {str(told)!r})"
        environment = {**os.environ, "PATH": emulator.path(emulator.install(tmp_path / "bin", script)), "TMPDIR": str(folder)}
        words = [sys.executable, "-m", "vhdprep", "rehearse", str(image)]
        with subprocess.Popen(words, env=environment, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert _soon(told.exists, 60)
            process.send_signal(number)
            out, complaint = process.communicate(timeout=60)
        assert (process.returncode, out, complaint) == (130 if number == signal.SIGINT else -number, b"", b"")
        assert _gone(int(told.read_text()))
        assert list(folder.iterdir()) == []

    def test_the_private_key_never_lies_on_a_disk(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        key = ssh.Key()
        assert key.public.startswith("ssh-rsa AAAA")
        assert str(Path(key.path).readlink()) == "/memfd:key (deleted)"
        assert list(tmp_path.iterdir()) == []
        key.close()

    def test_where_no_key_can_be_made_the_program_s_own_words_are_told(self, tmp_path, monkeypatch):
        (tmp_path / "ssh-keygen").write_text("#!/bin/sh\necho No user exists for uid 54321 >&2; exit 255\n")
        (tmp_path / "ssh-keygen").chmod(0o755)
        monkeypatch.setenv("PATH", emulator.path(tmp_path))
        with pytest.raises(BackendUnavailable, match="No user exists for uid 54321"):
            ssh.Key()


class TestRoomForWhatTheGuestWrites:
    def test_a_file_system_that_makes_no_nameless_files_will_do(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        really = os.open

        def refuse(path, flags, *more, **others):
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(95, "Operation not supported")
            return really(path, flags, *more, **others)

        monkeypatch.setattr(os, "open", refuse)
        made = overlay.Overlay(1 << 30)
        assert (made.written(), list(tmp_path.iterdir())) == ([], [])
        made.close()

    def test_no_folder_at_all_is_told(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
        with pytest.raises(Unreadable, match=r"no temporary file can be made \(No such file or directory\); name a folder for it in TMPDIR"):
            overlay.room(1)

    def test_the_guest_gets_half_of_what_is_left_and_never_more_than_the_bound(self, monkeypatch):
        for free, disks, most in ((100 << 30, 1, 8 << 30), (4 << 30, 1, 2 << 30), (4 << 30, 2, 1 << 30)):
            monkeypatch.setattr(os, "statvfs", lambda _, free=free: os.statvfs_result((4096, 4096, 0, 0, free // 4096, 0, 0, 0, 0, 255)))
            assert overlay.room(disks) == most

    def test_a_full_host_is_told(self, monkeypatch):
        monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 0, 0, 1000, 0, 0, 0, 0, 255)))
        with pytest.raises(Unreadable, match="too little room is left there for what the guest writes; name another folder in TMPDIR"):
            overlay.room(1)

    def test_a_list_of_what_was_written_that_never_ends_is_not_read_on(self, tmp_path, monkeypatch):
        (tmp_path / "qemu-img").write_text("#!/bin/sh\nexec yes\n")
        (tmp_path / "qemu-img").chmod(0o755)
        monkeypatch.setenv("PATH", emulator.path(tmp_path))
        monkeypatch.setattr(overlay, "MAX_MAP", 1 << 20)
        with pytest.raises(Unreadable, match="qemu-img create says more than 1048576 bytes"):
            overlay.Overlay(1 << 30)

    def test_nor_one_that_never_comes(self, tmp_path, monkeypatch):
        (tmp_path / "qemu-img").write_text("#!/bin/sh\nexec sleep 100\n")
        (tmp_path / "qemu-img").chmod(0o755)
        monkeypatch.setenv("PATH", emulator.path(tmp_path))
        monkeypatch.setattr(overlay, "_TOOL_SECONDS", 0.2)
        with pytest.raises(Unreadable, match=r"qemu-img create did not end within 0\.2 seconds"):
            overlay.Overlay(1 << 30)


@pytest.mark.parametrize("flood", [b"\x1b]", b"\x1b[", b"\n", b"ALERT! ", b" login: ", b"[    0.000000]", b"\xff"], ids=repr)
def test_a_console_flood_is_read_as_fast_as_it_comes(flood):
    """64 KiB are one reading; anything that takes the square of them would hold up all that happens at the same time."""
    heard = console.Console(Journal())
    began = time.process_time()
    heard.feed((flood * 65536)[:65536])
    assert time.process_time() - began < 2
    assert len(heard.lines()) <= console.MAX_LINES + 1
    assert max(map(len, heard.lines()), default=0) <= console.MAX_LINE


class TestSshServersThatMeanHarm:
    """Each phase ends in time, says why, and leaves no client behind."""

    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch):
        for name, seconds in (("_BANNER_SECONDS", 0.5), ("_LOGIN_SECONDS", 3), ("_LOOK_SECONDS", 1)):
            monkeypatch.setattr(ssh, name, seconds)

    @pytest.mark.parametrize(
        "words",
        [b"", b"SSH-2.0-x\r\n", b"SSH-2.0-x\r\n" + b"\0" * 4096, b"SSH-2.0-x\r\n\x7f\xff\xff\xff" + b"A" * 4096, b"\xff" * 65536, b"x\r\n" * 100000],
        ids=["silence", "a banner alone", "zeros", "a packet without end", "garbage", "lines without end"],
    )
    def test_before_the_login(self, key, words):
        async def attempt():
            async def serve(reader, writer):
                try:
                    writer.write(words)
                    await writer.drain()
                    await asyncio.sleep(30)
                except (ConnectionError, asyncio.CancelledError):
                    pass
                finally:
                    writer.transport.abort()

            async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
                address = server.sockets[0].getsockname()
                said = await ssh.answers(address)
                found = await ssh.Session.open(address, "u", key)
                server.close()
                return said, found

        began = time.monotonic()
        said, found = asyncio.run(attempt())
        assert said == words.startswith(b"SSH-")
        assert isinstance(found, str)
        assert found
        assert time.monotonic() - began < 10

    @pytest.mark.parametrize(
        "script",
        [
            "exec sleep 100",
            "exec yes",
            "exec yes >&2",
            "head -c 10000000 /dev/zero; exec sleep 100",
            'read line; eval "$line"; exec yes',
            'read line; eval "$line"; exec yes >&2',
            'read line; eval "$line"; exec head -c 3000000 /dev/zero',
            'read line; eval "$line"; exec sleep 100',
            'trap "" TERM HUP PIPE; read line; eval "$line"; while :; do echo end-0; sleep 0.01; done',
        ],
    )
    def test_after_the_login(self, key, monkeypatch, script):
        monkeypatch.setattr(ssh, "_words", lambda *_: ["bash", "-c", script])

        async def attempt():
            session = await ssh.Session.open(("", 0), "u", key)
            if isinstance(session, str):
                return None
            looked = await session.look({"agent": "echo yes"})
            await session.quiesce()
            await asyncio.sleep(0.3)  # time to fill the pipes
            await session.close()
            return looked

        began = time.monotonic()
        assert asyncio.run(attempt()) == (None if not script.startswith(("read", "trap")) else {})
        assert time.monotonic() - began < 10

    def test_a_login_that_nobody_waits_for_any_more_leaves_no_client(self, key, monkeypatch, tmp_path):
        told = tmp_path / "told"
        monkeypatch.setattr(ssh, "_words", lambda *_: ["sh", "-c", f"echo $$ >{told}; exec sleep 100"])

        async def attempt():
            task = asyncio.ensure_future(ssh.Session.open(("", 0), "u", key))
            while not (told.exists() and told.read_text()):
                await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return int(told.read_text())

        assert _gone(asyncio.run(attempt()))

    def test_the_client_learns_nothing_of_the_user(self, key, monkeypatch, tmp_path):
        monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
        told = tmp_path / "told"
        monkeypatch.setattr(
            ssh, "_words", lambda *_: [sys.executable, "-IS", "-c", f"import os; open({str(told)!r}, 'w').write(repr(sorted(os.environ)))"]
        )
        asyncio.run(ssh.Session.open(("", 0), "u", key))
        assert told.read_text() == repr(["LC_ALL", "PATH"])


def _soon(what, seconds=10):
    """Whether it comes true in time."""
    until = time.monotonic() + seconds
    while not (so := what()) and time.monotonic() < until:
        time.sleep(0.05)
    return so


def _gone(process):
    def look():
        try:
            return re.search(r"^State:\s+Z", Path(f"/proc/{process}/status").read_text(), re.MULTILINE) is not None
        except (FileNotFoundError, ProcessLookupError):
            return True

    return _soon(look)
