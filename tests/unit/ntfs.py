"""An NTFS volume in memory, from ``path: content``."""

from __future__ import annotations

import io

from fixtures import ntfs
from vhdprep.disk.native.ntfs import open_files
from vhdprep.disk.native.stream import Stream

MIB = 1024 * 1024


class Memory:
    """Bytes as a disk."""

    def __init__(self, data):
        self.data = bytearray(data)

    @property
    def size(self):
        return len(self.data)

    def read_at(self, offset, size):
        return bytes(self.data[offset : offset + size])

    def record(self, name):
        """Offset of the record of the file ``name``."""
        wanted = bytes([len(name)]), name.encode("utf-16-le")
        for at in range(0, self.size, 1024):
            named = self._find(at, 0x30) if self.data[at : at + 4] == b"FILE" else None
            if named and (self.data[named + 88 : named + 89], self.data[named + 90 : named + 90 + 2 * len(name)]) == wanted:
                return at
        raise LookupError(name)

    def attribute(self, name, kind):
        """Offset of an attribute of the file ``name``."""
        return self._find(self.record(name), kind)

    def _find(self, record, kind):
        at = record + 56
        while (found := self.number(at, 4)) != kind:
            if found == 0xFFFFFFFF:
                return None
            at += self.number(at + 4, 4)
        return at

    def number(self, at, size):
        return int.from_bytes(self.data[at : at + size], "little")

    def put(self, at, data):
        self.data[at : at + len(data)] = data


def written(tree, size=4 * MIB, **options):
    """The volume's bytes."""
    file = io.BytesIO(bytes(size))
    ntfs.write(file, size, tree, options)
    return Memory(file.getvalue())


def opened(disk):
    """Its files."""
    return open_files(Stream(disk, 0, disk.size))


def files(tree, size=4 * MIB, **options):
    return opened(written(tree, size, **options))
