"""Text as Windows programs write it: UTF-8 or UTF-16, with or without a byte order mark; its ini files."""

from __future__ import annotations

from vhdprep.guest.formats.textlines import lines

_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_PROBED = 256
"""Bytes in which a zero shows UTF-16 that has no mark."""


def decode(data: bytes) -> str:
    """The text, foreign bytes replaced."""
    return data.decode(encoding(data), "replace").removeprefix("\ufeff")


def encoding(head: bytes) -> str:
    """Which encoding a text has that begins so."""
    if head[:2] in _MARKS:
        return _MARKS[head[:2]]
    zero = head[:_PROBED].find(b"\0")
    return "utf-8" if zero < 0 else "utf-16-le" if zero % 2 else "utf-16-be"


def ini_value(text: str, section: str, key: str) -> str | None:
    """The first value of ``key`` in ``section``, as Windows looks it up: without case, quotes left out. None = not there."""
    current = ""
    for line in map(str.strip, lines(text)):
        if line.startswith("["):
            current = line[1:].partition("]")[0].strip()
        elif current.casefold() == section.casefold() and not line.startswith(";"):
            name, equals, value = line.partition("=")
            if equals and name.strip().casefold() == key.casefold():
                return value.strip().strip('"')
    return None
