"""The fleet's page: it acts on nothing, asks nobody, and keeps its shape whatever images are called."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from tests.audit.reports import day, finding, not_ready, recorded, written
from tests.unit.test_reports import NASTY, Shape, is_clean, luminance
from vhdprep.audit import fleet, page
from vhdprep.audit.store import open_store


def page_saying(place, text):
    """A fleet in which everything that a report can say is ``text``."""
    store = open_store(str(place), make=True)
    wrong = [finding(f"a{text}"), finding(f"b{text}", "unknown"), finding(f"w{text}", "fail", "warning")]
    for name in "ab":
        recorded(store, written(name=name, started=day(1), tool={"version": text}), f"{name}{text}"[:60])
        recorded(
            store, written(name=name, verdict="not-ready", findings=wrong, started=day(3), gaps=[text], tool={"version": text}), f"{name}{text}"[:60]
        )
    recorded(store, written(started=day(2), notices=[text]), f"r{text}"[:60])
    recorded(store, written(verdict="inconclusive", gaps=[text]), f"i{text}"[:60])
    return page.render(fleet.look(store, None))


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_no_name_changes_the_shape_of_the_page(tmp_path, text):
    harmless = page_saying(tmp_path / "harmless.db", "harmless")
    found = page_saying(tmp_path / "hostile.db", text[:200])
    assert is_clean(found)
    assert Shape(found).tags == Shape(harmless).tags


def test_the_page_acts_on_nothing_and_asks_nobody(tmp_path):
    found = Shape(page_saying(tmp_path / "a.db", "<script src=//x>"))
    assert not {tag[0] for tag in found.tags} & {
        "script",
        "iframe",
        "object",
        "embed",
        "form",
        "img",
        "link",
        "base",
        "video",
        "foreignobject",
        "use",
    }
    assert [value for _, name, value in found.values if name in ("src", "srcset", "action", "data", "xlink:href") or name.startswith("on")] == []
    assert [value for _, name, value in found.values if name == "href" and not value.startswith("#")] == []
    assert ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'") in found.values
    assert "url(" not in (Path(page.__file__).parent / "page.css").read_text(encoding="utf-8")


def test_the_page_can_be_walked_by_headings_landmarks_and_labels(tmp_path):
    found = Shape(page_saying(tmp_path / "a.db", "x"))
    levels = [int(tag[0][1]) for tag in found.tags if re.fullmatch(r"h[1-6]", tag[0])]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert [tag[0] for tag in found.tags if tag[0] in ("header", "nav", "main", "footer")] == ["header", "nav", "main", "footer"]
    ids = [value for _, name, value in found.values if name == "id"]
    targets = {value.lstrip("#") for _, name, value in found.values if name == "aria-labelledby" or (name == "href" and value.startswith("#"))}
    assert (len(ids) == len(set(ids)), targets <= set(ids)) == (True, True)
    assert all("scope" in tag for tag in found.tags if tag[0] == "th")
    assert all("aria-label" in tag for tag in found.tags if "role" in tag)


def test_the_chart_has_a_band_for_each_verdict_and_says_its_numbers_in_a_table(tmp_path):
    text = page_saying(tmp_path / "a.db", "x")
    found = Shape(text)
    assert [value for tag, name, value in found.values if tag == "polygon" and name == "class"] == ["band error", "band warning", "band ready"]
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))
    assert "3 of 4 images are not ready, 1 of them inconclusive" in words
    assert "day not ready inconclusive ready 2026-11-03 2 1 1 2026-11-02 0 1 3 2026-11-01 0 1 2" in words
    assert (
        "not ready ax generalized Since 2026-11-03 10:00 UTC ; judged 2026-11-03 10:00 UTC, 2 records: 1 error, 1 warning, 1 undecided. ax" in words
    )
    assert "ready → not ready ax generalized, 2026-11-03 10:00 UTC, record 2 Wrong since then: ax bx wx" in words
    assert "rule failed undecided ax 2 0 bx 0 2" in words


def test_a_fleet_of_thousands_is_counted_and_not_all_shown(tmp_path):
    store = open_store(str(tmp_path / "a.db"), make=True)
    for number in range(3):
        recorded(store, not_ready(f"{number}.vhd", day(1), "a"))
    found = fleet.look(store, None)
    many = found._replace(standings=[each._replace(image=f"{number}.vhd") for number, each in enumerate(found.standings * 1000)])
    text = page.render(many)
    assert ("3000 of 3000 images are not ready" in text, "and 2500 more" in text, text.count("<article") < 600) == (True, True, True)


def test_a_store_without_a_report_has_a_page_too(tmp_path):
    found = Shape(page.render(fleet.look(open_store(str(tmp_path / "a.db"), make=True), None)))
    assert ("0 images" in found.text, "svg" in {tag[0] for tag in found.tags}) == (True, False)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_the_bands_differ_in_lightness_and_not_in_colour_alone(scheme):
    blocks = re.findall(r":root \{(.*?)\}", (Path(page.__file__).parent / "page.css").read_text(encoding="utf-8"), re.DOTALL)
    colours = dict(re.findall(r"--band-(\w+): (#[0-9a-f]+)", blocks[scheme]))
    lights = sorted(luminance(each) for each in colours.values())
    assert len(lights) == 3
    assert all((after + 0.05) / (before + 0.05) > 1.4 for before, after in itertools.pairwise(lights))
