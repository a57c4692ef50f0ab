"""The fleet as one HTML file: what is not ready, since when, what changed, and how many over time. As the report's page: no script, no request."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from vhdprep.audit.fleet import label, tell, title, when
from vhdprep.audit.history import ORDER
from vhdprep.model import Outcome, Severity, Verdict
from vhdprep.report import words
from vhdprep.report.html import LOOKS, engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.audit.fleet import Fleet
    from vhdprep.audit.history import Standing
    from vhdprep.audit.trend import Point

MAX_ROWS = 500
"""Images, points and rules that each part of the page shows; `audit list` shows all."""
MAX_RULES = 12
"""Rules that one image or one change shows."""
WIDTH, HEIGHT = 1000, 300
"""The chart's own units; it is stretched to the place that there is."""


def render(fleet: Fleet) -> str:
    """The page. Every value in it is escaped twice, as in the report's page."""
    return engine(Path(__file__).parent).get_template("page.jinja").render(_values(fleet)) + "\n"


def bands(points: Sequence[Point]) -> list[tuple[str, str]]:
    """The look and the outline of each verdict's band, one on the other from the bottom; a point is a step as wide as every other."""
    top = max((each.images for each in points), default=0) or 1
    below = [0] * len(points)
    found = []
    for verdict in ORDER:
        above = [low + point.of(verdict) for low, point in zip(below, points, strict=True)]
        found.append((LOOKS[verdict], " ".join([*_steps(above, top), *reversed(_steps(below, top))])))
        below = above
    return found


def _steps(levels: list[int], top: int) -> list[str]:
    """Corners of a flight of stairs, from the left."""
    steps = []
    for number, level in enumerate(levels):
        height = round(HEIGHT - HEIGHT * level / top, 2)
        steps += [f"{round(WIDTH * (number + side) / len(levels), 2):g},{height:g}" for side in (0, 1)]
    return steps


def _values(fleet: Fleet) -> dict[str, object]:
    counts = Counter(each.verdict for each in fleet.standings)
    points = fleet.trend.points
    return {
        "words": words,
        "looks": LOOKS,
        "fleet": fleet,
        "title": title(fleet.standings),
        "look": next((LOOKS[verdict] for verdict in ORDER if counts[verdict]), "note"),
        "counts": [(verdict, counts[verdict]) for verdict in ORDER],
        "judged": max((each.judged for each in fleet.standings), default=None),
        "wrong": [each for each in fleet.standings if each.verdict is not Verdict.READY],
        "ready": [each for each in fleet.standings if each.verdict is Verdict.READY],
        "rules_found": _rules(fleet.standings),
        "changes": [tell(each, fleet.names, fleet.wrong) for each in fleet.trend.changes],
        "decisive": _decisive,
        "when": when,
        "label": lambda point: label(point.begin, fleet.trend.by),
        "points": points,
        "bands": bands(points),
        "top": max((each.images for each in points), default=0),
        "width": WIDTH,
        "height": HEIGHT,
        "rows": MAX_ROWS,
        "shown_rules": MAX_RULES,
    }


def _decisive(standing: Standing) -> list[str]:
    """Rules that keep the image back: failed errors, else undecided ones."""
    errors = [each for each in standing.wrong if each.severity is Severity.ERROR]
    failed = [each.rule for each in errors if each.outcome is Outcome.FAIL]
    return failed or [each.rule for each in errors]


def _rules(standings: Sequence[Standing]) -> list[tuple[str, int, int]]:
    """Error rules with the number of images they fail on now, and of those they are undecided on; the most frequent first."""
    failed, undecided = (
        Counter(each.rule for image in standings for each in image.wrong if each.severity is Severity.ERROR and each.outcome is outcome)
        for outcome in (Outcome.FAIL, Outcome.UNKNOWN)
    )
    return sorted(((rule, failed[rule], undecided[rule]) for rule in {*failed, *undecided}), key=lambda each: (-each[1], -each[2], each[0]))
