"""The cures as data. What a person does by hand is derived here; nothing here performs anything."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import ClassVar


class Disposition(StrEnum):
    """Whether a cure may be applied without asking."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class RemoveFiles:
    """Delete every path that matches; a path that is already gone is no error."""

    kind: ClassVar[str] = "remove_files"
    patterns: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do by hand."""
        return (f"In the guest, as root: rm -rf {' '.join(self.patterns)}",)


@dataclass(frozen=True, slots=True)
class TruncateFiles:
    """Empty every file that matches, keeping its owner and mode."""

    kind: ClassVar[str] = "truncate_files"
    patterns: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do by hand."""
        return (f"In the guest, as root: truncate -s 0 {' '.join(self.patterns)}",)


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Write a whole small file."""

    kind: ClassVar[str] = "write_file"
    path: str
    text: str
    disposition: Disposition = Disposition.SAFE

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do by hand."""
        return (f"In the guest, write {self.path} with this content:", *(f"  {line}" for line in self.text.rstrip().splitlines()))


@dataclass(frozen=True, slots=True)
class SetConfigValue:
    """Set one key of a configuration file, keeping everything else."""

    kind: ClassVar[str] = "set_config_value"
    path: str
    key: str
    value: str
    disposition: Disposition = Disposition.SAFE

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do by hand."""
        return (f"In the guest, set in {self.path}: {self.key}={self.value}",)


@dataclass(frozen=True, slots=True)
class EnableSystemdUnit:
    """Enable the first of the units that is installed."""

    kind: ClassVar[str] = "enable_systemd_unit"
    first_present: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do by hand."""
        names = " or ".join(f"systemctl unmask --now {name} && systemctl enable {name}" for name in self.first_present)
        return (f"In the guest, as root: {names}",)


@dataclass(frozen=True, slots=True)
class LockPassword:
    """Make the password of an account unusable."""

    kind: ClassVar[str] = "lock_password"
    account: str
    disposition: Disposition = Disposition.SAFE

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do by hand."""
        return (f"In the guest, as root: usermod -p '*' {self.account}",)


@dataclass(frozen=True, slots=True)
class ConvertVhd:
    """Write the disk as a fixed VHD of a whole number of MiB."""

    kind: ClassVar[str] = "convert_vhd"
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


@dataclass(frozen=True, slots=True)
class Manual:
    """Nothing that a program can do safely: steps for a person."""

    kind: ClassVar[str] = "manual"
    steps: tuple[str, ...]
    disposition: Disposition = Disposition.MANUAL


Remedy = RemoveFiles | TruncateFiles | WriteFile | SetConfigValue | EnableSystemdUnit | LockPassword | ConvertVhd | Manual

REMEDIES: tuple[type[Remedy], ...] = (
    RemoveFiles, TruncateFiles, WriteFile, SetConfigValue, EnableSystemdUnit, LockPassword, ConvertVhd, Manual,
)  # fmt: skip


def parameters(remedy: type[Remedy] | Remedy) -> dict[str, bool]:
    """Parameter → whether it takes a list, in the order of declaration."""
    return {each.name: "tuple" in str(each.type) for each in fields(remedy) if each.name != "disposition"}
