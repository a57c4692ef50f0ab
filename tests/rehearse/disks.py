"""A real emulator on a real disk: QEMU without a machine, its drive an overlay over what the NBD server gives."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from vhdprep.rehearse.machine import nbd

QEMU = shutil.which("qemu-system-x86_64")
needs_qemu = pytest.mark.skipif(
    QEMU is None or shutil.which("qemu-img") is None, reason="QEMU is not installed; run: sudo apt-get install qemu-system-x86 qemu-utils"
)


def opened():
    """Descriptors of this process that are open."""
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that looks
            found.add((each.name, str(each.readlink())))
    return {each for each in found if "/fd" not in each[1]}


class Bytes:
    """A disk of bytes; ``bad``: an offset from which on it cannot be read, and with which error."""

    def __init__(self, data, bad=None):
        self.data, self.size, self.bad = data, len(data), bad

    def read_at(self, offset, size):
        if self.bad and offset + size > self.bad[0]:
            raise self.bad[1]
        return self.data[offset : offset + size]


@contextmanager
def serving(reader):
    """Our server, and the client's end."""
    ours, theirs = socket.socketpair()
    server = nbd.Server(reader, ours)
    theirs.settimeout(10)
    try:
        yield server, theirs
    finally:
        theirs.close()
        server.close()


def emulate(reader, overlay, *commands):
    """What ``qemu-io`` commands print, and what the server could not read; carried out by a QEMU that has the disk as a rehearsal gives it."""
    with serving(reader) as (server, theirs):
        node = {
            "node-name": "disk0",
            "driver": "qcow2",
            "discard": "unmap",
            "cache": {"no-flush": True},
            "file": {"driver": "file", "filename": "/dev/fdset/10", "discard": "unmap"},
            "backing": {"driver": "nbd", "export": "", "read-only": True, "server": {"type": "fd", "str": str(theirs.fileno())}},
        }
        words = [
            *(QEMU, "-machine", "none", "-nodefaults", "-display", "none", "-sandbox", "on", "-qmp", "stdio"),
            *("-add-fd", f"fd={(file := os.dup(overlay.file.fileno()))},set=10", "-blockdev", json.dumps(node)),
        ]
        asked = [{"execute": "qmp_capabilities"}]
        asked += [{"execute": "human-monitor-command", "arguments": {"command-line": f'qemu-io disk0 "{each}"'}} for each in commands]
        asked += [{"execute": "quit"}]
        try:
            done = subprocess.run(
                words,
                input="\n".join(map(json.dumps, asked)),
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
                pass_fds=(file, theirs.fileno()),
            )
        finally:
            os.close(file)
        lines = done.stdout.splitlines()  # of QMP, and what qemu-io prints among them
        assert not [each for each in lines if each.startswith("{") and "error" in json.loads(each)], lines
        return "\n".join(each for each in lines if not each.startswith("{")), server.failed
