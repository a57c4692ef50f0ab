"""Whether a unit starts at boot, from files and links."""

from __future__ import annotations

import pytest

from tests.unit.memory import guest
from vhdprep.errors import Unreadable
from vhdprep.guest.systemd import unit_state

UNIT = "[Service]\nExecStart=/x\n[Install]\nWantedBy=multi-user.target\n"
HOME = "/usr/lib/systemd/system/a.service"
LINK = {"link": HOME}
ENABLED = {HOME: UNIT, "/etc/systemd/system/multi-user.target.wants/a.service": LINK}


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({}, "absent"),
        ({HOME: UNIT}, "disabled"),
        ({HOME: "[Service]\nExecStart=/x\n"}, "static"),
        ({HOME: UNIT, "/etc/systemd/system/multi-user.target.wants/a.service": LINK}, "enabled"),
        ({HOME: UNIT, "/usr/lib/systemd/system/sysinit.target.requires/a.service": LINK}, "enabled"),
        ({HOME: UNIT, "/etc/systemd/system/multi-user.target.upholds/a.service": LINK}, "enabled"),
        ({HOME: UNIT, "/etc/systemd/system/custom.target.wants/a.service": LINK}, "disabled"),
        ({HOME: UNIT, "/etc/systemd/system/custom.target.wants/a.service": LINK, "/usr/lib/systemd/system/custom.target": "",
          "/usr/lib/systemd/system-generators/custom-generator": "#!"}, "disabled"),
        ({HOME: UNIT, "/etc/systemd/system/custom.target.wants/a.service": LINK, "/usr/lib/systemd/system/custom.target": "[Unit]",
          "/usr/lib/systemd/system-generators/custom-generator": "#!"}, "enabled"),
        ({HOME: UNIT, "/etc/systemd/system/custom.target.wants/a.service": LINK, "/usr/lib/systemd/system/custom.target": "[Unit]",
          "/etc/systemd/system/multi-user.target.wants/custom.target": {"link": "/usr/lib/systemd/system/custom.target"}}, "enabled"),
        ({HOME: UNIT, "/etc/systemd/system/a.service": {"link": "/dev/null"}, "/etc/systemd/system/multi-user.target.wants/a.service": LINK}, "masked"),
        ({HOME: UNIT, "/etc/systemd/system/a.service": "", "/etc/systemd/system/multi-user.target.wants/a.service": LINK}, "masked"),
        ({HOME: UNIT, "/etc/systemd/system/b.service": LINK, "/etc/systemd/system/multi-user.target.wants/b.service": LINK}, "enabled"),
        ({HOME: UNIT, "/usr/lib/systemd/system/a.socket": "[Install]\nWantedBy=sockets.target",
          "/etc/systemd/system/sockets.target.wants/a.socket": {"link": "/usr/lib/systemd/system/a.socket"}}, "enabled"),
        ({HOME: UNIT, "/usr/lib/systemd/system/multi-user.target.d/10-x.conf": "[Unit]\nUpholds=a.service\n"}, "enabled"),
        ({"/usr/lib/systemd/system/x@.service": UNIT, "/etc/systemd/system/multi-user.target.wants/x@y.service": {"link": "../x@.service"}}, "absent"),
    ],
)  # fmt: skip
def test_the_state_of_a_unit(files, state):
    assert unit_state(guest(files), "a.service").state == state


def test_an_instance_is_found_by_its_template():
    files = {"/usr/lib/systemd/system/x@.service": UNIT, "/etc/systemd/system/multi-user.target.wants/x@y.service": {"link": "../x@.service"}}
    assert unit_state(guest(files), "x@y.service").state == "enabled"


def test_an_alias_is_judged_by_its_unit():
    files = {HOME: UNIT, "/etc/systemd/system/alias.service": LINK, "/etc/systemd/system/multi-user.target.wants/a.service": LINK}
    found = unit_state(guest(files), "alias.service")
    assert (found.state, found.where) == ("enabled", "/etc/systemd/system/multi-user.target.wants/a.service")


def test_targets_that_want_each_other_end():
    files = {HOME: UNIT, "/etc/systemd/system/p.target.wants/a.service": LINK, "/usr/lib/systemd/system/p.target": "[Unit]",
             "/usr/lib/systemd/system/q.target": "[Unit]", "/etc/systemd/system/q.target.wants/p.target": {"link": "x"},
             "/etc/systemd/system/p.target.wants/q.target": {"link": "x"}}  # fmt: skip
    assert unit_state(guest(files), "a.service").state == "disabled"


def test_without_systemd_runlevels_count():
    assert unit_state(guest({"/etc/runlevels/default/sshd": ""}, facts={"init": "openrc"}), "sshd.service").state == "enabled"
    assert unit_state(guest({"/etc/init.d/waagent": "#!", "/etc/rc3.d/S99waagent": ""}, facts={"init": "sysv"}), "waagent.service").state == "enabled"
    assert unit_state(guest({"/etc/init.d/waagent": "#!"}, facts={"init": "sysv"}), "waagent.service").state == "disabled"


def test_targets_that_want_each_other_in_layers_are_followed_once():
    files = {HOME: UNIT, "/etc/systemd/system/l0a.target.wants/a.service": LINK}
    for layer in range(40):
        for low in "ab":
            files[f"/usr/lib/systemd/system/l{layer}{low}.target"] = "[Unit]\n"
            files |= {
                f"/etc/systemd/system/l{layer + 1}{high}.target.wants/l{layer}{low}.target": {"link": f"/usr/lib/systemd/system/l{layer}{low}.target"}
                for high in "ab"
            }
    assert unit_state(guest(files), "a.service").state == "disabled"


def booted(line):
    return {"/boot/grub/grub.cfg": f"menuentry x {{ linux /boot/vmlinuz-1 ro {line}; }}"}


def test_a_unit_masked_on_the_kernels_command_line_does_not_start():
    found = unit_state(guest({**ENABLED, **booted("systemd.mask=a.service")}), "a.service")
    assert found == ("masked", "/boot/grub/grub.cfg:1 (systemd.mask)")


def test_a_unit_wanted_on_the_kernels_command_line_starts():
    files = {HOME: UNIT}
    assert unit_state(guest({**files, **booted("quiet")}), "a.service").state == "disabled"
    assert unit_state(guest({**files, **booted("systemd.wants=a.service")}), "a.service").state == "enabled"


@pytest.mark.parametrize("line", ["init=/bin/bash", "systemd.unit=rescue.target", "systemd.unit=kiosk.target"])
def test_what_starts_in_another_system_than_the_usual_is_not_known(line):
    with pytest.raises(Unreadable, match=line):
        unit_state(guest({**ENABLED, **booted(line)}), "a.service")


@pytest.mark.parametrize("line", ["init=/usr/lib/systemd/systemd", "init=/sbin/init", "systemd.unit=graphical.target"])
def test_the_usual_system_named_on_the_command_line_is_the_usual_one(line):
    assert unit_state(guest({**ENABLED, **booted(line)}), "a.service").state == "enabled"
