"""Network profiles of every stack: what asks by DHCP, for which card, and what programs make at boot."""

from __future__ import annotations

import pytest

from tests.unit.memory import guest
from vhdprep.errors import Unreadable
from vhdprep.guest import network

INTERFACES = "/etc/network/interfaces"
NETWORKD = "/etc/systemd/network/"
KEYFILES = "/etc/NetworkManager/system-connections/"
RED_HAT = "/etc/sysconfig/network-scripts/ifcfg-"
SUSE = "/etc/sysconfig/network/ifcfg-"
ENTRY = {"/boot/grub/grub.cfg": "menuentry 'x' {\nlinux /boot/vmlinuz-1 ro\n}\n"}


def started(*names):
    return {f"/usr/lib/systemd/system/{name}.service": "[Unit]\n" for name in names} | {
        f"/etc/systemd/system/multi-user.target.wants/{name}.service": {"link": "x"} for name in names
    }


def one(files):
    """(interface, method, mac, fits) of the only profile."""
    (profile,) = network.profiles(guest(files))
    return profile.interface, profile.method, profile.mac, profile.fits


def test_profiles_of_every_stack():
    files = {
        INTERFACES: "source interfaces.d/*\nauto lo eth0\niface lo inet loopback\niface eth0 inet dhcp\n  hwaddress ether 00:11:22:33:44:55\n",
        "/etc/network/interfaces.d/x": "allow-hotplug eth1\niface eth1 inet static\n  address 10.0.0.5\n",
        f"{NETWORKD}a.network": "[Match]\nName=en*\nMACAddress=aa:bb:cc:dd:ee:ff\n[Network]\nDHCP=yes\n",
        "/etc/netplan/50.yaml": "network:\n  ethernets:\n    eth0: {dhcp4: true, match: {macaddress: '01:02:03:04:05:06'}}\n    eth1: {addresses: [10.1.1.1/24]}\n",
        f"{KEYFILES}w.nmconnection": "[connection]\ntype=ethernet\n[ipv4]\nmethod=manual\n",
        f"{RED_HAT}eth0": "DEVICE=eth0\nBOOTPROTO=dhcp\nONBOOT=yes\nHWADDR=00:00:00:00:00:01\n",
        f"{SUSE}eth1": "BOOTPROTO='dhcp4'\nSTARTMODE='auto'\n",
    }
    found = {(each.stack, each.interface, each.method, each.mac, each.fits) for each in network.profiles(guest(files))}
    assert found == {
        ("ifupdown", "eth0", "dhcp", "00:11:22:33:44:55", True),
        ("ifupdown", "eth1", "static", None, False),
        ("networkd", "en*", "dhcp", "aa:bb:cc:dd:ee:ff", False),
        ("netplan", "eth0", "dhcp", "01:02:03:04:05:06", True),
        ("netplan", "eth1", "static", None, False),
        ("NetworkManager", "*", "static", None, True),
        ("ifcfg", "eth0", "dhcp", "00:00:00:00:00:01", True),
        ("wicked", "eth1", "dhcp", None, False),
    }


@pytest.mark.parametrize(
    ("text", "interface", "method", "fits"),
    [
        ("auto eth0\niface eth0 inet dhcp\n", "eth0", "dhcp", True),
        ("iface eth0 inet dhcp\n", "eth0", "off", True),
        ("auto /eth*\niface eth0 inet dhcp\n", "eth0", "dhcp", True),
        ("auto /en*\niface eth0 inet dhcp\n", "eth0", "off", True),
        ("auto /eth*/=any\niface any inet dhcp\n", "any", "dhcp", True),
        ("allow-hotplug eth0=home\niface home inet static\n", "home", "static", True),
        ("auto type/1/1=first\niface first inet dhcp\n", "first", "dhcp", True),
        ("auto mac/00:11:22:33:44:55/=old\niface old inet dhcp\n", "old", "dhcp", False),
        ("auto eth0\niface eth0 inet manual\n  up dhclient eth0\n", "eth0", "dhcp", True),
        ("auto eth0\niface eth0 inet manual\n", "eth0", "off", True),
        ("auto \\\n eth0\niface eth0 inet dhcp\n", "eth0", "dhcp", True),
        ("auto ens33\niface ens33 inet dhcp\niface ens33 inet6 auto\n", "ens33", "dhcp", False),
    ],
)
def test_stanzas_of_ifupdown_count_when_a_line_brings_them_up(text, interface, method, fits):
    assert one({INTERFACES: text}) == (interface, method, None, fits)


