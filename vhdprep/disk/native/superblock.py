"""What a volume holds, by signature: name, identity, free space, clean or not.

Offsets as in util-linux 2.38 ``libblkid/src/superblocks``; names are libblkid's. Reading the files of a
file system is another matter (``ext.py`` and its siblings); what is only recognised here stays unread.
"""

from __future__ import annotations

import struct
import uuid
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from vhdprep.disk.native.stream import Stream

_HEAD = 0x11000
_EXT4_METADATA_CSUM = 0x400
_EXT_RECOVER, _EXT_JOURNAL_DEV = 0x4, 0x8
_EXT4_INCOMPAT = 0x40 | 0x80 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000
_GEOM = b"GEOM::"
_NOT_UNMOUNTED = "it was not unmounted: until fsck has run it may contradict itself, and the newest changes may be missing"
_EXT4_RO_COMPAT = 0x8 | 0x10 | 0x20 | 0x40 | 0x100 | 0x200 | 0x400 | 0x1000 | 0x2000
INLINE_DATA = "what lies in its inodes (inline_data) is not read beyond 60 bytes"
"""A caveat of libfsext alone."""
_EXT_CAVEATS = {0x10000: "some of its directories may be encrypted", 0x8000: INLINE_DATA}
"""Feature → what libfsext reads wrong without a word."""


class Superblock(NamedTuple):
    """What the first bytes of a volume say."""

    filesystem: str | None
    uuid: str | None = None
    label: str | None = None
    free: int | None = None
    """Free bytes."""
    state: str | None = None
    """``clean | unclean | errors``; None = not recorded here."""
    caveat: str | None = None
    """Why what is read of it may not be all."""
    detail: str | None = None
    """What else a person should know of a volume that is not read."""
    written: int | None = None
    """When it was last written: seconds since 1970."""
    devices: int = 1
    """Of btrfs: on how many it lies."""


BLANK = Superblock("")
"""Nothing but zeros where every known signature would stand."""


def recognise(stream: Stream, *, is_bsd: bool = False) -> Superblock:
    """The first recogniser that knows the volume; ``filesystem`` None = none does.

    A partition whose type ``is_bsd`` is looked at as such first: its tools leave what an earlier file system wrote into the boot area.
    """
    head = stream.read_at(0, _HEAD).ljust(_HEAD, b"\0")
    if found := _raid(stream, head) or _bitlocker(stream, head) or (_bsd(stream, head) if is_bsd else None):
        return found
    for recogniser in _RECOGNISERS:
        if found := recogniser(head):
            return _with_log(stream, head, found) if found.filesystem == "xfs" else found
    for offset, magic, name in _MAGICS:
        if head[offset : offset + len(magic)] == magic:
            return Superblock(name)
    return _bsd(stream, head) or _by_far_signature(stream, head)


def _text(data: bytes) -> str | None:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace").strip() or None


def _ext(head: bytes) -> Superblock | None:
    if head[0x438:0x43A] != b"\x53\xef":
        return None
    block = head[0x400:0x800]
    compat, incompat, ro_compat = struct.unpack_from("<III", block, 0x5C)
    if incompat & _EXT_JOURNAL_DEV:
        return Superblock("jbd")
    state = struct.unpack_from("<H", block, 0x3A)[0]
    name = "ext4" if incompat & _EXT4_INCOMPAT or ro_compat & _EXT4_RO_COMPAT else "ext3" if compat & 0x4 else "ext2"
    clean = "errors" if state & 2 else "unclean" if incompat & _EXT_RECOVER or not state & 1 else "clean"
    free = struct.unpack_from("<I", block, 0x0C)[0] + ((struct.unpack_from("<I", block, 0x158)[0] << 32) if incompat & 0x80 else 0)
    size = 1024 << min(struct.unpack_from("<I", block, 0x18)[0], 6)
    caveat = _ext_damage(block) or next((text for feature, text in _EXT_CAVEATS.items() if incompat & feature), None)
    written = struct.unpack_from("<I", block, 0x30)[0] | block[0x274] << 32
    identity, label = str(uuid.UUID(bytes=block[0x68:0x78])), _text(block[0x78:0x88])
    return Superblock(name, identity, label, free * size, clean, caveat, written=written or None)


