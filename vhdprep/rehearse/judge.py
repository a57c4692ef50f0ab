"""From what was seen to what the rehearsal says: the outcome, the first missing step, what most likely kept it away, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.rehearsal import Milestone, Outcome, Rehearsal, Witness

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vhdprep.rehearsal import Reached
    from vhdprep.rehearse.identity import Identity
    from vhdprep.rehearse.journal import Call, Health
    from vhdprep.rehearse.postmortem import Found

MAX_REPORTS = 20
"""First, and last, reports of the guest that are told."""
MAX_UNITS = 20
"""Failed units that are named."""
MAX_SAID = 4000
"""Characters of one answer over SSH that are told."""
CLOUD_INIT, AGENT = "Cloud-Init", "WALinuxAgent"
"""How their User-Agents begin."""
_OTHER_CLOUD = "metadata of another cloud"
ARTEFACTS = ("hv-", "hv_", "hyperv", "hypervkvpd", "hypervvssd", "hypervfcopyd", "vboxadd", "vmtoolsd", "open-vm-tools", "qemu-guest-agent")
"""Units that fail for want of Hyper-V's devices, which no emulator of today has; beginnings of their names."""
_CLOCKS = ("chrony", "chronyd", "ntp", "ntpd", "ntpsec", "phc2sys", "systemd-time-wait-sync")
"""Units of clocks: Azure's clock, a device of Hyper-V, and every time server are out of reach."""


class Seen(NamedTuple):
    """Everything that one run showed."""

    identity: Identity
    ended: str
    """Why the wait ended, see ``watch``."""
    reached: Mapping[Milestone, Reached]
    calls: Sequence[Call]
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


def _decide(seen: Seen) -> tuple[Outcome, str, str, Milestone | None]:
    """The outcome, why, what to do, and the first missing step."""
    failed = next((each for each in reversed(seen.health) if each.substatus == "ProvisioningFailed"), None)
    if failed is not None and Milestone.READY not in seen.reached:
        words = f"{failed.agent or 'the guest'} reported {failed.state}, {failed.substatus}: {failed.description or 'it gives no reason'}"
        return Outcome.REFUSED, words, _REMEDIES["refused"], Milestone.READY
    if Milestone.READY not in seen.reached:
        return _not_ready(seen)
    if Milestone.SSH not in seen.reached:
        cause, remedy = _unreachable(seen)
        return Outcome.UNREACHABLE, cause, remedy, Milestone.SSH
    if defects := tuple(_defects(seen)):
        missing = next((each for each in (Milestone.DVD, Milestone.AGENT, Milestone.STATUS) if each not in seen.reached), None)
        return Outcome.DEFECTS, defects[0], _REMEDIES["defects"], missing
    return Outcome.REHEARSED, "", "", None


_BROKEN_OFF = {
    "off": ("it switched itself off", "Find what switches it off, in the console's last lines or in /etc/cloud (power_state), and take that out."),
    "full": ("it wrote more to a disk than a first boot may", "Find what fills the disk on the first boot, and take that out."),
    "resets": ("it reset itself again and again", "Read the console's last lines before each new start, and mend what they name."),
}
"""Why the wait ended → what the machine did, as a part of a sentence, and what to do."""


def _not_ready(seen: Seen) -> tuple[Outcome, str, str, Milestone | None]:
    alive = {Milestone.DHCP, Milestone.METADATA, Milestone.GOAL_STATE, Milestone.LOGIN} & set(seen.reached)
    if seen.stopped is not None or seen.ended == "resets" or not alive:
        cause, remedy = _no_boot(seen)
        missing = next((each for each in (Milestone.CONSOLE, Milestone.KERNEL, Milestone.DHCP) if each not in seen.reached), None)
        return Outcome.NO_BOOT, cause, remedy, missing
    if seen.ended in _BROKEN_OFF:
        did, remedy = _BROKEN_OFF[seen.ended]
        return Outcome.NEVER, _with_reason(f"Before it had reported Ready, {did}.", seen), remedy, Milestone.READY
    for step, cause, remedy in _steps(seen):
        if step not in seen.reached:
            return Outcome.NEVER, _with_reason(cause, seen), remedy, step
    return Outcome.NEVER, _with_reason("It asked for everything, and never reported Ready.", seen), _REMEDIES["ready"], Milestone.READY


