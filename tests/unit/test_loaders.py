"""Boot loaders: from their configuration to the entry that starts when nobody touches the keyboard."""

from __future__ import annotations

import tarfile
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures import content
from tests.unit.memory import guest as small_guest
from vhdprep.disk.memory import MemoryDisk, MemoryFiles
from vhdprep.errors import Unreadable
from vhdprep.guest import boot, modules
from vhdprep.guest.assemble import assemble
from vhdprep.guest.formats import bls, grubscript
from vhdprep.guest.formats.grubtest import evaluate
from vhdprep.guest.loaders.entry import split
from vhdprep.guest.loaders.sdboot import XBOOTLDR
from vhdprep.model import Volume, VolumeKind
from vhdprep.storage import Subvolume

ROOT = {"/etc/os-release": "ID=debian\nVERSION_ID=12\n", "/etc/passwd": "", "/usr/lib/systemd/systemd": content.elf("x86_64")}
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
DISCOVERABLE = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
SHIM = content.efi("x86_64", signed=True, sections=[".text", ".sbat", ".vendor_c"])
GRUB = content.efi("x86_64", signed=True, sections=[".text", "mods"])
SDBOOT = content.efi("x86_64", signed=True, sections={".text": b"", ".sdmagic": "#### LoaderInfo: systemd-boot 252.30 ####"})
OTHER = content.efi("x86_64", signed=True, sections=[".text"])


def uki(line="root=UUID=AA", version="1", sections=None):
    parts = {
        ".osrel": f"ID=debian\nVERSION_ID={version}\nPRETTY_NAME='Debian {version}'\n",
        ".uname": f"6.{version}",
        ".linux": content.kernel(f"6.{version}", signed=False),
        ".initrd": content.initramfs(["usr/lib/modules/6.1/hv_vmbus.ko"], "zstd", microcode=False),
    }
    return content.efi("x86_64", signed=True, sections=parts | ({".cmdline": line} if line else {}) | (sections or {}))


