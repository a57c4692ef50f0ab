"""The use case: read the image offline, choose a machine, boot a throw-away copy of it, watch, look into what it left, judge."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, NamedTuple

from vhdprep import isolate
from vhdprep.check import judge_image, open_image
from vhdprep.clock import Clock
from vhdprep.errors import NotRehearsable, RehearsalFailed, Unreadable
from vhdprep.guest import provisioner
from vhdprep.model import Target
from vhdprep.rehearsal import Milestone, Outcome, Rehearsal, Witness
from vhdprep.rehearse import choices, identity, postmortem, twins, watch
from vhdprep.rehearse.journal import Journal
from vhdprep.rehearse.judge import Seen, judge
from vhdprep.rehearse.machine import Machine, firmware, nbd, overlay, qemu, ssh
from vhdprep.rehearse.network import open_network
from vhdprep.rehearse.platform import Platform, certificates, dvd
from vhdprep.vhd.container import describe
from vhdprep.vhd.opening import open_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vhdprep.declared import Declared
    from vhdprep.guest.image import Image
    from vhdprep.location import Location
    from vhdprep.model import Report
    from vhdprep.rehearse.choices import Hardware
    from vhdprep.rehearse.identity import Identity
    from vhdprep.rehearse.machine.firmware import Firmware
    from vhdprep.rehearse.machine.overlay import Overlay
    from vhdprep.rehearse.machine.ssh import Key
    from vhdprep.ruleset.rule import Rule
    from vhdprep.vhd.blocks import Reader

    Show = Callable[[Milestone | None, float], None]


_MARKS = ("/var/lib/waagent/provisioned", "/var/lib/waagent/ovf-env.xml")
"""What the agent leaves when it has provisioned (Azure/WALinuxAgent ``azurelinuxagent/pa/provision/default.py``)."""


class Wish(NamedTuple):
    """What the user asks for."""

    rules: tuple[Rule, ...]
    target: Target = Target.GENERALIZED
    data: tuple[Location, ...] = ()
    declared: Declared | None = None
    twins: bool = False
    without: frozenset[str] = frozenset()
    """Parts of the platform that are left out: ``dvd``, ``imds``."""
    namespace: bool = False
    """A network of its own from the kernel in the place of the relay's; the calling process is in one already."""
    limits: watch.Patience | None = None
    """None = by how busy the host is."""


class Run(NamedTuple):
    """One machine that was made of the image."""

    rehearsal: Rehearsal
    marks: Mapping[str, twins.Mark]


class Looked(NamedTuple):
    """What the offline reading says."""

    report: Report
    hardware: Hardware | None
    refusal: str
    """Why it cannot be rehearsed, where there is no hardware for it."""
    has_agent: bool
    stale: tuple[str, ...]
    """See ``Seen``."""


def rehearse(path: Location, wish: Wish, show: Show) -> Report:
    """The offline report, with what the rehearsal showed beside it; ``show`` is told the last milestone and the seconds since power-on.

    Raises:
        UsageError: a file is missing or may not be read.
        BackendUnavailable: something is not installed; the message has the command that installs it.
        RehearsalFailed: the emulator failed, which says nothing about the image.
    """
    looked = isolate.call(lambda avoid: _look(path, wish, avoid))
    return looked.report._replace(rehearsal=_rehearse(path, wish, looked, show))


def boot(path: Location, wish: Wish, show: Show) -> Rehearsal:
    """Only the rehearsal, of an image that was judged already; raises as ``rehearse`` does."""
    return _rehearse(path, wish, isolate.call(lambda avoid: _look(path, wish, avoid)), show)


def _rehearse(path: Location, wish: Wish, looked: Looked, show: Show) -> Rehearsal:
    hardware = looked.hardware
    if hardware is None:
        return Rehearsal(Outcome.IMPOSSIBLE, looked.refusal, "", None)
    host = firmware.find(uefi=hardware.firmware == "uefi")
    accelerated = firmware.accelerated()
    first, *others = [_run(path, wish, looked, hardware, host, show, accelerated=accelerated) for _ in range(2 if wish.twins else 1)]
    if not others:
        return first.rehearsal
    worst = max((first.rehearsal, others[0].rehearsal), key=lambda each: list(Outcome).index(each.outcome))
    seconds = sum(each.rehearsal.seconds for each in (first, *others))
    return worst._replace(twins=twins.compare(first.marks, others[0].marks), seconds=round(seconds, 1))


