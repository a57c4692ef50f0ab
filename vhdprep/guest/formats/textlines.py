"""Lines of text files."""

from __future__ import annotations


def lines(text: str) -> list[str]:
    """Lines as programs of Unix see them: ended by a newline and by nothing else, a carriage return before it left out."""
    found = text.replace("\r\n", "\n").split("\n")
    return found if found[-1] else found[:-1]
