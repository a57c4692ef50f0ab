"""What a line of configuration tells about the network and the people it was written for. Pure functions of text."""

from __future__ import annotations

import ipaddress
import re

MAX_NAMED = 5
"""Names that are told of one line."""

_COMMENT = re.compile(r"\s*(?:#|;|--|//(?!\S+/)|$)")
"""Also where two slashes begin one, but not a share: ``//server/share``."""
_ADDRESS = re.compile(r"(?<![\w.:-])(?:\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\w)|f[cd][0-9a-fA-F]{2}:[0-9a-fA-F:]{2,36}(?![\w:]))", re.IGNORECASE)
_PRIVATE = tuple(ipaddress.ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_NAME = re.compile(
    r"(?<![\w.@-])(?<!(?<!/)/)"
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.){1,8}(?:local|internal|corp|lan|intranet|home\.arpa)\.?(?![\w.-])",
    re.IGNORECASE,
)
"""RFC 6762, appendix G: domains that private networks use; RFC 8375; ICANN's ``internal``."""
_OF_CLOUDS = ("metadata.google.internal", "metadata.internal", "rc.local")
_MAILBOX = re.compile(r"(?<![\w.+@:/-])[\w.+-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}[a-z]{2,24}(?![\w@:-])", re.IGNORECASE)
_NOBODYS = re.compile(
    r"(?i)@(?:.+\.)?(?:example(?:\.(?:com|net|org))?|invalid|test|localhost|localdomain|local"
    r"|debian\.org|ubuntu\.com|canonical\.com|kali\.org|redhat\.com|centos\.org|fedoraproject\.org|almalinux\.org|rockylinux\.org|oracle\.com"
    r"|suse\.(?:com|de|cz)|opensuse\.org|microsoft\.com|flatcar\.org|kinvolk\.io|freebsd\.org|openbsd\.org|kernel\.org|gnu\.org|openssh\.com|libssh\.org)$"
)
"""Examples (RFC 2606), machines themselves, and those who make the systems. OpenSSH names algorithms so."""
_OF_PROGRAMS = re.compile(r"(?i)^git@|@\S+\.(?:service|timer|socket|target|mount|path|slice)$")


def hosts(line: str) -> list[str]:
    """Addresses of private networks and names of their hosts; none in a comment."""
    if _COMMENT.match(line):
        return []
    found = [address for address in _ADDRESS.findall(line) if _is_private(address)]
    found += [name for name in (match[0].rstrip(".") for match in _NAME.finditer(line)) if name.lower() not in _OF_CLOUDS]
    return list(dict.fromkeys(found))[:MAX_NAMED]


def _is_private(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in _PRIVATE if network.version == address.version)


def mailboxes(line: str) -> list[str]:
    """Addresses of somebody; none in a comment."""
    if _COMMENT.match(line):
        return []
    found = [match[0] for match in _MAILBOX.finditer(line) if not _NOBODYS.search(match[0]) and not _OF_PROGRAMS.search(match[0])]
    return list(dict.fromkeys(found))[:MAX_NAMED]