def _steps(seen: Seen) -> Iterator[tuple[Milestone, str, str]]:
    """Step → what it means that it never came, and what to do; in their order."""
    other = next((each for each in seen.tried if each.startswith(_OTHER_CLOUD)), None)
    if other is not None:
        cause = f"It looked for another cloud: it asked for the {other}, and never for Azure's."
        yield Milestone.METADATA, cause, _REMEDIES["datasource"]
    yield Milestone.DHCP, "It came up, and never asked for an address: no DHCP client ran.", _REMEDIES["dhcp"]
    if not {Milestone.METADATA, Milestone.GOAL_STATE} & set(seen.reached):
        cause = "It came up and has an address, but not one request for provisioning came: nothing in it provisions, or nothing recognised Azure."
        yield Milestone.METADATA, cause, _REMEDIES["provisioner"]
    cause = "It asked for instance metadata, and never for the goal state, by which a machine reports."
    yield Milestone.GOAL_STATE, cause, _REMEDIES["ready"]


def _with_reason(cause: str, seen: Seen) -> str:
    """With what the disk says of who provisions, and the provisioner's own last words."""
    reasons = [*seen.found.why, *(f"cloud-init wrote: {each}" for each in seen.found.cloud_words[-2:])]
    return f"{cause} In the disk: {'; '.join(reasons)}." if reasons else cause


def _no_boot(seen: Seen) -> tuple[str, str]:
    if seen.stopped is not None:
        return f"{seen.stopped[0].upper()}{seen.stopped[1:]}.", _REMEDIES["emergency" if "emergency" in seen.stopped else "boot"]
    if seen.ended == "resets":
        return f"It reset itself {seen.resets} times.", _REMEDIES["boot"]
    if seen.ended in _BROKEN_OFF:
        did, remedy = _BROKEN_OFF[seen.ended]
        return f"Before it had asked for an address, {did}.", remedy
    if not seen.printed:
        return "Nothing came over the serial console: no boot loader was started, or it has no serial console; see the picture.", _REMEDIES["boot"]
    if Milestone.KERNEL not in seen.reached:
        return "The firmware or the boot loader spoke, and no kernel did.", _REMEDIES["boot"]
    return "The kernel started, and then nothing happened: no address was asked for, and no login prompt came.", _REMEDIES["boot"]


def _unreachable(seen: Seen) -> tuple[str, str]:
    """Ready was reported before the user, the key and the network existed; what came in between."""
    said = f"Ready was reported by {next((each.agent for each in seen.health if each.state == 'Ready'), 'the guest')}"
    if seen.stopped is not None:
        return f"{said}, and then {seen.stopped}: nobody can log in.", _REMEDIES["emergency" if "emergency" in seen.stopped else "boot"]
    if seen.ended in _BROKEN_OFF:
        did, remedy = _BROKEN_OFF[seen.ended]
        return f"{said}, and then {did}: nobody can log in.", remedy
    if seen.refused:
        return f"{said}, and then the login with the new key failed: {seen.refused}", _REMEDIES["login"]
    dhcp = seen.reached.get(Milestone.DHCP)
    if Milestone.LOGIN in seen.reached or dhcp is not None:
        return (
            f"{said}, and the system came up, but no SSH server ever answered at the address that the network gives to it: the network of the "
            "running system is not the one it was given, or no SSH server runs.",
            _REMEDIES["network"],
        )
    return f"{said}, and no SSH server ever answered.", _REMEDIES["network"]


