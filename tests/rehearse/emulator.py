"""An emulator that emulates nothing: it takes the real one's arguments and descriptors, greets over QMP, and then does what a test tells it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAME = "qemu-system-x86_64"
_PROGRAM = """#!{python} -IS
import json, os, re, socket, sys, threading, time
if "--version" in sys.argv:
    print("QEMU emulator version 7.2.22")
    sys.exit()
words = " ".join(sys.argv)
if "-accel kvm" in words:
    sys.exit(1)
control = socket.socket(fileno=int(re.search(r"id=control,fd=(\\d+)", words)[1]))
overlay = int(re.search(r"fd=(\\d+),set=10", words)[1])
disk = socket.socket(fileno=int(re.search(r'"type": "fd", "str": "(\\d+)"', words)[1]))

def tell(**what):
    control.sendall(json.dumps(what).encode() + b"\\r\\n")

def event(name, **data):
    tell(event=name, data=data, timestamp=dict(seconds=0, microseconds=0))

def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()

def serve():
    tell(QMP=dict(version=dict(qemu=dict(micro=22, minor=2, major=7), package=""), capabilities=[]))
    while asked := control.recv(65536):  # one command at a time, for the client waits for each answer
        asked = json.loads(asked)
        tell(**{{"return": ANSWERS.get(asked["execute"], {{}})}}, **({{"id": asked["id"]}} if "id" in asked else {{}}))
        if asked["execute"] == "qmp_capabilities":
            threading.Thread(target=live, daemon=True).start()
    os._exit(0)

ANSWERS = {{"query-blockstats": []}}

def live():
{script}
    time.sleep(1000)

serve()
"""


def install(folder: Path, script: str) -> Path:
    """A folder for the front of PATH with an emulator whose machine does ``script``: Python with ``say``, ``event``, ``overlay``, ``disk``."""
    folder.mkdir(exist_ok=True)
    program = folder / NAME
    program.write_text(_PROGRAM.format(python=sys.executable, script="\n".join(f"    {line}" for line in script.splitlines())))
    program.chmod(0o755)
    return folder


def path(folder: Path) -> str:
    """PATH with ``folder`` in front."""
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
