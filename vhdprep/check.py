"""The use case: open the image, describe it, find the guest, ask the rules."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vhdprep import __version__
from vhdprep.disk.backend import load_backend
from vhdprep.errors import Unreadable
from vhdprep.guest.assemble import assemble
from vhdprep.guest.image import Image, ImageDisk
from vhdprep.model import DiskReport, Report, Target, judge
from vhdprep.vhd.container import describe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from vhdprep.disk.backend import Disk
    from vhdprep.guest.image import Guest
    from vhdprep.ruleset.rule import Rule


def check(path: Path, rules: tuple[Rule, ...], *, target: Target = Target.GENERALIZED, backend: str = "native") -> Report:
    """Judge the image at ``path`` by ``rules``.

    Raises:
        UsageError: the file is missing or may not be read.
        BackendUnavailable: the backend cannot run here.
    """
    from vhdprep.ruleset.evaluate import evaluate
    from vhdprep.ruleset.load import digest

    started, clock = datetime.now(UTC), time.perf_counter()
    with open_image(path, target=target, backend=backend) as image:
        findings = evaluate(rules, image)
        gaps = find_gaps(image)
        report = _report(image, backend, started, clock)
    return replace(
        report, findings=findings, gaps=gaps, verdict=judge(findings, gaps), ruleset_digest=digest(rules), ruleset_size=len(rules),
        seconds=time.perf_counter() - clock,
    )  # fmt: skip


def inspect(path: Path, *, backend: str = "native", container_only: bool = False) -> Report:
    """The same reading without rules; ``container_only`` stops before the partition table."""
    started, clock = datetime.now(UTC), time.perf_counter()
    if container_only:
        disk = ImageDisk("os", describe(path), None, "not asked for")
        return _report(Image((disk,), None, "not asked for", Target.GENERALIZED), backend, started, clock)
    with open_image(path, target=Target.GENERALIZED, backend=backend) as image:
        return _report(image, backend, started, clock)


@contextmanager
def open_image(path: Path, *, target: Target, backend: str = "native") -> Iterator[Image]:
    """Everything that rules may look at, open while the block runs."""
    reader = load_backend(backend)
    container = describe(path)
    with ExitStack() as stack:
        opened = reader.open_disk(path, container)
        disk, reason = _enter(stack, opened)
        if disk is not None and container.virtual_size is None:
            container = replace(container, virtual_size=disk.size)
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
    if image.guest is not None and image.guest.facts.distro == "unknown":
        gaps.append("the distribution could not be named: neither /etc/os-release nor /usr/lib/os-release gives an ID")
    return tuple(gaps)


def _enter(stack: ExitStack, opened: AbstractContextManager[Disk]) -> tuple[Disk | None, str | None]:
    try:
        return stack.enter_context(opened), None
    except Unreadable as error:
        return None, str(error)


def _find_guest(disk: Disk | None, reason: str | None) -> tuple[Guest | None, str | None]:
    if disk is None:
        return None, reason
    try:
        return assemble(disk), None
    except Unreadable as error:
        return None, str(error)


def _report(image: Image, backend: str, started: datetime, clock: float) -> Report:
    disks = tuple(
        DiskReport(each.role, each.container, each.disk.table if each.disk else None, tuple(each.disk.volumes) if each.disk else ())
        for each in image.disks
    )
    facts = image.guest.facts if image.guest else None
    gaps = find_gaps(image)
    stamp = started.isoformat(timespec="seconds")
    return Report(image.target, None, disks, facts, gaps, (), "", 0, stamp, time.perf_counter() - clock, backend, __version__)
