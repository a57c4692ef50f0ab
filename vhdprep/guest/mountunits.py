"""Mount units of systemd that stand beside fstab (systemd.mount(5)), as lines of fstab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.guest.formats import keyvalue
from vhdprep.guest.formats.fstab import FstabEntry, tagged
from vhdprep.guest.unitfiles import UNIT_DIRECTORIES

if TYPE_CHECKING:
    from vhdprep.guest.files import GuestFiles


def read(files: GuestFiles) -> list[FstabEntry]:
    """Every unit that another one pulls in and that names a device: what it mounts is seen there."""
    found = []
    units = files.overlaid(UNIT_DIRECTORIES, "*.{mount,automount}")
    for name, path in units.items():
        unit = name.removesuffix(".automount").removesuffix(".mount") + ".mount"
        text = files.text(units.get(unit, path))
        settings = {key: values[-1].value for key, values in keyvalue.ini(text or "").items()}
        what = tagged(settings.get("Mount.What", ""))
        if not what.startswith("/dev/") and "=" not in what:
            continue
        if any(files.glob(f"{directory}/*.{{wants,requires,upholds}}/{name}") for directory in UNIT_DIRECTORIES):
            options = tuple(settings.get("Mount.Options", "defaults").split(","))
            found.append(FstabEntry(0, what, settings.get("Mount.Where", "/"), settings.get("Mount.Type", "auto"), options))
    return found
