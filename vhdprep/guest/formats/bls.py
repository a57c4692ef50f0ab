"""Boot Loader Specification entries (type 1): their keys, and the two orders that boot loaders put them in.

Sources: UAPI Boot Loader Specification and Version Format Specification; rhboot/grub2@5e9e7e44e
``grub-core/commands/blscfg.c``; systemd v257 ``src/boot/boot.c``, ``src/fundamental/string-util-fundamental.c``.
"""

from __future__ import annotations

import re
from functools import cmp_to_key
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.guest.formats import rpmversion
from vhdprep.guest.formats.textlines import lines

if TYPE_CHECKING:
    from _typeshed import SupportsRichComparison

MAX_VERSION = 256
"""Characters of a version that are compared."""

_TRIES = re.compile(r"\+(\d+)(?:-(\d+))?$")


class Type1(NamedTuple):
    """One entry file."""

    name: str
    """The file's, without ``.conf``."""
    keys: dict[str, list[str]]

    def first(self, key: str) -> str:
        """The first value of a key; empty when it is not given."""
        return self.keys.get(key, [""])[0]

    @property
    def tries_left(self) -> int | None:
        """Boots left by the counter in the file's name (``+3-0``); None = it has none."""
        match = _TRIES.search(self.name)
        return int(match[1]) if match else None


def parse(name: str, text: str) -> Type1:
    """The entry in the file ``name``, which ends in ``.conf``."""
    found: dict[str, list[str]] = {}
    for line in lines(text):
        words = line.strip().split(maxsplit=1)
        if len(words) == 2 and not words[0].startswith("#"):
            found.setdefault(words[0], []).append(words[1])
    return Type1(name[: -len(".conf")], found)


def rpm_newest_first(names: list[str]) -> list[str]:
    """File names without ``.conf`` in the order of Red Hat's GRUB: name, version and release, each by rpm's comparison."""
    return sorted(names, key=lambda name: [rpmversion.key(part) for part in _split(name)], reverse=True)


def systemd_place(entry: Type1) -> SupportsRichComparison:
    """What sorts entries as systemd-boot's menu has them."""
    return cmp_to_key(_compare_entries)(entry)


def compare_versions(left: str, right: str) -> int:
    """Which of two versions is newer by the Version Format Specification: 1, 0 or -1."""
    while True:
        left, right = _valid(left), _valid(right)
        for sign in "~-^.":
            if sign == "-" and not (left and right):
                return bool(left) - bool(right)
            if sign in (left[:1], right[:1]):
                if left[:1] != right[:1]:
                    return -1 if left[:1] == sign else 1
                left, right = left[1:], right[1:]
                break
        else:
            a, b = _segment(left, right)
            if order := _compare_segments(a, b):
                return order
            left, right = left[len(a) :], right[len(b) :]


def _valid(text: str) -> str:
    return re.sub(r"^[^0-9a-zA-Z~^.-]+", "", text)


def _segment(left: str, right: str) -> tuple[str, str]:
    """The leading digits of both where one begins with some, else the leading letters."""
    wanted = str.isdigit if left[0].isdigit() or right[0].isdigit() else str.isalpha
    return "".join(takewhile(wanted, left)), "".join(takewhile(wanted, right))


def _compare_segments(left: str, right: str) -> int:
    if not left or not right:
        return bool(left) - bool(right)
    if left.isdigit():
        left, right = left.lstrip("0"), right.lstrip("0")
        if len(left) != len(right):
            return 1 if len(left) > len(right) else -1
    return (left > right) - (left < right)


def _compare_entries(left: Type1, right: Type1) -> int:
    spent = (left.tries_left == 0) - (right.tries_left == 0)
    keys = left.first("sort-key"), right.first("sort-key")
    if spent or bool(keys[0]) != bool(keys[1]):
        return spent or bool(keys[1]) - bool(keys[0])
    if keys[0]:
        for key in ("sort-key", "machine-id"):
            a, b = left.first(key), right.first(key)
            if a != b:
                return 1 if a > b else -1
        if order := compare_versions(left.first("version")[:MAX_VERSION], right.first("version")[:MAX_VERSION]):
            return -order
    return -compare_versions(left.name.lower(), right.name.lower())


def _split(package: str) -> tuple[str, str, str]:
    """Name, version and release, cut at the last two hyphens."""
    parts = package.rsplit("-", 2)
    return parts[0], parts[1] if len(parts) > 1 else "", parts[2] if len(parts) > 2 else ""
