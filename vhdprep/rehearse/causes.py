"""Why a step never came, in words for whoever must mend the image; and when the emulated machine, not the image, may be why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.rehearsal import Milestone, Outcome
from vhdprep.rehearse.machine.console import EMERGENCY, STOPS
from vhdprep.rehearse.platform import OTHER_CLOUD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.rehearse.judge import Seen

_ALIVE = (Milestone.DHCP, Milestone.METADATA, Milestone.GOAL_STATE, Milestone.LOGIN)
"""Steps that only a running system takes."""


_ENDS = {"off": "it switched itself off", "full": "it wrote more to a disk than a first boot may"}
"""Why the wait ended → what the machine did."""


class Cause(NamedTuple):
    """What came of it, and why."""

    outcome: Outcome
    words: str = ""
    remedy: str = ""
    missing: Milestone | None = None
    """The first step that never came."""


def not_ready(seen: Seen) -> Cause:
    """Ready was never reported."""
    alive = any(each in seen.reached for each in _ALIVE)
    if _was_too_slow(seen):
        last = next((each for each in reversed(Milestone) if each in seen.reached), None)
        words = f"The time was up while the machine was still at work, so nothing is known of it; the last step was: {last or 'none'}."
        return Cause(Outcome.IMPOSSIBLE, words, REMEDIES["slow"], None)
    if seen.stopped is not None or seen.ended == "resets" or not alive:
        words, remedy = _no_boot(seen)
        missing = next((each for each in (Milestone.CONSOLE, Milestone.KERNEL, Milestone.DHCP) if each not in seen.reached), None)
        return Cause(Outcome.NO_BOOT, words, remedy, missing)
    if seen.ended in _ENDS:
        words = f"{_began(seen.ended)} before it was provisioned."
        return Cause(Outcome.NEVER, _with_reason(words, seen), REMEDIES[seen.ended], Milestone.READY)
    for step, words, remedy in _steps(seen):
        if step not in seen.reached:
            return Cause(Outcome.NEVER, _with_reason(words, seen), remedy, step)
    return Cause(Outcome.NEVER, _with_reason("It asked for everything, and never reported Ready.", seen), REMEDIES["ready"], Milestone.READY)


def _was_too_slow(seen: Seen) -> bool:
    """Whether it ran out of time without a sign of what it would have done: Azure gives a machine many times as long."""
    asked = Milestone.METADATA in seen.reached or Milestone.GOAL_STATE in seen.reached or _other_cloud(seen)
    return seen.ended == "slow" and seen.stopped is None and Milestone.LOGIN not in seen.reached and not asked


def _other_cloud(seen: Seen) -> str | None:
    return next((each for each in seen.tried if each.startswith(OTHER_CLOUD)), None)


def _steps(seen: Seen) -> Iterator[tuple[Milestone, str, str]]:
    """Step → what it means that it never came, and what to do; in their order."""
    if (other := _other_cloud(seen)) is not None:
        words = f"It looked for another cloud: it asked for the {other}, and never for Azure's."
        yield Milestone.METADATA, words, REMEDIES["datasource"]
    if not {Milestone.METADATA, Milestone.GOAL_STATE} & set(seen.reached):
        own = _own_address(seen)
        why = f"it has one that was set by hand ({own})" if own else "no DHCP client ran"
        yield Milestone.DHCP, f"It came up, and never asked for an address: {why}.", REMEDIES["network" if own else "dhcp"]
        words = "It came up and got an address, but not one request for provisioning came: nothing in it provisions, or nothing recognised Azure."
        yield Milestone.METADATA, words, REMEDIES["provisioner"]
    words = "It asked for instance metadata, and never for the goal state, by which a machine reports."
    yield Milestone.GOAL_STATE, words, REMEDIES["ready"]


def _own_address(seen: Seen) -> str:
    """What shows that the guest believes itself in another network."""
    neighbour = next((each.removeprefix("arp ") for each in seen.tried if each.startswith("arp ")), None)
    return f"it looked for the neighbour {neighbour}" if neighbour else ""


def _with_reason(words: str, seen: Seen) -> str:
    """With what the disk says of who provisions, and the provisioner's own last words."""
    reasons = [*seen.found.why, *(f"cloud-init wrote: {each}" for each in seen.found.cloud_words[-2:])]
    reasons += [f"the agent wrote: {each}" for each in seen.found.agent_words[-1:] if not seen.found.cloud_words]
    return f"{words} In the disk: {'; '.join(reasons)}." if reasons else words


