"""What an upload of this image has to say to Azure. Declared values win over what was seen; what is in neither stays open."""

from __future__ import annotations

import re
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from vhdprep.model import DiskType, Outcome, Target, Verdict
from vhdprep.report.words import local_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vhdprep.model import DiskReport, Report

LARGEST_COPY = 2**40
"""Bytes of a data disk that a version may have which is copied (Azure, "Create an image definition and an image version", prerequisites)."""
LONGEST_NAME = 80
"""Characters of the name of a disk or an image (Azure, "Naming rules for resources")."""
_ARCHITECTURES = {"x86_64": "x64", "aarch64": "Arm64"}
_SECURITY_TYPES = {
    each.lower(): each
    for each in ("Standard", "TrustedLaunch", "TrustedLaunchSupported", "ConfidentialVM", "ConfidentialVmSupported",
                 "TrustedLaunchAndConfidentialVmSupported")
} | {"none": "Standard"}  # fmt: skip
_FOR_STRANGERS = {"TrustedLaunch": "TrustedLaunchSupported", "ConfidentialVM": "ConfidentialVmSupported"}
"""Other than private galleries take only what says "supported" (Azure, "Store and share images in an Azure Compute Gallery")."""
_SIGNED = {"linux": ("linux-boot-efi-loaders-signed", "linux-boot-kernel-signed"), "windows": ("windows-boot-signatures-enforced",)}
_NVME = {
    "linux": ("linux-nvme-early", "linux-nvme-release-listed", "linux-pci-hyperv-present"),
    "windows": ("windows-nvme-driver-ready",),
}
_NETWORK = {"linux": ("linux-accelerated-network-drivers-present", "linux-pci-hyperv-present")}
"""Rules that all have to have passed before an image is said to be able to do something; without any it is not said."""


class Disk(NamedTuple):
    """One disk of the upload."""

    role: Literal["os", "data"]
    lun: int | None
    """None for the OS disk."""
    path: str
    size_bytes: int
    """The whole file: the disk that receives it is made with the footer's 512 bytes (Azure, "Upload a VHD to Azure")."""
    name: str
    """Of the managed disk."""


class Names(NamedTuple):
    """Names in Azure; those in capitals are not known."""

    group: str = "GROUP"
    gallery: str = "GALLERY"
    publisher: str = "PUBLISHER"
    offer: str = "OFFER"
    sku: str = "SKU"
    location: str = "LOCATION"


class Plan(NamedTuple):
    """The parameters of an upload."""

    os_type: str
    generation: int | None
    os_state: Literal["Generalized", "Specialized"]
    architecture: str | None
    """``x64 | Arm64``; None leaves it to Azure, which takes x64."""
    security_type: str
    disk_controllers: tuple[str, ...]
    accelerated_networking: bool | None
    hibernation: bool | None
    disks: tuple[Disk, ...]
    """The OS disk first."""
    destination: Literal["gallery", "managed-image"]
    community: bool
    image: str
    version: str
    shallow: bool
    """The version is not copied: for large disks, or few machines."""
    names: Names
    both_generations: bool = False
    """The disk boots in either, and nobody declared one."""

    @property
    def os_disk(self) -> Disk:
        """The disk with the system."""
        return self.disks[0]

    @property
    def data_disks(self) -> tuple[Disk, ...]:
        """The others."""
        return self.disks[1:]

    @property
    def from_image(self) -> bool:
        """Whether a managed image stands between the disks and the version: of disks Azure makes none that is called "supported".

        Source: "Deploy a virtual machine with Trusted Launch enabled", image sources.
        """
        return self.destination == "gallery" and _is_supported(self.security_type)

    @property
    def hyper_v_generation(self) -> str:
        """``V1 | V2``, or a name to fill in: Azure's tools do not agree on what they take when it is left out."""
        return f"V{self.generation}" if self.generation else "V1-OR-V2"

    @property
    def features(self) -> dict[str, str]:
        """What the image definition is tagged with; Standard is no tag (Azure, "Image definitions", features)."""
        found = {"SecurityType": self.security_type} if self.security_type != "Standard" else {}
        if self.disk_controllers != ("SCSI",):
            found["DiskControllerTypes"] = ",".join(self.disk_controllers)
        for name, able in (("IsAcceleratedNetworkSupported", self.accelerated_networking), ("IsHibernateSupported", self.hibernation)):
            if able is not None:
                found[name] = str(able)
        return found


