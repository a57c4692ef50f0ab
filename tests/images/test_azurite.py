"""Page blobs where they lie: Azurite, the emulator of Azure's storage, holds them; only what is looked at is transferred."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vhdprep.vhd.blocks import data_extents

ROOT = Path(__file__).resolve().parent.parent.parent
LOCAL = ROOT / "fixtures" / ".build" / "azurite" / "node_modules" / ".bin"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, known to everybody (its documentation, "Default storage account")."""
PAGES = 4 * 2**20
"""Bytes of one Put Page (Azure, "Put Page")."""
MOST = 100 * 10**6
"""Bytes that judging an image of any size may take."""


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """The connection string of an Azurite of our own."""
    program = shutil.which("azurite-blob", path=f"{LOCAL}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("Azurite is not installed; run `make azurite`")
    place = tmp_path_factory.mktemp("azurite")
    command = [program, "--blobHost", "127.0.0.1", "--blobPort", "0", "--location", place, "--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    log = place / "said"
    with log.open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            port = listening(log)
            yield f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
        finally:
            process.terminate()
    shutil.rmtree(place, ignore_errors=True)


def listening(log):
    """The port that a server names in its output."""
    for _ in range(300):
        if found := re.search(r"listens on http://127\.0\.0\.1:(\d+)", log.read_text(encoding="utf-8")):
            return int(found[1])
        time.sleep(0.1)
    pytest.fail(f"Azurite does not listen: {log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="module")
def upload(storage):
    """A file as a page blob: only its data, the rest is never written. Gives the address with a SAS that allows reading."""
    blobs = pytest.importorskip("azure.storage.blob")
    service = blobs.BlobServiceClient.from_connection_string(storage)
    service.create_container("images")

    def put(path):
        blob = service.get_blob_client("images", path.name)
        blob.create_page_blob(path.stat().st_size)
        with path.open("rb", buffering=0) as file:
            for begin, end in list(data_extents(file, path.stat().st_size)):
                for at in range(begin - begin % 512, end, PAGES):
                    file.seek(at)
                    if any(data := file.read(min(PAGES, -(-end // 512) * 512 - at))):
                        blob.upload_page(data, at, len(data))
        until = datetime.now(UTC) + timedelta(hours=1)
        right = blobs.BlobSasPermissions(read=True)
        signature = blobs.generate_blob_sas(ACCOUNT, "images", path.name, account_key=KEY, permission=right, expiry=until)
        return f"{blob.url}?{signature}"

    return put


def report_of(place, cwd=None, **environment):
    """What the program says of an image, in a process of its own."""
    command = [sys.executable, "-m", "vhdprep", "check", str(place), "--format", "json"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, check=False, timeout=300
    )
    assert done.stderr == ""
    assert "sig=" not in done.stdout
    return json.loads(done.stdout)


def assert_same(there, here):
    """The same in all but the name and the run; commands name the file that downloading makes."""
    run = there.pop("run")
    here = {**here, "subject": there["subject"]}
    del here["run"]
    for one, other in zip(here["disks"], there["disks"], strict=True):
        one["path"] = other["path"]
    assert there == here
    assert run["transferred"]["of"] == there["disks"][0]["container"]["file_size"]
    return run


def test_a_page_blob_is_judged_like_the_file_by_https_and_by_abfs(image, storage, upload):
    path = image("debian-12-used")
    here, address = report_of(path.name, path.parent), upload(path)
    assert_same(report_of(address), here)
    assert_same(report_of(f"abfs://images/{path.name}", AZURE_STORAGE_CONNECTION_STRING=storage), here)


def test_a_blob_is_not_read_without_its_signature(image, upload):
    address = upload(image("debian-12-mbr")).partition("?")[0]
    done = subprocess.run([sys.executable, "-m", "vhdprep", "check", address], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"vhdprep: {re.escape(address)}: (may not be read|there is no such image on the server) .*\n", done.stderr)


@pytest.mark.real_image
@pytest.mark.parametrize("name", ["debian-12-generalized.fixed.vhd", "debian-12-generalized.dynamic.vhd"])
def test_30_gib_are_judged_by_a_hundred_megabytes(real_image, upload, storage, name):
    path = real_image(name)
    here, address = report_of(path.name, path.parent), upload(path)
    for place, environment in ((address, {}), (f"abfs://images/{name}", {"AZURE_STORAGE_CONNECTION_STRING": storage})):
        run = assert_same(report_of(place, **environment), here)
        assert run["transferred"]["bytes"] < MOST
        print(name, place.partition(":")[0], run)  # noqa: T201 - figures for whoever asks (pytest -s)
