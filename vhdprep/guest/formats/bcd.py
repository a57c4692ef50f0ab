"""A Boot Configuration Data store: objects with typed elements, kept in a hive.

Sources: element types as in the BcdElementType documentation; devices as ReactOS ``boot/environ/include/bl.h`` has
them and two real stores confirm. On disk device types count 5 = boot, 6 = partition, 8 = locate; the programming
interface numbers them otherwise.
"""

from __future__ import annotations

import struct
import uuid
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.model import ABSENT, Absent

if TYPE_CHECKING:
    from vhdprep.guest.registry import Key
    from vhdprep.model import Value

BOOT_MANAGER = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
EMS_SETTINGS = "{0ce4991b-e6b3-4b16-b23c-5e0d9250e5d9}"
MAX_INHERITED = 32
"""Objects that one look-up may pass through."""
_INHERITS, _DEFAULT, _ORDER = "14000006", "23000003", "24000001"
_DEVICE, _INTEGER, _BOOLEAN, _INTEGERS = 1, 5, 6, 7
_KINDS = {5: "boot", 6: "partition", 8: "locate"}
_GPT, _MBR = 0, 1


class Device(NamedTuple):
    """Where an element says that something lies."""

    kind: str
    """``boot`` = the partition that was booted from, ``locate`` = wherever the file is found, ``partition``, ``other``"""
    partition: str | None = None
    """GPT: the partition's GUID."""
    offset: int | None = None
    """MBR: the partition's first byte."""
    disk: str | None = None
    """The disk's GUID, or its MBR signature as ``0x1a2b3c4d``."""


class Store:
    """The objects of a store."""

    def __init__(self, root: Key | None) -> None:
        """``root`` is the hive's root key; None = a disk without a store, which has no object."""
        self._objects = root and root.subkey("Objects")

    def default_loader(self) -> str | None:
        """The object that starts when nobody chooses: the boot manager's default, else the first that it shows."""
        default = self.element(BOOT_MANAGER, _DEFAULT)
        if isinstance(default, str) and default:
            return default
        order = self.element(BOOT_MANAGER, _ORDER)
        return order[0] if isinstance(order, tuple) and order else None

    def element(self, identifier: str, element: str) -> Value | Device:
        """The element of an object, or what the object inherits: text, number, yes or no, list, or a device.

        ``element`` is the type in eight hexadecimal digits, as bcdedit's documentation and the store write it.
        """
        objects = [identifier]
        for each in objects:  # it grows while it is walked: breadth first
            found = self._own(each, element)
            if found is not ABSENT:
                return _typed(element, found)
            above = self._own(each, _INHERITS)
            objects += [name for name in dict.fromkeys(above) if name not in objects] if isinstance(above, tuple) else []
            del objects[MAX_INHERITED:]
        return ABSENT

    def _own(self, identifier: str, element: str) -> Value:
        key = self._objects and self._objects.subkey(identifier)
        for name in ("Elements", element):
            key = key and key.subkey(name)
        return key.value("Element") if key else ABSENT


def _typed(element: str, value: Value) -> Value | Device:
    kind = int(element[1], 16)
    if isinstance(value, Absent) or not isinstance(value, str) or kind not in (_DEVICE, _INTEGER, _BOOLEAN, _INTEGERS):
        return value
    try:
        data = bytes.fromhex(value)
    except ValueError:
        return value
    if kind == _BOOLEAN:
        return any(data)
    if kind == _INTEGER:
        return int.from_bytes(data, "little")
    if kind == _INTEGERS:
        return tuple(f"0x{each:08x}" for (each,) in struct.iter_unpack("<Q", data[: len(data) & ~7]))
    return _device(data)


def _device(data: bytes) -> Device:
    """16 bytes for options, then type, flags, size, and from byte 32 what the type needs."""
    if len(data) < 72:
        return Device("other")
    kind = _KINDS.get(struct.unpack_from("<I", data, 16)[0], "other")
    style = struct.unpack_from("<I", data, 52)[0]
    if kind != "partition" or style not in (_GPT, _MBR):
        return Device(kind if kind != "partition" else "other")
    if style == _GPT:
        return Device(kind, partition=str(uuid.UUID(bytes_le=data[32:48])), disk=str(uuid.UUID(bytes_le=data[56:72])))
    offset, signature = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<I", data, 56)[0]
    return Device(kind, offset=offset, disk=f"0x{signature:08x}")
