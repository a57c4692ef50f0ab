"""The B-trees of btrfs: superblock, map of chunks, nodes, keys in order.

Source: Linux ``include/uapi/linux/btrfs_tree.h``. The checksum of a node must be right; it must stand where it says it
stands, on the level its parent expects, and its keys must rise.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.native.btrfschunks import Chunk, chunk
from vhdprep.disk.native.btrfssum import ALGORITHMS, is_sound
from vhdprep.disk.native.checksum import damaged
from vhdprep.disk.native.mapped import Area
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.disk.native.stream import Stream

MAX_NODES = 256
"""Nodes kept in memory, of 16 KiB each as a rule."""
MAX_CHUNKS = 20_000
"""Most chunks of a file system; one covers 1 GiB as a rule."""
MAX_DEVICES = 256
"""Most devices of a file system that are named."""
MAX_LEVEL = 7
"""Highest level of a node (``BTRFS_MAX_LEVEL`` - 1)."""

DEV_ITEM, CHUNK_ITEM, DEV_OBJECT, CHUNK_OBJECT = 216, 228, 1, 256
_SUPER, _MAGIC = 0x10000, b"_BHRfS_M"
_KNOWN_INCOMPAT = 0x10FFF
"""All features up to RAID1C34, and simple quotas: none of them changes what is read here."""
_HEADER = struct.Struct("<32s16sQQ16sQQIB")
_ITEM = struct.Struct("<QBQII")
_POINTER = struct.Struct("<QBQQQ")
_CHUNK = struct.Struct("<QQQQIIIHH")
_STRIPE = struct.Struct("<QQ16s")
_KEY = struct.Struct("<QBQ")
_CHECKSUM = struct.Struct("<HBB")
_TOOL = "btrfs scrub"

Key = tuple[int, int, int]
"""Object id, type, offset."""


class _Node(NamedTuple):
    level: int
    keys: list[Key]
    places: list[tuple[int, int]]
    """Of a leaf offset and size of each item's data; else address and generation of each child."""
    data: bytes


class Identity(NamedTuple):
    """Which device of which file system a superblock belongs to."""

    fsid: bytes
    generation: int
    devices: int
    """How many there are."""
    number: int
    uuid: bytes


def identify(block: bytes) -> Identity:
    """What a superblock says of its device (``struct btrfs_super_block``, ``struct btrfs_dev_item``)."""
    generation, devices = struct.unpack_from("<Q", block, 0x48)[0], struct.unpack_from("<Q", block, 0x88)[0]
    return Identity(block[0x20:0x30], generation, devices, struct.unpack_from("<Q", block, 0xC9)[0], block[0xC9 + 66 : 0xC9 + 82])


def read_super(stream: Stream) -> bytes:
    """The first superblock."""
    return stream.read_at(_SUPER, 4096).ljust(4096, b"\0")


