"""sshd's effective settings: the first value wins, Include in place, nothing inside a Match block.

Source: OpenSSH V_9_2_P1 and V_9_9_P2 ``sshd_config.5``, ``servconf.c``, ``misc.c``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.image import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

FILES = ("/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config")
_SETTING = re.compile(r'\s*"?(\w+)"?(?:\s*=\s*|\s+|$)(.*)$')
_MAX_DEPTH = 16
"""servconf.c ``SERVCONF_MAX_DEPTH``."""
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@once
def options(guest: Guest) -> dict[str, tuple[str, str]]:
    """Lower-case keyword → (value, place), as sshd would use them for every connection."""
    found: dict[str, tuple[str, str]] = {}
    path = next((each for each in FILES if guest.files.is_file(each)), None)
    if path is not None:
        for keyword, value, place in _read(guest, path, 0):
            found.setdefault(keyword, (value, place))
    return found


def seconds(text: str) -> int | None:
    """A time of sshd_config(5) such as ``180``, ``3m``, ``1h30m``; None = not a time."""
    parts = re.findall(r"([0-9]+)([smhdw]?)", text.lower())
    return sum(int(number) * _UNITS[unit] for number, unit in parts) if parts and "".join(map("".join, parts)) == text.lower() else None


def _read(guest: Guest, path: str, depth: int) -> Iterator[tuple[str, str, str]]:
    """What a file and those it includes say outside Match blocks; a block ends with its file."""
    if depth > _MAX_DEPTH:
        raise Unreadable(f"{path}: Include is nested deeper than {_MAX_DEPTH}")
    conditional = False
    for number, line in enumerate(lines(guest.files.text(path) or ""), 1):
        setting = _SETTING.match(line)
        if setting is None:
            continue
        keyword, arguments = setting[1].lower(), _split(setting[2])
        if keyword == "match":
            conditional = [each.lower() for each in arguments] != ["all"]
        elif keyword == "include" and not conditional:
            for included in (each for pattern in arguments for each in _included(guest, pattern)):
                yield from _read(guest, included, depth + 1)
        elif not conditional:
            yield keyword, " ".join(arguments), f"{path}:{number}"


def _included(guest: Guest, pattern: str) -> list[str]:
    """Files that match, by name, as glob(3) finds them: what begins with a dot only when the pattern does."""
    found = guest.files.glob(pattern if pattern.startswith("/") else f"/etc/ssh/{pattern}")
    hidden = pattern.rpartition("/")[2].startswith(".")
    return sorted(path for path in found if hidden or not path.rpartition("/")[2].startswith("."))


def _split(text: str) -> list[str]:
    """The arguments of a line: quotes keep blanks together, a backslash keeps a quote, ``#`` before an argument ends the line."""
    found: list[str] = []
    word: str | None = None
    quote = escaped = ""
    for letter in text.rstrip():
        if escaped:
            plain = letter in "'\"\\" or (letter == " " and not quote)
            word, escaped = (word or "") + ("" if plain else "\\") + letter, ""
        elif letter == "\\":
            escaped = letter
        elif quote:
            word, quote = (word or "", "") if letter == quote else ((word or "") + letter, quote)
        elif letter in " \t":
            found += [word] if word is not None else []
            word = None
        elif letter == "#" and word is None:
            break
        elif letter in "'\"":
            word, quote = word or "", letter
        else:
            word = (word or "") + letter
    return [*found, (word or "") + escaped] if word is not None or escaped else found