def _ext_damage(block: bytes) -> str | None:
    """Why Linux would refuse the superblock (``fs/ext4/super.c``, ``ext4_fill_super``); None = it would not."""
    checksum, ro_compat = struct.unpack_from("<I", block, 0x3FC)[0], struct.unpack_from("<I", block, 0x64)[0]
    if ro_compat & _EXT4_METADATA_CSUM:
        from vhdprep.disk.native.checksum import crc32c  # late: many disks need none

        if checksum != crc32c(block[:0x3FC]):
            return f"its superblock is damaged: the checksum is 0x{checksum:08x}, its bytes give 0x{crc32c(block[:0x3FC]):08x}"
    bits = 8 * (1024 << min(struct.unpack_from("<I", block, 0x18)[0], 6))
    clusters, inodes = struct.unpack_from("<I", block, 0x24)[0], struct.unpack_from("<I", block, 0x28)[0]
    if not 0 < clusters <= bits or not 0 < inodes <= bits:
        return f"its superblock is damaged: {clusters} clusters and {inodes} inodes in a group, of which {bits} fit"
    return None


def _xfs(head: bytes) -> Superblock | None:
    if head[:4] != b"XFSB":
        return None
    free = struct.unpack_from(">Q", head, 144)[0] * struct.unpack_from(">I", head, 4)[0]
    return Superblock("xfs", str(uuid.UUID(bytes=head[32:48])), _text(head[108:120]), free)


def _with_log(stream: Stream, head: bytes, found: Superblock) -> Superblock:
    """The superblock of XFS does not say whether it was unmounted; its log does."""
    from vhdprep.disk.native import xfslog, xfssuper  # late: most disks have none

    xfs = xfssuper.parse(head)
    try:
        xfssuper.validate(xfs, stream.get_size())
    except Unreadable:
        return found
    return found._replace(state="errors" if xfs.needs_repair else xfslog.state(stream, xfs))


def _bitlocker(stream: Stream, head: bytes) -> Superblock | None:
    """Before FAT, whose shape its boot sector has."""
    from vhdprep.disk.native import bitlocker  # late: most disks have none

    if not bitlocker.is_bitlocker(head):
        return None
    suspended = "its protection is suspended: a key in the clear lies beside it" if bitlocker.is_suspended(stream, head) else None
    return Superblock("BitLocker", detail=suspended)


def recognise_raid(stream: Stream) -> Superblock | None:
    """What a member of a Linux RAID says of itself; None = it is none."""
    return _raid(stream, stream.read_at(0, _HEAD).ljust(_HEAD, b"\0"))


def _raid(stream: Stream, head: bytes) -> Superblock | None:
    """A member of a Linux RAID, before the file system that shows through a mirror (Linux ``md_p.h``)."""
    size = stream.get_size()
    for at in (0, 4096, (size - 8192) & ~4095):
        block = head[at : at + 256] if at + 256 <= _HEAD else stream.read_at(at, 256)
        if block[:8] == b"\xfc\x4e\x2b\xa9\1\0\0\0" and struct.unpack_from("<Q", block.ljust(152, b"\0"), 144)[0] == at // 512:
            return Superblock("linux_raid_member", str(uuid.UUID(bytes=block[16:32])), _text(block[32:64]))
    at = (size & ~0xFFFF) - 0x10000
    old = stream.read_at(at, 64) if at > 0 else b""
    for order in "<>" if len(old) == 64 else "":
        magic, major, minor = struct.unpack_from(f"{order}III", old)
        used = struct.unpack_from(f"{order}I", old, 32)[0]
        if (magic, major) == (0xA92B4EFC, 0) and minor in (90, 91) and used * 1024 <= at:  # 91: a change of shape is under way
            return Superblock("linux_raid_member")
    return None


def _btrfs(head: bytes) -> Superblock | None:
    if head[0x10040:0x10048] != b"_BHRfS_M":
        return None
    total, used, _, devices = struct.unpack_from("<QQQQ", head, 0x10070)
    log_root = struct.unpack_from("<Q", head, 0x10060)[0]
    state = "unclean" if log_root else "clean"
    return Superblock("btrfs", str(uuid.UUID(bytes=head[0x10020:0x10030])), _text(head[0x1012B:0x1022B]), total - used, state, devices=devices)


