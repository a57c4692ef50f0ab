"""Images made to hurt: every one is judged within seconds and bounded memory, in words, without a traceback.

Each row builds a file, runs the program in a process of its own, and asserts the verdict exactly, time and peak
memory loosely. What limits each attack is a constant beside the reader it bounds (vhdprep/README.md).
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import struct
import subprocess
import sys
from pathlib import Path
from string import ascii_letters

import pytest

from fixtures import bsd, build, vhdfile, vhdxfile
from tests.unit import ufs
from tests.unit.test_tables import Bytes, boot_record, gpt_disk

ROOT = Path(__file__).resolve().parent.parent.parent
MIB = 1024 * 1024
SECONDS, MEMORY = 15, 500 * MIB
"""What is endless takes minutes; these take two seconds on a good machine and six on a tired one."""
CASES = {}
MEASURE = """import os, sys
child = os.spawnv(os.P_NOWAIT, sys.argv[2], sys.argv[2:])
used = os.wait4(child, 0)[2]
open(sys.argv[1], "w").write(f"{used.ru_maxrss} {used.ru_utime + used.ru_stime}")"""
"""A small process between: a child's peak memory begins with what its parent had. Processor time, for others are at work too."""


def case(verdict, says=""):
    """Register a builder: ``verdict`` exactly, and ``says`` somewhere in the report."""

    def register(builder):
        CASES[builder.__name__.replace("_", " ")] = (builder, verdict, says)
        return builder

    return register


def write(place, data, *, kind=None, **fields):
    """The bytes as a raw file, or as a VHD of ``kind``."""
    path = place / "hostile.vhd"
    raw = place / "hostile.raw"
    raw.write_bytes(bytes(data))
    if kind is None:
        return raw
    vhdfile.write(raw, path, kind=kind, footer=fields)
    return path


def patched(path, *wounds):
    with path.open("r+b") as file:
        for at, data in wounds:
            file.seek(at if at >= 0 else file.seek(0, 2) + at)
            file.write(data)
    return path


def guest(place, add=None, edit=None, size="64 MiB", **changes):
    """The good Debian guest on an MBR disk, with files of the attacker's."""
    recipe = {**build.recipes()["debian-12-mbr"], "size": size, **changes}
    recipe["add"] = {**recipe.get("add", {}), **(add or {})}
    recipe["edit"] = {**recipe.get("edit", {}), **(edit or {})}
    raw, path = place / "hostile.raw", place / "hostile.vhd"
    build.write_disk(recipe, raw, place)
    vhdfile.write(raw, path)
    return path


def freebsd(place, add=None, wound=None):
    """The good FreeBSD guest, with files of the attacker's, and his changes to the UFS of its root, without check hashes: he would know to compute them."""
    recipe = dict(build.recipes()["freebsd-14-generalized"], add=add or {}, size="32 MiB")
    *others, root = recipe["volumes"]
    recipe["volumes"] = [*others, {**root, "block": 16384, "fragment": 2048, "sealed": False}]
    raw, path = place / "hostile.raw", place / "hostile.vhd"
    build.write_disk(recipe, raw, place)
    vhdfile.write(raw, path)
    if wound is not None:
        with path.open("r+b") as file:
            file.seek(10 * MIB)
            root = ufs.Volume(file.read(21 * MIB))
            wound(root)
            file.seek(10 * MIB)
            file.write(root.data)
    return path


def dynamic_header(path, **fields):
    offsets = {"data_offset": (8, "Q"), "table_offset": (16, "Q"), "entries": (28, "I"), "block_size": (32, "I")}
    return patched(path, *((512 + offsets[name][0], struct.pack(f">{offsets[name][1]}", value)) for name, value in fields.items()))


# containers


@case("not-ready", "vhd-payload-complete")
def sixty_four_tebibytes_claimed_by_two_kibibytes(place):
    return write(place, bytes(1536), kind="fixed", current_size=64 * 1024**4)


