"""The emulator itself, on machines without anything to start: it comes up, is asked, is pictured, and nothing of it stays."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.rehearse.disks import QEMU, Bytes, needs_qemu, opened, serving
from tests.rehearse.talk import IDENTITY
from vhdprep.errors import BackendUnavailable, RehearsalFailed
from vhdprep.rehearsal import Milestone
from vhdprep.rehearse.choices import Hardware
from vhdprep.rehearse.journal import Journal
from vhdprep.rehearse.machine import MAX_PICTURE, Machine, firmware, qemu
from vhdprep.rehearse.machine.firmware import Firmware
from vhdprep.rehearse.machine.overlay import Extent, Overlay
from vhdprep.rehearse.network import slirp
from vhdprep.rehearse.platform import dvd

pytestmark = needs_qemu
NOTHING = (QEMU, "-nodefaults", "-display", "none", "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console")
BARE = (QEMU, "-nodefaults", "-display", "none", "-machine", "none")
EMPTY = (*NOTHING, "-machine", "q35", "-vga", "std", "-m", "64", "-sandbox", slirp.SANDBOX)


def start(words, journal=None, pass_on=()):
    """A machine with its control."""
    ours, theirs = socket.socketpair()
    control = ("-chardev", f"socket,id=control,fd={theirs.fileno()}", "-mon", "chardev=control,mode=control")
    return Machine.start([*words, *control], [*pass_on, theirs.detach()], ours, journal or Journal())


def running(work, words, **options):
    """What ``work(machine)`` gives."""

    async def run():
        machine = await start(words, **options)
        try:
            return await work(machine)
        finally:
            await machine.close()

    return asyncio.run(asyncio.wait_for(run(), 60))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_comes_up_answers_and_nothing_is_left():
    async def work(machine):
        return machine._process.pid, await machine.ask("query-status"), await machine.ask("no-such-command"), await machine.activity()

    before = opened()
    pid, status, refused, activity = running(work, BARE)
    assert status["running"] is True
    assert (refused, activity) == (None, 0)
    assert not Path(f"/proc/{pid}").exists()
    assert opened() == before


def test_the_screen_is_pictured():
    async def work(machine):
        return await machine.picture()

    head, _, data = running(work, EMPTY).partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data, validate=True)[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_machine_without_a_screen_has_no_picture():
    async def work(machine):
        return await machine.picture()

    assert running(work, BARE) == ""


def test_a_picture_that_is_too_large_is_none(monkeypatch):
    monkeypatch.setattr("vhdprep.rehearse.machine.MAX_PICTURE", 100)

    async def work(machine):
        return await machine.picture()

    assert running(work, EMPTY) == ""
    assert MAX_PICTURE > 1920 * 1080


def test_its_end_is_seen_and_who_wanted_it():
    async def work(machine):
        machine._process.send_signal(signal.SIGKILL)
        await machine.ended.wait()
        return machine.shut_down, await machine.ask("query-status"), await machine.picture(), await machine.activity()

    journal = Journal()
    assert running(work, BARE, journal=journal) == (False, None, "", 0)
    assert journal.changed.is_set()


def test_resets_and_the_end_that_the_guest_wants_are_told_apart_from_ours():
    async def work(machine):
        machine._take("RESET", {"guest": False})
        machine._take("RESET", {"guest": True})
        machine._take("SHUTDOWN", {"guest": False})
        before = machine.resets, machine.shut_down
        machine._take("SHUTDOWN", {"guest": True, "reason": "guest-shutdown"})
        machine._take("SHUTDOWN", "nonsense")
        return before, machine.shut_down

    assert running(work, BARE) == ((1, False), True)


def test_a_reset_of_the_real_emulator_comes_as_an_event():
    async def work(machine):
        seen = []
        machine._take = lambda name, data: seen.append((name, data.get("guest")))
        await machine.ask("system_reset")
        for _ in range(100):
            if seen:
                break
            await asyncio.sleep(0.05)
        return seen[0]

    assert running(work, EMPTY) == ("RESET", False)


def test_a_tray_that_opens_is_the_milestone():
    journal = Journal()

    async def work(machine):
        await machine.ask("eject", id="dvd", force=True)
        for _ in range(100):
            if Milestone.DVD in journal.reached:
                return True
            await asyncio.sleep(0.05)
        return False

    media = dvd.make({dvd.FILE: b"<Environment/>"})
    file = os.memfd_create("dvd")
    os.write(file, media)
    words = (
        *EMPTY,
        "-drive",
        f"if=none,id=m,media=cdrom,readonly=on,format=raw,file=/proc/{os.getpid()}/fd/{file}",
        "-device",
        "ide-cd,id=dvd,drive=m",
    )
    try:
        assert running(work, words, journal=journal)
    finally:
        os.close(file)


def test_what_the_emulator_complains_of_is_told_and_nothing_is_left():
    before = opened()
    with pytest.raises(RehearsalFailed, match=r"the emulator does not start: .*unsupported machine type"):
        running(None, (QEMU, "-machine", "no-such-machine"))
    assert opened() == before


def test_an_emulator_that_is_not_there_is_told_and_nothing_is_left():
    before = opened()
    with pytest.raises(RehearsalFailed, match=r"the emulator does not start: .*No such file"):
        running(None, ("/nonexistent/qemu",))
    assert opened() == before


def test_an_emulator_that_never_speaks_is_given_up(monkeypatch):
    monkeypatch.setattr("vhdprep.rehearse.machine._ANSWER_SECONDS", 0.3)
    before = opened()
    with pytest.raises(RehearsalFailed, match="the emulator does not start: "):
        running(None, ("sh", "-c", "exec sleep 60"))
    assert opened() == before


def test_an_emulator_that_hangs_is_killed(monkeypatch):
    monkeypatch.setattr("vhdprep.rehearse.machine._QUIT_SECONDS", 0.3)

    async def work(machine):
        machine._process.send_signal(signal.SIGSTOP)
        return machine._process.pid

    pid = running(work, BARE)
    assert not Path(f"/proc/{pid}").exists()


def test_what_it_still_holds_of_the_overlay_is_written_when_it_ends():
    """No flush was asked for: killed, it would take the list of what was written with it."""
    with serving(Bytes(bytes(2**20))) as (_, end):
        over = Overlay(2**20)
        node = (
            '{"node-name":"d","driver":"qcow2","cache":{"no-flush":true},"file":{"driver":"file","filename":"/dev/fdset/1"},'
            f'"backing":{{"driver":"nbd","export":"","read-only":true,"server":{{"type":"fd","str":"{end.fileno()}"}}}}}}'
        )
        file, served = os.dup(over.file.fileno()), os.dup(end.fileno())
        node = node.replace(f'"{end.fileno()}"', f'"{served}"')

        async def work(machine):
            return await machine.ask("human-monitor-command", **{"command-line": 'qemu-io d "write -P 9 0 4096"'})

        running(work, (*BARE, "-add-fd", f"fd={file},set=1", "-blockdev", node), pass_on=(file, served))
        assert over.written() == [Extent(0, 65536, over.written()[0].at)]
        assert over.over(Bytes(bytes(2**20))).read_at(0, 8192) == b"\x09" * 4096 + bytes(4096)
        over.close()


def test_it_dies_with_whoever_started_it():
    """Even where that is killed without a chance to clean up."""
    script = textwrap.dedent(
        f"""
        import asyncio, sys
        from tests.rehearse import test_vm

        async def run():
            machine = await test_vm.start({BARE!r})
            print(machine._process.pid, flush=True)
            await asyncio.sleep(60)

        asyncio.run(run())
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    for _ in range(100):
        if not alive(pid):
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the emulator outlives its parent")


