"""Probes of the guest as a whole: facts and accounts."""

from __future__ import annotations

from typing import Literal

from vhdprep.errors import Unreadable
from vhdprep.guest import accounts as reading
from vhdprep.guest import tables
from vhdprep.guest.formats.masking import excerpt
from vhdprep.guest.formats.passwd import Account
from vhdprep.guest.image import Guest, Image
from vhdprep.model import ABSENT, Observation
from vhdprep.probes.registry import probe


@probe(returns="the fact; absent when it is not known. `generations` is a list of `1` and `2`")
def guest_fact(
    image: Image, *, field: Literal["os", "distro", "family", "version", "arch", "boot", "init", "hostname", "generations"]
) -> Observation:
    """One fact about the operating system, as `inspect` shows it."""
    facts = image.need_guest().facts
    if field in ("generations", "boot"):
        image.need_disk()
    if field == "arch" and facts.arch is None:
        raise Unreadable("nothing was found that tells the architecture")
    if field == "version" and facts.version is None and facts.os != "linux":
        raise Unreadable(f"which release of {facts.product} this is could not be told")
    value = tuple(str(each) for each in facts.generations) if field == "generations" else getattr(facts, field)
    return Observation(ABSENT if value is None else value, f"guest:{field}")


@probe(returns="`supported`, `supported until DATE`, `ended on DATE`, or `listed`; absent when the table has no line for this release")
def release_table(image: Image, *, table: Literal["end-of-support", "remote-nvme", "trusted-launch"]) -> Observation:
    """What a dated table of rules/data says of the guest's distribution and version.

    table: the maker's `end-of-support`, by the table's own date, not today's; Azure's lists for `remote-nvme` and `trusted-launch`.
    """
    guest = image.need_guest()
    facts = guest.facts
    found = tables.look_up(table, _line(guest), facts.version) if facts.version else None
    return Observation(ABSENT if found is None else found, f"rules/data/{table}.yaml as of {tables.read(table)['as_of']}")


@probe(returns="a list of places, one for each account")
def accounts(image: Image, *, having: Literal["usable-password", "empty-password", "human"], name: str = "*", besides: str = "") -> Observation:
    """Accounts of /etc/passwd and /etc/shadow, or of /etc/master.passwd.

    having: a `usable-password`, an `empty-password`, or being `human` (UID in the range of login.defs, and a login shell).
    name: only this account. besides: not this account. Password hashes are never shown.
    """
    guest = image.need_guest()
    people = frozenset(reading.humans(guest)) if having == "human" else frozenset()
    database = reading.database(guest)
    place = database.replace("shadow", "passwd")
    found = []
    for account in reading.accounts(guest):
        if (name not in ("*", account.name)) or account.name == besides:
            continue
        if having == "human":
            if account in people:
                found.append(Observation(f"{account.name} (UID {account.uid}, home {account.home})", f"{place}:{account.name}"))
        elif f"{account.password_state}-password" == having:
            found.append(Observation(f"{account.name} has {_words(account)}", account.place))
    return Observation.listing(database, tuple(found))


@probe(returns="a list of places, one for each entry")
def sudo_grants(image: Image, *, having: Literal["unknown-account", "everyone", "target-password"], ignore: tuple[str, ...] = ()) -> Observation:
    """Entries of sudo's rules, read as sudo reads them: includes in place, files with a dot in their name left out.

    having: a right of an `unknown-account`, one that lets `everyone` do all as root, or a setting in force that asks for the
    `target-password`, that of root or of the target user. ignore: files that do not count.
    """
    from vhdprep.guest import sudo

    guest = image.need_guest()
    look = {"unknown-account": sudo.unknown_accounts, "everyone": sudo.everyone, "target-password": sudo.target_password}[having]
    ignored = {path for pattern in ignore for path in guest.files.glob(pattern)}
    parts = (Observation(excerpt(place.text), f"{place.path}:{place.number}") for place in look(guest) if place.path not in ignored)
    return Observation.listing("sudoers", tuple(parts))


def _line(guest: Guest) -> str:
    """Under which name a table has this system."""
    if guest.facts.os != "windows":
        return guest.facts.distro
    from vhdprep.guest import standing  # late: of no use to a Linux guest

    return standing.lifecycle(guest)


def _words(account: Account) -> str:
    return "an empty password" if account.password_state == "empty" else "a usable password hash"
