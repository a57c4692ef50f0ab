"""Windows as its registry tells: paths, the current control set, facts, boot configuration, answer files."""

from __future__ import annotations

import pytest

from fixtures import hive
from tests.unit.hives import CONFIG, guest_files, root_of
from tests.unit.memory import guest, image
from vhdprep.disk.memory import MemoryFiles
from vhdprep.errors import Unreadable
from vhdprep.guest import windows
from vhdprep.guest.formats import bcd, unattend
from vhdprep.guest.registry import binary, memory_registry, open_registry
from vhdprep.model import ABSENT, GuestFacts, Observation
from vhdprep.probes import windows as probes

SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
VERSION = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion"
CONTROL = r"HKLM\SYSTEM\CurrentControlSet\Control"


def registry(system=None, software=None, **others):
    hives = {"SYSTEM": system, "SOFTWARE": software, **others}
    return open_registry(guest_files({f"{CONFIG}/{name}": hive.write(keys) for name, keys in hives.items() if keys is not None}))


def test_the_current_control_set_is_the_one_that_select_names():
    found = registry(
        {"Select": {"Current": 3, "Default": 3}, r"ControlSet001\Services\BFE": {"Start": 4}, r"ControlSet003\Services\BFE": {"Start": 2}}
    )
    assert found.value(rf"{SERVICES}\BFE", "Start") == 2
    assert found.value(r"hklm\system\currentcontrolset\SERVICES\bfe", "START") == 2
    assert found.value(r"HKLM\SYSTEM\ControlSet001\Services\BFE", "Start") == 4


@pytest.mark.parametrize(
    ("system", "words"),
    [
        ({"Select": {}}, r"Select\\Current is missing"),
        ({"Select": {"Current": "1"}}, r"Select\\Current is missing"),
        ({"Select": {"Current": 2}, "ControlSet001": {}}, r"ControlSet002 is missing, which HKLM\\SYSTEM\\Select\\Current names"),
        ({"Select": {"Current": 1, "Default": 2}, "ControlSet001": {}, "ControlSet002": {}}, "with control set 1, and is to start with another"),
        ({"Microsoft": {}}, "is a hive of another kind: it has no key Select"),
        (None, "the hive is not there"),
    ],
)
def test_without_a_current_control_set_nothing_below_it_is_read(system, words):
    found = registry(system)
    for _ in range(2):
        with pytest.raises(Unreadable, match=words):
            found.value(rf"{SERVICES}\BFE", "Start")


def test_missing_keys_and_values_are_absent_but_a_missing_hive_is_not():
    found = registry({"Select": {"Current": 1}, "ControlSet001": {}}, {"Microsoft": {"": "x"}})
    assert found.value(r"HKLM\SOFTWARE\Microsoft\No\Such\Key", "a") is ABSENT
    assert found.value(r"HKLM\SOFTWARE\Microsoft", "a") is ABSENT
    assert found.value(r"HKLM\SOFTWARE\Microsoft", "") == "x"
    assert found.key(r"HKLM\BCD00000000") is None
    for path in (r"HKLM\SECURITY\Policy", r"HKLM\HARDWARE\x", r"HKCU\Software", "HKLM"):
        with pytest.raises(Unreadable):
            found.key(path)
    assert [text.partition(":")[0] for text in found.unread] == [f"{CONFIG}/SECURITY", "HARDWARE", "HKCU", "HKLM"]


def test_the_hive_of_a_user_is_named_by_its_file():
    files = guest_files({"/Users/Default/NTUSER.DAT": hive.write({r"Software\A": {"b": 1}})})
    assert open_registry(files).value(r"/Users/Default/NTUSER.DAT\Software\A", "b") == 1


@pytest.mark.parametrize(
    ("esp", "active", "value"),
    [({"/EFI/Microsoft/Boot/BCD": 1}, {"/Boot/BCD": 2}, 1), ({}, {"/Boot/BCD": 2}, 2), ({"/EFI/Microsoft/Boot/BCD": 1}, None, 1)],
)
def test_the_boot_store_is_found_where_the_firmware_finds_it(esp, active, value):
    def files(content):
        stores = {path: hive.write({r"Objects\x": {"v": number}}, version=3) for path, number in (content or {}).items()}
        return None if content is None else MemoryFiles(stores, case_sensitive=False)

    assert open_registry(guest_files({}), files(esp), files(active)).value(r"HKLM\BCD00000000\Objects\x", "v") == value


