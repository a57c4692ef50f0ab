"""One file of sudoers(5): who may do what, and which other files it reads.

Source: sudo 1.9.13 ``sudoers.5``, ``plugins/sudoers/toke.l``, ``gram.y``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.guest.formats.textlines import lines

if TYPE_CHECKING:
    from collections.abc import Iterator


class Line(NamedTuple):
    """A whole entry: continued lines joined, comments gone."""

    number: int
    text: str


class Include(NamedTuple):
    """Another file, or every file of a directory, is read here."""

    path: str
    directory: bool


class Default(NamedTuple):
    """A setting that holds for everyone."""

    name: str
    on: bool


class Alias(NamedTuple):
    """A name for several users."""

    name: str
    users: tuple[str, ...]


class Grant(NamedTuple):
    """What some users may do."""

    users: tuple[str, ...]
    """As written: names, ``%group``, ``#uid``, ``+netgroup``, aliases, ``ALL``; ``!`` takes out."""
    commands: str
    """Everything behind the first ``=``."""


Entry = Include | Default | Alias | Grant

_INCLUDE = re.compile(r"[#@]include(dir)?\s+(.+)$")
_DEFAULTS = re.compile(r"Defaults(?P<only>\s*[@:!>]\s*\S+)?\s+(?P<flags>.*)$")
_COMMENT = re.compile(r"""(?<!\\)\#(?!\d|include(?:dir)?\s).*$""")
_USERS = re.compile(r'(?P<users>!*\s*(?:"[^"]*"|(?:\\.|[^\s\\,="])+)(?:\s*,\s*!*\s*(?:"[^"]*"|(?:\\.|[^\s\\,="])+))*)\s*(?P<rest>.*)$')


def entries(text: str) -> Iterator[tuple[Line, Entry]]:
    """Every entry that matters, in order; lines that sudo would refuse say nothing."""
    for line in _joined(text):
        if include := _INCLUDE.match(line.text):
            yield line, Include(re.sub(r"\\(.)", r"\1", include[2].strip().strip('"')), include[1] is not None)
        elif settings := _DEFAULTS.match(line.text):
            if re.sub(r"\s", "", settings["only"] or "") in ("", ":ALL", "@ALL"):
                for flag in settings["flags"].split(","):
                    yield line, Default(flag.strip().lstrip("! "), on=not flag.strip().startswith("!"))
        elif line.text.startswith("User_Alias"):
            for definition in line.text.removeprefix("User_Alias").split(":"):
                name, _, users = definition.partition("=")
                yield line, Alias(name.strip(), _names(users))
        elif not re.match(r"(Runas|Host|Cmnd|Cmd)_Alias\b", line.text) and (spec := _USERS.match(line.text)) and "=" in spec["rest"]:
            yield line, Grant(_names(spec["users"]), spec["rest"].partition("=")[2].strip())


def _joined(text: str) -> Iterator[Line]:
    start, held = 0, ""
    for number, raw in enumerate([*lines(text), ""], 1):
        start = start if held else number
        held += raw
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        if whole := _COMMENT.sub("", held).strip():
            yield Line(start, whole)
        held = ""


def _names(text: str) -> tuple[str, ...]:
    """A list of users; quotes and backslashes are only for writing."""
    found = re.findall(r'(!*)\s*("[^"]*"|(?:\\.|[^\s\\,])+)', text)
    return tuple("!" * (len(mark) % 2) + re.sub(r"\\(.)", r"\1", name.strip('"')) for mark, name in found)
