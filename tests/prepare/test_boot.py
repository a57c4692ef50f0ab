"""A prepared copy of the real Debian is started, by a BIOS and by UEFI, and makes an identity of its own. Minutes without KVM."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from vhdprep.check import open_image
from vhdprep.model import Target, Verdict
from vhdprep.prepare import run

pytestmark = [
    pytest.mark.real_image,
    pytest.mark.libguestfs,
    pytest.mark.usefixtures("appliance"),
    pytest.mark.skipif("VHDPREP_BOOT" not in os.environ, reason="takes minutes: set VHDPREP_BOOT=1"),
]
PATIENCE = 900
"""Seconds that a start may take without KVM."""
FIRMWARE = Path("/usr/share/OVMF")


@pytest.fixture(scope="module")
def prepared(real_image, wish, tmp_path_factory):
    copy = tmp_path_factory.mktemp("boot") / "copy.vhd"
    made = run.prepare(real_image("debian-12-used.dynamic.vhd"), copy, wish._replace(unsafe=True, users=("azureuser",)), progress=lambda *_: None)
    assert made.after.verdict is Verdict.READY
    return copy


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_the_copy_starts_to_a_login_prompt_with_new_host_keys_and_a_new_machine_id(prepared, firmware, tmp_path):
    disk, log = tmp_path / "disk.vhd", tmp_path / "serial.log"
    subprocess.run(["cp", "--sparse=always", prepared, disk], check=True)
    assert start(disk, log, firmware, tmp_path), log.read_text(errors="replace")[-2000:]
    with open_image(disk, target=Target.GENERALIZED) as opened:
        files = opened.guest.files
        machine_id = files.text("/etc/machine-id").strip()
        assert len(machine_id) == 32
        assert machine_id != "0123456789abcdef0123456789abcdef"
        assert files.glob("/etc/ssh/ssh_host_*_key")


def start(disk, log, firmware, folder):
    """Whether a login prompt comes in time; the machine is shut down then."""
    command = ["qemu-system-x86_64", "-machine", "q35,accel=kvm:tcg", "-m", "1024", "-display", "none", "-net", "none", "-no-reboot",
               "-drive", f"file={disk},format=raw,if=virtio", "-serial", f"file:{log}", "-monitor", "stdio"]  # fmt: skip
    if firmware == "uefi":
        if not (FIRMWARE / "OVMF_CODE_4M.fd").exists():
            pytest.skip("OVMF is not installed")
        shutil.copy(FIRMWARE / "OVMF_VARS_4M.fd", folder / "vars.fd")
        command += ["-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE / 'OVMF_CODE_4M.fd'}"]
        command += ["-drive", f"if=pflash,format=raw,file={folder / 'vars.fd'}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as machine:
        try:
            if not waited(log, machine):
                return False
            machine.stdin.write("system_powerdown\n")
            machine.stdin.flush()
            machine.wait(PATIENCE)
            return True
        finally:
            machine.kill()


def waited(log, machine):
    """Whether the prompt came, and cloud-init was through with what it does at a first start."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and machine.poll() is None:
        text = log.read_text(errors="replace") if log.exists() else ""
        if "login:" in text and "modules:final" in text:
            return True
        time.sleep(2)
    return False
