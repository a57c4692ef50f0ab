"""How many were ready when: pure counting, and the bars it is shown with."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from vhdprep.audit.history import Event
from vhdprep.audit.page import HEIGHT, WIDTH, bands
from vhdprep.audit.trend import By, Change, Point, choose, follow, sparkline
from vhdprep.errors import UsageError
from vhdprep.model import Verdict

READY, WRONG, UNKNOWN = Verdict.READY, Verdict.NOT_READY, Verdict.INCONCLUSIVE


def at(month, day, hour=10, year=2026):
    return datetime(year, month, day, hour, tzinfo=UTC)


def events(*found):
    return [Event(moment, number, image, verdict) for number, (moment, image, verdict) in enumerate(found, 1)]


def test_an_image_counts_as_what_it_last_was_on_days_without_a_judgement_too():
    found = follow(events((at(11, 1), 1, READY), (at(11, 1, 11), 2, WRONG), (at(11, 3), 1, UNKNOWN), (at(11, 4), 2, READY)), By.DAY)
    assert [(point.begin.day, *point[1:]) for point in found.points] == [(1, 1, 1, 0), (2, 1, 1, 0), (3, 0, 1, 1), (4, 1, 0, 1)]
    assert found.changes == (Change(2, at(11, 4), WRONG, READY, 2, 4), Change(1, at(11, 3), READY, UNKNOWN, 1, 3))


def test_only_the_last_judgement_of_a_day_counts_at_its_end():
    found = follow(events((at(11, 1), 1, READY), (at(11, 1, 11), 1, WRONG), (at(11, 1, 12), 1, READY)), By.DAY)
    assert found.points == (Point(date(2026, 11, 1), 1, 0, 0),)
    assert len(found.changes) == 2


def test_nothing_is_a_trend_of_nothing():
    assert follow([], By.DAY) == (By.DAY, (), ())


@pytest.mark.parametrize(
    ("by", "begins"),
    [
        (By.WEEK, ["2025-12-29", "2026-01-05", "2026-01-12"]),
        (By.MONTH, ["2025-12-01", "2026-01-01"]),
        (By.YEAR, ["2025-01-01", "2026-01-01"]),
    ],
)
def test_weeks_begin_on_monday_months_and_years_on_their_first_day(by, begins):
    found = follow(events((at(12, 31, year=2025), 1, READY), (at(1, 12), 1, WRONG)), by)
    assert [str(point.begin) for point in found.points] == begins


@pytest.mark.parametrize(
    ("first", "last", "by"),
    [
        (at(11, 1), at(11, 1), By.DAY),
        (at(9, 1), at(10, 30), By.DAY),
        (at(9, 1), at(10, 31), By.WEEK),
        (at(1, 1, year=2025), at(11, 1), By.MONTH),
        (at(1, 1, year=2000), at(11, 1), By.YEAR),
        (at(1, 1, year=1), at(11, 1, year=9999), By.YEAR),
    ],
)
def test_what_is_counted_in_is_what_fits_in_a_line(first, last, by):
    assert choose(None, first, last) is by


def test_what_was_asked_for_is_taken_unless_it_is_endless():
    assert choose(By.DAY, at(1, 1, year=2020), at(11, 1)) is By.DAY
    with pytest.raises(UsageError, match="--by day gives 738460 points, more than 4000"):
        choose(By.DAY, at(1, 1, year=5), at(11, 1))


def test_only_nothing_has_the_lowest_bar():
    assert (sparkline([0, 1, 50, 100]), sparkline([0, 0]), sparkline([])) == ("▁▂▅█", "▁▁", "")


def test_the_bands_of_the_chart_lie_on_one_another_and_fill_what_there_is():
    points = [Point(date(2026, 11, 1), 1, 2, 1), Point(date(2026, 11, 2), 2, 0, 0)]
    assert bands(points) == [
        ("error", "0,150 500,150 500,300 1000,300 1000,300 500,300 500,300 0,300"),
        ("warning", "0,75 500,75 500,300 1000,300 1000,300 500,300 500,150 0,150"),
        ("ready", "0,0 500,0 500,150 1000,150 1000,300 500,300 500,75 0,75"),
    ]
    assert (WIDTH, HEIGHT) == (1000, 300)
