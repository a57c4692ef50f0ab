"""sudo's rules as sudo reads them: the first main file, includes in place, files with a dot in their name left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest.accounts import accounts
from vhdprep.guest.formats import sudoers
from vhdprep.guest.formats.sudoers import Alias, Default, Grant
from vhdprep.guest.image import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

_FILES = ("/etc/sudoers", "/usr/etc/sudoers", "/usr/local/etc/sudoers")
MAX_FILES, _MAX_DEPTH = 1000, 16
"""Files that are read, and how deep includes go; sudo stops at a depth of 128."""
_AS_ANOTHER = ("targetpw", "rootpw", "runaspw")


class Place(NamedTuple):
    """Where an entry stands, and its text."""

    path: str
    number: int
    text: str


def everyone(guest: Guest) -> Iterator[Place]:
    """Entries that let every user run every command as root."""
    for place, entry in _entries(guest):
        if isinstance(entry, Grant) and "ALL" in _members(guest, entry.users) and _is_all(entry.commands):
            yield place


def target_password(guest: Guest) -> Iterator[Place]:
    """Settings in force that ask for another user's password; the last one of a name counts."""
    last = {entry.name: (place, entry.on) for place, entry in _entries(guest) if isinstance(entry, Default)}
    return (last[name][0] for name in _AS_ANOTHER if name in last and last[name][1])


def unknown_accounts(guest: Guest) -> Iterator[Place]:
    """Entries for users whom /etc/passwd does not have; those of a directory (``user@domain``, with a backslash) are not looked for."""
    for place, entry in _entries(guest):
        if isinstance(entry, Grant) and any(_is_unknown(guest, user) for user in _members(guest, entry.users)):
            yield place


def _is_unknown(guest: Guest, user: str) -> bool:
    elsewhere = user == "ALL" or user.startswith(("!", "%", "+")) or "@" in user or "\\" in user
    return not elsewhere and user not in _known(guest)


def _members(guest: Guest, users: tuple[str, ...]) -> set[str]:
    """The users with aliases replaced by those that they stand for."""
    aliases = _aliases(guest)
    found: set[str] = set()
    pending = list(users)
    while pending:
        user = pending.pop()
        pending += aliases.get(user, ()) if user not in found else ()
        found.add(user)
    return {user for user in found if user not in aliases}


@once
def _known(guest: Guest) -> frozenset[str]:
    return frozenset(word for each in accounts(guest) for word in (each.name, f"#{each.uid}"))


@once
def _aliases(guest: Guest) -> dict[str, tuple[str, ...]]:
    return {entry.name: entry.users for _, entry in _entries(guest) if isinstance(entry, Alias)}


def _is_all(commands: str) -> bool:
    """Whether ``(root) NOPASSWD: ALL`` and its like allow everything as root."""
    for runas, names in re.findall(r"(\([^)]*\))?([^()]+)", commands):
        target = set(re.split(r"[\s,]+", runas.strip("()").partition(":")[0].strip()))
        if (not runas or target & {"ALL", "root", "#0"}) and "ALL" in re.split(r"\s*[,:=]\s*", names.strip()):
            return True
    return False


@once
def _entries(guest: Guest) -> tuple[tuple[Place, sudoers.Entry], ...]:
    """Every entry, in the order in which sudo meets them; none where there is no sudo."""
    main = next((path for path in _FILES if guest.files.is_file(path)), None)
    return tuple(_read(guest, main, [], 0)) if main else ()


def _read(guest: Guest, path: str, done: list[str], depth: int) -> Iterator[tuple[Place, sudoers.Entry]]:
    done.append(path)
    if depth > _MAX_DEPTH or len(done) > MAX_FILES:
        raise Unreadable(f"{path}: sudo's includes lead too far")
    for line, entry in sudoers.entries(guest.files.text(path) or ""):
        if isinstance(entry, sudoers.Include):
            for included in _included(guest, path, entry):
                yield from _read(guest, included, done, depth + 1)
        else:
            yield Place(path, line.number, line.text), entry


def _included(guest: Guest, path: str, entry: sudoers.Include) -> list[str]:
    target = entry.path if entry.path.startswith("/") else f"{path.rpartition('/')[0]}/{entry.path}"
    target = target.replace("%h", guest.facts.hostname or "localhost").rstrip("/")
    names = [f"/{name}" for name in guest.files.names(target) if "." not in name and not name.endswith("~")] if entry.directory else [""]
    return [found for name in names if guest.files.is_file(found := target + name)]
