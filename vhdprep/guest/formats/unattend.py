"""Answer files of Windows Setup: which passes they still have to say something in, and which passwords they hold.

Setup marks every ``settings`` element it has used with ``wasPassProcessed="true"`` and skips it from then on
(Windows Setup Automation Overview, "Implicit Answer File Search Order").
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, NamedTuple
from xml.parsers import expat

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SIZE = 1024 * 1024
"""Largest answer file that is read, in bytes."""
MAX_DEPTH = 64
"""Elements inside each other; an answer file has about eight."""
_PASSWORDS = ("AdministratorPassword", "Password", "MachinePassword")
_BLANKED = "*SENSITIVE*DATA*DELETED*"
"""What Setup leaves of a secret in its copy of an answer file."""


class Section(NamedTuple):
    """One ``settings`` element."""

    configuration_pass: str
    """``windowsPE | offlineServicing | generalize | specialize | auditSystem | auditUser | oobeSystem``"""
    is_processed: bool
    line: int


class Secret(NamedTuple):
    """A password that stands in an answer file."""

    element: str
    """With the element around it: ``AutoLogon/Password``."""
    line: int


def sections(data: bytes, place: str) -> tuple[Section, ...]:
    """The sections of the answer file ``data``.

    Raises:
        Unreadable: it is no XML, is nested too deeply, or declares a document type, which no answer file needs (entities
            could blow it up).
    """
    found: list[Section] = []

    def begin(path: list[str], attributes: dict[str, str], line: int) -> None:
        if path[-1] == "settings":
            processed = attributes.get("wasPassProcessed", "").strip().lower() == "true"
            found.append(Section(attributes.get("pass", ""), processed, line))

    _parse(data, place, begin, lambda _path, _text: None)
    return tuple(found)


def secrets(data: bytes, place: str) -> tuple[Secret, ...]:
    """The passwords in the answer file ``data``: neither empty nor blanked by Setup.

    Raises:
        Unreadable: as ``sections``.
    """
    found: list[Secret] = []
    texts: dict[str, str] = {}
    lines: list[int] = []

    def begin(path: list[str], _: dict[str, str], line: int) -> None:
        if path[-1] in _PASSWORDS:
            lines.append(line)
            texts.clear()

    def end(path: list[str], text: str) -> None:
        texts[path[-1]] = text.strip()
        if path[-1] in _PASSWORDS:
            line, name = lines.pop(), path[-1]
            value = texts.get("Value") or texts[name]
            is_plain = texts.get("PlainText", "true").lower() != "false"
            if value not in ("", _BLANKED) and (is_plain or not _hides_nothing(value, name)):
                found.append(Secret("/".join(path[-2:]), line))
            texts.clear()

    _parse(data, place, begin, end)
    return tuple(found)


def _hides_nothing(value: str, name: str) -> bool:
    """Whether a password that is hidden is empty: hiding appends the element's name, and encodes the whole."""
    try:
        return base64.b64decode(value, validate=True) == name.encode("utf-16-le")
    except binascii.Error:
        return False


def _parse(data: bytes, place: str, begin: Callable[[list[str], dict[str, str], int], None], end: Callable[[list[str], str], None]) -> None:
    """Tell of every element by its path, when it begins and, with the text directly in it, when it ends."""
    path: list[str] = []
    texts: list[list[str]] = []
    parser = expat.ParserCreate()

    def opened(name: str, attributes: dict[str, str]) -> None:
        path.append(name.rpartition(":")[2])
        texts.append([])
        if len(path) > MAX_DEPTH:
            raise Unreadable(f"{place}: the answer file is nested deeper than {MAX_DEPTH} elements")
        begin(path, attributes, parser.CurrentLineNumber)

    def closed(_: str) -> None:
        end(path, "".join(texts.pop()))
        path.pop()

    def refuse(*_: object) -> None:
        raise Unreadable(f"{place}: the answer file declares a document type, which is not read")

    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    parser.CharacterDataHandler = lambda text: texts[-1].append(text)
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Unreadable(f"{place}: the answer file is no well-formed XML ({error})") from error
