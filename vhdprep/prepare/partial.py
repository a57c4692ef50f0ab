"""A file that is not there until it is whole.

What is being written lies beside the destination as ``.NAME.vhdprep-partial``, locked (``flock``) by whoever writes it. It has a
name, for the appliance that edits it needs one. A run that was killed leaves it unlocked, and the next run for the same
destination puts it away. The destination's name appears by one link, which never replaces what stands there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, cast

from vhdprep.errors import CopyFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)
_MAX_TRIES = 8
"""Other runs that may come and go while the file is made."""


class Partial:
    """The file while it is written."""

    def __init__(self, destination: Path, path: Path, file: BinaryIO) -> None:
        """``file`` is open for reading and writing, unbuffered and empty."""
        self.destination, self.path, self.file = destination, path, file
        self.published = False

    def write(self, text: str) -> None:
        """Write all of ``text``; a disk that becomes full takes only a part of it first.

        Raises:
            CopyFailed: there is no room for it.
        """
        data = memoryview(text.encode())
        try:
            while data:
                data = data[self.file.write(data) :]
        except OSError as error:
            raise CopyFailed(f"{self.destination}: cannot be written ({error.strerror}); make room, or write elsewhere") from error

    def publish(self) -> None:
        """Give it the destination's name, on the host's disk.

        Raises:
            UsageError: something came to stand there meanwhile.
            CopyFailed: the host does not do it.
        """
        try:
            if not _is_at(self.file.fileno(), self.path):
                raise CopyFailed(f"{self.path}: was taken away while it was written; run again")
            os.fsync(self.file.fileno())
            self._rename()
            self.published = True
            _sync_folder(self.destination.parent)
        except FileExistsError as error:
            raise UsageError(_exists(self.destination)) from error
        except OSError as error:
            raise CopyFailed(f"{self.destination}: the copy cannot be put there ({error.strerror})") from error

    def _rename(self) -> None:
        try:
            self.destination.hardlink_to(self.path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if os.path.lexists(self.destination):  # FAT and some network file systems have no links
                raise FileExistsError from error
            self.path.rename(self.destination)
        else:
            self.path.unlink(missing_ok=True)


@contextmanager
def partial(destination: Path) -> Iterator[Partial]:
    """An empty file that becomes ``destination`` by ``publish()``; without it nothing is left when the block ends.

    Raises:
        UsageError: something stands there, nothing may be written there, or another run is at it.
    """
    if not destination.name:
        raise UsageError(f"{destination}: is a folder; name the file to make in it")
    path = _hidden(destination)
    if os.path.lexists(destination):
        _drop_second_name(destination, path)
    descriptor = _begin(destination, path)
    with os.fdopen(descriptor, "w+b", buffering=0) as file:
        work = Partial(destination, path, file)
        try:
            yield work
        finally:
            if not work.published and _is_at(descriptor, path):
                path.unlink()


class Folder:
    """A folder of files while they are written."""

    def __init__(self, destination: Path, path: Path, descriptor: int) -> None:
        """``descriptor`` is of the open folder."""
        self.destination, self.path, self._descriptor = destination, path, descriptor
        self.published = False

    def open(self, name: str) -> BinaryIO:
        """A new, empty file in it, for reading and writing, unbuffered.

        Raises:
            CopyFailed: the host does not make it.
        """
        try:
            return cast("BinaryIO", (self.path / name).open("x+b", buffering=0))
        except OSError as error:
            raise CopyFailed(f"{self.destination / name}: cannot be written ({error.strerror})") from error

    def publish(self) -> None:
        """Give it the destination's name, on the host's disk; an empty folder of that name would give way.

        Raises:
            UsageError: something came to stand there meanwhile.
            CopyFailed: the host does not do it.
        """
        refuse_existing(self.destination)
        try:
            if not _is_at(self._descriptor, self.path):
                raise CopyFailed(f"{self.path}: was taken away while it was written; run again")
            _sync_folder(self.path)
            self.path.rename(self.destination)
            self.published = True
            _sync_folder(self.destination.parent)
        except OSError as error:
            raise CopyFailed(f"{self.destination}: the copies cannot be put there ({error.strerror})") from error


@contextmanager
def partial_folder(destination: Path) -> Iterator[Folder]:
    """An empty folder that becomes ``destination`` by ``publish()``; without it nothing is left when the block ends.

    Raises:
        UsageError: something stands there, nothing may be written there, or another run is at it.
    """
    if not destination.name:
        raise UsageError(f"{destination}: name a folder that is not there yet")
    path = _hidden(destination)
    descriptor = _begin(destination, path, is_folder=True)
    folder = Folder(destination, path, descriptor)
    try:
        yield folder
    finally:
        if not folder.published and _is_at(descriptor, path):
            shutil.rmtree(path)
        os.close(descriptor)


def refuse_existing(path: Path) -> None:
    """What is to be written later must not be there now.

    Raises:
        UsageError: it is.
    """
    if os.path.lexists(path):
        raise UsageError(_exists(path))


def _drop_second_name(destination: Path, path: Path) -> None:
    """A run that was killed right after the link left a whole file with both names."""
    with suppress(OSError):
        if os.path.samestat(destination.lstat(), path.lstat()):
            path.unlink()


def _hidden(destination: Path) -> Path:
    """Where it lies until it is whole."""
    return destination.with_name(f".{destination.name}.vhdprep-partial")


def _begin(destination: Path, path: Path, *, is_folder: bool = False) -> int:
    """``_create``, with what the host says told of ``destination``."""
    refuse_existing(destination)
    done = "made" if is_folder else "written"
    try:
        return _create(path, is_folder=is_folder)
    except PermissionError as error:
        raise UsageError(f"{destination}: may not be {done}; give your user write permission on {destination.parent}") from error
    except FileNotFoundError as error:
        raise UsageError(f"{destination}: there is no folder {destination.parent}; make it first") from error
    except OSError as error:
        raise UsageError(f"{destination}: cannot be {done} ({error.strerror}); name another place") from error


def _create(path: Path, *, is_folder: bool = False) -> int:
    """A new, empty file or folder, locked; one that a killed run left is put away first."""
    for _ in range(_MAX_TRIES):
        try:
            descriptor = _make_folder(path) if is_folder else os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            _put_away(path, is_folder=is_folder)
            continue
        is_ours = False
        try:
            _lock(descriptor)
            is_ours = _is_at(descriptor, path)  # else another run took it for a killed one's before it was locked
        finally:
            if not is_ours:
                os.close(descriptor)
        if is_ours:
            return descriptor
    raise UsageError(f"{path}: comes and goes; another vhdprep is writing the same copy")


def _make_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _put_away(path: Path, *, is_folder: bool) -> None:
    """Remove what a killed run left. Only a file, or a folder, of this user, that nobody has locked, and no link to anything."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UsageError(_foreign(path)) from error
        raise
    try:
        found = os.fstat(descriptor)
        is_alike = stat.S_ISDIR(found.st_mode) if is_folder else stat.S_ISREG(found.st_mode)
        if not is_alike or found.st_uid != os.geteuid():
            raise UsageError(_foreign(path))
        _lock(descriptor)
        if _is_at(descriptor, path):
            shutil.rmtree(path) if is_folder else path.unlink()
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError("another vhdprep is writing the same copy; wait for it to end") from error


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether ``path`` names the very file that is open."""
    try:
        named = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(descriptor))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # some network file systems have no such call; the name is there all the same
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exists(path: Path) -> str:
    return f"{path}: is there already, and nothing is ever overwritten; name another file, or remove this one"


def _foreign(path: Path) -> str:
    return f"{path}: stands where the unfinished copy goes, and no run of yours left it; look at it, and remove it"
