"""Answer files of Windows Setup: which passes they still have to say something in.

Setup marks every ``settings`` element it has used with ``wasPassProcessed="true"`` and skips it from then on
(Windows Setup Automation Overview, "Implicit Answer File Search Order").
"""

from __future__ import annotations

from typing import NamedTuple
from xml.parsers import expat

from vhdprep.errors import Unreadable

MAX_SIZE = 1024 * 1024
"""Largest answer file that is read, in bytes."""
MAX_DEPTH = 64
"""Elements inside each other; an answer file has about eight."""


class Section(NamedTuple):
    """One ``settings`` element."""

    configuration_pass: str
    """``windowsPE | offlineServicing | generalize | specialize | auditSystem | auditUser | oobeSystem``"""
    is_processed: bool
    line: int


def sections(data: bytes, place: str) -> tuple[Section, ...]:
    """The sections of the answer file ``data``.

    Raises:
        Unreadable: it is no XML, is nested too deeply, or declares a document type, which no answer file needs (entities
            could blow it up).
    """
    found: list[Section] = []
    depth = 0
    parser = expat.ParserCreate()

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise Unreadable(f"{place}: the answer file is nested deeper than {MAX_DEPTH} elements")
        if name.rpartition(":")[2] == "settings":
            processed = attributes.get("wasPassProcessed", "").strip().lower() == "true"
            found.append(Section(attributes.get("pass", ""), processed, parser.CurrentLineNumber))

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    def refuse(*_: object) -> None:
        raise Unreadable(f"{place}: the answer file declares a document type, which is not read")

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Unreadable(f"{place}: the answer file is no well-formed XML ({error})") from error
    return tuple(found)
