"""Run a rule's own examples: pytest and ``vhdprep rules test`` share this.

An example states an image in a few words; what it does not state is that of a good generalized Debian 12, of
Windows Server 2022 where the example has a registry or says that it is Windows, or of the BSD that it says it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep.declared import Declared, DeclaredDisk
from vhdprep.disk.backend import DiskSet
from vhdprep.disk.memory import MemoryDisk, MemoryFiles
from vhdprep.errors import Unreadable
from vhdprep.guest import packages, programs
from vhdprep.guest.files import GuestFiles
from vhdprep.guest.formats import fstab
from vhdprep.guest.image import Guest, Image, ImageDisk, remembered_as
from vhdprep.guest.registry import memory_registry
from vhdprep.guest.release import FAMILIES
from vhdprep.model import Container, Defect, DiskType, GuestFacts, Outcome, Target, Volume, VolumeKind
from vhdprep.ruleset.evaluate import judge_rule
from vhdprep.ruleset.load import read_examples
from vhdprep.ruleset.parse import Parser
from vhdprep.storage import StorageGroup
from vhdprep.vhd import footer, layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vhdprep.disk.backend import Disk
    from vhdprep.ruleset.rule import Rule

_GIVEN = {"facts", "files", "packages", "versions", "registry", "esp", "vhd", "disk", "unreadable", "target", "guest", "data", "declared"}
_SIZE = 30 * 1024**3
_ROOT = Volume(
    id="p1",
    kind=VolumeKind.PARTITION,
    size=_SIZE - 2**20,
    offset=2**20,
    type_id="0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    filesystem="ext4",
    uuid="11111111-2222-3333-4444-555555555555",
    free=20 * 1024**3,
    state="clean",
    read=True,
)
_DEBIAN = GuestFacts("linux", "debian", "debian", "12", "Debian GNU/Linux 12", "x86_64", "uefi", (1, 2), "systemd", "localhost")
_WINDOWS = GuestFacts("windows", "windows", "windows", "10.0.20348", "Windows Server 2022 Datacenter", "x86_64", "uefi", (2,), None, "WIN-EXAMPLE")
_BSDS = {
    "freebsd": GuestFacts("freebsd", "freebsd", "freebsd", "14.1", "FreeBSD 14.1-RELEASE", "x86_64", "uefi", (1, 2), "rc", "localhost.localdomain"),
    "openbsd": GuestFacts("openbsd", "openbsd", "openbsd", "7.5", "OpenBSD 7.5", "x86_64", "bios", (1,), "rc", "localhost.localdomain"),
}


class Result(NamedTuple):
    """One example and what came of it."""

    name: str
    wanted: str
    got: str
    detail: str

    @property
    def holds(self) -> bool:
        """Whether the example came out as it says."""
        return self.wanted == self.got


def run_examples(rule: Rule, path: Path) -> list[Result]:
    """Every example of ``rule``, whose file is ``path``; a result with an empty name says what is missing."""
    data = read_examples(path)
    examples = data.get("examples") if isinstance(data, dict) else None
    if not isinstance(examples, list) or not examples:
        return [Result("", "examples", "none", "the file has no second document with examples")]
    results = [_run(rule, example) for example in examples]
    covered = {result.wanted for result in results}
    shown = (Outcome.PASS, Outcome.FAIL, *(() if _is_certain(rule) else (Outcome.UNKNOWN,)))
    missing = [str(outcome) for outcome in shown if str(outcome) not in covered]
    return results + [
        Result("", f"an example that is {outcome}", "none", "every rule is shown to pass, to fail and to be undecided") for outcome in missing
    ]


def _is_certain(rule: Rule) -> bool:
    """Whether the rule can always be decided, for it looks only at what the user wrote."""
    leaves = [*Parser.leaves(rule.check), *(Parser.leaves(rule.when) if rule.when else ())]
    return all(leaf.probe.certain for leaf in leaves) and not rule.applies_to.only.keys() - {"target"}


def _run(rule: Rule, example: Any) -> Result:
    """One example; a mistake in writing it is a result, not a crash."""
    if not isinstance(example, dict) or not {"name", "given", "outcome"} <= set(example):
        return Result(str(example)[:40], "name, given and outcome", "something else", "an example has these three keys")
    given = example["given"] or {}
    if unknown := set(given) - _GIVEN:
        return Result(example["name"], "given", "unknown key", f"{', '.join(sorted(unknown))}; known: {', '.join(sorted(_GIVEN))}")
    try:
        image = build_image(given)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Result(example["name"], "an image", "none", f"what is given cannot be built: {error}")
    finding = judge_rule(rule, image)
    detail = finding.reason or finding.message
    return Result(example["name"], str(example["outcome"]), str(finding.outcome), finding.traceback or detail)


def build_disk(given: Mapping[str, Any]) -> Disk:
    """The disk that an example describes."""
    return _disk(given, tuple(given.get("unreadable", ())))


def build_image(given: Mapping[str, Any], disk: Disk | None = None) -> Image:
    """The image that an example describes, on its own disk or on ``disk``."""
    unreadable = tuple(given.get("unreadable", ()))
    container = _container(given.get("vhd", {}), unreadable)
    disk = disk or _disk(given, unreadable)
    data = [_data_disk(number, each) for number, each in enumerate(given.get("data", []))]
    whole = DiskSet((disk, *(each.disk for each in data if each.disk))) if data else disk
    guest = None if given.get("guest", "") is None else _guest(given, whole, unreadable)
    target = Target(given.get("target", Target.GENERALIZED))
    reason = "the container could not be opened" if "disk" in unreadable else None
    opened: Disk | None = None if reason else disk
    image_disk = ImageDisk(given.get("vhd", {}).get("role", "os"), container, opened, reason)
    declared = _declared(given["declared"], [image_disk, *data]) if "declared" in given else None
    return Image((image_disk, *data), guest, None if guest else "no operating system was found on this disk", target, declared)


def _data_disk(number: int, given: Mapping[str, Any]) -> ImageDisk:
    """A data disk: ``table``, ``fields``, ``size``, ``lun``, ``volumes`` (with ``files``); ``unreadable`` = it could not be opened."""
    name, size = f"data{number}", given.get("size", _SIZE)
    container = _container({"virtual_size": size, "file_name": f"{name}.vhd"}, ("virtual_size",) if given.get("unreadable") else ())
    lun = given.get("lun", number)
    if given.get("unreadable"):
        return ImageDisk("data", container, None, "the container could not be opened", name, lun)
    volumes, files = [], {}
    for place, extra in enumerate(given.get("volumes", []), 1):
        values = {
            "kind": VolumeKind.PARTITION,
            "id": f"{name}:p{place}",
            "size": 2**30,
            "offset": place * 2**30,
            "type_id": None,
            "filesystem": "ext4",
            "read": True,
            **extra,
        }
        stated = {key: value for key, value in values.items() if key in Volume._fields}
        volumes.append(Volume(**{**stated, "kind": VolumeKind(stated["kind"])}))
        files[volumes[-1].id] = MemoryFiles(extra.get("files", {}), case_sensitive=volumes[-1].filesystem not in ("ntfs", "vfat"))
    disk = MemoryDisk(size, given.get("table", "gpt"), volumes, files, dict(given.get("fields", {})), groups=_groups(given))
    return ImageDisk("data", container, disk, None, name, lun)


def _declared(given: Mapping[str, Any], disks: Sequence[ImageDisk]) -> Declared:
    """A manifest: its fields; ``sizes`` of the disks, the operating system's first; ``previous``, likewise."""
    sizes = given.get("sizes", [None] * len(disks))
    listed = [DeclaredDisk("data" if number else "os", f"{number}.vhd", number - 1 if number else None, size) for number, size in enumerate(sizes)]
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items() if key not in ("sizes", "previous")}
    before = _declared(given["previous"], disks) if "previous" in given else None
    return Declared("image.yaml", tuple(listed), plain, before)