def machine(root=None, esp=None, boot=None, xbootldr=None, fields=None, root_type="0FC63DAF-8483-4772-8E79-3D69D8477DE4"):
    """A guest on a disk in memory: p1 the EFI partition, p2 the root (UUID AA), p3 a /boot of its own (UUID BB) or XBOOTLDR."""
    parts = [("p1", ESP_TYPE, "vfat", "E5-E5", esp), ("p2", root_type, "ext4", "AA", {**ROOT, **(root or {})})]
    parts += [("p3", "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "ext4", "BB", boot)] if boot is not None else []
    parts += [("p3", XBOOTLDR, "vfat", "CC", xbootldr)] if xbootldr is not None else []
    parts = [each for each in parts if each[4] is not None]
    volumes = [Volume(each, VolumeKind.PARTITION, 2**20, 2**20, kind, filesystem, uuid=uuid, read=True) for each, kind, filesystem, uuid, _ in parts]
    files = {each: MemoryFiles(tree, case_sensitive=filesystem != "vfat") for each, _, filesystem, _, tree in parts}
    return assemble(MemoryDisk(2**30, "gpt", volumes, files, {"mbr:boot_code": "absent"} | (fields or {})))


def started(**places):
    return boot.default_entry(machine(**places))


def grub(text, environment=None, **more):
    """What a grub.cfg on the root starts."""
    block = "# GRUB Environment Block\n" + "".join(f"{key}={value}\n" for key, value in (environment or {}).items())
    return boot.default_entry(small_guest({"/boot/grub/grub.cfg": text, "/boot/grub/grubenv": block, **more}))


MENU = """
if [ -s $prefix/grubenv ]; then load_env; fi
if [ "${next_entry}" ] ; then
  set default="${next_entry}"
  set next_entry=
else
  set default="0"
fi
if [ x"${feature_menuentry_id}" = xy ]; then menuentry_id_option="--id"; else menuentry_id_option=""; fi
if [ "${prev_saved_entry}" ]; then set saved_entry="${prev_saved_entry}"; save_env saved_entry; fi
function savedefault { if [ -z "${boot_once}" ]; then saved_entry="${chosen}"; save_env saved_entry; fi; }
menuentry 'One' --class gnu $menuentry_id_option 'id-1' {
  set root='hd0,gpt1'; linux /vmlinuz-1 root=UUID=1 ro "quoted arg"
  initrd /microcode.img /initrd-1 # the early one first
}
submenu 'More' --id 'sub' {
  menuentry 'Two' --id 'id-2' { linux16 /vmlinuz-2; }
  menuentry 'Three' --id 'id-3' {
    linux /vmlinuz-3
  }
}
"""


@pytest.mark.parametrize(
    ("default", "environment", "kernel"),
    [
        ("0", {}, "/vmlinuz-1"),
        ("id-1", {}, "/vmlinuz-1"),
        ("One", {}, "/vmlinuz-1"),
        ("1", {}, "/vmlinuz-2"),
        ("1>1", {}, "/vmlinuz-3"),
        ("sub>id-3", {}, "/vmlinuz-3"),
        ("More>Three", {}, "/vmlinuz-3"),
        ("${saved_entry}", {"saved_entry": "sub>id-3"}, "/vmlinuz-3"),
        ("${saved_entry}", {"saved_entry": "0", "prev_saved_entry": "sub>id-3"}, "/vmlinuz-1"),
        ("${saved_entry}", {}, "/vmlinuz-1"),
        ("0", {"next_entry": "sub>id-2"}, "/vmlinuz-2"),
        ("0", {"saved_entry": "sub>id-2"}, "/vmlinuz-1"),
        ("no such entry", {}, "/vmlinuz-1"),
        ("99", {}, "/vmlinuz-1"),
    ],
)
def test_the_default_entry_of_grub(default, environment, kernel):
    assert grub(MENU.replace('set default="0"', f'set default="{default}"'), environment).kernel.named == kernel


def test_a_grub_entry_has_its_arguments_and_initramfs():
    entry = grub(MENU)
    assert (entry.title, entry.place, [each.named for each in entry.initrds]) == ("One", "/boot/grub/grub.cfg:12", ["/microcode.img", "/initrd-1"])
    assert entry.arguments == ("root=UUID=1", "ro", "quoted arg")


def test_a_grubenv_without_its_heading_is_none():
    text = MENU.replace('set default="0"', 'set default="${saved_entry}"')
    entry = boot.default_entry(small_guest({"/boot/grub/grub.cfg": text, "/boot/grub/grubenv": "saved_entry=sub>id-3\n"}))
    assert entry.kernel.named == "/vmlinuz-1"


UBUNTU = """
set timeout=0
menuentry 'Ubuntu' {
  if [ "${initrdfail}" = 1 ]; then
    linux /boot/vmlinuz root=PARTUUID=1
    initrd /boot/initrd.img
  else
    linux /boot/vmlinuz root=PARTUUID=1 panic=-1
  fi
}
"""


def test_an_entry_that_tries_without_an_initramfs_first_has_none():
    entry = grub(UBUNTU)
    assert (entry.initrds, entry.arguments) == ((), ("root=PARTUUID=1", "panic=-1"))


@pytest.mark.parametrize(
    ("counter", "kernel"), [({}, "/a"), ({"boot_counter": "2", "boot_success": "0"}, "/a"), ({"boot_counter": "0", "boot_success": "0"}, "/b")]
)
def test_the_countdown_of_red_hat_is_followed_only_where_it_counts(counter, kernel):
    text = """
load_env
set default=0
if [ -n "${boot_counter}" -a "${boot_success}" = "0" ]; then
  if  [ "${boot_counter}" = "0" -o "${boot_counter}" = "-1" ]; then set default=1; else decrement boot_counter; fi
fi
menuentry a { linux /a; }
menuentry b { linux /b; }
"""
    assert grub(text, counter).kernel.named == kernel


MARINER = """
set timeout=0
set bootprefix=/boot
search -n -u AA -s
load_env -f $bootprefix/mariner.cfg
set rootdevice=PARTUUID=1
menuentry "CBL-Mariner" {
  linux $bootprefix/$mariner_linux root=$rootdevice $mariner_cmdline $kernelopts
  if [ -f $bootprefix/$mariner_initrd ]; then
    initrd $bootprefix/$mariner_initrd
  fi
}
"""


def test_an_entry_made_of_variables_is_followed():
    files = {
        "/boot/grub2/grub.cfg": MARINER,
        "/boot/mariner.cfg": "# GRUB Environment Block\nmariner_cmdline=quiet console=ttyS0\nmariner_linux=vmlinuz-5\nmariner_initrd=initrd-5\n",
        "/boot/vmlinuz-5": "k",
        "/boot/initrd-5": "i",
    }
    entry = started(root=files)
    assert (entry.kernel_path, [each.path for each in entry.initrds]) == ("/boot/vmlinuz-5", ["/boot/initrd-5"])
    assert entry.arguments == ("root=PARTUUID=1", "quiet", "console=ttyS0")
    del files["/boot/mariner.cfg"]
    assert (started(root=files).kernel.named, started(root=files).kernel_path) == ("/boot/", None)


def test_a_kernel_named_by_nothing_but_unset_variables_is_undecided():
    with pytest.raises(Unreadable, match="names its kernel by a variable that nothing sets"):
        grub("menuentry x { linux $prefix2/$kernel; }")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("if cmostest 1; then set default=1; fi\nmenuentry a { linux /a; }", "which entry is the default is known only to the running machine"),
        ("if cmostest 1; then menuentry a { linux /a; }; fi", "whether GRUB runs `menuentry` there is known only to the running machine"),
        ("regexp --set=1:x a b\nmenuentry a { linux /$x; }", r"the value of \$x is known only to the running machine"),
        ("menuentry a { chainloader +1; }", "loads no Linux kernel"),
        ("menuentry a { linux /a", "'}' is missing"),
        ("if true; then", "'fi' is missing"),
        ("if true; then }", "'fi' is missing"),
        ("echo 'a", "a quotation is not closed"),
        ("}", "unexpected '}'"),
        ("set root=ieee1275/disk\nmenuentry a { linux /a; }", r"device \(ieee1275/disk\) is not known"),
        ("source /boot/grub/grub.cfg", "more than 20 files and functions call one another"),
        ("function f { f; }\nf", "more than 20 files and functions call one another"),
        ("configfile /boot/grub/grub.cfg", "more than 5 configurations hand over to one another"),
        ("if true; then " * 40, "more than 30 blocks inside one another"),
        ("menuentry a { configfile /boot/grub/grub.cfg; }", "hands over to another configuration"),
        ("while true; do linux /a; done", "whether GRUB runs `linux` there is known only"),
        ("set timeout=5", "has no menu entry"),
        ("exit", "leaves its place to the firmware's next boot entry"),
    ],
)
def test_what_cannot_be_told_of_a_grub_configuration_is_said(text, reason):
    with pytest.raises(Unreadable, match=reason):
        grub(text)


