"""``KEY=value`` files as their own readers take them: os-release, shell defaults, waagent.conf, ini sections."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from vhdprep.guest.formats.textlines import lines


class Setting(NamedTuple):
    """A value and the line it stands on."""

    value: str
    line: int
    is_certain: bool = True
    """False = the shell would compute the value, or set it on a condition."""


def shell(text: str) -> dict[str, Setting]:
    """Assignments of a shell-like file (os-release(5), /etc/default/*); the last one wins."""
    found: dict[str, Setting] = {}
    for number, line in enumerate(lines(text), 1):
        key, equals, raw = line.strip().partition("=")
        if not equals or key.startswith("#") or not key.isidentifier():
            continue
        try:
            words = shlex.split(raw, comments=True)
        except ValueError:
            words = [raw.strip("'\"")]
        found[key] = Setting(words[0] if words else "", number)
    return found


def agent(text: str) -> dict[str, Setting]:
    """waagent.conf as the agent reads it: cut at ``#``, quotes stripped, the last duplicate wins, ``None`` is unset.

    Source: Azure/WALinuxAgent@a976115f ``azurelinuxagent/common/conf.py``.
    """
    found: dict[str, Setting] = {}
    for number, line in enumerate(lines(text), 1):
        key, equals, raw = line.partition("=")
        if not equals or line.startswith("#"):
            continue
        value = raw.split("#")[0].strip(' "').strip()
        key = key.strip()
        found.pop(key, None)
        if value != "None":
            found[key] = Setting(value, number)
    return found


def ini(text: str) -> dict[str, list[Setting]]:
    """``section.key`` → every value in order, for systemd units, networkd, NetworkManager key files, and ini files of Windows."""
    found: dict[str, list[Setting]] = {}
    section = ""
    pending = ""
    for number, raw in enumerate(lines(text.removeprefix("\ufeff")), 1):
        line = (pending + raw).strip()
        pending = ""
        if not line or line[0] in "#;":
            continue
        if line.endswith("\\"):
            pending = line[:-1] + " "
        elif line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        else:
            key, _, value = line.partition("=")
            found.setdefault(f"{section}.{key.strip()}", []).append(Setting(value.strip().strip('"'), number))
    return found
