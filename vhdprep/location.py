"""Where an image lies: a file of this host, or an address on the network.

An address often carries the right to read: the signature of a SAS, a password. ``Url`` gives it to the reader alone; in every text
that Python makes of it there is neither query nor password, so nothing that prints a location can leak one.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from vhdprep.address import masked
from vhdprep.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vhdprep.remote.image import RemoteImage

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]+://")
_ARGUMENT = re.compile(r"((?:--[a-z-]+=)?)([A-Za-z][A-Za-z0-9+.:-]+://.*)", re.DOTALL)
_UNPRINTED = re.compile(r"[\x00-\x20\x7f-\x9f]")
_LOCAL = ("file", "local")

_kept: dict[str, str] = {}
"""What ``conceal`` took from the command line: as it is shown → in full."""


class Transferred(NamedTuple):
    """What reading over the network took."""

    bytes: int
    of: int
    """Size of the images there."""
    requests: int


class Url:
    """An image on the network. Nothing is asked of the server before the first byte is wanted, so it may be made before a ``fork``."""

    def __init__(self, address: str) -> None:
        """``address`` in full; see ``parse``."""
        self._address, self._shown = address, masked(address)

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"Url({self._shown!r})"

    @property
    def name(self) -> str:
        """The file's own name."""
        return unquote(self._shown.rstrip("/").rpartition("/")[2])

    def same(self, other: Url) -> bool:
        """Whether both are one address."""
        return self._address == other._address

    @cached_property
    def image(self) -> RemoteImage:
        """Its bytes.

        Raises:
            BackendUnavailable: a library is not installed that this kind of address needs.
            UsageError: no library knows this kind of address.
        """
        from vhdprep import remote  # late: most images are files

        return remote.connect(self._address, self._shown)


Location = Path | Url


def parse(text: str) -> Location:
    """What a person typed, or a list names.

    Raises:
        UsageError: an address that cannot be one, or one of a file of this host.
    """
    if not _ADDRESS.match(text):
        return Path(text)
    address = in_full(text)
    shown = masked(address)
    if "::" in shown or address.partition("://")[0].lower() in _LOCAL:
        raise UsageError(f"{shown}: is no single address on the network; name a file of this host by its path, and an image by one address")
    if _UNPRINTED.search(address):
        raise UsageError(f"{shown!a}: there are blanks or control characters in this address; copy it again, and quote it for the shell")
    if not _has_host(address):
        raise UsageError(f"{shown}: names no host, or a port that cannot be")
    return Url(address)


def in_full(text: str) -> str:
    """What was typed where ``conceal`` took something out: for whatever else is at an address, such as a database."""
    return _kept.get(text, text)


def listed(text: str, folder: Path) -> str:
    """What a file in ``folder`` names, as ``parse`` takes it and as it may be shown: relative to the folder, or an address without its secrets."""
    return conceal([text])[0] if _ADDRESS.match(text) else str(folder / text)


def conceal(arguments: Sequence[str]) -> list[str]:
    """A command line without the secrets of its addresses, which ``parse`` finds again: also messages about wrong calls quote what was typed.

    Raises:
        UsageError: two addresses would look the same.
    """
    found = []
    for each in arguments:
        match = _ARGUMENT.fullmatch(each)
        if match is not None:
            shown = masked(match[2])
            if _kept.setdefault(shown, match[2]) != match[2]:
                raise UsageError(f"{shown}: is named twice, with different queries; every disk of a machine is an image of its own")
            each = match[1] + shown
        found.append(each)
    return found


def _has_host(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.netloc) and parts.port != 0
    except ValueError:
        return False


def files(locations: Iterable[Location]) -> list[Path]:
    """Those that are files of this host."""
    return [each for each in locations if isinstance(each, Path)]


def urls(locations: Iterable[Location]) -> tuple[Url, ...]:
    """Those that are not."""
    return tuple(each for each in locations if isinstance(each, Url))


def lost(remotes: Iterable[Url]) -> str | None:
    """Why what was read of these is not to be relied upon; None = it is."""
    return next((reason for each in remotes if (reason := each.image.confirm()) is not None), None)


def transferred(remotes: Sequence[Url]) -> Transferred | None:
    """What reading them took; None where there are none."""
    if not remotes:
        return None
    images = [each.image for each in remotes]
    return Transferred(*(sum(getattr(each, name) for each in images) for name in ("fetched", "known_size", "requests")))
