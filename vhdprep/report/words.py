"""Wording that several reporters share: safe text, sizes, one-line descriptions."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import unquote

from vhdprep.model import ABSENT, Outcome, Severity, Target, Value, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.accepted import Waiver
    from vhdprep.location import Transferred
    from vhdprep.model import Container, DiskReport, Finding, GuestFacts, Phase, Provisioner, Report, Volume

VERDICTS = {Verdict.READY: "READY", Verdict.NOT_READY: "NOT READY", Verdict.INCONCLUSIVE: "INCONCLUSIVE", None: "INSPECTED"}
EXIT_CODES = {Verdict.READY: 0, Verdict.NOT_READY: 1, Verdict.INCONCLUSIVE: 3}
HEADINGS = {
    Severity.ERROR: ("must be fixed before the upload", "must be fixed before the upload"),
    Severity.WARNING: ("is worth fixing", "are worth fixing"),
    Severity.NOTE: ("is good to know", "are good to know"),
}
"""What one, and what several failed rules of a severity come to."""
MAX_SHOWN = 4000
"""Characters of one text of the image that a report for people shows."""
MAX_PLACES = 200
"""Places of one finding that a report in a file shows."""
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]+://")
_UNITS = ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))
_HIDDEN = {"Cc", "Cf", "Cn", "Cs", "Co", "Zl", "Zp"}
_COMMAND = re.compile(r"([^:]*\bas (?:root|administrator)\b[^:]*): (\S.*)")


def safe(text: str, most: int = MAX_SHOWN) -> str:
    """Text of the image in one line: every control and direction character shown as an escape, a tab as a space, what is beyond ``most`` cut off."""
    rest = len(text) - most
    text = text[:most].replace("\t", " ")
    if not (text.isascii() and text.isprintable()):
        text = "".join(letter if is_visible(letter) else _escape(letter) for letter in text)
    return f"{text}... ({rest} more characters)" if rest > 0 else text


def is_visible(letter: str) -> bool:
    """Whether a letter shows as itself; not so control and direction characters, and what is no character."""
    return unicodedata.category(letter) not in _HIDDEN


def value(seen: Value) -> str:
    """An observed value in words."""
    if seen is ABSENT:
        return "absent"
    if isinstance(seen, bool):
        return "yes" if seen else "no"
    if isinstance(seen, tuple):
        return safe(", ".join(seen)) or "nothing"
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


def step(text: str) -> tuple[str, str]:
    """A step of a remedy as what to do and the command to type, either of which may be empty: ``In a shell, as root: rm FILE``."""
    if text.startswith("  "):
        return "", text.strip()
    parts = _COMMAND.fullmatch(text)
    return (parts[1], parts[2]) if parts else (text, "")


def role(described: DiskReport) -> str:
    """``OS disk``, ``data disk at LUN 0``."""
    return "OS disk" if described.role == "os" else "data disk" if described.lun is None else f"data disk at LUN {described.lun}"


def about(report: Report) -> Iterator[str]:
    """What is installed, who provisions it, where it stands, what stays as it is, and what the manifest declares: a sentence each."""
    if report.guest:
        yield guest(report.guest, on_disk=bool(report.disks))
    if report.provisioner and report.target is not Target.SPECIALIZED:
        yield provisioner(report.provisioner)
    if report.phase:
        yield phase(report.phase)
    if report.guest and report.target is Target.SPECIALIZED:
        name = f" ({safe(report.guest.hostname)})" if report.guest.hostname else ""
        yield f"every machine made from it keeps its name{name}, its accounts and its keys"
    if report.declared:
        stated = (f"{key.replace('_', ' ')} {_stated(value)}" for key, value in report.declared.fields.items())
        yield f"by the manifest {safe(report.declared.path)}: {', '.join(stated) or 'nothing but its disks'}"
    for each in report.disks:
        if each.digests:
            yield f"SHA-256 of {safe(each.container.path)}: {each.digests.file}; of the disk in it: {each.digests.disk or 'it is not whole'}"


def _stated(value: str | int | bool | tuple[str, ...]) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return safe(" and ".join(value) if isinstance(value, tuple) else str(value))


def failed(report: Report, severity: Severity, *, everything: bool = False) -> list[Finding]:
    """The failed rules of one severity; without ``everything`` only those that the baseline's image did not have."""
    return [each for each in shown(report, everything=everything) if each.severity is severity and each.outcome is Outcome.FAIL]