def test_what_it_may_write_to_one_file_is_bounded():
    async def work(machine):
        return Path(f"/proc/{machine._process.pid}/limits").read_text()

    assert "Max file size             8589934592           8589934592" in running(work, BARE)


class Network:
    """A card that leads nowhere."""

    words = ("-netdev", "hubport,id=nic,hubid=0")
    sandbox = "on"


@pytest.fixture(scope="module")
def ovmf():
    try:
        return firmware.find(uefi=True)
    except BackendUnavailable as error:
        pytest.skip(str(error))


DISKS = [("uefi", "q35", disk) for disk in ("virtio-scsi", "virtio-blk", "nvme", "ahci")]
DISKS += [("bios", "pc", disk) for disk in ("virtio-scsi", "virtio-blk", "nvme", "ide")] + [("uefi", "pc", "ide"), ("bios", "q35", "ahci")]
COMBINATIONS = [
    *(Hardware(*each, "virtio-net", "virtio-scsi") for each in DISKS),
    *(Hardware("uefi", "q35", "virtio-blk", nic, "ahci") for nic in ("e1000e", "e1000", "vmxnet3", "rtl8139")),
    Hardware("bios", "pc", "ide", "virtio-net", "ide"),
    Hardware("uefi", "pc", "virtio-scsi", "virtio-net", "ide"),
    Hardware("uefi", "q35", "ahci", "virtio-net", "ahci", level=3),
]


