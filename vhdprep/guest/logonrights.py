r"""Who may sign in to a Windows, and how: ``SECURITY\Policy\Accounts\SID\ActSysAc``, one bit a right."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest.image import once
from vhdprep.guest.registry import binary

if TYPE_CHECKING:
    from vhdprep.guest.image import Guest

MAX_ACCOUNTS = 10_000
RIGHTS = {
    "interactive": 0x1,
    "network": 0x2,
    "remote-interactive": 0x400,
    "deny-interactive": 0x40,
    "deny-network": 0x80,
    "deny-remote-interactive": 0x800,
}
NAMES = {
    "S-1-1-0": "Everyone",
    "S-1-5-11": "Authenticated Users",
    "S-1-5-113": "Local account",
    "S-1-5-114": "Local account and member of Administrators",
    "S-1-5-32-544": "Administrators",
    "S-1-5-32-545": "Users",
    "S-1-5-32-555": "Remote Desktop Users",
}
_ACCOUNTS = r"HKLM\SECURITY\Policy\Accounts"
_MASK = 4


class Holder(NamedTuple):
    """An account or group that was given rights."""

    sid: str
    where: str
    mask: int

    @property
    def title(self) -> str:
        """Its name, where it has the same everywhere."""
        return NAMES.get(self.sid, self.sid)


@once
def holders(guest: Guest) -> tuple[Holder, ...]:
    """Everybody who holds or is denied a way to sign in.

    Raises:
        Unreadable: the list is missing, too long, or holds what is no mask.
    """
    key = guest.need_registry().key(_ACCOUNTS)
    if key is None:
        raise Unreadable(f"{_ACCOUNTS} is missing, so who may sign in cannot be told")
    found = []
    for number, each in enumerate(key.subkeys()):
        if number == MAX_ACCOUNTS:
            raise Unreadable(f"{_ACCOUNTS}: more than {MAX_ACCOUNTS} accounts")
        access = each.subkey("ActSysAc")
        if access is None:
            continue
        where, mask = rf"{_ACCOUNTS}\{each.name}\ActSysAc", binary(access.value(""))
        if len(mask) != _MASK:
            raise Unreadable(f"{where} is no mask of four bytes")
        found.append(Holder(each.name.upper(), where, int.from_bytes(mask, "little")))
    return tuple(found)