@case("not-ready", "vhd-block-table-sound")
def a_dynamic_disk_of_all_the_bytes_there_are(place):
    return write(place, bytes(8 * MIB), kind="dynamic", current_size=2**64 - 512)


@case("not-ready", "vhd-block-table-sound")
def a_block_table_of_four_billion_entries(place):
    return dynamic_header(write(place, bytes(8 * MIB), kind="dynamic"), entries=0xFFFFFFFF)


@case("not-ready", "vhd-block-table-sound")
def a_block_table_inside_itself(place):
    path = write(place, bytes(gpt_disk().data), kind="dynamic")
    return patched(path, (1536, struct.pack(">I", 3)))


@case("not-ready", "vhd-block-table-sound")
def every_block_is_the_same_one(place):
    path = write(place, b"\1" * (8 * MIB), kind="dynamic")
    return patched(path, (1536, struct.pack(">I", 4) * 4))


@case("not-ready", "vhd-block-table-sound")
def blocks_of_two_gibibytes(place):
    return dynamic_header(write(place, b"\1" * (8 * MIB), kind="dynamic"), block_size=2**31)


@case("not-ready", "vhd-block-table-sound")
def a_header_that_points_at_the_footer(place):
    path = write(place, bytes(8 * MIB), kind="dynamic")
    return patched(path, (-512, vhdfile.make_footer(8 * MIB, 3, {"data_offset": 0})))


@case("not-ready", "vhd-type-fixed")
def two_tebibytes_in_a_million_blocks(place):
    raw, path = place / "hostile.raw", place / "hostile.vhd"
    raw.write_bytes(b"")
    blocks = 1024 * 1024
    header = bytearray(1024)
    header[0:8] = b"cxsparse"
    struct.pack_into(">QQIII", header, 8, 2**64 - 1, 1536, 0x10000, blocks, 2 * MIB)
    header[36:40] = struct.pack(">I", ~sum(header) & 0xFFFFFFFF)
    footer = vhdfile.make_footer(blocks * 2 * MIB, 3, {})
    path.write_bytes(footer + header + b"\xff" * (4 * blocks) + footer)
    return path


@case("not-ready", "vhd-type-not-differencing")
def a_differencing_disk_that_is_its_own_parent(place):
    path = write(place, bytes(8 * MIB), kind="dynamic", disk_type=4)
    footer = path.read_bytes()[-512:]
    return patched(path, (512 + 40, footer[68:84]), (512 + 64, "hostile.vhd".encode("utf-16-be")))


@case("not-ready", "vhd-footer-checksum-valid")
def nothing_but_cookies(place):
    return write(place, b"conectix" * 200)


# VHDX


def vhdx(place, *wounds, data=bytes(8 * MIB), **how):
    """A VHDX of ``data``, patched."""
    path = place / "hostile.vhdx"
    vhdxfile.write(bytes(data), path, **how)
    return patched(path, *wounds)


def vhdx_items(at, value):
    return vhdxfile.METADATA + 65536 + at, value


@case("not-ready", "vhdx-structures-sound")
def a_vhdx_of_nothing_but_its_name(place):
    path = place / "hostile.vhdx"
    path.write_bytes(b"vhdxfile" * 100_000)
    return path


@case("not-ready", "vhdx-structures-sound")
def a_vhdx_of_64_tebibytes_in_blocks_of_one_mebibyte(place):
    return vhdx(place, vhdx_items(8, struct.pack("<Q", 2**46)))


@case("not-ready", "vhdx-structures-sound")
def a_vhdx_of_all_the_bytes_there_are(place):
    return vhdx(place, vhdx_items(8, struct.pack("<Q", 2**64 - 512)))


