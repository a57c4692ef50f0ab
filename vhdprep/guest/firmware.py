"""What the firmware of a new machine starts from the EFI system partition, and what that program starts in turn.

Sources: UEFI specification, "Boot Manager"; rhboot/shim@72fd4b70 ``shim.c`` (``should_use_fallback``, ``init_grub``), ``fallback.c``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.guest import bootfiles
from vhdprep.guest.formats import pe

if TYPE_CHECKING:
    from vhdprep.guest.files import GuestFiles
    from vhdprep.guest.formats.pe import EfiProgram
    from vhdprep.guest.image import Guest

BOOT = "/EFI/BOOT"
MAX_STEPS = 10
"""Programs that may start one another."""
_SUFFIXES = {"x86_64": "x64", "aarch64": "aa64", "i386": "ia32"}
_NOTE = 64 * 1024
"""Bytes of a section that says what a program is."""
_MAX_LIST = 64 * 1024


class Program(NamedTuple):
    """An EFI program and what it is."""

    path: str
    """On the EFI system partition."""
    kind: str
    """``shim | grub | systemd-boot | unified | kernel | other``"""
    image: EfiProgram


def identify(files: GuestFiles, path: str) -> Program | None:
    """The program at ``path``; None = there is none, or it is no EFI program."""
    if not files.is_file(path):
        return None
    head = files.read(path, pe.HEAD)
    strings = pe.strings_at(head)
    image = pe.parse(head, files.read(path, pe.HEAD, strings) if strings else b"")
    return Program(path, _kind(files, path, image, head), image) if image else None


def started(guest: Guest) -> list[Program]:
    """The boot loaders that may come first on a new Gen2 machine, shim left behind: several where shim's lists name several."""
    files = bootfiles.esp_files(guest)
    if files is None:
        return []
    suffixes = [_SUFFIXES[guest.facts.arch]] if guest.facts.arch in _SUFFIXES else list(_SUFFIXES.values())
    first = (identify(files, f"{BOOT}/BOOT{suffix.upper()}.EFI") for suffix in suffixes)
    waiting = [each for each in first if each is not None][:1]
    last: list[Program] = []
    for program in waiting:  # grows meanwhile
        if program.kind == "shim" and len(waiting) < MAX_STEPS:
            waiting += [each for path in following(files, program.path) if (each := identify(files, path))]
        elif program.kind != "shim":
            last.append(program)
    return last


def following(files: GuestFiles, path: str) -> list[str]:
    """What the shim at ``path`` starts next: what shim's own lists name where its fallback program is there, else GRUB beside it."""
    directory, _, name = path.rpartition("/")
    suffix = name.rpartition(".")[0][-4:].lower()
    suffix = suffix if suffix in ("aa64", "ia32") else "x64"
    at_fallback = directory.casefold() == BOOT.casefold()
    if at_fallback and any(files.is_file(f"{directory}/{each}.efi") for each in (f"fb{suffix}", "fallback")):
        listed = [target for each in _lists(files, suffix) if (target := _first_on(files, each)) and files.is_file(target)]
        if listed:
            return listed
    return [each for each in (f"{directory}/grub{suffix}.efi", f"{directory}/grub.efi") if files.is_file(each)][:1]


def _lists(files: GuestFiles, suffix: str) -> list[str]:
    found = []
    for directory in files.glob("/EFI/*"):
        if directory.rpartition("/")[2].casefold() != "boot":
            names = (f"{directory}/{name}" for name in (f"BOOT{suffix.upper()}.CSV", "BOOT.CSV"))
            found += [path for path in names if files.is_file(path)][:1]
    return found


def _first_on(files: GuestFiles, path: str) -> str | None:
    """The program that a list names first: a file of the same directory, before the first comma."""
    text = files.read(path, _MAX_LIST).decode("utf-16-le", "replace").lstrip("\ufeff")
    name = text.partition(",")[0].strip()
    return f"{path.rpartition('/')[0]}/{name}" if name and "/" not in name else None


def _kind(files: GuestFiles, path: str, image: EfiProgram, head: bytes) -> str:
    names = image.sections
    if ".linux" in names:
        return "unified"
    if any(name.startswith(".vendor_") for name in names):
        return "shim"
    note = b"".join(files.read(path, min(each.size, _NOTE), each.offset) for each in image.layout if each.name in (".sdmagic", ".sbat"))
    if b"systemd-boot" in note:
        return "systemd-boot"
    if "mods" in names or note.startswith(b"grub,") or b"\ngrub," in note:
        return "grub"
    if note.startswith(b"shim,") or b"\nshim," in note:
        return "shim"
    return "kernel" if pe.is_linux(head) else "other"
