"""A rule in prose, for ``vhdprep rules explain``."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from vhdprep.byhand import on_a_copy, steps
from vhdprep.model import Outcome
from vhdprep.ruleset.rule import AllOf, AnyOf, Check, Leaf, Not

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.probes import Probe
    from vhdprep.ruleset.rule import AppliesTo, Rule

SHOWN = {Outcome.PASS: "passes", Outcome.FAIL: "fails", Outcome.UNKNOWN: "cannot be decided", Outcome.NOT_APPLICABLE: "does not apply"}
"""What an example's outcome is called."""


def explain(rule: Rule, examples: Any = None) -> str:
    """Everything the rule says, in lines of 80 columns; ``examples`` is the second document of its file."""
    lines = [rule.id, f"  {rule.title} ({rule.severity})", "", *_paragraph(rule.why), ""]
    lines += [f"  applies to  {applies(rule.applies_to)}"]
    if rule.when is not None:
        lines += ["  only when", *tree(rule.when, "    ")]
    lines += ["  holds if", *tree(rule.check, "    "), "", "  looks at"]
    for probe in dict.fromkeys(probes(rule)):
        lines += wrap(f"{probe.name}: {about(probe)}", 80, initial_indent="    ", subsequent_indent="      ")
    lines += ["", "  fix", *(f"    {step}" for step in steps(rule.remedy))]
    if command := on_a_copy(rule.remedy):
        lines += [f"    or on a copy: {command}"]
    if rule.azure_says:
        lines += ["", *_paragraph(f'Azure says: "{rule.azure_says}"')]
    for outcome, names in shown(examples).items():
        lines += ["", f"  {SHOWN[outcome]}", *(f"    {name}" for name in names)]
    lines += ["", *(f"  {reference}" for reference in rule.references), f"  rule file: {rule.source}"]
    return "\n".join(lines) + "\n"


def probes(rule: Rule) -> Iterator[Probe]:
    """The probes that the rule looks with, in its order."""
    for check in (rule.when, rule.check):
        if check is not None:
            yield from _probes(check)


def _probes(check: Check) -> Iterator[Probe]:
    match check:
        case Leaf():
            yield check.probe
        case Not(inner):
            yield from _probes(inner)
        case AnyOf(checks) | AllOf(checks):
            for each in checks:
                yield from _probes(each)


def shown(examples: Any) -> dict[Outcome, list[str]]:
    """Outcome → the names of the examples that end in it."""
    stated = examples.get("examples") if isinstance(examples, dict) else None
    named = [(each.get("outcome"), str(each.get("name"))) for each in stated or () if isinstance(each, dict)]
    return {outcome: names for outcome in SHOWN if (names := [name for stated, name in named if stated == outcome])}


def about(probe: Probe) -> str:
    """What a probe looks at: the first paragraph of its manual."""
    return " ".join(probe.manual.partition("\n\n")[0].split())


def _paragraph(text: str) -> list[str]:
    return wrap(text, 80, initial_indent="  ", subsequent_indent="  ")


def applies(conditions: AppliesTo) -> str:
    """Which images, in words."""
    only = "; ".join(f"{key} {' or '.join(values)}" for key, values in conditions.only.items()) or "every image"
    unless = "; ".join(f"{key} {' or '.join(values)}" for key, values in conditions.unless.items())
    return f"{only}, unless {unless}" if unless else only


def tree(check: Check, indent: str) -> Iterator[str]:
    """A check in lines, one a leaf."""
    match check:
        case Leaf(probe, params, matcher, argument):
            values = ", ".join(f"{name}={_literal(value)}" for name, value in params.items())
            yield f"{indent}{probe.name}({values}) {matcher} {_literal(argument)}"
        case Not(inner):
            yield f"{indent}not"
            yield from tree(inner, indent + "  ")
        case AnyOf(checks) | AllOf(checks):
            yield f"{indent}{'any of' if isinstance(check, AnyOf) else 'all of'}"
            for each in checks:
                yield from tree(each, indent + "  ")


def _literal(value: object) -> str:
    """As a rule has it: backslashes of registry keys and patterns stay single."""
    return f"'{value}'" if isinstance(value, str) else repr(value)