class Device:
    """All devices as one: where the trees are, and their bytes by logical address."""

    def __init__(self, stream: Stream, *others: Stream) -> None:
        """Read the superblock of ``stream`` and the chunk tree; ``others`` are its further devices.

        Raises:
            Unreadable: it contradicts itself, a part of it is not here, or it has features that are not known here.
        """
        block = read_super(stream)
        self.root, chunk_root = struct.unpack_from("<QQ", block, 0x50)
        self.sector, self.node_size = struct.unpack_from("<II", block, 0x90)
        array_size, incompat = struct.unpack_from("<I", block, 0xA0)[0], struct.unpack_from("<Q", block, 0xBC)[0]
        checksum_type, self.root_level, chunk_level = _CHECKSUM.unpack_from(block, 0xC4)
        sizes = [1 << bits for bits in range(12, 17)]
        problems = (
            (block[0x40:0x48] != _MAGIC, "it has no superblock where one must be"),
            (self.node_size not in sizes or self.sector not in sizes, f"it claims nodes of {self.node_size} and sectors of {self.sector} bytes"),
            (array_size > 2048, "its system chunks do not fit where they must be"),
            (incompat & ~_KNOWN_INCOMPAT, f"it has features that are not known here (0x{incompat:x})"),
            (checksum_type not in ALGORITHMS, f"its checksums are of an unknown kind ({checksum_type})"),
        )
        for wrong, text in problems:
            if wrong:
                raise Unreadable(text)
        self._algorithm = ALGORITHMS[checksum_type]
        self._nodes = dict[int, _Node]()
        self._streams: dict[tuple[int, bytes], Stream] = {}
        for each in (stream, *others):
            self._add_stream(each)
        self.chunks: list[Chunk] = []
        self._starts: list[int] = []
        self._add_system_chunks(block[0x32B : 0x32B + array_size])
        self._tree = Tree(self, chunk_root, chunk_level)
        for count, (key, data) in enumerate(self._tree.items(CHUNK_OBJECT, CHUNK_ITEM)):
            if count >= MAX_CHUNKS:
                raise Unreadable(f"it has more than {MAX_CHUNKS} chunks")
            self._add_chunk(key, data)

    def numbers(self) -> list[int]:
        """The numbers of all its devices, here or not."""
        return [number for number, _ in islice(self._tree.items(DEV_OBJECT, DEV_ITEM), MAX_DEVICES)]

    def _add_stream(self, stream: Stream) -> None:
        block = read_super(stream)
        if not is_sound(block, self._algorithm):
            raise damaged("its superblock", _TOOL)
        found = identify(block)
        self._streams[found.number, found.uuid] = stream

    def _add_system_chunks(self, array: bytes) -> None:
        at = 0
        while at + _KEY.size + _CHUNK.size <= len(array):
            start = _KEY.unpack_from(array, at)[2]
            at += _KEY.size
            count = _CHUNK.unpack_from(array, at)[7]
            self._add_chunk(start, array[at : at + _CHUNK.size + count * _STRIPE.size])
            at += _CHUNK.size + count * _STRIPE.size

    def _add_chunk(self, start: int, data: bytes) -> None:
        """Map the addresses from ``start`` on."""
        at = bisect_left(self._starts, start)
        if at < len(self._starts) and self._starts[at] == start:
            return
        length, _, stripe, kind, _, _, _, count, sub = unpack(_CHUNK, data)
        areas = [self._area(data, _CHUNK.size + number * _STRIPE.size) for number in range(count)]
        self._starts.insert(at, start)
        self.chunks.insert(at, chunk(start, length, kind, stripe, sub, areas))

    def _area(self, data: bytes, at: int) -> Area | None:
        if len(data) < at + _STRIPE.size:
            raise Unreadable("an item of a tree is too short")
        number, offset, uuid = _STRIPE.unpack_from(data, at)
        stream = self._streams.get((number, uuid))
        return None if stream is None else Area(stream, offset)

    def read(self, address: int, size: int) -> bytes:
        """Bytes at a logical address; they lie in one chunk.

        Raises:
            Unreadable: no chunk holds them, or a device ends before.
        """
        at = bisect_right(self._starts, address) - 1
        found = self.chunks[at] if at >= 0 else None
        if found is None or not found.start <= address <= found.start + found.length - size:
            raise Unreadable(f"no chunk holds the {size} bytes at {address}")
        data = found.reader.read_at(address - found.start, size)
        if len(data) < size:
            raise Unreadable(f"the device ends before the {size} bytes at {address}")
        return data

    def node(self, address: int, level: int) -> _Node:
        """The node at ``address``, which must be of ``level``."""
        found = self._nodes.get(address)
        if found is None:
            if len(self._nodes) >= MAX_NODES:
                self._nodes.clear()
            found = self._nodes[address] = self._read_node(address)
        if found.level != level:
            raise Unreadable(f"the node at {address} is of level {found.level}, not {level}")
        return found

    def _read_node(self, address: int) -> _Node:
        data = self.read(address, self.node_size)
        if not is_sound(data, self._algorithm):
            raise damaged(f"the tree node at {address}", _TOOL)
        _, _, place, _, _, _, _, count, level = _HEADER.unpack_from(data)
        shape = _POINTER if level else _ITEM
        if place != address or level > MAX_LEVEL or count * shape.size > len(data) - _HEADER.size or (level and not count):
            raise Unreadable(f"there is no node at {address}")
        entries = list(shape.iter_unpack(data[_HEADER.size : _HEADER.size + count * shape.size]))
        return _Node(level, [entry[:3] for entry in entries], [entry[3:] for entry in entries], data)


class Tree:
    """One B-tree."""

    def __init__(self, device: Device, root: int, level: int) -> None:
        """The tree whose root node stands at ``root``."""
        self._device, self._root, self._level = device, root, level

    def items(self, objectid: int, kind: int, first: int = 0) -> Iterator[tuple[int, bytes]]:
        """Offset and data of the items of one object and type, in order, from the offset ``first`` on."""
        for key, data in self._scan((objectid, kind, first)):
            if key[:2] != (objectid, kind):
                return
            yield key[2], data

    def find(self, objectid: int, kind: int, offset: int | None = None) -> bytes | None:
        """Data of one item, or of the first of its object and type; None = there is none."""
        found = next(self.items(objectid, kind, offset or 0), None)
        return None if found is None or (offset is not None and found[0] != offset) else found[1]

    def _scan(self, key: Key) -> Iterator[tuple[Key, bytes]]:
        """Every item from ``key`` on."""
        path: list[tuple[_Node, int]] = []
        node = self._descend(self._device.node(self._root, self._level), key, path)
        at, before = bisect_left(node.keys, key), (-1, 0, 0)
        while True:
            for number in range(at, len(node.keys)):
                if node.keys[number] <= before:
                    raise Unreadable("the keys of a tree do not rise")
                before = node.keys[number]
                yield before, _item(node, number)
            while path and path[-1][1] + 1 >= len(path[-1][0].keys):
                path.pop()
            if not path:
                return
            parent, number = path.pop()
            path.append((parent, number + 1))
            node = self._descend(self._device.node(parent.places[number + 1][0], parent.level - 1), (0, 0, 0), path)
            at = 0

    def _descend(self, node: _Node, key: Key, path: list[tuple[_Node, int]]) -> _Node:
        """The leaf below ``node`` where ``key`` belongs; what was passed is added to ``path``."""
        while node.level:
            number = max(bisect_right(node.keys, key) - 1, 0)
            path.append((node, number))
            node = self._device.node(node.places[number][0], node.level - 1)
        if path and not node.keys:
            raise Unreadable("a tree has an empty leaf")
        return node


def unpack(shape: struct.Struct, data: bytes, at: int = 0) -> tuple[int, ...]:
    """``shape`` at byte ``at`` of an item. Raises ``Unreadable`` when the item is too short."""
    if len(data) < at + shape.size:
        raise Unreadable("an item of a tree is too short")
    return shape.unpack_from(data, at)


def _item(node: _Node, number: int) -> bytes:
    offset, size = node.places[number]
    begin = _HEADER.size + offset
    if begin + size > len(node.data):
        raise Unreadable("an item lies outside its node")
    return node.data[begin : begin + size]
