"""Whether a unit starts at boot, from files and links."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.unit.memory import guest
from vhdprep.errors import Unreadable
from vhdprep.guest.systemd import unit_setting, unit_state

UNIT = "[Service]\nExecStart=/x\n[Install]\nWantedBy=multi-user.target\n"
HOME = "/usr/lib/systemd/system/a.service"
LINK = {"link": HOME}
WANTED = {"/etc/systemd/system/multi-user.target.wants/a.service": LINK}
ENABLED = {HOME: UNIT, **WANTED}


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


@pytest.mark.parametrize("target", ["/dev/null", "//dev/null", "../../../dev/null", "../../../../dev/./null", "b.service"])
def test_a_link_that_leads_to_dev_null_masks_however_it_is_spelled(target):
    files = {**ENABLED, "/etc/systemd/system/a.service": {"link": target}, "/etc/systemd/system/b.service": {"link": "/dev/null"}}
    assert unit_state(guest(files), "a.service") == ("masked", "/etc/systemd/system/a.service")


@pytest.mark.parametrize(
    ("target", "state"),
    [("../../dev/null", "enabled"), ("/etc/empty", "masked"), ("/usr/lib/systemd/system/gone.service", "enabled")],
)
def test_a_link_to_an_empty_file_masks_and_one_to_nowhere_is_passed_over(target, state):
    # from /etc/systemd/system, ../../dev/null is /etc/dev/null
    assert unit_state(guest({**ENABLED, "/etc/systemd/system/a.service": {"link": target}, "/etc/empty": ""}), "a.service").state == state


@pytest.mark.parametrize(
    ("default", "state"),
    [
        ({"link": "/usr/lib/systemd/system/multi-user.target"}, "enabled"),
        ({"link": "/usr/lib/systemd/system/graphical.target"}, "enabled"),
        ({"link": "/usr/lib/systemd/system/rescue.target"}, "disabled"),
        ({"link": "/usr/lib/systemd/system/runlevel3.target"}, "enabled"),
        ({"link": "/etc/systemd/system/site.target"}, "enabled"),
        ({"link": "/etc/systemd/system/bare.target"}, "disabled"),
        ({"link": "/dev/null"}, "disabled"),
        ("[Unit]\nRequires=multi-user.target\n", "enabled"),
    ],
)
def test_a_unit_starts_only_when_the_default_target_leads_to_it(default, state):
    targets = {f"/usr/lib/systemd/system/{name}.target": "[Unit]\n" for name in ("multi-user", "graphical", "rescue")}
    own = {
        "/usr/lib/systemd/system/runlevel3.target": {"link": "multi-user.target"},
        "/etc/systemd/system/site.target": "[Unit]\nWants=graphical.target\n",
        "/etc/systemd/system/bare.target": "[Unit]\nWants=sysinit.target\n",
    }
    assert unit_state(guest({**ENABLED, **targets, **own, "/etc/systemd/system/default.target": default}), "a.service").state == state


def test_what_an_own_default_target_wants_starts():
    files = {HOME: UNIT, "/etc/systemd/system/bare.target": "[Unit]\n", "/etc/systemd/system/bare.target.wants/a.service": LINK,
             "/etc/systemd/system/default.target": {"link": "bare.target"}}  # fmt: skip
    assert unit_state(guest(files), "a.service").state == "enabled"


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ("ConditionPathExists=/etc/there", "enabled"),
        ("ConditionPathExists=/etc/gone", "skipped"),
        ("ConditionPathExists=!/etc/there", "skipped"),
        ("ConditionPathExists=!/etc/gone", "enabled"),
        ("ConditionPathExists=/run/gone", "enabled"),
        ("ConditionPathExists=/var/lib/made-at-boot", "enabled"),
        ("ConditionPathExists=/etc/gone\nConditionPathExists=", "enabled"),
        ("ConditionPathExists=|/etc/gone\nConditionPathExists=|/etc/there", "enabled"),
        ("ConditionPathExists=|/etc/gone\nConditionPathExists=|!/etc/there", "skipped"),
        ("ConditionPathExists=|/etc/gone\nConditionHost=|other", "enabled"),
        ("ConditionFileNotEmpty=/etc/empty", "skipped"),
        ("ConditionFileIsExecutable=/usr/sbin/gone", "skipped"),
        ("ConditionPathIsDirectory=/etc/there", "skipped"),
        ("ConditionDirectoryNotEmpty=/etc", "enabled"),
        ("ConditionPathIsSymbolicLink=/etc/link", "enabled"),
        ("ConditionPathExistsGlob=/etc/th*", "enabled"),
        ("AssertPathExistsGlob=/etc/x*", "skipped"),
        ("ConditionVirtualization=microsoft", "enabled"),
        ("ConditionVirtualization=kvm", "skipped"),
        ("ConditionVirtualization=!container", "enabled"),
        ("ConditionArchitecture=x86-64", "enabled"),
        ("ConditionArchitecture=arm64", "skipped"),
        ("ConditionFirstBoot=yes", "skipped"),
        ("ConditionKernelCommandLine=!x", "enabled"),
    ],
)
def test_a_condition_that_the_disk_decides_keeps_a_unit_from_starting(conditions, state):
    files = {
        **ENABLED,
        HOME: f"[Unit]\n{conditions}\n[Service]\n",
        "/etc/there": "x",
        "/etc/empty": "",
        "/etc/link": {"link": "x"},
        "/etc/machine-id": "",
    }
    assert unit_state(guest(files), "a.service").state == state


def test_drop_ins_add_conditions_and_settings_and_take_them_back():
    drop_ins = {
        "/usr/lib/systemd/system/a.service.d/10-x.conf": "[Unit]\nConditionPathExists=/etc/gone\n",
        "/usr/lib/systemd/system/a.service.d/20-x.conf": "[Service]\nEnvironment=A=1\nExecStart=\nExecStart=/y\n",
        "/etc/systemd/system/service.d/30-x.conf": "[Service]\nEnvironment=B=2\n",
    }
    here = guest({**ENABLED, **drop_ins})
    assert unit_state(here, "a.service") == ("skipped", "/usr/lib/systemd/system/a.service.d/10-x.conf:2")
    assert [each.value for each in unit_setting(here, "a.service", "Service.ExecStart")] == ["/y"]
    assert [each.value for each in unit_setting(here, "a.service", "Service.Environment")] == ["A=1", "B=2"]
    masked = {"/etc/systemd/system/a.service.d/10-x.conf": {"link": "/dev/null"}}
    assert unit_state(guest({**ENABLED, **drop_ins, **masked}), "a.service").state == "enabled"


SYSV = {"/usr/lib/systemd/system-generators/systemd-sysv-generator": "#!", "/etc/rc.d/init.d/network": "#!", "/etc/init.d": {"link": "rc.d/init.d"}}


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ({**SYSV, "/etc/rc.d/rc3.d/S10network": {"link": "../init.d/network"}}, "enabled"),
        ({**SYSV, "/etc/rc.d/rc3.d/K90network": {"link": "../init.d/network"}}, "disabled"),
        ({**SYSV, "/etc/rc.d/rc3.d/S10network": "", "/etc/systemd/system/network.service": {"link": "/dev/null"}}, "masked"),
        ({"/etc/rc.d/init.d/network": "#!", "/etc/rc.d/rc3.d/S10network": ""}, "absent"),
        ({**SYSV, "/etc/systemd/system-generators/systemd-sysv-generator": {"link": "/dev/null"}, "/etc/rc3.d/S10network": ""}, "absent"),
    ],
)
def test_scripts_of_sysv_count_under_systemd_where_its_generator_is(files, state):
    assert unit_state(guest(files), "network.service").state == state


PRESETS = {
    "/usr/lib/systemd/system-preset/90-default.preset": "enable b*.service\n",
    "/usr/lib/systemd/system-preset/99-default.preset": "disable *\n",
}


@pytest.mark.parametrize(
    ("machine_id", "facts", "state"),
    [
        ("uninitialized", {"distro": "fedora", "version": "41"}, "lost-at-first-boot"),
        (None, {"distro": "fedora", "version": "41"}, "lost-at-first-boot"),
        ("", {"distro": "fedora", "version": "41"}, "enabled"),
        ("uninitialized", {"distro": "fedora", "version": "36"}, "enabled"),
        ("uninitialized", {"distro": "debian", "version": "12"}, "enabled"),
    ],
)
def test_a_first_boot_takes_away_links_that_presets_do_not_want(machine_id, facts, state):
    files = {**ENABLED, **PRESETS, **({} if machine_id is None else {"/etc/machine-id": machine_id})}
    assert unit_state(guest(files, facts=facts), "a.service", first_boot=True).state == state
    assert unit_state(guest(files, facts=facts), "a.service").state == "enabled"


def test_links_below_usr_outlive_a_first_boot():
    files = {**ENABLED, **PRESETS, "/usr/lib/systemd/system/multi-user.target.wants/a.service": LINK, "/etc/machine-id": "uninitialized"}
    assert unit_state(guest(files, facts={"distro": "fedora", "version": "41"}), "a.service", first_boot=True).state == "enabled"


@pytest.mark.parametrize(("line", "state"), [("disable a.service", "disabled"), ("ignore a.service", "disabled"), ("disable other.*", "enabled")])
def test_a_first_boot_enables_what_no_preset_forbids(line, state):
    files = {HOME: UNIT, "/etc/machine-id": "uninitialized", "/etc/systemd/system-preset/1.preset": f"# x\n{line}\n"}
    assert unit_state(guest(files), "a.service").state == state


def test_a_masked_service_may_still_be_started_as_an_instance_of_its_socket():
    socket = {"/usr/lib/systemd/system/a.socket": "[Socket]\nAccept=yes\n[Install]\nWantedBy=sockets.target\n", "/usr/lib/systemd/system/a@.service": UNIT,
              "/etc/systemd/system/sockets.target.wants/a.socket": {"link": "x"}, "/etc/systemd/system/a.service": {"link": "/dev/null"}}  # fmt: skip
    assert unit_state(guest({**ENABLED, **socket}), "a.service").state == "enabled"
    plain = {**socket, "/usr/lib/systemd/system/a.socket": "[Socket]\n[Install]\nWantedBy=sockets.target\n"}
    assert unit_state(guest({**ENABLED, **plain}), "a.service").state == "masked"


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemctl is not installed")
@pytest.mark.parametrize(
    "files",
    [
        {HOME: UNIT},
        {HOME: "[Service]\nExecStart=/x\n"},
        ENABLED,
        {**ENABLED, "/etc/systemd/system/a.service": {"link": "/dev/null"}},
        {**ENABLED, "/etc/systemd/system/a.service": ""},
        {HOME: UNIT, "/etc/systemd/system/multi-user.target.requires/a.service": LINK},
    ],
)
def test_systemctl_says_the_same(files, tmp_path):
    lay_out(files, tmp_path)
    said = subprocess.run(["systemctl", f"--root={tmp_path}", "is-enabled", "a.service"], capture_output=True, text=True, check=False)
    assert unit_state(guest(files), "a.service").state == said.stdout.strip()


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemctl is not installed")
@pytest.mark.parametrize("line", ["enable a.service", "disable a.service", "enable b.service", "disable *"])
def test_systemctl_applies_presets_in_the_same_way(line, tmp_path):
    files = {**ENABLED, "/usr/lib/systemd/system-preset/1.preset": f"{line}\n", "/etc/machine-id": "uninitialized"}
    lay_out(files, tmp_path)
    command = ["systemctl", f"--root={tmp_path}"]
    subprocess.run([*command, "preset-all"], capture_output=True, check=True)
    said = subprocess.run([*command, "is-enabled", "a.service"], capture_output=True, text=True, check=False).stdout.strip()
    ours = unit_state(guest(files, facts={"distro": "fedora", "version": "41"}), "a.service", first_boot=True).state
    assert {"lost-at-first-boot": "disabled"}.get(ours, ours) == said


def lay_out(files, root):
    for path, content in files.items():
        place = root / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            place.symlink_to(content["link"])
        else:
            place.write_text(content)


def booted(line):
    return {"/boot/grub/grub.cfg": f"menuentry x {{ linux /boot/vmlinuz-1 ro {line}; }}"}


def test_a_unit_masked_on_the_kernels_command_line_does_not_start():
    found = unit_state(guest({**ENABLED, **booted("systemd.mask=a.service")}), "a.service")
    assert found == ("masked", "/boot/grub/grub.cfg:1 (systemd.mask)")


def test_a_unit_wanted_on_the_kernels_command_line_starts():
    files = {HOME: UNIT}
    assert unit_state(guest({**files, **booted("quiet")}), "a.service").state == "disabled"
    assert unit_state(guest({**files, **booted("systemd.wants=a.service")}), "a.service").state == "enabled"


def test_what_another_program_in_the_place_of_init_starts_is_not_known():
    with pytest.raises(Unreadable, match="init=/bin/bash"):
        unit_state(guest({**ENABLED, **booted("init=/bin/bash")}), "a.service")


@pytest.mark.parametrize(("target", "state"), [("rescue", "disabled"), ("kiosk", "disabled"), ("graphical", "enabled"), ("runlevel3", "enabled")])
def test_a_target_named_on_the_command_line_stands_in_the_place_of_the_default(target, state):
    files = {f"/usr/lib/systemd/system/{name}.target": "[Unit]\n" for name in ("rescue", "kiosk", "graphical", "multi-user")}
    files["/usr/lib/systemd/system/runlevel3.target"] = {"link": "multi-user.target"}
    assert unit_state(guest({**ENABLED, **files, **booted(f"systemd.unit={target}.target")}), "a.service").state == state


@pytest.mark.parametrize("line", ["init=/usr/lib/systemd/systemd", "init=/sbin/init", "systemd.unit=graphical.target"])
def test_the_usual_system_named_on_the_command_line_is_the_usual_one(line):
    assert unit_state(guest({**ENABLED, **booted(line)}), "a.service").state == "enabled"
