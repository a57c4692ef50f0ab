"""The emulator and the firmware of this host, and whether its processor can help."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from vhdprep.errors import BackendUnavailable
from vhdprep.rehearse.machine import leash

EMULATOR = "qemu-system-x86_64"
OLDEST = (7, 2)
"""The first QEMU with the network device that the relay needs."""
PACKAGES = "qemu-system-x86 qemu-utils ovmf openssh-client"
"""What Debian and Ubuntu call them."""
EXTRA = "'vhdprep[rehearse]'"
_MODULES = ("pycdlib", "qemu.qmp")
_PAIRS = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
)
"""Code and variables without Secure Boot, as Debian, Fedora, Arch and openSUSE name them."""


class Firmware(NamedTuple):
    """What is used to run a machine."""

    emulator: str
    version: str
    code: Path | None
    """None = BIOS, which the emulator has itself."""
    variables: Path | None


def missing_modules() -> list[str]:
    """Python packages that a rehearsal imports, and that are not installed."""
    found = []
    for name in _MODULES:
        try:
            lacks = find_spec(name) is None
        except ModuleNotFoundError:  # the package that it would be in
            lacks = True
        if lacks:
            found.append(name)
    return found


def find(*, uefi: bool) -> Firmware:
    """The emulator, and OVMF where it is asked for.

    Raises:
        BackendUnavailable: something is missing; the message has the command that installs it.
    """
    if lacking := missing_modules():
        raise BackendUnavailable(f"a rehearsal needs the Python packages {' and '.join(lacking)}; run: {sys.executable} -m pip install {EXTRA}")
    missing = [name for name in (EMULATOR, "qemu-img", "ssh", "ssh-keygen") if shutil.which(name) is None]
    pair = _ovmf()
    if uefi and pair is None:
        missing.append("OVMF, the UEFI firmware of virtual machines")
    if missing:
        raise BackendUnavailable(f"a rehearsal needs {', '.join(missing)}; run: sudo apt-get install {PACKAGES}")
    version = emulator_version()
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise BackendUnavailable(f"a rehearsal needs QEMU {'.'.join(map(str, OLDEST))} or later; this host has {version}")
    code, variables = pair if uefi and pair else (None, None)
    return Firmware(EMULATOR, version, code, variables)


def _ovmf() -> tuple[Path, Path] | None:
    return next(((Path(code), Path(variables)) for code, variables in _PAIRS if Path(code).is_file() and Path(variables).is_file()), None)


def emulator_version() -> str:
    """The emulator's version, ``7.2.22``.

    Raises:
        BackendUnavailable: it cannot be run.
    """
    try:
        said = subprocess.run([EMULATOR, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendUnavailable(f"{EMULATOR} cannot be run ({error}); run: sudo apt-get install {PACKAGES}") from error
    found = re.search(r"version (\d+(?:\.\d+)+)", said)
    if found is None:
        raise BackendUnavailable(f"{EMULATOR} does not say its version; run: sudo apt-get install {PACKAGES}")
    return found[1]


KVM_PROCESSOR = "host,hypervisor=off,arch-capabilities=off"
"""ARCH_CAPABILITIES cannot be set inside every virtual machine, and QEMU gives up there; a rehearsal needs none of it."""
_TRIAL_SECONDS = 1.5


def accelerated() -> bool:
    """Whether KVM really works here: the firmware is started with it and must still run a while later, for the device alone proves nothing."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    pair = _ovmf()  # also where BIOS is to be booted: it runs in simpler modes of the processor than any kernel
    code = ("-drive", f"if=pflash,unit=0,readonly=on,format=raw,file={str(pair[0]).replace(',', ',,')}") if pair else ()
    words = (EMULATOR, "-nodefaults", "-no-user-config", "-machine", "q35", "-accel", "kvm", "-cpu", KVM_PROCESSOR, "-display", "none", *code)
    try:
        subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TRIAL_SECONDS,
            check=False,
            cwd=leash.ELSEWHERE,
            env=leash.environment(),
            preexec_fn=leash.leash(),
        )
    except subprocess.TimeoutExpired as still:  # as it should be: nothing ends it
        return b"KVM" not in (still.stderr or b"")
    except OSError:
        return False
    return False
