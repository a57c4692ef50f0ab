"""The use case: read the image offline, choose a machine, boot a throw-away copy of it, watch, look into what it left, judge."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from vhdprep import isolate
from vhdprep.check import judge_image, open_image
from vhdprep.clock import Clock
from vhdprep.errors import NotRehearsable, Unreadable
from vhdprep.guest import provisioner
from vhdprep.model import Target
from vhdprep.rehearsal import Outcome, Rehearsal, Witness
from vhdprep.rehearse import choices, identity, postmortem, twins
from vhdprep.rehearse.boot import Parts, boot_once
from vhdprep.rehearse.judge import judge
from vhdprep.rehearse.machine import firmware, overlay, ssh
from vhdprep.vhd.container import describe
from vhdprep.vhd.opening import open_reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhdprep.declared import Declared
    from vhdprep.guest.image import Image
    from vhdprep.location import Location
    from vhdprep.model import Report
    from vhdprep.rehearse import watch
    from vhdprep.rehearse.boot import Show
    from vhdprep.rehearse.choices import Hardware
    from vhdprep.rehearse.machine.firmware import Firmware
    from vhdprep.ruleset.rule import Rule


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
        readers = [stack.enter_context(open_reader(each, describe(each))) for each in (path, *wish.data)]
        room = overlay.room(len(readers))
        overlays = []
        for each in readers:
            overlays.append(overlay.Overlay(each.size))
            stack.callback(overlays[-1].close)
        key = ssh.Key()
        stack.callback(key.close)
        who = identity.invent(key.public)
        parts = Parts(hardware, host, accelerated, readers, overlays, room, key, who, wish.without, wish.namespace, wish.limits)
        booted = asyncio.run(boot_once(parts, show))
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
