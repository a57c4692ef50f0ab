"""Registries of real machines on NTFS disks: what they are said to be, and that only the values of Sysprep make them pass.

No public hive of a machine that Sysprep sealed could be found. The sealed ones are made here: the values that people who
read such images reported are written into copies of real hives, with hivexregedit.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest

from fixtures import build, vhdfile
from vhdprep.check import check
from vhdprep.disk.memory import MemoryFiles
from vhdprep.model import ABSENT, Target
from vhdprep.ruleset.load import load_rules

pytestmark = pytest.mark.data

CONFIG = "/Windows/System32/config"
SEALED = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"
SETUP = {"SetupType": "dword:00000002", "CmdLine": r'"oobe\\windeploy.exe"', "OOBEInProgress": "dword:00000001"}
SYSPREP = {rule.id for rule in load_rules() if "sysprep" in rule.tags}
NO_SOFTWARE = {f"{CONFIG}/SOFTWARE": ""}
TAG = {"/Windows/System32/Sysprep/Sysprep_succeeded.tag": ""}


@pytest.fixture
def findings(tmp_path_factory):
    """The report and every rule's finding, by id, about the Windows whose system volume, an NTFS on a disk, holds ``files``."""

    def judge(files, target=Target.GENERALIZED):
        place = tmp_path_factory.mktemp("disk")
        volume = {"type": "basic", "filesystem": "ntfs", "mount": "/", "active": True}
        build.write_disk({"table": "mbr", "size": "96 MiB", "volumes": [volume], "add": {"/bootmgr": "", **files}}, place / "disk.raw", place)
        vhdfile.write(place / "disk.raw", place / "disk.vhd")
        report = check(place / "disk.vhd", load_rules(), target=target)
        (place / "disk.vhd").unlink()
        assert report.verdict != "ready"  # none of these disks could be booted
        return report, {finding.rule_id: finding for finding in report.findings}

    return judge


def outcomes(found, ids):
    return {rule_id: str(found[rule_id].outcome) for rule_id in ids if found[rule_id].outcome != "not-applicable"}


@pytest.fixture(scope="module")
def in_use(data):
    """The hives of one Windows 7, joined to a domain and in use."""
    return {f"{CONFIG}/{name}": data(f"hives/win7-{name}").read_bytes() for name in ("SYSTEM", "SOFTWARE")}


@pytest.fixture(scope="module")
def edited(data, tmp_path_factory):
    """The same hives with values of SYSTEM\\Setup and ImageState written into copies."""
    if not shutil.which("hivexregedit"):
        pytest.skip("hivexregedit is not installed (libwin-hivex-perl)")

    def edit(setup, state):
        place = tmp_path_factory.mktemp("hives")
        changes = {"SYSTEM": (r"\Setup", setup), "SOFTWARE": (r"\Microsoft\Windows\CurrentVersion\Setup\State", {"ImageState": f'"{state}"'})}
        for name, (key, values) in changes.items():
            shutil.copyfile(data(f"hives/win7-{name}"), place / name)
            lines = ["Windows Registry Editor Version 5.00", "", f"[{key}]", *(f'"{name}"={value}' for name, value in values.items()), "", ""]
            (place / f"{name}.reg").write_text("\n".join(lines))
            subprocess.run(["hivexregedit", "--merge", place / name, place / f"{name}.reg"], check=True)
        return {f"{CONFIG}/{name}": (place / name).read_bytes() for name in changes}

    return edit


def state_ini(state):
    return {"/Windows/Setup/State/State.ini": f'[State]\r\nImageState="{state}"\r\n'}


