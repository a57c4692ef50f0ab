"""The guest's network, with everything on it: the relay, an uplink of one of two kinds, and the doors of the platform's servers."""

from __future__ import annotations

import os
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import BackendUnavailable
from vhdprep.rehearse.identity import GATEWAY, GUEST, METADATA, WIRE
from vhdprep.rehearse.network import doors, slirp, tap
from vhdprep.rehearse.network.pump import Pump
from vhdprep.rehearse.network.relay import SSH, Relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from vhdprep.rehearse.identity import Identity
    from vhdprep.rehearse.journal import Journal
    from vhdprep.rehearse.machine import Machine
    from vhdprep.rehearse.platform import Platform, Server

_STRICT = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_SERVICES: dict[Server, tuple[str, int]] = {"wire": (WIRE, 80), "hostplugin": (WIRE, 32526), "metadata": (METADATA, 80)}


class Network(NamedTuple):
    """A network that is up."""

    words: Sequence[str]
    """For the emulator's command line."""
    pass_on: Sequence[int]
    """File descriptors for the emulator."""
    sandbox: str
    """What the emulator may do of what it has no need of."""
    relay: Relay
    namespace: bool

    async def ssh(self, machine: Machine) -> tuple[str, int] | None:
        """Where the guest's SSH server is reached; None = nowhere."""
        if self.namespace:
            return GUEST, SSH
        port = slirp.forwarded_port(str(await machine.ask("human-monitor-command", **{"command-line": "info usernet"})))
        return None if port is None else ("127.0.0.1", port)


@asynccontextmanager
async def open_network(identity: Identity, journal: Journal, platform: Platform, *, namespace: bool) -> AsyncIterator[Network]:
    """Serve as long as the block runs; ``namespace``: this process is alone in a network namespace.

    Raises:
        BackendUnavailable: the namespace has no tap device.
    """
    async with AsyncExitStack() as stack:
        card, guest = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        stack.enter_context(guest)
        guest.setblocking(False)
        words, pass_on = slirp.card_arguments(card.fileno()), [card.detach()]
        relay = Relay(identity, journal, GATEWAY if namespace else slirp.HOST)
        if namespace:
            try:
                uplink = tap.open_tap()
            except OSError as error:
                raise BackendUnavailable(f"{tap.DEVICE} cannot be used here ({error.strerror}); run without --network namespace") from error
            stack.callback(os.close, uplink)
            for server, (address, port) in _SERVICES.items():
                await stack.enter_async_context(await doors.listen_at(address, port, partial(platform.serve, server)))
        else:
            theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            stack.enter_context(ours)
            ours.setblocking(False)
            uplink, names = ours.fileno(), doors.invent()
            words = [*words, *slirp.uplink_arguments(theirs.fileno(), names)]
            pass_on.append(theirs.detach())
            listening: dict[Server, str] = {"wire": names.wire, "hostplugin": names.plugin, "metadata": names.metadata}
            for server, name in listening.items():
                await stack.enter_async_context(await doors.listen(name, partial(platform.serve, server)))
        pump = Pump(relay, guest.fileno(), uplink)
        pump.start()
        stack.callback(pump.stop)
        yield Network(words, pass_on, _STRICT if namespace else slirp.SANDBOX, relay, namespace)
