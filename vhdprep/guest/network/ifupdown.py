"""``/etc/network/interfaces`` (ifupdown 0.8.41 interfaces(5))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.network.profile import FIRST, Profile, mac, matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

_DIRECTORY_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_CLIENT = re.compile(r"\b(dhclient|udhcpc|dhcpcd)\b")
_STANZAS = ("iface", "auto", "mapping", "source", "source-directory", "rename", "template", "no-auto-down", "no-scripts")


class _Line(NamedTuple):
    place: str
    words: list[str]


def read(guest: Guest) -> Iterator[Profile]:
    """Profiles of the file and of those it includes; what no ``auto`` or ``allow-`` line names is off."""
    found = list(_lines(guest, "/etc/network/interfaces", set()))
    started = [_started(word) for line in found if line.words[0] in ("auto", "allow-auto", "allow-hotplug") for word in line.words[1:]]
    for number, line in enumerate(found):
        if line.words[0] == "iface" and len(line.words) > 3 and line.words[2] == "inet":
            name, options = line.words[1], list(_options(found[number + 1 :]))
            method = {"dhcp": "dhcp", "static": "static"}.get(line.words[3], "off")
            if any(option[0] in ("up", "post-up") and _CLIENT.search(" ".join(option)) for option in options):
                method = "dhcp"
            if not any(logical == name or (logical is None and matches(name, [pattern])) for pattern, logical in started):
                method = "off"
            fits = name == FIRST or any(logical == name and matches(FIRST, [pattern]) for pattern, logical in started)
            address = mac(*(option[-1] for option in options if option[0] == "hwaddress"))
            yield Profile(line.place, "ifupdown", name, method, address, fits)


def _started(word: str) -> tuple[str, str | None]:
    """A word of an ``auto`` line: pattern for cards → name of their stanza, None = that of the card (``/eth*=any``, ``type/1/1=first``)."""
    card, _, logical = word.partition("=")
    variable, slash, value = card.partition("/")
    if not slash:
        return card, logical or None
    value = value.partition("/")[0]
    pattern = value if not variable else "*" if (variable, value) == ("type", "1") else ""
    return pattern, logical or None


def _options(rest: list[_Line]) -> Iterator[list[str]]:
    for line in rest:
        if line.words[0] in _STANZAS or line.words[0].startswith("allow-"):
            return
        yield line.words


def _lines(guest: Guest, path: str, seen: set[str]) -> Iterator[_Line]:
    """Lines of a file and of those it includes, in place; each file counts once."""
    if path in seen:
        return
    seen.add(path)
    pending = ""
    for number, raw in enumerate(lines(guest.files.text(path) or ""), 1):
        text, pending = pending + raw, ""
        if text.endswith("\\"):
            pending = text[:-1] + " "
            continue
        words = text.split()
        if not words or words[0].startswith("#"):
            continue
        yield _Line(f"{path}:{number}", words)
        if words[0] in ("source", "source-directory"):
            for included in (each for pattern in words[1:] for each in _included(guest, path, words[0], pattern)):
                yield from _lines(guest, included, seen)


def _included(guest: Guest, path: str, keyword: str, pattern: str) -> list[str]:
    full = pattern if pattern.startswith("/") else f"{path.rpartition('/')[0]}/{pattern}"
    if keyword == "source":
        return [each for each in guest.files.glob(full) if not each.rpartition("/")[2].startswith(".")]
    found = guest.files.glob(f"{full.rstrip('/')}/*")
    return [each for each in found if _DIRECTORY_NAME.fullmatch(each.rpartition("/")[2])]
