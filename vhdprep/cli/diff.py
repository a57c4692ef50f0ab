"""``vhdprep diff``: two images, or two reports, compared by what they mean."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import click
import typer

from vhdprep.cli import common
from vhdprep.cli.check import AsOption, IgnoreOption, SelectOption
from vhdprep.errors import UsageError
from vhdprep.location import parse
from vhdprep.model import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.diff import Compared

FirstArgument = Annotated[
    str, typer.Argument(metavar="A", help="An image, or a JSON report of check or inspect.", show_default=False, click_type=click.Path())
]
SecondArgument = Annotated[str, typer.Argument(metavar="B", help="The one to compare it with.", show_default=False, click_type=click.Path())]

FormatOption = Annotated[str, typer.Option("--format", help="text or json.")]


def diff(
    first: FirstArgument,
    second: SecondArgument,
    target: AsOption = None,
    report_format: FormatOption = "text",
    rules: common.RulesOption = None,
    selected: SelectOption = None,
    ignored: IgnoreOption = None,
    backend: common.OneBackendOption = "auto",
) -> None:
    """Compare two images, or two reports: state, services, drivers, boot, accounts, agent, packages, outcomes of rules.

    Exit code: 0 the same, 1 different, 2 nothing was compared, 3 no difference was found, but not everything could be read.
    """
    from vhdprep.diff import compare, look
    from vhdprep.ruleset.load import load_rules, select

    if report_format not in ("text", "json"):
        raise UsageError("--format takes text or json")
    chosen = select(load_rules(tuple(rules or ())), tuple(selected or ()), tuple(ignored or ()))
    one, other = (look(parse(path), chosen, target or Target.GENERALIZED, backend) for path in (first, second))
    found = compare(one, other)
    common.say(_as_json(found) if report_format == "json" else "".join(f"{line}\n" for line in _as_text(found)), nl=False)
    raise typer.Exit(1 if found.differences else 3 if found.unread else 0)


def _as_json(found: Compared) -> str:
    return json.dumps({"schema": "vhdprep-diff/1", **found._asdict(), "differences": [each._asdict() for each in found.differences]}, indent=2) + "\n"


def _as_text(found: Compared) -> Iterator[str]:
    from vhdprep.report.words import count, safe

    what = count(len(found.differences), "difference") if found.differences else "no difference was found" if found.unread else "the same"
    yield safe(f"{found.a}, {found.b}: {what}")
    part = ""
    for each in found.differences:
        if each.part != part:
            part = each.part
            yield f"\n{part}"
        if each.a is None or each.b is None:
            yield safe(f"  {'+' if each.a is None else '-'} {each.name}: {each.b if each.a is None else each.a}")
        else:
            yield safe(f"    {each.name}: {each.a} -> {each.b}")
    for line in found.unread:
        yield f"\nnot compared: {safe(line)}"
    if found.left_out:
        yield f"\nnot in both: {', '.join(found.left_out)}; a report has no inventory: compare two images for that"
