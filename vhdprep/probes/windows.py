"""Probes of Windows: registry, services, boot configuration, answer files."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Literal

from vhdprep.errors import Unreadable
from vhdprep.guest.formats.masking import excerpt
from vhdprep.guest.image import Guest, Image
from vhdprep.guest.registry import BOOT_STORE, DEFAULT
from vhdprep.model import ABSENT, Observation, Value
from vhdprep.probes.registry import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.formats.bcd import Device
    from vhdprep.guest.registry import Key

MAX_PARTS = 1000
"""Keys or values that one finding lists."""
_SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
_STARTS = {0: "boot", 1: "system", 2: "automatic", 3: "manual", 4: "disabled"}


@probe(returns="text, number, list, or hexadecimal text of binary data; absent when the key or the value is missing")
def registry_value(image: Image, *, key: str, name: str) -> Observation:
    r"""One value of the Windows registry.

    key: from `HKLM\SYSTEM`, `SOFTWARE`, `SAM` or `SECURITY` on (`CurrentControlSet` is the one that starts), or from a
    hive file on: `/Users/Default/NTUSER.DAT\Software`. name: the value; `(default)` is the one without a name.
    """
    value = image.need_guest().need_registry().value(key, "" if name == DEFAULT else name)
    return Observation(value, f"{key}\\{name}")


@probe(returns="`present`; absent when there is no such key")
def registry_key(image: Image, *, key: str) -> Observation:
    """Whether a registry key exists, be it empty."""
    found = image.need_guest().need_registry().key(key)
    return Observation(ABSENT if found is None else "present", key)


@probe(returns="a list of keys")
def registry_subkeys(image: Image, *, key: str, matching: str = "") -> Observation:
    """The keys directly below a registry key. matching: a regular expression for their names."""
    found = _key(image, key)
    names = (each.name for each in found.subkeys()) if found else ()
    parts = [Observation("key", f"{key}\\{name}") for name in names if re.search(matching, name)]
    return Observation.listing(key, tuple(parts[:MAX_PARTS]))


@probe(returns="a list of values")
def registry_values(image: Image, *, key: str, matching: str = "", secret: bool = False) -> Observation:
    r"""The values of a registry key.

    key: one that ends in `\*` = every key directly below. matching: a regular expression for `NAME=DATA`. secret: show names only.
    """
    parts = []
    for path, found in _keys(image, key):
        for name, value in found.values():
            shown = ", ".join(value) if isinstance(value, tuple) else str(value)
            if re.search(matching, f"{name}={shown}"):
                words = "(not shown)" if secret else excerpt(f"{name}={shown}").removeprefix(f"{name}=")
                parts.append(Observation(words, f"{path}\\{name or DEFAULT}"))
    return Observation.listing(key, tuple(parts[:MAX_PARTS]))


@probe(
    returns="for `start`: `boot | system | automatic | manual | disabled`; for `image`: the command; for `program`: the path of its file, "
    "or `no file at` it; absent when there is no such service"
)
def windows_service(image: Image, *, name: str, field: Literal["start", "image", "program"] = "start") -> Observation:
    """How a Windows service or driver starts, and what it runs."""
    guest = image.need_guest()
    key = f"{_SERVICES}\\{name}"
    value_name = "Start" if field == "start" else "ImagePath"
    value = guest.need_registry().value(key, value_name)
    if field == "start" and type(value) is int:
        value = _STARTS.get(value, str(value))
    if field == "program" and isinstance(value, str):
        from vhdprep.guest import programs

        path = programs.started(value)
        value = path if guest.files.is_file(path) else f"no file at {path}"
    return Observation(value, f"{key}\\{value_name}")


@probe(returns="a list of places, one for each service")
def windows_services(
    image: Image, *, names: tuple[str, ...], starting: tuple[Literal["boot", "system", "automatic", "manual", "disabled"], ...]
) -> Observation:
    """Services and drivers of these names that start in one of these ways. names: without case; `*` stands for any text."""
    found = _key(image, _SERVICES)
    wanted = re.compile("|".join(fnmatch.translate(name) for name in names), re.IGNORECASE)
    parts = []
    for service in found.subkeys() if found else ():
        start = service.value("Start") if wanted.match(service.name) else ABSENT
        words = _STARTS.get(start) if type(start) is int else None
        if words in starting:
            parts.append(Observation(f"{service.name} ({words})", f"{_SERVICES}\\{service.name}"))
    return Observation.listing(_SERVICES, tuple(parts[:MAX_PARTS]))


@probe(
    returns="`sealed-oobe | sealed-audit | audit | in-use | booted-again | sysprep-failed | sysprep-interrupted | setup-unfinished | contradictory`"
)
def setup_phase(image: Image) -> Observation:
    """Where a Windows stands between Setup, Sysprep and use.

    By `ImageState` in the registry and in State.ini, by what the next start runs, by how far Setup came and by Sysprep's mark
    of success together, and by Sysprep's log where these leave it in use; `GeneralizationState` decides nothing.
    """
    from vhdprep.guest import setupphase

    found = setupphase.need(image.need_guest())
    return Observation(found.name or ABSENT, "Windows Setup", tuple(each for each in found.witnesses if each.value is not ABSENT))


@probe(
    returns="`succeeded | interrupted`, or what it failed for: `package | bitlocker | reserved-storage | pending-updates | rearm-limit | "
    "upgraded | earlier-failure | command-line | provider`; absent when no run is logged"
)
def sealing_run(image: Image) -> Observation:
    """How the last run that was to seal a Windows went, with the lines of Sysprep's log that say so.

    Errors in a run that succeeded count for nothing: good images have them too. `package`: a Store app that only some user has;
    `earlier-failure`: Sysprep refuses because a run before failed; `provider`: another part of Windows, or a program's, failed.
    """
    from vhdprep.guest import sealing

    return sealing.last_run(image.need_guest())


@probe(returns="a list of places, one for each app and user", exact=False)
def store_apps(image: Image, *, having: Literal["unprovisioned"]) -> Observation:
    """Store apps that users of a Windows installed.

    having: `unprovisioned` = not for all users, in no version; frameworks, packages of resources and parts of Windows are left out.
    """
    from vhdprep.guest import storeapps

    return {"unprovisioned": storeapps.unprovisioned}[having](image.need_guest())


@probe(
    returns="for `product`: `client | server | domain-controller`; for `domain`: its name, or `a domain`; for `management`: the account's name, "
    "or `an account`; absent = in no domain, not managed"
)
def windows_standing(image: Image, *, field: Literal["product", "domain", "management"]) -> Observation:
    """What a Windows is to others.

    field: `product` by ProductType, and a server with the directory's service and database is a controller; `domain` by the
    machine's account and by what the domain's policies left; a DNS suffix counts only where the account cannot be read;
    `management` by an enrolment of the device (MDM) that is complete.
    """
    from vhdprep.guest import standing

    return {"product": standing.product, "domain": standing.domain, "management": standing.management}[field](image.need_guest())


@probe(returns="a list of names; empty on a client")
def server_roles(
    image: Image,
    *,
    having: Literal["unsupported", "unsupported-formerly", "conditional", "not-sold"],
    roles: tuple[str, ...] = (),
    besides: tuple[str, ...] = (),
) -> Observation:
    """Installed roles and features of a Windows Server, by the dated table rules/data/server-roles.yaml.

    having: what the table says of generalizing this version with them, else the nearest version it has: `unsupported` (No),
    `unsupported-formerly` (No, but the role was rebuilt since), `conditional` (Yes, but …); or `not-sold` = no offer in the
    marketplace may depend on it. roles, besides: only these, but not these, by the table's keys. Server Manager's list decides
    first, then services that only the role installs, then its files.
    """
    from vhdprep.guest import roles as reading

    return reading.find(image.need_guest(), having, roles, besides)


@probe(
    returns="text, number, yes/no or list; of a device `boot | locate`, `windows` = the partition of the Windows that is judged, another "
    "`partition` of this disk, or `elsewhere`; absent when not set"
)
def boot_element(image: Image, *, object: Literal["boot-manager", "default-loader", "ems-settings"], element: str) -> Observation:
    """One element of the Windows boot configuration (BCD), also where the object inherits it.

    element: its type as eight hexadecimal digits, such as `12000002` (path), `21000001` (device of Windows).
    """
    from vhdprep.guest.formats import bcd  # late, as below: of no use to a Linux guest

    guest = image.need_guest()
    root = guest.need_registry().key(f"HKLM\\{BOOT_STORE}")
    if root is None:
        _refuse_unread(guest)
    store = bcd.Store(root)
    known = {"boot-manager": bcd.BOOT_MANAGER, "ems-settings": bcd.EMS_SETTINGS}
    identifier = known.get(object) or store.default_loader()
    where = f"HKLM\\{BOOT_STORE}\\Objects\\{identifier or '(no default loader)'}\\Elements\\{element}"
    found = store.element(identifier, element) if identifier else ABSENT
    return Observation(_place(image, found) if isinstance(found, bcd.Device) else found, where)


@probe(returns="a list of places, one for each section")
def answer_file_sections(
    image: Image,
    *,
    patterns: tuple[str, ...] = (),
    named_by: str = "",
    passes: tuple[str, ...],
    state: Literal["any", "unprocessed"] = "any",
) -> Observation:
    r"""Sections of answer files (unattend.xml) for these configuration passes.

    patterns: the files. named_by: the registry value, as `KEY\NAME`, that names one. state: `unprocessed` = Windows Setup has
    not used the section yet.
    """
    from vhdprep.guest import programs
    from vhdprep.guest.formats import unattend

    files = image.need_guest().files
    key, _, name = named_by.rpartition("\\")
    named = image.need_guest().need_registry().value(key, name) if named_by else ABSENT
    paths = [path for pattern in patterns for path in files.glob(pattern)]
    paths += [programs.located(named.strip().strip('"'))] if isinstance(named, str) and named.strip() else []
    parts = []
    for path in filter(files.is_file, paths):
        for section in unattend.sections(files.read(path, unattend.MAX_SIZE), path):
            if section.configuration_pass in passes and not (state == "unprocessed" and section.is_processed):
                words = "processed" if section.is_processed else "not processed"
                parts.append(Observation(f"{section.configuration_pass}, {words}", f"{path}:{section.line}"))
    return Observation.listing(", ".join(patterns) or named_by, tuple(parts[:MAX_PARTS]))


@probe(returns="a list of places, one for each secret")
def answer_file_secrets(image: Image, *, patterns: tuple[str, ...]) -> Observation:
    """Passwords in answer files (unattend.xml), whether Windows Setup has used them or not; what it blanked does not count.

    patterns: the files. The passwords are never shown.
    """
    from vhdprep.guest.formats import unattend

    files = image.need_guest().files
    parts = []
    for path in dict.fromkeys(path for pattern in patterns for path in files.glob(pattern) if files.is_file(path)):
        for secret in unattend.secrets(files.read(path, unattend.MAX_SIZE), path):
            parts.append(Observation(f"{secret.element} (not shown)", f"{path}:{secret.line}"))
    return Observation.listing(", ".join(patterns), tuple(parts[:MAX_PARTS]))


def _key(image: Image, key: str) -> Key | None:
    return image.need_guest().need_registry().key(key)


def _keys(image: Image, path: str) -> Iterator[tuple[str, Key]]:
    above, _, last = path.rpartition("\\")
    found = _key(image, above if last == "*" else path)
    if found is None:
        return
    if last != "*":
        yield path, found
        return
    for each in found.subkeys():
        yield f"{above}\\{each.name}", each


def _place(image: Image, device: Device) -> Value:
    """Whether the partition that an entry names is on this disk; Windows looks for the disk first, by its GUID or signature."""
    if device.kind == "other":
        raise Unreadable("the boot configuration names a device of a kind that is not known here")
    if device.kind != "partition":
        return device.kind
    disk = image.need_disk()
    is_this_disk = str(disk.fields.get("gpt:disk_guid", "")).casefold() == device.disk
    for volume in disk.volumes:
        identity = (volume.part_uuid or "").casefold()
        is_gpt = device.partition is not None and identity == device.partition and is_this_disk
        is_mbr = device.offset is not None and volume.offset == device.offset and identity.partition("-")[0] == (device.disk or "")[2:]
        if is_gpt or is_mbr:
            return "windows" if volume.id == image.need_guest().root else "partition"
    return "elsewhere"


def _refuse_unread(guest: Guest) -> None:
    """A store that was not found may lie on a partition that was not read."""
    for each in guest.volumes:
        if each.needed and not each.read:
            raise Unreadable(f"the boot configuration may lie on {each.id}, which was not read: {each.reason}")
