"""One line on standard error while something takes long."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vhdprep.rehearsal import Milestone

_BYTES = ("copy", "compare", "digest")
"""Steps that are counted in bytes."""


class Progress:
    """One line on standard error while something takes long; nothing where that is no terminal."""

    def __init__(self, after: float = 0) -> None:
        """Nothing is shown before so many seconds are over."""
        self._shown = sys.stderr.isatty()
        self._earliest = time.monotonic() + after
        self._step, self._begin, self._last = "", 0.0, 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and self._step:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    def __call__(self, done: int, total: int, step: str) -> None:
        """``done`` of ``total`` (bytes, rules, changes) of this step."""
        if not self._shown:
            return
        now = time.monotonic()
        if step != self._step:
            self._step, self._begin, self._last = step, now, 0.0
        if now < self._earliest or (now - self._last < 0.2 and done < total):
            return
        self._last = now
        sys.stderr.write(f"\r\033[K{self._line(done, total, now - self._begin)}")
        sys.stderr.flush()

    def _line(self, done: int, total: int, seconds: float) -> str:
        share = f"{self._step} {100 * done // total if total else 100} %"
        if not done or seconds < 0.5:
            return share
        speed = done / seconds
        rate = f"{speed / 2**20:.0f} MiB/s" if self._step in _BYTES else f"{speed:.{0 if speed >= 10 else 1}f} a second"
        return f"{share}, {rate}, {(total - done) / speed:.0f} s left"


class Milestones:
    """One line on standard error that shows the milestone reached; nothing where that is no terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Milestones:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    def __call__(self, milestone: Milestone | None, seconds: float) -> None:
        """The last milestone, and seconds since power-on."""
        if self._shown:
            sys.stderr.write(f"\r\033[K{seconds:4.0f} s  {milestone or 'switched on'}")
            sys.stderr.flush()
