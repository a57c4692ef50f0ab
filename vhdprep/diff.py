"""Two images, or two reports, compared by what they mean: state, system, services, drivers, accounts, packages, outcomes of rules.

Bytes are not compared. A report holds less than an image: what only one side has is named, and not compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep import isolate, savedreport
from vhdprep.check import Clock, judge_image, open_image
from vhdprep.errors import Unreadable
from vhdprep.guest import inventory
from vhdprep.guest.formats.masking import mask
from vhdprep.model import Outcome, Target
from vhdprep.report import json as report_json
from vhdprep.report.words import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vhdprep.location import Location
    from vhdprep.ruleset.rule import Rule
    from vhdprep.savedreport import Saved, SavedFinding

ALL = ("verdict", "state", "system", "disks", "volumes", "boot", "services", "drivers", "accounts", "agent", "packages", "rules")
"""Parts in the order in which they are told."""
_SYSTEM = ("os", "product", "version", "arch", "boot", "generations", "init", "hostname")
_CONTAINER = ("format", "type", "virtual_size", "creator", "parent")
_VOLUME = ("filesystem", "size", "offset", "uuid", "label", "type_id", "state")
_SIZES = ("virtual_size", "size", "offset")
_SHOWN = 3


class Side(NamedTuple):
    """One of the two."""

    name: str
    parts: dict[str, dict[str, str]]
    unread: dict[str, str]
    """Part → why it could not be read."""


class Difference(NamedTuple):
    """One thing that is not the same; None = it is not there on that side."""

    part: str
    name: str
    a: str | None
    b: str | None


class Compared(NamedTuple):
    """All that came of it."""

    a: str
    b: str
    differences: tuple[Difference, ...]
    unread: tuple[str, ...]
    """What had to be compared and could not be: without differences it is then not known whether the two are the same."""
    left_out: tuple[str, ...]
    """Parts that only an image has, and not both are images."""


def look(path: Location, rules: tuple[Rule, ...], target: Target, backend: str) -> Side:
    """One side: a report, or an image that is read now, in a process of its own.

    Raises:
        UsageError: the file is missing or is no report.
        BackendUnavailable: the backend cannot run here.
    """
    if isinstance(path, Path) and savedreport.looks_like_one(path):
        return side(savedreport.read(path), str(path))
    return isolate.call(lambda avoid: _look_at_image(path, rules, target, backend, avoid))


def compare(one: Side, other: Side) -> Compared:
    """What differs between the two."""
    unread = [f"{name}: {each.name}: {reason}" for each in (one, other) for name, reason in each.unread.items()]
    differences: list[Difference] = []
    for part in ALL:
        if part in one.parts and part in other.parts:
            mine, theirs = one.parts[part], other.parts[part]
            if part == "rules" and (only := mine.keys() ^ theirs.keys()):
                unread.append(f"rules: {len(only)} were asked of one of the two only, such as {min(only)}")
                mine, theirs = ({name: each[name] for name in mine.keys() & theirs.keys()} for each in (mine, theirs))
            names = [*mine, *(name for name in theirs if name not in mine)]
            differences += [Difference(part, name, mine.get(name), theirs.get(name)) for name in names if mine.get(name) != theirs.get(name)]
    held = [{*side.parts, *side.unread} for side in (one, other)]
    return Compared(one.name, other.name, tuple(differences), tuple(unread), tuple(part for part in ALL if not all(part in each for each in held)))


def _look_at_image(path: Location, rules: tuple[Rule, ...], target: Target, backend: str, avoid: Mapping[str, str]) -> Side:
    with open_image(path, target=target, backend=backend, avoid=avoid) as image:
        report = judge_image(image, path, rules, backend, Clock())
        looked = side(savedreport.parse(report_json.document(report)), str(path))
        for part, found in inventory.take(image.guest).items() if image.guest else ():
            if isinstance(found, Unreadable):
                looked.unread[part] = str(found)
            else:
                looked.parts[part] = {name: mask(words) for name, words in found.items()}
    return looked


def side(saved: Saved, name: str) -> Side:
    """What a report holds; of what a report may not have said, or said otherwise, nothing is taken."""
    values = saved.values
    parts = {
        "state": {
            "provisioner": str(_object(values.get("provisioner")).get("who")),
            "phase": str(_object(values.get("phase")).get("name")),
        },
        "system": _words(_object(values.get("guest")), _SYSTEM),
        "disks": dict(_disks(values)),
        "volumes": dict(_volumes(values)),
    }
    if saved.verdict is not None:
        parts["verdict"] = {"verdict": str(saved.verdict), "to become": str(saved.target)}
        parts["rules"] = {each.rule_id: _outcome(each) for each in saved.findings}
    unread = {"what was read": "; ".join(saved.gaps)} if saved.gaps else {}
    return Side(name, parts, unread)


def _outcome(finding: SavedFinding) -> str:
    if finding.outcome is not Outcome.FAIL:
        return str(finding.outcome)
    places = list(dict.fromkeys(where for where, _ in finding.seen))
    rest = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return f"fail ({', '.join(places[:_SHOWN])}{rest})" if places else "fail"


def _disks(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for number, disk in enumerate(_list(values.get("disks"))):
        container, name = _object(_object(disk).get("container")), "disk" if number == 0 else f"data{number - 1}"
        for key, words in _words(container, _CONTAINER).items():
            yield f"{name} {key}", words
        yield f"{name} table", _word(_object(disk).get("table"))
        defects = [str(_object(each).get("kind")) for each in _list(container.get("defects"))]
        yield f"{name} defects", ", ".join(defects) or "none"


def _volumes(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for disk in _list(values.get("disks")):
        for volume in _list(_object(disk).get("volumes")):
            found = _words(_object(volume), _VOLUME)
            yield str(_object(volume).get("id")), ", ".join(f"{key} {words}" for key, words in found.items() if words != "none")


def _words(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    return {name.replace("_", " "): _word(values[name], name) for name in names if name in values}


def _word(value: object, name: str = "") -> str:
    if name in _SIZES and type(value) is int:
        return size(value)
    return "none" if value is None else ", ".join(str(each) for each in value) if isinstance(value, list | tuple) else str(value)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
