"""The order of versions as rpm has it.

Source: rpm ``rpmio/rpmvercmp.cc``.
"""

from __future__ import annotations

import re

_PART = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")
_END = (1, 0, "")


def key(version: str) -> tuple[tuple[int, int, str], ...]:
    """What to sort by: numbers after words after ``^`` after the end after ``~``; what stands between the parts does not count."""
    return (*(_rank(part) for part in _PART.findall(version)), _END)


def _rank(part: str) -> tuple[int, int, str]:
    if part in "~^":
        return (0 if part == "~" else 2, 0, "")
    if not part.isdigit():
        return (3, 0, part)
    digits = part.lstrip("0")  # not as a number: Python refuses those of more than 4300 digits
    return (4, len(digits), digits)
