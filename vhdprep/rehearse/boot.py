"""Boot one machine: switch it on, watch it, look into it over SSH, switch it off."""

from __future__ import annotations

import os
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import RehearsalFailed
from vhdprep.rehearsal import Milestone
from vhdprep.rehearse import postmortem, watch
from vhdprep.rehearse.journal import Journal
from vhdprep.rehearse.judge import Seen
from vhdprep.rehearse.machine import Machine, nbd, qemu, ssh
from vhdprep.rehearse.network import open_network
from vhdprep.rehearse.platform import Platform, certificates, dvd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vhdprep.rehearse.choices import Hardware
    from vhdprep.rehearse.identity import Identity
    from vhdprep.rehearse.machine.firmware import Firmware
    from vhdprep.rehearse.machine.overlay import Overlay
    from vhdprep.rehearse.machine.ssh import Key
    from vhdprep.vhd.blocks import Reader

    Show = Callable[[Milestone | None, float], None]


class Parts(NamedTuple):
    """What one machine is made of."""

    hardware: Hardware
    host: Firmware
    accelerated: bool
    """KVM works."""
    readers: Sequence[Reader]
    """The disks, which are only read."""
    overlays: Sequence[Overlay]
    """What the guest writes, one for each disk."""
    room: int
    """Bytes that each overlay may hold."""
    key: Key
    who: Identity
    without: frozenset[str]
    namespace: bool
    limits: watch.Patience | None
    """These three: see ``Wish``."""


class Booted(NamedTuple):
    """What is known when the machine is gone."""

    seen: Seen
    console: tuple[str, ...]
    screen: str
    clients: tuple[str, ...]
    """By what the guest named itself to DHCP, in hex."""


async def boot_once(parts: Parts, show: Show) -> Booted:
    """Switch the machine on, watch it, and switch it off.

    Raises:
        RehearsalFailed: the emulator failed, which says nothing about the image.
    """
    blind = "imds" in parts.without
    who, journal = parts.who, Journal()
    offered = certificates.make() if blind else None  # without them cloud-init takes no key from the DVD either
    async with AsyncExitStack() as stack:
        net = await stack.enter_async_context(open_network(who, journal, Platform(who, journal, parts.without, offered), namespace=parts.namespace))
        served = [socket.socketpair() for _ in parts.readers]
        servers = [nbd.Server(reader, ours) for reader, (ours, _) in zip(parts.readers, served, strict=True)]
        for each in servers:
            stack.callback(each.close)
        ours, theirs = socket.socketpair()
        dvd_file = None if "dvd" in parts.without else _memory("dvd", dvd.make({dvd.FILE: dvd.ovf_env(who)}))
        variables = _memory("variables", parts.host.variables.read_bytes(), writable=True) if parts.host.variables else None
        files = qemu.Descriptors(
            [os.dup(each.file.fileno()) for each in parts.overlays], [other.detach() for _, other in served], dvd_file, variables, theirs.detach()
        )
        words = qemu.arguments(parts.hardware, parts.host, who, files, net, accelerated=parts.accelerated)
        machine = await Machine.start(words, [*files.all(), *net.pass_on], ours, journal, parts.room)
        stack.push_async_callback(machine.close)
        limits = parts.limits or watch.patience(without_metadata=blind)
        address = await net.ssh(machine)
        follow = watch.Watch(machine, journal, who, parts.key, address, limits, goes_on=blind)  # metadata that is missing is told of first
        ended = await follow.until_done(show)
        unserved = next((each.failed for each in servers if each.failed), "")
        if ended == "ended" and not unserved:
            raise RehearsalFailed(_innocent(machine))
        if address is None and ended not in ("off", "full", "ended", "resets"):
            raise RehearsalFailed("the emulator does not say where the guest's SSH server is reached, so whether it answers cannot be told")
        screen = "" if machine.console.bytes else await machine.picture()
        said, stopped = machine.console.matter(), machine.console.stopped  # what it says from here on is of its end, which we bring about
        if follow.session is not None:
            follow.looked |= await follow.session.look(ssh.LATE)
            await follow.session.quiesce()
            await follow.session.close()
        elif any(each in journal.reached for each in (Milestone.KERNEL, Milestone.DHCP, Milestone.LOGIN)):  # else there is nobody who listens
            await machine.switch_off()
        seen = Seen(
            who, ended, dict(journal.reached), tuple(journal.health), dict(journal.tried), stopped,
            machine.console.bytes, machine.resets, follow.refused, follow.looked, postmortem.Found(), parts.without,
            guesses={each: _why(parts.hardware, each) for each in parts.hardware.guesses}, unserved=unserved,
        )  # fmt: skip
        return Booted(seen, said, screen, tuple(net.relay.identifiers))


def _why(hardware: Hardware, device: str) -> str:
    """Why it was only guessed, in the words of ``choices``."""
    return next((each for each in hardware.why if each.startswith(f"{device}: ")), device)


def _innocent(machine: Machine) -> str:
    """What failed, when it was not the guest."""
    if machine.trouble:
        return f"the host failed to keep what the guest writes ({machine.trouble}); name a folder with more room in TMPDIR"
    return f"the emulator ended by itself: {machine.complaint.decode(errors='replace').strip()[-500:] or 'it does not say why'}"


def _memory(name: str, content: bytes, *, writable: bool = False) -> int:
    """A file in memory; QEMU takes a descriptor only for what it was opened for."""
    file = os.memfd_create(name)
    with os.fdopen(os.dup(file) if writable else file, "wb") as writing:
        writing.write(content)
        writing.flush()
        return file if writable else os.open(f"/proc/self/fd/{file}", os.O_RDONLY)
