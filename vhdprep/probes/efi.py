"""Probes of the EFI system partition."""

from __future__ import annotations

from typing import Literal

from vhdprep.errors import Unreadable
from vhdprep.guest import bootfiles, firmware
from vhdprep.guest.files import GuestFiles
from vhdprep.guest.image import Image
from vhdprep.model import ABSENT, Observation
from vhdprep.probes.registry import probe


@probe(returns="a list of paths on the EFI system partition")
def efi_files(image: Image, *, patterns: tuple[str, ...]) -> Observation:
    """Files on the EFI system partition, names without case; empty when the disk has none.

    patterns: `/EFI/BOOT/NAME`; `*` stands for any text in a name.
    """
    files = _partition(image)
    found = [path for pattern in patterns for path in (files.glob(pattern) if files else ())]
    parts = tuple(Observation("file", f"ESP:{path}") for path in dict.fromkeys(found))
    return Observation.listing(", ".join(f"ESP:{pattern}" for pattern in patterns), parts)


@probe(returns="a word, or for `next` a path; absent when there is no such program, or nothing that it could start")
def efi_program(image: Image, *, path: str, field: Literal["machine", "signature", "loader", "next"]) -> Observation:
    """An EFI program on the EFI system partition, by its headers. Who signed it is not looked at.

    field: its `machine` (`x86_64 | aarch64`), `signature` (`signed | unsigned`), which `loader` it is (`shim | grub | systemd-boot |
    unified | kernel | other`), or the program that it starts `next` (of all but shim itself).
    """
    files = _partition(image)
    program = firmware.identify(files, path) if files else None
    if files is None or not files.is_file(path):
        return Observation(ABSENT, f"ESP:{path}")
    if program is None:
        return Observation("not an EFI program", f"ESP:{path}")
    if field == "next":
        following = firmware.following(files, path) if program.kind == "shim" else [path]
        return Observation(following[0] if following else ABSENT, f"ESP:{path}")
    values = {"machine": program.image.machine, "signature": "signed" if program.image.is_signed else "unsigned", "loader": program.kind}
    return Observation(values[field], f"ESP:{path}")


def _partition(image: Image) -> GuestFiles | None:
    """The EFI system partition; None = the disk has none.

    Raises:
        Unreadable: there may be one, and it was not read.
    """
    guest = image.need_guest()
    image.need_disk()
    unread = [each for each in guest.volumes if each.filesystem == "vfat" and not each.read]
    if guest.esp is None and unread:
        raise Unreadable(f"{unread[0].id}: {unread[0].reason}")
    return bootfiles.esp_files(guest)
