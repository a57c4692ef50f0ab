"""A run over a fleet: what is there already is taken, what is missing is judged, and what comes back is kept at once."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vhdprep import __version__
from vhdprep.check import Clock
from vhdprep.errors import UsageError
from vhdprep.fleet import cells, engine
from vhdprep.fleet.summary import Gathering, Run, Summary, ordered
from vhdprep.fleet.work import Job, Options, load
from vhdprep.model import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from vhdprep.fleet.inputs import Named
    from vhdprep.fleet.results import Results
    from vhdprep.ruleset.evaluate import Progress

STEP = "images"
"""What progress is counted in."""


class Plan(NamedTuple):
    """A run before it begins."""

    named: Sequence[Named]
    options: Options
    jobs: int
    """Processes on this machine."""
    scheduler: str | None
    """Of Dask; None = processes of this program."""
    results: Results | None
    wait: float
    """Seconds by the clock for one image, without its digests."""


class _Todo(NamedTuple):
    job: Job
    place: Path | None
    files: tuple[str, ...]


def judge_all(plan: Plan, progress: Progress, *, on_stop: Callable[[], None]) -> Summary:
    """The summary of all images. Somebody who ends the run gets one of those that are finished; ``on_stop`` is then called first.

    Raises:
        UsageError: rules, waivers, the scheduler or the folder for results cannot be used.
        BackendUnavailable: Dask is not installed.
    """
    clock, gathered = Clock(), Gathering()
    loaded = load(plan.options)
    todo = _missing(plan, loaded.stamp, gathered)
    reused = len(gathered.entries)
    used = (plan.scheduler and "dask") or "processes"
    try:
        if todo:
            _carry_out(plan, todo, gathered, progress)
    except KeyboardInterrupt:
        on_stop()
    entries = [*gathered.entries]
    return Summary(
        entries=ordered(entries),
        missing=len(plan.named) - len(entries),
        facts=dict(sorted(gathered.facts.items())),
        target=plan.options.target,
        fail_on=Severity(plan.options.fail_on),
        ruleset_digest=loaded.ruleset,
        ruleset_size=len(loaded.rules),
        left_out=loaded.left_out,
        tool_version=__version__,
        run=Run(clock.started, round(clock.seconds(), 3), used, plan.jobs, reused - sum(each.error is not None for each in entries[:reused])),
    )


def _missing(plan: Plan, stamp: str, gathered: Gathering) -> dict[str, _Todo]:
    """What has to be judged, by name; what is there already, and what cannot be judged, goes into ``gathered``."""
    todo = {}
    for each in plan.named:
        job = Job(each.subject, plan.options, stamp, str(Path.cwd()))
        place = plan.results.path(job, each.disks) if plan.results else None
        kept = plan.results.find(place) if plan.results and place else None
        if each.wrong is not None:
            gathered.fail(each.subject, each.wrong)
        elif kept is not None and place is not None:
            gathered.add(each.subject, kept, str(place))
        else:
            todo[each.subject] = _Todo(job, place, each.disks)
    return todo


def _carry_out(plan: Plan, todo: dict[str, _Todo], gathered: Gathering, progress: Progress) -> None:
    def seconds(job: Job) -> float:
        return plan.wait + (sum(map(_size, todo[job.subject].files)) / cells.MIN_RATE if plan.options.digest or plan.options.waivers else 0)

    started: AbstractContextManager[engine.Engine] = (
        engine.dask(plan.scheduler, plan.jobs) if plan.scheduler else engine.processes(min(plan.jobs, len(todo)))
    )
    progress(0, len(todo), STEP)
    with started as running, closing(engine.carry_out(running, (each.job for each in todo.values()), seconds)) as answers:
        for done, (job, answer) in enumerate(answers, 1):
            _take(answer, todo[job.subject], plan.results, gathered)
            progress(done, len(todo), STEP)


def _take(answer: cells.Answer, asked: _Todo, results: Results | None, gathered: Gathering) -> None:
    subject = asked.job.subject
    if answer.report is None:
        gathered.fail(subject, answer.error or "no reason was given")
        return
    try:
        gathered.add(subject, json.loads(answer.report), str(asked.place) if results and asked.place else None)
    except (ValueError, UsageError) as error:
        gathered.fail(subject, f"what came back is no report ({error})")
        return
    if results and asked.place:
        results.keep(asked.place, answer.report)


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
