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
    def needs_disk(self) -> bool:
        """Whether a local block device must be there for it."""
        return not (self.type in _VIRTUAL or self.type in _NETWORK or self.is_bind or "_netdev" in self.options or _REMOTE.match(self.spec))

    @property
    def may_be_missing(self) -> bool:
        """Whether boot goes on without it."""
        return bool({"nofail", "noauto", "failok"} & set(self.options)) or "x-systemd.automount" in self.options


def parse(text: str) -> tuple[FstabEntry, ...]:
    """Entries in the order of their lines; lines with fewer than two fields are ignored, as mount(8) does."""
    entries = []
    for number, line in enumerate(lines(text), 1):
        fields = line.split()
        if len(fields) < 2 or fields[0].startswith("#"):
            continue
        spec, point = (_unescape(field) for field in fields[:2])
        if "=" in spec:
            tag, _, value = spec.partition("=")
            spec = f"{tag}={value.strip(chr(34))}"
        if point.startswith("/"):
            point = "/" + posixpath.normpath(point).lstrip("/")
        kind = fields[2] if len(fields) > 2 else "auto"
        options = tuple(fields[3].split(",")) if len(fields) > 3 else ("defaults",)
        entries.append(FstabEntry(number, spec, point, kind, options))
    return tuple(entries)


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
