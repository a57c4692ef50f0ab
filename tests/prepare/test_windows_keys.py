"""What is changed in a Windows, in memory and in real hives: only what a rule means, never a witness of Sysprep, no secret shown."""

from __future__ import annotations

import json

import pyregf
import pytest

from fixtures import hive
from tests.unit.hives import contents
from vhdprep import byhand
from vhdprep import remedy as kinds
from vhdprep.errors import BackendUnavailable, CopyFailed
from vhdprep.prepare import hives, plan, planfile, run
from vhdprep.prepare.draft import DraftDisk
from vhdprep.prepare.keys import KeyEdit
from vhdprep.ruleset.load import load_rules
from vhdprep.ruleset.selftest import build_disk, build_image

RULES = {rule.id: rule for rule in load_rules()}
CONTROL = "HKLM\\SYSTEM\\CurrentControlSet"
CRASH = f"{CONTROL}\\Control\\CrashControl"
WINLOGON = "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon"
STATE = "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\State"
SEALED = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"
CONFIG = "/Windows/System32/config"


def made(registry, *rules, files=None, **wishes):
    given = {"registry": registry, "files": {f"{CONFIG}/{name}": "" for name in ("SYSTEM", "SOFTWARE", "SECURITY")} | (files or {})}
    disk = DraftDisk(build_disk(given))
    chosen = [RULES[each] if isinstance(each, str) else each for each in rules]
    return plan.make(lambda: build_image(given, disk), chosen, **wishes).plan


def edits(made_plan):
    return [(each.shown.rpartition("\\")[2], each.name, each.type, each.value, each.before) for change in made_plan.changes for each in change.keys]


def test_of_several_values_only_those_that_are_wrong_are_set():
    found = made({CRASH: {"CrashDumpEnabled": 7, "DumpFile": r"D:\x.dmp"}}, "windows-crash-dumps-configured")
    assert edits(found) == [
        ("CrashControl", "DumpFile", "expand_sz", r"%SystemRoot%\MEMORY.DMP", r"D:\x.dmp"),
        ("CrashControl", "NMICrashDump", "dword", "1", None),
    ]


def test_of_several_services_only_those_that_are_off_are_changed():
    services = {f"{CONTROL}\\Services\\{name}": {"Start": start} for name, start in {"nsi": 2, "Dhcp": 3, "BFE": 4, "mpssvc": 4}.items()}
    found = made(services, "windows-network-services-enabled")
    assert edits(found) == [("BFE", "Start", "dword", "2", "4"), ("mpssvc", "Start", "dword", "2", "4")]


def test_a_service_that_is_not_there_is_not_made_up():
    found = made({f"{CONTROL}\\Services\\x": {}}, "windows-dvd-driver-enabled")
    assert edits(found) == []
    assert [each.reason for each in found.manual] == [f"{CONTROL}\\Services\\cdrom: there is no such service"]


def test_a_number_that_was_stored_as_text_is_replaced():
    found = made({f"{CONTROL}\\Services\\partmgr\\Parameters": {"SanPolicy": "1"}}, "windows-san-policy-online-all")
    assert edits(found) == [("Parameters", "SanPolicy", "dword", "1", "1")]


def test_passwords_are_deleted_and_stand_in_no_plan():
    found = made({WINLOGON: {"AutoAdminLogon": "1", "DefaultPassword": "hunter2", "Shell": "explorer.exe"}}, "windows-autologon-off", unsafe=True)
    assert edits(found) == [("Winlogon", "DefaultPassword", None, None, "(not shown)"), ("Winlogon", "AutoAdminLogon", None, None, "1")]
    assert "hunter2" not in json.dumps(planfile.as_values(found))


def test_what_somebody_may_want_is_withheld_without_a_word_of_the_user():
    found = made({WINLOGON: {"AutoAdminLogon": "1"}}, "windows-autologon-off")
    assert (edits(found), [each.rule for each in found.withheld]) == ([], ["windows-autologon-off"])