FIRMWARE = 'fwsetup --is-supported\nif [ "$?" = 0 ]; then\n  menuentry Firmware --id uefi { fwsetup; }\nfi\n'


@pytest.mark.parametrize(
    ("text", "kernel"),
    [
        (f"menuentry a {{ linux /a; }}\n{FIRMWARE}", "/a"),
        (f"set default=1\nmenuentry a {{ linux /a; }}\nmenuentry b {{ linux /b; }}\n{FIRMWARE}", "/b"),
        (f"set default=b\nmenuentry a {{ linux /a; }}\n{FIRMWARE}menuentry b {{ linux /b; }}", "/b"),
        (f"set default=9\nmenuentry a {{ linux /a; }}\n{FIRMWARE}", "/a"),
        (f"set default=s>1\nsubmenu s {{\nmenuentry a {{ linux /a; }}\nmenuentry b {{ linux /b; }}\n{FIRMWARE}}}", "/b"),
    ],
)
def test_an_item_that_may_not_be_there_is_no_matter_behind_the_default(text, kernel):
    assert grub(text).kernel.named == kernel


@pytest.mark.parametrize(
    "text",
    [
        f"{FIRMWARE}menuentry a {{ linux /a; }}",
        f"set default=uefi\nmenuentry a {{ linux /a; }}\n{FIRMWARE}",
        f"set default=1\nmenuentry a {{ linux /a; }}\n{FIRMWARE}menuentry b {{ linux /b; }}",
        f"set default=nothing\n{FIRMWARE}menuentry a {{ linux /a; }}",
        f"set default=s>1\nsubmenu s {{\nmenuentry a {{ linux /a; }}\n{FIRMWARE}menuentry b {{ linux /b; }}\n}}",
    ],
)
def test_an_item_that_may_not_be_there_is_undecided_where_the_default_depends_on_it(text):
    with pytest.raises(Unreadable, match=r"grub\.cfg:\d+: whether GRUB runs `menuentry` there is known only to the running machine"):
        grub(text)


def test_what_does_not_touch_the_entry_may_stay_unknown():
    text = "if loadfont x; then set gfxmode=auto; fi\nif keystatus --shift; then set timeout=-1; else set timeout=5; fi\nmenuentry a { linux /a; }"
    assert grub(text).halt is None


def test_loops_over_words_are_run():
    assert grub("for x in 1 2; do set last=$x; done\nset timeout=1\nmenuentry a { linux /a$last; }").kernel.named == "/a2"


@pytest.mark.parametrize(
    ("text", "halt"),
    [
        ("set timeout=5\nmenuentry a { linux /a; }", None),
        ("menuentry a { linux /a; }", "waits"),
        ("set timeout=-1\nmenuentry a { linux /a; }", "waits"),
        ("set timeout=5\nset superusers=root\nmenuentry a { linux /a; }", "password"),
        ("set timeout=5\nset superusers=root\nmenuentry a --unrestricted { linux /a; }", None),
        ("set timeout=5\nif cmostest 1; then set timeout=1; fi\nmenuentry a { linux /a; }", "unknown"),
    ],
)
def test_an_entry_may_not_start_by_itself(text, halt):
    assert grub(text).halt == halt


BLS = {
    "/boot/grub2/grub.cfg": 'load_env\nset default="${saved_entry}"\nset timeout=1\nblscfg\nmenuentry Firmware --id uefi { fwsetup; }\n',
    "/boot/loader/entries/m-5.14.0-9.el9.conf": "title Old\nversion 5.14.0-9.el9\nlinux /v-9\ninitrd /i-9 $tuned_initrd\noptions $kernelopts $tuned_params\n",
    "/boot/loader/entries/m-5.14.0-70.el9.conf": "title New\nlinux /v-70\ninitrd /i-70\noptions root=UUID=1 ro\n",
    "/boot/loader/entries/m-0-rescue.conf": "title Rescue\nlinux /v-0\n",
}


def bls_entry(environment, **changes):
    lines = "".join(f"{key}={value}\n" for key, value in environment.items())
    return boot.default_entry(small_guest({**BLS, "/boot/grub2/grubenv": f"# GRUB Environment Block\n{lines}", **changes}))


@pytest.mark.parametrize(
    ("saved", "title"),
    [
        ({}, "New"),
        ({"saved_entry": "m-5.14.0-9.el9"}, "Old"),
        ({"saved_entry": "Rescue"}, "Rescue"),
        ({"saved_entry": "1"}, "Old"),
        ({"saved_entry": "m-4"}, "New"),
    ],
)
def test_entry_files_of_red_hat_are_chosen_by_name_title_or_number(saved, title):
    assert bls_entry(saved).title == title


