"""The remedies as data. Nothing here performs anything."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple, get_args

from vhdprep.registrytext import STARTS, registry_value


class Disposition(StrEnum):
    """Whether a remedy may be applied without asking."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    MANUAL = "manual"


class RemoveFiles(NamedTuple):
    """Delete every path that matches or that the finding names; a path that is already gone is no error."""

    patterns: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class RemoveFoundFiles(NamedTuple):
    """Delete exactly the files that the finding names, also where it names lines of them."""

    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class TruncateFiles(NamedTuple):
    """Empty every file that matches or that the finding names, keeping its owner and mode."""

    patterns: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class WriteFile(NamedTuple):
    """Write a whole small file."""

    path: str
    text: str
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class MakeLink(NamedTuple):
    """Put a symbolic link in the place of whatever stands there."""

    path: str
    target: str
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class AppendLine(NamedTuple):
    """Add one line at the end of the first of these configuration files that is there."""

    first_present: tuple[str, ...]
    line: str
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class SetConfigValue(NamedTuple):
    """Set one key of a configuration file, keeping everything else."""

    path: str
    key: str
    value: str
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class SetIniValue(NamedTuple):
    """Set one key in a section of an ini file, keeping everything else."""

    path: str
    section: str
    key: str
    value: str
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class SetSshOption(NamedTuple):
    """Give an option of sshd its value where sshd takes it from: the first line that sets it."""

    option: str
    value: str
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class CommentOutFoundLines(NamedTuple):
    """Put a # before exactly the lines that the finding names; a path that it names as a whole is deleted."""

    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class BlankFoundLines(NamedTuple):
    """Empty exactly the lines that the finding names, so that nothing of them stays; a path that it names as a whole is deleted."""

    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class NameFoundVolumes(NamedTuple):
    """Write UUID=... for the device in the first field of exactly the fstab lines that the finding names."""

    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class NameRootByUuid(NamedTuple):
    """Write root=UUID=... for the device in every boot entry."""

    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class AddMountOption(NamedTuple):
    """Add an option to exactly the lines of fstab that the finding names."""

    option: str
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class SetKernelArguments(NamedTuple):
    """Add and remove kernel arguments, in the defaults of GRUB and in what the boot loader reads; `name`, or `name=value` for that one."""

    add: tuple[str, ...]
    remove: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class EnableSystemdUnit(NamedTuple):
    """Enable the first of the units that is installed."""

    first_present: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class EnableSystemdUnits(NamedTuple):
    """Enable every one of the units that is installed."""

    units: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class DisableSystemdUnits(NamedTuple):
    """Take away what starts the units at boot."""

    units: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class AddUnitSettings(NamedTuple):
    """Write a drop-in for the first of the units that is installed; `text` is the whole file, with its sections."""

    first_present: tuple[str, ...]
    name: str
    text: str
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class LockPassword(NamedTuple):
    """Make the password of an account unusable."""

    account: str
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class LockFoundPasswords(NamedTuple):
    """Make the passwords of exactly the accounts that the finding names unusable."""

    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class SetRegistryValue(NamedTuple):
    """Set one value of the Windows registry; `type` is `dword`, `sz`, `expand_sz` or `multi_sz`."""

    key: str
    name: str
    type: str
    value: str
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class RemoveRegistryValue(NamedTuple):
    """Delete one value of the Windows registry."""

    key: str
    name: str
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class RemoveRegistryKey(NamedTuple):
    """Delete a key of the Windows registry with everything below it."""

    key: str
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class SetRegistryValues(NamedTuple):
    r"""Of these values of the Windows registry, set exactly those that the finding names; each is `KEY\NAME = TYPE:DATA`."""

    values: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class RemoveFoundKeys(NamedTuple):
    """Delete exactly the values and keys of the Windows registry that the finding names, and the files."""

    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class StartFoundServices(NamedTuple):
    """Let exactly the Windows services that the finding names start as `boot`, `system`, `automatic`, `manual` or `disabled`."""

    start: str
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class EnableFirewallRules(NamedTuple):
    """Enable those of these rules of the Windows firewall that are there."""

    rules: tuple[str, ...]
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class ConvertVhd(NamedTuple):
    """Write the disk as a fixed VHD of a whole number of MiB."""

    source: str
    """qemu-img's name of the format the image is in."""
    disposition: Disposition = Disposition.SAFE
    by_hand: tuple[str, ...] = ()


class Manual(NamedTuple):
    """Nothing that a program can do safely: steps for a person."""

    steps: tuple[str, ...]
    disposition: Disposition = Disposition.MANUAL


Remedy = (
    RemoveFiles | RemoveFoundFiles | TruncateFiles | WriteFile | MakeLink | AppendLine | SetConfigValue | SetIniValue | SetSshOption
    | CommentOutFoundLines | BlankFoundLines | NameFoundVolumes | NameRootByUuid | AddMountOption | SetKernelArguments | EnableSystemdUnit
    | EnableSystemdUnits | DisableSystemdUnits | AddUnitSettings | LockPassword | LockFoundPasswords | SetRegistryValue | RemoveRegistryValue
    | RemoveRegistryKey | SetRegistryValues | RemoveFoundKeys | StartFoundServices | EnableFirewallRules | ConvertVhd | Manual
)  # fmt: skip

REMEDIES: dict[str, type[Remedy]] = {re.sub(r"(?<!^)(?=[A-Z])", "_", each.__name__).lower(): each for each in get_args(Remedy)}
"""The word rules use → the remedy."""


def mistake(remedy: Remedy) -> str:
    """What is wrong with the parameters of a remedy; empty = nothing."""
    try:
        if isinstance(remedy, SetRegistryValue):
            registry_value(f"{remedy.key}\\{remedy.name} = {remedy.type}:{remedy.value}")
        for each in remedy.values if isinstance(remedy, SetRegistryValues) else ():
            registry_value(each)
    except ValueError as error:
        return str(error)
    wrong = isinstance(remedy, StartFoundServices) and remedy.start not in STARTS
    return f"a service starts as {', '.join(STARTS)}" if wrong else ""


def kind(remedy: Remedy) -> str:
    """The word rules use for this remedy."""
    return next(name for name, each in REMEDIES.items() if isinstance(remedy, each))


def parameters(remedy: type[Remedy]) -> dict[str, bool]:
    """Parameter → whether it takes a list, in the order of declaration."""
    return {name: "tuple" in str(remedy.__annotations__[name]) for name in remedy._fields if name not in ("disposition", "by_hand")}
