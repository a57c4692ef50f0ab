"""The remedies as data. What a person does by hand is derived here; nothing here performs anything."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Disposition(StrEnum):
    """Whether a remedy may be applied without asking."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    MANUAL = "manual"


def _shell(patterns: tuple[str, ...]) -> str:
    """Where to type a command with these patterns: braces and ``**`` are bash's."""
    wide = "shopt -s globstar; " if any("**" in pattern for pattern in patterns) else ""
    shell = "bash" if wide or any("{" in pattern for pattern in patterns) else "a shell"
    return f"In {shell} of the guest, as root: {wide}"


class RemoveFiles(NamedTuple):
    """Delete every path that matches; a path that is already gone is no error."""

    patterns: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do by hand."""
        return (f"{_shell(self.patterns)}rm -rf {' '.join(self.patterns)}",)


class TruncateFiles(NamedTuple):
    """Empty every file that matches, keeping its owner and mode."""

    patterns: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do by hand."""
        return (f"{_shell(self.patterns)}truncate -c -s 0 {' '.join(self.patterns)}",)


class WriteFile(NamedTuple):
    """Write a whole small file."""

    path: str
    text: str
    disposition: Disposition = Disposition.SAFE

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do by hand."""
        return (f"In the guest, write {self.path} with this content:", *(f"  {line}" for line in self.text.rstrip().splitlines()))


class SetConfigValue(NamedTuple):
    """Set one key of a configuration file, keeping everything else."""

    path: str
    key: str
    value: str
    disposition: Disposition = Disposition.SAFE

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do by hand."""
        return (f"In the guest, set in {self.path}: {self.key}={self.value}",)


class EnableSystemdUnit(NamedTuple):
    """Enable the first of the units that is installed."""

    first_present: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do by hand."""
        first, *others = self.first_present
        either = f" (or {', '.join(others)}, whichever is installed)" if others else ""
        return (f"In the guest, as root: systemctl unmask {first}; systemctl enable {first}{either}",)


class LockPassword(NamedTuple):
    """Make the password of an account unusable."""

    account: str
    disposition: Disposition = Disposition.SAFE

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do by hand."""
        return (f"In the guest, as root: usermod -p '*' {self.account} (FreeBSD: pw usermod {self.account} -h -)",)


class ConvertVhd(NamedTuple):
    """Write the disk as a fixed VHD of a whole number of MiB."""

    source: str
    """qemu-img's name of the format the image is in."""
    disposition: Disposition = Disposition.SAFE

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do by hand.

        qemu-img measures a VHD by its cylinders for some creators and would lose the end: it is told not to.
        """
        by_size = "--image-opts driver=vpc,force_size_calc=current_size,file.filename=SOURCE"
        return (
            f"qemu-img convert {by_size if self.source == 'vpc' else f'-f {self.source} SOURCE'} -O raw disk.raw",
            "qemu-img resize -f raw disk.raw SIZE   (SIZE: the next whole number of MiB; on GPT then: sgdisk -e disk.raw)",
            "qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on disk.raw IMAGE.vhd",
        )


class Manual(NamedTuple):
    """Nothing that a program can do safely: steps for a person."""

    steps: tuple[str, ...]
    disposition: Disposition = Disposition.MANUAL


Remedy = RemoveFiles | TruncateFiles | WriteFile | SetConfigValue | EnableSystemdUnit | LockPassword | ConvertVhd | Manual

REMEDIES: dict[str, type[Remedy]] = {
    "remove_files": RemoveFiles,
    "truncate_files": TruncateFiles,
    "write_file": WriteFile,
    "set_config_value": SetConfigValue,
    "enable_systemd_unit": EnableSystemdUnit,
    "lock_password": LockPassword,
    "convert_vhd": ConvertVhd,
    "manual": Manual,
}
"""The word rules use → the remedy."""


def kind(remedy: Remedy) -> str:
    """The word rules use for this remedy."""
    return next(name for name, each in REMEDIES.items() if isinstance(remedy, each))


def parameters(remedy: type[Remedy]) -> dict[str, bool]:
    """Parameter → whether it takes a list, in the order of declaration."""
    return {name: "tuple" in str(remedy.__annotations__[name]) for name in remedy._fields if name != "disposition"}
