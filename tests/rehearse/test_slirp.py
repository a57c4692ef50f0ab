from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import subprocess
from contextlib import asynccontextmanager, contextmanager

import pytest

from tests.rehearse.guests import IDENTITY, accept, ask, ethernet, segment_from, tcp, wires
from vhdprep.rehearse.identity import GUEST, METADATA, WIRE
from vhdprep.rehearse.journal import Journal
from vhdprep.rehearse.network import doors, slirp
from vhdprep.rehearse.network.pump import Pump
from vhdprep.rehearse.network.relay import Relay

QEMU = shutil.which("qemu-system-x86_64")
needs_qemu = pytest.mark.skipif(QEMU is None, reason="qemu-system-x86_64 is not installed")

NAMES = doors.Names("a-wire", "a-plugin", "a-metadata")
USERNET = """Hub 0 (slirp):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[HOST_FORWARD]  17       127.0.0.1 42173        10.0.0.4    22     0     0
"""


def test_the_card_is_on_a_descriptor_that_is_inherited():
    assert slirp.card_arguments(7) == ["-netdev", "dgram,id=nic,local.type=fd,local.str=7"]


def test_slirp_holds_both_platform_addresses_opens_nothing_and_forwards_one_free_port():
    assert slirp.uplink_arguments(9, NAMES, ["/bin/pipe"]) == [
        "-netdev",
        "dgram,id=uplink,local.type=fd,local.str=9",
        "-netdev",
        "user,id=slirp,ipv6=off,net=168.0.0.0/7,host=168.0.0.1,restrict=on,hostfwd=tcp:127.0.0.1:0-10.0.0.4:22"
        ",guestfwd=tcp:168.63.129.16:80-cmd:/bin/pipe a-wire"
        ",guestfwd=tcp:168.63.129.16:32526-cmd:/bin/pipe a-plugin"
        ",guestfwd=tcp:169.254.169.254:80-cmd:/bin/pipe a-metadata",
        "-netdev",
        "hubport,id=hub0,hubid=0,netdev=uplink",
        "-netdev",
        "hubport,id=hub1,hubid=0,netdev=slirp",
    ]


def test_a_path_is_quoted_for_the_shell_rules_of_slirp_and_the_commas_of_qemu():
    user = slirp.uplink_arguments(9, NAMES, ["/o'hare, inc/py thon"])[3]
    command = user.split("-cmd:")[1].split(",guestfwd")[0].replace(",,", ",")
    assert ",, inc" in user
    assert shlex.split(command) == ["/o'hare, inc/py thon", "a-wire"]


def test_the_port_of_the_ssh_forward_is_read_from_the_monitor():
    assert slirp.forwarded_port(USERNET) == 42173
    assert slirp.forwarded_port(USERNET.replace("    22 ", "    23 ")) is None
    assert slirp.forwarded_port("") is None


@contextmanager
def emulator(*arguments: str, descriptors: tuple[int, ...], sandbox: str = slirp.SANDBOX):
    """QEMU without a machine, its monitor on standard input and output."""
    command = [str(QEMU), "-nodefaults", "-machine", "none", "-display", "none", "-sandbox", sandbox, "-qmp", "stdio", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=descriptors) as process:
        assert process.stdout is not None
        try:
            greeting = process.stdout.readline()
            assert "QMP" in greeting, process.stderr and process.stderr.read()
            say(process, {"execute": "qmp_capabilities"})
            yield process
            say(process, {"execute": "quit"})
        finally:
            process.kill()


def say(process, command):
    process.stdin.write(json.dumps(command) + "\n")
    process.stdin.flush()
    while True:
        answer = json.loads(process.stdout.readline() or '{"return": "gone"}')
        if "return" in answer or "error" in answer:
            return answer["return"]


def monitor(process, line: str) -> str:
    return say(process, {"execute": "human-monitor-command", "arguments": {"command-line": line}})


