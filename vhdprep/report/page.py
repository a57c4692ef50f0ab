"""How the report for people is written in a terminal: its width, its colours, and how much of it."""

from __future__ import annotations

from textwrap import wrap

from vhdprep.model import Verdict

VERDICTS = {Verdict.READY: "32", Verdict.NOT_READY: "31", Verdict.INCONCLUSIVE: "33", None: "36"}
"""The colour of a verdict, as ECMA-48 numbers it (SGR)."""


class Page:
    """How to write: width, colour, how much."""

    def __init__(self, *, colour: bool, width: int, verbose: bool) -> None:
        self.colour, self.width, self.verbose = colour, width, verbose

    def paragraph(self, text: str, indent: str, label: str = "") -> list[str]:
        """Wrapped text; ``label`` stands before its first line."""
        first = f"{indent}{label}" if label else indent
        rest = " " * len(first)
        return wrap(text, self.width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False)

    def bold(self, text: str) -> str:
        """Text that stands out."""
        return paint(text, "1", self.colour)

    def dim(self, text: str) -> str:
        """Text that stands back."""
        return paint(text, "2", self.colour)


def paint(text: str, code: str, colour: bool) -> str:
    """Text in a colour, where there are colours."""
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
