"""Accounts of the guest and their home directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest.formats import passwd
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.image import BSDS, once

if TYPE_CHECKING:
    from vhdprep.guest.image import Guest

_NOBODY = 65534
_NOT_HOMES = {"/", "/nonexistent", "/dev", "/bin", "/sbin", "/usr", "/usr/bin", "/usr/sbin", "/etc", "/var", "/proc", "/run"}


def database(guest: Guest) -> str:
    """The file that holds the passwords."""
    return "/etc/master.passwd" if guest.facts.os in BSDS else "/etc/shadow"


@once
def accounts(guest: Guest) -> tuple[passwd.Account, ...]:
    """Every account of /etc/passwd with its shadow entry; of a BSD, those of /etc/master.passwd.

    Raises:
        Unreadable: there is no such file.
    """
    path = "/etc/master.passwd" if guest.facts.os in BSDS else "/etc/passwd"
    text = guest.files.text(path)
    if text is None:
        raise Unreadable(f"{path} is missing")
    if guest.facts.os in BSDS:
        return passwd.parse_master(text)
    return passwd.parse(text, guest.files.text("/etc/shadow"))


def human_range(guest: Guest) -> range:
    """UIDs of people, by /etc/login.defs (defaults 1000 to 60000)."""
    limits = {"UID_MIN": 1000, "UID_MAX": 60000}
    for line in lines(guest.files.text("/etc/login.defs") or ""):
        words = line.split()
        if len(words) > 1 and words[0] in limits and words[1].isdecimal():
            limits[words[0]] = int(words[1])
    return range(limits["UID_MIN"], limits["UID_MAX"] + 1)


def humans(guest: Guest) -> tuple[passwd.Account, ...]:
    """Accounts of people: a UID in the range, and a shell that lets them in."""
    span = human_range(guest)
    return tuple(each for each in accounts(guest) if each.uid in span and each.uid != _NOBODY and each.can_login)


@once
def homes(guest: Guest) -> tuple[str, ...]:
    """Home directories of accounts that can log in, and whatever else lies in /home."""
    found = dict.fromkeys(each.home.rstrip("/") or "/" for each in accounts(guest) if each.can_login)
    found |= dict.fromkeys(f"/home/{name}" for name in guest.files.names("/home"))
    found["/root"] = None
    return tuple(sorted(home for home in found if home not in _NOT_HOMES and guest.files.is_directory(home)))


@once
def shared_homes(guest: Guest) -> tuple[str, ...]:
    """Directories of the system that are the home of somebody who can log in."""
    found = {each.home.rstrip("/") or "/" for each in accounts(guest) if each.can_login}
    return tuple(sorted(home for home in found & _NOT_HOMES if guest.files.is_directory(home)))
