"""How an observed value is compared with what a rule wants: one matcher a leaf."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep.model import ABSENT, Value

if TYPE_CHECKING:
    from collections.abc import Callable

_UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_SIZE = re.compile(r"(\d+) (KiB|MiB|GiB|TiB)$")
_NUMBERS = re.compile(r"\d+(\.\d+)*")


class Matcher(NamedTuple):
    """A comparison and what its argument must be."""

    compare: Callable[[Value, Any], bool]
    argument: str
    """``scalar | list | text | bool | number``"""
    manual: str


def quantity(argument: Any) -> Any:
    """``1 MiB`` → 1048576; anything else as it is."""
    match = _SIZE.match(argument) if isinstance(argument, str) else None
    return int(match[1]) * _UNITS[match[2]] if match else argument


def _equals(value: Value, wanted: Any) -> bool:
    return value is not ABSENT and type(value) is type(wanted) and value == wanted


def _one_of(value: Value, wanted: list[Any]) -> bool:
    return any(_equals(value, each) for each in wanted)


def _matches(value: Value, pattern: str) -> bool:
    return isinstance(value, str) and re.search(pattern, value) is not None


def _contains(value: Value, wanted: str) -> bool:
    return isinstance(value, tuple) and wanted in value


def _contains_match(value: Value, pattern: str) -> bool:
    return isinstance(value, tuple) and any(re.search(pattern, each) for each in value)


def _empty(value: Value, wanted: bool) -> bool:
    return isinstance(value, tuple | str) and (len(value) == 0) is wanted


def _absent(value: Value, wanted: bool) -> bool:
    return (value is ABSENT) is wanted


def _at_least(value: Value, bound: int) -> bool:
    return type(value) is int and value >= bound


def _at_most(value: Value, bound: int) -> bool:
    return type(value) is int and value <= bound


def _multiple_of(value: Value, unit: int) -> bool:
    return type(value) is int and value % unit == 0


def _version_at_least(value: Value, bound: str) -> bool:
    if not isinstance(value, str):
        return False
    have, wanted = version(value), version(bound)
    width = max(len(have), len(wanted))
    return have + (0,) * (width - len(have)) >= wanted + (0,) * (width - len(wanted))


def version(text: str) -> tuple[int, ...]:
    """Leading dotted numbers of a version; an epoch (``1:``) and what follows the numbers do not count."""
    match = _NUMBERS.match(text.rpartition(":")[2])
    return tuple(int(number) for number in match[0].split(".")) if match else ()


MATCHERS: dict[str, Matcher] = {
    "equals": Matcher(_equals, "scalar", "the value is exactly this"),
    "one_of": Matcher(_one_of, "list", "the value is one of these"),
    "matches": Matcher(_matches, "text", "the text matches this regular expression somewhere"),
    "contains": Matcher(_contains, "text", "the list has this item"),
    "contains_match": Matcher(_contains_match, "text", "an item of the list matches this regular expression"),
    "empty": Matcher(_empty, "bool", "the list or text is empty (true) or not (false)"),
    "absent": Matcher(_absent, "bool", "nothing is there (true) or something is (false)"),
    "at_least": Matcher(_at_least, "number", "the number is this or more; `30 GiB` is understood"),
    "at_most": Matcher(_at_most, "number", "the number is this or less"),
    "multiple_of": Matcher(_multiple_of, "number", "the number divides by this; `1 MiB` is understood"),
    "version_at_least": Matcher(_version_at_least, "text", "the version is this or later, compared number by number"),
}
