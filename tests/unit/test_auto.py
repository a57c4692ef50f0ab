"""Which volumes libguestfs is asked for, and how two backends make one disk."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

import pytest

from fixtures import build
from vhdprep.check import inspect
from vhdprep.disk import guestfs
from vhdprep.disk.auto import MixedDisk, _could_be_read
from vhdprep.disk.memory import MemoryDisk, MemoryFiles
from vhdprep.errors import BackendUnavailable
from vhdprep.model import Volume, VolumeKind


def volume(name="p1", **fields):
    return Volume(name, VolumeKind.PARTITION, 1024, 0, None, None)._replace(**fields)


def test_a_usual_image_costs_no_import_of_libguestfs(image):
    path = image("debian-12-generalized")
    code = f"import sys\nfrom pathlib import Path\nfrom vhdprep.check import inspect\nprint(inspect(Path({str(path)!r}), backend='auto').backend)\nprint([name for name in sys.modules if 'guestfs' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "native\n[]\n"


@pytest.mark.parametrize(
    ("fields", "has_key", "expected"),
    [
        ({"filesystem": "linux_raid_member", "needed": True}, False, False),
        ({"filesystem": None, "needed": True, "kind": VolumeKind.ARRAY}, False, True),
        ({"filesystem": "crypto_LUKS", "needed": True}, False, False),
        ({"filesystem": "crypto_LUKS", "needed": True}, True, True),
        ({"filesystem": "BitLocker", "needed": True}, True, False),
        ({"filesystem": "btrfs", "needed": True}, False, True),
        ({"filesystem": None, "needed": True}, False, False),
        ({"filesystem": None, "needed": True, "kind": VolumeKind.LOGICAL_VOLUME}, False, True),
        ({"filesystem": "ext4", "read": True, "state": "unclean", "needed": True}, False, True),
        ({"filesystem": "ntfs", "read": True, "state": "unclean", "needed": True}, False, False),
        ({"filesystem": "ext4", "read": True, "state": "clean"}, False, False),
    ],
)
def test_libguestfs_is_asked_for_what_linux_reads_and_native_does_not(fields, has_key, expected):
    assert _could_be_read(volume(**fields), has_key=has_key) is expected


def test_what_native_left_open_comes_from_the_other_backend():
    mine = MemoryDisk(
        4096,
        "gpt",
        [volume("p1", read=True), volume("p2", needed=True, reason="no"), volume("p3", needed=True, reason="not here")],
        {"p1": MemoryFiles({"/a": "native"})},
    )
    others = MemoryDisk(
        4096, "gpt",
        [volume("p1", needed=True), volume("p2", read=True), volume("p3", needed=True, reason="nor there"), volume("md/r0", read=True, reason="fine")],
        {"p2": MemoryFiles({"/a": "other"}), "md/r0": MemoryFiles({"/a": "array"})},
    )  # fmt: skip
    others.backends = ("guestfs",)
    disk = MixedDisk(mine, others)
    assert [(each.id, each.read, each.reason) for each in disk.volumes] == [
        ("p1", True, None), ("p2", True, "read by libguestfs"), ("p3", False, "not here; with libguestfs: nor there"), ("md/r0", True, "read by libguestfs; fine"),
    ]  # fmt: skip
    assert [disk.files(each).read("/a", 9) for each in disk.volumes if each.read] == [b"native", b"other", b"array"]
    assert disk.backends == ("memory", "guestfs")


def test_without_libguestfs_nothing_changes_but_a_hint_with_the_command(monkeypatch, caplog):
    @contextmanager
    def missing(_sources, _avoid):
        raise BackendUnavailable("it is missing; install it: sudo apt-get install python3-guestfs")
        yield

    monkeypatch.setattr(guestfs, "open_disks", missing)
    path = build.build("debian-12-unclean-journal")
    native, auto = (inspect(path, backend=name) for name in ("native", "auto"))
    assert auto._replace(started="", seconds=0) == native._replace(started="", seconds=0)
    assert caplog.messages == [
        "p1: libguestfs could read what was not read here, but it is missing; install it: sudo apt-get install python3-guestfs"
    ]


def test_a_mistake_while_the_disks_are_open_is_not_taken_for_a_missing_backend(monkeypatch):
    @contextmanager
    def working(sources, _avoid):
        yield [MemoryDisk(4096, "mbr", [], {}) for _ in sources]

    monkeypatch.setattr(guestfs, "open_disks", working)
    from vhdprep.check import sources_of
    from vhdprep.disk import auto

    _, sources = sources_of(build.build("debian-12-unclean-journal"))
    with pytest.raises(BackendUnavailable, match="of the caller"), auto.open_disks(sources):
        raise BackendUnavailable("of the caller")
