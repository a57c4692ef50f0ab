"""A rule in prose, for ``vhdprep rules explain``."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from vhdprep.byhand import steps
from vhdprep.ruleset.rule import AllOf, AnyOf, Check, Leaf, Not

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.ruleset.rule import AppliesTo, Rule


def explain(rule: Rule) -> str:
    """Everything the rule says, in lines of 80 columns."""
    lines = [rule.id, f"  {rule.title} ({rule.severity})", "", *_paragraph(rule.why), ""]
    lines += [f"  applies to  {_applies(rule.applies_to)}"]
    if rule.when is not None:
        lines += ["  only when", *_tree(rule.when, "    ")]
    lines += ["  holds if", *_tree(rule.check, "    "), "", "  fix"]
    lines += [f"    {step}" for step in steps(rule.remedy)]
    if rule.azure_says:
        lines += ["", *_paragraph(f'Azure says: "{rule.azure_says}"')]
    lines += ["", *(f"  {reference}" for reference in rule.references), f"  rule file: {rule.source}"]
    return "\n".join(lines) + "\n"


def _paragraph(text: str) -> list[str]:
    return wrap(text, 80, initial_indent="  ", subsequent_indent="  ")


def _applies(conditions: AppliesTo) -> str:
    only = "; ".join(f"{key} {' or '.join(values)}" for key, values in conditions.only.items()) or "every image"
    unless = "; ".join(f"{key} {' or '.join(values)}" for key, values in conditions.unless.items())
    return f"{only}, unless {unless}" if unless else only


def _tree(check: Check, indent: str) -> Iterator[str]:
    match check:
        case Leaf(probe, params, matcher, argument):
            values = ", ".join(f"{name}={_literal(value)}" for name, value in params.items())
            yield f"{indent}{probe.name}({values}) {matcher} {_literal(argument)}"
        case Not(inner):
            yield f"{indent}not"
            yield from _tree(inner, indent + "  ")
        case AnyOf(checks) | AllOf(checks):
            yield f"{indent}{'any of' if isinstance(check, AnyOf) else 'all of'}"
            for each in checks:
                yield from _tree(each, indent + "  ")


def _literal(value: object) -> str:
    """As a rule has it: backslashes of registry keys and patterns stay single."""
    return f"'{value}'" if isinstance(value, str) else repr(value)
