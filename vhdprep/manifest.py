"""Manifests: a YAML file that names the disks of one machine's image and says what it is to become.

``disks`` is a list; everything else is optional. Files that are not absolute count from the manifest's folder.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep import hostfile, location
from vhdprep.declared import Declared, DeclaredDisk
from vhdprep.errors import Complaint, RuleError, UsageError
from vhdprep.guest.formats import yamltext
from vhdprep.guest.formats.plain import Lines
from vhdprep.model import Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAX_FILE = 256 * 1024
"""Bytes of a manifest."""
MAX_DATA_DISKS = 64
"""LUNs that the largest machines of Azure have."""
_SIZE = re.compile(r"(\d{1,9})\s*(MiB|GiB|TiB)")
_UNITS = {"MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_DISK_KEYS = ("file", "role", "lun", "size")


class Field(NamedTuple):
    """What one key of a manifest may hold."""

    type: type
    """str, int, bool or tuple (a list of texts)."""
    choices: tuple[str | int, ...] = ()


FIELDS: dict[str, Field] = {
    "destination": Field(str, tuple(str(each) for each in Target)),
    "kind": Field(str, ("gallery", "managed-image")),
    "generation": Field(int, (1, 2)),
    "architecture": Field(str, ("x64", "Arm64")),
    "security_type": Field(
        str,
        (
            "Standard",
            "TrustedLaunchSupported",
            "TrustedLaunch",
            "ConfidentialVMSupported",
            "ConfidentialVM",
            "TrustedLaunchAndConfidentialVMSupported",
        ),
    ),
    "disk_controllers": Field(tuple, ("SCSI", "NVMe")),
    "accelerated_networking": Field(bool),
    "hibernation": Field(bool),
    "replication": Field(str, ("full", "shallow")),
    "version": Field(str),
    "group": Field(str),
    "gallery": Field(str),
    "image": Field(str),
    "publisher": Field(str),
    "offer": Field(str),
    "sku": Field(str),
    "location": Field(str),
}
"""What a manifest may say about the image, beside ``disks`` and ``previous`` (the manifest of the version before)."""
_KEYS = ("disks", "previous", *FIELDS)


def load(path: Path) -> Declared:
    """The manifest in ``path``, and the one it names as ``previous``.

    Raises:
        RuleError: anything in it is wrong; carries every complaint.
        UsageError: it cannot be read.
    """
    data = _read(path)
    before = data.get("previous")
    return _declared(path, data)._replace(previous=None if before is None else _declared(place := path.parent / before, _read(place)))


def target(declared: Declared | None, asked: Target | None) -> Target:
    """What the image is to become: as it was asked for, by the manifest, else a generalized image.

    Raises:
        UsageError: the two differ.
    """
    stated = declared.fields.get("destination") if declared else None
    if asked is not None and stated is not None and asked != stated:
        raise UsageError(f"--as, or the plan, says {asked}, and {declared.path if declared else ''} says `destination: {stated}`; leave one out")
    return asked or (Target(str(stated)) if stated is not None else Target.GENERALIZED)


def _read(path: Path) -> Lines:
    text = hostfile.read(path, MAX_FILE, "the manifest", "manifest")
    try:
        data = yamltext.load(text.decode())
    except UnicodeDecodeError as error:
        raise RuleError([Complaint(str(path), 1, "is no text in UTF-8")]) from error
    except yamltext.YamlError as error:
        raise RuleError([Complaint(str(path), error.line, str(error))]) from error
    if not isinstance(data, Lines):
        raise RuleError([Complaint(str(path), 1, "a manifest is a mapping; it begins with `disks:`")])
    if complaints := [Complaint(str(path), line, problem) for line, problem in _problems(data)]:
        raise RuleError(complaints)
    return data


def _declared(path: Path, data: Lines) -> Declared:
    disks = [_disk(path, each) for each in data["disks"]]
    first = next(each for each in disks if each.role == "os")
    others = [each for each in disks if each.role == "data"]
    numbered = [each if each.lun is not None else each._replace(lun=number) for number, each in enumerate(others)]
    fields = {key: _plain(data[key]) for key in FIELDS if key in data}
    return Declared(str(path), (first, *sorted(numbered, key=lambda each: each.lun or 0)), fields)


def _disk(path: Path, data: Lines) -> DeclaredDisk:
    role = data.get("role", "data")
    return DeclaredDisk(role, location.listed(data["file"], path.parent), data.get("lun"), _bytes(data["size"]) if "size" in data else None)


def _plain(value: Any) -> str | int | bool | tuple[str, ...]:
    if isinstance(value, list):
        return tuple(value)
    plain: str | int | bool = value
    return plain


def _bytes(value: str | int) -> int | None:
    """Bytes of ``64 GiB``, or of a number; None = it is neither."""
    if isinstance(value, int):
        return value if value > 0 and not isinstance(value, bool) else None
    size = _SIZE.fullmatch(value) if isinstance(value, str) else None
    return int(size[1]) * _UNITS[size[2]] if size else None


def _problems(data: Lines) -> Iterator[tuple[int, str]]:
    for key in data:
        if key not in _KEYS:
            yield data.line_of(key), f"unknown key {key!r}{_guess(key, _KEYS)}"
        elif key in FIELDS and (problem := _wrong(FIELDS[key], data[key])):
            yield data.line_of(key), f"{key} {problem}"
    if not isinstance(before := data.get("previous", ""), str) or ("previous" in data and not before):
        yield data.line_of("previous"), "previous is the file of the manifest of the version before"
    disks = data.get("disks")
    if not isinstance(disks, list) or not disks or not all(isinstance(each, Lines) for each in disks):
        yield data.line_of("disks"), "disks is a list; each begins with `- file: NAME.vhd`, one of them says `role: os`"
        return
    for each in disks:
        yield from _disk_problems(each)
    if len([each for each in disks if each.get("role") == "os"]) != 1:
        yield data.line_of("disks"), "one disk, and only one, says `role: os`"
    if len(disks) > MAX_DATA_DISKS + 1:
        yield data.line_of("disks"), f"a machine has at most {MAX_DATA_DISKS} data disks"


def _disk_problems(data: Lines) -> Iterator[tuple[int, str]]:
    for key in data:
        if key not in _DISK_KEYS:
            yield data.line_of(key), f"unknown key {key!r} of a disk{_guess(key, _DISK_KEYS)}"
    if not isinstance(data.get("file"), str) or not data["file"]:
        yield data.line_of("file"), "file names the disk's image"
    if data.get("role", "data") not in ("os", "data"):
        yield data.line_of("role"), "role is os or data"
    lun = data.get("lun", 0)
    if not isinstance(lun, int) or isinstance(lun, bool) or lun < 0:
        yield data.line_of("lun"), "lun is a number, from 0"
    if "lun" in data and data.get("role") == "os":
        yield data.line_of("lun"), "the disk of the operating system has no LUN"
    if "size" in data and _bytes(data["size"]) is None:
        yield data.line_of("size"), "size is a number of bytes, or like 64 GiB (MiB, GiB, TiB)"


def _wrong(field: Field, value: Any) -> str | None:
    """What is wrong with a field's value."""
    listed = value if field.type is tuple and isinstance(value, list) else [value]
    wanted = str if field.type is tuple else field.type
    if (field.type is tuple) is not isinstance(value, list) or not listed or any(type(each) is not wanted or each == "" for each in listed):
        return {bool: "is true or false", tuple: "is a list of texts", int: "is a number", str: "is a text, and not empty"}[field.type]
    if field.choices and any(each not in field.choices for each in listed):
        return f"is one of: {', '.join(str(each) for each in field.choices)}"
    return None


def _guess(word: str, words: Sequence[str]) -> str:
    near = get_close_matches(word, words, 1)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(words)}"
