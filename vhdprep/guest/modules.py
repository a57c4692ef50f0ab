"""Kernel modules of the default kernel: built in, in the initramfs, on the root, or blocked.

Names compare with ``-`` and ``_`` equal, as kmod does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest import boot
from vhdprep.guest.formats import cpio
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.image import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

_MODULE = re.compile(r"(.+)\.ko(?:\.(?:gz|xz|zst))?")
_MODPROBE_DIRECTORIES = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")
MAX_INITRAMFS = 1024**3
"""Largest initramfs file that is opened, in bytes."""


def normal(name: str) -> str:
    """The name kmod compares: ``pci-hyperv`` → ``pci_hyperv``."""
    return name.replace("-", "_")


@once
def built_in(guest: Guest) -> frozenset[str]:
    """Modules inside the kernel image, by ``modules.builtin``."""
    return _listed(guest, "modules.builtin")


@once
def installed(guest: Guest) -> frozenset[str]:
    """Modules that modprobe finds on the root file system, by ``modules.dep``."""
    return _listed(guest, "modules.dep")


@once
def blocked(guest: Guest) -> dict[str, str]:
    """Module → place of the modprobe.d line, or kernel argument, that keeps it from loading."""
    found: dict[str, str] = {}
    for path in guest.files.overlaid(_MODPROBE_DIRECTORIES, "*.conf").values():
        for number, line in enumerate(lines(guest.files.text(path) or ""), 1):
            words = line.split("#")[0].split()
            if len(words) > 1 and (words[0] == "blacklist" or (words[0] == "install" and _disables(words[2:]))):
                found.setdefault(normal(words[1]), f"{path}:{number}")
    return found


def blocked_at_boot(guest: Guest) -> dict[str, str]:
    """Module → kernel argument of the default entry that keeps it from loading."""
    entry = boot.default_entry(guest)
    names = ("module_blacklist", "modprobe.blacklist", "rd.driver.blacklist")
    return {normal(module): f"{entry.place} ({name}=)" for name in names for value in entry.values(name) for module in value.split(",")}


def in_initramfs(guest: Guest, wanted: frozenset[str]) -> frozenset[str]:
    """Which of ``wanted`` (normal names) the default entry's initramfs holds; reading stops when all were seen."""
    index = _index(guest)
    while not wanted <= index.seen and index.more():
        pass
    return wanted & index.seen


class _Index:
    """Module names seen so far in the initramfs files of one entry."""

    def __init__(self, names: Iterator[str]) -> None:
        self._names = names
        self._failed: Unreadable | None = None
        self.seen: set[str] = set()

    def more(self) -> bool:
        """Read on to the next module; False = the end."""
        if self._failed:
            raise Unreadable(str(self._failed)) from self._failed
        try:
            for name in self._names:
                if match := _MODULE.fullmatch(name.rpartition("/")[2]):
                    self.seen.add(normal(match[1]))
                    return True
        except Unreadable as error:
            self._failed = error
            raise
        return False


@once
def _index(guest: Guest) -> _Index:
    return _Index(_names(guest))


def _names(guest: Guest) -> Iterator[str]:
    for named, path in boot.default_entry(guest).initrds:
        if path is None:
            raise Unreadable(f"the initramfs {named} is missing")
        yield from cpio.names(_chunks(guest, path), path)


def _chunks(guest: Guest, path: str) -> Iterator[bytes]:
    found = guest.files.stat(path)
    if found is not None and found.size > MAX_INITRAMFS:
        raise Unreadable(f"{path}: {found.size} bytes are too many for an initramfs")
    offset = 0
    while data := guest.files.read(path, cpio.CHUNK, offset):
        yield data
        offset += len(data)


def _listed(guest: Guest, name: str) -> frozenset[str]:
    path = f"/lib/modules/{boot.kernel_release(guest)}/{name}"
    text = guest.files.text(path)
    if text is None:
        raise Unreadable(f"{path} is missing; the kernel's modules cannot be listed")
    matches = (_MODULE.fullmatch(line.split(":")[0].rpartition("/")[2]) for line in lines(text))
    return frozenset(normal(match[1]) for match in matches if match)


def _disables(command: list[str]) -> bool:
    return bool(command) and command[0].rpartition("/")[2] in ("false", "true", ":")
