"""What this host has: the emulator, its firmware, its acceleration, a namespace; and what is said where it lacks something."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time

import pytest

from tests.rehearse.disks import needs_qemu, opened
from tests.rehearse.talk import IDENTITY
from vhdprep.errors import BackendUnavailable
from vhdprep.rehearse import network
from vhdprep.rehearse.identity import GUEST
from vhdprep.rehearse.journal import Journal
from vhdprep.rehearse.machine import firmware
from vhdprep.rehearse.machine.firmware import Firmware
from vhdprep.rehearse.network import namespace, slirp, tap
from vhdprep.rehearse.platform import Platform

INSTALL = "run: sudo apt-get install qemu-system-x86 qemu-utils ovmf openssh-client"


@pytest.fixture
def programs(monkeypatch, tmp_path):
    """A host with only the programs that are made: name → script."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def make(**scripts):
        for name, script in scripts.items():
            program = tmp_path / name.replace("_", "-").replace("x86-64", "x86_64")
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)

    return make


WHOLE = {"qemu_img": "", "ssh": "", "ssh_keygen": ""}


def test_a_host_with_nothing_gets_one_line_with_the_command(programs):
    with pytest.raises(BackendUnavailable) as caught:
        firmware.find(uefi=False)
    assert str(caught.value) == f"a rehearsal needs qemu-system-x86_64, qemu-img, ssh, ssh-keygen; {INSTALL}"


def test_uefi_without_its_firmware_is_said_and_bios_needs_none(programs, monkeypatch):
    programs(qemu_system_x86_64="echo QEMU emulator version 8.2.2", **WHOLE)
    monkeypatch.setattr(firmware, "_PAIRS", (("/nonexistent/CODE.fd", "/nonexistent/VARS.fd"),))
    assert firmware.find(uefi=False) == Firmware("qemu-system-x86_64", "8.2.2", None, None)
    with pytest.raises(BackendUnavailable) as caught:
        firmware.find(uefi=True)
    assert str(caught.value) == f"a rehearsal needs OVMF, the UEFI firmware of virtual machines; {INSTALL}"


def test_code_and_variables_come_as_a_pair(programs, monkeypatch, tmp_path):
    programs(qemu_system_x86_64="echo QEMU emulator version 7.2.22", **WHOLE)
    (tmp_path / "CODE").touch()
    (tmp_path / "OTHER").touch()
    (tmp_path / "VARS").touch()
    pairs = tuple(tuple(str(tmp_path / name) for name in pair) for pair in (("CODE", "MISSING"), ("OTHER", "VARS")))
    monkeypatch.setattr(firmware, "_PAIRS", pairs)
    found = firmware.find(uefi=True)
    assert (found.code, found.variables) == (tmp_path / "OTHER", tmp_path / "VARS")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo QEMU emulator version 7.1.0", "a rehearsal needs QEMU 7.2 or later; this host has 7.1.0"),
        ("echo QEMU emulator version 6.2.0 '(Debian 1:6.2+dfsg)'", "a rehearsal needs QEMU 7.2 or later; this host has 6.2.0"),
        ("echo hello", f"qemu-system-x86_64 does not say its version; {INSTALL}"),
        ("exit 1", f"qemu-system-x86_64 does not say its version; {INSTALL}"),
    ],
)
def test_an_emulator_that_is_too_old_or_no_emulator_is_refused(programs, script, words):
    programs(qemu_system_x86_64=script, **WHOLE)
    with pytest.raises(BackendUnavailable) as caught:
        firmware.find(uefi=False)
    assert str(caught.value) == words


def test_version_10_is_later_than_7(programs):
    programs(qemu_system_x86_64="echo QEMU emulator version 10.0.2", **WHOLE)
    assert firmware.find(uefi=False).version == "10.0.2"


@pytest.mark.parametrize(
    ("lacking", "words"), [(("pycdlib",), "pycdlib"), (("qemu.qmp",), "qemu.qmp"), (("pycdlib", "qemu.qmp"), "pycdlib and qemu.qmp")]
)
def test_packages_that_are_missing_are_said_before_programs_are_looked_for(programs, monkeypatch, lacking, words):
    real = firmware.find_spec
    monkeypatch.setattr(firmware, "find_spec", lambda name: None if name in lacking else real(name))
    with pytest.raises(BackendUnavailable) as caught:
        firmware.find(uefi=True)
    assert str(caught.value) == f"a rehearsal needs the Python packages {words}; run: {sys.executable} -m pip install 'vhdprep[rehearse]'"


def test_a_package_of_which_even_the_parent_is_missing_is_missing(monkeypatch):
    monkeypatch.setattr(firmware, "_MODULES", ("json", "no_such_parent.child"))
    assert firmware.missing_modules() == ["no_such_parent.child"]


def test_a_device_that_may_not_be_opened_is_no_acceleration(monkeypatch):
    monkeypatch.setattr(firmware.os, "access", lambda *_: False)
    assert firmware.accelerated() is False


