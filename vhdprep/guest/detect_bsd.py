"""FreeBSD and OpenBSD: which release, and what they call themselves.

Source: FreeBSD ``bin/freebsd-version/freebsd-version.sh.in``, ``libexec/rc/rc.d/os-release`` (os-release is made at boot, so a new image has
none); OpenBSD ``etc/rc`` (it writes the kernel's version into /etc/motd at boot), ``sys/conf/newvers.sh``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.guest.formats import keyvalue, shellvars

if TYPE_CHECKING:
    from vhdprep.guest.files import GuestFiles

MAX_KERNEL = 64 * 1024 * 1024
"""Bytes of /bsd that are searched for its version."""
_CHUNK = 4 * 1024 * 1024
_RELEASE = re.compile(r"\d+(\.\d+)*")
_MOTD = re.compile(r"OpenBSD (\d+\.\d+)")
_KERNEL = re.compile(rb"OpenBSD (\d{1,2}\.\d{1,2})[ -]")

RC_CONF = ("/etc/rc.conf", "/etc/rc.conf.local")
FREEBSD_VERSION = "/bin/freebsd-version"


class Bsd(NamedTuple):
    """What is known of one."""

    os: str
    version: str | None
    product: str
    hostname: str | None


def detect(files: GuestFiles, distro: str) -> Bsd | None:
    """The BSD whose tree is ``files``; ``distro`` is what os-release says. None = it is neither of the two."""
    script = files.text(FREEBSD_VERSION)
    if distro == "freebsd" or script is not None:
        release = keyvalue.shell(script or "").get("USERLAND_VERSION")
        return _freebsd(files, release.value if release else "")
    motd = (files.text("/etc/motd") or "").split("\n", 1)[0]
    found = _MOTD.match(motd)
    if distro == "openbsd" or ((found or files.is_file("/bsd")) and files.is_file("/etc/master.passwd")):
        version = found[1] if found else _kernel_version(files)
        return Bsd("openbsd", version, f"OpenBSD {version}" if version else "OpenBSD", _first_word(files.text("/etc/myname")))
    return None


def _freebsd(files: GuestFiles, release: str) -> Bsd:
    found = _RELEASE.match(release)
    names = [setting.value for path in RC_CONF if (setting := shellvars.variables(files.text(path) or "").get("hostname")) is not None]
    return Bsd("freebsd", found[0] if found else None, f"FreeBSD {release}".strip(), (names or [""])[-1] or None)


def _kernel_version(files: GuestFiles) -> str | None:
    """The version that the kernel /bsd carries; None = it does not say, or is longer than is searched."""
    before = b""
    for offset in range(0, MAX_KERNEL, _CHUNK):
        data = files.read("/bsd", _CHUNK, offset)
        if found := _KERNEL.search(before + data):
            return found[1].decode()
        if len(data) < _CHUNK:
            return None
        before = data[-32:]
    return None


def _first_word(text: str | None) -> str | None:
    return next((words[0] for line in (text or "").split("\n") if (words := line.split("#")[0].split())), None)
