"""Subvolumes: which one is the root, and which one a mount option names (btrfs(5), "MOUNT OPTIONS")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.storage import Subvolume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vhdprep.disk.backend import Disk, Files, FileStat
    from vhdprep.model import Volume

MAX_CONFIG = 1024 * 1024
"""Bytes of a boot loader's configuration that are searched for ``rootflags=``."""
MAX_ENTRIES = 100
"""Boot entries that are searched for it."""

WHOLE = Subvolume(0, "", is_default=True)
"""What stands for the one tree of a file system without subvolumes."""

_USUAL = ("@", "root", "@rootfs")
"""What installers call the root: Ubuntu and Arch, Fedora, Debian. openSUSE makes its snapshot the default."""
_ROOT_FLAGS = re.compile(rb"\brootflags=(\S+)")
_MENUS = ("grub/grub.cfg", "grub2/grub.cfg")


class Root(NamedTuple):
    """Where an operating system lies."""

    volume: Volume
    subvolume: Subvolume
    files: Files


class Subtree:
    """The files below one directory of a file system, as its root."""

    def __init__(self, files: Files, path: str) -> None:
        """``path`` begins with a slash and does not end with one."""
        self._files, self._path = files, path
        self.case_sensitive = files.case_sensitive

    def lstat(self, path: str) -> FileStat | None:
        """What stands at ``path``."""
        return self._files.lstat(self._below(path))

    def list(self, path: str) -> Sequence[str]:
        """Names in a directory."""
        return self._files.list(self._below(path))

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """Bytes of a regular file."""
        return self._files.read(self._below(path), limit, offset)

    def readlink(self, path: str) -> str:
        """Target of a link."""
        return self._files.readlink(self._below(path))

    def outermost(self, path: str) -> tuple[Files, str]:
        """The file system that this is a part of, and where ``path`` stands in it."""
        below = self._below(path)
        return self._files.outermost(below) if isinstance(self._files, Subtree) else (self._files, below)

    def _below(self, path: str) -> str:
        return self._path + path if path != "/" else self._path


def tree(disk: Disk, volume: Volume, subvolume: Subvolume) -> Files:
    """The files of a subvolume."""
    files = disk.files(volume)
    return Subtree(files, f"/{subvolume.path}") if subvolume.path else files


def named(volume: Volume, options: Iterable[str]) -> Subvolume | None:
    """The subvolume that mount options choose, the default one without any; None = they name one that is not there."""
    if not volume.subvolumes:
        return WHOLE
    given = dict(option.partition("=")[::2] for option in options)
    if "subvol" in given:
        return next((each for each in volume.subvolumes if each.path == given["subvol"].strip("/")), None)
    if "subvolid" in given:
        wanted = given["subvolid"] if given["subvolid"] != "0" else "5"
        return next((each for each in volume.subvolumes if str(each.id) == wanted), None)
    return next((each for each in volume.subvolumes if each.is_default), None)


def find_root(disk: Disk, volume: Volume, is_root: Callable[[Files], bool]) -> Root | None:
    """The operating system on ``volume``, in whichever subvolume it is booted from; None = there is none.

    Raises:
        Unreadable: several subvolumes hold one, and nothing tells which is booted.
    """
    if not volume.subvolumes:
        files = disk.files(volume)
        return Root(volume, WHOLE, files) if is_root(files) else None
    likely = [each for each in volume.subvolumes if each.is_default]
    likely += [each for name in _USUAL for each in volume.subvolumes if each.path == name and each not in likely]
    others = [each for each in volume.subvolumes if each not in likely]
    found = next((each for each in likely if is_root(tree(disk, volume, each))), None)
    candidates = [found] if found else [each for each in others if is_root(tree(disk, volume, each))]
    if not candidates:
        return None
    booted = _booted(disk, volume, candidates[0])
    if booted is not None and (booted in candidates or is_root(tree(disk, volume, booted))):
        candidates = [booted]
    if len(candidates) > 1:
        names = ", ".join(each.path or "the top level" for each in candidates[:5])
        raise Unreadable(f"{volume.id}: {len(candidates)} subvolumes hold an operating system ({names}), and nothing tells which one is booted")
    return Root(volume, candidates[0], tree(disk, volume, candidates[0]))


def _booted(disk: Disk, volume: Volume, likely: Subvolume) -> Subvolume | None:
    """The one subvolume that ``rootflags=`` names, in the likely root's boot menu or on a volume of its own; None = none, or several."""
    places = [(tree(disk, volume, likely), "/boot")]
    places += [(disk.files(each), "") for each in disk.volumes if each.read and each.id != volume.id]
    flags = {match for files, base in places for text in _configs(files, base) for match in _ROOT_FLAGS.findall(text)}
    chosen = {named(volume, flag.decode("utf-8", "replace").strip("\"'").split(",")) for flag in flags if b"subvol" in flag}
    return next(iter(chosen)) if len(chosen) == 1 else None


def _configs(files: Files, base: str) -> Iterable[bytes]:
    """The texts of GRUB's menu and of the entries beside it."""
    for name in _MENUS:
        yield files.read(f"{base}/{name}", MAX_CONFIG)
    folder = f"{base}/loader/entries"
    for name in sorted(files.list(folder))[:MAX_ENTRIES]:
        if name.endswith(".conf"):
            yield files.read(f"{folder}/{name}", MAX_CONFIG)
