"""Wording that several reporters share: safe text, sizes, one-line descriptions."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from vhdprep.model import ABSENT, Value

if TYPE_CHECKING:
    from vhdprep.model import Container, DiskReport, GuestFacts, Phase, Provisioner

_UNITS = ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def safe(text: str) -> str:
    """Text of the image in one line: every control and direction character shown as an escape, a tab as a space."""
    text = text.replace("\t", " ")
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(letter) if unicodedata.category(letter) in _HIDDEN else letter for letter in text)


def value(seen: Value) -> str:
    """An observed value in words."""
    if seen is ABSENT:
        return "absent"
    if isinstance(seen, bool):
        return "yes" if seen else "no"
    if isinstance(seen, tuple):
        return ", ".join(safe(each) for each in seen) or "nothing"
    return safe(str(seen))


def size(number: int | None) -> str:
    """Bytes in the largest unit that leaves a whole number, else rounded with the exact count."""
    if number is None:
        return "unknown size"
    for unit, name in _UNITS:
        if number >= unit:
            whole, rest = divmod(number, unit)
            return f"{whole} {name}" if not rest else f"{number / unit:.1f} {name} ({number} bytes)"
    return f"{number} bytes"


def count(number: int, noun: str) -> str:
    """``1 rule``, ``2 rules``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def container(described: Container) -> str:
    """``fixed VHD, 30 GiB``."""
    kind = f"{described.type} {described.format.upper()}" if described.type else described.contents
    return kind if described.virtual_size is None else f"{kind}, {size(described.virtual_size)}"


def guest(facts: GuestFacts, *, on_disk: bool = True) -> str:
    """``Debian GNU/Linux 12 (bookworm), x86_64, boots as Generation 1 or 2``."""
    generations = " or ".join(str(each) for each in facts.generations)
    boots = f", boots as Generation {generations}" if generations else ", no way to boot was found" if on_disk else ""
    return f"{safe(facts.product)}, {safe(facts.arch or 'unknown architecture')}{boots}"


_PROVISIONERS = {
    "cloud-init": "cloud-init will provision it",
    "waagent": "the Azure Linux Agent will provision it",
    "azure-init": "azure-init will provision it",
    "nobody": "nobody will provision it",
    "contradiction": "cloud-init and the Azure Linux Agent are at odds over who provisions it",
}


def provisioner(found: Provisioner) -> str:
    """``cloud-init will provision it``; with the reasons where that is bad news."""
    if found.who is None:
        return f"who will provision it is not known: {safe(str(found.because[0].value))}"
    reasons = "; ".join(f"{safe(str(each.value))} ({safe(each.where)})" for each in found.because)
    return _PROVISIONERS[found.who] + (f": {reasons}" if found.who in ("nobody", "contradiction") else "")


PHASES = {
    "sealed-oobe": "sealed by Sysprep for OOBE",
    "sealed-audit": "sealed by Sysprep for audit mode",
    "audit": "in audit mode",
    "in-use": "in use; nothing shows that it was ever sealed",
    "booted-again": "was sealed once and has been started since",
    "sysprep-failed": "not sealed; the last run of Sysprep failed",
    "sysprep-interrupted": "not sealed; the last run of Sysprep was interrupted",
    "setup-unfinished": "its Setup has not finished",
    "contradictory": "contradictory: its witnesses cannot all be right",
    None: "not known whether it is sealed",
}
"""What the report says of each phase."""


def phase(found: Phase) -> str:
    """``sealed by Sysprep for OOBE``; with what each witness says where it is anything else."""
    said: dict[str, list[str]] = {}
    for each in found.witnesses:
        said.setdefault(value(each.value) or "empty", []).append(safe(each.where.replace("\\", "/").rpartition("/")[2]))
    seen = "; ".join(f"{', '.join(names)}: {words}" for words, names in said.items())
    return PHASES[found.name] + (f" ({seen})" if found.name != "sealed-oobe" else "")


def disk(described: DiskReport) -> str:
    """``GPT, 3 volumes, all read``; empty where no disk was found."""
    if described.table is None and not described.volumes:
        return ""
    table = {"gpt": "GPT", "mbr": "MBR", None: "no partition table"}.get(described.table, described.table)
    unread = [volume.id for volume in described.volumes if volume.needed and not volume.read]
    what = count(len(described.volumes), "volume")
    return f"{table}, {what}, " + (f"not read: {', '.join(unread)}" if unread else "all read" if described.volumes else "nothing to read")


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
