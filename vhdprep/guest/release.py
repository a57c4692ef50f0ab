"""Which distribution this is: os-release(5), or what older ones wrote before there was such a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.guest.formats import keyvalue

if TYPE_CHECKING:
    from vhdprep.guest.files import GuestFiles

FAMILIES = {
    "debian": "debian", "ubuntu": "debian", "kali": "debian", "devuan": "debian", "raspbian": "debian", "linuxmint": "debian",
    "rhel": "rhel", "centos": "rhel", "fedora": "rhel", "almalinux": "rhel", "rocky": "rhel", "ol": "rhel", "amzn": "rhel",
    "cloudlinux": "rhel", "scientific": "rhel", "manjaro": "arch",
    "sles": "suse", "sled": "suse", "sles_sap": "suse", "opensuse": "suse", "opensuse-leap": "suse", "opensuse-tumbleweed": "suse",
    "suse": "suse", "azurelinux": "azurelinux", "mariner": "azurelinux", "arch": "arch", "alpine": "alpine", "gentoo": "gentoo",
    "flatcar": "flatcar", "coreos": "flatcar", "freebsd": "freebsd", "openbsd": "openbsd",
}  # fmt: skip
"""os-release ID (or a word of ID_LIKE) → family."""

_RELEASE_FILES = ("oracle-release", "centos-release", "fedora-release", "redhat-release", "system-release", "SuSE-release")
"""Oracle's comes first: its redhat-release says that it is Red Hat's."""

_NAMES = (
    ("Oracle Linux", "ol"),
    ("CentOS", "centos"),
    ("Red Hat Enterprise Linux", "rhel"),
    ("Fedora", "fedora"),
    ("CloudLinux", "cloudlinux"),
    ("Scientific Linux", "scientific"),
    ("Amazon Linux", "amzn"),
    ("SUSE Linux Enterprise Server", "sles"),
    ("SUSE Linux Enterprise Desktop", "sled"),
    ("openSUSE", "opensuse"),
)
"""How such a file begins → the ID that the distribution's later os-release has."""

_LSB_NAMES = {"mandrivalinux": "mandriva", "manjarolinux": "manjaro"}
"""DISTRIB_ID of lsb-release in small letters → ID, where they differ."""

_NUMBER = re.compile(r"release ([\d.]+\d|\d)|^VERSION = ([\d.]+)", re.MULTILINE)
_PATCH_LEVEL = re.compile(r"^PATCHLEVEL = ([1-9]\d*)", re.MULTILINE)


class Release(NamedTuple):
    """What a guest calls itself."""

    distro: str
    """``unknown`` when nothing names it."""
    family: str
    version: str | None
    product: str


def read(files: GuestFiles) -> Release:
    """The distribution of the Linux whose tree is ``files``."""
    text = files.text("/etc/os-release")
    found = {key: each.value for key, each in keyvalue.shell(text or files.text("/usr/lib/os-release") or "").items() if each.value}
    distro, version, product = found.get("ID", "").lower(), found.get("VERSION_ID"), found.get("PRETTY_NAME") or found.get("NAME")
    if not distro:
        distro, version, older = _before_os_release(files)
        product = product or older
    return Release(distro, _family(distro, found.get("ID_LIKE", "")), version, product or "Linux of an unknown distribution")


def _family(distro: str, like: str) -> str:
    for name in (distro, *like.lower().split()):
        if name in FAMILIES:
            return FAMILIES[name]
    return distro


def _before_os_release(files: GuestFiles) -> tuple[str, str | None, str | None]:
    """Distribution, version and full name by the files of a time before os-release."""
    line = None
    for name in _RELEASE_FILES:
        if text := files.text(f"/etc/{name}"):
            line = line or text.split("\n", 1)[0].strip()
            if distro := next((each for start, each in _NAMES if text.startswith(start)), None):
                return distro, _number(text), text.split("\n", 1)[0].strip()
    lsb = keyvalue.shell(files.text("/etc/lsb-release") or "")
    if "DISTRIB_ID" in lsb:
        name = lsb["DISTRIB_ID"].value.lower()
        version, full = (lsb[key].value if key in lsb else None for key in ("DISTRIB_RELEASE", "DISTRIB_DESCRIPTION"))
        return _LSB_NAMES.get(name, name) or "unknown", version or None, full or line
    if debian := files.text("/etc/debian_version"):
        number = debian.strip()
        return "debian", number if number[:1].isdigit() else None, f"Debian {number}"
    return "unknown", None, line


def _number(text: str) -> str | None:
    match, patch = _NUMBER.search(text), _PATCH_LEVEL.search(text)
    if match is None:
        return None
    return f"{match[1] or match[2]}.{patch[1]}" if patch else match[1] or match[2]