def test_a_windows_7_in_use_is_described_and_fails_although_its_idle_values_look_generalized(in_use, findings):
    report, found = findings(in_use)
    facts = report.guest
    assert facts.product == "Windows 7 Ultimate (Service Pack 1, build 7601)"
    assert (facts.version, facts.arch, facts.boot, facts.hostname) == ("6.1.7601", "i386", "bios", "WKS-WIN732BITA")
    assert found["windows-imagestate-generalized"].message.startswith("ImageState is IMAGE_STATE_COMPLETE")
    assert outcomes(found, SYSPREP) == {
        "windows-imagestate-generalized": "fail",
        "windows-not-booted-after-sealing": "pass",
        "windows-setup-state-consistent": "pass",
        "windows-audit-mode-left": "pass",
        "windows-answer-file-used-up": "pass",
        "windows-answer-file-cache-removed": "pass",
        "windows-answer-file-overrides-unset": "pass",
        "windows-answer-file-named-used-up": "pass",
        "windows-exchange-server-absent": "pass",
        "windows-failover-cluster-left": "pass",
        "windows-iis-sections-unencrypted": "pass",
        "windows-not-upgraded-before-1607": "pass",
        "windows-reserved-storage-idle": "pass",
        "windows-role-directory-removed": "pass",
        "windows-roles-sysprep-supported": "pass",
        "windows-sharepoint-unconfigured": "pass",
        "windows-sql-server-prepared": "pass",
        "windows-store-apps-provisioned": "pass",
    }


def test_its_phase_is_in_use(in_use, findings):
    report, _ = findings(in_use)
    assert report.phase.name == "in-use"
    assert {each.where.rpartition("\\")[2]: each.value for each in report.phase.witnesses} == {
        "ImageState": "IMAGE_STATE_COMPLETE",
        "/Windows/Setup/State/State.ini": ABSENT,
        "SetupType": 0,
        "CmdLine": "",
        "setup.exe": 3,
        "oobeldr.exe": 3,
        "/Windows/System32/Sysprep/Sysprep_succeeded.tag": ABSENT,
        "/Windows/System32/Sysprep/Panther/setupact.log": ABSENT,
        "OOBEInProgress": 0,
        "SystemSetupInProgress": 0,
        "UnattendPasses": (
            "specialize=9",
            "oobeSystem=9",
            "windowsPE=0",
            "offlineServicing=0",
            "generalize=0",
            "auditSystem=0",
            "auditUser=0",
        ),
        "GeneralizationState": 7,
    }


def test_its_domain_is_found(in_use, findings):
    finding = findings(in_use)[1]["windows-domain-left"]
    assert finding.outcome == "fail"
    assert {each.value for each in finding.observations} == {"shieldbase.local"}


def test_as_a_specialized_image_it_passes(in_use, findings):
    _, found = findings(in_use, Target.SPECIALIZED)
    assert outcomes(found, SYSPREP) == {
        "windows-imagestate-complete": "pass", "windows-setup-idle": "pass", "windows-setup-state-consistent": "pass"}  # fmt: skip


def test_a_windows_10_is_judged_by_its_dirty_system_hive_alone(data, findings):
    hives = NO_SOFTWARE | {f"{CONFIG}/SYSTEM{suffix}": data(f"hives/win10-SYSTEM{suffix}").read_bytes() for suffix in ("", ".LOG1", ".LOG2")}
    report, found = findings(hives)
    facts = report.guest
    assert (facts.product, facts.version, facts.arch, facts.hostname) == ("Windows", None, "x86_64", "DESKTOP-PM6C56D")
    assert report.phase.name is None
    assert found["windows-imagestate-generalized"].outcome == "unknown"
    assert found["windows-imagestate-generalized"].reason == f"{CONFIG}/SOFTWARE: is no registry hive (it begins with nothing)"
    assert outcomes(found, ["windows-hyperv-storage-starts-at-boot", "windows-network-services-enabled", "windows-dvd-driver-enabled"]) == {
        "windows-hyperv-storage-starts-at-boot": "pass", "windows-network-services-enabled": "pass", "windows-dvd-driver-enabled": "pass"}  # fmt: skip
    assert found["windows-hyperv-storage-not-overridden"].outcome == "fail"


