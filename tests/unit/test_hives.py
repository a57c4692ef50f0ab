"""Registry hives: what is read is what was written, what is damaged is named, a dirty hive is what Windows would load."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import time
import tracemalloc

import pyregf
import pytest

from fixtures import hive
from tests.unit.hives import contents, root_of, unlimited, walk
from vhdprep.errors import Unreadable
from vhdprep.guest.formats import hivelog, regf
from vhdprep.model import ABSENT

KEYS = {
    "Setup": {
        "SetupType": 2,
        "CmdLine": r"oobe\windeploy.exe",
        "": "the default",
        "Empty": "",
        "List": ["a", "", "b"],
        "None": [],
        "Path": {"expand": r"%SystemRoot%\x"},
        "Large": {"qword": 2**40},
        "Yes": {"hex": "01"},
        "Bytes": {"hex": "0102030405"},
        "Nothing": {"type": 0, "hex": ""},
        "Backwards": {"type": 5, "hex": "00000102"},
        "Odd number": {"type": 4, "hex": "0102"},
        "Not ended": {"type": 1, "hex": "610062"},
        "Segments": {"size": 40_000},
        "Just one cell": {"size": 16_344},
    },
    "Grün\\Ключ": {"Значение": "да", "𝄞": "𝄢"},
    **{f"Services\\svc{number:04}": {"Start": number} for number in range(1_300)},
}
READ = {
    "": "the default", "Backwards": 258, "Bytes": "0102030405", "CmdLine": r"oobe\windeploy.exe", "Empty": "", "Just one cell": bytes(at % 251 for at in range(16_344)).hex(),
    "Large": 2**40, "List": ("a", "", "b"), "None": (), "Not ended": "a", "Nothing": "", "Odd number": "0102", "Path": r"%SystemRoot%\x",
    "Segments": bytes(at % 251 for at in range(40_000)).hex(), "SetupType": 2, "Yes": "01",
}  # fmt: skip


@pytest.mark.parametrize("version", [3, 5])
def test_every_type_of_value_is_read_as_it_was_written(version):
    root = root_of(hive.write(KEYS, version=version))
    assert dict(root.subkey("Setup").values()) == READ
    assert dict(root.subkey("Grün").subkey("Ключ").values()) == {"Значение": "да", "𝄞": "𝄢"}
    assert [each.name for each in root.subkey("Services").subkeys()] == [f"svc{number:04}" for number in range(1_300)]


@pytest.mark.parametrize("version", [3, 5])
def test_names_are_looked_up_without_case_and_missing_ones_are_absent(version):
    root = root_of(hive.write(KEYS, version=version))
    assert root.subkey("sETUP").value("CMDLINE") == r"oobe\windeploy.exe"
    assert root.subkey("SERVICES").subkey("Svc0777").value("start") == 777
    assert root.subkey("GRÜN").subkey("кЛЮЧ").value("ЗНАЧЕНИЕ") == "да"
    assert root.subkey("Setup").value("Missing") is ABSENT
    assert root.subkey("Set") is root.subkey("Setup2") is root.subkey("Gruen") is None


def test_letters_that_only_look_alike_are_no_match():
    root = root_of(hive.write({"straße": {}, "d\u0131g": {}}))  # a dotless i
    assert root.subkey("STRASSE") is root.subkey("DIG") is None
    assert root.subkey("STRAßE").name == "straße"


def test_hivex_reads_the_same(tmp_path):
    """A third reader; its text shows numbers and every other value as bytes."""
    if not shutil.which("hivexget"):
        pytest.skip("hivexget is not installed (libhivex-bin)")
    path = tmp_path / "hive"
    path.write_bytes(hive.write({"Setup": {"SetupType": 2, "CmdLine": r"oobe\windeploy.exe", "Yes": {"hex": "01"}}}))
    shown = subprocess.run(["hivexget", path, r"\Setup"], capture_output=True, text=True, check=True).stdout
    assert shown == '"SetupType"=dword:00000002\n"CmdLine"="oobe\\\\windeploy.exe"\n"Yes"=hex(3):01\n'


def by_pyregf(data):
    """What pyregf reads. It gives zeros for values of one to three bytes, so these are left out on both sides."""
    file = pyregf.file()
    file.open_file_object(io.BytesIO(data))
    found, pending = [], [("", file.root_key)]
    while pending:
        path, key = pending.pop()
        values = [(each.name or "", regf.decode(each.type, each.data or b"")) for each in key.values if each.data_size not in (1, 2, 3)]
        found.append((path, sorted(values, key=repr)))
        pending += [(f"{path}\\{each.name}", each) for each in key.sub_keys]
    return sorted(found, key=repr)


def without_short(root):
    """The same of ours."""
    found, pending = [], [("", root)]
    while pending:
        path, key = pending.pop()
        values = [(each.name, each.read()) for each in key._entries() if each._size & 0x7FFFFFFF not in (1, 2, 3)]
        found.append((path, sorted(values, key=repr)))
        pending += [(f"{path}\\{each.name}", each) for each in key.subkeys()]
    return sorted(found, key=repr)


@pytest.mark.parametrize("version", [3, 5])
def test_pyregf_reads_the_same(version):
    data = hive.write({**KEYS, "Setup": {name: value for name, value in KEYS["Setup"].items() if name != "Not ended"}}, version=version)
    assert without_short(root_of(data)) == by_pyregf(data)


@pytest.mark.data
@pytest.mark.parametrize("name", ["win7-SYSTEM", "win10-uefi-BCD", "win10-bios-BCD", "dirty/RecoveredHive_Windows10"])
def test_a_real_hive_is_read_as_pyregf_reads_it(data, name, monkeypatch):
    unlimited(monkeypatch)
    content = data(f"hives/{name}").read_bytes()
    assert without_short(root_of(content)) == by_pyregf(content)


# Damage


SOUND = hive.write({"Select": {"Current": 1}, "Setup": {"CmdLine": "x" * 40, "Big": {"size": 50_000}}, "Other": {}})


def wounded(*wounds, data=SOUND):
    out = bytearray(data)
    for at, bits in wounds:
        out[at : at + len(bits)] = bits
    return bytes(hive._base(bytes(out[:4096]), *struct.unpack_from("<II", out, 4))) + bytes(out[4096:])


def node(name):
    """Where the key node of this name begins, and its subkeys list."""
    at = SOUND.index(name.encode()) - 76
    return at, 4096 + 4 + struct.unpack_from("<I", SOUND, at + 28)[0]


ROOT, ROOT_LIST = node("ROOT")
SETUP, _ = node("Setup")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "the hive is not there"),
        (b"", "is no registry hive (it begins with nothing)"),
        (b"MZ" + bytes(5000), "is no registry hive (it begins with 4d5a0000)"),
        (SOUND[:512], "the hive is cut off: 512 of"),
        (SOUND[:511], "the hive is cut off after 511 bytes"),
        (SOUND[:-4096], "the hive is cut off"),
        (wounded((20, b"\x02")), "a hive of version 2.5"),
        (wounded((24, b"\x01")), "a hive of version 1.1"),
        (wounded((36, b"\xff\xff\xff\x7f")), "the hive is damaged at byte"),
        (wounded((36, b"\x08\x00\x00\x00")), "the hive is damaged at byte"),
        (wounded((40, b"\x00\xf0\xff\xff")), "the hive is cut off"),
        (wounded((40, bytes(4))), "the hive is damaged at byte"),
        (wounded((4096, bytes(4096))), "the hive is damaged at byte 4096"),
        (wounded((4096 + 8, b"\xff\xff")), "the hive is damaged at byte 4096"),
        (wounded((ROOT, b"xx")), "the hive is damaged at byte"),
        (wounded((ROOT + 72, b"\xff\x7f")), "the hive is damaged at byte"),
        (wounded((ROOT - 4, struct.pack("<i", 96))), "the hive is damaged at byte"),
        (wounded((ROOT - 4, struct.pack("<i", -(2**31)))), "the hive is damaged at byte"),
        (wounded((ROOT_LIST, b"ri\x01\x00" + struct.pack("<I", ROOT_LIST - 4100))), "the hive is damaged at byte"),
        (wounded((ROOT_LIST, b"lh\xff\xff")), "the hive is damaged at byte"),
        (wounded((ROOT_LIST, b"??")), "the hive is damaged at byte"),
        (wounded((4, b"\x08")), "had not written all changes into the hive (sequence numbers 8 and 7), and the logs with the rest are not there"),
        (SOUND[:100] + b"x" + SOUND[101:], "wrong checksum"),
    ],
)  # fmt: skip
def test_a_hive_that_cannot_be_read_is_named_with_its_reason(data, words):
    started = time.process_time()
    tracemalloc.start()
    with pytest.raises(Unreadable) as caught:
        walk(root_of(data) if data is not None else root_of(SOUND).subkey("no such key") or _missing())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert words in str(caught.value)
    assert time.process_time() - started < 2
    assert peak < 20 * 2**20


def _missing():
    from tests.unit.hives import PLACE, guest_files
    from vhdprep.guest.hive import open_hive

    return open_hive(guest_files({"/Windows/notepad.exe": "x"}), PLACE)


def test_a_hive_of_another_kind_under_the_right_name_is_refused():
    with pytest.raises(Unreadable, match="is a hive of another kind: it has no key Select"):
        root_of(hive.write({"Microsoft": {}}), mark="Select")


def test_a_file_that_is_no_hive_for_its_size_is_not_read():
    class Endless:
        case_sensitive = False

        def lstat(self, path):
            from vhdprep.disk.backend import FileKind, FileStat

            return FileStat(FileKind.FILE if path.endswith("SYSTEM") else FileKind.DIRECTORY, 64 * 2**40, 0, 0, 0)

        def read(self, path, limit, offset=0):
            return SOUND[offset : offset + limit].ljust(limit, b"\0")

    from tests.unit.hives import PLACE
    from vhdprep.guest.files import GuestFiles
    from vhdprep.guest.hive import open_hive

    with pytest.raises(Unreadable, match="70368744177664 bytes are too many for a hive"):
        open_hive(GuestFiles(Endless()), PLACE)


def test_a_value_that_claims_too_much_is_refused_and_the_others_are_read():
    at = SOUND.index(b"CmdLine") - 20
    setup = root_of(wounded((at + 4, struct.pack("<I", 2**30)))).subkey("Setup")
    with pytest.raises(Unreadable, match="'CmdLine' claims 1073741824 bytes; more than 2097152 are not read"):
        setup.value("CmdLine")
    assert len(setup.value("Big")) == 100_000


@pytest.mark.parametrize("wound", [b"xx", b"db\x00\x00", b"db\x01\x00", b"db\x09\x00", b"db\x04\x00" + b"\xff\xff\xff\x7f"])
def test_segments_that_do_not_fit_their_value_are_damage(wound):
    at = SOUND.index(b"Big") - 20
    place = 4096 + 4 + struct.unpack_from("<I", SOUND, at + 8)[0]
    with pytest.raises(Unreadable, match="damaged"):
        root_of(wounded((place, wound))).subkey("Setup").value("Big")


def test_a_key_below_itself_is_only_followed_as_far_as_the_path_goes():
    offset = ROOT - 4100
    key = root_of(
        wounded((SETUP + 20, struct.pack("<I", 1)), (SETUP + 28, struct.pack("<I", ROOT_LIST - 4100)), (ROOT_LIST + 4, struct.pack("<I", offset)))
    )
    for _ in range(50):
        key = key.subkey("Setup")
    assert key.value("CmdLine") == "x" * 40


def test_lists_without_end_are_given_up_in_time():
    """65,535 lists, each the same one of 65,535 keys."""
    leaf = b"li\xff\xff" + bytes(4 * 0xFFFF)
    top = b"ri\xff\xff"
    data = hive.write({"a": {"leaf": {"hex": leaf.hex()}, "top": {"size": 4 + 4 * 0xFFFF}}}, version=3)
    leaf_at = data.index(leaf[:8]) - 4096 - 4
    top_at = data.index(bytes(at % 251 for at in range(300))) - 4096 - 4
    node_at = data.index(b"ROOT") - 76
    lists = top + struct.pack("<I", leaf_at) * 0xFFFF
    ends = leaf[:4] + struct.pack("<I", node_at - 4100) * 0xFFFF
    endless = wounded((top_at + 4100, lists), (leaf_at + 4100, ends), (node_at + 28, struct.pack("<I", top_at)), data=data)
    started = time.process_time()
    with pytest.raises(Unreadable, match="takes more than 250000 cells"):
        root_of(endless).subkey("no such key")
    with pytest.raises(Unreadable, match="takes more than 250000 cells"):
        walk(root_of(endless))
    assert time.process_time() - started < 8


def test_a_link_to_another_key_is_not_taken_for_the_key():
    linked = wounded((SETUP + 2, struct.pack("<H", 0x30)))
    with pytest.raises(Unreadable, match="the key Setup is a link to another key"):
        root_of(linked).subkey("Setup")


# Logs


OLD = hive.write({"Select": {"Current": 1}, "Setup": {"SetupType": 0, "CmdLine": "a"}})
NEW = hive.write({"Select": {"Current": 1}, "Setup": {"SetupType": 2, "CmdLine": "b"}, **{f"Grown\\key{n}": {"v": n} for n in range(200)}})
LATER = hive.write({"Select": {"Current": 2}, "Setup": {"SetupType": 2, "CmdLine": "c"}, **{f"Grown\\key{n}": {"v": n} for n in range(200)}})


def test_changes_in_a_log_are_replayed_also_when_they_let_the_hive_grow():
    dirty, log = hive.with_log(OLD, NEW)
    assert contents(dirty, [log]) == contents(NEW)
    assert contents(dirty, [b"", log]) == contents(NEW)


def test_a_chain_that_runs_over_both_logs_is_replayed_in_its_order():
    dirty, first = hive.with_log(OLD, NEW, sequence=7)
    _, second = hive.with_log(NEW, LATER, sequence=7, first=8)
    for logs in ([first, second], [second, first]):
        assert contents(dirty, logs) == contents(LATER)


def test_a_chain_with_a_gap_ends_before_it():
    dirty, first = hive.with_log(OLD, NEW, sequence=7)
    _, third = hive.with_log(NEW, LATER, sequence=7, first=9)
    assert contents(dirty, [first, third]) == contents(NEW)


def test_an_entry_that_was_not_written_completely_is_left_out():
    dirty, first = hive.with_log(OLD, NEW, sequence=7)
    _, second = hive.with_log(NEW, LATER, sequence=7, first=8)
    chained = first + second[512:]
    assert contents(dirty, [chained]) == contents(LATER)
    assert contents(dirty, [chained[:-8] + b"x" * 8]) == contents(NEW)
    assert contents(dirty, [chained[:-512]]) == contents(NEW)
    head_hash = len(first) + 32
    assert contents(dirty, [chained[:head_hash] + bytes(8) + chained[head_hash + 8 :]]) == contents(NEW)


def test_a_log_up_to_windows_8_is_replayed():
    dirty, log = hive.with_old_log(OLD, NEW.ljust(len(OLD), b"\0"))
    assert contents(dirty, [log]) == contents(NEW)


def test_a_damaged_base_block_is_taken_from_the_log():
    for dirty, log in (hive.with_log(OLD, NEW), hive.with_old_log(OLD, NEW)):
        assert contents(dirty[:200] + b"damage" + dirty[206:], [log]) == contents(NEW)


def test_with_a_damaged_base_block_only_the_latest_log_counts():
    dirty, latest = hive.with_log(OLD, NEW)
    _, stale = hive.with_log(OLD, LATER, sequence=3)
    assert contents(dirty[:200] + b"damage" + dirty[206:], [stale, latest]) == contents(NEW)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (b"", "the logs with the rest are not there"),
        (bytes(4096), "its logs are damaged"),
        (hive.with_log(OLD, NEW, sequence=3)[1], "no log fits it"),
        (hive.with_log(OLD, NEW)[1][:600], "no log fits it"),
        (hive.with_log(OLD, NEW)[1].replace(b"HvLE", b"HvLF"), "no log fits it"),
        (hive.with_old_log(OLD, NEW)[1].replace(b"DIRT", b"DIRS"), "its log is damaged"),
        (hive.with_old_log(OLD, NEW)[1][:-512], "its log is cut off"),
    ],
)
def test_a_dirty_hive_without_a_log_that_fits_says_so(log, words):
    dirty, _ = hive.with_log(OLD, NEW)
    with pytest.raises(Unreadable) as caught:
        root_of(dirty, [log])
    assert words in str(caught.value)


def test_an_old_log_of_an_earlier_write_does_not_fit():
    dirty, _ = hive.with_old_log(hive.write({"a": {}}, written=9), hive.write({"b": {}}, written=9))
    _, log = hive.with_old_log(OLD, NEW)
    with pytest.raises(Unreadable, match="no log fits it"):
        root_of(dirty, [log])


def test_a_clean_hive_ignores_its_logs():
    _, log = hive.with_log(OLD, NEW)
    assert contents(OLD, [log]) == contents(OLD)


def test_more_changes_than_are_replayed_are_refused_in_time(monkeypatch):
    monkeypatch.setattr(hivelog, "MAX_REPLAY", 60_000)
    dirty, first = hive.with_log(OLD, NEW, sequence=7)
    chain = [hive.with_log(NEW, LATER, sequence=7, first=8 + each)[1][512:] for each in range(20)]
    with pytest.raises(Unreadable, match="its logs hold more than 60000 bytes of changes"):
        root_of(dirty, [first + b"".join(chain)])


@pytest.mark.data
def test_a_real_dirty_hive_becomes_what_windows_made_of_it(data):
    dirty, *logs = (data(f"hives/dirty/NewDirtyHive{suffix}").read_bytes() for suffix in ("", ".LOG1", ".LOG2"))
    assert contents(dirty, logs) == contents(data("hives/dirty/RecoveredHive_Windows10").read_bytes())
    with pytest.raises(Unreadable, match="the logs with the rest are not there"):
        root_of(dirty)


@pytest.mark.data
def test_a_real_system_hive_is_read_with_its_logs(data):
    content, *logs = (data(f"hives/win10-SYSTEM{suffix}").read_bytes() for suffix in ("", ".LOG1", ".LOG2"))
    root = root_of(content, logs, "Select")
    assert root.subkey("ControlSet001").subkey("Control").subkey("ComputerName").subkey("ComputerName").value("ComputerName") == "DESKTOP-PM6C56D"
    assert root.subkey("Setup").subkey("Status").subkey("SysprepStatus").value("GeneralizationState") == 7


@pytest.mark.data
def test_a_real_corrupt_hive_is_named(data):
    with pytest.raises(Unreadable, match="the hive is damaged at byte 106496"):
        root_of(data("hives/corrupted_system_hive").read_bytes())