def _no_boot(seen: Seen) -> tuple[str, str]:
    if seen.stopped is not None:
        return f"{seen.stopped[0].upper()}{seen.stopped[1:]}.", _after(seen.stopped)
    if seen.ended == "resets":
        return f"It reset itself {seen.resets} times, and never came up.", REMEDIES["boot"]
    if seen.ended in _ENDS:
        return f"{_began(seen.ended)} before it came up.", REMEDIES[seen.ended]
    if not seen.printed:
        return "Nothing came over the serial console: no boot loader was started, or it has no serial console; see the picture.", REMEDIES["boot"]
    if Milestone.KERNEL not in seen.reached:
        return "The firmware or the boot loader spoke, and no kernel did.", REMEDIES["boot"]
    return "The kernel started, and then nothing happened: no address was asked for, and no login prompt came.", REMEDIES["boot"]


def _began(ended: str) -> str:
    return f"{_ENDS[ended][0].upper()}{_ENDS[ended][1:]}"


def _after(stopped: str) -> str:
    return REMEDIES[next((each.remedy for each in STOPS if each.what == stopped), "boot")]


def unreachable(seen: Seen) -> Cause:
    """Ready was reported before the user, the key and the network existed; what came in between."""
    said = f"Ready was reported by {next((each.agent for each in seen.health if each.state == 'Ready' and each.agent), 'the guest')}"
    words, remedy = _in_between(seen)
    return Cause(Outcome.UNREACHABLE, f"{said}, and then {words}", remedy, Milestone.SSH)


def _in_between(seen: Seen) -> tuple[str, str]:
    if (broken := broke_off(seen)) is not None:
        return f"{broken}: nobody can log in.", _after(seen.stopped) if seen.stopped else REMEDIES.get(seen.ended, REMEDIES["boot"])
    if (failed := failed_later(seen)) is not None:
        return f"{failed} Nobody could log in.", REMEDIES["refused"]
    if seen.refused:
        return f"the login with the new key failed: {seen.refused}.{_of_the_key(seen)}", REMEDIES["login"]
    if Milestone.LOGIN in seen.reached or Milestone.DHCP in seen.reached:
        own = _own_address(seen)
        return (
            "the system came up, but no SSH server ever answered at the address that the network gives to it: the network of the "
            f"running system is not the one it was given, or no SSH server runs{f'; {own}' if own else ''}.",
            REMEDIES["network"],
        )
    return "no SSH server ever answered.", REMEDIES["network"]


def _of_the_key(seen: Seen) -> str:
    """What the disk says of the user and the key."""
    if seen.found.user is False:
        return " In the disk there is no such user."
    if seen.found.key == "":
        return " In the disk the user is there, and none of its files holds the key."
    return " In the disk the user and the key are there." if seen.found.user and seen.found.key else ""


def broke_off(seen: Seen) -> str | None:
    """What ended a machine that had reported Ready; None = nothing did."""
    if seen.stopped is not None:
        return seen.stopped
    if seen.ended == "resets":
        return f"it reset itself again and again ({seen.resets} times)"
    return _ENDS.get(seen.ended)


def failed_later(seen: Seen) -> str | None:
    """A report of failure that followed the first report of Ready."""
    ready = next((number for number, each in enumerate(seen.health) if each.state == "Ready"), len(seen.health))
    failed = next((each for each in reversed(seen.health[ready:]) if each.substatus == "ProvisioningFailed"), None)
    return f"{failed.agent or 'the guest'} reported that provisioning failed: {failed.description or 'it gives no reason'}." if failed else None


