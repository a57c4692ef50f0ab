"""The wire server, http://168.63.129.16: goal state, configurations, and the reports by which a machine says that it is provisioned.

Documents have what agents look up in them: WALinuxAgent (common/protocol/goal_state.py, wire.py), cloud-init (sources/helpers/azure.py), Afterburn
(providers/microsoft/goalstate.rs), cloudbase-init (metadata/services/azureservice.py); their shape is that of WALinuxAgent's tests/data/wire.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from vhdprep.rehearsal import Milestone
from vhdprep.rehearse.identity import GUEST, WIRE
from vhdprep.rehearse.platform import reports
from vhdprep.rehearse.platform.http import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from vhdprep.rehearse.identity import Identity
    from vhdprep.rehearse.journal import Journal
    from vhdprep.rehearse.platform.certificates import Certificates
    from vhdprep.rehearse.platform.http import Request

_XML = "text/xml; charset=utf-8"
_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'
_DEPLOYMENT = "rehearsal"
_TICKS = 638_000_000_000_000_000
"""When the goal state was made, in units of 100 ns since the year 1: some day in 2022."""
_VERSIONS = ("2015-04-05", "2012-11-30", "2012-09-15", "2012-05-15", "2011-12-31", "2011-10-15", "2011-08-31", "2011-04-07", "2010-12-15")


class Wire:
    """The wire server of one machine."""

    def __init__(self, identity: Identity, journal: Journal, certificates: Certificates | None = None) -> None:
        """Without ``certificates`` the goal state names none."""
        self._identity = identity
        self._journal = journal
        self._certificates = certificates
        self._routes: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", "versions"): lambda _: _document(_versions()),
            ("GET", "goalstate"): self._goal_state,
            ("GET", "hostingenvironmentconfig"): lambda _: _document(_hosting_environment(identity)),
            ("GET", "sharedconfig"): lambda _: _document(_shared(identity)),
            ("GET", "extensionsconfig"): lambda _: _document(_extensions(identity)),
            ("GET", "certificates"): self._envelope,
            ("POST", "health"): self._health,
            ("POST", "telemetrydata"): lambda _: Response(),
            ("POST", "roleproperties"): lambda _: Response(HTTPStatus.ACCEPTED),  # WALinuxAgent takes no other: wire.py, report_role_prop
            ("POST", "healthservice"): lambda _: Response(),
            ("PUT", "statusblob"): self._blob,
        }

    def answer(self, request: Request) -> Response:
        """The response to a request; what it reports goes to the journal."""
        route = self._routes.get((request.method, _resource(request)))
        return route(request) if route else Response(HTTPStatus.NOT_FOUND)

    def _goal_state(self, request: Request) -> Response:
        self._journal.mark(Milestone.GOAL_STATE, request.agent)
        return _document(_goal_state(self._identity, certificates=self._certificates is not None))

    def _envelope(self, request: Request) -> Response:
        if self._certificates is None:
            return Response(HTTPStatus.NOT_FOUND)
        headers = request.headers
        envelope = self._certificates.envelope(headers.get("x-ms-guest-agent-public-x509-cert", ""), headers.get("x-ms-cipher-name", ""))
        if envelope is None:
            return Response(HTTPStatus.BAD_REQUEST)
        inner = f"<Version>2012-11-30</Version><Incarnation>1</Incarnation><Format>Pkcs7BlobWithPfxContents</Format><Data>{envelope}</Data>"
        return _document(f"<CertificateFile>{inner}</CertificateFile>")

    def _health(self, request: Request) -> Response:
        report = reports.health(request.body)
        self._journal.report_health(request.agent, *report)
        if report.state == reports.UNREADABLE:
            return Response(HTTPStatus.BAD_REQUEST)
        if report.state == "Ready":
            self._journal.mark(Milestone.READY, request.agent)
            if request.headers.get("user-agent", "").startswith("WALinuxAgent"):  # ``WALinuxAgent/2.7.3.0``: common/utils/restutil.py
                self._journal.mark(Milestone.AGENT, request.agent)
        return Response()

    def _blob(self, request: Request) -> Response:
        if request.body:  # a page blob is made empty at first
            note_status(self._journal, reports.status(request.body))
        return Response(HTTPStatus.CREATED)


def note_status(journal: Journal, status: reports.Status) -> None:
    """Note what the agent says in a status blob, wherever it came to."""
    journal.report_status(status.status)
    if status.status == "Ready":
        journal.mark(Milestone.STATUS, f"{status.version} {status.message}".strip())


def _resource(request: Request) -> str:
    """What is asked for, in lower case: the parameter ``comp``, its ``type`` if that is a configuration, or the last part of the path.

    ``comp`` is written as ``Versions`` too (cloudbase-init), ``machine`` with and without a slash, and azure-init's path is ``provisioning/health``.
    """
    path = request.path.strip("/").lower()
    parameters = {name.lower(): value.lower() for name, value in reversed(request.query)}
    if path == "" or path.split("/")[0] == "machine":
        comp = parameters.get("comp", "")
        return parameters.get("type", "") if comp == "config" else comp
    return {"healthservice": "healthservice", "statusblob": "statusblob", "provisioning/health": "health"}.get(path, "")


def _document(root: str) -> Response:
    return Response(body=(_DECLARATION + root).encode(), content_type=_XML)


def _versions() -> str:
    supported = "".join(f"<Version>{each}</Version>" for each in _VERSIONS)
    return f"<Versions><Preferred><Version>{_VERSIONS[0]}</Version></Preferred><Supported>{supported}</Supported></Versions>"


def _goal_state(identity: Identity, *, certificates: bool) -> str:
    machine = f"http://{WIRE}:80/machine/{identity.container_id}/{identity.role_instance}"

    def config(kind: str) -> str:
        return escape(f"{machine}?comp=config&type={kind[0].lower()}{kind[1:]}&incarnation=1")

    configs = "".join(f"<{kind}>{config(kind)}</{kind}>" for kind in ("HostingEnvironmentConfig", "SharedConfig", "ExtensionsConfig"))
    sealed = f"<Certificates>{escape(f'{machine}?comp=certificates&incarnation=1')}</Certificates>" if certificates else ""
    return (
        "<GoalState><Version>2012-11-30</Version><Incarnation>1</Incarnation>"
        "<Machine><ExpectedState>Started</ExpectedState><StopRolesDeadlineHint>300000</StopRolesDeadlineHint>"
        "<LBProbePorts><Port>16001</Port></LBProbePorts><ExpectHealthReport>FALSE</ExpectHealthReport></Machine>"
        f"<Container><ContainerId>{escape(identity.container_id)}</ContainerId><RoleInstanceList><RoleInstance>"
        f"<InstanceId>{escape(identity.role_instance)}</InstanceId><State>Started</State>"
        f"<Configuration>{configs}{sealed}<ConfigName>{_DEPLOYMENT}.1.{_DEPLOYMENT}.1.{escape(identity.role_instance)}.1.xml</ConfigName></Configuration>"
        "</RoleInstance></RoleInstanceList></Container></GoalState>"
    )


def _deployment(identity: Identity) -> str:
    """What both configurations begin with."""
    return (
        f'<Deployment name="{_DEPLOYMENT}" guid="{{{escape(identity.vm_id)}}}" incarnation="1" isNonCancellableTopologyChangeEnabled="false">'
        f'<Service name="{_DEPLOYMENT}" guid="{{00000000-0000-0000-0000-000000000000}}" />'
        f'<ServiceInstance name="{_DEPLOYMENT}.1" guid="{{{escape(identity.vm_id)}}}" /></Deployment>'
        f'<Incarnation number="1" instance={quoteattr(identity.role_instance)} guid="{{{escape(identity.container_id)}}}" />'
        f'<Role guid="{{{escape(identity.vm_id)}}}" name={quoteattr(identity.host)} settleTimeSeconds="0" />'
    )


def _hosting_environment(identity: Identity) -> str:
    return f'<HostingEnvironmentConfig version="1.0.0.0" goalStateIncarnation="1">{_deployment(identity)}</HostingEnvironmentConfig>'


def _shared(identity: Identity) -> str:
    """Afterburn wants the instance, with its address and its endpoints, of which there are none."""
    return (
        f'<SharedConfig version="1.0.0.0" goalStateIncarnation="1">{_deployment(identity)}'
        f'<Instances><Instance id={quoteattr(identity.role_instance)} address="{GUEST}">'
        '<FaultDomains randomId="0" updateId="0" updateCount="0" /><InputEndpoints></InputEndpoints></Instance></Instances></SharedConfig>'
    )


def _extensions(identity: Identity) -> str:
    """No extension, no update of the agent, and where the status goes."""
    guid = quoteattr(identity.container_id)
    return (
        '<Extensions version="1.0.0.0" goalStateIncarnation="1">'
        '<GuestAgentExtension xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><GAFamilies></GAFamilies></GuestAgentExtension>'
        "<Plugins></Plugins><PluginSettings></PluginSettings>"
        f'<StatusUploadBlob statusBlobType="BlockBlob">http://{WIRE}:80/statusblob</StatusUploadBlob>'
        f'<InVMGoalStateMetaData inSvdSeqNo="1" createdOnTicks="{_TICKS}" activityId={guid} correlationId={guid} />'
        "</Extensions>"
    )
