"""Where libguestfs's appliance can run, and what prepare is asked for."""

from __future__ import annotations

import pytest

from vhdprep.errors import BackendUnavailable
from vhdprep.prepare import hives, run


@pytest.fixture(scope="session")
def appliance(appliance_class):
    """Skip where the appliance cannot run."""


@pytest.fixture(scope="session")
def hivex():
    """Skip where hives cannot be edited."""
    try:
        hives._bindings()
    except BackendUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def wish(rules):
    return run.Wish(rules)


@pytest.fixture(scope="session")
def no_files(rules):
    """Rules that only ask for the container, so that nothing is edited and no appliance is needed."""
    return run.Wish(tuple(rule for rule in rules if rule.id.startswith("vhd-")))