@pytest.mark.parametrize("key", ["HKLM\\SYSTEM\\\\Setup\\", "HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup", "HKLM\\SYSTEM"])
def test_what_sysprep_notes_is_not_removed_with_a_key_above_it(key):
    rule = RULES["windows-imagestate-generalized"]._replace(remedy=kinds.RemoveRegistryKey(key))
    found = made({STATE: {"ImageState": "IMAGE_STATE_COMPLETE"}, "HKLM\\SYSTEM\\Setup": {"SetupType": 0}}, rule, unsafe=True)
    assert (found.changes, [each.reason for each in found.manual]) == ((), [f"{key}: only Setup and Sysprep write there"])


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (STATE, "ImageState"), (STATE.lower().replace("hklm", "HKLM"), "imagestate"), ("HKLM\\SYSTEM\\Setup", "SetupType"),
        ("HKLM\\SYSTEM\\Setup", "CmdLine"), ("HKLM\\SYSTEM\\Setup\\Status\\SysprepStatus", "GeneralizationState"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("several", [False, True])
def test_no_rule_not_even_a_users_own_writes_what_sysprep_notes(key, name, several):
    remedy = kinds.SetRegistryValues((f"{key}\\{name} = sz:{SEALED}",)) if several else kinds.SetRegistryValue(key, name, "sz", SEALED)
    rule = RULES["windows-imagestate-generalized"]._replace(remedy=remedy)
    if several:
        rule = rule._replace(check=rule.check._replace(params={"key": key, "name": name}))
    found = made({STATE: {"ImageState": "IMAGE_STATE_COMPLETE"}, "HKLM\\SYSTEM\\Setup": {}}, rule, unsafe=True)
    assert found.changes == ()
    assert [each.reason for each in found.manual] == [f"{key}\\{name}: only Setup and Sysprep write there"]


def test_no_rule_of_ours_asks_for_a_witness_of_sysprep():
    texts = [str(rule.remedy).casefold() for rule in RULES.values() if not isinstance(rule.remedy, kinds.Manual)]
    witnesses = ("imagestate", "state.ini", "succeeded.tag", "setuptype", r"hklm\\system\\setup", "setup\\\\state")
    assert [text for text in texts for word in witnesses if word in text.partition("by_hand")[0]] == []


def test_a_windows_in_use_is_not_sealed_by_its_fixes_and_the_next_step_is_sysprep():
    registry = {STATE: {"ImageState": "IMAGE_STATE_COMPLETE"}, f"{CONTROL}\\Control\\Terminal Server": {"fDenyTSConnections": 1}}
    found = made(registry, "windows-imagestate-generalized", "windows-rdp-enabled", unsafe=True)
    assert edits(found) == [("Terminal Server", "fDenyTSConnections", "dword", "0", "1")]
    assert [(each.rule, "sysprep.exe /generalize /oobe" in each.steps[0]) for each in found.manual] == [("windows-imagestate-generalized", True)]


def test_a_hive_that_was_not_written_to_its_end_is_left_alone_with_the_reason():
    clean = hive.write({"Select": {"Current": 1}})
    dirty, _ = hive.with_log(clean, hive.write({"Select": {"Current": 1}, "More": {}}))
    registry = {f"{CONTROL}\\Control\\Terminal Server": {"fDenyTSConnections": 1}}
    assert edits(made(registry, "windows-rdp-enabled", files={f"{CONFIG}/SYSTEM": {"hex": clean.hex()}}))
    found = made(registry, "windows-rdp-enabled", files={f"{CONFIG}/SYSTEM": {"hex": dirty.hex()}})
    assert found.changes == ()
    assert [each.reason for each in found.manual] == [
        f"{CONFIG}/SYSTEM: Windows had not written this hive to its end; start the machine, shut it down, and run again"
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("windows-2022-hibernated", r"Windows sleeps on this volume .*powercfg /h off"),
        ("windows-2022-unclean", r"this ntfs was not unmounted cleanly.*start the machine once more"),
    ],
)
def test_a_windows_that_is_hibernated_or_was_cut_off_is_refused_before_anything_is_copied(image, tmp_path, name, why):
    wish = run.Wish((RULES["windows-rdp-enabled"],))
    with pytest.raises(CopyFailed, match=why):
        run.prepare(image(name), tmp_path / "copy.vhd", wish, progress=lambda *_: None)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def hive_file(tmp_path):
    """Writes a hive; skips where hivex is not there."""
    try:
        hives._bindings()
    except BackendUnavailable as error:
        pytest.skip(str(error))

    def write(keys):
        path = tmp_path / "HIVE"
        path.write_bytes(hive.write(keys))
        return path

    return write


