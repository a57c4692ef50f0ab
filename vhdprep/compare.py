"""Two reports on one image, read by two backends, as one: where they differ, nothing is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.model import ABSENT, Outcome
from vhdprep.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.model import Finding, Report, Volume

_SHOWN = 200
"""Characters of each side that are quoted."""


def compare(first: Report, second: Report) -> Report:
    """``first`` with every difference from ``second``: of findings as ``unknown``, of volumes and facts as gaps."""
    gaps = (*dict.fromkeys((*first.gaps, *second.gaps)), *_differences(first, second))
    others = {finding.rule_id: finding for finding in second.findings}
    findings = tuple(_agreed(finding, others[finding.rule_id], first.backend, second.backend) for finding in first.findings)
    verdict = judge(findings, gaps) if first.verdict is not None else None
    names = f"{first.backend}, {second.backend}"
    return first._replace(findings=findings, gaps=gaps, verdict=verdict, backend=names, seconds=first.seconds + second.seconds)


def _differences(first: Report, second: Report) -> Iterator[str]:
    """What the two read differently of the disks and of the guest."""
    for one, other in zip(first.disks, second.disks, strict=True):
        volumes = {volume.id: volume for volume in other.volumes}
        for volume in one.volumes:
            if volume.id not in volumes:
                yield f"{volume.id}: {first.backend} reads it, {second.backend} has no such volume"
            elif differing := _fields(volume, volumes.pop(volume.id)):
                yield f"{volume.id}: the backends differ in {differing}"
        for volume in volumes.values():
            yield f"{volume.id}: {second.backend} has it, {first.backend} has no such volume"
    for what, mine, others in (
        ("the guest", first.guest, second.guest),
        ("who provisions it", first.provisioner, second.provisioner),
        ("its phase", first.phase, second.phase),
    ):
        if mine != others:
            yield f"{what}: {first.backend} says {str(mine)[:_SHOWN]}, {second.backend} says {str(others)[:_SHOWN]}"


def _fields(one: Volume, other: Volume) -> str:
    """The fields that differ, with both values; a reason is only words, which each backend has its own of."""
    pairs = [(name, getattr(one, name), getattr(other, name)) for name in one._fields if name != "reason"]
    return ", ".join(f"{name} ({mine} and {theirs})" for name, mine, theirs in pairs if mine != theirs)


def _agreed(one: Finding, other: Finding, first: str, second: str) -> Finding:
    if (one.outcome, one.observations) == (other.outcome, other.observations):
        return one
    reason = f"the backends differ: {first} finds {_quote(one)}; {second} finds {_quote(other)}"
    return one._replace(outcome=Outcome.UNKNOWN, reason=reason)


def _quote(finding: Finding) -> str:
    """Outcome and what was seen, in short; observations are masked where a rule is secret."""
    seen = ", ".join(f"{each.where} = {'absent' if each.value is ABSENT else each.value}" for each in finding.observations)
    text = seen or finding.reason or ""
    return f"{finding.outcome}" + (f" ({text[:_SHOWN]})" if text else "")
