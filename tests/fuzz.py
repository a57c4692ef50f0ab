"""Break valid structures at random, right checksums and all, until the time is up: nothing but ``Unreadable`` may come.

python -m tests.fuzz [SECONDS] [--target NAME --seed N]    one input again, as a failure names it
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import time
import traceback
from typing import NamedTuple

from fixtures import btrfs, hive, lvm
from tests.unit import test_bsd, test_btrfs, test_fuzz, test_lvm, test_md, test_ntfs_damage, ufs
from tests.unit.hives import PLACE
from tests.unit.ntfs import MIB, Memory
from vhdprep.disk.native import NativeDisk
from vhdprep.disk.native.assembly import join
from vhdprep.guest.formats import shellvars

SLOWEST = 5
"""Seconds that one input may take."""
_NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


class Target(NamedTuple):
    """Something that is parsed."""

    sound: bytes
    spans: tuple[tuple[int, int], ...]
    """Where the wounds go: begin and end."""
    mend: object
    """Makes checksums right again, so that the wound is reached."""
    read: object
    """Look at everything."""


def _read_hive(data):
    test_fuzz.read_all({PLACE: bytes(data)})


def _mend_hive(data):
    data[:4096] = hive._base(bytes(data[:4096]), 7, 7)


def _read_btrfs(data):
    found = NativeDisk(test_btrfs.disk(data))
    for volume in found.volumes:
        if volume.read:
            test_btrfs.walk(found.files(volume), "", 0)


def _mend_btrfs(data):
    for at, size in ((0x10000, 4096), *((at, btrfs.NODE) for at in range(btrfs.START, btrfs.START + 14 * btrfs.NODE, btrfs.NODE))):
        if data[at : at + size] != test_btrfs.SOUND[at : at + size]:
            struct.pack_into("<I", data, at, btrfs.crc32c(bytes(data[at + 32 : at + size])) ^ 0xFFFFFFFF)


def _read_lvm(data):
    volumes, _ = test_lvm.read(p1=test_lvm.physical(bytes(data)))
    for each in volumes:
        assert each.reader is None or len(each.reader.read_at(0, 4096)) <= 4096


def _read_label(data):
    disk = test_lvm.physical(test_lvm.described())
    disk.data[: len(data)] = data
    volumes, _ = test_lvm.read(p1=disk)
    for each in volumes:
        assert each.reader is None or len(each.reader.read_at(0, 4096)) <= 4096


def _mend_label(data):
    data[lvm.SECTOR + 16 : lvm.SECTOR + 20] = struct.pack("<I", lvm.checksum(bytes(data[lvm.SECTOR + 20 : 2 * lvm.SECTOR])))
    data[lvm.AREA : lvm.AREA + 4] = struct.pack("<I", lvm.checksum(bytes(data[lvm.AREA + 4 : lvm.AREA + lvm.SECTOR])))


def _read_ntfs(data):
    whole = NativeDisk(Memory(data))
    for volume in whole.volumes:
        if volume.read:
            test_ntfs_damage.walk(whole.files(volume), "", 0)


def _read_ufs(data):
    whole = NativeDisk(Memory(data))
    for volume in whole.volumes:
        if volume.read:
            test_ntfs_damage.walk(whole.files(volume), "", 0)


def _read_md(data):
    """The wounded member beside a sound one."""
    whole = [NativeDisk(Memory(data)), NativeDisk(Memory(bytearray(MD[1])), "data0:")]
    join(whole)
    for disk in whole:
        for volume in disk.volumes:
            if volume.id in disk._inner:
                disk._stream(volume).read_at(max(volume.size - 70_000, 0), 70_000)


def _read_old_md(data):
    test_md.disks_of(Memory(data), Memory(bytearray(OLD_MD[1])))


def _mend_md(data):
    test_md.seal(data, 4096, "1.2")


def _mend_old_md(data):
    test_md.seal(data, len(data) - 65536, "0.90")


def _leave(data):
    """Nothing to mend."""


LABEL = lvm.head(lvm.identity(1), lvm.START + 4 * lvm.EXTENT, test_lvm.described())[: lvm.AREA + 4096]
NTFS = bytes(test_ntfs_damage.SOUND)
MD, OLD_MD = (
    [bytes(test_md.member(test_md.Array(level, layout=layout, metadata=version), number, lengths=[2 * MIB] * 2).data) for number in range(2)]
    for level, layout, version in (("raid10", test_md.FAR, "1.2"), ("raid1", 0, "0.90"))
)
RC_CONF = ("".join(text for text, _ in test_bsd.SCRIPTS) + "if x; then a=`y`; fi; . /z\n").encode()
UFS = ufs.Volume(ufs.made(4 * MIB))
UFS_INODES, UFS_BLOCKS = UFS.super.inode_address(0), UFS.block("/")
TARGETS = {
    "hive": Target(test_fuzz.HIVE, ((0, len(test_fuzz.HIVE)),), _mend_hive, _read_hive),
    "lvm-metadata": Target(test_lvm.described(), ((0, len(test_lvm.described())),), _leave, _read_lvm),
    "lvm-label": Target(LABEL, ((lvm.SECTOR, 2 * lvm.SECTOR), (lvm.AREA, lvm.AREA + 64)), _mend_label, _read_label),
    "btrfs": Target(bytes(test_btrfs.SOUND), ((0x10000, 0x10400), (btrfs.START, btrfs.START + 14 * btrfs.NODE)), _mend_btrfs, _read_btrfs),
    "md": Target(MD[0], ((4096, 4096 + 300),), _mend_md, _read_md),
    "md-0.90": Target(OLD_MD[0], ((2 * MIB - 65536, 2 * MIB - 65536 + 700),), _mend_old_md, _read_old_md),
    "ntfs": Target(NTFS, ((0, 512), (test_ntfs_damage.FIRST * 1024, test_ntfs_damage.LAST * 1024)), _leave, _read_ntfs),
    "ufs": Target(
        bytes(UFS.data),
        ((8192, 8192 + 1376), (UFS_INODES, UFS_INODES + 330 * 256), (UFS_BLOCKS, UFS_BLOCKS + 32 * 1024), (UFS.pointers, UFS.pointers + 8192)),
        _leave,
        _read_ufs,
    ),
    "sh": Target(RC_CONF, ((0, len(RC_CONF)),), _leave, lambda data: shellvars.variables(bytes(data).decode("utf-8", "replace"))),
}


def wounded(target, seed):
    """The sound bytes with a few wounds; the same for the same seed."""
    dice = random.Random(seed)
    data = bytearray(target.sound)
    for _ in range(dice.randint(1, 8)):
        begin, end = dice.choice(target.spans)
        at = dice.randrange(begin, max(begin + 1, end - 16))
        kind = dice.randrange(4)
        if kind == 0:
            bits = dice.randbytes(dice.randint(1, 12))
        elif kind == 1:
            at -= at % 4
            bits = struct.pack("<Q", dice.choice(_NUMBERS))[: dice.choice((1, 2, 4, 8))]
        elif kind == 2:
            bits = bytes([data[at] ^ 1 << dice.randrange(8)])
        else:
            other = dice.randrange(begin, max(begin + 1, end - 64))
            bits = bytes(data[other : other + dice.randint(1, 64)])
        bits = bits[: len(data) - at]
        data[at : at + len(bits)] = bits
    if dice.random() < 0.9:
        target.mend(data)
    return data


def run(name, seed):
    """One input; gives what went wrong, or None."""
    target = TARGETS[name]
    data = wounded(target, seed)
    begin = time.process_time()
    try:
        target.read(data)
    except Exception:  # noqa: BLE001 - whatever comes is what is looked for
        return traceback.format_exc()
    spent = time.process_time() - begin
    return f"took {spent:.1f} s" if spent > SLOWEST else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", type=float, nargs="?", default=60)
    parser.add_argument("--target", choices=TARGETS)
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    if given.seed is not None:
        sys.exit(run(given.target, given.seed))
    names = [given.target] if given.target else list(TARGETS)
    seed, ends = random.SystemRandom().randrange(2**32), time.monotonic() + given.seconds
    counts, broken = dict.fromkeys(names, 0), 0
    while time.monotonic() < ends and broken < 10:
        for name in names:
            counts[name] += 1
            if wrong := run(name, seed):
                broken += 1
                print(f"python -m tests.fuzz --target {name} --seed {seed}\n{wrong}")
        seed += 1
    print(f"fuzzed {given.seconds:.0f} s: " + ", ".join(f"{count} {name}" for name, count in counts.items()) + f"; {broken} broke")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
