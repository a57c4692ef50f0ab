"""Look, plan, copy, edit the copy, look again, and only then give it its name. The source is never written."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from vhdprep import isolate
from vhdprep.check import Clock, judge_image, look_again, open_image
from vhdprep.compare import compare
from vhdprep.errors import CopyFailed, UsageError
from vhdprep.model import Finding, Outcome, Report, Target
from vhdprep.prepare import plan as plans
from vhdprep.prepare import planfile, refusals, secondopinion
from vhdprep.prepare.copies import open_copies
from vhdprep.prepare.draft import DraftDisk
from vhdprep.prepare.source import open_source
from vhdprep.verdict import judge
from vhdprep.vhd import convert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from vhdprep.declared import Declared
    from vhdprep.disk.backend import Disk
    from vhdprep.model import Volume
    from vhdprep.prepare.copies import Copies
    from vhdprep.prepare.plan import Forecast, Plan, Planned
    from vhdprep.prepare.planfile import Terms
    from vhdprep.rehearsal import Rehearsal
    from vhdprep.ruleset.rule import Rule
    from vhdprep.vhd.blocks import Reader

ROOM = 64 * 1024 * 1024
"""Bytes that must be free on the host to change the copy: journals, and blocks that were holes."""

_SHOWN = 200
"""Characters of a plan's terms that are quoted."""


class Wish(NamedTuple):
    """What the user asks for."""

    rules: tuple[Rule, ...]
    target: Target = Target.GENERALIZED
    backend: str = "native"
    unsafe: bool = False
    users: tuple[str, ...] = ()
    selected: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    data: tuple[Path, ...] = ()
    """The machine's other disks, by LUN; they are prepared together or not at all."""
    declared: Declared | None = None
    """What the machine's manifest says."""
    rehearse: Callable[[Sequence[Path]], Rehearsal] | None = None
    """Boots the copies, before they have their names; they only get them when they provision."""


class Looked(NamedTuple):
    """A source, judged, and what would be done to it."""

    report: Report
    planned: Planned
    disks: tuple[tuple[Volume, ...], ...]
    """The volumes of each disk."""
    arrays: Mapping[str, str] = MappingProxyType({})
    """Id of an array's volume → its UUID."""

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """Of all disks."""
        return tuple(volume for disk in self.disks for volume in disk)


class Prepared(NamedTuple):
    """What came of it."""

    before: Report
    after: Report
    """Of the copy; what failed and passes now is ``fixed``."""
    plan: Plan
    worse: tuple[Forecast, ...]
    """Rules that stand against the copy and did not before; then there is no copy."""
    new_gaps: tuple[str, ...]
    ledger: Path | None
    """None when there is no copy."""


def look(source: Path, wish: Wish) -> Looked:
    """Judge the source and plan, in a child process that a damaged image may crash.

    Raises:
        UsageError: the image may not be read, or an account to delete is none.
    """
    return isolate.call(lambda avoid: _look(source, wish, avoid))


def make_terms(source: Path, scratch: Path, report: Report, wish: Wish) -> Terms:
    """What binds a plan to this image, these rules and these wishes."""
    with _open_sources((source, *wish.data), scratch) as readers:
        size = sum(each.size for each in readers)
        digest = planfile.join([planfile.fingerprint(each) for each in readers])
    return planfile.Terms(size, digest, report.ruleset_digest, str(wish.target), wish.unsafe, wish.selected, wish.ignored, wish.users)


@contextmanager
def _open_sources(paths: Sequence[Path], scratch: Path) -> Iterator[list[Reader]]:
    """Every disk of the machine; they stay as they are until the block ends."""
    with ExitStack() as stack:
        yield [stack.enter_context(open_source(each, scratch)) for each in paths]


