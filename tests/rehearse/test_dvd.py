"""The provisioning DVD: what is on it, by the clients' own rules, and that it is pure UDF in the eyes of others."""

from __future__ import annotations

import base64
import shutil
import struct
import subprocess
import sys
from xml.dom import minidom
from xml.etree import ElementTree

import pytest

from vhdprep.errors import BackendUnavailable, UsageError
from vhdprep.rehearse.identity import Identity, custom_data
from vhdprep.rehearse.platform import dvd

SECTOR = 2048
WA = "http://schemas.microsoft.com/windowsazure"
KEY = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAABQ=="
MACHINE = Identity("rehearsal0a", "rehearsal-0a", KEY, "vhdprep-marker", "vm", "container", "role", "00:0d:3a:00:00:01")
WHOLE = """\
<?xml version="1.0" encoding="utf-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="http://schemas.microsoft.com/windowsazure" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <wa:ProvisioningSection>
    <wa:Version>1.0</wa:Version>
    <LinuxProvisioningConfigurationSet xmlns="http://schemas.microsoft.com/windowsazure" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
      <ConfigurationSetType>LinuxProvisioningConfiguration</ConfigurationSetType>
      <HostName>rehearsal-0a</HostName>
      <UserName>rehearsal0a</UserName>
      <DisableSshPasswordAuthentication>true</DisableSshPasswordAuthentication>
      <SSH>
        <PublicKeys>
          <PublicKey>
            <Fingerprint>186FC9E93E6DBC2D2497255B79E2E19C6A0BC4D0</Fingerprint>
            <Path>/home/rehearsal0a/.ssh/authorized_keys</Path>
            <Value>ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAABQ==</Value>
          </PublicKey>
        </PublicKeys>
      </SSH>
      <CustomData>I2Nsb3VkLWNvbmZpZwp3cml0ZV9maWxlczoKLSBwYXRoOiAvcnVuL3ZoZHByZXAtcmVoZWFyc2FsCiAgY29udGVudDogdmhkcHJlcC1tYXJrZXIK</CustomData>
    </LinuxProvisioningConfigurationSet>
  </wa:ProvisioningSection>
  <wa:PlatformSettingsSection>
    <wa:Version>1.0</wa:Version>
    <PlatformSettings xmlns="http://schemas.microsoft.com/windowsazure" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
      <KmsServerHostname>kms.core.windows.net</KmsServerHostname>
      <ProvisionGuestAgent>true</ProvisionGuestAgent>
      <GuestAgentPackageName i:nil="true"/>
      <RetainWindowsPEPassInUnattend>true</RetainWindowsPEPassInUnattend>
      <RetainOfflineServicingPassInUnattend>true</RetainOfflineServicingPassInUnattend>
      <PreprovisionedVm>false</PreprovisionedVm>
      <PreprovisionedVMType>None</PreprovisionedVMType>
      <EnableTrustedImageIdentifier>false</EnableTrustedImageIdentifier>
    </PlatformSettings>
  </wa:PlatformSettingsSection>
</Environment>
"""


def test_the_whole_description_of_a_machine():
    assert dvd.ovf_env(MACHINE).decode() == WHOLE


def test_the_agent_finds_all_that_it_demands():
    """WALinuxAgent looks for names of its namespace at any depth and takes the first, except keys, of which it takes all."""

    def texts(name):
        return [each.firstChild.data if each.firstChild else None for each in document.getElementsByTagNameNS(WA, name)]

    document = minidom.parseString(dvd.ovf_env(MACHINE))
    (root,) = document.getElementsByTagNameNS("http://schemas.dmtf.org/ovf/environment/1", "Environment")
    assert root is document.documentElement
    sections = ("ProvisioningSection", "LinuxProvisioningConfigurationSet", "PlatformSettingsSection", "PlatformSettings", "PublicKey", "KeyPair")
    assert [len(document.getElementsByTagNameNS(WA, name)) for name in sections] == [1, 1, 1, 1, 1, 0]
    wanted = ("Version", "HostName", "UserName", "UserPassword", "DisableSshPasswordAuthentication", "ProvisionGuestAgent", "Path", "Value")
    assert [texts(name)[:1] for name in wanted] == [
        ["1.0"], ["rehearsal-0a"], ["rehearsal0a"], [], ["true"], ["true"], ["/home/rehearsal0a/.ssh/authorized_keys"], [KEY],
    ]  # fmt: skip


