"""``/etc/passwd`` and ``/etc/shadow`` (passwd(5), shadow(5)), and ``/etc/master.passwd`` of the BSDs (passwd(5) there)."""

from __future__ import annotations

from typing import NamedTuple

from vhdprep.guest.formats.textlines import lines

_NO_LOGIN = {"nologin", "false", "sync", "shutdown", "halt", "true"}


class Account(NamedTuple):
    """One line of passwd with its password field."""

    name: str
    uid: int
    home: str
    shell: str
    password: str | None
    """Second field of shadow (of passwd where it is not ``x``); None = no shadow line."""
    place: str
    """File and line that hold the password."""

    @property
    def can_login(self) -> bool:
        """Whether its shell lets a person in."""
        return self.shell.rpartition("/")[2] not in _NO_LOGIN

    @property
    def password_state(self) -> str:
        """``usable | empty | locked``; crypt(3) never yields a hash that begins with ``!`` or ``*``, nor ``x`` alone."""
        if self.password == "":
            return "empty"
        if self.password is None or self.password[0] in "!*" or self.password == "x":
            return "locked"
        return "usable"


_LONGEST_UID = 10


def parse(passwd: str, shadow: str | None) -> tuple[Account, ...]:
    """Accounts in the order of passwd; lines that are no account are ignored, as getpwent(3) does."""
    hashes: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(lines(shadow or ""), 1):
        name, _, rest = line.lstrip().partition(":")
        if rest or line.endswith(":"):
            hashes.setdefault(name, (rest.split(":")[0], f"/etc/shadow:{number}"))
    accounts = []
    for number, line in enumerate(lines(passwd), 1):
        fields = line.lstrip().split(":")
        uid = fields[2].strip().removeprefix("+") if len(fields) > 5 else ""
        if not uid.isdecimal() or len(uid) > _LONGEST_UID or fields[0].startswith("#"):
            continue
        name, password = fields[0], fields[1]
        own: tuple[str | None, str] = (password if password != "x" else None, f"/etc/passwd:{number}")
        value, place = own if password != "x" else hashes.get(name, own)
        accounts.append(Account(name, int(uid), fields[5] or "/", "".join(fields[6:7]) or "/bin/sh", value, place))
    return tuple(accounts)


def parse_master(text: str) -> tuple[Account, ...]:
    """Accounts of master.passwd: ten fields, the password among them; lines that are no account are ignored."""
    accounts = []
    for number, line in enumerate(lines(text), 1):
        fields = line.lstrip().split(":")
        if len(fields) != 10 or not fields[2].isdecimal() or len(fields[2]) > _LONGEST_UID or fields[0].startswith("#"):
            continue
        accounts.append(Account(fields[0], int(fields[2]), fields[8] or "/", fields[9] or "/bin/sh", fields[1], f"/etc/master.passwd:{number}"))
    return tuple(accounts)
