"""Every error that this package raises on purpose.

    VhdprepError
    ├── UsageError           the call cannot be carried out as it was made (exit 2)
    ├── RuleError            rule or waiver files are wrong; carries every complaint (exit 2)
    ├── BackendUnavailable   a reader is not installed on this host (exit 2)
    ├── CopyFailed           no copy was made, and the source is as it was (exit 2)
    ├── RehearsalFailed      the emulator failed, which says nothing about the image (exit 2)
    ├── NotProven            an attestation does not hold, or is about another image (exit 1)
    ├── NotRehearsable       no emulated machine could tell anything about this image (outcome not-rehearsable)
    └── Unreadable           something of the image could not be looked at → outcome unknown
        ├── UnsupportedFilesystem
        └── NoDisk           there is only an unpacked tree: rules about disks do not apply

Looking and seeing nothing is a value (``model.ABSENT``); not being able to look is ``Unreadable``.
"""

from __future__ import annotations

from typing import NamedTuple


class VhdprepError(Exception):
    """Base of the tree; the message says what, where, and what to do next."""


class UsageError(VhdprepError):
    """The call itself is wrong: a missing file, a directory, an unknown option value."""


class BackendUnavailable(VhdprepError):  # noqa: N818 - a state of the host, read as a word
    """The reader asked for cannot run on this host."""


class CopyFailed(VhdprepError):  # noqa: N818 - what happened, read as words
    """The copy was not made; the source is as it was, and nothing stands under the destination's name."""


class RehearsalFailed(VhdprepError):  # noqa: N818 - what happened, read as words
    """The emulator could not be started, or ended by itself; nothing is known of the image by it."""


class NotProven(VhdprepError):  # noqa: N818 - what it is, read as words
    """An attestation was changed, was signed by somebody else, or is about another image."""


class NotRehearsable(VhdprepError):  # noqa: N818 - what it is, read as a word
    """Booting the image here would say nothing about it; the message says why, and what to do instead."""


class Complaint(NamedTuple):
    """One thing that is wrong in a rule or waiver file."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


class RuleError(VhdprepError):
    """Rule or waiver files are wrong; nothing was checked."""

    def __init__(self, complaints: list[Complaint]) -> None:
        """Keep ``complaints`` in the order of files and lines."""
        self.complaints = tuple(sorted(complaints))
        super().__init__("\n".join(str(complaint) for complaint in self.complaints))


class Unreadable(VhdprepError):  # noqa: N818 - a value with a reason, read as a word
    """A part of the image could not be looked at; the message is the reason shown to the user."""


class UnsupportedFilesystem(Unreadable):
    """The volume was recognised, but nothing here reads it."""


class NoDisk(Unreadable):
    """An unpacked tree is judged; it has no container, no partitions and no firmware files."""

    def __init__(self) -> None:
        """The reason is always the same."""
        super().__init__("an unpacked tree is judged, without container and disk")


def first_line(error: Exception) -> str:
    """What a library says of its error, short enough for a reason."""
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__
