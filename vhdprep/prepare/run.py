"""Look, plan, copy, edit the copy, look again, and only then give it its name. The source is never written."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from typing import TYPE_CHECKING, NamedTuple

from vhdprep import isolate
from vhdprep.check import Clock, judge_image, look_again, open_image
from vhdprep.compare import compare
from vhdprep.disk.backend import REPLAYED
from vhdprep.errors import CopyFailed, UsageError
from vhdprep.model import Finding, Outcome, Report, Severity, Target
from vhdprep.prepare import plan as plans
from vhdprep.prepare import planfile, secondopinion
from vhdprep.prepare.draft import DraftDisk
from vhdprep.prepare.partial import partial, refuse_existing
from vhdprep.prepare.source import open_source
from vhdprep.remedy import Manual
from vhdprep.verdict import judge
from vhdprep.vhd import convert

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from vhdprep.disk.backend import Disk
    from vhdprep.model import Volume
    from vhdprep.prepare.partial import Partial
    from vhdprep.prepare.plan import Forecast, Plan, Planned
    from vhdprep.prepare.planfile import Terms
    from vhdprep.ruleset.rule import Rule

LEDGER = "{name}.changes.json"
"""What the list of changes beside a copy is called."""
ROOM = 64 * 1024 * 1024
"""Bytes that must be free on the host to change the copy: journals, and blocks that were holes."""

_SHOWN = 200
"""Characters of a plan's terms that are quoted."""


_TABLE = "disk-table-valid"
"""The rule that fails where partitions lie outside the disk: nothing that is done to the rest makes such a disk better."""


class Wish(NamedTuple):
    """What the user asks for."""

    rules: tuple[Rule, ...]
    target: Target = Target.GENERALIZED
    backend: str = "native"
    unsafe: bool = False
    users: tuple[str, ...] = ()
    selected: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


class Looked(NamedTuple):
    """A source, judged, and what would be done to it."""

    report: Report
    planned: Planned
    volumes: tuple[Volume, ...]


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
    with open_source(source, scratch) as reader:
        size, digest = reader.size, planfile.fingerprint(reader)
    return planfile.Terms(size, digest, report.ruleset_digest, str(wish.target), wish.unsafe, wish.selected, wish.ignored, wish.users)


def prepare(
    source: Path, destination: Path, wish: Wish, *, reviewed: tuple[Plan, Terms] | None = None, progress: Callable[[int, int, str], None]
) -> Prepared:
    """Make the prepared copy.

    Raises:
        UsageError: the call cannot be carried out as it was made.
        CopyFailed: no copy was made; the source is as it was.
        BackendUnavailable: libguestfs is needed and cannot run here.
    """
    with partial(destination) as work:
        refuse_existing(ledger := destination.with_name(LEDGER.format(name=destination.name)))
        looked = look(source, wish)
        _refuse_unclean(looked)
        _refuse_hiding(looked.report)
        open_journals = {each.id for each in looked.volumes if each.state == "unclean"}
        if reviewed is not None:
            _compare(reviewed, looked, make_terms(source, destination.parent, looked.report, wish))
        with open_source(source, destination.parent) as reader:
            copied = convert.copy(reader, work.file, progress=progress)
        if open_journals:
            looked = _replayed(work, looked, wish, open_journals, reviewed)
        acceleration = _edit(work.path, looked, progress)
        convert.append_footer(work.file, copied.size, unique_id=uuid.uuid4(), now=int(time.time()))
        secondopinion.confirm(work.path, copied.size)
        progress(0, 1, "check")
        backends = ("auto", "guestfs") if wish.backend == "auto" and _has_second(looked, acceleration) else (wish.backend,)
        after = isolate.call(lambda avoid: _look_at_copy(work, wish, backends, avoid))
        return _finish(work, ledger, looked, after)


def _finish(work: Partial, ledger: Path, looked: Looked, after: Report) -> Prepared:
    """Publish the copy with its ledger, if nothing is worse."""
    before, plan = looked.report, looked.planned.plan
    changed = plans.forecast(before.findings, after.findings)
    worse = tuple(each for each in changed if each.is_worse)
    new_gaps = tuple(each for each in after.gaps if each not in before.gaps)
    shown = after._replace(findings=_fixed(before, after))
    shown = shown._replace(verdict=judge(shown.findings, shown.gaps))
    if worse or new_gaps:
        return Prepared(before, shown, plan, worse, new_gaps, None)
    with partial(ledger) as beside:
        beside.write(json.dumps(_ledger(before, shown, plan), indent=2) + "\n")
        work.publish()
        beside.publish()
    return Prepared(before, shown, plan, (), (), ledger)