def test_ifupdown_includes_relative_to_the_including_file_and_skips_names_that_it_skips():
    files = {
        INTERFACES: "source sub/a\nsource-directory interfaces.d\nsource interfaces.d/*\n",
        "/etc/network/sub/a": "source b\n",
        "/etc/network/sub/b": "iface b inet dhcp\n",
        "/etc/network/interfaces.d/c": "iface c inet dhcp\n",
        "/etc/network/interfaces.d/d.cfg": "iface d inet dhcp\n",
        "/etc/network/interfaces.d/.e.swp": "iface e inet dhcp\n",
    }
    assert [each.interface for each in network.profiles(guest(files))] == ["b", "c", "d"]


def test_interfaces_that_include_each_other_are_read_once():
    files = {f"/etc/network/interfaces.d/{n}": f"source /etc/network/interfaces.d/*\niface eth{n} inet dhcp\n" for n in range(60)}
    files[INTERFACES] = "source /etc/network/interfaces.d/*\n"
    assert len(network.profiles(guest(files))) == 60


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ("Name=eth0", True), ("Name=e*", True), ("Name=en*", False), ("Name=en* eth*", True), ("Name=!en*", True), ("Name=!eth* en*", False),
        ("Driver=hv_netvsc", True), ("Driver=mlx5_core", False), ("Type=ether", True), ("Path=pci-*", False),
        ("Virtualization=microsoft", True), ("Virtualization=!container", True), ("Virtualization=container", False), ("Name=en*\nName=eth0", True),
    ],
)  # fmt: skip
def test_what_a_match_section_fits(match, fits):
    assert one({f"{NETWORKD}a.network": f"[Match]\n{match}\n[Network]\nDHCP=ipv4\n"})[3] is fits


@pytest.mark.parametrize("match", ["Type=wlan", "Kind=veth", "SSID=home", "Name=vt-*\nDriver=tun", "Name=ve-*", "Name=6rd-*", "Name=host0"])
def test_profiles_for_other_kinds_of_interfaces_are_left_out(match):
    assert network.profiles(guest({f"{NETWORKD}a.network": f"[Match]\n{match}\n[Network]\nDHCP=yes\n"})) == ()


def test_networkd_uses_the_first_file_that_fits_and_files_in_etc_hide_packaged_ones():
    files = {
        f"{NETWORKD}50-a.network": "[Match]\nName=eth0\n[Network]\nAddress=10.0.0.5/24\n",
        "/usr/lib/systemd/network/90-b.network": "[Match]\nName=*\n[Network]\nDHCP=yes\n",
        "/usr/lib/systemd/network/10-c.network": "[Match]\nName=*\n[Network]\nDHCP=yes\n",
        f"{NETWORKD}10-c.network": {"link": "/dev/null"},
    }
    assert [(each.method, each.fits) for each in network.profiles(guest(files))] == [("static", True), ("dhcp", False)]


def test_drop_ins_of_networkd_count():
    files = {
        "/usr/lib/systemd/network/a.network": "[Match]\nName=en*\n[Network]\nDHCP=no\n",
        f"{NETWORKD}a.network.d/azure.conf": "[Match]\nName=\nName=eth*\n[Network]\nDHCP=yes\n",
    }
    assert one(files) == ("eth*", "dhcp", None, True)


