"""Reporters: ``Report`` → text. They see results only and never look at the image."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol, cast

from vhdprep.model import Target

if TYPE_CHECKING:
    from vhdprep.model import Report

REPORTERS = ("text", "json", "markdown", "sarif", "junit", "github", "html", "selftest")
"""Names of the modules here that have ``render``."""
ONLY_FOR = {"selftest": Target.MARKETPLACE}
"""Formats that say something of one kind of target alone."""


class Reporter(Protocol):
    """One output format."""

    def render(self, report: Report, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
        """The whole report, ending in a newline."""
        ...


def load_reporter(name: str) -> Reporter:
    """The reporter called ``name``, one of ``REPORTERS``; imported only now."""
    return cast("Reporter", importlib.import_module(f"{__name__}.{name}"))
