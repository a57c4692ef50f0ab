"""The dated tables of rules/data, and how a release finds its line in them."""

from __future__ import annotations

import re

import pytest

from tests.unit.memory import image
from vhdprep.guest import policies, programs, tables
from vhdprep.guest.release import FAMILIES
from vhdprep.model import ABSENT
from vhdprep.probes.guest import release_table
from vhdprep.probes.programs import outdated_files
from vhdprep.ruleset.load import load_rules, rule_files
from vhdprep.ruleset.parse import Parser

NAMES = [name for name in tables.names() if "releases" in tables.read(name)]
DATE = re.compile(r"20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
WINDOWS = {"windows-server", "windows-enterprise", "windows-client", "windows-ltsc"}
"""Microsoft's lists, among which the edition decides."""
VERSION = re.compile(r"\d+(\.\d+)*")


def test_the_probe_offers_exactly_the_tables_of_releases_that_are_there():
    assert (
        sorted(release_table.parameters["table"].choices) == NAMES == sorted({*tables.names()} - {programs.MINIMUM, policies.TABLE, "server-roles"})
    )


def test_the_table_of_files_is_dated_sourced_and_asked_for_name_by_name():
    table = tables.read(programs.MINIMUM)
    assert set(table) == {"as_of", "sources", "files"}
    assert DATE.fullmatch(table["as_of"])
    assert all(source.startswith("https://") for source in table["sources"])
    for lines in table["files"].values():
        versions = [each for line in lines.values() for each in ([line] if isinstance(line, str) else line)]
        assert all(re.fullmatch(r"\d+(\.\d+){3}", each) for each in versions)
        assert all(len(line) == 2 for line in lines.values() if isinstance(line, list))
    asked = [
        name for rule in load_rules() for leaf in Parser.leaves(rule.check) for name in leaf.params.get("names", ()) if leaf.probe is outdated_files
    ]
    assert sorted(asked) == sorted({name for lines in table["files"].values() for name in lines})


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_dated_sourced_and_in_words_that_guests_use(name):
    table = tables.read(name)
    assert DATE.fullmatch(table["as_of"])
    assert all(source.startswith("https://") for source in table["sources"])
    assert set(table) == {"as_of", "sources", "releases"}
    assert set(table["releases"]) <= {*FAMILIES, *WINDOWS}
    for lines in table["releases"].values():
        assert all(VERSION.fullmatch(version) for version in lines)
        assert isinstance(lines, list) or all(end == "open" or DATE.fullmatch(end) for end in lines.values())


@pytest.mark.parametrize(
    ("distro", "version", "words"),
    [
        ("debian", "10", "ended on 2024-06-30"),
        ("debian", "10.13", "ended on 2024-06-30"),
        ("debian", "1", None),
        ("debian", "12", "supported until 2028-06-30"),
        ("ol", "10.1", "supported"),
        ("sles", "15.7", "supported until 2031-07-31"),
        ("sles", "15.99", "ended on 2019-12-31"),
        ("arch", "1", None),
    ],
)
def test_a_version_finds_its_own_line_or_that_of_what_it_belongs_to(distro, version, words):
    assert tables.look_up("end-of-support", distro, version) == words


def test_the_day_of_the_table_decides_and_the_last_day_is_still_supported(monkeypatch):
    table = {"as_of": "2024-06-30", "releases": {"debian": {"9": "2024-06-29", "10": "2024-06-30", "11": "2024-07-01"}}}
    monkeypatch.setattr(tables, "read", lambda _: table)
    found = [tables.look_up("end-of-support", "debian", version) for version in ("9", "10", "11")]
    assert found == ["ended on 2024-06-29", "supported until 2024-06-30", "supported until 2024-07-01"]


def test_the_evidence_names_the_table_and_its_day():
    seen = release_table(image(facts={"distro": "rhel", "version": "9.4"}), table="trusted-launch")
    assert (seen.value, seen.where) == ("listed", f"rules/data/trusted-launch.yaml as of {tables.read('trusted-launch')['as_of']}")
    assert release_table(image(facts={"distro": "arch", "version": None}), table="trusted-launch").value is ABSENT


def test_tables_are_no_rules_but_a_users_folder_of_that_name_is(tmp_path):
    assert not {"end-of-support", *tables.names()} & {*rule_files(), *(rule.id for rule in load_rules())}
    own = tmp_path / "data"
    own.mkdir()
    text = rule_files()["linux-distribution-known"].read_text(encoding="utf-8")
    (own / "acme-known.yaml").write_text(text.replace("id: linux-distribution-known", "id: acme-known"), encoding="utf-8")
    assert "acme-known" in {rule.id for rule in load_rules((tmp_path,))}