def test_entry_files_take_their_variables_from_the_environment():
    entry = bls_entry({"saved_entry": "Old", "kernelopts": "root=UUID=1 console=ttyS0", "tuned_params": "skew_tick=1", "tuned_initrd": "/tuned.img"})
    assert entry.arguments == ("root=UUID=1", "console=ttyS0", "skew_tick=1")
    assert [each.named for each in entry.initrds] == ["/i-9", "/tuned.img"]
    assert entry.place == "/boot/loader/entries/m-5.14.0-9.el9.conf:1"


def test_an_entry_file_without_options_has_the_default_ones():
    entry = bls_entry({"saved_entry": "Rescue", "default_kernelopts": "root=UUID=2", "early_initrd": "acpi.img"})
    assert (entry.arguments, [each.named for each in entry.initrds]) == (("root=UUID=2",), ["/acpi.img"])


def test_a_default_written_into_the_menu_outranks_the_saved_one():
    text = BLS["/boot/grub2/grub.cfg"].replace("${saved_entry}", "2")
    assert bls_entry({"saved_entry": "m-5.14.0-9.el9"}, **{"/boot/grub2/grub.cfg": text}).title == "Rescue"


def test_versions_are_compared_as_rpm_and_as_systemd_do():
    names = ["m-5.14.0-9.el9", "m-5.14.0-70.el9", "m-0-rescue", "m-5.14.0-70.1.el9", "m-5.14.0~rc1-99"]
    assert bls.rpm_newest_first(names) == ["m-5.14.0-70.1.el9", "m-5.14.0-70.el9", "m-5.14.0-9.el9", "m-5.14.0~rc1-99", "m-0-rescue"]
    order = ["123~rc1-1", "123", "123-a", "123-a.1", "123-1", "123-1.1", "123^post1", "123.a-1", "123.1-1", "123a-1", "124-1"]
    assert [bls.compare_versions(one, two) for one, two in pairwise(order)] == [-1] * 10


STUB = {"/EFI/debian/grub.cfg": "search.fs_uuid BB root hd0,gpt3\nset prefix=($root)'/grub'\nconfigfile $prefix/grub.cfg\n"}
ON_BOOT = {"/grub/grub.cfg": "set timeout=1\nsearch --fs-uuid --set=root BB\nmenuentry x {\nlinux /vmlinuz-1\n}\n", "/vmlinuz-1": "k"}


def test_the_small_menu_of_the_efi_partition_is_followed_to_boot():
    esp = {"/EFI/BOOT/BOOTX64.EFI": SHIM, "/EFI/BOOT/grubx64.efi": GRUB, **STUB}
    entry = started(esp=esp, boot=ON_BOOT, root={"/etc/fstab": "UUID=BB /boot ext4 defaults 0 2\n"})
    assert (entry.place, entry.kernel_path) == ("/boot/grub/grub.cfg:3", "/boot/vmlinuz-1")
    assert started(esp=esp, boot=ON_BOOT).kernel_path == "p3:/vmlinuz-1"


def test_what_is_mounted_on_top_is_not_what_grub_reads():
    esp = {"/EFI/BOOT/BOOTX64.EFI": GRUB, "/EFI/BOOT/grub.cfg": "search.fs_uuid AA root\nconfigfile ($root)/boot/grub/grub.cfg\n"}
    with pytest.raises(Unreadable, match=r"hands over to \(volume/p2\)/boot/grub/grub.cfg, which is not there"):
        started(esp=esp, boot=ON_BOOT, root={"/etc/fstab": "UUID=BB /boot ext4 defaults 0 2\n"})


def test_a_small_menu_that_searches_for_another_disk_is_said():
    esp = {"/EFI/BOOT/BOOTX64.EFI": GRUB, "/EFI/debian/grub.cfg": STUB["/EFI/debian/grub.cfg"].replace("BB", "99")}
    with pytest.raises(Unreadable, match="no volume 99 was found on this disk"):
        started(esp=esp, boot=ON_BOOT)


def test_two_menus_on_the_efi_partition_must_agree():
    esp = {"/EFI/BOOT/BOOTX64.EFI": GRUB, **STUB, "/EFI/other/grub.cfg": "menuentry y { linux /old; }\n"}
    with pytest.raises(Unreadable, match=r"/boot/grub/grub\.cfg:3 starts /vmlinuz-1, ESP:/EFI/other/grub\.cfg:1 starts /old"):
        started(esp=esp, boot=ON_BOOT, root={"/etc/fstab": "UUID=BB /boot ext4 defaults 0 2\n"})


def test_the_fallback_program_starts_what_its_list_names():
    esp = {
        "/EFI/BOOT/BOOTX64.EFI": SHIM,
        "/EFI/BOOT/fbx64.efi": OTHER,
        "/EFI/debian/BOOTX64.CSV": "\ufeffshimx64.efi,debian,,entry\n".encode("utf-16-le"),
        "/EFI/debian/shimx64.efi": SHIM,
        "/EFI/debian/grubx64.efi": GRUB,
        **STUB,
    }
    assert started(esp=esp, boot=ON_BOOT).loader == "grub"


