"""Reports of an image that fights back: whatever it says of itself, every format keeps its shape and nothing in it acts."""

from __future__ import annotations

import itertools
import json
import re
import time
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.schemas import REPORT
from vhdprep.accepted import Baseline, Waiver
from vhdprep.declared import Declared
from vhdprep.model import (
    ABSENT,
    Container,
    Defect,
    DiskReport,
    DiskType,
    Finding,
    GuestFacts,
    Observation,
    Outcome,
    Phase,
    Provisioner,
    Report,
    Severity,
    Target,
    Verdict,
    Volume,
    VolumeKind,
)  # fmt: skip
from vhdprep.policy import Decision, PolicyItem, SelfTest
from vhdprep.remedy import Manual, RemoveFiles
from vhdprep.report import REPORTERS, html, load_reporter, words
from vhdprep.report.markdown import code, plain

NASTY = [
    "<script>alert(1)</script>", "</style><img src=x onerror=alert(1)>", "<!-- ", "]]>", "&amp;&#x3c;", "\"'><a href=javascript:x>", "{{ 7*7 }}{% raw %}",
    "| a | b |", "`", "``` \n# h", "**b** _i_ ~~s~~", "[x](javascript:alert(1))", "![i](https://evil.example/p.png)", "<https://evil.example>",
    "https://evil.example www.evil.example", "@octocat #1 !2 octo/repo#3 GH-4", "\n\n- item\n/close", "::error::forged", "\n::set-output name=x::y",
    "##[error]x", "%0A::error::x", "\x1b[2J\x07\x00\x0b\x7f\x9b", "\u202eexe.txt\u2066\u200f\u061c", "\u2028\u2029\ufeff\u200b", "\udc80\udcff\ud800",
    "\ufffe\uffff\U0001fffe", "\\|", "\\", "a\tb", "\r\n", " ", "  x  ", "\U000e0041", "x" * 300,
]  # fmt: skip
hostile = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=8), st.text(st.characters(categories=["Cc", "Cf", "Cn", "Cs", "Co", "P", "S"]), max_size=4)),
                   min_size=1, max_size=4).map("".join).filter(bool)  # fmt: skip
IN_FILES = [name for name in REPORTERS if name != "json"]
POLICIES = tuple(
    PolicyItem(rule, "200.3", "The item", decision, (), (rule,), "Show it.", test, "https://example.org/policies")
    for rule, decision, test in (
        ("a-b", Decision.OFFLINE, SelfTest("48", "Bash History", "It is empty.", "none")),
        ("a-c", Decision.PERSON, None),
        *((f"a-{letter}", Decision.OFFLINE, None) for letter in "efgh"),
    )
)


def report_saying(text: str, verdict: Verdict | None = Verdict.NOT_READY, path: str | None = None) -> Report:
    """A report in which everything that can come out of an image is ``text``, and so is the path of the image."""
    path = text if path is None else path
    seen = (Observation(text, text), Observation((text, text), f"/{text}"), Observation(ABSENT, f"HKLM\\{text}"), Observation(7, "p1"))
    container = Container(path, "vhd", text, DiskType.FIXED, 2**30, 2**30 + 512, text, None, {text: text, "n": 1}, (Defect("kind", "footer", text),))
    volumes = (
        Volume("p1", VolumeKind.PARTITION, 2**20, 2**20, "0x83", "ext4", label=text, read=True, reason=text),
        Volume("p2", VolumeKind.PARTITION, 2**70, 2**69, "0x83", text, label=text, reason=text, needed=True),
        Volume(f"vg/{text}", VolumeKind.LOGICAL_VOLUME, 2**21, None, None, None, reason=text),
    )

    def finding(rule: str, severity: Severity, outcome: Outcome, **more: object) -> Finding:
        found = Finding(rule, "The title", severity, outcome, text, seen, references=("https://example.org/a",), why="It fails.")
        return found._replace(**more)  # type: ignore[arg-type]

    return Report(
        subject=path,
        target=Target.GENERALIZED,
        verdict=verdict,
        disks=(DiskReport("os", container, "gpt", volumes), DiskReport("data", container, None, volumes[:1])),
        guest=GuestFacts("linux", text, text, text, text, text, "uefi", (1, 2), text, text),
        provisioner=Provisioner("nobody", (Observation(text, text),)),
        phase=Phase("in-use", (Observation(text, text),)),
        gaps=(text,),
        findings=(
            finding("a-b", Severity.ERROR, Outcome.FAIL, remedy=RemoveFiles(("/etc/x",)), azure_says="It went wrong."),
            finding("a-c", Severity.WARNING, Outcome.FAIL, remedy=Manual(("Do it",))),
            finding("a-d", Severity.NOTE, Outcome.FAIL),
            finding("a-e", Severity.ERROR, Outcome.UNKNOWN, reason=text),
            finding("a-f", Severity.ERROR, Outcome.WAIVED, waivers=(Waiver("a-f", text, text, "2027-01-31", place=text),)),
            finding("a-g", Severity.ERROR, Outcome.NOT_APPLICABLE, reason=text),
            finding("a-h", Severity.ERROR, Outcome.PASS),
        ),
        ruleset_digest="0" * 64,
        ruleset_size=7,
        left_out=0,
        started="2026-11-29T12:00:00+00:00",
        seconds=0.25,
        backend="native",
        tool_version="1.2.3",
        notices=(text,),
        baseline=Baseline(path, path, "ready"),
        policies=POLICIES,
    )


