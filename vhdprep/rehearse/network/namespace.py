"""Go on in a user and network namespace of our own: there, nothing at all leads out, not even for the emulator."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from vhdprep.errors import BackendUnavailable
from vhdprep.rehearse.network import tap

_INSIDE = "VHDPREP_IN_NAMESPACE"
"""Set in the environment of the process that is in one."""
_WORDS = ("unshare", "--user", "--map-root-user", "--net", "--")


def enter() -> None:
    """Replace this process by the same command inside a namespace; returns where it is in one already.

    Raises:
        BackendUnavailable: the host has no user namespaces for us, or no tap devices.
    """
    if os.environ.pop(_INSIDE, None) is not None:
        return
    if why := obstacle():
        raise BackendUnavailable(f"{why}; run without --network namespace")
    os.environ[_INSIDE] = "1"
    sys.stdout.flush()
    os.execvp(_WORDS[0], [*_WORDS, sys.executable, "-m", "vhdprep", *sys.argv[1:]])


def obstacle() -> str | None:
    """Why there can be no such namespace here; None = there can."""
    if shutil.which(_WORDS[0]) is None:
        return "unshare, of util-linux, is not installed"
    if not os.access(tap.DEVICE, os.R_OK | os.W_OK):
        return f"{tap.DEVICE} is not there, or may not be opened"
    try:
        tried = subprocess.run([*_WORDS, "true"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unshare cannot be run ({error})"
    return f"this host makes no namespaces for us ({tried.stderr.decode(errors='replace').strip()[:200]})" if tried.returncode else None