def test_values_of_plain_text_stand_in_for_a_hive():
    found = memory_registry({rf"{SERVICES}\BFE": {"Start": 2, "(default)": "x", "L": ["a"]}, r"HKLM\SOFTWARE\Empty": None}, [r"HKLM\SECURITY", "/x"])
    assert (found.value(rf"{SERVICES}\bfe", "start"), found.value(rf"{SERVICES}\BFE", ""), found.value(rf"{SERVICES}\BFE", "L")) == (2, "x", ("a",))
    assert found.key(r"HKLM\SOFTWARE\Empty").name == "Empty"
    assert found.key(r"HKLM\SOFTWARE\Other") is None
    with pytest.raises(Unreadable, match="as this example says"):
        found.key(r"HKLM\SECURITY\Policy")


# Facts


def facts(version, control=None, *, hidden=()):
    keys = {VERSION: version, **{rf"{CONTROL}\{path}": values for path, values in (control or {}).items()}}
    return windows.describe(GuestFacts("windows", "windows", "windows", None, "Windows"), memory_registry(keys, hidden))


SERVER_2022 = {"ProductName": "Windows Server 2022 Datacenter", "InstallationType": "Server", "CurrentVersion": "6.3", "CurrentMajorVersionNumber": 10,
               "CurrentMinorVersionNumber": 0, "CurrentBuildNumber": "20348", "UBR": 2322, "DisplayVersion": "21H2"}  # fmt: skip
WINDOWS_11 = {**SERVER_2022, "ProductName": "Windows 10 Pro", "InstallationType": "Client", "CurrentBuildNumber": "22631", "DisplayVersion": "23H2"}


@pytest.mark.parametrize(
    ("version", "product", "number"),
    [
        (SERVER_2022, "Windows Server 2022 Datacenter (21H2, build 20348.2322)", "10.0.20348"),
        ({**SERVER_2022, "InstallationType": "Server Core"}, "Windows Server 2022 Datacenter (21H2, build 20348.2322)", "10.0.20348"),
        ({**WINDOWS_11, "InstallationType": "Server", "ProductName": "Windows 10 Enterprise multi-session"},
         "Windows 11 Enterprise multi-session (23H2, build 22631.2322)", "10.0.22631"),
        (WINDOWS_11, "Windows 11 Pro (23H2, build 22631.2322)", "10.0.22631"),
        ({**WINDOWS_11, "CurrentBuildNumber": "21999"}, "Windows 10 Pro (23H2, build 21999.2322)", "10.0.21999"),
        ({**SERVER_2022, "CurrentBuildNumber": "26100", "ProductName": "Windows Server 2025 Datacenter"},
         "Windows Server 2025 Datacenter (21H2, build 26100.2322)", "10.0.26100"),
        ({"ProductName": "Windows 7 Ultimate", "InstallationType": "Client", "CurrentVersion": "6.1", "CurrentBuildNumber": "7601", "CSDVersion": "Service Pack 1"},
         "Windows 7 Ultimate (Service Pack 1, build 7601)", "6.1.7601"),
        ({"ProductName": "Windows Server 2012 R2 Standard", "CurrentVersion": "6.3", "CurrentBuild": "9600"},
         "Windows Server 2012 R2 Standard (build 9600)", "6.3.9600"),
        ({"ProductName": "Windows Server 2019 Standard", "CurrentVersion": "6.3", "CurrentMajorVersionNumber": 10, "CurrentMinorVersionNumber": 0,
          "CurrentBuildNumber": "17763", "UBR": 1, "ReleaseId": "1809"}, "Windows Server 2019 Standard (1809, build 17763.1)", "10.0.17763"),
        ({}, "Windows", None),
        ({**SERVER_2022, "CurrentBuildNumber": "no number"}, "Windows Server 2022 Datacenter (21H2)", None),
        ({**SERVER_2022, "CurrentBuildNumber": "9" * 5000}, "Windows Server 2022 Datacenter (21H2)", None),
        ({**WINDOWS_11, "ProductName": "x" * 5000}, "x" * 100 + " (23H2, build 22631.2322)", "10.0.22631"),
    ],
)  # fmt: skip
def test_product_and_version_are_told_from_the_software_hive(version, product, number):
    found = facts(version)
    assert (found.os, found.distro, found.family, found.product, found.version) == ("windows", "windows", "windows", product, number)


@pytest.mark.parametrize(
    ("stated", "build", "arch"),
    [
        ("AMD64", "", "x86_64"), ("ARM64", "", "aarch64"), ("x86", "", "i386"), ("IA64", "", "IA64"),
        (None, "20348.859.amd64fre.fe_release", "x86_64"), (None, "26100.1.arm64fre.ge_release", "aarch64"),
        (None, "7601.17727.x86fre.win7sp1_gdr", "i386"), (None, "", None),
    ],
)  # fmt: skip
def test_the_architecture_is_told_from_the_environment_or_the_build(stated, build, arch):
    environment = {"Session Manager\\Environment": {"PROCESSOR_ARCHITECTURE": stated}} if stated else {}
    assert facts({"BuildLabEx": build}, environment).arch == arch


