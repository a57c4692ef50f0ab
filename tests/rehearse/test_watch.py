"""When the wait ends: a machine that is not there, a real journal, and a clock that runs as the machine says."""

from __future__ import annotations

import asyncio
import os
import time
from types import SimpleNamespace

import pytest

from tests.rehearse.talk import IDENTITY
from vhdprep.rehearsal import Milestone
from vhdprep.rehearse import watch
from vhdprep.rehearse.journal import Journal
from vhdprep.rehearse.machine import MAX_RESETS, ssh
from vhdprep.rehearse.watch import Patience, Watch

M = Milestone
LIMITS = Patience(grace=0.01)
EVERYTHING = (M.READY, M.SSH, M.AGENT, M.STATUS)


class Guest:
    """A machine of which ``script`` says what happens at which second; each look at it lets one second pass, so what is decided by a look is a second late."""

    def __init__(self, script, quiet=()):
        self.now = 0.0
        self.journal = Journal(lambda: self.now)
        self.console = SimpleNamespace(stopped=None, bytes=0)
        self.resets = 0
        self.ended = asyncio.Event()
        self.full, self.trouble, self.shut_down = False, "", False
        self.looks = 0
        self._script, self._quiet = script, quiet

    async def activity(self):
        """Grows, unless it is one of the seconds in which the guest does nothing."""
        self.looks += 1
        self.now += 1
        for happens in self._script.get(int(self.now), ()):
            happens(self)
        if self.now not in self._quiet:
            self.console.bytes += 1
        self.journal.changed.set()
        await asyncio.sleep(0)
        return 0


def mark(*milestones):
    return lambda guest: [guest.journal.mark(each) for each in milestones]


def health(agent, state, substatus=""):
    return lambda guest: guest.journal.report_health(agent, state, substatus, "")


def stop(guest):
    guest.console.stopped = "the kernel panicked"


def reset(guest):
    guest.resets = MAX_RESETS + 1


def follow(script, limits=LIMITS, *, quiet=(), goes_on=False, address=None):
    """Why the wait ended, at which second, and what was shown."""

    async def run():
        guest = Guest(script, quiet)
        watching = Watch(guest, guest.journal, IDENTITY, None, address, limits, goes_on=goes_on)
        shown = []
        why = await watching.until_done(lambda milestone, seconds: shown.append((milestone, seconds)))
        return why, guest, shown, watching

    why, guest, shown, watching = asyncio.run(asyncio.wait_for(run(), 30))
    follow.shown, follow.watching, follow.guest = shown, watching, guest
    return why, guest.now


def test_it_is_done_when_everything_came():
    assert follow({5: [mark(*EVERYTHING)]}) == ("done", 5)
    assert follow({5: [mark(*EVERYTHING[:3])], 9: [mark(M.STATUS)]}) == ("done", 9)


def test_cloud_init_s_last_words_are_waited_for_a_while():
    by_cloud_init = [health("Cloud-Init/22.4.2", "Ready"), mark(*EVERYTHING)]
    assert follow({5: by_cloud_init, 20: [mark(M.FINISHED)]}) == ("done", 20)
    assert follow({5: by_cloud_init}) == ("done", 5 + 40 + 2)
    assert follow({5: [health("WALinuxAgent/2.7", "Ready"), mark(*EVERYTHING)]}) == ("done", 5)


@pytest.mark.parametrize(
    ("what", "why"),
    [(stop, "stopped"), (reset, "resets"), (health("x", "NotReady", "ProvisioningFailed"), "refused")],
)
def test_bad_news_end_it_at_once(what, why):
    assert follow({5: [what], 6: [mark(*EVERYTHING)]}) == (why, 5)


def test_a_machine_that_is_gone_is_not_waited_for():
    assert follow({5: [lambda guest: guest.ended.set()]}) == ("ended", 5)


def test_bad_news_are_given_a_moment_for_what_is_still_said_of_them():
    began = time.monotonic()
    assert follow({1: [stop]}, Patience(grace=0.3)) == ("stopped", 1)
    assert time.monotonic() - began > 0.3


def test_a_report_of_failure_is_not_the_end_where_metadata_was_left_out():
    script = {5: [health("Cloud-Init/1", "NotReady", "ProvisioningFailed")], 9: [mark(*EVERYTHING, M.FINISHED)]}
    assert follow(script, goes_on=True) == ("done", 9)


@pytest.mark.parametrize("prompt", [M.LOGIN, M.FINISHED])
def test_a_running_system_has_its_time_for_ready(prompt):
    assert follow({10: [mark(prompt)]}) == ("late", 10 + 60 + 1)


def test_each_step_has_its_own_time():
    assert follow({10: [mark(M.LOGIN)], 50: [mark(M.READY)]}) == ("late", 50 + 60 + 1)
    assert follow({10: [mark(M.LOGIN)], 50: [mark(M.READY)], 90: [mark(M.SSH)]}) == ("late", 90 + 60 + 1)
    assert follow({10: [mark(M.LOGIN)], 50: [mark(M.READY)], 90: [mark(M.SSH)], 120: [mark(M.AGENT)]}) == ("late", 90 + 60 + 1)
    assert follow({10: [mark(M.READY)], 50: [mark(M.LOGIN)]}) == ("late", 50 + 60 + 1)


