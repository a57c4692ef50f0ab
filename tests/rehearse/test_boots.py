"""Real machines: the real Debian, and copies of it with one fault each, really booted.

Each takes two to three minutes of two processors without KVM, so they run when asked for: VHDPREP_REHEARSE=some or all.
"""

from __future__ import annotations

import os
import re

import pytest

from tests.rehearse.planted import DEBUGFS, Fault, plant
from vhdprep.errors import BackendUnavailable
from vhdprep.rehearsal import Milestone, Outcome
from vhdprep.rehearse import watch
from vhdprep.rehearse.machine import firmware
from vhdprep.rehearse.run import Wish, rehearse

WANTED = os.environ.get("VHDPREP_REHEARSE", "")
pytestmark = [
    pytest.mark.real_image,
    pytest.mark.skipif(WANTED not in ("some", "all"), reason="boots real machines for minutes; VHDPREP_REHEARSE=some or all does it"),
]
everything = pytest.mark.skipif(WANTED != "all", reason="boots many real machines; VHDPREP_REHEARSE=all does it")
LIMITS = watch.Patience(total=600).stretched(2 if "PYTEST_XDIST_WORKER" in os.environ else 1)
"""Twice as long where other tests run beside it."""
BRIEFLY = LIMITS._replace(ready=25)
"""For images of which it is known that nothing comes any more."""
AGENT_ALONE = "Provisioning.Agent=waagent\nProvisioning.RegenerateSshHostKeyPair=y\nProvisioning.SshHostKeyPairType=rsa\nResourceDisk.Format=n\nAutoUpdate.Enabled=y\nLogs.Verbose=n\nOS.RootDeviceScsiTimeout=300\n"
MASKED = {f"/etc/systemd/system/{each}.service": "/dev/null" for each in ("cloud-init-local", "cloud-init", "cloud-config", "cloud-final")}

CONFIGURED = {
    "/etc/udev/rules.d/70-persistent-net.rules": 'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{type}=="1", NAME="eth7"\n',
    "/etc/network/interfaces": "auto lo\niface lo inet loopback\nauto eth7\niface eth7 inet dhcp\n",
    "/etc/systemd/system/ssh.service.d/keys.conf": "[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n",
}
"""A network, and host keys in time, without cloud-init, which makes both otherwise: the agent makes keys when the SSH server has given up for want of any."""


@pytest.fixture(scope="module", autouse=True)
def emulator():
    try:
        return firmware.find(uefi=True)
    except BackendUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def boot(real_image, tmp_path):
    """Rehearse the real image with a fault."""

    def run(fault=None, *, release=12, state="generalized", limits=LIMITS, **wishes):
        image = real_image(f"debian-{release}-{state}.fixed.vhd")
        if fault is not None:
            if DEBUGFS is None:
                pytest.skip("debugfs is not installed; run: sudo apt-get install e2fsprogs")
            image = plant(image, real_image("facts.json"), tmp_path / "planted.vhd", fault)
        return rehearse(image, Wish((), limits=limits, **wishes), lambda *_: None).rehearsal

    return run


def seen(found, what):
    """Whether a witness is good: True, False, or None where it was not seen."""
    return next((each.good for each in found.witnesses if each.what == what), None)


def agents(found):
    """Who reported what, in order."""
    return [
        re.sub(r"POST health by (\S+?)/.* at .*", r"\1", each.where) + f": {each.value}"
        for each in found.witnesses
        if each.what == "what the guest reported"
    ]


def everything_was_seen(found):
    assert (found.outcome, found.cause, found.defects, found.missing) == (Outcome.REHEARSED, "", (), None)
    assert {each.milestone for each in found.reached} == set(Milestone)
    assert [seen(found, what) for what in ("new user", "new key", "host name", "custom data")] == [True] * 4
    assert agents(found) == ["Cloud-Init: Ready", "WALinuxAgent: NotReady Provisioning Starting", "WALinuxAgent: Ready"]
    assert found.tried == ()


def test_the_real_debian_is_rehearsed_with_all_evidence(boot):
    everything_was_seen(boot())


@everything
def test_another_release_is_rehearsed_as_well(boot):
    """Debian 13: systemd-networkd by netplan, as cloud-init configures it from the metadata, and dhcpcd before that."""
    everything_was_seen(boot(release=13))