def _look(source: Path, wish: Wish, avoid: Mapping[str, str]) -> Looked:
    clock = Clock()
    drafts: list[DraftDisk] = []

    def over(disk: Disk) -> Disk:
        drafts.append(DraftDisk(disk))
        return drafts[-1]

    with open_image(source, target=wish.target, backend=wish.backend, avoid=avoid, over=over) as image:
        report = judge_image(image, source, wish.rules, wish.backend, clock)
        planned = plans.make(lambda: look_again(image), wish.rules, unsafe=wish.unsafe, users=wish.users)
        volumes = tuple(image.os_disk.disk.volumes) if image.os_disk.disk else ()
    return Looked(report, planned, volumes)


def _has_second(looked: Looked, acceleration: str | None) -> bool:
    """Whether another backend looks at the copy too: where starting it takes seconds, and where it reads as much. Of a Windows ntfs-3g reads less."""
    guest = looked.report.guest
    return acceleration == "KVM" and guest is not None and guest.os != "windows"


def _look_at_copy(work: Partial, wish: Wish, backends: Sequence[str], avoid: Mapping[str, str]) -> Report:
    """Judge the copy under the name that it will have; what two backends see differently is undecided."""
    first, *others = (_judge_copy(work, wish, backend, avoid) for backend in backends)
    return compare(first, others[0]) if others else first


def _judge_copy(work: Partial, wish: Wish, backend: str, avoid: Mapping[str, str]) -> Report:
    clock = Clock()
    with open_image(work.path, target=wish.target, backend=backend, avoid=avoid) as image:
        (disk,) = image.disks
        named = disk.container._replace(path=str(work.destination))
        return judge_image(image._replace(disks=(disk._replace(container=named),)), work.destination, wish.rules, backend, clock)


def _edit(path: Path, looked: Looked, progress: Callable[[int, int, str], None]) -> str | None:
    """Carry out the plan; gives what the appliance ran with, None = it was not needed."""
    changes, contents = looked.planned
    if not changes.changes:
        return None
    needed = ROOM + sum(len(data) for data in contents.values())
    if shutil.disk_usage(path.parent).free < needed:  # a virtual machine whose disk cannot grow stands still
        raise CopyFailed(
            f"there is no room to change the copy: {needed // convert.MIB} MiB must be free in {path.parent}; make room, or write elsewhere"
        )
    from vhdprep.prepare.editor import open_editor  # late: it starts a virtual machine

    progress(0, len(changes.changes), "edit")
    with open_editor(path, looked.volumes, {each.spot.volume for each in changes.changes}) as editor:
        editor.blank(changes.changes)
        for number, change in enumerate(changes.changes, 1):
            editor.perform(change, contents.get(change.spot, b""))
            progress(number, len(changes.changes), "edit")
        return editor.acceleration


def _refuse_hiding(report: Report) -> None:
    """What is wrong with the container itself is gone in a copy, and with it the only sign that its content may be wrong too."""
    for each in report.findings:
        about_file = each.rule_id.startswith(("vhd-", "vhdx-")) and each.rule_id != "vhd-name-plain" and each.severity is not Severity.NOTE
        if each.outcome is not Outcome.FAIL or not isinstance(each.remedy, Manual):
            continue
        if each.rule_id == _TABLE:
            raise CopyFailed(f"this disk is not whole ({each.rule_id}): {each.message} {each.remedy.steps[1]}")
        if about_file:
            raise CopyFailed(f"a copy would hide what is wrong with this file ({each.rule_id}): {each.message} {' '.join(each.remedy.steps[:1])}")


def _replayed(work: Partial, looked: Looked, wish: Wish, volumes: set[str], reviewed: tuple[Plan, Terms] | None) -> Looked:
    """Let Linux carry out the journals in the copy, and plan by what is there then: the source could only be read without them."""
    from vhdprep.prepare.editor import open_editor

    with open_editor(work.path, looked.volumes, volumes):
        pass
    again = look(work.path, wish)
    plan = again.planned.plan._replace(copy=looked.planned.plan.copy)
    if reviewed is not None and plan.changes != looked.planned.plan.changes:
        raise UsageError("a journal of this image was open, and with it carried out other changes are needed than the plan's; prepare without --plan")
    return looked._replace(planned=again.planned._replace(plan=plan), volumes=again.volumes)


def _refuse_unclean(looked: Looked) -> None:
    """What waits in a journal is not in what was read, and would be lost or mixed with the changes."""
    for volume in looked.volumes:
        if volume.state == "hibernated":
            raise CopyFailed(
                f"{volume.id}: Windows sleeps on this volume (hibernation or Fast Startup), and writing to it would destroy what it has open;"
                " start the machine, run: powercfg /h off, shut it down, and run again"
            )
        if volume.state == "unclean" and volume.filesystem not in REPLAYED:
            raise CopyFailed(
                f"{volume.id}: this {volume.filesystem} was not unmounted cleanly, and what waits in its journal was not read;"
                " start the machine once more, shut it down, and run again"
            )


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
        "verdict": {"before": before.verdict, "after": after.verdict},
        "converted": list(plan.copy),
        "changes": [planfile.as_values(each) for each in plan.changes],
        "rules": [planfile.as_values(each) for each in plans.forecast(before.findings, after.findings)],
    }
