"""One image → its JSON report. The one function that every engine carries out, and all that it depends on is in the job."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vhdprep import __version__, isolate
from vhdprep.errors import UsageError
from vhdprep.gate import Gate
from vhdprep.model import Severity, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhdprep.accepted import Waiver
    from vhdprep.declared import Declared
    from vhdprep.ruleset.rule import Rule

MANIFESTS = (".yaml", ".yml")
"""What a file that names the disks of a machine is called."""


class Options(NamedTuple):
    """How to judge; plain values, for they travel."""

    target: str | None = None
    """None = as the manifest says, else generalized."""
    rules: tuple[str, ...] = ()
    selected: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    waivers: str | None = None
    fail_on: str = "error"
    backend: str = "auto"
    digest: bool = False


class Job(NamedTuple):
    """One image, or one machine."""

    subject: str
    """The file, or the manifest."""
    options: Options
    stamp: str
    """What whoever asks has loaded; see ``Loaded``."""
    folder: str = "."
    """What paths count from, here and on any worker."""


class Subject(NamedTuple):
    """The disks of a job."""

    disks: tuple[Path, ...]
    """The operating system's first."""
    declared: Declared | None = None


class Loaded(NamedTuple):
    """What options name, read."""

    rules: tuple[Rule, ...]
    left_out: int
    waivers: tuple[Waiver, ...] | None
    ruleset: str
    """SHA-256 over the rules that are asked."""
    stamp: str
    """The same wherever program, rules and waivers are."""
    current: tuple[bool, ...]
    """Of each waiver, whether it holds on the day of loading."""


@lru_cache(maxsize=4)
def load(options: Options) -> Loaded:
    """Rules and waivers; read once in a process.

    Raises:
        UsageError: a folder or a file cannot be read.
        RuleError: what stands in them is wrong.
    """
    from vhdprep import waivers as waiving
    from vhdprep.ruleset.load import digest, load_rules, select

    known = load_rules(tuple(Path(each) for each in options.rules))
    chosen = select(known, options.selected, options.ignored)
    waivers = waiving.load(Path(options.waivers), [rule.id for rule in known]) if options.waivers else None
    ruleset = digest(chosen)
    stamp = hashlib.sha256(json.dumps([__version__, ruleset, len(known), waivers]).encode()).hexdigest()
    today = datetime.now(UTC).date().isoformat()
    return Loaded(chosen, len(known) - len(chosen), waivers, ruleset, stamp, tuple(each.expiry >= today for each in waivers or ()))


def subject_of(name: str) -> Subject:
    """The disks of an image, or of the machine that a manifest is about.

    Raises:
        UsageError: the manifest cannot be read.
        RuleError: it is wrong.
    """
    path = Path(name)
    if path.suffix.lower() not in MANIFESTS:
        return Subject((path,))
    from vhdprep import location, manifest

    declared = manifest.load(path)
    disks = [location.parse(each.file) for each in declared.disks]
    if (files := location.files(disks)) != disks:
        raise UsageError(f"{path}: names an address; a fleet judges files")
    return Subject(tuple(files), declared)


def judge(job: Job) -> str:
    """The report as JSON in one line. Digests take as long as they take; reading happens in a child, within the bounds of ``isolate``.

    Raises:
        VhdprepError: nothing was judged, and why.
    """
    loaded = load(job.options)
    if loaded.stamp != job.stamp:
        raise UsageError("the worker has another version of vhdprep, other rules or other waivers than whoever asks it; make them the same")
    subject = subject_of(job.subject)
    target = _target(subject, job.options)
    gate = Gate(loaded.waivers, _digest_for_waivers(subject, loaded), None, Severity(job.options.fail_on))
    taken = None
    if job.options.digest:
        from vhdprep.vhd import digest

        taken = digest.take(subject.disks, _in_silence)

    def work(avoid: Mapping[str, str]) -> str:
        from vhdprep.check import check
        from vhdprep.report.json import document

        first, *others = subject.disks
        report = check(first, loaded.rules, data=others, declared=subject.declared, target=target, backend=job.options.backend, avoid=avoid)
        report = gate.apply(report._replace(left_out=loaded.left_out), loaded.rules)
        return json.dumps(document(taken.attach(report) if taken else report))

    return isolate.call(work)


def _target(subject: Subject, options: Options) -> Target:
    asked = Target(options.target) if options.target else None
    if subject.declared is None:
        return asked or Target.GENERALIZED
    from vhdprep import manifest

    return manifest.target(subject.declared, asked)


def _digest_for_waivers(subject: Subject, loaded: Loaded) -> str | None:
    from vhdprep import waivers as waiving

    if loaded.waivers is None or not waiving.names_digest(loaded.waivers):
        return None
    return waiving.digest(subject.disks[0], _in_silence)


def _in_silence(_done: int, _total: int, _step: str) -> None:
    """A worker has nobody to show its progress to."""
