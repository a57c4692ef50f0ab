"""What the commands share: exit codes, arguments, and where a report goes."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import click
import typer

from vhdprep import location
from vhdprep.declared import Declared
from vhdprep.errors import UsageError
from vhdprep.model import Target
from vhdprep.report import ONLY_FOR, REPORTERS
from vhdprep.report.words import EXIT_CODES as EXIT_CODES
from vhdprep.report.words import safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vhdprep.location import Location
    from vhdprep.model import Report, Target

EXIT_USAGE = 2
MAX_KEY = 8 * 1024
"""Bytes of a passphrase that are read; cryptsetup takes 8 MiB of key files, and 512 characters from people."""


def complete_rules(incomplete: str) -> list[str]:
    """Ids of built-in rules, for a shell that completes them."""
    from vhdprep.ruleset.load import rule_files

    return sorted(each for each in rule_files() if each.startswith(incomplete))


def complete_formats(incomplete: str) -> list[str]:
    """Formats of reports, for a shell that completes them."""
    from vhdprep.report import REPORTERS

    return [each for each in REPORTERS if each.startswith(incomplete)]


_IMAGE = "The image file, or its https:// or abfs:// address; it is only read."
ImageArgument = Annotated[str, typer.Argument(metavar="IMAGE", help=_IMAGE, show_default=False, click_type=click.Path())]
MaybeImageArgument = Annotated[str | None, typer.Argument(metavar="[IMAGE]", help=_IMAGE, show_default=False, click_type=click.Path())]
RootOption = Annotated[Path | None, typer.Option("--root", metavar="DIR", help="An unpacked root tree in the place of IMAGE.", show_default=False)]
DataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data", metavar="DISK", help="A data disk of the same machine, by LUN; may be repeated.", show_default=False, click_type=click.Path()
    ),
]
ManifestOption = Annotated[
    Path | None,
    typer.Option("--manifest", metavar="FILE", help="The machine's disks and what its image is to be, in the place of IMAGE.", show_default=False),
]
BackendOption = Annotated[
    str,
    typer.Option("--backend", envvar="VHDPREP_BACKEND", help="Reader of the disk: auto, native, guestfs, or both, which compares the two."),
]
OneBackendOption = Annotated[str, typer.Option("--backend", envvar="VHDPREP_BACKEND", help="Reader of the disk: auto, native or guestfs.")]
KeyOption = Annotated[
    Path | None,
    typer.Option("--key-file", metavar="FILE", help="The passphrase of LUKS volumes, which libguestfs opens.", show_default=False),
]
_FORMATS = "text, json, markdown, sarif, junit, github, html"
FormatOption = Annotated[
    str,
    typer.Option("--format", help=f"{_FORMATS}, or selftest: Microsoft's, for the marketplace.", autocompletion=complete_formats),
]
LookFormatOption = Annotated[str, typer.Option("--format", help=f"{_FORMATS}.", autocompletion=complete_formats)]
OutputOption = Annotated[Path | None, typer.Option("--output", help="Write the report to this file instead of standard output.", show_default=False)]
ReportOption = Annotated[
    list[str] | None, typer.Option("--report", metavar="FORMAT=FILE", help="Also write a report; may be repeated.", show_default=False)
]
RulesOption = Annotated[
    list[Path] | None, typer.Option("--rules", metavar="DIR", help="Add the rules of this folder; may be repeated.", show_default=False)
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show everything: all evidence, references, what passed.")]


class Subject(NamedTuple):
    """What a command looks at."""

    path: Location
    """The image of the operating system's disk, or the root of a tree."""
    data: tuple[Location, ...] = ()
    """The machine's other disks, by LUN."""
    declared: Declared | None = None
    """What the manifest says, where there is one."""
    is_tree: bool = False

    @property
    def files(self) -> tuple[Location, ...]:
        """What is looked at and must not be written over: the disks, and the manifest."""
        return (self.path, *self.data, *((Path(self.declared.path),) if self.declared else ()))

    def target(self, asked: Target | None) -> Target:
        """What the image is to become: by ``--as``, by the manifest, else a generalized image.

        Raises:
            UsageError: the two differ.
        """
        if self.declared is None:
            return asked or Target.GENERALIZED
        from vhdprep import manifest as manifests

        return manifests.target(self.declared, asked)


