"""Whether a unit starts at boot, from unit files and links alone.

The definition is the catalogue's ``linux-unit-enablement`` (systemd v257 ``man/systemd.unit.xml``,
``src/shared/install.c``): links in any ``.wants``, ``.requires`` or ``.upholds`` of any unit directory count,
also under an alias, when the default target leads there; a link to /dev/null or an empty file masks; scripts
of SysV count where the generator for them is there; presets count on a first boot.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.guest import commandline, unitconditions, unitfiles
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.image import once
from vhdprep.guest.unitfiles import GENERATOR_DIRECTORIES, UNIT_DIRECTORIES, Entry, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vhdprep.guest.image import Guest

_PULLS = (".wants", ".requires", ".upholds")
_PULLING_KEYS = ("Unit.Wants", "Unit.Requires", "Unit.Upholds", "Unit.BindsTo")
_SYSINIT = {"sysinit.target", "local-fs.target", "swap.target"}
_BASIC = _SYSINIT | {"basic.target", "sockets.target", "timers.target", "paths.target", "slices.target"}
_STANDARD = _BASIC | {
    "multi-user.target", "graphical.target", "remote-fs.target", "network.target", "network-online.target", "getty.target",
    "time-sync.target", "nss-lookup.target", "sshd-keygen.target",
}  # fmt: skip
_BELOW = {
    "rescue.target": _SYSINIT,
    "sysinit.target": _SYSINIT,
    "basic.target": _BASIC,
    "multi-user.target": _STANDARD,
    "graphical.target": _STANDARD,
}
"""Targets that systemd's own targets lead to."""
_FULL_PRESET = {"fedora": 37, "azurelinux": 3, "rhel": 9, "centos": 9, "almalinux": 9, "rocky": 9, "ol": 9}
"""Distribution → first version whose systemd also applies ``disable`` lines on a first boot (``first-boot-full-preset``)."""


class UnitState(NamedTuple):
    """``enabled | disabled | static | masked | skipped | lost-at-first-boot | absent`` and the file, link or line that proves it."""

    state: str
    where: str


def unit_state(guest: Guest, name: str, *, first_boot: bool = False) -> UnitState:
    """Whether the unit ``name`` starts at boot; ``first_boot``: judge also what presets take away on a first boot.

    Raises:
        Unreadable: the boot entry starts another program in the place of init.
    """
    line = commandline.read(guest)
    if guest.facts.init in ("openrc", "sysv"):
        return _classic(guest, name.removesuffix(".service"))
    unit = unitfiles.find(guest, name)
    if unit is None:
        generated = _has_generator(guest, "systemd-sysv") and name.endswith(".service")
        return _classic(guest, name.removesuffix(".service")) if generated else UnitState("absent", name)
    if unit.masked:
        return _by_starter(guest, name, first_boot=first_boot, masked=True) or UnitState("masked", unit.path)
    if unit.names & line.masked:
        return UnitState("masked", f"{line.place} (systemd.mask)")
    wanted = UnitState("enabled", f"{line.place} (systemd.wants)") if unit.names & line.wanted else None
    state = wanted or _pulled_state(guest, unit, first_boot=first_boot) or _by_starter(guest, name, first_boot=first_boot, masked=False)
    if state is None:
        has_install = any(entry.key.startswith("Install.") for entry in unitfiles.entries(guest, unit))
        preset = _preset(guest, unit.name) if has_install else None
        if preset is None or preset[0] != "enable":
            return UnitState("disabled" if has_install else "static", unit.path)
        state = UnitState("enabled", preset[1])
    obstacle = unitconditions.unmet(guest, unitfiles.entries(guest, unit))
    return state if obstacle is None else UnitState("skipped", obstacle.place)


def _pulled_state(guest: Guest, unit: Unit, *, first_boot: bool) -> UnitState | None:
    """Enabled by a link; lost when a first boot deletes every such link, which it does in /etc alone."""
    links = list(_enabling_links(guest, unit.names))
    if not links:
        return None
    if first_boot and _applies_all_presets(guest) and all(link.startswith("/etc/systemd/system/") for link in links):
        preset = _preset(guest, unit.name)
        if preset is not None and preset[0] == "disable":
            return UnitState("lost-at-first-boot", preset[1])
    return UnitState("enabled", links[0])


def _by_starter(guest: Guest, name: str, *, first_boot: bool, masked: bool) -> UnitState | None:
    """The state of the socket, timer or path unit that starts the service; one that is masked can only be started as an instance."""
    if not name.endswith(".service"):
        return None
    for suffix in (".socket",) if masked else (".socket", ".timer", ".path"):
        other = name.removesuffix(".service") + suffix
        starter = unit_state(guest, other, first_boot=first_boot)
        if starter.state in ("enabled", "lost-at-first-boot") and (not masked or _makes_instances(guest, other)):
            return starter
    return None


