"""JSON Schema, without checking the schema itself again for each document: that takes a second for ours."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import validators

from vhdprep.report import words


def validator(schema):
    """What validates documents; the schema is held against its own standard here, once."""
    kind = validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


REPORT = validator(json.loads((Path(words.__file__).parent / "schema.json").read_text(encoding="utf-8")))
"""Of ``--format json``."""
