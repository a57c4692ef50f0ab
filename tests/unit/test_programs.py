"""Programs of Windows: the version that a file states, which are too old, what a service runs; and the passwords of answer files."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures import content
from tests.unit.memory import guest, image
from tests.unit.ntfs import files as volume
from vhdprep.errors import Unreadable
from vhdprep.guest import programs
from vhdprep.guest.formats import peversion, unattend
from vhdprep.probes.programs import device_filters, file_version, outdated_files
from vhdprep.probes.windows import answer_file_secrets, registry_values, windows_service, windows_services

VERSION = "10.0.20348.2322"
PROGRAM = content.efi("x86_64", signed=True, sections=[".text", "PAGE"], version=VERSION)
RESOURCES = PROGRAM.index(struct.pack("<HHI", 0, 2, 14)) - 12
DRIVERS = "/Windows/System32/drivers"
SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"


def version(data):
    return peversion.file_version(lambda offset, size: data[offset : offset + size], "x.sys")


def changed(data, at, format_, *values):
    """A copy with other values, ``at`` bytes into its resources."""
    copy = bytearray(data)
    struct.pack_into(format_, copy, RESOURCES + at, *values)
    return bytes(copy)


def narrow(data):
    """The same program with headers for 32 bits: 16 bytes shorter before the directories."""
    copy = bytearray(data)
    struct.pack_into("<H", copy, 0x40 + 20, 224)
    struct.pack_into("<H", copy, 0x40 + 24, 0x10B)
    del copy[0x40 + 26 : 0x40 + 42]
    return bytes(copy[:1520]) + bytes(16) + bytes(copy[1520:])


def test_a_program_states_its_version():
    assert version(PROGRAM) == VERSION
    assert version(content.efi("i386", signed=False, sections=[], version="6.1.7601.65535")) == "6.1.7601.65535"
    assert version(narrow(PROGRAM)) == VERSION


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is no Windows program"),
        (b"MZ", "ends within its headers"),
        (b"MZ" + bytes(62), "it is no Windows program"),
        (content.efi("x86_64", signed=True, sections=[".text"]), "has no resources"),
        (changed(PROGRAM, 24, "<I", 17), "has no version resource"),
        (changed(PROGRAM, 12, "<HH", 0, 0), "has no version resource"),
        (changed(PROGRAM, 12, "<HH", 0xFFFF, 0xFFFF), "131070 resources in one directory are too many"),
        (changed(PROGRAM, 28, "<I", 0x50), "resource tree ends before"),
        (changed(PROGRAM, 28, "<I", 0x80000000), "deeper than three levels"),
        (changed(PROGRAM, 28, "<I", 0xFFFFFFF0), "ends within its headers or its resources"),
        (changed(PROGRAM, 0x50, "<I", 0x10000000), "lead outside its sections"),
        (changed(PROGRAM, 0x60 + 40, "<I", 1), "states no version"),
    ],
    ids=str,
)
def test_what_states_no_version_is_unreadable_never_old_or_new(data, words):
    with pytest.raises(Unreadable, match=words):
        version(data)


def test_a_program_that_breaks_off_anywhere_states_no_version():
    end = PROGRAM.index(struct.pack("<I", 0xFEEF04BD)) + 16
    for size in range(end):
        with pytest.raises(Unreadable):
            version(PROGRAM[:size])
    assert version(PROGRAM[:end]) == VERSION


@given(st.integers(0, len(PROGRAM) - 5), st.binary(min_size=1, max_size=4))
def test_a_damaged_program_is_unreadable_or_has_some_version(at, damage):
    data = PROGRAM[:at] + damage + PROGRAM[at + len(damage) :]
    with suppress(Unreadable):
        assert len(version(data).split(".")) == 4


def test_of_a_large_program_little_is_read():
    data = content.efi("x86_64", signed=True, sections={".text": bytes(3_000_000)}, version=VERSION)
    asked = []

    def read(offset, size):
        asked.append(size)
        return data[offset : offset + size]

    assert peversion.file_version(read, "x") == VERSION
    assert (len(asked) < 15, sum(asked) < 2000) == (True, True)


@pytest.mark.parametrize("stored", ["lznt1", "sparse", "xpress4k", "xpress8k", "xpress16k", "lzx"])
def test_the_version_is_read_however_windows_stored_the_file(stored):
    program = {"efi": "x86_64", "sections": {".text": {"size": 150_000}}, "version": VERSION}
    files = volume({"/x.sys": {"data": program, "stored": stored}})
    assert peversion.file_version(lambda offset, size: files.read("/x.sys", size, offset), "x") == VERSION


def test_a_hard_link_is_the_same_file():
    tree = {"/WinSxS/a/x.sys": {"efi": "x86_64", "version": VERSION}, "/drivers/x.sys": {"hard_link": "/WinSxS/a/x.sys"}}
    files = volume(tree)
    assert peversion.file_version(lambda offset, size: files.read("/drivers/x.sys", size, offset), "x") == VERSION


@pytest.mark.parametrize(
    ("have", "wanted", "older"),
    [
        ("6.3.9600.9999", ("6.3.9600.17031",), True),
        ("6.3.9600.17031", ("6.3.9600.17031",), False),
        ("10.0.14393.0", ("6.3.9600.17031",), False),
        ("6.2.9200.17637", ("6.2.9200.17638", "6.2.9200.21757"), True),
        ("6.2.9200.17638", ("6.2.9200.17638", "6.2.9200.21757"), False),
        ("6.2.9200.21756", ("6.2.9200.17638", "6.2.9200.21757"), True),
        ("6.2.9200.21757", ("6.2.9200.17638", "6.2.9200.21757"), False),
        ("1.0.0.0", (), False),
    ],
)
def test_a_version_is_compared_with_that_of_its_own_branch(have, wanted, older):
    assert programs.is_older(have, wanted) is older


def test_the_minimum_is_that_of_the_release():
    assert programs.minimum("6.3.9600", "drivers/ntfs.sys") == ("6.3.9600.18654",)
    assert programs.minimum("6.2.9200", "drivers/disk.sys") == ("6.2.9200.17638", "6.2.9200.21757")
    assert programs.minimum("10.0.143930", "drivers/ntfs.sys") == ()
    assert programs.minimum("10.0.20348", "drivers/ntfs.sys") == ()


def test_old_files_are_named_with_what_is_wanted():
    old = {f"{DRIVERS}/ntfs.sys": "6.3.9600.17031", f"{DRIVERS}/TCPIP.sys": "6.3.9600.18478"}
    seen = outdated_files(
        image(versions=old, facts={"os": "windows", "version": "6.3.9600"}), names=("drivers/ntfs.sys", "drivers/tcpip.sys", "drivers/mpio.sys")
    )
    assert [(part.value, part.where) for part in seen.parts] == [
        ("drivers/ntfs.sys 6.3.9600.17031, wanted 6.3.9600.18654", "/Windows/System32/drivers/ntfs.sys")
    ]
    with pytest.raises(Unreadable, match="which release of Windows"):
        outdated_files(image(facts={"os": "windows", "version": None, "product": "Windows"}), names=("drivers/ntfs.sys",))


def test_of_several_programs_the_highest_version_counts_number_by_number():
    agents = {"/a/1/x.exe": "2.7.41491.901", "/a/2/x.exe": "2.7.41491.1102"}
    seen = file_version(image(versions=agents, facts={"os": "windows"}), patterns=("/a/*/x.exe",))
    assert (seen.value, seen.where) == ("2.7.41491.1102", "/a/2/x.exe")


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (r"C:\WindowsAzure\GuestAgent_2\WaAppAgent.exe", "/WindowsAzure/GuestAgent_2/WaAppAgent.exe"),
        (r'"C:\Program Files\A B\c.exe" -service "x y"', "/Program Files/A B/c.exe"),
        (r"C:\Program Files\A B\c.EXE -k x.exe", "/Program Files/A B/c.EXE"),
        (r"%SystemRoot%\system32\svchost.exe -k netsvcs -p", "/Windows/system32/svchost.exe"),
        (r"\SystemRoot\System32\drivers\storvsc.sys", "/Windows/System32/drivers/storvsc.sys"),
        (r"System32\drivers\vmbus.sys", "/Windows/System32/drivers/vmbus.sys"),
        (r"\??\C:\Windows\x.sys", "/Windows/x.sys"),
        (r"%programfiles(x86)%\x.exe", "/Program Files (x86)/x.exe"),
        ("lsass.exe", "/Windows/System32/lsass.exe"),
    ],
)
def test_a_service_runs_the_file_that_windows_would_start(command, path):
    assert programs.started(command) == path


@pytest.mark.parametrize("command", [r"D:\x.exe", r"%APPDATA%\x.exe", r'"E:\a b.exe"'])
def test_where_a_service_runs_what_cannot_be_found_offline_nobody_guesses(command):
    with pytest.raises(Unreadable, match="cannot be told"):
        programs.started(command)


def test_a_service_names_its_program_or_that_it_is_gone():
    seen = image({"/Windows/x.exe": "MZ"}, registry={rf"{SERVICES}\A": {"ImagePath": r"C:\windows\X.exe"}, rf"{SERVICES}\B": {"ImagePath": "y.exe"}})
    found = [windows_service(seen, name=name, field="program").value for name in "AB"]
    assert found == ["/windows/X.exe", "no file at /Windows/System32/y.exe"]


def test_services_are_found_by_name_without_case_and_by_how_they_start():
    registry = {rf"{SERVICES}\{name}": {"Start": start} for name, start in (("prl_tg", 0), ("PRL_fs", 3), ("aprl_x", 0), ("vmci", 2), ("odd", 9))}
    seen = windows_services(image(registry=registry), names=("prl_*", "VMCI", "odd"), starting=("boot", "automatic"))
    assert sorted((part.value, part.where) for part in seen.parts) == [
        ("prl_tg (boot)", rf"{SERVICES}\prl_tg"),
        ("vmci (automatic)", rf"{SERVICES}\vmci"),
    ]


def test_secret_values_are_named_and_never_shown():
    seen = registry_values(image(registry={r"HKLM\SOFTWARE\W": {"DefaultPassword": "hunter2"}}), key=r"HKLM\SOFTWARE\W", matching="=.", secret=True)
    assert [(part.value, part.where) for part in seen.parts] == [("(not shown)", r"HKLM\SOFTWARE\W\DefaultPassword")]


def passwords(text):
    return [tuple(each) for each in unattend.secrets(text.encode(), "x")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<a><AdministratorPassword>\n<Value>x</Value><PlainText>true</PlainText></AdministratorPassword></a>", [("a/AdministratorPassword", 1)]),
        ("<a><AdministratorPassword>x</AdministratorPassword></a>", [("a/AdministratorPassword", 1)]),
        (
            "<a>\n<Credentials>\n<Password>x</Password></Credentials>\n<MachinePassword>y</MachinePassword></a>",
            [("Credentials/Password", 3), ("a/MachinePassword", 4)],
        ),
        ("<a xmlns:u='urn:x'><u:AutoLogon><u:Password><u:Value>x</u:Value></u:Password></u:AutoLogon></a>", [("AutoLogon/Password", 1)]),
        ("<a><Password><PlainText>false</PlainText><Value>eABQAGEAcwBzAHcAbwByAGQA</Value></Password></a>", [("a/Password", 1)]),
        ("<a><Password><Value>UABhAHMAcwB3AG8AcgBkAA==</Value><PlainText>false</PlainText></Password></a>", []),
        ("<a><Password><Value>UABhAHMAcwB3AG8AcgBkAA==</Value><PlainText>true</PlainText></Password></a>", [("a/Password", 1)]),
        ("<a><Password><Value>not base64</Value><PlainText>false</PlainText></Password></a>", [("a/Password", 1)]),
        ("<a><Password> *SENSITIVE*DATA*DELETED* </Password><Password><Value/></Password><Password/></a>", []),
        ("<a><PasswordNeverExpires>true</PasswordNeverExpires><Value>x</Value></a>", []),
    ],
    ids=str,
)
def test_an_answer_file_has_the_passwords_that_setup_did_not_blank(text, found):
    assert passwords(text) == found


@pytest.mark.parametrize("text", ["<a", "<!DOCTYPE a [<!ENTITY b 'c'>]><a><Password>&b;</Password></a>", "<a>" * 65 + "</a>" * 65])
def test_an_answer_file_that_cannot_be_parsed_safely_is_unreadable(text):
    with pytest.raises(Unreadable):
        passwords(text)


def test_a_password_of_an_answer_file_is_never_shown():
    text = '\ufeff<?xml version="1.0" encoding="utf-16"?><a><Password>hunter2</Password></a>'.encode("utf-16-le")
    seen = answer_file_secrets(image({"/unattend.xml": {"hex": text.hex()}}, facts={"os": "windows"}), patterns=("/*.xml",))
    assert [(part.value, part.where) for part in seen.parts] == [("a/Password (not shown)", "/unattend.xml:1")]


def test_versions_are_read_once_a_guest():
    found = guest({"/x.sys": {"hex": PROGRAM.hex()}}, facts={"os": "windows"})
    assert (programs.version(found, "/x.sys"), programs.versions(found)) == (VERSION, {"/X.SYS": VERSION})


DISKS = r"HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e967-e325-11ce-bfc1-08002be10318}"
NETWORK = r"HKLM\SYSTEM\CurrentControlSet\Control\Class\{4d36e972-e325-11ce-bfc1-08002be10318}"


def filters(registry, files=(), **given):
    seen = device_filters(image(dict.fromkeys(files, "MZ"), registry=registry), **{"classes": ("disk", "network"), **given})
    return [(part.value, part.where.rpartition("\\")[2]) for part in seen.parts]


def test_filters_of_devices_are_named_with_their_class():
    registry = {DISKS: {"UpperFilters": ["partmgr", "XenFilt"], "LowerFilters": "single"}, NETWORK: {"UpperFilters": [""]}}
    assert filters(registry) == [("partmgr (disk)", "UpperFilters"), ("XenFilt (disk)", "UpperFilters"), ("single (disk)", "LowerFilters")]
    assert filters(registry, names=("xen*", "single")) == [("XenFilt (disk)", "UpperFilters"), ("single (disk)", "LowerFilters")]
    assert filters(registry, classes=("network",)) == []


def test_a_filter_needs_a_service_and_the_file_that_it_names():
    names = ["named", "unnamed", "gone", "alone", r"a\b"]
    services = {rf"{SERVICES}\{name}": {"Start": 0} for name in ("unnamed", "gone", r"a\b")}
    registry = {DISKS: {"UpperFilters": names}, **services, rf"{SERVICES}\named": {"ImagePath": r"\SystemRoot\other.sys"}}
    files = ["/Windows/other.sys", f"{DRIVERS}/unnamed.sys", f"{DRIVERS}/alone.sys"]
    assert [name.partition(" ")[0] for name, _ in filters(registry, files, having="missing")] == ["gone", "alone", r"a\b"]
