"""Which Windows this is: product, build, edition, server or client, architecture, name; by its registry alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from vhdprep.guest.registry import Registry
    from vhdprep.model import GuestFacts

_VERSION = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
_CONTROL = r"HKLM\SYSTEM\CurrentControlSet\Control"
_ARCHITECTURES = {"AMD64": "x86_64", "X86": "i386", "ARM64": "aarch64", "ARM": "arm"}
_BUILD_MARKS = (("amd64", "x86_64"), ("arm64", "aarch64"), ("x86", "i386"))
_FIRST_WINDOWS_11 = 22000
_MAX_TEXT = 100


class Release(NamedTuple):
    """What the registry says of the installed Windows; None = it does not say."""

    product: str | None
    """``Windows Server 2022 Datacenter``"""
    edition: str | None
    """``ServerDatacenter``"""
    name: str | None
    """``21H2``, before that ``1809``, before that ``Service Pack 1``."""
    version: str | None
    """Major, minor, build: ``10.0.20348``."""
    revision: int | None
    """The update level (UBR)."""
    is_server: bool | None
    arch: str | None
    hostname: str | None


def release(registry: Registry) -> Release:
    """The installed Windows; what lies in a hive that cannot be read is None."""
    installation = _text(registry, _VERSION, "InstallationType")
    build = _build(registry)
    is_server = installation.startswith("Server") if installation else _is_server_product(registry)
    revision = _look(lambda: registry.value(_VERSION, "UBR"))
    return Release(
        product=_product(registry, build),
        edition=_text(registry, _VERSION, "EditionID"),
        name=next((found for each in ("DisplayVersion", "ReleaseId", "CSDVersion") if (found := _text(registry, _VERSION, each))), None),
        version=_version(registry, build),
        revision=revision if type(revision) is int else None,
        is_server=is_server,
        arch=_architecture(registry),
        hostname=_text(registry, rf"{_CONTROL}\ComputerName\ComputerName", "ComputerName"),
    )


def describe(facts: GuestFacts, registry: Registry) -> GuestFacts:
    """The facts of a Windows guest with what its registry says; the rest stays as its files and its disk told."""
    found = release(registry)
    build = found.version.rpartition(".")[2] if found.version else None
    details = [found.name, f"build {build}{'' if found.revision is None else f'.{found.revision}'}" if build else None]
    words = ", ".join(each for each in details if each)
    return facts._replace(
        version=found.version,
        product=(found.product or facts.product) + (f" ({words})" if words else ""),
        arch=found.arch or facts.arch,
        hostname=found.hostname,
    )


def _product(registry: Registry, build: str | None) -> str | None:
    """ProductName; Windows 11 still calls itself 10 there, so its build decides."""
    name = _text(registry, _VERSION, "ProductName")
    if name and build and int(build) >= _FIRST_WINDOWS_11:
        return name.replace("Windows 10", "Windows 11")
    return name


def _build(registry: Registry) -> str | None:
    stated = _text(registry, _VERSION, "CurrentBuildNumber") or _text(registry, _VERSION, "CurrentBuild") or ""
    return stated if re.fullmatch(r"[0-9]{1,6}", stated) else None


def _version(registry: Registry, build: str | None) -> str | None:
    """From Windows 10 on the two numbers have values of their own; CurrentVersion stays 6.3 since 8.1."""
    if build is None:
        return None
    major = _look(lambda: registry.value(_VERSION, "CurrentMajorVersionNumber"))
    minor = _look(lambda: registry.value(_VERSION, "CurrentMinorVersionNumber"))
    if type(major) is int and type(minor) is int:
        return f"{major}.{minor}.{build}"
    old = _text(registry, _VERSION, "CurrentVersion") or ""
    return f"{old}.{build}" if re.fullmatch(r"[0-9]{1,2}\.[0-9]{1,2}", old) else None


def _is_server_product(registry: Registry) -> bool | None:
    product_type = _text(registry, rf"{_CONTROL}\ProductOptions", "ProductType")
    return None if product_type is None else product_type != "WinNT"


def _architecture(registry: Registry) -> str | None:
    """The machine's environment, else the name of the build."""
    stated = _text(registry, rf"{_CONTROL}\Session Manager\Environment", "PROCESSOR_ARCHITECTURE")
    if stated:
        return _ARCHITECTURES.get(stated.upper(), stated)
    build = _text(registry, _VERSION, "BuildLabEx") or ""
    return next((arch for mark, arch in _BUILD_MARKS if f".{mark}fre." in build), None)


def _text(registry: Registry, key: str, name: str) -> str | None:
    value = _look(lambda: registry.value(key, name))
    return value[:_MAX_TEXT] if isinstance(value, str) and value else None


def _look(reading: Callable[[], object]) -> object:
    """None where the hive cannot be read: a guest is described by what is left."""
    try:
        return reading()
    except Unreadable:
        return None
