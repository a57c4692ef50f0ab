"""What is not ready, since when, and what changed: the same of a file and of a server."""

from __future__ import annotations

import json
from functools import partial

import pytest

from tests.audit.reports import NOW, day, finding, not_ready, recorded, values, written
from tests.unit.test_reports import NASTY, Shape, report_saying
from vhdprep.audit import changes, fleet, history, page
from vhdprep.audit.entry import Wrong
from vhdprep.errors import UsageError
from vhdprep.model import Outcome, Severity, Target, Verdict
from vhdprep.report import json as report_json
from vhdprep.report.words import safe


def standings(store):
    """Image → verdict, the day since when, the day of the newest judgement, how many records."""
    return {each.image: (str(each.verdict), f"{each.since:%m-%d}", f"{each.judged:%m-%d}", each.records) for each in store.read(history.standings)}


def test_an_image_has_its_verdict_since_the_first_judgement_that_gave_it_without_another_in_between(store):
    for data in (
        not_ready("web.vhd", day(1), "a"),
        written(started=day(2)),
        not_ready("web.vhd", day(3), "a"),
        not_ready("web.vhd", day(4), "a", "b"),
        written(name="db.vhd", started=day(2)),
        written(name="db.vhd", started=day(5)),
    ):
        recorded(store, data)
    assert standings(store) == {"web.vhd": ("not-ready", "11-03", "11-04", 4), "db.vhd": ("ready", "11-02", "11-05", 2)}


def test_the_time_of_judging_counts_and_not_that_of_recording(store):
    for number in (3, 1, 2):
        recorded(store, written(started=day(number)) if number == 1 else not_ready("web.vhd", day(number), "a"))
    assert standings(store) == {"web.vhd": ("not-ready", "11-02", "11-03", 3)}
    (found,) = store.read(lambda connection: history.histories(connection, "web.vhd"))
    assert [each.number for each in found.records] == [2, 3, 1]


def test_a_time_zone_is_the_same_moment(store):
    recorded(store, not_ready("web.vhd", "2026-11-01T23:30:00-05:00", "a"))
    recorded(store, written(started="2026-11-02T04:00:00+00:00"))
    assert standings(store) == {"web.vhd": ("not-ready", "11-02", "11-02", 2)}


def test_of_two_judgements_at_one_moment_the_one_recorded_later_counts(store):
    recorded(store, written())
    recorded(store, not_ready("web.vhd", day(1), "a"))
    assert standings(store) == {"web.vhd": ("not-ready", "11-01", "11-01", 2)}
    recorded(store, written(tool={"version": "2.0"}))
    assert standings(store) == {"web.vhd": ("ready", "11-01", "11-01", 3)}


def test_the_same_report_a_second_time_is_the_first_however_it_is_laid_out(store):
    found = values(findings=[finding("a", "pass")])
    first = recorded(store, json.dumps(found).encode())
    again = recorded(store, json.dumps(found, indent=4, sort_keys=True).encode(), "another-name.vhd")
    assert (first, again) == (history.Recorded(1, "web.vhd", True), history.Recorded(1, "web.vhd", False))
    assert store.read(lambda connection: history.report(connection, 1))[0] == json.dumps(found).encode()


def test_an_image_is_judged_for_each_target_on_its_own(store):
    recorded(store, written())
    recorded(store, written(target="marketplace", verdict="not-ready", findings=[finding("a")], started=day(2)))
    recorded(store, written(started=day(3)))
    found = {(each.image, each.target): (each.verdict, each.records) for each in store.read(history.standings)}
    assert found == {("web.vhd", Target.GENERALIZED): (Verdict.READY, 2), ("web.vhd", Target.MARKETPLACE): (Verdict.NOT_READY, 1)}


def test_what_is_not_ready_comes_first_and_of_that_what_has_been_so_longest(store):
    for data in (
        written(name="ready.vhd"),
        not_ready("new.vhd", day(3), "a"),
        not_ready("old.vhd", day(2), "a"),
        written(name="unknown.vhd", verdict="inconclusive", gaps=["p2: encrypted"]),
    ):
        recorded(store, data)
    assert [*standings(store)] == ["old.vhd", "new.vhd", "unknown.vhd", "ready.vhd"]