@pytest.mark.parametrize(
    ("name", "text", "pin"),
    [
        ("a.link", "[Match]\nMACAddress=00:11:22:33:44:55\n[Link]\nName=lan0\n", "00:11:22:33:44:55"),
        ("a.link", "[Match]\nOriginalName=*\n[Link]\nMACAddress=00-11-22-33-44-55\n", "00-11-22-33-44-55"),
        ("a.network", "[Match]\nPermanentMACAddress=0011.2233.4455 aa:bb:cc:dd:ee:ff\n", "0011.2233.4455"),
        ("a.network", "[Match]\nName=*\n[Link]\nMACAddress=00:11:22:33:44:55\n", "00:11:22:33:44:55"),
    ],
)
def test_pins_of_networkd(name, text, pin):
    assert one({NETWORKD + name: text})[2] == pin


def test_a_link_file_without_a_pin_is_no_profile():
    assert network.profiles(guest({f"{NETWORKD}99-default.link": "[Match]\nOriginalName=*\n[Link]\nNamePolicy=keep kernel\n"})) == ()


@pytest.mark.parametrize(
    ("ethernets", "method", "pin", "fits"),
    [
        ("eth0: {dhcp4: yes}", "dhcp", None, True),
        ("ens3: {dhcp4: true}", "dhcp", None, False),
        ("all: {match: {name: 'e*'}, dhcp4: true}", "dhcp", None, True),
        ("all: {match: {name: [en*, eth*]}, dhcp4: true}", "dhcp", None, True),
        ("hv: {match: {driver: hv_netvsc}, dhcp4: true}", "dhcp", None, True),
        ("hv: {match: {driver: hv_netvsc, name: en*}, dhcp4: true}", "dhcp", None, False),
        ("any: {match: {}, dhcp4: true}", "dhcp", None, True),
        ("eth0: {dhcp4: true, activation-mode: manual}", "off", None, True),
        ("eth0: {dhcp4: true, macaddress: '00:11:22:33:44:55'}", "dhcp", "00:11:22:33:44:55", True),
        ("eth0: {dhcp6: true}", "off", None, True),
    ],
)
def test_profiles_of_netplan(ethernets, method, pin, fits):
    assert one({"/etc/netplan/1.yaml": f"network: {{version: 2, ethernets: {{{ethernets}}}}}\n"})[1:] == (method, pin, fits)


def test_netplan_merges_keys_and_files_in_etc_hide_packaged_ones():
    files = {
        "/usr/lib/netplan/00-base.yaml": "network: {ethernets: {eth0: {dhcp4: true}}}\n",
        "/usr/lib/netplan/90.yaml": "network: {ethernets: {eth0: {dhcp4: false}}}\n",
        "/etc/netplan/50.yaml": "network: {ethernets: {eth0: {mtu: 1400}}}\n",
        "/etc/netplan/90.yaml": "network: {}\n",
        "/etc/netplan/.99.yaml": "network: {ethernets: {eth0: {dhcp4: false}}}\n",
    }
    assert one(files) == ("eth0", "dhcp", None, True)


def test_a_netplan_file_that_does_not_parse_is_not_an_empty_one():
    with pytest.raises(Unreadable, match="netplan"):
        network.profiles(guest({"/etc/netplan/50.yaml": "network: [\n"}))


@pytest.mark.parametrize(
    ("text", "method", "fits"),
    [
        ("", "dhcp", True),
        ("interface-name=eth0", "dhcp", True),
        ("interface-name=ens192", "dhcp", False),
        ("autoconnect=false", "off", True),
        ("controller=br0", "off", True),
        ("[ipv4]\nmethod=disabled", "off", True),
        ("[match]\ninterface-name=e*;!ens*;", "dhcp", True),
        ("[match]\ninterface-name=!eth*;", "dhcp", False),
        ("[match]\ndriver=hv_netvsc;", "dhcp", True),
        ("[match]\ndriver=vmxnet3", "dhcp", False),
    ],
)
def test_key_files_of_network_manager(text, method, fits):
    assert one({f"{KEYFILES}a.nmconnection": f"[connection]\ntype=ethernet\n{text}\n"})[1::2] == (method, fits)


