"""What must differ between two machines of one image: where the image brings it along, both have the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.rehearsal import Twin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhdprep.guest.image import Guest

MAX_MARK = 64 * 1024
"""Bytes of one file that are compared."""
MAX_FILES = 32
"""Files of one kind."""
_KINDS = {
    "machine id": ("/etc/machine-id", "/var/lib/dbus/machine-id"),
    "SSH host key": ("/etc/ssh/ssh_host_*_key.pub",),
    "random seed": ("/var/lib/systemd/random-seed", "/var/lib/urandom/random-seed"),
    "credential secret": ("/var/lib/systemd/credential.secret",),
    "DHCP identity": (
        "/var/lib/dhcp/*.leases",
        "/var/lib/dhclient/*.leases",
        "/etc/dhcpcd.duid",
        "/var/lib/dhcpcd/duid",
        "/var/lib/NetworkManager/secret_key",
    ),
    "storage initiator": ("/etc/iscsi/initiatorname.iscsi", "/etc/nvme/hostid", "/etc/nvme/hostnqn"),
}


class Mark(NamedTuple):
    """One file that tells machines apart."""

    what: str
    digest: str
    """SHA-256 of its content, in hex."""


def marks(guest: Guest) -> dict[str, Mark]:
    """Path → what it holds, of all that are there and not empty; what cannot be read is left out, and so never said to differ."""
    found: dict[str, Mark] = {}
    for what, patterns in _KINDS.items():
        for pattern in patterns:
            for path in _paths(guest, pattern):
                try:
                    content = guest.files.read(path, MAX_MARK)
                except Unreadable:
                    continue
                if content.strip():
                    found[path] = Mark(what, hashlib.sha256(content).hexdigest())
    return found


def compare(first: Mapping[str, Mark], second: Mapping[str, Mark]) -> tuple[Twin, ...]:
    """Every mark of either machine, held against the other's."""
    found = []
    for path in sorted({*first, *second}):
        one, other = first.get(path), second.get(path)
        what = (one or other or Mark("", "")).what
        equal = None if one is None or other is None else one.digest == other.digest
        found.append(Twin(what, path, equal, f"sha256:{one.digest[:16]}" if one and equal else ""))
    return tuple(found)


def _paths(guest: Guest, pattern: str) -> list[str]:
    try:
        found = list(guest.files.glob(pattern)) if "*" in pattern else [pattern]
        return [each for each in found[:MAX_FILES] if guest.files.is_file(each)]
    except Unreadable:
        return []