ENTRY = "title Debian\nversion 6.1\nlinux /m/6.1/linux\ninitrd /m/6.1/initrd\noptions root=UUID=AA ro\noptions quiet\n"
SYSTEMD = {"/EFI/BOOT/BOOTX64.EFI": SDBOOT, "/loader/entries/m-6.1.conf": ENTRY, "/m/6.1/linux": "k", "/m/6.1/initrd": "i"}


def test_systemd_boot_starts_an_entry_of_the_efi_partition():
    entry = started(esp=SYSTEMD, root={"/lib/modules/6.1/modules.dep": ""})
    assert (entry.loader, entry.place, entry.kernel_path) == ("systemd-boot", "ESP:/loader/entries/m-6.1.conf", "ESP:/m/6.1/linux")
    assert entry.arguments == ("root=UUID=AA", "ro", "quiet")
    assert boot.kernel_release(machine(esp=SYSTEMD, root={"/lib/modules/6.1/modules.dep": "", "/lib/modules/5/x": ""})) == "6.1"


@pytest.mark.parametrize(
    ("files", "kernel"),
    [
        ({}, "/new"),
        ({"/loader/loader.conf": "default old.conf\n"}, "/old"),
        ({"/loader/loader.conf": "default OLD*\n"}, "/old"),
        ({"/loader/loader.conf": "default old\n"}, "/new"),
        ({"/loader/loader.conf": "default @saved\n"}, "/new"),
        ({"/loader/entries/sorted.conf": "linux /sorted\nsort-key zzz\n"}, "/sorted"),
        ({"/loader/entries/zz.conf": "linux /missing\n"}, "/new"),
        ({"/loader/entries/auto-zz.conf": "linux /old\n", "/loader/entries/.zz.conf": "linux /old\n"}, "/new"),
        ({"/loader/entries/zz.conf": "architecture aa64\nlinux /old\n"}, "/new"),
        ({"/loader/entries/zz+0-3.conf": "linux /old\n"}, "/new"),
        ({"/loader/entries/zz+3-0.conf": "linux /old\n"}, "/old"),
        (
            {
                "/loader/entries/a1.conf": "linux /sorted\nsort-key a\nversion 1.9\n",
                "/loader/entries/a2.conf": "linux /old\nsort-key a\nversion 1.10\n",
            },
            "/old",
        ),
    ],
)
def test_the_order_of_systemd_boot(files, kernel):
    esp = {"/EFI/BOOT/BOOTX64.EFI": SDBOOT, "/loader/entries/new.conf": "linux /new\n", "/loader/entries/old.conf": "linux /old\n"}
    esp |= {"/loader/entries/new.conf": "linux /new\n", "/new": "k", "/old": "k", "/sorted": "k"}
    assert started(esp={**esp, "/loader/entries/p.conf": "linux /new\n", **files}).kernel.named == kernel


def test_systemd_boot_reads_the_second_partition_too():
    place = {key: value for key, value in SYSTEMD.items() if "EFI" not in key}
    entry = started(esp={"/EFI/BOOT/BOOTX64.EFI": SDBOOT}, xbootldr=place)
    assert (entry.place, entry.kernel_path) == ("p3:/loader/entries/m-6.1.conf", "p3:/m/6.1/linux")


def test_entries_whose_kernels_are_gone_leave_nothing_to_start():
    entry = started(esp={"/EFI/BOOT/BOOTX64.EFI": SDBOOT, "/loader/entries/m.conf": "linux /gone\n", "/loader/entries/z.conf": "linux /too\n"})
    assert (entry.place, entry.kernel.named, entry.kernel_path) == ("ESP:/loader/entries/z.conf", "/too", None)


def test_a_menu_that_is_forced_waits():
    assert started(esp={**SYSTEMD, "/loader/loader.conf": "timeout menu-force\n"}).halt == "waits"


def test_a_unified_image_is_an_entry_by_itself():
    entry = started(esp={"/EFI/BOOT/BOOTX64.EFI": SDBOOT, "/EFI/Linux/a.efi": uki(version="1"), "/EFI/Linux/b.efi": uki(version="2")})
    assert (entry.loader, entry.title, entry.kernel_path) == ("unified", "Debian 2", "ESP:/EFI/Linux/b.efi (.linux, 6.2)")
    assert (entry.arguments, entry.release) == (("root=UUID=AA",), "6.2")


def test_a_unified_image_may_be_what_the_firmware_starts():
    guest = machine(esp={"/EFI/BOOT/BOOTX64.EFI": uki()}, root={"/lib/modules/6.1/modules.builtin": ""})
    assert boot.default_entry(guest).kernel_path == "ESP:/EFI/BOOT/BOOTX64.EFI (.linux, 6.1)"
    assert boot.kernel_release(guest) == "6.1"
    assert modules.in_initramfs(guest, frozenset({"hv_vmbus", "hv_storvsc"})) == {"hv_vmbus"}


