"""Mount units of systemd that stand beside fstab (systemd.mount(5)), as lines of fstab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.guest.formats import keyvalue
from vhdprep.guest.formats.fstab import FstabEntry, tagged

if TYPE_CHECKING:
    from vhdprep.guest.files import GuestFiles

_DIRECTORIES = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


def read(files: GuestFiles) -> list[FstabEntry]:
    """Every unit that another one pulls in and that names a device: what it mounts is seen there."""
    found = []
    for name, path in files.overlaid(_DIRECTORIES, "*.{mount,automount}").items():
        unit = name.removesuffix(".automount").removesuffix(".mount") + ".mount"
        if not any(files.glob(f"{directory}/*.{{wants,requires,upholds}}/{name}") for directory in _DIRECTORIES):
            continue
        text = files.text(path if name == unit else next((f"{each}/{unit}" for each in _DIRECTORIES if files.is_file(f"{each}/{unit}")), path))
        settings = {key: values[-1].value for key, values in keyvalue.ini(text or "").items()}
        what = tagged(settings.get("Mount.What", ""))
        if what.startswith("/dev/") or "=" in what:
            options = tuple(settings.get("Mount.Options", "defaults").split(","))
            found.append(FstabEntry(0, what, settings.get("Mount.Where", "/"), settings.get("Mount.Type", "auto"), options))
    return found
