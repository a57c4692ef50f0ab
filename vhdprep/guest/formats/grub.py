"""grub.cfg, grubenv and BLS entries, as far as the default entry depends on them.

Sources: GRUB 2.06 ``util/grub.d/{00_header,10_linux}.in``, rhboot/grub2@5e9e7e44e ``grub-core/commands/blscfg.c``,
UAPI Boot Loader Specification. grub.cfg is a script; what grub-mkconfig writes is understood, nothing is executed.
"""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

from vhdprep.guest.formats import rpmversion
from vhdprep.guest.formats.textlines import lines

_BLOCK = re.compile(r"\s*(menuentry|submenu)\s+(.*)\{\s*$")
_SET = re.compile(r"\s*set\s+(\w+)=(.*)$")
_COMMAND = re.compile(r"\s*(linux|linux16|linuxefi|initrd|initrd16|initrdefi|search)\s+(.*)$")


class Entry:
    """A menu entry, or a submenu with ``children``."""

    def __init__(self, title: str, identifier: str, line: int, *, is_submenu: bool = False) -> None:
        """Start without commands."""
        self.title, self.id, self.line, self.is_submenu = title, identifier, line, is_submenu
        self.kernel: str | None = None
        self.options = ""
        self.initrds: tuple[str, ...] = ()
        self.search: str | None = None
        """What ``search`` looks for: a UUID or a label."""
        self.children: list[Entry] = []


class Config:
    """A grub.cfg as read."""

    def __init__(self) -> None:
        """Start empty."""
        self.entries: list[Entry] = []
        self.defaults: list[str] = []
        """Values given to ``default``, in order."""
        self.variables: dict[str, str] = {}
        self.uses_bls = False


def parse(text: str) -> Config:
    """The entries and variables of a grub.cfg."""
    config = Config()
    stack: list[Entry | None] = []
    for number, line in enumerate(lines(text), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        inside = next((each for each in reversed(stack) if each is not None), None)
        if block := _BLOCK.match(line):
            entry = _open(block[1], block[2], number)
            (inside.children if inside else config.entries).append(entry)
            stack.append(entry)
        elif stripped.endswith("{"):
            stack.append(None)
        elif stripped == "}" and stack:
            stack.pop()
        elif inside and (command := _COMMAND.match(line)):
            _apply(inside, command[1], _words(command[2]))
        elif setting := _SET.match(line):
            value = (_words(setting[2]) or [""])[0]
            config.variables[setting[1]] = value
            if setting[1] == "default":
                config.defaults.append(value)
        elif stripped == "blscfg":
            config.uses_bls = True
    return config


def choose(config: Config, environment: dict[str, str]) -> Entry | None:
    """The entry that boots next; None = no entry at all."""
    wanted = environment.get("next_entry") or "0"
    if not environment.get("next_entry"):
        for value in config.defaults:
            if "next_entry" not in value:
                wanted = _expand(value, environment) or "0"
    entries, chosen = config.entries, None
    for part in wanted.split(">"):
        chosen = _pick(entries, part)
        if chosen is None or not chosen.is_submenu:
            break
        entries = chosen.children
    while chosen is not None and chosen.is_submenu:
        chosen = chosen.children[0] if chosen.children else None
    return chosen


def environment(text: str) -> dict[str, str]:
    """Variables of a grubenv block (1,024 bytes, ``# GRUB Environment Block``)."""
    pairs = (line.partition("=") for line in lines(text) if not line.startswith("#"))
    return {key: value for key, equals, value in pairs if equals}


def bls_entry(text: str, variables: dict[str, str]) -> Entry:
    """One Boot Loader Specification entry (type 1); ``$name`` in it is expanded from ``variables``."""
    found: dict[str, list[str]] = {}
    for line in lines(text):
        key, _, value = line.strip().partition(" ")
        found.setdefault(key, []).append(value.strip())
    options = " ".join(found.get("options", [variables.get("default_kernelopts", "")]))
    initrds = tuple(path for value in found.get("initrd", []) for path in _expand(value, variables).split())
    title = (found.get("title") or [""])[0]
    kernel = found["linux"][0] if "linux" in found else None
    entry = Entry(title, "", 1)
    entry.kernel, entry.options, entry.initrds = kernel, _expand(options, variables), initrds
    return entry


def sort_bls(names: list[str]) -> list[str]:
    """BLS file names, newest first, by rpm's version comparison."""
    return sorted(names, key=rpmversion.key, reverse=True)


def choose_bls(names: list[str], titles: list[str], saved: str) -> int:
    """Index of the default among ``names`` (newest first, without ``.conf``)."""
    if saved in names:
        return names.index(saved)
    if saved in titles:
        return titles.index(saved)
    return int(saved) if saved.isdecimal() and int(saved) < len(names) else 0


def _open(kind: str, rest: str, line: int) -> Entry:
    words = _words(rest)
    identifier = ""
    for before, word in pairwise(words):
        if before in ("--id", "$menuentry_id_option"):
            identifier = word
    return Entry(words[0] if words else "", identifier, line, is_submenu=kind == "submenu")


def _apply(entry: Entry, command: str, words: list[str]) -> None:
    if command.startswith("linux") and words:
        entry.kernel, entry.options = words[0], " ".join(words[1:])
    elif command.startswith("initrd"):
        entry.initrds = tuple(words)
    elif command == "search" and words:
        entry.search = words[-1]


def _pick(entries: list[Entry], name: str) -> Entry | None:
    for entry in entries:
        if name in (entry.title, entry.id):
            return entry
    index = int(name) if name.isdecimal() else 0
    return entries[index] if index < len(entries) else (entries[0] if entries else None)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _expand(value: str, variables: dict[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda match: variables.get(match[1], ""), value).strip()
