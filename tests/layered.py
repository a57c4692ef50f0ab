"""A disk whose file systems lie in layers that only Linux puts together: a RAID, an encrypted and a thin volume.

Made in libguestfs's appliance, for nothing else makes them without root; it takes a minute without KVM, so it is kept.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from fixtures import build, filesystem
from fixtures.tree import files_of

MIB = 1024 * 1024
KEY = "correct horse"
BOOT, ROOT, HOME, VAR = (f"44444444-0000-4000-8000-00000000000{number}" for number in range(1, 5))
_FSTAB = f"UUID={ROOT} / ext4 defaults 0 1\nUUID={BOOT} /boot ext4 defaults 0 2\nUUID={HOME} /home ext4 defaults 0 2\n/dev/tvg/var /var ext4 defaults 0 2\n"
_SIZES = {"bios-boot": 1, "boot": 16, "md0": 48, "md1": 48, "luks": 48, "pv": 64}
_THIN = "lvm lvcreate -y --type thin-pool -L 40m -n pool tvg && lvm lvcreate -y -V 32m --thinpool pool -n var tvg"


def make(appliance_class) -> Path:
    """The raw disk, made once."""
    out = build.OUT / "layered.raw"
    if not out.exists():
        build.OUT.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=build.OUT) as scratch:
            raw = Path(scratch, "disk")
            _write(raw, Path(scratch), appliance_class)
            raw.rename(out)
    return out


def _write(raw, scratch, appliance_class):
    with raw.open("wb") as file:
        file.truncate((sum(_SIZES.values()) + 2) * MIB)
    table = "label: gpt\n" + "".join(
        f"size={size}MiB, type={'21686148-6449-6E6F-744E-656564454649' if name == 'bios-boot' else 'L'}\n" for name, size in _SIZES.items()
    )
    filesystem.run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", raw, stdin=table)
    recipe = {**build.recipes()["debian-12-generalized"], "remove": ["/boot/efi"], "edit": {}}
    files = files_of(recipe) | {
        "/etc/fstab": _FSTAB,
        "/home/note": "on the encrypted volume",
        "/var/note": "on the thin volume",
        "/boot/note": "in the clear",
    }
    parts = {}
    for point, uuid, size in (("/boot", BOOT, 16), ("/home", HOME, 24), ("/var", VAR, 32), ("/", ROOT, 44)):
        mine = {path: files.pop(path) for path in list(files) if path.startswith(point)}
        (scratch / uuid).mkdir()
        parts[point] = scratch / f"{uuid}.img"
        filesystem.make(
            "ext4", parts[point], size * MIB, {path[len(point.rstrip("/")) :]: value for path, value in mine.items()}, {"uuid": uuid}, scratch / uuid
        )
    appliance = appliance_class()
    with_disk = appliance.handle
    with_disk.add_drive_opts(str(raw), format="raw")
    appliance.drives.append((str(raw), "raw", False))
    appliance.launch()
    handle, disk = appliance.handle, appliance.handle.list_devices()[0]
    handle.upload(str(parts["/boot"]), f"{disk}2")
    handle.md_create("r0", [f"{disk}3", f"{disk}4"], level="raid1")
    handle.upload(str(parts["/"]), handle.list_md_devices()[0])
    handle.luks_format(f"{disk}5", KEY, 0)
    handle.cryptsetup_open(f"{disk}5", KEY, "home")
    handle.upload(str(parts["/home"]), "/dev/mapper/home")
    handle.pvcreate(f"{disk}6")
    handle.vgcreate("tvg", [f"{disk}6"])
    handle.debug("sh", [_THIN])
    handle.upload(str(parts["/var"]), "/dev/tvg/var")
    handle.sync()
    handle.vg_activate_all(False)
    handle.cryptsetup_close("/dev/mapper/home")
    handle.shutdown()
    appliance.close()
