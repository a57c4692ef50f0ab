"""Reports of ready images for the tests of what comes after: every kind of image that there is, and file names that attack."""

from __future__ import annotations

from itertools import zip_longest

from vhdprep.declared import Declared
from vhdprep.model import Container, DiskReport, DiskType, Finding, GuestFacts, Outcome, Report, Severity, Target, Verdict

GIB = 2**30
LINUX = (
    "linux-boot-efi-loaders-signed",
    "linux-boot-kernel-signed",
    "linux-nvme-early",
    "linux-nvme-release-listed",
    "linux-pci-hyperv-present",
    "linux-accelerated-network-drivers-present",
)
WINDOWS = ("windows-boot-signatures-enforced", "windows-nvme-driver-ready")
HOSTILE = (
    "a b.vhd",
    "it's.vhd",
    'say "x".vhd',
    "$(touch owned).vhd",
    "`touch owned`.vhd",
    "${HOME} $HOME %{if} $${x}.vhd",
    "a\nrm -rf b.vhd",
    "-rf.vhd",
    "\u2019; Remove-Item x; \u2018.vhd",
    "a\\b\\'c.vhd",
    "\u202etxt.vhd",
    "tab\there \x1b[2J.vhd",
    "b\udc80yte.vhd",
    "\U000e0041.vhd",
    "*/ // # ''' {{x}} ;|&<>!.vhd",
    "./https://evil.example/x.vhd",
)


def ready(
    os: str = "linux",
    generation: int | None = 2,
    target: Target = Target.GENERALIZED,
    arch: str = "x86_64",
    data: int = 0,
    *,
    path: str = "web.vhd",
    build: str = "10.0.20348",
    manifest: dict[str, object] | None = None,
    outcomes: dict[str, Outcome] | None = None,
    luns: tuple[int | None, ...] = (),
    **declared: object,
) -> Report:
    """A ready image of which every rule that looks at drivers and signatures passed, where ``outcomes`` says nothing else."""
    outcomes = dict.fromkeys(WINDOWS if os == "windows" else LINUX, Outcome.PASS) | (outcomes or {})
    disks = [disk("os", path, 30)] + [disk("data", f"d{number}.vhd", number + 1) for number in range(data)]
    disks[1:] = [each._replace(lun=lun) for each, lun in zip_longest(disks[1:], luns)]
    declared |= manifest or {}
    return Report(
        subject=path,
        target=target,
        verdict=Verdict.READY,
        disks=tuple(disks),
        guest=GuestFacts(os, os, os, build, os, arch, "uefi" if generation == 2 else "bios", (generation,) if generation else ()),
        provisioner=None,
        phase=None,
        gaps=(),
        findings=tuple(Finding(rule, "A title", Severity.WARNING, outcome, "A message.") for rule, outcome in outcomes.items()),
        ruleset_digest="0" * 64,
        ruleset_size=len(outcomes),
        left_out=0,
        started="2026-11-29T12:00:00+00:00",
        seconds=0.25,
        backend="native",
        tool_version="1.2.3",
        declared=Declared("machine.yaml", (), declared) if declared else None,
    )


def disk(role, path: str, gib: int) -> DiskReport:
    return DiskReport(role, Container(path, "vhd", "VHD", DiskType.FIXED, gib * GIB, gib * GIB + 512, "tap ", None), "gpt", ())


def every_kind() -> dict[str, Report]:
    """Each kind of image by a name that says it."""
    found = {
        f"{os} gen{generation} {arch} {target} {data} data": ready(os, generation, target, arch, data)
        for os in ("linux", "windows")
        for generation in (1, 2)
        for arch in ("x86_64", "aarch64")
        for target in Target
        for data in (0, 2)
        if (generation, arch) != (1, "aarch64")  # Arm64 machines are of Generation 2
    }
    found |= {f"file name {number}": ready(data=1, path=path) for number, path in enumerate(HOSTILE)}
    found |= {f"file name {number}, gen1": ready(generation=1, path=path) for number, path in enumerate(HOSTILE)}
    found["declared"] = ready(
        data=2,
        luns=(4, None),
        security_type="TrustedLaunch",
        hibernation=True,
        replication="shallow",
        version="2.3.4",
        group="my group",
        gallery="it's",
        image="web",
        publisher="$(x)",
        offer="${x}",
        sku='"',
        location="westeurope",
    )
    found["supported declared"] = ready(data=2, security_type="TrustedLaunchAndConfidentialVmSupported", replication="shallow", image="my image")
    found["managed image declared"] = ready(data=2, kind="managed-image", location="westeurope")
    found["specialized, LUNs with a gap"] = ready(data=2, luns=(0, 2), target=Target.SPECIALIZED)
    return found
