"""Where the tests find images: the project's own fixtures, the real Debian guest, other people's files."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import signal
from pathlib import Path

import pytest

from fixtures import build
from vhdprep.errors import BackendUnavailable
from vhdprep.ruleset.load import load_rules

os.environ["VHDPREP_BACKEND"] = "native"  # what does not say otherwise must not depend on whether this host has libguestfs
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell does that to what it runs in the background, and every child inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
REAL = ROOT / "fixtures" / ".build" / "real"
REAL_13 = REAL.with_name("real-13")
_OPENERS = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}

LONG = (
    *("test_boots.py", "test_rules.py", "test_hostile.py", "test_checksums.py", "test_writers.py"),
    *("test_backends.py", "test_images.py", "test_tiny_guests.py", "test_arrays.py"),
)
"""Files that take a worker for minutes; those with machines of their own not all at once."""


def pytest_collection_modifyitems(items):
    """What takes long begins first: a long file that comes last has all others wait."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session")
def rules():
    return load_rules()


@pytest.fixture(scope="session")
def image():
    """Build a fixture by the name of its recipe."""
    return build.build


@pytest.fixture(scope="session")
def real_image():
    """A file of the real Debian guest, by name; Debian 13 has a place of its own."""

    def find(name: str) -> Path:
        place, target = (REAL_13, "real-image-13") if name.startswith("debian-13-") else (REAL, "real-image")
        path = place / name
        if not path.exists():
            pytest.skip(f"the real Debian guest is not built; run `make {target}` as root")
        return path

    return find


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A file of the collection beside the project, unpacked."""
    place = tmp_path_factory.mktemp("data")

    def find(name: str) -> Path:
        packed = next((path for suffix in ("", *_OPENERS) if (path := DATA / f"{name}{suffix}").exists()), None)
        if packed is None:
            pytest.skip(f"the collection of other people's images (shared/data/{name}) is not beside the project")
        if packed.suffix not in _OPENERS:
            return packed
        target = place / Path(name).name
        if not target.exists():
            with _OPENERS[packed.suffix](packed) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out, 1024 * 1024)
        return target

    return find


@pytest.fixture(scope="session")
def appliance_class():
    """libguestfs's appliance; what needs it is skipped where it cannot run, saying why."""
    from vhdprep.disk.guestfs import appliance

    if why := appliance.obstacle():
        pytest.skip(why)
    try:
        appliance.Appliance.try_out(lambda _: None)
    except BackendUnavailable as error:
        pytest.skip(str(error))
    return appliance.Appliance
