"""The serial console: what several distributions print, and what a hostile guest may."""

from __future__ import annotations

import time

import pytest

from vhdprep.rehearsal import Milestone
from vhdprep.rehearse.journal import Journal
from vhdprep.rehearse.machine import console
from vhdprep.rehearse.machine.console import MAX_LINE, MAX_LINES, MAX_SHOWN, Console

EMERGENCY = "the system went into emergency mode"
NO_ROOT = "the initramfs found no root file system and stopped in an emergency shell"
GRUB = "GRUB found no configuration and stopped at its prompt"
NOTHING = "the firmware found nothing to start"

DEBIAN_EMERGENCY = (
    "[\x1b[0;1;33mDEPEND\x1b[0m] Dependency failed for \x1b[0;1;39mlocal-fs.target\x1b[0m - Local File Systems.\r\n"
    'You are in emergency mode. After logging in, type "journalctl -xb" to view\r\nsystem logs, "systemctl reboot" to reboot, "systemctl default"\r\n'
    'or "exit" to boot into default mode.\r\n\r\nCannot open access to console, the root account is locked.\r\nSee sulogin(8) man page for more details.\r\n\r\n'
    "Press Enter to continue.\r\n"
)
FEDORA_EMERGENCY = "Give root password for maintenance\r\n(or press Control-D to continue): "
DRACUT = (
    "[  192.451263] dracut-initqueue[412]: Warning: dracut-initqueue: timeout, still waiting for following initqueue hooks:\r\n"
    "[  192.651263] dracut-initqueue[412]: Warning: Could not boot.\r\n         Starting \x1b[0;1;39mDracut Emergency Shell\x1b[0m...\r\n"
    'Warning: /dev/mapper/rootvg-rootlv does not exist\r\n\r\nGenerating "/run/initramfs/rdsosreport.txt"\r\n\r\n\r\n'
    'Entering emergency mode. Exit the shell to continue.\r\nType "journalctl" to view system logs.\r\n\r\n\r\ndracut:/# '
)
INITRAMFS_TOOLS = (
    "Gave up waiting for root file system device.  Common problems:\r\n - Boot args (cat /proc/cmdline)\r\n   - Check rootdelay= (did the system wait long enough?)\r\n"
    "ALERT!  UUID=7272c1d8-1141-503c-87be-361c4b4ca244 does not exist.  Dropping to a shell!\r\n\r\n\r\nBusyBox v1.35.0 (Debian 1:1.35.0-4+b3) built-in shell (ash)\r\n"
    "Enter 'help' for a list of built-in commands.\r\n\r\n(initramfs) "
)
PANIC = (
    '[    2.483211] VFS: Cannot open root device "UUID=1" or unknown-block(0,0): error -6\r\n'
    "[    2.484000] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n[    2.485000] CPU: 0 PID: 1 Comm: swapper/0\r\n"
)
RESCUE = "error: no such device: 7272c1d8-1141-503c-87be-361c4b4ca244.\r\nEntering rescue mode...\r\ngrub rescue> "
GRUB_PROMPT = (
    "\x1b[2J\x1b[01;01H\x1b[0m\x1b[37m\x1b[40m                             GNU GRUB  version 2.06\r\n\r\n   Minimal BASH-like line editing is supported. For the first word, TAB lists\r\n"
    "   possible command completions.\r\n\r\n\r\n\x1b[04;01Hgrub> \x1b[04;07H"
)
OVMF = 'BdsDxe: failed to load Boot0002 "UEFI QEMU HARDDISK" from PciRoot(0x0)/Pci(0x2,0x0): Not Found\r\nBdsDxe: No bootable option or device was found.\r\n'
SHELL = "UEFI Interactive Shell v2.2\r\nEDK II\r\nUEFI v2.70 (EDK II, 0x00010000)\r\nShell> "
SEABIOS = "SeaBIOS (version 1.16.2-debian-1.16.2-1)\r\nBooting from Hard Disk...\r\nBoot failed: not a bootable disk\r\n\r\nNo bootable device.\r\n"
MKINITCPIO = "ERROR: device 'UUID=1' not found. Skipping fsck.\r\nYou are now being dropped into an emergency shell.\r\nsh: can't access tty; job control turned off\r\n[rootfs ]# "
ALPINE = "Mounting root: failed.\r\ninitramfs emergency recovery shell launched. Type 'exit' to continue boot\r\nsh: can't access tty; job control turned off\r\n~ # "