def _fat(head: bytes) -> Superblock | None:
    if head[510:512] != b"\x55\xaa" or head[:1] not in (b"\xeb", b"\xe9"):
        return None
    for magic_at, serial_at, label_at in ((82, 67, 71), (54, 39, 43)):
        if head[magic_at : magic_at + 3] == b"FAT":
            serial = struct.unpack_from("<I", head, serial_at)[0]
            label = _text(head[label_at : label_at + 11])
            return Superblock("vfat", f"{serial >> 16:04X}-{serial & 0xFFFF:04X}", None if label == "NO NAME" else label)
    return None


def _ntfs(head: bytes) -> Superblock | None:
    if head[3:11] != b"NTFS    ":
        return None
    return Superblock("ntfs", f"{struct.unpack_from('<Q', head, 72)[0]:016X}")


def _swap(head: bytes) -> Superblock | None:
    for page in (0x1000, 0x2000, 0x4000, 0x8000, 0x10000):
        magic = head[page - 10 : page]
        if magic in (b"SWAPSPACE2", b"SWAP-SPACE"):
            return Superblock("swap", str(uuid.UUID(bytes=head[0x40C:0x41C])), _text(head[0x41C:0x42C]))
        if magic[:9] in (b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB000"):
            return Superblock("swsuspend")
    return None


def _luks(head: bytes) -> Superblock | None:
    """The first header, or the second one of version 2 where the first is damaged."""
    for at, magic in ((0, b"LUKS\xba\xbe"), (0x4000, b"SKUL\xba\xbe"), (0x8000, b"SKUL\xba\xbe"), (0x10000, b"SKUL\xba\xbe")):
        if head[at : at + 6] == magic:
            label = head[at + 24 : at + 72] if head[at + 6 : at + 8] == b"\0\2" else b""
            return Superblock("crypto_LUKS", _text(head[at + 168 : at + 208]), _text(label))
    return None


def _lvm(head: bytes) -> Superblock | None:
    for at in range(0, 2048, 512):
        if head[at : at + 8] == b"LABELONE" and head[at + 24 : at + 32] == b"LVM2 001":
            start = at + struct.unpack_from("<I", head, at + 20)[0]
            raw = head[start : start + 32].decode("ascii", "replace")
            cuts = (0, 6, 10, 14, 18, 22, 26, 32)
            return Superblock("LVM2_member", "-".join(raw[a:b] for a, b in pairwise(cuts)))
    return None


_RECOGNISERS: tuple[Callable[[bytes], Superblock | None], ...] = (_luks, _lvm, _ext, _xfs, _btrfs, _ntfs, _swap, _fat)

_MAGICS = (
    (3, b"ReFS\0\0\0\0", "ReFS"),
    (3, b"EXFAT   ", "exfat"),
    (0, b"hsqs", "squashfs"),
    (1024, b"\xe2\xe1\xf5\xe0", "erofs"),
    (1024, b"\x10\x20\xf5\xf2", "f2fs"),
    (0x8001, b"CD001", "iso9660"),
    (0x8000, b"JFS1", "jfs"),
    (0xC00, b"PRIVHEAD", "LDM"),
    (0, b"SPACEDB ", "storage_spaces"),
)


def _bsd(stream: Stream, head: bytes) -> Superblock | None:
    """UFS, or what GEOM of FreeBSD has made of the volume and noted in its last sector (``sys/geom/*/g_*.h``)."""
    from vhdprep.disk.native import ufssuper  # late: most disks have none

    last = stream.read_at(stream.get_size() - 512, 512) if stream.get_size() >= 512 else b""
    if last.startswith(_GEOM) and (kind := last[len(_GEOM) : 16].split(b"\0", 1)[0].decode("ascii", "replace")) != "LABEL":
        return Superblock("geli" if kind == "ELI" else "geom_member", detail=None if kind == "ELI" else f"its last sector says {kind[:10]}")
    found = ufssuper.find(stream, head)
    if found is None:
        return None
    caveat = _NOT_UNMOUNTED if found.state == "unclean" and not found.is_journaled else None
    return Superblock("ufs", found.identity, found.label, found.free, found.state, caveat)


def _by_far_signature(stream: Stream, head: bytes) -> Superblock:
    """ZFS, whose uberblocks stand away from the start; else blank or unknown."""
    uberblocks = stream.read_at(128 * 1024, 128 * 1024)
    magics = (struct.pack("<Q", 0x00BAB10C), struct.pack(">Q", 0x00BAB10C))
    if any(uberblocks[at : at + 8] in magics for at in range(0, len(uberblocks), 1024)):
        return Superblock("zfs_member")
    return BLANK if not any(head) and not any(uberblocks) else Superblock(None)
