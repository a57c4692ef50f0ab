"""Guests of one shell script, really booted: what they reach, and what becomes of those that mean harm.

Each takes a minute of two processors without KVM, so they run when asked for, as in ``test_boots``.
"""

from __future__ import annotations

import os
import socket

import pytest

from tests.rehearse import tiny
from vhdprep.errors import BackendUnavailable
from vhdprep.rehearsal import Milestone, Outcome
from vhdprep.rehearse import watch
from vhdprep.rehearse.machine import firmware, overlay
from vhdprep.rehearse.run import Wish, rehearse

WANTED = os.environ.get("VHDPREP_REHEARSE", "")
pytestmark = [
    pytest.mark.real_image,
    pytest.mark.skipif(WANTED not in ("some", "all"), reason="boots tiny machines for a minute each; VHDPREP_REHEARSE=some or all does it"),
    pytest.mark.skipif(bool(tiny.MISSING), reason=f"tiny guests are built with {', '.join(tiny.MISSING)}, which this host does not have"),
]
everything = pytest.mark.skipif(WANTED != "all", reason="boots more machines; VHDPREP_REHEARSE=all does it")
ANSWERED = """online
for each in 169.254.169.254:80/metadata/instance?api-version=2021-08-01 168.63.129.16:80/?comp=versions 168.63.129.16:32526/versions; do
  wget -q -O /dev/null --header 'Metadata: true' "http://$each" && answered=$((answered + 1))
done
for each in 10.0.0.1 10.0.2.2 168.0.0.1 168.0.0.2 168.63.129.16 127.0.0.1 8.8.8.8 HOST; do
  nc -w 3 $each PORT </dev/null >/dev/null 2>&1 && reached="$reached $each"
done
tray
health Cloud-Init/0 Ready
printf '\\033]0;title\\007\\033[2J<script>alert(1)</script> cannot\\n'
echo "cloud-init: $answered services answered, reached:${reached:- nothing}"
echo 'host login: '
sleep 2
poweroff -f"""


@pytest.fixture(scope="module", autouse=True)
def emulator():
    try:
        firmware.find(uefi=True)
    except BackendUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def guest(real_image, tmp_path):
    """Make one of a script."""
    kit = tiny.Kit(real_image("debian-12-generalized.fixed.vhd"), real_image("facts.json"), tmp_path / "kit")
    return lambda script: kit.make(tmp_path / "tiny.vhd", script)


def boot(image):
    return rehearse(image, Wish((), limits=watch.Patience(total=300, ready=30)), lambda *_: None).rehearsal


def test_it_reaches_the_platform_and_nothing_of_the_host(guest):
    with socket.create_server(("0.0.0.0", 0)) as server:
        server.settimeout(0)
        image = guest(ANSWERED.replace("PORT", str(server.getsockname()[1])).replace("HOST", socket.gethostbyname(socket.gethostname())))
        found = boot(image)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert {Milestone.DHCP, Milestone.METADATA, Milestone.DVD, Milestone.READY, Milestone.LOGIN} <= {each.milestone for each in found.reached}
    assert (found.outcome, found.missing) == (Outcome.UNREACHABLE, Milestone.SSH)
    assert found.cause == "Ready was reported by Cloud-Init/0, and then it switched itself off: nobody can log in."
    assert "cloud-init: 3 services answered, reached: nothing" in found.console
    assert any(each.startswith("tcp 8.8.8.8:") for each in found.tried)


@everything
def test_a_guest_that_fills_its_disk_is_stopped_and_told_so(guest, monkeypatch):
    monkeypatch.setattr(overlay, "room", lambda _: 32 << 20)
    found = boot(guest("online\ndd if=/dev/urandom of=/dev/sda bs=1M count=200\nsync"))
    assert (found.outcome, found.missing) == (Outcome.NEVER, Milestone.READY)
    assert found.cause.startswith("It wrote more to a disk than a first boot may before it was provisioned.")


@everything
def test_one_that_starts_again_once_goes_on(guest):
    found = boot(guest("[ -e /root/second ] || { touch /root/second; sync; reboot -f; }\nonline\ntray\nhealth Cloud-Init/0 Ready\npoweroff -f"))
    assert (found.outcome, found.missing) == (Outcome.UNREACHABLE, Milestone.SSH)


@everything
def test_one_that_starts_again_for_ever_is_stopped(guest):
    found = boot(guest("reboot -f"))
    assert (found.outcome, found.cause) == (Outcome.NO_BOOT, "It reset itself 6 times, and never came up.")


@everything
def test_a_panic_is_told(guest):
    found = boot(guest("exit 0"))
    assert (found.outcome, found.cause) == (Outcome.NO_BOOT, "The kernel panicked.")
