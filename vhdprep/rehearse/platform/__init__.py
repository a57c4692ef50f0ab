"""The emulated platform's servers together: who is asked, what is noted of it, and how many connections are borne."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from vhdprep.rehearsal import Milestone
from vhdprep.rehearse.platform import hostplugin, http, imds
from vhdprep.rehearse.platform.http import PATIENCE, Patience, Request, Response
from vhdprep.rehearse.platform.wire import Wire

if TYPE_CHECKING:
    import asyncio

    from vhdprep.rehearse.identity import Identity
    from vhdprep.rehearse.journal import Journal
    from vhdprep.rehearse.platform.certificates import Certificates

MAX_CONNECTIONS = 32
"""Connections at a time to all servers together; an agent has two or three. Each may hold ``http.MAX_BODY`` bytes."""

OTHER_CLOUD = "metadata of another cloud"
"""How what is tried of it begins."""

Server = Literal["metadata", "wire", "hostplugin"]

_NAMES: dict[Server, str] = {"metadata": "metadata", "wire": "wire", "hostplugin": "host plugin"}


class Platform:
    """Azure, as one machine sees it over HTTP."""

    def __init__(
        self,
        identity: Identity,
        journal: Journal,
        without: frozenset[str] = frozenset(),
        certificates: Certificates | None = None,
        patience: Patience = PATIENCE,
    ) -> None:
        """The platform of one machine.

        Args:
            identity: who the machine is.
            journal: what is seen of it.
            without: parts that are left out; ``imds`` = the metadata server answers 404 to everything.
            certificates: what the goal state offers; None = it names none. cloud-init then gets no public key where it gets none from metadata.
            patience: how long clients are waited for.
        """
        self._identity = identity
        self.journal = journal
        self._without = without
        self._wire = Wire(identity, journal, certificates)
        self._patience = patience
        self._connections = 0

    def answer(self, server: Server, request: Request) -> Response:
        """The response to a request, which is noted."""
        response = self._answer(server, request)
        self.journal.call(_NAMES[server], request.method, request.target, request.agent, int(response.status))
        return response

    async def serve(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes over one connection; where there are too many of them, it is ended at once."""
        if self._connections >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections += 1
        try:
            await http.serve(reader, writer, partial(self.answer, server), self._patience)
        finally:
            self._connections -= 1

    def _answer(self, server: Server, request: Request) -> Response:
        if server == "wire":
            return self._wire.answer(request)
        if server == "hostplugin":
            return hostplugin.answer(request, self.journal)
        if _is_foreign(request.path):
            self.journal.try_out(f"metadata of another cloud: {request.path}")
            return Response(HTTPStatus.NOT_FOUND)
        self.journal.mark(Milestone.METADATA, request.agent)
        return Response(HTTPStatus.NOT_FOUND) if "imds" in self._without else imds.answer(request, self._identity)


def _is_foreign(path: str) -> bool:
    """Whether another cloud's metadata is asked for: ``/2009-04-04/``, ``/latest/`` (EC2), ``/computeMetadata/``, ``/metadata/v1`` (DigitalOcean)."""
    steps = path.lower().strip("/").split("/")
    return steps[0] != "metadata" or steps[1:2] in (["v1"], ["v1.json"])
