"""Cells as seen from the process that asks them: started when needed, replaced when they die or do not answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.fleet.cell import ERROR, REPORT

if TYPE_CHECKING:
    from vhdprep.fleet.work import Job

MAX_ANSWER = 64 * 1024 * 1024
"""Characters of one answer; a report with every finding has half a MiB."""
MAX_TRIES = 3
"""Cells that may die over one image before it is left alone."""
MAX_WAIT = 1800
"""Seconds by the clock for one image: twice what ``isolate`` gives the slowest reader. An unreachable share would be waited for for ever."""
MIN_RATE = 10 * 1024**2
"""Bytes a second; with digests the wait is longer by the size of the image at this rate."""


class Answer(NamedTuple):
    """What came of one job: one of the two."""

    report: str | None
    """JSON in one line."""
    error: str | None
    """Why nothing was judged."""


class Stopped(Exception):  # noqa: N818 - what happened, read as a word
    """Nobody wants the answer any more."""


class Cell:
    """One process that judges."""

    def __init__(self) -> None:
        """Start it, in a session of its own: Ctrl-C at the terminal is for whoever asks."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vhdprep.fleet.cell"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="ascii",
            start_new_session=True,
        )
        self.late = False
        """It was ended for it took too long."""

    def ask(self, job: Job, seconds: float) -> Answer | None:
        """Its answer; None = it died."""
        assert self._process.stdin
        assert self._process.stdout
        clock = threading.Timer(seconds, self._give_up)
        clock.start()
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline(MAX_ANSWER)
        except OSError:
            line = ""
        finally:
            clock.cancel()
        if line.endswith("\n") and line.startswith(REPORT):
            return Answer(line[1:].rstrip("\n"), None)
        if line.endswith("\n") and line.startswith(ERROR):
            return Answer(None, str(json.loads(line[1:])))
        self.end()
        return Answer(None, f"it was not judged within {seconds:.0f} seconds by the clock") if self.late else None

    def died_of(self) -> str:
        """How it ended, in words."""
        code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _give_up(self) -> None:
        self.late = True
        self.end()

    def end(self) -> None:
        """End it at once, and the child that it reads in. Until it is waited for, its number is nobody else's."""
        if hasattr(os, "killpg") and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def close(self) -> None:
        """End it, and leave nothing of it."""
        self.end()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(BrokenPipeError):  # a job that was not taken
                    pipe.close()


class Cells:
    """The cells of this process: as many as threads ask at a time."""

    def __init__(self) -> None:
        """None is started yet."""
        self._lock = threading.Lock()
        self._idle: list[Cell] = []
        self._busy: set[Cell] = set()
        self._stopped = False

    def ask(self, job: Job, seconds: float) -> Answer:
        """The answer to one job, by a new cell where the last one died.

        Raises:
            Stopped: ``stop`` was called meanwhile.
        """
        died = ""
        for _ in range(MAX_TRIES):
            cell = self._take()
            answer = cell.ask(job, seconds)
            died = self._give_back(cell, answer) or died
            if answer is not None:
                return answer
        return Answer(None, f"the worker died {MAX_TRIES} times while it judged it, last of {died}")

    def stop(self) -> None:
        """End all of them, also those that are at work, for good."""
        with self._lock:
            self._stopped = True
            for each in self._busy:
                each.end()
        self.close_idle()

    def close_idle(self) -> None:
        """End those that have nothing to do; who asks later gets new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for each in idle:
            each.close()

    def _take(self) -> Cell:
        with self._lock:
            if self._stopped:
                raise Stopped
            cell = self._idle.pop() if self._idle else Cell()
            self._busy.add(cell)
            return cell

    def _give_back(self, cell: Cell, answer: Answer | None) -> str:
        """Keep a cell that lives, put away one that does not; of what it died."""
        with self._lock:
            self._busy.discard(cell)
            if answer is not None and not cell.late and not self._stopped:
                self._idle.append(cell)
                return ""
        died = cell.died_of() if answer is None else ""
        cell.close()
        return died


_OF_WORKER = Cells()
"""Those of a worker of a cluster, which may work for several programs."""


def ask(job: Job, seconds: float) -> Answer:
    """The answer to one job, from a cell of the worker that this is called in."""
    return _OF_WORKER.ask(job, seconds)


def close_idle() -> None:
    """End cells of the worker that this is called in that have nothing to do."""
    _OF_WORKER.close_idle()
