"""Wire server and host plugin: routes, and reports that are broken or hostile."""

from __future__ import annotations

import base64
import json
import time

import pytest

from tests.rehearse.recorded import status_blob
from tests.rehearse.talk import ask, closing, platform
from vhdprep.rehearsal import Milestone
from vhdprep.rehearse.journal import MAX_WORDS
from vhdprep.rehearse.platform import reports
from vhdprep.rehearse.platform.reports import UNREADABLE, Report, Status, carried_status, health, status


def send(server, line, *headers, body=b"", emulated=None):
    return ask(emulated or platform(), server, closing(line, *headers, body=body))[0].removeprefix("HTTP/1.1 ")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /?comp=versions", "200 OK"),
        ("GET /machine?comp=goalstate", "200 OK"),
        ("GET /machine/?comp=goalstate", "200 OK"),
        ("GET /machine/anything/else?comp=config&type=sharedConfig", "200 OK"),
        ("GET /machine/?comp=certificates", "404 Not Found"),
        ("GET /machine/?comp=health", "404 Not Found"),
        ("GET /machine/?comp=config&type=fullConfig", "404 Not Found"),
        ("GET /machine/?comp=config", "404 Not Found"),
        ("GET /machine/", "404 Not Found"),
        ("POST /machine/?comp=goalstate", "404 Not Found"),
        ("GET /machinery?comp=goalstate", "404 Not Found"),
        ("GET /statusblob", "404 Not Found"),
        ("GET /vmAgentLog", "404 Not Found"),
        ("OPTIONS *", "404 Not Found"),
        ("GET /../../etc/passwd", "404 Not Found"),
        ("POST /HealthService", "200 OK"),
    ],
)
def test_the_wire_server_knows_its_resources_and_nothing_else(line, status):
    assert send("wire", line) == status


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /versions", "200 OK"),
        ("GET /health", "200 OK"),
        ("PUT /vmAgentLog", "200 OK"),
        ("GET /vmSettings", "404 Not Found"),
        ("GET /extensionArtifact", "404 Not Found"),
        ("PUT /health", "404 Not Found"),
        ("GET /machine?comp=goalstate", "404 Not Found"),
    ],
)
def test_the_host_plugin_knows_its_resources_and_nothing_else(line, status):
    assert send("hostplugin", line) == status


def test_ready_by_another_agent_is_not_the_agents():
    for agent, milestones in (
        ("Cloud-Init/26.2", {Milestone.READY}),
        ("WALinuxAgent/2.15.0.1", {Milestone.READY, Milestone.AGENT}),
        ("Not WALinuxAgent", {Milestone.READY}),
    ):
        emulated = platform()
        headers = (f"User-Agent: {agent}", "x-ms-agent-name: WALinuxAgent")
        assert send("wire", "POST /machine?comp=health", *headers, body=b"<Health><State>Ready</State></Health>", emulated=emulated) == "200 OK"
        assert set(emulated.journal.reached) == milestones


def test_an_agent_that_calls_itself_so_by_another_header_only_is_not_the_agent():
    emulated = platform()
    send("wire", "POST /machine?comp=health", "x-ms-agent-name: WALinuxAgent", body=b"<Health><State>Ready</State></Health>", emulated=emulated)
    assert set(emulated.journal.reached) == {Milestone.READY}


def test_a_report_that_cannot_be_read_is_noted_as_such_with_its_beginning():
    emulated = platform()
    body = b"<Health><State>Rea" + b"x" * 5000
    assert send("wire", "POST /machine?comp=health", "User-Agent: a", body=body, emulated=emulated) == "400 Bad Request"
    assert [each[1:] for each in emulated.journal.health] == [("a", UNREADABLE, "", body.decode()[:MAX_WORDS])]
    assert emulated.journal.reached == {}


