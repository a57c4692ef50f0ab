"""The use case: open the image, describe it, find the guest, ask the rules.

Imports are late: describing a container must not wait for what reads guests, nor `inspect` for the rules.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from vhdprep import __version__
from vhdprep.clock import Clock as Clock
from vhdprep.disk.recorder import NOTHING
from vhdprep.errors import Unreadable, UsageError
from vhdprep.location import Url, lost, transferred, urls
from vhdprep.machine import roles
from vhdprep.model import DiskReport, Report, Target
from vhdprep.verdict import judge
from vhdprep.vhd.container import describe, unread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vhdprep.declared import Declared
    from vhdprep.disk.backend import Disk, Source
    from vhdprep.guest.image import Guest, Image, ImageDisk
    from vhdprep.location import Location
    from vhdprep.machine import Named
    from vhdprep.model import Phase, Provisioner
    from vhdprep.policy import PolicyItem
    from vhdprep.ruleset.evaluate import Progress
    from vhdprep.ruleset.rule import Rule

BOTH = "both"
"""In the place of a backend: read with one and the other, and compare."""
_COMPARED = ("native", "guestfs")


def check(
    path: Location,
    rules: tuple[Rule, ...],
    *,
    data: Sequence[Location] = (),
    declared: Declared | None = None,
    target: Target = Target.GENERALIZED,
    backend: str = "native",
    tree: bool = False,
    key: str | None = None,
    avoid: Mapping[str, str] = NOTHING,
    progress: Progress | None = None,
) -> Report:
    """Judge the image at ``path`` by ``rules``; with ``tree`` an unpacked root tree, without container and disk.

    ``data``: the machine's other disks, in the order of their LUNs. ``declared``: what its manifest says.
    ``backend``: one of ``BACKENDS``, or ``both``.
    ``key``: the passphrase of encrypted volumes. ``avoid``: volumes that crashed their reader, and why (see ``isolate``).

    Raises:
        UsageError: a file is missing, may not be read, or is named twice.
        BackendUnavailable: the backend cannot run here.
    """
    if backend == BOTH and not tree:
        from vhdprep.compare import compare

        again = partial(check, path, rules, data=data, declared=declared, target=target, tree=tree, key=key, avoid=avoid, progress=progress)
        return compare(*(again(backend=each) for each in _COMPARED))
    clock = Clock()
    open_disks = partial(open_image, data=data, declared=declared, backend=backend, key=key, avoid=avoid)
    with (open_tree if tree else open_disks)(path, target=target) as image:
        return judge_image(image, path, rules, backend, clock, progress)


def judge_image(image: Image, path: Location, rules: tuple[Rule, ...], backend: str, clock: Clock, progress: Progress | None = None) -> Report:
    """What ``rules`` say of an image that is open."""
    from vhdprep.ruleset.evaluate import evaluate
    from vhdprep.ruleset.load import digest

    findings = evaluate(rules, image, progress)
    if (settled := settle(image)) is not image:
        image, findings = settled, evaluate(rules, settled)
    report = _report(image, path, backend, clock)
    verdict = judge(findings, report.gaps)
    judged = report._replace(findings=findings, verdict=verdict, ruleset_digest=digest(rules), ruleset_size=len(rules))
    return judged._replace(policies=_policies(image.target), seconds=clock.seconds())


def inspect(
    path: Location,
    *,
    data: Sequence[Location] = (),
    declared: Declared | None = None,
    backend: str = "native",
    container_only: bool = False,
    tree: bool = False,
    key: str | None = None,
    avoid: Mapping[str, str] = NOTHING,
) -> Report:
    """The same reading without rules; ``container_only`` stops before the partition table."""
    if backend == BOTH and not tree and not container_only:
        from vhdprep.compare import compare

        return compare(*(inspect(path, data=data, declared=declared, backend=each, tree=tree, key=key, avoid=avoid) for each in _COMPARED))
    clock = Clock()
    if container_only:
        named = roles(path, data, declared)
        disks = tuple(DiskReport(each.role, describe(each.path), None, (), each.lun) for each in named)
        gaps = tuple(each.container.unread for each in disks if each.container.unread)
        report = _plain_report(str(path), disks, gaps, Target.GENERALIZED, backend, clock)
        return report._replace(transferred=transferred(urls((path, *data))))
    opened = (
        open_tree(path, target=Target.GENERALIZED)
        if tree
        else open_image(path, data=data, declared=declared, target=Target.GENERALIZED, backend=backend, key=key, avoid=avoid)
    )
    with opened as image:
        return _report(settle(image), path, backend, clock)


@contextmanager
def open_image(
    path: Location,
    *,
    target: Target,
    data: Sequence[Location] = (),
    declared: Declared | None = None,
    backend: str = "native",
    key: str | None = None,
    avoid: Mapping[str, str] = NOTHING,
    over: Callable[[Disk], Disk] | None = None,
) -> Iterator[Image]:
    """Everything that rules may look at, open while the block runs; ``over`` lays something over each disk."""
    from vhdprep.disk.backend import load_backend

    reader = load_backend(backend)
    named, sources = sources_of(path, data, key, declared)
    with reader.open_disks(sources, avoid) as opened:
        covered = [over(disk) if over and not isinstance(disk, Unreadable) else disk for disk in opened]
        yield image_of(named, sources, covered, target)._replace(declared=declared)


def sources_of(
    path: Location, data: Sequence[Location] = (), key: str | None = None, declared: Declared | None = None
) -> tuple[Sequence[Named], list[Source]]:
    """The disks of an image by role and name, and as what a backend opens."""
    from vhdprep.disk.backend import Source

    named = roles(path, data, declared)
    return named, [Source(each.path, describe(each.path), f"{each.name}:" if each.name else "", key) for each in named]


def image_of(named: Sequence[Named], sources: Sequence[Source], opened: Sequence[Disk | Unreadable], target: Target) -> Image:
    """What a backend has opened, as rules see it."""
    from vhdprep.guest.image import Image, ImageDisk

    disks = []
    for each, source, disk in zip(named, sources, opened, strict=True):
        if isinstance(disk, Unreadable):
            disks.append(ImageDisk(each.role, source.container, None, str(disk), each.name, each.lun))
        else:
            size = source.container.virtual_size
            container = source.container._replace(virtual_size=disk.size if size is None else size)
            disks.append(ImageDisk(each.role, container, disk, None, each.name, each.lun))
    guest, no_guest = _find_guest(disks)
    return Image(tuple(disks), guest, no_guest, target, remotes=urls(each.path for each in named))


def settle(image: Image) -> Image:
    """The image, or, where reading it over the network broke off or it changed meanwhile, the same as one of which nothing was read.

    What was seen then may be of two images, or damage that only the network did: no rule may be decided by it.
    """
    reason = lost(image.remotes)
    if reason is None:
        return image
    disks = (each._replace(container=unread(each.container.path, reason, each.container.file_size), disk=None, reason=reason) for each in image.disks)
    return image._replace(disks=tuple(disks), guest=None, no_guest=reason)


def look_again(image: Image) -> Image:
    """The same disks with the operating system on them found and read anew."""
    guest, no_guest = _find_guest(image.disks)
    return image._replace(guest=guest, no_guest=no_guest)


@contextmanager
def open_tree(root: Location, *, target: Target) -> Iterator[Image]:
    """An unpacked root tree of Linux as an image without disks.

    Raises:
        UsageError: ``root`` is no directory.
    """
    if isinstance(root, Url):
        raise UsageError(f"{root}: a tree is read from a directory of this host")
    from vhdprep.disk.directory import DirectoryFiles
    from vhdprep.guest.assemble import assemble_tree
    from vhdprep.guest.image import Image

    files = DirectoryFiles(root)
    try:
        guest, no_guest = assemble_tree(files), None
    except Unreadable as error:
        guest, no_guest = None, str(error)
    yield Image((), guest, no_guest, target)


def _find_guest(disks: Sequence[ImageDisk]) -> tuple[Guest | None, str | None]:
    """The operating system on the first disk, or why there is none to judge."""
    from vhdprep.guest.assemble import assemble

    first, *others = disks
    if first.disk is None:
        return None, first.reason
    try:
        return assemble(first.disk, [each.disk for each in others if each.disk is not None]), None
    except Unreadable as error:
        return None, str(error)


def _report(image: Image, path: Location, backend: str, clock: Clock) -> Report:
    from vhdprep.guest.gaps import find_gaps

    disks = tuple(
        DiskReport(each.role, each.container, each.disk.table if each.disk else None, tuple(each.disk.volumes) if each.disk else (), each.lun)
        for each in image.disks
    )
    used = tuple(dict.fromkeys(name for each in image.disks if each.disk for name in each.disk.backends))
    report = _plain_report(str(path), disks, find_gaps(image), image.target, "+".join(used) or backend, clock)._replace(
        declared=image.declared, transferred=transferred(image.remotes)
    )
    if image.guest is None:
        return report
    return report._replace(guest=image.guest.facts, provisioner=_find_provisioner(image.guest), phase=_find_phase(image.guest))


def _policies(target: Target) -> tuple[PolicyItem, ...]:
    if target is not Target.MARKETPLACE:
        return ()
    from vhdprep.guest import policies

    return policies.items()


def _find_provisioner(guest: Guest) -> Provisioner | None:
    if guest.facts.os != "linux":
        return None
    from vhdprep.guest import provisioner

    return provisioner.find(guest)


def _find_phase(guest: Guest) -> Phase | None:
    if guest.registry is None:
        return None
    from vhdprep.guest import setupphase
    from vhdprep.ruleset.evaluate import masked

    found = setupphase.find(guest)
    return found._replace(witnesses=tuple(masked(each) for each in found.witnesses))


def _plain_report(subject: str, disks: tuple[DiskReport, ...], gaps: tuple[str, ...], target: Target, backend: str, clock: Clock) -> Report:
    return Report(
        subject=subject, target=target, verdict=None, disks=disks, guest=None, provisioner=None, phase=None, gaps=gaps, findings=(),
        ruleset_digest="", ruleset_size=0, left_out=0, started=clock.started, seconds=clock.seconds(), backend=backend, tool_version=__version__,
    )  # fmt: skip
