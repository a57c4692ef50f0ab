"""The mapping that parsed documents are made of."""

from __future__ import annotations

from typing import Any


class Lines(dict[str, Any]):
    """A mapping that may know the line of each key."""

    __slots__ = ("line", "lines")

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self.lines: dict[str, int] = {}
        self.line = 1

    def line_of(self, key: str) -> int:
        """The line of ``key``, or of the mapping where that is not known."""
        return self.lines.get(key, self.line)
