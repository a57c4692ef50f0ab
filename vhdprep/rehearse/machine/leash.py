"""How the programs that meet the guest are started: knowing nothing of the user's surroundings, and dying with us, however we end."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ELSEWHERE = "/"
"""Where they run: not in the user's folder."""
_PR_SET_PDEATHSIG = 1


def environment() -> dict[str, str]:
    """All that such a program is told: the user's own variables may hold secrets, and a guest that broke out would read them there."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def leash(most: int | None = None) -> Callable[[], None]:
    """What the child does before it becomes the program.

    It dies when this process does, leaves no core file, and writes no file beyond ``most`` bytes: more is an error of that write (EFBIG)
    instead of its death.
    """
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if most is not None:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # which Python has put back before it comes here
            resource.setrlimit(resource.RLIMIT_FSIZE, (bound, bound))

    return prepare
