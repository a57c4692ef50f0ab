"""An account with everything that ``userdel -r`` removes, and what gives it rights. Only for accounts that somebody names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable, UsageError
from vhdprep.guest.accounts import accounts
from vhdprep.prepare import edit

if TYPE_CHECKING:
    from collections.abc import Callable

    from vhdprep.guest.formats.passwd import Account
    from vhdprep.guest.image import Guest
    from vhdprep.prepare.draft import Draft

_RECORDS = ("/etc/passwd", "/etc/shadow", "/etc/subuid", "/etc/subgid")
_GROUPS = ("/etc/group", "/etc/gshadow")
_LEFT = ("/var/mail/{name}", "/var/spool/mail/{name}", "/var/spool/cron/{name}", "/var/spool/cron/crontabs/{name}", "/var/spool/cron/tabs/{name}",
         "/var/lib/AccountsService/users/{name}", "/var/lib/systemd/linger/{name}")  # fmt: skip


def delete(guest: Guest, draft: Draft, name: str) -> None:
    """Take the account, its home and its leftovers out of the draft.

    Raises:
        UsageError: there is no such account, or it is root or a system's own.
    """
    if guest.facts.os != "linux":
        raise UsageError(f"--delete-user {name}: accounts are deleted on Linux alone; this is {guest.facts.product}")
    known = {each.name: each for each in accounts(guest)}
    if name not in known:
        raise UsageError(f"--delete-user {name}: there is no such account in /etc/passwd")
    account = known[name]
    if account.uid == 0:
        raise UsageError(f"--delete-user {name}: this account has the rights of root (UID 0) and stays")
    home = _home(guest, account)
    for path in _RECORDS:
        _edit(guest, draft, path, lambda text: edit.remove_records(text, name))
    for path in _GROUPS:
        _edit(guest, draft, path, lambda text: edit.remove_member(text, name))
    others = [_home(guest, each) for each in known.values() if each.name != name]
    if home.count("/") > 1 and not home.startswith(("/usr/", "/etc/")) and not any(f"{each}/".startswith(f"{home}/") for each in others):
        try:
            draft.remove(guest.files, home)
        except Unreadable as error:
            raise UsageError(f"--delete-user {name}: its home stays in the way ({error})") from error
    for pattern in _LEFT:
        draft.remove(guest.files, pattern.format(name=name))
    for path in guest.files.glob("*", "/etc/sudoers.d"):
        _edit(guest, draft, path, lambda text: edit.remove_grants(text, name))
    guest.memo.clear()


def _home(guest: Guest, account: Account) -> str:
    """Where the home lies without links and ``..``; empty where there is none."""
    return (guest.files.resolve(account.home, follow_last=False) or "") if account.home.startswith("/") else ""


def _edit(guest: Guest, draft: Draft, path: str, change: Callable[[str], str]) -> None:
    try:
        text = draft.text(guest.files, path)
    except Unreadable as error:
        raise UsageError(f"--delete-user: {error}") from error
    if text is not None and (changed := change(text)) != text:
        if path.startswith("/etc/sudoers.d/") and not [line for line in edit.pieces(changed) if line.strip() and not line.startswith("#")]:
            draft.remove(guest.files, path)
        else:
            draft.write(guest.files, path, changed)
