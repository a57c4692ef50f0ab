"""Waivers: a file of written decisions to live with a finding, and what they make of a report.

A waiver says what it means: a rule that could not be decided, or that is about the container or the partition table, is waived only where
``outcome`` names that. What was not read at all (a gap) belongs to no rule and cannot be waived. The day of expiry is the only thing
that is compared with today.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from vhdprep import hostfile
from vhdprep.accepted import Waiver
from vhdprep.errors import Complaint, RuleError, UsageError
from vhdprep.guest.formats import yamltext
from vhdprep.guest.formats.plain import Lines
from vhdprep.model import Outcome
from vhdprep.ruleset.evaluate import asks_each_disk
from vhdprep.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from vhdprep.model import Finding, Report
    from vhdprep.ruleset.rule import Rule

MAX_FILE = 1024 * 1024
"""Bytes of a file of waivers."""
_REQUIRED = ("rule", "reason", "owner", "expiry")
_KEYS = (*_REQUIRED, "outcome", "image", "path")
_OUTCOMES = ("fail", "unknown")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LINE = re.compile(r":\d+$")
_CHUNK = 4 * 1024 * 1024


def load(path: Path, known: Sequence[str]) -> tuple[Waiver, ...]:
    """The waivers of a file; ``known``: the ids of all rules.

    Raises:
        RuleError: anything in it is wrong; carries every complaint.
        UsageError: it cannot be read.
    """
    data = hostfile.read(path, MAX_FILE, "the waivers", "file of waivers")
    complaints: list[Complaint] = []
    found: list[Waiver] = []
    for each in _listed(data, path, complaints):
        complaints += [Complaint(str(path), line, text) for line, text in _problems(each, known)]
        found.append(_waiver(each, path))
    if complaints:
        raise RuleError(complaints)
    return tuple(found)


def _listed(data: bytes, path: Path, complaints: list[Complaint]) -> list[Lines]:
    """The mappings of the file's list; a file of comments is an empty one."""
    try:
        values = yamltext.load(data.decode())
    except UnicodeDecodeError:
        complaints.append(Complaint(str(path), 1, "is no text in UTF-8"))
        return []
    except yamltext.YamlError as error:
        complaints.append(Complaint(str(path), error.line, str(error)))
        return []
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(each, Lines) for each in values):
        text = f"waivers are a list; each begins with `- rule: ID`, and says {', '.join(_REQUIRED[1:])} below"
        complaints.append(Complaint(str(path), getattr(values, "line", 1), text))
        return []
    return values


def digest(path: Path, progress: Callable[[int, int, str], None]) -> str:
    """``sha256:`` and the digest of the image's file, for waivers that name one.

    Raises:
        UsageError: it cannot be read.
    """
    total, done = hashlib.sha256(), 0
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            while data := file.read(_CHUNK):
                total.update(data)
                done += len(data)
                progress(done, size, "digest")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    return f"sha256:{total.hexdigest()}"


def names_digest(waivers: Iterable[Waiver]) -> bool:
    """Whether any of them is for one image by its digest."""
    return any(each.image is not None and _DIGEST.fullmatch(each.image) for each in waivers)


def apply(report: Report, waivers: Sequence[Waiver], rules: Iterable[Rule], today: date, image: str | None = None) -> Report:
    """The report with what is waived, judged anew; ``image``: its digest, if a waiver names one."""
    dated = [each._replace(expired=date.fromisoformat(each.expiry) < today) for each in waivers]
    here = [each for each in dated if each.image is None or _is_for(each.image, report.subject, image)]
    on_disk = {rule.id for rule in rules if asks_each_disk(rule.check, any)}
    used: set[Waiver] = set()
    notices: list[str] = []
    findings = []
    for finding in report.findings:
        wanted = [each for each in here if each.rule == finding.rule_id]
        judged, notes = _waive(finding, wanted, finding.rule_id in on_disk) if wanted else (finding, ())
        used.update(judged.waivers)
        notices += notes
        findings.append(judged)
    asked = {finding.rule_id for finding in report.findings}
    notices += [
        f"{each.place}: the waiver of {each.rule} is of no use here any more; remove it" for each in here if each.rule in asked and each not in used
    ]
    shown = tuple(findings)
    return report._replace(findings=shown, verdict=judge(shown, report.gaps, report.fail_on), notices=(*report.notices, *notices))