def test_an_add_on_lengthens_the_command_line():
    addon = content.efi("x86_64", signed=True, sections={".cmdline": "console=ttyS0"})
    esp = {
        "/EFI/BOOT/BOOTX64.EFI": SDBOOT,
        "/EFI/Linux/a.efi": uki(),
        "/EFI/Linux/a.efi.extra.d/c.addon.efi": addon,
        "/loader/addons/d.addon.efi": addon,
    }
    assert started(esp=esp).arguments == ("root=UUID=AA", "console=ttyS0", "console=ttyS0")
    more = content.efi("x86_64", signed=True, sections={".initrd": "x"})
    with pytest.raises(Unreadable, match="adds an initramfs"):
        started(esp=esp | {"/loader/addons/d.addon.efi": more})


def test_two_command_lines_for_one_image_are_undecided():
    esp = {"/EFI/BOOT/BOOTX64.EFI": SDBOOT, "/loader/entries/a.conf": "uki /a.efi\noptions root=UUID=BB\n", "/a.efi": uki()}
    with pytest.raises(Unreadable, match="Secure Boot decides which one counts"):
        started(esp=esp)
    assert started(esp=esp | {"/a.efi": uki(line="")}).arguments == ("root=UUID=BB",)


def test_the_first_profile_of_an_image_counts():
    def section(name, text):
        return {name: text}

    image = uki(sections=section(".profile", "ID=main"))
    assert started(esp={"/EFI/BOOT/BOOTX64.EFI": image}).arguments == ("root=UUID=AA",)


EXTLINUX = """
default linux
timeout 50
prompt 1
include more.cfg
label linux
  kernel /boot/vmlinuz-1
  append ro root=UUID=AA initrd=/boot/initrd-1
label other
  linux ../vmlinuz-2
  append root=UUID=BB
  initrd ../initrd-2,extra
"""


def extlinux(text, **more):
    places = {"/boot/extlinux/extlinux.conf": text, "/boot/vmlinuz-1": "k", "/boot/initrd-1": "i", **more}
    return started(root=places, fields={"mbr:boot_code": "present", "mbr:boot_loader": "syslinux"})


def test_extlinux_starts_its_default_label():
    entry = extlinux(EXTLINUX)
    assert (entry.loader, entry.place, entry.kernel_path) == ("extlinux", "/boot/extlinux/extlinux.conf:6", "/boot/vmlinuz-1")
    assert ([each.path for each in entry.initrds], entry.halt) == (["/boot/initrd-1"], None)


@pytest.mark.parametrize(
    ("change", "kernel", "halt"),
    [
        (("default linux", "DEFAULT other"), "../vmlinuz-2", None),
        (("default linux", "ui menu.c32"), "/boot/vmlinuz-1", None),
        (("default linux\ntimeout 50", "default vesamenu.c32"), "/boot/vmlinuz-1", "waits"),
        (("prompt 1", "ontimeout other"), "../vmlinuz-2", None),
        (("timeout 50\nprompt 1", "prompt 1"), "/boot/vmlinuz-1", "waits"),
        (("timeout 50\nprompt 1\n", ""), "/boot/vmlinuz-1", None),
        (("include more.cfg", "ui menu.c32\nlabel z\nmenu label Z\nmenu default\nlinux /z"), "/z", None),
    ],
)
def test_what_extlinux_takes_for_the_default(change, kernel, halt):
    entry = extlinux(EXTLINUX.replace(*change))
    assert (entry.kernel.named, entry.halt) == (kernel, halt)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("label a\nlinux /a\n", "names no default"), ("default b\nlabel a\nlinux /a\n", "'b' is none of its labels"), ("default a\nlabel a\ncom32 x.c32\n", "loads no Linux kernel"),
     ("include extlinux.conf\n", "more than 20 files are included")],
)  # fmt: skip
def test_what_cannot_be_told_of_extlinux_is_said(text, reason):
    with pytest.raises(Unreadable, match=reason):
        extlinux(text)


LEGACY = "default=1\ntimeout=5\nhiddenmenu\ntitle A\n\troot (hd0,1)\n\tkernel /a ro\ntitle B\n\troot (hd0,1)\n\tkernel /boot/b ro root=UUID=AA\n\tinitrd /boot/i\n"


def test_grub_legacy_counts_partitions_from_zero():
    files = {"/boot/grub/grub.conf": LEGACY, "/boot/b": "k", "/boot/i": "i"}
    entry = started(root=files, fields={"mbr:boot_code": "present", "mbr:boot_loader": "grub"})
    assert (entry.loader, entry.place, entry.kernel_path) == ("grub-legacy", "/boot/grub/grub.conf:7", "/boot/b")
    assert (entry.arguments, [each.path for each in entry.initrds], entry.halt) == (("ro", "root=UUID=AA"), ["/boot/i"], None)


def test_the_code_in_the_first_sector_decides_between_two_loaders():
    files = {"/boot/grub/grub.cfg": "menuentry a { linux /boot/a; }\n", "/boot/extlinux/extlinux.conf": "default l\nlabel l\nlinux /boot/b\n"}
    names = {code: started(root=files, fields={"mbr:boot_code": "present", "mbr:boot_loader": code}).kernel.named for code in ("grub", "syslinux")}
    assert names == {"grub": "/boot/a", "syslinux": "/boot/b"}
    with pytest.raises(Unreadable, match="and which of them counts cannot be told"):
        started(root=files, fields={"mbr:boot_code": "present", "mbr:boot_loader": "other"})


