"""Certificates, opened by the real openssl with the commands of the agents."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from xml.dom import minidom
from xml.etree import ElementTree

import pytest

from tests.rehearse import recorded
from tests.rehearse.talk import ask, platform
from vhdprep.rehearse.platform import certificates

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program is not installed")


def openssl(*command, given=b""):
    return subprocess.run(("openssl", *command), input=given, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def offered():
    made = certificates.make()
    assert made is not None
    return made


@pytest.fixture(scope="module")
def transport(tmp_path_factory):
    """(key file, certificate file, certificate as the header has it), made as WALinuxAgent makes them (cryptutil.py, gen_transport_cert)."""
    folder = tmp_path_factory.mktemp("transport")
    key, certificate = folder / "TransportPrivate.pem", folder / "TransportCert.pem"
    subject = ("-subj", "/CN=LinuxTransport", "-days", "730", "-newkey", "rsa:2048")
    openssl("req", "-x509", "-nodes", *subject, "-keyout", str(key), "-out", str(certificate))
    header = "".join(line for line in certificate.read_text().split("\n") if "----" not in line)
    return key, certificate, header


def test_a_goal_state_names_certificates_only_where_they_are_offered(offered):
    requests = recorded.waagent("2.15.0.1")
    goal_state = ElementTree.fromstring(ask(platform(certificates=offered), *requests["goal state"])[2])
    url = goal_state.findtext("./Container/RoleInstanceList/RoleInstance/Configuration/Certificates")
    line = recorded.certificates("2.15.0.1", "", "")[1].split(b" ")[1].decode()
    assert url == f"http://168.63.129.16:80{line}"
    assert "ertificates" not in ask(platform(), *requests["goal state"])[2]


@pytest.mark.parametrize(("cipher", "told"), [("DES_EDE3_CBC", b"des-ede3-cbc"), ("AES128_CBC", b"aes-128-cbc")])
def test_waagent_opens_them_with_openssl(offered, transport, tmp_path, cipher, told):
    key, certificate, header = transport
    status, _, document = ask(platform(certificates=offered), *recorded.certificates("2.15.0.1", header, cipher))
    parsed = minidom.parseString(document)
    data = parsed.getElementsByTagName("Data")[0].firstChild.data
    assert status == "HTTP/1.1 200 OK"
    assert parsed.getElementsByTagName("Format")[0].firstChild.data == "Pkcs7BlobWithPfxContents"
    assert max(map(len, data.split("\n"))) == 64  # openssl takes no longer lines
    # goal_state.py, _create_p7m_file and _convert_certificates_pfx_to_pem; cryptutil.py
    p7m = tmp_path / "Certificates.p7m"
    p7m.write_text(
        f'MIME-Version:1.0\nContent-Disposition: attachment; filename="{p7m}"\nContent-Type: application/x-pkcs7-mime; name="{p7m}"\n'
        f"Content-Transfer-Encoding: base64\n\n{data}"
    )
    pfx, pem = tmp_path / "Certificates.pfx", tmp_path / "Certificates.pem"
    pfx.write_bytes(openssl("cms", "-decrypt", "-in", str(p7m), "-inkey", str(key), "-recip", str(certificate)))
    assert told in openssl("cms", "-cmsout", "-print", "-in", str(p7m))
    for extra in (("-nomacver",), ()):
        openssl("pkcs12", "-nodes", "-password", "pass:", "-in", str(pfx), "-out", str(pem), *extra)
    private = re.search(r"-+BEGIN.*KEY-+.*-+END.*KEY-+\n", text := pem.read_text(), re.DOTALL)[0].encode()
    public = re.search(r"-+BEGIN CERTIFICATE-+.*-+END CERTIFICATE-+\n", text, re.DOTALL)[0].encode()
    assert openssl("pkey", "-pubout", given=private) == openssl("x509", "-pubkey", "-noout", given=public)
    assert openssl("x509", "-noout", "-subject", given=public) == b"subject=CN = Windows Azure CRP Certificate Generator\n"


def test_without_a_certificate_of_its_own_an_agent_gets_none(offered):
    for header in ("", "AAAA", "no base64!", "%", base64.b64encode(bytes(range(256))).decode(), "A" * (certificates.MAX_CERTIFICATE + 4)):
        assert ask(platform(certificates=offered), *recorded.certificates("2.15.0.1", header, "AES128_CBC"))[0] == "HTTP/1.1 400 Bad Request"


def test_a_certificate_that_is_too_long_starts_no_process(transport, monkeypatch):
    made = certificates.make()
    monkeypatch.setattr(certificates, "MAX_CERTIFICATE", len(transport[2]) - 1)
    assert made.envelope(transport[2], "") is None
    monkeypatch.setattr(certificates, "MAX_CERTIFICATE", len(transport[2]))
    assert made.envelope(transport[2], "") is not None


def test_an_unknown_cipher_is_azures_default(offered, transport):
    assert offered.envelope(transport[2], "ROT13") == offered.envelope(transport[2], "AES128_CBC") == offered.envelope(transport[2], "")
    assert offered.envelope(transport[2], "DES_EDE3_CBC") != offered.envelope(transport[2], "AES128_CBC")


def test_processes_are_started_for_some_certificates_only(transport, monkeypatch):
    monkeypatch.setattr(certificates, "MAX_ENVELOPES", 3)
    made = certificates.make()
    assert [made.envelope(base64.b64encode(bytes([each] * 10)).decode(), "") for each in range(3)] == [None] * 3
    assert made.envelope(transport[2], "") is None


@pytest.mark.parametrize("program", ["absent", "false", "sleep 60"])
def test_where_openssl_is_missing_or_fails_certificates_are_not_offered(program, tmp_path, monkeypatch):
    if program != "absent":
        path = tmp_path / "openssl"
        path.write_text(f"#!/bin/sh\nexec /bin/{program}\n")
        path.chmod(0o755)
    monkeypatch.setattr(certificates, "MAX_SECONDS", 0.2)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert certificates.make() is None
