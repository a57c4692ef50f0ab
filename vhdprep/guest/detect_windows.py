"""Which Windows this is, as far as its files say: architecture, and how it boots. The registry says the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest.detect import FALLBACK_LOADERS, choose_boot, is_program
from vhdprep.guest.formats import pe
from vhdprep.model import GuestFacts

if TYPE_CHECKING:
    from vhdprep.disk.backend import Disk, Files
    from vhdprep.guest.files import GuestFiles

DIRECTORIES = ("/Windows", "/WINNT")
"""Where Windows is installed: since XP, and before."""
_HIVES = ("System32/config/SOFTWARE", "System32/config/SYSTEM")
_BIOS_LOADERS = ("/bootmgr", "/ntldr")
_EFI_LOADERS = ("/EFI/Microsoft/Boot/bootmgfw.efi", *FALLBACK_LOADERS)


def find_directory(files: Files) -> str | None:
    """The directory of Windows on the volume ``files``; None = it holds no Windows."""
    if files.case_sensitive:
        return None
    return next((each for each in DIRECTORIES if any(files.lstat(f"{each}/{hive}") is not None for hive in _HIVES)), None)


def detect_windows(files: GuestFiles, disk: Disk, esp: Files | None, directory: str = "/Windows") -> GuestFacts:
    """The facts of the Windows in ``directory``."""
    generations = _generations(disk, esp)
    return GuestFacts(
        os="windows",
        distro="windows",
        family="windows",
        version=None,
        product="Windows",
        arch=_architecture(files, directory),
        boot=choose_boot(generations),
        generations=generations,
    )


def _generations(disk: Disk, esp: Files | None) -> tuple[int, ...]:
    """Gen1 needs boot code in the MBR and in the active partition, and the boot manager there; Gen2 a loader on the ESP."""
    found = []
    code = (disk.fields.get("mbr:boot_code"), disk.fields.get("mbr:active_boot_record"))
    if disk.table == "mbr" and code == ("present", "present"):
        active = [disk.files(volume) for volume in disk.volumes if volume.active and volume.read]
        if any(files.lstat(path) for files in active for path in _BIOS_LOADERS):
            found.append(1)
    if esp is not None and any(is_program(esp, path) for path in _EFI_LOADERS):
        found.append(2)
    return tuple(found)


def _architecture(files: GuestFiles, directory: str) -> str | None:
    """By the kernel; None where it cannot be read: the registry says it too."""
    try:
        kernel = pe.parse(files.read(f"{directory}/System32/ntoskrnl.exe", pe.HEAD))
    except Unreadable:
        return None
    return kernel.machine if kernel else None