@pytest.mark.parametrize(
    ("body", "report"),
    [
        (b"<Health><State>Ready</State></Health>", Report("Ready")),
        (b'\xef\xbb\xbf<Health a="b">\r\n<State x="y" >\n Ready\n</State >\n</Health>\r\n', Report("Ready")),
        (
            b"<Health><State>NotReady</State><SubStatus>a&amp;lt;b</SubStatus><Description>&#x41;&#66;&quot;&apos;&unknown;&#xD800;&#9999999;</Description></Health>",
            Report("NotReady", "a&lt;b", "AB\"'&unknown;\ufffd\ufffd"),
        ),
        (b"<Health><State>NotReady</State><Description>" + b"x" * 16384 + b"</Description></Health>", Report("NotReady", "", "x" * 16384)),
        (b"<Health><State>NotReady</State><Description>" + b"x" * 16385 + b"</Description></Health>", Report("NotReady")),
        (b"<Health><State>NotReady</State><Description>\xff\x00</Description></Health>", Report("NotReady", "", "\ufffd\x00")),
        (b'{"state":"Ready"}', Report("Ready")),
        (b'{"state":"NotReady","details":{"subStatus":"Provisioning","description":"d"}}', Report("NotReady", "Provisioning", "d")),
        (b'{"state":"Ready","details":[1]}', Report("Ready")),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_health_report_is_read(body, report):
    assert health(body) == report


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00" * 100,
        b"<Health></Health>",
        b"<Health><State>Ready</State>",  # broken off
        b"<Health><State>Maybe</State></Health>",
        b"<Health><State>Ready</Health>",
        b"<Health><State/></Health>",
        b"<Health><!--<State>Ready--></State></Health>",
        b'<!DOCTYPE a [<!ENTITY r "Ready">]><Health><State>&r;</State></Health>',
        b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Health><State>&b;</State></Health>',
        "<Health><State>Ready</State></Health>".encode("utf-16"),
        b"<Health>" + b"<State>" * 9000 + b"</Health>",
        b"<Health><State>Ready</State></Health>" + b" " * reports.MAX_HEALTH,
        b"<State>Ready</State>" + b" " * reports.MAX_HEALTH + b"</Health>",
        b'{"state":"Ready"',
        b'{"state":1}',
        b'{"state":["Ready"]}',
        b'{"a":' * 100_000,
        b"[" * 60_000,
        b'{"state":' + b"9" * 6000 + b"}",
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_health_report_that_is_none_is_unreadable(body):
    assert health(body).state == UNREADABLE


def test_reports_made_to_take_long_take_no_longer_than_others():
    begin = time.process_time()
    for start in (b"<State>", b"<State ", b"<State x", b"&#1", b"<", b"</State>"):
        health((start * reports.MAX_HEALTH)[: reports.MAX_HEALTH - 9] + b"</Health>")
    assert time.process_time() - begin < 2


def carried(content):
    return json.dumps({"requestUri": "x", "headers": [], "content": content}).encode()


def test_a_status_is_read_as_it_comes_padded_or_not():
    expected = Status("Ready", "2.15.0.1", "Guest Agent is running")
    for blob in (status_blob("2.15.0.1"), status_blob("2.15.0.1") + bytes(80), status_blob("2.15.0.1") + b" " * 80):
        assert status(blob) == expected
        assert carried_status(carried(base64.b64encode(blob).decode())) == expected


@pytest.mark.parametrize(
    ("body", "answered", "statuses"),
    [
        (b"", "400 Bad Request", [UNREADABLE]),
        (b"\x00\xff", "400 Bad Request", [UNREADABLE]),
        (b"[1]", "400 Bad Request", [UNREADABLE]),
        (b"[" * 200_000, "400 Bad Request", [UNREADABLE]),
        (carried("no base64!"), "400 Bad Request", [UNREADABLE]),
        (carried("\u00e9"), "400 Bad Request", [UNREADABLE]),
        (carried(None), "400 Bad Request", [UNREADABLE]),
        (carried("AAAA"), "400 Bad Request", [UNREADABLE]),
        (carried(base64.b64encode(b'{"aggregateStatus":[]}').decode()), "400 Bad Request", [UNREADABLE]),
        (carried(base64.b64encode(b'{"aggregateStatus":{"guestAgentStatus":{"status":1}}}').decode()), "400 Bad Request", [UNREADABLE]),
        (carried(base64.b64encode(b" " * reports.MAX_STATUS + status_blob("1")).decode()), "400 Bad Request", [UNREADABLE]),
        (b" " * (2 * reports.MAX_STATUS) + carried(base64.b64encode(status_blob("1")).decode()), "400 Bad Request", [UNREADABLE]),
        (carried(base64.b64encode(status_blob("1", status="NotReady")).decode()), "200 OK", ["NotReady"]),
        (b'{"requestUri": "x", "headers": []}', "200 OK", []),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_status_that_is_not_ready_is_noted_and_no_milestone(body, answered, statuses):
    emulated = platform()
    assert send("hostplugin", "PUT /status", body=body, emulated=emulated) == answered
    assert [text for _, text in emulated.journal.statuses] == statuses
    assert emulated.journal.reached == {}
