"""What is installed and set up in a guest, in words, and what cannot be listed."""

from __future__ import annotations

from tests.unit.memory import guest
from tests.unit.test_windows_access import USERS, account
from vhdprep.errors import Unreadable
from vhdprep.guest import inventory

UNIT = "[Service]\nExecStart=/bin/x\n[Install]\nWantedBy=multi-user.target\n"
STATUS = "Package: {}\nStatus: install ok installed\nVersion: {}\n\n"
SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"


def test_a_linux_in_words():
    linux = guest(
        {
            "/etc/os-release": "ID=debian\nVERSION_ID=12\n",
            "/etc/passwd": "root:x:0:0::/root:/bin/bash\nme:x:1000:1000::/home/me:/bin/sh\n",
            "/etc/shadow": "root:*:1::::::\nme:$6$x$y:1::::::\n",
            "/usr/lib/systemd/systemd": "x",
            "/usr/lib/systemd/system/a.service": UNIT,
            "/usr/lib/systemd/system/b.service": UNIT,
            "/usr/lib/systemd/system/c.service": "[Service]\nExecStart=/bin/x\n",
            "/etc/systemd/system/multi-user.target.wants/a.service": {"link": "/usr/lib/systemd/system/a.service"},
            "/etc/systemd/system/d.service": {"link": "/dev/null"},
            "/var/lib/dpkg/status": STATUS.format("bash", "5.2") + STATUS.format("waagent", "2.9"),
        },
        facts={"family": "debian", "distro": "debian"},
    )
    taken = inventory.take(linux)
    assert list(taken) == ["boot", "services", "drivers", "accounts", "agent", "packages"]
    assert taken["services"] == {"a.service": "enabled", "b.service": "disabled", "d.service": "masked"}
    assert taken["accounts"] == {
        "root": "uid 0, /root, /bin/bash, password locked",
        "me": "uid 1000, /home/me, /bin/sh, password usable",
    }
    assert (taken["agent"], taken["packages"]) == ({"waagent": "2.9"}, {"bash": "5.2"})
    assert isinstance(taken["boot"], Unreadable)
    assert isinstance(taken["drivers"], Unreadable)


def test_a_windows_in_words():
    windows = guest(
        {"/WindowsAzure/GuestAgent_2.7.41491.1102/WaAppAgent.exe": "x"},
        registry={
            SERVICES: {},
            rf"{SERVICES}\RdAgent": {"Type": 16, "Start": 2},
            rf"{SERVICES}\storvsc": {"Type": 1, "Start": 0},
            rf"{SERVICES}\NotOne": {"Description": "no type"},
            rf"{USERS}\000001F4": account(500, 0x211, "Administrator"),
            r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\{1}": {"DisplayName": "Edge", "DisplayVersion": "120"},
            r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\{2}": {"SystemComponent": 1},
        },
    )
    taken = inventory.take(windows)
    assert isinstance(taken.pop("boot"), Unreadable)
    assert taken == {
        "services": {"RdAgent": "automatic"},
        "drivers": {"storvsc": "boot"},
        "accounts": {"Administrator": "RID 500, disabled, with a password"},
        "agent": {"GuestAgent_2.7.41491.1102": "there", "RdAgent": "automatic"},
        "packages": {"Edge": "120"},
    }


def test_a_part_with_too_many_entries_is_not_there(monkeypatch):
    monkeypatch.setattr(inventory, "MAX_ENTRIES", 1)
    linux = guest({"/etc/passwd": "root:x:0:0::/root:/bin/bash\nme:x:1000:1000::/home/me:/bin/sh\n"})
    assert str(inventory.take(linux)["accounts"]) == "more than 1 entries"
