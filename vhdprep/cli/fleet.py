"""``vhdprep fleet check``: many images in one run."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vhdprep.cli import check as checking
from vhdprep.cli import common, digests
from vhdprep.cli import gate as gates
from vhdprep.cli.progress import Progress
from vhdprep.errors import UsageError
from vhdprep.fleet.report import REPORTERS

if TYPE_CHECKING:
    from types import FrameType

    from vhdprep.fleet.work import Options

app = typer.Typer(help="Judge many images in one run.", no_args_is_help=True, rich_markup_mode=None)
MAX_JOBS = 1024
"""Processes that one run starts."""
_GARBAGE = 100_000
"""Objects between two collections: reports are trees of hundreds of thousands, and hold no circles."""
_EXIT_STOPPED = 128 + 2


def complete_formats(incomplete: str) -> list[str]:
    """Formats of reports on a fleet, for a shell that completes them."""
    return [each for each in REPORTERS if each.startswith(incomplete)]


WhatArgument = Annotated[
    list[str],
    typer.Argument(metavar="WHAT...", help="Folders, images, patterns, manifests (.yaml), or @LIST: a file with one of these a line."),
]
JobsOption = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", help="Processes on this machine.", show_default="as many as there are processors"),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler", metavar="ADDRESS", help="A Dask scheduler (tcp://...), or local: a Dask cluster on this machine.", show_default=False
    ),
]
ResultsOption = Annotated[
    Path | None,
    typer.Option(
        "--results", metavar="DIR", help="Keep each image's JSON report here; what is here already is not judged again.", show_default=False
    ),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Judge everything, whatever --results holds.")]
AllOption = Annotated[bool, typer.Option("--all", help="Take every file of a folder for an image, whatever it is called.")]
TimeoutOption = Annotated[
    int | None,
    typer.Option(
        "--timeout", metavar="SECONDS", help="The longest that one image may take by the clock, digests aside.", show_default="half an hour"
    ),
]
FormatOption = Annotated[str, typer.Option("--format", help=f"{', '.join(REPORTERS)}.", autocompletion=complete_formats)]


@app.command("check")
def check(
    what: WhatArgument,
    jobs: JobsOption = None,
    scheduler: SchedulerOption = None,
    results: ResultsOption = None,
    fresh: FreshOption = False,
    everything: AllOption = False,
    timeout: TimeoutOption = None,
    target: checking.AsOption = None,
    report_format: FormatOption = "text",
    output: common.OutputOption = None,
    reports: common.ReportOption = None,
    rules: common.RulesOption = None,
    selected: checking.SelectOption = None,
    ignored: checking.IgnoreOption = None,
    waivers: gates.WaiversOption = None,
    fail_on: gates.FailOnOption = "error",
    digest: digests.DigestOption = False,
    backend: common.BackendOption = "auto",
    verbose: common.VerboseOption = False,
    quiet: checking.QuietOption = False,
) -> None:
    """Judge many images. One that cannot be judged is inconclusive, with the reason, and never stops the rest.

    Ctrl-C ends the run; reports in --results are kept, and a second run does only what is missing.

    Exit code of the worst verdict: 1 any not ready, else 3 any inconclusive, else 0; 2 nothing was judged.
    """
    gc.set_threshold(_GARBAGE)
    from vhdprep.fleet import cells, inputs
    from vhdprep.fleet.results import Results
    from vhdprep.fleet.run import Plan, judge_all
    from vhdprep.fleet.work import Options, load

    options = Options(
        str(target) if target else None,
        tuple(map(str, rules or ())),
        tuple(selected or ()),
        tuple(ignored or ()),
        str(waivers) if waivers else None,
        fail_on,
        backend,
        digest,
    )
    number = _checked(jobs, timeout, options, fresh=fresh, results=results)
    named = inputs.find(what, everything=everything)
    pairs = common.parse_reports([Path(disk) for each in named for disk in each.disks], reports, (report_format, output), known=REPORTERS)
    kept = Results(results, load(options).current, fresh=fresh) if results else None
    stopped: list[bool] = []
    _end_as_interrupted()
    with Progress(after=1) as progress:
        summary = judge_all(Plan(named, options, number, scheduler, kept, timeout or cells.MAX_WAIT), progress, on_stop=lambda: stopped.append(True))
    if quiet and not output:
        pairs = pairs[1:]
    from vhdprep.fleet.report import load_reporter
    from vhdprep.fleet.report.text import verdict_line

    common.write_rendered(pairs, lambda name, **how: load_reporter(name).render(summary, verbose=verbose, **how))
    if quiet or output:
        common.say(verdict_line(summary, colour=common.use_colour()))
    raise typer.Exit(_EXIT_STOPPED if stopped else common.EXIT_CODES[summary.verdict])


def _checked(jobs: int | None, timeout: int | None, options: Options, *, fresh: bool, results: Path | None) -> int:
    """How many processes; what no option can mean is refused before anything is started."""
    from vhdprep.check import BOTH
    from vhdprep.disk.backend import load_backend

    if jobs is not None and not 0 < jobs <= MAX_JOBS:
        raise UsageError(f"--jobs takes 1 to {MAX_JOBS}, not {jobs}")
    if timeout is not None and timeout <= 0:
        raise UsageError(f"--timeout takes seconds, not {timeout}")
    if options.fail_on not in ("error", "warning"):
        raise UsageError(f"--fail-on takes error or warning, not {options.fail_on!r}")
    if fresh and results is None:
        raise UsageError("--fresh is about --results DIR; without it everything is judged anyway")
    if options.backend != BOTH:
        load_backend(options.backend)
    return jobs or os.cpu_count() or 1


def _end_as_interrupted() -> None:
    """Who ends the program in another way than by Ctrl-C gets what is finished, too, and no process is left either."""

    def end(_number: int, _frame: FrameType | None) -> Any:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end)
