"""The backend matrix: what libguestfs reads of the fixtures is what the native backend reads, but for what is declared here.

By default every shape of a disk and every tree of a guest once; VHDPREP_MATRIX=some takes every eighth of these, as CI does, and
VHDPREP_MATRIX=all every recipe (a quarter of an hour without KVM).
"""

from __future__ import annotations

import fnmatch
import json
import os

import pytest

from fixtures import build
from fixtures.tree import files_of
from tests import layered
from vhdprep.check import Clock, check, image_of, inspect, judge_image, open_image, sources_of
from vhdprep.guest.gaps import find_gaps
from vhdprep.model import Target

UNCLEAN, LAYERED = "debian-12-unclean-journal", "layered"

EXCEPTIONS = {
    "debian-12-vhdx-differencing": "qemu follows no parents of a VHDX",
    "debian-12-vhdx-log": "qemu would have to write to the file to carry out its log",
    "container-footer-copy": "qemu opens no dynamic VHD whose copy of the footer is damaged",
    "debian-12-data-disk-cut": "Linux mounts no file system that is cut off; the native backend reads what there is",
    "debian-12-superblock-checksum": "Linux refuses the damaged superblock; the native backend reads on and says so",
    "debian-12-lvm-missing-half": "Linux's LVM2 finds the second half, whose label is damaged",
    "debian-12-set-half*": "Linux's LVM2 finds the second half, whose label is damaged",
    "debian-12-md-raid?-degraded": "the appliance starts no array of which a member is missing all of a sudden; a machine does, after half a minute",
    "freebsd-*": "makefs lays out UFS2 with fragments of 8 KiB; Linux takes at most 4 KiB",
    "openbsd-*": "makefs puts the superblock of UFS2 with small blocks at 8 KiB; Linux looks for it at 64 KiB only",
}
"""Recipes of which libguestfs reads less or more, and why."""
SUBVOLUMES = "fixtures/btrfs.py writes only the trees that reading needs; Linux mounts no btrfs without the others"
"""The exception of every recipe whose btrfs has subvolumes, which mkfs.btrfs makes from 6.12 on."""

OVERLAY = "ntfs-3g unpacks no files of the overlay filter (compact.exe), so what looks into them is undecided"
"""The exception of every recipe with such files."""

SHOWN = ("outcome", "observations", "message", "reason")
DISKS_AT_ONCE = 120
pytestmark = pytest.mark.libguestfs


def chosen():
    """The recipes of the matrix."""
    recipes, wanted = build.recipes(), os.environ.get("VHDPREP_MATRIX")
    if wanted == "all":
        return [name for name in recipes if name != UNCLEAN]
    seen: dict[str, str] = {}
    for name, recipe in recipes.items():
        seen.setdefault(shape(recipe), name)
        seen.setdefault(str(recipe.get("tree")), name)
    return [name for name in recipes if name in seen.values() and name != UNCLEAN][:: 8 if wanted == "some" else 1]


def shape(recipe):
    """What a disk is made of, without names and contents."""
    plain = {"uuid", "label", "part_uuid", "name", "size", "options", "mount", "attributes", "hex"}

    def disk(layout):
        return [layout.get("format"), layout.get("vhdx"), layout.get("table"), "damage" in layout,
                [{key: value for key, value in volume.items() if key not in plain} for volume in layout.get("volumes", [])]]  # fmt: skip

    group = recipe.get("lvm", {})
    arrays = [{key: value for key, value in each.items() if key not in plain | {"array_uuid"}} for each in recipe.get("arrays", [])]
    return json.dumps([disk(recipe), [disk(each) for each in recipe.get("data", [])], disk(group), group.get("striped"), arrays], sort_keys=True)


@pytest.fixture(scope="module")
def machines(appliance_class):
    """Every recipe's disks, all in one appliance where they are not too many."""
    from vhdprep.disk.guestfs import Machine

    opened, appliance = {}, None
    for name in [*chosen(), UNCLEAN, LAYERED]:  # in the order of the tests: one appliance runs at a time
        wrong = "wrong" if name == LAYERED else None
        path, data = (layered.make(appliance_class), []) if name == LAYERED else (build.build(name), build.data_disks(name))
        named, sources = sources_of(path, data, wrong)
        if appliance is None or len(appliance.drives) + len(sources) > DISKS_AT_ONCE:
            appliance = appliance_class()
        opened[name] = (named, sources, Machine(appliance, sources), appliance)
    yield opened
    if appliance is not None:
        appliance.close()


