"""YAML → ``Rule``; every complaint says file, line, what, and what was meant.

All files are read before anything is reported, and one complaint is enough to check nothing.
"""

from __future__ import annotations

import hashlib
import re
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from vhdprep.errors import Complaint, RuleError, UsageError
from vhdprep.guest.formats import yamltext
from vhdprep.guest.formats.plain import Lines
from vhdprep.guest.tables import DATA, builtin_rules_dir
from vhdprep.model import Severity
from vhdprep.ruleset import compiled
from vhdprep.ruleset.parse import Parser
from vhdprep.ruleset.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_KEYS = {"id", "title", "severity", "tags", "applies_to", "when", "why", "check", "message", "remedy", "references", "azure_says", "overrides"}
_REQUIRED = ("id", "title", "severity", "why", "check", "message", "remedy")
_PLACEHOLDER = re.compile(r"\{([^}]*)\}")
_SPLIT = "\n---\n"


def load_rules(extra: Sequence[Path] = ()) -> tuple[Rule, ...]:
    """The built-in rules and those of the ``extra`` directories, by id.

    Raises:
        RuleError: anything is wrong in any file; carries every complaint.
        UsageError: a directory is missing.
    """
    complaints: list[Complaint] = []
    found: dict[str, Rule] = {}
    for directory in (builtin_rules_dir(), *extra):
        if not directory.is_dir():
            raise UsageError(f"{directory}: is no directory of rules; name a folder with .yaml files")
        known = compiled.read(directory) if directory == builtin_rules_dir() else {}
        for path in _rules_in(directory):
            document = _Document(path, path.relative_to(directory).as_posix(), found, complaints)
            rule = document.rule(known)
            if rule is not None:
                found[rule.id] = rule
    if complaints:
        raise RuleError(complaints)
    return tuple(sorted(found.values(), key=lambda rule: rule.id))


def select(rules: Iterable[Rule], chosen: Sequence[str], ignored: Sequence[str]) -> tuple[Rule, ...]:
    """Rules by id, glob or ``tag:NAME``.

    Raises:
        UsageError: a pattern names no rule.
    """
    rules = tuple(rules)
    for pattern in (*chosen, *ignored):
        if not any(_named(rule, pattern) for rule in rules):
            near = get_close_matches(pattern, [rule.id for rule in rules], 1)
            raise UsageError(f"no rule is called {pattern!r}" + (f"; did you mean {near[0]}?" if near else "; see `vhdprep rules list`"))
    kept = (rule for rule in rules if not chosen or any(_named(rule, pattern) for pattern in chosen))
    return tuple(rule for rule in kept if not any(_named(rule, pattern) for pattern in ignored))


def digest(rules: Iterable[Rule]) -> str:
    """SHA-256 over the rules' own documents, in the order of their ids."""
    total = hashlib.sha256()
    for rule in rules:
        total.update(f"{rule.id} {rule.digest}\n".encode())
    return total.hexdigest()


def read_document(rule_file: Path) -> str:
    """The first document of a rule file: the rule itself."""
    return rule_file.read_text(encoding="utf-8").split(_SPLIT, 1)[0]


def read_examples(rule_file: Path) -> Any:
    """The second document of a rule file, as plain values; None when there is none.

    Raises:
        RuleError: it is not YAML.
    """
    parts = rule_file.read_text(encoding="utf-8").split(_SPLIT, 1)
    try:
        return yamltext.load(parts[1]) if len(parts) == 2 else None
    except yamltext.YamlError as error:
        line = parts[0].count("\n") + 2 + error.line
        raise RuleError([Complaint(str(rule_file), line, f"in the examples: {error}")]) from error


def rule_files(extra: Sequence[Path] = ()) -> dict[str, Path]:
    """Id → file of every built-in rule and of those in ``extra``."""
    return {path.stem: path for directory in (builtin_rules_dir(), *extra) for path in _rules_in(directory)}


def _rules_in(directory: Path) -> list[Path]:
    """Every rule file below a folder; the built-in one also holds tables."""
    tables = builtin_rules_dir() / DATA
    return sorted(path for path in directory.rglob("*.yaml") if path.parent != tables)


def _named(rule: Rule, pattern: str) -> bool:
    if pattern.startswith("tag:"):
        return pattern[4:] in rule.tags
    return fnmatchcase(rule.id, pattern)


