"""``vhdprep audit`` as people and scripts meet it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.audit.reports import day, finding, not_ready, written
from tests.cli.test_cli import ROOT, run
from tests.cli.test_comfort import PROGRAM, asked, program  # noqa: F401 - a fixture
from tests.schemas import REPORT


@pytest.fixture
def audit(tmp_path):
    """Runs `vhdprep audit` on a store of the test's own."""

    def call(command, *arguments, store=tmp_path / "audit.db", **more):
        return run("audit", command, "--store", store, *arguments, **more)

    return call


@pytest.fixture
def reports(tmp_path):
    """Files: a.json to c.json are of three days of web.vhd, d.json of db.vhd."""
    contents = {
        "a": written(findings=[finding("rule-a", "pass")]),
        "b": not_ready("web.vhd", day(2), "rule-a"),
        "c": not_ready("web.vhd", day(3), "rule-a"),
        "d": written(name="db.vhd"),
    }
    for name, data in contents.items():
        (tmp_path / f"{name}.json").write_bytes(data)
    return [tmp_path / f"{name}.json" for name in contents]


def test_what_is_not_ready_since_when_and_what_changed(audit, reports, tmp_path):
    done = audit("record", *reports)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "web.vhd: READY, recorded (record 1)",
        "web.vhd: NOT READY, recorded (record 2)",
        "web.vhd: NOT READY, recorded (record 3)",
        "db.vhd: READY, recorded (record 4)",
        f"a new history was made: {tmp_path / 'audit.db'}",
    ]
    assert audit("list").stdout.splitlines() == [
        "NOT READY     since 2026-11-02 10:00 UTC    3 records  web.vhd",
        "READY         since 2026-11-01 10:00 UTC     1 record  db.vhd",
        "1 of 2 images is not ready",
    ]
    assert audit("show", "web.vhd").stdout.splitlines() == [
        "web.vhd (generalized): 3 records",
        "",
        "2026-11-01 10:00 UTC  READY         record 1: 0 errors, 0 warnings, 0 undecided",
        "    the first that is recorded",
        "",
        "2026-11-02 10:00 UTC  NOT READY     record 2: 1 error, 0 warnings, 0 undecided",
        "    verdict: verdict: ready -> not-ready",
        "    rules: rule-a: pass -> fail (/etc/x)",
        "",
        "2026-11-03 10:00 UTC  NOT READY     record 3: 1 error, 0 warnings, 0 undecided",
        "    nothing changed",
    ]
    done = audit("trend", "--html", tmp_path / "fleet.html")
    assert done.stdout.splitlines() == [
        "1 of 2 images is not ready",
        "",
        "by day, 2026-11-01 to 2026-11-03",
        "  NOT READY     ▁██  0 -> 1, at most 1",
        "  INCONCLUSIVE  ▁▁▁  0 -> 0, at most 0",
        "  READY         █▅▅  2 -> 1, at most 2",
        "",
        "last changes",
        "  2026-11-02 10:00 UTC  READY -> NOT READY  web.vhd (+rule-a)",
    ]
    assert "<h1>1 of 2 images is not ready</h1>" in (tmp_path / "fleet.html").read_text(encoding="utf-8")


def test_programs_get_json(audit, reports):
    audit("record", *reports)
    listed, shown, trend = (
        json.loads(audit(*each, "--format", "json").stdout) for each in (("list",), ("show", "web.vhd", "--last", "2"), ("trend",))
    )
    assert [(each["image"], each["verdict"], each["since"], each["records"]) for each in listed["images"]] == [
        ("web.vhd", "not-ready", "2026-11-02T10:00:00.000000+00:00", 3),
        ("db.vhd", "ready", "2026-11-01T10:00:00.000000+00:00", 1),
    ]
    assert listed["images"][0]["wrong"] == [{"rule_id": "rule-a", "severity": "error", "outcome": "fail"}]
    (image,) = shown["images"]
    assert (image["earlier"], [each["record"] for each in image["records"]]) == (1, [2, 3])
    assert image["records"][0]["changes"]["differences"][1] == {"part": "rules", "name": "rule-a", "a": "pass", "b": "fail (/etc/x)"}
    assert trend["points"] == [
        {"begin": "2026-11-01", "ready": 2, "not_ready": 0, "inconclusive": 0},
        {"begin": "2026-11-02", "ready": 1, "not_ready": 1, "inconclusive": 0},
        {"begin": "2026-11-03", "ready": 1, "not_ready": 1, "inconclusive": 0},
    ]
    assert [(each["image"], each["began"], each["record"]) for each in trend["changes"]] == [("web.vhd", ["rule-a"], 2)]


def test_a_report_of_check_goes_through_a_pipe_and_comes_back_as_it_was(audit, image):
    report = run("check", image("debian-12-host-keys"), "--format", "json").stdout
    done = audit("record", "-", "--image", "nightly", input=report)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "nightly: NOT READY, recorded (record 1)")
    back = audit("show", "nightly", "--report", "1").stdout
    assert back == report
    REPORT.validate(json.loads(back))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