def _defects(seen: Seen) -> Iterator[str]:
    """What is wrong although it provisions, worst first."""
    if seen.ended in _BROKEN_OFF:
        yield f"Before everything was done, {_BROKEN_OFF[seen.ended][0]}."
    if seen.has_agent and Milestone.AGENT not in seen.reached:
        state = ", ".join(seen.looked.get("agent", "")[:MAX_SAID].split()) or "not asked"
        yield f"The agent never reported Ready (its units, enabled and active: {state})."
    elif not seen.has_agent:
        yield "No Azure Linux Agent is installed: no extension, password reset or run command will ever work."
    elif Milestone.STATUS not in seen.reached:
        yield "The agent reported Ready, and never sent its status."
    if seen.stale and not any(each.substatus == "Provisioning" for each in seen.health if each.agent.startswith(AGENT)):
        yield f"The agent skipped its own provisioning, for the image brings marks of an earlier machine: {', '.join(seen.stale)}."
    if "dvd" not in seen.without:
        yield from _unread(seen)
    if seen.found.host is not None and seen.found.host.partition(".")[0] != seen.identity.host:
        yield f"The host name is {seen.found.host!r}, not the one that was given ({seen.identity.host})."
    yield from (f"cloud-init reports an error: {each}" for each in seen.found.errors)
    if failed := failed_units(seen.looked.get("failed", "")):
        yield f"Units failed: {', '.join(failed[:MAX_UNITS])}{f' and {len(failed) - MAX_UNITS} more' if len(failed) > MAX_UNITS else ''}."


def _unread(seen: Seen) -> Iterator[str]:
    """What of the provisioning DVD was not taken."""
    if Milestone.DVD not in seen.reached:
        source = f" (cloud-init: {seen.found.source})" if seen.found.source else ""
        yield f"The provisioning DVD was never read to its end and ejected{source}."
    if seen.found.marker == "":
        yield "The custom data is nowhere in the machine: what a user passes to a new machine would be lost."


def failed_units(listed: str) -> list[str]:
    """Units that failed, by ``systemctl --failed --plain``, without those that fail only because this is no Hyper-V."""
    names = [words[0] for line in listed.splitlines() if (words := line.split()) and "." in words[0]]
    return [each for each in names if not each.startswith(ARTEFACTS) and each.partition(".")[0] not in _CLOCKS]


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
    yield from (Witness(f"over SSH: {name}", "ssh", value[:MAX_SAID] or "nothing", None) for name, value in seen.looked.items())
    yield from (Witness("not read afterwards", "the disk", each, None) for each in found.unread)


def _set_up(seen: Seen) -> Iterator[Witness]:
    """What a new machine was promised, as it stands on its disk."""
    found, identity = seen.found, seen.identity
    if found.user is not None:
        yield Witness("new user", "/etc/passwd", identity.user if found.user else "is not there", found.user)
    if found.key is not None:
        yield Witness("new key", found.key or "authorized_keys", "is there" if found.key else "is not there", bool(found.key))
    if found.host is not None:
        yield Witness("host name", "/etc/hostname", found.host, found.host.partition(".")[0] == identity.host)
    if found.marker is not None and "dvd" not in seen.without:
        yield Witness("custom data", found.marker or "/var/lib", "is there" if found.marker else "is not there", bool(found.marker))


_REMEDIES = {
    "refused": "Mend what it complains about; it decides by its own configuration, /etc/waagent.conf or /etc/cloud.",
    "defects": "Mend each of these; `vhdprep check` may name the file.",
    "ready": "Read /var/log/cloud-init.log, /var/log/waagent.log and the console's lines below.",
    "datasource": "Put Azure into datasource_list in /etc/cloud/cloud.cfg.d, or remove the list, so that it is found by itself.",
    "dhcp": "Install a DHCP client, or the network service that has one, and let it configure the first network card.",
    "provisioner": "Install cloud-init or the Azure Linux Agent, enable it, and take away what holds it back.",
    "boot": "Mend the boot loader, the kernel's arguments or the initramfs, and read the console's last lines.",
    "emergency": "Look for devices in /etc/fstab that are not there, and give those that may be missing the option nofail.",
    "login": "See that the SSH server takes keys of the new user, and that nothing replaces authorized_keys.",
    "network": "Remove static addresses, network configuration for another card, and rules that rename cards; let the card ask by DHCP.",
}
