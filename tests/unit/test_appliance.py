"""Why libguestfs's appliance cannot run on a host, with the one command that helps; and which disks qemu takes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from vhdprep.disk import distribution
from vhdprep.disk.guestfs import appliance
from vhdprep.errors import BackendUnavailable, Unreadable
from vhdprep.model import Container, Defect, DiskType


class Handle:
    def __init__(self, **_):
        pass

    def get_hv(self):
        return "/usr/bin/qemu-system-x86_64"

    def close(self):
        pass


@pytest.fixture
def host(monkeypatch):
    """A host that has everything; what is named is missing."""
    monkeypatch.delenv("LIBGUESTFS_PATH", raising=False)
    monkeypatch.delenv("SUPERMIN_KERNEL", raising=False)

    def make(*, programs=("/usr/bin/qemu-system-x86_64", "supermin"), kernels=("/boot/vmlinuz-6.1",), readable=True):
        monkeypatch.setattr(appliance, "bindings", lambda: Handle)
        monkeypatch.setattr(shutil, "which", lambda name: name if name in programs else None)
        monkeypatch.setattr(Path, "glob", lambda self, _: iter([Path(each) for each in kernels if each.startswith(str(self))]))
        monkeypatch.setattr(os, "access", lambda *_: readable)

    return make


def test_a_host_with_everything_has_no_obstacle(host):
    host()
    assert appliance.obstacle() is None


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"programs": ("supermin",)}, "/usr/bin/qemu-system-x86_64 is not installed; install it: sudo apt-get install qemu-system-x86"),
        (
            {"programs": ("/usr/bin/qemu-system-x86_64",)},
            "supermin, which builds the appliance, is not installed; install it: sudo apt-get install supermin",
        ),
        (
            {"kernels": ()},
            "the appliance is made with the host's kernel, and there is none in /boot; install one: sudo apt-get install linux-image-amd64",
        ),
        (
            {"readable": False},
            "the appliance is made with the host's kernel, which may not be read (/boot/vmlinuz-6.1); run: sudo chmod 0644 /boot/vmlinuz-*",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_command(host, missing, said):
    host(**missing)
    assert appliance.obstacle() == said


def test_an_appliance_of_the_users_own_needs_no_kernel(host, monkeypatch):
    host(programs=("/usr/bin/qemu-system-x86_64",), kernels=())
    monkeypatch.setenv("LIBGUESTFS_PATH", "/somewhere")
    assert appliance.obstacle() is None


def test_missing_bindings_are_named_with_their_command(monkeypatch, tmp_path):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(distribution, "_import", missing)
    monkeypatch.setattr(distribution, "_FOLDER", tmp_path)
    with pytest.raises(BackendUnavailable, match=r"not installed .No module named 'guestfs'.; install them: sudo apt-get install python3-guestfs"):
        appliance.bindings()
    (tmp_path / "guestfs.py").touch()
    with pytest.raises(BackendUnavailable, match=r"are for the distribution's own Python.*--system-site-packages"):
        appliance.bindings()


def container(kind, form=DiskType.FIXED, *defects):
    return Container("a", kind, "a file", form, 1, 1, None, None, defects=tuple(Defect(each, "", "") for each in defects))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (container("raw", None), "raw"), (container("vhd"), "raw"), (container("vhd", None), "raw"), (container("vhd", DiskType.DYNAMIC), "vpc"),
        (container("vhdx", DiskType.DYNAMIC), "vhdx"), (container("vhdx", DiskType.FIXED), "vhdx"),
    ],
)  # fmt: skip
def test_qemu_is_always_told_the_format(given, expected):
    assert appliance.drive_format(given) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (container("vhd", DiskType.DIFFERENCING), "no differencing VHD"), (container("vhdx", DiskType.DIFFERENCING), "no differencing VHDX"),
        (container("vhdx", DiskType.DYNAMIC, "vhdx-unclean"), "log has to be carried out"), (container("qcow2", None), "the file holds a file"),
    ],
)  # fmt: skip
def test_what_qemu_would_read_wrongly_is_refused(given, said):
    with pytest.raises(Unreadable, match=said):
        appliance.drive_format(given)
