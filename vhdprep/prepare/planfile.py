"""A plan as JSON, to be looked through and then carried out: for exactly one image, by exactly the rules it was made with."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep.disk.backend import FileKind
from vhdprep.errors import UsageError
from vhdprep.model import Outcome, Severity, Target
from vhdprep.prepare.draft import Content, Spot
from vhdprep.prepare.keys import KeyEdit
from vhdprep.prepare.plan import Change, Forecast, Left, Plan
from vhdprep.vhd.blocks import extents

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vhdprep.vhd.blocks import Reader

SCHEMA = "vhdprep-plan/1"
MAX_FILE = 64 * 1024 * 1024
"""Bytes of a plan that is read."""
MAX_TERM = 256
"""Characters of one of its terms."""
_CHUNK = 1024 * 1024
_ZEROS = bytes(_CHUNK)


class Terms(NamedTuple):
    """What a plan was made from: with the same terms the same plan is made again."""

    size: int
    """Bytes of all disks."""
    digest: str
    """Of what is on them, whatever container holds it; see ``fingerprint``."""
    rules: str
    """Digest of the rules that were asked."""
    target: str
    unsafe: bool
    selected: tuple[str, ...]
    ignored: tuple[str, ...]
    users: tuple[str, ...]


def fingerprint(reader: Reader) -> str:
    """SHA-256 over the size, and over place and digest of each MiB that is not all zeros."""
    total = hashlib.sha256(f"{reader.size}\n".encode())
    chunks = dict.fromkeys(at for begin, end in extents(reader) for at in range(begin // _CHUNK, -(-end // _CHUNK)))
    for number in chunks:
        data = reader.read_at(number * _CHUNK, min(_CHUNK, reader.size - number * _CHUNK))
        if data != _ZEROS[: len(data)]:
            total.update(f"{number} {hashlib.sha256(data).hexdigest()}\n".encode())
    return total.hexdigest()


def join(digests: Sequence[str]) -> str:
    """One digest of a machine's disks; of one disk its own."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def render(plan: Plan, terms: Terms) -> str:
    """The file's text."""
    return json.dumps({"schema": SCHEMA, "terms": terms._asdict(), "plan": as_values(plan)}, indent=2) + "\n"


def read(path: Path) -> tuple[Plan, Terms]:
    """The plan in a file.

    Raises:
        UsageError: it cannot be read, or is no plan.
    """
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(MAX_FILE))
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise UsageError(f"{path}: is no plan; make one: vhdprep prepare IMAGE --plan-only --format json --output FILE")
        return _plan(data["plan"]), _terms(data["terms"])
    except OSError as error:
        raise UsageError(f"{path}: the plan cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path}: the plan is damaged ({type(error).__name__}: {str(error)[:MAX_TERM]}); make it anew") from error


def as_values(value: Any) -> Any:
    """Named tuples as mappings, for JSON."""
    if hasattr(value, "_asdict"):
        return {name: as_values(each) for name, each in value._asdict().items()}
    return [as_values(each) for each in value] if isinstance(value, tuple) else value


def _terms(data: dict[str, Any]) -> Terms:
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    terms = Terms(**given)
    for name, value in terms._asdict().items():
        kind = {"size": int, "unsafe": bool, "selected": tuple, "ignored": tuple, "users": tuple}.get(name, str)
        texts = value if kind is tuple else (str(value),)
        if type(value) is not kind or not all(isinstance(each, str) and len(each) <= MAX_TERM for each in texts):
            raise TypeError(f"its {name} is of the wrong kind, or too long")
    return terms._replace(target=str(Target(terms.target)))


def _plan(data: dict[str, Any]) -> Plan:
    return Plan(
        tuple(data["copy"]),
        tuple(_change(each) for each in data["changes"]),
        tuple(_left(each) for each in data["manual"]),
        tuple(_left(each) for each in data["withheld"]),
        tuple(Forecast(each["rule"], Severity(each["severity"]), Outcome(each["before"]), Outcome(each["after"])) for each in data["forecast"]),
    )


def _change(data: dict[str, Any]) -> Change:
    given = {
        **data,
        "rules": tuple(data["rules"]),
        "spot": Spot(**data["spot"]),
        "lines": tuple(data["lines"]),
        "keys": tuple(KeyEdit(**each) for each in data["keys"]),
    }
    return Change(**{**given, "before": _content(data["before"]), "after": _content(data["after"])})


def _content(data: dict[str, Any] | None) -> Content | None:
    return None if data is None else Content(**{**data, "kind": FileKind(data["kind"])})


def _left(data: dict[str, Any]) -> Left:
    return Left(**{**data, "severity": Severity(data["severity"]), "steps": tuple(data["steps"])})
