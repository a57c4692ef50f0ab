"""A hive file edited by hivex, in a child process: its structures come out of the image."""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING, Any

from vhdprep.disk import distribution
from vhdprep.errors import CopyFailed, first_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vhdprep.prepare.keys import KeyEdit

_BINS, _BIN_HEAD = 4096, 32
_PIECE = 1024 * 1024
_TYPES = {"sz": 1, "expand_sz": 2, "dword": 4, "multi_sz": 7}


def edit(path: Path, edits: Sequence[KeyEdit]) -> None:
    """Carry out ``edits`` in the hive file ``path``.

    Raises:
        BackendUnavailable: hivex is not installed.
        CopyFailed: hivex cannot read the hive, or a key that must be there is not.
    """
    kind = _bindings()
    try:
        hive = kind(str(path), write=True)
        for each in edits:
            _edit(hive, each)
        hive.commit(None)
        _wipe(path)
    except (RuntimeError, OSError) as error:
        raise CopyFailed(f"{path.name}: hivex cannot edit this hive ({first_line(error)})") from error


def _wipe(path: Path) -> None:
    """Overwrite the free cells: what was deleted, a password for one, would still stand there."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        at = _BINS
        end = min(_BINS + struct.unpack_from("<I", data, 40)[0], len(data))
        while at < end:
            bin_end = at + struct.unpack_from("<I", data, at + 8)[0]
            if data[at : at + 4] != b"hbin" or not at + _BIN_HEAD < bin_end <= end:
                raise CopyFailed(f"{path.name}: the bin at {at} is damaged after the changes")
            at += _BIN_HEAD
            while at < bin_end:
                size = struct.unpack_from("<i", data, at)[0]
                if not 8 <= abs(size) <= bin_end - at:
                    raise CopyFailed(f"{path.name}: the cell at {at} is damaged after the changes")
                for start in range(at + 4, at + size, _PIECE):
                    data[start : min(start + _PIECE, at + size)] = bytes(min(_PIECE, at + size - start))
                at += abs(size)


def _edit(hive: Any, edit: KeyEdit) -> None:
    node, names = hive.root(), [each for each in edit.key.split("\\") if each]
    for at, name in enumerate(names):
        below = hive.node_get_child(node, name)
        if below is None and edit.type is None:
            return  # what is to go is gone
        node = hive.node_add_child(node, name) if below is None else below
        if edit.name is None and at == len(names) - 1:
            hive.node_delete_child(node)
            return
    if edit.name is None:
        raise CopyFailed("the root of a hive is not removed")
    kept = [
        {"key": key, "t": kind, "value": data}
        for each in hive.node_values(node)
        for key, (kind, data) in [(hive.value_key(each), hive.value_value(each))]
        if key.upper() != edit.name.upper()
    ]
    if edit.type is not None:
        kept.append({"key": edit.name, "t": _TYPES[edit.type], "value": _data(edit)})
    hive.node_set_values(node, kept)


def _data(edit: KeyEdit) -> bytes:
    if edit.type == "dword":
        return struct.pack("<I", int(edit.value or "0"))
    text = f"{edit.value or ''}\0"
    return (f"{text}\0" if edit.type == "multi_sz" else text).encode("utf-16-le")


def _bindings() -> Any:
    return distribution.load("hivex", "sudo apt-get install python3-hivex (Fedora: sudo dnf install python3-hivex)").Hivex
