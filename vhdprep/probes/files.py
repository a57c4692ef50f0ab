"""Probes of files: what stands where, and what simple text files say."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Literal

from vhdprep.disk.backend import FileKind
from vhdprep.errors import Unreadable
from vhdprep.guest import accounts
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.image import Guest, Image
from vhdprep.model import ABSENT, Observation
from vhdprep.probes.registry import probe

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PARTS = 1000
"""Paths that one finding lists."""
_DIGEST_LIMIT = 1024 * 1024
_HEAD = 16

Kind = Literal["any", "file", "directory", "link"]


@probe(returns="`file | directory | link | other`; absent when nothing stands there")
def file_kind(image: Image, *, path: str, follow: bool = False) -> Observation:
    """What stands at a path. follow: look at what a link leads to."""
    files = image.need_guest().files
    found = files.stat(path) if follow else files.lstat(path)
    return Observation(ABSENT if found is None else str(found.kind), path)


@probe(returns="a list of paths")
def file_glob(
    image: Image, *, patterns: tuple[str, ...], kind: Kind = "any", non_empty: bool = False, secret: bool = False, ignore: tuple[str, ...] = ()
) -> Observation:
    """Paths that match any of the patterns (`*  ?  [a-z]  {a,b}`, `**` for any depth); one file by two names counts once.

    kind: only entries of this kind. non_empty: only files with content. ignore: patterns that do not count.
    secret: prove each file by size and SHA-256 prefix; its content is never shown.
    """
    return list_paths(image.need_guest(), patterns, ignore, kind, non_empty=non_empty, secret=secret)


@probe(returns="a list of paths")
def home_files(
    image: Image, *, patterns: tuple[str, ...], kind: Kind = "any", non_empty: bool = False, secret: bool = False, ignore: tuple[str, ...] = ()
) -> Observation:
    """The same below every home directory: of accounts that can log in, of root, and whatever lies in /home."""
    guest = image.need_guest()
    homes = accounts.homes(guest)
    every, but = (tuple(f"{home}/{pattern}" for home in homes for pattern in given) for given in (patterns, ignore))
    found = list_paths(guest, every, but, kind, non_empty=non_empty, secret=secret)
    return found._replace(where=", ".join(f"~/{pattern}" for pattern in patterns))


@probe(returns="a list of places, one for each line")
def file_lines(image: Image, *, patterns: tuple[str, ...], matching: str, secret: bool = False) -> Observation:
    """Lines of text files that match a regular expression (Python's, searched, comments included).

    patterns: the files; one that begins with `~/` is looked for below every home directory. secret: show places only.
    """
    guest = image.need_guest()
    expression = re.compile(matching)
    parts = []
    for path in dict.fromkeys(path for pattern in _with_homes(guest, patterns) for path in guest.files.glob(pattern)):
        if not guest.files.is_file(path):
            continue
        for number, line in enumerate(lines(guest.files.text(path) or ""), 1):
            if expression.search(line):
                parts.append(Observation("(not shown)" if secret else line.strip()[:200], f"{path}:{number}"))
    return Observation.listing(", ".join(patterns), tuple(parts[:MAX_PARTS]))


@probe(returns="the text without white space around it; absent when there is no such file")
def file_text(image: Image, *, path: str) -> Observation:
    """The whole content of a small text file."""
    text = image.need_guest().files.text(path)
    return Observation(ABSENT if text is None else text.strip(), path)


@probe(returns="the bytes as hexadecimal text, shorter when the file is; absent when there is no such file")
def file_head(image: Image, *, path: str, size: int) -> Observation:
    """The first bytes of a file, to tell what it is. size: how many, at most 16."""
    files = image.need_guest().files
    if not files.is_file(path):
        return Observation(ABSENT, path)
    return Observation(files.read(path, min(size, _HEAD)).hex(), path)


@probe(returns="the target as stored; absent when no link stands there")
def link_target(image: Image, *, path: str) -> Observation:
    """Where a symbolic link leads."""
    files = image.need_guest().files
    found = files.lstat(path)
    return Observation(files.readlink(path) if found is not None and found.kind is FileKind.LINK else ABSENT, path)


def _with_homes(guest: Guest, patterns: Iterable[str]) -> list[str]:
    found = []
    for pattern in patterns:
        found += [home + pattern[1:] for home in accounts.homes(guest)] if pattern.startswith("~/") else [pattern]
    return found


def list_paths(guest: Guest, patterns: tuple[str, ...], ignore: tuple[str, ...], kind: Kind, *, non_empty: bool, secret: bool) -> Observation:
    """The paths that match ``patterns`` and are wanted, each once."""
    ignored = {path for pattern in ignore for path in guest.files.glob(pattern)}
    parts: dict[str, Observation] = {}
    for path in dict.fromkeys(path for pattern in patterns for path in guest.files.glob(pattern) if path not in ignored):
        found = guest.files.lstat(path)
        real = guest.files.resolve(path, follow_last=False)
        if found is None or real is None or real in parts or (kind != "any" and found.kind != kind) or (non_empty and not found.size):
            continue
        value = str(found.kind) if found.kind is not FileKind.FILE else f"{found.size} bytes"
        if secret and found.kind is FileKind.FILE:
            value += _digest(guest, path, found.size)
        parts[real] = Observation(value, path)
    return Observation.listing(", ".join(patterns), tuple(sorted(parts.values(), key=lambda part: part.where)[:MAX_PARTS]))


def _digest(guest: Guest, path: str, size: int) -> str:
    if size > _DIGEST_LIMIT:
        return ""
    try:
        data = guest.files.read(path, size)
    except Unreadable:
        return ", content not readable"
    return f", SHA-256 {hashlib.sha256(data).hexdigest()[:12]}"
