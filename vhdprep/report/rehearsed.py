"""What reports for people say of a rehearsal, however it is laid out: in what order, how much, and every text of the guest safe and bounded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.model import Finding, Observation, Outcome, Severity
from vhdprep.rehearsal import CLAIM
from vhdprep.rehearsal import Outcome as Did
from vhdprep.remedy import Manual
from vhdprep.report import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vhdprep.rehearsal import Rehearsal, Witness

MAX_TEXT = 400
"""Characters of one text of a rehearsed guest that a report for people shows; the cause and the remedy may be as long as any other text."""
MAX_LISTED = 100
"""Things of a kind that a report for people shows of a rehearsal: evidence, lines of the console, addresses."""
MAX_PICTURE = 6 * 1024 * 1024
"""Characters of a picture of the screen that a report shows; four million bytes in base64."""
BRIEF = 12
"""Things of a kind unless everything is asked for."""
KINDS = 6
"""Kinds of things that two machines have in common, in the summary."""
OUTCOMES = {
    Did.REHEARSED: "rehearsed",
    Did.DEFECTS: "rehearsed, with defects",
    Did.UNREACHABLE: "ready, but unreachable",
    Did.REFUSED: "refused",
    Did.NEVER: "never provisions",
    Did.NO_BOOT: "does not boot",
    Did.IMPOSSIBLE: "not rehearsable",
}
"""What a report says of each outcome."""
NOT_BOOTED = "It was not booted, so nothing can be said of how it would provision; what was read of it offline stands alone."
"""What stands in the place of ``CLAIM`` where that would not be true."""
PICTURED = "A picture of its screen is in the reports html and json."
"""What the other reports say where there is one."""
_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")
_TITLE = "The image boots, and does on its first boot what Azure asks of it"
_TWINS_REMEDY = (
    "Clear these as the last thing before the guest is shut down, so that every machine makes its own; `vhdprep check` names the commands."
)
_WHY_TWINS = "What the image brings along, every machine of it has: by it they are taken for one another, or can be impersonated."
_TWINS_TITLE = "Two machines that are made of the image differ in what tells machines apart"


class Fact(NamedTuple):
    """Something that is told under a label."""

    label: str
    told: tuple[str, ...]
    """One sentence, or short parts of one list."""
    bad: bool = False


class Piece(NamedTuple):
    """One piece of evidence."""

    mark: str
    """``bad | good | told``, the last of what is not judged."""
    what: str
    value: str
    where: str


class Told(NamedTuple):
    """A rehearsal as a person is told of it; everything in it is safe to show as text."""

    headline: str
    look: str
    """``ready | error | warning``, as a verdict looks that comes to the same."""
    facts: tuple[Fact, ...]
    evidence: tuple[Piece, ...]
    """Bad news first."""
    console: tuple[str, ...]
    claim: str


def tell(found: Rehearsal, *, verbose: bool = False) -> Told:
    """What to show: where it passed, little unless everything is asked for; where not, what a person needs to know why."""
    most = MAX_LISTED if verbose else BRIEF
    return Told(
        headline=summary(found),
        look={True: "ready", False: "error", None: "warning"}[found.passed],
        facts=tuple(_facts(found, most, verbose=verbose)),
        evidence=_evidence(found, verbose=verbose),
        console=_console(found, MAX_LISTED if verbose else 2 * BRIEF) if verbose or found.outcome is not Did.REHEARSED else (),
        claim=claim(found),
    )


def summary(found: Rehearsal) -> str:
    """``never provisions (95 s)``; where two machines were made, also what they have in common."""
    name = OUTCOMES[found.outcome] + ("" if found.passed is None else f" ({found.seconds:.0f} s)")
    if found.common:
        same = ", ".join(list(dict.fromkeys(words.safe(each.what, MAX_TEXT) for each in found.common))[:KINDS])
        return f"{name}, {'but' if found.outcome is Did.REHEARSED else 'and'} two machines of it have the same {same}"
    differ = found.passed and any(each.equal is False for each in found.twins or ())
    return f"{name}, and two machines of it differ" if differ else name


def claim(found: Rehearsal) -> str:
    """What the rehearsal does not prove."""
    return NOT_BOOTED if found.outcome is Did.IMPOSSIBLE else CLAIM


def picture(found: Rehearsal) -> str:
    """The picture of the screen as ``data:image/png;base64,…``; empty where there is none, or it is anything else."""
    return found.screen if len(found.screen) <= MAX_PICTURE and _PICTURE.fullmatch(found.screen) else ""


def findings(found: Rehearsal) -> Iterator[Finding]:
    """The same as rules would say it, for formats that know rules only: of the first boot, and of twins where there are any."""
    outcome = {Did.REHEARSED: Outcome.PASS, Did.IMPOSSIBLE: Outcome.UNKNOWN}.get(found.outcome, Outcome.FAIL)
    said = " ".join(dict.fromkeys(each for each in (found.cause, *found.defects[:BRIEF]) if each))
    message = ": ".join(part for part in (OUTCOMES[found.outcome], said) if part)
    remedy = Manual((found.remedy,)) if found.remedy else None
    missing = (Observation("never came", str(found.missing)),) if found.missing else ()
    seen = (*missing, *(Observation(each.value, f"{each.what}: {each.where}") for each in found.witnesses if each.good is False))
    reason = found.cause if outcome is Outcome.UNKNOWN else None
    yield Finding("rehearsal", _TITLE, Severity.ERROR, outcome, message, seen[:MAX_LISTED], reason, remedy, why=claim(found))
    if found.twins is not None:
        same = tuple(Observation(each.value, f"{each.what}: {each.where}") for each in found.common)
        message = "Two machines of the image have in common what must differ: it is not generalized, by behaviour" if same else ""
        outcome = Outcome.FAIL if same else Outcome.PASS
        remedy = Manual((_TWINS_REMEDY,)) if same else None
        yield Finding("rehearsal-twins", _TWINS_TITLE, Severity.ERROR, outcome, message, same[:MAX_LISTED], remedy=remedy, why=_WHY_TWINS)


def _facts(found: Rehearsal, most: int, *, verbose: bool) -> Iterator[Fact]:
    if found.cause and found.cause not in found.defects:
        yield Fact("Cause", (words.safe(found.cause),), bad=not found.passed)
    yield from (Fact("Defect", (each,), bad=True) for each in _listed(found.defects, most))
    if found.remedy:
        yield Fact("Remedy", (words.safe(found.remedy),))
    if found.reached:
        reached = [f"{each.milestone} ({each.seconds:.0f} s)" + (f": {each.text}" if verbose and each.text else "") for each in found.reached]
        yield Fact("Reached", _listed(reached, MAX_LISTED))
    if found.missing:
        yield Fact("Never came", (str(found.missing),), bad=True)
    yield from _twins(found, most)
    if found.tried:
        yield Fact("Asked for outside of the platform, in vain", _listed(found.tried, most))
    if found.machine:
        yield Fact("Ran on", (words.safe(found.machine, MAX_TEXT),))
    if found.without:
        yield Fact("Left out on purpose", _listed(found.without, most))


def _twins(found: Rehearsal, most: int) -> Iterator[Fact]:
    """What both have is told one by one; the rest in short."""
    same = [f"both machines have the same {each.what}: {each.where}, {each.value}" for each in found.common]
    yield from (Fact("Not generalized, by behaviour", (each,), bad=True) for each in _listed(same, most))
    if same:
        yield Fact("Remedy", (_TWINS_REMEDY,))
    for equal, label in ((False, "Both machines have their own"), (None, "Only one of both machines has, or neither")):
        kinds = list(dict.fromkeys(each.what for each in found.twins or () if each.equal is equal))
        if kinds:
            yield Fact(label, _listed(kinds, most))
    if found.twins is not None and not found.twins:
        yield Fact("Two machines", ("nothing was found by which they could be compared",))


def _evidence(found: Rehearsal, *, verbose: bool) -> tuple[Piece, ...]:
    """What is judged, and with everything the rest; bad news first, so that nothing can crowd it out."""
    order = (False, True, None) if verbose else (False, True)
    chosen = [each for good in order for each in found.witnesses if each.good is good]
    rest = len(chosen) - MAX_LISTED
    more = (Piece("told", f"and {rest} more", "", ""),) if rest > 0 else ()
    return (*map(_piece, chosen[:MAX_LISTED]), *more)


def _piece(seen: Witness) -> Piece:
    mark = {True: "good", False: "bad", None: "told"}[seen.good]
    value = words.safe(seen.value.strip().replace("\n", "; "), MAX_TEXT)
    return Piece(mark, words.safe(seen.what, MAX_TEXT), value, words.safe(seen.where, MAX_TEXT))


def _console(found: Rehearsal, most: int) -> tuple[str, ...]:
    """Its end, for what went wrong last is what ended it."""
    before = len(found.console) - most
    shown = tuple(words.safe(each.rstrip(), MAX_TEXT) for each in found.console[-most:])
    return (f"... ({words.count(before, 'line')} before)", *shown) if before > 0 else shown


def _listed(texts: Sequence[str], most: int) -> tuple[str, ...]:
    rest = len(texts) - most
    return (*(words.safe(each, MAX_TEXT) for each in texts[:most]), *((f"and {rest} more",) if rest > 0 else ()))
