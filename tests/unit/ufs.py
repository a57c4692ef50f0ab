"""A UFS volume in memory, made by makefs, and the places in it that tests break."""

from __future__ import annotations

import struct
import tempfile
from functools import lru_cache
from pathlib import Path

from fixtures import filesystem
from tests.unit.ntfs import Memory
from vhdprep.disk.native import NativeDisk, ufssuper
from vhdprep.disk.native.stream import Stream

MIB = 1024 * 1024
LARGE = b"".join(b"block %07d " % number for number in range(200_000))
"""2.8 MB: with blocks of 4 KiB it needs a block of pointers to blocks of pointers, in UFS1 and UFS2."""
TREE = {
    "/etc/rc.conf": b"sshd_enable=YES\n",
    "/etc/empty": b"",
    "/bin/sh": b"\x7fELF" * 3000,
    "/large": LARGE,
    "/short": {"link": "etc/rc.conf"},
    "/long": {"link": "x" * 150},
    "/folder": {"directory": True},
    **{f"/many/file {number:04}": b"%d" % number for number in range(300)},
}


class Volume(Memory):
    """The bytes of a volume, and where its structures are."""

    @property
    def super(self):
        """The superblock as the reader has it."""
        stream = Stream(self, 0, self.size)
        return ufssuper.find(stream, stream.read_at(0, 0x11000))

    def field(self, at, code, *values):
        """A field of the superblock; with a value, set it first."""
        shape = self.super.order + code
        if values:
            struct.pack_into(shape, self.data, self.super.place + at, *values)
        return struct.unpack_from(shape, self.data, self.super.place + at)

    def inode(self, path):
        """Byte of the inode of ``path``."""
        found = opened(self)
        return found._super.inode_address(found._number(path))

    def pointer(self, path, number, *value):
        """One of the fifteen pointers in the inode of ``path``; with a value, set it."""
        version, order = self.super.version, self.super.order
        at = self.inode(path) + (40 if version == 1 else 112) + number * 4 * version
        shape = f"{order}{'i' if version == 1 else 'q'}"
        if value:
            struct.pack_into(shape, self.data, at, *value)
        return struct.unpack_from(shape, self.data, at)[0]

    @property
    def pointers(self):
        """Byte of the first block of pointers of /large."""
        return self.block("/large", 12)

    def block(self, path, number=0):
        """Byte of a direct block of ``path``."""
        return self.pointer(path, number) * self.super.fragment


@lru_cache(maxsize=2)
def made(size=16 * MIB, **options):
    """The bytes that makefs makes of ``TREE``."""
    with tempfile.TemporaryDirectory() as place:
        out, scratch = Path(place, "out"), Path(place, "tree")
        scratch.mkdir()
        filesystem.make("ufs", out, size, dict(TREE), {"block": 4096, "fragment": 512, **options}, scratch)
        return out.read_bytes()


def volume(**options):
    """A volume of one's own to break."""
    return Volume(made(**options))


def opened(disk):
    """The files of the volume."""
    found = NativeDisk(disk)
    (only,) = found.volumes
    assert only.read, only.reason
    return found.files(only)


def described(disk):
    """The one volume on the disk."""
    (only,) = NativeDisk(disk).volumes
    return only
