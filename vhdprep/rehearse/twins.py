"""What must differ between two machines of one image: where the image brings it along, both have the same."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.rehearsal import Twin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhdprep.guest.image import Guest

MAX_MARK = 4 * 1024 * 1024
"""Bytes of one file that are compared; of a larger one the beginning would prove nothing."""
MAX_FILES = 32
"""Files of one kind."""


class _Kind(NamedTuple):
    what: str
    paths: tuple[str, ...]
    words: re.Pattern[bytes] | None = None
    """What of the file tells machines apart, where the rest is the same by design, or never the same; None = all of it."""


_KINDS = (
    _Kind("machine id", ("/etc/machine-id", "/var/lib/dbus/machine-id"), re.compile(rb"^([0-9a-f]{32})[ \t]*$", re.MULTILINE)),
    _Kind("host id", ("/etc/hostid",)),
    _Kind("SSH host key", ("/etc/ssh/ssh_host_*_key.pub",), re.compile(rb"^(\S+ +\S+)", re.MULTILINE)),
    _Kind("SSH host key", ("/etc/dropbear/dropbear_*_host_key",)),
    _Kind("random seed", ("/var/lib/systemd/random-seed", "/var/lib/urandom/random-seed", "/var/lib/random-seed")),
    _Kind("credential secret", ("/var/lib/systemd/credential.secret",)),
    _Kind(
        "DHCP identity",
        ("/var/lib/dhcp/*.leases", "/var/lib/dhclient/*.leases", "/var/lib/dhclient/*.lease"),
        re.compile(rb'^[ \t]*default-duid (".*");', re.MULTILINE),
    ),
    _Kind("DHCP identity", ("/etc/dhcpcd.duid", "/etc/dhcpcd.secret", "/var/lib/dhcpcd/duid", "/var/lib/dhcpcd/secret", "/var/lib/wicked/duid.xml")),
    _Kind("DHCP identity", ("/var/lib/NetworkManager/secret_key",)),
    _Kind("storage initiator", ("/etc/iscsi/initiatorname.iscsi",), re.compile(rb"^[ \t]*InitiatorName[ \t]*=[ \t]*(\S+)", re.MULTILINE)),
    _Kind("storage initiator", ("/etc/nvme/hostid", "/etc/nvme/hostnqn")),
    _Kind("registration", ("/etc/pki/consumer/cert.pem", "/etc/pki/consumer/key.pem", "/etc/insights-client/machine-id", "/var/lib/yum/uuid")),
    _Kind("registration", ("/etc/zypp/credentials.d/SCCcredentials", "/var/lib/zypp/AnonymousUniqueId")),
    _Kind("registration", ("/var/lib/ubuntu-advantage/private/machine-token.json", "/var/lib/snapd/device/private-keys-v1/*")),
    _Kind("domain membership", ("/etc/krb5.keytab", "/var/lib/samba/private/secrets.tdb")),
    _Kind("agent identity", ("/etc/salt/pki/minion/minion.pem", "/etc/salt/minion_id", "/etc/chef/client.pem")),
    _Kind("agent identity", ("/etc/puppetlabs/puppet/ssl/private_keys/*.pem", "/var/lib/puppet/ssl/private_keys/*.pem")),
    _Kind("agent identity", ("/var/ossec/etc/client.keys", "/etc/qualys/hostid", "/opt/CrowdStrike/falconstore")),
    _Kind("agent identity", ("/etc/opt/microsoft/omsagent/certs/oms.key", "/etc/opt/microsoft/omsagent/*/certs/oms.key")),
    _Kind(
        "agent identity",
        ("/var/opt/azcmagent/agentconfig.json",),
        re.compile(rb'(?i)"(?:resourceName|resourceId|vmId|vmUuid)"\s*:\s*"([^"]+)"'),
    ),
    _Kind("agent identity", ("/var/lib/tailscale/tailscaled.state", "/var/lib/amazon/ssm/registration")),
    _Kind("node identity", ("/var/lib/docker/engine-id", "/etc/docker/key.json", "/etc/rancher/node/password")),
)
"""What is made once for each machine, and by whom; nothing that an administrator may give to all of them, such as Defender's onboarding.

Sources: systemd ``machine-id(5)`` ("uninitialized" is no id), ``systemd-random-seed(8)``, ``systemd-creds(1)``; ISC's ``dhclient.leases(5)``;
dhcpcd ``src/defs.h``; openSUSE/wicked ``src/duid.c``; open-iscsi ``startup-checks`` (GenerateName=yes is a template); the references of the rules
``linux-*-identity-removed``, ``*-unregistered``, ``*-subscription-removed``; openSUSE/libzypp (``X-ZYpp-AnonymousId``); wazuh/wazuh
``src/headers/defs.h`` (KEYS_FILE); moby/moby ``daemon/id.go``; k3s's page on its architecture (node password).
"""


class Mark(NamedTuple):
    """One file that tells machines apart."""

    what: str
    digest: str
    """SHA-256, in hex, of what in it is the machine's own."""


def marks(guest: Guest) -> dict[str, Mark]:
    """Path → what it holds, of all that are there and not empty; what cannot be read is left out, and so never said to differ."""
    found: dict[str, Mark] = {}
    seen: set[str] = set()
    for kind in _KINDS:
        for path in (each for pattern in kind.paths for each in _paths(guest, pattern)):
            try:
                real = guest.files.resolve(path) or path
                content = guest.files.read(path, MAX_MARK + 1) if real not in seen else b""
            except Unreadable:
                continue
            words = content if kind.words is None else b"\n".join(kind.words.findall(content))
            if words.strip() and len(content) <= MAX_MARK:
                seen.add(real)
                found[path] = Mark(kind.what, hashlib.sha256(words).hexdigest())
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
