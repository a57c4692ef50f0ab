"""``vhdprep ls`` and ``vhdprep cat``: look at one directory or file inside the guest."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from vhdprep import location
from vhdprep.cli import common
from vhdprep.errors import Unreadable, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.files import GuestFiles

PathArgument = Annotated[str, typer.Argument(metavar="PATH", help="A path inside the guest, such as /etc/fstab.", show_default=False)]
_CHUNK = 1024 * 1024


def ls(image: common.ImageArgument, path: PathArgument, backend: common.OneBackendOption = "auto") -> None:
    """List a directory of the guest: mode, owner, size, name."""
    from vhdprep.report.words import safe

    with _guest_files(image, backend) as files:
        found = files.stat(path)
        if found is None:
            raise UsageError(f"{safe(path)}: there is no such file in the guest")
        names = files.names(path) if files.is_directory(path) else [""]
        for name in names:
            full = f"{path.rstrip('/')}/{name}" if name else path
            entry = files.lstat(full)
            if entry is not None:
                link = f" -> {safe(files.readlink(full))}" if entry.kind == "link" else ""
                typer.echo(f"{entry.kind[0]} {entry.mode:04o} {entry.uid:>5} {entry.gid:>5} {entry.size:>12} {safe(name or path)}{link}")


def cat(image: common.ImageArgument, path: PathArgument, backend: common.OneBackendOption = "auto") -> None:
    """Print a file of the guest.

    On a terminal control characters are escaped; in a pipe the bytes are as they stand.
    """
    from vhdprep.report.words import safe

    with _guest_files(image, backend) as files:
        if files.is_directory(path):
            raise UsageError(f"{safe(path)}: is a directory in the guest; list it with `vhdprep ls`")
        if not files.is_file(path):
            raise UsageError(f"{safe(path)}: there is no such file in the guest")
        offset = 0
        while data := files.read(path, _CHUNK, offset):
            offset += len(data)
            if sys.stdout.isatty():
                lines = data.decode("utf-8", "replace").split("\n")
                typer.echo("\n".join("\t".join(safe(part) for part in line.split("\t")) for line in lines), nl=False)
            else:
                sys.stdout.buffer.write(data)


@contextmanager
def _guest_files(image: str, backend: str) -> Iterator[GuestFiles]:
    from vhdprep.check import open_image
    from vhdprep.model import Target

    with open_image(location.parse(image), target=Target.GENERALIZED, backend=backend) as opened:
        try:
            yield opened.need_guest().files
        except Unreadable as error:
            raise UsageError(f"{location.parse(image)}: {error}") from error
