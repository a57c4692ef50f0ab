"""What the real clients sent to this platform, as bytes: recorded on a socket from their own code, which ran with nothing else of a guest.

cloud-init 22.4.2 and its main branch after 26.2, WALinuxAgent 2.7.3.0 and 2.15.0.1. Made equal or filled in afterwards: dates, correlation ids, and
the version that an unbuilt cloud-init does not know. Shortened: the list of features in a status, the headers of a blob that is carried. The agent's
certificate is left out of the certificates request; the tests put their own there.
"""

from __future__ import annotations

import base64

from tests.rehearse.talk import IDENTITY

_MACHINE = f"/machine/{IDENTITY.container_id}/{IDENTITY.role_instance}"
_WIRE = "168.63.129.16"
_PLUGIN = "168.63.129.16:32526"
_METADATA = "169.254.169.254"
_HOST_CONFIG = (f"x-ms-containerid: {IDENTITY.container_id}", "x-ms-host-config-name: rehearsal.1.rehearsal.1._rehearsal-1.1.xml")


def _request(line, *headers, body=b""):
    return "\r\n".join((f"{line} HTTP/1.1", *headers, "", "")).encode() + body


def _cloud_init(version, line, host, *headers, body=b""):
    length = (f"Content-Length: {len(body)}",) if body else ()
    common = (f"User-Agent: Cloud-Init/{version}", "Accept-Encoding: gzip, deflate", "Accept: */*", "Connection: keep-alive")
    return _request(line, f"Host: {host}", *common, *headers, *length, body=body)


_CLOUD_INIT_HEALTH = """<?xml version="1.0" encoding="utf-8"?>
<Health xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xmlns:xsd="http://www.w3.org/2001/XMLSchema">
  <GoalStateIncarnation>1</GoalStateIncarnation>
  <Container>
    <ContainerId>{container}</ContainerId>
    <RoleInstanceList>
      <Role>
        <InstanceId>{instance}</InstanceId>
        <Health>
          <State>{state}</State>
          {details}
        </Health>
      </Role>
    </RoleInstanceList>
  </Container>
</Health>
"""
_FAILED = """<Details>
  <SubStatus>ProvisioningFailed</SubStatus>
  <Description>result=error|reason=a &amp; b &lt;c&gt;|agent=Cloud-Init</Description>
</Details>
"""


def cloud_init(version, *, state="Ready", newest=True):
    """(server, request) of a provisioning that ends with ``state``; the newest versions name each metadata request."""
    named = ("x-ms-client-request-id: 68a580a1-761b-4faf-851e-f6ba8df3ec98",) if newest else ()
    wire = ("x-ms-agent-name: WALinuxAgent", "x-ms-version: 2012-11-30")
    details = _FAILED if state == "NotReady" else ""
    health = _CLOUD_INIT_HEALTH.format(container=IDENTITY.container_id, instance=IDENTITY.role_instance, state=state, details=details).encode()
    metadata = "GET /metadata/instance?api-version=2021-08-01&extended=true"
    return [
        ("metadata", _cloud_init(version, metadata, _METADATA, "Metadata: true", *named)),
        ("wire", _cloud_init(version, "GET /machine/?comp=goalstate", _WIRE, *wire)),
        ("wire", _cloud_init(version, "POST /machine?comp=health", _WIRE, *wire, "Content-Type: text/xml; charset=utf-8", body=health)),
    ]


def waagent(version, *, newest=True):
    """Name → (server, request) of an agent's first minute."""
    agent = ("Connection: close", f"User-Agent: WALinuxAgent/{version}")
    wire = ("x-ms-agent-name: WALinuxAgent", "x-ms-version: 2012-11-30")
    xml = (*wire, "Content-Type: text/xml;charset=utf-8")

    def ask(line, host, *headers, body=None):
        length = (f"Content-Length: {len(body)}",) if body is not None else ()
        return _request(line, f"Host: {host}", "Accept-Encoding: identity", *length, *headers, *agent, body=body or b"")

    def metadata(line, suffix=""):
        headers = (f"User-Agent: WALinuxAgent/{version}{suffix}", "Metadata: True", "Connection: close")
        return _request(line, f"Host: {_METADATA}", "Accept-Encoding: identity", *headers)

    def config(kind):
        return ("wire", ask(f"GET {_MACHINE}?comp=config&type={kind}&incarnation=1", _WIRE, *wire))

    def observed(name):
        body = f'{{"Api": "reporttargethealth", "Version": "1.0", "Source": "WALinuxAgent", "Observations": [{{"ObservationName": "{name}", "IsHealthy": true, "Description": "", "Value": ""}}]}}'
        return ("wire", ask("POST /HealthService", _WIRE, "Content-Type: application/json", body=body.encode()))

    configs = {kind: config(kind) for kind in ("hostingEnvironmentConfig", "sharedConfig")}
    extensions = {"extensionsConfig": config("extensionsConfig")}
    settings = (*_HOST_CONFIG, "x-ms-client-correlationid: dcb7f195-91be-450c-b4e2-9bef930232f3")
    logs = (
        _HOST_CONFIG[0],
        "x-ms-vmagentlog-deploymentid: rehearsal",
        "x-ms-client-name: WALinuxAgent",
        f"x-ms-client-version: {version}",
        "x-ms-client-correlationid: f55330ae-ac26-4a43-99e2-5ee9b925cf06",
    )
    return {
        "versions": ("wire", ask("GET /?comp=versions", _WIRE)),
        "goal state": ("wire", ask("GET /machine/?comp=goalstate", _WIRE, *wire)),
        "vmSettings": ("hostplugin", ask("GET /vmSettings", _PLUGIN, "x-ms-version: 2015-09-01", *settings)),
        **({**extensions, **configs} if newest else {**configs, **extensions}),
        "NotReady": (
            "wire",
            ask("POST /machine?comp=health", _WIRE, *xml, body=_waagent_health("NotReady", "Provisioning", "Starting &lt;a&amp;b&gt;")),
        ),
        "Ready": ("wire", ask("POST /machine?comp=health", _WIRE, *xml, body=_waagent_health("Ready"))),
        "roleProperties": ("wire", ask("POST /machine?comp=roleProperties", _WIRE, *xml, body=_ROLE_PROPERTIES.encode())),
        "plugin versions": ("hostplugin", ask("GET /versions", _PLUGIN, _HOST_CONFIG[0])),
        "observed versions": observed("GuestAgentPluginVersions"),
        "status": (
            "hostplugin",
            ask("PUT /status", _PLUGIN, "x-ms-version: 2015-09-01", "Content-type: application/json", *_HOST_CONFIG, body=_carried(version)),
        ),
        "compute": ("metadata", metadata("GET /metadata/instance/compute?api-version=2018-02-01")),
        "instance": ("metadata", metadata("GET /metadata/instance?api-version=2018-02-01", "+health")),
        "plugin health": ("hostplugin", ask("GET /health", _PLUGIN)),
        "logs": ("hostplugin", ask("PUT /vmAgentLog", _PLUGIN, "x-ms-version: 2015-09-01", *logs, body=b"PK" + bytes(100_000))),
        "telemetry": ("wire", ask("POST /machine?comp=telemetrydata", _WIRE, *xml, body=_TELEMETRY.encode())),
    }


