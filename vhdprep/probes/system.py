"""Probes of the installed system: units and packages."""

from __future__ import annotations

import re
from typing import Literal

from vhdprep.guest import packages, sources, systemd
from vhdprep.guest.formats.masking import excerpt
from vhdprep.guest.image import Image
from vhdprep.model import ABSENT, Observation
from vhdprep.probes.registry import probe


@probe(returns="`enabled | disabled | static | masked | skipped | absent`, with `first_boot` also `lost-at-first-boot`")
def systemd_unit(image: Image, *, name: str, first_boot: bool = False) -> Observation:
    """Whether a unit starts at boot, judged from unit files, links and scripts of SysV; without systemd, from runlevels.

    name: the unit with its suffix, e.g. `ssh.service`. A service whose socket, timer or path unit starts it is enabled.
    `skipped`: enabled, but a condition of the unit does not hold in this image. first_boot: also look at what presets
    take away where the machine-id makes the next boot the first one.
    """
    state = systemd.unit_state(image.need_guest(), name, first_boot=first_boot)
    return Observation(state.state, state.where)


@probe(returns="a list of values; empty when the unit is missing or says nothing")
def unit_setting(image: Image, *, unit: str, key: str) -> Observation:
    """Every value in force of one setting of a systemd unit, drop-ins included. key: `Section.Key`, e.g. `Service.ExecStart`."""
    found = systemd.unit_setting(image.need_guest(), unit, key)
    parts = tuple(Observation(each.value, each.place) for each in found)
    return Observation(tuple(each.value for each in found), f"{unit}:{key}", parts)


@probe(returns="the version; absent when none of them is installed")
def package(image: Image, *, names: tuple[str, ...]) -> Observation:
    """The first of the packages that is installed, by the package database."""
    installed = packages.installed(image.need_guest())
    for name in names:
        if name in installed:
            return Observation(installed[name], f"package {name}")
    return Observation(ABSENT, f"package {names[0]}")


@probe(returns="a list of places, one for each source")
def package_sources(image: Image, *, having: Literal["any", "enabled", "local"] = "enabled", matching: str = "") -> Observation:
    """Sources of apt (both forms, lists of mirrors followed), repositories of yum, dnf and zypper, and zypper's services.

    having: `enabled`, or `local` = enabled and nowhere but on a disc or in a directory. matching: a regular expression
    for `ID URL SUITE`: the id is `deb` or `deb-src` for apt; the suite is followed by its components for apt, and is
    `autorefresh` for zypper where that is on.
    """
    expression = re.compile(matching)
    parts = []
    for source in sources.sources(image.need_guest()):
        wanted = having == "any" or (source.enabled and (having == "enabled" or source.is_local))
        if wanted and expression.search(source.words):
            parts.append(Observation(excerpt(source.words), source.place))
    return Observation.listing("package sources", tuple(parts))
