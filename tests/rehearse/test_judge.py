"""From what was seen to what is said: every outcome, every cause in full, and what a guest cannot talk the verdict into."""

from __future__ import annotations

import pytest

from tests.rehearse.talk import IDENTITY
from vhdprep.rehearsal import Milestone, Outcome, Reached
from vhdprep.rehearse import causes
from vhdprep.rehearse.causes import REMEDIES
from vhdprep.rehearse.journal import Health
from vhdprep.rehearse.judge import MAX_NAME, MAX_TOLD, Seen, failed_units, judge
from vhdprep.rehearse.machine.console import STOPS
from vhdprep.rehearse.postmortem import Found

M = Milestone
GOOD = Found(host="rehearsal-1", user=True, key="/home/rehearsal1/.ssh/authorized_keys", marker="/var/lib/waagent/CustomData")
BY_CLOUD_INIT = Health(33, "Cloud-Init/22.4.2", "Ready", "", "")
STARTING = Health(61, "WALinuxAgent/2.7.3.0", "NotReady", "Provisioning", "Starting")
BY_AGENT = Health(62, "WALinuxAgent/2.7.3.0", "Ready", "", "")
FAILED = Health(68, "WALinuxAgent/2.7.3.0", "NotReady", "ProvisioningFailed", "no ovf-env.xml")
UP = (M.CONSOLE, M.KERNEL, M.LOGIN)
ADDRESS = (*UP, M.DHCP)
ASKED = (*ADDRESS, M.METADATA)
GOAL = (*ASKED, M.GOAL_STATE)
READY = (*GOAL, M.DVD, M.READY)
EMERGENCY, NO_ROOT, PANIC, GRUB, NOTHING = (
    "the system went into emergency mode", "the initramfs found no root file system and stopped in an emergency shell", "the kernel panicked",
    "GRUB found no configuration and stopped at its prompt", "the firmware found nothing to start",
)  # fmt: skip
DISK, CARD, DRIVE = (
    {"disk": "disk: nvme is a guess, for x"},
    {"network card": "network card: e1000 is a guess, for x"},
    {"DVD drive": "DVD drive: ahci is a guess, for x"},
)


def seen(*reached, **other):
    """A machine of which everything is good that is not said; ``but``: the steps that it did not take."""
    but = other.pop("but", ())
    steps = reached or tuple(each for each in M if each not in but)
    values = {
        "identity": IDENTITY,
        "ended": "done",
        "reached": {each: Reached(each, number, "") for number, each in enumerate(steps)},
        "health": (BY_CLOUD_INIT, STARTING, BY_AGENT) if M.READY in steps else (),
        "tried": {},
        "stopped": None,
        "printed": 1000,
        "resets": 0,
        "refused": "",
        "looked": {},
        "found": GOOD,
    }
    return Seen(**{**values, **other})


def told(found):
    return found.outcome, found.missing, found.cause, found.remedy


def test_a_machine_of_which_everything_is_seen_was_rehearsed():
    found = judge(seen())
    assert told(found) == (Outcome.REHEARSED, None, "", "")
    assert (found.defects, found.passed, len(found.reached)) == ((), True, len(M))


