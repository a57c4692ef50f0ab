"""LVM2's metadata text: nested sections of ``name = value``.

Source: LVM2 ``libdm/libdm-config.c`` (the grammar), ``lib/format_text/export.c`` (what is written).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Union

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

Value = int | float | str | list[int | float | str]
Section = dict[str, Union[Value, "Section"]]

MAX_DEPTH = 8
"""Deepest nesting of sections; LVM2 writes four. Names have at most 128 characters (``NAME_LEN``)."""

_TOKEN = re.compile(
    r"""(?> \s+ | \#[^\n]* )*+
        (?: (?P<text>"(?:[^"\\]|\\.)*+") | (?P<mark>[={}\[\],]) | (?P<word>[^\s\#={}\[\],"]{1,128}+) | (?P<end>\Z) )""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?\d{1,19}(\.\d{1,19})?")


def parse(text: str) -> Section:
    """The sections of ``text``.

    Raises:
        Unreadable: it breaks the grammar, nests deeper than ``MAX_DEPTH`` or names a thing twice.
    """
    root: Section = {}
    stack = [root]
    tokens = _tokens(text)
    for name, kind in tokens:
        if name == "}" and kind == "mark" and len(stack) > 1:
            stack.pop()
            continue
        if kind != "word" or name in stack[-1]:
            raise Unreadable(f"its metadata breaks off at {name[:40]!r}: a new name was expected")
        follows = next(tokens, None)
        if follows == ("=", "mark"):
            stack[-1][name] = _value(tokens)
        elif follows == ("{", "mark") and len(stack) < MAX_DEPTH:
            inner: Section = {}
            stack[-1][name] = inner
            stack.append(inner)
        else:
            raise Unreadable(f"its metadata breaks off at {name[:40]!r}: neither a value nor a section follows")
    if len(stack) > 1:
        raise Unreadable("its metadata ends inside a section")
    return root


def number(section: Section, name: str) -> int:
    """The whole number ``name``, not negative. Raises ``Unreadable`` without one."""
    value = section.get(name)
    if not isinstance(value, int) or value < 0:
        raise Unreadable(f"its metadata has no number {name!r} where one must be")
    return value


def words(section: Section, name: str) -> list[int | float | str]:
    """The array ``name``; empty when there is none."""
    value = section.get(name, [])
    return value if isinstance(value, list) else []


def word(section: Section, name: str) -> str:
    """The text ``name``. Raises ``Unreadable`` without one."""
    value = section.get(name)
    if not isinstance(value, str):
        raise Unreadable(f"its metadata has no text {name!r} where one must be")
    return value


def sections(parent: Section, name: str | None = None) -> dict[str, Section]:
    """The sections inside ``parent``, or inside its section ``name``; empty when there are none."""
    found = parent.get(name, {}) if name else parent
    return {key: value for key, value in found.items() if isinstance(value, dict)} if isinstance(found, dict) else {}


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Each token and its kind: ``text``, ``mark`` or ``word``; blanks and comments left out."""
    at = 0
    while (match := _TOKEN.match(text, at)) and match.lastgroup != "end":
        at = match.end()
        yield match[match.lastgroup or 0], match.lastgroup or ""
    if match is None:
        raise Unreadable(f"its metadata breaks off at {text[at : at + 20]!r}")


def _value(tokens: Iterator[tuple[str, str]]) -> Value:
    token, kind = next(tokens, ("", ""))
    if (token, kind) != ("[", "mark"):
        return _scalar(token, kind)
    items: list[int | float | str] = []
    for token, kind in tokens:
        if (token, kind) == ("]", "mark"):
            return items
        if (token, kind) != (",", "mark"):
            items.append(_scalar(token, kind))
    raise Unreadable("its metadata ends inside an array")


def _scalar(token: str, kind: str) -> int | float | str:
    if kind == "text":
        return re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL) if "\\" in token else token[1:-1]
    if kind == "word" and (match := _NUMBER.fullmatch(token)):
        return float(token) if match[1] else int(token)
    raise Unreadable(f"its metadata breaks off at {token[:40]!r}: a value was expected")