def test_key_files_that_network_manager_skips():
    files = {f"{KEYFILES}{name}": "[connection]\ntype=ethernet\n" for name in (".a.nmconnection", "a.nmconnection~")}
    files["/usr/lib/NetworkManager/system-connections/b"] = "[connection]\ntype=ethernet\n"
    files[f"{KEYFILES}wifi.nmconnection"] = "[connection]\ntype=wifi\n"
    assert network.profiles(guest(files)) == ()


@pytest.mark.parametrize(
    ("path", "text", "method"),
    [
        (f"{RED_HAT}eth0", "BOOTPROTO=dhcp", "dhcp"),
        (f"{RED_HAT}eth0", "BOOTPROTO=dhcp\nONBOOT=no", "off"),
        (f"{RED_HAT}eth0", "BOOTPROTO=none\nIPADDR0=10.0.0.5", "static"),
        (f"{RED_HAT}eth0", "BOOTPROTO=none", "off"),
        (f"{SUSE}eth0", "STARTMODE=auto\nBOOTPROTO=dhcp", "dhcp"),
        (f"{SUSE}eth0", "STARTMODE=hotplug\nBOOTPROTO=dhcp+autoip", "dhcp"),
        (f"{SUSE}eth0", "STARTMODE=auto\nBOOTPROTO=dhcp6", "off"),
        (f"{SUSE}eth0", "STARTMODE=auto\nBOOTPROTO=autoip", "off"),
        (f"{SUSE}eth0", "STARTMODE=auto\nIPADDR=10.0.0.5/24", "static"),
        (f"{SUSE}eth0", "BOOTPROTO=dhcp", "off"),
    ],
)
def test_ifcfg_files(path, text, method):
    assert one({path: f"{text}\n"}) == ("eth0", method, None, True)


def test_a_file_that_network_manager_is_told_to_leave_needs_the_old_service():
    files = {f"{RED_HAT}eth0": "BOOTPROTO=dhcp\nNM_CONTROLLED=no\n"}
    assert one(files)[1] == "dhcp"
    assert one({**files, **started("NetworkManager")})[1] == "off"
    assert one({**files, **started("NetworkManager", "network")})[1] == "dhcp"


def test_only_stacks_that_start_serve_the_first_card():
    files = {INTERFACES: "auto eth0\niface eth0 inet dhcp\n", f"{NETWORKD}a.network": "[Match]\nName=*\n[Network]\nDHCP=yes\n",
             "/etc/netplan/1.yaml": "network: {ethernets: {eth0: {dhcp4: true}}}\n"}  # fmt: skip
    assert [each.stack for each in network.first_card(guest(files))] == ["ifupdown", "networkd", "netplan"]
    assert [each.stack for each in network.first_card(guest({**files, **started("networking")}))] == ["ifupdown"]
    program = {"/usr/sbin/netplan": "x"}
    assert [each.stack for each in network.first_card(guest({**files, **program, **started("systemd-networkd")}))] == ["networkd", "netplan"]


MANAGER = started("NetworkManager")