@asynccontextmanager
async def network(names: doors.Names, handler, pipe=slirp.PIPE):
    """The whole of it: a guest's end of its wire, QEMU with slirp, servers on their doors; yields the end, the process and the journal."""
    servers = [await doors.listen(name, handler(name)) for name in names]
    journal = Journal()
    with wires() as (guest, card), wires() as (uplink, inherited):
        pump = Pump(Relay(IDENTITY, journal, slirp.HOST), card.fileno(), uplink.fileno())
        with emulator(*slirp.uplink_arguments(inherited.fileno(), names, pipe), descriptors=(inherited.fileno(),)) as process:
            pump.start()
            yield guest, process, journal
            pump.stop()
    for server in servers:
        server.close()


def teller(name: str):
    """A server that tells which door was used and what was asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name.encode() + b" heard " + await reader.readline())
        await writer.drain()

    return serve


@needs_qemu
def test_qemu_takes_both_descriptors_and_shows_the_forward():
    with wires() as (_, card), wires() as (_, uplink):
        inherited = card.fileno(), uplink.fileno()
        with emulator(*slirp.card_arguments(inherited[0]), *slirp.uplink_arguments(inherited[1], NAMES), descriptors=inherited) as process:
            network = monitor(process, "info network")
            port = slirp.forwarded_port(monitor(process, "info usernet"))
    assert f"nic: index=0,type=dgram,fd={inherited[0]}" in network
    assert f"uplink: index=0,type=dgram,fd={inherited[1]}" in network
    assert "net=168.0.0.0,restrict=on" in network
    assert port
    assert port > 1023


@needs_qemu
def test_each_service_is_reached_through_slirp_and_its_own_door():
    async def rehearse():
        names = doors.invent()
        async with network(names, teller) as (guest, _, _):
            return names, [
                await ask(guest, service, 40000 + at, b"hello\n") for at, service in enumerate([(WIRE, 80), (WIRE, 32526), (METADATA, 80)])
            ]

    names, answers = asyncio.run(rehearse())
    assert answers == [f"{name} heard hello\n".encode() for name in names]


@needs_qemu
def test_the_helper_may_lie_in_an_ugly_place(tmp_path):
    place = tmp_path / 'o\'hare, inc "x" $HOME'
    place.mkdir()
    helper = place / "pi pe.py"
    shutil.copy(slirp.PIPE[-1], helper)

    async def rehearse():
        names = doors.invent()
        async with network(names, teller, (*slirp.PIPE[:-1], str(helper))) as (guest, _, _):
            return names, await ask(guest, (METADATA, 80), 40000, b"hello\n")

    names, answer = asyncio.run(rehearse())
    assert answer == f"{names.metadata} heard hello\n".encode()


@needs_qemu
def test_the_ssh_probe_reaches_the_guest_through_the_forward():
    async def rehearse():
        async with network(doors.invent(), teller) as (guest, process, _):
            port = slirp.forwarded_port(monitor(process, "info usernet"))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"SSH-2.0-probe\r\n")
            heard = await accept(guest, b"SSH-2.0-guest\r\n")
            said = await asyncio.wait_for(reader.readline(), 10)
            writer.close()
            return heard, said

    assert asyncio.run(rehearse()) == (b"SSH-2.0-probe\r\n", b"SSH-2.0-guest\r\n")


@needs_qemu
def test_a_foreign_address_is_refused_before_it_reaches_slirp():
    async def rehearse():
        async with network(doors.invent(), teller) as (guest, _, journal):
            guest.send(ethernet(tcp((GUEST, 40000), ("1.2.3.4", 443), 2, 7)))
            packet, segment, acknowledged, _ = await segment_from(guest)
            return packet.source, segment.flags, acknowledged, journal.tried

    assert asyncio.run(rehearse()) == ("1.2.3.4", 0x14, 8, {"tcp 1.2.3.4:443": 1})
