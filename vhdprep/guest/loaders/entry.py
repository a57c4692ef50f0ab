"""What every boot loader's reading ends in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vhdprep.guest.bootfiles import BootFile

_ARGUMENT = re.compile(r'(?:[^\s"]+|"[^"]*"?)+')


class BootEntry(NamedTuple):
    """The entry that starts when nobody touches the keyboard, with every file of it found."""

    loader: str
    """``grub | grub-legacy | systemd-boot | unified | extlinux``"""
    place: str
    """File and line that define it."""
    title: str
    kernel: BootFile
    initrds: tuple[BootFile, ...]
    arguments: tuple[str, ...]
    """The kernel's command line."""
    release: str | None = None
    """The kernel's version, where the entry states it."""
    halt: str | None = None
    """Why it does not start by itself: ``waits`` at the menu, or asks for a ``password``."""

    @property
    def kernel_path(self) -> str | None:
        """Where the kernel is; None = it is missing."""
        return self.kernel.path

    def values(self, name: str) -> tuple[str, ...]:
        """Values given to a kernel argument, in order; a bare flag gives an empty one."""
        found = (argument.partition("=") for argument in self.arguments)
        return tuple(value for key, _, value in found if key.replace("-", "_") == name.replace("-", "_"))

    def starts_as(self, other: BootEntry) -> bool:
        """Whether both start the same kernel in the same way."""
        return self._essence() == other._essence()

    def _essence(self) -> tuple[str, ...]:
        return (*(each.path or f"missing {each.named}" for each in (self.kernel, *self.initrds)), *self.arguments)


def split(line: str) -> tuple[str, ...]:
    """A kernel command line in its arguments; quotation marks keep blanks and are left out (Linux ``lib/cmdline.c``, ``next_arg``)."""
    return tuple(match.replace('"', "") for match in _ARGUMENT.findall(line))
