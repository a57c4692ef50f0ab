"""``--digest`` and ``--attest``: digests are taken before the image is opened, and hold only if it stayed as it was until it was judged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vhdprep import location
from vhdprep.cli import common
from vhdprep.cli.progress import Progress
from vhdprep.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.location import Location
    from vhdprep.model import Report
    from vhdprep.vhd.digest import Taken

DigestOption = Annotated[bool, typer.Option("--digest", help="Also SHA-256 of the file and of the disk in it; takes as long as reading all of it.")]
AttestOption = Annotated[
    Path | None,
    typer.Option("--attest", metavar="FILE", help="Write a signed statement about the image and this report; needs --sign-key.", show_default=False),
]
SignKeyOption = Annotated[
    Path | None,
    typer.Option("--sign-key", metavar="FILE", help="Private key for --attest (PEM; Ed25519, ECDSA or RSA).", show_default=False),
]
PASSPHRASE = "VHDPREP_KEY_PASSPHRASE"
"""Environment variable with the key's passphrase."""


def take(subject: common.Subject, attest: Path | None, key: Path | None, *, wanted: bool) -> Taken | None:
    """The digests, where they are asked for. To be done before ``isolate``: nothing bounds the time that a whole disk takes.

    Raises:
        UsageError: options contradict each other, or a file cannot be read.
    """
    if (attest is None) != (key is None):
        raise UsageError("--attest FILE and --sign-key FILE belong together")
    if not wanted and attest is None:
        return None
    if subject.is_tree:
        raise UsageError("a tree has no digest; name an IMAGE")
    from vhdprep.vhd import digest

    with Progress() as progress:
        return digest.take(on_this_machine((subject.path, *subject.data)), progress)


def on_this_machine(images: Sequence[Location]) -> list[Path]:
    """The files that ``images`` are.

    Raises:
        UsageError: one of them is an address: to digest it is to download all of it.
    """
    found = location.files(images)
    if len(found) != len(images):
        raise UsageError("a digest needs all of the image; download it first, and name the file")
    return found


def write_attestation(report: Report, attest: Path, key: Path) -> None:
    """Sign a statement about ``report`` and write it.

    Raises:
        UsageError: the key cannot be used, or the file cannot be written.
        BackendUnavailable: securesystemslib is not installed.
    """
    from vhdprep.attest import envelope, statement

    text = envelope.sign(statement.make(report), key, os.environ.get(PASSPHRASE))
    try:
        attest.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{attest}: the attestation cannot be written ({error.strerror})") from error