def fed(*pieces):
    journal = Journal(lambda: 0.0)
    found = Console(journal)
    for each in pieces:
        found.feed(each if isinstance(each, bytes) else each.encode())
    return found, {each: journal.reached[each].text for each in journal.reached if each is not Milestone.CONSOLE}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (DEBIAN_EMERGENCY, EMERGENCY),
        (FEDORA_EMERGENCY, EMERGENCY),
        ("You are in rescue mode. After logging in\r\n", EMERGENCY),
        (DRACUT, NO_ROOT),
        (INITRAMFS_TOOLS, NO_ROOT),
        ("(initramfs) ", NO_ROOT),
        (MKINITCPIO, NO_ROOT),
        (ALPINE, NO_ROOT),
        (PANIC, "the kernel panicked"),
        (RESCUE, GRUB),
        (GRUB_PROMPT, GRUB),
        (OVMF, NOTHING),
        (SHELL, NOTHING),
        (SEABIOS, NOTHING),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 10_000], ids=["byte by byte", "in pieces", "at once"])
def test_each_end_of_a_boot_is_called_by_its_name(text, what, step):
    data = text.encode()
    found, _ = fed(*(data[at : at + step] for at in range(0, len(data), step)))
    assert found.stopped == what


@pytest.mark.parametrize(
    "text",
    [
        "systemd[1]: Started emergency.service - skipped.\r\n",
        "                 GNU GRUB  version 2.06\r\n *Debian GNU/Linux\r\n  Advanced options for Debian GNU/Linux\r\n",
        "[    3.1] EXT4-fs (vda1): mounted filesystem with ordered data mode\r\n",
        "cloud-init[512]: Cloud-init v. 22.4.2 running 'init-local'\r\n",
        "[  OK  ] Reached target local-fs.target - Local File Systems.\r\n",
        'BdsDxe: loading Boot0001 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x2,0x0)\r\nBdsDxe: starting Boot0001\r\n',
    ],
)
def test_a_boot_that_goes_on_is_not_stopped(text):
    assert fed(text)[0].stopped is None


@pytest.mark.parametrize(
    ("text", "milestone", "line"),
    [
        (
            "[    0.000000] Linux version 6.1.0-18-cloud-amd64 (debian)\r\n",
            Milestone.KERNEL,
            "[    0.000000] Linux version 6.1.0-18-cloud-amd64 (debian)",
        ),
        ("EFI stub: Loaded initrd from LINUX_EFI_INITRD_MEDIA_GUID device path\r\n", Milestone.KERNEL, None),
        ("[   12.345678] systemd[1]: Hostname set\r\n", Milestone.KERNEL, None),
        ("[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mGetty on tty1\x1b[0m.\r\n", Milestone.KERNEL, "[  OK  ] Started Getty on tty1."),
        ("\r\nDebian GNU/Linux 12 rehearsal-1 ttyS0\r\n\r\nrehearsal-1 login: ", Milestone.LOGIN, "rehearsal-1 login:"),
        ("\x1b[H\x1b[J\x1b[?2004hUbuntu 24.04 LTS host ttyS0\r\n\r\nhost login: ", Milestone.LOGIN, "host login:"),
        ("\x1b]0;title\x07\x1b[1mlocalhost\x1b[0m login: ", Milestone.LOGIN, "localhost login:"),
        ("\x1b]0;title\x1b\\localhost login: ", Milestone.LOGIN, "localhost login:"),
        (
            "Cloud-init v. 22.4.2 finished at Sun, 22 Nov 2026 10:00:00 +0000. Datasource DataSourceAzure.  Up 69 seconds\r\n",
            Milestone.FINISHED,
            None,
        ),
        ("[   69.1] cloud-init[812]: Cloud-init v. 24.1.3-0ubuntu1 finished at Sun\r\n", Milestone.FINISHED, None),
    ],
)
@pytest.mark.parametrize("step", [1, 10_000], ids=["byte by byte", "at once"])
def test_each_milestone_is_noted_with_the_line_that_says_so(text, milestone, line, step):
    data = text.encode()
    _, noted = fed(*(data[at : at + step] for at in range(0, len(data), step)))
    assert milestone in noted
    if line is not None and step > 1:
        assert noted[milestone] == line


