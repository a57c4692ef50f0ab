"""What people have accepted before: waivers, and the report of an earlier image. Frozen data of plain texts."""

from __future__ import annotations

from typing import NamedTuple


class Waiver(NamedTuple):
    """Somebody's written decision to live with a finding until a day."""

    rule: str
    reason: str
    owner: str
    expiry: str
    """The last day on which it holds: ``2027-01-31``."""
    outcome: str | None = None
    """``fail`` or ``unknown``; None = a failure of a rule that is not about the container or the partition table."""
    image: str | None = None
    """``sha256:`` and 64 digits, or a glob for the image's name; None = every image."""
    path: str | None = None
    """A glob for the places of a finding; None = wherever it is."""
    place: str = ""
    """File and line that it stands in."""
    expired: bool = False
    """By the day of this run."""


class Baseline(NamedTuple):
    """The report that this one was compared with."""

    file: str
    subject: str
    verdict: str
    gone: tuple[str, ...] = ()
    """Rules that failed or were undecided there, and are not any more."""
