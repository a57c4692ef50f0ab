"""QEMU's arguments for a network without any privilege: the guest's card on one socket pair, slirp on another, the relay between them.

guestfwd's addresses must lie within slirp's own network; 168.0.0.0/7 holds both of the platform's. ``restrict=on`` keeps slirp from
opening any connection of its own. Needs QEMU 7.2 (``net/dgram.c``).
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vhdprep.rehearse.identity import GUEST, METADATA, WIRE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.rehearse.network.doors import Names

NETWORK = "168.0.0.0/7"
HOST = "168.0.0.1"
"""slirp's own address: from there the ssh probe seems to come."""
CARD = "nic"
"""The netdev that the guest's network card is joined to: ``-device virtio-net-pci,netdev=nic,mac=…``."""
PIPE = (sys.executable, "-I", "-S", str(Path(__file__).with_name("pipe.py")))
"""Joins one connection to an abstract socket, whose name is its last argument."""
SANDBOX = "on,obsolete=deny,elevateprivileges=allow,spawn=allow,resourcecontrol=deny"
"""The strictest ``-sandbox`` with which slirp can start its commands: the child calls ``setsid``, which the other values of
``elevateprivileges`` punish with death (``qemu-seccomp.c``). Loading the filter takes away the right to gain privileges in any case."""
MAX_USERNET = 65536
"""Characters of the monitor's answer that are looked at."""

# `TCP[HOST_FORWARD]  19        127.0.0.1 41317        10.0.0.4    22     0     0` (slirp's `connection_info`)
_FORWARD = re.compile(r"^\s*TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d{1,5})\s+" + re.escape(GUEST) + r"\s+22\s", re.MULTILINE)


def card_arguments(guest: int) -> list[str]:
    """The netdev that the guest's card is joined to, for both kinds of uplink.

    Args:
        guest: A descriptor that QEMU inherits: one end of a pair of datagram sockets.
    """
    return ["-netdev", f"dgram,id={CARD},local.type=fd,local.str={guest}"]


def uplink_arguments(uplink: int, names: Names, pipe: Sequence[str] = PIPE) -> list[str]:
    """Slirp as the relay's uplink, with a forward from a free port of 127.0.0.1 to the guest's ssh.

    Args:
        uplink: A descriptor that QEMU inherits: one end of another pair.
        names: The sockets that the platform's servers listen on.
        pipe: The command that joins a connection to a socket; the socket's name is its last argument.
    """
    doors = [(WIRE, 80, names.wire), (WIRE, 32526, names.plugin), (METADATA, 80, names.metadata)]
    slirp = [f"user,id=slirp,ipv6=off,net={NETWORK},host={HOST},restrict=on,hostfwd=tcp:127.0.0.1:0-{GUEST}:22"]
    slirp += [f"guestfwd=tcp:{address}:{port}-cmd:{_quote([*pipe, name])}" for address, port, name in doors]
    return [
        *("-netdev", f"dgram,id=uplink,local.type=fd,local.str={uplink}"),
        *("-netdev", ",".join(slirp)),
        *("-netdev", "hubport,id=hub0,hubid=0,netdev=uplink"),
        *("-netdev", "hubport,id=hub1,hubid=0,netdev=slirp"),
    ]


def forwarded_port(usernet: str) -> int | None:
    """The port of 127.0.0.1 that leads to the guest's ssh, out of the monitor's ``info usernet``; ``None`` where it names none."""
    found = _FORWARD.search(usernet[:MAX_USERNET])
    return int(found[1]) if found else None


def _quote(command: Sequence[str]) -> str:
    """For two readers: slirp splits by the shell's rules (``g_shell_parse_argv``), QEMU before it at commas that are not doubled."""
    return shlex.join(command).replace(",", ",,")
