"""The entry that the boot loader will start: its kernel, its initramfs, its command line."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest.assemble import find_volume
from vhdprep.guest.formats import grub
from vhdprep.guest.image import BSDS, once

if TYPE_CHECKING:
    from vhdprep.guest.image import Guest
    from vhdprep.model import Volume

_CONFIGS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/efi/EFI/*/grub.cfg")


class BootEntry(NamedTuple):
    """The default entry, with every path found in the guest."""

    place: str
    """File and line that define it."""
    title: str
    kernel: str
    """As the entry names it."""
    kernel_path: str | None
    """Where that file is in the guest; None = it is missing."""
    initrds: tuple[tuple[str, str | None], ...]
    """Each initramfs as named, and where it is."""
    arguments: tuple[str, ...]

    def values(self, name: str) -> tuple[str, ...]:
        """Values given to a kernel argument, in order; a bare flag gives an empty one."""
        found = (argument.partition("=") for argument in self.arguments)
        return tuple(value for key, _, value in found if key.replace("-", "_") == name.replace("-", "_"))


@once
def default_entry(guest: Guest) -> BootEntry:
    """The entry that GRUB boots when nobody touches the keyboard.

    Raises:
        Unreadable: no configuration that is read here was found, or it has no entry.
    """
    found = _find_config(guest)
    if found is None:
        raise Unreadable("the default boot entry is not known: no grub.cfg with an entry was found, and no other boot loader is read yet")
    path, config = found
    environment = _environment(guest, path)
    bls = _bls_entry(guest, config, environment) if config.uses_bls else None
    if bls is not None:
        return _locate(guest, *bls)
    entry = grub.choose(config, environment)
    if entry is None:
        raise Unreadable(f"the default boot entry is not known: {path} has no menu entry")
    return _locate(guest, f"{path}:{entry.line}", entry)


def root_volume(guest: Guest) -> Volume | None:
    """The volume that ``root=`` of the default entry names, or the line for / in fstab of a BSD; None = not on this disk, or not given."""
    if guest.facts.os in BSDS:
        return next((find_volume(entry.spec, guest.volumes) for entry in guest.fstab if entry.point == "/"), None)
    values = default_entry(guest).values("root")
    return find_volume(values[-1], guest.volumes) if values else None


def kernel_release(guest: Guest) -> str:
    """The version of the kernel that boots, as in ``/lib/modules/VERSION``.

    Raises:
        Unreadable: it cannot be told from the entry.
    """
    entry = default_entry(guest)
    path = guest.files.resolve(entry.kernel_path) if entry.kernel_path else None
    name = (path or entry.kernel).rpartition("/")[2]
    _, dash, version = name.partition("-")
    if dash and guest.files.is_directory(f"/lib/modules/{version}"):
        return version
    installed = guest.files.names("/lib/modules") if guest.files.is_directory("/lib/modules") else ()
    if len(installed) == 1:
        return installed[0]
    raise Unreadable(f"which of {len(installed)} versions in /lib/modules belongs to {entry.kernel} is not known")


def _find_config(guest: Guest) -> tuple[str, grub.Config] | None:
    """The first grub.cfg that has an entry; the loader's own small ones on the ESP only point to it."""
    for pattern in _CONFIGS:
        for path in guest.files.glob(pattern):
            config = grub.parse(guest.files.text(path) or "")
            if config.entries or config.uses_bls:
                return path, config
    return None


def _environment(guest: Guest, config_path: str) -> dict[str, str]:
    path = f"{config_path.rpartition('/')[0]}/grubenv"
    return grub.environment(guest.files.text(path) or "")


def _bls_entry(guest: Guest, config: grub.Config, environment: dict[str, str]) -> tuple[str, grub.Entry] | None:
    paths = guest.files.glob("/boot/loader/entries/*.conf")
    if not paths:
        return None
    names = grub.sort_bls([path.rpartition("/")[2].removesuffix(".conf") for path in paths])
    variables = {**config.variables, **environment}
    entries = [grub.bls_entry(guest.files.text(f"/boot/loader/entries/{name}.conf") or "", variables) for name in names]
    saved = environment.get("next_entry") or environment.get("saved_entry") or ""
    index = grub.choose_bls(names, [entry.title for entry in entries], saved)
    return f"/boot/loader/entries/{names[index]}.conf", entries[index]


def _locate(guest: Guest, place: str, entry: grub.Entry) -> BootEntry:
    if entry.kernel is None:
        raise Unreadable(f"{place}: the default boot entry loads no Linux kernel ({entry.title})")
    if "$" in entry.kernel:
        raise Unreadable(f"{place}: the default boot entry names its kernel by a variable ({entry.kernel})")
    initrds = tuple((path, _find(guest, path, entry.search)) for path in entry.initrds)
    return BootEntry(place, entry.title, entry.kernel, _find(guest, entry.kernel, entry.search), initrds, tuple(_split(entry.options)))


def _find(guest: Guest, path: str, search: str | None) -> str | None:
    """Where the boot loader's ``path`` lies in the guest: on the volume it searches, else below /boot, else below /."""
    path = path.partition(")")[2] if path.startswith("(") else path
    if search:
        volume = find_volume(f"UUID={search}", guest.volumes) or find_volume(f"LABEL={search}", guest.volumes)
        points = [point for point, name in guest.mounts.items() if volume and name == volume.id]
        if points or guest.volumes:
            found = [place for point in points if guest.files.is_file(place := point.rstrip("/") + _inside(guest, point, path))]
            if not found and volume is None and (unread := [each.id for each in guest.volumes if each.needed and not each.read]):
                raise Unreadable(f"the boot loader reads {path} from a volume {search}, which may be {unread[0]}, and that was not read")
            return found[0] if found else None
    return next((each for each in (f"/boot{path}", path, _inside(guest, "/", path)) if guest.files.is_file(each)), None)


def _inside(guest: Guest, point: str, path: str) -> str:
    """``path`` of the boot loader, which counts from a file system's top level, within the subvolume mounted at ``point``."""
    prefix = f"/{guest.subvolumes.get(point, '')}/"
    return path[len(prefix) - 1 :] if len(prefix) > 2 and path.startswith(prefix) else path


def _split(options: str) -> list[str]:
    try:
        return shlex.split(options)
    except ValueError:
        return options.split()
