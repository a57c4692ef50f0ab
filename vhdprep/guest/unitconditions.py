"""Whether a unit's conditions can hold in a machine made from the image (systemd v257, "Conditions and Asserts").

Only what the disk decides is judged; a condition that is up to the running machine counts as one that holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.disk.backend import FileKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vhdprep.guest.image import Guest
    from vhdprep.guest.unitfiles import Entry

_MADE_AT_BOOT = ("/run/", "/proc/", "/sys/", "/dev/", "/tmp/", "/var/run/", "/var/lock/")
_FROM_THE_IMAGE = ("/etc/", "/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/opt/", "/boot/")
"""What is missing there is still missing when the unit is about to start."""
_VIRTUAL = {"yes": True, "true": True, "1": True, "vm": True, "microsoft": True}
_MACHINES = {"x86_64": "x86-64", "aarch64": "arm64"}


def unmet(guest: Guest, entries: Iterable[Entry]) -> Entry | None:
    """The condition that keeps the unit from starting."""
    for kind in ("Unit.Condition", "Unit.Assert"):
        alternatives: list[tuple[Entry, bool | None]] = []
        for entry in _effective(entries, kind):
            trigger = entry.value.startswith("|")
            holds = _holds(guest, entry.key.removeprefix(kind), entry.value.removeprefix("|").lstrip())
            if trigger:
                alternatives.append((entry, holds))
            elif holds is False:
                return entry
        if alternatives and all(holds is False for _, holds in alternatives):
            return alternatives[0][0]
    return None


def is_first_boot(guest: Guest) -> bool:
    """Whether systemd takes the next boot for the machine's first: no machine-id, or one that says so. An empty one does not."""
    return guest.files.lstat("/etc/machine-id") is None or (guest.files.text("/etc/machine-id") or "").strip() == "uninitialized"


def _effective(entries: Iterable[Entry], kind: str) -> list[Entry]:
    """The conditions in force: an empty one takes back all before it, of whatever sort."""
    found: list[Entry] = []
    for entry in entries:
        if entry.key.startswith(kind):
            found = [*found, entry] if entry.value else []
    return found


def _holds(guest: Guest, test: str, value: str) -> bool | None:
    """One condition; None = the disk does not tell."""
    wanted, value = not value.startswith("!"), value.removeprefix("!").lstrip()
    found: bool | None = None
    if test == "FirstBoot":
        found = is_first_boot(guest) is (value.lower() in ("yes", "true", "on", "1"))
    elif test == "Virtualization":
        found = _VIRTUAL.get(value.lower(), False)
    elif test == "Architecture" and guest.facts.arch in _MACHINES and value != "native":
        found = value == _MACHINES[guest.facts.arch]
    elif test.startswith(("Path", "File", "Directory")) and "%" not in value and not f"{value}/".startswith(_MADE_AT_BOOT):
        found = _path_holds(guest, test, value)
        if not found and not value.startswith(_FROM_THE_IMAGE):
            return None
    return None if found is None else found is wanted


def _path_holds(guest: Guest, test: str, path: str) -> bool | None:
    if test == "PathExistsGlob":
        return bool(guest.files.glob(path))
    if test == "PathIsSymbolicLink":
        link = guest.files.lstat(path)
        return link is not None and link.kind is FileKind.LINK
    found = guest.files.stat(path)
    if test == "PathExists":
        return found is not None
    if test in ("PathIsDirectory", "DirectoryNotEmpty"):
        return found is not None and found.kind is FileKind.DIRECTORY and (test == "PathIsDirectory" or bool(guest.files.names(path)))
    if test in ("FileNotEmpty", "FileIsExecutable"):
        return found is not None and found.kind is FileKind.FILE and (test == "FileIsExecutable" or found.size > 0)
    return None
