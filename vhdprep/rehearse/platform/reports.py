"""What a guest says of itself to the platform: health reports and status blobs, read out of hostile bytes.

Health comes as the wire protocol's XML (cloud-init, WALinuxAgent, Afterburn, cloudbase-init, azure-init up to 0.1) or as JSON (azure-init since,
libazureinit/src/health.rs). The XML is not parsed: three bounded expressions find the three texts that count, so entities and nesting do nothing.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, NamedTuple

MAX_HEALTH = 64 * 1024
"""Bytes of a health report; a description has 4096 at most (WALinuxAgent, wire.py)."""
MAX_TEXT = 16 * 1024
"""Characters of a text in a health report."""
MAX_STATUS = 1024 * 1024
"""Bytes of a status blob; without extensions one has less than 1 KiB."""

UNREADABLE = "unreadable"
"""State or status of a report that is none."""

_ENTITIES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
_ENTITY = re.compile(r"&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")


class Report(NamedTuple):
    """A health report; untrusted."""

    state: str
    """``Ready``, ``NotReady``, or ``UNREADABLE``"""
    substatus: str = ""
    description: str = ""


class Status(NamedTuple):
    """What the agent says in its status blob; untrusted."""

    status: str
    """``Ready``, ``NotReady``, or ``UNREADABLE``"""
    version: str = ""
    message: str = ""


def _element(name: str) -> re.Pattern[str]:
    return re.compile(rf"<{name}(?:\s[^<>]{{0,256}})?>([^<]{{0,{MAX_TEXT}}})</{name}\s{{0,16}}>")


_STATE, _SUBSTATUS, _DESCRIPTION = map(_element, ("State", "SubStatus", "Description"))


def health(body: bytes) -> Report:
    """The health report in the body of ``POST /machine?comp=health`` (XML) or ``POST /provisioning/health`` (JSON)."""
    text = body[: MAX_HEALTH + 1].decode("utf-8", "replace").lstrip("\ufeff").strip()
    if len(body) <= MAX_HEALTH:
        report = _health_json(text) if text.startswith("{") else _health_xml(text)
        if report is not None and report.state in ("Ready", "NotReady"):
            return report
    return Report(UNREADABLE, "", text)


def status(blob: bytes) -> Status:
    """The agent's status in a status blob, JSON that may be padded with blanks or zeros to whole pages (WALinuxAgent, wire.py)."""
    document = _parse(blob.rstrip(b" \0")) if len(blob) <= MAX_STATUS else None
    agent = _member(_member(document, "aggregateStatus"), "guestAgentStatus")
    found = _text(_member(agent, "status"))
    if not found:
        return Status(UNREADABLE)
    return Status(found, _text(_member(agent, "version")), _text(_member(_member(agent, "formattedMessage"), "message")))


def carried_status(body: bytes) -> Status | None:
    """The status that ``PUT /status`` of the host plugin carries: JSON with the blob in base64 as ``content``; None = no blob yet, one is only made.

    Source: WALinuxAgent, hostplugin.py, ``_build_status_data``.
    """
    document = _parse(body) if len(body) <= 2 * MAX_STATUS else None
    if not isinstance(document, dict):
        return Status(UNREADABLE)
    if "content" not in document:
        return None
    try:
        return status(base64.b64decode(_text(document["content"]), validate=True))
    except ValueError:
        return Status(UNREADABLE)


def _health_xml(text: str) -> Report | None:
    if not text.endswith("</Health>"):  # broken off
        return None
    found = (pattern.search(text) for pattern in (_STATE, _SUBSTATUS, _DESCRIPTION))
    return Report(*(_unescape(each[1]).strip() if each else "" for each in found))


def _health_json(text: str) -> Report:
    document = _parse(text.encode())
    details = _member(document, "details")
    return Report(_text(_member(document, "state")), _text(_member(details, "subStatus")), _text(_member(details, "description")))


def _unescape(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        if found[1]:
            return _ENTITIES[found[1]]
        code = int(found[2]) if found[2] else int(found[3], 16)
        return "\ufffd" if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF else chr(code)

    return _ENTITY.sub(character, text)


def _parse(data: bytes) -> Any:
    """The JSON in ``data``, or None."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
