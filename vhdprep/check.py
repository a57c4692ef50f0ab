"""The use case: open the image, describe it, find the guest, ask the rules.

Imports are late: describing a container must not wait for what reads guests, nor `inspect` for the rules.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vhdprep import __version__
from vhdprep.errors import Unreadable
from vhdprep.model import DiskReport, Report, Target, judge
from vhdprep.vhd.container import describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from vhdprep.disk.backend import Disk
    from vhdprep.guest.image import Guest, Image
    from vhdprep.model import GuestFacts
    from vhdprep.ruleset.rule import Rule


def check(path: Path, rules: tuple[Rule, ...], *, target: Target = Target.GENERALIZED, backend: str = "native") -> Report:
    """Judge the image at ``path`` by ``rules``.

    Raises:
        UsageError: the file is missing or may not be read.
        BackendUnavailable: the backend cannot run here.
    """
    from vhdprep.ruleset.evaluate import evaluate
    from vhdprep.ruleset.load import digest

    clock = _Clock()
    with open_image(path, target=target, backend=backend) as image:
        findings = evaluate(rules, image)
        report = _report(image, backend, clock)
    verdict = judge(findings, report.gaps)
    judged = report._replace(findings=findings, verdict=verdict, ruleset_digest=digest(rules), ruleset_size=len(rules))
    return judged._replace(seconds=clock.seconds())


def inspect(path: Path, *, backend: str = "native", container_only: bool = False) -> Report:
    """The same reading without rules; ``container_only`` stops before the partition table."""
    clock = _Clock()
    if container_only:
        disk = DiskReport("os", describe(path), None, ())
        return _plain_report((disk,), None, (), Target.GENERALIZED, backend, clock)
    with open_image(path, target=Target.GENERALIZED, backend=backend) as image:
        return _report(image, backend, clock)


@contextmanager
def open_image(path: Path, *, target: Target, backend: str = "native") -> Iterator[Image]:
    """Everything that rules may look at, open while the block runs."""
    from vhdprep.disk.backend import load_backend
    from vhdprep.guest.image import Image, ImageDisk

    reader = load_backend(backend)
    container = describe(path)
    with ExitStack() as stack:
        disk, reason = _enter(stack, reader.open_disk(path, container))
        if disk is not None and container.virtual_size is None:
            container = container._replace(virtual_size=disk.size)
        guest, no_guest = _find_guest(disk, reason)
        yield Image((ImageDisk("os", container, disk, reason),), guest, no_guest, target)


def find_gaps(image: Image) -> tuple[str, ...]:
    """What was not read although the verdict depends on it."""
    gaps = [each.reason for each in image.disks if each.disk is None and each.reason]
    for each in image.disks:
        for volume in each.disk.volumes if each.disk else ():
            if volume.needed:
                gaps.append(f"{volume.id}: {volume.reason}")
    if image.no_guest and image.no_guest not in gaps:
        gaps.append(image.no_guest)
    if image.guest is not None and image.guest.registry is not None:
        gaps += image.guest.registry.unread
    if image.guest is not None and image.guest.facts.distro == "unknown":
        gaps.append("the distribution could not be named: neither /etc/os-release nor /usr/lib/os-release gives an ID")
    if image.guest is not None and image.guest.facts.os == "windows" and image.guest.facts.version is None:
        gaps.append("which Windows this is could not be told: its registry was not read")
    return tuple(gaps)


class _Clock:
    """When a run began, and how long it has taken."""

    def __init__(self) -> None:
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self._begin = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._begin


def _enter(stack: ExitStack, opened: AbstractContextManager[Disk]) -> tuple[Disk | None, str | None]:
    try:
        return stack.enter_context(opened), None
    except Unreadable as error:
        return None, str(error)


def _find_guest(disk: Disk | None, reason: str | None) -> tuple[Guest | None, str | None]:
    from vhdprep.guest.assemble import assemble

    if disk is None:
        return None, reason
    try:
        return assemble(disk), None
    except Unreadable as error:
        return None, str(error)


def _report(image: Image, backend: str, clock: _Clock) -> Report:
    disks = tuple(
        DiskReport(each.role, each.container, each.disk.table if each.disk else None, tuple(each.disk.volumes) if each.disk else ())
        for each in image.disks
    )
    return _plain_report(disks, image.guest.facts if image.guest else None, find_gaps(image), image.target, backend, clock)


def _plain_report(
    disks: tuple[DiskReport, ...], facts: GuestFacts | None, gaps: tuple[str, ...], target: Target, backend: str, clock: _Clock
) -> Report:
    return Report(
        target=target,
        verdict=None,
        disks=disks,
        guest=facts,
        gaps=gaps,
        findings=(),
        ruleset_digest="",
        ruleset_size=0,
        started=clock.started,
        seconds=clock.seconds(),
        backend=backend,
        tool_version=__version__,
    )
