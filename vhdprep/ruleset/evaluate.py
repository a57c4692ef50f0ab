"""One rule against one image: a pure function, three-valued, fail closed.

An ``Unreadable`` makes the outcome unknown. So does a crash: that is a bug of ours, its traceback is kept
in the finding, and the run goes on.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import NoDisk, Unreadable
from vhdprep.guest.formats.masking import mask
from vhdprep.model import ABSENT, Finding, Observation, Outcome, Value
from vhdprep.ruleset.matchers import MATCHERS, version
from vhdprep.ruleset.rule import AllOf, AnyOf, Check, Leaf, Not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from vhdprep.guest.image import Image
    from vhdprep.ruleset.rule import Rule

    Progress = Callable[[int, int, str], None]
    """Done, of how many, of what."""

_WORST = (Outcome.FAIL, Outcome.UNKNOWN, Outcome.PASS, Outcome.NOT_APPLICABLE)
SHOWN = 1
"""Items of a list that a message names; the observations name them all."""


class _Result(NamedTuple):
    """Kleene truth with its evidence: ``holds`` None = not decided."""

    holds: bool | None
    seen: tuple[Observation, ...] = ()
    reasons: tuple[str, ...] = ()
    no_disk: bool = False
    """Not decided only because there is no disk to look at."""


def evaluate(rules: Sequence[Rule], image: Image, progress: Progress | None = None) -> tuple[Finding, ...]:
    """A finding for every rule, in their order."""
    findings = []
    for number, rule in enumerate(rules):
        if progress is not None:
            progress(number, len(rules), "rules")
        by_disk = len(image.disks) > 1 and asks_each_disk(rule.check)
        findings.append(_judge_disks(rule, image) if by_disk else judge_rule(rule, image))
    return tuple(findings)


def _judge_disks(rule: Rule, image: Image) -> Finding:
    """The worst of what a rule about disks concludes about each of them; all that came to it are its evidence."""
    found = [(each.name, judge_rule(rule, image._replace(disks=(each,)))) for each in image.disks]
    worst = min((finding.outcome for _, finding in found), key=_WORST.index)
    chosen = [(name, finding) for name, finding in found if finding.outcome is worst]
    seen = tuple(each._replace(where=f"{name}:{each.where}" if name else each.where) for name, finding in chosen for each in finding.observations)
    messages = (f"{name}: {finding.message}" if name and worst is Outcome.FAIL else finding.message for name, finding in chosen)
    return chosen[0][1]._replace(observations=seen, message=" ".join(dict.fromkeys(messages)))


def asks_each_disk(check: Check, every: Callable[[Iterable[bool]], bool] = all) -> bool:
    """Whether a check looks only at a disk's file or its partition table; with ``any`` in the place of ``every``: also there."""
    match check:
        case Leaf():
            return check.probe.each_disk
        case Not(inner):
            return asks_each_disk(inner, every)
        case AnyOf(checks) | AllOf(checks):
            return every(asks_each_disk(each, every) for each in checks)


def judge_rule(rule: Rule, image: Image) -> Finding:
    """What ``rule`` concludes about ``image``; never raises."""
    try:
        applies, reason = _applies(rule, image)
        if applies is None:
            return _finding(rule, Outcome.UNKNOWN, reason=reason)
        if not applies:
            return _finding(rule, Outcome.NOT_APPLICABLE, reason=reason)
        if rule.when is not None:
            condition = _check(rule.when, image)
            if condition.holds is None:
                return _undecided(rule, condition)
            if not condition.holds:
                return _finding(rule, Outcome.NOT_APPLICABLE, condition.seen, "its precondition does not hold here")
        result = _check(rule.check, image)
        if result.holds is None:
            return _undecided(rule, result)
        return _finding(rule, Outcome.PASS if result.holds else Outcome.FAIL, result.seen)
    except Exception:  # noqa: BLE001 - the one place: a crashed rule is unknown, never a pass and never a lost report
        text = traceback.format_exc()
        reason = f"the rule crashed: {text.strip().splitlines()[-1]}"
        return _finding(rule, Outcome.UNKNOWN, reason=reason, trace=text)


def show(value: Value) -> str:
    """A value in words."""
    if value is ABSENT:
        return "absent"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        names = list(dict.fromkeys(value))
        rest = len(names) - SHOWN
        return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "") if names else "nothing"
    return str(value)


def _applies(rule: Rule, image: Image) -> tuple[bool | None, str]:
    """Whether the conditions hold, None = not known; and why not."""
    only = {key: _condition(key, values, image) for key, values in rule.applies_to.only.items()}
    unless = {key: _condition(key, values, image) for key, values in rule.applies_to.unless.items()}
    for key, holds in only.items():
        if holds is False:
            return False, f"the rule is only for {key} {', '.join(rule.applies_to.only[key])}"
    if unless and all(unless.values()):
        return False, "the rule excludes " + ", ".join(f"{key} {' or '.join(rule.applies_to.unless[key])}" for key in unless)
    undecided = [key for key, holds in only.items() if holds is None]
    if False not in unless.values():
        undecided += [key for key, holds in unless.items() if holds is None]
    if undecided:
        return None, image.no_guest or f"the guest's {undecided[0]} is not known"
    return True, ""