def _container(given: Mapping[str, Any], unreadable: tuple[str, ...]) -> Container:
    size = given.get("virtual_size", _SIZE)
    kind = DiskType(given["type"]) if "type" in given else DiskType.FIXED
    cylinders, heads, sectors = footer.geometry(size)
    base: dict[str, str | int] = {
        "footer:cookie": "conectix", "footer:features": 2, "footer:format_version": 0x10000,
        "footer:data_offset": layout.NO_OFFSET if kind is DiskType.FIXED else 512, "footer:creator_application": "win ",
        "footer:current_size": size, "footer:original_size": size, "footer:cylinders": cylinders, "footer:heads": heads,
        "footer:sectors_per_track": sectors, "footer:unique_id": "01234567-89ab-cdef-0123-456789abcdef", "footer:saved_state": 0,
    }  # fmt: skip
    named = {key: value for key, value in (base | {key: value for key, value in given.items() if ":" in key}).items() if key not in unreadable}
    file_format = given.get("format", "vhd")
    if file_format != "vhd":
        named = {key: value for key, value in named.items() if key.startswith(f"{file_format}:")}
    return Container(
        path=given.get("file_name", "image.vhd"),
        format=file_format,
        contents=given.get("contents", "a fixed VHD"),
        type=kind if file_format in ("vhd", "vhdx") and "type" not in unreadable else None,
        virtual_size=None if "virtual_size" in unreadable else size,
        file_size=given.get("file_size", size + 512),
        creator=None if "creator" in unreadable else given.get("creator", "win "),
        parent=given.get("parent"),
        fields=named,
        defects=_defects(given.get("defects", {})),
    )


