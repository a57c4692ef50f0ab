"""``vhdprep rehearse``: what the image does when it is booted."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from vhdprep.cli import common
from vhdprep.cli.check import AsOption, IgnoreOption, QuietOption, SelectOption
from vhdprep.cli.progress import Milestones
from vhdprep.errors import BackendUnavailable, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vhdprep.model import Target
    from vhdprep.rehearsal import Rehearsal

PARTS = ("dvd", "imds")
"""Parts of the platform that can be left out."""
TwinsOption = Annotated[bool, typer.Option("--twins", help="Make two machines, and compare what must differ between them.")]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="|".join(PARTS), help="Leave out a part of the platform; may be repeated.", show_default=False),
]
NetworkOption = Annotated[
    str, typer.Option("--network", help="relay, which needs no privilege, or namespace: a network of its own, where the host allows that.")
]


def rehearse(
    image: common.MaybeImageArgument = None,
    data: common.DataOption = None,
    manifest: common.ManifestOption = None,
    target: AsOption = None,
    twins: TwinsOption = False,
    without: WithoutOption = None,
    network: NetworkOption = "relay",
    report_format: common.LookFormatOption = "text",
    output: common.OutputOption = None,
    reports: common.ReportOption = None,
    rules: common.RulesOption = None,
    selected: SelectOption = None,
    ignored: IgnoreOption = None,
    verbose: common.VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Judge an image, boot a throw-away copy of it under an emulated Azure platform, and tell whether it provisions.

    The image is only read, and no packet leaves the machine. Exit code: 0 ready and rehearsed, 1 one of them is not, 2 nothing
    was judged, 3 one of them cannot be told.
    """
    _need_linux()
    from vhdprep.rehearse.network import namespace
    from vhdprep.rehearse.run import Wish
    from vhdprep.rehearse.run import rehearse as run_rehearse
    from vhdprep.report import words
    from vhdprep.report.rehearsaltext import rehearsal_line
    from vhdprep.report.text import verdict_line
    from vhdprep.ruleset.load import load_rules, select

    if unknown := [each for each in without or () if each not in PARTS]:
        raise UsageError(f"--without takes {' or '.join(PARTS)}, not {unknown[0]!r}")
    if network not in ("relay", "namespace"):
        raise UsageError(f"--network takes relay or namespace, not {network!r}")
    subject = common.subject(image, None, data, manifest)
    path, *others = (common.here(each, "rehearsed") for each in (subject.path, *subject.data))
    wanted = subject.target(target)
    pairs = common.parse_reports(subject.files, reports, (report_format, output), wanted)
    if network == "namespace":
        namespace.enter()
    gc.disable()
    wish = Wish(
        rules=select(load_rules(tuple(rules or ())), tuple(selected or ()), tuple(ignored or ())),
        target=wanted,
        data=tuple(others),
        declared=subject.declared,
        twins=twins,
        without=frozenset(without or ()),
        namespace=network == "namespace",
    )
    with Milestones() as show:
        report = run_rehearse(path, wish, show)
    if quiet and not output:
        pairs = pairs[1:]
    common.write_reports(report, pairs, verbose=verbose)
    if quiet or output:
        common.say(verdict_line(report, colour=common.use_colour()))
        common.say(rehearsal_line(report, colour=common.use_colour()))
    raise typer.Exit(words.exit_code(report))


def booting(target: Target) -> Callable[[Sequence[Path]], Rehearsal]:
    """What ``prepare`` does with its copies before they have names.

    Raises:
        BackendUnavailable: something is not installed that it takes, which is better known before an hour of copying.
    """
    _need_linux()
    from vhdprep.rehearse.machine import firmware
    from vhdprep.rehearse.run import Wish, boot

    firmware.find(uefi=True)

    def rehearse_copies(disks: Sequence[Path]) -> Rehearsal:
        with Milestones() as show:
            return boot(disks[0], Wish((), target, tuple(disks[1:])), show)

    return rehearse_copies


def _need_linux() -> None:
    if sys.platform != "linux":
        raise BackendUnavailable("images are rehearsed on Linux alone, a virtual machine of it included; every other command works here")