ROWS = {
    "cloud-init switched off": (
        Fault({"/etc/cloud/cloud-init.disabled": ""}),
        Outcome.NEVER,
        Milestone.METADATA,
        r"not one request for provisioning came.*/etc/cloud/cloud-init\.disabled: cloud-init is switched off by a marker",
    ),
    "another cloud's data source": (
        Fault({"/etc/cloud/cloud.cfg.d/95-ec2.cfg": "datasource_list: [ Ec2 ]\n"}),
        Outcome.NEVER,
        Milestone.METADATA,
        r"looked for another cloud: .*metadata of another cloud: /2009-04-04/.*95-ec2\.cfg:1: cloud-init does not look for Azure",
    ),
    "no DHCP client": (Fault({"/usr/sbin/dhclient": None}), Outcome.NEVER, Milestone.DHCP, r"never asked for an address: no DHCP client ran"),
    "the agent masked": (
        Fault(links={"/etc/systemd/system/walinuxagent.service": "/dev/null"}),
        Outcome.DEFECTS,
        Milestone.AGENT,
        r"The agent never reported Ready .*masked",
    ),
    "UDF blocked": (
        Fault({"/etc/modprobe.d/hardening.conf": "install udf /bin/false\n"}),
        Outcome.DEFECTS,
        Milestone.DVD,
        r"The provisioning DVD was never read to its end and ejected \(cloud-init: DataSourceAzure \[seed=IMDS\]\)",
    ),
    "an unknown device in fstab": (
        Fault(
            {
                "/etc/fstab": "UUID=7272c1d8-1141-503c-87be-361c4b4ca244 / ext4 defaults 0 1\nUUID=11111111-2222-3333-4444-555555555555 /data ext4 defaults 0 2\n"
            }
        ),
        Outcome.UNREACHABLE,
        Milestone.SSH,
        r"Ready was reported by Cloud-Init/\S+, and then the system went into emergency mode: nobody can log in",
    ),
    "a card renamed, and a static address": (
        Fault(
            {
                "/etc/udev/rules.d/70-persistent-net.rules": 'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{type}=="1", NAME="eth7"\n',
                "/etc/network/interfaces": "auto lo\niface lo inet loopback\nauto eth7\niface eth7 inet static\n  address 192.168.7.5/24\n  gateway 192.168.7.1\n",
                "/etc/cloud/cloud.cfg.d/99-network.cfg": "network: {config: disabled}\n",
            }
        ),
        Outcome.UNREACHABLE,
        Milestone.SSH,
        r"no SSH server ever answered at the address that the network gives to it",
    ),
    "marks of an earlier machine": (
        Fault({"/var/lib/waagent/provisioned": "11111111-2222-3333-4444-555555555555", "/var/lib/waagent/ovf-env.xml": "<Environment/>"}),
        Outcome.DEFECTS,
        None,
        r"The agent skipped its own provisioning, for the image brings marks of an earlier machine: /var/lib/waagent/provisioned",
    ),
    "the agent is to provision, and cloud-init is enabled": (
        Fault({"/etc/waagent.conf": AGENT_ALONE, "/etc/cloud/cloud-init.disabled": ""}),
        Outcome.REFUSED,
        Milestone.READY,
        r"WALinuxAgent/\S+ reported NotReady, ProvisioningFailed: .*cloud-init appears to be installed and enabled",
    ),
}
SOME = {"cloud-init switched off", "another cloud's data source", "the agent is to provision, and cloud-init is enabled"}
assert set(ROWS) >= SOME


@pytest.mark.parametrize("row", [pytest.param(row, marks=() if row in SOME else everything) for row in ROWS])
def test_each_broken_image_is_called_what_it_is(boot, row):
    fault, outcome, missing, cause = ROWS[row]
    found = boot(fault, limits=BRIEFLY if outcome is Outcome.NEVER else LIMITS)
    assert (found.outcome, found.missing) == (outcome, missing), found.cause
    assert re.search(cause, found.cause, re.DOTALL), found.cause
    assert found.remedy


@everything
def test_the_agent_alone_provisions_as_well(boot):
    found = boot(Fault({"/etc/waagent.conf": AGENT_ALONE, **CONFIGURED}, MASKED))
    assert (found.outcome, found.cause) == (Outcome.REHEARSED, "")
    assert agents(found)[-1] == "WALinuxAgent: Ready"
    assert [seen(found, what) for what in ("new user", "new key", "host name", "custom data")] == [True] * 4


@everything
def test_a_machine_that_is_not_azure_s_provisions_nothing(boot, monkeypatch):
    monkeypatch.setattr("vhdprep.rehearse.machine.qemu.ASSET_TAG", "none")
    found = boot()
    assert found.outcome is Outcome.NEVER


@everything
def test_the_used_image_passes_and_its_twins_say_that_it_is_not_generalized(boot):
    found = boot(state="used", twins=True)
    assert found.outcome in (Outcome.REHEARSED, Outcome.DEFECTS)
    assert "/etc/machine-id" in {each.where for each in found.common}
    assert found.passed is False


@everything
def test_the_generalized_image_s_twins_have_nothing_in_common(boot):
    found = boot(twins=True)
    assert (found.outcome, found.common) == (Outcome.REHEARSED, ())
    assert {"machine id", "SSH host key"} <= {each.what for each in found.twins}


@everything
@pytest.mark.parametrize("part", ["dvd", "imds"])
def test_the_other_ways_of_provisioning(boot, part):
    found = boot(without=frozenset({part}))
    assert (found.outcome, found.without) == (Outcome.REHEARSED, (part,))
