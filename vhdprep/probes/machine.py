"""Probes of the machine as a set of disks: its data disks, what they share, and what a manifest says of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from vhdprep.errors import Unreadable
from vhdprep.guest import drives, identities
from vhdprep.guest.devices import refuse_unread
from vhdprep.guest.image import Image
from vhdprep.model import ABSENT, Observation
from vhdprep.probes.registry import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.disk.backend import Disk
    from vhdprep.guest.image import ImageDisk

_MAX_LUN = 63
"""The last of 64."""
_APART = 600
"""Seconds between the last writes to disks of one machine that was shut down; it unmounts them within a few."""
_ARCHITECTURES = {"x86_64": "x64", "aarch64": "Arm64"}
Field = Literal[
    "kind", "generation", "architecture", "security_type", "disk_controllers", "accelerated_networking", "hibernation", "replication", "version",
]  # fmt: skip


@probe(returns="the field: number, `yes` or `no`, text or list of texts; absent where there is no manifest, or it does not say", certain=True)
def declared(image: Image, *, field: Field) -> Observation:
    """What the manifest says the image is to be."""
    value = image.declared.fields.get(field, ABSENT) if image.declared else ABSENT
    return Observation(value, f"manifest:{field}")


@probe(returns="a list of places of the manifest, one for each contradiction")
def declared_conflicts(image: Image, *, about: Literal["generation", "architecture", "sizes"]) -> Observation:
    """What the manifest says and the disks contradict.

    about: `generation` and `architecture` of the image, or `sizes` of its disks.
    """
    if image.declared is None:
        return Observation.listing("manifest", ())
    found = {"generation": _generation, "architecture": _architecture, "sizes": _sizes}[about](image)
    return Observation.listing("manifest", tuple(found))


@probe(returns="a list of disks, or of places of the manifest", certain=True)
def declared_layout(image: Image, *, having: Literal["repeated-lun", "lun-out-of-range", "lun-out-of-sequence", "changed"]) -> Observation:
    """How the data disks are numbered, by the manifest or by their order.

    having: a `repeated-lun`, a `lun-out-of-range` (0 to 63), a `lun-out-of-sequence` (0, 1, 2 …); or what `changed` since the version before:
    generation, architecture, number, LUNs and sizes of data disks.
    """
    if having == "changed":
        return Observation.listing("manifest", tuple(_previous(image)))
    return Observation.listing("data disks", tuple(_luns([each for each in image.disks if each.role == "data"], having)))


@probe(returns="a list of disks, or of their volumes")
def data_disks(image: Image, *, having: Literal["system", "unused", "written-apart"]) -> Observation:
    """Data disks of the machine.

    having: a volume with an operating `system` or what starts one; being `unused`, for nothing of the operating system
    names what lies on it; `written-apart`: last written at another time than the operating system's disk.
    """
    others = [each for each in image.disks if each.role == "data"]
    if having == "written-apart":
        return Observation.listing("data disks", tuple(_written_apart(image, others)))
    if having == "system":
        parts = (part for each in others for part in identities.systems_on(_open(each)))
        return Observation.listing("data disks", tuple(parts))
    return Observation.listing("data disks", tuple(_unused(image, others)))


@probe(returns="a list of identities that several have")
def shared_identities(image: Image, *, of: Literal["disks", "volumes", "volumes-in-use"]) -> Observation:
    """What should be the only one of its name in the machine and is not.

    of: `disks` (signature of an MBR, GUID of a GPT); `volumes` (UUIDs of file systems and partitions); of these only the `volumes-in-use`, which
    fstab, mount units, crypttab or the boot entry name.
    """
    opened = [(each.name, _open(each)) for each in image.disks]
    if of == "disks":
        return Observation.listing("disks", tuple(identities.shared_by_disks(opened)))
    every = [volume for _, disk in opened for volume in disk.volumes]
    groups = [group for _, disk in opened for group in disk.groups]
    found = list(identities.shared_by_volumes(every, groups, also_labels=of == "volumes-in-use"))
    if found and of == "volumes-in-use":
        found = identities.in_use(image.need_guest(), found)
    return Observation.listing("volumes", tuple(found))


@probe(returns="a list of drive letters, or of page files")
def drive_letters(image: Image, *, having: Literal["d-on-data-disk", "missing", "page-file-on-data-disk"]) -> Observation:
    """Drive letters of partitions, as Windows has them in its registry.

    having: `d-on-data-disk` = D means a data disk; `missing` = the letter's partition is on none of the disks; `page-file-on-data-disk` likewise
    of what page files are set to.
    """
    guest = image.need_guest()
    on_data = {volume.id for each in image.disks if each.role == "data" for volume in _open(each).volumes}
    known = [each for each in drives.letters(guest) if _is_meant(each, having, on_data)]
    if known and having == "missing":
        refuse_unread(guest, f"{known[0].letter}:")  # a space of a storage pool, a volume of a dynamic disk
    if having.startswith("page-file"):
        wanted = {each.letter for each in known}
        files = (line for letter, line in drives.page_files(guest) if letter in wanted)
        return Observation.listing("PagingFiles", tuple(Observation(line, line.split(" ")[0]) for line in files))
    parts = (Observation(each.volume.id if each.volume else "on none of the disks", each.where) for each in known)
    return Observation.listing(drives.KEY, tuple(parts))


def _is_meant(drive: drives.Drive, having: str, on_data: set[str]) -> bool:
    if having.endswith("missing"):
        return drive.volume is None
    return drive.volume is not None and drive.volume.id in on_data and (having != "d-on-data-disk" or drive.letter == "D")


def _open(each: ImageDisk) -> Disk:
    if each.disk is None:
        raise Unreadable(each.reason or f"{each.name} could not be opened")
    return each.disk


def _generation(image: Image) -> Iterator[Observation]:
    wanted = image.declared.fields.get("generation") if image.declared else None
    found = image.need_guest().facts.generations
    image.need_disk()
    if wanted is not None and wanted not in found:
        can = " and ".join(f"Generation {each}" for each in found) or "no generation"
        yield Observation(f"Generation {wanted}; the disk can be started as {can}", "manifest:generation")


def _architecture(image: Image) -> Iterator[Observation]:
    wanted = image.declared.fields.get("architecture") if image.declared else None
    facts = image.need_guest().facts
    if facts.arch is None:
        raise Unreadable("nothing was found that tells the architecture")
    found = _ARCHITECTURES.get(facts.arch, facts.arch)
    if wanted is not None and wanted != found:
        yield Observation(f"{wanted}; the system is built for {found}", "manifest:architecture")


def _sizes(image: Image) -> Iterator[Observation]:
    for wanted, disk in zip(image.declared.disks if image.declared else (), image.disks, strict=True):
        if wanted.size is None:
            continue
        if disk.container.virtual_size is None:
            raise Unreadable(f"the size of {disk.name or 'the disk'} could not be read")
        if wanted.size != disk.container.virtual_size:
            yield Observation(
                f"{wanted.size} bytes; {wanted.file} has {disk.container.virtual_size}", f"manifest:size of {disk.name or 'the system disk'}"
            )


def _previous(image: Image) -> Iterator[Observation]:
    declared, before = image.declared, image.declared.previous if image.declared else None
    if declared is None or before is None:
        return
    for field in ("generation", "architecture"):
        was, now = before.fields.get(field), declared.fields.get(field)
        if was is not None and now is not None and was != now:
            yield Observation(f"{now}, before it was {was}", f"manifest:{field}")
    had, have = ({each.lun: each.size for each in one.disks if each.role == "data"} for one in (before, declared))
    if set(had) != set(have):
        yield Observation(f"data disks at LUN {_listed(have)}, before at {_listed(had)}", "manifest:disks")
    for lun in sorted(set(had) & set(have), key=lambda each: each or 0):
        was, now = had[lun], have[lun]
        if was is not None and now is not None and now != was:
            yield Observation(f"the disk at LUN {lun} has {now} bytes, before it had {was}", "manifest:disks")


def _listed(luns: dict[int | None, int | None]) -> str:
    return ", ".join(str(each) for each in sorted(each for each in luns if each is not None)) or "none"


def _luns(others: list[ImageDisk], having: str) -> Iterator[Observation]:
    count = Counter(each.lun for each in others)
    for number, each in enumerate(others):
        wrong = {
            "repeated-lun": count[each.lun] > 1,
            "lun-out-of-range": each.lun is not None and each.lun > _MAX_LUN,
            "lun-out-of-sequence": each.lun != number,
        }[having]
        if wrong:
            yield Observation(f"LUN {each.lun}", each.name)


def _unused(image: Image, others: list[ImageDisk]) -> Iterator[Observation]:
    """Disks of which no volume is mounted, swapped to, opened, or has a drive letter."""
    guest = image.need_guest()
    used = identities.volumes_in_use(guest, [group for each in image.disks for group in _open(each).groups])
    for each in others:
        volumes = _open(each).volumes
        if not used & {volume.id for volume in volumes}:
            yield Observation(", ".join(volume.filesystem or "nothing known" for volume in volumes) or "empty", each.name)


def _written_apart(image: Image, others: list[ImageDisk]) -> Iterator[Observation]:
    """Of file systems that are mounted for writing when the machine stops; others may rest for months."""
    guest = image.need_guest()
    times = {volume.id: volume.written for volume in guest.volumes}
    resting = {entry.point for entry in guest.fstab if {"ro", "x-systemd.automount"} & set(entry.options)}
    mounted = {volume for point, volume in guest.mounts.items() if point not in resting}
    root = times.get(guest.root)
    if root is None:
        return
    for each in others:
        for volume in _open(each).volumes:
            if volume.id in mounted and volume.written is not None and abs(volume.written - root) > _APART:
                yield Observation(f"{abs(volume.written - root) // 60} minutes {'after' if volume.written > root else 'before'} the root", volume.id)
