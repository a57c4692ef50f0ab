"""Another maker's reader is asked about every copy."""

from __future__ import annotations

import uuid

import pytest

from vhdprep.errors import CopyFailed
from vhdprep.prepare import secondopinion
from vhdprep.vhd import convert

MIB = 1024 * 1024


@pytest.fixture
def copied(tmp_path):
    """A finished copy of two MiB."""
    path = tmp_path / "copy.vhd"
    with path.open("w+b") as out:
        out.write(b"\x55" * 2 * MIB)
        convert.append_footer(out, 2 * MIB, unique_id=uuid.uuid4(), now=1_764_400_000)
    return path


def test_a_whole_copy_is_confirmed(copied):
    secondopinion.confirm(copied, 2 * MIB)


def test_a_copy_without_a_footer_is_refused(copied):
    with copied.open("r+b") as out:
        out.truncate(2 * MIB)
    with pytest.raises(CopyFailed, match="the copy is no VHD to libvhdi"):
        secondopinion.confirm(copied, 2 * MIB)


def test_a_disk_of_another_size_is_refused(copied):
    with pytest.raises(CopyFailed, match="libvhdi sees a disk of 2097152 bytes in the copy, where 3145728 were written"):
        secondopinion.confirm(copied, 3 * MIB)
