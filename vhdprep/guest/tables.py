"""Dated tables, ``rules/data/NAME.yaml``: when the support of releases ends, on which of Azure's lists they are, and others' own."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container

DATA = "data"
"""The folder of the built-in rules that holds tables, no rules."""


def builtin_rules_dir() -> Path:
    """Where the built-in rules lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_rules"
    return installed if installed.is_dir() else package.parent / "rules"


def names() -> list[str]:
    """The tables there are."""
    return sorted(path.stem for path in (builtin_rules_dir() / DATA).glob("*.yaml"))


@cache
def read(name: str) -> dict[str, Any]:
    """The table: ``as_of``, ``sources`` and, about releases, ``releases`` by distribution; a list of versions, or version → date or ``open``.

    Where it is about files of Windows, ``files`` by release; name → the oldest version, or one for each branch.
    """
    from vhdprep.guest.formats import yamltext  # late: most of its time is the import of yaml

    table: dict[str, Any] = yamltext.load((builtin_rules_dir() / DATA / f"{name}.yaml").read_text(encoding="utf-8"))
    return table


def nearest(lines: Container[str], version: str) -> str | None:
    """The line of a release: its own, else that of what it belongs to."""
    parts = version.split(".")
    return next((each for end in range(len(parts), 0, -1) if (each := ".".join(parts[:end])) in lines), None)


def look_up(name: str, distro: str, version: str) -> str | None:
    """What the table says of a release, in words; None = it has no line for it.

    A date is compared with the table's own, not with today's: the same image and the same table give the same answer.
    """
    table = read(name)
    lines = table["releases"].get(distro, ())
    match = nearest(lines, version)
    if match is None:
        return None
    if isinstance(lines, list):
        return "listed"
    end = lines[match]
    if end == "open":
        return "supported"
    return f"supported until {end}" if end >= table["as_of"] else f"ended on {end}"
