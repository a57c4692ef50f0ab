"""What would be done to an image, as data: every change, what stays for a person, and what is withheld.

A plan is the outcome of trying: remedies are performed on a draft, the rules are asked again, and so on until nothing
more changes. Preparing what was prepared therefore plans nothing.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from vhdprep import byhand
from vhdprep import remedy as kinds
from vhdprep.disk.backend import FileKind
from vhdprep.errors import Unreadable, UsageError
from vhdprep.guest.formats.masking import mask
from vhdprep.model import Finding, Outcome, Severity
from vhdprep.prepare import actions
from vhdprep.prepare.draft import Content, Draft, Spot
from vhdprep.remedy import Disposition
from vhdprep.ruleset.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from vhdprep.guest.image import Image
    from vhdprep.prepare.keys import KeyEdit
    from vhdprep.ruleset.rule import Rule

MAX_ROUNDS = 8
"""How often remedies are performed and rules asked again: a remedy may bring to light what another rule asks for."""
MAX_SHOWN = 20
"""Changed lines of a file that a plan shows."""
_SECRET = "(not shown)"
_NEVER_SHOWN = ("passwd", "shadow", "gshadow", "master.passwd")
"""Files with hashes of passwords, and (with ``-``) their backups, wherever they lie."""


class Change(NamedTuple):
    """What becomes of one path."""

    rules: tuple[str, ...]
    """Who asks for it."""
    what: str
    """``remove | write | link | directory | registry``"""
    shown: str
    """The path as the guest has it."""
    spot: Spot
    """Where that lies."""
    before: Content | None
    after: Content | None
    keys: tuple[KeyEdit, ...] = ()
    """Of a hive."""
    lines: tuple[str, ...] = ()
    """Of a text file: lines that go (``-``) and come (``+``), secrets left out."""


class Left(NamedTuple):
    """A failed rule that the plan does not see to."""

    rule: str
    severity: Severity
    message: str
    reason: str
    """Why not."""
    steps: tuple[str, ...]


class Forecast(NamedTuple):
    """A rule whose outcome the changes alter."""

    rule: str
    severity: Severity
    before: Outcome
    after: Outcome

    @property
    def is_worse(self) -> bool:
        """It passed and will not, or an error comes up that was not one."""
        bad = self.after in (Outcome.FAIL, Outcome.UNKNOWN)
        return bad and (self.before is Outcome.PASS or (self.severity is Severity.ERROR and self.before is Outcome.NOT_APPLICABLE))


class Plan(NamedTuple):
    """All of it."""

    copy: tuple[str, ...]
    """Rules that copying into a fixed VHD sees to."""
    changes: tuple[Change, ...]
    manual: tuple[Left, ...]
    withheld: tuple[Left, ...]
    """Unsafe without the user's word."""
    forecast: tuple[Forecast, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.copy and not self.changes


class Planned(NamedTuple):
    """A plan, and the bytes it writes."""

    plan: Plan
    contents: Mapping[Spot, bytes]


def make(look_at_files: Callable[[], Image], rules: Sequence[Rule], *, unsafe: bool = False, users: Sequence[str] = ()) -> Planned:
    """The plan for the image that ``look_at_files`` gives; it is asked again after every round, over the same draft.

    ``unsafe``: perform remedies that may take away what somebody wants. ``users``: accounts to delete.
    """
    draft = Draft()
    reasons: dict[str, str] = {}

    def look() -> Image:
        return _with_keys(look_at_files(), draft)

    image = look()
    first = findings = evaluate(rules, image)
    if users and image.guest is None:
        raise UsageError(f"--delete-user: {image.no_guest}")
    if users and image.guest is not None:
        from vhdprep.prepare import users as accounts

        draft.rule = "--delete-user"
        for name in users:
            accounts.delete(image.guest, draft, name)
        findings = evaluate(rules, look())
    for _ in range(MAX_ROUNDS):
        before = _progress(draft)
        _perform(look(), findings, draft, reasons, unsafe=unsafe)
        if before == _progress(draft):
            break
        findings = evaluate(rules, look())
    return Planned(
        Plan(
            copy=tuple(each.rule_id for each in findings if _is_failed(each) and isinstance(each.remedy, kinds.ConvertVhd)),
            changes=_changes(draft, first),
            manual=tuple(_left(each, _why_manual(each, reasons)) for each in findings if _is_failed(each) and _is_manual(each, unsafe=unsafe)),
            withheld=tuple(
                _left(each, "it may take away what somebody wants: --allow unsafe") for each in findings if _is_withheld(each, unsafe=unsafe)
            ),
            forecast=forecast(first, findings),
        ),
        {spot: draft.data(spot) for spot in draft.touched if _is_written(draft, spot)},
    )


def forecast(before: Iterable[Finding], after: Iterable[Finding]) -> tuple[Forecast, ...]:
    """Rules whose outcome differs."""
    had = {each.rule_id: each.outcome for each in before}
    return tuple(Forecast(each.rule_id, each.severity, had[each.rule_id], each.outcome) for each in after if each.outcome is not had[each.rule_id])


def _with_keys(image: Image, draft: Draft) -> Image:
    """The image with the draft's registry, if it has one."""
    if image.guest is None or image.guest.registry is None:
        return image
    from vhdprep.prepare.keys import DraftRegistry  # late: of no use to a Linux guest

    return image._replace(guest=image.guest._replace(registry=DraftRegistry(image.guest.registry, draft.keys)))


def _progress(draft: Draft) -> tuple[int, int, int]:
    """Grows with whatever is changed."""
    return len(draft.touched), draft.written, len(draft.keys)


def _perform(image: Image, findings: Iterable[Finding], draft: Draft, reasons: dict[str, str], *, unsafe: bool) -> None:
    """Every remedy that may be performed; ``reasons`` takes why one could not be."""
    if image.guest is None:
        return
    for each in findings:
        if not _is_failed(each) or isinstance(each.remedy, kinds.Manual | kinds.ConvertVhd) or _is_withheld(each, unsafe=unsafe):
            continue
        draft.rule = each.rule_id
        try:
            actions.apply(each, image.guest, draft)
        except (actions.CannotApply, Unreadable) as error:
            reasons[each.rule_id] = str(error)


def _is_failed(finding: Finding) -> bool:
    return finding.outcome is Outcome.FAIL and finding.remedy is not None


def _is_withheld(finding: Finding, *, unsafe: bool) -> bool:
    remedy = finding.remedy
    if not _is_failed(finding) or remedy is None or isinstance(remedy, kinds.ConvertVhd):
        return False
    return remedy.disposition is Disposition.UNSAFE and not unsafe


def _is_manual(finding: Finding, *, unsafe: bool) -> bool:
    return not isinstance(finding.remedy, kinds.ConvertVhd) and not _is_withheld(finding, unsafe=unsafe)


def _why_manual(finding: Finding, reasons: Mapping[str, str]) -> str:
    if finding.rule_id in reasons:
        return reasons[finding.rule_id]
    return "it takes a person" if isinstance(finding.remedy, kinds.Manual) else "its remedy does not change what the rule sees"


def _left(finding: Finding, reason: str) -> Left:
    steps = byhand.steps(finding.remedy) if finding.remedy is not None else ()
    return Left(finding.rule_id, finding.severity, finding.message, reason, steps)


def _is_written(draft: Draft, spot: Spot) -> bool:
    found = draft.drafts[spot.volume].lstat(spot.path) if spot not in draft.hives else None
    return found is not None and found.kind is FileKind.FILE


def _changes(draft: Draft, findings: Sequence[Finding]) -> tuple[Change, ...]:
    """What differs, in the order in which it is to be done: what goes, then what comes, from the top down."""
    secrets = (each.where for finding in findings for each in finding.observations if str(each.value).endswith(_SECRET))
    hidden = {*_NEVER_SHOWN, *(where.partition(":")[0].rpartition("/")[2] for where in secrets)}  # by name: links may lead to them
    blanked = {finding.rule_id for finding in findings if isinstance(finding.remedy, kinds.BlankFoundLines)}
    found: list[Change] = []
    for spot, rules in draft.touched.items():
        files = draft.drafts[spot.volume]
        before, after = files.before(spot.path), files.after(spot.path)
        if keys := tuple(draft.hives.get(spot, ())):
            found.append(Change(tuple(sorted(rules)), "registry", draft.shown[spot], spot, before, after, keys))
            continue
        shown = draft.shown[spot]
        if files.is_replaced(spot.path) and (before != after or (after is not None and after.kind is FileKind.DIRECTORY)):
            found.append(Change(tuple(sorted(rules)), "remove", shown, spot, before, None))
            before = None
        if before == after or (after is None and _is_below_removed(spot, draft)):
            continue
        what = "remove" if after is None else {FileKind.LINK: "link", FileKind.DIRECTORY: "directory"}.get(after.kind, "write")
        lines = (
            _lines(draft, spot, is_told=blanked.isdisjoint(rules)) if what == "write" and shown.rpartition("/")[2].rstrip("-") not in hidden else ()
        )
        found.append(Change(tuple(sorted(rules)), what, shown, spot, before, after, (), lines))
    return tuple(sorted(found, key=lambda each: (each.what != "remove", each.spot)))


def _is_below_removed(spot: Spot, draft: Draft) -> bool:
    """Whether a directory above is removed as a whole."""
    parent = spot.path.rpartition("/")[0]
    while parent:
        above = Spot(spot.volume, parent)
        if above in draft.touched and draft.drafts[spot.volume].after(parent) is None:
            return True
        parent = parent.rpartition("/")[0]
    return False


def _lines(draft: Draft, spot: Spot, *, is_told: bool) -> tuple[str, ...]:
    """The lines that differ; of what is taken out because it leaks no more is told than the finding does."""
    files = draft.drafts[spot.volume]
    old = files.base.lstat(spot.path)
    new = files.lstat(spot.path)
    if new is None or not new.size or (old is not None and old.size > 1024 * 1024):
        return ()
    was = files.base.read(spot.path, old.size) if old is not None and old.kind is FileKind.FILE else b""
    one, other = (data.decode("utf-8", "replace").splitlines() for data in (was, files.read(spot.path, new.size)))
    found = [
        mask(line) if is_told or line[0] == "+" else f"-{_SECRET}"
        for line in difflib.unified_diff(one, other, lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
    return (*found[:MAX_SHOWN], *([f"… {len(found) - MAX_SHOWN} more lines"] if len(found) > MAX_SHOWN else []))
