"""A DNS server that knows the machine itself and no other name (RFC 1035): what an image calls home to is told by what it asks."""

from __future__ import annotations

import socket
import struct
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NAME = 255
"""Bytes of a name in a question (RFC 1035, 2.3.4)."""

_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHHIH")
_ADDRESS_QUESTION = struct.pack("!HH", 1, 1)
"""Type A, class IN."""
_FIRST_NAME = 0xC00C
"""A pointer to the question's name (RFC 1035, 4.1.4)."""
_SECONDS = 60
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


def answer(query: bytes, known: Mapping[str, str] = MappingProxyType({})) -> Answer | None:
    """The address of a name in ``known``, else that there is no such name; ``None`` where that is no query with one question.

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
    name = ".".join(map(_text, labels)) or "."
    is_address = name in known and query[end - 4 : end] == _ADDRESS_QUESTION
    says = _RESPONSE | flags & _RECURSION_DESIRED | _RECURSION_AVAILABLE | (0 if name in known else _NO_SUCH_NAME)
    record = _RECORD.pack(_FIRST_NAME, 1, 1, _SECONDS, 4) + socket.inet_aton(known[name]) if is_address else b""
    return Answer(name, _HEADER.pack(identifier, says, 1, int(is_address), 0, 0) + query[_HEADER.size : end] + record)


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
