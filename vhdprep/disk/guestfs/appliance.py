"""libguestfs's appliance: a small Linux in a virtual machine, which mounts what the image holds. The sole home of its bindings.

It gets the disks read only, each with a scratch overlay, but for the copy that prepare works on, and their formats by name: neither qemu
nor libguestfs guesses one. Its own idea of the operating system is never asked for.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from vhdprep.disk import distribution, recorder
from vhdprep.errors import BackendUnavailable, Unreadable, first_line
from vhdprep.model import DiskType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from guestfs import GuestFS

    from vhdprep.model import Container

    _T = TypeVar("_T")

MEMORY = 2560
"""MiB of memory of the appliance where a key is tried: argon2 of LUKS2 takes up to 1 GiB."""

_DAMAGE = re.compile(r"(?:EXT4-fs|XFS|BTRFS|FAT-fs|ufs)\b.*(?:error|corrupt|critical|invalid|bad |fail|cannot|unable)|I/O error", re.IGNORECASE)
_HARMLESS = "not properly unmounted"
"""What FAT says of a volume that was left open; nobody records more of it."""
_INSTALL = "sudo apt-get install python3-guestfs (Fedora: sudo dnf install python3-libguestfs)"


def bindings() -> type[GuestFS]:
    """The class of libguestfs's handles.

    Raises:
        BackendUnavailable: the bindings are not there for this Python.
    """
    kind: type[GuestFS] = distribution.load("guestfs", _INSTALL).GuestFS
    return kind


def obstacle() -> str | None:
    """What stands in the way of the appliance on this host, with the one command that helps; None = nothing that is known of."""
    try:
        handle = bindings()(python_return_dict=True)
    except BackendUnavailable as error:
        return str(error)
    emulator = handle.get_hv()
    handle.close()
    if not shutil.which(emulator):
        return f"{emulator} is not installed; install it: sudo apt-get install qemu-system-x86"
    if "LIBGUESTFS_PATH" in os.environ or "SUPERMIN_KERNEL" in os.environ:
        return None  # an appliance or a kernel of the user's own choice
    if not shutil.which("supermin"):
        return "supermin, which builds the appliance, is not installed; install it: sudo apt-get install supermin"
    kernels = [*Path("/boot").glob("vmlinuz*"), *Path("/usr/lib/modules").glob("*/vmlinuz")]
    if not kernels:
        return "the appliance is made with the host's kernel, and there is none in /boot; install one: sudo apt-get install linux-image-amd64"
    if not any(os.access(each, os.R_OK) for each in kernels):
        return f"the appliance is made with the host's kernel, which may not be read ({kernels[0]}); run: sudo chmod 0644 /boot/vmlinuz-*"
    return None


def drive_format(container: Container) -> str:
    """What qemu calls the format of ``container``.

    Raises:
        Unreadable: it cannot read that.
    """
    if container.type is DiskType.DIFFERENCING:
        raise Unreadable(f"libguestfs reads no differencing {container.format.upper()}: qemu does not follow its parents")
    if container.format == "vhdx":
        if any(each.kind == "vhdx-unclean" for each in container.defects):
            raise Unreadable("libguestfs reads no VHDX whose log has to be carried out: qemu would have to write to it")
        return "vhdx"
    if container.format == "vhd":
        return "vpc" if container.type is DiskType.DYNAMIC else "raw"
    if container.format == "raw":
        return "raw"
    raise Unreadable(f"there is no disk to read: the file holds {container.contents}")


class Appliance:
    """One virtual machine: disks are added, it is started once, file systems are mounted side by side."""

    def __init__(self, *, memory: int | None = None, note: Callable[[str], None] | None = None) -> None:
        """``memory`` in MiB; ``note`` is told what the user should know.

        Raises:
            BackendUnavailable: it cannot run on this host.
        """
        if why := obstacle():
            raise BackendUnavailable(f"the backend 'guestfs' cannot run here: {why}")
        self._memory, self._note = memory, note or _log
        self.drives: list[tuple[str, str, bool]] = []
        """File and format of each disk, and whether it is only read."""
        self._mounts = 0
        self._heard = 0.0
        self._arrays: dict[str, str] | None = None
        self._tcg = False
        self.handle = self._new()
        self.devices: Sequence[str] = ()
        self.machines = 0
        """Images that share it; more than one only in the tests."""

    def _new(self) -> GuestFS:
        handle = bindings()(python_return_dict=True)
        if "LIBGUESTFS_BACKEND" not in os.environ:
            handle.set_backend("direct")  # no service of the host is needed
        if self._memory:
            handle.set_memsize(self._memory)
        if self._tcg:
            handle.set_backend_setting("force_tcg", "1")
        return handle

    def add(self, path: Path, container: Container) -> int:
        """Add a disk; gives its number.

        Raises:
            Unreadable: qemu does not take it.
        """
        kind = drive_format(container)
        try:
            self._add(str(path.resolve()), kind, readonly=True)
        except RuntimeError as error:
            raise Unreadable(f"libguestfs: qemu cannot open {path.name} as {kind}") from error  # its own words name files of the host
        return len(self.drives) - 1

    def add_writable(self, path: Path) -> None:
        """Add a raw disk that may be written."""
        self._add(str(path.resolve()), "raw", readonly=False)

    def add_empty(self) -> None:
        """Add a disk with nothing on it."""
        self._add(os.devnull, "raw", readonly=True)

    def _add(self, path: str, kind: str, *, readonly: bool) -> None:
        self.handle.add_drive_opts(path, readonly=readonly, format=kind)
        self.drives.append((path, kind, readonly))

    def launch(self) -> None:
        """Start it; where KVM is there but does not work, once more without.

        Raises:
            BackendUnavailable: it does not start.
        """
        if not self.drives:
            return
        with recorder.unbounded():
            try:
                self.handle.launch()
            except RuntimeError as error:
                self._launch_slowly(error)
        self.devices = self.handle.list_devices()

    def _launch_slowly(self, first: RuntimeError) -> None:
        self.handle.close()
        forced = "force_tcg" in os.environ.get("LIBGUESTFS_BACKEND_SETTINGS", "")
        if forced or not Path("/dev/kvm").exists():
            raise BackendUnavailable(f"libguestfs's appliance does not start ({first_line(first)}); run: libguestfs-test-tool") from first
        self._tcg = True
        self.handle = self._new()
        for path, kind, readonly in self.drives:
            self.handle.add_drive_opts(path, readonly=readonly, format=kind)
        try:
            self.handle.launch()
        except RuntimeError as error:
            raise BackendUnavailable(
                f"libguestfs's appliance does not start, with KVM ({first_line(first)}) or without ({first_line(error)}); run: libguestfs-test-tool"
            ) from error
        self._note(
            "KVM is there but does not work: the appliance runs without it, more slowly (LIBGUESTFS_BACKEND_SETTINGS=force_tcg spares the attempt)"
        )

    @classmethod
    def try_out(cls, note: Callable[[str], None]) -> str:
        """Start one with an empty disk; gives its version and acceleration.

        Raises:
            BackendUnavailable: it does not start.
        """
        appliance = cls(note=note)
        try:
            appliance.add_empty()
            appliance.launch()
            version = appliance.handle.version()
            return f"{version['major']}.{version['minor']}.{version['release']}, {appliance.acceleration}"
        finally:
            appliance.close()

    @property
    def acceleration(self) -> str:
        """``KVM`` or ``TCG``: what it runs with."""
        if self._tcg or "force_tcg" in os.environ.get("LIBGUESTFS_BACKEND_SETTINGS", ""):
            return "TCG"
        return "KVM" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "TCG"

    def mount(self, device: str, kind: str, options: str) -> str:
        """Mount ``device`` at a place of its own, which is returned.

        Raises:
            Unreadable: it cannot be mounted.
        """
        self._mounts += 1
        place = f"/v{self._mounts}"
        self.ask(lambda: self.handle.mkmountpoint(place))
        try:
            self.handle.mount_vfs(options, kind, device, place)
        except RuntimeError as error:
            raise Unreadable(f"Linux does not mount it: {self._why_not_mounted(kind, place, error)}") from error
        return place

    def _why_not_mounted(self, kind: str, place: str, error: RuntimeError) -> str:
        """The kernel's last word on this kind of file system, without the names of devices; else what ``mount`` says."""
        name = kind.partition("-")[0]
        said = [line for line in self._kernel_said() if name in line.casefold() and "scanned by" not in line]
        return _plain(said[-1] if said else first_line(error).rpartition(f"{place}: ")[2])

    def arrays(self) -> dict[str, str]:
        """UUID → device of the software RAIDs that Linux has put together."""
        if self._arrays is None:
            devices = self.ask(self.handle.list_md_devices)
            details = [(self.ask(lambda: self.handle.md_detail(device)), device) for device in devices]  # noqa: B023 - called at once
            self._arrays = {str(UUID(detail["uuid"].replace(":", ""))): device for detail, device in details if "uuid" in detail}
        return self._arrays

    def damage(self) -> Sequence[str]:
        """What Linux has complained of since it was asked last; a directory that it cannot read it shows as an empty one."""
        return [_plain(line) for line in self._kernel_said() if _DAMAGE.search(line) and _HARMLESS not in line]

    def _kernel_said(self) -> Sequence[str]:
        """The kernel's new messages."""
        found, last = [], self._heard
        for line in self.ask(self.handle.dmesg).splitlines():
            stamp = re.match(r"\[\s*(\d+\.\d+)\] (.*)", line)
            if stamp and float(stamp[1]) > last:
                self._heard = float(stamp[1])
                found.append(stamp[2])
        return found

    def unmount(self, place: str) -> None:
        """Take away what ``mount`` put at ``place``."""
        self.ask(lambda: self.handle.umount(place))

    def ask(self, action: Callable[[], _T]) -> _T:
        """Translate libguestfs's errors at the door.

        Raises:
            Unreadable: it could not do what was asked.
        """
        try:
            return action()
        except (RuntimeError, UnicodeDecodeError) as error:
            raise Unreadable(f"libguestfs: {first_line(error)}") from error

    def close(self) -> None:
        """Stop it; the overlays are gone with it."""
        self.handle.close()


def _log(text: str) -> None:
    import logging  # late: seldom there is something to say

    logging.getLogger("vhdprep").warning(text)


def _plain(text: str) -> str:
    """A message of the kernel without the names of its devices, which are not those of the image."""
    return re.sub(r" \((device )?(loop|sd|dm-|md)\w+\)", "", re.sub(r"/dev/loop\d+", "the volume", text))[:160]
