"""QCOW2, VMDK and VDI, which are not read here: unpacked by qemu-img into a file that has no name.

An image of a stranger could make qemu-img read other files of the host. So its format is never guessed, and whatever names
another file (a backing file, a parent, an extent outside the image's folder) is refused before qemu-img sees it.

Sources: QEMU ``docs/interop/qcow2.txt``, ``block/vmdk.c``, ``block/vdi.c``; VMware, "Virtual Disk Format 5.0".
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vhdprep.errors import BackendUnavailable, CopyFailed, Unreadable, first_line
from vhdprep.vhd.blocks import FlatReader
from vhdprep.vhd.container import open_image, read_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vhdprep.vhd.blocks import Reader

FORMATS = ("qcow2", "vmdk", "vdi")
MAX_DESCRIPTOR = 1024 * 1024
"""Bytes of a descriptor that is a file of its own; qemu reads as many."""
MAX_EXTENTS = 256
"""Files that a VMDK may consist of."""
MAX_MEMORY = 3 * 1024**3
"""Address space of qemu-img, in bytes."""

_EXTENT = re.compile(r'(?:RW|RDONLY|NOACCESS) \d+ (?:SPARSE|FLAT|ZERO|VMFS|VMFSSPARSE) "([^"/\\:]+)"(?: \d+)?')
_VALUE = re.compile(r'[\w.]+ ?= ?"[^"]*"')
_INNER_DESCRIPTOR = slice(512, 512 + 20 * 512)
"""Where the descriptor stands in a VMDK that has its data in the same file."""
_NO_PARENT = re.compile(r"parentCID ?= ?ffffffff", re.IGNORECASE)


@contextmanager
def unpack(path: Path, kind: str, scratch: Path) -> Iterator[Reader]:
    """The disk in ``path``, which is a ``kind`` of ``FORMATS``; ``scratch`` is a folder with room for it.

    Raises:
        BackendUnavailable: there is no qemu-img.
        Unreadable: it leads to other files, or qemu-img does not read it.
        CopyFailed: there is no room for it.
    """
    if kind == "qcow2":
        _refuse_qcow2(path)
    elif kind == "vmdk":
        _refuse_vmdk(path)
    program = shutil.which("qemu-img")
    if program is None:
        raise BackendUnavailable(f"{path}: a {kind.upper()} is read by qemu-img, which is not installed; run: sudo apt-get install qemu-utils")
    with tempfile.TemporaryFile(dir=scratch, buffering=0) as out:
        protocol = {"driver": "file", "filename": os.path.abspath(path)}  # noqa: PTH100 - links stay: a VMDK's extents are beside its name
        source = {"driver": kind, "file": protocol, **({} if kind == "vdi" else {"backing": None})}
        _run([program, "convert", "-O", "raw", f"json:{json.dumps(source)}", f"/dev/fd/{out.fileno()}"], out.fileno(), path)
        yield FlatReader(out, out.seek(0, 2))


def _run(command: list[str], descriptor: int, path: Path) -> None:
    import resource

    limits = (MAX_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1])
    with subprocess.Popen(
        command, pass_fds=[descriptor], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"}
    ) as child:
        try:
            if hasattr(resource, "prlimit"):
                resource.prlimit(child.pid, resource.RLIMIT_AS, limits)
            _, complaint = child.communicate()
        finally:
            if child.poll() is None:  # somebody wants the program to end
                child.kill()
    if child.returncode:
        text = first_line(RuntimeError(complaint.decode("utf-8", "replace").strip()))
        if "No space left" in text:
            raise CopyFailed("there is no room to unpack the image beside the copy; make room, or write elsewhere")
        raise Unreadable(f"{path.name}: qemu-img does not read it ({text})")


def _refuse_qcow2(path: Path) -> None:
    with open_image(path) as handle:
        header = read_at(handle, 0, 80).ljust(80, b"\0")
    version, backing, encrypted = (int.from_bytes(header[at : at + size], "big") for at, size in ((4, 4), (8, 8), (32, 4)))
    if backing:
        raise Unreadable(f"{path.name} holds only changes to another image; merge the two first: qemu-img convert -O qcow2 {path.name} whole.qcow2")
    if encrypted:
        raise Unreadable(f"{path.name} is encrypted")
    if version > 2 and header[79] & 4:
        raise Unreadable(f"{path.name} keeps its data in another file; put all into one first: qemu-img convert -O qcow2 {path.name} whole.qcow2")


def _refuse_vmdk(path: Path) -> None:
    with open_image(path) as handle:
        start = read_at(handle, 0, MAX_DESCRIPTOR)
    if not start.startswith((b"KDMV", b"COWD")):
        for name in _extents(path, start):
            _refuse_extent(path.with_name(name), path)
        return
    _refuse_parent(path, start[_INNER_DESCRIPTOR])
    if start.startswith(b"KDMV") and not any(start[12:20]):
        raise Unreadable(f"{path.name} is a VMDK that only names other files")


def _extents(path: Path, descriptor: bytes) -> list[str]:
    """The names of the files of which a VMDK consists, all of them plain names."""
    _refuse_parent(path, descriptor)
    found: list[str] = []
    for line in descriptor.decode("latin-1").rstrip("\0").splitlines():
        text = line.strip()
        if '"' not in text or _VALUE.fullmatch(text):
            continue
        extent = _EXTENT.fullmatch(text)
        if extent is None or len(found) >= MAX_EXTENTS:
            raise Unreadable(f"{path.name} names files outside its folder, or more than {MAX_EXTENTS}, or is no VMDK; put its parts beside it")
        found.append(extent[1])
    return found


def _refuse_extent(extent: Path, path: Path) -> None:
    """A part is a file of the folder, and must not lead further."""
    if extent.is_symlink() or not extent.is_file():
        raise Unreadable(f"{extent.name}, a part of {path.name}, is not beside it")
    with open_image(extent) as handle:
        start = read_at(handle, 0, 512)
    if start.startswith(b"KDMV") and not any(start[12:20]):
        raise Unreadable(f"{extent.name}, a part of {path.name}, only names other files")


def _refuse_parent(path: Path, descriptor: bytes) -> None:
    text = descriptor.decode("latin-1")
    if "parentFileNameHint" in text or ("parentCID" in text and not _NO_PARENT.search(text)):
        raise Unreadable(f"{path.name} holds only changes to another image; merge its snapshots first")