def plan(report: Report) -> Plan | None:
    """The upload of a ready image; None where it is not ready, its system is not known, a disk is no fixed VHD, or two have one LUN.

    Nor where rules were left out, for then nobody knows whether it works, where a rehearsal did not pass, or where Azure would refuse to
    make it of disks.
    """
    facts = report.guest
    if not _is_known_to_work(report) or facts is None or not all(map(_is_fixed_vhd, report.disks)):
        return None
    systems = [each for each in report.disks if each.role == "os"]
    if len(systems) != 1:
        return None
    declared: Mapping[str, Any] = report.declared.fields if report.declared else {}
    disks = _disks(systems[0], [each for each in report.disks if each.role == "data"])
    if len({each.lun for each in disks}) != len(disks):
        return None
    generation = declared.get("generation", facts.generation)
    architecture = declared.get("architecture", _ARCHITECTURES.get(facts.arch or ""))
    managed = _is_managed_image(report.target, generation, architecture, disks, declared)
    modern = generation == 2 and not managed
    may_be_image = report.target is not Target.SPECIALIZED and _fits_image(architecture, disks)
    may_be_trusted = modern and architecture == "x64" and may_be_image
    security_type = "Standard" if managed else _security_type(report, declared, may_be_trusted=may_be_trusted)
    if _is_supported(security_type) and not may_be_image:
        return None
    network = _network(report, facts.os)
    return Plan(
        os_type="Windows" if facts.os == "windows" else "Linux",
        generation=generation,
        os_state="Specialized" if report.target is Target.SPECIALIZED else "Generalized",
        architecture=architecture,
        security_type=security_type,
        disk_controllers=("SCSI",) if managed else _controllers(report, declared, modern=modern),
        accelerated_networking=None if managed else declared.get("accelerated_networking", network),
        hibernation=None if managed else declared.get("hibernation"),
        disks=disks,
        destination="managed-image" if managed else "gallery",
        community=report.target is Target.COMMUNITY_GALLERY,
        image=declared.get("image", disks[0].name),
        version=declared.get("version", "1.0.0"),
        shallow=_is_shallow(declared, disks) and not managed,
        names=Names(**{name: declared[name] for name in Names._fields if name in declared}),
        both_generations="generation" not in declared and len(facts.generations) > 1,
    )


def withheld(report: Report) -> str:
    """Why a ready image of fixed VHDs has no upload, in a sentence; else empty."""
    if report.verdict is not Verdict.READY or not report.disks or plan(report) is not None:
        return ""
    if report.rehearsal and report.rehearsal.passed is False:
        return "How to upload it is told when its rehearsal has passed."
    if report.left_out:
        return "How to upload it is told when no rule is left out."
    if report.declared and _is_supported(str(report.declared.fields.get("security_type", ""))):
        return (
            "How to upload it is not told: of such disks Azure makes no image of the declared security type, only of their files in a "
            "storage account (az sig image-version create --os-vhd-uri)."
        )
    return ""


def _is_known_to_work(report: Report) -> bool:
    """By the verdict of all rules, and nothing against it when it was booted."""
    return report.verdict is Verdict.READY and not report.left_out and (report.rehearsal is None or report.rehearsal.passed is not False)


def fill_in(planned: Plan, *, located: bool = True) -> list[str]:
    """The names in capitals that a way of uploading has; ``located``: whether it asks for the region."""
    known = planned.names
    wanted = ["group", *(["gallery", "publisher", "offer", "sku"] if planned.destination == "gallery" else []), *(["location"] if located else [])]
    found = [default for name, default in Names._field_defaults.items() if name in wanted and getattr(known, name) == default]
    generation = [] if planned.generation else [planned.hyper_v_generation]
    community = ["PUBLISHER-URI", "PUBLISHER-EMAIL", "EULA-URI", "PREFIX"] if planned.community else []
    return [*found, *generation, *community]


def _is_fixed_vhd(disk: DiskReport) -> bool:
    return disk.container.format == "vhd" and disk.container.type is DiskType.FIXED


