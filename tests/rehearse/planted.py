"""Copies of the real Debian with one fault each, planted into the file system without mounting it."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEBUGFS = shutil.which("debugfs", path="/usr/sbin:/sbin:/usr/bin:/bin")


class Fault(NamedTuple):
    """What is done to the root file system; ``files``: path → content, None = it is taken away; ``links``: path → target."""

    files: Mapping[str, str | None] = {}
    links: Mapping[str, str] = {}


def plant(source: Path, facts: Path, target: Path, fault: Fault) -> Path:
    """A copy of ``source`` (a fixed VHD) at ``target``; sparse, so that it costs what the disk holds."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, target], check=True)
    root = json.loads(facts.read_text())["disk"]["partitions"]["1"]
    script = []
    for number, (path, content) in enumerate(fault.files.items()):
        script += [f"rm {path}"]
        if content is not None:
            (new := target.with_name(f"{target.name}.{number}")).write_text(content)
            script += [*_parents(path), f"write {new} {path}"]
    for path, leads in fault.links.items():
        script += [f"rm {path}", f"symlink {path} {leads}"]
    told = subprocess.run(
        [DEBUGFS, "-w", "-f", "-", f"{target}?offset={root['start']}"], input="\n".join(script), capture_output=True, text=True, check=True
    )
    bad = [line for line in told.stderr.splitlines()[1:] if "File not found" not in line and "already exists" not in line]
    assert not bad, bad
    return target


def _parents(path: str) -> list[str]:
    """``mkdir`` of every directory above; those that are there stay as they are."""
    parts = path.strip("/").split("/")[:-1]
    return [f"mkdir /{'/'.join(parts[: number + 1])}" for number in range(len(parts))]
