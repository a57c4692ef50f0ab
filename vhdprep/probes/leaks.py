"""Probes of what must not reach strangers: secrets by their shape, and names of the network and the people behind an image."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Literal

from vhdprep.errors import Unreadable
from vhdprep.guest import secretfiles
from vhdprep.guest.formats.sitenames import hosts, mailboxes
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.image import Image
from vhdprep.model import Observation
from vhdprep.probes.files import MAX_PARTS, find
from vhdprep.probes.registry import probe

if TYPE_CHECKING:
    from vhdprep.guest.formats.secretpatterns import Secret

SecretKind = Literal[
    "google-service-account", "private-key", "pgp-private-key", "encrypted-private-key", "aws-key", "azure-storage-key",
    "azure-shared-access-signature", "azure-client-secret", "azure-service-bus-key", "azure-devops-token", "google-key",
    "digitalocean-token", "heroku-key", "cloudflare-token", "github-token", "gitlab-token", "npm-token", "pypi-token", "registry-login",
    "terraform-token", "slack-token", "stripe-key", "twilio-key", "sendgrid-key", "vault-token", "databricks-token", "datadog-key",
    "openai-key", "anthropic-key", "url-password", "connection-string", "authorization-header", "web-token", "named-password",
]  # fmt: skip


@probe(returns="a list of places, one for each secret")
def known_secrets(image: Image, *, kinds: tuple[SecretKind, ...], ignore: tuple[str, ...] = ()) -> Observation:
    """Tokens and keys of well-known shape in every text file of the image's owner, proven by kind and SHA-256 prefix, never shown.

    Looked through are /etc, homes, /opt, /srv and whatever else lies in the root and is not the system's, of Windows also what Setup,
    tasks, IIS and services left; no programs, and no packages that everybody can download. kinds: which ones. ignore: files that do not count.
    """
    guest = image.need_guest()
    result = secretfiles.search(guest)
    ignored = {guest.files.key(path) for pattern in ignore for path in find(guest, pattern)}
    chosen = [each for each in result.found if each.secret.kind in kinds and guest.files.key(each.path) not in ignored]
    if result.gaps and not chosen:
        raise Unreadable("; ".join(result.gaps[:3]))
    chosen.sort(key=lambda found: (found.path, found.secret.line))
    parts = dict.fromkeys(Observation(_proof(each), f"{path}:{each.line}") for path, each in chosen)
    return Observation.listing("files of the image's owner", tuple(parts)[:MAX_PARTS])


def _proof(secret: Secret) -> str:
    return f"{secret.kind}, SHA-256 {hashlib.sha256(secret.value).hexdigest()[:12]} (not shown)"


@probe(returns="a list of places, one for each line")
def file_mentions(image: Image, *, patterns: tuple[str, ...], of: Literal["internal-host", "mail-address"], matching: str = "") -> Observation:
    """Lines of text files, comments left out, that name somebody: a host of a private network, or a mailbox.

    patterns: the files; one that begins with `~/` is looked for below every home directory. of: `internal-host` = an address of RFC 1918
    or RFC 4193, or a name under a domain that only private networks have; `mail-address` = one that is not the distribution's and not an
    example. matching: only lines that match this regular expression.
    """
    guest = image.need_guest()
    expression = re.compile(matching)
    named_in = hosts if of == "internal-host" else mailboxes
    parts = []
    for path in dict.fromkeys(path for pattern in patterns for path in find(guest, pattern)):
        if not guest.files.is_file(path):
            continue
        for number, line in enumerate(lines(guest.files.text(path) or ""), 1):
            if expression.search(line) and (named := named_in(line)):
                parts.append(Observation(", ".join(named), f"{path}:{number}"))
    return Observation.listing(", ".join(patterns), tuple(parts[:MAX_PARTS]))
