"""Files as a boot loader names them: by a device and a path on it, wherever the guest mounts that device, if at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest.devices import find_volume, mapper_name
from vhdprep.guest.files import MAX_TEXT, GuestFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.disk.backend import Files
    from vhdprep.guest.image import Guest
    from vhdprep.model import Volume

ESP = "esp"
"""The device that is the EFI system partition."""
GUEST = "guest"
"""The device that is the guest's whole tree, mount points included."""
_PARTITION = re.compile(r"hd0,(?:gpt|msdos)?(\d{1,3})")
_LOGICAL = re.compile(r"lvm/(.+)")


class Spot(NamedTuple):
    """A path in one tree of files."""

    files: GuestFiles
    path: str
    shown: str
    """How it is named in a finding: a path of the guest, ``ESP:/…``, ``p3:/…``."""


class BootFile(NamedTuple):
    """What a boot loader loads: a file, or a part of one."""

    named: str
    """As its configuration names it."""
    spot: Spot | None
    """None = it is missing."""
    start: int = 0
    size: int | None = None
    """Bytes of the part; None = the file to its end."""

    @property
    def path(self) -> str | None:
        """Where it is; None = it is missing."""
        return self.spot.shown if self.spot else None

    def length(self) -> int:
        """Its size in bytes; 0 when it is missing."""
        if self.spot is None:
            return 0
        found = self.spot.files.stat(self.spot.path)
        whole = found.size - self.start if found else 0
        return whole if self.size is None else min(self.size, whole)

    def read(self, limit: int, offset: int = 0) -> bytes:
        """At most ``limit`` bytes from ``offset``."""
        if self.spot is None:
            return b""
        left = limit if self.size is None else min(limit, self.size - offset)
        return self.spot.files.read(self.spot.path, left, self.start + offset) if left > 0 else b""

    def text(self) -> str:
        """A configuration file, or the part of a file that holds one."""
        if self.spot is None:
            return ""
        if self.size is None:
            return self.spot.files.text(self.spot.path) or ""
        return self.read(MAX_TEXT).decode("utf-8", "replace")

    def chunks(self, size: int) -> Iterator[bytes]:
        """All of it, in pieces of at most ``size`` bytes."""
        offset = 0
        while data := self.read(size, offset):
            yield data
            offset += len(data)


def find(guest: Guest, device: str | None, named: str, path: str) -> BootFile:
    """The file ``path`` on ``device``, which its configuration calls ``named``."""
    return BootFile(named, next((each for each in spots(guest, device, path) if each.files.is_file(each.path)), None))


def spots(guest: Guest, device: str | None, path: str) -> list[Spot]:
    """Where ``path`` on ``device`` may be, likeliest first; without a device or a disk: below /boot, else below /.

    Raises:
        Unreadable: the device is not known, or was not read.
    """
    path = "/" + path.lstrip("/")
    if device == ESP:
        return [Spot(esp, path, f"ESP:{path}")] if (esp := esp_files(guest)) else []
    if device == GUEST:
        return [_in_guest(guest, path)]
    if device is None or not guest.volumes:
        return [_in_guest(guest, each) for each in (f"/boot{path}", path, _inside(guest, "/", path))]
    volume = device_volume(guest, device)
    return [] if volume is None else _on_volume(guest, volume, path)


def device_volume(guest: Guest, device: str) -> Volume | None:
    """The volume that ``device`` is: ``volume/ID``, or a name of GRUB's; None = it is not on this disk.

    Raises:
        Unreadable: the name is not understood, or what it names was not read.
    """
    device = device.strip("()")  # GRUB 1.99 wrote set root='(hd0,msdos1)'
    kind, _, rest = device.partition("/")
    if kind == "missing":
        return None
    if kind == "volume":
        wanted = rest
    elif partition := _PARTITION.fullmatch(device):
        wanted = f"p{partition[1]}"
    elif logical := _LOGICAL.fullmatch(device):
        wanted = next((each.id for each in guest.volumes if mapper_name(each) == logical[1]), logical[1])
    else:
        raise Unreadable(f"the boot loader's device ({device}) is not known")
    volume = next((each for each in guest.volumes if each.id == wanted), None)
    if volume is not None and not volume.read:
        raise Unreadable(f"the boot loader reads from {volume.id}, which was not read: {volume.reason}")
    return volume


def search(guest: Guest, wanted: str, *, by_partition: bool = False) -> str:
    """The device with this UUID or label of a file system, or this name of a partition: ``volume/ID``, or ``missing/…``.

    Raises:
        Unreadable: it may lie on a volume that was not read.
    """
    tags = ("PARTLABEL",) if by_partition else ("UUID", "LABEL")
    volume = next((found for tag in tags if (found := find_volume(f"{tag}={wanted}", guest.volumes))), None)
    if volume is None and (unread := [each.id for each in guest.volumes if each.needed and not each.read]):
        raise Unreadable(f"the boot loader searches for a volume {wanted}, which may be {unread[0]}, and that was not read")
    return f"volume/{volume.id}" if volume else f"missing/{wanted}"


def esp_files(guest: Guest) -> GuestFiles | None:
    """The EFI system partition; None = there is none, or it was not read."""
    return _tree(guest, ESP, guest.esp) if guest.esp is not None else None


def volume_files(guest: Guest, volume: Volume) -> GuestFiles | None:
    """The files of a volume from its top level on, mounted or not; None = there is no disk to open it from."""
    if guest.open_volume is None or not volume.read:
        return None
    return _tree(guest, volume.id, guest.open_volume(volume))


def _tree(guest: Guest, name: str, files: Files) -> GuestFiles:
    key = f"{__name__}:{name}"
    if key not in guest.memo:
        guest.memo[key] = GuestFiles(files)
    found: GuestFiles = guest.memo[key]
    return found


def _in_guest(guest: Guest, path: str) -> Spot:
    return Spot(guest.files, path, path)


def _on_volume(guest: Guest, volume: Volume, path: str) -> list[Spot]:
    """A boot loader sees nothing that is mounted on top; of subvolumes it may count from the top level or from the default one."""
    points = [point for point, name in guest.mounts.items() if name == volume.id]
    plain = volume_files(guest, volume)
    if plain is not None and not volume.subvolumes:
        shown = points[0].rstrip("/") + path if points else f"{volume.id}:{path}"
        return [Spot(plain, path, shown)]
    found = [_in_guest(guest, point.rstrip("/") + _inside(guest, point, path)) for point in points]
    return [*found, Spot(plain, path, f"{volume.id}:{path}")] if plain is not None else found


def _inside(guest: Guest, point: str, path: str) -> str:
    """``path`` of the boot loader, which counts from a file system's top level, within the subvolume mounted at ``point``."""
    prefix = f"/{guest.subvolumes.get(point, '')}/"
    return path[len(prefix) - 1 :] if len(prefix) > 2 and path.startswith(prefix) else path
