"""Whether a unit starts at boot, from unit files and links alone.

The definition is the catalogue's ``linux-unit-enablement`` (systemd v257 ``man/systemd.unit.xml``,
``src/shared/install.c``): links in any ``.wants``, ``.requires`` or ``.upholds`` of any unit directory count,
also under an alias; a link to /dev/null or an empty file masks.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.backend import FileKind
from vhdprep.errors import Unreadable
from vhdprep.guest import boot
from vhdprep.guest.formats import keyvalue
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.image import once

if TYPE_CHECKING:
    from vhdprep.guest.image import Guest

UNIT_DIRECTORIES = (
    "/etc/systemd/system.control",
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
GENERATOR_DIRECTORIES = tuple(f"{base}/systemd/system-generators" for base in ("/etc", "/usr/local/lib", "/usr/lib", "/lib"))
_PULLS = (".wants", ".requires", ".upholds")
_STANDARD_TARGETS = {
    "default.target", "graphical.target", "multi-user.target", "basic.target", "sysinit.target", "sockets.target",
    "timers.target", "paths.target", "local-fs.target", "remote-fs.target", "network.target", "network-online.target",
    "getty.target", "time-sync.target", "nss-lookup.target", "swap.target", "slices.target", "sshd-keygen.target",
}  # fmt: skip
"""Targets that every systemd machine reaches on the way up."""


_INIT_DIRECTORIES = ("/sbin", "/usr/sbin", "/bin", "/usr/bin", "/lib/systemd", "/usr/lib/systemd", "/lib/sysvinit", "/usr/lib/sysvinit")
_USUAL_INITS = {f"{base}/{name}" for base in _INIT_DIRECTORIES for name in ("init", "systemd", "openrc-init")}
_USUAL_GOALS = {"default.target", "graphical.target", "multi-user.target"}


class CommandLine(NamedTuple):
    """What the default boot entry's command line tells PID 1 (kernel-command-line(7))."""

    place: str = ""
    masked: frozenset[str] = frozenset()
    wanted: frozenset[str] = frozenset()
    init: str | None = None
    goal: str | None = None


class UnitState(NamedTuple):
    """``enabled | disabled | static | masked | absent`` and the file or link that proves it."""

    state: str
    where: str


def unit_state(guest: Guest, name: str) -> UnitState:
    """Whether the unit ``name`` starts at boot.

    Raises:
        Unreadable: the boot entry starts another program in the place of init, or leads to an unusual target.
    """
    line = command_line(guest)
    if line.init is not None and line.init not in _USUAL_INITS:
        raise Unreadable(f"{line.place}: init={line.init} runs in the place of init; what it starts is not known")
    if guest.facts.init in ("openrc", "sysv"):
        return _classic(guest, name.removesuffix(".service"))
    found = _find_unit(guest, name)
    if found is None:
        return UnitState("absent", name)
    if line.goal is not None and line.goal not in _USUAL_GOALS:
        raise Unreadable(f"{line.place}: systemd.unit={line.goal} leads to another target than usual; what that starts is not known")
    path, names = found
    return _stopped(guest, line, path, names) or _started(guest, line, name, names) or _by_its_file(guest, name, path)


def _stopped(guest: Guest, line: CommandLine, path: str, names: set[str]) -> UnitState | None:
    if _is_masked(guest, path):
        return UnitState("masked", path)
    return UnitState("masked", f"{line.place} (systemd.mask)") if names & line.masked else None


def _started(guest: Guest, line: CommandLine, name: str, names: set[str]) -> UnitState | None:
    """Enabled by the command line, by a link, or by its socket, timer or path unit."""
    if names & line.wanted:
        return UnitState("enabled", f"{line.place} (systemd.wants)")
    if link := _enabling_link(guest, names):
        return UnitState("enabled", link)
    for suffix in (".socket", ".timer", ".path") if name.endswith(".service") else ():
        starter = unit_state(guest, name.removesuffix(".service") + suffix)
        if starter.state == "enabled":
            return starter
    return None


def _by_its_file(guest: Guest, name: str, path: str) -> UnitState:
    has_install = any(key.startswith("Install.") for key in keyvalue.ini(guest.files.text(path) or ""))
    if has_install and (preset := _preset(guest, name)):
        return UnitState("enabled", preset)
    return UnitState("disabled" if has_install else "static", path)


@once
def command_line(guest: Guest) -> CommandLine:
    """What the command line says of units; nothing where the boot entry is not known, for rules about it say so."""
    try:
        entry = boot.default_entry(guest)
    except Unreadable:
        return CommandLine()
    inits, goals = entry.values("init"), entry.values("systemd.unit")
    return CommandLine(
        entry.place,
        frozenset(entry.values("systemd.mask")),
        frozenset(entry.values("systemd.wants")),
        inits[-1] if inits else None,
        goals[-1] if goals else None,
    )