TABLE = {
    "nothing at all": (
        seen(M.DVD, ended="silent", printed=0),
        Outcome.NO_BOOT, M.CONSOLE, "Nothing came over the serial console: no boot loader was started, or it has no serial console; see the picture.", "boot",
    ),
    "only firmware": (seen(M.CONSOLE, ended="silent"), Outcome.NO_BOOT, M.KERNEL, "The firmware or the boot loader spoke, and no kernel did.", "boot"),
    "only a kernel": (
        seen(M.CONSOLE, M.KERNEL, ended="silent"),
        Outcome.NO_BOOT, M.DHCP, "The kernel started, and then nothing happened: no address was asked for, and no login prompt came.", "boot",
    ),
    "firmware gives up": (seen(M.CONSOLE, stopped=NOTHING), Outcome.NO_BOOT, M.KERNEL, "The firmware found nothing to start.", "loader"),
    "GRUB gives up": (seen(M.CONSOLE, stopped=GRUB), Outcome.NO_BOOT, M.KERNEL, "GRUB found no configuration and stopped at its prompt.", "loader"),
    "panic": (seen(M.CONSOLE, M.KERNEL, stopped=PANIC), Outcome.NO_BOOT, M.DHCP, "The kernel panicked.", "boot"),
    "no root": (
        seen(M.CONSOLE, M.KERNEL, stopped=NO_ROOT),
        Outcome.NO_BOOT, M.DHCP, "The initramfs found no root file system and stopped in an emergency shell.", "root",
    ),
    "emergency mode": (seen(M.CONSOLE, M.KERNEL, stopped=EMERGENCY), Outcome.NO_BOOT, M.DHCP, "The system went into emergency mode.", "emergency"),
    "a loop": (seen(M.CONSOLE, ended="resets", resets=6), Outcome.NO_BOOT, M.KERNEL, "It reset itself 6 times, and never came up.", "boot"),
    "off": (seen(M.CONSOLE, M.KERNEL, ended="off"), Outcome.NO_BOOT, M.DHCP, "It switched itself off before it came up.", "off"),
    "off later": (
        seen(*ADDRESS, ended="off"), Outcome.NEVER, M.READY, "It switched itself off before it was provisioned.", "off",
    ),
    "no address": (seen(*UP, ended="late"), Outcome.NEVER, M.DHCP, "It came up, and never asked for an address: no DHCP client ran.", "dhcp"),
    "an address of its own": (
        seen(*UP, ended="late", tried={"arp 192.168.7.1": 9}),
        Outcome.NEVER, M.DHCP,
        "It came up, and never asked for an address: it has one that was set by hand (it looked for the neighbour 192.168.7.1).", "network",
    ),
    "no provisioner": (
        seen(*ADDRESS, ended="late", found=Found(why=("/etc/cloud/cloud-init.disabled: cloud-init is switched off by a marker",))),
        Outcome.NEVER, M.METADATA,
        "It came up and got an address, but not one request for provisioning came: nothing in it provisions, or nothing recognised Azure. "
        "In the disk: /etc/cloud/cloud-init.disabled: cloud-init is switched off by a marker.", "provisioner",
    ),
    "another cloud": (
        seen(*ADDRESS, ended="late", tried={"dns a.example": 1, "metadata of another cloud: /latest/meta-data": 3}, found=Found(cloud_words=("a", "b", "c"))),
        Outcome.NEVER, M.METADATA,
        "It looked for another cloud: it asked for the metadata of another cloud: /latest/meta-data, and never for Azure's. "
        "In the disk: cloud-init wrote: b; cloud-init wrote: c.", "datasource",
    ),
    "no goal state": (
        seen(*ASKED, ended="late"), Outcome.NEVER, M.GOAL_STATE,
        "It asked for instance metadata, and never for the goal state, by which a machine reports.", "ready",
    ),
    "no report": (
        seen(*GOAL, ended="late", found=Found(agent_words=("x", "no key"))),
        Outcome.NEVER, M.READY, "It asked for everything, and never reported Ready. In the disk: the agent wrote: no key.", "ready",
    ),
    "refused": (
        seen(*GOAL, ended="refused", health=(STARTING, FAILED)), Outcome.REFUSED, M.READY,
        "WALinuxAgent/2.7.3.0 reported NotReady, ProvisioningFailed: no ovf-env.xml", "refused",
    ),
    "refused without a word": (
        seen(*GOAL, ended="refused", health=(Health(1, "", "NotReady", "ProvisioningFailed", ""),)), Outcome.REFUSED, M.READY,
        "The guest reported NotReady, ProvisioningFailed: it gives no reason", "refused",
    ),
    "unreachable by fstab": (
        seen(*READY, stopped=EMERGENCY), Outcome.UNREACHABLE, M.SSH,
        "Ready was reported by Cloud-Init/22.4.2, and then the system went into emergency mode: nobody can log in.", "emergency",
    ),
    "unreachable by panic": (
        seen(*READY, stopped=PANIC), Outcome.UNREACHABLE, M.SSH, "Ready was reported by Cloud-Init/22.4.2, and then the kernel panicked: nobody can log in.", "boot",
    ),
    "unreachable in a loop": (
        seen(*READY, ended="resets", resets=6), Outcome.UNREACHABLE, M.SSH,
        "Ready was reported by Cloud-Init/22.4.2, and then it reset itself again and again (6 times): nobody can log in.", "boot",
    ),
    "off after ready": (
        seen(*READY, ended="off"), Outcome.UNREACHABLE, M.SSH, "Ready was reported by Cloud-Init/22.4.2, and then it switched itself off: nobody can log in.", "off",
    ),
    "unreachable, and it says why": (
        seen(*READY, health=(BY_CLOUD_INIT, FAILED)), Outcome.UNREACHABLE, M.SSH,
        "Ready was reported by Cloud-Init/22.4.2, and then WALinuxAgent/2.7.3.0 reported that provisioning failed: no ovf-env.xml. Nobody could log in.", "refused",
    ),
    "the login is refused": (
        seen(*READY, refused="Permission denied (publickey)"), Outcome.UNREACHABLE, M.SSH,
        "Ready was reported by Cloud-Init/22.4.2, and then the login with the new key failed: Permission denied (publickey). "
        "In the disk the user and the key are there.", "login",
    ),
    "the login of nobody is refused": (
        seen(*READY, refused="Permission denied (publickey)", found=GOOD._replace(user=False, key="")), Outcome.UNREACHABLE, M.SSH,
        "Ready was reported by Cloud-Init/22.4.2, and then the login with the new key failed: Permission denied (publickey). In the disk there is no such user.",
        "login",
    ),
    "the login without a key is refused": (
        seen(*READY, refused="Permission denied (publickey)", found=GOOD._replace(key="")), Outcome.UNREACHABLE, M.SSH,
        "Ready was reported by Cloud-Init/22.4.2, and then the login with the new key failed: Permission denied (publickey). "
        "In the disk the user is there, and none of its files holds the key.", "login",
    ),
    "nobody answers": (
        seen(*READY, tried={"arp 192.168.7.1": 4}), Outcome.UNREACHABLE, M.SSH,
        "Ready was reported by Cloud-Init/22.4.2, and then the system came up, but no SSH server ever answered at the address that the network gives to it: "
        "the network of the running system is not the one it was given, or no SSH server runs; it looked for the neighbour 192.168.7.1.", "network",
    ),
    "nobody answers, and nothing is known": (
        seen(M.READY, health=()), Outcome.UNREACHABLE, M.SSH, "Ready was reported by the guest, and then no SSH server ever answered.", "network",
    ),
    "too slow": (
        seen(M.CONSOLE, M.KERNEL, ended="slow"), Outcome.IMPOSSIBLE, None,
        "The time was up while the machine was still at work, so nothing is known of it; the last step was: the kernel started.", "slow",
    ),
    "slow, but it looked for another cloud": (
        seen(M.CONSOLE, M.DHCP, ended="slow", tried={"metadata of another cloud: /latest": 1}), Outcome.NEVER, M.METADATA,
        "It looked for another cloud: it asked for the metadata of another cloud: /latest, and never for Azure's.", "datasource",
    ),
    "the file could not be read": (
        seen(unserved="block 63 lies outside the file"), Outcome.IMPOSSIBLE, None,
        "A part of the image could not be read while it ran, so what it did proves nothing: block 63 lies outside the file.", "unread",
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", TABLE)
def test_each_first_missing_step_has_its_cause(row):
    given, outcome, missing, cause, remedy = TABLE[row]
    found = judge(given)
    assert told(found) == (outcome, missing, cause, REMEDIES[remedy])
    assert found.passed is (None if outcome is Outcome.IMPOSSIBLE else False)
    assert found.defects == ()


def test_every_end_of_a_boot_has_a_remedy_of_its_own_cause():
    assert {each.remedy for each in STOPS} <= set(REMEDIES)
    assert {each.what for each in STOPS} == {EMERGENCY, NO_ROOT, PANIC, GRUB, NOTHING}


MARKS = ("/var/lib/waagent/provisioned",)
DEFECTS = {
    "no agent": (seen(has_agent=False, but=(M.AGENT, M.STATUS)), M.AGENT, "No Azure Linux Agent is installed: no extension, password reset or run command will ever work."),
    "masked": (
        seen(but=(M.AGENT, M.STATUS), looked={"agent": "masked\ninactive"}), M.AGENT,
        "The agent never reported Ready (its units, enabled and active: masked, inactive).",
    ),
    "not asked": (seen(but=(M.AGENT, M.STATUS)), M.AGENT, "The agent never reported Ready (its units, enabled and active: not asked)."),
    "no status": (seen(but=(M.STATUS,)), M.STATUS, "The agent reported Ready, and never sent its status."),
    "marks": (
        seen(stale=MARKS, health=(BY_CLOUD_INIT, BY_AGENT)), None,
        "The agent skipped its own provisioning, for the image brings marks of an earlier machine: /var/lib/waagent/provisioned.",
    ),
    "no DVD": (seen(but=(M.DVD,)), M.DVD, "The provisioning DVD was never read to its end and ejected."),
    "no DVD, but": (
        seen(but=(M.DVD,), found=GOOD._replace(source="DataSourceAzure [seed=IMDS]")), M.DVD,
        "The provisioning DVD was never read to its end and ejected (cloud-init: DataSourceAzure [seed=IMDS]).",
    ),
    "custom data lost": (
        seen(found=GOOD._replace(marker="")), None, "The custom data is nowhere in the machine: what a user passes to a new machine would be lost.",
    ),
    "custom data not seen": (
        seen(found=Found(unread=("p1: this is no file system that is read here",))), None,
        "Whether the custom data reached the machine could not be seen: p1: this is no file system that is read here.",
    ),
    "host name": (seen(found=GOOD._replace(host="builder01")), None, "The host name is 'builder01', not the one that was given (rehearsal-1)."),
    "cloud-init's error": (seen(found=GOOD._replace(errors=("no locale",))), None, "cloud-init reports an error: no locale"),
    "units": (
        seen(looked={"failed": "foo.service loaded failed failed Foo\nhv-kvp-daemon.service loaded failed failed x\nchrony.service loaded failed failed y\n"}),
        None, "Units failed: foo.service.",
    ),
    "failed after Ready": (
        seen(health=(BY_CLOUD_INIT, FAILED, BY_AGENT)), None, "After Ready, WALinuxAgent/2.7.3.0 reported that provisioning failed: no ovf-env.xml.",
    ),
    "panicked at last": (seen(stopped=PANIC), None, "It could be logged in to, and then the kernel panicked."),
    "a loop at last": (seen(ended="resets", resets=6), None, "It could be logged in to, and then it reset itself again and again (6 times)."),
    "off at last": (seen(ended="off"), None, "It could be logged in to, and then it switched itself off."),
}  # fmt: skip


@pytest.mark.parametrize("row", DEFECTS)
def test_each_defect_keeps_an_image_from_passing(row):
    given, missing, words = DEFECTS[row]
    found = judge(given)
    assert told(found) == (Outcome.DEFECTS, missing, words, REMEDIES["defects"])
    assert (found.defects, found.passed, found.provisions) == ((words,), False, True)


def test_the_worst_defect_comes_first_and_all_are_told():
    found = judge(seen(but=(M.AGENT, M.STATUS, M.DVD), found=GOOD._replace(host="x", errors=("e",))))
    assert len(found.defects) == 4
    assert found.cause == found.defects[0]
    assert found.missing is M.DVD


@pytest.mark.parametrize(
    "given",
    [
        seen(without=frozenset({"dvd"}), but=(M.DVD,), found=GOOD._replace(marker="")),
        seen(without=frozenset({"imds"}), health=(FAILED._replace(seconds=20), BY_CLOUD_INIT, STARTING, BY_AGENT)),
        seen(but=(M.LOGIN, M.FINISHED, M.CONSOLE, M.KERNEL, M.DHCP), printed=0),
        seen(but=(M.METADATA, M.GOAL_STATE)),
        seen(health=(STARTING, BY_AGENT)),
        seen(has_agent=False),
        seen(stale=MARKS),
        seen(found=GOOD._replace(host="rehearsal-1.example.com")),
        seen(found=Found(unread=("x",)), looked={"custom data": "vhdprep-1\n"}),
        seen(looked={"failed": "hypervkvpd.service a\nchronyd.service b\napt-daily.service c\n● no unit\n0 loaded units"}),
        seen(ended="late"),
        seen(refused="an earlier try failed"),
    ],
    ids=[
        "without the DVD", "without metadata, which is told of first", "no serial console", "azure-init, without a goal state",
        "the agent alone reports", "an agent that the offline reading does not find", "the agent provisioned in spite of its marks", "a full name",
        "custom data seen over SSH", "artefacts of the emulator", "cloud-init's last words never came", "the second login",
    ],
)  # fmt: skip
def test_what_is_no_defect(given):
    assert told(judge(given)) == (Outcome.REHEARSED, None, "", "")


@pytest.mark.parametrize("step", [M.READY, M.SSH, M.AGENT, M.STATUS, M.DVD])
def test_no_step_that_proves_something_may_be_missing(step):
    assert judge(seen(but=(step,))).outcome is not Outcome.REHEARSED


def test_what_the_console_says_never_makes_an_image_pass():
    """A hostile guest can print what it likes: these three steps alone come from there."""
    assert judge(seen(M.CONSOLE, M.KERNEL, M.LOGIN, M.FINISHED, ended="late")).outcome is Outcome.NEVER


GUESSED = {
    "disk, silence": (seen(M.CONSOLE, M.KERNEL, ended="silent", guesses=DISK), M.DHCP, "disk"),
    "disk, nothing": (seen(M.DVD, ended="silent", printed=0, guesses=DISK), M.CONSOLE, "disk"),
    "disk, no root": (seen(M.CONSOLE, M.KERNEL, stopped=NO_ROOT, guesses=DISK), M.DHCP, "disk"),
    "disk, panic": (seen(M.CONSOLE, M.KERNEL, stopped=PANIC, guesses=DISK), M.DHCP, "disk"),
    "disk, a loop": (seen(M.CONSOLE, M.KERNEL, ended="resets", resets=6, guesses=DISK), M.DHCP, "disk"),
    "card": (seen(*UP, ended="late", guesses=CARD), M.DHCP, "network card"),
    "card, silence": (seen(M.CONSOLE, M.KERNEL, ended="silent", guesses=CARD), M.DHCP, "network card"),
    "DVD, refused": (seen(*GOAL, ended="refused", health=(FAILED,), guesses=DRIVE), M.READY, "DVD drive"),
    "DVD, no metadata": (seen(*ASKED, ended="late", without=frozenset({"imds"}), guesses=DRIVE), M.GOAL_STATE, "DVD drive"),
    "DVD, the agent": (seen(*ADDRESS, ended="late", found=Found(agent_words=("Failed to mount DVD",)), guesses=DRIVE), M.METADATA, "DVD drive"),
}


@pytest.mark.parametrize("row", GUESSED)
def test_the_image_does_not_answer_for_a_guess_of_ours(row):
    given, missing, device = GUESSED[row]
    blamed, found = judge(given._replace(guesses={})), judge(given)
    assert blamed.outcome in (Outcome.NO_BOOT, Outcome.NEVER, Outcome.REFUSED)
    sentence = f"But which {device} its kernel can drive was a guess ({given.guesses[device]}), so the emulated machine may be why, not the image."
    assert told(found) == (Outcome.IMPOSSIBLE, missing, f"{blamed.cause} {sentence}", REMEDIES["guess"])


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (seen(M.CONSOLE, stopped=GRUB, guesses=DISK), Outcome.NO_BOOT),
        (seen(M.CONSOLE, stopped=NOTHING, guesses=DISK), Outcome.NO_BOOT),
        (seen(M.CONSOLE, M.KERNEL, stopped=EMERGENCY, guesses=DISK | CARD), Outcome.NO_BOOT),
        (seen(M.CONSOLE, M.KERNEL, stopped=NO_ROOT, guesses=CARD | DRIVE), Outcome.NO_BOOT),
        (seen(*UP, ended="late", guesses=DISK | DRIVE), Outcome.NEVER),
        (seen(*ADDRESS, ended="late", guesses=DISK | CARD | DRIVE), Outcome.NEVER),
        (seen(*GOAL, M.DVD, ended="refused", health=(FAILED,), guesses=DRIVE), Outcome.REFUSED),
        (seen(*READY, guesses=DISK | CARD | DRIVE), Outcome.UNREACHABLE),
        (seen(guesses=DISK | CARD | DRIVE), Outcome.REHEARSED),
        (seen(found=GOOD._replace(marker=""), guesses=DRIVE), Outcome.DEFECTS),
    ],
)
def test_a_guess_that_was_right_excuses_nothing(given, outcome):
    assert judge(given).outcome is outcome