def guessed(seen: Seen, cause: Cause) -> Cause | None:
    """The same where a device of the emulated machine was a guess, and may be what kept the step away; None = the image is to answer for it."""
    if cause.outcome not in (Outcome.NO_BOOT, Outcome.NEVER, Outcome.REFUSED):
        return None
    may_be = {"disk": _lacks_disk(seen, cause), "network card": _lacks_card(seen, cause), "DVD drive": _lacks_dvd(seen, cause)}
    device = next((each for each, it_may in may_be.items() if it_may and each in seen.guesses), None)
    return unproven(seen, device, cause) if device else None


def unproven(seen: Seen, device: str, cause: Cause) -> Cause:
    """Not rehearsable, for it may be the guess that was wrong."""
    why = f"But which {device} its kernel can drive was a guess ({seen.guesses[device]}), so the emulated machine may be why, not the image."
    words = f"{cause.words} {why}"
    return Cause(Outcome.IMPOSSIBLE, words, REMEDIES["guess"], cause.missing)


def _lacks_disk(seen: Seen, cause: Cause) -> bool:
    """A kernel without the disk's driver ends so: in its initramfs, in a panic, or in silence; firmware and GRUB read by other means."""
    without_disk = seen.stopped is None or any(each.what == seen.stopped and each.without_disk for each in STOPS)
    return cause.outcome is Outcome.NO_BOOT and without_disk and seen.ended not in _ENDS


def _lacks_card(seen: Seen, cause: Cause) -> bool:
    return cause.missing is Milestone.DHCP and seen.stopped is None and seen.ended not in ("resets", *_ENDS)


def _lacks_dvd(seen: Seen, cause: Cause) -> bool:
    """Only who provisions by the DVD alone depends on it: the agent, and whoever has no metadata."""
    by_dvd = cause.outcome is Outcome.REFUSED or "imds" in seen.without or any("dvd" in each.lower() for each in seen.found.agent_words)
    return Milestone.DVD not in seen.reached and "dvd" not in seen.without and by_dvd and cause.outcome is not Outcome.NO_BOOT


REMEDIES = {
    "refused": "Mend what it complains about; it decides by its own configuration, /etc/waagent.conf or /etc/cloud.",
    "defects": "Mend each of these; `vhdprep check` may name the file.",
    "ready": "Read /var/log/cloud-init.log, /var/log/waagent.log and the console's lines below.",
    "datasource": "Put Azure into datasource_list in /etc/cloud/cloud.cfg.d, or remove the list, so that it is found by itself.",
    "dhcp": "Install a DHCP client, or the network service that has one, and let it configure the first network card.",
    "provisioner": "Install cloud-init or the Azure Linux Agent, enable it, and take away what holds it back.",
    "boot": "Mend the boot loader, the kernel's arguments or the initramfs, and read the console's last lines.",
    "root": "See that root= on the kernel's command line names a device that is there, and that the initramfs has the drivers of Azure's disks.",
    "loader": "Install the boot loader anew, with its configuration where it looks for it; for UEFI also as /EFI/BOOT/BOOTX64.EFI.",
    EMERGENCY: "Look for devices in /etc/fstab that are not there, and give those that may be missing the option nofail.",
    "login": "See that the SSH server takes keys of the new user, and that nothing replaces authorized_keys.",
    "network": "Remove static addresses, network configuration for another card, and rules that rename cards; let the card ask by DHCP.",
    "off": "Find what switches it off, in the console's last lines or in /etc/cloud (power_state), and take that out.",
    "full": "Find what fills the disk on the first boot, and take that out.",
    "guess": "Start a test machine of it on Azure, or rehearse a copy whose kernel, initramfs and modules can be read.",
    "slow": "Rehearse it on a host with KVM, or on one that has nothing else to do.",
    "unread": "Mend the file, or the disk that it lies on, and rehearse it again.",
}
"""What to do, by cause."""
