"""What several of the reporters say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.model import Outcome, Verdict
from vhdprep.report import words

if TYPE_CHECKING:
    from vhdprep.fleet.summary import Entry, Summary

MAX_NAMED = 4
"""Rules that one line about an image names."""


def title(summary: Summary) -> str:
    """``200 images: NOT READY``."""
    return f"{words.count(len(summary.entries) + summary.missing, 'image')}: {words.VERDICTS[summary.verdict]}"


def counts(summary: Summary) -> str:
    """``150 ready, 45 not ready, 4 inconclusive, 1 not judged``."""
    parts = [(summary.how_many(each), words.VERDICTS[each].lower()) for each in Verdict]
    parts += [(summary.failed, "not judged")] if summary.failed else []
    parts += [(summary.missing, "not reached before the run was ended")] if summary.missing else []
    return ", ".join(f"{number} {word}" for number, word in parts)


def pace(summary: Summary) -> str:
    """How the run went."""
    judged = len(summary.entries) - summary.run.reused
    rate = f", {judged / summary.run.seconds:.1f} a second" if judged and summary.run.seconds else ""
    return f"{judged} judged in {summary.run.seconds:.1f} s by {summary.run.engine}{rate}; {summary.run.reused} as they were judged before"


def because(summary: Summary, entry: Entry) -> str:
    """Why an image is not ready, in one line."""
    if entry.error is not None:
        return words.safe(entry.error)
    wanted = Outcome.FAIL if entry.verdict is Verdict.NOT_READY else Outcome.UNKNOWN
    names = [each.rule_id for each in entry.told if each.outcome is wanted and summary.decides(each.rule_id)]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    parts = [*(f"not read: {each}" for each in entry.gaps[:1])] if entry.verdict is Verdict.INCONCLUSIVE else []
    parts += [f"{', '.join(names[:MAX_NAMED])}{more}{' undecided' if wanted is Outcome.UNKNOWN else ''}"] if names else []
    return words.safe("; ".join(parts)) or ("no error rule applied" if entry.verdict is Verdict.INCONCLUSIVE else "")


def state(entry: Entry) -> str:
    """``not ready``, ``not judged``."""
    return "not judged" if entry.error is not None else words.VERDICTS[entry.verdict].lower()
