"""What a rehearsal has shown, as data: the image was booted once, as a throw-away copy, under an emulated Azure platform."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """What the image did. A rehearsal proves that an image provisions; it never proves that it is generalized."""

    REHEARSED = "rehearsed"
    DEFECTS = "rehearsed-with-defects"
    UNREACHABLE = "ready-but-unreachable"
    REFUSED = "refused"
    NEVER = "never-provisions"
    NO_BOOT = "does-not-boot"
    IMPOSSIBLE = "not-rehearsable"


class Milestone(StrEnum):
    """Steps of a first boot on Azure, in the order in which they usually come."""

    CONSOLE = "the console spoke"
    KERNEL = "the kernel started"
    DHCP = "an address was asked for"
    METADATA = "instance metadata was asked for"
    GOAL_STATE = "the goal state was fetched"
    DVD = "the provisioning DVD was ejected"
    READY = "provisioning was reported Ready"
    LOGIN = "a login prompt came"
    SSH = "the new user logged in with the key"
    AGENT = "the agent reported Ready"
    STATUS = "the agent sent its status"
    FINISHED = "cloud-init finished"


CLAIM = (
    "It was booted once from this image's content, under an emulated Azure platform. That does not prove that it is generalized: accounts, keys, "
    "histories and secrets that were left behind do not keep an image from provisioning. Nor does it prove anything about Hyper-V's own devices, "
    "accelerated networking, extensions, or the temporary disk."
)
"""What a rehearsal must say of itself, in every report."""


class Reached(NamedTuple):
    """A milestone that was reached."""

    milestone: Milestone
    seconds: float
    """Since power-on."""
    text: str
    """Who said so, in the guest's own words where there are some; untrusted."""


class Witness(NamedTuple):
    """One piece of evidence; everything that comes from the guest is untrusted text."""

    what: str
    """What was looked for, in words of a person: ``custom data``."""
    where: str
    """Where: a guest path, a request, ``ssh: hostname``."""
    value: str
    """What was seen there."""
    good: bool | None
    """Whether that is what Azure needs; None = it is told, not judged."""


class Twin(NamedTuple):
    """One thing that must differ between two machines of one image."""

    what: str
    where: str
    equal: bool | None
    """None = it is missing in one of them, or in both."""
    value: str
    """Proof of what both have, secrets as a digest; empty where they differ."""


class Rehearsal(NamedTuple):
    """Everything that one rehearsal has to say."""

    outcome: Outcome
    cause: str
    """One or two sentences: what was missing, and what most likely kept it away; empty where the image was rehearsed."""
    remedy: str
    """What to do about the cause; empty where nothing is to be done."""
    missing: Milestone | None
    """The first step that never came."""
    reached: tuple[Reached, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    defects: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()
    """Addresses and names outside the platform that the guest asked for; nothing was let through."""
    console: tuple[str, ...] = ()
    """Lines of the serial console that matter; untrusted."""
    screen: str = ""
    """A picture of the screen as ``data:image/png;base64,…``, where nothing came over the serial console."""
    machine: str = ""
    """What it ran on: emulator, firmware, devices, network."""
    without: tuple[str, ...] = ()
    """Parts of the platform that were left out on purpose."""
    seconds: float = 0.0
    twins: tuple[Twin, ...] | None = None
    """What two machines of this image have in common; None = only one was made."""

    @property
    def common(self) -> tuple[Twin, ...]:
        """What both machines have although it must differ: by behaviour, the image is not generalized."""
        return tuple(each for each in self.twins or () if each.equal)

    @property
    def provisions(self) -> bool:
        """Whether a machine of it comes up and can be logged in to, be it with defects."""
        return self.outcome in (Outcome.REHEARSED, Outcome.DEFECTS)

    @property
    def passed(self) -> bool | None:
        """Whether the image does what it should; None = that could not be tried."""
        if self.outcome is Outcome.IMPOSSIBLE:
            return None
        return self.outcome is Outcome.REHEARSED and not self.common