def test_the_program_that_the_firmware_starts_decides_between_two_loaders():
    menu = {"/boot/grub/grub.cfg": "menuentry a { linux /boot/a; }\n"}
    assert started(esp=SYSTEMD, root=menu).loader == "systemd-boot"
    assert started(esp={**SYSTEMD, "/EFI/BOOT/BOOTX64.EFI": GRUB}, root=menu).loader == "grub"
    with pytest.raises(Unreadable, match="and which of them counts cannot be told"):
        started(esp={**SYSTEMD, "/EFI/BOOT/BOOTX64.EFI": OTHER}, root=menu)
    with pytest.raises(Unreadable, match="a kernel that the firmware starts itself"):
        started(esp={"/EFI/BOOT/BOOTX64.EFI": content.kernel("6.1", signed=True)})


@pytest.mark.parametrize(
    ("line", "volume"),
    [
        ("root=UUID=AA", "p2"),
        ("root=UUID=aa", "p2"),
        ("root=block:UUID=AA", "p2"),
        ("root=/dev/disk/by-uuid/AA", "p2"),
        ("root=/dev/sda2", "p2"),
        ("root=/dev/vda2", "p2"),
        ("root=UUID=99", None),
        ("root=/dev/mapper/vg-root", None),
        ("root=ZFS=rpool/root", None),
        ("ro", None),
    ],
)
def test_the_root_by_every_kind_of_name(line, volume):
    found = boot.root_volume(machine(root={"/boot/grub/grub.cfg": f"menuentry x {{ linux /k {line}; }}"}))
    assert (found.id if found else None) == volume


@pytest.mark.parametrize("name", ["/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part1", "/dev/nfs", "nbd:10.0.0.1", "live:CDLABEL=x", "0801", "tmpfs"])
def test_a_root_by_a_name_that_is_not_understood_is_undecided(name):
    with pytest.raises(Unreadable, match="cannot be told from the disk"):
        boot.root_volume(machine(root={"/boot/grub/grub.cfg": f"menuentry x {{ linux /k root={name}; }}"}))


@pytest.mark.parametrize(
    ("generator", "more", "found"), [(True, "", True), (True, " rd.systemd.gpt_auto=0", False), (True, " root=gpt-auto", True), (False, "", False)]
)
def test_a_root_without_a_name_is_found_by_its_type(generator, more, found):
    names = ["usr/lib/systemd/system-generators/systemd-gpt-auto-generator"] if generator else ["init"]
    image = uki(line=f"quiet{more}", sections={".initrd": content.initramfs(names, "none", microcode=True)})
    volume = boot.root_volume(machine(esp={"/EFI/BOOT/BOOTX64.EFI": image}, root_type=DISCOVERABLE))
    assert (volume is not None) == found


def test_a_root_that_the_initramfs_may_name_itself_is_undecided():
    archive = content.initramfs(["etc/cmdline.d/95root-dev.conf"], "xz", microcode=False)
    with pytest.raises(Unreadable, match=r"may lie in etc/cmdline\.d/95root-dev\.conf inside the initramfs"):
        boot.root_volume(machine(esp={"/EFI/BOOT/BOOTX64.EFI": uki(line="quiet", sections={".initrd": archive})}, root_type=DISCOVERABLE))


@pytest.mark.parametrize(
    ("line", "there"),
    [
        ("rootflags=subvol=root", True),
        ("rootflags=noatime,subvol=/root", True),
        ("rootflags=subvolid=256", True),
        ("rootflags=subvol=gone", False),
        ("rootflags=subvolid=9", False),
        ("", False),
        ("rootflags=noatime", False),
    ],
)
def test_the_root_in_a_subvolume(line, there):
    subvolumes = (Subvolume(5, "", is_default=True), Subvolume(256, "root"))
    files = {f"/root{path}": text for path, text in ROOT.items()}
    files["/root/boot/grub/grub.cfg"] = f"menuentry x {{ linux /root/k root=UUID=AA {line}; }}"
    volume = Volume("p1", VolumeKind.PARTITION, 2**20, 2**20, None, "btrfs", uuid="AA", read=True, subvolumes=subvolumes)
    guest = assemble(MemoryDisk(2**30, "mbr", [volume], {"p1": MemoryFiles(files)}, {"mbr:boot_code": "absent"}))
    assert (guest.subvolumes["/"], boot.root_volume(guest) is not None) == ("root", there)


def test_a_kernel_states_its_version():
    files = {"/boot/grub/grub.cfg": "menuentry x { linux /boot/bzImage; }", "/boot/bzImage": content.kernel("6.1.0-25", signed=True)}
    assert boot.kernel_release(machine(root=files)) == "6.1.0-25"


@pytest.mark.parametrize("name", ["squashfs-root.img", "squash-root.img", "squash/root.img", "erofs-root.img"])
def test_drivers_inside_a_file_system_in_the_initramfs_are_not_called_absent(name):
    archive = content.initramfs(["usr/lib/modules/6.1/loop.ko", name], "gzip", microcode=False)
    files = {"/boot/grub/grub.cfg": "menuentry x { linux /boot/k\ninitrd /boot/i\n}", "/boot/k": "", "/boot/i": archive}
    guest = machine(root=files)
    assert modules.in_initramfs(guest, frozenset({"loop"})) == {"loop"}
    with pytest.raises(Unreadable, match=f"hv_vmbus: may lie in {name} inside the initramfs"):
        modules.in_initramfs(guest, frozenset({"hv_vmbus"}))


