"""Plans for every image of the fixtures, in memory: nothing is copied, and no appliance is needed."""

from __future__ import annotations

import json

import pytest

from fixtures import build
from vhdprep.check import look_again, open_image
from vhdprep.model import Target
from vhdprep.prepare import plan, planfile
from vhdprep.prepare.draft import DraftDisk
from vhdprep.prepare.keys import DraftRegistry

TERMS = planfile.Terms(1, "d", "r", "generalized", True, (), (), ())


@pytest.mark.parametrize("name", build.recipes())
def test_a_plan_makes_nothing_worse_leaves_nothing_for_a_second_one_and_is_read_as_it_was_written(image, rules, tmp_path, name):
    with open_image(image(name), target=Target.GENERALIZED, over=DraftDisk) as opened:
        first = plan.make(lambda: look_again(opened), rules, unsafe=True).plan
        keys = [edit for change in first.changes for edit in change.keys]
        second = plan.make(lambda: prepared(opened, keys), rules, unsafe=True).plan if first.changes else first
    assert (second.changes, [each for each in first.forecast if each.is_worse]) == ((), [])
    path = tmp_path / "plan.json"
    path.write_text(planfile.render(first, TERMS), encoding="utf-8")
    assert planfile.read(path) == (first, TERMS)
    assert json.loads(path.read_text(encoding="utf-8"))["schema"] == planfile.SCHEMA


def prepared(opened, keys):
    """The drafts of the first plan, read again, with its changes of the registry."""
    found = look_again(opened)
    if found.guest is None or found.guest.registry is None:
        return found
    return found._replace(guest=found.guest._replace(registry=DraftRegistry(found.guest.registry, keys)))
