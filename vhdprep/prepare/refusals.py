"""Images of which no copy is made, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.disk.backend import REPLAYED
from vhdprep.errors import CopyFailed
from vhdprep.model import Outcome, Severity
from vhdprep.remedy import Manual

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.model import Report, Volume

_TABLE = "disk-table-valid"
"""The rule that fails where partitions lie outside the disk: nothing that is done to the rest makes such a disk better."""


def hiding(report: Report) -> None:
    """What is wrong with the container itself is gone in a copy, and with it the only sign that its content may be wrong too.

    Raises:
        CopyFailed: it is.
    """
    for each in report.findings:
        about_file = each.rule_id.startswith(("vhd-", "vhdx-")) and each.rule_id != "vhd-name-plain" and each.severity is not Severity.NOTE
        if each.outcome is not Outcome.FAIL or not isinstance(each.remedy, Manual):
            continue
        if each.rule_id == _TABLE:
            raise CopyFailed(f"this disk is not whole ({each.rule_id}): {each.message} {each.remedy.steps[1]}")
        if about_file:
            raise CopyFailed(f"a copy would hide what is wrong with this file ({each.rule_id}): {each.message} {' '.join(each.remedy.steps[:1])}")


def unclean(volumes: Sequence[Volume]) -> None:
    """What waits in a journal is not in what was read, and would be lost or mixed with the changes.

    Raises:
        CopyFailed: a volume is unclean or sleeps, and nothing here carries out its journal.
    """
    for volume in volumes:
        if volume.state == "hibernated":
            raise CopyFailed(
                f"{volume.id}: Windows sleeps on this volume (hibernation or Fast Startup), and writing to it would destroy what it has open;"
                " start the machine, run: powercfg /h off, shut it down, and run again"
            )
        if volume.state == "unclean" and volume.filesystem not in REPLAYED:
            raise CopyFailed(
                f"{volume.id}: this {volume.filesystem} was not unmounted cleanly, and what waits in its journal was not read;"
                " start the machine once more, shut it down, and run again"
            )
