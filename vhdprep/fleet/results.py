"""A folder with one JSON report an image, each written whole or not at all, so that a second run judges only what is missing.

A report is found again by what was asked and by what was asked about: program, rules, waivers and options; path, size, times and inode of every
file. Taking a digest of the content would cost a hundred times what judging does, for each image of each run. With ``--digest`` the report
itself proves what was judged. What is not kept: why nothing was judged, and reports on disks whose parents are files of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vhdprep import savedreport
from vhdprep.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.fleet.work import Job

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
MAX_NAME = 80
"""Letters of an image's name in that of its report."""


class Results:
    """The folder."""

    def __init__(self, folder: Path, current: Sequence[bool], *, fresh: bool) -> None:
        """``current``: of each waiver, whether it holds today. ``fresh``: nothing that is there counts.

        Raises:
            UsageError: it cannot be made.
        """
        self._folder, self._current, self._fresh = folder, list(current), fresh
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: the folder for results cannot be made ({error.strerror})") from error

    def path(self, job: Job, files: Sequence[str]) -> Path | None:
        """Where the report on this job belongs, by the files as they are now; None = one of them cannot be looked at."""
        try:
            seen = [_seen(each) for each in files]
        except OSError:
            return None
        asked = _short([job.subject, os.path.realpath(job.subject), job.options])
        name = _UNSAFE.sub("-", Path(job.subject).name)[:MAX_NAME]
        return self._folder / f"{name}.{asked}.{_short([job.stamp, self._current, seen])}.json"

    def find(self, path: Path) -> dict[str, Any] | None:
        """The report that is there; None = there is none, or it is none that may be relied on."""
        if self._fresh or not path.is_file():
            return None
        try:
            found = savedreport.read(path).values
            return found if not any(each["container"]["parent"] for each in found["disks"]) else None
        except (UsageError, KeyError, TypeError):
            return None

    def keep(self, path: Path, report: str) -> None:
        """Write a report, and put away the one that said the same of the image as it was.

        Raises:
            UsageError: it cannot be written.
        """
        draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with draft.open("x", encoding="ascii") as file:
                file.write(report + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            same = path.name.rsplit(".", 2)[0]
            for each in self._folder.glob(glob_of(same)):
                if each != path:
                    each.unlink(missing_ok=True)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise UsageError(f"{path}: the report cannot be written ({error.strerror})") from error


def glob_of(stem: str) -> str:
    """Reports on one image by one question; the stem has no letter that means something in a pattern."""
    return f"{stem}.{'[0-9a-f]' * 16}.json"


def _seen(path: str) -> list[str | int]:
    """What tells a file from what it was: ``ctime`` also moves when somebody sets back the time of a change."""
    found = Path(path).stat()
    return [os.path.realpath(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _short(values: object) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]
