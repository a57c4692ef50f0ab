"""A process that starts writers: each records reports one by one and says so after each, until it is done or killed.

Lines on standard input: ``STORE WHO HOW-MANY FILE``; answered with the writer's process id. What was recorded is appended to the file, a line each:
which report, which record, whether it was new. Loading everything once makes a writer start in a moment.
"""

from __future__ import annotations

import os
import signal
import sys

from tests.audit.reports import day, finding, recorded, written
from vhdprep.audit.store import open_store
from vhdprep.errors import VhdprepError


def report(who, number):
    """Each a different one, and every fifth without a failed rule; some 30 KiB."""
    findings = [finding(f"rule-{each}", where=f"/{who}/{number}/{each * 7919 % 104729}") for each in range(number % 5 * 60)]
    name = f"{who}-{number % 10}.vhd"
    return written(name=name, verdict="not-ready" if findings else "ready", started=day(1 + number % 28), findings=findings, notices=[f"{number}"])


def write(place, who, most, log):
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        store = open_store(place, make=True)
        for number in range(most):
            done = recorded(store, report(who, number))
            os.write(file, f"{number} {done.number} {done.is_new}\n".encode())
        os.write(file, b"end\n")
    except VhdprepError as error:
        os.write(file, f"{type(error).__name__}: {error}\n".encode())


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        place, who, most, log = line.split()
        if (child := os.fork()) == 0:
            write(place, who, int(most), log)
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
