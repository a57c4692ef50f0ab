"""What certification for the marketplace asks of an image, as values."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Decision(StrEnum):
    """How an item of a certification policy is decided."""

    OFFLINE = "offline"
    """By rules alone."""
    RUNNING_MACHINE = "running-machine"
    """A machine made from the image has to show it."""
    PERSON = "person"
    """Somebody has to show it."""


class SelfTest(NamedTuple):
    """A test case of Microsoft's self-test of a virtual machine."""

    id: str
    name: str
    """As the self-test writes both."""
    description: str
    required: str
    """What it asks for, in short."""


class PolicyItem(NamedTuple):
    """One thing that certification asks of an image."""

    id: str
    number: str | None
    """In the policies; None = no source that was read gives it."""
    title: str
    decision: Decision
    systems: tuple[str, ...]
    """Which operating systems it is about; empty = every one."""
    rules: tuple[str, ...]
    """Ids of those that decide it; those of an item that is not decided offline can only refute it."""
    show: str | None
    """What has to be shown, or what to do where it is not meant to hold."""
    test: SelfTest | None
    source: str
    """https address."""