@pytest.mark.parametrize(
    ("script", "works"),
    [
        ("exec sleep 60", True),
        ("echo 'KVM internal error. Suberror: 1' >&2; exec sleep 60", False),
        ("exit 1", False),
    ],
    ids=["runs", "dies in the firmware", "refuses"],
)
def test_acceleration_counts_only_where_a_machine_really_runs(monkeypatch, tmp_path, script, works):
    program = tmp_path / "emulator"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(firmware, "EMULATOR", str(program))
    monkeypatch.setattr(firmware, "_TRIAL_SECONDS", 0.1)
    monkeypatch.setattr(firmware.os, "access", lambda *_: True)
    before, began = opened(), time.monotonic()
    assert firmware.accelerated() is works
    assert time.monotonic() - began < 5
    assert opened() == before


def test_a_host_without_unshare_says_so(programs):
    assert namespace.obstacle() == "unshare, of util-linux, is not installed"
    with pytest.raises(BackendUnavailable, match="unshare, of util-linux, is not installed; run without --network namespace"):
        namespace.enter()


def test_a_host_without_tap_devices_says_so(programs, monkeypatch):
    programs(unshare="exit 0")
    monkeypatch.setattr(tap, "DEVICE", "/nonexistent/tun")
    assert namespace.obstacle() == "/nonexistent/tun is not there, or may not be opened"


def test_a_host_that_forbids_namespaces_says_so_in_its_own_words(programs, monkeypatch):
    programs(unshare="echo 'unshare: Operation not permitted' >&2; exit 1")
    monkeypatch.setattr(tap, "DEVICE", "/dev/null")
    assert namespace.obstacle() == "this host makes no namespaces for us (unshare: Operation not permitted)"


def test_inside_a_namespace_it_is_not_entered_again(monkeypatch):
    monkeypatch.setenv("VHDPREP_IN_NAMESPACE", "1")
    monkeypatch.setattr(namespace.os, "execvp", lambda *_: pytest.fail("it was entered again"))
    namespace.enter()
    assert "VHDPREP_IN_NAMESPACE" not in os.environ


def test_the_same_command_goes_on_inside(monkeypatch):
    started = []
    monkeypatch.setattr(namespace, "obstacle", lambda: None)
    monkeypatch.setattr(namespace.os, "execvp", lambda *words: started.append((words, os.environ["VHDPREP_IN_NAMESPACE"])))
    monkeypatch.setattr(sys, "argv", ["vhdprep", "rehearse", "a b.vhd", "--network", "namespace"])
    monkeypatch.setenv("VHDPREP_IN_NAMESPACE", "")
    monkeypatch.delenv("VHDPREP_IN_NAMESPACE")
    namespace.enter()
    words = ["unshare", "--user", "--map-root-user", "--net", "--", sys.executable, "-m", "vhdprep", "rehearse", "a b.vhd", "--network", "namespace"]
    assert started == [(("unshare", words), "1")]


def test_in_a_real_namespace_the_whole_network_stands_and_falls():
    if why := namespace.obstacle():
        pytest.skip(why)
    script = (
        "import asyncio; from tests.rehearse import test_host; from tests.rehearse.disks import opened\n"
        "before = opened(); asyncio.run(test_host.stand(namespace=True)); assert opened() == before, opened() - before; print('whole')"
    )
    done = subprocess.run([*namespace._WORDS, sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("whole\n", 0), done.stderr


async def stand(*, namespace):
    """Open the network and close it; gives it, for what can be asked of it then."""
    journal = Journal()
    async with network.open_network(IDENTITY, journal, Platform(IDENTITY, journal), namespace=namespace) as net:
        for each in net.pass_on:
            os.close(each)  # as the machine does
        if namespace:
            assert await net.ssh(None) == (GUEST, 22)
            assert net.sandbox == network._STRICT
            reader, writer = await asyncio.open_connection("168.63.129.16", 80)
            writer.write(b"GET /?comp=versions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
        return net


def test_without_a_namespace_the_network_stands_and_falls():
    before = opened()
    net = asyncio.run(stand(namespace=False))
    assert net.sandbox == slirp.SANDBOX
    assert [each for each in net.words if "restrict=on" in each]
    assert len(net.pass_on) == 2
    assert opened() == before


def test_a_process_that_may_make_no_tap_device_is_told_so(monkeypatch):
    def refuse():
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(tap, "open_tap", refuse)
    before = opened()
    with pytest.raises(BackendUnavailable, match=r"/dev/net/tun cannot be used here \(Operation not permitted\); run without --network namespace"):
        asyncio.run(stand(namespace=True))
    assert {each for each in opened() - before if not each[1].startswith("socket")} == set()


@pytest.mark.parametrize(
    ("said", "address"),
    [("  TCP[HOST_FORWARD]  19        127.0.0.1 41317        10.0.0.4    22     0     0\r\n", ("127.0.0.1", 41317)), ("nothing", None), (None, None)],
)
def test_where_the_guest_s_ssh_is_reached_is_what_the_emulator_says(said, address):
    class Monitor:
        async def ask(self, command, **arguments):
            assert (command, arguments) == ("human-monitor-command", {"command-line": "info usernet"})
            return said

    net = network.Network((), (), "", None, namespace=False)
    assert asyncio.run(net.ssh(Monitor())) == address


@needs_qemu
def test_this_host_s_emulator_says_its_version():
    assert tuple(map(int, firmware.emulator_version().split("."))) > (1, 0)
