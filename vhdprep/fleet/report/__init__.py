"""Reporters of a fleet: ``Summary`` → text."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from vhdprep.fleet.summary import Summary

REPORTERS = ("text", "json", "markdown", "sarif", "junit", "html")
"""Names of the modules here that have ``render``."""


class Reporter(Protocol):
    """One output format."""

    def render(self, summary: Summary, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
        """The whole report, ending in a newline."""
        ...


def load_reporter(name: str) -> Reporter:
    """The reporter called ``name``, one of ``REPORTERS``; imported only now."""
    return cast("Reporter", importlib.import_module(f"{__name__}.{name}"))