@pytest.mark.parametrize("text", ["Last login: ", "Last login: Sun Nov 22", "a login: here\r\n", " login: ", "login:", "failed login:x"])
def test_what_is_no_login_prompt(text):
    assert Milestone.LOGIN not in fed(text)[1]


def test_the_console_alone_reaches_three_milestones_and_never_one_that_makes_an_image_pass():
    """Whatever a guest prints: Ready, the login, and the agent's reports come from elsewhere."""
    said = "".join(f"{each}\r\n{each.name}\r\n" for each in Milestone)
    _, noted = fed(said, PANIC, "Linux version 6\r\nCloud-init v. 1 finished at x\r\nhost login: ", "Ready", "DEVICE_TRAY_MOVED")
    assert set(noted) == {Milestone.KERNEL, Milestone.LOGIN, Milestone.FINISHED}


def test_bytes_that_are_no_text_are_replaced_and_letters_cut_in_two_are_whole():
    found, _ = fed(b"caf\xc3", b"\xa9 \xff\xfe\x00 ok\r\n")
    assert found.lines() == ["café ��\x00 ok"]


def test_escape_sequences_are_taken_out_wherever_they_are_cut():
    data = b"\x1b[=3h\x1b[>4;2m\x1b[2 q\x1b[0;32mgreen\x1b[0m \x1b[?25l\x1b(B\x1b=end\n"
    for at in range(len(data)):
        assert fed(data[:at], data[at:])[0].lines() == ["green end"]


def test_the_last_line_needs_no_end():
    assert fed("one\ntwo\r\n\r\nthree")[0].lines() == ["one", "two", "three"]


def test_what_is_kept_is_bounded():
    found, _ = fed("".join(f"line {number}\n" for number in range(100_000)), "x" * 2**20, "y" * 2**20 + "\nend")
    lines = found.lines()
    assert len(lines) == MAX_LINES + 1
    assert max(map(len, lines)) == MAX_LINE
    assert lines[-1] == "end"
    assert found.bytes == sum(len(f"line {number}\n") for number in range(100_000)) + 2**21 + 4
    assert len(found.matter()) == 8


def seconds(data, size=65536):
    began = time.process_time()
    fed(*(data[at : at + size] for at in range(0, len(data), size)))
    return time.process_time() - began


@pytest.mark.parametrize(
    "piece",
    [b"\x1b]", b"\x1b[", b"\x1b[1;", b"\x1b", b"\x1b]" + b"a" * 255, b" ", b"a", b"\r", b"\n", b"ALERT!", b"Cloud-init v. ", b"x login:", b"\xff"],
)
def test_no_text_takes_the_square_of_its_length(piece):
    small, large = (seconds((piece * (size // len(piece) + 1))[:size]) for size in (2**18, 2**20))
    assert large < max(small * 12, 0.5)  # four times as much


def test_the_report_has_the_lines_that_tell_and_the_end():
    noise = [f"quiet {number}" for number in range(300)]
    found, _ = fed("\n".join([*noise, "sd 0:0:0:0: Failed to mount", *noise, "[FAILED] Failed to start foo.service", *noise]) + "\n")
    assert found.matter() == ("sd 0:0:0:0: Failed to mount", "[FAILED] Failed to start foo.service", *noise[-8:])
    many, _ = fed("\n".join(f"error {number}" for number in range(300)))
    assert many.matter() == tuple(f"error {number}" for number in range(300 - MAX_SHOWN, 300))


@pytest.mark.parametrize(
    "line",
    [
        "hv_kvp_daemon: Failed to open /dev/vmbus/hv_kvp",
        "Could not open /dev/ptp_hyperv : No such file",
        "Failed to mount resource disk, unable to detect disk topology",
    ],
)
def test_complaints_about_what_no_emulator_has_are_left_out(line):
    assert fed(f"{line}\nend\n")[0].matter() == ("end",)


def test_whoever_waits_is_told_of_bad_news():
    journal = Journal()
    found = Console(journal)
    found.feed(b"hello\n")
    journal.changed.clear()
    found.feed(b"more\n")
    assert not journal.changed.is_set()
    found.feed(PANIC.encode())
    assert journal.changed.is_set()
    assert [each.what for each in console.STOPS].index(found.stopped) == 0