@pytest.fixture(scope="module")
def read_by_guestfs(machines, rules):
    """The report on a recipe, as the appliance gives it."""
    running = []

    def read(name):
        named, sources, machine, appliance = machines[name]
        if running != [appliance]:
            for each in running:
                each.close()
            running[:] = [appliance]
            appliance.launch()
        target = Target.GENERALIZED if name == LAYERED else Target(build.recipes()[name]["expect"].get("target", "generalized"))
        with machine.open() as disks:
            return judge_image(image_of(named, sources, disks, target), sources[0].path, rules, "guestfs", Clock())

    return read


@pytest.mark.parametrize("name", chosen())
def test_both_backends_give_the_same_volumes_facts_and_findings(name, rules, read_by_guestfs):
    target = Target(build.recipes()[name]["expect"].get("target", "generalized"))
    native = check(build.build(name), rules, data=build.data_disks(name), target=target)
    guestfs = read_by_guestfs(name)
    differing = differences(native, guestfs)
    if differing and (reason := declared(name)):
        assert guestfs.verdict != "ready"
        pytest.skip(f"declared to differ: {reason}")
    assert differing == []


def test_every_declared_exception_is_of_some_recipe():
    assert [pattern for pattern in EXCEPTIONS if not fnmatch.filter(build.recipes(), pattern)] == []


def declared(name):
    """Why the backends may differ on a recipe; None = they may not."""
    recipe = build.recipes()[name]
    if any("subvolumes" in volume for volume in (*recipe.get("volumes", []), *recipe.get("arrays", []))):
        return SUBVOLUMES
    if any(isinstance(each, dict) and str(each.get("stored")).startswith(("xpress", "lzx")) for each in files_of(build.recipes()[name]).values()):
        return OVERLAY
    return next((reason for pattern, reason in EXCEPTIONS.items() if fnmatch.fnmatch(name, pattern)), None)


def differences(native, guestfs):
    """Where two reports say different things."""
    found = [(name, mine, others) for name in ("gaps", "guest", "provisioner", "phase", "verdict", "disks")
             if (mine := getattr(native, name)) != (others := getattr(guestfs, name))]  # fmt: skip
    for mine, others in zip(native.findings, guestfs.findings, strict=True):
        found += [(mine.rule_id, name, getattr(mine, name), getattr(others, name)) for name in SHOWN if getattr(mine, name) != getattr(others, name)]
    return found


def test_a_journal_is_replayed_in_a_scratch_copy_and_the_image_stays_unclean(read_by_guestfs):
    path = build.build(UNCLEAN)
    before = path.read_bytes()
    report = read_by_guestfs(UNCLEAN)
    (volume,) = report.disks[0].volumes
    reason = "its journal was replayed, in a scratch copy: the image itself is as unclean as before"
    assert (volume.state, volume.read, volume.needed, volume.reason) == ("unclean", True, False, reason)
    assert [each.rule_id for each in report.findings if each.outcome == "fail"] == ["linux-filesystem-unmounted-cleanly"]
    assert (report.verdict, path.read_bytes()) == ("ready", before)


def test_a_wrong_key_leaves_the_encrypted_volume_unread(read_by_guestfs):
    report = read_by_guestfs(LAYERED)
    read = {each.id: each.read for each in report.disks[0].volumes if each.reason is None or each.needed}
    assert read == {"p2": True, "p5": False, "md/r0": True, "tvg/var": True}
    assert report.gaps[0].startswith("p5: encrypted with LUKS, and the key does not open it (libguestfs: ")


def test_auto_reads_an_encrypted_and_a_thin_volume_where_native_only_names_them(appliance_class):
    path = layered.make(appliance_class)
    before = path.stat().st_mtime_ns
    native = inspect(path)
    assert {each.id: (each.filesystem, each.read) for each in native.disks[0].volumes} == {
        "p1": (None, False), "p2": ("ext4", True), "p3": ("linux_raid_member", False), "p4": ("linux_raid_member", False), "md/r0": ("ext4", True),
        "p5": ("crypto_LUKS", False), "p6": ("LVM2_member", False), "tvg/pool": (None, False), "tvg/var": (None, False),
    }  # fmt: skip
    with open_image(path, target=Target.GENERALIZED, backend="auto", key=layered.KEY) as image:
        disk, guest = image.need_disk(), image.need_guest()
        assert {each.id: each.filesystem for each in disk.volumes if each.read} == {
            "p2": "ext4", "md/r0": "ext4", "p5/luks": "ext4", "tvg/var": "ext4",
        }  # fmt: skip
        assert (find_gaps(image), disk.backends, guest.facts.distro, guest.root) == ((), ("native", "guestfs"), "debian", "md/r0")
        notes = {point: guest.files.text(f"/{point}/note") for point in ("boot", "home", "var")}
    assert notes == {"boot": "in the clear", "home": "on the encrypted volume", "var": "on the thin volume"}
    assert path.stat().st_mtime_ns == before
