"""A Bicep file: the disks in a first deployment, the image of them in a second, for in between the files have to be uploaded.

Sources: the template references of ``Microsoft.Compute/disks`` (creationData: Upload), ``images``, ``galleries``, ``galleries/images`` and
``galleries/images/versions`` (storageProfile: a source's id may be a disk's).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.report.upload.quoting import bicep as quoted
from vhdprep.report.upload.quoting import shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.report.upload.planning import Disk, Plan

_DISKS, _IMAGES, _GALLERIES = "disks@2024-03-02", "images@2024-03-01", "galleries@2024-03-03"


class _Name(NamedTuple):
    """An expression that stands without quotes."""

    text: str


_Node = str | int | bool | _Name | list["_Node"] | dict[str, "_Node"]
_LOCATION = _Name("location")


def text(plan: Plan) -> str:
    """The whole file, ending in a newline."""
    location = "resourceGroup().location" if plan.names.location == "LOCATION" else quoted(plan.names.location)
    blocks = [
        "\n".join(_head(plan)),
        f"param location string = {location}\n@description('The files have been uploaded')\nparam uploaded bool = false",
        *(_resource(_symbol(each), _DISKS, _disk(plan, each)) for each in plan.disks),
        *(_gallery(plan) if plan.destination == "gallery" else [_managed_image(plan)]),
    ]
    return "\n\n".join(blocks) + "\n"


def _head(plan: Plan) -> Iterator[str]:
    deploy = f"az deployment group create -g {shell(plan.names.group)} -f image.bicep"
    yield f"// 1. {deploy}"
    yield "// 2. The lines grant-access, azcopy and revoke-access of the Azure CLI, for each of these disks:"
    for each in plan.disks:
        yield f"//    {each.name} of {quoted(each.path)}"
    yield f"// 3. {deploy} -p uploaded=true"
    if plan.community:
        yield f"// 4. az sig share enable-community -g {shell(plan.names.group)} -r {shell(plan.names.gallery)}"


def _disk(plan: Plan, disk: Disk) -> dict[str, _Node]:
    system: dict[str, _Node] = {"osType": plan.os_type, "hyperVGeneration": plan.hyper_v_generation} if disk.role == "os" else {}
    if disk.role == "os" and plan.architecture:
        system["supportedCapabilities"] = {"architecture": plan.architecture}
    return {
        "name": disk.name,
        "location": _LOCATION,
        "properties": {**system, "creationData": {"createOption": "Upload", "uploadSizeBytes": disk.size_bytes}},
    }


def _managed_image(plan: Plan) -> str:
    data: list[_Node] = [{"lun": each.lun or 0, "managedDisk": {"id": _id(each)}} for each in plan.data_disks]
    system: dict[str, _Node] = {"osType": plan.os_type, "osState": plan.os_state, "managedDisk": {"id": _id(plan.os_disk)}}
    disks: dict[str, _Node] = {"osDisk": system, **({"dataDisks": data} if data else {})}
    body: dict[str, _Node] = {"hyperVGeneration": plan.hyper_v_generation, "storageProfile": disks}
    return _resource("image", _IMAGES, {"name": plan.image, "location": _LOCATION, "properties": body}, when="uploaded")


def _gallery(plan: Plan) -> Iterator[str]:
    if plan.community:
        yield _resource("gallery", _GALLERIES, _community(plan))
    else:
        yield f"resource gallery 'Microsoft.Compute/{_GALLERIES}' existing = {{\n  name: {quoted(plan.names.gallery)}\n}}"
    images, versions = (_GALLERIES.replace("@", f"/{kind}@") for kind in ("images", "images/versions"))
    yield _resource("definition", images, _definition(plan))
    if plan.from_image:
        yield _managed_image(plan)
    yield _resource("version", versions, _version(plan), when="uploaded")


def _community(plan: Plan) -> dict[str, _Node]:
    about: dict[str, _Node] = {
        "publisherUri": "PUBLISHER-URI",
        "publisherContact": "PUBLISHER-EMAIL",
        "eula": "EULA-URI",
        "publicNamePrefix": "PREFIX",
    }
    sharing: dict[str, _Node] = {"permissions": "Community", "communityGalleryInfo": about}
    return {"name": plan.names.gallery, "location": _LOCATION, "properties": {"sharingProfile": sharing}}


def _definition(plan: Plan) -> dict[str, _Node]:
    names = plan.names
    features: list[_Node] = [{"name": name, "value": value} for name, value in plan.features.items()]
    return {
        "parent": _Name("gallery"),
        "name": plan.image,
        "location": _LOCATION,
        "properties": {
            "identifier": {"publisher": names.publisher, "offer": names.offer, "sku": names.sku},
            "osType": plan.os_type,
            "osState": plan.os_state,
            "hyperVGeneration": plan.hyper_v_generation,
            **({"architecture": plan.architecture} if plan.architecture else {}),
            **({"features": features} if features else {}),
        },
    }


def _version(plan: Plan) -> dict[str, _Node]:
    data: list[_Node] = [{"lun": each.lun or 0, "source": {"id": _id(each)}} for each in plan.data_disks]
    disks: dict[str, _Node] = {"osDiskImage": {"source": {"id": _id(plan.os_disk)}}, **({"dataDiskImages": data} if data else {})}
    mode: dict[str, _Node] = {"replicationMode": "Shallow"} if plan.shallow else {}
    return {
        "parent": _Name("definition"),
        "name": plan.version,
        "location": _LOCATION,
        "properties": {
            "publishingProfile": {"targetRegions": [{"name": _LOCATION}], **mode},
            "storageProfile": {"source": {"id": _Name("image.id")}} if plan.from_image else disks,
        },
    }


def _symbol(disk: Disk) -> str:
    return "osDisk" if disk.role == "os" else f"dataDisk{disk.lun}"


def _id(disk: Disk) -> _Name:
    return _Name(f"{_symbol(disk)}.id")


def _resource(symbol: str, kind: str, body: dict[str, _Node], when: str = "") -> str:
    return f"resource {symbol} 'Microsoft.Compute/{kind}' = {f'if ({when}) ' if when else ''}{_written(body)}"


def _written(node: _Node, indent: str = "") -> str:
    """A value, with what it holds one step further in."""
    inner = indent + "  "
    if isinstance(node, dict):
        return "{\n" + "".join(f"{inner}{name}: {_written(each, inner)}\n" for name, each in node.items()) + indent + "}"
    if isinstance(node, list):
        return "[\n" + "".join(f"{inner}{_written(each, inner)}\n" for each in node) + indent + "]"
    if isinstance(node, _Name):
        return node.text
    return quoted(node) if isinstance(node, str) else str(node).lower()
