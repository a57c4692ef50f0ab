"""From what was seen to what the rehearsal says: the outcome, the first missing step, what most likely kept it away, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.rehearsal import Milestone, Outcome, Rehearsal, Witness
from vhdprep.rehearse.causes import REMEDIES, Cause, broke_off, failed_later, guessed, not_ready, unproven, unreachable
from vhdprep.rehearse.machine import console

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vhdprep.rehearsal import Reached
    from vhdprep.rehearse.identity import Identity
    from vhdprep.rehearse.journal import Health
    from vhdprep.rehearse.postmortem import Found

MAX_REPORTS = 20
"""First, and last, reports of the guest that are told."""
AGENT = "WALinuxAgent"
"""How its User-Agent begins."""
_DVD = "DVD drive"
"""What ``Hardware.guesses`` calls it."""
MAX_TOLD = 4096
"""Characters of what one command over SSH printed that are told."""
MAX_NAME = 253
"""Characters of one name by the guest; a host name's own limit (RFC 1035, 2.3.4)."""
MAX_UNITS = 10
"""Failed units that are named."""
ARTEFACTS = ("hv-", "hv_", "hyperv", "hypervkvpd", "hypervvssd", "hypervfcopyd", "vboxadd", "vmtoolsd", "open-vm-tools", "qemu-guest-agent")
"""Units that fail for want of Hyper-V's devices, which no emulator of today has; beginnings of their names."""
_CLOCKS = ("chrony", "chronyd", "ntp", "ntpd", "ntpsec", "phc2sys", "systemd-time-wait-sync")
"""Units of clocks: Azure's clock, a device of Hyper-V, and every time server are out of reach."""
_ONLINE = (
    *("apt-daily", "apt-daily-upgrade", "apt-news", "esm-cache", "motd-news", "ua-timer", "ubuntu-advantage", "update-notifier-download"),
    *("dnf-makecache", "dnf-automatic", "dnf-automatic-download", "dnf-automatic-install", "fwupd-refresh", "guestregister", "insights-client"),
)
"""Units that fetch something from the Internet, which is out of reach as well; Debian's and Ubuntu's, Fedora's and its family's, SUSE's."""


class Seen(NamedTuple):
    """Everything that one run showed."""

    identity: Identity
    ended: str
    """Why the wait ended, see ``watch``."""
    reached: Mapping[Milestone, Reached]
    health: Sequence[Health]
    tried: Mapping[str, int]
    stopped: str | None
    """What on the console said that it is over."""
    printed: int
    """Bytes on the console."""
    resets: int
    refused: str
    """Why the last login failed."""
    looked: Mapping[str, str]
    """What was seen over SSH."""
    found: Found
    without: frozenset[str] = frozenset()
    has_agent: bool = True
    """The image has the Azure Linux Agent, by the offline reading."""
    stale: tuple[str, ...] = ()
    """Files by which the agent takes a new machine for one that it has set up already; in the image, by the offline reading."""
    guesses: Mapping[str, str] = {}
    """Which of ``Hardware.guesses`` there are → why it was only guessed."""
    unserved: str = ""
    """Why a part of the image could not be given to the emulator."""


def judge(seen: Seen) -> Rehearsal:
    """What is to be said of it; what the machine ran on and how long it took is added by who knows."""
    outcome, cause, remedy, missing = _decide(seen)
    return Rehearsal(
        outcome=outcome,
        cause=cause,
        remedy=remedy,
        missing=missing,
        reached=tuple(sorted(seen.reached.values(), key=lambda each: each.seconds)),
        witnesses=tuple(_witnesses(seen)),
        defects=tuple(_defects(seen)) if outcome is Outcome.DEFECTS else (),
        tried=tuple(f"{what} ({times} times)" if times > 1 else what for what, times in seen.tried.items()),
        without=tuple(sorted(seen.without)),
    )


def _decide(seen: Seen) -> Cause:
    """The outcome, why, what to do, and the first missing step."""
    if seen.unserved:
        words = f"A part of the image could not be read while it ran, so what it did proves nothing: {seen.unserved}."
        return Cause(Outcome.IMPOSSIBLE, words, REMEDIES["unread"])
    if Milestone.READY in seen.reached:
        return _provisioned(seen) if Milestone.SSH in seen.reached else unreachable(seen)
    cause = _refused(seen) or not_ready(seen)
    return guessed(seen, cause) or cause


def _refused(seen: Seen) -> Cause | None:
    failed = next((each for each in reversed(seen.health) if each.substatus == "ProvisioningFailed"), None)
    if failed is None:
        return None
    words = f"{failed.agent or 'The guest'} reported {failed.state}, {failed.substatus}: {failed.description or 'it gives no reason'}"
    return Cause(Outcome.REFUSED, words, REMEDIES["refused"], Milestone.READY)


def _provisioned(seen: Seen) -> Cause:
    if found := next(_defects(seen), None):
        missing = next((each for each in (Milestone.DVD, Milestone.AGENT, Milestone.STATUS) if _is_missed(seen, each)), None)
        return Cause(Outcome.DEFECTS, found, REMEDIES["defects"], missing)
    if _is_blind(seen):
        return unproven(seen, _DVD, Cause(Outcome.DEFECTS, "It provisions, but the provisioning DVD was never ejected.", "", Milestone.DVD))
    return Cause(Outcome.REHEARSED)


def _is_missed(seen: Seen, step: Milestone) -> bool:
    return step not in seen.reached and not (step is Milestone.DVD and ("dvd" in seen.without or _is_blind(seen)))


