"""Whole runs over a Windows on NTFS: sealed it becomes ready, in use it stays not ready. Each starts the appliance once."""

from __future__ import annotations

import json

import pyregf
import pytest

from vhdprep.check import check, open_image
from vhdprep.model import Outcome, Target, Verdict
from vhdprep.prepare import run

pytestmark = [pytest.mark.libguestfs, pytest.mark.usefixtures("appliance", "hivex")]

CONTROL_SET = "\\ControlSet001"
REMAIN = {"windows-2022-neglected": set(), "windows-2022-in-use-neglected": {"windows-imagestate-generalized"}}
"""Recipe → what takes a person."""


@pytest.fixture(scope="module")
def done(image, wish, tmp_path_factory):
    """Recipe → source, copy and what came of it; each is prepared once."""
    made = {}

    def prepare(name):
        if name not in made:
            copy = tmp_path_factory.mktemp(name) / "copy.vhd"
            made[name] = image(name), copy, run.prepare(image(name), copy, wish._replace(unsafe=True), progress=lambda *_: None)
        return made[name]

    return prepare


@pytest.fixture(scope="module")
def hives(done, tmp_path_factory):
    """Recipe and name → the hive in the copy, read by libregf."""

    def read(name, hive):
        path = tmp_path_factory.mktemp("hive") / hive
        with open_image(done(name)[1], target=Target.GENERALIZED) as opened:
            files = opened.guest.files
            where = f"/Windows/System32/config/{hive}"
            path.write_bytes(files.read(where, files.stat(where).size))
        file = pyregf.file()
        file.open(str(path))
        return file

    return read


def values(hive, path):
    """Every value of a key: its type and its data."""
    return {each.name: (each.type, each.data) for each in hive.get_key_by_path(path).values}


@pytest.mark.parametrize("name", REMAIN)
def test_what_was_neglected_is_put_right_and_only_sysprep_seals(done, rules, name):
    _, copy, result = done(name)
    report = check(copy, rules)
    failed = {each.rule_id for each in result.before.findings if each.outcome is Outcome.FAIL}
    assert {each.rule_id for each in report.findings if each.outcome is Outcome.FAIL} == REMAIN[name]
    assert {each.rule_id for each in result.after.findings if each.outcome is Outcome.FIXED} == failed - REMAIN[name]
    assert report.verdict is (Verdict.NOT_READY if REMAIN[name] else Verdict.READY)
    assert report.phase == check(done(name)[0], rules).phase


def test_of_a_windows_in_use_the_next_step_is_said(done):
    *_, result = done("windows-2022-in-use-neglected")
    (left,) = result.plan.manual
    assert left.steps[0] == r"In the guest: %WINDIR%\System32\Sysprep\sysprep.exe /generalize /oobe /mode:vm /shutdown"


@pytest.mark.parametrize("name", REMAIN)
def test_another_reader_of_hives_finds_the_new_values_with_their_types(hives, name):
    system = hives(name, "SYSTEM")
    number = {value: (4, value.to_bytes(4, "little")) for value in range(5)}
    assert values(system, f"{CONTROL_SET}\\Control\\Terminal Server")["fDenyTSConnections"] == number[0]
    assert values(system, f"{CONTROL_SET}\\Services\\partmgr\\Parameters")["SanPolicy"] == number[1]
    assert values(system, f"{CONTROL_SET}\\Services\\storvsc")["Start"] == number[0]
    assert values(system, f"{CONTROL_SET}\\Services\\storvsc")["ImagePath"] == (2, "System32\\drivers\\storvsc.sys\0".encode("utf-16-le"))
    assert values(system, f"{CONTROL_SET}\\Control\\Session Manager\\Environment")["TEMP"] == (2, "%SystemRoot%\\TEMP\0".encode("utf-16-le"))
    memory = values(system, f"{CONTROL_SET}\\Control\\Session Manager\\Memory Management")
    assert memory["PagingFiles"] == (7, "?:\\pagefile.sys\0\0".encode("utf-16-le"))
    assert values(system, f"{CONTROL_SET}\\Services\\Tcpip\\Parameters\\PersistentRoutes") == {}
    winlogon = values(hives(name, "SOFTWARE"), "\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon")
    assert {"AutoAdminLogon", "DefaultPassword"} & set(winlogon) == set()
    assert "DefaultUserName" in winlogon


@pytest.mark.parametrize("name", REMAIN)
def test_what_sysprep_noted_is_as_it_was(done, name):
    source, copy, _ = done(name)
    noted = []
    for each in (source, copy):
        with open_image(each, target=Target.GENERALIZED) as opened:
            files, registry = opened.guest.files, opened.guest.registry
            setup = registry.key("HKLM\\SYSTEM\\Setup")
            state = registry.key("HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\State")
            tag = files.stat("/Windows/System32/Sysprep/Sysprep_succeeded.tag")
            noted.append((dict(setup.values()), dict(state.values()), files.text("/Windows/Setup/State/State.ini"), tag and tag.size))
    assert noted[0] == noted[1]


@pytest.mark.parametrize("name", REMAIN)
def test_the_password_is_neither_in_the_copy_nor_in_the_ledger(done, name):
    _, copy, _ = done(name)
    ledger = copy.with_name("copy.vhd.changes.json").read_text(encoding="utf-8")
    assert "invented-Passw0rd" not in ledger
    assert "windows-autologon-off" in {each["rule"] for change in json.loads(ledger)["changes"] for each in change["keys"]}
    with open_image(copy, target=Target.GENERALIZED) as opened:
        assert not opened.guest.files.is_file("/Windows/Panther/unattend.xml")
        hive = opened.guest.files.read("/Windows/System32/config/SOFTWARE", 2**24)
    assert "invented-Passw0rd".encode("utf-16-le") not in hive
