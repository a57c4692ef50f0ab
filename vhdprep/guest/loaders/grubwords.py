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
_TARGET = re.compile(r"--set=(?:\d+:)?(\w+)|-s(\w+)")


def environment(text: str) -> dict[str, str]:
    """Variables of a grubenv block (1,024 bytes, ``# GRUB Environment Block``)."""
    if not text.startswith("# GRUB Environment Block"):
        return {}
    pairs = (line.partition("=") for line in lines(text) if not line.startswith("#"))
    return {key: re.sub(r"\\(.)", r"\1", value) for key, equals, value in pairs if equals}


def search_words(words: list[str]) -> tuple[str | None, str, bool]:
    """What ``search`` looks for, the variable it sets, and whether it is a file."""
    name, variable, by_file, skip = None, "root", False, False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-"):
            match = _TARGET.fullmatch(word)
            variable = match[1] or match[2] if match else variable
            by_file = by_file or word in ("-f", "--file")
            skip = word == "--hint"
        elif name is None:
            name = word
    return name, variable, by_file


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
