"""Joins one connection of the guest (descriptor 0, a socket that slirp made) to a server of ours on an abstract Unix socket.

slirp starts this file once for each connection (``guestfwd=…-cmd:``), with ``python -I -S pipe.py NAME``: it imports as little as it can.
It says nothing, since descriptors 1 and 2 are the same socket: what is written there, the guest reads.
"""

import select
import sys

# The module below `socket`, which itself takes longer to import than all the rest of this file takes to run.
from _socket import AF_UNIX, SHUT_WR, SOCK_STREAM, socket

MAX_CHUNK = 65536
"""Bytes that are carried at a time, and so the most that are held."""
MAX_STALL = 60.0
"""Seconds that one side may not take what the other one sent."""


def carry(source: socket, target: socket) -> bool:
    """Move what is there; at its end, end the other direction too.

    Returns:
        Whether more may come.
    """
    try:
        data = source.recv(MAX_CHUNK)
        while data:
            data = data[target.send(data) :]
            if not data:
                return True
        target.shutdown(SHUT_WR)
    except OSError:
        return False
    return False


def join(guest: socket, server: socket) -> None:
    """Carry both ways until both have ended, or the server is gone and all that it said was handed on."""
    poll = select.poll()
    poll.register(guest, select.POLLIN)
    poll.register(server, select.POLLIN)
    peers = {guest.fileno(): (guest, server), server.fileno(): (server, guest)}
    while peers:
        for descriptor, event in poll.poll():
            if descriptor in peers and carry(*peers[descriptor]):
                continue
            peers.pop(descriptor, None)
            poll.modify(descriptor, 0)  # tells of nothing but that it is closed altogether
            if event & (select.POLLHUP | select.POLLERR):
                if descriptor == server.fileno():
                    return
                poll.unregister(descriptor)


def main() -> None:
    """Connect and carry; a server that is not there ends the connection."""
    guest = socket(fileno=0)
    server = socket(AF_UNIX, SOCK_STREAM)
    try:
        server.connect("\0" + sys.argv[1])
    except OSError:
        return
    for each in (guest, server):
        each.settimeout(MAX_STALL)
    join(guest, server)


if __name__ == "__main__":
    main()
