"""The backend matrix: what libguestfs reads of the fixtures is what the native backend reads, but for what is declared here.

By default every shape of a disk and every tree of a guest once; VHDPREP_MATRIX=all takes every recipe (a quarter of an hour without KVM).
"""

from __future__ import annotations

import fnmatch
import json
import os

import pytest

from fixtures import build
from vhdprep.check import check, image_of, judge_image, sources_of
from vhdprep.model import Target

EXCEPTIONS = {
    "container-differencing": "qemu follows no parents of a VHD",
    "debian-12-vhdx-differencing": "qemu follows no parents of a VHDX",
    "debian-12-vhdx-log": "qemu would have to write to the file to carry out its log",
    "freebsd-*": "makefs lays out UFS2 with fragments of 8 KiB; Linux takes at most 4 KiB",
    "openbsd-*": "makefs puts the superblock of UFS2 with small blocks at 8 KiB; Linux looks for it at 64 KiB only",
    "debian-12-superblock-checksum": "Linux refuses the damaged superblock; the native backend reads on and says so",
    "flatcar*": "the fixture's own writer makes only the trees that reading needs; Linux mounts no btrfs without the others",
    "debian-12-btrfs-s*": "the fixture's own writer makes only the trees that reading needs; Linux mounts no btrfs without the others",
}
"""Recipes of which libguestfs reads less, and why. What it does read must agree all the same."""

SHOWN = ("outcome", "observations", "message", "reason")
DISKS_AT_ONCE = 120

pytestmark = pytest.mark.libguestfs


def chosen():
    """The recipes of the matrix."""
    recipes = build.recipes()
    if os.environ.get("VHDPREP_MATRIX") == "all":
        return list(recipes)
    seen: dict[str, str] = {}
    for name, recipe in recipes.items():
        seen.setdefault(shape(recipe), name)
        seen.setdefault(str(recipe.get("tree")), name)
    return [name for name in recipes if name in seen.values()]


def shape(recipe):
    """What a disk is made of, without names and contents."""
    plain = {"uuid", "label", "part_uuid", "name", "size", "options", "mount", "attributes", "hex"}

    def disk(layout):
        return [layout.get("format"), layout.get("vhdx"), layout.get("table"), "damage" in layout,
                [{key: value for key, value in volume.items() if key not in plain} for volume in layout.get("volumes", [])]]  # fmt: skip

    group = recipe.get("lvm", {})
    return json.dumps([disk(recipe), [disk(each) for each in recipe.get("data", [])], disk(group), group.get("striped")], sort_keys=True)


@pytest.fixture(scope="module")
def machines(appliance_class):
    """Every recipe's disks, all in one appliance where they are not too many."""
    from vhdprep.disk.guestfs import Machine

    opened, appliance = {}, None
    for name in chosen():
        named, sources = sources_of(build.build(name), build.data_disks(name))
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
        target = Target(build.recipes()[name]["expect"].get("target", "generalized"))
        with machine.open() as disks:
            return judge_image(image_of(named, sources, disks, target), build.build(name), rules, "guestfs")

    return read


@pytest.mark.parametrize("name", chosen())
def test_both_backends_give_the_same_volumes_facts_and_findings(name, rules, read_by_guestfs):
    target = Target(build.recipes()[name]["expect"].get("target", "generalized"))
    native = check(build.build(name), rules, data=build.data_disks(name), target=target)
    guestfs = read_by_guestfs(name)
    if reason := next((why for pattern, why in EXCEPTIONS.items() if fnmatch.fnmatch(name, pattern)), None):
        assert differences(native, guestfs), f"{name} is declared to differ ({reason}), but does not"
        assert guestfs.verdict != "ready"
        pytest.skip(f"declared: {reason}")
    assert differences(native, guestfs) == []


def differences(native, guestfs):
    """Where two reports say different things."""
    found = [(name, mine, others) for name in ("gaps", "guest", "provisioner", "phase", "verdict", "disks")
             if (mine := getattr(native, name)) != (others := getattr(guestfs, name))]  # fmt: skip
    for mine, others in zip(native.findings, guestfs.findings, strict=True):
        found += [(mine.rule_id, name, getattr(mine, name), getattr(others, name)) for name in SHOWN if getattr(mine, name) != getattr(others, name)]
    return found