@pytest.mark.parametrize(
    ("installation", "product_type", "is_server"),
    [("Server", None, True), ("Server Core", "WinNT", True), ("Client", None, False), (None, "ServerNT", True), (None, "LanmanNT", True),
     (None, "WinNT", False), (None, None, None)],
)  # fmt: skip
def test_server_or_client_is_told_from_the_installation_or_the_product_type(installation, product_type, is_server):
    keys = {VERSION: {"InstallationType": installation or ""}, rf"{CONTROL}\ProductOptions": {"ProductType": product_type or ""}}
    assert windows.release(memory_registry(keys)).is_server is is_server


def test_a_guest_is_described_by_the_hives_that_can_be_read():
    control = {r"ComputerName\ComputerName": {"ComputerName": "WIN-A"}}
    assert facts(SERVER_2022, control).hostname == "WIN-A"
    assert facts(SERVER_2022, control, hidden=["HKLM\\SYSTEM"]).hostname is None
    hidden = facts(SERVER_2022, control, hidden=["HKLM\\SOFTWARE"])
    assert (hidden.product, hidden.version, hidden.hostname) == ("Windows", None, "WIN-A")


# Boot configuration


LOADER = "{b5a7f2d0-1111-2222-3333-444455556666}"


def store(**elements):
    keys = {rf"Objects\{bcd.BOOT_MANAGER}\Elements\23000003": {"Element": LOADER}}
    keys |= {rf"Objects\{LOADER}\Elements\{name.lstrip('_')}": {"Element": value} for name, value in elements.items()}
    return bcd.Store(root_of(hive.write(keys, version=3)))


def test_elements_are_typed_by_their_number():
    found = store(_12000002=r"\Windows\system32\winload.efi", _16000049={"hex": "01"}, _26000022={"hex": "00"}, _25000020={"hex": "0100000000000000"},
                  _24000001=["{1}", "{2}"], _17000077={"hex": "75000015000000000100000000000000"})  # fmt: skip
    elements = ("12000002", "16000049", "26000022", "25000020", "24000001", "17000077", "11000001")
    assert [found.element(LOADER, each) for each in elements] == [
        r"\Windows\system32\winload.efi", True, False, 1, ("{1}", "{2}"), ("0x15000075", "0x00000001"), ABSENT]  # fmt: skip


def test_an_element_that_inherits_itself_ends():
    assert store(_14000006=[LOADER, "{missing}"]).element(LOADER, "16000049") is ABSENT
    many = {rf"Objects\{{{n}}}\Elements\14000006": {"Element": [f"{{{n + 1}}}", f"{{{n + 2}}}"]} for n in range(100)}
    many |= {rf"Objects\{{{n}}}\Elements\16000049": {"Element": {"hex": "01"}} for n in (5, 60)}
    found = bcd.Store(root_of(hive.write(many, version=3)))
    assert (found.element("{0}", "16000049"), found.element("{6}", "16000049")) == (True, ABSENT)


@pytest.mark.parametrize(
    ("data", "device"),
    [
        ("00" * 16 + "05000000000000004800000000000000" + "00" * 56, bcd.Device("boot")),
        ("00" * 16 + "08000000000000004800000000000000" + "00" * 56, bcd.Device("locate")),
        ("00" * 16 + "01000000000000004800000000000000" + "00" * 56, bcd.Device("other")),
        ("00" * 16 + "06000000000000004800000000000000" + "00" * 20 + "07000000" + "00" * 32, bcd.Device("other")),
        ("0600", bcd.Device("other")),
        ("", bcd.Device("other")),
    ],
)
def test_devices_that_name_no_partition(data, device):
    assert store(_11000001={"hex": data}).element(LOADER, "11000001") == device


@pytest.mark.data
def test_the_store_of_a_real_efi_windows(data):
    found = bcd.Store(root_of(data("hives/win10-uefi-BCD").read_bytes(), mark="Objects"))
    loader = found.default_loader()
    partition = bcd.Device("partition", partition="8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b", disk="0b2394a9-095e-487d-8d48-719ecd4d78ca")
    assert loader == "{733b62e5-f608-11eb-825c-c112f60133ab}"
    assert found.element(loader, "12000002") == r"\Windows\system32\winload.efi"
    assert found.element(loader, "11000001") == found.element(loader, "21000001") == partition
    assert found.element(loader, "16000009") is True
    assert found.element(loader, "16000020") is False
    assert found.element(loader, "16000049") is ABSENT
    assert found.element(loader, "15000011") == 4


