"""``/etc/fstab`` (fstab(5) of Linux, FreeBSD and OpenBSD, systemd.mount(5))."""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple

from vhdprep.guest.formats.textlines import lines

_REMOTE = re.compile(r"//|[^/=]+:")
_DISK_NAME = re.compile(r"[0-9a-f]{16}\.[a-zA-Z]$")
_VIRTUAL = {"proc", "sysfs", "tmpfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs",
            "configfs", "fusectl", "hugetlbfs", "mqueue", "efivarfs", "overlay", "none", "bpf", "ramfs", "autofs",
            "procfs", "fdescfs", "linprocfs", "linsysfs", "devfs", "mfs"}  # fmt: skip
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "9p", "fuse.sshfs", "davfs", "afs"}


class FstabEntry(NamedTuple):
    """One line that mounts something."""

    line: int
    spec: str
    """First field, unescaped: ``UUID=…``, ``/dev/…``."""
    point: str
    type: str
    options: tuple[str, ...]

    @property
    def is_swap(self) -> bool:
        """Whether it is swap space."""
        return self.type == "swap"

    @property
    def names_device(self) -> bool:
        """Whether the first field is the name of a device, a tag, or OpenBSD's name of a disk."""
        return self.spec.startswith("/dev/") or "=" in self.spec or bool(_DISK_NAME.match(self.spec))

    @property
    def is_bind(self) -> bool:
        """Whether it shows a directory of the tree at a second place."""
        return bool({"bind", "rbind"} & set(self.options)) or self.type == "nullfs"

    @property
    def may_lie_here(self) -> bool:
        """Whether it names a block device, be it one that is reached over the network."""
        return not (self.type in _VIRTUAL or self.type in _NETWORK or self.is_bind or _REMOTE.match(self.spec))

    @property
    def needs_disk(self) -> bool:
        """Whether a local block device must be there for it."""
        return self.may_lie_here and "_netdev" not in self.options

    @property
    def is_mounted(self) -> bool:
        """Whether it is mounted at boot, or as soon as somebody looks."""
        return "noauto" not in self.options or "x-systemd.automount" in self.options

    @property
    def may_be_missing(self) -> bool:
        """Whether boot goes on without it: wanted or required by another unit, it is no part of local-fs.target."""
        if any(option.startswith(("x-systemd.wanted-by=", "x-systemd.required-by=")) for option in self.options):
            return True
        return bool({"nofail", "noauto", "failok", "x-systemd.automount"} & set(self.options))


def parse(text: str) -> tuple[FstabEntry, ...]:
    """Entries in the order of their lines; lines with fewer than two fields are ignored, as mount(8) does."""
    entries = []
    for number, words in fields(text):
        spec, point = tagged(words[0]), words[1]
        if point.startswith("/"):
            point = "/" + posixpath.normpath(point).lstrip("/")
        kind = words[2] if len(words) > 2 else "auto"
        options = tuple(words[3].split(",")) if len(words) > 3 else ("defaults",)
        entries.append(FstabEntry(number, spec, point, kind, options))
    return tuple(entries)


def fields(text: str) -> list[tuple[int, list[str]]]:
    """Number and fields, unescaped, of every line that has at least two and is no comment."""
    split = ((number, line.split()) for number, line in enumerate(lines(text), 1))
    return [(number, [_unescape(each) for each in words]) for number, words in split if len(words) > 1 and not words[0].startswith("#")]


def tagged(spec: str) -> str:
    """``UUID="…"`` without its quotation marks, double or single."""
    tag, equals, value = spec.partition("=")
    quoted = len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]
    return f"{tag}={value[1:-1] if quoted else value}" if equals else spec


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
