"""What lies between findings and the exit code: ``--waivers``, ``--baseline``, ``--fail-on``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vhdprep.cli.progress import Progress
from vhdprep.errors import UsageError
from vhdprep.gate import Gate
from vhdprep.model import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.location import Location

WaiversOption = Annotated[
    Path | None, typer.Option("--waivers", metavar="FILE", help="What was decided to live with: rule, reason, owner, expiry.", show_default=False)
]
BaselineOption = Annotated[
    Path | None,
    typer.Option("--baseline", metavar="REPORT", help="Show only what is new against this JSON report; the verdict counts all.", show_default=False),
]
FailOnOption = Annotated[str, typer.Option("--fail-on", metavar="error|warning", help="The mildest failure that makes an image not ready.")]


def read(subject: Location, waivers: Path | None, baseline: Path | None, fail_on: str, rules: Sequence[Path]) -> Gate:
    """Read what the options name. To be done before the image is opened: a digest takes the whole file, and nothing bounds that time here.

    Raises:
        UsageError: an option takes no such value, or a file cannot be read.
        RuleError: the waivers, or rules, are wrong.
    """
    if fail_on not in ("error", "warning"):
        raise UsageError(f"--fail-on takes error or warning, not {fail_on!r}")
    if baseline is not None and not baseline.is_file():
        raise UsageError(f"{baseline}: there is no such report; make it with `vhdprep check --format json --output {baseline} IMAGE`")
    found, digest = None, None
    if waivers is not None:
        from vhdprep import waivers as waiving
        from vhdprep.ruleset.load import load_rules

        found = waiving.load(waivers, [rule.id for rule in load_rules(rules)])
        if waiving.names_digest(found) and isinstance(subject, Path) and subject.is_file():
            with Progress() as progress:
                digest = waiving.digest(subject, progress)
    return Gate(found, digest, baseline, Severity(fail_on))
