"""Logs that Windows Setup and Sysprep write (``setupact.log``, ``setuperr.log``): one entry a line, its level and component before it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINE = 4096
"""Longest line that is looked at, in characters."""
_ENTRY = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d), (?P<level>Info|Warning|Error|Fatal Error)[ \t]{1,40}"
    r"(?:\[0x[0-9a-fA-F]{1,8}\][ \t]{1,40})?(?P<component>[A-Za-z]\S{0,15})[ \t](?P<text>.*)"
)


class Entry(NamedTuple):
    """What one component noted."""

    line: int
    """Counted from the text's first line."""
    time: str
    """``2025-07-22 21:55:35``; by its letters earlier is smaller."""
    is_error: bool
    text: str


def entries(text: str, component: str) -> Iterator[Entry]:
    """The component's entries in order; longer lines and those of another shape are left out."""
    end, line = -1, 1
    while (found := text.find(component, end + 1)) >= 0:
        start = text.rfind("\n", end + 1, found) + 1 or end + 1
        line += text.count("\n", max(end, 0), start)
        end = text.find("\n", found)
        if end < 0:
            end = len(text)
        entry = _ENTRY.match(text[start:end].rstrip("\r")) if end - start <= MAX_LINE else None
        if entry and entry["component"] == component:
            yield Entry(line, entry["time"], "Error" in entry["level"], entry["text"].strip())
