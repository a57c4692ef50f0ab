"""libguestfs's appliance: a small Linux in a virtual machine, which mounts what the image holds. The sole home of its bindings.

It gets the disks read only, each with a scratch overlay, and their formats by name: neither qemu nor libguestfs
guesses one. Its own idea of the operating system is never asked for.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vhdprep.disk import recorder
from vhdprep.errors import BackendUnavailable, Unreadable, first_line
from vhdprep.model import DiskType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from guestfs import GuestFS

    from vhdprep.model import Container

    _T = TypeVar("_T")

MEMORY = 2560
"""MiB of memory of the appliance where a key is tried: argon2 of LUKS2 takes up to 1 GiB."""

_DISTRIBUTION = Path("/usr/lib/python3/dist-packages")
"""Where Debian and Ubuntu put the bindings; a virtual environment does not look there."""
_INSTALL = "sudo apt-get install python3-guestfs (Fedora: sudo dnf install python3-libguestfs)"


def bindings() -> type[GuestFS]:
    """The class of libguestfs's handles.

    Raises:
        BackendUnavailable: the bindings are not there for this Python.
    """
    try:
        return _import()
    except ImportError as first:
        why = first_line(first)
    # The bindings are no package of PyPI. Those of the distribution serve a virtual environment of the same Python version.
    if (_DISTRIBUTION / "guestfs.py").exists():
        sys.path.append(str(_DISTRIBUTION))
        try:
            return _import()
        except ImportError as error:
            python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
            raise BackendUnavailable(
                f"libguestfs's bindings in {_DISTRIBUTION} are for the distribution's own Python, this is {python} ({first_line(error)}); "
                "make the virtual environment with it: /usr/bin/python3 -m venv --system-site-packages DIR"
            ) from error
        finally:
            sys.path.remove(str(_DISTRIBUTION))
    raise BackendUnavailable(f"libguestfs's Python bindings are not installed ({why}); install them: {_INSTALL}")


def _import() -> type[GuestFS]:
    kind: type[GuestFS] = importlib.import_module("guestfs").GuestFS
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
        self.drives: list[tuple[str, str]] = []
        """File and format of each disk."""
        self._mounts = 0
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
        drive = (str(path.resolve()), drive_format(container))
        try:
            self.handle.add_drive_opts(drive[0], readonly=True, format=drive[1])
        except RuntimeError as error:
            raise Unreadable(f"libguestfs: qemu cannot open {path.name} as {drive[1]}") from error  # its own words name files of the host
        self.drives.append(drive)
        return len(self.drives) - 1

    def add_empty(self) -> None:
        """Add a disk with nothing on it."""
        self.drives.append((os.devnull, "raw"))
        self.handle.add_drive_opts(os.devnull, readonly=True, format="raw")

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
        for path, kind in self.drives:
            self.handle.add_drive_opts(path, readonly=True, format=kind)
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
        said = [line for line in self.ask(self.handle.dmesg).splitlines() if name in line.casefold() and "scanned by" not in line]
        why = said[-1].partition("] ")[2] if said else first_line(error).rpartition(f"{place}: ")[2]
        return re.sub(r" \((device )?(loop|sd|dm-|md)\w+\)", "", re.sub(r"/dev/loop\d+", "the volume", why))[:160]

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