def _defects(given: Mapping[str, str]) -> tuple[Defect, ...]:
    return tuple(Defect(kind, "example", text) for kind, text in given.items())


def _disk(given: Mapping[str, Any], unreadable: tuple[str, ...]) -> MemoryDisk:
    stated = given.get("disk", {})
    base = _ROOT._replace(filesystem="ufs") if given.get("facts", {}).get("os") in _BSDS else _ROOT
    root = base._replace(**stated.get("root", {}))
    volumes = [root]
    known = set(Volume._fields)
    for number, extra in enumerate(stated.get("volumes", []), 2):
        values = {"id": f"p{number}", "size": 2**30, "offset": number * 2**30, "type_id": None, "filesystem": None, "read": True, **extra}
        volumes.append(Volume(kind=VolumeKind.PARTITION, **{key: value for key, value in values.items() if key in known}))
    facts: dict[str, str | int] = {
        "mbr:signature": "0x00000000",
        "mbr:boot_code": "present",
        "gpt:disk_guid": "1",
        "gpt:alternate_lba": 9,
        "gpt:last_lba": 9,
    }
    facts |= stated.get("fields", {})
    hidden = [path for path in unreadable if path.startswith("/")]
    tree = MemoryFiles({**dict.fromkeys(given.get("versions", ()), ""), **given.get("files", {})}, hidden, case_sensitive=not _is_windows(given))
    table = stated.get("table", "gpt")
    return MemoryDisk(stated.get("size", _SIZE), table, volumes, {"p1": tree}, facts, _defects(stated.get("defects", {})), _groups(stated))


def _groups(stated: Mapping[str, Any]) -> list[StorageGroup]:
    """``groups`` of a disk: ``{kind, id, members, missing, …}``, as ``StorageGroup`` has them."""
    unknown = dict.fromkeys(StorageGroup._fields) | {"members": (), "missing": (), "unused": ()}
    lists = ("members", "missing", "unused")
    return [
        StorageGroup(**(unknown | {key: tuple(value) if key in lists else value for key, value in each.items()})) for each in stated.get("groups", [])
    ]


def _guest(given: Mapping[str, Any], disk: Disk, unreadable: tuple[str, ...]) -> Guest:
    stated = dict(given.get("facts", {}))
    distro = str(stated.get("distro", "debian"))
    linux = _DEBIAN._replace(distro=distro, family=FAMILIES.get(distro, distro))
    base = _WINDOWS if _is_windows(given) else _BSDS.get(stated.get("os", ""), linux)
    if "generations" in stated:
        stated["generations"] = tuple(stated["generations"])
    facts = base._replace(**stated)
    tree = GuestFiles(disk.files(disk.volumes[0]))
    extras = enumerate(given.get("disk", {}).get("volumes", []), 2)
    mounts = {"/": "p1"} | {extra["mount"]: f"p{number}" for number, extra in extras if "mount" in extra}
    for number, other in enumerate(given.get("data", [])):
        mounts |= {each["mount"]: f"data{number}:p{place}" for place, each in enumerate(other.get("volumes", []), 1) if "mount" in each}
    hidden = any(re.match(r"ESP:|esp$", each) for each in unreadable)
    esp = MemoryFiles(given["esp"], ["/"] if hidden else (), case_sensitive=False) if "esp" in given else None
    try:
        entries = fstab.parse(tree.text("/etc/fstab") or "")
    except Unreadable:
        entries = ()
    registry = memory_registry(given.get("registry", {}), unreadable) if _is_windows(given) else None
    memo = {remembered_as(packages.installed): given["packages"]} if "packages" in given else {}
    memo[remembered_as(programs.versions)] = {tree.key(path): version for path, version in given.get("versions", {}).items()}
    return Guest(facts, tree, "p1", mounts, entries, tuple(disk.volumes), esp, memo, registry, open_volume=disk.files)


def _is_windows(given: Mapping[str, Any]) -> bool:
    return (
        "registry" in given or given.get("facts", {}).get("os") == "windows" or any(each.startswith("HKLM") for each in given.get("unreadable", ()))
    )