def test_a_dvd_in_a_guessed_drive_that_is_never_read_proves_nothing():
    found = judge(seen(but=(M.DVD,), found=GOOD._replace(marker=""), guesses=DRIVE))
    assert told(found) == (
        Outcome.IMPOSSIBLE,
        M.DVD,
        "It provisions, but the provisioning DVD was never ejected. But which DVD drive its kernel can drive was a guess (DVD drive: ahci is a guess, for x),"
        " so the emulated machine may be why, not the image.",
        REMEDIES["guess"],
    )


def test_a_dvd_in_a_guessed_drive_does_not_hide_other_defects():
    found = judge(seen(but=(M.DVD, M.STATUS), found=GOOD._replace(marker=""), guesses=DRIVE))
    assert (found.outcome, found.missing, found.defects) == (Outcome.DEFECTS, M.STATUS, ("The agent reported Ready, and never sent its status.",))


def test_a_hostile_guest_fills_no_report():
    long = "x" * 10**6
    given = seen(
        but=(M.AGENT, M.STATUS),
        found=Found(host=long, errors=(long[:300],) * 6),
        looked={"agent": f"{long} {long}", "failed": "\n".join(f"{long[:200]}{number}.service" for number in range(1000)), "user": long},
        health=tuple(Health(number, "Cloud-Init/1", "Ready", "", "") for number in range(4096)),
    )
    found = judge(given)
    assert max(len(each) for each in found.defects) < 4000
    assert max(len(each.value) for each in found.witnesses) == MAX_TOLD
    assert len(found.witnesses) < 100
    assert len(found.cause) < 1000
    assert MAX_NAME == 253


