"""Recorded requests of real clients, sent again: whole responses, what the clients look up in them, and what was noted."""

from __future__ import annotations

import json
from xml.dom import minidom
from xml.etree import ElementTree

import pytest

from tests.rehearse import recorded
from tests.rehearse.talk import IDENTITY, ask, platform
from vhdprep.rehearsal import Milestone
from vhdprep.rehearse.journal import Call, Health

OK = "HTTP/1.1 200 OK"
XML = '<?xml version="1.0" encoding="utf-8"?>\n'
MACHINE = f"http://168.63.129.16:80/machine/{IDENTITY.container_id}/{IDENTITY.role_instance}"
EMPTY = (OK, ["Content-Type: text/plain; charset=utf-8", "Content-Length: 0", "Connection: close"], "")


def texts(milestones):
    return {milestone: reached.text for milestone, reached in milestones.items()}


def child(document, *path):
    """The text that cloud-init finds by path (``GoalState._text_from_xpath``)."""
    return ElementTree.fromstring(document).findtext("./" + "/".join(path))


@pytest.mark.parametrize(("version", "newest"), [("22.4.2", False), ("26.2", True)])
def test_cloud_init_provisions(version, newest):
    emulated = platform()
    metadata, goal_state, health = (ask(emulated, *each) for each in recorded.cloud_init(version, newest=newest))

    document = json.loads(metadata[2])
    assert metadata[:2] == (OK, ["Content-Type: application/json; charset=utf-8", f"Content-Length: {len(metadata[2])}", "Connection: keep-alive"])
    assert document["compute"]["osProfile"] == {"adminUsername": "rehearsal1", "computerName": "rehearsal-1", "disablePasswordAuthentication": "true"}
    assert document["compute"]["publicKeys"] == [{"keyData": IDENTITY.public_key, "path": "/home/rehearsal1/.ssh/authorized_keys"}]
    assert document["compute"]["userData"] == ""
    assert document["extended"] == {"compute": {"hasCustomData": True, "ppsType": "None"}}
    assert document["network"] == {
        "interface": [
            {
                "ipv4": {
                    "ipAddress": [{"privateIpAddress": "10.0.0.4", "publicIpAddress": ""}],
                    "subnet": [{"address": "10.0.0.0", "prefix": "24"}],
                },
                "ipv6": {"ipAddress": []},
                "macAddress": "000D3A112233",
            }
        ]
    }

    instance = ("Container", "RoleInstanceList", "RoleInstance")
    assert goal_state[0] == OK
    assert child(goal_state[2], "Container", "ContainerId") == IDENTITY.container_id
    assert child(goal_state[2], *instance, "InstanceId") == IDENTITY.role_instance
    assert child(goal_state[2], "Incarnation") == "1"
    assert child(goal_state[2], *instance, "Configuration", "Certificates") is None

    assert health == (OK, ["Content-Type: text/plain; charset=utf-8", "Content-Length: 0", "Connection: keep-alive"], "")
    agent = f"Cloud-Init/{version}"
    journal = emulated.journal
    assert journal.calls == [
        Call(0.0, "metadata", "GET", "/metadata/instance?api-version=2021-08-01&extended=true", agent, 200),
        Call(0.0, "wire", "GET", "/machine/?comp=goalstate", agent, 200),
        Call(0.0, "wire", "POST", "/machine?comp=health", agent, 200),
    ]
    assert journal.health == [Health(0.0, agent, "Ready", "", "")]
    assert texts(journal.reached) == {Milestone.METADATA: agent, Milestone.GOAL_STATE: agent, Milestone.READY: agent}
    assert (journal.statuses, journal.tried) == ([], {})


def test_cloud_init_fails_in_its_own_words():
    emulated = platform()
    for each in recorded.cloud_init("26.2", state="NotReady"):
        ask(emulated, *each)
    assert emulated.journal.health == [
        Health(0.0, "Cloud-Init/26.2", "NotReady", "ProvisioningFailed", "result=error|reason=a & b <c>|agent=Cloud-Init")
    ]
    assert texts(emulated.journal.reached) == {Milestone.METADATA: "Cloud-Init/26.2", Milestone.GOAL_STATE: "Cloud-Init/26.2"}


