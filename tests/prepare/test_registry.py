"""Registry values changed in the copy of a Windows, and read back by hivex and by our own reader."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vhdprep.check import open_image
from vhdprep.model import Outcome, Target, Verdict
from vhdprep.prepare import run

PROGRAM = """
import sys
sys.path.append("/usr/lib/python3/dist-packages")
import hivex
hive = hivex.Hivex(sys.argv[1])
node = hive.root()
for name in sys.argv[2].split("\\\\"):
    node = hive.node_get_child(node, name)
print(sorted((hive.value_key(each), hive.value_value(each)) for each in hive.node_values(node)) if node else None)
"""
RDP = r"ControlSet001\Control\Terminal Server\WinStations\RDP-Tcp"


def quiet(done, total, step):
    """No progress."""


def values(hive, key):
    """What hivex reads below ``key``."""
    found = subprocess.run([sys.executable, "-c", PROGRAM, hive, key], capture_output=True, text=True, check=True)
    return found.stdout


@pytest.mark.libguestfs
def test_values_are_set_and_removed_in_the_copy_of_a_windows_that_stays_what_it_is(image, wish, appliance, hivex, tmp_path):
    source, copy = image("windows-2016-faults"), tmp_path / "copy.vhd"
    made = run.prepare(source, copy, wish._replace(unsafe=True), progress=quiet)
    fixed = {each.rule_id for each in made.after.findings if each.outcome is Outcome.FIXED}
    assert fixed == {
        "windows-answer-file-cache-removed",
        "windows-answer-file-used-up",
        "windows-clock-utc",
        "windows-device-registration-removed",
        "windows-rdp-certificate-unpinned",
    }
    assert made.after.verdict is Verdict.READY
    with open_image(copy, target=Target.GENERALIZED) as opened:
        path = "/Windows/System32/config/SYSTEM"
        data = opened.guest.files.read(path, opened.guest.files.stat(path).size)
    hive = tmp_path / "SYSTEM"
    hive.write_bytes(data)
    assert "('RealTimeIsUniversal', (4, b'\\x01\\x00\\x00\\x00'))" in values(hive, r"ControlSet001\Control\TimeZoneInformation")
    assert "SSLCertificateSHA1Hash" not in values(hive, RDP)
    assert "PortNumber" in values(hive, RDP)
    assert values(hive, r"ControlSet001\Control\CloudDomainJoin\JoinInfo") == "None\n"
    assert run.look(copy, wish._replace(unsafe=True)).planned.plan.is_empty


def test_an_unsealed_windows_stays_not_ready_and_is_told_the_next_step(image, wish):
    looked = run.look(image("windows-10-in-use"), wish)
    assert looked.report.verdict is Verdict.NOT_READY
    left = {each.rule: each.steps for each in looked.planned.plan.manual}
    assert any("sysprep" in step.lower() for step in left["windows-imagestate-generalized"])