def status_blob(version, *, message="Guest Agent is running", status="Ready"):
    """What an agent without extensions says of itself."""
    return (
        '{"version": "1.1", "timestampUTC": "2026-11-29T21:42:13Z", "aggregateStatus": {"guestAgentStatus": '
        f'{{"version": "{version}", "status": "{status}", "formattedMessage": {{"lang": "en-US", "message": "{message}"}}}}, "handlerAggregateStatus": []}}, '
        f'"guestOSInfo": {{"computerName": "vm", "osName": "debian", "osVersion": "12", "version": "{version}"}}, '
        '"supportedFeatures": [{"Key": "MultipleExtensionsPerHandler", "Value": "1.0"}]}'
    ).encode()


def direct_status(version):
    """The same status to the blob itself: as a block blob, then as a page blob, made first and filled afterwards."""
    common = ("x-ms-date: 2026-11-29T21:42:13Z",)
    agent = ("x-ms-version: 2014-02-14", "Connection: close", f"User-Agent: WALinuxAgent/{version}")
    first = (f"Host: {_WIRE}", "Accept-Encoding: identity")
    blob = status_blob(version)
    page = blob + bytes(512 - len(blob))
    return [
        ("wire", _request("PUT /statusblob", *first, f"Content-Length: {len(blob)}", "x-ms-blob-type: BlockBlob", *common, *agent, body=blob)),
        (
            "wire",
            _request("PUT /statusblob", *first, "Content-Length: 0", "x-ms-blob-content-length: 512", "x-ms-blob-type: PageBlob", *common, *agent),
        ),
        ("wire", _request("PUT /statusblob?comp=page", *first, "Content-Length: 512", *common, "x-ms-range: bytes=0-511", *agent, body=page)),
    ]


def certificates(version, certificate, cipher):
    """The request for the certificates, with the agent's own one."""
    secure = (f"x-ms-guest-agent-public-x509-cert: {certificate}", f"x-ms-cipher-name: {cipher}")
    agent = ("x-ms-agent-name: WALinuxAgent", "x-ms-version: 2012-11-30", *secure, "Connection: close", f"User-Agent: WALinuxAgent/{version}")
    return ("wire", _request(f"GET {_MACHINE}?comp=certificates&incarnation=1", f"Host: {_WIRE}", "Accept-Encoding: identity", *agent))


def _carried(version):
    headers = '{"headerName": "x-ms-blob-type", "headerValue": "BlockBlob"}'
    content = base64.b64encode(status_blob(version)).decode()
    return f'{{"content": "{content}", "headers": [{headers}], "requestUri": "http://168.63.129.16:80/statusblob"}}'.encode()


def _waagent_health(state, substatus="", description=""):
    details = f"<Details><SubStatus>{substatus}</SubStatus><Description>{description}</Description></Details>" if substatus else ""
    return (
        '<?xml version="1.0" encoding="utf-8"?><Health xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema">'
        f"<GoalStateIncarnation>1</GoalStateIncarnation><Container><ContainerId>{IDENTITY.container_id}</ContainerId><RoleInstanceList><Role>"
        f"<InstanceId>{IDENTITY.role_instance}</InstanceId><Health><State>{state}</State>{details}</Health></Role></RoleInstanceList></Container></Health>"
    ).encode()


_ROLE_PROPERTIES = (
    f'<?xml version="1.0" encoding="utf-8"?><RoleProperties><Container><ContainerId>{IDENTITY.container_id}</ContainerId><RoleInstances><RoleInstance>'
    f'<Id>{IDENTITY.role_instance}</Id><Properties><Property name="CertificateThumbprint" value="AB" /></Properties></RoleInstance></RoleInstances>'
    "</Container></RoleProperties>"
)
_TELEMETRY = '<?xml version="1.0"?><TelemetryData version="1.0"><Provider id="69B669B9-4AF8-4C50-BDC4-6006FA76E975">x</Provider></TelemetryData>'
