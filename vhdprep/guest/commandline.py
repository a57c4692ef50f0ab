"""What the default boot entry's command line tells PID 1 (kernel-command-line(7))."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest import boot
from vhdprep.guest.image import once

if TYPE_CHECKING:
    from vhdprep.guest.image import Guest

_INIT_DIRECTORIES = ("/sbin", "/usr/sbin", "/bin", "/usr/bin", "/lib/systemd", "/usr/lib/systemd", "/lib/sysvinit", "/usr/lib/sysvinit")
_USUAL_INITS = {f"{base}/{name}" for base in _INIT_DIRECTORIES for name in ("init", "systemd", "openrc-init")}


class CommandLine(NamedTuple):
    """The arguments that decide what starts."""

    place: str = ""
    masked: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset()
    init: str | None = None
    goal: str | None = None
    """The target in the place of ``default.target``."""


def read(guest: Guest) -> CommandLine:
    """The command line; nothing where the boot entry is not known, for rules about it say so.

    Raises:
        Unreadable: it starts another program in the place of init.
    """
    line = _read(guest)
    if line.init is not None and line.init not in _USUAL_INITS:
        raise Unreadable(f"{line.place}: init={line.init} runs in the place of init; what it starts is not known")
    return line


@once
def _read(guest: Guest) -> CommandLine:
    try:
        entry = boot.default_entry(guest)
    except Unreadable:
        return CommandLine()
    inits, goals = entry.values("init"), entry.values("systemd.unit")
    masked, wanted = frozenset(entry.values("systemd.mask")), frozenset(entry.values("systemd.wants"))
    return CommandLine(entry.place, masked, wanted, inits[-1] if inits else None, goals[-1] if goals else None)
