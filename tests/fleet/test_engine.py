"""The loop that spreads jobs: a window of them at a time, and none is lost with its worker."""

from __future__ import annotations

from concurrent.futures import Executor, Future

import pytest

from vhdprep.errors import BackendUnavailable, UsageError
from vhdprep.fleet import cells, engine
from vhdprep.fleet.cells import Answer
from vhdprep.fleet.work import Job, Options, judge


class LostError(Exception):
    pass


class Flaky(Executor):
    """Loses the first tries of a job, as often as its name says."""

    def __init__(self):
        self.tries, self.open, self.most = {}, 0, 0

    def submit(self, _ask, job, seconds):
        self.tries[job.subject] = self.tries.get(job.subject, 0) + 1
        future = Future()
        if job.subject == "cancelled":
            future.cancel()
            future.set_running_or_notify_cancel()
        elif self.tries[job.subject] <= int(job.subject):
            future.set_exception(LostError("gone"))
        else:
            future.set_result(Answer(job.subject, None))
        return future


def carried(*names):
    executor = Flaky()
    spread = engine.Engine("test", executor, 2, cells.ask, lambda error: isinstance(error, LostError))
    return {job.subject: answer for job, answer in engine.carry_out(spread, [Job(each, Options(), "") for each in names], lambda _: 1)}


def test_a_job_whose_worker_was_lost_is_handed_out_again_but_not_for_ever():
    assert carried("0", "3", "4", "00", "cancelled", "000") == {
        "0": Answer("0", None),
        "3": Answer("3", None),
        "4": Answer(None, "the worker failed: LostError: gone"),
        "00": Answer("00", None),
        "cancelled": Answer(None, "the worker failed: CancelledError: the scheduler is gone"),
        "000": Answer("000", None),
    }


def test_no_more_jobs_are_taken_than_are_handed_out():
    taken = []

    def jobs():
        for number in range(10):
            taken.append(number)
            yield Job("0", Options(), "")

    answers = engine.carry_out(engine.Engine("test", Flaky(), 3, cells.ask, lambda _: False), jobs(), lambda _: 1)
    next(answers)
    assert taken == [0, 1, 2]
    assert len(list(answers)) == 9


def test_a_worker_with_other_rules_judges_nothing():
    with pytest.raises(UsageError, match="the worker has another version of vhdprep, other rules or other waivers"):
        judge(Job("a.vhd", Options(), "another"))


def test_without_dask_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'vhdprep\[fleet\]'"), engine.dask("local", 1):
        pass


def test_cells_that_were_stopped_answer_nothing():
    here = cells.Cells()
    here.stop()
    with pytest.raises(cells.Stopped):
        here.ask(Job("a.vhd", Options(), ""), 1)
