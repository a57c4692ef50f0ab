"""``vhdprep audit``: the history of judged images."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vhdprep.cli import common
from vhdprep.errors import BackendUnavailable, UsageError, VhdprepError
from vhdprep.location import in_full
from vhdprep.model import Target, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.audit.entry import Entry
    from vhdprep.audit.store import Store
    from vhdprep.audit.trend import By

DEFAULT = "vhdprep-audit.db"
"""Where the history is kept unless another place is named: a file in the folder that one is in, which anyone can see, copy and delete."""
MAX_TOGETHER = 32
"""Reports that are recorded in one transaction: to wait for the disk is most of the time that one takes."""
MAX_BYTES_TOGETHER = 16 * 1024 * 1024
"""Bytes of compressed reports after which no further one joins a transaction."""
MAX_LAST = 1000
"""Records of an image that `show` holds against one another."""

app = typer.Typer(help="The history of judged images: what is not ready, since when, what changed.", no_args_is_help=True, rich_markup_mode=None)


def complete_images(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of recorded images, for a shell that completes them; none where there is no history."""
    try:
        from vhdprep.audit import history

        known = _open(str(ctx.params.get("store") or DEFAULT)).read(history.names)
    except (ImportError, VhdprepError):
        return []
    return sorted({name for name, _ in known.values() if name.startswith(incomplete)})


def complete_by(incomplete: str) -> list[str]:
    """What a trend can count in."""
    return [each for each in ("day", "week", "month", "year") if each.startswith(incomplete)]


StoreOption = Annotated[
    str,
    typer.Option("--store", metavar="FILE|URL", envvar="VHDPREP_STORE", help="Where it is kept: a file, or postgresql://USER@HOST/DATABASE."),
]
FormatOption = Annotated[str, typer.Option("--format", help="text or json.")]
ReportsArgument = Annotated[list[Path], typer.Argument(metavar="REPORT...", help="JSON reports of check; - is standard input.", show_default=False)]
NameOption = Annotated[
    str | None, typer.Option("--image", metavar="NAME", help="Record under this name instead of the image's file name.", show_default=False)
]
NotReadyOption = Annotated[bool, typer.Option("--not-ready", help="Only what is not known to be ready: not ready and inconclusive.")]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only what has its verdict since then or later; a day, or a time with zone.", show_default=False),
]
ImageArgument = Annotated[
    str,
    typer.Argument(metavar="IMAGE", help="Its name, or the SHA-256 of its file or disk.", show_default=False, autocompletion=complete_images),
]
TargetOption = Annotated[Target | None, typer.Option("--as", help="Only what was judged for this.", show_default=False)]
LastOption = Annotated[int, typer.Option("--last", min=1, max=MAX_LAST, metavar="NUMBER", help="How many records.")]
NumberOption = Annotated[
    int | None, typer.Option("--report", metavar="RECORD", help="Print the report of this record as it was recorded.", show_default=False)
]
ByOption = Annotated[
    str | None,
    typer.Option("--by", metavar="day|week|month|year", help="What to count in.", show_default="what fits", autocompletion=complete_by),
]
PageOption = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write the fleet as a page, with a chart.", show_default=False)]


@app.command()
def record(reports: ReportsArgument, image: NameOption = None, store: StoreOption = DEFAULT) -> None:
    """Keep JSON reports of check. The same report a second time changes nothing.

    A report that was told to be recorded is there, whole, whatever happens next. One that cannot be taken is named, the others are recorded,
    and the exit code is 2.
    """
    _need_database()
    complaints: list[str] = []
    opened: Store | None = None
    done = 0
    for group in _in_groups(_entries(reports, image, complaints)):
        try:
            opened = opened or _open(store, make=True)
            done += _record(opened, group, image, complaints)
        except UsageError as error:
            left = len(reports) - done - len(complaints)
            complaints.append(f"{error}{f'; {left} of {len(reports)} reports were not recorded' if len(reports) > 1 else ''}")
            break
    if opened and opened.is_new:
        common.say(f"a new history was made: {opened.name}")
    if complaints:
        raise UsageError("\n".join(complaints))


def _entries(reports: list[Path], image: str | None, complaints: list[str]) -> Iterator[tuple[Path, Entry]]:
    """What can be recorded; of the others why not."""
    from vhdprep.audit import entry

    for path in reports:
        try:
            yield path, entry.of(_read(path), "standard input" if str(path) == "-" else str(path), image, datetime.now(UTC))
        except UsageError as error:
            complaints.append(str(error))


def _in_groups(entries: Iterator[tuple[Path, Entry]]) -> Iterator[list[tuple[Path, Entry]]]:
    group: list[tuple[Path, Entry]] = []
    for each in entries:
        group.append(each)
        if len(group) == MAX_TOGETHER or sum(len(held.body) for _, held in group) > MAX_BYTES_TOGETHER:
            yield group
            group = []
    if group:
        yield group