def _is_blind(seen: Seen) -> bool:
    """Whether the DVD may have stayed in its drive only because the drive was a guess."""
    return _DVD in seen.guesses and Milestone.DVD not in seen.reached and "dvd" not in seen.without


def _defects(seen: Seen) -> Iterator[str]:
    """What is wrong although it provisions, worst first."""
    if (broken := broke_off(seen)) is not None:
        yield f"It could be logged in to, and then {broken}."
    if (failed := failed_later(seen)) is not None:
        yield f"After Ready, {failed}"
    yield from _of_the_agent(seen)
    if "dvd" not in seen.without and not _is_blind(seen):
        yield from _of_the_dvd(seen)
    if seen.found.host is not None and seen.found.host.partition(".")[0] != seen.identity.host:
        yield f"The host name is {seen.found.host[:MAX_NAME]!r}, not the one that was given ({seen.identity.host})."
    yield from (f"cloud-init reports an error: {each}" for each in seen.found.errors)
    if failed_ones := failed_units(seen.looked.get("failed", "")):
        more = f" and {len(failed_ones) - MAX_UNITS} more" if len(failed_ones) > MAX_UNITS else ""
        yield f"Units failed: {', '.join(each[:MAX_NAME] for each in failed_ones[:MAX_UNITS])}{more}."


def _of_the_agent(seen: Seen) -> Iterator[str]:
    if Milestone.AGENT not in seen.reached and not seen.has_agent:
        yield "No Azure Linux Agent is installed: no extension, password reset or run command will ever work."
    elif Milestone.AGENT not in seen.reached:
        state = ", ".join(seen.looked.get("agent", "").split()) or "not asked"
        yield f"The agent never reported Ready (its units, enabled and active: {state[:MAX_NAME]})."
    else:
        if Milestone.STATUS not in seen.reached:
            yield "The agent reported Ready, and never sent its status."
        if seen.stale and not any(each.substatus == "Provisioning" for each in seen.health if each.agent.startswith(AGENT)):
            yield f"The agent skipped its own provisioning, for the image brings marks of an earlier machine: {', '.join(seen.stale)}."


def _of_the_dvd(seen: Seen) -> Iterator[str]:
    if Milestone.DVD not in seen.reached:
        source = f" (cloud-init: {seen.found.source})" if seen.found.source else ""
        yield f"The provisioning DVD was never read to its end and ejected{source}."
    if seen.found.marker == "":
        yield "The custom data is nowhere in the machine: what a user passes to a new machine would be lost."
    elif seen.found.marker is None and seen.looked.get("custom data", "").strip() != seen.identity.marker:
        why = seen.found.unread[0] if seen.found.unread else "its files could not be read"
        yield f"Whether the custom data reached the machine could not be seen: {why}."


def failed_units(listed: str) -> list[str]:
    """Units that failed, by ``systemctl --failed --plain``, without those that fail only for want of Hyper-V's devices or of the Internet."""
    names = [words[0] for line in listed.splitlines() if (words := line.split()) and "." in words[0]]
    return [each for each in names if not each.startswith(ARTEFACTS) and each.partition(".")[0] not in (*_CLOCKS, *_ONLINE)]


def _witnesses(seen: Seen) -> Iterator[Witness]:
    """Everything that can be told, good or bad; of what was not asked nothing."""
    for each in (*seen.health[:MAX_REPORTS], *seen.health[MAX_REPORTS:][-MAX_REPORTS:]):
        good = {"Ready": True, "ProvisioningFailed": False}.get(each.substatus or each.state)
        words = " ".join(part for part in (each.state, each.substatus, each.description) if part)
        yield Witness("what the guest reported", f"POST health by {each.agent or 'nobody'} at {each.seconds:.0f} s", words, good)
    yield from _set_up(seen)
    found = seen.found
    if found.source:
        yield Witness("source of cloud-init's data", "/var/lib/cloud/data/result.json", found.source, None)
    yield from (Witness("what cloud-init says", "/var/log/cloud-init.log", each, None) for each in (*found.errors, *found.cloud_words))
    yield from (Witness("what the agent says", "/var/log/waagent.log", each, None) for each in found.agent_words)
    yield from (Witness(f"over SSH: {name}", "ssh", _without_artefacts(value)[:MAX_TOLD] or "nothing", None) for name, value in seen.looked.items())
    yield from (Witness("not read afterwards", "the disk", each, None) for each in found.unread)


def _without_artefacts(text: str) -> str:
    """cloud-init repeats each message that it cannot hand to Hyper-V, by the dozen, in the account of its state."""
    return "\n".join(line for line in text.splitlines() if not console.ARTEFACTS.search(line))


def _set_up(seen: Seen) -> Iterator[Witness]:
    """What a new machine was promised, as it stands on its disk."""
    found, identity = seen.found, seen.identity
    if found.user is not None:
        yield Witness("new user", "/etc/passwd", identity.user if found.user else "is not there", found.user)
    if found.key is not None:
        yield Witness("new key", found.key or "authorized_keys", "is there" if found.key else "is not there", bool(found.key))
    if found.host is not None:
        yield Witness("host name", "/etc/hostname", found.host[:MAX_NAME], found.host.partition(".")[0] == identity.host)
    if found.marker is not None and "dvd" not in seen.without:
        yield Witness("custom data", found.marker or "/var/lib", "is there" if found.marker else "is not there", bool(found.marker))
