"""What Sysprep's log tells: its last run, why that failed, in every encoding, however large or cut it is."""

from __future__ import annotations

import time

import pytest

from vhdprep.errors import Unreadable
from vhdprep.guest import sealing
from vhdprep.guest.formats import setuplog
from vhdprep.guest.sealing import FOLDER, MAX_READ
from vhdprep.model import ABSENT, Observation
from vhdprep.ruleset.selftest import build_image

ACT, ERR = f"{FOLDER}/setupact.log", f"{FOLDER}/setuperr.log"
DAY = "2025-07-22"


def log(*entries, day=DAY):
    """Lines as Sysprep writes them; one that begins with ``!`` is an error."""
    levels = {True: "Error                ", False: "Info                 "}
    return "".join(f"{day} 21:55:35, {levels[each[0] == '!']} SYSPRP {each.removeprefix('!')}\r\n" for each in entries)


BEGIN = ("=" * 56, "===          Beginning of a new sysprep run          ===", "=" * 56)
ASKED = (*BEGIN, "ParseCommands:Found supported command line option 'OOBE'", "ParseCommands:Found supported command line option 'GENERALIZE'")
WORK = (*ASKED, r"ActionPlatform::LaunchModule: Executing method 'Sysprep_Clean_Validate_Opk' from C:\Windows\System32\spopk.dll")
BENIGN = ("!MRTGeneralize:98 - ERROR: Failed ConnectServer", "!BCD: BiUpdateEfiEntry failed c000000d")
CLOSED = ("Shutting down SysPrep log", "The time is now 2025-07-22 21:55:35")
TAG = r"FCreateTagFile:Successfully created tag file C:\Windows\System32\Sysprep\Sysprep_succeeded.tag"
SUCCEEDED = (*WORK, *BENIGN, TAG, *CLOSED)
PACKAGE = (
    "Package Example.App_1.0_x64__8wekyb3d8bbwe was installed for a user, but not provisioned for all users. "
    "This package will not function properly in the sysprep image."
)
PROVIDER = (
    r"ActionPlatform::LaunchModule: Failure occurred while executing 'SysprepGeneralizeValidate' from C:\Windows\System32\AppxSysprep.dll; "
    "dwRet = 0x3cf2"
)
HALTED = (
    "!RunDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = 0x3cf2",
    "!WinMain:Hit failure while pre-validate sysprep generalize internal providers; hr = 0x80073cf2",
)
FAILED = (*WORK, f"!{PACKAGE}", f"!{PROVIDER}", *HALTED, *CLOSED)


def run(*entries, **files):
    """How the last run went by a log of these entries."""
    given = {ACT: log(*entries)} if entries else {}
    return sealing.last_run(build_image({"facts": {"os": "windows"}, "files": given | files.pop("files", {}), **files}).guest)


def stopped(*errors):
    return run(*WORK, *BENIGN, *(f"!{each}" for each in errors), *HALTED, *CLOSED).value


def test_the_package_and_the_provider_that_made_it_fail_are_quoted_with_their_lines():
    assert run(*FAILED) == ("package", f"{ACT}:7", (Observation(PACKAGE, f"{ACT}:7"), Observation(PROVIDER, f"{ACT}:8")))


def test_a_run_that_wrote_its_tag_succeeded_whatever_errors_stand_before():
    assert run(*SUCCEEDED) == ("succeeded", f"{ACT}:9", (Observation(TAG, f"{ACT}:9"),))
    assert run(*WORK, f"!{PROVIDER}", TAG).value == "succeeded"


def test_without_a_log_or_a_run_in_it_there_is_no_run():
    for seen in (run(), run("The time is now 2025-07-22 21:55:35"), run(files={ACT: ""}), run(files={ACT: {"hex": "fffe"}})):
        assert seen == (ABSENT, ACT, ())


@pytest.mark.parametrize(
    ("entries", "outcome"),
    [
        pytest.param(FAILED + SUCCEEDED, "succeeded", id="failed, then succeeded"),
        pytest.param(SUCCEEDED + FAILED, "package", id="succeeded, then failed"),
        pytest.param((*FAILED, *WORK, *BENIGN), "interrupted", id="failed, then cut off"),
        pytest.param(ASKED, "interrupted", id="cut off as it began"),
        pytest.param(WORK + CLOSED, ABSENT, id="closed in order, and nothing was sealed"),
        pytest.param(BEGIN, ABSENT, id="its window was open"),
        pytest.param(
            (*FAILED, *BEGIN, "!WinMain:The sysprep dialog box returned FALSE", *CLOSED), "package", id="failed, then its window was closed"
        ),
        pytest.param((*FAILED, *BEGIN, *CLOSED, *BEGIN, *CLOSED), "package", id="failed, then its window was opened and closed twice"),
        pytest.param(
            (
                *SUCCEEDED,
                *BEGIN,
                "ParseCommands:Found supported command line option 'RESPECIALIZE'",
                "!WinMain:Hit failure while processing sysprep re-specialize internal providers; hr = 0x8007001f",
            ),
            "succeeded",
            id="sealed, and the new machine's half of the work failed",
        ),
        pytest.param((*WORK, f"!{PACKAGE}", *CLOSED), "package", id="closed after an error that is a cause"),
    ],
)
def test_the_last_run_that_was_to_seal_counts(entries, outcome):
    assert run(*entries).value == outcome


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("BitLocker-Sysprep: BitLocker is on for the OS volume. Turn BitLocker off to run Sysprep. (0x80310039)", "bitlocker"),
        (
            "Sysprep_Clean_Validate_Opk: Audit mode cannot be turned on if reserved storage is in use. An update or servicing operation may be "
            "using reserved storage.; hr = 0x800F0975",
            "reserved-storage",
        ),
        ("Sysprep_Clean_Validate_Opk: Audit mode can't be turned on if there is an active scenario on the machine", "reserved-storage"),
        (
            r"LaunchDll: Failure occurred while executing 'C:\Windows\System32\slc.dll, SLReArmWindows', returned error code -1073425657",
            "rearm-limit",
        ),
        ("RunExternalDlls:Not running DLLs; either the machine is in an invalid state or we couldn't update the recorded state", "earlier-failure"),
        ("spopk.dll:: Sysprep will not run on an upgraded OS.", "upgraded"),
        ("WinMain: Unable to parse command-line arguments to sysprep; GLE = 0x0", "command-line"),
        ("LaunchDll:Failure occurred while executing 'DscCore.dll,SysPrep_Cleanup', returned error code 0x2", "provider"),
    ],
)
def test_the_first_error_that_names_a_cause_is_why_it_failed(error, cause):
    assert stopped(error) == cause


