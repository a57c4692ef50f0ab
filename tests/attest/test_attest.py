"""Attestations: signed with keys of every kind, verified by others' tools, refused where a byte changed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess

import pytest

from fixtures import build
from tests.cli.test_cli import run
from tests.schemas import REPORT

securesystemslib = pytest.importorskip("securesystemslib")

KINDS = {
    "ed25519": ["genpkey", "-algorithm", "ed25519"],
    "ecdsa": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
}


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """Kind → private and public key."""
    folder = tmp_path_factory.mktemp("keys")
    made = {}
    for kind, arguments in KINDS.items():
        private, public = folder / f"{kind}.pem", folder / f"{kind}.pub"
        subprocess.run(["openssl", *arguments, "-out", private], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
        made[kind] = private, public
    return made


@pytest.fixture(scope="module")
def attested(keys, tmp_path_factory):
    """A folder with an image, its report and its attestation."""
    folder = tmp_path_factory.mktemp("attested")
    shutil.copyfile(build.build("debian-12-host-keys"), folder / "disk.vhd")
    done = run("check", "disk.vhd", "--attest", "disk.att", "--sign-key", keys["ed25519"][0], "--report", "json=disk.json", "--quiet", cwd=folder)
    assert (done.returncode, done.stderr) == (1, "")
    return folder


def statement(folder):
    return json.loads(base64.b64decode(json.loads((folder / "disk.att").read_text())["payload"]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_image_that_was_judged_is_proven_with_every_kind_of_key(keys, tmp_path, kind):
    shutil.copyfile(build.build("debian-12-generalized"), tmp_path / "disk.vhd")
    private, public = keys[kind]
    assert run("check", "disk.vhd", "--attest", "a.att", "--sign-key", private, "--quiet", cwd=tmp_path).returncode == 0
    done = run("verify", "a.att", "disk.vhd", "--key", public, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("PROVEN: this is the image that was judged\n  ready as generalized, on 20")
    assert done.stdout.endswith("errors among them: none; 0 waived\n  these rules are the same today\n")


def test_the_statement_is_in_totos_and_holds_the_whole_report(attested):
    found = statement(attested)
    report = json.loads((attested / "disk.json").read_text())
    assert (found["_type"], found["predicateType"]) == ("https://in-toto.io/Statement/v1", "https://in-toto.io/attestation/test-result/v0.1")
    digests = report["disks"][0]["digests"]
    assert found["subject"] == [
        {"name": "disk.vhd", "digest": {"sha256": digests["file"]}},
        {"name": "disk.vhd#disk", "digest": {"sha256": digests["disk"]}},
    ]
    predicate = found["predicate"]
    assert (predicate["result"], predicate["failedTests"]) == ("FAILED", ["linux-ssh-host-keys-removed"])
    assert predicate["configuration"] == [{"name": "vhdprep rules", "digest": {"sha256": report["ruleset"]["digest"]}}]
    assert predicate["report"] == report
    assert set(report) <= set(REPORT.schema["properties"])


def test_securesystemslibs_own_verifier_accepts_it(attested, keys):
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    key = SSlibKey.from_crypto(load_pem_public_key(keys["ed25519"][1].read_bytes()))
    envelope = Envelope.from_dict(json.loads((attested / "disk.att").read_text()))
    assert list(envelope.verify([key], 1)) == [key.keyid]


def test_openssl_accepts_the_signature_over_the_encoding_that_dsse_defines(attested, keys, tmp_path):
    envelope = json.loads((attested / "disk.att").read_text())
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    (tmp_path / "pae").write_bytes(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    command = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        keys["ed25519"][1],
        "-rawin",
        "-in",
        tmp_path / "pae",
        "-sigfile",
        tmp_path / "sig",
    ]
    assert "Successfully" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def change_image(folder):
    with (folder / "disk.vhd").open("r+b") as file:
        file.seek(30_000_000)
        file.write(b"x")


def change_signature(folder):
    envelope = json.loads((folder / "disk.att").read_text())
    signature = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
    signature[5] ^= 1
    envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    (folder / "disk.att").write_text(json.dumps(envelope))


def change_statement(folder):
    envelope = json.loads((folder / "disk.att").read_text())
    payload = base64.b64decode(envelope["payload"]).replace(b'"not-ready"', b'"ready"')
    envelope["payload"] = base64.b64encode(payload).decode()
    (folder / "disk.att").write_text(json.dumps(envelope))


def change_report(folder):
    (folder / "disk.json").write_text((folder / "disk.json").read_text().replace('"not-ready"', '"ready"'))


def cut_envelope(folder):
    (folder / "disk.att").write_text((folder / "disk.att").read_text()[:-200])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_image, "disk.vhd: is not the image that was judged: its SHA-256 is "),
        (change_signature, "disk.att: the signature does not fit the statement: one of them was changed after it was signed"),
        (change_statement, "disk.att: the signature does not fit the statement: one of them was changed after it was signed"),
        (change_report, "disk.json: is not the report that was attested"),
        (cut_envelope, "disk.att: is no attestation, or a damaged one"),
    ],
)
def test_a_changed_byte_is_refused(attested, keys, tmp_path, change, said):
    for each in attested.iterdir():
        shutil.copyfile(each, tmp_path / each.name)
    change(tmp_path)
    done = run("verify", "disk.att", "disk.vhd", "--key", keys["ed25519"][1], "--report", "disk.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(f"NOT PROVEN: {said}")


def test_another_signers_key_is_refused(attested, keys):
    done = run("verify", "disk.att", "disk.vhd", "--key", keys["ecdsa"][1], cwd=attested)
    assert (done.returncode, "was signed with another key" in done.stdout) == (1, True)


def test_the_same_disk_in_another_container_is_proven_as_that(attested, keys, tmp_path):
    raw = tmp_path / "disk.raw"
    raw.write_bytes((attested / "disk.vhd").read_bytes()[:-512])
    done = run("verify", attested / "disk.att", raw, "--key", keys["ed25519"][1])
    assert (done.returncode, done.stdout.split("\n")[0]) == (0, "PROVEN: this is the disk that was judged, in another container")


def test_rules_that_changed_since_are_told(attested, keys, tmp_path):
    from vhdprep.ruleset.load import rule_files

    rule = rule_files()["linux-ssh-host-keys-removed"].read_text(encoding="utf-8")
    changed = rule.replace("severity: error", "severity: warning\noverrides: linux-ssh-host-keys-removed", 1)
    (tmp_path / "linux-ssh-host-keys-removed.yaml").write_text(changed)
    done = run("verify", "disk.att", "disk.vhd", "--key", keys["ed25519"][1], "--rules", tmp_path, cwd=attested)
    assert (done.returncode, done.stdout.endswith("  rules have changed since; check the image again to see what they say today\n")) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "disk.vhd", "--attest", "x.att"], "--attest FILE and --sign-key FILE belong together"),
        (["check", "disk.vhd", "--attest", "x.att", "--sign-key", "disk.vhd"], "disk.vhd: is larger than 65536 bytes; that is no key"),
        (["check", "disk.vhd", "--attest", "x.att", "--sign-key", "disk.json"], "disk.json: is larger than"),
        (["check", "--root", ".", "--digest"], "a tree has no digest; name an IMAGE"),
        (["verify", "none.att", "disk.vhd", "--key", "none.pub"], "none.pub: the key cannot be read"),
    ],
)
def test_a_call_that_cannot_be_carried_out_is_one_line_and_exit_code_2(attested, arguments, said):
    done = run(*arguments, cwd=attested)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (attested / "x.att").exists()


def test_a_key_with_a_passphrase_is_opened_with_the_variable(keys, attested, tmp_path):
    locked = tmp_path / "locked.pem"
    command = ["openssl", "pkey", "-in", keys["ecdsa"][0], "-aes256", "-passout", "pass:invented", "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    arguments = ["check", attested / "disk.vhd", "--attest", tmp_path / "a.att", "--sign-key", locked, "--quiet"]
    refused = run(*arguments)
    assert (refused.returncode, "it needs a passphrase: VHDPREP_KEY_PASSPHRASE" in refused.stderr) == (2, True)
    os.environ["VHDPREP_KEY_PASSPHRASE"] = "invented"
    try:
        assert run(*arguments).returncode == 1
    finally:
        del os.environ["VHDPREP_KEY_PASSPHRASE"]
    assert run("verify", tmp_path / "a.att", attested / "disk.vhd", "--key", keys["ecdsa"][1]).returncode == 0
