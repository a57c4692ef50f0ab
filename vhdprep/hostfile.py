"""Small files that the user names on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, most: int, name: str, kind: str) -> bytes:
    """The whole file, at most ``most`` bytes. ``name`` and ``kind`` say what it was to be: ``the report``, ``report``.

    Raises:
        UsageError: it cannot be read, or is larger.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # no file has a name with a zero byte
        raise UsageError(f"{path}: {name} cannot be read ({getattr(error, 'strerror', error)})") from error
    if len(data) > most:
        raise UsageError(f"{path}: is larger than {most} bytes; that is no {kind}")
    return data