def undecided(report: Report, *, everything: bool = False) -> dict[str, list[Finding]]:
    """Why rules could not be decided → which."""
    groups: dict[str, list[Finding]] = {}
    for finding in shown(report, everything=everything):
        if finding.outcome is Outcome.UNKNOWN:
            groups.setdefault(finding.reason or "no reason was given", []).append(finding)
    return groups


def shown(report: Report, *, everything: bool) -> list[Finding]:
    """Without those that the baseline's image had as well, unless everything is asked for."""
    return [each for each in report.findings if each.is_new is not False or everything]


def decides(report: Report, severity: Severity) -> bool:
    """Whether a rule of this severity keeps an image from being ready."""
    return severity in (Severity.ERROR, report.fail_on)


def heading(report: Report, found: list[Finding]) -> str:
    """``2 errors must be fixed before the upload``, of failed rules of one severity."""
    severity = found[0].severity
    noun = f"new {severity}" if all(each.is_new for each in found) else str(severity)
    return f"{count(len(found), noun)} {HEADINGS[Severity.ERROR if decides(report, severity) else severity][len(found) != 1]}"


def waiver(held: Waiver) -> str:
    """``until 2027-01-31 by the platform team: it is wanted here (waivers.yaml:3)``."""
    return f"until {held.expiry} by {held.owner}: {held.reason} ({held.place})"


def accepted(finding: Finding) -> list[str]:
    """By whom, until when and why a finding is waived; a line for each waiver."""
    return [waiver(each) for each in finding.waivers]


def compared(report: Report) -> str:
    """What is new against the baseline, what was so before, what is gone; empty without one."""
    if (baseline := report.baseline) is None:
        return ""
    known = [each.rule_id for each in report.findings if each.is_new is False]
    were = f" ({', '.join(known[:4])}{', …' if len(known) > 4 else ''})" if known else ""
    gone = f"; gone since: {', '.join(baseline.gone)}" if baseline.gone else ""
    text = f"{sum(each.is_new is True for each in report.findings)} new, {len(known)} as before{were}{gone}. The verdict counts them all."
    return safe(f"Against {baseline.file} ({baseline.subject}, {baseline.verdict}): {text}")


def summary(report: Report) -> str:
    """``2 errors, 1 warning; 204 rules passed, 0 undecided, 264 not applicable; everything was read``."""
    found = [count(number, severity.value) for severity in Severity if (number := len(failed(report, severity, everything=True)))]
    rules = [f"{count(report.how_many(Outcome.PASS), 'rule')} passed"]
    rules += [f"{report.how_many(each)} {word}" for each, word in ((Outcome.UNKNOWN, "undecided"), (Outcome.NOT_APPLICABLE, "not applicable"))]
    rules += [f"{waived} waived"] if (waived := report.how_many(Outcome.WAIVED)) else []
    rules += [f"{report.left_out} left out"] if report.left_out else []
    parts = [", ".join(found) or "nothing failed", ", ".join(rules)] if report.verdict else ["no rules were asked"]
    return "; ".join([*parts, "not everything was read" if report.gaps else "everything was read"])


def exit_code(report: Report) -> int:
    """The worst of what the verdict and the rehearsal come to: 1 before 3 before 0; where no rules were asked, 3."""
    codes = {3 if report.verdict is None else EXIT_CODES[report.verdict]}
    if report.rehearsal:
        codes.add({True: 0, False: 1, None: 3}[report.rehearsal.passed])
    return next(each for each in (1, 3, 0) if each in codes)


def state(volume: Volume) -> str:
    """Whether a volume was read, in words."""
    if volume.read:
        return f"read; {volume.reason}" if volume.reason else "read"
    return f"{'not read' if volume.needed else 'nothing to read'}{f': {volume.reason}' if volume.reason else ''}"


def is_remote(path: str) -> bool:
    """Whether an image was read over the network."""
    return _ADDRESS.match(path) is not None


def local_name(path: str) -> str:
    """The file that commands name: of an image on the network the one that downloading it makes."""
    return unquote(path.rstrip("/").rpartition("/")[2]) if is_remote(path) else path


def transferred(took: Transferred) -> str:
    """``34 MiB of 30 GiB transferred in 120 requests``."""
    return f"{size(took.bytes)} of {size(took.of)} transferred in {count(took.requests, 'request')}"


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
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