@pytest.mark.data
def test_the_store_of_a_real_bios_windows(data):
    found = bcd.Store(root_of(data("hives/win10-bios-BCD").read_bytes(), mark="Objects"))
    loader = found.default_loader()
    assert found.element(loader, "12000002") == r"\windows\system32\winload.exe"
    assert found.element(loader, "11000001") == found.element(loader, "21000001") == bcd.Device("boot")
    resume = found.element(loader, "23000003")
    assert found.element(resume, "11000001") == bcd.Device("partition", offset=1048576, disk="0xddba6bbb")
    assert found.element(bcd.BOOT_MANAGER, "25000004") == 30


# Answer files


def test_sections_of_an_answer_file_say_whether_setup_has_used_them():
    text = """<?xml version="1.0" encoding="utf-8"?>
    <unattend xmlns="urn:schemas-microsoft-com:unattend" xmlns:u="urn:schemas-microsoft-com:unattend">
      <settings pass="specialize" wasPassProcessed="true"><component name="settings"/></settings>
      <u:settings wasPassProcessed="TRUE " pass="oobeSystem"/>
      <settings pass="oobeSystem" wasPassProcessed="false"/>
    </unattend>"""
    expected = [("specialize", True, 3), ("oobeSystem", True, 4), ("oobeSystem", False, 5)]
    assert [tuple(each) for each in unattend.sections(text.encode(), "u.xml")] == expected
    wide = text.replace("utf-8", "utf-16").encode("utf-16")
    assert [tuple(each) for each in unattend.sections(wide, "u.xml")] == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no xml",
        b"<a>",
        b"<a/><b/>",
        b"\xff\xfe<\x00",
        b'<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>',
        b"<a>" * 65 + b"</a>" * 65,
        b"<a>" * 300_000,
    ],
)
def test_an_answer_file_that_is_no_xml_is_unreadable(data):
    with pytest.raises(Unreadable, match=r"u\.xml: the answer file"):
        unattend.sections(data, "u.xml")


# Probes


def test_observations_name_the_exact_place():
    given = {"registry": {rf"{SERVICES}\BFE": {"Start": 2, "ImagePath": "svchost.exe"}, rf"{SERVICES}\odd": {"Start": 9}}}
    assert probes.windows_service(image(**given), name="BFE") == Observation("automatic", rf"{SERVICES}\BFE\Start")
    assert probes.windows_service(image(**given), name="BFE", field="image") == Observation("svchost.exe", rf"{SERVICES}\BFE\ImagePath")
    assert probes.windows_service(image(**given), name="odd").value == "9"
    assert probes.windows_service(image(**given), name="none").value is ABSENT
    assert probes.registry_subkeys(image(**given), key=SERVICES, matching="^B").value == (rf"{SERVICES}\BFE",)
    assert probes.registry_values(image(**given), key=rf"{SERVICES}\BFE", matching="=svc").parts == (
        Observation("svchost.exe", rf"{SERVICES}\BFE\ImagePath"),
    )
    assert probes.registry_key(image(**given), key=SERVICES) == Observation("present", SERVICES)


def test_linux_has_no_registry():
    assert guest().registry is None
    with pytest.raises(Unreadable, match=r"Debian GNU/Linux 12 has no registry"):
        probes.registry_value(image(), key=r"HKLM\SYSTEM\Setup", name="SetupType")


def test_a_store_that_was_not_found_may_lie_on_a_partition_that_was_not_read():
    without = open_registry(guest_files({}))
    unread = {"facts": {"os": "windows"}, "disk": {"volumes": [{"filesystem": "vfat", "read": False, "needed": True, "reason": "FAT12"}]}}
    for given, raises in (({"facts": {"os": "windows"}}, False), (unread, True)):
        seen = image(**given)
        seen = seen._replace(guest=seen.guest._replace(registry=without))
        if raises:
            with pytest.raises(Unreadable, match="may lie on p2, which was not read: FAT12"):
                probes.boot_element(seen, object="default-loader", element="12000002")
        else:
            assert probes.boot_element(seen, object="default-loader", element="12000002").value is ABSENT


@pytest.mark.parametrize(("value", "data"), [("00ff", b"\0\xff"), ("", b""), ("opensesame", b""), (4, b""), (("00",), b""), (ABSENT, b"")])
def test_only_binary_values_have_bytes(value, data):
    assert binary(value) == data
