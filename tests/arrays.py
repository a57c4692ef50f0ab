"""Arrays and file systems over several disks, as Linux itself makes them: the proof that this program lays them out as Linux does.

Made in libguestfs's appliance, for nothing else makes them without root; it takes two minutes without KVM, so they are kept (0.9 GB).
Case ``number`` has partition ``number`` of the first so many disks. VHDPREP_MATRIX=some takes every fourth array, and those to which something happened.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import tempfile
from pathlib import Path
from typing import NamedTuple

from fixtures import build, filesystem

MIB = 1024 * 1024
NOISE = 24 * MIB
"""Bytes of the noise that every array is filled with from its beginning."""
_LAYOUT = "layout.json"


class Array(NamedTuple):
    """What mdadm is told."""

    level: str
    count: int
    metadata: str = "1.2"
    options: str = ""
    spare: int = 0
    unequal: bool = False
    then: str = ""
    """Commands after it was filled; ``$m`` is the array, ``$a`` to ``$e`` its members."""


_FIVE = ("left-asymmetric", "left-symmetric", "right-asymmetric", "right-symmetric", "parity-first", "parity-last")
_SIX = (*_FIVE[:4], "ddf-zero-restart", "ddf-N-restart", "ddf-N-continue", *(f"{name}-6" for name in (*_FIVE[:4], "parity-first")))
_CHUNK = "--chunk=64"
ARRAYS = {
    "linear": Array("linear", 3, unequal=True),
    "linear-old": Array("linear", 2, "0.90", unequal=True),
    "raid0": Array("raid0", 3, options=_CHUNK),
    "raid0-original": Array("raid0", 4, options=f"{_CHUNK} --layout=original", unequal=True),
    "raid0-alternate": Array("raid0", 4, options=f"{_CHUNK} --layout=alternate", unequal=True),
    **{f"raid1-{metadata}": Array("raid1", 2, metadata) for metadata in ("0.90", "1.0", "1.1", "1.2")},
    "raid1-bitmap": Array("raid1", 2, options="--bitmap=internal"),
    "raid1-stale": Array("raid1", 2, then="mdadm $m --fail $b && mdadm $m --remove $b && dd if=/dev/zero of=$m bs=4096 count=9 conv=fsync"),
    "raid4": Array("raid4", 4, options=_CHUNK),
    **{f"raid5-{name}": Array("raid5", 4, options=f"{_CHUNK} --layout={name}") for name in _FIVE},
    "raid5-old": Array("raid5", 3, "0.90", _CHUNK),
    "raid5-large": Array("raid5", 3, "1.1", "--chunk=512"),
    "raid5-spare": Array("raid5", 3, options=_CHUNK, spare=1),
    "raid5-failed": Array("raid5", 3, options=_CHUNK, then="mdadm $m --fail $b && dd if=/dev/zero of=$m bs=64k count=5 conv=fsync"),
    **{f"raid6-{name}": Array("raid6", 5, options=f"{_CHUNK} --layout={name}") for name in _SIX},
    **{f"raid10-{name}-{count}": Array("raid10", count, options=f"{_CHUNK} --layout={name}")
       for name, count in (("n2", 4), ("n2", 3), ("n3", 4), ("f2", 3), ("f2", 4), ("f3", 5), ("o2", 3), ("o2", 4), ("o3", 5))},
}  # fmt: skip
"""Name → array."""
if os.environ.get("VHDPREP_MATRIX") == "some":
    ARRAYS = {name: array for number, (name, array) in enumerate(ARRAYS.items()) if number % 4 == 0 or array.then or array.spare}

BTRFS = {
    "single": 2, "dup": 2, "raid0": 3, "raid1": 3, "raid1c3": 3, "raid1c4": 4, "raid10": 4, "raid5": 3, "raid6": 4,
}  # fmt: skip
"""Profile of data and metadata → how many devices."""
DISKS, BTRFS_SIZE = 5, 320


def noise() -> bytes:
    """What every array begins with."""
    return random.Random(4).randbytes(NOISE)


def make(appliance_class) -> tuple[list[Path], dict]:
    """The disks, and of every array its size and SHA-256 as Linux gives them; made once."""
    home = build.OUT / f"arrays-{hashlib.sha256(Path(__file__).read_bytes() + repr(list(ARRAYS)).encode()).hexdigest()[:12]}"
    if not home.exists():
        build.OUT.mkdir(exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=build.OUT))
        told = _write(scratch, appliance_class)
        (scratch / _LAYOUT).write_text(json.dumps(told, indent=1))
        scratch.rename(home)
    return [home / f"{number}.raw" for number in range(DISKS)], json.loads((home / _LAYOUT).read_text())


def _write(home: Path, appliance_class) -> dict:
    appliance = appliance_class()
    for number in range(DISKS):
        _partition(home / f"{number}.raw", number)
    (home / "noise").write_bytes(noise())
    for path in (*(home / f"{number}.raw" for number in range(DISKS)), home / "noise"):
        appliance.handle.add_drive_opts(str(path), format="raw")
        appliance.drives.append((str(path), "raw", False))
    appliance.launch()
    handle = appliance.handle
    devices = handle.list_devices()

    def shell(script: str) -> str:
        return handle.debug("sh", [f"exec 2>&1; set -e; {script}"])

    shell("modprobe -a linear raid0 raid1 raid456 raid10 || true; echo 500000 > /proc/sys/dev/raid/speed_limit_min")
    told = {name: _array(shell, name, array, number, devices) for number, (name, array) in enumerate(ARRAYS.items(), 1)}
    for number, (profile, count) in enumerate(BTRFS.items(), len(ARRAYS) + 1):
        parts = " ".join(f"{device}{number}" for device in devices[:count])
        told[f"btrfs-{profile}"] = shell(
            f"mkfs.btrfs -q -f -d {profile} -m {profile} -L {profile} {parts}; btrfs device scan {parts} >/dev/null; mkdir -p /tmp/m;"
            f" mount {parts.split()[0]} /tmp/m; mkdir /tmp/m/many; dd if={devices[-1]} of=/tmp/m/noise bs=1M count=12 2>/dev/null;"
            " for i in $(seq 1 200); do echo $i > /tmp/m/many/$i; done; umount /tmp/m; echo made"
        ).strip()
    shell("sync")
    handle.shutdown()
    appliance.close()
    (home / "noise").unlink()
    return told


def _array(shell, name: str, array: Array, number: int, devices: list[str]) -> dict:
    parts = [f"{device}{number}" for device in devices[: array.count + array.spare]]
    named = "" if array.metadata == "0.90" else f"--homehost=maker --name={name}"
    layout = array.options if "--bitmap" in array.options else f"{array.options} {'' if array.level in ('linear', 'raid0') else '--bitmap=none'}"
    spare = f"--spare-devices={array.spare}" if array.spare else ""
    clean = "" if array.level in ("linear", "raid0") else "--assume-clean"  # empty disks are in step with each other, and a wait takes five seconds
    then = array.then.replace("$m", f"/dev/md{number}")
    for letter, part in zip("abcde", parts, strict=False):
        then = then.replace(f"${letter}", part)
    lines = shell(
        f"udevadm settle; mdadm --create /dev/md{number} --run --force --metadata={array.metadata} --level={array.level} {layout} {named}"
        f" {clean} --raid-devices={array.count} {spare} {' '.join(parts)} >/tmp/log 2>&1 || {{ cat /tmp/log; exit 1; }}; mdadm --wait /dev/md{number} || true;"
        f" size=$(blockdev --getsize64 /dev/md{number}); dd if={devices[-1]} of=/dev/md{number} bs=64k iflag=fullblock conv=fsync 2>/dev/null || true;"
        f" mdadm --wait /dev/md{number} || true; {{ {then or 'true'}; }} >/tmp/log 2>&1 || {{ cat /tmp/log; exit 1; }};"
        f" sync; echo 3 > /proc/sys/vm/drop_caches; sha256sum /dev/md{number}; echo $size; mdadm --detail /dev/md{number} | grep UUID; mdadm --stop /dev/md{number} 2>/dev/null"
    ).split("\n")
    return {"sha256": lines[0].split()[0], "size": int(lines[1]), "uuid": lines[2].split(" : ")[1]}


def _partition(path: Path, disk: int) -> None:
    sizes = [4 + (2 * disk + disk // 3 if array.unequal else 0) for array in ARRAYS.values()] + [BTRFS_SIZE] * len(BTRFS)
    with path.open("wb") as file:
        file.truncate((sum(sizes) + 3) * MIB)
    table = "label: gpt\n" + "".join(f"size={size}MiB\n" for size in sizes)
    filesystem.run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", path, stdin=table)