def subject(image: str | None, root: Path | None, data: list[str] | None, manifest: Path | None = None) -> Subject:
    """The one thing to look at.

    Raises:
        UsageError: none, or more than one, of IMAGE, ``--root`` and ``--manifest`` were given, or disks beside a tree or a manifest.
        RuleError: the manifest is wrong.
    """
    if data and (root is not None or manifest is not None):
        raise UsageError("--data names disks; a tree (--root) has none, and a manifest names them itself")
    if [image, root, manifest].count(None) != 2:
        raise UsageError("name either an IMAGE, a tree with --root DIR, or a set of disks with --manifest FILE")
    if manifest is not None:
        from vhdprep import manifest as manifests

        declared = manifests.load(manifest)
        first, *others = (location.parse(each.file) for each in declared.disks)
        return Subject(first, tuple(others), declared)
    path = root if root is not None else location.parse(image or "")
    return Subject(path, tuple(map(location.parse, data or ())), None, root is not None)


def here(image: Location, what: str) -> Path:
    """The file of an image that is to be ``what``.

    Raises:
        UsageError: it lies on the network.
    """
    if isinstance(image, Path):
        return image
    name = shlex.quote(safe(image.name or "disk.vhd"))
    raise UsageError(
        f"{image}: only a file of this host can be {what}; download it first, with the whole address: "
        f"azcopy copy 'ADDRESS' {name}, or curl --fail --output {name} 'ADDRESS'"
    )


def read_key(path: Path | None) -> str | None:
    """The passphrase in ``path``, without the line's end; None = none was named.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            key = file.read(MAX_KEY).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: the key cannot be read ({getattr(error, 'strerror', None) or 'it is no text'})") from error
    if not key.rstrip("\r\n"):
        raise UsageError(f"{path}: is empty; it should hold the passphrase")
    return key.rstrip("\r\n")


def write_reports(report: Report, formats: list[tuple[str, Path | None]], *, verbose: bool) -> None:
    """Render each format to its file, or to standard output where there is none.

    Raises:
        UsageError: a file cannot be written.
    """
    from vhdprep.report import load_reporter

    write_rendered(formats, lambda name, **how: load_reporter(name).render(report, verbose=verbose, **how))


def write_rendered(formats: list[tuple[str, Path | None]], render: Callable[..., str]) -> None:
    """Write what ``render(format)`` gives to each file; what goes to standard output is asked for with ``colour`` and ``width`` of the terminal.

    Raises:
        UsageError: a file cannot be written.
    """
    for name, path in formats:
        if path is None:
            say(render(name, colour=use_colour(), width=terminal_width()), nl=False)
            continue
        try:
            path.write_text(render(name), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path}: the report cannot be written ({error.strerror})") from error


def say(text: str, *, nl: bool = True) -> None:
    """Print on standard output. A reader that went away does not change the exit code, which is the verdict.

    Raises:
        UsageError: it cannot be written, for instance because the disk is full.
    """
    try:
        typer.echo(text, nl=nl)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing may fail once more at exit
        if not isinstance(error, BrokenPipeError):
            raise UsageError(f"standard output cannot be written ({error.strerror})") from error


def parse_reports(
    images: Sequence[Location], pairs: list[str] | None, main: tuple[str, Path | None], target: Target | None = None, known: Sequence[str] = REPORTERS
) -> list[tuple[str, Path | None]]:
    """The main report's format and file, then every ``FORMAT=FILE`` pair; ``target``: what the image is judged for, None = it is not.

    ``known``: the formats that there are.

    Raises:
        UsageError: a pair has no ``=``, a format is unknown or not for this target, or a file is one of the images.
    """
    found: list[tuple[str, Path | None]] = [main]
    for pair in pairs or []:
        name, equals, file = pair.partition("=")
        if not equals or not file:
            raise UsageError(f"--report takes FORMAT=FILE, not {pair!r}")
        found.append((name, Path(file)))
    for name, path in found:
        if name not in known:
            raise UsageError(f"there is no report format {name!r}; choose one of: {', '.join(known)}")
        if ONLY_FOR.get(name, target) is not target:
            raise UsageError(f"the report format {name} is only for `check --as {ONLY_FOR[name]}`")
        refuse_image(path, images)
    return found


def refuse_image(output: Path | None, images: Iterable[Location]) -> None:
    """What is written must be none of the images, be they there or still to be made, nor of what is looked at beside them.

    Raises:
        UsageError: it is one of them.
    """
    if output is None:
        return
    for each in location.files(images):
        if output.resolve() == each.resolve() or (each.is_file() and output.exists() and output.samefile(each)):
            raise UsageError(f"{output}: is the image, or another file of this run; name another one for the report")


def use_colour() -> bool:
    """Whether standard output is a terminal that shows colour (NO_COLOR is honoured)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_width() -> int:
    """Columns of the terminal; 80 when there is none."""
    import shutil

    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80
