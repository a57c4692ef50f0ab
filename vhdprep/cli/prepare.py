"""``vhdprep prepare``: a prepared copy, or only the plan of it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vhdprep.cli import common
from vhdprep.cli.check import AsOption, IgnoreOption, QuietOption, SelectOption
from vhdprep.cli.progress import Progress
from vhdprep.errors import UsageError
from vhdprep.model import Target
from vhdprep.report.words import exit_code, safe

if TYPE_CHECKING:
    from vhdprep.location import Location
    from vhdprep.prepare.run import Prepared, Wish

_INTERRUPTED = 130
"""What shells give for an interrupt; 1 would be a verdict."""

CopyArgument = Annotated[
    Path | None, typer.Argument(metavar="[COPY]", help="The file to make, of several disks the folder; it must not be there.", show_default=False)
]
PlanOnlyOption = Annotated[bool, typer.Option("--plan-only", help="Only say what would be done; nothing is written.")]
PlanOption = Annotated[
    Path | None, typer.Option("--plan", metavar="FILE", help="Carry out exactly this plan, made by --plan-only --format json.", show_default=False)
]
TextOrJsonOption = Annotated[str, typer.Option("--format", help="text or json.")]
AllowOption = Annotated[
    list[str] | None, typer.Option("--allow", metavar="unsafe", help="Also do what may take away what somebody wants.", show_default=False)
]
RehearseOption = Annotated[bool, typer.Option("--rehearse", help="Boot the copy first, and give it its name only when it provisions.")]
UserOption = Annotated[
    list[str] | None,
    typer.Option("--delete-user", metavar="NAME", help="Delete this account with its home; may be repeated.", show_default=False),
]


def prepare(
    image: common.MaybeImageArgument = None,
    copy: CopyArgument = None,
    data: common.DataOption = None,
    manifest: common.ManifestOption = None,
    plan_only: PlanOnlyOption = False,
    plan: PlanOption = None,
    allow: AllowOption = None,
    users: UserOption = None,
    rehearse: RehearseOption = False,
    target: AsOption = None,
    report_format: TextOrJsonOption = "text",
    output: common.OutputOption = None,
    rules: common.RulesOption = None,
    selected: SelectOption = None,
    ignored: IgnoreOption = None,
    backend: common.OneBackendOption = "auto",
    verbose: common.VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a copy of an image with everything put right that can be put right offline, and check it.

    The image itself is only read. Exit code: that of the copy's verdict; 2 when no copy was made, and with --plan-only that
    of the image's verdict. Several disks are prepared together or not at all.
    """
    from vhdprep.cli.rehearse import booting
    from vhdprep.prepare import planfile
    from vhdprep.prepare.run import Wish
    from vhdprep.ruleset.load import load_rules, select

    if manifest is not None and copy is None:
        image, copy = None, Path(image) if image is not None else None  # the manifest stands in the image's place
    subject = common.subject(image, None, data, manifest)
    source, *others = (common.here(each, "prepared") for each in (subject.path, *subject.data))
    if plan_only and rehearse:
        raise UsageError("--plan-only makes no copy that could be rehearsed; leave --rehearse out")
    if plan_only == (copy is not None):
        raise UsageError("name the COPY to make, or say --plan-only" if copy is None else "--plan-only makes no copy; leave COPY out")
    if any(each != "unsafe" for each in allow or ()) or report_format not in ("text", "json"):
        raise UsageError("--allow takes only: unsafe; --format takes text or json")
    _refuse_output(output, (*subject.files, *((plan,) if plan else ())), copy)
    reviewed = planfile.read(plan) if plan is not None else None
    wanted = subject.target(target)
    wish = Wish((), wanted, backend, bool(allow), tuple(users or ()), tuple(selected or ()), tuple(ignored or ()), tuple(others), subject.declared)
    if reviewed is not None:
        terms = reviewed[1]
        wish = wish._replace(
            target=subject.target(Target(terms.target)), unsafe=terms.unsafe, users=terms.users, selected=terms.selected, ignored=terms.ignored
        )
    if rehearse:
        wish = wish._replace(rehearse=booting(wish.target))
    wish = wish._replace(rules=select(load_rules(tuple(rules or ())), wish.selected, wish.ignored))
    if copy is None:
        _show_plan(source, wish, report_format, output, quiet=quiet)
    from vhdprep.prepare.run import prepare as run_prepare

    assert copy is not None
    try:
        with Progress() as progress:
            made = run_prepare(source, copy, wish, reviewed=reviewed, progress=progress)
    except KeyboardInterrupt:
        typer.echo("vhdprep: interrupted; no copy was made, and the image is as it was", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    _show_made(made, report_format, output, verbose=verbose, quiet=quiet)


def _refuse_output(output: Path | None, needed: tuple[Location, ...], copy: Path | None) -> None:
    """The report must not be written over what is read, nor over the copy, its list of changes, or anything in the folder of several.

    Raises:
        UsageError: it would.
    """
    from vhdprep.prepare.copies import LEDGER

    made = (copy, copy.with_name(f"{copy.name}.{LEDGER}")) if copy is not None and copy.name else ()
    common.refuse_image(output, (*needed, *made))
    if output is not None and made and made[0].resolve() in output.resolve().parents:
        raise UsageError(f"{output}: lies in the folder of the copies; name a place beside it for the report")


def _show_plan(image: Path, wish: Wish, report_format: str, output: Path | None, *, quiet: bool) -> None:
    from vhdprep.prepare import planfile, show
    from vhdprep.prepare.run import look, make_terms

    looked = look(image, wish)
    plan = looked.planned.plan
    if report_format == "json":
        text = planfile.render(plan, make_terms(image, (output or image).parent, looked.report, wish))
    else:
        text = show.plan_text(plan, looked.report.verdict)
        if not plan.is_empty:
            text += f"\nTo carry it out, with the same options otherwise:\n  vhdprep prepare {_names(image, wish)}\n"
    if output is not None:
        _write(output, text)
    elif not quiet:
        common.say(text, nl=False)
    raise typer.Exit(common.EXIT_CODES[looked.report.verdict] if looked.report.verdict else common.EXIT_USAGE)


def _names(image: Path, wish: Wish) -> str:
    """What the command that makes the copy names."""
    if wish.declared is not None:
        return shlex.join(safe(name) for name in ("--manifest", wish.declared.path, f"{image.stem}-prepared"))
    data = [word for each in wish.data for word in ("--data", str(each))]
    return shlex.join(safe(name) for name in (str(image), f"{image.stem}-prepared{'' if data else '.vhd'}", *data))


def _show_made(made: Prepared, report_format: str, output: Path | None, *, verbose: bool, quiet: bool) -> None:
    from vhdprep.prepare import planfile, show
    from vhdprep.report import json as report_json
    from vhdprep.report.text import verdict_line

    if report_format == "json":
        values = {
            "schema": "vhdprep-prepared/1",
            "copy": made.after.subject if made.ledger else None,
            "ledger": str(made.ledger) if made.ledger else None,
            "before": json.loads(report_json.render(made.before)),
            "after": json.loads(report_json.render(made.after)),
            "plan": planfile.as_values(made.plan),
            "worse": planfile.as_values(made.worse),
        }
        text = json.dumps(values, indent=2) + "\n"
    else:
        text = show.outcome_text(made)
    if output is not None:
        _write(output, text)
    elif not quiet:
        common.say(text, nl=False)
    if quiet or output:
        common.say(verdict_line(made.after, colour=common.use_colour()))
    if made.ledger is None:
        raise typer.Exit(common.EXIT_USAGE)
    raise typer.Exit(exit_code(made.after) if made.after.verdict else common.EXIT_USAGE)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from error
