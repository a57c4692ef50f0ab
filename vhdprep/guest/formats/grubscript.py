"""GRUB's script language: text → statements, and words → what they expand to. Nothing is run here.

Sources: GRUB 2.06 ``grub-core/script/{parser.y,yylex.l,execute.c}``, manual, "Shell-like scripting".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NESTING = 30
"""Blocks inside one another."""

_WORD = r"""(?:[^\s;'"\\{}$]+|'[^']*'|"(?:[^"\\]|\\.)*"|\\.|\$\{[^}\n]*\}|\$)+"""
_TOKEN = re.compile(rf"(?:[ \t\r]|\\\n)*(?:(#[^\n]*)|([\n;])|([{{}}])|({_WORD}))", re.DOTALL)
_BLANK = re.compile(r"(?:[ \t\r]|\\\n)*")
_BODY = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|\\.|\$\{[^}\n]*\}|(?<![^\s;{}])#[^\n]*|([{}])""", re.DOTALL)
_PIECE = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|\$(?:\{([^}\n]*)\}|(\w+|[?@*#]))|([^'"\\$]+|[$"'\\])""", re.DOTALL)
_INSIDE = re.compile(r"""\\([\\"$\n])|\$(?:\{([^}\n]*)\}|(\w+|[?@*#]))|([^\\$]+|[\\$])""", re.DOTALL)


class Block(NamedTuple):
    """What stands between braces, read when it is run: a menu may have thousands."""

    text: str
    line: int


class Command(NamedTuple):
    """A command with its words as written, or an entry, a submenu or a function with its block."""

    words: tuple[str, ...]
    line: int
    block: Block | None = None


class If(NamedTuple):
    """``if … then … elif … else … fi``: (condition, what is run then), with an empty condition for ``else``."""

    branches: tuple[tuple[tuple[Statement, ...], tuple[Statement, ...]], ...]
    line: int


class Loop(NamedTuple):
    """``for NAME in WORDS``, or ``while`` and ``until`` without a name."""

    name: str | None
    words: tuple[str, ...]
    body: tuple[Statement, ...]
    line: int


Statement = Command | If | Loop


class Unknown(Exception):  # noqa: N818 - no error: a word depends on what only the running machine knows
    """A word needs a variable whose value is not known."""


def parse(block: Block, place: str) -> tuple[Statement, ...]:
    """The statements of ``block``, a file or what stands between braces in it.

    Raises:
        Unreadable: GRUB would not take it either.
    """
    reader = _Reader(block, place)
    found, end = reader.statements(())
    if end:
        raise reader.wrong(f"unexpected {end!r}")
    return found


def expand(word: str, variables: Mapping[str, str | None]) -> list[str]:
    """The words that ``word`` becomes: none when it is an unquoted empty variable.

    Raises:
        Unknown: it needs a variable that is there but not known.
    """
    done: list[str] = []
    pending: str | None = None
    for single, double, escaped, braced, plain, rest in _PIECE.findall(word):
        name = braced or plain
        if name:
            pieces = _value(name, variables).split(" ")
            for number, piece in enumerate(pieces):
                if number and pending is not None:
                    done.append(pending)
                    pending = None
                if piece:
                    pending = (pending or "") + piece
        else:
            pending = (pending or "") + (single or _quoted(double, variables) or escaped.replace("\n", "") or rest)
    return [*done, pending] if pending is not None else done


def _quoted(text: str, variables: Mapping[str, str | None]) -> str:
    found = []
    for escaped, braced, plain, rest in _INSIDE.findall(text):
        found.append(_value(braced or plain, variables) if braced or plain else escaped.replace("\n", "") or rest)
    return "".join(found)


def _value(name: str, variables: Mapping[str, str | None]) -> str:
    value = variables.get(name, "")
    if value is None:
        raise Unknown(name)
    return value


class _Reader:
    """Reads statements one after another."""

    def __init__(self, block: Block, place: str) -> None:
        self._text, self._line, self._place = block.text, block.line, place
        self._at = self._counted = 0
        self._depth = 0

    def wrong(self, what: str) -> Unreadable:
        return Unreadable(f"{self._place}:{self._here()}: {what}; GRUB does not run this file")

    def statements(self, ends: tuple[str, ...]) -> tuple[tuple[Statement, ...], str]:
        """Statements up to one of the words ``ends``, which is given back; an empty text for the end of the file."""
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise self.wrong(f"more than {MAX_NESTING} blocks inside one another")
        found: list[Statement] = []
        while True:
            kind, token = self._next()
            if kind == "end":
                continue
            if kind in ("", "brace") and ends:
                raise self.wrong(f"{ends[-1]!r} is missing")
            if kind in ("", "brace") or token in ends:
                self._depth -= 1
                return tuple(found), token
            found.append(self._statement(token))

    def _statement(self, word: str) -> Statement:
        line = self._here()
        if word == "if":
            return self._if(line)
        if word in ("for", "while", "until"):
            return self._loop(word, line)
        words, block = [word], None
        while True:
            kind, token = self._next()
            if kind in ("", "end"):
                return Command(tuple(words), line, block)
            if kind == "word" and block is None:
                words.append(token)
            elif token == "{" and block is None:
                block = self._block()
            else:
                raise self.wrong(f"unexpected {token!r}")

    def _if(self, line: int) -> If:
        branches = []
        while True:
            condition, _ = self.statements(("then",))
            body, end = self.statements(("elif", "else", "fi"))
            branches.append((condition, body))
            if end == "else":
                body, end = self.statements(("fi",))
                branches.append(((), body))
            if end == "fi":
                return If(tuple(branches), line)

    def _loop(self, word: str, line: int) -> Loop:
        head, _ = self.statements(("do",))
        body, _ = self.statements(("done",))
        first = head[0] if head else None
        if word == "for" and isinstance(first, Command) and len(first.words) > 1 and first.words[1] == "in":
            return Loop(first.words[0], first.words[2:], body, line)
        return Loop(None, (), body, line)

    def _block(self) -> Block:
        """What stands between the brace that was just read and its partner."""
        start, line, depth = self._at, self._here(), 1
        for match in _BODY.finditer(self._text, self._at):
            depth += {"{": 1, "}": -1}.get(match[1], 0)
            if not depth:
                self._at = match.end()
                return Block(self._text[start : match.start()], line)
        raise self.wrong("'}' is missing")

    def _next(self) -> tuple[str, str]:
        """Kind and text of the next token: ``word``, ``brace``, ``end`` of a command, or empty at the end of the file."""
        while match := _TOKEN.match(self._text, self._at):
            self._at = match.end()
            comment, end, brace, word = match.groups()
            if comment is None:
                return ("end", end) if end else ("brace", brace) if brace else ("word", word)
        blank = _BLANK.match(self._text, self._at)
        if blank and blank.end() == len(self._text):
            return "", ""
        raise self.wrong("a quotation is not closed")

    def _here(self) -> int:
        """The line that reading has come to."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line
