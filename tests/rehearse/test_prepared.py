"""``prepare --rehearse``: a copy gets its name when it provisions, and otherwise there is none. The rehearsal here is a plain function."""

from __future__ import annotations

import json

import pytest
import typer

from vhdprep.cli import prepare as command
from vhdprep.errors import BackendUnavailable, RehearsalFailed
from vhdprep.model import Verdict
from vhdprep.prepare import run, show
from vhdprep.rehearsal import Milestone, Outcome, Rehearsal

CAUSE, REMEDY = "It came up, and never asked for an address: no DHCP client ran.", "Install a DHCP client."
DEFECT = "The agent never reported Ready."


def came_to(outcome, **more):
    return Rehearsal(outcome, "" if outcome is Outcome.REHEARSED else CAUSE, "" if outcome is Outcome.REHEARSED else REMEDY, Milestone.DHCP, **more)


@pytest.fixture
def prepare(image, rules, tmp_path):
    """Prepare with a rehearsal that comes to what is given; gives what came of it, and what the rehearsal was given."""

    def make(outcome, name="debian-12-dynamic", data=(), **more):
        seen = []

        def rehearse(disks):
            seen.extend((each, each.stat().st_size) for each in disks)
            assert not (tmp_path / "copy").exists()
            assert not (tmp_path / "copy.vhd").exists()
            if isinstance(outcome, Exception):
                raise outcome
            return came_to(outcome, **more)

        wish = run.Wish(tuple(each for each in rules if each.id.startswith("vhd-")), data=tuple(map(image, data)), rehearse=rehearse)
        copy = tmp_path / ("copy" if data else "copy.vhd")
        return run.prepare(image(name), copy, wish, progress=lambda *_: None), seen

    return make


def left_in(folder):
    return sorted(each.name for each in folder.iterdir())


@pytest.mark.parametrize("outcome", [Outcome.REHEARSED, Outcome.DEFECTS])
def test_a_copy_that_provisions_gets_its_name_and_the_list_of_changes_says_so(prepare, tmp_path, outcome):
    made, seen = prepare(outcome)
    assert left_in(tmp_path) == ["copy.vhd", "copy.vhd.changes.json"]
    assert json.loads(made.ledger.read_text())["rehearsal"] == outcome.value
    assert made.after.rehearsal.outcome is outcome
    assert [size for _, size in seen] == [(tmp_path / "copy.vhd").stat().st_size]


@pytest.mark.parametrize("outcome", [each for each in Outcome if each not in (Outcome.REHEARSED, Outcome.DEFECTS)])
def test_a_copy_that_does_not_provision_is_none(prepare, tmp_path, outcome):
    made, _ = prepare(outcome)
    assert left_in(tmp_path) == []
    assert (made.ledger, made.worse, made.new_gaps) == (None, (), ())
    assert made.after.rehearsal.cause == CAUSE


@pytest.mark.parametrize("error", [RehearsalFailed("the emulator ended by itself"), BackendUnavailable("a rehearsal needs ssh")])
def test_a_rehearsal_that_fails_leaves_nothing(prepare, tmp_path, error):
    with pytest.raises(type(error)):
        prepare(error)
    assert left_in(tmp_path) == []


def test_without_a_rehearsal_the_list_of_changes_says_nothing_of_one(image, no_rehearsal, tmp_path):
    made = run.prepare(image("debian-12-dynamic"), tmp_path / "copy.vhd", no_rehearsal, progress=lambda *_: None)
    assert "rehearsal" not in json.loads(made.ledger.read_text())
    assert made.after.rehearsal is None


@pytest.fixture
def no_rehearsal(rules):
    return run.Wish(tuple(each for each in rules if each.id.startswith("vhd-")))


def test_a_copy_of_which_less_can_be_read_is_not_booted(prepare, monkeypatch, tmp_path):
    real = run._look_at_copy

    def with_gap(*asked):
        report = real(*asked)
        return report._replace(gaps=(*report.gaps, "p1: something new"))

    monkeypatch.setattr(run, "_look_at_copy", with_gap)
    made, seen = prepare(Outcome.REHEARSED)
    assert (made.new_gaps, made.ledger, seen) == (("p1: something new",), None, [])
    assert left_in(tmp_path) == []


def test_all_disks_of_a_machine_are_booted_together(prepare, tmp_path):
    made, seen = prepare(Outcome.NEVER, data=("debian-12-mbr",))
    assert len(seen) == 2
    assert made.ledger is None
    assert left_in(tmp_path) == []
    made, _ = prepare(Outcome.REHEARSED, data=("debian-12-mbr",))
    assert left_in(tmp_path) == ["copy"]
    assert json.loads((tmp_path / "copy" / "changes.json").read_text())["rehearsal"] == "rehearsed"


def test_what_came_of_it_is_said_to_people(prepare):
    made, _ = prepare(Outcome.NEVER, console=("evil\x1b[31m login:",))
    assert show.outcome_text(made) == (
        "No copy was made: rehearsed, it does not provision.\nRehearsal: never provisions (0 s)\n"
        f"{CAUSE}\n{REMEDY}\n  console: evil\\x1b[31m login:\n"
    )


def test_a_copy_that_could_not_be_rehearsed_is_not_said_to_fail(prepare):
    made, _ = prepare(Outcome.IMPOSSIBLE)
    assert show.outcome_text(made).startswith("No copy was made: it could not be rehearsed.\nRehearsal: not rehearsable\n")


def test_defects_are_said_beside_the_copy(prepare, tmp_path):
    made, _ = prepare(Outcome.DEFECTS, defects=(DEFECT,))
    lines = show.outcome_text(made).splitlines()
    assert lines[:4] == [
        "The image was not-ready; the copy is ready.",
        "Rehearsal: rehearsed, with defects (0 s)",
        f"  defect: {DEFECT}",
        f"0 changes made; all of them in {tmp_path / 'copy.vhd.changes.json'}",
    ]


@pytest.mark.parametrize(
    ("outcome", "code"),
    [(Outcome.REHEARSED, 0), (Outcome.DEFECTS, 1), *((each, 2) for each in Outcome if each not in (Outcome.REHEARSED, Outcome.DEFECTS))],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_the_exit_code_and_the_values(prepare, capsys, outcome, code, form):
    made, _ = prepare(outcome)
    assert made.after.verdict is Verdict.READY
    with pytest.raises(typer.Exit) as caught:
        command._show_made(made, form, None, verbose=False, quiet=False)
    assert caught.value.exit_code == code
    if form == "json":
        values = json.loads(capsys.readouterr().out)
        assert values["after"]["rehearsal"]["outcome"] == outcome.value
        assert (values["copy"] is None, values["ledger"] is None) == (code == 2, code == 2)
