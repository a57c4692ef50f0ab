"""The rehearsal in the report for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.report.page import paint
from vhdprep.report.rehearsed import PICTURED, picture, summary, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.model import Report
    from vhdprep.report.page import Page
    from vhdprep.report.rehearsed import Piece, Told

_LABEL = 12
"""Characters of a label below whose end the text hangs."""
_COLOURS = {True: "32", False: "31", None: "33"}
_MARKS = {"bad": ("bad   ", "31"), "good": ("good  ", "32"), "told": ("      ", "0")}


def rehearsal_line(report: Report, *, colour: bool = False) -> str:
    """One line: what the image did when it was booted; empty where it was not asked to."""
    if report.rehearsal is None:
        return ""
    return f"Rehearsal: {paint(summary(report.rehearsal), _COLOURS[report.rehearsal.passed], colour)}"


def rehearsal_lines(report: Report, page: Page) -> Iterator[str]:
    """All of it, after the verdict and what was read."""
    if report.rehearsal is None:
        return
    told = tell(report.rehearsal, verbose=page.verbose)
    yield ""
    yield page.bold(rehearsal_line(report, colour=page.colour))
    for fact in told.facts:
        hangs = len(fact.label) <= _LABEL
        text = ", ".join(fact.told)
        yield from page.paragraph(text, "  ", f"{fact.label}: ") if hangs else page.paragraph(f"{fact.label}: {text}", "  ")
    yield from _evidence(told, page)
    if told.console:
        yield "  Serial console:"
    for line in told.console:
        yield from (page.dim(each) for each in page.paragraph(line, "    ", "| "))
    if picture(report.rehearsal):
        yield from page.paragraph(PICTURED, "  ")
    yield from page.paragraph(told.claim, "  ")


def _evidence(told: Told, page: Page) -> Iterator[str]:
    """Where all of it is good, in one line what was looked for."""
    if not page.verbose and all(each.mark == "good" for each in told.evidence):
        yield from page.paragraph(", ".join(dict.fromkeys(each.what for each in told.evidence)), "  ", "As it must be: ")
        return
    if told.evidence:
        yield "  Evidence:"
    for piece in told.evidence:
        mark, code = _MARKS[piece.mark]
        for number, line in enumerate(page.paragraph(_words(piece), "    ", mark)):
            yield line if number or not mark.strip() else line.replace(mark, paint(mark, code, page.colour), 1)


def _words(piece: Piece) -> str:
    """``new user: anna (/etc/passwd)``."""
    place = f" ({piece.where})" if piece.where else ""
    return f"{piece.what}: {piece.value}{place}" if piece.value or piece.where else piece.what
