"""What an upload of this image has to say to Azure: sizes, generation, the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.model import DiskType, Target, Verdict

if TYPE_CHECKING:
    from vhdprep.model import Report

_ARCHITECTURES = {"x86_64": "x64", "aarch64": "Arm64"}


class Upload(NamedTuple):
    """The parameters of an upload."""

    size_bytes: int
    """The managed disk is created with the footer's 512 bytes included."""
    os_type: str
    generation: int | None
    os_state: str
    architecture: str | None
    commands: list[str]


def plan(report: Report) -> Upload | None:
    """The upload of a ready image; None when it is not one, or has data disks, which belong into the same image."""
    facts = report.guest
    if report.verdict is not Verdict.READY or facts is None or len(report.disks) != 1:
        return None
    container = report.disks[0].container
    if container.format != "vhd" or container.type is not DiskType.FIXED:
        return None
    os_type = "Windows" if facts.os == "windows" else "Linux"
    architecture = _ARCHITECTURES.get(facts.arch or "")
    generation = f"--hyper-v-generation V{facts.generation} " if facts.generation else ""
    shape = f"{generation}{f'--architecture {architecture} ' if architecture else ''}"
    commands = [
        f"az disk create -g GROUP -n DISK --os-type {os_type} {shape}--upload-type Upload --upload-size-bytes {container.file_size}",
        "az disk grant-access -g GROUP -n DISK --access-level Write --duration-in-seconds 86400",
        "azcopy copy IMAGE.vhd 'SAS-URL' --blob-type PageBlob",
        "az disk revoke-access -g GROUP -n DISK",
    ]
    if report.target is Target.SPECIALIZED:
        commands.append(f"az vm create -g GROUP -n VM --attach-os-disk DISK --os-type {os_type}")
    elif facts.generation == 2 or architecture == "Arm64":
        commands += _into_gallery(os_type, shape, trusted=architecture == "x64")
    else:
        commands.append(f"az image create -g GROUP -n IMAGE --source DISK --os-type {os_type} {generation}".rstrip())
    state = "Specialized" if report.target is Target.SPECIALIZED else "Generalized"
    return Upload(container.file_size, os_type, facts.generation, state, architecture, commands)


def _into_gallery(os_type: str, shape: str, *, trusted: bool) -> list[str]:
    """A gallery's image: a managed image cannot have Trusted Launch, the default of new Generation 2 machines, nor be Arm64."""
    features = "--features SecurityType=TrustedLaunchSupported" if trusted else ""
    return [
        "az sig image-definition create -g GROUP --gallery-name GALLERY -i IMAGE --publisher PUBLISHER --offer OFFER --sku SKU "
        f"--os-type {os_type} --os-state Generalized {shape}{features}".rstrip(),
        "az sig image-version create -g GROUP --gallery-name GALLERY -i IMAGE -e 1.0.0 --os-snapshot DISK",
    ]