def _find_unit(guest: Guest, name: str) -> tuple[str, set[str]] | None:
    """The winning unit file and every name it goes by."""
    wanted = [name]
    if "@" in name:
        prefix, _, rest = name.partition("@")
        wanted.append(f"{prefix}@.{rest.rpartition('.')[2]}")
    for candidate in wanted:
        for directory in UNIT_DIRECTORIES:
            path = f"{directory}/{candidate}"
            if guest.files.lstat(path) is not None:
                target = _alias_target(guest, path)
                base = target.rpartition("/")[2] if target else candidate
                return target or path, {name, candidate, base, *_aliases(guest).get(base, ())}
    return None


def _alias_target(guest: Guest, path: str) -> str | None:
    """The unit file that a link leads to, unless it masks."""
    found = guest.files.lstat(path)
    if found is None or found.kind is not FileKind.LINK or guest.files.readlink(path) == "/dev/null":
        return None
    real = guest.files.resolve(path)
    return real if real and guest.files.is_file(real) else None


def _is_masked(guest: Guest, path: str) -> bool:
    found = guest.files.lstat(path)
    if found is None:
        return False
    if found.kind is FileKind.LINK:
        return guest.files.readlink(path) == "/dev/null"
    return found.kind is FileKind.FILE and found.size == 0


@once
def _aliases(guest: Guest) -> dict[str, set[str]]:
    """Unit file name → names of links to it in the unit directories."""
    found: dict[str, set[str]] = {}
    for directory in UNIT_DIRECTORIES:
        for name in guest.files.names(directory):
            path = f"{directory}/{name}"
            stat = guest.files.lstat(path)
            if stat is not None and stat.kind is FileKind.LINK:
                target = guest.files.readlink(path).rpartition("/")[2]
                found.setdefault(target, set()).add(name)
    return found


@once
def _pulls(guest: Guest) -> dict[str, list[tuple[str, str]]]:
    """Unit → every (link, target) that pulls it in."""
    found: dict[str, list[tuple[str, str]]] = {}
    for directory in UNIT_DIRECTORIES:
        for name in guest.files.names(directory):
            target, dot, suffix = name.rpartition(".")
            if dot + suffix in _PULLS:
                for unit in guest.files.names(f"{directory}/{name}"):
                    found.setdefault(unit, []).append((f"{directory}/{name}/{unit}", target))
            elif name.endswith(".target.d"):
                for path in guest.files.glob(f"{directory}/{name}/*.conf"):
                    for unit in _named_units(guest, path):
                        found.setdefault(unit, []).append((path, name.removesuffix(".d")))
    return found


def _named_units(guest: Guest, path: str) -> list[str]:
    settings = keyvalue.ini(guest.files.text(path) or "")
    keys = ("Unit.Wants", "Unit.Requires", "Unit.Upholds", "Unit.BindsTo")
    return [unit for key in keys for setting in settings.get(key, ()) for unit in setting.value.split()]


def pull_of(guest: Guest, name: str) -> str | None:
    """The link or drop-in that starts ``name`` at boot, also where the unit itself comes from elsewhere (a system extension)."""
    return _enabling_link(guest, {name})


def _enabling_link(guest: Guest, names: set[str]) -> str | None:
    for name in sorted(names):
        for link, target in _pulls(guest).get(name, ()):
            if target not in names and _is_reached(guest, target, names):
                return link
    return None


def _is_reached(guest: Guest, unit: str, names: set[str]) -> bool:
    """Whether ``unit`` is started on the way to the default target, not counting what ``names`` pull in."""
    seen, waiting = {*names, unit}, [unit]
    while waiting:
        each = waiting.pop()
        found = _find_unit(guest, each)
        if found is not None and _is_masked(guest, found[0]):
            continue
        if each in _STANDARD_TARGETS or _has_generator(guest, each):
            return True
        above = {target for _, target in _pulls(guest).get(each, ())} - seen
        seen |= above
        waiting += sorted(above)
    return False


def _preset(guest: Guest, name: str) -> str | None:
    """The preset line that enables ``name``: PID 1 applies presets on a first boot, and only then."""
    if guest.files.lstat("/etc/machine-id") is not None and (guest.files.text("/etc/machine-id") or "").strip() != "uninitialized":
        return None
    presets = guest.files.overlaid([f"{directory}-preset" for directory in UNIT_DIRECTORIES], "*.preset")
    for _, path in sorted(presets.items()):
        for number, line in enumerate(lines(guest.files.text(path) or ""), 1):
            words = line.split()
            if len(words) > 1 and words[0] in ("enable", "disable") and fnmatchcase(name, words[1]):
                return f"{path}:{number}" if words[0] == "enable" else None
    return None


def _has_generator(guest: Guest, unit: str) -> bool:
    """Whether a generator named after the target (``NAME-generator``) pulls it in at boot."""
    name = f"{unit.removesuffix('.target')}-generator"
    for directory in GENERATOR_DIRECTORIES:
        path = f"{directory}/{name}"
        if guest.files.lstat(path) is not None:
            return not _is_masked(guest, path)
    return False


def _classic(guest: Guest, name: str) -> UnitState:
    for pattern in (f"/etc/runlevels/*/{name}", f"/etc/rc[2-5].d/S[0-9][0-9]{name}"):
        if links := guest.files.glob(pattern):
            return UnitState("enabled", links[0])
    script = f"/etc/init.d/{name}"
    return UnitState("disabled", script) if guest.files.lstat(script) else UnitState("absent", script)