def test_a_long_list_of_units_is_told_by_its_beginning():
    found = judge(seen(looked={"failed": "\n".join(f"unit{number}.service x" for number in range(15))}))
    assert found.cause == f"Units failed: {', '.join(f'unit{number}.service' for number in range(10))} and 5 more."


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("", []),
        ("foo.service loaded failed failed The foo\nbar.mount loaded failed failed /bar\n", ["foo.service", "bar.mount"]),
        ("hv-fcopy-daemon.service x\nhypervvssd.service x\nhv_kvp_daemon.service x\nchronyd.service x\nchrony.service x\nphc2sys.service x\n", []),
        ("chrony-wait.service x\n", ["chrony-wait.service"]),
        ("dnf-makecache.service x\nmotd-news.service x\n", []),
        ("\n   \nsh: 1: systemctl: not found\n", []),
    ],
)
def test_failed_units_without_those_that_fail_for_want_of_azure(listed, found):
    assert failed_units(listed) == found


def test_every_witness_is_told_as_good_bad_or_neither():
    found = judge(
        seen(
            found=Found(host="old", user=False, key="", marker="", source="DataSourceAzure", agent_words=("w",), unread=("p1: unclean",)),
            looked={"sudo": ""},
        )
    )
    assert [(each.what, each.value, each.good) for each in found.witnesses] == [
        ("what the guest reported", "Ready", True),
        ("what the guest reported", "NotReady Provisioning Starting", None),
        ("what the guest reported", "Ready", True),
        ("new user", "is not there", False),
        ("new key", "is not there", False),
        ("host name", "old", False),
        ("custom data", "is not there", False),
        ("source of cloud-init's data", "DataSourceAzure", None),
        ("what the agent says", "w", None),
        ("over SSH: sudo", "nothing", None),
        ("not read afterwards", "p1: unclean", None),
    ]


def test_what_was_tried_outside_is_counted():
    assert judge(seen(tried={"dns a.example": 1, "tcp 1.2.3.4:443": 3})).tried == ("dns a.example", "tcp 1.2.3.4:443 (3 times)")


def test_no_sentence_is_without_an_end():
    for text in REMEDIES.values():
        assert text.endswith(".")
    assert causes.OTHER_CLOUD == "metadata of another cloud"
