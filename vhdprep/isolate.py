"""Go on in a child process, so that a crash inside a library in C loses one volume and not the report.

The parent only waits. A child that a signal ends is replaced by one that leaves alone what the dead one was reading;
what it could not read is a gap, so the verdict is never ready. Costs one ``fork``.
"""

from __future__ import annotations

import copyreg
import os
import pickle
import signal
import sys
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn, TypeVar, cast

from vhdprep.disk import recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_T = TypeVar("_T")

MAX_SECONDS = 120
"""Processor time of one run; reading an image of any size takes a few seconds."""
MAX_MEMORY = 3 * 1024**3
"""Address space of one run, in bytes."""
MAX_HELPER_SECONDS = 900
"""Time of a program that helps in reading (libguestfs's virtual machine): of the processor for itself, by the clock for all that it is asked."""
MAX_TRIES = 8
"""Children that may die before the disk is left alone altogether."""

_DONE = "done"
_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT) if os.name == "posix" else ()
"""Somebody wants the program to end; no library did that."""


def shield() -> Mapping[str, str]:
    """Return in a child process: volume → why it must not be read, for those that an earlier child died of.

    The calling process never returns from here; it ends as the last child does. Where there is no ``fork`` (Windows),
    nothing is shielded and the answer is empty.
    """
    if not hasattr(os, "fork"):
        return {}
    recorder.share()
    avoid: dict[str, str] = {}
    for _ in range(MAX_TRIES):
        sys.stdout.flush()
        sys.stderr.flush()
        recorder.note("")
        child = os.fork()
        if not child:
            _limit()
            recorder.when_unbounded(_bounds_of_helpers)
            return avoid
        code = _wait(child)
        if code > 0 or (code == 0 and recorder.last() == _DONE):
            _end(code)
        place, why = _blame(-code)
        if place in avoid:
            place = recorder.CONTAINER
        avoid[place] = why
    avoid[recorder.CONTAINER] = "reading it crashed again and again"
    return avoid


def call(work: Callable[[Mapping[str, str]], _T]) -> _T:
    """What ``work`` gives when it is carried out in such a child; this process goes on, unbounded.

    ``work`` takes what must not be read, and why. Its result must be one that can be pickled; so must its errors.
    """
    if not hasattr(os, "fork"):
        return work({})
    recorder.share()
    avoid: dict[str, str] = {}
    for _ in range(MAX_TRIES):
        recorder.note("")
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            _limit()
            recorder.when_unbounded(_bounds_of_helpers)
            _answer(work, avoid, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            data = pipe.read()
        code = _wait(child)
        if code == 0 and data:
            result, error = pickle.loads(data)
            if error is not None:
                raise error
            return cast("_T", result)
        if -code in _OURS:
            raise KeyboardInterrupt
        place, why = _blame(max(-code, 0))
        if place in avoid:
            place = recorder.CONTAINER
        avoid[place] = why
    return work({**avoid, recorder.CONTAINER: "reading it crashed again and again"})


def _answer(work: Callable[[Mapping[str, str]], object], avoid: Mapping[str, str], writing: int) -> NoReturn:
    """The child's part: hand the result, or the error, through the pipe."""
    code = 1
    try:
        try:
            answer = pickle.dumps((work(avoid), None))
        except Exception as error:  # noqa: BLE001 - it is raised again in the parent
            answer = pickle.dumps((None, error))
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
        code = 0
    finally:
        os._exit(code)


def _frozen(values: dict[object, object]) -> MappingProxyType[object, object]:
    return MappingProxyType(values)


copyreg.pickle(MappingProxyType, lambda proxy: (_frozen, (dict(proxy),)))  # reports hold some


def finished() -> None:
    """The report is written: a child that leaves with exit code 0 before this was ended by a library."""
    recorder.note(_DONE)


def _wait(child: int) -> int:
    """The child's exit code, or the negated number of the signal that ended it; a wish to end is handed on."""
    before = {each: signal.signal(each, lambda number, _: os.kill(child, number)) for each in _OURS}
    try:
        _, status = os.waitpid(child, 0)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    return os.waitstatus_to_exitcode(status)


def _end(code: int) -> NoReturn:
    """Leave as the child did, without a second clean-up of what it cleaned up."""
    os._exit(code)


def _blame(number: int) -> tuple[str, str]:
    """What the dead child was reading, and why it died, in words."""
    if number in _OURS:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        _end(128 + number)  # the first process of a container is not ended by its own signal
    if number == 0:
        return recorder.last() or recorder.CONTAINER, "the library that reads it ended the program"
    if number == signal.SIGXCPU:
        return recorder.CONTAINER, f"reading it took more than {MAX_SECONDS} seconds of processor time"
    if number == signal.SIGALRM:
        return recorder.last() or recorder.CONTAINER, f"libguestfs had not read it after {MAX_HELPER_SECONDS} seconds"
    if number == signal.SIGKILL:
        return recorder.CONTAINER, "the system killed the program while it was read, most likely for want of memory"
    name = signal.Signals(number).name
    place = recorder.last() or recorder.CONTAINER
    return place, f"the library that reads it crashed ({name}): its structures are damaged, or made to harm"


def _limit() -> None:
    """Bound the child; a host that does not know a limit goes without it."""
    import resource

    for kind, most in ((resource.RLIMIT_CPU, MAX_SECONDS), (resource.RLIMIT_AS, MAX_MEMORY)):
        soft, hard = resource.getrlimit(kind)
        lower = [most, *(each for each in (soft, hard) if each != resource.RLIM_INFINITY)]
        try:
            resource.setrlimit(kind, (min(lower), hard))
        except (ValueError, OSError):  # macOS refuses to bound address space
            continue


@contextmanager
def _bounds_of_helpers() -> Iterator[None]:
    """A virtual machine needs more than this process may take. Should it never answer, an alarm ends this process, and with it the machine."""
    import resource

    kept = [(kind, resource.getrlimit(kind)) for kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS)]
    for (kind, (_, hard)), most in zip(kept, (MAX_HELPER_SECONDS, resource.RLIM_INFINITY), strict=True):
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else hard, hard))
    signal.alarm(MAX_HELPER_SECONDS)
    try:
        yield
    finally:
        for kind, limits in kept:
            resource.setrlimit(kind, limits)
