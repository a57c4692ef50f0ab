"""What was not read, or not judged, although the verdict depends on it: such an image is never ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.model import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest, Image


def find_gaps(image: Image) -> tuple[str, ...]:
    """What was not read although the verdict depends on it."""
    gaps = [f"{each.name}: {each.reason}" if each.name else each.reason for each in image.disks if each.disk is None and each.reason]
    for each in image.disks:
        for volume in each.disk.volumes if each.disk else ():
            if volume.needed:
                gaps.append(f"{volume.id}: {volume.reason}")
        gaps += each.disk.damage() if each.disk else ()
    if image.no_guest and image.no_guest not in gaps:
        gaps.append(image.no_guest)
    return (*gaps, *(_gaps_of(image.guest, _on_data_disks(image)) if image.guest is not None else ()))


def _on_data_disks(image: Image) -> set[str]:
    """Volumes of data disks, where nothing asks what strangers would find on them: a disk that nothing mounts is named by a rule."""
    if image.target in (Target.MARKETPLACE, Target.COMMUNITY_GALLERY):
        return set()
    return {volume.id for each in image.disks if each.role == "data" and each.disk for volume in each.disk.volumes}


def _gaps_of(guest: Guest, elsewhere: set[str]) -> Iterator[str]:
    """What was not read of the operating system, or is not what was judged."""
    facts = guest.facts
    if guest.registry is not None:
        yield from guest.registry.unread
    if booted := _booted_instead(guest):
        yield f"the boot loader starts what lies on {booted}, and that is not what was judged: {guest.root} was"
    yield from _unjudged(guest, elsewhere)
    if facts.distro == "unknown":
        yield "the distribution could not be named: neither os-release nor an older release file gives a name"
    if facts.os == "windows" and facts.version is None:
        yield "which Windows this is could not be told: its registry was not read"
    if facts.os in ("freebsd", "openbsd") and facts.version is None:
        yield f"which release of {facts.product} this is could not be told"


def _unjudged(guest: Guest, elsewhere: set[str]) -> Iterator[str]:
    """File systems that were opened, yet are mounted nowhere: what lies on them goes along with the image."""
    if guest.facts.os == "windows" or guest.facts.family == "flatcar":  # of Flatcar's two slots one is always idle
        return
    mounted = {guest.root, *guest.mounts.values(), *elsewhere}
    for volume in guest.volumes:
        if volume.read and volume.filesystem not in ("vfat", "ntfs") and volume.id not in mounted:
            yield f"{volume.id}: its files were not judged, for nothing mounts this {volume.filesystem}"


def _booted_instead(guest: Guest) -> str | None:
    """The volume that ``root=`` or, on a BSD, fstab names, if it is another than the one that was taken for the root."""
    from vhdprep.guest import boot

    if guest.facts.os == "windows" or not guest.volumes:
        return None
    try:
        root = boot.root_volume(guest)
    except Unreadable:
        return None  # rules that need the entry say so
    return root.id if root is not None and root.id != guest.root else None
