"""The whole of it, on machines with nothing to start, so that no system is booted: choose, run, look, judge, and leave nothing."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.rehearse.disks import Bytes, needs_qemu, opened
from tests.unit.memory import image as memory_image
from vhdprep.errors import BackendUnavailable, RehearsalFailed, Unreadable
from vhdprep.rehearsal import Milestone, Outcome, Rehearsal
from vhdprep.rehearse import boot as booting
from vhdprep.rehearse import network, run, twins, watch
from vhdprep.rehearse.choices import Hardware
from vhdprep.rehearse.machine import firmware
from vhdprep.rehearse.run import Looked, Run, Wish, boot, rehearse

LIMITS = watch.Patience(total=90, silence=30, grace=0.1)


@pytest.fixture(scope="module")
def emulator():
    try:
        return firmware.find(uefi=True)
    except BackendUnavailable as error:
        pytest.skip(str(error))


def children():
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def nobody(*_):
    """Nobody is shown anything."""


@needs_qemu
def test_a_disk_without_a_kernel_is_booted_and_does_not_boot(emulator, image):
    path = image("debian-12-virtio")
    before = hashlib.sha256(path.read_bytes()).hexdigest(), path.stat(), opened(), children()
    shown = []
    found = boot(path, Wish((), limits=LIMITS), lambda *each: shown.append(each))
    assert (found.outcome, found.cause, found.missing) == (Outcome.NO_BOOT, "The firmware found nothing to start.", Milestone.KERNEL)
    assert [each.milestone for each in found.reached] == [Milestone.CONSOLE]
    assert found.machine == f"QEMU {emulator.version} with {found.machine.split()[3][:-1]}, UEFI, disk on virtio-scsi, network card virtio-net"
    assert any("BdsDxe" in each for each in found.console)
    assert not any("\x1b" in each for each in found.console)
    assert (found.passed, found.provisions, found.twins, found.tried) == (False, False, None, ())
    assert shown[0][0] is None
    assert shown[-1][0] is Milestone.CONSOLE
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat(), opened(), children()) == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("freebsd-14-generalized", r"FreeBSD 14\.1-RELEASE\S* cannot be rehearsed"),
        ("windows-2022-generalized", "Windows Server 2022 .* cannot be rehearsed: what Azure provisions Windows with is not published"),
        ("disk-luks-root", "there is nothing to boot .*rehearse it before it is encrypted|the root is encrypted"),
        ("debian-12-used", "no disk that can be emulated has its drivers"),
    ],
)
def test_what_cannot_be_rehearsed_is_said_before_anything_is_started(image, monkeypatch, name, words):
    monkeypatch.setattr(run, "_run", lambda *_, **__: pytest.fail("it was booted"))
    monkeypatch.setattr(run.firmware, "find", lambda **_: pytest.fail("the emulator was looked for"))
    found = boot(image(name), Wish(()), nobody)
    assert (found.outcome, found.passed, found.missing, found.remedy, found.reached) == (Outcome.IMPOSSIBLE, None, None, "", ())
    assert re.search(words, found.cause), found.cause


def test_the_offline_report_has_the_rehearsal_beside_it(image, monkeypatch, rules):
    monkeypatch.setattr(run, "_rehearse", lambda *_: Rehearsal(Outcome.NEVER, "c", "r", None))
    report = rehearse(image("debian-12-virtio"), Wish(rules), nobody)
    assert (report.verdict, report.rehearsal.outcome) == ("ready", Outcome.NEVER)


HARDWARE = Hardware("uefi", "q35", "virtio-blk", "virtio-net", "virtio-scsi", ("disk",), ("disk: virtio-blk is a guess, for x", "network card: y"))


def twice(monkeypatch, first, second):
    """What two machines come to."""
    runs = iter([first, second])
    monkeypatch.setattr(run, "_run", lambda *_, **__: next(runs))
    monkeypatch.setattr(run.firmware, "find", lambda **_: None)
    monkeypatch.setattr(run.firmware, "accelerated", lambda: False)
    return run._rehearse(Path("x"), Wish((), twins=True), Looked(None, HARDWARE, "", True, ()), nobody)


def one(outcome, seconds=10.0, **marks):
    return Run(Rehearsal(outcome, "", "", None, seconds=seconds), {path: twins.Mark("machine id", each) for path, each in marks.items()})


def test_of_two_machines_the_worse_one_counts_and_what_they_have_in_common(monkeypatch):
    found = twice(monkeypatch, one(Outcome.REHEARSED, a="1", b="2"), one(Outcome.DEFECTS, 12.5, a="1", b="3"))
    assert (found.outcome, found.seconds) == (Outcome.DEFECTS, 22.5)
    assert [(each.where, each.equal) for each in found.twins] == [("a", True), ("b", False)]
    assert twice(monkeypatch, one(Outcome.NEVER), one(Outcome.REHEARSED)).outcome is Outcome.NEVER


def test_two_good_machines_that_are_one_and_the_same_do_not_pass(monkeypatch):
    assert twice(monkeypatch, one(Outcome.REHEARSED, a="1"), one(Outcome.REHEARSED, a="1")).passed is False
    assert twice(monkeypatch, one(Outcome.REHEARSED, a="1"), one(Outcome.REHEARSED, a="2")).passed is True
    assert twice(monkeypatch, one(Outcome.IMPOSSIBLE), one(Outcome.REHEARSED)).passed is None


def test_why_a_device_was_guessed_is_in_the_words_of_who_guessed():
    assert booting._why(HARDWARE, "disk") == "disk: virtio-blk is a guess, for x"
    assert booting._why(HARDWARE, "DVD drive") == "DVD drive"


@needs_qemu
def test_an_emulator_that_fails_says_nothing_of_the_image_and_nothing_is_left(emulator, image, monkeypatch):
    monkeypatch.setattr(booting.qemu, "arguments", lambda *_, **__: [emulator.emulator, "-machine", "no-such-machine"])
    before = opened(), children()
    with pytest.raises(RehearsalFailed, match="the emulator does not start: "):
        boot(image("debian-12-virtio"), Wish((), limits=LIMITS), nobody)
    assert (opened(), children()) == before


@needs_qemu
def test_an_emulator_that_dies_says_nothing_of_the_image(emulator, image, monkeypatch):
    class Dies(booting.Machine):
        async def activity(self):
            self._process.kill()
            return await super().activity()

    monkeypatch.setattr(booting, "Machine", Dies)
    before = opened(), children()
    with pytest.raises(RehearsalFailed, match="the emulator ended by itself: "):
        boot(image("debian-12-virtio"), Wish((), limits=LIMITS), nobody)
    assert (opened(), children()) == before


@needs_qemu
def test_an_emulator_that_hides_the_way_to_ssh_says_nothing_of_the_image(emulator, image, monkeypatch):
    async def nowhere(*_):
        return None

    monkeypatch.setattr(network.Network, "ssh", nowhere)
    with pytest.raises(RehearsalFailed, match="whether it answers cannot be told"):
        boot(image("debian-12-virtio"), Wish((), limits=LIMITS._replace(total=2, grace=0)), nobody)


@needs_qemu
def test_a_file_that_cannot_be_read_on_is_not_the_system_s_fault(emulator, image, monkeypatch):
    real = run.open_reader

    @contextmanager
    def breaks(path, container):
        with real(path, container) as reader:
            yield Bytes(reader.read_at(0, reader.size), (1024, Unreadable("block 7 lies outside the file")))

    monkeypatch.setattr(run, "open_reader", breaks)
    found = boot(image("debian-12-virtio"), Wish((), limits=LIMITS), nobody)
    assert (found.outcome, found.cause) == (
        Outcome.IMPOSSIBLE,
        "A part of the image could not be read while it ran, so what it did proves nothing: block 7 lies outside the file.",
    )


def test_a_file_in_memory_is_open_for_what_it_is_wanted():
    before = opened()
    reading, writing = booting._memory("a", b"abc"), booting._memory("b", b"abc", writable=True)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(reading, b"x")
    assert os.pread(reading, 9, 0) == os.pread(writing, 9, 0) == b"abc"
    assert os.pwrite(writing, b"x", 0) == 1
    for each in (reading, writing):
        os.close(each)
    assert opened() == before


def test_the_agent_and_its_marks_are_seen_offline():
    assert run._has_agent(memory_image({"/usr/sbin/waagent": "#!/usr/bin/python3"}))
    assert not run._has_agent(memory_image({}))
    assert not run._has_agent(memory_image({}, guest=None))
    assert run._stale(memory_image({"/var/lib/waagent/provisioned": "x"})) == ("/var/lib/waagent/provisioned",)
    assert run._stale(memory_image({}, guest=None)) == ()
