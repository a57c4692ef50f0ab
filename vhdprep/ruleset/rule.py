"""A rule in its parsed form, and the tree of its check."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhdprep.model import Severity
    from vhdprep.probes import Probe
    from vhdprep.remedy import Remedy

FACT_KEYS = ("os", "family", "distro", "version", "boot", "arch")
"""Conditions on the guest."""
IMAGE_KEYS = ("format", "type", "target")
"""Conditions that can be decided without a guest: container format, VHD type, what the image is to become."""


class Leaf(NamedTuple):
    """Look once, compare once."""

    probe: Probe
    params: Mapping[str, Any]
    matcher: str
    argument: Any


class Not(NamedTuple):
    """The opposite."""

    check: Check


class AnyOf(NamedTuple):
    """At least one."""

    checks: tuple[Check, ...]


class AllOf(NamedTuple):
    """Every one."""

    checks: tuple[Check, ...]


Check = Leaf | Not | AnyOf | AllOf


class AppliesTo(NamedTuple):
    """Which images a rule is about; every key holds its allowed values."""

    only: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    unless: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Rule(NamedTuple):
    """One written requirement."""

    id: str
    title: str
    severity: Severity
    tags: tuple[str, ...]
    applies_to: AppliesTo
    when: Check | None
    """Not applicable unless this holds."""
    why: str
    check: Check
    message: str
    remedy: Remedy
    references: tuple[str, ...]
    azure_says: str | None
    source: str
    """File and line."""
    digest: str
    """SHA-256 of the rule's own document."""