def _is_managed_image(target: Target, generation: int | None, architecture: str | None, disks: tuple[Disk, ...], declared: Mapping[str, Any]) -> bool:
    """Where it is declared, or nothing speaks for a gallery. A managed image is private.

    Source: "Deprovision or generalize a VM" (generalized only).
    """
    if target is not Target.GENERALIZED or not _fits_image(architecture, disks):
        return False
    if "kind" in declared:
        return bool(declared["kind"] == "managed-image")
    return generation == 1 and not declared.keys() & {"gallery", "publisher", "offer", "sku", "version"}


def _fits_image(architecture: str | None, disks: tuple[Disk, ...]) -> bool:
    """A managed image is for x64, and ``az`` counts its LUNs from 0 ("Create an image definition and an image version": Arm64 in galleries)."""
    return architecture != "Arm64" and [each.lun for each in disks[1:]] == list(range(len(disks) - 1))


def _is_supported(security_type: str) -> bool:
    return security_type.lower().endswith("supported")


def _passed(report: Report, rules: tuple[str, ...]) -> bool:
    """Whether each of these was asked and passed; one that is waived, undecided or left out did not."""
    passed = {each.rule_id for each in report.findings if each.outcome is Outcome.PASS}
    return bool(rules) and passed.issuperset(rules)


def _security_type(report: Report, declared: Mapping[str, Any], *, may_be_trusted: bool) -> str:
    """Trusted Launch begins with Secure Boot, so only what is known to be signed is tagged for it, and no Windows before 10 and Server 2016.

    Source: "Trusted Launch for Azure virtual machines", operating systems supported.
    """
    facts = report.guest
    trusted = may_be_trusted and facts is not None and _passed(report, _SIGNED.get(facts.os, ()))
    trusted = trusted and facts is not None and (facts.os != "windows" or (facts.version or "").startswith("10."))
    wanted = str(declared.get("security_type", "TrustedLaunchSupported" if trusted else "Standard"))
    wanted = _SECURITY_TYPES.get(wanted.lower(), wanted)
    return _FOR_STRANGERS.get(wanted, wanted) if report.target is Target.COMMUNITY_GALLERY else wanted


def _controllers(report: Report, declared: Mapping[str, Any], *, modern: bool) -> tuple[str, ...]:
    """NVMe is of Generation 2 only (Azure, "Supported OS images for remote NVMe")."""
    nvme = modern and report.guest is not None and _passed(report, _NVME.get(report.guest.os, ()))
    return tuple(declared.get("disk_controllers", ("SCSI", "NVMe") if nvme else ("SCSI",)))


def _network(report: Report, system: str) -> bool | None:
    """None where no rule looks at the drivers, or one could not be decided."""
    rules = _NETWORK.get(system, ())
    failed = any(each.rule_id in rules and each.outcome in (Outcome.FAIL, Outcome.WAIVED) for each in report.findings)
    return False if failed else True if _passed(report, rules) else None


def _is_shallow(declared: Mapping[str, Any], disks: tuple[Disk, ...]) -> bool:
    return bool(declared.get("replication", "shallow" if any(each.size_bytes - 512 > LARGEST_COPY for each in disks[1:]) else "full") == "shallow")


def _disks(system: DiskReport, data: list[DiskReport]) -> tuple[Disk, ...]:
    names = _unique([_name(each.container.path) for each in (system, *data)])
    luns = _luns([each.lun for each in data])
    return tuple(
        Disk(each.role, lun, local_name(each.container.path), each.container.file_size, name)
        for each, lun, name in zip((system, *data), (None, *luns), names, strict=True)
    )


def _luns(declared: list[int | None]) -> list[int]:
    """Disks without a LUN take the lowest that are free, in their order."""
    taken = {each for each in declared if each is not None}
    free = (each for each in range(len(declared) + len(taken)) if each not in taken)
    return [next(free) if each is None else each for each in declared]


def _name(path: str) -> str:
    """A resource's name from a file's: letters, digits and hyphens, which disks, images and image definitions all take."""
    stem = re.sub(r"(\.vhd)+$", "", PureWindowsPath(path).name, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:LONGEST_NAME].rstrip("-") or "disk"


def _unique(names: Iterable[str]) -> list[str]:
    """Azure's names differ by more than case; a later one of a name gets a number."""
    found: list[str] = []
    taken: set[str] = set()
    for name in names:
        chosen, number = name, 1
        while chosen.lower() in taken:
            number += 1
            chosen = f"{name[: LONGEST_NAME - 1 - len(str(number))]}-{number}"
        taken.add(chosen.lower())
        found.append(chosen)
    return found
