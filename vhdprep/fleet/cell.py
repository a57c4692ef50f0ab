"""The process that images are judged in: a job a line on standard input, an answer a line on standard output. It ends when its input does.

It is a process of its own, whatever the engine: reading forks and takes signals, which a program with threads must not, and whatever
happens to it is one answer that does not come.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import sys

from vhdprep.errors import VhdprepError, first_line
from vhdprep.fleet.work import Job, Options, judge, load

REPORT, ERROR = "+", "-"
"""What an answer begins with: a report follows, or a text as JSON."""
_READERS = ("vhdprep.vhd", "vhdprep.disk.native", "vhdprep.guest", "vhdprep.probes", "vhdprep.ruleset", "vhdprep.report.upload")


def main() -> None:
    """Answer until there are no more jobs."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", newline="\n")
    os.dup2(2, 1)  # what a library prints is no answer
    if hasattr(os, "register_at_fork"):  # who waits for the answer must see that this process died, whatever its child does
        os.register_at_fork(after_in_child=lambda: os.close(answers.fileno()))
    gc.disable()  # a job's garbage goes with its child
    for line in sys.stdin:
        subject, options, stamp, folder = json.loads(line)
        answers.write(_answer(Job(subject, _options(options), stamp, folder)) + "\n")
        answers.flush()
        gc.collect()


def _answer(job: Job) -> str:
    try:
        os.chdir(job.folder)
    except OSError as error:
        return ERROR + json.dumps(f"{job.folder}: the worker has no such folder ({error.strerror}); mount it in the same place there")
    try:
        _warm_up(job.options)
        return REPORT + judge(job)
    except VhdprepError as error:
        return ERROR + json.dumps(str(error))
    except Exception as error:  # noqa: BLE001 - one image never stops the rest, and the answer is never "ready"
        return ERROR + json.dumps(f"vhdprep failed over it, which is a bug: {type(error).__name__}: {first_line(error)}")


def _options(values: list[object]) -> Options:
    return Options(*(tuple(each) if isinstance(each, list) else each for each in values))  # type: ignore[arg-type]


_warm: list[Options] = []


def _warm_up(options: Options) -> None:
    """Load once, before children are forked, what each of them would load again: rules, modules, tables."""
    if options in _warm:
        return
    load(options)
    from vhdprep import check, waivers  # noqa: F401
    from vhdprep.guest import tables
    from vhdprep.report import json as _  # noqa: F401

    for name in _READERS:
        package = importlib.import_module(name)
        for each in pkgutil.walk_packages(package.__path__, f"{name}."):
            importlib.import_module(each.name)
    for name in tables.names():
        tables.read(name)
    _warm.append(options)
    gc.freeze()


if __name__ == "__main__":
    main()
