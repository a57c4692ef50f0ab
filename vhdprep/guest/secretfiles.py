"""Where somebody may have left a secret, and the secrets there: every text file of the guest that is its owner's, looked through once.

What belongs to the system or to published packages is left out: nothing in it is anybody's secret, and examples and test keys lie there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.backend import FileKind
from vhdprep.errors import Unreadable
from vhdprep.guest import accounts
from vhdprep.guest.formats import secretpatterns, windowstext
from vhdprep.guest.image import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.formats.secretpatterns import Secret
    from vhdprep.guest.image import Guest

MAX_FILES = 200_000
"""Files and directories that are looked at."""
MAX_SIZE = 8 * 1024 * 1024
"""Largest text file that is searched for secrets, in bytes."""
MAX_TOTAL = 512 * 1024 * 1024
"""Bytes that are searched for secrets altogether: 10 MB take a second of the 120 that a run has."""
MAX_DEEP = 40
"""Directories within one another."""

_HEAD = 4096
"""Bytes in which a zero shows that a file is no text."""
_OF_THE_SYSTEM = {
    "bin", "boot", "dev", "lib", "lib32", "lib64", "libx32", "libexec", "lost+found", "media", "proc", "rescue",
    "run", "sbin", "snap", "sys", "tmp", "usr", "var",
}  # fmt: skip
_WITHIN = (
    "/usr/home", "/usr/local", "/usr/lib/systemd/system", "/var/www", "/var/lib/cloud", "/var/lib/waagent",
    "/var/spool/cron", "/var/spool/at", "/var/cron", "/var/opt", "/var/lib/jenkins", "/var/lib/private",
    "/var/backups", "/usr/share/nginx/html",
)  # fmt: skip
_OF_WINDOWS = {
    "windows", "program files", "program files (x86)", "$recycle.bin", "$windows.~bt", "$winreagent",
    "system volume information", "recovery", "perflogs", "documents and settings", "boot", "efi", "msocache",
    "config.msi",
}  # fmt: skip
_WITHIN_WINDOWS = (
    "/Windows/Panther", "/Windows/System32/Tasks", "/Windows/System32/inetsrv/config",
    "/Windows/System32/config/systemprofile", "/Windows/System32/Sysprep", "/Windows/Setup/Scripts",
    "/Windows/ServiceProfiles", "/Windows/Temp",
)  # fmt: skip
_PUBLISHED = {"site-packages", "dist-packages", "node_modules", "gems", "__pycache__", ".git/objects"}
"""Directories of what everybody can download."""
_PUBLISHED_ENDS = (
    "/share/doc", "/share/man", "/share/info", "/share/locale", "/share/examples", "/share/zoneinfo",
    "/usr/local/man", "/usr/local/include", ".git/objects", "/ssl/certs", "/ca-certificates",
    "/programdata/microsoft", "/programdata/package cache", "/appdata/local/microsoft", "/appdata/local/packages",
)  # fmt: skip


class Found(NamedTuple):
    """One secret and where it lies."""

    path: str
    secret: Secret


class Search(NamedTuple):
    """What came of looking through a guest."""

    found: tuple[Found, ...]
    gaps: tuple[str, ...]
    """What was not looked at, though it should have been."""


@once
def search(guest: Guest) -> Search:
    """Every secret of known shape in the files of the guest's owner.

    Only text is looked at. What a limit cut off, or what could not be read, is a gap.
    """
    found, gaps, total = list[Found](), list[str](), 0
    try:
        for path, size in _files(guest, gaps):
            if total + size > MAX_TOTAL:
                gaps.append(f"more than {MAX_TOTAL} bytes would have to be searched")
                break
            total += size
            try:
                found += [Found(path, secret) for secret in secretpatterns.search(_text(guest, path, size), path)]
            except Unreadable as error:
                gaps.append(str(error))
    except Unreadable as error:
        gaps.append(str(error))
    return Search(tuple(found), tuple(gaps))


def _text(guest: Guest, path: str, size: int) -> bytes:
    """The file, as UTF-8 where Windows wrote UTF-16; nothing where it is no text."""
    head = guest.files.read(path, _HEAD)
    wide = head[:2] in (b"\xff\xfe", b"\xfe\xff") or _is_wide(head)
    if b"\0" in head and not wide:
        return b""
    if size > MAX_SIZE:
        raise Unreadable(f"{path}: {size} bytes are too many to search")
    data = head if size <= _HEAD else guest.files.read(path, size)
    return windowstext.decode(data).encode("utf-8", "replace") if wide else data


def _is_wide(head: bytes) -> bool:
    """Whether text begins as UTF-16 without a mark: every other byte of the first ones is zero, and no other."""
    first, second = head[0:16:2], head[1:16:2]
    return len(head) >= 16 and {any(first), any(second)} == {True, False} and 0 not in (first if any(first) else second)


def _files(guest: Guest, gaps: list[str]) -> Iterator[tuple[str, int]]:
    """Path and size of every regular file that is not empty; links are not followed, and a place is visited once."""
    pending = [(root, 0) for root in reversed(_roots(guest, gaps))]
    seen, count = set[str](), 0
    while pending:
        path, depth = pending.pop()
        if (key := guest.files.key(path)) in seen:
            continue
        seen.add(key)
        count += 1
        if count > MAX_FILES:
            raise Unreadable(f"more than {MAX_FILES} files would have to be searched")
        try:
            found = guest.files.lstat(path)
            if found is None:
                continue
            if found.kind is FileKind.FILE and found.size:
                yield path, found.size
            elif found.kind is FileKind.DIRECTORY and not _is_published(path):
                if depth > MAX_DEEP:
                    raise Unreadable(f"{path}: lies deeper than {MAX_DEEP} directories")
                pending += [(f"{path}/{name}", depth + 1) for name in reversed(guest.files.names(path))]
        except Unreadable as error:
            gaps.append(str(error))


def _is_published(path: str) -> bool:
    place = path.lower()
    return place.rpartition("/")[2] in _PUBLISHED or place.endswith(_PUBLISHED_ENDS)


def _roots(guest: Guest, gaps: list[str]) -> list[str]:
    """Where the search begins: whatever lies in the root and is not the system's, and the places of owners within the system."""
    windows = guest.facts.os == "windows"
    system = _OF_WINDOWS if windows else _OF_THE_SYSTEM
    own = [f"/{name}" for name in guest.files.names("/") if (name.lower() if windows else name) not in system]
    if windows:
        return [*own, *_WITHIN_WINDOWS]
    try:
        homes = accounts.homes(guest)
    except Unreadable as error:
        gaps.append(str(error))
        homes = ()
    return [*own, *_WITHIN, *homes]
