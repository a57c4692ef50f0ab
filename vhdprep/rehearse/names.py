"""A DNS server that knows no name (RFC 1035): what an image calls home to is told by what it asks."""

from __future__ import annotations

import struct
from typing import NamedTuple

MAX_NAME = 255
"""Bytes of a name in a question (RFC 1035, 2.3.4)."""

_HEADER = struct.Struct("!HHHHHH")
_RESPONSE = 0x8000
_OPCODE = 0x7800
_RECURSION_DESIRED = 0x0100
_RECURSION_AVAILABLE = 0x0080
_NO_SUCH_NAME = 3
_LONGEST_LABEL = 63
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")


class Answer(NamedTuple):
    """What was asked, and what is said."""

    name: str
    """In lower case, without the last dot; bytes that a host name cannot have as ``\\ddd`` (RFC 1035, 5.1)."""
    message: bytes


def answer(query: bytes) -> Answer | None:
    """There is no such name; ``None`` where that is no query with one question.

    What follows the question (EDNS, RFC 6891) is not read, and the answer has none of it: that is how a server without EDNS speaks.
    """
    if len(query) < _HEADER.size:
        return None
    identifier, flags, questions, *_ = _HEADER.unpack_from(query)
    if flags & (_RESPONSE | _OPCODE) or questions != 1:
        return None
    labels = _labels(query[_HEADER.size : _HEADER.size + MAX_NAME])
    if labels is None:
        return None
    end = _HEADER.size + sum(len(label) + 1 for label in labels) + 1 + 4
    if len(query) < end:
        return None
    says = _RESPONSE | flags & _RECURSION_DESIRED | _RECURSION_AVAILABLE | _NO_SUCH_NAME
    return Answer(".".join(map(_text, labels)) or ".", _HEADER.pack(identifier, says, 1, 0, 0, 0) + query[_HEADER.size : end])


def _labels(data: bytes) -> list[bytes] | None:
    """The labels up to the root; ``None`` where there is no root, or a pointer: there is nothing before a first question to point to."""
    labels: list[bytes] = []
    at = 0
    while at < len(data):
        length = data[at]
        if length == 0:
            return labels
        if length > _LONGEST_LABEL:
            return None
        labels.append(data[at + 1 : at + 1 + length])
        at += 1 + length
    return None


def _text(label: bytes) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03d}" for byte in label.lower())