def _is_for(wanted: str, subject: str, image: str | None) -> bool:
    if _DIGEST.fullmatch(wanted):
        return wanted == image
    name = subject.replace("\\", "/")
    return fnmatchcase(name if "/" in wanted else name.rpartition("/")[2], wanted)


def _waive(finding: Finding, wanted: Sequence[Waiver], on_disk: bool) -> tuple[Finding, tuple[str, ...]]:
    """A finding under the waivers of its rule, and what there is to say about those that do not help."""
    if finding.outcome not in (Outcome.FAIL, Outcome.UNKNOWN):
        return finding, ()
    named = [each for each in wanted if each.outcome == finding.outcome or (each.outcome is None and finding.outcome is Outcome.FAIL and not on_disk)]
    touching = [each for each in named if any(_covers(each, where) for where in _places(finding))]
    valid = [each for each in touching if not each.expired]
    open_places = [where for where in _places(finding) if not any(_covers(each, where) for each in valid)]
    if not open_places:
        return finding._replace(outcome=Outcome.WAIVED, waivers=tuple(valid)), ()
    notices = [_unnamed(each, finding, on_disk) for each in wanted if each not in named]
    notices += [
        f"{each.place}: the waiver of {each.rule} by {each.owner} expired on {each.expiry}; the finding counts again"
        for each in touching
        if each.expired
    ]
    if valid:
        more = f" and {len(open_places) - 1} more" if len(open_places) > 1 else ""
        notices.append(f"{valid[0].place}: the waiver of {finding.rule_id} does not cover {open_places[0]}{more}; the finding counts")
    kept = [each for each in wanted if each not in named]
    return finding._replace(waivers=(*touching, *kept)), tuple(notices)


def _unnamed(waiver: Waiver, finding: Finding, on_disk: bool) -> str:
    because = "it could not be decided" if finding.outcome is Outcome.UNKNOWN else "it is about the disk itself" if on_disk else "it failed"
    return f"{waiver.place}: the waiver of {waiver.rule} does not hold, for {because}; one that is meant for that says `outcome: {finding.outcome}`"


def _places(finding: Finding) -> list[str]:
    return [each.where for each in finding.observations] or [""]


def _covers(waiver: Waiver, where: str) -> bool:
    return waiver.path is None or any(fnmatchcase(each, waiver.path) for each in (where, _LINE.sub("", where)))


def _problems(data: Lines, known: Sequence[str]) -> Iterator[tuple[int, str]]:
    """What is wrong with one waiver."""
    for key in data:
        if key not in _KEYS:
            yield data.line_of(key), f"unknown key {key!r}" + _guess(key, _KEYS, f"; a waiver knows {', '.join(_KEYS)}")
        elif not isinstance(data[key], str) or not data[key].strip():
            yield data.line_of(key), f"{key} is a text, and not empty"
    for key in _REQUIRED:
        if key not in data:
            yield data.line, f"key {key!r} is missing; a waiver says {', '.join(_REQUIRED)}"
    values = {key: value for key, value in data.items() if isinstance(value, str)}
    if (rule := values.get("rule")) is not None and rule not in known:
        yield data.line_of("rule"), f"no rule is called {rule!r}" + _guess(rule, known, "; see `vhdprep rules list`")
    if (expiry := values.get("expiry")) is not None and not _is_date(expiry):
        yield data.line_of("expiry"), f"expiry {expiry!r} is no day; write it as 2027-01-31"
    if (outcome := values.get("outcome")) is not None and outcome not in _OUTCOMES:
        yield data.line_of("outcome"), f"outcome {outcome!r} cannot be waived; choose fail or unknown"
    if (image := values.get("image", "")).lower().startswith("sha256:") and not _DIGEST.fullmatch(image):
        yield data.line_of("image"), "a digest is sha256: and 64 digits, small letters, as sha256sum prints it"


def _guess(word: str, words: Sequence[str], otherwise: str) -> str:
    near = get_close_matches(word, words, 1)
    return f"; did you mean {near[0]}?" if near else otherwise


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _waiver(data: Lines, path: Path) -> Waiver:
    rule, reason, owner, expiry, outcome, image, where = (" ".join(str(data[key]).split()) if key in data else None for key in _KEYS)
    return Waiver(rule or "", reason or "", owner or "", expiry or "", outcome, image, where, f"{path}:{data.line}")