def _record(store: Store, group: list[tuple[Path, Entry]], image: str | None, complaints: list[str]) -> int:
    """Record them in one transaction, and only then say so; how many are there now under the name that was wanted."""
    from vhdprep.audit import history
    from vhdprep.report.words import VERDICTS

    number = 0
    for (path, found), held in zip(
        group, store.write(partial(history.record, entries=[each for _, each in group], now=datetime.now(UTC))), strict=True
    ):
        if image is not None and held.image != found.image:
            complaints.append(f"{path}: is recorded already, as one of {held.image} (record {held.number})")
            continue
        number += 1
        what = "recorded" if held.is_new else "was recorded already"
        common.say(f"{held.image}: {VERDICTS[found.verdict]}, {what} (record {held.number})")
    return number


@app.command("list")
def list_images(
    not_ready: NotReadyOption = False, since: SinceOption = None, report_format: FormatOption = "text", store: StoreOption = DEFAULT
) -> None:
    """Show every recorded image with its newest verdict, and since when it has that."""
    _check_format(report_format)
    _need_database()
    from vhdprep.audit import history, show

    begin = _time(since)
    standings = _open(store).read(history.standings)
    shown = [each for each in standings if (not not_ready or each.verdict is not Verdict.READY) and (begin is None or each.since >= begin)]
    common.say(show.as_json(show.images_document(shown)) if report_format == "json" else "\n".join(show.images(standings, shown)) + "\n", nl=False)


@app.command("show")
def show_image(
    image: ImageArgument,
    target: TargetOption = None,
    last: LastOption = 20,
    number: NumberOption = None,
    report_format: FormatOption = "text",
    store: StoreOption = DEFAULT,
) -> None:
    """Show the records of one image, each with what changed against the one before."""
    _check_format(report_format)
    _need_database()
    from vhdprep.audit import changes, history, show

    opened = _open(store)
    found = [each for each in opened.read(partial(history.histories, wanted=image)) if target in (None, each.target)]
    if not found:
        raise UsageError(f"{image} was never judged as {target}")
    if number is not None:
        if not any(number == each.number for one in found for each in one.records):
            raise UsageError(f"{image} has no record {number}")
        data, saved = opened.read(partial(history.report, number=number))
        if sys.stdout.isatty():  # where letters that control a terminal must not reach it
            common.say(show.as_json(saved.values), nl=False)
        else:
            sys.stdout.buffer.write(data)
        return
    courses = [opened.read(partial(changes.course, found=each, last=last)) for each in found]
    if report_format == "json":
        common.say(show.as_json(show.courses_document(courses)), nl=False)
    else:
        common.say("\n\n".join("\n".join(show.course(each)) for each in courses))


@app.command()
def trend(by: ByOption = None, page: PageOption = None, report_format: FormatOption = "text", store: StoreOption = DEFAULT) -> None:
    """Show how many images were ready, not ready and inconclusive over time, and what changed last."""
    _check_format(report_format)
    asked = _by(by)
    _need_database()
    from vhdprep.audit import fleet, show

    found = fleet.look(_open(store), asked)
    told = fleet.told(found)
    if page is not None:
        from vhdprep.audit.page import render

        try:
            page.write_text(render(found), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{page}: the page cannot be written ({error.strerror})") from error
    if report_format == "json":
        common.say(show.as_json(show.trend_document(found.trend, told)), nl=False)
    else:
        common.say("\n".join(show.trend(found.trend, found.standings, told)))


def _open(place: str, *, make: bool = False) -> Store:
    from vhdprep.audit.store import open_store

    return open_store(in_full(place), make=make)


def _need_database() -> None:
    """Say what is missing before anything is done.

    Raises:
        BackendUnavailable: SQLAlchemy is not installed.
    """
    try:
        import vhdprep.audit.store  # noqa: F401 - only whether it can be
    except ImportError as error:
        raise BackendUnavailable(f"the history needs SQLAlchemy ({error}); run: {sys.executable} -m pip install 'vhdprep[audit]'") from error


def _read(path: Path) -> bytes:
    from vhdprep import hostfile, savedreport

    if str(path) != "-":
        return hostfile.read(path, savedreport.MAX_REPORT, "the report", "report")
    data = sys.stdin.buffer.read(savedreport.MAX_REPORT + 1)
    if len(data) > savedreport.MAX_REPORT:
        raise UsageError(f"standard input: is larger than {savedreport.MAX_REPORT} bytes; that is no report")
    return data


def _check_format(name: str) -> None:
    if name not in ("text", "json"):
        raise UsageError("--format takes text or json")


def _time(text: str | None) -> datetime | None:
    from vhdprep.audit.entry import moment

    if text is None:
        return None
    try:
        return moment(f"{text}T00:00:00+00:00" if len(text) == len("2026-11-29") else text)
    except ValueError as error:
        raise UsageError(f"--since takes a day such as 2026-11-29, or a time with its zone, not {text!r}") from error


def _by(text: str | None) -> By | None:
    from vhdprep.audit.trend import By

    try:
        return By(text) if text is not None else None
    except ValueError as error:
        raise UsageError(f"--by takes {', '.join(By)}, not {text!r}") from error