def test_nothing_of_a_deleted_value_or_key_is_left_in_the_hive(hive_file):
    secret = "invented-Passw0rd"
    path = hive_file({"Winlogon": {"DefaultPassword": secret, "Shell": "explorer.exe"}, "Secrets\\Below": {"x": f"2{secret}"}, "Last": {"a": "b"}})
    assert path.read_bytes().count(secret.encode("utf-16-le")) == 2
    hives.edit(path, [KeyEdit("", "", "Winlogon", "DefaultPassword"), KeyEdit("", "", "Secrets", None)])
    assert secret.encode("utf-16-le") not in path.read_bytes()
    assert contents(path.read_bytes()) == contents(hive.write({"Winlogon": {"Shell": "explorer.exe"}, "Last": {"a": "b"}}))


def test_every_type_of_value_is_written_as_another_reader_reads_it_and_the_rest_is_kept(hive_file):
    path = hive_file({"Keep": {"Bytes": {"hex": "0102030405"}, "Path": {"expand": r"%x%\y"}, "Old": 1}, "Gone\\Below": {"a": 1}})
    wanted = [("n", "dword", "4294967295"), ("s", "sz", "grün"), ("e", "expand_sz", r"%SystemRoot%\TEMP"), ("m", "multi_sz", r"?:\pagefile.sys")]
    changes = [KeyEdit("", "", "New\\Key", name, kind, value) for name, kind, value in wanted]
    hives.edit(path, [*changes, KeyEdit("", "", "Keep", "OLD"), KeyEdit("", "", "Gone", None), KeyEdit("", "", "Never\\Was", "x")])
    file = pyregf.file()
    file.open(str(path))
    values = {each.name: (each.type, each) for each in file.get_key_by_path("\\New\\Key").values}
    assert {name: kind for name, (kind, _) in values.items()} == {"n": 4, "s": 1, "e": 2, "m": 7}
    assert values["n"][1].data == b"\xff\xff\xff\xff"
    assert (values["s"][1].data_as_string, values["e"][1].data_as_string) == ("grün", r"%SystemRoot%\TEMP")
    assert values["m"][1].data == "?:\\pagefile.sys\0\0".encode("utf-16-le")
    assert {each.name: (each.type, each.data) for each in file.get_key_by_path("\\Keep").values} == {
        "Bytes": (3, b"\x01\x02\x03\x04\x05"),
        "Path": (2, "%x%\\y\0".encode("utf-16-le")),
    }
    assert file.get_key_by_path("\\Gone") is None
    assert file.get_key_by_path("\\Never") is None


def test_what_windows_rules_say_to_do_by_hand_is_windows_language():
    said = {rule.id: " ".join(byhand.steps(rule.remedy)) for rule in RULES.values() if rule.id.startswith("windows-")}
    assert [rule for rule, text in said.items() if any(word in text for word in ("as root", "rm -rf", "a shell"))] == []


def test_a_remedy_without_steps_of_its_own_says_the_command():
    several = kinds.SetRegistryValues((f"{CRASH}\\DumpFile = expand_sz:%SystemRoot%\\MEMORY.DMP",))
    assert byhand.steps(several) == (
        f'In the guest, as administrator: reg add "{CRASH}" /v DumpFile /t REG_EXPAND_SZ /d "%SystemRoot%\\MEMORY.DMP" /f',
    )
    assert "sc.exe config NAME start= demand" in byhand.steps(kinds.StartFoundServices("manual"))[0]


@pytest.mark.parametrize(
    "remedy",
    [
        kinds.SetRegistryValues(("HKLM\\A\\B",)), kinds.SetRegistryValues(("HKLM\\A\\B = dword:x",)), kinds.SetRegistryValues(("HKLM\\\\A\\B = sz:x",)),
        kinds.SetRegistryValue("HKLM\\A", "B", "binary", "00"), kinds.StartFoundServices("often"),
    ],
)  # fmt: skip
def test_a_remedy_that_says_nothing_is_a_mistake_of_its_rule(remedy):
    assert kinds.mistake(remedy)
