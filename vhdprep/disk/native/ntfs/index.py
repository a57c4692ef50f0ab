"""Directories of NTFS: a tree of names, listed as a whole.

Read here, not through pyfsntfs, which loads the record of every name: 20,000 names take it 0.2 s and 60 MB.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.backend import fold_case
from vhdprep.disk.native.ntfs.attribute import ALLOCATION, ROOT
from vhdprep.disk.native.ntfs.mft import MAX_RECORD, fix_up
from vhdprep.disk.native.tree import MAX_NAMES
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from vhdprep.disk.native.ntfs.mft import Entry, Mft

MAX_INDEX = 64 * 1024 * 1024
"""Bytes of a directory's index; half a million names of forty characters take as much."""
INDEX = "$I30"
_ROOT_HEADER, _BLOCK_HEADER = 16, 24
_HAS_CHILD, _LAST = 1, 2
_DOS = 2
"""Namespace of a short name that stands beside a long one."""
_SYSTEM_RECORDS = 24
"""Records below this one are the file system's own: ``$MFT``, ``$Bitmap``, the root itself."""
_ENTRY = struct.Struct("<QHHI")


class Listing(NamedTuple):
    """The names in a directory."""

    names: dict[str, int]
    """Name as stored → reference; without short names."""
    folded: dict[str, int]
    """Name without case, short names too → reference."""

    def find(self, name: str) -> int | None:
        """The reference of ``name``: as written if it is there, else without case."""
        found = self.names.get(name)
        return self.folded.get(fold_case(name)) if found is None else found


class _Found(NamedTuple):
    """What the nodes of a tree hold, one item an entry."""

    references: list[int]
    names: list[bytes]
    spaces: list[int]


def list_names(mft: Mft, entry: Entry) -> Listing:
    """Every name in the directory ``entry``.

    Raises:
        Unreadable: the index is damaged, runs in a circle, or is larger than the limits.
    """
    root = entry.find(ROOT, INDEX)
    if root is None:
        raise Unreadable("its index is missing")
    found = _Found([], [], [])
    pending = _add_node(mft.read(root, 0, MAX_RECORD), _ROOT_HEADER, found)
    blocks = _Blocks(mft, entry) if pending else None
    while pending and blocks:
        pending += _add_node(blocks.take(pending.pop()), _BLOCK_HEADER, found)
        if len(found.names) > MAX_NAMES:
            raise Unreadable(f"the directory has more than {MAX_NAMES} entries")
    return _listing(found)


def index_size(entry: Entry) -> int:
    """Bytes that listing a directory reads.

    Raises:
        Unreadable: they are more than ``MAX_INDEX``.
    """
    allocation = entry.find(ALLOCATION, INDEX)
    size = allocation.size if allocation else 0
    if size > MAX_INDEX:
        raise Unreadable(f"its index is larger than {MAX_INDEX} bytes")
    return size


def _listing(found: _Found) -> Listing:
    """Decoded and folded all at once: one by one would take twice as long."""
    if not found.names:
        return Listing({}, {})
    try:
        names = b"\0\0".join(found.names).decode("utf-16-le").split("\0")
    except UnicodeDecodeError:
        names = [_escape(name) for name in found.names]
    text = "/".join(names)
    if len(names) != len(found.names) or text.count("/") >= len(names) or "\0" in text or not {"", ".", ".."}.isdisjoint(names):
        raise Unreadable("its index is damaged: it holds what cannot be a name")
    listing = Listing({}, {})
    for name, folded, reference, space in zip(names, fold_case(text).split("/"), found.references, found.spaces, strict=True):
        listing.folded.setdefault(folded, reference)
        if space != _DOS:
            listing.names[name] = reference
    return listing


def _escape(raw: bytes) -> str:
    """A name with halves of surrogate pairs, which no output could print."""
    return raw.decode("utf-16-le", "surrogatepass").encode("utf-8", "backslashreplace").decode()


class _Blocks:
    """The nodes of a tree that is too large for the record; each is taken once."""

    def __init__(self, mft: Mft, entry: Entry) -> None:
        allocation = entry.find(ALLOCATION, INDEX)
        if allocation is None:
            raise Unreadable("its index is missing")
        self._data = mft.read(allocation, 0, index_size(entry))
        self._size = mft.geometry.node
        # Nodes are numbered by clusters, or by sectors where a cluster is larger than a node.
        self._step = mft.geometry.cluster if mft.geometry.cluster <= self._size else 512
        self._taken: set[int] = set()

    def take(self, number: int) -> bytes:
        if number in self._taken:
            raise Unreadable("its index runs in a circle")
        self._taken.add(number)
        at = number * self._step
        return fix_up(self._data[at : at + self._size], b"INDX", f"index node {number}")


def _add_node(data: bytes, header: int, found: _Found) -> list[int]:
    """Add the names of one node; return the numbers of the nodes below it."""
    first, used = struct.unpack_from("<II", data, header)
    at, end = header + first, min(header + used, len(data))
    references, names, spaces = found
    children = []
    while at + 16 <= end:
        reference, length, _, flags = _ENTRY.unpack_from(data, at)
        if length < 16 or at + length > end:
            raise Unreadable("its index is damaged: an entry does not fit")
        if flags & _HAS_CHILD:
            children.append(int.from_bytes(data[at + length - 8 : at + length], "little"))
        if flags & _LAST:
            return children
        if reference & 0xFFFFFFFFFFFF >= _SYSTEM_RECORDS:
            references.append(reference)
            names.append(data[at + 82 : at + 82 + 2 * data[at + 80]])
            spaces.append(data[at + 81])
        at += length
    raise Unreadable("its index is damaged: a node has no end")