@case("not-ready", "vhdx-structures-sound")
def a_vhdx_whose_table_is_longer_than_the_file(place):
    path = vhdx(place)
    for table in (3 * 65536, 4 * 65536):
        data = bytearray(path.read_bytes()[table : table + 65536])
        struct.pack_into("<QI", data, 32, 2**63, 0xFFF00000)
        patched(path, (table, vhdxfile.seal(data)))
    return path


def a_table_of_two_million_blocks(place, entries):
    """A sparse file with a block table of 16 MiB and more, for a disk of 2 TiB."""
    path = vhdx(place, vhdx_items(8, struct.pack("<Q", 2**41)))
    table = 8 * (2**21 + 2**21 // 4096)
    for at in (3 * 65536, 4 * 65536):
        data = bytearray(path.read_bytes()[at : at + 65536])
        struct.pack_into("<QI", data, 32, 16 * MIB, -(-table // MIB) * MIB)
        patched(path, (at, vhdxfile.seal(data)))
    return patched(path, (16 * MIB, entries(table // 8)), (64 * MIB, b"end"))


@case("not-ready", "vhdx-structures-sound")
def a_vhdx_of_two_million_blocks_in_one_place(place):
    return a_table_of_two_million_blocks(place, lambda count: struct.pack("<Q", 5 << 20 | 6) * count)


@case("not-ready", "vhdx-structures-sound")
def a_vhdx_of_two_million_blocks_all_over_the_world(place):
    return a_table_of_two_million_blocks(place, lambda count: struct.pack(f"<{count}Q", *(number * 7919 << 20 | 7 for number in range(count))))


@case("not-ready", "vhd-type-not-differencing")
def a_vhdx_that_is_its_own_parent(place):
    parent = vhdxfile.Parent(bytes(8 * MIB), vhdxfile.DATA_WRITE, {"relative_path": "hostile.vhdx"})
    return vhdx(place, data=b"x" * 700 + bytes(8 * MIB - 700), parent=parent)


@case("not-ready", "is missing")
def a_vhdx_whose_parent_is_the_passwd_of_the_host(place):
    (place / "canary").write_text("of the host")
    parent = vhdxfile.Parent(bytes(8 * MIB), vhdxfile.DATA_WRITE, {"relative_path": "..\\" * 30 + "etc\\nothing", "volume_path": "x" * 20_000})
    return vhdx(place, data=b"x" * 700 + bytes(8 * MIB - 700), parent=parent)


@case("not-ready", "vhdx-structures-sound")
def a_vhdx_log_of_entries_that_each_fill_it(place):
    """256 checksums of a mebibyte each would take half a minute."""
    path = vhdx(place)
    head = bytearray(vhdxfile.make_entry(vhdxfile.Entry([], 1)))
    struct.pack_into("<I", head, 8, MIB)
    patched(path, *((vhdxfile.LOG + at, head) for at in range(0, MIB, 4096)))
    vhdxfile.write_headers(path, log=vhdxfile.LOG_GUID)
    return path


@case("not-ready", "vhdx-structures-sound")
def a_vhdx_log_whose_entries_point_at_each_other(place):
    path = vhdx(place)
    vhdxfile.write_log(path, [vhdxfile.Entry([], number, (number * 7 % 250) * 4096) for number in range(255, 0, -1)])
    return path


@case("not-ready", "vhdx-structures-sound")
def a_vhdx_log_that_zeroes_the_world(place):
    path = vhdx(place)
    vhdxfile.write_log(path, [vhdxfile.Entry([(0, 2**64 - 4096)] * 100, 1)])
    return path


@case("not-ready", "vhdx-structures-sound")
def a_vhdx_log_that_zeroes_what_is_allowed_again_and_again(place):
    path = vhdx(place)
    vhdxfile.write_log(path, [vhdxfile.Entry([(number * 4096, 2 * MIB) for number in range(127)], 1), vhdxfile.Entry([(MIB, 2 * MIB)], 2)])
    return path


@case("not-ready", "vhdx-closed-cleanly")
def a_vhdx_log_that_makes_the_file_endless(place):
    path = vhdx(place)
    vhdxfile.write_log(path, [vhdxfile.Entry([(2**64 - 4096, b"x" * 4096)], 1, 0, 0, 2**64 - 1)])
    return path


@case("not-ready", "vhdx-structures-sound")
def a_vhdx_log_that_rewrites_the_region_tables(place):
    path = vhdx(place)
    vhdxfile.write_log(path, [vhdxfile.Entry([(3 * 65536 + at, b"regi" * 1024) for at in range(0, 131072, 4096)], 1)])
    return path


@case("not-ready", "disk-sectors-512-bytes")
def a_vhdx_of_large_sectors_with_a_table_for_small_ones(place):
    return vhdx(place, data=gpt_disk().data, sector=4096)


# partition tables


@case("not-ready", "disk-table-valid")
def a_gpt_of_four_billion_entries(place):
    return write(place, gpt_disk(entry_count=0xFFFFFFFF).data, kind="fixed")


@case("not-ready", "disk-table-valid")
def a_gpt_partition_behind_the_end_of_the_world(place):
    return write(place, gpt_disk(((2048, 2**63),)).data, kind="fixed")


@case("not-ready", "disk-table-valid")
def a_hundred_overlapping_partitions(place):
    return write(place, gpt_disk(tuple((2048, 3000 + number) for number in range(100))).data, kind="fixed")


@case("not-ready", "disk-table-valid")
def extended_partitions_in_a_circle(place):
    disk = Bytes()
    disk.put(0, boot_record((0, 5, 1000, 2000)))
    disk.put(1000, boot_record((0, 0x83, 10, 10), (0, 5, 0, 2000)))
    return write(place, disk.data, kind="fixed")


@case("not-ready", "disk-table-valid")
def a_thousand_logical_partitions(place):
    disk = Bytes()
    disk.put(0, boot_record((0, 5, 10, 4000)))
    for number in range(1000):
        disk.put(10 + number, boot_record((0, 0x83, 1, 1), (0, 5, number + 1, 4000)))
    return write(place, disk.data, kind="fixed")


# file systems


def ext_wound(*wounds):
    return lambda place: patched(guest(place), *((MIB + at, data) for at, data in wounds))


CASES["an ext4 of blocks of two to the forty"] = (ext_wound((1024 + 0x18, struct.pack("<I", 30))), "inconclusive", "cannot be opened")
CASES["an ext4 of four billion inodes a group"] = (ext_wound((1024 + 0x28, struct.pack("<I", 0xFFFFFFFF))), "inconclusive", "superblock is damaged")
CASES["an ext4 whose group descriptors lead outside"] = (ext_wound((2048, b"\xff" * 64), (4096, b"\xff" * 64)), "inconclusive", "")
CASES["an ext4 with a broken root directory"] = (ext_wound((1024 + 0x20, b"\xff" * 8)), "inconclusive", "")


def ufs_wound(wound, add=None):
    return lambda place: freebsd(place, add, wound)


def numbers(disk, at, code, *values):
    struct.pack_into(code, disk.data, at, *values)


CASES["a ufs of four billion groups"] = (ufs_wound(lambda disk: disk.field(44, "I", 2**32 - 1)), "inconclusive", "its groups have no size")
CASES["a ufs of blocks of two gibibytes"] = (ufs_wound(lambda disk: disk.field(48, "i", 2**31 - 1)), "inconclusive", "its block sizes cannot be")
CASES["a ufs of exbibytes"] = (ufs_wound(lambda disk: disk.field(1080, "q", 2**60)), "inconclusive", "its size and its groups disagree")
CASES["a ufs whose root is a hole"] = (
    ufs_wound(lambda disk: numbers(disk, disk.super.inode_address(2) + 16, "<q80x15q", 2**25, *[0] * 15)), "inconclusive", "cannot be read",
)  # fmt: skip
CASES["a ufs kernel of half a tebibyte"] = (
    ufs_wound(lambda disk: numbers(disk, disk.inode("/boot/kernel/kernel") + 16, "<q", 2**39)), "ready", "too many to search",
)  # fmt: skip


def logs_in_a_circle(disk):
    """Two names in /var/log lead to /var/log itself: 2^n directories lie below it."""
    at, own = disk.block("/var/log"), opened_number(disk, "/var/log")
    for name in (b"loop1", b"loop2"):
        numbers(disk, disk.data.index(name, at, at + 512) - 8, "<I", own)


def opened_number(disk, path):
    return ufs.opened(disk)._number(path)


CASES["a ufs whose directories run in a circle"] = (
    ufs_wound(logs_in_a_circle, {"/var/log/loop1": "x", "/var/log/loop2": "x"}), "ready", "is the same directory as /var/log",
)  # fmt: skip


@case("ready")
def an_rc_conf_that_doubles_itself(place):
    return freebsd(place, {"/etc/rc.conf": "x=aa\n" + 'x="$x$x"\n' * 3000 + build.tree("freebsd-14")["/etc/rc.conf"]})


@case("not-ready", "freebsd-network-dhcp-on-hn0")
def an_rc_conf_of_open_quotes(place):
    return freebsd(place, {"/etc/rc.conf": '"\n' * 200_000 + "sshd_enable=YES\nwaagent_enable=YES\n'`\"" * 2})


@case("not-ready", "more than 128 on a disk are not read")
def four_slices_of_fifty_two_partitions(place):
    disk = Bytes()
    disk.put(0, boot_record(*((0, 0xA6, 64 + 900 * number, 900) for number in range(4))))
    entries = {letter: (70 + at, 1, 7) for at, letter in enumerate(ascii_letters)}
    for number in range(4):
        disk.put(65 + 900 * number, bsd.label("openbsd", entries, size=4096, count=52))
    return write(place, disk.data, kind="fixed")


@case("ready")
def a_fat_whose_chains_run_in_circles(place):
    recipe = {**build.recipes()["debian-12-generalized"]}
    raw, path = place / "hostile.raw", place / "hostile.vhd"
    build.write_disk(recipe, raw, place)
    vhdfile.write(raw, path)
    data = path.read_bytes()
    start = data.index(b"mkfs.fat") - 3
    table = start + struct.unpack_from("<H", data, start + 14)[0] * 512
    return patched(path, (table + 4, struct.pack("<H", 2) * 2000))


@case("not-ready", "vhd-payload-complete")
def a_file_system_cut_off_in_the_middle(place):
    path = guest(place)
    footer = path.read_bytes()[-512:]
    with path.open("r+b") as file:
        file.truncate(8 * MIB)
        file.seek(0, 2)
        file.write(footer)
    return path


@case("inconclusive", "too many")
def a_passwd_of_a_tebibyte(place):
    return guest(place, {"/etc/passwd": {"sparse": 1024**4 // 64}})


# the guest


@case("inconclusive", "circle")
def links_in_a_circle(place):
    return guest(place, {"/etc/waagent.conf": {"link": "waagent.loop"}, "/etc/waagent.loop": {"link": "waagent.conf"}})


@case("not-ready", "linux-agent-config-present")
def links_that_climb_out_of_the_guest(place):
    (place / "canary").write_text("Provisioning.Agent=waagent\n")
    return guest(place, {"/etc/waagent.conf": {"link": f"../../../../../../../..{place}/canary"}})


@case("ready")
def directories_three_hundred_deep(place):
    return guest(place, {"/srv" + "/d" * 200 + "/f": "x"})


@case("ready")
def twelve_thousand_files_in_one_directory(place):
    return guest(place, {f"/etc/ssl/certs/{number:05d}.pem": "" for number in range(12_000)}, size="128 MiB")


@case("inconclusive", "too many")
def an_fstab_of_five_mebibytes(place):
    return guest(place, {"/etc/network/interfaces": "# x\n" * 1_400_000})


@case("ready")
def a_hundred_thousand_lines_of_passwd(place):
    lines = "root:x:0:0:root:/root:/bin/bash\n" + "".join(f"u{number}:x:1{number % 10}:1:::/usr/sbin/nologin\n" for number in range(80_000))
    return guest(place, {"/etc/passwd": lines})


def bomb(pack):
    """An initramfs that unpacks to gigabytes of nothing."""
    head = b"070701" + b"00000001" * 6 + b"FFFFFFFF" + b"00000000" * 4 + b"00000002" + b"00000000" + b"a\0"
    return pack(head + bytes(64 * MIB))


@case("inconclusive", "ends in the middle")
def an_initramfs_that_is_a_gzip_bomb(place):
    return guest(place, {"/boot/initrd.img-6.1.0-25-cloud-amd64": bomb(lambda data: gzip.compress(data, 6))})


@case("inconclusive", "ends in the middle")
def an_initramfs_that_is_an_xz_bomb(place):
    return guest(place, {"/boot/initrd.img-6.1.0-25-cloud-amd64": bomb(lambda data: lzma.compress(data, check=lzma.CHECK_CRC32))})


@case("inconclusive", "unpacks to more than")
def an_initramfs_of_a_hundred_bombs(place):
    one = gzip.compress(bytes(64 * MIB), 6)
    return guest(place, {"/boot/initrd.img-6.1.0-25-cloud-amd64": one * 40})


@case("inconclusive", "a name of")
def an_initramfs_with_an_endless_name(place):
    head = b"070701" + b"00000000" * 11 + b"7FFFFFFF" + b"00000000"
    return guest(place, {"/boot/initrd.img-6.1.0-25-cloud-amd64": head + bytes(1000)})


@case("inconclusive", "is not known")
def an_initramfs_of_noise(place):
    return guest(place, {"/boot/initrd.img-6.1.0-25-cloud-amd64": b"\x99noise" * 1000})


@case("not-ready", "linux-cloud-init-config-readable")
def a_yaml_bomb_as_cloud_config(place):
    layers = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(9))
    return guest(place, {"/etc/cloud/cloud.cfg": layers})


@case("not-ready", "linux-cloud-init-config-readable")
def yaml_ten_thousand_brackets_deep(place):
    return guest(place, {"/etc/cloud/cloud.cfg": "[" * 10_000})


@case("ready")
def an_sshd_config_that_includes_itself(place):
    return guest(place, {"/etc/ssh/sshd_config.d/x.conf": "Include /etc/ssh/sshd_config\n"})


@case("not-ready", "linux-ssh-host-keys-removed")
def names_of_control_characters(place):
    return guest(place, {"/etc/ssh/ssh_host_\x1b[2J\x07\u202e_key": "x"})


@case("not-ready", "linux-ssh-host-keys-removed")
def names_that_are_no_utf_8_beside_a_key(place):
    return guest(place, {os.fsdecode(b"/etc/ssh/caf\xe9"): "x", "/etc/ssh/ssh_host_rsa_key": "x"})


@case("ready")
def units_that_want_each_other(place):
    units = {f"/etc/systemd/system/t{number}.target.wants/t{(number + 1) % 40}.target": {"link": "/dev/zero"} for number in range(40)}
    return guest(place, {**units, "/etc/systemd/system/t0.target.wants/x.service": {"link": "x"}})


@case("ready")
def a_grub_configuration_of_ten_thousand_entries(place):
    more = "".join(f"menuentry 'x{number}' {{\n linux /x\n}}\n" for number in range(10_000))
    return guest(place, {"/boot/grub/grub.cfg": build.tree("debian-12")["/boot/grub/grub.cfg"] + more})


@case("ready")
def twenty_mebibytes_of_package_status(place):
    stanza = "Package: p{0}\nStatus: install ok installed\nVersion: 1\nDescription: x\n\n"
    return guest(place, {"/var/lib/dpkg/status": "".join(stanza.format(number) for number in range(300_000))}, size="128 MiB")


@case("inconclusive", "too long")
def a_home_two_thousand_directories_deep(place):
    return guest(place, edit={"/etc/passwd": {":/root:": ":" + "/a" * 2000 + ":"}})


@case("ready")
def a_modprobe_directory_of_ten_thousand_files(place):
    return guest(place, {f"/etc/modprobe.d/{number}.conf": "options x y=1\n" for number in range(5_000)}, size="128 MiB")


@case("not-ready", "linux-cloud-init-config-readable")
def cloud_config_of_two_hundred_thousand_brackets(place):
    return guest(place, {"/etc/cloud/cloud.cfg": "x:\n" + (" " + "[" * 10_000 + "\n") * 20})


@case("inconclusive", "a line of more than")
def a_kernel_argument_of_a_megabyte(place):
    return guest(place, edit={"/boot/grub/grub.cfg": {" ro console": " ro " + "x" * 1_000_000 + " console"}})


@case("inconclusive", "a line of more than")
def spaces_without_end_in_a_key_file(place):
    return guest(place, {"/root/.ssh/authorized_keys": " " * 200_000 + "#\n"})


@case("inconclusive", "unpacks to more than")
def a_bzip2_initramfs_that_unpacks_to_a_gigabyte(place):
    head = b"070701" + b"".join(b"%08X" % field for field in (1, 0o100644, 0, 0, 1, 0, 2**30, 0, 0, 0, 0, 4, 0)) + b"big\0\0\0"
    packer = bz2.BZ2Compressor()  # in steps: the child's memory is counted from what this process had
    packed = packer.compress(head) + b"".join(packer.compress(bytes(MIB)) for _ in range(1024)) + packer.flush()
    return guest(place, {"/boot/initrd.img-6.1.0-25-cloud-amd64": {"hex": packed.hex()}})


@case("ready", "linux-human-accounts-removed")
def ninety_thousand_people(place):
    people = "".join(f"u{number}:x:{1000 + number % 50000}:100::/home/u{number}:/bin/sh\n" for number in range(90_000))
    return guest(place, {"/etc/passwd": build.tree("debian-12")["/etc/passwd"] + people})


@case("not-ready", "freebsd-kernel-present")
def a_linux_that_calls_itself_freebsd(place):
    return guest(place, edit={"/usr/lib/os-release": {"ID=debian": "ID=freebsd"}})


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_image_is_judged_in_time_and_memory(name, tmp_path):
    builder, verdict, says = CASES[name]
    path = builder(tmp_path)
    out = tmp_path / "report.json"
    with out.open("wb") as stream, (tmp_path / "errors").open("wb") as errors:
        command = [sys.executable, "-c", MEASURE, str(tmp_path / "used"), sys.executable, "-m", "vhdprep", "check", str(path), "--format", "json"]
        subprocess.run(command, stdout=stream, stderr=errors, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    memory, seconds = map(float, (tmp_path / "used").read_text().split())
    report = json.loads(out.read_text())
    failed = [finding["rule_id"] for finding in report["findings"] if finding["outcome"] == "fail"]
    assert (tmp_path / "errors").read_text() == ""
    assert [finding["traceback"] for finding in report["findings"] if "traceback" in finding] == []
    assert report["verdict"] == verdict, (failed, report["gaps"])
    assert says in failed or says in json.dumps(report["gaps"]) or any(says in (finding["reason"] or "") for finding in report["findings"])
    assert "of the host" not in out.read_text()
    assert seconds < SECONDS
    assert memory * 1024 < MEMORY


def test_there_are_at_least_forty_kinds_of_attack():
    assert len(CASES) >= 40
