from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vhdprep.rehearse.network import tap

UNSHARE = ["unshare", "-Urn"]


def reason() -> str:
    """Why there can be no namespace here; empty where there can."""
    if not shutil.which("unshare"):
        return "unshare is not installed"
    if not os.access(tap.DEVICE, os.R_OK | os.W_OK):
        return f"{tap.DEVICE} may not be opened"
    made = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    return "" if made.returncode == 0 else f"no user namespaces: {made.stderr.strip()}"


@pytest.mark.skipif(bool(reason()), reason=reason())
def test_the_guest_reaches_the_services_and_the_probe_reaches_the_guest_over_the_tap():
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.rehearse.tapped"],
        capture_output=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert json.loads(ran.stdout) == [
        "('168.63.129.16', 80) heard hello\n",
        "('168.63.129.16', 32526) heard hello\n",
        "('169.254.169.254', 80) heard hello\n",
        "SSH-2.0-probe\r\n",
        "SSH-2.0-guest\r\n",
    ]


def test_without_the_device_nothing_is_left_open(monkeypatch, tmp_path):
    monkeypatch.setattr(tap, "DEVICE", str(tmp_path / "none"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError):
        tap.open_tap()
    monkeypatch.setattr(tap, "DEVICE", "/dev/zero")
    with pytest.raises(OSError, match="ioctl"):
        tap.open_tap()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
