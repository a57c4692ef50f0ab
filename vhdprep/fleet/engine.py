"""Spread jobs over threads that ask cells here, or over the workers of a Dask cluster, whose threads ask cells there. One loop for both."""

from __future__ import annotations

import importlib
import logging
from concurrent.futures import FIRST_COMPLETED, CancelledError, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep.errors import BackendUnavailable, UsageError, first_line
from vhdprep.fleet import cells
from vhdprep.fleet.cells import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from concurrent.futures import Executor, Future

    from vhdprep.fleet.work import Job

LOCAL = "local"
"""In the place of a scheduler's address: Dask's own, on this machine."""
MAX_START = 60
"""Seconds that a cluster may take until it has a worker."""
MIN_WINDOW = 32
"""Jobs that a cluster is given at a time at least: workers may join later."""
MAX_LOST = 3
"""Times that a job is handed out again because the workers that had it were lost."""
_LOOK_UP = 1.0
"""Seconds after which the loop looks whether somebody wants it to end; Windows wakes nobody."""


class Engine(NamedTuple):
    """Something that carries out jobs."""

    name: str
    executor: Executor
    window: int
    """Jobs that are handed out at a time: memory is bounded by them, not by the number of images."""
    ask: Callable[[Job, float], Answer]
    """What is carried out, wherever that is."""
    is_lost: Callable[[BaseException], bool]
    """Whether an error says that the worker was lost, rather than that the job failed."""


def carry_out(engine: Engine, jobs: Iterable[Job], seconds: Callable[[Job], float]) -> Generator[tuple[Job, Answer], None, None]:
    """Every job with its answer, as they come. A job whose worker was lost is handed out again."""
    todo = iter(jobs)
    pending: dict[Future[Answer], tuple[Job, int]] = {}

    def submit(job: Job, lost: int) -> None:
        pending[engine.executor.submit(engine.ask, job, seconds(job))] = (job, lost)

    for job in islice(todo, engine.window):
        submit(job, 0)
    while pending:
        done, _ = wait(pending, timeout=_LOOK_UP, return_when=FIRST_COMPLETED)
        for future in done:
            job, lost = pending.pop(future)
            error = CancelledError("the scheduler is gone") if future.cancelled() else future.exception()
            if error is not None and engine.is_lost(error) and lost < MAX_LOST:
                submit(job, lost + 1)
                continue
            yield job, future.result() if error is None else Answer(None, f"the worker failed: {type(error).__name__}: {_said(error)}")
            for following in islice(todo, 1):
                submit(following, 0)


def _said(error: BaseException) -> str:
    return first_line(error) if isinstance(error, Exception) else str(error)


@contextmanager
def processes(jobs: int) -> Iterator[Engine]:
    """So many processes of this machine. When the block ends, however it does, none is left."""
    threads, own = ThreadPoolExecutor(jobs, "vhdprep-fleet"), cells.Cells()
    try:
        yield Engine("processes", threads, 2 * jobs, own.ask, lambda _: False)
    finally:
        own.stop()
        threads.shutdown(wait=True, cancel_futures=True)


@contextmanager
def dask(scheduler: str, jobs: int) -> Iterator[Engine]:
    """The workers of the cluster at ``scheduler``, or ``jobs`` workers of one on this machine. Results come back to this process.

    Raises:
        BackendUnavailable: Dask is not installed.
        UsageError: there is no such scheduler, or it has no workers.
    """
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise BackendUnavailable("Dask is not installed: pip install 'vhdprep[fleet]'") from error
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters of it is said by the answers
    try:
        cluster = distributed.LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None) if scheduler == LOCAL else None
        client = distributed.Client(cluster or scheduler, timeout=MAX_START)
        client.wait_for_workers(1, timeout=MAX_START)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(f"{scheduler}: no scheduler with workers answers there ({first_line(error)})") from error
    threads = sum(client.nthreads().values())
    executor = client.get_executor(pure=False, retries=0)
    try:
        yield Engine("dask", executor, max(4 * threads, MIN_WINDOW), cells.ask, lambda error: isinstance(error, distributed.KilledWorker))
    finally:
        executor.shutdown(wait=False)
        if client.status == "running":  # not where the scheduler is gone
            with suppress(OSError):
                client.run(cells.close_idle, on_error="ignore")
        client.close()
        if cluster is not None:
            cluster.close()