def test_a_dirty_system_hive_without_its_logs_leaves_the_rules_undecided(data, findings):
    _, found = findings(NO_SOFTWARE | {f"{CONFIG}/SYSTEM": data("hives/win10-SYSTEM").read_bytes()})
    assert found["windows-dvd-driver-enabled"].outcome == "unknown"
    assert "sequence numbers 1622 and 1621), and the logs with the rest are not there" in found["windows-dvd-driver-enabled"].reason


def test_a_corrupt_system_hive_leaves_the_rules_undecided(data, in_use, findings):
    _, found = findings({**in_use, f"{CONFIG}/SYSTEM": data("hives/corrupted_system_hive").read_bytes()})
    assert found["windows-dvd-driver-enabled"].outcome == "unknown"
    assert "the hive is damaged at byte" in found["windows-dvd-driver-enabled"].reason
    assert [each.traceback for each in found.values() if each.traceback] == []


def test_the_same_hives_with_the_values_of_sysprep_pass(edited, findings):
    report, found = findings({**edited(SETUP, SEALED), **state_ini(SEALED), **TAG})
    assert report.phase.name == "sealed-oobe"
    assert set(outcomes(found, SYSPREP).values()) == {"pass"}
    assert {"windows-imagestate-generalized", "windows-setup-resumes", "windows-setup-command-windeploy", "windows-setup-state-consistent",
            "windows-sysprep-succeeded", "windows-not-booted-after-sealing"} <= set(outcomes(found, SYSPREP))  # fmt: skip


@pytest.mark.parametrize(
    ("setup", "state", "ini", "tag", "failed", "phase"),
    [
        ({}, "IMAGE_STATE_COMPLETE", SEALED, TAG, {"windows-imagestate-generalized", "windows-setup-state-consistent"}, "contradictory"),
        ({}, "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT", SEALED, TAG, {"windows-audit-mode-left", "windows-setup-state-consistent"}, "contradictory"),
        ({"SetupType": "dword:00000000"}, SEALED, SEALED, TAG, {"windows-setup-resumes", "windows-setup-state-consistent"}, "contradictory"),
        ({"CmdLine": '""'}, SEALED, SEALED, TAG, {"windows-setup-resumes", "windows-setup-state-consistent"}, "contradictory"),
        ({"CmdLine": '"cmd.exe"'}, SEALED, SEALED, TAG, {"windows-setup-command-windeploy"}, "sealed-oobe"),
        ({}, SEALED, "IMAGE_STATE_COMPLETE", TAG, {"windows-setup-state-consistent"}, "contradictory"),
        ({}, SEALED, SEALED, {}, {"windows-sysprep-succeeded"}, "sealed-oobe"),
        ({"UnattendFile": r'"C:\\deploy.xml"'}, SEALED, SEALED, TAG, {"windows-answer-file-overrides-unset"}, "sealed-oobe"),
    ],
)
def test_each_single_value_changed_back_fails(edited, setup, state, ini, tag, failed, phase, findings):
    report, found = findings({**edited({**SETUP, **setup}, state), **state_ini(ini), **tag})
    assert {rule_id for rule_id, outcome in outcomes(found, SYSPREP).items() if outcome != "pass"} == failed
    assert report.phase.name == phase


def test_the_idle_values_decide_nothing(edited, in_use):
    """GeneralizationState and CloneTag are those of the machine in use, and the sealed copy passes with them."""
    from vhdprep.guest.files import GuestFiles
    from vhdprep.guest.registry import open_registry

    for files in (in_use, edited(SETUP, SEALED)):
        found = open_registry(GuestFiles(MemoryFiles(files, case_sensitive=False)))
        assert found.value(r"HKLM\SYSTEM\Setup\Status\SysprepStatus", "GeneralizationState") == 7
        assert found.value(r"HKLM\SYSTEM\Setup", "CloneTag") == ("Mon Jul 13 21:55:53 2009",)