def test_cloud_init_finds_each_thing_once_and_where_it_looks():
    root = ElementTree.fromstring(dvd.ovf_env(MACHINE))
    linux, platform = "ProvisioningSection/LinuxProvisioningConfigurationSet", "PlatformSettingsSection/PlatformSettings"
    wanted = {
        f"{linux}/HostName": ["rehearsal-0a"],
        f"{linux}/UserName": ["rehearsal0a"],
        f"{linux}/UserPassword": [],
        f"{linux}/DisableSshPasswordAuthentication": ["true"],
        f"{linux}/SSH/PublicKeys/PublicKey/Value": [KEY],
        f"{platform}/PreprovisionedVm": ["false"],
        f"{platform}/PreprovisionedVMType": ["None"],
        f"{platform}/ProvisionGuestProxyAgent": [],
    }
    found = {path: [each.text for each in root.findall("/".join(f"{{{WA}}}{name}" for name in path.split("/")))] for path in wanted}
    assert found == wanted
    (data,) = root.iter(f"{{{WA}}}CustomData")
    assert base64.b64decode(data.text).decode() == custom_data(MACHINE)


def test_what_means_something_in_xml_is_escaped():
    odd = MACHINE._replace(host="<a>&b", user="{user}", public_key=KEY + ' x="<&>"')
    root = ElementTree.fromstring(dvd.ovf_env(odd))
    found = {name: next(root.iter(f"{{{WA}}}{name}")).text for name in ("HostName", "UserName", "Path", "Value")}
    assert found == {"HostName": "<a>&b", "UserName": "{user}", "Path": "/home/{user}/.ssh/authorized_keys", "Value": KEY + ' x="<&>"'}


# The image

FILES = {"ovf-env.xml": dvd.ovf_env(MACHINE), "empty": b"", "Large.bin": bytes(range(256)) * 4096}


@pytest.fixture(scope="module")
def image():
    return dvd.make(FILES)


@pytest.fixture(scope="module")
def file(image, tmp_path_factory):
    path = tmp_path_factory.mktemp("dvd") / "image"
    path.write_bytes(image)
    return path


def run(*command):
    if shutil.which(command[0], path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(command, capture_output=True, check=False, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})


def test_the_recognition_sequence_is_that_of_udf_alone(image):
    names = [image[each * SECTOR + 1 : each * SECTOR + 6] for each in range(16, 22)]
    assert names == [b"BEA01", b"NSR02", b"TEA01", *[bytes(5)] * 3]
    assert b"CD001" not in image
    assert len(image) % SECTOR == 0


def test_the_image_read_by_ecma_167(image):
    assert read(image) == ("rd_rdfe_stable.161212-1209", FILES)


