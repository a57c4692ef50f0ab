"""One HTML file for people: no script, no request, readable in print and by a screen reader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vhdprep.byhand import on_a_copy, steps
from vhdprep.model import Outcome, Severity, Verdict
from vhdprep.report import upload, words
from vhdprep.report.certification import Standing, certify, counts
from vhdprep.report.rehearsed import picture, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.model import DiskReport, Report, Volume

LOOKS = {Verdict.READY: "ready", Verdict.NOT_READY: "error", Verdict.INCONCLUSIVE: "warning", None: "note"}
"""The colour of a verdict."""
_MEANS = {
    Verdict.READY: "Every error rule that was asked and applies passed, and everything that had to be read was read.",
    Verdict.NOT_READY: "At least one error rule failed. Fix what is named below before the upload, and check again.",
    Verdict.INCONCLUSIVE: "No error rule failed, but not everything could be read or decided. Nobody knows yet whether the image will work.",
    None: "Only looked at: no rules were asked.",
}
_OUTCOMES = ((Outcome.PASS, "passed"), (Outcome.FAIL, "failed"), (Outcome.UNKNOWN, "undecided"), (Outcome.WAIVED, "waived"),
             (Outcome.NOT_APPLICABLE, "not applicable"))  # fmt: skip

_STANDINGS = {Standing.FAILED: "error", Standing.WARNING: "warning", Standing.UNDECIDED: "warning", Standing.PASSED: "ready"}
"""The colour of an outcome's word; the others have none."""


class Span(NamedTuple):
    """A piece of a bar of the map, in percent of its length."""

    left: float
    width: float
    look: str
    """``read | unread | skipped | data | footer``"""
    label: str


class Bar(NamedTuple):
    """One row of the map."""

    name: str
    spans: tuple[Span, ...]


def render(report: Report, *, verbose: bool = False, colour: bool = False, width: int = 80) -> str:
    """The page. Every value in it is escaped twice: what cannot be seen by ``words.safe``, what is markup by the template engine."""
    return engine().get_template("html.jinja").render(_values(report, verbose=verbose)) + "\n"


def engine(*folders: Path) -> Environment:
    """The template engine of pages, with the templates of ``folders`` and of this one."""
    return Environment(
        loader=FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _visible(value: Any) -> Any:
    return words.safe(value) if type(value) is str else value


def _values(report: Report, *, verbose: bool) -> dict[str, Any]:
    failed = [(severity, found) for severity in Severity if (found := words.failed(report, severity, everything=verbose))]
    return {
        "report": report,
        "words": words,
        "verdict": words.VERDICTS[report.verdict],
        "look": LOOKS[report.verdict],
        "means": " ".join(part for part in (_MEANS[report.verdict], _may_be_uploaded(report)) if part),
        "failed": failed,
        "undecided": words.undecided(report, everything=verbose),
        "waived": [each for each in report.findings if each.outcome is Outcome.WAIVED],
        "rest": [
            (word, found)
            for outcome, word in (_OUTCOMES[0], _OUTCOMES[4])
            if (found := [each for each in report.findings if each.outcome is outcome])
        ],
        "severities": list(Severity),
        "counts": [(word, [_count(report, severity, outcome) for severity in Severity]) for outcome, word in _OUTCOMES],
        "disks": [(disk, disk_map(disk)) for disk in report.disks],
        "steps": lambda remedy: [words.step(each) for each in steps(remedy)],
        "on_a_copy": on_a_copy,
        "upload": upload,
        "planned": upload.plan(report),
        "places": words.MAX_PLACES,
        "certified": certify(report),
        "standings": counts(certify(report)),
        "standing_looks": _STANDINGS,
        "marks": {"bad": "error", "good": "ready", "told": "dim"},
        "rehearsal": tell(report.rehearsal, verbose=True) if report.rehearsal else None,
        "picture": Markup(picture(report.rehearsal)) if report.rehearsal else "",
    }


def _may_be_uploaded(report: Report) -> str:
    return "The image may be uploaded." if upload.plan(report) else upload.withheld(report)


def _count(report: Report, severity: Severity, outcome: Outcome) -> int:
    return sum(each.severity is severity and each.outcome is outcome for each in report.findings)


def disk_map(disk: DiskReport) -> list[Bar]:
    """The file, the disk in it, and the volumes that no partition is: all to one scale."""
    container = disk.container
    size = container.virtual_size or container.file_size
    whole = max(size, container.file_size, 1)
    footer = container.file_size - size
    spans = [_span(0, min(container.file_size, size), whole, "data", "the file's data")]
    if footer > 0:
        spans.append(_span(size, footer, whole, "footer", "after the data"))
    bars = [Bar("file", tuple(spans))]
    placed = [each for each in disk.volumes if each.offset is not None]
    if placed:
        bars.append(Bar("disk", tuple(_span(each.offset or 0, each.size, whole, _look(each), _label(each)) for each in placed)))
    if inside := tuple(_in_a_row([each for each in disk.volumes if each.offset is None], whole)):
        bars.append(Bar("logical volumes", inside))
    return bars


def _in_a_row(volumes: list[Volume], whole: int) -> Iterator[Span]:
    begin = 0
    for each in volumes:
        yield _span(begin, each.size, whole, _look(each), _label(each))
        begin += each.size


def _look(volume: Volume) -> str:
    return "read" if volume.read else "unread" if volume.needed else "skipped"


def _label(volume: Volume) -> str:
    return f"{volume.id} {volume.filesystem or ''}".strip()


def _span(begin: int, size: int, whole: int, look: str, label: str) -> Span:
    """Numbers that the image claims are kept on the bar."""
    left = min(max(100 * begin / whole, 0.0), 100.0)
    return Span(round(left, 4), round(min(max(100 * size / whole, 0.0), 100.0 - left), 4), look, label)
