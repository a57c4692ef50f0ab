"""Probes of the installed system: units and packages."""

from __future__ import annotations

from vhdprep.guest import packages, systemd
from vhdprep.guest.image import Image
from vhdprep.model import ABSENT, Observation
from vhdprep.probes.registry import probe


@probe(returns="`enabled | disabled | static | masked | absent`")
def systemd_unit(image: Image, *, name: str) -> Observation:
    """Whether a unit starts at boot, judged from unit files and links; without systemd, from runlevels.

    name: the unit with its suffix, e.g. `ssh.service`. A service whose socket, timer or path unit starts it is enabled.
    """
    state = systemd.unit_state(image.need_guest(), name)
    return Observation(state.state, state.where)


@probe(returns="the version; absent when none of them is installed")
def package(image: Image, *, names: tuple[str, ...]) -> Observation:
    """The first of the packages that is installed, by the package database."""
    installed = packages.installed(image.need_guest())
    for name in names:
        if name in installed:
            return Observation(installed[name], f"package {name}")
    return Observation(ABSENT, f"package {names[0]}")
