r"""Accounts of a Windows itself, from ``SAM\Domains\Account\Users``: their number, name and flags.

Of a password only the length of what is stored for it is looked at: it tells whether there is one. Sources: the structures
that Samba's and dissect.target's readers of the SAM describe.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest.image import once
from vhdprep.guest.registry import binary

if TYPE_CHECKING:
    from vhdprep.guest.image import Guest
    from vhdprep.guest.registry import Key

MAX_ACCOUNTS = 10_000
ADMINISTRATOR, GUEST, FIRST_MADE = 500, 501, 1000
"""RIDs: the first two are the same in every Windows; accounts that people or programs make begin at 1000."""
_USERS = r"HKLM\SAM\SAM\Domains\Account\Users"
_DISABLED, _NEEDS_NO_PASSWORD = 0x1, 0x4
_RID, _FLAGS = 0x30, 0x38
_NAME, _PASSWORD, _TEXTS = 0x0C, 0xA8, 0xCC
"""In ``V``: where name and password are described (offset and length), and where offsets count from."""
_NO_PASSWORD = (0, 4, 24)
"""Lengths of a hash that holds none: nothing, or only its header (RC4, AES)."""
_MAX_NAME = 2 * 256


class LocalAccount(NamedTuple):
    """One account."""

    rid: int
    name: str
    where: str
    is_enabled: bool
    needs_password: bool
    """Not marked as one that may do without."""
    has_password: bool


@once
def accounts(guest: Guest) -> tuple[LocalAccount, ...]:
    """Every account.

    Raises:
        Unreadable: the list is missing or too long, or an account is none that is known here.
    """
    key = guest.need_registry().key(_USERS)
    if key is None:
        raise Unreadable(f"{_USERS} is missing, so the accounts are not known")
    found = []
    for number, each in enumerate(each for each in key.subkeys() if each.name.upper() != "NAMES"):
        if number == MAX_ACCOUNTS:
            raise Unreadable(f"{_USERS}: more than {MAX_ACCOUNTS} accounts")
        found.append(_account(each, rf"{_USERS}\{each.name}"))
    return tuple(found)


def _account(key: Key, where: str) -> LocalAccount:
    fixed, variable = _bytes(key, "F", _FLAGS + 2, where), _bytes(key, "V", _TEXTS, where)
    rid, flags = struct.unpack_from("<I", fixed, _RID)[0], struct.unpack_from("<H", fixed, _FLAGS)[0]
    at, size = struct.unpack_from("<II", variable, _NAME)
    name = variable[_TEXTS + at : _TEXTS + at + min(size, _MAX_NAME)].decode("utf-16-le", "replace")
    stored = struct.unpack_from("<I", variable, _PASSWORD + 4)[0]
    return LocalAccount(rid, name, where, not flags & _DISABLED, not flags & _NEEDS_NO_PASSWORD, stored not in _NO_PASSWORD)


def _bytes(key: Key, name: str, least: int, where: str) -> bytes:
    data = binary(key.value(name))
    if len(data) < least:
        raise Unreadable(rf"{where}\{name} is missing or too short, so the account cannot be judged")
    return data
