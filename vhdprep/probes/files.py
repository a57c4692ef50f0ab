"""Probes of files: what stands where, and what simple text files say."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Literal

from vhdprep.disk.backend import FileKind
from vhdprep.errors import Unreadable
from vhdprep.guest import accounts
from vhdprep.guest.formats.masking import excerpt
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.image import Guest, Image
from vhdprep.model import ABSENT, Observation
from vhdprep.probes.registry import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PARTS = 1000
"""Paths that one finding lists."""
MAX_SEARCHED = 128 * 1024 * 1024
"""Largest file that is searched as bytes: four times a kernel."""
_CHUNK = 4 * 1024 * 1024
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

    kind: only entries of this kind; a link counts as what it leads to. non_empty: only files with content. ignore: patterns that do not count.
    secret: prove each file by size and SHA-256 prefix; its content is never shown.
    """
    return list_paths(image.need_guest(), patterns, ignore, kind, non_empty=non_empty, secret=secret)


@probe(returns="a list of paths")
def home_files(
    image: Image, *, patterns: tuple[str, ...], kind: Kind = "any", non_empty: bool = False, secret: bool = False, ignore: tuple[str, ...] = ()
) -> Observation:
    """The same below every home directory: of accounts that can log in, of root, and whatever lies in /home."""
    guest = image.need_guest()
    every, but = (tuple(f"~/{pattern}" for pattern in given) for given in (patterns, ignore))
    return list_paths(guest, every, but, kind, non_empty=non_empty, secret=secret)


@probe(returns="a list of places, one for each line")
def file_lines(image: Image, *, patterns: tuple[str, ...], matching: str, secret: bool = False) -> Observation:
    """Lines of text files that match a regular expression (Python's, searched, comments included).

    patterns: the files; one that begins with `~/` is looked for below every home directory. secret: show places only.
    """
    guest = image.need_guest()
    expression = re.compile(matching)
    parts = []
    for path in dict.fromkeys(path for pattern in patterns for path in find(guest, pattern)):
        if not guest.files.is_file(path):
            continue
        for number, line in enumerate(lines(guest.files.text(path) or ""), 1):
            if expression.search(line):
                parts.append(Observation("(not shown)" if secret else excerpt(line), f"{path}:{number}"))
    return Observation.listing(", ".join(patterns), tuple(parts[:MAX_PARTS]))


@probe(returns="a list of places, one for each file")
def file_bytes(image: Image, *, patterns: tuple[str, ...], matching: str) -> Observation:
    """Files that are no text, such as programs and databases, and somewhere match a regular expression.

    matching: of bytes, each as the character of its number; a match of more than 4 KiB may not be seen. What matched is never shown.
    """
    files = image.need_guest().files
    expression = re.compile(matching.encode("latin-1"), re.DOTALL)
    parts = []
    for path in (path for pattern in patterns for path in files.glob(pattern)):
        found = files.stat(path)
        if found is None or found.kind is not FileKind.FILE:
            continue
        if found.size > MAX_SEARCHED:
            raise Unreadable(f"{path}: {found.size} bytes are too many to search")
        before = b""
        for offset in range(0, found.size, _CHUNK):
            data = before + files.read(path, _CHUNK, offset)
            if expression.search(data):
                parts.append(Observation("(not shown)", path))
                break
            before = data[-4096:]
    return Observation.listing(", ".join(patterns), tuple(parts))


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


def find(guest: Guest, pattern: str) -> Iterator[str]:
    """Paths that match; a pattern that begins with ``~/`` is looked for below every home directory, whose own name is no pattern."""
    if not pattern.startswith("~/"):
        yield from guest.files.glob(pattern)
        return
    shared = () if "**" in pattern else accounts.shared_homes(guest)  # everything below / is not somebody's
    for home in (*accounts.homes(guest), *shared):
        yield from guest.files.glob(pattern[2:], home)


@probe(returns="the target as stored; absent when no link stands there")
def link_target(image: Image, *, path: str) -> Observation:
    """Where a symbolic link leads."""
    files = image.need_guest().files
    found = files.lstat(path)
    return Observation(files.readlink(path) if found is not None and found.kind is FileKind.LINK else ABSENT, path)


def list_paths(guest: Guest, patterns: tuple[str, ...], ignore: tuple[str, ...], kind: Kind, *, non_empty: bool, secret: bool) -> Observation:
    """The paths that match ``patterns`` and are wanted, each once."""
    ignored = {guest.files.key(path) for pattern in ignore for path in find(guest, pattern)}
    parts: dict[str, Observation] = {}
    for path in dict.fromkeys(path for pattern in patterns for path in find(guest, pattern) if guest.files.key(path) not in ignored):
        found = guest.files.lstat(path)
        if found is not None and found.kind is FileKind.LINK and kind in ("file", "directory"):
            found = guest.files.stat(path)  # whoever opens it is led on
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
