"""Fleets made of fixtures, and workers that misbehave over images of certain names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures import build

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = ("debian-12-generalized", "debian-12-used", "container-checksum")
TROUBLE = '''
"""Loaded at the start of every Python of a test: what an image's name asks for happens when it is judged."""
import os, signal, sys, time
from pathlib import Path
if sys.argv[:1] == ["-m"]:
    import vhdprep.check as module
    honest, here = module.check, Path(__file__).parent
    def check(path, *args, **options):
        name = path.name
        with (here / "judged").open("a") as log:
            log.write(name + "\\n")
        if name.startswith("slow-"):
            time.sleep(0.4)
        if name.startswith("forever-"):
            time.sleep(600)
        if name.startswith("bug-"):
            raise ValueError("a bug\\nof ours")
        if name.startswith("deadly-") or (name.startswith("once-") and not (here / "once").exists()):
            (here / "once").touch()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)
        return honest(path, *args, **options)
    module.check = check
'''


class Fleet:
    """A folder of images, and the program over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = folder / "images"
        self.images.mkdir()
        (folder / "hooks").mkdir()
        (folder / "hooks" / "sitecustomize.py").write_text(TROUBLE)
        self.environment = {**os.environ, "PYTHONPATH": f"{folder / 'hooks'}:{ROOT}", "VHDPREP_BACKEND": "native", "COLUMNS": "100"}

    def add(self, name: str, recipe: str = "debian-12-generalized") -> Path:
        path = self.images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(build.build(recipe), path)
        return path

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "vhdprep", "fleet", "check", *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment, cwd=self.folder)

    def run(self, *arguments: object) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def summary(self, *arguments: object) -> dict:
        code, out, err = self.run(*arguments, "--format", "json")
        assert err == ""
        found = json.loads(out)
        assert code == {"ready": 0, "not-ready": 1, "inconclusive": 3}[found["verdict"]]
        return found

    def judged(self) -> list[str]:
        """The names of what was judged since the last call."""
        log = self.folder / "hooks" / "judged"
        names = sorted(log.read_text().splitlines()) if log.exists() else []
        log.unlink(missing_ok=True)
        return names

    def processes(self) -> list[str]:
        """What still runs with this folder's environment."""
        found = []
        for each in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.folder).encode() in (each / "environ").read_bytes():
                    found.append((each / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return [each for each in found if each]


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path)
