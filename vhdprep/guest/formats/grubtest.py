"""GRUB's ``test`` command (GRUB 2.06 ``grub-core/commands/test.c``): words → true or false."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Stand = Callable[[str, str], bool]
    """Whether the file of a path is ``d`` a directory, ``e`` there, ``f`` a file, ``s`` not empty."""

_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": lambda a, b: a == b,
    "-ne": lambda a, b: a != b,
    "-lt": lambda a, b: a < b,
    "-le": lambda a, b: a <= b,
    "-gt": lambda a, b: a > b,
    "-ge": lambda a, b: a >= b,
}
_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
}


def evaluate(words: list[str], stands: Stand) -> bool:
    """Whether the expression in ``words`` holds; no words at all do, as GRUB has it."""
    either, both, wanted = False, True, True
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "!":
            wanted = not wanted
        elif word == "-o":
            either, both = either or both, True
        elif word != "-a":
            both = both and _term(word, rest, stands) == wanted
            wanted = True
    return either or both


def _term(word: str, rest: list[str], stands: Stand) -> bool:
    """One comparison that begins with ``word``; what belongs to it is taken from ``rest``."""
    if word == "(":
        return _parenthesis(rest, stands)
    if rest and rest[0] in _TEXTS and len(rest) > 1:
        return _TEXTS[rest.pop(0)](word, rest.pop(0))
    if rest and rest[0] in _NUMBERS and len(rest) > 1:
        return _NUMBERS[rest.pop(0)](_number(word), _number(rest.pop(0)))
    if word in ("-n", "-z") and rest:
        return bool(rest.pop(0)) == (word == "-n")
    if word in ("-d", "-e", "-f", "-s") and rest:
        return stands(word[1], rest.pop(0))
    return bool(word)


def _parenthesis(rest: list[str], stands: Stand) -> bool:
    depth, inner = 1, []
    while rest:
        word = rest.pop(0)
        depth += {"(": 1, ")": -1}.get(word, 0)
        if not depth:
            break
        inner.append(word)
    return evaluate(inner, stands)


def _number(text: str) -> int:
    digits = text.lstrip("-")
    return int(text) if digits.isdecimal() and len(digits) < 20 else 0