class _Document:
    """One rule file on its way to a ``Rule``."""

    def __init__(self, path: Path, shown: str, others: dict[str, Rule], complaints: list[Complaint]) -> None:
        self._path, self._shown, self._others, self._complaints = path, shown, others, complaints

    def rule(self, known: dict[str, Lines]) -> Rule | None:
        """The rule; None after at least one complaint. ``known`` holds compiled documents by digest."""
        before = len(self._complaints)
        try:
            text = read_document(self._path)
            digest = hashlib.sha256(text.encode()).hexdigest()
            data = known.get(digest)
            trusted = data is not None
            if data is None:
                data = self._parse(text)
        except (OSError, UnicodeDecodeError) as error:
            self._complain(1, f"cannot be read ({error})")
            return None
        if data is None:
            return None
        parser = Parser(trusted=trusted)
        rule = self._build(parser, data, digest)
        for line, problem in parser.problems:
            self._complain(line, problem)
        if not trusted or rule.id in self._others:
            self._check_words(rule, data)
        return rule if len(self._complaints) == before else None

    def _parse(self, text: str) -> Lines | None:
        """The document's values; None after a complaint."""
        before = len(self._complaints)
        try:
            data = yamltext.load(text)
        except yamltext.YamlError as error:
            self._complain(error.line, str(error))
            return None
        if not isinstance(data, Lines):
            self._complain(1, "a rule is a mapping of keys to values")
            return None
        self._check_keys(data)
        return data if len(self._complaints) == before else None

    def _build(self, parser: Parser, data: Lines, digest: str) -> Rule:
        return Rule(
            id=str(data["id"]),
            title=str(data["title"]),
            severity=Severity(data["severity"]) if data["severity"] in list(Severity) else Severity.NOTE,
            tags=parser.texts(data.get("tags", []), "tags", data),
            applies_to=parser.applies_to(data.get("applies_to")),
            when=parser.check(data["when"], data.line_of("when")) if "when" in data else None,
            why=" ".join(str(data["why"]).split()),
            check=parser.check(data["check"], data.line_of("check")),
            message=" ".join(str(data["message"]).split()),
            remedy=parser.remedy(data["remedy"], data.line_of("remedy")),
            references=parser.texts(data.get("references", []), "references", data),
            azure_says=str(data["azure_says"]) if "azure_says" in data else None,
            source=f"{self._shown}:{data.line_of('id')}",
            digest=digest,
        )

    def _check_keys(self, data: Lines) -> None:
        for key in data:
            if key not in _KEYS:
                near = get_close_matches(key, _KEYS, 1)
                self._complain(data.line_of(key), f"unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        for key in _REQUIRED:
            if key not in data:
                self._complain(1, f"key {key!r} is missing")

    def _check_words(self, rule: Rule, data: Lines) -> None:
        """What the grammar cannot say: each condition that holds is a complaint about that key."""
        others = self._others
        taken = others[rule.id].source if rule.id in others and data.get("overrides") != rule.id else None
        guess = next((leaf.probe.name for leaf in Parser.leaves(rule.check) if not leaf.probe.exact), None)
        is_error = rule.severity is Severity.ERROR
        unknown = [name for name in _PLACEHOLDER.findall(rule.message) if name not in ("observed", "where")]
        lost = "overrides" in data and (data["overrides"] != rule.id or rule.id not in others)
        complaints: tuple[tuple[object, str, str], ...] = (
            (rule.id != self._path.stem, "id", f"id is {rule.id!r}, but the file is called {self._path.stem!r}: they must agree"),
            (data["severity"] not in list(Severity), "severity", f"severity {data['severity']!r} is unknown; choose error, warning or note"),
            (rule.title.endswith("."), "title", "a title has no full stop"),
            (not rule.message.endswith("."), "message", "a message ends in a full stop"),
            (unknown, "message", f"{{{', '.join(unknown)}}} is unknown; a message knows {{observed}} and {{where}}"),
            (is_error and not rule.references, "id", "a rule of severity error needs at least one reference"),
            (is_error and guess, "check", f"probe {guess} guesses: it may warn, never be an error"),
            (taken, "id", f"there is already a rule {rule.id} ({taken}); say `overrides: {rule.id}` to replace it"),
            (lost, "overrides", f"overrides must name the rule it replaces by its own id; there is no rule {data.get('overrides')!r} before it"),
        )
        for wrong, key, text in complaints:
            if wrong:
                self._complain(data.line_of(key), text)

    def _complain(self, line: int, text: str) -> None:
        self._complaints.append(Complaint(str(self._path), line, text))
