"""The serial console: what the guest prints, bounded, and what it means."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.rehearsal import Milestone

if TYPE_CHECKING:
    from vhdprep.rehearse.journal import Journal

MAX_LINE = 400
"""Characters of one line that are kept."""
MAX_LINES = 2000
"""Last lines that are kept."""
MAX_SHOWN = 40
"""Lines that a report has."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07\x1b]{0,256}\x07|[()][0-9A-B]|[=>78cM])")
_KERNEL = re.compile(r"Linux version |^\[ {4}0\.000000\]|Booting Linux|EFI stub: ")
_LOGIN = re.compile(r"(?:^|\s)\S{0,80} login:\s*$")
_FINISHED = re.compile(r"Cloud-init v\. \S+ finished at")


ARTEFACTS = re.compile(r"kvp|/dev/ptp_hyperv|detect disk topology|vmbus|resource disk|hv_", re.IGNORECASE)
"""Complaints about devices of Hyper-V that no emulator has; on Azure they are there."""


class Stop(NamedTuple):
    """Words on the console after which nothing good comes any more."""

    pattern: re.Pattern[str]
    what: str
    """What has happened, as a part of a sentence."""


_STOPS = (
    ("the kernel panicked", r"Kernel panic - not syncing"),
    (
        "the system went into emergency mode",
        r"You are in emergency mode|Give root password for maintenance|Cannot open access to console, the root account is locked",
    ),
    (
        "the initramfs found no root file system and stopped in an emergency shell",
        r"Entering emergency mode\. Exit the shell|dracut:/#|rdsosreport\.txt|^\(initramfs\)|ALERT!.*does not exist\.  Dropping to a shell",
    ),
    ("GRUB found no configuration and stopped at its prompt", r"grub rescue>|^grub> ?$"),
    (
        "the firmware found nothing to start",
        r"No bootable device|BdsDxe: No bootable option|Shell> ?$|UEFI Interactive Shell|Boot failed: not a bootable disk",
    ),
)
STOPS = tuple(Stop(re.compile(pattern), what) for what, pattern in _STOPS)
_WORDS = (
    *("panic", "emergency", r"\bfail(?:ed|ure)?\b", r"\berror\b", "timed out", "dependency", "cannot", "unable", "not found", "does not exist"),
    *("ALERT", "login:", "cloud-init", "waagent", "Linux version"),
)
_MATTERS = re.compile("|".join(_WORDS), re.IGNORECASE)


class Console:
    """Takes bytes as they come, notes milestones, and keeps the last lines."""

    def __init__(self, journal: Journal) -> None:
        """Nothing was printed yet."""
        self._journal = journal
        self._rest = ""
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self.bytes = 0
        self.stopped: str | None = None
        """Which of ``STOPS`` was seen first."""

    def feed(self, data: bytes) -> None:
        """What was printed; characters that are no text are replaced."""
        self.bytes += len(data)
        self._journal.mark(Milestone.CONSOLE)
        text = _ESCAPES.sub("", self._rest + data.decode("utf-8", "replace"))
        *lines, self._rest = re.split(r"[\r\n]+", text)
        self._rest = self._rest[-MAX_LINE:]
        for line in lines:
            if line.strip():
                self._lines.append(line[:MAX_LINE])
                self._read(line[:MAX_LINE])
        self._read(self._rest)

    def lines(self) -> list[str]:
        """The last lines, oldest first."""
        return [*self._lines, *([self._rest] if self._rest.strip() else [])]

    def matter(self) -> tuple[str, ...]:
        """Lines that tell a person what went wrong, the last ones, and the end of what was printed."""
        lines = [each for each in self.lines() if not ARTEFACTS.search(each)]
        end = lines[-8:]
        marked = [each for each in lines[:-8] if _MATTERS.search(each)]
        return (*marked[-(MAX_SHOWN - len(end)) :], *end)

    def _read(self, line: str) -> None:
        if _KERNEL.search(line):
            self._journal.mark(Milestone.KERNEL, line.strip())
        if _LOGIN.search(line):
            self._journal.mark(Milestone.LOGIN, line.strip())
        if _FINISHED.search(line):
            self._journal.mark(Milestone.FINISHED, line.strip())
        if self.stopped is None:
            self.stopped = next((each.what for each in STOPS if each.pattern.search(line)), None)
            if self.stopped:
                self._journal.changed.set()
