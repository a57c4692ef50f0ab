"""Words of GRUB's commands: what they set, what they look for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.guest.formats.grubscript import Command, If
from vhdprep.guest.formats.textlines import lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vhdprep.guest.formats.grubscript import Statement

ASSIGNMENT = re.compile(r"(\w+)=(.*)", re.DOTALL)
_NAMED = {"-f": "file", "--file": "file", "--part-label": "partition"}
"""Options of ``search`` that say what the name is of; the last one is Flatcar's."""
_TARGET = re.compile(r"--set=(?:\d+:)?(\w+)|-s(\w+)")


def environment(text: str) -> dict[str, str]:
    """Variables of a grubenv block (1,024 bytes, ``# GRUB Environment Block``)."""
    if not text.startswith("# GRUB Environment Block"):
        return {}
    pairs = (line.partition("=") for line in lines(text) if not line.startswith("#"))
    return {key: re.sub(r"\\(.)", r"\1", value) for key, equals, value in pairs if equals}


def search_words(words: list[str]) -> tuple[str | None, str, str]:
    """What ``search`` looks for, the variable it sets, and what the name is of: ``volume``, ``partition`` or ``file``."""
    name, variable, kind = None, "root", "volume"
    rest = list(words)
    while rest:
        word = rest.pop(0)
        takes_next = bool(rest) and not rest[0].startswith("-")
        if word in ("--set", "-s") and takes_next:
            variable = rest.pop(0)
        elif word == "--hint" and takes_next:
            rest.pop(0)
        elif match := _TARGET.fullmatch(word):
            variable = match[1] or match[2]
        elif word in _NAMED:
            kind = _NAMED[word]
        elif name is None and not word.startswith("-"):
            name = word
    if name is None and variable != "root":  # GRUB 1.98 took no word after --set
        return variable, "root", kind
    return name, variable, kind


def commands(statements: Iterable[Statement]) -> Iterable[Command]:
    """Every command in ``statements``, whatever it depends on."""
    for each in statements:
        if isinstance(each, Command):
            yield each
        elif isinstance(each, If):
            for condition, body in each.branches:
                yield from commands([*condition, *body])
        else:
            yield from commands(each.body)


def set_by(each: Command) -> list[str]:
    """Variables that a command may set."""
    name, *words = each.words
    if name in ("set", "unset", "increment", "decrement", "read", "gptprio.next"):
        return [word.partition("=")[0] for word in words if not word.startswith("-")]
    found = [name.partition("=")[0]] if ASSIGNMENT.fullmatch(name) else []
    for before, word in zip(["", *words], words, strict=False):
        if match := _TARGET.fullmatch(word):
            found.append(match[1] or match[2])
        elif before in ("--set", "-s"):
            found.append(word.rpartition(":")[2])
    return found
