"""What a server is asked for: how large the image is, and a part of it. And the ways in which it may fail."""

from __future__ import annotations

from typing import Protocol

MAX_REQUEST_SECONDS = 30
"""Time of one request, from looking the host up to the last byte."""


class TransientError(Exception):
    """It did not work this time: another try may help."""


class UnreachedError(TransientError):
    """Not even a connection came about."""


class RefusedError(Exception):
    """The server was asked and says no: another try does not help."""


class UnfitError(Exception):
    """The answer is none that can be relied upon: another range, the whole file, another image."""


class Ranges(Protocol):
    """An image on a server. All messages are sentences without a subject and without the address."""

    must_confirm: bool
    """Answers do not say by themselves of which image they are."""

    def measure(self) -> int:
        """Its size in bytes; to be asked first.

        Raises:
            TransientError: another try may help.
            RefusedError: it is not there, or may not be read.
            UnfitError: the server cannot serve parts.
        """
        ...

    def fetch(self, begin: int, end: int) -> bytes:
        """Exactly the bytes from ``begin`` up to ``end``, which lies in the image; raises the same."""
        ...

    def confirm(self) -> None:
        """Ask whether the image is still the one that was measured; raises the same."""
        ...
