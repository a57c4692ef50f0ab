"""The command line: parse, call one function, render, exit. The sole home of typer.

Modules that do the work are imported inside the commands: starting up is most of a run.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import typer

from vhdprep.cli import audit, check, completion, diff, doctor, files, fleet, inspect, prepare, rehearse, rules, verify
from vhdprep.cli.common import EXIT_USAGE
from vhdprep.errors import VhdprepError
from vhdprep.location import conceal
from vhdprep.report.words import safe

if TYPE_CHECKING:
    from types import TracebackType

app = typer.Typer(
    name="vhdprep",
    help="Tell, before the upload, whether a VHD will work as an Azure image.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("check")(check.check)
app.command("inspect")(inspect.inspect)
app.command("ls")(files.ls)
app.command("cat")(files.cat)
app.command("prepare")(prepare.prepare)
app.command("rehearse")(rehearse.rehearse)
app.command("diff")(diff.diff)
app.command("verify")(verify.verify)
app.add_typer(fleet.app, name="fleet")
app.add_typer(audit.app, name="audit")
app.add_typer(rules.app, name="rules")
app.command("doctor")(doctor.doctor)
app.command("completion")(completion.completion)


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True)) -> None:
    if version:
        from vhdprep import __version__

        typer.echo(f"vhdprep {__version__}")
        raise typer.Exit(0)


def main() -> None:
    """Run the program; every foreseen error is one line on stderr and exit code 2, and so is a bug of ours."""
    sys.excepthook = _report_bug
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started the program; the exit code still tells the verdict
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if completion.VARIABLE in os.environ:
        completion.answer()
    try:
        sys.argv[1:] = conceal(sys.argv[1:])
        typer.main.get_command(app)()  # app() itself would put typer's exception hook in the place of ours
    except VhdprepError as error:
        typer.echo("vhdprep: " + "\n".join(safe(line) for line in str(error).split("\n")), err=True)
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        sys.exit(128 + 2)


def _report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Python would exit with 1, which says not-ready; nothing was judged."""
    sys.__excepthook__(kind, error, trace)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_USAGE)
