"""The instance metadata service, http://169.254.169.254/metadata, as Azure documents it and as agents ask for it.

Fields, the versions in which they came, routes, formats and errors are those of Microsoft's page "Azure Instance Metadata Service for virtual
machines". Asked for by cloud-init (``instance`` with 2021-08-01 and extended, after a 400 with 2019-06-01: sources/azure/imds.py), WALinuxAgent
(2018-02-01: common/protocol/imds.py), azure-init (2023-11-15 and extended; 2021-02-01 before: libazureinit/src/imds.rs), and leaf by leaf as text
by Afterburn (2017-08-01, 2021-02-01: providers/microsoft/azure/mod.rs).
"""

from __future__ import annotations

import ipaddress
import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from vhdprep.rehearse.identity import GUEST, NETMASK
from vhdprep.rehearse.platform.http import Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vhdprep.rehearse.identity import Identity

_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
_GROUP = f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/rehearsal/providers/Microsoft.Compute"

_VERSIONS = (
    *("2017-03-01", "2017-04-02", "2017-08-01", "2017-10-01", "2017-12-01", "2018-02-01", "2018-04-02", "2018-10-01"),
    *("2019-02-01", "2019-03-11", "2019-04-30", "2019-06-01", "2019-06-04", "2019-08-01", "2019-08-15", "2019-11-01"),
    *("2020-06-01", "2020-07-15", "2020-09-01", "2020-10-01", "2020-12-01", "2021-01-01", "2021-02-01", "2021-03-01"),
    *("2021-05-01", "2021-08-01", "2021-10-01", "2021-11-01", "2021-11-15", "2021-12-13", "2023-07-01", "2023-11-15"),
)

_SINCE = {
    "azEnvironment": "2018-10-01",
    "customData": "2019-02-01",
    "evictionPolicy": "2020-12-01",
    "extendedLocation": "2021-03-01",
    "isHostCompatibilityLayerVm": "2020-06-01",
    "licenseType": "2020-09-01",
    "osProfile": "2020-07-15",
    "placementGroupId": "2017-08-01",
    "plan": "2018-04-02",
    "platformSubFaultDomain": "2021-10-01",
    "priority": "2020-12-01",
    "provider": "2018-10-01",
    "publicKeys": "2018-04-02",
    "resourceGroupName": "2017-08-01",
    "resourceId": "2019-03-11",
    "securityProfile": "2020-06-01",
    "storageProfile": "2019-06-01",
    "subscriptionId": "2017-08-01",
    "tags": "2017-08-01",
    "tagsList": "2019-06-04",
    "userData": "2021-01-01",
    "virtualMachineScaleSet": "2021-03-01",
    "vmScaleSetName": "2017-12-01",
    "zone": "2017-12-01",
}
"""Field of ``compute`` → the version that brought it; the others were there from the first. An old client sees what it would see on Azure."""


