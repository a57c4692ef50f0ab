"""How many images were ready, not ready and inconclusive, day by day: an image is what its last judgement said until the next one says otherwise."""

from __future__ import annotations

from collections import Counter, deque
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import UsageError
from vhdprep.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vhdprep.audit.history import Event

MAX_CHANGES = 50
"""Changes of a verdict that are shown, the newest."""
MAX_FITTING = 60
"""Points of a trend for which nobody said what it counts in: what a terminal shows in one line."""
MAX_POINTS = 4000
"""Points of any trend: ten years of days."""
_BARS = "▁▂▃▄▅▆▇█"


class By(StrEnum):
    """What a trend counts in; all in UTC, weeks from Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"

    def begin(self, day: date) -> date:
        """The first day of that which ``day`` lies in."""
        match self:
            case By.DAY:
                return day
            case By.WEEK:
                return day - timedelta(days=day.weekday())
            case By.MONTH:
                return day.replace(day=1)
            case By.YEAR:
                return day.replace(month=1, day=1)

    def after(self, begin: date) -> date:
        """The first day of the next."""
        days = {By.DAY: 1, By.WEEK: 7, By.MONTH: 32, By.YEAR: 366}
        return self.begin(begin + timedelta(days=days[self]))


_SHORTEST = {By.DAY: 1, By.WEEK: 7, By.MONTH: 28, By.YEAR: 365}
"""Days."""


class Point(NamedTuple):
    """How the fleet stood at the end of a day, week, month or year."""

    begin: date
    ready: int
    not_ready: int
    inconclusive: int

    def of(self, verdict: Verdict) -> int:
        """Images with this verdict."""
        return {Verdict.READY: self.ready, Verdict.NOT_READY: self.not_ready, Verdict.INCONCLUSIVE: self.inconclusive}[verdict]

    @property
    def images(self) -> int:
        """All images that had been judged by then."""
        return self.ready + self.not_ready + self.inconclusive


class Change(NamedTuple):
    """An image whose verdict is another than before."""

    image: int
    judged: datetime
    before: Verdict
    now: Verdict
    record_before: int
    record_now: int


class Trend(NamedTuple):
    """All that a walk through the judgements gives."""

    by: By
    points: tuple[Point, ...]
    changes: tuple[Change, ...]
    """The newest first, at most ``MAX_CHANGES``."""


def choose(asked: By | None, first: datetime, last: datetime) -> By:
    """What was asked for, else the finest of which there are at most ``MAX_FITTING`` from first to last.

    Raises:
        UsageError: what was asked for gives more than ``MAX_POINTS``.
    """
    if asked is not None:
        if (points := _how_many(asked, first, last)) > MAX_POINTS:
            raise UsageError(f"--by {asked} gives {points} points, more than {MAX_POINTS}; take a longer one")
        return asked
    return next((by for by in By if _how_many(by, first, last) <= MAX_FITTING), By.YEAR)


def _how_many(by: By, first: datetime, last: datetime) -> int:
    """Points from first to last; of months at most one in twelve too many."""
    return (by.begin(last.date()) - by.begin(first.date())).days // _SHORTEST[by] + 1


def follow(events: Iterable[Event], by: By) -> Trend:
    """Walk through the judgements, which come in the order of time."""
    held: dict[int, Event] = {}
    counts: Counter[Verdict] = Counter()
    points: list[Point] = []
    changes: deque[Change] = deque(maxlen=MAX_CHANGES)
    begin = None
    for event in events:
        wanted = by.begin(event.judged.date())
        points += _until(begin, wanted, by, counts)
        begin = wanted
        if (before := held.get(event.image)) is not None:
            counts[before.verdict] -= 1
            if before.verdict is not event.verdict:
                changes.appendleft(Change(event.image, event.judged, before.verdict, event.verdict, before.number, event.number))
        counts[event.verdict] += 1
        held[event.image] = event
    if begin is not None:
        points.append(_point(begin, counts))
    return Trend(by, tuple(points), tuple(changes))


def sparkline(numbers: list[int]) -> str:
    """Bars of the height of each number; nothing but 0 has the lowest."""
    top = max(numbers, default=0)
    return "".join(_BARS[-(-number * (len(_BARS) - 1) // top) if top else 0] for number in numbers)


def _until(begin: date | None, wanted: date, by: By, counts: Counter[Verdict]) -> Iterator[Point]:
    """What is over when the first event of ``wanted`` comes."""
    while begin is not None and begin < wanted:
        yield _point(begin, counts)
        begin = by.after(begin)


def _point(begin: date, counts: Counter[Verdict]) -> Point:
    return Point(begin, counts[Verdict.READY], counts[Verdict.NOT_READY], counts[Verdict.INCONCLUSIVE])
