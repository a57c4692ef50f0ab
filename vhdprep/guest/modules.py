"""Kernel modules of the default kernel: built in, in the initramfs, on the root, or blocked.

Names compare with ``-`` and ``_`` equal, as kmod does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest import boot, kernelconfig
from vhdprep.guest.formats import cpio
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.image import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

_MODULE = re.compile(r"(.+)\.ko(?:\.(?:gz|xz|zst))?")
_PACKED = re.compile(r"(?:^|/)(?:squash|squashfs|erofs)[-/]root\.img$|\.(?:squashfs|sqfs|sfs|erofs)$")
_LINE = re.compile(r"(?:^|/)etc/cmdline(?:\.d/.+\.conf)?$")
_MODPROBE_DIRECTORIES = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")
MAX_INITRAMFS = 1024**3
"""Largest initramfs file that is opened, in bytes."""


def normal(name: str) -> str:
    """The name kmod compares: ``pci-hyperv`` → ``pci_hyperv``."""
    return name.replace("-", "_")


def is_built_in(guest: Guest, name: str) -> bool:
    """Whether a module (normal name) is part of the kernel image: by ``modules.builtin``, without it by the kernel's configuration.

    Raises:
        Unreadable: there is neither.
    """
    try:
        return name in _built_in(guest)
    except Unreadable:
        if kernelconfig.path(guest) is None:
            raise
        return kernelconfig.builds_in(guest, name)


@once
def _built_in(guest: Guest) -> frozenset[str]:
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
    """Which of ``wanted`` (normal names) the default entry's initramfs holds; reading stops when all were seen.

    Raises:
        Unreadable: some were not seen, and a file system inside the initramfs may hold them.
    """
    index = _index(guest)
    while not wanted <= index.modules and index.more():
        pass
    if index.packed and not wanted <= index.modules:
        raise Unreadable(f"{', '.join(sorted(wanted - index.modules))}: may lie in {index.packed} inside the initramfs, which is not read")
    return wanted & index.modules


def holds_generator(guest: Guest) -> bool:
    """Whether systemd in the default entry's initramfs finds a root by its partition type (systemd-gpt-auto-generator(8)).

    Raises:
        Unreadable: something else in it may name the root.
    """
    index = _whole(guest)
    if unread := index.own_line or (index.packed if not index.generator else None):
        raise Unreadable(f"what names the root may lie in {unread} inside the initramfs, which is not read")
    return index.generator


def hidden_line(guest: Guest) -> str | None:
    """What in the default entry's initramfs is, or may hold, a piece of a command line."""
    index = _whole(guest)
    return index.own_line or index.packed


def _whole(guest: Guest) -> _Index:
    index = _index(guest)
    while index.more():
        pass
    return index


class _Index:
    """What was seen so far in the initramfs files of one entry."""

    def __init__(self, names: Iterator[str]) -> None:
        self._names = names
        self._failed: Unreadable | None = None
        self.modules: set[str] = set()
        self.generator = False
        self.own_line: str | None = None
        """A piece of a command line inside it (dracut's ``kernel_cmdline``)."""
        self.packed: str | None = None
        """A file system inside it (dracut's squash modules)."""

    def more(self) -> bool:
        """Read on to the next name that matters; False = the end."""
        if self._failed:
            raise Unreadable(str(self._failed)) from self._failed
        try:
            return any(self._take(name) for name in self._names)
        except Unreadable as error:
            self._failed = error
            raise

    def _take(self, name: str) -> bool:
        if match := _MODULE.fullmatch(name.rpartition("/")[2]):
            self.modules.add(normal(match[1]))
        elif name.endswith("/systemd-gpt-auto-generator"):
            self.generator = True
        elif _PACKED.search(name):
            self.packed = name
        elif _LINE.search(name):
            self.own_line = name
        else:
            return False
        return True


@once
def _index(guest: Guest) -> _Index:
    return _Index(_names(guest))


def _names(guest: Guest) -> Iterator[str]:
    for each in boot.default_entry(guest).initrds:
        if each.path is None:
            raise Unreadable(f"the initramfs {each.named} is missing")
        if each.length() > MAX_INITRAMFS:
            raise Unreadable(f"{each.path}: {each.length()} bytes are too many for an initramfs")
        yield from cpio.names(each.chunks(cpio.CHUNK), each.path)


def _listed(guest: Guest, name: str) -> frozenset[str]:
    path = f"/lib/modules/{boot.kernel_release(guest)}/{name}"
    text = guest.files.text(path)
    if text is None:
        raise Unreadable(f"{path} is missing; the kernel's modules cannot be listed")
    matches = (_MODULE.fullmatch(line.split(":")[0].rpartition("/")[2]) for line in lines(text))
    return frozenset(normal(match[1]) for match in matches if match)


def _disables(command: list[str]) -> bool:
    return bool(command) and command[0].rpartition("/")[2] in ("false", "true", ":")
