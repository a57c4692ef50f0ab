"""Kinds of volumes by the types of their partitions and by what they hold: which hold files, and why others are not read."""

from __future__ import annotations

from vhdprep.disk.native.partition import BSD_SLICES

NO_FILES = {
    "21686148-6449-6E6F-744E-656564454649": "BIOS boot partition (GRUB's core image)",
    "E3C9E316-0B5C-4DB8-817D-F92DF00215AE": "Microsoft reserved partition",
    "9E1A2D38-C612-4316-AA26-8B49521E5A8B": "PReP boot partition",
    "0x41": "PReP boot partition",
    "83BD6B9D-7F41-11DC-BE0B-001560B84F0F": "boot code of FreeBSD",
}
"""Partition types that hold no file system (util-linux ``include/pt-gpt-partnames.h``)."""

BSD_TYPES = {*BSD_SLICES, "516E7CB6-6ECF-11D6-8FF8-00022D09712B", "bsd:7"}
"""Partition types that hold a UFS, or a disklabel."""

NO_FILES_EITHER = {"": "holds no file system", "swap": "swap space"}

BY_TYPE = {
    "0x42": "LDM",
    "5808C8AA-7E8F-42E0-85D2-E1E90434CFB3": "LDM",
    "AF9B60A0-1431-4F62-BC68-3311714A69AD": "LDM",
    "E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D": "storage_spaces",
    "516E7CBA-6ECF-11D6-8FF8-00022D09712B": "zfs_member",
    "bsd:27": "zfs_member",
    "bsd:19": "softraid",
    "516E7CB5-6ECF-11D6-8FF8-00022D09712B": "swap",
    "bsd:1": "swap",
}
"""Partition types whose content is part of something larger, or is overwritten, whatever it begins with."""

REASONS = {
    "swsuspend": "swap space with a hibernated system: the file systems are as they were when it fell asleep",
    "crypto_LUKS": "encrypted with LUKS",
    "BitLocker": "encrypted with BitLocker",
    "LVM2_member": "an LVM2 physical volume inside another volume, which is not read",
    "linux_raid_member": "part of a Linux software RAID",
    "zfs_member": "part of a ZFS pool",
    "LDM": "part of a Windows dynamic disk",
    "storage_spaces": "part of a Storage Spaces pool",
    "geli": "encrypted with GELI",
    "geom_member": "part of a mirror, stripe or the like of FreeBSD",
    "softraid": "part of an OpenBSD softraid, mirrored or encrypted",
}

STALE = {
    "unclean": "its journal was not replayed: the newest changes may be missing",
    "hibernated": "Windows is hibernated or was shut down with Fast Startup: its newest changes are not on the disk",
}
"""State of a file system → what may be out of date in what was read."""
