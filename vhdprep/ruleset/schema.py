"""The grammar as JSON Schema, and the vocabulary as a table: both made from probes, matchers and remedies."""

from __future__ import annotations

from typing import Any

from vhdprep import remedy as remedies
from vhdprep.model import Severity, Target
from vhdprep.probes import PROBES, ParameterInfo
from vhdprep.ruleset.matchers import MATCHERS
from vhdprep.ruleset.rule import FACT_KEYS, IMAGE_KEYS

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_TYPES = {str: "string", int: "integer", bool: "boolean"}
_ARGUMENTS: dict[str, Any] = {
    "scalar": {"type": ["string", "integer", "boolean"]},
    "list": {"type": "array"},
    "text": _TEXT,
    "bool": {"type": "boolean"},
    "number": {"type": ["integer", "string"]},
}


def rule_schema() -> dict[str, Any]:
    """JSON Schema of a rule's first document."""
    conditions = {key: {"anyOf": [_TEXT, _TEXTS]} for key in (*FACT_KEYS, *IMAGE_KEYS)}
    conditions["target"] = {"anyOf": [{"enum": [str(each) for each in Target]}, {"type": "array", "items": {"enum": [str(each) for each in Target]}}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A vhdprep rule",
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "title", "severity", "why", "check", "message", "remedy"],
        "properties": {
            "id": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)+$"},
            "title": _TEXT,
            "severity": {"enum": [str(each) for each in Severity]},
            "tags": _TEXTS,
            "applies_to": {
                "type": "object",
                "additionalProperties": False,
                "properties": {**conditions, "unless": {"type": "object", "additionalProperties": False, "properties": conditions}},
            },
            "when": {"$ref": "#/$defs/check"},
            "why": _TEXT,
            "check": {"$ref": "#/$defs/check"},
            "message": {"type": "string", "pattern": r"\.\s*$"},
            "remedy": {"anyOf": [_remedy(name, each) for name, each in remedies.REMEDIES.items()]},
            "references": _TEXTS,
            "azure_says": _TEXT,
            "overrides": _TEXT,
        },
        "$defs": {"check": {"anyOf": [*(_branch(word) for word in ("any", "all")), _not(), *(_leaf(each) for each in PROBES)]}},
    }


def vocabulary() -> str:
    """Probes, matchers and remedies as Markdown tables."""
    lines = ["## Probes", "", "| probe | parameters | returns | what it looks at |", "|---|---|---|---|"]
    for each in PROBES:
        params = ", ".join(_parameter(info) for info in each.parameters.values())
        lines.append(f"| `{each.name}` | {params} | {_cell(each.returns)} | {_cell(each.manual)} |")
    lines += ["", "## Matchers", "", "| matcher | takes | holds when |", "|---|---|---|"]
    lines += [f"| `{name}` | {each.argument} | {each.manual} |" for name, each in MATCHERS.items()]
    lines += ["", "## Remedies", "", "| kind | with | what it does |", "|---|---|---|"]
    lines += [f"| `{name}` | {', '.join(remedies.parameters(each))} | {_cell(each.__doc__ or '')} |" for name, each in remedies.REMEDIES.items()]
    return "\n".join(lines) + "\n"


def _leaf(probe: Any) -> dict[str, Any]:
    infos = probe.parameters.values()
    matchers = {name: _ARGUMENTS[each.argument] for name, each in MATCHERS.items()}
    return {
        "type": "object",
        "description": probe.manual,
        "additionalProperties": False,
        "required": ["probe", "expect", *(["with"] if any(each.required for each in infos) else [])],
        "properties": {
            "probe": {"const": probe.name},
            "with": {
                "type": "object",
                "additionalProperties": False,
                "required": [each.name for each in infos if each.required],
                "properties": {each.name: _parameter_schema(each) for each in infos},
            },
            "expect": {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False, "properties": matchers},
        },
    }


def _parameter_schema(info: ParameterInfo) -> dict[str, Any]:
    if info.type is tuple:
        return _TEXTS
    return {"enum": list(info.choices)} if info.choices else {"type": _TYPES[info.type]}


def _branch(word: str) -> dict[str, Any]:
    items = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/check"}}
    return {"type": "object", "additionalProperties": False, "required": [word], "properties": {word: items}}


def _not() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": ["not"], "properties": {"not": {"$ref": "#/$defs/check"}}}


def _remedy(name: str, kind: type[remedies.Remedy]) -> dict[str, Any]:
    wanted = {each: _TEXTS if many else _TEXT for each, many in remedies.parameters(kind).items()}
    base: dict[str, Any] = {"type": "object", "additionalProperties": False}
    if kind is remedies.Manual:
        return base | {"required": ["kind", "steps"], "properties": {"kind": {"const": "manual"}, "steps": _TEXTS}}
    params = {"type": "object", "additionalProperties": False, "required": list(wanted), "properties": wanted}
    return base | {
        "required": ["kind", *(["with"] if wanted else []), "disposition"],
        "properties": {"kind": {"const": name}, "with": params, "disposition": {"enum": ["safe", "unsafe"]}, "steps": _TEXTS},
    }


def _parameter(info: ParameterInfo) -> str:
    words = " \\| ".join(info.choices) if info.choices else {tuple: "list", str: "text", bool: "yes/no", int: "number"}[info.type]
    return f"`{info.name}`{'' if info.required else '?'}: {words}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