@pytest.mark.parametrize("label", [dvd.LABEL, "x", "a b ~!" * 5])
def test_blkid_sees_udf_with_the_label_and_nothing_else(label, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(dvd.make({}, label))
    found = dict(line.split("=", 1) for line in run("blkid", "-p", "-o", "export", str(path)).stdout.decode().splitlines())
    assert (found["TYPE"], found["LABEL"].replace("\\", "")) == ("udf", label)


def test_grub_reads_every_file(file):
    names = run("grub-fstest", str(file), "ls", "(loop0)/").stdout.decode().split()
    assert sorted(names) == sorted(FILES)
    assert {name: run("grub-fstest", str(file), "cat", f"/{name}").stdout for name in names} == FILES


def test_linux_mounts_it(file, tmp_path):
    done = run("mount", "-t", "udf", "-o", "loop,ro", str(file), str(tmp_path))
    if done.returncode:
        pytest.skip(f"this host does not mount UDF: {done.stderr.decode().strip()}")
    try:
        assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == FILES
    finally:
        assert run("umount", str(tmp_path)).returncode == 0


@pytest.mark.parametrize("label", ["", "x" * 31, "two\nlines", "nul\0", "Größe", "\x7f"])
def test_labels_that_cannot_be_printed_or_do_not_fit_are_refused(label):
    with pytest.raises(UsageError) as raised:
        dvd.make({}, label)
    assert str(raised.value) == f"{label!r} is no label of a DVD; it has 1 to 30 printable ASCII characters"


@pytest.mark.parametrize("name", ["", "..", "a/b", "/a", "a b", "ä", "x" * 101, "a\n"])
def test_names_that_are_no_plain_file_names_are_refused(name):
    with pytest.raises(UsageError) as raised:
        dvd.make({"ovf-env.xml": b"", name: b""})
    assert str(raised.value) == f"{name!r} is no file name for a DVD; it has up to 100 of the letters A-Z, a-z, 0-9, '.', '_' and '-'"


def test_without_pycdlib_the_way_to_get_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycdlib", None)
    with pytest.raises(BackendUnavailable) as raised:
        dvd.make({})
    assert str(raised.value) == "rehearsals need pycdlib; install it: pip install 'vhdprep[rehearse]'"


# A second reader, as short as ECMA-167 lets it be: one partition, short allocation descriptors, one directory.


def read(image):
    """Label and files: anchor (3/10.2) → descriptors → file set (4/14.1) → root directory (4/14.4) → file entries (4/14.9)."""

    def descriptor(sector, kind, start=0):
        data = image[(start + sector) * SECTOR :][:SECTOR]
        number, _, checksum, _, _, crc, length, location = struct.unpack_from("<HHBBHHHI", data)
        assert (number, location) == (kind, sector)
        assert checksum == (sum(data[:4]) + sum(data[5:16])) & 0xFF
        assert crc == crc_itu(data[16 : 16 + length])
        return data

    def content(icb):
        data = descriptor(icb, 261, start)
        flags, size = struct.unpack_from("<H", data, 34)[0], struct.unpack_from("<Q", data, 56)[0]
        assert flags & 7 == 0  # short allocation descriptors
        attributes, extents = struct.unpack_from("<II", data, 168)
        pairs = struct.iter_unpack("<II", data[176 + attributes : 176 + attributes + extents])
        return b"".join(image[(start + place) * SECTOR :][: length & 0x3FFFFFFF] for length, place in pairs)[:size]

    anchors = [descriptor(each, 2) for each in (256, len(image) // SECTOR - 1)]
    assert anchors[0][16:32] == anchors[1][16:32]
    _, main = struct.unpack_from("<II", anchors[0], 16)
    start = next(struct.unpack_from("<I", descriptor(each, 5), 188)[0] for each in range(main, main + 16) if image[each * SECTOR :][:2] == b"\5\0")
    logical = next(descriptor(each, 6) for each in range(main, main + 16) if image[each * SECTOR :][:2] == b"\6\0")
    files = descriptor(struct.unpack_from("<I", logical, 252)[0], 256, start)
    return text(logical[84:212]), dict(members(content(struct.unpack_from("<I", files, 404)[0]), content))


def members(directory, content):
    while directory:
        characteristics, length, icb, use = struct.unpack_from("<B B 4x I 8x H", directory, 18)
        if not characteristics & 8:  # 8 = the parent
            name = directory[38 + use : 38 + use + length]
            assert name[0] == 8  # a byte a letter
            yield name[1:].decode("latin-1"), content(icb)
        directory = directory[(38 + use + length + 3) // 4 * 4 :]


def text(field):
    assert field[0] == 8
    return field[1 : field[-1]].decode("latin-1")


def crc_itu(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc
