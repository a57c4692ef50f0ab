"""Azure PowerShell (the module Az.Compute).

Sources: the references of ``Add-AzVhd`` (direct upload to a managed disk), ``New-AzDiskConfig``, ``Grant-AzDiskAccess``, ``New-AzImageConfig``,
``New-AzGallery``, ``New-AzGalleryImageDefinition`` and ``New-AzGalleryImageVersion``, whose examples make a version of managed disks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.report.upload.azurecli import DAY, as_file
from vhdprep.report.upload.quoting import powershell as quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.report.upload.planning import Disk, Plan

_SHARE = "/share?api-version=2021-07-01"


def lines(plan: Plan) -> list[str]:
    """From the files to the image."""
    uploads = [line for disk in plan.disks for line in _upload(plan, disk)]
    ids = [f"${_variable(each)} = (Get-AzDisk -ResourceGroupName {quoted(plan.names.group)} -DiskName {quoted(each.name)}).Id" for each in plan.disks]
    return [*uploads, *ids, *(_gallery(plan) if plan.destination == "gallery" else _managed_image(plan))]


def _upload(plan: Plan, disk: Disk) -> Iterator[str]:
    """``Add-AzVhd`` does it all, but cannot make a disk for Arm64."""
    if disk.role == "os" and plan.architecture == "Arm64":
        yield from _upload_for_arm(plan, disk)
        return
    system = f" -DiskOsType {plan.os_type} -DiskHyperVGeneration {plan.hyper_v_generation}" if disk.role == "os" else ""
    yield f"Add-AzVhd {_place(plan)} -DiskName {quoted(disk.name)} -LocalFilePath {quoted(disk.path)}{system}"


def _upload_for_arm(plan: Plan, disk: Disk) -> Iterator[str]:
    named = f"-ResourceGroupName {quoted(plan.names.group)} -DiskName {quoted(disk.name)}"
    yield (
        f"$config = New-AzDiskConfig -Location {quoted(plan.names.location)} -SkuName Standard_LRS -OsType {plan.os_type} "
        f"-HyperVGeneration {plan.hyper_v_generation} -Architecture Arm64 -CreateOption Upload -UploadSizeInBytes {disk.size_bytes}"
    )
    yield f"New-AzDisk {named} -Disk $config"
    yield f"$access = Grant-AzDiskAccess {named} -Access Write -DurationInSecond {DAY}"
    yield f"azcopy copy {quoted(as_file(disk.path))} $access.AccessSAS --blob-type PageBlob"
    yield f"Revoke-AzDiskAccess {named}"


def _managed_image(plan: Plan) -> Iterator[str]:
    yield f"$image = New-AzImageConfig -Location {quoted(plan.names.location)} -HyperVGeneration {plan.hyper_v_generation}"
    yield f"$image = Set-AzImageOsDisk -Image $image -OsType {plan.os_type} -OsState Generalized -ManagedDiskId $osDisk"
    for each in plan.data_disks:
        yield f"$image = Add-AzImageDataDisk -Image $image -Lun {each.lun} -ManagedDiskId ${_variable(each)}"
    yield f"$image = New-AzImage -ResourceGroupName {quoted(plan.names.group)} -ImageName {quoted(plan.image)} -Image $image"


def _gallery(plan: Plan) -> Iterator[str]:
    names = plan.names
    gallery = f"{_place(plan)} -GalleryName {quoted(names.gallery)}"
    if plan.community:
        yield (
            f"$gallery = New-AzGallery {_place(plan)} -Name {quoted(names.gallery)} -Permission Community -PublisherUri 'PUBLISHER-URI' "
            "-PublisherContact 'PUBLISHER-EMAIL' -Eula 'EULA-URI' -PublicNamePrefix 'PREFIX'"
        )
    architecture = f" -Architecture {quoted(plan.architecture)}" if plan.architecture else ""
    yield (
        f"New-AzGalleryImageDefinition {gallery} -Name {quoted(plan.image)} -Publisher {quoted(names.publisher)} -Offer {quoted(names.offer)} "
        f"-Sku {quoted(names.sku)} -OsType {plan.os_type} -OsState {plan.os_state} -HyperVGeneration {plan.hyper_v_generation}"
        f"{architecture}{_features(plan)}"
    )
    if plan.from_image:
        yield from _managed_image(plan)
    data = ", ".join(f"@{{Source = @{{Id = ${_variable(each)}}}; Lun = {each.lun}}}" for each in plan.data_disks)
    disks = f"-OSDiskImage @{{Source = @{{Id = $osDisk}}}}{f' -DataDiskImage @({data})' if data else ''}"
    yield (
        f"New-AzGalleryImageVersion {gallery} -GalleryImageDefinitionName {quoted(plan.image)} -Name {quoted(plan.version)} "
        f"{'-SourceImageId $image.Id' if plan.from_image else disks}{' -ReplicationMode Shallow' if plan.shallow else ''}"
    )
    if plan.community:  # the service's own call: "Share images by using a community gallery", REST
        yield f"""Invoke-AzRestMethod -Method POST -Path "$($gallery.Id){_SHARE}" -Payload '{{"operationType": "EnableCommunity"}}'"""


def _features(plan: Plan) -> str:
    """Without a security type a Generation 2 definition becomes TrustedLaunchSupported; None is how this command says Standard."""
    said = {"SecurityType": "None"} if plan.security_type == "Standard" and plan.generation != 1 else {}
    pairs = [f"@{{Name = '{name}'; Value = {quoted(value)}}}" for name, value in (said | plan.features).items()]
    return f" -Feature @({', '.join(pairs)})" if pairs else ""


def _place(plan: Plan) -> str:
    return f"-ResourceGroupName {quoted(plan.names.group)} -Location {quoted(plan.names.location)}"


def _variable(disk: Disk) -> str:
    return "osDisk" if disk.role == "os" else f"dataDisk{disk.lun}"
