"""How the last run of Sysprep that was to seal a Windows went, and what stopped it: by the log that Sysprep keeps of itself.

What counts is where a run comes to rest. One that wrote its tag of success succeeded, whatever errors stand before: good images have
some in every run. One failed where Sysprep itself says that it halts; why it did is the first error that names a cause, else the
provider that failed. One that does neither, and does not close its log either, was cut off.

The newest run counts. Runs that set up a machine again (respecialize) and those that nobody let begin (the window was closed) are left
out. No name for rotated logs is documented, so every ``setupact*.log*`` of the folder is read, in the order of the times in them;
``setuperr.log`` only where those hold no run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest.formats import setuplog, windowstext
from vhdprep.guest.image import once
from vhdprep.model import ABSENT, Observation

if TYPE_CHECKING:
    from vhdprep.guest.files import GuestFiles
    from vhdprep.guest.image import Guest

FOLDER = "/Windows/System32/Sysprep/Panther"
MAX_READ = 4 * 1024 * 1024
"""Bytes of a log that are read, from its end."""
MAX_LOGS = 8
"""Logs that are read."""
MAX_QUOTED = 10
"""Lines that are quoted of one run."""
_MAX_TEXT = 300
_ACTIONS, _ERRORS, _COMPONENT = "setupact", "setuperr", "SYSPRP"
_UNDATED = "~"
"""Later than every time."""
_BEGINNING = "Beginning of a new sysprep run"
SUCCEEDED, INTERRUPTED, OTHER = "succeeded", "interrupted", "provider"
_CAUSES = {
    "package": re.compile(r"^Package \S+ was installed for a user, but not provisioned for all users"),
    "bitlocker": re.compile(r"BitLocker is on for the OS volume|0x80310039"),
    "reserved-storage": re.compile(r"reserved storage is in use|if there is an active scenario|0x800F0975"),
    "pending-updates": re.compile(r"updates that require a reboot|Failed to query pending CBS operations"),
    "rearm-limit": re.compile(r"SLReArmWindows|(?i:0xc004d307)|-1073425657"),
    "upgraded": re.compile(r"will not run on an upgraded OS"),
    "earlier-failure": re.compile(r"Not running DLLs; either the machine is in an invalid state"),
    "command-line": re.compile(r"^WinMain: ?Unable to parse command-line arguments"),
}
_PROVIDER = re.compile(
    r"^(?:(?:ActionPlatform::LaunchModule|LaunchDll): ?Failure occurred while executing |"
    r"ActionPlatform::\w{1,40}: Error from |SysprepSession::ExecuteInternal: Error in executing action for )"
)
_HALT = re.compile(r"^(?:WinMain|RunDlls|RunExternalDlls): ?(?! ?The sysprep dialog box)")
_WORK = re.compile(r"^(?:ActionPlatform::LaunchModule|LaunchDll|RunDlls|RunExternalDlls|WinMain:(?:Pre-vali|Processing ))")
_OPTION = re.compile(r"^ParseCommands:Found supported command line option '(\w{1,40})'")
_SPECIALIZE = re.compile(r"(?i)re-?specialize|sysprep[ _]specialize")
"""The other half of the work, on the new machine."""


class _Run:
    """What the log says of one run so far."""

    def __init__(self) -> None:
        self.end = ""
        """``succeeded | halted | closed``; empty = it goes on."""
        self.decided: Observation | None = None
        """The line of the success, or the first on which it halted."""
        self.last: Observation | None = None
        self.has_worked = False
        self.is_respecialize = False
        self.causes: dict[str, list[Observation]] = {}

    def add(self, entry: setuplog.Entry, path: str) -> None:
        """Take in the next entry."""
        text = entry.text
        self.last = Observation(text[:_MAX_TEXT], f"{path}:{entry.line}")
        option = _OPTION.match(text)
        if option:
            self.has_worked = True
            self.is_respecialize |= option[1].casefold() == "respecialize"
        elif text.startswith("FCreateTagFile:Successfully created tag file"):
            self.end, self.decided = "succeeded", self.last
        elif text.startswith("Shutting down SysPrep log"):
            self.end = self.end or "closed"
        elif not entry.is_error:
            self.has_worked |= _WORK.match(text) is not None
        elif not _SPECIALIZE.search(text):
            self._fail(text, self.last)

    def _fail(self, text: str, line: Observation) -> None:
        for cause in (*(name for name, words in _CAUSES.items() if words.search(text)), *([OTHER] if _PROVIDER.match(text) else [])):
            self.causes.setdefault(cause, []).append(line)
        if _HALT.match(text) and self.end != "halted":
            self.end, self.decided = "halted", line

    @property
    def outcome(self) -> Observation | None:
        """None = nothing was sealed, or was to be."""
        if self.end == "succeeded" and self.decided:
            return Observation(SUCCEEDED, self.decided.where, (self.decided,))
        if self.is_respecialize:
            return None
        if self.end == "halted" or (self.end == "closed" and self.causes):
            cause = next((each for each in self.causes if each != OTHER), OTHER)
            lines = self.causes.get(cause, [])[:MAX_QUOTED] + self.causes.get(OTHER, [])[:1]
            parts = tuple(dict.fromkeys(lines)) or ((self.decided,) if self.decided else ())
            return Observation(cause, parts[0].where, parts)
        if self.last and self.has_worked and not self.end:
            return Observation(INTERRUPTED, self.last.where, (self.last,))
        return None


@once
def last_run(guest: Guest) -> Observation:
    """``succeeded | interrupted``, or what made it fail, with the lines that say so; ``ABSENT`` = no run is logged.

    Raises:
        Unreadable: a log cannot be read, or what was read of a large one does not tell.
    """
    return _last_run(guest.files, _ACTIONS) or _last_run(guest.files, _ERRORS) or Observation(ABSENT, f"{FOLDER}/setupact.log")


def _last_run(files: GuestFiles, stem: str) -> Observation | None:
    found: Observation | None = None
    run, is_cut = _Run(), False
    for path, text, is_tail in _logs(files, stem):
        if is_tail:
            run, is_cut = _Run(), True
        for entry in setuplog.entries(text, _COMPONENT):
            if _BEGINNING in entry.text or (stem == _ERRORS and run.last and str(run.last.value).startswith("WinMain")):
                found, run, is_cut = run.outcome or found, _Run(), False
            run.add(entry, path)
    if is_cut and not run.end:
        raise Unreadable(f"{FOLDER}/{stem}.log: in its last {MAX_READ >> 20} MiB no run begins or ends, and the rest is not read")
    return run.outcome or found


def _logs(files: GuestFiles, stem: str) -> list[tuple[str, str, bool]]:
    """Path and text of every log of that name with entries of Sysprep, oldest first, and whether only its end was read."""
    names = [name for name in files.names(FOLDER) if name.casefold().startswith(stem) and ".log" in name.casefold()]
    if len(names) > MAX_LOGS:
        raise Unreadable(f"{FOLDER}: {len(names)} logs are too many")
    logs = []
    for path in (f"{FOLDER}/{name}" for name in names):
        text, is_tail = _tail(files, path)
        first = next(setuplog.entries(text, _COMPONENT), None)
        if first is not None or is_tail:
            shown = f"{path} (last {MAX_READ >> 20} MiB)" if is_tail else path
            logs.append((first.time if first else _UNDATED, path.casefold().endswith(f"{stem}.log"), shown, text, is_tail))
    return [(path, text, is_tail) for *_, path, text, is_tail in sorted(logs)]


def _tail(files: GuestFiles, path: str) -> tuple[str, bool]:
    """The end of a log, and whether something before it was left out."""
    found = files.stat(path)
    if found is None or not files.is_file(path):
        return "", False
    start = max(found.size - MAX_READ, 0) // 2 * 2
    encoding = windowstext.encoding(files.read(path, 256))
    return files.read(path, MAX_READ + 1, start).decode(encoding, "replace").removeprefix("\ufeff"), start > 0
