"""Layered YAML configuration: later files win per key, lists replace, a file that does not parse counts as empty.

That is how cloud-init reads cloud.cfg and cloud.cfg.d (canonical/cloud-init@04eacd06 ``cloudinit/util.py``
``read_conf_with_confd``, ``mergemanydict``), and netplan its directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest.formats import yamltext
from vhdprep.guest.formats.plain import Lines
from vhdprep.model import ABSENT, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.guest.image import Guest


class Layer(NamedTuple):
    """One file; ``data`` None = it does not parse to a mapping, ``problem`` says why."""

    path: str
    data: Lines | None
    problem: str | None


def layers(guest: Guest, patterns: Sequence[str]) -> list[Layer]:
    """Every file that matches, in the order of ``patterns`` and of their names."""
    key = f"{__name__}.layers{tuple(patterns)}"
    if key not in guest.memo:
        guest.memo[key] = [read_layer(guest, path) for pattern in patterns for path in sorted(guest.files.glob(pattern))]
    found: list[Layer] = guest.memo[key]
    return found


def look_up(guest: Guest, patterns: Sequence[str], key: str) -> tuple[Value, str]:
    """The effective value of the dotted ``key`` and the place that sets it; ``ABSENT`` when no file does.

    Raises:
        Unreadable: a file is a template, which is rendered only at boot.
    """
    value: Value = ABSENT
    where = f"{patterns[0]}:{key}"
    for layer in layers(guest, patterns):
        if layer.problem == "template":
            raise Unreadable(f"{layer.path}: a jinja template is rendered only at boot")
        node, line = _descend(layer.data, key.split("."))
        if node is not None:
            value, where = _value(node), f"{layer.path}:{line}"
    return value, where


def read_layer(guest: Guest, path: str) -> Layer:
    """One file."""
    text = guest.files.text(path) or ""
    if text.startswith("## template: jinja"):
        return Layer(path, None, "template")
    try:
        data = yamltext.load(text, strict=False)  # as PyYAML reads it
    except yamltext.YamlError as error:
        return Layer(path, None, f"line {error.line}: {error}")
    if data is None:
        return Layer(path, Lines(), None)
    return Layer(path, data, None) if isinstance(data, Lines) else Layer(path, None, "it is no mapping of keys to values")


def _descend(data: Lines | None, keys: Sequence[str]) -> tuple[Any, int]:
    node: Any = data
    line = 1
    for key in keys:
        if not isinstance(node, Lines) or key not in node:
            return None, line
        line, node = node.line_of(key), node[key]
    return node, line


def _value(node: Any) -> Value:
    if isinstance(node, bool | int | str):
        return node
    if isinstance(node, list):
        return tuple(_item(each) for each in node)
    return tuple(node)


def _item(node: Any) -> str:
    if isinstance(node, Lines):
        return str(node.get("name", f"{{{', '.join(node)}}}"))
    return str(node)
