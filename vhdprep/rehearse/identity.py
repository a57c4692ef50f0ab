"""Who the rehearsed machine is to be: made up anew for each run, so that what comes back proves that this run caused it."""

from __future__ import annotations

import secrets
import uuid
from typing import NamedTuple

GUEST = "10.0.0.4"
GATEWAY = "10.0.0.1"
NETMASK = "255.255.255.0"
WIRE = "168.63.129.16"
"""Azure's virtual public address: wire server, host plugin, DNS and DHCP."""
METADATA = "169.254.169.254"
GATEWAY_MAC = "12:34:56:78:9a:bc"
"""Azure's own gateway has this address on every network."""
CUSTOM_DATA = "/run/vhdprep-rehearsal"
"""Where cloud-init puts the marker, if it carries out the custom data."""
DOMAIN = "rehearsal.internal.cloudapp.net"


class Identity(NamedTuple):
    """What the platform tells the guest about itself."""

    user: str
    host: str
    public_key: str
    """OpenSSH's line, ``ssh-rsa AAAA…``, without a comment."""
    marker: str
    """What the custom data holds; found in the guest afterwards, it proves that the DVD was read."""
    vm_id: str
    """A GUID in lower case, also the machine's SMBIOS UUID."""
    container_id: str
    role_instance: str
    mac: str
    """Six bytes with colons, of the prefix that Azure's machines have."""


def invent(public_key: str) -> Identity:
    """A new machine."""
    token = secrets.token_hex(4)
    tail = secrets.token_bytes(3)
    return Identity(
        user=f"rehearsal{token}",
        host=f"rehearsal-{token}",
        public_key=public_key,
        marker=f"vhdprep-{secrets.token_hex(16)}",
        vm_id=str(uuid.uuid4()),
        container_id=str(uuid.uuid4()),
        role_instance=f"_rehearsal-{token}",
        mac=":".join(f"{each:02x}" for each in (0x00, 0x0D, 0x3A, *tail)),
    )


def custom_data(identity: Identity) -> str:
    """A cloud-config that every version of cloud-init takes without a warning, with the marker in it."""
    return f"#cloud-config\nwrite_files:\n- path: {CUSTOM_DATA}\n  content: {identity.marker}\n"