def test_a_terminal_gets_a_report_in_letters_that_do_nothing(audit, tmp_path):
    import pty

    (tmp_path / "a.json").write_bytes(json.dumps(json.loads(written(notices=["\x9b2J\u202e"])), ensure_ascii=False).encode())
    audit("record", tmp_path / "a.json")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "vhdprep", "audit", "show", "web.vhd", "--report", "1", "--store", str(tmp_path / "audit.db")]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=theirs, check=True, timeout=60)
    os.close(theirs)
    seen = os.read(ours, 65536)
    os.close(ours)
    assert (b"\\u009b2J\\u202e" in seen, seen.isascii()) == (True, True)


def test_what_cannot_be_recorded_is_named_and_the_others_are_recorded(audit, reports, tmp_path):
    (tmp_path / "bad.json").write_text("{")
    done = audit("record", reports[0], tmp_path / "bad.json", tmp_path / "none.json", reports[3])
    assert (done.returncode, done.stdout.count("recorded (record")) == (2, 2)
    assert [line.rpartition("/")[2].partition(":")[0] for line in done.stderr.splitlines()] == ["bad.json", "none.json"]
    assert audit("record", tmp_path / "bad.json", store=tmp_path / "new.db").returncode == 2
    assert not (tmp_path / "new.db").exists(), "nothing is made for nothing"


def test_a_report_has_one_name(audit, reports):
    audit("record", reports[0])
    assert audit("record", reports[0]).stdout == "web.vhd: READY, was recorded already (record 1)\n"
    done = audit("record", reports[0], "--image", "other")
    assert (done.returncode, done.stderr) == (2, f"vhdprep: {reports[0]}: is recorded already, as one of web.vhd (record 1)\n")


@pytest.mark.parametrize(
    ("options", "images"),
    [
        ((), ["web.vhd", "db.vhd"]),
        (("--not-ready",), ["web.vhd"]),
        (("--since", "2026-11-02"), ["web.vhd"]),
        (("--since", "2026-11-02T12:00:00+02:00"), ["web.vhd"]),
        (("--since", "2026-11-03"), []),
    ],
)
def test_a_list_is_cut_down_to_what_is_asked(audit, reports, options, images):
    audit("record", *reports)
    assert [each["image"] for each in json.loads(audit("list", *options, "--format", "json").stdout)["images"]] == images


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list", "--since", "yesterday"), "--since takes a day such as"),
        (("list", "--since", "2026-11-02T12:00:00"), "--since takes a day such as"),
        (("list", "--format", "html"), "--format takes text or json"),
        (("trend", "--by", "hour"), "--by takes day, week, month, year"),
        (("trend", "--html", "/none/fleet.html"), "/none/fleet.html: the page cannot be written"),
        (("show", "wep.vhd"), "did you mean web.vhd?"),
        (("show", "web.vhd", "--as", "marketplace"), "was never judged as marketplace"),
        (("show", "web.vhd", "--report", "4"), "web.vhd has no record 4"),
        (("show", "web.vhd", "--last", "0"), "--last"),
    ],
)
def test_a_wrong_call_is_told_in_one_line(audit, reports, arguments, words):
    audit("record", *reports)
    done = audit(*arguments)
    assert (done.returncode, words in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_the_store_is_a_file_in_this_folder_unless_it_is_said_elsewhere(reports, tmp_path):
    (folder := tmp_path / "here").mkdir()
    run("audit", "record", reports[0], cwd=folder)
    assert [each.name for each in folder.iterdir()] == ["vhdprep-audit.db"]
    command = [sys.executable, "-m", "vhdprep", "audit", "record", str(reports[0])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "VHDPREP_STORE": str(tmp_path / "there.db")}
    subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True)
    assert (tmp_path / "there.db").exists()


def test_without_sqlalchemy_the_command_that_gets_it_is_told(reports):
    hide = "import sys; sys.modules['sqlalchemy'] = None; "
    command = [sys.executable, "-c", hide + PROGRAM, "audit", "record", str(reports[0])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr.endswith("-m pip install 'vhdprep[audit]'\n"), done.stderr.count("\n")) == (2, True, 1)


def test_starting_up_loads_no_database():
    code = "import sys, vhdprep.cli; sys.exit(any(name in sys.modules for name in ('sqlalchemy', 'sqlite3', 'jinja2', 'psycopg')))"
    assert subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode == 0


def test_a_shell_completes_commands_and_recorded_images(program, audit, reports, tmp_path, monkeypatch):  # noqa: F811
    audit("record", *reports)
    monkeypatch.setenv("VHDPREP_STORE", str(tmp_path / "audit.db"))
    assert asked(program, ["vhdprep", "audit", "re"]) == ["record"]
    assert asked(program, ["vhdprep", "audit", "show", "w"]) == ["web.vhd"]
    assert asked(program, ["vhdprep", "audit", "trend", "--by", "w"]) == ["week"]
