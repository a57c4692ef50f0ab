"""Probes of configuration files, each read as its own program reads it."""

from __future__ import annotations

import re
from typing import Literal

from vhdprep.errors import Unreadable
from vhdprep.guest import cloudconfig, ssh
from vhdprep.guest.formats import keyvalue
from vhdprep.guest.image import Guest, Image
from vhdprep.model import ABSENT, Observation, Value
from vhdprep.probes.files import Kind, list_paths
from vhdprep.probes.registry import probe


@probe(returns="the value as text; absent when no file sets it")
def config_value(image: Image, *, paths: tuple[str, ...], key: str, syntax: Literal["shell", "sh", "agent", "ini"]) -> Observation:
    """One setting; where several files set it, the last file wins.

    syntax: `shell` (`KEY="value"`, one to a line), `sh` (a script of sh(1) such as rc.conf), `agent` (waagent.conf: cut at `#`, last line
    wins), `ini` (key is `Section.Key`).
    """
    return Observation(*_look_up(image.need_guest(), paths, key, syntax))


@probe(returns="a list of paths")
def setting_files(
    image: Image,
    *,
    paths: tuple[str, ...],
    key: str,
    syntax: Literal["shell", "agent", "ini", "yaml"],
    default: str,
    patterns: tuple[str, ...],
    kind: Kind = "any",
    non_empty: bool = False,
    secret: bool = False,
    ignore: tuple[str, ...] = (),
) -> Observation:
    """Paths below the directory that a setting names, and below the one that its program uses without the setting.

    paths, key, syntax: as of config_value; `yaml` is a dotted key of layered files. default: the directory without the setting.
    patterns, ignore: what to look for; each is put behind the directory, so it begins with `/`. The rest is as of file_glob.
    """
    guest = image.need_guest()
    value, where = cloudconfig.look_up(guest, paths, key) if syntax == "yaml" else _look_up(guest, paths, key, syntax)
    named = default if value is ABSENT or value == "" else str(value)
    if not re.match(r"/[^*?[{]*$", named):
        raise Unreadable(f"{where}: {named!r} is no path that can be followed")
    bases = dict.fromkeys((default, named.rstrip("/")))
    every, but = (tuple(base + pattern for base in bases for pattern in given) for given in (patterns, ignore))
    return list_paths(guest, every, but, kind, non_empty=non_empty, secret=secret)


def _look_up(guest: Guest, paths: tuple[str, ...], key: str, syntax: str) -> tuple[Value, str]:
    """The setting that the last file has, and its place."""
    value: Value = ABSENT
    where = f"{paths[0]}:{key}"
    for path in (path for pattern in paths for path in sorted(guest.files.glob(pattern))):
        settings = _settings(guest, path, syntax)
        found = settings.get(key) or (settings.get(".") if syntax == "sh" else None)
        if found is not None and not found.is_certain:
            raise Unreadable(f"{path}:{found.line}: {key} may be set there, in a way that only the shell can tell")
        if found is not None:
            value, where = found.value, f"{path}:{found.line}"
    return value, where


def _settings(guest: Guest, path: str, syntax: str) -> dict[str, keyvalue.Setting]:
    """Every setting of a file; read once."""
    name = f"{__name__}:{syntax}:{path}"
    if name not in guest.memo:
        text = guest.files.text(path) or ""
        if syntax == "sh":
            from vhdprep.guest.formats import shellvars  # late: only the BSDs have such files

            guest.memo[name] = shellvars.variables(text)
        elif syntax == "ini":
            guest.memo[name] = {key: values[-1] for key, values in keyvalue.ini(text).items()}
        else:
            guest.memo[name] = keyvalue.shell(text) if syntax == "shell" else keyvalue.agent(text)
    found: dict[str, keyvalue.Setting] = guest.memo[name]
    return found


@probe(returns="text, number, yes/no or list; a mapping gives its keys; absent when no file sets it")
def yaml_value(image: Image, *, files: tuple[str, ...], key: str) -> Observation:
    """One dotted key of layered YAML files: later files win, lists replace, a file that does not parse is empty."""
    value, where = cloudconfig.look_up(image.need_guest(), files, key)
    return Observation(value, where)


@probe(returns="a list of files that do not parse")
def yaml_problems(image: Image, *, files: tuple[str, ...]) -> Observation:
    """Layered YAML files that their reader cannot use."""
    found = cloudconfig.layers(image.need_guest(), files)
    parts = tuple(Observation(each.problem, each.path) for each in found if each.problem and each.problem != "template")
    return Observation.listing(", ".join(files), parts)


@probe(returns="the value as text, a time as seconds; absent when sshd falls back to its default")
def ssh_option(image: Image, *, keyword: str, unit: Literal["text", "seconds"] = "text") -> Observation:
    """The setting that sshd uses: the first value wins, Include in place, Match blocks left out."""
    value, where = ssh.options(image.need_guest()).get(keyword.lower(), (None, f"/etc/ssh/sshd_config:{keyword}"))
    if value is None:
        return Observation(ABSENT, where)
    number = ssh.seconds(value) if unit == "seconds" else None
    return Observation(value if number is None else number, where)
