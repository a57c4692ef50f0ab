"""What the platform saw of the guest, in the order of time, bounded: the guest decides how much it says."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from vhdprep.rehearsal import Milestone, Reached

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

MAX_ENTRIES = 4096
"""Requests, health reports and status reports that are kept, of each kind."""
MAX_TRIED = 256
"""Different addresses and names that are kept."""
MAX_WORDS = 1024
"""Characters of one text by the guest."""


class Call(NamedTuple):
    """One HTTP request of the guest."""

    seconds: float
    server: str
    """``metadata``, ``wire`` or ``host plugin``"""
    method: str
    target: str
    agent: str
    """Its User-Agent."""
    status: int


class Health(NamedTuple):
    """What the guest says of its provisioning (wire server, ``POST /machine?comp=health``)."""

    seconds: float
    agent: str
    """The request's User-Agent: ``Cloud-Init/22.4.2``, ``WALinuxAgent/2.7.3.0``."""
    state: str
    """``Ready`` or ``NotReady``"""
    substatus: str
    """``Provisioning``, ``ProvisioningFailed``, or empty."""
    description: str


class Journal:
    """Written by the servers, the relay and the console; read by whoever waits for milestones."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Time runs from here on; ``power_on`` begins anew."""
        self._clock = clock
        self._zero = clock()
        self.calls: list[Call] = []
        self.health: list[Health] = []
        self.statuses: list[tuple[float, str]] = []
        """(seconds, status) of the guest agent, by the status blob."""
        self.tried: dict[str, int] = {}
        """Address or name outside the platform → how often it was tried."""
        self.reached: dict[Milestone, Reached] = {}
        self.changed = asyncio.Event()
        """Set whenever something was noted."""

    def power_on(self) -> None:
        """The machine was switched on just now."""
        self._zero = self._clock()

    def seconds(self) -> float:
        """Since power-on."""
        return self._clock() - self._zero

    def call(self, server: str, method: str, target: str, agent: str, status: int) -> None:
        """Note a request."""
        self._keep(self.calls, Call(self.seconds(), server, method, _short(target), _short(agent), status))

    def report_health(self, agent: str, state: str, substatus: str, description: str) -> None:
        """Note what the guest says of itself."""
        self._keep(self.health, Health(self.seconds(), _short(agent), _short(state), _short(substatus), _short(description)))

    def report_status(self, status: str) -> None:
        """Note the agent's own status: ``Ready``."""
        self._keep(self.statuses, (self.seconds(), _short(status)))

    def try_out(self, what: str) -> None:
        """Note an address (``tcp 8.8.8.8:53``) or a name (``dns archive.ubuntu.com``) that no rehearsal answers."""
        what = _short(what)
        if what in self.tried or len(self.tried) < MAX_TRIED:
            self.tried[what] = self.tried.get(what, 0) + 1

    def mark(self, milestone: Milestone, text: str = "") -> None:
        """Note a milestone; only the first time counts."""
        if milestone not in self.reached:
            self.reached[milestone] = Reached(milestone, round(self.seconds(), 2), _short(text))
            self.changed.set()

    def _keep(self, entries: list[_T], entry: _T) -> None:
        if len(entries) < MAX_ENTRIES:
            entries.append(entry)
        self.changed.set()


def _short(text: str) -> str:
    return text[:MAX_WORDS]
