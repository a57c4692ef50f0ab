"""The Azure CLI and AzCopy, for bash and zsh.

Sources: "Upload a VHD to Azure or copy a managed disk - Azure CLI" (direct upload), "Create an image definition and an image version" (what
the sources of a version may be), and the references of ``az disk``, ``az image``, ``az sig`` and ``az vm``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.report.upload.quoting import shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.report.upload.planning import Disk, Plan

DAY = 86_400
"""Seconds that the permission to write a disk lasts."""


def lines(plan: Plan) -> list[str]:
    """From the files to the image."""
    uploads = [line for disk in plan.disks for line in _upload(plan, disk)]
    ids = [f"{_variable(each)}=$(az disk show {_disk(plan, each)} --query id -o tsv)" for each in plan.disks]
    return [*uploads, *ids, *(_gallery(plan) if plan.destination == "gallery" else [_managed_image(plan)])]


def machine(plan: Plan) -> list[str]:
    """One machine of the very disks: for a specialized one in the place of what makes the image."""
    in_order = [each.lun for each in plan.data_disks] == list(range(len(plan.data_disks)))
    data = f" --attach-data-disks {' '.join(each.name for each in plan.data_disks)}" if plan.data_disks and in_order else ""
    group = f"-g {shell(plan.names.group)}"
    later = [] if in_order else [f"az vm disk attach {group} --vm-name VM --name {each.name} --lun {each.lun}" for each in plan.data_disks]
    return [f"az vm create {group} -n VM --size SIZE --os-type {plan.os_type} --attach-os-disk {plan.os_disk.name}{data}", *later]


def _upload(plan: Plan, disk: Disk) -> Iterator[str]:
    """A disk of its own kind receives the file as it is: no ``--security-type``, for Trusted Launch cannot be set on a disk made for upload."""
    named = _disk(plan, disk)
    location = _location(plan)
    system = f" --os-type {plan.os_type} --hyper-v-generation {plan.hyper_v_generation}{_architecture(plan)}" if disk.role == "os" else ""
    yield f"az disk create {named}{location} --upload-type Upload --upload-size-bytes {disk.size_bytes}{system}"
    # The field is accessSAS since the commands are generated, and was accessSas before.
    yield f"SAS=$(az disk grant-access {named} --access-level Write --duration-in-seconds {DAY} --query 'accessSas || accessSAS' -o tsv)"
    yield f'azcopy copy {shell(as_file(disk.path))} "$SAS" --blob-type PageBlob'
    yield f"az disk revoke-access {named}"


def _managed_image(plan: Plan) -> str:
    data = f" --data-disk-sources {_ids(plan)}" if plan.data_disks else ""
    return (
        f"az image create -g {shell(plan.names.group)} -n {shell(plan.image)}{_location(plan)} --os-type {plan.os_type} "
        f'--hyper-v-generation {plan.hyper_v_generation} --source "$OS_DISK"{data}'
    )


def _gallery(plan: Plan) -> Iterator[str]:
    """The options are named after snapshots and take disks too, by their ids alone: a name is taken for a snapshot's."""
    names = plan.names
    gallery = f"-g {shell(names.group)} -r {shell(names.gallery)}"
    image = f"{gallery} -i {shell(plan.image)}"
    if plan.community:
        yield (
            f"az sig create {gallery}{_location(plan)} --permissions Community --publisher-uri PUBLISHER-URI --publisher-email PUBLISHER-EMAIL "
            "--eula EULA-URI --public-name-prefix PREFIX"
        )
    yield (
        f"az sig image-definition create {image}{_location(plan)} --publisher {shell(names.publisher)} --offer {shell(names.offer)} "
        f"--sku {shell(names.sku)} --os-type {plan.os_type} --os-state {plan.os_state} --hyper-v-generation {plan.hyper_v_generation}"
        f"{_architecture(plan)}{_features(plan)}"
    )
    if plan.from_image:
        yield _managed_image(plan)
        yield f"IMAGE=$(az image show -g {shell(names.group)} -n {shell(plan.image)} --query id -o tsv)"
    luns = " ".join(str(each.lun) for each in plan.data_disks)
    data = f" --data-snapshots {_ids(plan)} --data-snapshot-luns {luns}" if plan.data_disks else ""
    source = '--managed-image "$IMAGE"' if plan.from_image else f'--os-snapshot "$OS_DISK"{data}'
    mode = " --replication-mode Shallow" if plan.shallow else ""
    yield f"az sig image-version create {image} -e {shell(plan.version)}{_location(plan)} {source}{mode}"
    if plan.community:
        yield f"az sig share enable-community {gallery}"


def _features(plan: Plan) -> str:
    """One argument of words. Without a security type a Generation 2 definition becomes TrustedLaunchSupported, so Standard is said."""
    said = {"SecurityType": "Standard"} if plan.security_type == "Standard" and plan.generation != 1 else {}
    words = [f"{name}={value}" for name, value in (said | plan.features).items()]
    return f" --features {shell(' '.join(words))}" if words else ""


def _architecture(plan: Plan) -> str:
    return f" --architecture {shell(plan.architecture)}" if plan.architecture else ""


def _location(plan: Plan) -> str:
    """Without it the commands take the group's."""
    return f" -l {shell(plan.names.location)}" if plan.names.location != "LOCATION" else ""


def _disk(plan: Plan, disk: Disk) -> str:
    return f"-g {shell(plan.names.group)} -n {disk.name}"


def _variable(disk: Disk) -> str:
    return "OS_DISK" if disk.role == "os" else f"DATA_DISK_{disk.lun}"


def _ids(plan: Plan) -> str:
    return " ".join(f'"${_variable(each)}"' for each in plan.data_disks)


def as_file(path: str) -> str:
    """Nothing that AzCopy takes for an option or an address."""
    return f"./{path}" if re.match(r"-|\w+:/", path) else path
