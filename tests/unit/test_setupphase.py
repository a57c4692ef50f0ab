"""Where a Windows stands: every combination of its witnesses, the states that were seen, and what cannot be read."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from vhdprep.guest import sealing, setupphase
from vhdprep.guest.setupphase import COMPLETE, IN_AUDIT, RESEALED, SEALED, SEALED_FOR_AUDIT, STATES, UNDEPLOYABLE, Evidence
from vhdprep.model import ABSENT
from vhdprep.report import words
from vhdprep.ruleset.selftest import build_image

STATE = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State"
SETUP = r"HKLM\SYSTEM\Setup"
WINDEPLOY = r"oobe\windeploy.exe"
SETUP_NEXT, HOOK_NEXT, LOGON_NEXT = (2, WINDEPLOY), (2, r"cmd.exe /c C:\fix.cmd"), (0, "")
DONE, BEGUN = (3, 3), (1, ABSENT)
LOG = f"{sealing.FOLDER}/setupact.log"
EVERY = [
    Evidence(*values[:2], *values[2], *values[3:])
    for values in product(
        (ABSENT, "IMAGE_STATE_NEW", *STATES),
        (ABSENT, "IMAGE_STATE_NEW", *STATES),
        (SETUP_NEXT, HOOK_NEXT, LOGON_NEXT),
        (DONE, BEGUN),
        (ABSENT, "present"),
        (ABSENT, "succeeded", "interrupted", "package"),
    )
]


def evidence(registry=COMPLETE, file=None, following=LOGON_NEXT, children=DONE, tag=ABSENT, run=ABSENT):
    return Evidence(registry, registry if file is None else file, *following, children, tag, run)


def guest(registry=SEALED, setup=SETUP_NEXT, files=None, **given):
    content = {STATE: {"ImageState": registry}, SETUP: {"SetupType": setup[0], "CmdLine": setup[1]}, **given.pop("registry_too", {})}
    return build_image({"registry": content, "files": files or {}, **given}).guest


def ini(state=SEALED, encoding="ascii"):
    return {setupphase.STATE_FILE: f'[State]\r\nImageState="{state}"\r\n'.encode(encoding)}


def test_every_combination_of_witnesses_has_one_phase():
    assert len(EVERY) == 4 * 768
    assert Counter(map(setupphase.decide, EVERY)) == {
        "contradictory": 4 * 652,
        "sealed-oobe": 4 * 4,
        "sealed-audit": 4 * 24,
        "audit": 4 * 24,
        "booted-again": 4 * 32 + 32,
        "sysprep-failed": 32,
        "sysprep-interrupted": 32,
        "in-use": 12,
        "setup-unfinished": 20,
    }


def test_the_log_only_tells_apart_what_no_other_witness_does():
    told = {"in-use", "setup-unfinished"}
    for each in EVERY:
        without = setupphase.decide(each._replace(run=ABSENT))
        by_the_log = {"succeeded": "booted-again", "interrupted": "sysprep-interrupted", "package": "sysprep-failed"}.get(each.run, without)
        assert setupphase.decide(each) == (by_the_log if without in told else without)


def test_an_image_is_called_sealed_only_where_every_witness_says_so():
    sealed = {each for each in EVERY if setupphase.decide(each) == "sealed-oobe"}
    assert sealed == {
        each for each in EVERY if each.registry == each.file == SEALED and each.next_start in ("setup", "program") and each.children == DONE
    }


def test_what_the_two_places_say_of_the_state_never_differs_unless_it_is_contradictory():
    assert {each.file for each in EVERY if setupphase.decide(each) != "contradictory"} <= {ABSENT, *STATES}
    assert all(each.file in (ABSENT, each.registry) for each in EVERY if setupphase.decide(each) != "contradictory")


@pytest.mark.parametrize(
    ("seen", "phase"),
    [
        pytest.param(evidence(SEALED, following=SETUP_NEXT, tag="present"), "sealed-oobe", id="Sysprep with /generalize /oobe /shutdown"),
        pytest.param(evidence(SEALED, following=(1, WINDEPLOY)), "sealed-oobe", id="install.wim as it is shipped: SetupType 1, no tag"),
        pytest.param(evidence(SEALED, following=(2, r'"oobe\windeploy.exe"'), tag="present"), "sealed-oobe", id="the command in quotes"),
        pytest.param(evidence(SEALED, following=HOOK_NEXT, tag="present"), "sealed-oobe", id="a deployment kit's wrapper runs first"),
        pytest.param(evidence(SEALED_FOR_AUDIT, following=SETUP_NEXT, tag="present"), "sealed-audit", id="sealed for audit mode"),
        pytest.param(evidence(IN_AUDIT, following=SETUP_NEXT), "audit", id="in audit mode, where the next start is as of a sealed one"),
        pytest.param(evidence(), "in-use", id="real Windows 7 and 10"),
        pytest.param(evidence(file=ABSENT), "in-use", id="the same without State.ini"),
        pytest.param(evidence(RESEALED), "in-use", id="OOBE never ended, seen on Azure"),
        pytest.param(evidence(following=HOOK_NEXT), "in-use", id="in use with a repair tool's hook"),
        pytest.param(evidence(tag="present"), "booted-again", id="OOBE ended after sealing"),
        pytest.param(
            evidence(UNDEPLOYABLE, following=SETUP_NEXT, children=BEGUN, tag="present"), "booted-again", id="cut off in the specialize pass"
        ),
        pytest.param(evidence(run="succeeded"), "booted-again", id="OOBE ended after sealing, and somebody took the tag away"),
        pytest.param(evidence(run="package"), "sysprep-failed", id="Sysprep refused before it changed anything"),
        pytest.param(evidence(UNDEPLOYABLE, run="provider"), "sysprep-failed", id="a provider failed while Sysprep generalized"),
        pytest.param(evidence(UNDEPLOYABLE, run="interrupted"), "sysprep-interrupted", id="switched off while Sysprep generalized"),
        pytest.param(evidence(tag="present", run="package"), "booted-again", id="a failure in the log, and a success that is later"),
        pytest.param(evidence(IN_AUDIT, following=SETUP_NEXT, run="package"), "audit", id="Sysprep refused in audit mode"),
        pytest.param(evidence(SEALED, following=SETUP_NEXT, tag="present", run="package"), "sealed-oobe", id="sealed, whatever the log says"),
        pytest.param(evidence(UNDEPLOYABLE, following=SETUP_NEXT, children=BEGUN), "setup-unfinished", id="an installation cut off"),
        pytest.param(evidence(RESEALED, following=SETUP_NEXT), "setup-unfinished", id="OOBE still to come"),
        pytest.param(evidence(ABSENT, tag="present"), "contradictory", id="ImageState is missing"),
        pytest.param(evidence("IMAGE_STATE_NEW"), "contradictory", id="ImageState is none that is known"),
        pytest.param(evidence(SEALED, COMPLETE), "contradictory", id="ImageState set by hand"),
        pytest.param(evidence(SEALED, ABSENT, SETUP_NEXT, tag="present"), "contradictory", id="sealed, but no State.ini"),
        pytest.param(evidence(SEALED, tag="present"), "contradictory", id="sealed, but the next start is the logon screen"),
        pytest.param(evidence(SEALED, following=(2, " ")), "contradictory", id="sealed, but nothing to run"),
        pytest.param(evidence(SEALED, following=("2", WINDEPLOY)), "contradictory", id="sealed, but SetupType is text"),
        pytest.param(evidence(SEALED, following=SETUP_NEXT, children=BEGUN, tag="present"), "contradictory", id="sealed, but Setup has begun"),
        pytest.param(evidence(SEALED, following=SETUP_NEXT, children=(3, 1), tag="present"), "contradictory", id="sealed, but OOBE has begun"),
        pytest.param(evidence(following=SETUP_NEXT), "contradictory", id="complete, but Setup would run"),
    ],
)
def test_the_phase_of_states_that_were_seen(seen, phase):
    assert setupphase.decide(seen) == phase


@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_state_ini_is_read_in_every_encoding(encoding):
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    files = {path: mark + data for path, data in ini(encoding=encoding).items()}
    assert setupphase.find(guest(files=files)).name == "sealed-oobe"


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        (f"[state]\nimagestate = {SEALED}\n", "sealed-oobe"),
        (f";[State]\n[ State ]\n;ImageState=x\nImageState={SEALED}\nImageState=x\n", "sealed-oobe"),
        (f"[Other]\nImageState=x\n[State]\nImageState={SEALED}\n", "sealed-oobe"),
        (f"[State]\n#ImageState={SEALED}\n", "contradictory"),
        (f"ImageState={SEALED}\n", "contradictory"),
        ("", "contradictory"),
    ],
)
def test_state_ini_is_read_as_windows_reads_it(text, phase):
    assert setupphase.find(guest(files={setupphase.STATE_FILE: text})).name == phase


def test_every_witness_is_shown_with_its_place_and_the_generalization_state_decides_nothing():
    status = {rf"{SETUP}\Status\SysprepStatus": {"GeneralizationState": 7}, rf"{SETUP}\Status\UnattendPasses": {"specialize": 9, "oobeSystem": 9}}
    children = {rf"{SETUP}\Status\ChildCompletion": {"setup.exe": 3}}
    seen = guest(files={**ini(), setupphase.TAG: ""}, registry_too={**status, **children})
    assert setupphase.find(seen) == (
        "sealed-oobe",
        (
            (SEALED, rf"{STATE}\ImageState", ()),
            (SEALED, setupphase.STATE_FILE, ()),
            (2, rf"{SETUP}\SetupType", ()),
            (WINDEPLOY, rf"{SETUP}\CmdLine", ()),
            (3, rf"{SETUP}\Status\ChildCompletion\setup.exe", ()),
            (ABSENT, rf"{SETUP}\Status\ChildCompletion\oobeldr.exe", ()),
            ("present", setupphase.TAG, ()),
            (ABSENT, LOG, ()),
            (ABSENT, rf"{SETUP}\OOBEInProgress", ()),
            (ABSENT, rf"{SETUP}\SystemSetupInProgress", ()),
            (("specialize=9", "oobeSystem=9"), rf"{SETUP}\Status\UnattendPasses", ()),
            (7, rf"{SETUP}\Status\SysprepStatus\GeneralizationState", ()),
        ),
    )
    in_use = guest(COMPLETE, LOGON_NEXT, registry_too=status)
    assert setupphase.find(in_use).name == "in-use"


@pytest.mark.parametrize("place", [r"HKLM\SOFTWARE", r"HKLM\SYSTEM\Setup", setupphase.STATE_FILE, setupphase.TAG])
def test_a_witness_that_cannot_be_read_leaves_the_phase_open(place):
    found = setupphase.find(guest(files={**ini(), setupphase.TAG: ""}, unreadable=[place]))
    assert found.name is None
    reason = f"{place}: cannot be read (as this example says)"
    assert reason in {each.value for each in found.witnesses}
    assert words.phase(found).startswith("not known whether it is sealed (")
    assert words.phase(found).count(reason) == 1


def test_a_state_ini_too_large_is_not_read():
    found = setupphase.find(guest(files={setupphase.STATE_FILE: "x" * 70_000}))
    assert found.name is None
    assert found.witnesses[1].value == "/Windows/Setup/State/State.ini: 70000 bytes are too many for this file"


@pytest.mark.parametrize(
    ("registry", "setup", "tag", "phase"),
    [
        (SEALED, SETUP_NEXT, True, "sealed-oobe"),
        (SEALED_FOR_AUDIT, SETUP_NEXT, True, "sealed-audit"),
        (COMPLETE, LOGON_NEXT, True, "booted-again"),
        (COMPLETE, SETUP_NEXT, False, "contradictory"),
        (COMPLETE, LOGON_NEXT, False, None),
        (UNDEPLOYABLE, SETUP_NEXT, False, None),
    ],
)
def test_a_log_that_cannot_be_read_leaves_the_phase_open_only_where_it_would_tell(registry, setup, tag, phase):
    files = {**ini(registry), LOG: "", **({setupphase.TAG: ""} if tag else {})}
    found = setupphase.find(guest(registry, setup, files=files, unreadable=[LOG]))
    assert found.name == phase
    assert any("setupact.log: cannot be read" in str(each.value) for each in found.witnesses)


def test_what_only_is_shown_may_be_unreadable():
    assert setupphase.find(guest(files=ini(), unreadable=[rf"{SETUP}\Status\SysprepStatus"])).name == "sealed-oobe"


def test_the_line_of_the_log_that_decided_is_a_witness():
    lines = ("===          Beginning of a new sysprep run          ===", "FCreateTagFile:Successfully created tag file x")
    log = "".join(f"2024-01-17 12:31:04, Info       [0x0f0080] SYSPRP {each}\r\n" for each in lines)
    found = setupphase.find(guest(COMPLETE, LOGON_NEXT, files={**ini(COMPLETE), LOG: log}))
    assert found.name == "booted-again"
    assert (lines[1], f"{LOG}:2", ()) in found.witnesses


def test_the_phase_in_words():
    assert words.phase(setupphase.find(guest(files=ini()))) == "sealed by Sysprep for OOBE"
    assert words.phase(setupphase.find(guest(COMPLETE, LOGON_NEXT, files=ini()))) == (
        f"contradictory: its witnesses cannot all be right (ImageState: IMAGE_STATE_COMPLETE; State.ini: {SEALED}; SetupType: 0; CmdLine: empty; "
        "setup.exe, oobeldr.exe, Sysprep_succeeded.tag, setupact.log, OOBEInProgress, SystemSetupInProgress, UnattendPasses, GeneralizationState: absent)"
    )
