"""What lies between findings and the exit code: ``--waivers``, ``--baseline``, ``--fail-on``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from vhdprep.cli import common
from vhdprep.errors import UsageError
from vhdprep.model import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.accepted import Waiver
    from vhdprep.location import Location
    from vhdprep.model import Report
    from vhdprep.ruleset.rule import Rule

WaiversOption = Annotated[
    Path | None, typer.Option("--waivers", metavar="FILE", help="What was decided to live with: rule, reason, owner, expiry.", show_default=False)
]
BaselineOption = Annotated[
    Path | None,
    typer.Option("--baseline", metavar="REPORT", help="Show only what is new against this JSON report; the verdict counts all.", show_default=False),
]
FailOnOption = Annotated[str, typer.Option("--fail-on", metavar="error|warning", help="The mildest failure that makes an image not ready.")]


class Gate(NamedTuple):
    """What the options say, with the waivers read."""

    waivers: tuple[Waiver, ...] | None
    digest: str | None
    """Of the image, where a waiver names one."""
    baseline: Path | None
    fail_on: Severity

    def apply(self, report: Report, rules: Sequence[Rule]) -> Report:
        """The report with waivers, severity and baseline taken into account."""
        if self.fail_on is not report.fail_on:
            from vhdprep.verdict import judge

            report = report._replace(fail_on=self.fail_on, verdict=judge(report.findings, report.gaps, self.fail_on))
        if self.waivers is not None:
            from datetime import UTC, datetime

            from vhdprep import waivers

            report = waivers.apply(report, self.waivers, rules, datetime.now(UTC).date(), self.digest)
        if self.baseline is not None:
            from vhdprep import baseline

            report = baseline.apply(report, baseline.load(self.baseline), str(self.baseline))
        return report


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
            with common.Progress() as progress:
                digest = waiving.digest(subject, progress)
    return Gate(found, digest, baseline, Severity(fail_on))