def answer(request: Request, identity: Identity) -> Response:
    """The response to a request for metadata."""
    if request.headers.get("metadata", "").lower() != "true" or "x-forwarded-for" in request.headers:
        return _error(HTTPStatus.BAD_REQUEST, "Bad request. Required metadata header not specified")
    if request.method != "GET":
        return _error(HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed")
    steps = request.path.strip("/").split("/")[1:]
    category = steps[0].lower() if steps else ""
    if category == "versions":
        return _json({"apiVersions": _VERSIONS})
    parameters = dict(request.query)
    if len(parameters) != len(request.query):
        return _error(HTTPStatus.BAD_REQUEST, "Bad request. A query parameter was specified more than once")
    version = parameters.get("api-version", "")
    if not _known(version):
        fault = "is invalid or is not supported" if version else "was not specified in the request"
        newest = {"newest-versions": _VERSIONS[:-4:-1]}
        return _error(HTTPStatus.BAD_REQUEST, f"Bad request. api-version {fault}. For more information refer to aka.ms/azureimds", newest)
    if category == "identity":
        return _error(HTTPStatus.BAD_REQUEST, "invalid_request", {"error_description": "Identity not found"})
    if category == "scheduledevents":
        return _json({"DocumentIncarnation": 1, "Events": []})
    if category == "instance":
        return _route(
            _instance(identity, version, parameters.get("extended", "").lower() == "true"), steps[1:], parameters.get("format", "json").lower()
        )
    return _error(HTTPStatus.NOT_FOUND, "Not found")


def _known(version: str) -> bool:
    """Whether it is a date between the first version and the newest known one: agents use versions that no list names, and Azure takes them."""
    return bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", version)) and _VERSIONS[0] <= version <= _VERSIONS[-1]


def _instance(identity: Identity, version: str, extended: bool) -> dict[str, Any]:
    compute = {field: value for field, value in _compute(identity).items() if _SINCE.get(field, "") <= version}
    document: dict[str, Any] = {"compute": compute, "network": _network(identity)}
    if extended and version >= "2021-03-01":
        document["extended"] = {"compute": {"hasCustomData": True, "ppsType": "None"}}
    return document


def _compute(identity: Identity) -> dict[str, Any]:
    """A machine made of somebody's own image: publisher, offer, sku and version are empty (WALinuxAgent, imds.py: IMDS_IMAGE_ORIGIN_CUSTOM)."""
    return {
        "azEnvironment": "AzurePublicCloud",
        "customData": "",
        "evictionPolicy": "",
        "extendedLocation": {"name": "", "type": ""},
        "isHostCompatibilityLayerVm": "true",
        "licenseType": "",
        "location": "westeurope",
        "name": identity.host,
        "offer": "",
        "osProfile": {"adminUsername": identity.user, "computerName": identity.host, "disablePasswordAuthentication": "true"},
        "osType": "Linux",
        "placementGroupId": "",
        "plan": {"name": "", "product": "", "publisher": ""},
        "platformFaultDomain": "0",
        "platformSubFaultDomain": "",
        "platformUpdateDomain": "0",
        "priority": "",
        "provider": "Microsoft.Compute",
        "publicKeys": [{"keyData": identity.public_key, "path": f"/home/{identity.user}/.ssh/authorized_keys"}],
        "publisher": "",
        "resourceGroupName": "rehearsal",
        "resourceId": f"{_GROUP}/virtualMachines/{identity.host}",
        "securityProfile": {"secureBootEnabled": "false", "virtualTpmEnabled": "false"},
        "sku": "",
        "storageProfile": _storage(),
        "subscriptionId": _SUBSCRIPTION,
        "tags": "",
        "tagsList": [],
        "userData": "",
        "version": "",
        "virtualMachineScaleSet": {"id": ""},
        "vmId": identity.vm_id,
        "vmScaleSetName": "",
        "vmSize": "Standard_D2s_v5",
        "zone": "",
    }


def _storage() -> dict[str, Any]:
    return {
        "dataDisks": [],
        "imageReference": {"id": f"{_GROUP}/images/rehearsal", "offer": "", "publisher": "", "sku": "", "version": ""},
        "osDisk": {
            "caching": "ReadWrite",
            "createOption": "FromImage",
            "diffDiskSettings": {"option": ""},
            "diskSizeGB": "30",
            "encryptionSettings": {"enabled": "false"},
            "image": {"uri": ""},
            "managedDisk": {"id": f"{_GROUP}/disks/rehearsal", "storageAccountType": "Premium_LRS"},
            "name": "rehearsal",
            "osType": "Linux",
            "vhd": {"uri": ""},
            "writeAcceleratorEnabled": "false",
        },
        "resourceDisk": {"size": "0"},
    }


def _network(identity: Identity) -> dict[str, Any]:
    subnet = ipaddress.ip_network(f"{GUEST}/{NETMASK}", strict=False)
    ipv4 = {
        "ipAddress": [{"privateIpAddress": GUEST, "publicIpAddress": ""}],
        "subnet": [{"address": str(subnet.network_address), "prefix": str(subnet.prefixlen)}],
    }
    # the MAC must be the network card's, else cloud-init reports missing network metadata
    return {"interface": [{"ipv4": ipv4, "ipv6": {"ipAddress": []}, "macAddress": identity.mac.replace(":", "").upper()}]}


def _route(document: Any, steps: Iterable[str], form: str) -> Response:
    """The part of the document that the steps lead to: a document as JSON, a leaf as text only."""
    for step in steps:
        try:
            document = document[_place(step) if isinstance(document, list) else step]
        except (KeyError, IndexError, TypeError, ValueError):
            return _error(HTTPStatus.NOT_FOUND, "Not found")
    leaf = not isinstance(document, dict | list)
    if form == "text":
        return Response(body=(str(document) if leaf else _names(document)).encode())
    if form != "json" or leaf:
        return _error(HTTPStatus.BAD_REQUEST, "Bad request. The requested resource is not available in this format")
    return _json(document)


def _place(step: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", step, re.ASCII):
        raise ValueError(step)
    return int(step)


def _names(document: dict[str, Any] | list[Any]) -> str:
    """What lies below, one a line, what has something below itself with a slash."""
    parts = document.items() if isinstance(document, dict) else enumerate(document)
    return "\n".join(f"{name}/" if isinstance(value, dict | list) else str(name) for name, value in parts)


def _json(document: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(status, json.dumps(document, separators=(",", ":")).encode(), "application/json; charset=utf-8")


def _error(status: HTTPStatus, error: str, more: dict[str, Any] | None = None) -> Response:
    return _json({"error": error, **(more or {})}, status)
