"""Rule files as JSON beside them, so that a run need not parse YAML.

An entry counts only while its digest is that of the file's text: a stale one costs time, never truth. Entries
are written for rules that loaded without a complaint.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vhdprep.guest.formats.plain import Lines

if TYPE_CHECKING:
    from pathlib import Path

NAME = "compiled.json"


def read(directory: Path) -> dict[str, Lines]:
    """Digest of a rule's own document → its values; empty when nothing was compiled."""
    path = directory / NAME
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_lines))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def render(documents: dict[str, Any]) -> str:
    """The file's text for documents by digest."""
    rows = (f"{json.dumps(digest)}: {json.dumps(document, ensure_ascii=False)}" for digest, document in documents.items())
    return "{\n" + ",\n".join(rows) + "\n}\n"


def _lines(pairs: list[tuple[str, Any]]) -> Lines:
    found = Lines()
    found.update(pairs)
    return found
