"""What lies between findings and the verdict that counts: waivers, the severity that fails, a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vhdprep.accepted import Waiver
    from vhdprep.model import Report, Severity
    from vhdprep.ruleset.rule import Rule


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
