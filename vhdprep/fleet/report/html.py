"""One HTML page of the fleet: no script, no request; each image leads to its own report where one was written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vhdprep import report
from vhdprep.fleet.report import wording
from vhdprep.model import Verdict
from vhdprep.report import words

if TYPE_CHECKING:
    from vhdprep.fleet.summary import Summary

_LOOKS = {Verdict.READY: "ready", Verdict.NOT_READY: "error", Verdict.INCONCLUSIVE: "warning"}


def render(summary: Summary, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """The page. Every value in it is escaped twice: what cannot be seen by ``words.safe``, what is markup by the template engine."""
    engine = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(report.__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    values = {"summary": summary, "rules": summary.rules(), "looks": _LOOKS, "wording": wording, "words": words, "link": _link}
    return engine.get_template("html.jinja").render(values) + "\n"


def _visible(value: Any) -> Any:
    return words.safe(value) if type(value) is str else value


def _link(path: str) -> str:
    """As an address: an absolute path of this machine, or relative to where the page lies."""
    full = Path(path)
    return full.as_uri() if full.is_absolute() else quote(full.as_posix(), errors="replace")
