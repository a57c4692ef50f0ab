"""How programs of the machine reach the web: the value ``WinHttpSettings``.

Three numbers (size of the structure, a counter, flags), then texts with their lengths: the proxy, what goes around it, a script.
"""

from __future__ import annotations

import re
import struct
from fnmatch import fnmatchcase
from typing import NamedTuple

from vhdprep.errors import Unreadable

MAX_TEXT = 16 * 1024
"""Bytes of one text."""
_PROXY, _SCRIPT = 2, 4
_ADDRESS = re.compile(r"[0-9.*]+")
_HEADER = struct.Struct("<III")
_LOGIN = re.compile(r"(?<=//)[^/@]*@|(?<![^\s;=])[^/@\s;=:]+:[^/@\s;=]*@")


class Settings(NamedTuple):
    """The proxy; empty = none."""

    proxy: str
    """One for everything, or ``http=HOST:PORT;https=HOST:PORT``; never with a password."""
    bypass: tuple[str, ...]
    """Names and addresses with ``*``."""
    script: str
    """The address of a script that chooses."""

    def passes_by(self, address: str) -> bool:
        """Whether an address is reached without the proxy."""
        return any(fnmatchcase(address, each) for each in self.bypass if _ADDRESS.fullmatch(each))


def parse(data: bytes, where: str) -> Settings:
    """The settings of a value.

    Raises:
        Unreadable: it ends before what it announces.
    """
    if len(data) < _HEADER.size:
        raise Unreadable(f"{where}: {len(data)} bytes are too few for this value")
    flags = _HEADER.unpack_from(data)[2]
    texts: list[str] = []
    at = _HEADER.size
    while len(texts) < 3 and at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        if size > MAX_TEXT or at + 4 + size > len(data):
            raise Unreadable(f"{where}: ends within a text")
        texts.append(data[at + 4 : at + 4 + size].decode("latin-1"))
        at += 4 + size
    proxy, bypass, script = [*texts, "", "", ""][:3]
    return Settings(
        _LOGIN.sub("", proxy) if flags & _PROXY else "",
        tuple(each for each in re.split(r"[;\s]+", bypass) if each),
        _LOGIN.sub("", script) if flags & _SCRIPT else "",
    )