def render(name: str, report: Report, *, verbose: bool = False) -> str:
    return load_reporter(name).render(report, verbose=verbose)


class Shape(HTMLParser):
    """Tags with the names of their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.values: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.values += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        self.tags.append((f"/{tag}",))

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.tags.append(("comment", data))


def shape_of_markdown(page: str) -> list[tuple[str, ...]]:
    return Shape(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(page)).tags


def is_clean(page: str) -> bool:
    """Nothing but printable text and line ends, all of it fit for UTF-8."""
    page.encode("utf-8")
    return not [letter for letter in page if letter != "\n" and unicodedata.category(letter) in ("Cc", "Cf", "Cn", "Cs", "Co", "Zl", "Zp")]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile)
def test_no_text_of_an_image_changes_the_shape_of_a_report(text):
    report, harmless = report_saying(text), report_saying("harmless")
    pages = {name: render(name, report) for name in IN_FILES}
    assert [name for name, page in pages.items() if not is_clean(page)] == []
    assert Shape(pages["html"]).tags == Shape(render("html", harmless)).tags
    assert shape_of_markdown(pages["markdown"]) == shape_of_markdown(render("markdown", harmless))
    assert [line.split(" ")[0] for line in pages["github"].splitlines()] == [line.split(" ")[0] for line in render("github", harmless).splitlines()]
    assert [each.tag for each in ET.fromstring(pages["junit"]).iter()] == [each.tag for each in ET.fromstring(render("junit", harmless)).iter()]
    REPORT.validate(json.loads(render("json", report)))
    answer, wanted = (json.loads(each) for each in (pages["selftest"], render("selftest", harmless)))
    assert [[*each, each["TestID"], each["Result"]] for each in answer["Tests"]] == [
        [*each, each["TestID"], each["Result"]] for each in wanted["Tests"]
    ]
    assert ([*answer], answer["TestResult"]) == ([*wanted], wanted["TestResult"])
    (run,) = json.loads(pages["sarif"])["runs"]
    assert [each["ruleId"] for each in run["results"]] == ["vhdprep-everything-read", "a-b", "a-c", "a-d", "a-e", "a-f"]


@pytest.mark.parametrize("text", NASTY)
def test_what_a_page_shows_is_what_the_image_said_with_escapes(text):
    report, shown = report_saying(text), words.safe(text)
    assert shown in Shape(render("html", report)).text
    failure = ET.fromstring(render("junit", report)).find(".//failure")
    assert failure is not None
    assert failure.attrib == {"type": "error", "message": shown}
    (run,) = json.loads(render("sarif", report))["runs"]
    assert run["results"][1]["message"]["text"] == shown.replace("](", "] (")


@pytest.mark.parametrize("name", IN_FILES)
def test_ten_megabytes_in_every_place_are_no_ten_megabytes_of_report(name):
    """JSON is complete, for programs."""
    report = report_saying("A" * 10_000_000, path="disk.vhd")
    begin = time.process_time()
    page = render(name, report)
    assert time.process_time() - begin < 5
    assert len(page) < 1_000_000
    assert "9996000 more characters" in page


@pytest.mark.parametrize("name", REPORTERS)
def test_a_thousand_places_are_counted_and_not_all_shown(name):
    seen = tuple(Observation(number, f"/var/log/file{number:04}") for number in range(1000))
    report = report_saying("x")
    report = report._replace(findings=(report.findings[0]._replace(observations=seen),), gaps=())
    page = render(name, report, verbose=True)
    if name in ("html", "markdown", "junit", "github"):
        assert "file0999" not in page
        assert re.search(r"and (800|994) more", page)
    if name == "sarif":
        (result,) = json.loads(page)["runs"][0]["results"]
        assert (len(result["locations"]), result["properties"]["places"]) == (200, 1000)


def test_markdown_neither_mentions_nor_links():
    assert plain("@octocat #12 GH-3 www.x.org https://x.org") == ("\\@&#8203;octocat \\#&#8203;12 GH&#8203;-3 www&#8203;.x.org https:&#8203;//x.org")
    assert plain("a|b <i> `c` *d* [e](f)") == r"a\|b &lt;i&gt; \`c\` \*d\* \[e\]\(f\)"
    assert code("a``b`") == "``` a``b` ```"


def test_an_annotation_holds_line_ends_and_separators_escaped():
    line = render("github", report_saying("50 %: a,b")).splitlines()[1]
    assert line.startswith("::error title=a-b%3A The title::50 %25: a,b%0A")
    assert render("github", report_saying("x,y")).startswith("::error title=NOT READY%3A x%2Cy::")


@pytest.mark.parametrize(
    ("verdict", "findings", "gaps", "red"),
    [
        (Verdict.READY, (6,), (), False),
        (Verdict.READY, (1, 2, 4, 5, 6), (), False),
        (Verdict.NOT_READY, (0, 6), (), True),
        (Verdict.INCONCLUSIVE, (3, 6), (), True),
        (Verdict.INCONCLUSIVE, (6,), ("p2: encrypted",), True),
        (Verdict.INCONCLUSIVE, (1,), (), True),
        (Verdict.INCONCLUSIVE, (), (), True),
        (None, (), (), True),
    ],
)
def test_junit_is_red_if_and_only_if_the_verdict_is_not_ready(verdict, findings, gaps, red):
    report = report_saying("x", verdict)
    report = report._replace(findings=tuple(report.findings[each] for each in findings), gaps=gaps)
    suites = ET.fromstring(render("junit", report))
    for suite in suites:
        cases = suite.findall("testcase")
        counted = {key: int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")}
        found = {f"{kind}s" if kind != "skipped" else kind: len(suite.findall(f"testcase/{kind}")) for kind in ("failure", "error", "skipped")}
        assert counted == {"tests": len(cases), **found}
        assert len(cases) == len({(case.get("classname"), case.get("name")) for case in cases})
    assert any(int(suite.attrib["failures"]) + int(suite.attrib["errors"]) for suite in suites) is red


def test_sarif_says_open_for_undecided_and_suppressed_for_waived():
    (run,) = json.loads(render("sarif", report_saying("x"), verbose=True))["runs"]
    found = {each["ruleId"]: (each["kind"], each["level"], [s["justification"] for s in each["suppressions"]]) for each in run["results"]}
    assert found == {
        "vhdprep-everything-read": ("open", "none", []),
        "a-b": ("fail", "error", []),
        "a-c": ("fail", "warning", []),
        "a-d": ("fail", "note", []),
        "a-e": ("open", "none", []),
        "a-f": ("fail", "error", ["until 2027-01-31 by x: x (x)"]),
        "a-g": ("notApplicable", "none", []),
        "a-h": ("pass", "none", []),
    }
    assert [run["tool"]["driver"]["rules"][each["ruleIndex"]]["id"] for each in run["results"]] == list(found)
    invocation = run["invocations"][0]
    assert (invocation["exitCode"], invocation["startTimeUtc"], invocation["endTimeUtc"]) == (
        1,
        "2026-11-29T12:00:00.000Z",
        "2026-11-29T12:00:00.250Z",
    )
    assert [each["message"]["text"] for each in invocation["toolExecutionNotifications"]] == ["not read: x", "x"]


def test_a_path_with_blanks_percent_signs_and_letters_is_a_uri():
    (run,) = json.loads(render("sarif", report_saying("a b/%41:ä#.vhd")))["runs"]
    assert run["artifacts"][0]["location"]["uri"] == "a%20b/%2541%3A%C3%A4%23.vhd"


def test_the_map_keeps_what_the_image_claims_on_the_bar():
    report = report_saying("x")
    file, disk, logical = html.disk_map(report.disks[0])
    assert [(each.look, each.left + each.width <= 100.0001) for bar in (file, disk, logical) for each in bar.spans] == [
        ("data", True), ("footer", True), ("read", True), ("unread", True), ("skipped", True),
    ]  # fmt: skip
    assert disk.spans[0] == html.Span(0.0977, 0.0977, "read", "p1 ext4")


def test_the_page_acts_on_nothing_and_asks_nobody():
    page = Shape(render("html", report_saying("<script src=//x>")))
    assert not {tag[0] for tag in page.tags} & {"script", "iframe", "object", "embed", "form", "img", "link", "base", "svg", "video"}
    assert [value for _, name, value in page.values if name in ("src", "srcset", "action", "data") or name.startswith("on")] == []
    assert {value for _, name, value in page.values if name == "href" and not value.startswith("#")} == {"https://example.org/a"}
    assert ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'") in page.values
    assert "url(" not in (Path(html.__file__).parent / "html.css").read_text(encoding="utf-8")


def test_the_page_can_be_walked_by_headings_landmarks_and_labels():
    page = Shape(render("html", report_saying("x")))
    levels = [int(tag[0][1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag[0])]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert [tag[0] for tag in page.tags if tag[0] in ("header", "nav", "main", "footer")] == ["header", "nav", "main", "footer"]
    ids = [value for _, name, value in page.values if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value.lstrip("#") for _, name, value in page.values if name == "aria-labelledby" or (name == "href" and value.startswith("#"))}
    assert targets <= set(ids)
    assert all("scope" in tag for tag in page.tags if tag[0] == "th")
    assert all("aria-label" in tag for tag in page.tags if "role" in tag)
    assert ("html", "lang", "en") in page.values


def luminance(colour: str) -> float:
    short = colour.lstrip("#")
    parts = [int((short[at] * 2 if len(short) == 3 else short[2 * at : 2 * at + 2]), 16) / 255 for at in range(3)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [("text", "ground"), ("text", "panel"), ("text", "code"), ("text", "skipped"), ("dim", "ground"), ("dim", "panel"), ("link", "ground"), ("link", "panel"),
     ("data-text", "data"), *((each, ground) for each in ("error", "warning", "note", "ready") for ground in ("ground", "panel", f"{each}-soft"))],
)  # fmt: skip
def test_every_text_stands_out_from_its_ground(scheme, text, ground):
    css = (Path(html.__file__).parent / "html.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", blocks[0])) | (dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", blocks[1])) if scheme else {})
    bright, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("step", "parts"),
    [
        ("In a shell of the guest, as root: rm -rf /x", ("In a shell of the guest, as root", "rm -rf /x")),
        ("In Windows, as administrator: reg add x", ("In Windows, as administrator", "reg add x")),
        ("  vhdprep inspect x", ("", "vhdprep inspect x")),
        ("Write the image again: as a fixed VHD", ("Write the image again: as a fixed VHD", "")),
    ],
)
def test_a_step_is_what_to_do_and_the_command(step, parts):
    assert words.step(step) == parts


def test_against_a_baseline_people_see_what_is_new_and_programs_see_all():
    report = report_saying("x")
    known, new, *others = report.findings
    report = report._replace(findings=(known._replace(is_new=False), new._replace(is_new=True), *others))
    for name in ("text", "markdown", "github", "html"):
        brief, whole = render(name, report), render(name, report, verbose=True)
        assert (f"{known.rule_id}: {known.title}" in brief, known.message in brief) == (False, True)
        assert "1 new, 1 as before (a-b)" in brief.replace("\\(", "(").replace("\\)", ")").replace("\n", " ")
        assert "1 error must be fixed" in whole or name == "github"
        assert whole.count(known.rule_id) > brief.count(known.rule_id)
    (run,) = json.loads(render("sarif", report))["runs"]
    assert [each.get("baselineState") for each in run["results"]] == [None, "unchanged", "new", None, None, None]
    assert ET.fromstring(render("junit", report)).find(".//testcase[@name='a-b']/failure") is not None


def test_where_warnings_decide_they_are_red_everywhere():
    report = report_saying("x")
    report = report._replace(findings=(report.findings[1], report.findings[6]), gaps=(), fail_on=Severity.WARNING)
    assert ET.fromstring(render("junit", report)).find(".//testcase[@name='a-c']/failure") is not None
    assert "::error title=a-c%3A The title::" in render("github", report)
    assert "1 warning must be fixed before the upload" in render("markdown", report)


def failing(*rules: str, target: Target) -> Report:
    """A report of a Linux on which these rules failed, each of which would remove something."""
    found = tuple(Finding(rule, "A title", Severity.ERROR, Outcome.FAIL, "It is there.", remedy=RemoveFiles(("/x",))) for rule in rules)
    return report_saying("x", path="x.vhd")._replace(findings=found, target=target, baseline=None)


def test_the_way_to_a_copy_is_for_the_same_disks_and_for_what_they_are_to_become():
    kept, cleaned = (failing("a-b", target=target) for target in (Target.SPECIALIZED, Target.GENERALIZED))
    assert render("text", kept).endswith("  vhdprep prepare x.vhd --data x.vhd --as specialized --plan-only\n")
    assert render("text", cleaned).endswith("  vhdprep prepare x.vhd --data x.vhd --plan-only\n")
    declared = kept._replace(declared=Declared("my vm.yaml", (), {}))
    assert render("text", declared).endswith("  vhdprep prepare --manifest 'my vm.yaml' --as specialized --plan-only\n")
    for name in ("markdown", "html", "sarif"):
        assert "vhdprep prepare IMAGE COPY --as specialized" in render(name, kept)
        assert "vhdprep prepare IMAGE COPY --as" not in render(name, cleaned)


def test_a_machine_that_keeps_its_identity_is_not_told_to_clear_it():
    told = {target: "waagent -deprovision" in render("text", failing("a-b", "a-c", "a-d", target=target)) for target in Target}
    assert told == {target: target is not Target.SPECIALIZED for target in Target}
