"""Images on the network as people meet them: one address in the place of a file, and never a secret of it on the screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.cli import test_isolation
from tests.cli.test_cli import ROOT, run
from tests.rangeserver import serving
from tests.schemas import REPORT

QUERY = "sv=2024-11-04&sp=r&sig=SECRET%2Bpart%3D"
HURRIED = "import vhdprep.remote.http as http\nhttp.MAX_REQUEST_SECONDS = 1\nfrom vhdprep.cli import main\nmain()"


def address(server):
    return f"http://reader-7:HUNTER2@127.0.0.1:{server.server_port}/images/my%20disk.vhd?{QUERY}"


def shown(server):
    return f"http://127.0.0.1:{server.server_port}/images/my%20disk.vhd"


def program(code, *arguments):
    """The program after ``code``, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False, timeout=60)


def assert_no_secret(done):
    for word in ("SECRET", "HUNTER2", "sig=S", "reader-7"):
        assert word not in done.stdout + done.stderr


@pytest.mark.parametrize("style", ["text", "json", "markdown", "sarif", "junit", "github", "html"])
def test_a_report_names_the_address_without_its_secrets(image, style):
    with serving(image("debian-12-used")) as server:
        done = run("check", address(server), "--format", style, "--verbose")
    assert (done.returncode, done.stderr) == (1, "")
    assert shown(server) in done.stdout.replace("\n", "").replace("%3A", ":").replace("%25", "%")
    assert_no_secret(done)


def test_the_report_says_how_little_was_transferred(image):
    path = image("debian-12-generalized")
    with serving(path) as server:
        done = run("check", address(server), "--format", "json")
        text = run("check", address(server), "--verbose").stdout
    report = json.loads(done.stdout)
    REPORT.validate(report)
    took = report["run"]["transferred"]
    assert (took["of"], done.returncode) == (path.stat().st_size, 0)
    assert 0 < took["bytes"] < path.stat().st_size
    assert f"transferred in {took['requests']} requests;" in " ".join(text.split())
    assert """azcopy copy 'my disk.vhd' "$SAS" --blob-type PageBlob""" in text


def test_a_file_of_this_host_costs_no_library_of_the_network(image):
    code = "import sys\nfrom vhdprep.cli import main\ntry:\n    main()\nfinally:\n    assert not {'fsspec', 'aiohttp', 'vhdprep.remote'} & set(sys.modules)"
    done = program(code, "check", str(image("debian-12-generalized")), "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["run"]["transferred"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "{it}", "{it}2"),
        ("check", "{it}", "--data={it}x"),
        ("check", "--as={it}", "a.vhd"),
        ("nonsense", "{it}"),
        ("check", "{it}", "--root", "x"),
        ("check", "simplecache::{it}"),
        ("check", "{it} with blanks"),
        ("prepare", "{it}", "copy.vhd"),
        ("prepare", "a.vhd", "copy.vhd", "--data", "{it}"),
        ("cat", "{it}", "/etc/fstab"),
        ("diff", "{it}", "a.vhd"),
        ("rules", "explain", "{it}"),
    ],
    ids=" ".join,
)
def test_no_message_about_a_wrong_call_shows_a_secret(arguments):
    done = run(*(each.format(it=f"http://reader-7:HUNTER2@127.0.0.1:9/disk.vhd?{QUERY}") for each in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert_no_secret(done)


@pytest.mark.parametrize(
    ("mode", "words"), [("missing", "there is no such image on the server"), ("forbidden", "may not be read"), ("to-file", "sends elsewhere")]
)
def test_what_is_not_there_is_told_in_one_line(image, mode, words):
    with serving(image("debian-12-generalized"), mode) as server:
        done = run("check", address(server))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"vhdprep: {shown(server)}: ")
    assert words in done.stderr
    assert_no_secret(done)


@pytest.mark.parametrize(("mode", "after"), [("no-ranges", 0), ("stall", 3), ("drop", 6), ("wrong-range", 8), ("changed", 8)])
def test_a_server_that_fails_or_lies_leaves_the_image_undecided(image, mode, after):
    with serving(image("debian-12-used"), mode, after=after) as server:
        done = program(HURRIED, "check", address(server), "--format", "json")
    assert (done.returncode, done.stderr) == (3, "")
    report = json.loads(done.stdout)
    assert (report["verdict"], report["counts"]["fail"], len(report["gaps"])) == ("inconclusive", 0, 1)
    assert report["gaps"][0].startswith(f"{shown(server)}: the ")
    assert_no_secret(done)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork; nothing is isolated here")
def test_a_crash_of_a_library_is_survived_with_a_connection_of_the_next_child(image):
    with serving(image("debian-12-generalized")) as server:
        deadly = test_isolation.ON_OPENING_EXT.format(names=["p3"], signal=11)
        code, out, err = test_isolation.run("ext", "open_files", deadly, "check", address(server), "--format", "json")
    assert (code, err) == (3, "")
    assert json.loads(out)["gaps"][0].startswith("p3: the library that reads it crashed (SIGSEGV)")


def test_one_looks_into_an_image_on_the_network(image):
    path = image("debian-12-generalized")
    with serving(path) as server:
        assert run("cat", address(server), "/etc/fstab").stdout == run("cat", path, "/etc/fstab").stdout != ""
        assert run("ls", address(server), "/etc").stdout == run("ls", path, "/etc").stdout != ""
        assert run("inspect", address(server), "--container-only").returncode == 0
        done = run("diff", address(server), path)
    assert (done.returncode, done.stdout) == (0, f"{shown(server)}, {path}: the same\n")


def test_a_manifest_may_name_addresses_and_shows_none_of_their_secrets(image, tmp_path):
    with serving(image("debian-12-generalized")) as server:
        manifest = tmp_path / "vm.yaml"
        manifest.write_text(f"disks:\n  - file: {address(server)}\n    role: os\n", encoding="utf-8")
        done = run("check", "--manifest", manifest, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["subject"] == report["declared"]["disks"][0]["file"] == shown(server)
    assert_no_secret(done)


def test_prepare_says_how_to_download_it():
    done = run("prepare", "https://host/images/my%20disk.vhd?sig=SECRET", "--plan-only")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "vhdprep: https://host/images/my%20disk.vhd: only a file of this host can be prepared; download it first, with the whole address: "
        "azcopy copy 'ADDRESS' 'my disk.vhd', or curl --fail --output 'my disk.vhd' 'ADDRESS'\n"
    )


def test_libguestfs_is_given_no_address(image):
    with serving(image("debian-12-generalized")) as server:
        done = run("check", address(server), "--backend", "guestfs")
    assert (done.returncode, done.stdout) == (2, "")
    assert_no_secret(done)


def test_without_the_extra_the_cure_is_named_and_doctor_knows(image):
    code = "import sys\nsys.modules['aiohttp'] = None\nfrom vhdprep.cli import main\nmain()"
    done = program(code, "check", "https://host/disk.vhd?sig=SECRET")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "vhdprep: https://host/disk.vhd: https:// is not read without a library that is not installed (aiohttp); run: pip install 'vhdprep[remote]'\n"
    )
    said = run("doctor").stdout
    assert "network, where the host has it:\n  works    aiohttp " in said
    assert "images at abfs:// and az:// addresses" in said