CONFIG = "CONFIG_HYPERV=y\nCONFIG_HYPERV_STORAGE=m\n# CONFIG_UDF_FS is not set\n"


@pytest.mark.parametrize(
    ("config", "name", "built_in"),
    [
        (CONFIG, "hv_vmbus", True),
        (CONFIG, "hv_storvsc", False),
        (CONFIG, "udf", False),
        (CONFIG + "CONFIG_HYPERV_VMBUS=m\n", "hv_vmbus", False),
        (CONFIG + "CONFIG_HYPERV_VMBUS=y\n", "hv_vmbus", True),
    ],
)
def test_the_kernels_configuration_tells_what_is_built_in_where_no_list_does(config, name, built_in):
    files = {"/boot/grub/grub.cfg": "menuentry x { linux /boot/vmlinuz-6.1; }", "/lib/modules/6.1/modules.dep": "", "/boot/config-6.1": config}
    assert modules.is_built_in(machine(root=files), name) == built_in


def test_without_list_and_configuration_nothing_is_built_in_for_sure():
    files = {"/boot/grub/grub.cfg": "menuentry x { linux /boot/vmlinuz-6.1; }", "/lib/modules/6.1/modules.dep": ""}
    with pytest.raises(Unreadable, match=r"modules\.builtin is missing"):
        modules.is_built_in(machine(root=files), "hv_vmbus")


def test_a_command_line_is_split_as_the_kernel_does():
    assert split("a 'b c' d=\"e f\" g") == ("a", "'b", "c'", "d=e f", "g")


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        ("", True), ("a", True), ("-n a", True), ("-z a", False), ("a = a", True), ("a != a", False), ("! a = a", False), ("1 -lt 2", True), ("2 -ge 10", False),
        ("-z a -o -n b", True), ("-z a -a -n b", False), ("( -z a -o -n b ) -a c = c", True), ("-f /x", False), ("-d /d", True), ("a < b", True),
    ],
)  # fmt: skip
def test_conditions_of_grub(words, holds):
    assert evaluate(words.split(), lambda kind, path: (kind, path) == ("d", "/d")) == holds


def test_words_expand_as_grub_does():
    variables = {"a": "x y", "e": "", "u": None}
    assert [word for each in ("$a", '"$a"', "${e}", '"$e"', "'$a'", "p${a}q", r"\$a") for word in grubscript.expand(each, variables)] == [
        "x", "y", "x y", "", "$a", "px", "yq", "$a",
    ]  # fmt: skip
    with pytest.raises(grubscript.Unknown):
        grubscript.expand("$u", variables)


def test_real_grub_files_have_a_default_entry(data):
    with tarfile.open(data("linux/grubby-test.tar")) as archive:
        members = {each.name.rpartition("/")[2]: each for each in archive.getmembers() if each.isfile() and each.name.count("/") == 1}
        texts = {name: archive.extractfile(each).read().decode() for name, each in members.items()}
    menus = [text for name, text in texts.items() if name.startswith("grub2.")]
    assert len(menus) > 5
    assert all(grub(text).kernel.named.startswith("/") for text in menus)
    for number, label in ((1, 14), (2, 14), (4, 20)):
        entry = boot.default_entry(small_guest({"/boot/extlinux/extlinux.conf": texts[f"extlinux.{number}"]}, facts={"boot": "bios"}))
        assert entry.place == f"/boot/extlinux/extlinux.conf:{label}"


@given(st.text(alphabet="if then fi menuentry{}'\"\\$a=;\n[]#", max_size=200))
def test_no_script_breaks_grub(text):
    try:
        grub(text)
    except Unreadable as error:
        assert str(error)


HOME = "933AC7E1-2EB4-4F13-B844-0E14E2AEF915"
GENERATOR = {"/usr/lib/systemd/system-generators/systemd-gpt-auto-generator": "x"}


@pytest.mark.parametrize(
    ("root", "names"),
    [
        (GENERATOR, ["ops"]),
        ({}, []),
        ({**GENERATOR, "/etc/fstab": "UUID=99 /home ext4 nofail 0 0\n", "/home/x": ""}, None),
        ({**GENERATOR, "/home/x": ""}, ["x"]),
    ],
    ids=["discovered", "nothing discovers it", "fstab names another", "something lies there"],
)
def test_a_home_without_a_line_in_fstab_is_mounted_by_its_type(root, names):
    volumes = [
        Volume("p1", VolumeKind.PARTITION, 2**20, 2**20, None, "ext4", uuid="AA", read=True),
        Volume("p2", VolumeKind.PARTITION, 2**20, 2**21, HOME, "ext4", uuid="BB", read=True),
    ]
    trees = {"p1": MemoryFiles({**ROOT, **root}), "p2": MemoryFiles({"/ops/.ssh/authorized_keys": "k"})}
    guest = assemble(MemoryDisk(2**30, "gpt", volumes, trees, {}))
    if names is None:
        with pytest.raises(Unreadable, match="which is not on this disk"):
            guest.files.names("/home")
    else:
        assert list(guest.files.names("/home")) == names