@pytest.mark.parametrize(
    ("files", "makes"),
    [
        ({}, True),
        ({f"{KEYFILES}a.nmconnection": "[connection]\ntype=ethernet\ninterface-name=ens1\n"}, True),
        ({f"{KEYFILES}a.nmconnection": "[connection]\ntype=ethernet\nautoconnect=false\n"}, False),
        ({f"{KEYFILES}a.nmconnection": "[connection]\ntype=ethernet\n[ethernet]\nmac-address=00:11:22:33:44:55\n"}, True),
        ({f"{RED_HAT}eth0": "ONBOOT=no\n"}, False),
        ({"/etc/NetworkManager/NetworkManager.conf": "[main]\nno-auto-default=*\n"}, False),
        ({"/etc/NetworkManager/NetworkManager.conf": "[main]\nno-auto-default=eth0\n"}, False),
        ({"/etc/NetworkManager/NetworkManager.conf": "[main]\nno-auto-default=00:11:22:33:44:55\n"}, True),
        ({"/usr/lib/NetworkManager/conf.d/a.conf": "[main]\nno-auto-default=*\n", "/etc/NetworkManager/conf.d/a.conf": ""}, True),
        ({"/usr/lib/NetworkManager/conf.d/a.conf": "[keyfile]\nunmanaged-devices=*,except:type:wifi\n"}, False),
        ({"/usr/lib/NetworkManager/conf.d/a.conf": "[keyfile]\nunmanaged-devices=*;except:driver:hv_netvsc\n"}, True),
        ({"/usr/lib/NetworkManager/conf.d/a.conf": "[keyfile]\nunmanaged-devices=interface-name:eth*\n"}, False),
        ({INTERFACES: "iface eth0 inet static\n", "/etc/NetworkManager/NetworkManager.conf": "[main]\nplugins=ifupdown,keyfile\n"}, False),
        ({INTERFACES: "iface eth0 inet static\n", "/etc/NetworkManager/NetworkManager.conf": "[main]\nplugins=keyfile\n"}, True),
    ],
)
def test_network_manager_makes_a_profile_where_none_fits_and_nobody_forbids_it(files, makes):
    files = {**MANAGER, **started("networking"), **files} if INTERFACES in files else {**MANAGER, **files}
    assert [each.stack for each in network.made_at_boot(guest(files))] == (["NetworkManager"] if makes else [])


@pytest.mark.parametrize(
    ("files", "makes"),
    [
        ({}, True),
        ({"/etc/cloud/cloud-init.disabled": ""}, False),
        ({"/var/lib/cloud/data/upgraded-network": ""}, False),
        ({"/etc/cloud/cloud.cfg.d/9.cfg": "network: {config: disabled}\n"}, False),
        ({"/etc/cloud/cloud.cfg.d/9.cfg": "network: {ethernets: {eth0: {dhcp4: true}}}\n"}, True),
        ({"/etc/cloud/cloud.cfg.d/9.cfg": "network: {config: [{name: eth0, subnets: [{type: dhcp}]}]}\n"}, True),
        ({"/etc/cloud/cloud.cfg.d/9.cfg": "network: {config: [{name: eth0, subnets: [{type: static}]}]}\n"}, False),
        (
            {"/etc/cloud/cloud.cfg.d/1.cfg": "network: {config: disabled}\n", "/etc/cloud/cloud.cfg.d/9.cfg": "network: {config: {dhcp4: true}}\n"},
            True,
        ),
        ({"/etc/cloud/cloud.cfg.d/9.cfg": "datasource: {Azure: {apply_network_config: false}}\n"}, True),
        ({"/boot/grub/grub.cfg": "menuentry 'x' {\nlinux /boot/vmlinuz-1 network-config=disabled\n}\n"}, False),
    ],
)
def test_cloud_init_makes_a_profile_unless_it_is_stopped(files, makes):
    here = guest({**started("cloud-init-local"), **ENTRY, **files})
    assert [each.stack for each in network.made_at_boot(here)] == (["cloud-init"] if makes else [])


def test_whether_cloud_init_makes_one_is_unknown_when_the_command_line_is():
    with pytest.raises(Unreadable, match="boot entry"):
        network.made_at_boot(guest(started("cloud-init-local")))
    assert [each.stack for each in network.made_at_boot(guest(started("cloud-init-local", "dhcpcd")))] == ["dhcpcd"]
