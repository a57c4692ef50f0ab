"""Python bindings that only a distribution has, libguestfs's and hivex's: they are no packages of PyPI."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vhdprep.errors import BackendUnavailable, first_line

if TYPE_CHECKING:
    from types import ModuleType

_FOLDER = Path("/usr/lib/python3/dist-packages")
"""Where Debian and Ubuntu put them; a virtual environment does not look there, though those of the same Python version would serve it."""


def load(name: str, install: str) -> ModuleType:
    """The module ``name``; ``install`` is the command that installs it.

    Raises:
        BackendUnavailable: it is not there for this Python.
    """
    try:
        return _import(name)
    except ImportError as first:
        why = first_line(first)
    if not (_FOLDER / f"{name}.py").exists() and not (_FOLDER / name).is_dir():
        raise BackendUnavailable(f"the Python bindings of {name} are not installed ({why}); install them: {install}")
    sys.path.append(str(_FOLDER))
    try:
        return _import(name)
    except ImportError as error:
        python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
        raise BackendUnavailable(
            f"the bindings of {name} in {_FOLDER} are for the distribution's own Python, this is {python} ({first_line(error)}); "
            "make the virtual environment with it: /usr/bin/python3 -m venv --system-site-packages DIR"
        ) from error
    finally:
        sys.path.remove(str(_FOLDER))


def _import(name: str) -> ModuleType:
    return importlib.import_module(name)