def files(count, hardware, ovmf, with_dvd):
    """Descriptors as a rehearsal makes them, the disks' other ends, and what is to be closed."""
    overlays = [Overlay(2**20) for _ in range(count)]
    pairs = [socket.socketpair() for _ in range(count)]
    variables = media = None
    if hardware.firmware == "uefi":
        variables = os.memfd_create("variables")
        os.write(variables, ovmf.variables.read_bytes())
    if with_dvd:
        writing = os.memfd_create("dvd")
        os.write(writing, dvd.make({dvd.FILE: b"<Environment/>"}))
        media = os.open(f"/proc/self/fd/{writing}", os.O_RDONLY)
        os.close(writing)
    ours, theirs = socket.socketpair()
    made = qemu.Descriptors(
        [os.dup(each.file.fileno()) for each in overlays], [each.detach() for _, each in pairs], media, variables, theirs.detach()
    )
    return made, ours, [each for each, _ in pairs], overlays


@pytest.mark.parametrize("hardware", COMBINATIONS, ids=lambda each: "-".join(map(str, each[:5])) + f"-v{each.level}")
@pytest.mark.parametrize(("count", "with_dvd"), [(1, True), (2, False)], ids=["with a DVD", "two disks, the drive empty"])
def test_the_emulator_takes_every_machine_that_can_be_chosen(hardware, count, with_dvd, ovmf):
    from vhdprep.rehearse.machine import nbd

    host = ovmf if hardware.firmware == "uefi" else Firmware(ovmf.emulator, ovmf.version, None, None)

    async def run():
        made, ours, ends, overlays = files(count, hardware, host, with_dvd)
        servers = [nbd.Server(Bytes(bytes(2**20)), each) for each in ends]
        words = qemu.arguments(hardware, host, IDENTITY, made, Network, accelerated=False)
        try:
            machine = await Machine.start([*words, "-S"], made.all(), ours, Journal())
            try:
                blocks, status = await machine.ask("query-block"), await machine.ask("query-status")
            finally:
                await machine.close()
        finally:
            for each in (*servers, *overlays):
                each.close()
        return sorted(each["inserted"]["node-name"] for each in blocks if "inserted" in each), status["status"]

    before = opened()
    expected = [*(f"disk{number}" for number in range(count)), *(["media"] if with_dvd else [])]
    nodes, status = asyncio.run(run())
    assert ([each for each in nodes if each in expected], status) == (expected, "prelaunch")
    assert opened() == before


def test_the_machine_says_that_it_is_one_of_azure_s(ovmf):
    words = qemu.arguments(COMBINATIONS[0], ovmf, IDENTITY, qemu.Descriptors([3], [4], 5, 6, 7), Network, accelerated=False)
    smbios = [words[number + 1] for number, each in enumerate(words) if each == "-smbios"]
    assert smbios[1] == (
        "type=1,manufacturer=Microsoft Corporation,product=Virtual Machine,version=Hyper-V UEFI Release v4.1,serial=0000-0000-0000-0000-0000-0000-00,"
        "uuid=0c28a4a0-1b1c-4d2e-8f30-000000000001"
    )
    assert smbios[3].endswith(",asset=7783-7084-3265-9085-8269-3286-77")
    assert words[-1] == "virtio-net-pci,netdev=nic,mac=00:0d:3a:11:22:33,romfile="


def test_no_path_of_the_host_but_the_firmware_s_is_on_the_command_line(ovmf):
    words = qemu.arguments(COMBINATIONS[0], ovmf, IDENTITY, qemu.Descriptors([3], [4], 5, 6, 7), Network, accelerated=False)
    assert {part for word in words for part in word.replace('"', " ").replace(",", " ").split() if part.startswith("/") and "fdset" not in part} == {
        str(ovmf.code)
    }
    assert "filename=/dev/urandom" in words[words.index("-object") + 1]


def test_the_first_disk_starts_the_system_and_no_other(ovmf):
    words = qemu.arguments(COMBINATIONS[0], ovmf, IDENTITY, qemu.Descriptors([3, 8], [4, 9], None, 6, 7), Network, accelerated=True)
    assert [each for each in words if "bootindex" in each] == ["scsi-hd,drive=disk0,bus=scsi.0,lun=0,bootindex=0"]
    assert words[words.index("-cpu") + 1] == firmware.KVM_PROCESSOR
    assert words[words.index("-accel") + 1] == "kvm"
