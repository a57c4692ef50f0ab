"""YAML with line numbers, duplicate keys refused, and aliases counted: rule files and guest configuration alike.

The only place that imports ``yaml``. libyaml does the parsing where the wheel has it.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from vhdprep.guest.formats.plain import Lines

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN: Any = yaml.SafeLoader("")
MAX_NODES = 100_000
"""Values one document may expand to; aliases count each time."""
MAX_DEPTH = 200
"""Collections inside each other, by brackets or by columns of indentation."""
_BRACKETS = re.compile(r"[\[\]{}]")
_TRUE = {"yes", "true", "on"}


class YamlError(Exception):
    """Not YAML, or YAML that is refused; ``line`` counts from 1."""

    def __init__(self, line: int, text: str) -> None:
        """Keep where and what."""
        super().__init__(text)
        self.line = line


class _Builder:
    """Nodes to plain values."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.left = MAX_NODES
        self.building: set[int] = set()

    def build(self, node: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise YamlError(node.start_mark.line + 1, f"the document expands to more than {MAX_NODES} values")
        kind = node.id
        if kind == "scalar":
            return _scalar(node)
        if id(node) in self.building:
            raise YamlError(node.start_mark.line + 1, "an alias contains itself")
        self.building.add(id(node))
        value = [self.build(child) for child in node.value] if kind == "sequence" else self._mapping(node)
        self.building.discard(id(node))
        return value

    def _mapping(self, node: Any) -> Lines:
        found = Lines()
        found.line = node.start_mark.line + 1
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = str(_scalar(key_node)) if key_node.id == "scalar" else ""
            if not key:
                raise YamlError(line, "a key must be a plain word")
            if key in found and self.strict:
                raise YamlError(line, f"key {key!r} stands twice")
            found[key] = self.build(value_node)
            found.lines[key] = line
        return found


def load(text: str, *, strict: bool = True) -> Any:
    """The value of a one-document text; mappings are ``Lines``. Not ``strict``: the last of two equal keys counts.

    Raises:
        YamlError: it is not valid YAML, has a key twice, or expands too far.
    """
    _refuse_depth(text)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        return None if node is None else _Builder(strict=strict).build(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise YamlError(mark.line + 1 if mark else 1, problem) from error
    except RecursionError as error:
        raise YamlError(1, "the document is nested too deeply") from error


def _refuse_depth(text: str) -> None:
    """Stop what libyaml's C code would follow until the stack is gone; brackets in quoted text count too, which no real file comes near."""
    depth = 0
    for bracket in _BRACKETS.finditer(text):
        depth = depth + 1 if bracket[0] in "[{" else max(0, depth - 1)
        if depth > MAX_DEPTH:
            raise YamlError(text.count("\n", 0, bracket.start()) + 1, "the document is nested too deeply")
    for number, line in enumerate(text.split("\n"), 1):
        if len(line := line.rstrip()) - len(line.lstrip(" \t-?:")) > MAX_DEPTH:
            raise YamlError(number, "the document is nested too deeply")


def _scalar(node: Any) -> Any:
    tag, value = node.tag, node.value
    if tag == "tag:yaml.org,2002:str":
        return value
    if tag == "tag:yaml.org,2002:bool":
        return value.lower() in _TRUE
    if tag == "tag:yaml.org,2002:null":
        return None
    if tag == "tag:yaml.org,2002:int":
        try:
            return _PLAIN.construct_yaml_int(node)
        except ValueError as error:
            raise YamlError(node.start_mark.line + 1, f"{value[:40]!r} is no number") from error
    return value
