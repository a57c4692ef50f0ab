"""The NBD server: by hand, byte for byte, and with QEMU's own client."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import subprocess
import threading

import pytest

from tests.rehearse.disks import Bytes, needs_qemu, opened, serving
from vhdprep.errors import Unreadable
from vhdprep.rehearse.machine import nbd
from vhdprep.vhd.container import describe
from vhdprep.vhd.opening import open_reader

DISK = os.urandom(4096)
GREETING = b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3)
EXPORT = struct.pack(">QH", 4096, 3)
"""4096 bytes; it has flags, and is read only."""


def option(number, data=b""):
    return b"IHAVEOPT" + struct.pack(">II", number, len(data)) + data


def reply(number, kind, data=b""):
    return struct.pack(">QIII", 0x0003E889045565A9, number, kind, len(data)) + data


def request(kind, offset=0, size=0, cookie=7):
    return struct.pack(">IHHQQI", 0x25609513, 0, kind, cookie, offset, size)


def answer(error=0, cookie=7):
    return struct.pack(">IIQ", 0x67446698, error, cookie)


def take(end, size):
    data = b""
    while len(data) < size and (more := end.recv(size - len(data))):
        data += more
    return data


def talk(reader, *steps):
    """Send each step's bytes, and give what came back for it; ``b""`` where the server went away. ``steps``: what is sent, and how much is expected."""
    with serving(reader) as (server, end):
        assert take(end, 18) == GREETING
        end.sendall(struct.pack(">I", 3))
        found = []
        for data, size in steps:
            end.sendall(data)
            found.append(take(end, size))
        return found, server.failed


GO = (option(7, struct.pack(">IH", 0, 0)), len(reply(7, 3, b"\0\0" + EXPORT) + reply(7, 1)))


def test_a_client_agrees_reads_and_leaves():
    found, failed = talk(
        Bytes(DISK),
        GO,
        (request(0, 512, 1024), 16 + 1024),
        (request(0, 4096, 0), 16),
        (request(3), 16),
        (request(2), 1),
    )
    assert found == [reply(7, 3, b"\0\0" + EXPORT) + reply(7, 1), answer() + DISK[512:1536], answer(), answer(), b""]
    assert failed is None


def test_an_old_client_gets_the_export_by_its_name():
    found, _ = talk(Bytes(DISK), (option(1), 10), (request(0, 0, 16), 32))
    assert found == [EXPORT, answer() + DISK[:16]]


def test_what_is_not_offered_is_refused_and_the_client_may_go_on():
    found, _ = talk(Bytes(DISK), (option(5), 20), (option(8), 20), (option(6), 52), GO, (request(0, 0, 4), 20))
    assert found[:3] == [reply(5, 2**31 + 1), reply(8, 2**31 + 1), reply(6, 3, b"\0\0" + EXPORT) + reply(6, 1)]
    assert found[4] == answer() + DISK[:4]


def test_a_client_that_gives_up_is_let_go():
    assert talk(Bytes(DISK), (option(2), 21))[0] == [reply(2, 1)]


@pytest.mark.parametrize(("offset", "size"), [(4096, 1), (4000, 97), (2**63, 1), (0, nbd.MAX_READ + 1)])
def test_nothing_beyond_the_disk_is_read_and_nothing_too_large(offset, size):
    found, failed = talk(Bytes(DISK), GO, (request(0, offset, size), 16), (request(0, 0, 4), 20))
    assert found[1:] == [answer(22), answer() + DISK[:4]]
    assert failed is None


@pytest.mark.parametrize("kind", [4, 5, 6, 7, 99], ids=["trim", "cache", "zeroes", "status", "unknown"])
def test_nothing_but_reading_is_permitted(kind):
    assert talk(Bytes(DISK), GO, (request(kind, 0, 512), 16))[0][1] == answer(1)


def test_a_write_ends_the_connection():
    assert talk(Bytes(DISK), GO, (request(1, 0, 4) + b"evil", 16))[0][1] == b""


@pytest.mark.parametrize("sent", [b"IHAVEOPX" + bytes(8), option(7)[:8] + struct.pack(">II", 7, nbd.MAX_OPTION + 1)], ids=["magic", "length"])
def test_a_client_that_speaks_something_else_is_let_go(sent):
    assert talk(Bytes(DISK), (sent, 1))[0] == [b""]


def test_a_request_that_is_none_ends_the_connection():
    assert talk(Bytes(DISK), GO, (b"\0" * 28, 16))[0][1] == b""


@pytest.mark.parametrize("error", [Unreadable("block 7 lies outside the file"), OSError(5, "Input/output error"), ValueError("read of closed file")])
def test_what_cannot_be_read_is_an_error_for_the_guest_and_told(error):
    found, failed = talk(Bytes(DISK, (2048, error)), GO, (request(0, 2048, 512), 16), (request(0, 0, 4), 20))
    assert found[1:] == [answer(5), answer() + DISK[:4]]
    assert failed == str(error)


def test_nothing_is_left_of_it_when_it_is_closed():
    before = opened(), threading.active_count()
    with serving(Bytes(DISK)):
        pass
    assert (opened(), threading.active_count()) == before


@needs_qemu
@pytest.mark.parametrize(
    "name", ["debian-12-generalized", "debian-12-dynamic", "debian-12-vhdx", "debian-12-vhdx-fixed", "debian-12-vhdx-differencing"]
)
def test_qemu_reads_the_very_bytes_that_are_judged(image, tmp_path, name):
    is_read_alike(image(name), tmp_path / "copy")


@needs_qemu
def test_qemu_reads_a_differencing_vhd_with_its_parent(data, tmp_path):
    for name in ("fat-parent.vhd", "fat-differential.vhd"):
        shutil.copy(data(f"vhd/{name}"), tmp_path / name)
    is_read_alike(tmp_path / "fat-differential.vhd", tmp_path / "copy")


def is_read_alike(path, copied):
    container = describe(path)
    with open_reader(path, container) as reader, serving(reader) as (server, end):
        served = {"driver": "raw", "file": {"driver": "nbd", "server": {"type": "fd", "str": str(end.fileno())}}}
        subprocess.run(["qemu-img", "convert", "-O", "raw", f"json:{json.dumps(served)}", copied], pass_fds=(end.fileno(),), check=True)
        expected = hashlib.sha256()
        for at in range(0, reader.size, 2**20):
            expected.update(reader.read_at(at, min(2**20, reader.size - at)))
        assert server.failed is None
    with copied.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == expected.hexdigest()
