"""A library in C that dies over one volume loses that volume, not the report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vhdprep import isolate

ROOT = Path(__file__).resolve().parent.parent.parent
DIE = "import os, sys, vhdprep.cli, vhdprep.disk.native.{module} as reader\nhonest = reader.{name}\n{deadly}\nreader.{name} = deadly\nvhdprep.cli.main()"
ON_OPENING_EXT = "def deadly(stream):\n    if stream.name in {names}: os.kill(os.getpid(), {signal})\n    return honest(stream)"
WAITING_FOREVER = (
    "import resource, time\nfrom vhdprep import isolate\nfrom vhdprep.disk import recorder\nisolate.MAX_HELPER_SECONDS = 1\n"
    "def deadly(stream):\n    if stream.name != 'p3': return honest(stream)\n    with recorder.unbounded():\n"
    "        (soft, hard), (seconds, _) = resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CPU)\n"
    "        assert (soft, seconds) == (hard, 1)\n"
    "    assert resource.getrlimit(resource.RLIMIT_CPU)[0] == isolate.MAX_SECONDS\n    time.sleep(60)"
)
ON_READING = "def deadly(self, path):\n    if self._id == 'p3' and path == '/etc/fstab': os.kill(os.getpid(), 11)\n    return honest(self, path)"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork; nothing is isolated here")


def program(module, name, deadly, *arguments):
    code = DIE.format(module=module, name=name, deadly=deadly)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def run(*arguments):
    process = program(*arguments)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def gaps(out):
    return json.loads(out)["gaps"]


def test_a_crash_on_opening_a_volume_leaves_that_volume_unread(image):
    code, out, err = run(
        "ext", "open_files", ON_OPENING_EXT.format(names=["p3"], signal=11), "check", image("debian-12-generalized"), "--format", "json"
    )
    assert (code, err) == (3, "")
    assert gaps(out)[0] == "p3: the library that reads it crashed (SIGSEGV): its structures are damaged, or made to harm"
    report = json.loads(out)
    assert [(each["id"], each["read"]) for each in report["disks"][0]["volumes"]] == [("p1", False), ("p2", True), ("p3", False)]
    assert {each["outcome"] for each in report["findings"] if each["rule_id"].startswith("vhd-type-")} == {"pass"}


def test_a_helper_has_limits_of_its_own_and_is_not_waited_for_for_ever(image):
    code, out, err = run("ext", "open_files", WAITING_FOREVER, "check", image("debian-12-generalized"), "--format", "json")
    assert (code, err) == (3, "")
    assert gaps(out)[0] == "p3: libguestfs had not read it after 1 seconds"


def test_a_crash_on_reading_a_file_is_blamed_on_its_volume(image):
    code, out, _ = run("tree", "LibyalFiles.lstat", ON_READING, "inspect", image("debian-12-generalized"), "--format", "json")
    assert code == 0
    assert gaps(out)[0].startswith("p3: the library that reads it crashed (SIGSEGV)")


def test_every_volume_may_crash_in_its_turn(image):
    deadly = ON_OPENING_EXT.format(names=["p3", "p4", "p5", "p6", "p7"], signal=6)
    code, out, _ = run("ext", "open_files", deadly, "check", image("debian-12-split"), "--format", "json")
    assert code == 3
    assert [gap.partition(":")[0] for gap in gaps(out)[:5]] == ["p3", "p4", "p5", "p6", "p7"]


def test_a_reader_without_end_is_stopped_and_the_disk_left_alone(image):
    deadly = ON_OPENING_EXT.format(names=["p3"], signal=int(signal.SIGXCPU))
    code, out, _ = run("ext", "open_files", deadly, "check", image("debian-12-generalized"), "--format", "json")
    assert code == 3
    assert gaps(out)[0] == "debian-12-generalized.vhd is not read: reading it took more than 120 seconds of processor time"


def test_who_ends_the_program_ends_it(image):
    forever = "def deadly(stream):\n    print('reading', file=sys.stderr, flush=True)\n    import time\n    time.sleep(50)"
    for wish in (signal.SIGTERM, signal.SIGINT):
        process = program("ext", "open_files", forever, "check", image("debian-12-generalized"))
        assert process.stderr.readline() == "reading\n"
        begin = time.monotonic()
        process.send_signal(wish)
        out, _ = process.communicate(timeout=20)
        assert (out, time.monotonic() - begin < 10) == ("", True)
        assert process.returncode in (-wish, 128 + wish)


def test_without_fork_nothing_is_shielded(monkeypatch):
    monkeypatch.delattr(os, "fork")
    assert isolate.shield() == {}


def test_a_child_has_no_more_memory_than_it_may():
    code = "import resource\nfrom vhdprep.isolate import MAX_MEMORY, shield\nshield()\nassert resource.getrlimit(resource.RLIMIT_AS)[0] <= MAX_MEMORY\nbytearray(MAX_MEMORY)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("MemoryError\n")


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        ("| true; exit ${PIPESTATUS[0]}", 0, ""),
        (">&-", 0, ""),
        (">&- 2>&-", 0, ""),
        ("> /dev/full", 2, "vhdprep: standard output cannot be written (No space left on device)\n"),
    ],
)
def test_where_the_report_goes_does_not_change_the_verdict(image, redirection, code, said):
    command = f"{sys.executable} -m vhdprep check {image('debian-12-generalized')} {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (code, said)
