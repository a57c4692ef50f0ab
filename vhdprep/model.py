"""The words every package shares: what was read, what was concluded.

Immutable data only (named tuples: a dataclass costs a millisecond of start-up each). Nothing here reads an
image, knows a rule file, or prints.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhdprep.accepted import Baseline, Waiver
    from vhdprep.declared import Declared
    from vhdprep.location import Transferred
    from vhdprep.policy import PolicyItem
    from vhdprep.rehearsal import Rehearsal
    from vhdprep.remedy import Remedy
    from vhdprep.storage import Digests, Subvolume


class Absent(Enum):
    """The type of ``ABSENT``: we looked, and nothing was there."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT

Value = str | int | bool | tuple[str, ...] | Absent
"""What a probe saw. Judged by matchers, never by truthiness."""


class Severity(StrEnum):
    """How much a failed rule matters (SARIF's words); declared from worst to mildest."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Outcome(StrEnum):
    """What a rule concluded about an image (XCCDF's words)."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"
    WAIVED = "waived"
    FIXED = "fixed"


class Verdict(StrEnum):
    """The answer to the user."""

    READY = "ready"
    NOT_READY = "not-ready"
    INCONCLUSIVE = "inconclusive"


class DiskType(StrEnum):
    """What a VHD footer or a VHDX's metadata say the file is (VHD specification, "Disk Type")."""

    FIXED = "fixed"
    DYNAMIC = "dynamic"
    DIFFERENCING = "differencing"


class VolumeKind(StrEnum):
    """How a volume comes to be."""

    PARTITION = "partition"
    LOGICAL_VOLUME = "logical-volume"
    ARRAY = "array"
    WHOLE_DISK = "whole-disk"


class Target(StrEnum):
    """What the image is to become (``--as``)."""

    GENERALIZED = "generalized"
    SPECIALIZED = "specialized"
    MARKETPLACE = "marketplace"
    COMMUNITY_GALLERY = "community-gallery"


class Observation(NamedTuple):
    """What a probe saw, with its evidence."""

    value: Value
    """What the matcher judges."""
    where: str
    """The exact place: ``/etc/fstab:3``, ``footer:current_size``, ``p2``."""
    parts: tuple[Observation, ...] = ()
    """For a list: each item with its own place."""

    @classmethod
    def listing(cls, where: str, parts: tuple[Observation, ...]) -> Observation:
        """The observation of a list: its value is the tuple of the items' places."""
        return cls(tuple(part.where for part in parts), where, parts)


class Defect(NamedTuple):
    """Something wrong with a container or a partition table, found while reading it."""

    kind: str
    """Stable word that rules ask for: ``footer-checksum``, ``block-outside-file``."""
    where: str
    """The structure: ``footer``, ``header``, ``block-table``, ``gpt``, ``mbr``."""
    message: str
    """One sentence with the numbers."""


class Container(NamedTuple):
    """The file as a container format. Sizes in bytes."""

    path: str
    format: str
    """``vhd | vhdx | qcow2 | vmdk | vdi | raw | unknown``, by the bytes alone."""
    contents: str
    """The same in words, also for what is no disk: "gzip-compressed data"."""
    type: DiskType | None
    """Only for VHD and VHDX."""
    virtual_size: int | None
    """What the guest sees: the footer's current size, or the length of a raw disk."""
    file_size: int
    creator: str | None
    """Who made it by its own words: the footer's creator application, four characters; a VHDX's creator."""
    parent: str | None
    """Differencing only: the parent's file name or path as the child states it."""
    fields: Mapping[str, str | int] = MappingProxyType({})
    """Every field of the footer and header: ``footer:cookie`` …, ``header:block_size`` …, ``vhdx:block_size`` …."""
    defects: tuple[Defect, ...] = ()
    unread: str | None = None
    """Why nothing could be read of it, where its server or disk failed; what stands above is then no finding."""


class Volume(NamedTuple):
    """A span of storage that may hold a file system."""

    id: str
    """``p1``, ``rootvg/root``, ``md/data``, ``md/data:p1``, ``disk``: the same in every backend."""
    kind: VolumeKind
    size: int
    offset: int | None
    """None for a logical volume, an array and what lies in one."""
    type_id: str | None
    """MBR type ``0x83`` or upper-case GPT type GUID."""
    filesystem: str | None
    """ext4, xfs, vfat, swap, crypto_LUKS … (libblkid's names); None = not recognised."""
    uuid: str | None = None
    label: str | None = None
    part_uuid: str | None = None
    part_label: str | None = None
    free: int | None = None
    """Free bytes by the superblock, where it says so."""
    state: str | None = None
    """``clean | unclean | hibernated | errors``; None = not looked at or not recorded."""
    written: int | None = None
    """When its superblock was last written, in seconds since 1970, where it says so (ext)."""
    active: bool = False
    """The MBR's boot indicator is set."""
    boot_priority: int = 0
    """By the GPT attributes of ChromeOS, which choose among partitions of a kind; 0 = it is not to be booted."""
    read: bool = False
    """Whether the backend opened it."""
    reason: str | None = None
    """Why it was not read, or what may be out of date in what was read."""
    needed: bool = False
    """Not being read leaves a gap: it may hold files."""
    subvolumes: tuple[Subvolume, ...] = ()
    """Of btrfs, the top level first; the volume's files are those below the top level."""
    missing: tuple[str, ...] = ()
    """Members of its array or file system that are not here, whether or not it can be read without them."""


class GuestFacts(NamedTuple):
    """What the installed operating system is."""

    os: str
    """linux | windows | freebsd | openbsd"""
    distro: str
    """os-release's ID; ``unknown`` when nothing names it."""
    family: str
    version: str | None
    product: str
    arch: str | None = None
    """x86_64 | aarch64 | i386 …"""
    boot: Literal["bios", "uefi"] | None = None
    """UEFI when the disk can boot that way, else BIOS; None = neither was found."""
    generations: tuple[int, ...] = ()
    """Hyper-V generations the disk can boot in."""
    init: str | None = None
    hostname: str | None = None

    @property
    def generation(self) -> int | None:
        """The highest generation that the disk can boot in."""
        return max(self.generations, default=None)


class Provisioner(NamedTuple):
    """Who sets up a machine made from this image: its name, its user, its key, the report that it is ready."""

    who: str | None
    """``cloud-init | waagent | azure-init | nobody | contradiction``; None = it cannot be told."""
    because: tuple[Observation, ...]
    """What was seen of each candidate, or why nothing could be told."""


class Phase(NamedTuple):
    """Where a Windows stands between Setup, Sysprep and use."""

    name: str | None
    """``sealed-oobe | sealed-audit | audit | in-use | booted-again | sysprep-failed | sysprep-interrupted | setup-unfinished | contradictory``;
    None = it cannot be told."""
    witnesses: tuple[Observation, ...]
    """What every place says; some are shown only."""


class Finding(NamedTuple):
    """What one rule concluded about one image; also when all is well."""

    rule_id: str
    title: str
    severity: Severity
    outcome: Outcome
    message: str
    observations: tuple[Observation, ...] = ()
    reason: str | None = None
    """Why unknown, or why not applicable."""
    remedy: Remedy | None = None
    references: tuple[str, ...] = ()
    why: str = ""
    azure_says: str | None = None
    traceback: str | None = None
    """Only when the rule crashed: a bug in this program."""
    waivers: tuple[Waiver, ...] = ()
    """Those that hold, where it is waived; else those that would cover it or part of it, and why they do not is in the notices."""
    is_new: bool | None = None
    """Not so in the baseline; None = there is none, or nothing is wrong."""


class DiskReport(NamedTuple):
    """One disk of the image as it was read; a data disk has a LUN."""

    role: Literal["os", "data"]
    container: Container
    table: str | None
    volumes: tuple[Volume, ...]
    lun: int | None = None
    digests: Digests | None = None


class Report(NamedTuple):
    """Everything that one run of ``check`` or ``inspect`` has to say."""

    subject: str
    """The image file or the tree that was looked at, as it was named."""
    target: Target
    verdict: Verdict | None
    """None when no rules were asked (``inspect``)."""
    disks: tuple[DiskReport, ...]
    """Empty for an unpacked tree."""
    guest: GuestFacts | None
    provisioner: Provisioner | None
    """Of Linux; None elsewhere, and where no guest was found."""
    phase: Phase | None
    """Of Windows."""
    gaps: tuple[str, ...]
    """What could not be read although the verdict depends on it."""
    findings: tuple[Finding, ...]
    ruleset_digest: str
    ruleset_size: int
    left_out: int
    """Rules that ``--select`` and ``--ignore`` left out."""
    started: str
    seconds: float
    backend: str
    tool_version: str
    fail_on: Severity = Severity.ERROR
    """The mildest severity that keeps an image from being ready (``--fail-on``)."""
    notices: tuple[str, ...] = ()
    """About waivers and the baseline: what expired, what was not used."""
    baseline: Baseline | None = None
    declared: Declared | None = None
    """What the image's manifest says, if it has one."""
    policies: tuple[PolicyItem, ...] = ()
    """What certification asks; only of an image for the marketplace."""
    transferred: Transferred | None = None
    """What reading images on the network took."""
    rehearsal: Rehearsal | None = None
    """What the image did when it was booted; None = it was not. The verdict is that of the offline reading."""

    def how_many(self, outcome: Outcome) -> int:
        """How many findings have this outcome."""
        return sum(finding.outcome is outcome for finding in self.findings)