def test_without_metadata_its_server_answers_404_and_it_is_noted_that_it_was_asked():
    emulated = platform(without=frozenset({"imds"}))
    [metadata, *_] = recorded.cloud_init("22.4.2")
    assert ask(emulated, *metadata)[0] == "HTTP/1.1 404 Not Found"
    assert texts(emulated.journal.reached) == {Milestone.METADATA: "Cloud-Init/22.4.2"}


def found(document, tag):
    """The text that WALinuxAgent finds by name, anywhere (``textutil.findtext``)."""
    return "".join(node.data for element in document.getElementsByTagName(tag)[:1] for node in element.childNodes)


@pytest.mark.parametrize(("version", "newest"), [("2.7.3.0", False), ("2.15.0.1", True)])
def test_waagent_comes_up(version, newest):
    emulated = platform()
    requests = recorded.waagent(version, newest=newest)
    answers = {name: ask(emulated, *each) for name, each in requests.items()}
    documents = {
        name: minidom.parseString(answers[name][2])
        for name in ("versions", "goal state", "hostingEnvironmentConfig", "sharedConfig", "extensionsConfig")
    }

    assert [found(each, "Version") for each in documents["versions"].getElementsByTagName("Preferred")] == ["2015-04-05"]
    assert "2012-11-30" in [each.firstChild.data for each in documents["versions"].getElementsByTagName("Version")]
    assert answers["goal state"] == (
        OK,
        ["Content-Type: text/xml; charset=utf-8", f"Content-Length: {len(answers['goal state'][2])}", "Connection: close"],
        XML + "<GoalState><Version>2012-11-30</Version><Incarnation>1</Incarnation><Machine><ExpectedState>Started</ExpectedState>"
        "<StopRolesDeadlineHint>300000</StopRolesDeadlineHint><LBProbePorts><Port>16001</Port></LBProbePorts>"
        "<ExpectHealthReport>FALSE</ExpectHealthReport></Machine><Container>"
        f"<ContainerId>{IDENTITY.container_id}</ContainerId><RoleInstanceList><RoleInstance><InstanceId>_rehearsal-1</InstanceId>"
        "<State>Started</State><Configuration>"
        f"<HostingEnvironmentConfig>{MACHINE}?comp=config&amp;type=hostingEnvironmentConfig&amp;incarnation=1</HostingEnvironmentConfig>"
        f"<SharedConfig>{MACHINE}?comp=config&amp;type=sharedConfig&amp;incarnation=1</SharedConfig>"
        f"<ExtensionsConfig>{MACHINE}?comp=config&amp;type=extensionsConfig&amp;incarnation=1</ExtensionsConfig>"
        "<ConfigName>rehearsal.1.rehearsal.1._rehearsal-1.1.xml</ConfigName></Configuration></RoleInstance></RoleInstanceList></Container></GoalState>",
    )
    hosting = documents["hostingEnvironmentConfig"]
    assert hosting.getElementsByTagName("Incarnation")[0].getAttribute("instance") == "_rehearsal-1"
    assert hosting.getElementsByTagName("Role")[0].getAttribute("name") == "rehearsal-1"
    assert hosting.getElementsByTagName("Deployment")[0].getAttribute("name") == "rehearsal"
    extensions = documents["extensionsConfig"]
    assert (found(extensions, "StatusUploadBlob"), found(extensions, "GAFamilies"), found(extensions, "Plugins")) == (
        "http://168.63.129.16:80/statusblob",
        "",
        "",
    )
    assert extensions.getElementsByTagName("StatusUploadBlob")[0].getAttribute("statusBlobType") == "BlockBlob"
    assert extensions.getElementsByTagName("InVMGoalStateMetaData")[0].getAttribute("createdOnTicks").isdigit()

    assert answers["vmSettings"][0] == "HTTP/1.1 404 Not Found"
    assert answers["roleProperties"][0] == "HTTP/1.1 202 Accepted"  # the agent takes no other
    assert answers["plugin versions"][2] == '["2015-09-01"]'
    others = ("NotReady", "Ready", "observed versions", "status", "plugin health", "logs", "telemetry")
    assert [answers[name] for name in others] == [EMPTY] * len(others)
    # what the agent's health check of the metadata service demands: imds.py, validate
    interface = json.loads(answers["instance"][2])["network"]["interface"][0]
    assert all(interface[field] for field in ("macAddress", "ipv4"))
    assert interface["ipv4"]["ipAddress"][0]["privateIpAddress"]
    compute = json.loads(answers["compute"][2])
    assert (compute["vmId"], compute["osType"], compute["publisher"]) == (IDENTITY.vm_id, "Linux", "")

    agent, journal = f"WALinuxAgent/{version}", emulated.journal
    assert [(call.server, call.status) for call in journal.calls if call.status != 200] == [("host plugin", 404), ("wire", 202)]
    assert len(journal.calls) == len(requests)
    assert {call.agent for call in journal.calls} == {agent, f"{agent}+health"}
    assert journal.health == [Health(0.0, agent, "NotReady", "Provisioning", "Starting <a&b>"), Health(0.0, agent, "Ready", "", "")]
    assert journal.statuses == [(0.0, "Ready")]
    assert texts(journal.reached) == {
        Milestone.GOAL_STATE: agent,
        Milestone.READY: agent,
        Milestone.AGENT: agent,
        Milestone.STATUS: f"{version} Guest Agent is running",
        Milestone.METADATA: agent,
    }
    assert journal.tried == {}


