"""Where libguestfs's appliance can run, and what prepare is asked for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from vhdprep.errors import BackendUnavailable
from vhdprep.prepare import editor, run


@pytest.fixture(scope="session")
def appliance():
    """Skip where the appliance cannot run."""
    try:
        editor.bindings()
    except BackendUnavailable as error:
        pytest.skip(str(error))
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86_64 is not installed")
    if not any(os.access(each, os.R_OK) for each in Path("/boot").glob("vmlinuz*")) and "LIBGUESTFS_PATH" not in os.environ:
        pytest.skip("no kernel in /boot may be read, and the appliance is made with one")


@pytest.fixture(scope="session")
def wish(rules):
    return run.Wish(rules)


@pytest.fixture(scope="session")
def no_files(rules):
    """Rules that only ask for the container, so that nothing is edited and no appliance is needed."""
    return run.Wish(tuple(rule for rule in rules if rule.id.startswith("vhd-")))