def _condition(key: str, values: tuple[str, ...], image: Image) -> bool | None:
    if key == "target":
        return image.target in values
    if key in ("format", "type") and not image.disks:
        return False
    if key in ("format", "type"):
        container = image.os_disk.container
        return None if container.unread else str(getattr(container, key)) in values
    if image.guest is None:
        return None
    have = getattr(image.guest.facts, key)
    if have is None:
        return False if key == "boot" else None
    if key == "version":
        return any(all(_in_range(have, part.strip()) for part in value.split(",")) for value in values)
    return have in values


def _in_range(have: str, part: str) -> bool:
    bound = part.lstrip("<>= ")
    left, right = version(have), version(bound)
    width = len(right)
    operator = part[: len(part) - len(bound)].strip() or "="
    padded = left[:width] + (0,) * (width - len(left))
    return {
        ">=": padded >= right,
        "<=": padded <= right,
        ">": padded > right,
        "<": padded < right,
        "=": padded == right,
    }[operator]


def _check(check: Check, image: Image) -> _Result:
    match check:
        case Leaf():
            return _leaf(check, image)
        case Not(inner):
            result = _check(inner, image)
            return result if result.holds is None else result._replace(holds=not result.holds)
        case AnyOf(checks):
            return _any(checks, image)
        case AllOf(checks):
            return _combine([_check(each, image) for each in checks], decisive=False)


def _any(checks: tuple[Check, ...], image: Image) -> _Result:
    """Stop at the first that holds: the rest need not be looked at."""
    results = []
    for each in checks:
        results.append(_check(each, image))
        if results[-1].holds:
            break
    return _combine(results, decisive=True)


def _combine(results: list[_Result], *, decisive: bool) -> _Result:
    """Any (a True decides) and all (a False decides); what decides is the evidence."""
    deciding = [each for each in results if each.holds is decisive]
    undecided = [each for each in results if each.holds is None]
    chosen = deciding or undecided or results
    holds = decisive if deciding else None if undecided else not decisive
    seen = tuple(observation for each in chosen for observation in each.seen)
    return _Result(holds, seen, tuple(reason for each in chosen for reason in each.reasons), holds is None and all(each.no_disk for each in chosen))


def _leaf(leaf: Leaf, image: Image) -> _Result:
    try:
        observation = leaf.probe(image, **leaf.params)
    except Unreadable as error:
        return _Result(None, (), (str(error),), isinstance(error, NoDisk))
    return _Result(MATCHERS[leaf.matcher].compare(observation.value, leaf.argument), (observation,))


def _undecided(rule: Rule, result: _Result) -> Finding:
    outcome = Outcome.NOT_APPLICABLE if result.no_disk else Outcome.UNKNOWN
    return _finding(rule, outcome, result.seen, "; ".join(dict.fromkeys(result.reasons)))


def _finding(rule: Rule, outcome: Outcome, seen: tuple[Observation, ...] = (), reason: str | None = None, trace: str | None = None) -> Finding:
    return Finding(
        rule_id=rule.id,
        title=rule.title,
        severity=rule.severity,
        outcome=outcome,
        message=_message(rule, seen) if outcome is Outcome.FAIL else f"{rule.title}.",
        observations=tuple(dict.fromkeys(masked(part) for each in seen for part in (each.parts or (each,)))),
        reason=mask(reason) if reason else reason,
        remedy=rule.remedy if outcome is Outcome.FAIL else None,
        references=rule.references,
        why=rule.why,
        azure_says=rule.azure_says,
        traceback=mask(trace) if trace else trace,
    )


def masked(seen: Observation) -> Observation:
    """Without passwords: of a URL (``http://user:password@proxy``), of keys that name one (``password=…`` in a line of fstab)."""
    value = seen.value
    if isinstance(value, tuple):
        return seen._replace(value=tuple(mask(each) for each in value))
    return seen._replace(value=mask(value)) if isinstance(value, str) else seen


def _message(rule: Rule, seen: tuple[Observation, ...]) -> str:
    """With what was seen; of a list that is the places, unless the message names those by ``{where}`` already."""

    def words(facts: Mapping[str, None]) -> str:
        return ", ".join(facts)

    both = "{where}" in rule.message
    observed = words(dict.fromkeys(show(_contents(each) if both else masked(each).value) for each in seen))
    where = words(dict.fromkeys(show(tuple(part.where for part in each.parts)) if each.parts else each.where for each in seen))
    return rule.message.replace("{observed}", observed).replace("{where}", where)


def _contents(seen: Observation) -> Value:
    """What was seen; of a list of places what stands at each."""
    if not seen.parts or seen.value != tuple(part.where for part in seen.parts):
        return masked(seen).value
    return tuple(show(masked(part).value) for part in seen.parts)
