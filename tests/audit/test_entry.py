"""Which reports are taken, under which name, and which are refused in one line."""

from __future__ import annotations

import json
import zlib
from datetime import timedelta

import pytest

from tests.audit.reports import NOW, finding, values, written
from vhdprep.audit import entry
from vhdprep.errors import UsageError


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("/images/web.vhd", "web.vhd"),
        ("web.vhd", "web.vhd"),
        (r"C:\images\web.vhd", "web.vhd"),
        ("/srv/root/", "root"),
        ("https://host/container/web.vhd?sig=secret/x", "web.vhd"),
        ("/a/what?.vhd", "what?.vhd"),
        ("/a/\x1b[2J.vhd", r"\x1b[2J.vhd"),
    ],
)
def test_an_image_is_named_after_its_file(subject, name):
    assert entry.of(json.dumps({**values(), "subject": subject}).encode(), "x", None, NOW).image == name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "other/1"}, "its schema is 'other/1'"),
        ({"verdict": None}, "a report of `inspect`"),
        ({"verdict": "perfect"}, "verdict is 'perfect', none of"),
        ({"target": "'; DROP"}, "target is"),
        ({"verdict": "ready", "findings": [finding("a")]}, "it says ready"),
        ({"verdict": "ready", "findings": [finding("a", "unknown")]}, "it says ready"),
        ({"verdict": "ready", "gaps": ["p2"]}, "it says ready"),
        ({"run": None}, "run is no object"),
        ({"run": {}}, "run.started is no text"),
        ({"run": {"started": "yesterday"}}, "no time with a zone"),
        ({"run": {"started": "2026-11-01T10:00:00"}}, "no time with a zone"),
        ({"run": {"started": "0001-01-01T00:00:00+14:00"}}, "no time with a zone"),
        ({"run": {"started": "1970-01-01T00:00:00+00:00"}}, "which cannot be; set the clock"),
        ({"run": {"started": (NOW + timedelta(days=2)).isoformat()}}, "which cannot be; set the clock"),
        ({"tool": {"version": "x" * 5000}}, "tool.version has more than"),
        ({"tool": {"version": 1}}, "tool.version is no text"),
        ({"ruleset": []}, "ruleset is no object"),
        ({"subject": "/"}, "the image's name is empty; say another with --image"),
        ({"subject": "x" * 256}, "the image's name has more than 255 characters"),
        ({"verdict": "not-ready", "findings": [finding("x" * 256)]}, "a rule's id is empty or has more"),
        ({"findings": [finding("a", "pass")] * 10_001}, "10001 findings, more than"),
        ({"disks": [{"digests": {"file": "x", "disk": None}}]}, "no SHA-256"),
        ({"disks": [{"digests": []}]}, "disks[0].digests is no object"),
        ({"extra": float("nan")}, "not JSON as every program reads it"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(change, words):
    with pytest.raises(UsageError) as refused:
        entry.of(json.dumps({**values(), **change}).encode(), "r.json", None, NOW)
    text = str(refused.value)
    assert (text.startswith("r.json: "), words in text, "\n" in text, len(text) < 300) == (True, True, False, True)


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"a": ' * 2000 + b"1" + b"}" * 2000])
def test_what_is_no_report_is_refused(data):
    with pytest.raises(UsageError, match=r"is no JSON|is no report"):
        entry.of(data, "r.json", None, NOW)


def test_a_rule_that_is_named_twice_counts_as_failed():
    findings = [finding("a", "unknown"), finding("a"), finding("a", "pass")]
    (wrong,) = entry.of(written(verdict="not-ready", findings=findings), "x", None, NOW).wrong
    assert (wrong.rule, wrong.outcome) == ("a", "fail")


def test_what_comes_out_of_the_store_is_what_went_in_or_an_error():
    data = written()
    found = entry.of(data, "x", None, NOW)
    assert entry.unpack(found.body, found.digest)[0] == data
    other = zlib.compress(written(verdict="inconclusive"))
    bomb = zlib.compress(b" " * (64 * 1024 * 1024))
    for body, words in (
        (other, "the store was changed"),
        (found.body[:-9], "damaged|changed"),
        (b"", "damaged"),
        (b"xyz", "damaged"),
        (bomb, "damaged"),
    ):
        with pytest.raises(UsageError, match=words):
            entry.unpack(body, found.digest)