def _look(path: Location, wish: Wish, avoid: Mapping[str, str]) -> Looked:
    clock = Clock()
    with open_image(path, data=wish.data, declared=wish.declared, target=wish.target, avoid=avoid) as image:
        report = judge_image(image, path, wish.rules, "native", clock)
        try:
            hardware, refusal = choices.choose(image), ""
        except NotRehearsable as error:
            hardware, refusal = None, str(error)
        return Looked(report, hardware, refusal, _has_agent(image), _stale(image))


def _has_agent(image: Image) -> bool:
    """Whether an agent is to be waited for; where that cannot be told it is."""
    try:
        return image.guest is not None and provisioner.has_agent(image.guest)
    except Unreadable:
        return True


def _stale(image: Image) -> tuple[str, ...]:
    try:
        return tuple(each for each in _MARKS if image.guest is not None and image.guest.files.lstat(each) is not None)
    except Unreadable:
        return ()


def _run(path: Location, wish: Wish, looked: Looked, hardware: Hardware, host: Firmware, show: Show, *, accelerated: bool) -> Run:
    """Make one machine, and let nothing of it remain."""
    began = time.monotonic()
    with ExitStack() as stack:
        paths = (path, *wish.data)
        readers = [stack.enter_context(open_reader(each, describe(each))) for each in paths]
        most = overlay.room(len(readers))
        overlays = []
        for each in readers:
            overlays.append(overlay.Overlay(each.size))
            stack.callback(overlays[-1].close)
        key = ssh.Key()
        stack.callback(key.close)
        who = identity.invent(key.public)
        journal = Journal()
        booted = asyncio.run(_boot(readers, overlays, key, who, journal, wish, hardware, host, show, most, accelerated=accelerated))
        layers = [each.over for each in overlays]
        found = isolate.call(lambda avoid: postmortem.look(path, wish.data, layers, who, avoid))
    seen = booted.seen._replace(found=found, has_agent=looked.has_agent, stale=looked.stale)
    how = "KVM" if accelerated else "TCG"
    machine = f"QEMU {host.version} with {how}, {hardware.firmware.upper()}, disk on {hardware.disk}, network card {hardware.nic}"
    rehearsal = judge(seen)
    chosen = tuple(Witness("machine", "the offline reading", each, None) for each in hardware.why)
    rehearsal = rehearsal._replace(
        witnesses=(*rehearsal.witnesses, *chosen),
        console=booted.console,
        screen=booted.screen,
        machine=machine,
        seconds=round(time.monotonic() - began, 1),
    )
    return Run(rehearsal, {**found.identity, **{f"DHCP client {each}": twins.Mark("DHCP identity", each) for each in booted.clients}})


class Booted(NamedTuple):
    """What is known when the machine is gone."""

    seen: Seen
    console: tuple[str, ...]
    screen: str
    clients: tuple[str, ...]
    """By what the guest named itself to DHCP, in hex."""


async def _boot(
    readers: Sequence[Reader], overlays: Sequence[Overlay], key: Key, who: Identity, journal: Journal, wish: Wish, hardware: Hardware, host: Firmware,
    show: Show, most: int, *, accelerated: bool,
) -> Booted:  # fmt: skip
    """Switch the machine on, watch it, and switch it off."""
    offered = certificates.make() if "imds" in wish.without else None  # without them cloud-init takes no key from the DVD either
    async with AsyncExitStack() as stack:
        net = await stack.enter_async_context(open_network(who, journal, Platform(who, journal, wish.without, offered), namespace=wish.namespace))
        served = [socket.socketpair() for _ in readers]
        servers = [nbd.Server(reader, ours) for reader, (ours, _) in zip(readers, served, strict=True)]
        for each in servers:
            stack.callback(each.close)
        ours, theirs = socket.socketpair()
        dvd_file = None if "dvd" in wish.without else _memory("dvd", dvd.make({dvd.FILE: dvd.ovf_env(who)}))
        variables = _memory("variables", host.variables.read_bytes(), writable=True) if host.variables else None
        files = qemu.Descriptors(
            [os.dup(each.file.fileno()) for each in overlays], [other.detach() for _, other in served], dvd_file, variables, theirs.detach()
        )
        words = qemu.arguments(hardware, host, who, files, net, accelerated=accelerated)
        machine = await Machine.start(words, [*files.all(), *net.pass_on], ours, journal, most)
        stack.push_async_callback(machine.close)
        blind = "imds" in wish.without
        limits = wish.limits or watch.patience(without_metadata=blind)
        address = await net.ssh(machine)
        follow = watch.Watch(machine, journal, who, key, address, limits, goes_on=blind)  # metadata that is missing is told of first
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
            machine.console.bytes, machine.resets, follow.refused, follow.looked, postmortem.Found(), wish.without,
            guesses={each: _why(hardware, each) for each in hardware.guesses}, unserved=unserved,
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
