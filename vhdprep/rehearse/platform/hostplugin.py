"""The host's guest agent plugin, http://168.63.129.16:32526, as far as the agent needs it (WALinuxAgent, common/protocol/hostplugin.py)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from vhdprep.rehearse.platform import reports
from vhdprep.rehearse.platform.http import Response
from vhdprep.rehearse.platform.wire import note_status

if TYPE_CHECKING:
    from vhdprep.rehearse.journal import Journal
    from vhdprep.rehearse.platform.http import Request

PORT = 32526


def answer(request: Request, journal: Journal) -> Response:
    """The response to a request; the agent's status goes to the journal.

    ``/vmSettings`` is not there, by which the agent knows that there is no fast track and takes the wire server's configuration; no more is
    ``/extensionArtifact``.
    """
    asked = (request.method, request.path.rstrip("/"))
    if asked == ("GET", "/versions"):
        return Response(body=b'["2015-09-01"]', content_type="application/json; charset=utf-8")
    if asked == ("PUT", "/status"):
        status = reports.carried_status(request.body)
        if status is not None:
            note_status(journal, status)
        return Response(HTTPStatus.BAD_REQUEST if status == reports.Status(reports.UNREADABLE) else HTTPStatus.OK)
    if asked in (("GET", "/health"), ("PUT", "/vmAgentLog")):
        return Response()
    return Response(HTTPStatus.NOT_FOUND)