def test_what_is_wrong_now_is_known_without_opening_the_report(store):
    findings = [finding("a"), finding("b", "unknown"), finding("c", "fail", "warning"), finding("d", "pass"), finding("e", "waived")]
    recorded(store, not_ready("web.vhd", day(1), "z"))
    recorded(store, written(verdict="not-ready", findings=findings, started=day(2)))
    (found,) = store.read(history.standings)
    assert found.wrong == (
        Wrong("a", Severity.ERROR, Outcome.FAIL),
        Wrong("b", Severity.ERROR, Outcome.UNKNOWN),
        Wrong("c", Severity.WARNING, Outcome.FAIL),
    )
    assert (found.errors, found.warnings, found.undecided, found.ruleset, found.tool) == (1, 1, 1, "a" * 64, "1.0")


def test_a_history_tells_what_changed_from_one_report_to_the_next(store):
    for number, rules in enumerate(([], ["a"], ["a"], ["b"]), 1):
        findings = [finding(rule, "fail" if rule in rules else "pass") for rule in "ab"]
        recorded(store, written(verdict="not-ready" if rules else "ready", findings=findings, started=day(number)))
    (found,) = store.read(lambda connection: history.histories(connection, "web.vhd"))
    course = store.read(lambda connection: changes.course(connection, found, 3))
    assert [(stage.record.number, [tuple(each) for each in stage.compared.differences]) for stage in course.stages] == [
        (2, [("verdict", "verdict", "ready", "not-ready"), ("rules", "a", "pass", "fail (/etc/x)")]),
        (3, []),
        (4, [("rules", "a", "fail (/etc/x)", "pass"), ("rules", "b", "pass", "fail (/etc/x)")]),
    ]


def test_an_image_is_found_by_the_digest_of_its_file_or_disk(store):
    disks = [{"digests": {"file": "1" * 64, "disk": "2" * 64}}]
    recorded(store, written(disks=disks))
    recorded(store, written(name="other.vhd"))
    for wanted in ("web.vhd", "1" * 64, f"sha256:{'2' * 64}", "1" * 12):
        (found,) = store.read(lambda connection, wanted=wanted: history.histories(connection, wanted))
        assert found.image == "web.vhd"
    for unknown in ("1" * 11, "3" * 64, "%", "_" * 12):
        with pytest.raises(UsageError, match="is recorded"):
            store.read(lambda connection, unknown=unknown: history.histories(connection, unknown))
    with pytest.raises(UsageError, match=r"did you mean web\.vhd"):
        store.read(lambda connection: history.histories(connection, "wep.vhd"))


def test_whatever_a_report_says_is_data(store):
    texts = [*NASTY, "'; DROP TABLE vhdprep_image; --", "x\x00y", "%s %(name)s :name ? {0}"]
    for number, text in enumerate(texts):
        image, report = f"{number}{text}"[:60], report_saying(text)._replace(started=day(1))
        data = report_json.render(report).encode()
        done = recorded(store, data, image)
        recorded(store, report_json.render(report._replace(started=day(2))).encode(), image)
        assert done.image == safe(image).strip()
        (found,) = store.read(partial(history.histories, wanted=image))
        course = store.read(partial(changes.course, found=found, last=5))
        assert [stage.compared.differences if stage.compared else None for stage in course.stages] == [None, ()]
        assert store.read(partial(history.report, number=done.number))[0] == data
    shown = Shape(page.render(fleet.look(store, None))).text
    assert [each for number, text in enumerate(texts) if (each := safe(f"{number}{text}"[:60]).strip()) not in shown] == []


def test_the_fleet_is_what_every_image_last_said(store):
    for data in (not_ready("web.vhd", day(1), "a"), written(started=day(3)), written(name="db.vhd", started=day(2))):
        recorded(store, data)
    found = fleet.look(store, None)
    assert [tuple(point)[1:] for point in found.trend.points] == [(0, 1, 0), (1, 1, 0), (2, 0, 0)]
    (told,) = fleet.told(found)
    assert (told.image, told.change.before, told.change.now, told.began, told.ended) == ("web.vhd", "not-ready", "ready", [], ["a"])
    assert told.change.judged < NOW
