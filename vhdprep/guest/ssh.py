"""sshd's effective settings: the first value wins, Include in place, nothing inside a Match block.

Source: OpenSSH V_9_2_P1 ``sshd_config.5``, ``servconf.c``.
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

_FILES = ("/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config")
_SETTING = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+|$)(.*)$")
_MAX_DEPTH = 16
"""servconf.c ``SERVCONF_MAX_DEPTH``."""


@once
def options(guest: Guest) -> dict[str, tuple[str, str]]:
    """Lower-case keyword → (value, place), as sshd would use them for every connection."""
    found: dict[str, tuple[str, str]] = {}
    path = next((each for each in _FILES if guest.files.is_file(each)), None)
    if path is not None:
        for keyword, value, place in _read(guest, path, 0):
            found.setdefault(keyword, (value, place))
    return found


def seconds(text: str) -> int | None:
    """A time of sshd_config(5) such as ``180``, ``3m``, ``1h30m``; None = not a time."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    total, number = 0, ""
    for letter in text.lower():
        if letter.isdecimal():
            number += letter
        elif number and letter in units:
            total, number = total + int(number) * units[letter], ""
        else:
            return None
    return (total + int(number or 0)) if text else None


def _read(guest: Guest, path: str, depth: int) -> Iterator[tuple[str, str, str]]:
    if depth > _MAX_DEPTH:
        raise Unreadable(f"{path}: Include is nested deeper than {_MAX_DEPTH}")
    conditional = False
    for number, line in enumerate(lines(guest.files.text(path) or ""), 1):
        setting = _SETTING.match(line)
        if setting is None:
            continue
        keyword, value = setting[1].lower(), setting[2].strip()
        if keyword == "match":
            conditional = value.lower() != "all"
        elif keyword == "include" and not conditional:
            for pattern in value.replace('"', "").split():
                for included in sorted(guest.files.glob(pattern if pattern.startswith("/") else f"/etc/ssh/{pattern}")):
                    yield from _read(guest, included, depth + 1)
        elif not conditional:
            yield keyword, value.split(" #")[0].strip().strip('"'), f"{path}:{number}"
