"""A Terraform file: the disks in a first run, the image of them in a second, for in between the files have to be uploaded.

Sources: the references of the provider hashicorp/azurerm 4: ``azurerm_managed_disk`` (create_option Upload), ``azurerm_image``,
``azurerm_shared_image_gallery``, ``azurerm_shared_image``, ``azurerm_snapshot`` and ``azurerm_shared_image_version``, which takes one snapshot
or a managed image and so no data disks by themselves. For these the version is made by Azure/azapi 2 (``azapi_resource``) with the body of
``Microsoft.Compute/galleries/images/versions``.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.report.upload.quoting import hcl as quoted
from vhdprep.report.upload.quoting import shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.report.upload.planning import Disk, Plan

_SECURITY = {
    "TrustedLaunch": "trusted_launch_enabled",
    "TrustedLaunchSupported": "trusted_launch_supported",
    "ConfidentialVM": "confidential_vm_enabled",
    "ConfidentialVmSupported": "confidential_vm_supported",
}
"""The provider takes one of these; it has none for an image that supports both."""
_VERSIONS = "Microsoft.Compute/galleries/images/versions@2024-03-03"
_WHEN = "var.uploaded ? 1 : 0"
_STORAGE = "Standard_LRS"


class _Name(NamedTuple):
    """An expression that stands without quotes."""

    text: str


class _Block(NamedTuple):
    """A nested block, which has no equals sign."""

    name: str
    body: dict[str, _Node]
    nested: tuple[_Block, ...] = ()


_Node = str | int | bool | _Name | list["_Node"] | dict[str, "_Node"]
_PLACE: dict[str, _Node] = {"resource_group_name": _Name("local.group"), "location": _Name("local.location")}


def text(plan: Plan) -> str:
    """The whole file, ending in a newline."""
    blocks = [
        "\n".join(_head(plan)),
        *_providers(plan),
        _block('variable "uploaded"', {"description": "The files have been uploaded", "type": _Name("bool"), "default": False}),
        _block("locals", {"group": plan.names.group, "location": plan.names.location}),
        *(_block(f'resource "azurerm_managed_disk" "{_symbol(each)}"', _disk(plan, each)) for each in plan.disks),
        *(_gallery(plan) if plan.destination == "gallery" else [_managed_image(plan)]),
    ]
    return "\n\n".join(blocks) + "\n"


def _head(plan: Plan) -> Iterator[str]:
    yield "# 1. export ARM_SUBSCRIPTION_ID=$(az account show --query id -o tsv); terraform init; terraform apply"
    yield "# 2. The lines grant-access, azcopy and revoke-access of the Azure CLI, for each of these disks:"
    for each in plan.disks:
        yield f"#    {each.name} of {quoted(each.path)}"
    yield "# 3. terraform apply -var uploaded=true"
    if plan.community:
        yield f"# 4. az sig share enable-community -g {shell(plan.names.group)} -r {shell(plan.names.gallery)}"


def _providers(plan: Plan) -> Iterator[str]:
    azapi: dict[str, _Node] = {"azapi": {"source": "Azure/azapi", "version": "~> 2.0"}} if _needs_azapi(plan) else {}
    azurerm: dict[str, _Node] = {"source": "hashicorp/azurerm", "version": "~> 4.0"}
    yield _block("terraform", {}, _Block("required_providers", {"azurerm": azurerm, **azapi}))
    yield _block('provider "azurerm"', {}, _Block("features", {}))


def _needs_azapi(plan: Plan) -> bool:
    return plan.destination == "gallery" and bool(plan.data_disks) and not plan.from_image


def _disk(plan: Plan, disk: Disk) -> dict[str, _Node]:
    system: dict[str, _Node] = {"os_type": plan.os_type, "hyper_v_generation": plan.hyper_v_generation} if disk.role == "os" else {}
    return {
        "name": disk.name,
        **_PLACE,
        "storage_account_type": _STORAGE,
        "create_option": "Upload",
        "upload_size_bytes": disk.size_bytes,
        **system,
    }


def _managed_image(plan: Plan) -> str:
    system: dict[str, _Node] = {
        "os_type": plan.os_type,
        "os_state": plan.os_state,
        "storage_type": _STORAGE,
        "managed_disk_id": _id(plan.os_disk),
    }
    data = [_Block("data_disk", {"lun": each.lun or 0, "storage_type": _STORAGE, "managed_disk_id": _id(each)}) for each in plan.data_disks]
    body: dict[str, _Node] = {"count": _Name(_WHEN), "name": plan.image, **_PLACE, "hyper_v_generation": plan.hyper_v_generation}
    return _block('resource "azurerm_image" "image"', body, _Block("os_disk", system), *data)


def _gallery(plan: Plan) -> Iterator[str]:
    name: dict[str, _Node] = {"name": plan.names.gallery, "resource_group_name": _Name("local.group")}
    if plan.community:
        about: dict[str, _Node] = {
            "publisher_uri": "PUBLISHER-URI",
            "publisher_email": "PUBLISHER-EMAIL",
            "eula": "EULA-URI",
            "prefix": "PREFIX",
        }
        sharing = _Block("sharing", {"permission": "Community"}, (_Block("community_gallery", about),))
        yield _block('resource "azurerm_shared_image_gallery" "gallery"', {**name, "location": _Name("local.location")}, sharing)
    else:
        yield _block('data "azurerm_shared_image_gallery" "gallery"', name)
    yield _definition(plan)
    if plan.from_image:
        yield _managed_image(plan)
        yield _version(plan, "managed_image_id", "azurerm_image.image[0].id")
    elif plan.data_disks:
        yield _version_of_disks(plan)
    else:
        yield _snapshot(plan)
        yield _version(plan, "os_disk_snapshot_id", "azurerm_snapshot.os[0].id")


def _definition(plan: Plan) -> str:
    names = plan.names
    body: dict[str, _Node] = {
        "name": plan.image,
        "gallery_name": _Name(f"{_source(plan)}.name"),
        **_PLACE,
        "os_type": plan.os_type,
        "specialized": plan.os_state == "Specialized",
        "hyper_v_generation": plan.hyper_v_generation,
        **({"architecture": plan.architecture} if plan.architecture else {}),
        **_features(plan),
    }
    identifier: dict[str, _Node] = {"publisher": names.publisher, "offer": names.offer, "sku": names.sku}
    return _block('resource "azurerm_shared_image" "definition"', body, _Block("identifier", identifier))


def _features(plan: Plan) -> dict[str, _Node]:
    found: dict[str, _Node] = {}
    if plan.security_type != "Standard":
        found[_SECURITY.get(plan.security_type, "trusted_launch_supported")] = True
    if "NVMe" in plan.disk_controllers:
        found["disk_controller_type_nvme_enabled"] = True
    if plan.accelerated_networking is not None:
        found["accelerated_network_support_enabled"] = plan.accelerated_networking
    if plan.hibernation is not None:
        found["hibernation_enabled"] = plan.hibernation
    return found


def _snapshot(plan: Plan) -> str:
    body: dict[str, _Node] = {
        "count": _Name(_WHEN),
        "name": plan.os_disk.name,
        **_PLACE,
        "create_option": "Copy",
        "source_resource_id": _id(plan.os_disk),
    }
    return _block('resource "azurerm_snapshot" "os"', body)


def _version(plan: Plan, kind: str, source: str) -> str:
    body: dict[str, _Node] = {
        "count": _Name(_WHEN),
        "name": plan.version,
        "gallery_name": _Name(f"{_source(plan)}.name"),
        "image_name": _Name("azurerm_shared_image.definition.name"),
        **_PLACE,
        kind: _Name(source),
        **({"replication_mode": "Shallow"} if plan.shallow else {}),
    }
    region: dict[str, _Node] = {"name": _Name("local.location"), "regional_replica_count": 1}
    return _block('resource "azurerm_shared_image_version" "version"', body, _Block("target_region", region))


def _version_of_disks(plan: Plan) -> str:
    data: list[_Node] = [{"lun": each.lun or 0, "source": {"id": _id(each)}} for each in plan.data_disks]
    mode: dict[str, _Node] = {"replicationMode": "Shallow"} if plan.shallow else {}
    properties: dict[str, _Node] = {
        "publishingProfile": {"targetRegions": [{"name": _Name("local.location")}], **mode},
        "storageProfile": {"osDiskImage": {"source": {"id": _id(plan.os_disk)}}, "dataDiskImages": data},
    }
    body: dict[str, _Node] = {
        "count": _Name(_WHEN),
        "type": _VERSIONS,
        "name": plan.version,
        "parent_id": _Name("azurerm_shared_image.definition.id"),
        "location": _Name("local.location"),
        "body": {"properties": properties},
    }
    return _block('resource "azapi_resource" "version"', body)


def _source(plan: Plan) -> str:
    return f"{'' if plan.community else 'data.'}azurerm_shared_image_gallery.gallery"


def _symbol(disk: Disk) -> str:
    return "os" if disk.role == "os" else f"data{disk.lun}"


def _id(disk: Disk) -> _Name:
    return _Name(f"azurerm_managed_disk.{_symbol(disk)}.id")


def _block(head: str, body: dict[str, _Node], *nested: _Block, indent: str = "") -> str:
    inner = indent + "  "
    blocks = [inner + _block(each.name, each.body, *each.nested, indent=inner) + "\n" for each in nested]
    inside = _attributes(body, inner) + "".join(blocks)
    return f"{head} {{\n{inside}{indent}}}" if inside else f"{head} {{}}"


def _attributes(body: dict[str, _Node], indent: str) -> str:
    """As ``terraform fmt`` has it: the equals signs of values of one line stand under each other, up to a value of several."""
    written = [(name, _written(each, indent)) for name, each in body.items()]
    lines: list[str] = []
    for several, run in groupby(written, lambda pair: "\n" in pair[1]):
        pairs = list(run)
        width = 0 if several else max(len(name) for name, _ in pairs)
        lines += [f"{indent}{name.ljust(width)} = {value}\n" for name, value in pairs]
    return "".join(lines)


def _written(node: _Node, indent: str) -> str:
    """A value, with what it holds one step further in."""
    inner = indent + "  "
    if isinstance(node, dict):
        return "{\n" + _attributes(node, inner) + indent + "}"
    if isinstance(node, list):
        return "[\n" + "".join(f"{inner}{_written(each, inner)},\n" for each in node) + indent + "]"
    if isinstance(node, _Name):
        return node.text
    return quoted(node) if isinstance(node, str) else str(node).lower()
