"""The metadata service by Microsoft's documentation: versions, formats, routes, errors."""

from __future__ import annotations

import json

import pytest

from tests.rehearse.talk import IDENTITY, ask, closing, platform
from vhdprep.rehearsal import Milestone
from vhdprep.rehearse.platform import imds

JSON = "application/json; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


def get(target, *headers, method="GET", emulated=None):
    """(status, content type, body)"""
    status, lines, body = ask(emulated or platform(), "metadata", closing(f"{method} {target}", *(headers or ("Metadata: true",))))
    return int(status.split()[1]), lines[0].removeprefix("Content-Type: "), body


def compute(version):
    return json.loads(get(f"/metadata/instance/compute?api-version={version}")[2])


def test_the_whole_document_of_the_newest_version():
    group = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rehearsal/providers/Microsoft.Compute"
    assert json.loads(get("/metadata/instance?api-version=2023-11-15&format=json")[2]) == {
        "compute": {
            "azEnvironment": "AzurePublicCloud",
            "customData": "",
            "evictionPolicy": "",
            "extendedLocation": {"name": "", "type": ""},
            "isHostCompatibilityLayerVm": "true",
            "licenseType": "",
            "location": "westeurope",
            "name": "rehearsal-1",
            "offer": "",
            "osProfile": {"adminUsername": "rehearsal1", "computerName": "rehearsal-1", "disablePasswordAuthentication": "true"},
            "osType": "Linux",
            "placementGroupId": "",
            "plan": {"name": "", "product": "", "publisher": ""},
            "platformFaultDomain": "0",
            "platformSubFaultDomain": "",
            "platformUpdateDomain": "0",
            "priority": "",
            "provider": "Microsoft.Compute",
            "publicKeys": [{"keyData": "ssh-rsa AAAAB3NzaC1yc2E=", "path": "/home/rehearsal1/.ssh/authorized_keys"}],
            "publisher": "",
            "resourceGroupName": "rehearsal",
            "resourceId": f"{group}/virtualMachines/rehearsal-1",
            "securityProfile": {"secureBootEnabled": "false", "virtualTpmEnabled": "false"},
            "sku": "",
            "storageProfile": {
                "dataDisks": [],
                "imageReference": {"id": f"{group}/images/rehearsal", "offer": "", "publisher": "", "sku": "", "version": ""},
                "osDisk": {
                    "caching": "ReadWrite",
                    "createOption": "FromImage",
                    "diffDiskSettings": {"option": ""},
                    "diskSizeGB": "30",
                    "encryptionSettings": {"enabled": "false"},
                    "image": {"uri": ""},
                    "managedDisk": {"id": f"{group}/disks/rehearsal", "storageAccountType": "Premium_LRS"},
                    "name": "rehearsal",
                    "osType": "Linux",
                    "vhd": {"uri": ""},
                    "writeAcceleratorEnabled": "false",
                },
                "resourceDisk": {"size": "0"},
            },
            "subscriptionId": "00000000-0000-0000-0000-000000000000",
            "tags": "",
            "tagsList": [],
            "userData": "",
            "version": "",
            "virtualMachineScaleSet": {"id": ""},
            "vmId": IDENTITY.vm_id,
            "vmScaleSetName": "",
            "vmSize": "Standard_D2s_v5",
            "zone": "",
        },
        "network": json.loads(get("/metadata/instance/network?api-version=2023-11-15")[2]),
    }


def test_an_old_version_has_the_fields_of_its_day():
    first = {"location", "name", "offer", "osType", "platformFaultDomain", "platformUpdateDomain", "publisher", "sku", "version", "vmId", "vmSize"}
    assert set(compute("2017-04-02")) == first
    assert set(compute("2018-02-01")) == first | {"placementGroupId", "resourceGroupName", "subscriptionId", "tags", "vmScaleSetName", "zone"}
    assert ("publicKeys" in compute("2018-04-02"), "osProfile" in compute("2019-06-01"), "osProfile" in compute("2020-07-15")) == (True, False, True)


@pytest.mark.parametrize(("version", "extended"), [("2021-03-01", True), ("2021-02-01", False)])
def test_extended_metadata_came_with_a_version_and_must_be_asked_for(version, extended):
    assert ("extended" in json.loads(get(f"/metadata/instance?api-version={version}&extended=true")[2])) is extended
    assert "extended" not in json.loads(get(f"/metadata/instance?api-version={version}")[2])


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("compute/name", "rehearsal-1"),
        ("compute/vmSize", "Standard_D2s_v5"),
        ("compute/vmId/", IDENTITY.vm_id),
        ("compute/osProfile/adminUsername", "rehearsal1"),
        ("compute/userData", ""),
        ("network/interface/0/macAddress", "000D3A112233"),
        ("network/interface/0/ipv4/ipAddress/0/privateIpAddress", "10.0.0.4"),
        ("", "compute/\nnetwork/"),
        ("network/interface", "0/"),
        ("compute/osProfile", "adminUsername\ncomputerName\ndisablePasswordAuthentication"),
    ],
)
def test_a_leaf_is_told_as_text_and_what_is_none_by_its_names(route, body):
    assert get(f"/metadata/instance/{route}?api-version=2021-02-01&format=text") == (200, TEXT, body)


