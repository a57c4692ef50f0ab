"""Text as Windows programs write it: UTF-8 or UTF-16, with or without a byte order mark; its ini files."""

from __future__ import annotations

from vhdprep.guest.formats.textlines import lines

_PROBED = 256
"""Bytes in which a zero shows UTF-16 that has no mark."""


def decode(data: bytes) -> str:
    """The text, foreign bytes replaced."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    return data.decode("utf-16-le" if b"\0" in data[:_PROBED] else "utf-8-sig", "replace")


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