def test_who_took_long_to_come_up_gets_half_of_that_for_each_step():
    assert follow({170: [mark(M.READY, M.LOGIN)]}) == ("late", 170 + 85 + 1)
    assert follow({170: [mark(M.READY, M.LOGIN)], 250: [mark(M.SSH)]}) == ("late", 250 + 85 + 1)


def test_a_machine_that_is_at_work_until_the_time_is_up_is_slow_and_not_late():
    assert follow({5: [mark(M.KERNEL, M.DHCP)]}) == ("slow", 601)


def test_a_machine_that_does_nothing_is_not_waited_for():
    assert follow({5: [mark(M.KERNEL)]}, quiet=range(10, 1000)) == ("silent", 9 + 60 + 2)


def test_a_byte_a_request_or_a_disk_access_is_a_sign_of_life():
    assert follow({60: [mark(M.KERNEL)]}, quiet=[each for each in range(10, 1000) if each != 60]) == ("silent", 60 + 60 + 2)
    request = {60: [lambda guest: guest.journal.call("wire", "GET", "/", "", 200)]}
    assert follow(request, quiet=range(10, 1000)) == ("silent", 60 + 60 + 2)


def test_after_ready_silence_is_no_end():
    assert follow({5: [mark(M.READY)]}, quiet=range(10, 1000)) == ("slow", 601)


def test_stretched_limits_stretch_each_of_them():
    assert Patience().stretched(2) == Patience(1200, 120, 120, 10, 80)
    assert follow({10: [mark(M.LOGIN)]}, LIMITS.stretched(2)) == ("late", 10 + 120 + 1)


@pytest.mark.parametrize(
    ("load", "without", "expected"), [(0.5, False, (600, 60)), (99, False, (1200, 120)), (0.5, True, (900, 360)), (99, True, (1500, 420))]
)
def test_how_long_is_waited_by_how_busy_the_host_is(monkeypatch, load, without, expected):
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0, 0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    found = watch.patience(without_metadata=without)
    assert (found.total, found.silence) == expected


def test_the_last_step_is_shown_and_since_when():
    follow({2: [mark(M.KERNEL)], 4: [mark(M.DHCP)], 6: [mark(*EVERYTHING)]})
    assert follow.shown[0] == (None, 0)
    assert (M.KERNEL, 2) in follow.shown
    assert follow.shown[-1][0] in (M.DHCP, M.STATUS)
    assert [each for each, _ in follow.shown] == sorted((each for each, _ in follow.shown), key=lambda each: list(M).index(each) if each else -1)


def test_a_machine_of_which_nothing_new_is_seen_is_looked_at_once_a_second():
    """No busy loop: what ran would take the time of the emulator."""

    async def run():
        guest = Guest({})
        looks = []

        async def idle():
            looks.append(time.process_time())
            return 0

        guest.activity = idle
        watching = Watch(guest, guest.journal, IDENTITY, None, None, LIMITS, goes_on=False)
        began = time.process_time()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watching.until_done(lambda *_: None), 2.5)
        return len(looks), time.process_time() - began

    looks, spent = asyncio.run(run())
    assert looks == 3
    assert spent < 0.5


class Login:
    """A session that says what it was asked."""

    async def look(self, commands):
        return dict.fromkeys(commands, "x")


def probing(monkeypatch, script, *, answers=True, opens=()):
    """Follow with an SSH server; ``opens``: what each try to log in gives, the last for ever."""
    tries = []

    async def open_session(address, user, key):
        tries.append((address, user, key))
        found = opens[min(len(tries), len(opens)) - 1]
        if isinstance(found, Exception):
            raise found
        return found

    async def answer(address):
        return answers

    async def no_time(_):
        await real(0)

    real = asyncio.sleep
    monkeypatch.setattr(ssh.Session, "open", open_session)
    monkeypatch.setattr(ssh, "answers", answer)
    monkeypatch.setattr(watch.asyncio, "sleep", no_time)
    return follow(script, address=("127.0.0.1", 2222)), tries


def test_nobody_logs_in_before_that_can_succeed(monkeypatch):
    assert probing(monkeypatch, {3: [stop]}, opens=[Login()]) == (("stopped", 3), [])


def test_the_login_is_a_milestone_and_what_is_seen_then_is_kept(monkeypatch):
    script = {3: [mark(M.READY)], 100: [mark(M.AGENT, M.STATUS)]}
    assert probing(monkeypatch, script, opens=[Login()]) == (("done", 100), [(("127.0.0.1", 2222), IDENTITY.user, None)])
    assert follow.guest.journal.reached[M.SSH].text == IDENTITY.user
    assert follow.watching.looked == dict.fromkeys(ssh.EARLY, "x")
    assert follow.watching.session is not None


def test_a_login_that_is_refused_is_tried_again(monkeypatch):
    found, tries = probing(monkeypatch, {3: [mark(M.READY)], 200: [mark(M.AGENT, M.STATUS)]}, opens=["not yet", "nor now", Login()])
    assert (found, len(tries), follow.watching.refused) == (("done", 200), 3, "nor now")


def test_a_server_that_does_not_answer_is_not_logged_in_to(monkeypatch):
    assert probing(monkeypatch, {3: [mark(M.READY)], 9: [stop]}, answers=False, opens=[Login()]) == (("stopped", 9), [])


def test_a_probe_that_breaks_is_an_error_and_no_guest_that_cannot_be_reached(monkeypatch):
    with pytest.raises(OSError, match="no more processes"):
        probing(monkeypatch, {3: [mark(M.READY)]}, opens=[OSError("no more processes")])
