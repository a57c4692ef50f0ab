"""The second backend: Linux itself reads the file systems, in libguestfs's appliance.

Partition tables, signatures and LVM2's metadata are read as the native backend reads them, so that both name the same
volumes; files, arrays, encrypted and thin volumes come from the appliance, and containers through qemu.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from vhdprep.disk.guestfs.appliance import MEMORY, Appliance
from vhdprep.disk.guestfs.disk import GuestfsDisk
from vhdprep.disk.native.assembly import join
from vhdprep.disk.native.container import open_reader
from vhdprep.disk.native.table import read_table
from vhdprep.disk.recorder import NOTHING
from vhdprep.errors import BackendUnavailable, Unreadable
from vhdprep.location import Url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from vhdprep.disk.backend import Disk, Source


@contextmanager
def open_disks(sources: Sequence[Source], avoid: Mapping[str, str] = NOTHING) -> Iterator[Sequence[Disk | Unreadable]]:
    """Open the disks of one image in one appliance. An ``Unreadable`` stands for one that qemu or this program cannot read.

    Raises:
        UsageError: a file vanished or may not be read.
        BackendUnavailable: the appliance cannot run here.
    """
    appliance = Appliance(memory=MEMORY if any(each.key for each in sources) else None)
    try:
        machine = Machine(appliance, sources)
        appliance.launch()
        with machine.open(avoid) as disks:
            yield disks
    finally:
        appliance.close()


class Machine:
    """The disks of one image in an appliance."""

    def __init__(self, appliance: Appliance, sources: Sequence[Source]) -> None:
        """Add the disks; the appliance is not started yet."""
        self._appliance, self._sources = appliance, sources
        self._drives: list[int | Unreadable] = []
        for each in sources:
            try:
                self._drives.append(appliance.add(_file(each), each.container))
            except Unreadable as error:
                self._drives.append(error)
        appliance.machines += 1

    @contextmanager
    def open(self, avoid: Mapping[str, str] = NOTHING) -> Iterator[Sequence[Disk | Unreadable]]:
        """Read the tables, mount every file system; all of them are unmounted afterwards."""
        with ExitStack() as stack:
            disks = [self._open_one(stack, source, drive, avoid) for source, drive in zip(self._sources, self._drives, strict=True)]
            opened = [each for each in disks if isinstance(each, GuestfsDisk)]
            for each in opened:
                each.unlock()
            join(opened, lambda: self._activate(opened))
            yield disks

    def _activate(self, disks: Sequence[GuestfsDisk]) -> None:
        """Let LVM2 see what was unlocked; and of several images in one appliance only this one."""
        if self._appliance.machines > 1:
            devices = [name for each in disks for name in each.devices()]
            self._appliance.ask(lambda: self._appliance.handle.lvm_set_filter(devices))
        else:
            self._appliance.ask(lambda: self._appliance.handle.lvm_scan(True))

    def _open_one(self, stack: ExitStack, source: Source, drive: int | Unreadable, avoid: Mapping[str, str]) -> GuestfsDisk | Unreadable:
        try:
            reader = open_reader(stack, source, avoid)
            if isinstance(drive, Unreadable):
                read_table(reader)  # what is wrong with the disk itself is said first
                return drive
            return GuestfsDisk(reader, source, avoid, self._appliance, self._appliance.devices[drive], stack)
        except Unreadable as error:
            return error


def _file(source: Source) -> Path:
    """The file of a disk.

    Raises:
        BackendUnavailable: it lies on the network.
    """
    if isinstance(source.path, Url):
        raise BackendUnavailable(f"{source.path}: libguestfs is given no address on the network; download the image first")
    return source.path
