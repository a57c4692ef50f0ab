"""``vhdprep rules``: list, explain, test, schema."""

from __future__ import annotations

from typing import Annotated

import typer

from vhdprep.cli import common
from vhdprep.errors import UsageError

app = typer.Typer(help="The rules: list them, explain one, run their examples.", no_args_is_help=True, rich_markup_mode=None)
IdArgument = Annotated[str, typer.Argument(metavar="ID", show_default=False, autocompletion=common.complete_rules)]


@app.command("list")
def list_rules(rules: common.RulesOption = None) -> None:
    """One line for every rule: severity, id, title."""
    from vhdprep.ruleset.load import load_rules

    for rule in load_rules(tuple(rules or ())):
        typer.echo(f"{rule.severity:<8} {rule.id:<44} {rule.title}")


@app.command()
def explain(rule_id: IdArgument, rules: common.RulesOption = None) -> None:
    """Why a rule is there, what it looks at, how to fix it, what passes and fails, and its sources."""
    from vhdprep.ruleset.explain import explain as describe
    from vhdprep.ruleset.load import load_rules, read_examples, rule_files, select

    extra = tuple(rules or ())
    files = rule_files(extra)
    for each in select(load_rules(extra), (rule_id,), ()):
        typer.echo(describe(each, read_examples(files[each.id])), nl=False)


@app.command("test")
def run_tests(rules: common.RulesOption = None) -> None:
    """Run every rule's own examples; exit 2 when one does not hold."""
    from vhdprep.ruleset.load import load_rules, rule_files
    from vhdprep.ruleset.selftest import run_examples

    extra = tuple(rules or ())
    files = rule_files(extra)
    results = [(rule, result) for rule in load_rules(extra) for result in run_examples(rule, files[rule.id])]
    broken = [(rule, result) for rule, result in results if not result.holds]
    for rule, result in broken:
        typer.echo(f"{files[rule.id]}: {result.name or 'examples'}: wanted {result.wanted}, got {result.got} ({result.detail})")
    typer.echo(f"{len(results)} examples, {len(broken)} do not hold")
    if broken:
        raise UsageError("rules are broken; see above")


@app.command()
def schema() -> None:
    """Print the JSON Schema of rule files, for editors."""
    import json

    from vhdprep.ruleset.schema import rule_schema

    typer.echo(json.dumps(rule_schema(), indent=2))
