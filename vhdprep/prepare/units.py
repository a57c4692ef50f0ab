"""Units of systemd enabled and disabled by links, as ``systemctl`` makes them (systemd.unit(5), "[Install] section options")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.disk.backend import FileKind
from vhdprep.guest import unitfiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest
    from vhdprep.prepare.draft import Draft

_OWN = "/etc/systemd/system"
_MAX_ALSO = 20
_PULLS = {"Install.WantedBy": "wants", "Install.RequiredBy": "requires", "Install.UpheldBy": "upholds"}


def enable(guest: Guest, draft: Draft, name: str) -> bool:
    """Unmask the unit and make its links; False = there is no such unit, or it cannot be enabled.

    Units that it names in ``Also=`` are enabled with it.
    """
    _unmask(guest, draft, name)
    waiting, done, any_link = [name], set[str](), False
    while waiting and len(done) < _MAX_ALSO:
        each = waiting.pop()
        unit = unitfiles.find(guest, each)
        if each in done or unit is None or unit.masked:
            continue
        done.add(each)
        entries = unitfiles.entries(guest, unit)
        for link in _links(each, entries):
            any_link = True
            if guest.files.lstat(link) is None:
                draft.link(guest.files, link, unit.path)
        waiting += [word for entry in entries if entry.key == "Install.Also" for word in entry.value.split()]
    guest.memo.clear()
    return any_link


def disable(guest: Guest, draft: Draft, name: str) -> None:
    """Remove every link in /etc that starts the unit."""
    for link in guest.files.glob(f"{_OWN}/*.{{wants,requires,upholds}}/{name}"):
        draft.remove(guest.files, link)
    guest.memo.clear()


def _unmask(guest: Guest, draft: Draft, name: str) -> None:
    """Take away the mask in /etc; one in /usr is the distribution's own and stays."""
    path = f"{_OWN}/{name}"
    found = guest.files.lstat(path)
    if found is not None and unitfiles.is_masked(guest, path) and found.kind in (FileKind.LINK, FileKind.FILE):
        draft.remove(guest.files, path)


def _links(name: str, entries: tuple[unitfiles.Entry, ...]) -> Iterator[str]:
    """The links that enabling makes."""
    for entry in entries:
        if entry.key in _PULLS:
            yield from (f"{_OWN}/{target}.{_PULLS[entry.key]}/{name}" for target in entry.value.split())
        elif entry.key == "Install.Alias":
            yield from (f"{_OWN}/{alias}" for alias in entry.value.split() if alias != name)
