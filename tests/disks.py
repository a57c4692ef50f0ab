"""One image file as an opened disk, for tests that look below the report."""

from __future__ import annotations

from contextlib import contextmanager

from vhdprep.disk.backend import Source
from vhdprep.disk.native import open_disks
from vhdprep.errors import Unreadable
from vhdprep.vhd.container import describe


@contextmanager
def open_disk(path):
    with open_disks([Source(path, describe(path))]) as (disk,):
        if isinstance(disk, Unreadable):
            raise disk
        yield disk