def test_a_part_is_told_as_json_and_a_leaf_is_not():
    assert get("/metadata/instance/compute/publicKeys?api-version=2021-02-01") == (
        200,
        JSON,
        '[{"keyData":"ssh-rsa AAAAB3NzaC1yc2E=","path":"/home/rehearsal1/.ssh/authorized_keys"}]',
    )
    assert get("/metadata/instance/network/interface/0/ipv4/subnet?api-version=2021-02-01")[2] == '[{"address":"10.0.0.0","prefix":"24"}]'
    assert get("/metadata/instance/compute/name?api-version=2021-02-01")[0] == 400
    assert get("/metadata/instance/compute/name?api-version=2021-02-01&format=json")[0] == 400
    assert get("/metadata/instance?api-version=2021-02-01&format=yaml")[0] == 400


@pytest.mark.parametrize(
    "route",
    [
        "compute/none",
        "compute/name/more",
        "none",
        "network/interface/1",
        "network/interface/-1",
        "network/interface/0_0",
        "network/interface/\xb2",
        "compute//name",
        "network/interface/" + "9" * 5000,
        "compute/" * 1000,
    ],
)
def test_what_is_not_there_is_not_found(route):
    raw = closing(f"GET /metadata/instance/{route}?api-version=2021-02-01&format=text", "Metadata: true")
    status = ask(platform(), "metadata", raw)[0]
    assert status == ("HTTP/1.1 400 Bad Request" if not route.isascii() else "HTTP/1.1 404 Not Found")


NEWEST = '"newest-versions":["2023-11-15","2023-07-01","2021-12-13"]}'


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("", "was not specified in the request"),
        ("?api-version=", "was not specified in the request"),
        ("?format=json", "was not specified in the request"),
        ("?api-version=2017-02-28", "is invalid or is not supported"),
        ("?api-version=2099-01-01", "is invalid or is not supported"),
        ("?api-version=latest", "is invalid or is not supported"),
        ("?api-version=2021-02-01x", "is invalid or is not supported"),
        ("?api-version=2021-02-01%0a", "is invalid or is not supported"),
        ("?api-version=%EF%BC%92021-02-01", "is invalid or is not supported"),
    ],
)
def test_without_a_known_version_the_newest_ones_are_named(query, fault):
    error = f'{{"error":"Bad request. api-version {fault}. For more information refer to aka.ms/azureimds",'
    assert get(f"/metadata/instance{query}") == (400, JSON, error + NEWEST)


@pytest.mark.parametrize("version", imds._VERSIONS)
def test_every_version_that_is_listed_is_answered(version):
    assert get(f"/metadata/instance?api-version={version}")[0] == 200
    assert version in json.loads(get("/metadata/versions")[2])["apiVersions"]


@pytest.mark.parametrize(
    "headers",
    [("X-A: 1",), ("Metadata: false",), ("Metadata:",), ("Metadata: true", "Metadata: true"), ("Metadata: true", "X-Forwarded-For: 1.2.3.4")],
)
def test_a_request_that_may_have_been_redirected_is_refused(headers):
    expected = (400, JSON, '{"error":"Bad request. Required metadata header not specified"}')
    assert get("/metadata/instance?api-version=2021-02-01", *headers) == expected
    assert get("/metadata/versions", *headers) == expected


def test_the_header_is_taken_in_any_case():
    assert get("/metadata/instance?api-version=2021-02-01", "METADATA: True")[0] == 200


def test_only_get_is_allowed_and_no_parameter_twice():
    assert get("/metadata/instance?api-version=2021-02-01", method="PUT")[0] == 405
    assert get("/metadata/instance?api-version=2021-02-01&api-version=2021-02-01")[0] == 400


def test_other_categories():
    assert get("/metadata/scheduledevents?api-version=2020-07-01") == (200, JSON, '{"DocumentIncarnation":1,"Events":[]}')
    token = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F"
    assert get(token) == (400, JSON, '{"error":"invalid_request","error_description":"Identity not found"}')
    for category in ("attested/document", "loadbalancer", "reprovisiondata", "none", ""):
        assert get(f"/metadata/{category}?api-version=2021-02-01") == (404, JSON, '{"error":"Not found"}')


@pytest.mark.parametrize(
    "path",
    [
        "/latest/meta-data/",
        "/2009-04-04/meta-data/instance-id",
        "/computeMetadata/v1/",
        "/metadata/v1.json",
        "/metadata/v1/id",
        "/openstack",
        "/",
    ],
)
def test_another_clouds_metadata_is_noted_as_tried_and_is_no_milestone(path):
    emulated = platform()
    assert get(f"{path}?a=b", emulated=emulated) == (404, TEXT, "")
    assert emulated.journal.tried == {f"metadata of another cloud: {path}": 1}
    assert emulated.journal.reached == {}
    assert [call.target for call in emulated.journal.calls] == [f"{path}?a=b"]


def test_the_first_request_is_the_milestone_even_if_it_is_refused():
    emulated = platform()
    assert get("/metadata/instance", "User-Agent: some/1", emulated=emulated)[0] == 400
    assert get("/metadata/instance?api-version=2021-02-01", "User-Agent: other/2", "Metadata: true", emulated=emulated)[0] == 200
    assert [(key, reached.text) for key, reached in emulated.journal.reached.items()] == [(Milestone.METADATA, "some/1")]
