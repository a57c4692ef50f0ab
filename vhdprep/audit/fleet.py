"""All images at one moment of the store: how they stand, how they came there, and the words for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.audit import history, trend
from vhdprep.audit.trend import By
from vhdprep.model import Verdict
from vhdprep.report.words import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection

    from vhdprep.audit.entry import Wrong
    from vhdprep.audit.history import Standing
    from vhdprep.audit.store import Store
    from vhdprep.audit.trend import Change, Trend
    from vhdprep.model import Target


class Fleet(NamedTuple):
    """How all images stand."""

    store: str
    standings: Sequence[Standing]
    trend: Trend
    names: Mapping[int, tuple[str, Target]]
    """Key of an image → its name and what it is to become."""
    wrong: Mapping[int, tuple[Wrong, ...]]
    """Record → what was wrong in it; of every record that a change names."""


class Told(NamedTuple):
    """A change in words."""

    image: str
    target: Target
    change: Change
    began: list[str]
    """Rules that are wrong now and were not before."""
    ended: list[str]


def look(store: Store, by: By | None) -> Fleet:
    """The fleet. ``by``: what its trend counts in, None = what fits.

    Raises:
        UsageError: the store cannot be read, or there would be too many points.
    """

    def work(connection: Connection) -> Fleet:
        span = history.span(connection)
        chosen = trend.choose(by, *span) if span else trend.By.DAY
        found = trend.follow(history.events(connection), chosen)
        named = [number for change in found.changes for number in (change.record_before, change.record_now)]
        wrong = history.wrong_of(connection, named) if named else {}
        return Fleet(store.name, history.standings(connection), found, history.names(connection), wrong)

    return store.read(work)


def told(fleet: Fleet) -> list[Told]:
    """The last changes in words, the newest first."""
    return [tell(change, fleet.names, fleet.wrong) for change in fleet.trend.changes]


def title(standings: Sequence[Standing]) -> str:
    """``2 of 10 images are not ready``; what is inconclusive is counted among them, for nobody knows that it is ready."""
    wrong = [each.verdict for each in standings if each.verdict is not Verdict.READY]
    if not wrong:
        return f"{count(len(standings), 'image')}, {'all' if len(standings) != 1 else 'it is'} ready"
    unknown = f", {inconclusive} of them inconclusive" if (inconclusive := wrong.count(Verdict.INCONCLUSIVE)) else ""
    return f"{len(wrong)} of {count(len(standings), 'image')} {'is' if len(wrong) == 1 else 'are'} not ready{unknown}"


def tell(change: Change, names: Mapping[int, tuple[str, Target]], wrong: Mapping[int, tuple[Wrong, ...]]) -> Told:
    """A change with the image's name, and the rules that made it."""
    before, now = ({each.rule for each in wrong.get(number, ())} for number in (change.record_before, change.record_now))
    return Told(*names[change.image], change, sorted(now - before), sorted(before - now))


def when(moment: datetime) -> str:
    """``2026-11-29 12:00 UTC``."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def label(begin: date, by: By) -> str:
    """``2026-11-29``, ``week of 2026-11-23``, ``2026-11``, ``2026``."""
    return {By.DAY: f"{begin}", By.WEEK: f"week of {begin}", By.MONTH: f"{begin:%Y-%m}", By.YEAR: f"{begin:%Y}"}[by]