def prepare(
    source: Path, destination: Path, wish: Wish, *, reviewed: tuple[Plan, Terms] | None = None, progress: Callable[[int, int, str], None]
) -> Prepared:
    """Make the prepared copy: a file, or of several disks a folder with all of them.

    Raises:
        UsageError: the call cannot be carried out as it was made.
        CopyFailed: no copy was made; the source is as it was.
        BackendUnavailable: libguestfs is needed and cannot run here.
    """
    sources = (source, *wish.data)
    with open_copies(destination, sources) as work:
        looked = look(source, wish)
        refusals.unclean(looked.volumes)
        refusals.hiding(looked.report)
        open_journals = {each.id for each in looked.volumes if each.state == "unclean"}
        if reviewed is not None:
            _compare(reviewed, looked, make_terms(source, destination.parent, looked.report, wish))
        with _open_sources(sources, destination.parent) as readers:
            copied = [convert.copy(reader, each.file, progress=progress) for reader, each in zip(readers, work.disks, strict=True)]
        if open_journals:
            looked = _replayed(work, looked, wish, open_journals, reviewed)
        acceleration = _edit(work, looked, progress)
        for each, was in zip(work.disks, copied, strict=True):
            convert.append_footer(each.file, was.size, unique_id=uuid.uuid4(), now=int(time.time()))
            secondopinion.confirm(each.path, was.size)
        progress(0, 1, "check")
        backends = ("auto", "guestfs") if wish.backend == "auto" and _has_second(looked, acceleration) else (wish.backend,)
        after = isolate.call(lambda avoid: _look_at_copy(work, wish, backends, avoid))
        return _finish(work, looked, after, wish)


def _finish(work: Copies, looked: Looked, after: Report, wish: Wish) -> Prepared:
    """Publish the copies with their ledger, if nothing is worse."""
    before, plan = looked.report, looked.planned.plan
    changed = plans.forecast(before.findings, after.findings)
    worse = tuple(each for each in changed if each.is_worse)
    new_gaps = tuple(each for each in after.gaps if each not in before.gaps)
    shown = after._replace(findings=_fixed(before, after))
    shown = shown._replace(verdict=judge(shown.findings, shown.gaps))
    if worse or new_gaps:
        return Prepared(before, shown, plan, worse, new_gaps, None)
    if wish.rehearse is not None:
        rehearsal = wish.rehearse([each.path for each in work.disks])
        shown = shown._replace(rehearsal=rehearsal)
        if not rehearsal.provisions:
            return Prepared(before, shown, plan, (), (), None)
    work.publish(json.dumps(_ledger(before, shown, plan), indent=2) + "\n", wish.target, wish.declared)
    return Prepared(before, shown, plan, (), (), work.ledger)


def _look(source: Path, wish: Wish, avoid: Mapping[str, str]) -> Looked:
    clock = Clock()
    drafts: list[DraftDisk] = []

    def over(disk: Disk) -> Disk:
        drafts.append(DraftDisk(disk))
        return drafts[-1]

    opened = open_image(source, data=wish.data, declared=wish.declared, target=wish.target, backend=wish.backend, avoid=avoid, over=over)
    with opened as image:
        report = judge_image(image, source, wish.rules, wish.backend, clock)
        planned = plans.make(lambda: look_again(image), wish.rules, unsafe=wish.unsafe, users=wish.users)
        disks = tuple(tuple(each.disk.volumes) if each.disk else () for each in image.disks)
        arrays = {group.id: group.uuid for each in image.disks if each.disk for group in each.disk.groups if group.kind == "md" and group.uuid}
    return Looked(report, planned, disks, arrays)


def _has_second(looked: Looked, acceleration: str | None) -> bool:
    """Whether another backend looks at the copy too: where starting it takes seconds, and where it reads as much. Of a Windows ntfs-3g reads less."""
    guest = looked.report.guest
    return acceleration == "KVM" and guest is not None and guest.os != "windows"


def _look_at_copy(work: Copies, wish: Wish, backends: Sequence[str], avoid: Mapping[str, str]) -> Report:
    """Judge the copy under the name that it will have; what two backends see differently is undecided."""
    first, *others = (_judge_copy(work, wish, backend, avoid) for backend in backends)
    return compare(first, others[0]) if others else first


def _judge_copy(work: Copies, wish: Wish, backend: str, avoid: Mapping[str, str]) -> Report:
    clock = Clock()
    first, *others = (each.path for each in work.disks)
    with open_image(first, data=others, declared=wish.declared, target=wish.target, backend=backend, avoid=avoid) as image:
        named = (
            disk._replace(container=disk.container._replace(path=str(each.destination))) for disk, each in zip(image.disks, work.disks, strict=True)
        )
        return judge_image(image._replace(disks=tuple(named)), work.disks[0].destination, wish.rules, backend, clock)