def test_waagent_puts_its_status_to_the_blob_itself():
    emulated = platform()
    answers = [ask(emulated, *each)[0] for each in recorded.direct_status("2.15.0.1")]
    assert answers == ["HTTP/1.1 201 Created"] * 3
    assert emulated.journal.statuses == [(0.0, "Ready"), (0.0, "Ready")]
    assert texts(emulated.journal.reached) == {Milestone.STATUS: "2.15.0.1 Guest Agent is running"}


# Clients of which only what is special is sent


def post(target, *headers, body):
    lines = (f"POST {target} HTTP/1.1", "host: 168.63.129.16", *headers, f"content-length: {len(body)}", "", "")
    return ("wire", "\r\n".join(lines).encode() + body)


def test_azure_init_reports_as_json():
    emulated = platform()
    headers = ("user-agent: azure-init v0.1.1", "x-ms-guest-agent-name: azure-init v0.1.1", "content-type: application/json")
    body = b'{"details":{"description":"result=error|agent=Azure-Init/0.1.1","subStatus":"ProvisioningFailed"},"state":"NotReady"}'
    assert ask(emulated, *post("/provisioning/health", *headers, body=body))[0] == OK
    assert ask(emulated, *post("/provisioning/health", *headers, body=b'{"state":"Ready"}'))[0] == OK
    agent = "azure-init v0.1.1"
    assert emulated.journal.health == [
        Health(0.0, agent, "NotReady", "ProvisioningFailed", "result=error|agent=Azure-Init/0.1.1"),
        Health(0.0, agent, "Ready", "", ""),
    ]
    assert texts(emulated.journal.reached) == {Milestone.READY: agent}


def test_afterburn_has_no_user_agent_and_finds_its_address_in_the_shared_configuration():
    emulated = platform()
    name = ("x-ms-agent-name: com.coreos.afterburn", "x-ms-version: 2012-11-30")
    lines = (f"GET {MACHINE.removeprefix('http://168.63.129.16:80')}?comp=config&type=sharedConfig&incarnation=1 HTTP/1.1", "host: 168.63.129.16:80")
    shared = ElementTree.fromstring(ask(emulated, "wire", "\r\n".join((*lines, *name, "", "")).encode())[2])
    [instance] = shared.findall("./Instances/Instance")
    assert instance.get("id") == shared.find("./Incarnation").get("instance")
    assert instance.get("address") == "10.0.0.4"
    assert instance.find("./InputEndpoints") is not None
    ready = b"<Health><Container><RoleInstanceList><Role><Health>\n<State>Ready</State>\n</Health></Role></RoleInstanceList></Container></Health>\n"
    assert ask(emulated, *post("/machine/?comp=health", *name, "content-type: text/xml; charset=utf-8", body=ready))[0] == OK
    assert texts(emulated.journal.reached) == {Milestone.READY: "com.coreos.afterburn"}


def test_cloudbase_init_asks_with_a_capital_letter():
    assert "<Version>2015-04-05</Version>" in ask(platform(), "wire", b"GET /?comp=Versions HTTP/1.1\r\nHost: 168.63.129.16\r\n\r\n")[2]
    assert (
        "<ExpectedState>Started</ExpectedState>" in ask(platform(), "wire", b"GET /machine?comp=goalstate HTTP/1.1\r\nHost: 168.63.129.16\r\n\r\n")[2]
    )
