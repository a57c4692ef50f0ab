"""Wait for milestones, not for seconds: go on as long as the guest gets on, and give up where it does not."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.rehearsal import Milestone
from vhdprep.rehearse.machine import MAX_RESETS, ssh
from vhdprep.rehearse.platform import OTHER_CLOUD

if TYPE_CHECKING:
    from collections.abc import Callable

    from vhdprep.rehearse.identity import Identity
    from vhdprep.rehearse.journal import Journal
    from vhdprep.rehearse.machine import Machine
    from vhdprep.rehearse.machine.ssh import Key, Session


class Patience(NamedTuple):
    """How long each thing may take, in seconds."""

    total: float = 600
    """From power-on to the end, whatever happens."""
    ready: float = 60
    """From a running system (a login prompt, cloud-init's last words) to Ready; then to a login, and to the agent's status. Whoever needed
    more than twice as long to come up gets half of that: systemd offers a login prompt while much else still starts."""
    silence: float = 60
    """Without a byte on the console, a packet or a disk access."""
    grace: float = 5
    """After bad news, for what the guest may still say of it."""
    finish: float = 40
    """From everything else to cloud-init's last words."""

    def stretched(self, factor: float) -> Patience:
        """For a host that has other things to do."""
        return Patience(*(each * factor for each in self))


MAX_ELSEWHERE = 12
"""Requests for another cloud's metadata after which nothing else is waited for; cloud-init asks each one to five seconds."""
_METADATA_SECONDS = 300
"""How long cloud-init asks for metadata that is not there (canonical/cloud-init ``sources/azure/imds.py``)."""


def patience(*, without_metadata: bool = False) -> Patience:
    """By how busy the host is: twice as much where its processors have more to do than they can."""
    load = os.getloadavg()[0]
    found = Patience().stretched(2 if load > (os.cpu_count() or 1) else 1)
    more = _METADATA_SECONDS if without_metadata else 0
    return found._replace(total=found.total + more, silence=found.silence + more)


class Watch:
    """Follows one machine until there is nothing more to wait for."""

    def __init__(
        self, machine: Machine, journal: Journal, identity: Identity, key: Key, address: tuple[str, int] | None, limits: Patience, *, goes_on: bool
    ) -> None:
        """``address``: where the guest's SSH server is reached; None = nowhere. ``goes_on``: a report of failure is not the end."""
        self._goes_on = goes_on
        self._machine, self._journal, self._identity, self._key, self._address = machine, journal, identity, key, address
        self._limits = limits
        self.session: Session | None = None
        self.looked: dict[str, str] = {}
        """What was seen at once after the login."""
        self.refused = ""
        """Why the last login failed, in the words of the client."""
        self._last, self._seen = 0.0, -1

    async def until_done(self, show: Callable[[Milestone | None, float], None]) -> str:
        """Why the wait ended: ``done``, ``stopped``, ``ended``, ``off``, ``full``, ``refused``, ``late``, ``slow``, ``silent`` or ``resets``."""
        probe = asyncio.ensure_future(self._probe())
        try:
            while True:
                self._journal.changed.clear()
                show(max(self._journal.reached, key=list(Milestone).index, default=None), self._journal.seconds())
                if probe.done():
                    probe.result()  # if it broke, nobody may be told that the guest cannot be reached
                if (why := await self._why_end()) is not None:
                    return why
                try:
                    async with asyncio.timeout(1):
                        await self._journal.changed.wait()
                except TimeoutError:
                    continue
        finally:
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)

    async def _why_end(self) -> str | None:
        limits, now = self._limits, self._journal.seconds()
        if self._machine.ended.is_set():
            return "ended"
        if self._machine.full or self._machine.trouble:
            return "full" if self._machine.full else "ended"
        if self._machine.shut_down:
            await asyncio.sleep(limits.grace)
            return "off"
        if self._machine.console.stopped:
            await asyncio.sleep(limits.grace)
            return "stopped"
        if any(each.substatus == "ProvisioningFailed" for each in self._journal.health) and not self._goes_on:
            await asyncio.sleep(limits.grace)
            return "refused"
        if self._machine.resets > MAX_RESETS:
            return "resets"
        if self._overdue(now) or self._elsewhere():
            return "late"
        if now > limits.total:
            return "slow"
        if await self._silent(now):
            return "silent"
        return "done" if self._complete(now) else None

    def _at(self, *milestones: Milestone) -> float | None:
        """When the first of these was reached."""
        return min((self._journal.reached[each].seconds for each in milestones if each in self._journal.reached), default=None)

    def _elsewhere(self) -> bool:
        """Whether it asks for another cloud's metadata over and over."""
        asked = sum(times for what, times in self._journal.tried.items() if what.startswith(OTHER_CLOUD))
        return asked >= MAX_ELSEWHERE and Milestone.METADATA not in self._journal.reached

    def _overdue(self, now: float) -> bool:
        """Whether a running system has had its time for the next step."""
        running = self._at(Milestone.LOGIN, Milestone.FINISHED)
        if running is None:
            return False
        steps = (Milestone.READY, Milestone.SSH, Milestone.STATUS)
        missing = next((each for each in steps if each not in self._journal.reached), None)
        if missing is None:
            return False
        before = max([running, *(self._journal.reached[each].seconds for each in steps if each in self._journal.reached)])
        return now > before + max(self._limits.ready, running / 2)

    def _complete(self, now: float) -> bool:
        """Whether everything came; for cloud-init's last words there is a while more."""
        last = [
            self._journal.reached[each].seconds
            for each in (Milestone.READY, Milestone.SSH, Milestone.AGENT, Milestone.STATUS)
            if each in self._journal.reached
        ]
        if len(last) < 4:
            return False
        by_cloud_init = any(each.agent.startswith("Cloud-Init") for each in self._journal.health)
        return not by_cloud_init or Milestone.FINISHED in self._journal.reached or now > max(last) + self._limits.finish

    async def _silent(self, now: float) -> bool:
        seen = self._machine.console.bytes + len(self._journal.calls) + await self._machine.activity()
        if seen != self._seen:
            self._seen, self._last = seen, now
        return now > self._last + self._limits.silence and Milestone.READY not in self._journal.reached

    async def _probe(self) -> None:
        """Try to log in from the time on at which that can succeed."""
        if self._address is None:
            return
        while self.session is None:
            await asyncio.sleep(1)
            if self._at(Milestone.READY, Milestone.LOGIN) is None or not await ssh.answers(self._address):
                continue
            found = await ssh.Session.open(self._address, self._identity.user, self._key)
            if isinstance(found, str):
                self.refused = found
                continue
            self.session = found
            self._journal.mark(Milestone.SSH, self._identity.user)
            self.looked = await found.look(ssh.EARLY)
