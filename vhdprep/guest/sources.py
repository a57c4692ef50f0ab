"""Where the guest gets its packages: sources of apt, repositories of yum, dnf and zypper.

Sources: apt 2.6 sources.list(5), ``apt-pkg/sourcelist.cc``; dnf.conf(5), yum.conf(5); libzypp 17 ``zypp/parser/RepoFileReader.cc``.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.image import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

_APT_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_APT_LINE = re.compile(r"\s*(deb|deb-src)\s+(?:\[[^\]]*\]\s*)?(cdrom:\[[^\]]*\]\S*|\"[^\"]*\"|\S+)\s+(\S.*)")
_LOCAL = re.compile(r"(cdrom|file|copy|cd|dvd|hd|iso|dir):", re.IGNORECASE)
_NO = ("no", "false", "0", "off", "disable", "without")
_REPOSITORIES = (
    "/etc/{yum,yum/yum,dnf/dnf}.conf",
    "/etc/{yum.repos.d,yum/repos.d,distro.repos.d,zypp/repos.d}/*.repo",
    "/etc/zypp/services.d/*.service",
)
MAX_SOURCES = 10_000
"""What one stanza of apt may stand for."""
_MAX_MIRRORS = 100


class Source(NamedTuple):
    """One place that packages come from."""

    place: str
    id: str
    """``deb``, ``deb-src``, or the repository's id."""
    urls: tuple[str, ...]
    suite: str
    """Of apt the suite and its components; of zypper ``autorefresh`` where that is on."""
    enabled: bool

    @property
    def is_local(self) -> bool:
        """Whether it is nowhere but on a disc or in a directory of the machine; a service that lists repositories is none."""
        return ".service:" not in self.place and bool(self.urls) and all(_LOCAL.match(url) for url in self.urls)

    @property
    def words(self) -> str:
        """Id, addresses and suite on one line, without what is empty."""
        return " ".join(filter(None, (self.id, *self.urls, self.suite)))


@once
def sources(guest: Guest) -> tuple[Source, ...]:
    """Every source, switched off or not, in the order of the files."""
    found: list[Source] = []
    for path in guest.files.glob("/etc/apt/{sources.list,sources.list.d/*.list,sources.list.d/*.sources}"):
        if _APT_NAME.fullmatch(path.rpartition("/")[2]):
            found += _stanzas(guest, path) if path.endswith(".sources") else _one_line(guest, path)
    for path in (each for pattern in _REPOSITORIES for each in guest.files.glob(pattern)):
        found += _repositories(guest, path)
    return tuple(found)


def _one_line(guest: Guest, path: str) -> Iterator[Source]:
    for number, line in enumerate(lines(guest.files.text(path) or ""), 1):
        if match := _APT_LINE.match(line.partition(" #")[0].rstrip()):
            yield Source(f"{path}:{number}", match[1], _mirrors(guest, match[2].strip('"')), match[3], enabled=True)


def _stanzas(guest: Guest, path: str) -> Iterator[Source]:
    """deb822: fields, their lines continued by blanks, stanzas parted by empty lines; one source for each URI and suite."""
    for place, fields in _sections(guest, path):
        enabled = fields.get("enabled", "yes").lower() not in _NO
        kinds, urls, suites = (fields.get(key, "").split() for key in ("types", "uris", "suites"))
        if len(kinds) * len(urls) * len(suites) > MAX_SOURCES:
            raise Unreadable(f"{place}: more than {MAX_SOURCES} package sources in one stanza")
        mirrors = [_mirrors(guest, url) for url in urls]
        for kind, each, suite in product(kinds, mirrors, suites):
            yield Source(place, kind, each, f"{suite} {fields.get('components', '')}".strip(), enabled)


def _mirrors(guest: Guest, url: str) -> tuple[str, ...]:
    """The address, or those in the list of mirrors that it names on this machine."""
    if not url.startswith("mirror+file:"):
        return (url,)
    listed = lines(guest.files.text("/" + url.removeprefix("mirror+file:").lstrip("/")) or "")
    return tuple(words[0] for line in listed if (words := line.split()) and not words[0].startswith("#"))[:_MAX_MIRRORS] or (url,)


def _sections(guest: Guest, path: str) -> Iterator[tuple[str, dict[str, str]]]:
    place, fields, last = "", dict[str, str](), ""
    for number, line in enumerate([*lines(guest.files.text(path) or ""), ""], 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield place, fields
            fields, last = {}, ""
        elif line[0] in " \t":
            fields[last] = f"{fields.get(last, '')} {line.strip()}"
        else:
            key, _, value = line.partition(":")
            place = place if fields else f"{path}:{number}"
            last = key.strip().lower()
            fields[last] = value.strip()


def _repositories(guest: Guest, path: str) -> Iterator[Source]:
    """Sections of an ini file; a line that begins with a blank continues the one above."""
    place = section = last = ""
    values: dict[str, str] = {}
    for number, line in enumerate([*lines(guest.files.text(path) or ""), "[]"], 1):
        if line.startswith("["):
            if section not in ("", "main"):
                yield _repository(place, section, values)
            place, section, values, last = f"{path}:{number}", line.partition("]")[0][1:].strip(), {}, ""
        elif line[:1] in (" ", "\t") and last:
            values[last] += f" {line.strip()}"
        elif not line.startswith(("#", ";")) and "=" in line:
            key, _, value = line.partition("=")
            last = key.strip().lower()
            values[last] = value.strip()


def _repository(place: str, section: str, values: dict[str, str]) -> Source:
    urls = next((values[key] for key in ("baseurl", "url", "mirrorlist", "metalink") if values.get(key)), "")
    refresh = values.get("autorefresh", "0").lower() in ("1", "yes", "true", "on")
    enabled = values.get("enabled", "1").lower() not in _NO
    return Source(place, section, tuple(urls.replace(",", " ").split()), "autorefresh" if refresh else "", enabled)
