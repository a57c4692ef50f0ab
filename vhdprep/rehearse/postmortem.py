"""Look into the disk as the guest left it, with the reader that judges images: what was set up does not depend on whether anybody could log in."""

from __future__ import annotations

import base64
import binascii
import json
import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.check import image_of, sources_of
from vhdprep.disk.backend import load_backend
from vhdprep.errors import Unreadable
from vhdprep.guest import accounts, provisioner, ssh
from vhdprep.model import Target
from vhdprep.rehearse import twins
from vhdprep.rehearse.machine.console import ARTEFACTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vhdprep.guest.image import Guest
    from vhdprep.location import Location
    from vhdprep.rehearse.identity import Identity
    from vhdprep.rehearse.twins import Mark
    from vhdprep.vhd.blocks import Reader

MAX_LOG = 4 * 1024 * 1024
"""Bytes of a log that are read, from its end."""
MAX_PLACES = 64
"""Files of one pattern in which something is looked for."""
MAX_WORDS = 6
"""Lines of one log that are told."""
MAX_WORD, MAX_SOURCE = 300, 200
"""Characters of one such line, and of where cloud-init's data came from."""
_KEY_FILES = ".ssh/authorized_keys .ssh/authorized_keys2"
"""Where sshd looks by itself."""
_USER_DATA = ("/var/lib/cloud/instances/*/user-data.txt", "/var/lib/waagent/CustomData")
_RESULT = "/var/lib/cloud/data/result.json"
_AGENT_LOG = "/var/log/waagent.log"
_CLOUD_LOG = "/var/log/cloud-init.log"


class Found(NamedTuple):
    """What was seen in the disk afterwards; None = it could not be looked at."""

    host: str | None = None
    """``/etc/hostname``"""
    user: bool | None = None
    """The new user is there."""
    key: str | None = None
    """The file that holds the new key; empty = none of the user's does."""
    marker: str | None = None
    """The file that holds the custom data; empty = none does."""
    source: str = ""
    """Where cloud-init says its data came from: ``DataSourceAzure [seed=/dev/sr0]``."""
    errors: tuple[str, ...] = ()
    """What cloud-init itself counts as errors."""
    agent_words: tuple[str, ...] = ()
    """The agent's last errors."""
    cloud_words: tuple[str, ...] = ()
    """cloud-init's last warnings and errors."""
    why: tuple[str, ...] = ()
    """What in the disk decides who provisions (``guest/provisioner``)."""
    identity: Mapping[str, Mark] = {}
    """What must differ between two machines."""
    unread: tuple[str, ...] = ()
    """What could not be looked at, or may be out of date, and why."""


def look(
    path: Location, data: Sequence[Location], layers: Sequence[Callable[[Reader], Reader]], identity: Identity, avoid: Mapping[str, str]
) -> Found:
    """Everything that the verdict asks of the disk; ``layers`` lay over each of the image's disks what the guest wrote."""
    named, sources = sources_of(path, data)
    laid = [each._replace(layer=layer) for each, layer in zip(sources, layers, strict=True)]
    try:
        with load_backend("native").open_disks(laid, avoid) as disks:
            image = image_of(named, sources, disks, Target.GENERALIZED)
            if image.guest is None:
                return Found(unread=(image.no_guest or "no operating system was recognised",))
            stale = tuple(f"{each.id}: {each.reason}" for each in image.guest.volumes if each.read and each.needed and each.reason)
            return _doubted(_look(image.guest, identity), identity, stale)
    except Unreadable as error:
        return Found(unread=(str(error),))


def _doubted(found: Found, identity: Identity, stale: tuple[str, ...]) -> Found:
    """What waits in a journal was not read: then only what was found is certain, not what was missed."""
    if not stale:
        return found
    host = found.host if found.host == identity.host else None
    return found._replace(host=host, user=found.user or None, key=found.key or None, marker=found.marker or None, unread=stale)


def _look(guest: Guest, identity: Identity) -> Found:
    home = _try(lambda: next((each.home or "/" for each in accounts.accounts(guest) if each.name == identity.user), ""))
    result = _json(guest, _RESULT).get("v1")
    version = result if isinstance(result, dict) else {}
    source, errors = version.get("datasource"), version.get("errors")
    return Found(
        host=_try(lambda: _host(guest)),
        user=None if home is None else bool(home),
        key=None if home is None else _try(lambda: _key(guest, home, identity)),
        marker=_try(lambda: _holding(guest, _USER_DATA, identity.marker.encode())),
        source=source[:MAX_SOURCE] if isinstance(source, str) else "",
        errors=tuple(each[:MAX_WORD] for each in errors if isinstance(each, str))[:MAX_WORDS] if isinstance(errors, list) else (),
        agent_words=_words(guest, _AGENT_LOG, (" ERROR ",)),
        cloud_words=_words(guest, _CLOUD_LOG, ("[WARNING]", "[ERROR]", "[CRITICAL]")),
        why=_who(guest),
        identity=twins.marks(guest),
    )


def _host(guest: Guest) -> str:
    """The first line of ``/etc/hostname`` that is no comment (hostname(5))."""
    lines = (each.strip() for each in (guest.files.text("/etc/hostname") or "").splitlines())
    return next((each for each in lines if each and not each.startswith("#")), "")


def _key(guest: Guest, home: str, identity: Identity) -> str:
    """The first file with the new key, of those that sshd looks into for this user (``AuthorizedKeysFile``, sshd_config(5))."""
    if not home:
        return ""
    value, _ = ssh.options(guest).get("authorizedkeysfile", (_KEY_FILES, ""))
    tokens = {"%%": "%", "%h": home, "%u": identity.user}
    named = [re.sub("%[%hu]", lambda token: tokens[token[0]], each) for each in value.split()[:MAX_WORDS]]
    paths = [each if each.startswith("/") else f"{home.rstrip('/')}/{each}" for each in (*named, *_KEY_FILES.split())]
    return _holding(guest, tuple(paths), identity.public_key.split()[1].encode())


def _who(guest: Guest) -> tuple[str, ...]:
    try:
        return tuple(f"{each.where}: {each.value}" for each in provisioner.find(guest).because)
    except Unreadable:
        return ()


def _holding(guest: Guest, patterns: Sequence[str], wanted: bytes) -> str:
    """The first file that holds ``wanted``, as it is or in base64; empty = none does."""
    for pattern in patterns:
        for path in islice(guest.files.glob(pattern), MAX_PLACES) if "*" in pattern else (pattern,):
            if guest.files.is_file(path):
                content = guest.files.read(path, MAX_LOG)
                if wanted in content or wanted in _decoded(content):
                    return path
    return ""


def _decoded(content: bytes) -> bytes:
    try:
        return base64.b64decode(content.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _words(guest: Guest, path: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """The last lines of a log that hold one of ``wanted``."""
    try:
        found = guest.files.stat(path)
        if found is None:
            return ()
        text = guest.files.read(path, MAX_LOG, max(0, found.size - MAX_LOG)).decode(errors="replace")
    except Unreadable as error:
        return (f"{path} could not be read: {error}",)
    found_words = (each.strip()[:MAX_WORD] for each in text.splitlines() if any(word in each for word in wanted) and not ARTEFACTS.search(each))
    return tuple(dict.fromkeys(found_words))[-MAX_WORDS:]


def _json(guest: Guest, path: str) -> dict[str, object]:
    try:
        values = json.loads(guest.files.read(path, MAX_LOG) or b"{}")  # as bytes: one line of it may be longer than any of a configuration file
    except (Unreadable, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _try(read: Callable[[], str]) -> str | None:
    try:
        return read()
    except Unreadable:
        return None