def _edit(work: Copies, looked: Looked, progress: Callable[[int, int, str], None]) -> str | None:
    """Carry out the plan; gives what the appliance ran with, None = it was not needed."""
    changes, contents = looked.planned
    if not changes.changes:
        return None
    needed = ROOM + sum(len(data) for data in contents.values())
    folder = work.disks[0].path.parent
    if shutil.disk_usage(folder).free < needed:  # a virtual machine whose disk cannot grow stands still
        raise CopyFailed(f"there is no room to change the copy: {needed // convert.MIB} MiB must be free in {folder}; make room, or write elsewhere")
    from vhdprep.prepare.editor import open_editor  # late: it starts a virtual machine

    progress(0, len(changes.changes), "edit")
    mounted = {each.spot.volume for each in changes.changes} | _of_one_moment(looked)
    with open_editor([each.path for each in work.disks], looked.disks, mounted, looked.arrays) as editor:
        editor.blank(changes.changes)
        for number, change in enumerate(changes.changes, 1):
            editor.perform(change, contents.get(change.spot, b""))
            progress(number, len(changes.changes), "edit")
        return editor.acceleration


def _of_one_moment(looked: Looked) -> set[str]:
    """Of several disks, the file systems that tell when they were last written: mounted together they go on telling one moment."""
    return {each.id for each in looked.volumes if each.read and each.written is not None} if len(looked.disks) > 1 else set()


def _replayed(work: Copies, looked: Looked, wish: Wish, volumes: set[str], reviewed: tuple[Plan, Terms] | None) -> Looked:
    """Let Linux carry out the journals in the copy, and plan by what is there then: the source could only be read without them."""
    from vhdprep.prepare.editor import open_editor

    first, *others = (each.path for each in work.disks)
    with open_editor([first, *others], looked.disks, volumes, looked.arrays):
        pass
    again = look(first, wish._replace(data=tuple(others)))
    plan = again.planned.plan._replace(copy=looked.planned.plan.copy)
    if reviewed is not None and plan.changes != looked.planned.plan.changes:
        raise UsageError("a journal of this image was open, and with it carried out other changes are needed than the plan's; prepare without --plan")
    return looked._replace(planned=again.planned._replace(plan=plan), disks=again.disks)


def _compare(reviewed: tuple[Plan, Terms], looked: Looked, terms: Terms) -> None:
    """A reviewed plan is carried out as it stands, or not at all."""
    plan, stated = reviewed
    for name in planfile.Terms._fields:
        if getattr(stated, name) != getattr(terms, name):
            mine, here = (repr(getattr(each, name))[:_SHOWN] for each in (stated, terms))
            raise UsageError(f"the plan was made for something else: its {name} is {mine}, here it is {here}")
    if plan != looked.planned.plan:
        raise UsageError("the plan was changed, or another version of this program made it; make it anew with --plan-only")


def _fixed(before: Report, after: Report) -> tuple[Finding, ...]:
    failed = {each.rule_id for each in before.findings if each.outcome is Outcome.FAIL}
    return tuple(each._replace(outcome=Outcome.FIXED) if each.outcome is Outcome.PASS and each.rule_id in failed else each for each in after.findings)


def _ledger(before: Report, after: Report, plan: Plan) -> dict[str, object]:
    """Every change that was made, with the rules before and after."""
    return {
        "schema": "vhdprep-changes/1",
        "source": before.subject,
        "copy": after.subject,
        "disks": [{"source": was.container.path, "copy": now.container.path} for was, now in zip(before.disks, after.disks, strict=True)],
        "verdict": {"before": before.verdict, "after": after.verdict},
        **({"rehearsal": after.rehearsal.outcome} if after.rehearsal else {}),
        "converted": list(plan.copy),
        "changes": [planfile.as_values(each) for each in plan.changes],
        "rules": [planfile.as_values(each) for each in plans.forecast(before.findings, after.findings)],
    }
