"""Variables of a file that sh(1) reads, such as rc.conf(5), without running it."""

from __future__ import annotations

import re

from vhdprep.guest.formats.keyvalue import Setting

MAX_VALUE = 4096
"""Longest value, in characters: one that is built on itself doubles."""
ELSEWHERE = "."
"""The name under which a file that is read in turn is known."""

_WORD = r"""(?:[^\s;&|<>()'"\\#`]|(?<=\S)\#|\\.|"(?:[^"\\]|\\.)*"|'[^']*'|`[^`]*`)"""
_STATEMENT = re.compile(
    rf"""(?:[ \t]|\\\n)*(?:(?P<key>[A-Za-z_]\w*)=(?P<value>{_WORD}*)|(?P<word>{_WORD}+)|(?P<other>\#[^\n]*|[\s;&|<>()'"\\`]))""",
    re.DOTALL,
)
_OPENS, _CLOSES = {"if", "case", "for", "while", "until", "{"}, {"fi", "esac", "done", "}"}
_PART = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^'"\\]+|.""", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def variables(text: str) -> dict[str, Setting]:
    """Variables that the file sets: several to a line, over lines, built on earlier ones; the last one wins.

    ``ELSEWHERE`` stands for whatever a file that is read in turn may set.
    """
    found: dict[str, Setting] = {}
    depth, line, starts, depends = 0, 1, True, False
    elsewhere = 0  # line on which another file was read last: what stood before it may have been set anew
    for match in _STATEMENT.finditer(text):
        key, word, other = match["key"], match["word"], match["other"] or ""
        if key and starts:
            value, is_plain = _expand(match["value"], found, elsewhere)
            found[key] = Setting(value, line, is_plain and not depth and not depends)
        elif word and starts:
            depth = max(0, depth + (word in _OPENS) - (word in _CLOSES))
            starts = word in (*_OPENS, "then", "else", "do", "export", "local", "readonly")
            elsewhere = line if word in (".", "source", "eval") else elsewhere
        if other and other in "\n;&|()":
            starts, depends = True, other in "&|" or (depends and other not in "\n;")
        line += match[0].count("\n")
    if elsewhere:
        found = {name: each if each.line > elsewhere else each._replace(is_certain=False) for name, each in found.items()}
        found[ELSEWHERE] = Setting("", elsewhere, is_certain=False)
    return found


def _expand(raw: str, known: dict[str, Setting], elsewhere: int) -> tuple[str, bool]:
    """The value of a word, and whether that is all the shell would do to it."""
    value, is_plain = "", "`" not in raw
    for part in _PART.findall(raw):
        if part[0] == "'":
            value += part[1:-1]
            continue
        text = part[1:-1] if part[0] == '"' else part
        names = [first or second for first, second in _VARIABLE.findall(text)]
        is_plain = is_plain and len(names) == text.count("$") and all(name in known and known[name].is_certain for name in names)
        is_plain = is_plain and all(known[name].line > elsewhere for name in names)
        text = _VARIABLE.sub(lambda match: known[match[1] or match[2]].value if (match[1] or match[2]) in known else "", text)
        value += re.sub(r"\\(\n|.)", lambda match: "" if match[1] == "\n" else match[1], text, flags=re.DOTALL)
    return value[:MAX_VALUE], is_plain and len(value) <= MAX_VALUE
