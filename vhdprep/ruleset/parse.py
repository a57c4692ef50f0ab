"""Parts of a rule: the tree of its check, its conditions, its remedy."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from vhdprep import remedy as remedies
from vhdprep.guest.detect import MACHINES
from vhdprep.guest.formats.plain import Lines
from vhdprep.model import DiskType, Target
from vhdprep.probes import PROBES
from vhdprep.ruleset.matchers import MATCHERS, quantity
from vhdprep.ruleset.rule import FACT_KEYS, IMAGE_KEYS, AllOf, AnyOf, AppliesTo, Check, Leaf, Not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from vhdprep.probes import ParameterInfo, Probe

BY_NAME: dict[str, Probe] = {each.name: each for each in PROBES}
_WORDS: dict[str, tuple[str, ...]] = {
    "target": tuple(each.value for each in Target),
    "format": ("vhd", "vhdx", "qcow2", "vmdk", "vdi", "raw", "unknown"),
    "type": tuple(each.value for each in DiskType),
    "os": ("linux", "windows", "freebsd", "openbsd"),
    "boot": ("bios", "uefi"),
    "arch": tuple(MACHINES.values()),
}
"""Conditions whose values are a closed list; a misspelt one would never hold."""
_NOTHING = AllOf(())
VERSION_RANGE = re.compile(r"(?:>=|<=|>|<|=)?\s*[\d.]+$")


class Problem(NamedTuple):
    """A complaint that does not know its file yet."""

    line: int
    text: str


class Parser:
    """Turns plain values into typed parts and collects what is wrong with them."""

    def __init__(self, *, trusted: bool = False) -> None:
        """Start without problems; ``trusted`` values were checked before, so patterns are not compiled again."""
        self.problems: list[Problem] = []
        self._trusted = trusted

    def check(self, data: Any, line: int) -> Check:
        """The tree of a check."""
        if not isinstance(data, Lines) or not data:
            return self._no(line, "a check is a probe, or one of any, all, not")
        for word, build in (("any", AnyOf), ("all", AllOf)):
            if word in data:
                self._only(data, {word})
                if not isinstance(data[word], list) or not data[word]:
                    return self._no(data.line_of(word), f"{word} takes a list of checks")
                return build(tuple(self.check(each, getattr(each, "line", line)) for each in data[word]))
        if "not" in data:
            self._only(data, {"not"})
            return Not(self.check(data["not"], data.line_of("not")))
        return self._leaf(data)

    def applies_to(self, data: Any) -> AppliesTo:
        """The conditions under which a rule applies."""
        if data is None:
            return AppliesTo()
        if not isinstance(data, Lines):
            self._no(1, "applies_to is a mapping of conditions")
            return AppliesTo()
        unless = data.get("unless", Lines())
        if not isinstance(unless, Lines):
            self._no(data.line_of("unless"), "unless is a mapping of conditions")
            unless = Lines()
        only = {key: self._condition(data, key) for key in data if key != "unless"}
        return AppliesTo(only, {key: self._condition(unless, key) for key in unless})

    def remedy(self, data: Any, line: int) -> remedies.Remedy:
        """The remedy, typed."""
        fallback = remedies.Manual(())
        if not isinstance(data, Lines) or "kind" not in data:
            self._no(line, "a remedy has a kind")
            return fallback
        kind = remedies.REMEDIES.get(data["kind"])
        if kind is None:
            self._unknown(data.line_of("kind"), "remedy", str(data["kind"]), remedies.REMEDIES)
            return fallback
        if kind is remedies.Manual:
            self._only(data, {"kind", "steps"})
            return remedies.Manual(self.texts(data.get("steps"), "steps", data))
        self._only(data, {"kind", "with", "disposition", "steps"})
        given = data.get("with", Lines())
        wanted = remedies.parameters(kind)
        if not isinstance(given, Lines) or set(given) != set(wanted):
            self._no(line, f"remedy {data['kind']} takes with: {', '.join(wanted)}")
            return fallback
        if data.get("disposition") not in ("safe", "unsafe"):
            self._no(line, "a remedy's disposition is safe or unsafe")
            return fallback
        values: dict[str, Any] = {name: self.texts(given[name], name, given) if many else str(given[name]) for name, many in wanted.items()}
        by_hand = self.texts(data["steps"], "steps", data) if "steps" in data else ()
        build = cast("Callable[..., remedies.Remedy]", kind)
        built = build(**values, disposition=remedies.Disposition(data["disposition"]), by_hand=by_hand)
        if mistake := remedies.mistake(built):
            self._no(line, mistake)
            return fallback
        return built

    def texts(self, data: Any, name: str, parent: Lines) -> tuple[str, ...]:
        """A list of texts."""
        if not isinstance(data, list) or not all(isinstance(each, str) for each in data):
            self._no(parent.line_of(name), f"{name} is a list of texts")
            return ()
        return tuple(data)

    @staticmethod
    def leaves(check: Check) -> Iterator[Leaf]:
        """Every leaf of a check."""
        match check:
            case Leaf():
                yield check
            case Not(inner):
                yield from Parser.leaves(inner)
            case AnyOf(checks) | AllOf(checks):
                for each in checks:
                    yield from Parser.leaves(each)

    def _leaf(self, data: Lines) -> Check:
        self._only(data, {"probe", "with", "expect"})
        name = data.get("probe")
        if name not in BY_NAME:
            return self._unknown(data.line_of("probe"), "probe", str(name), BY_NAME)
        expect = data.get("expect")
        if not isinstance(expect, Lines) or len(expect) != 1:
            return self._no(data.line_of("expect"), "expect holds exactly one matcher")
        ((matcher, argument),) = expect.items()
        if matcher not in MATCHERS:
            return self._unknown(expect.line, "matcher", matcher, MATCHERS)
        argument = quantity(argument)
        if not _fits(MATCHERS[matcher].argument, argument):
            return self._no(expect.line_of(matcher), f"matcher {matcher} takes a {MATCHERS[matcher].argument}, not {argument!r}")
        if matcher in ("matches", "contains_match") and not self._trusted and (problem := _bad_pattern(argument)):
            return self._no(expect.line_of(matcher), f"{argument!r} is no regular expression ({problem})")
        return Leaf(BY_NAME[name], self._params(BY_NAME[name], data.get("with"), data.line_of("with")), matcher, argument)

    def _params(self, probe: Probe, given: Any, line: int) -> dict[str, Any]:
        given = Lines() if given is None else given
        if not isinstance(given, Lines):
            self._no(line, "with is a mapping of parameters")
            return {}
        for name in given:
            if name not in probe.parameters:
                self._unknown(given.line_of(name), f"parameter of {probe.name}", name, probe.parameters)
        found = {}
        for name, info in probe.parameters.items():
            if name not in given:
                if info.required:
                    self._no(line, f"probe {probe.name} needs {name}")
            elif (problem := _bad_parameter(info, given[name])) is not None:
                self._no(given.line_of(name), f"{name}: {problem}")
            else:
                found[name] = tuple(given[name]) if info.type is tuple else given[name]
        return found

    def _condition(self, data: Lines, key: str) -> tuple[str, ...]:
        values = data[key] if isinstance(data[key], list) else [data[key]]
        if key not in (*FACT_KEYS, *IMAGE_KEYS):
            self._unknown(data.line_of(key), "condition", key, dict.fromkeys((*FACT_KEYS, *IMAGE_KEYS)))
        if key == "version" and not all(VERSION_RANGE.match(part.strip()) for value in values for part in str(value).split(",")):
            self._no(data.line_of(key), "version takes ranges such as '>=8,<10'")
        for value in values:
            if key in _WORDS and value not in _WORDS[key]:
                self._unknown(data.line_of(key), key, str(value), dict.fromkeys(_WORDS[key]))
        return tuple(str(value) for value in values)

    def _only(self, data: Lines, allowed: set[str]) -> None:
        for key in data:
            if key not in allowed:
                self._unknown(data.line_of(key), "key", key, dict.fromkeys(allowed))

    def _unknown(self, line: int, what: str, name: str, known: Mapping[str, object]) -> Check:
        near = get_close_matches(name, list(known), 1)
        return self._no(line, f"unknown {what} {name!r}" + (f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"))

    def _no(self, line: int, text: str) -> Check:
        self.problems.append(Problem(line, text))
        return _NOTHING


def _fits(wanted: str, argument: Any) -> bool:
    if wanted == "bool":
        return isinstance(argument, bool)
    if wanted == "number":
        return type(argument) is int
    if wanted == "text":
        return isinstance(argument, str)
    if wanted == "list":
        return isinstance(argument, list) and _scalars(argument)
    return _scalars([argument])


def _scalars(values: Iterable[Any]) -> bool:
    return all(isinstance(each, str | int | bool) for each in values)


def _bad_parameter(info: ParameterInfo, value: Any) -> str | None:
    if info.type is tuple:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            return "takes a list of texts"
        return next((problem for each in value if (problem := _bad_choice(info, each))), None)
    if type(value) is not info.type:
        return f"takes {info.type.__name__}, not {value!r}"
    return _bad_choice(info, value)


def _bad_choice(info: ParameterInfo, value: Any) -> str | None:
    if not info.choices or value in info.choices:
        return None
    near = get_close_matches(str(value), info.choices, 1)
    return f"{value!r} is unknown; " + (f"did you mean {near[0]!r}?" if near else f"choose {', '.join(info.choices)}")


def _bad_pattern(pattern: str) -> str | None:
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return None
