"""Who sets up a machine made from this image: cloud-init, the Azure Linux Agent, nobody, or two that are at odds.

The agent decides by ``Provisioning.Agent`` and by whether cloud-init's first unit is enabled, not by whether cloud-init
will run (Azure/WALinuxAgent@03535b5e ``azurelinuxagent/pa/provision/factory.py``, ``default.py``, ``cloudinitdetect.py``);
cloud-init is held back by a marker, the command line, ds-identify's policy or a list of data sources without Azure
(canonical/cloud-init ``systemd/cloud-init-generator.tmpl``, ``tools/ds-identify``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest import boot, cloudconfig, systemd
from vhdprep.guest.formats import keyvalue
from vhdprep.guest.formats.textlines import lines
from vhdprep.model import ABSENT, Observation, Provisioner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

AGENT_PROGRAMS = ("/usr/sbin/waagent", "/usr/bin/waagent", "/usr/local/sbin/waagent")
AGENT_UNITS = ("walinuxagent.service", "waagent.service")
AGENT_CONFIG = "/etc/waagent.conf"
CLOUD_CONFIG = ("/etc/cloud/cloud.cfg", "/etc/cloud/cloud.cfg.d/*.cfg")

_EXTENSION = "/oem/sysext/oem-azure-*.raw"
_CLOUD_PROGRAMS = ("/usr/bin/cloud-init", "/usr/local/bin/cloud-init")
_MARKER = "/etc/cloud/cloud-init.disabled"
_POLICY = "/etc/cloud/ds-identify.cfg"
_POLICY_OFF = re.compile(r"\s*policy\s*:\s*.?disabled")


def find(guest: Guest) -> Provisioner:
    """The answer, and what was seen of each candidate; ``who`` None = it cannot be told, ``because`` says why."""
    try:
        cloud_runs, cloud = _cloud_init(guest)
        agent_does, agent = _agent(guest)
    except Unreadable as error:
        return Provisioner(None, (Observation(str(error), "provisioner"),))
    seen = (cloud, agent)
    if agent_does == "waits":
        return Provisioner("cloud-init" if cloud_runs else "contradiction", seen)
    if agent_does == "provisions":
        return Provisioner("contradiction" if cloud_runs else "waagent", seen)
    if cloud_runs:
        return Provisioner("cloud-init", seen)
    unit = systemd.unit_state(guest, "azure-init.service")
    return Provisioner("azure-init", (Observation(unit.state, unit.where),)) if unit.state == "enabled" else Provisioner("nobody", seen)


def _cloud_init(guest: Guest) -> tuple[bool, Observation]:
    """Whether cloud-init will run and look for Azure, and what decides that."""
    program = next((each for each in _CLOUD_PROGRAMS if guest.files.is_file(each)), None)
    if program is None:
        return False, Observation("cloud-init is not installed", _CLOUD_PROGRAMS[0])
    obstacle = next(_obstacles(guest), None)
    return obstacle is None, obstacle or Observation("cloud-init starts and looks for Azure", program)


def _obstacles(guest: Guest) -> Iterator[Observation]:
    """Whatever keeps an installed cloud-init from running on Azure, the cheapest to look at first."""
    if guest.files.lstat(_MARKER) is not None:
        yield Observation("cloud-init is switched off by a marker", _MARKER)
    for state in _stages(guest):
        if state.state != "enabled":
            yield Observation(f"a stage of cloud-init is {state.state}", state.where)
    for number, line in enumerate(lines(guest.files.text(_POLICY) or ""), 1):
        if _POLICY_OFF.match(line):
            yield Observation("cloud-init is switched off by policy", f"{_POLICY}:{number}")
    sources, where = cloudconfig.look_up(guest, CLOUD_CONFIG, "datasource_list")
    if sources is not ABSENT and not (isinstance(sources, tuple) and any(each.casefold() == "azure" for each in sources)):
        yield Observation("cloud-init does not look for Azure", where)
    if guest.volumes:  # an unpacked tree need not hold a boot loader
        entry = boot.default_entry(guest)
        for name in ("cloud-init", "ci.di.policy"):
            if any(value.startswith("disabled") for value in entry.values(name)):
                yield Observation("cloud-init is switched off on the command line", f"{entry.place} ({name}=)")


def _stages(guest: Guest) -> tuple[systemd.UnitState, ...]:
    """The early stages; since 24.3 the second one has another name and a main process."""
    second = systemd.unit_state(guest, "cloud-init-network.service")
    names = ("cloud-init-main.service", "cloud-init-network.service") if second.state != "absent" else ("cloud-init.service",)
    return tuple(systemd.unit_state(guest, name) for name in ("cloud-init-local.service", *names))


def _agent(guest: Guest) -> tuple[str, Observation]:
    """What the agent does (``provisions | waits | nothing``) and what decides that."""
    if not has_agent(guest):
        return "nothing", Observation("the agent is not installed", AGENT_PROGRAMS[0])
    state = agent_state(guest)
    if state.state != "enabled":
        return "nothing", Observation(f"the agent's unit is {state.state}", state.where)
    setting = keyvalue.agent(guest.files.text(AGENT_CONFIG) or "").get("Provisioning.Agent")
    value, where = (setting.value, f"{AGENT_CONFIG}:{setting.line}") if setting else ("auto", f"{AGENT_CONFIG} (by default)")
    sees_cloud_init = systemd.unit_state(guest, "cloud-init-local.service").state in ("enabled", "skipped")
    if value == "disabled":
        return "nothing", Observation("the agent provisions nothing (Provisioning.Agent=disabled)", where)
    if value == "cloud-init" or (value == "auto" and sees_cloud_init):
        return "waits", Observation(f"the agent leaves it to cloud-init (Provisioning.Agent={value})", where)
    return "provisions", Observation(f"the agent provisions (Provisioning.Agent={value})", where)


def has_agent(guest: Guest) -> bool:
    """Whether the agent is installed; on Flatcar it comes with the OEM partition's system extension."""
    return guest.facts.family == "flatcar" or any(guest.files.is_file(each) for each in AGENT_PROGRAMS)


def agent_state(guest: Guest) -> systemd.UnitState:
    """The agent's unit under whichever of its names it has; on Flatcar it comes with a system extension of the OEM partition."""
    states = [systemd.unit_state(guest, name) for name in AGENT_UNITS]
    if guest.facts.family == "flatcar" and (source := systemd.pull_of(guest, "waagent.service") or next(iter(guest.files.glob(_EXTENSION)), None)):
        return systemd.UnitState("enabled", source)
    return next((each for each in states if each.state == "enabled"), next((each for each in states if each.state != "absent"), states[0]))
