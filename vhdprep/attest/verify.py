"""Whether an image is the one that was judged, what was judged, and whether rules have changed since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep.attest import envelope, statement
from vhdprep.errors import NotProven
from vhdprep.ruleset.load import digest
from vhdprep.vhd.digest import compute

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vhdprep.ruleset.rule import Rule
    from vhdprep.vhd.digest import Progress


class Proven(NamedTuple):
    """What an attestation that holds has to say."""

    same_files: bool
    """The very files that were judged; else the same disks in other containers."""
    same_rules: bool
    """The rules that were asked then are the same today."""
    gone_rules: tuple[str, ...]
    """Rules that were asked then and that there are none of today."""
    report: dict[str, Any]
    """The JSON report."""


def verify(attestation: Path, key: Path, images: Sequence[Path], rules: Sequence[Rule], progress: Progress) -> Proven:
    """Prove that ``images``, the operating system's disk first, are what ``attestation`` is about.

    Raises:
        NotProven: it does not hold, or they are not.
        UsageError: a file cannot be read.
        BackendUnavailable: securesystemslib is not installed.
    """
    stated = statement.read(envelope.open_envelope(attestation, key))
    if len(images) != len(stated.files):
        raise NotProven(f"{attestation}: is about {len(stated.files)} disks, and {len(images)} were named; name them all, with --data")
    same = [_compare(path, file, disk, progress) for path, file, disk in zip(images, stated.files, stated.disks, strict=True)]
    asked = [str(each.get("rule_id")) for each in stated.report.get("findings", ())]
    known = {rule.id: rule for rule in rules}
    gone = tuple(each for each in asked if each not in known)
    today = digest(known[each] for each in asked if each in known)
    return Proven(all(same), not gone and today == stated.report.get("ruleset", {}).get("digest"), gone, stated.report)


def _compare(path: Path, file: str, disk: str | None, progress: Progress) -> bool:
    """Whether it is the very file; False = only the disk in it is the same."""
    found = compute(path, progress)
    if found.file == file:
        return True
    if disk is not None and found.disk == disk:
        return False
    raise NotProven(f"{path}: is not the image that was judged: its SHA-256 is {found.file}, that one's was {file}; the disks in them differ too")