def test_runs_follow_one_another_without_the_log_being_closed_and_the_action_that_failed_is_quoted():
    action = "SysprepSession::ExecuteInternal: Error in executing action for Windows-SenseClient-Service; dwRet = 0x5"
    assert run(*SUCCEEDED, *WORK, f"!{action}", *HALTED) == ("provider", f"{ACT}:18", (Observation(action, f"{ACT}:18"),))
    assert run(*WORK, f"!{action}", *HALTED, *WORK).value == "interrupted"


def test_a_run_that_was_begun_in_its_window_counts_from_its_work_on():
    shown = (*BEGIN, "WinMain:Displaying dialog box for user to choose sysprep mode...")
    assert run(*shown).value is ABSENT
    assert run(*shown, "WinMain:Pre-validing 'cleanup' internal providers.").value == "interrupted"


def test_where_nothing_names_a_cause_the_line_on_which_it_halted_is_quoted():
    assert run(*WORK, *HALTED) == ("provider", f"{ACT}:7", (Observation(HALTED[0][1:], f"{ACT}:7"),))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-16-be with a mark"])
def test_it_is_read_in_every_encoding(encoding):
    data = log(*FAILED).encode(encoding.split()[0])
    data = b"\xfe\xff" + data if "mark" in encoding else data
    assert run(files={ACT: {"hex": data.hex()}}).where == f"{ACT}:7"


def test_a_run_may_have_gone_on_in_the_next_log_whatever_that_is_called():
    first, second = log(*WORK, day="2025-07-22"), log(f"!{PACKAGE}", *HALTED, day="2025-07-23")
    for older in (f"{FOLDER}/setupact.0001.log", f"{FOLDER}/SetupAct.log.bak"):
        assert run(files={older: first, ACT: second}) == ("package", f"{ACT}:1", (Observation(PACKAGE, f"{ACT}:1"),))
    older = f"{FOLDER}/setupact.log.1"
    assert run(files={older: log(*SUCCEEDED), ACT: log(*FAILED, day="2024-01-01")}).value == "succeeded"
    assert run(files={older: log(*FAILED, day="2024-01-01"), ACT: log(*SUCCEEDED)}).value == "succeeded"


def test_the_log_of_errors_is_asked_where_the_other_one_is_gone():
    earlier = ("!BitLocker-Sysprep: BitLocker is on for the OS volume.", *HALTED)
    seen = run(files={ERR: log(*earlier, *(each for each in FAILED if each[0] == "!"))})
    assert (seen.value, seen.where) == ("package", f"{ERR}:4")
    assert run(files={ERR: log(*BENIGN)}).value is ABSENT


def test_only_the_end_of_a_large_log_is_read_and_that_is_said():
    filler = f"{DAY} 21:55:35, Info                  CSI    noise\r\n" * (MAX_READ // 50)
    seen = run(files={ACT: filler + log(*FAILED)})
    assert (seen.value, seen.where.partition(":")[0]) == ("package", f"{ACT} (last 4 MiB)")
    assert run(files={ACT: log(*ASKED) + filler + log(f"!{PACKAGE}", *HALTED)}).value == "package"
    with pytest.raises(Unreadable, match="no run begins or ends, and the rest is not read"):
        run(files={ACT: log(*FAILED) + filler + filler + log("Initialized SysPrep log")})


def test_a_large_log_without_an_entry_of_sysprep_at_its_end_is_undecided():
    filler = "noise\r\n" * (MAX_READ // 7 + 10)
    with pytest.raises(Unreadable, match="the rest is not read"):
        run(files={ACT: log(*FAILED) + filler})


def test_a_log_or_its_folder_that_cannot_be_read_is_undecided():
    for place in (ACT, FOLDER):
        with pytest.raises(Unreadable):
            run(*SUCCEEDED, unreadable=[place])
    with pytest.raises(Unreadable, match="9 logs are too many"):
        run(files={f"{FOLDER}/setupact.{number}.log": "" for number in range(9)})


@pytest.mark.parametrize("piece", ["SYSPRP", "\n", "x", "SYSPRP\n", f"{DAY} 21:55:35, Error SYSPRP \n", f"{DAY} 21:55:35, Error" + " " * 60])
def test_hostile_logs_take_no_longer_than_their_size(piece):
    text = piece * (MAX_READ // len(piece))
    begun = time.process_time()
    for _ in setuplog.entries(text, "SYSPRP"):
        pass
    assert time.process_time() - begun < 2