def _makes_instances(guest: Guest, socket: str) -> bool:
    """Whether each connection gets an instance of ``NAME@.service``."""
    accepts = unit_setting(guest, socket, "Socket.Accept")
    template = unitfiles.find(guest, f"{socket.removesuffix('.socket')}@.service")
    return bool(accepts) and accepts[-1].value.lower() in ("yes", "true", "on", "1") and template is not None and not template.masked


def unit_setting(guest: Guest, name: str, key: str) -> list[Entry]:
    """Every value in force of ``Section.Key`` in the unit and its drop-ins: an empty one takes back those before it."""
    unit = unitfiles.find(guest, name)
    found: list[Entry] = []
    for entry in unitfiles.entries(guest, unit) if unit is not None and not unit.masked else ():
        if entry.key == key:
            found = [*found, entry] if entry.value else []
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
                for path in guest.files.glob("*.conf", f"{directory}/{name}"):
                    for unit in _named(unitfiles.read(guest, path)):
                        found.setdefault(unit, []).append((path, name.removesuffix(".d")))
    return found


def _named(entries: Iterable[Entry]) -> list[str]:
    return [unit for entry in entries if entry.key in _PULLING_KEYS for unit in entry.value.split()]


def pull_of(guest: Guest, name: str) -> str | None:
    """The link or drop-in that starts ``name`` at boot, also where the unit itself comes from elsewhere (a system extension)."""
    return next(_enabling_links(guest, frozenset({name})), None)


def _enabling_links(guest: Guest, names: frozenset[str]) -> Iterator[str]:
    for name in sorted(names):
        for link, target in _pulls(guest).get(name, ()):
            if target not in names and _is_reached(guest, target, names):
                yield link


def _is_reached(guest: Guest, unit: str, names: frozenset[str]) -> bool:
    """Whether ``unit`` is started on the way to the default target, not counting what ``names`` pull in."""
    seen, waiting = {*names, unit}, [unit]
    while waiting:
        each = waiting.pop()
        found = unitfiles.find(guest, each)
        if found is not None and found.masked:
            continue
        if each in _reached_targets(guest) or _has_generator(guest, each.removesuffix(".target")):
            return True
        above = {target for _, target in _pulls(guest).get(each, ())} - seen
        seen |= above
        waiting += sorted(above)
    return False


@once
def _reached_targets(guest: Guest) -> frozenset[str]:
    """The default target and what it leads to; a masked one is replaced by ``rescue.target``, and one that is missing is taken for graphical."""
    default = unitfiles.find(guest, commandline.read(guest).goal or "default.target")
    start = "graphical.target" if default is None else "rescue.target" if default.masked else default.name
    found, waiting = set[str](), [start]
    while waiting:
        each = waiting.pop()
        if each in found:
            continue
        found |= {each, *_BELOW.get(each, ())}
        unit = unitfiles.find(guest, each) if each.endswith(".target") else None
        if unit is not None and not unit.masked:
            waiting += _named(unitfiles.entries(guest, unit))
            waiting += [name for name, pulls in _pulls(guest).items() if any(target in unit.names for _, target in pulls)]
    return frozenset(found | {"default.target"})


def _applies_all_presets(guest: Guest) -> bool:
    since = _FULL_PRESET.get(guest.facts.distro)
    version = (guest.facts.version or "").partition(".")[0]
    return since is not None and version.isdecimal() and int(version) >= since


def _preset(guest: Guest, name: str) -> tuple[str, str] | None:
    """What presets say of ``name`` on a first boot: the verb and its place; a unit that no line names is enabled."""
    presets = guest.files.overlaid([f"{directory}-preset" for directory in UNIT_DIRECTORIES], "*.preset")
    if not presets or not unitconditions.is_first_boot(guest):
        return None
    for _, path in sorted(presets.items()):
        for number, line in enumerate(lines(guest.files.text(path) or ""), 1):
            words = line.split()
            if len(words) > 1 and words[0] in ("enable", "disable", "ignore") and fnmatchcase(name, words[1]):
                return words[0], f"{path}:{number}"
    return "enable", f"no preset line for {name}"


def _has_generator(guest: Guest, name: str) -> bool:
    """Whether there is a ``NAME-generator``, which makes or pulls in units at boot."""
    for directory in GENERATOR_DIRECTORIES:
        path = f"{directory}/{name}-generator"
        if guest.files.lstat(path) is not None:
            return not unitfiles.is_masked(guest, path)
    return False


def _classic(guest: Guest, name: str) -> UnitState:
    """By runlevels of OpenRC or SysV."""
    for pattern in (f"/etc/runlevels/*/{name}", f"/etc/{{,rc.d/}}rc[2-5].d/S[0-9][0-9]{name}"):
        if links := guest.files.glob(pattern):
            return UnitState("enabled", links[0])
    script = next(iter(guest.files.glob(f"/etc/{{,rc.d/}}init.d/{name}")), "")
    return UnitState("disabled", script) if script else UnitState("absent", f"/etc/init.d/{name}")
