"""The same over the workers of a Dask cluster: separate processes on the loopback, some of which are lost."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.test_local import wait_for

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork") or not Path("/proc").is_dir(), reason="these tests look at processes as Linux shows them"),
    pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="Dask is not installed: pip install 'vhdprep[fleet]'"),
]
SCHEDULER = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
WORKER = ("distributed.cli.dask_worker", "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")


class Cluster:
    """A scheduler and workers, each a process."""

    def __init__(self, fleet):
        self.environment = {**fleet.environment, "PYTHONWARNINGS": "ignore"}
        self.all, self.workers = [], []
        self.scheduler = self._start(*SCHEDULER)
        lines = iter(self.scheduler.stderr.readline, "")
        self.address = next(found[0] for line in lines if (found := re.search(r"tcp://127\.0\.0\.1:\d+", line)))

    def add_worker(self):
        self.workers.append(self._start(*WORKER, self.address, quiet=True))

    def _start(self, *arguments, quiet=False):
        command = [sys.executable, "-m", *arguments]
        errors = subprocess.DEVNULL if quiet else subprocess.PIPE
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, text=True, env=self.environment, cwd="/")
        self.all.append(process)
        return process

    def end(self):
        for each in self.all:
            each.kill()
            each.communicate()


@pytest.fixture
def cluster(fleet):
    started = Cluster(fleet)
    for _ in range(2):
        started.add_worker()
    yield started
    started.end()


def without_run(summary):
    return {**summary, "run": None}


def test_two_workers_say_the_same_as_one_process_and_a_lost_one_loses_no_image(fleet, cluster):
    for number in range(6):
        fleet.add(f"slow-{number}.vhd", ("debian-12-generalized", "debian-12-used", "container-checksum")[number % 3])
    (fleet.images / "corrupt.vhd").write_bytes(bytes(range(256)) * 64)
    fleet.add("deadly.vhd")
    fleet.add("bug-x.vhd")
    (fleet.images / "deadly.vhd").rename(fleet.images / "deadly-x.vhd")
    alone = fleet.summary("images", "--jobs", 1)
    spread = fleet.summary("images", "--scheduler", cluster.address)
    assert spread["run"]["engine"] == "dask"
    assert without_run(spread) == without_run(alone)
    fleet.judged()
    process = fleet.start("images", "--scheduler", cluster.address, "--results", "kept", "--format", "json", "--output", "lossy.json")
    wait_for(lambda: (fleet.folder / "hooks" / "judged").exists())
    cluster.workers[0].send_signal(signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (1, "")
    again = fleet.summary("images", "--jobs", 1, "--results", "kept")
    assert again["run"]["reused"] == 7
    assert [{**each, "report": None} for each in again["images"]] == alone["images"]


def test_a_client_that_is_killed_loses_nothing_that_came_back(fleet, cluster):
    for number in range(8):
        fleet.add(f"slow-{number}.vhd")
    kept = fleet.folder / "kept"
    process = fleet.start("images", "--scheduler", cluster.address, "--results", "kept")
    wait_for(lambda: kept.exists() and len(list(kept.glob("*.json"))) >= 2)
    process.kill()
    process.communicate()
    finished = len(list(kept.glob("*.json")))
    summary = fleet.summary("images", "--scheduler", cluster.address, "--results", "kept")
    assert (summary["counts"]["ready"], summary["run"]["reused"]) == (8, finished)


def test_a_scheduler_that_goes_away_ends_the_run_and_what_came_back_is_kept(fleet, cluster):
    for number in range(8):
        fleet.add(f"slow-{number}.vhd")
    kept = fleet.folder / "kept"
    process = fleet.start("images", "--scheduler", cluster.address, "--results", "kept", "--quiet")
    wait_for(lambda: kept.exists() and len(list(kept.glob("*.json"))) >= 2)
    cluster.scheduler.kill()
    out, err = process.communicate(timeout=90)
    assert (process.returncode, out, err) == (3, "8 images: INCONCLUSIVE\n", "")
    assert fleet.summary("images", "--results", "kept")["run"]["reused"] >= 2


def test_a_scheduler_that_is_not_there_is_a_mistake_in_the_call(fleet):
    fleet.add("a.vhd")
    code, out, err = fleet.run("images", "--scheduler", "nonsense://x")
    assert (code, out) == (2, "")
    assert err.startswith("vhdprep: nonsense://x: no scheduler with workers answers there (")
