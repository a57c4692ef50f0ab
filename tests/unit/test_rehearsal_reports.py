"""A rehearsal in every format: beside the verdict, never in its place; what a hostile guest said in it changes no report's shape."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import xmlschema
from hypothesis import HealthCheck, given, settings

from tests.schemas import REPORT
from tests.unit.test_reports import (
    NASTY,
    POLICIES,
    Shape,
    hostile,
    is_clean,
    render,
    report_saying,
    shape_of_markdown,
)
from vhdprep import diff, savedreport
from vhdprep.attest import statement
from vhdprep.model import Container, DiskReport, DiskType, Finding, GuestFacts, Outcome, Report, Severity, Target, Verdict
from vhdprep.rehearsal import CLAIM, Milestone, Reached, Rehearsal, Twin, Witness
from vhdprep.rehearsal import Outcome as Did
from vhdprep.report import load_reporter, rehearsed, words
from vhdprep.report.rehearsaltext import rehearsal_line
from vhdprep.storage import Digests

PICTURE = "data:image/png;base64,iVBORw0KGgo="
MACHINE = "QEMU 7.2.9 with TCG, UEFI, disk on virtio-blk"
FOR_PEOPLE = ("text", "markdown", "github", "html", "junit", "sarif")
STEPS = (
    (Milestone.KERNEL, 8.1, "Linux version 6.1.0"),
    (Milestone.DHCP, 32.3, ""),
    (Milestone.READY, 33.07, "Cloud-Init/22.4.2"),
    (Milestone.SSH, 57.5, ""),
)
PASSED = Rehearsal(
    Did.REHEARSED,
    "",
    "",
    None,
    reached=tuple(Reached(*each) for each in STEPS),
    witnesses=(
        Witness("new user", "/etc/passwd", "anna", True),
        Witness("custom data", "/var/lib/waagent/CustomData", "is there", True),
        Witness("over SSH: failed", "ssh", "a.service\nb.service", None),
    ),
    tried=("time.example (3 times)",),
    console=("debian login:",),
    machine=MACHINE,
    seconds=72.6,
)
NEVER = Rehearsal(
    Did.NEVER,
    "It came up, and not one request for provisioning came.",
    "Install cloud-init.",
    Milestone.METADATA,
    reached=PASSED.reached[:2],
    witnesses=(Witness("what cloud-init says", "/var/log/cloud-init.log", "[WARNING]", None), Witness("host name", "/etc/hostname", "used", False)),
    tried=("metadata of another cloud: GET /2009-04-04",),
    console=("Failed to start cloud-init.service", "debian login:"),
    screen=PICTURE,
    machine=MACHINE,
    without=("dvd",),
    seconds=95.25,
)
TWINS = PASSED._replace(
    seconds=150,
    twins=(
        Twin("machine id", "/etc/machine-id", True, "sha256:0123456789abcdef"),
        Twin("SSH host key", "/etc/ssh/ssh_host_rsa_key.pub", False, ""),
        Twin("random seed", "/var/lib/systemd/random-seed", None, ""),
    ),
)
APART = TWINS._replace(twins=TWINS.twins[1:])
IMPOSSIBLE = Rehearsal(Did.IMPOSSIBLE, "Its disk is encrypted.", "", None)
ALL = {"passed": PASSED, "never": NEVER, "twins": TWINS, "impossible": IMPOSSIBLE}


def report(rehearsal: Rehearsal | None, verdict: Verdict | None = Verdict.READY) -> Report:
    """A small image, judged and rehearsed."""
    found = {Verdict.READY: Outcome.PASS, Verdict.NOT_READY: Outcome.FAIL, Verdict.INCONCLUSIVE: Outcome.UNKNOWN, None: Outcome.PASS}[verdict]
    finding = Finding("a-b", "The title", Severity.ERROR, found, "It is so.", why="It fails.")
    container = Container("disk.vhd", "vhd", "VHD", DiskType.FIXED, 2**30, 2**30 + 512, "vpc", None)
    return Report(
        subject="disk.vhd",
        target=Target.GENERALIZED,
        verdict=verdict,
        disks=(DiskReport("os", container, "gpt", ()),),
        guest=GuestFacts("linux", "debian", "debian", "12", "Debian 12", "x86_64", "uefi", (2,)),
        provisioner=None,
        phase=None,
        gaps=(),
        findings=(finding,),
        ruleset_digest="0" * 64,
        ruleset_size=1,
        left_out=0,
        started="2026-11-29T12:00:00+00:00",
        seconds=0.25,
        backend="native",
        tool_version="1.2.3",
        rehearsal=rehearsal,
    )


def section(page: str) -> str:
    """What a text report says of the rehearsal."""
    return page[page.index("\nRehearsal: ") + 1 :].partition("\n\n")[0]


CLAIMED = """\
  It was booted once from this image's content, under an emulated Azure platform. That does not prove that it
  is generalized: accounts, keys, histories and secrets that were left behind do not keep an image from
  provisioning. Nor does it prove anything about Hyper-V's own devices, accelerated networking, extensions, or
  the temporary disk."""
TEXTS = {
    "passed": f"""\
Rehearsal: rehearsed (73 s)
  Reached: the kernel started (8 s), an address was asked for (32 s), provisioning was reported Ready (33 s),
           the new user logged in with the key (58 s)
  Asked for outside of the platform, in vain: time.example (3 times)
  Ran on: QEMU 7.2.9 with TCG, UEFI, disk on virtio-blk
  As it must be: new user, custom data
{CLAIMED}""",
    "never": f"""\
Rehearsal: never provisions (95 s)
  Cause: It came up, and not one request for provisioning came.
  Remedy: Install cloud-init.
  Reached: the kernel started (8 s), an address was asked for (32 s)
  Never came: instance metadata was asked for
  Asked for outside of the platform, in vain: metadata of another cloud: GET /2009-04-04
  Ran on: QEMU 7.2.9 with TCG, UEFI, disk on virtio-blk
  Left out on purpose: dvd
  Evidence:
    bad   host name: used (/etc/hostname)
  Serial console:
    | Failed to start cloud-init.service
    | debian login:
  A picture of its screen is in the reports html and json.
{CLAIMED}""",
    "twins": f"""\
Rehearsal: rehearsed (150 s), but two machines of it have the same machine id
  Reached: the kernel started (8 s), an address was asked for (32 s), provisioning was reported Ready (33 s),
           the new user logged in with the key (58 s)
  Not generalized, by behaviour: both machines have the same machine id: /etc/machine-id,
  sha256:0123456789abcdef
  Remedy: Clear these as the last thing before the guest is shut down, so that every machine makes its own;
          `vhdprep check` names the commands.
  Both machines have their own: SSH host key
  Only one of both machines has, or neither: random seed
  Asked for outside of the platform, in vain: time.example (3 times)
  Ran on: QEMU 7.2.9 with TCG, UEFI, disk on virtio-blk
  As it must be: new user, custom data
{CLAIMED}""",
    "impossible": """\
Rehearsal: not rehearsable
  Cause: Its disk is encrypted.
  It was not booted, so nothing can be said of how it would provision; what was read of it offline stands
  alone.""",
}


@pytest.mark.parametrize("name", TEXTS)
def test_people_read_the_outcome_the_cause_and_what_it_does_not_prove(name):
    page = rehearsed_page("text", ALL[name], width=110)
    assert section(page) == TEXTS[name]
    assert page.startswith("disk.vhd: READY\n  Debian 12, x86_64, boots as Generation 2\n  fixed VHD, 1 GiB, GPT")


def rehearsed_page(name: str, rehearsal: Rehearsal, **more: object) -> str:
    return load_reporter(name).render(report(rehearsal), **more)  # type: ignore[arg-type]


def test_with_everything_every_witness_and_line_is_told_with_the_guests_own_words():
    assert section(rehearsed_page("text", PASSED, verbose=True, width=110)) == (
        "Rehearsal: rehearsed (73 s)\n"
        "  Reached: the kernel started (8 s): Linux version 6.1.0, an address was asked for (32 s), provisioning was\n"
        "           reported Ready (33 s): Cloud-Init/22.4.2, the new user logged in with the key (58 s)\n"
        "  Asked for outside of the platform, in vain: time.example (3 times)\n"
        "  Ran on: QEMU 7.2.9 with TCG, UEFI, disk on virtio-blk\n"
        "  Evidence:\n"
        "    good  new user: anna (/etc/passwd)\n"
        "    good  custom data: is there (/var/lib/waagent/CustomData)\n"
        "          over SSH: failed: a.service; b.service (ssh)\n"
        "  Serial console:\n"
        "    | debian login:\n"
        f"{CLAIMED}"
    )


@pytest.mark.parametrize(
    ("rehearsal", "line"),
    [
        (None, ""),
        (PASSED, "Rehearsal: \x1b[32mrehearsed (73 s)\x1b[0m"),
        (NEVER, "Rehearsal: \x1b[31mnever provisions (95 s)\x1b[0m"),
        (TWINS, "Rehearsal: \x1b[31mrehearsed (150 s), but two machines of it have the same machine id\x1b[0m"),
        (APART, "Rehearsal: \x1b[32mrehearsed (150 s), and two machines of it differ\x1b[0m"),
        (APART._replace(twins=TWINS.twins[2:]), "Rehearsal: \x1b[32mrehearsed (150 s)\x1b[0m"),
        (NEVER._replace(twins=TWINS.twins), "Rehearsal: \x1b[31mnever provisions (95 s), and two machines of it have the same machine id\x1b[0m"),
        (IMPOSSIBLE, "Rehearsal: \x1b[33mnot rehearsable\x1b[0m"),
    ],
)
def test_the_line_of_a_rehearsal_has_the_colour_of_what_it_comes_to(rehearsal, line):
    assert rehearsal_line(report(rehearsal), colour=True) == line


def test_every_outcome_has_its_words():
    assert [rehearsed.OUTCOMES[each] for each in Did] == [
        "rehearsed",
        "rehearsed, with defects",
        "ready, but unreachable",
        "refused",
        "never provisions",
        "does not boot",
        "not rehearsable",
    ]


@pytest.mark.parametrize(
    ("verdict", "rehearsal", "code"),
    [
        (Verdict.READY, None, 0),
        (Verdict.READY, PASSED, 0),
        (Verdict.READY, APART, 0),
        (Verdict.READY, NEVER, 1),
        (Verdict.READY, TWINS, 1),
        (Verdict.READY, PASSED._replace(outcome=Did.DEFECTS), 1),
        (Verdict.READY, IMPOSSIBLE, 3),
        (Verdict.NOT_READY, None, 1),
        (Verdict.NOT_READY, PASSED, 1),
        (Verdict.NOT_READY, IMPOSSIBLE, 1),
        (Verdict.INCONCLUSIVE, None, 3),
        (Verdict.INCONCLUSIVE, PASSED, 3),
        (Verdict.INCONCLUSIVE, NEVER, 1),
        (Verdict.INCONCLUSIVE, IMPOSSIBLE, 3),
        (None, None, 3),
        (None, PASSED, 3),
        (None, NEVER, 1),
    ],
)
def test_the_exit_code_is_the_worst_of_both(verdict, rehearsal, code):
    assert words.exit_code(report(rehearsal, verdict)) == code


@pytest.mark.parametrize("name", FOR_PEOPLE)
@pytest.mark.parametrize("rehearsal", ALL.values(), ids=ALL)
def test_every_format_says_what_a_rehearsal_does_not_prove(name, rehearsal):
    page = render(name, report(rehearsal), verbose=True)
    said = " ".join((Shape(page).text if name in ("html", "junit") else page).replace("\\", "").replace("&#8203;", "").split())
    assert (CLAIM in said, rehearsed.NOT_BOOTED in said) == ((False, True) if rehearsal is IMPOSSIBLE else (True, False))


@pytest.mark.parametrize("name", [*FOR_PEOPLE, "json", "selftest"])
def test_without_a_rehearsal_nothing_is_said_of_one(name):
    marks = {"json": '"rehearsal": null', "sarif": '"rehearsal": null'}
    page = render(name, report(None)._replace(policies=POLICIES))
    assert "ehears" not in page.replace(marks.get(name, ""), "").replace(".screen", "")


def test_the_selftest_stays_as_it_is():
    assert render("selftest", report(NEVER)) == render("selftest", report(None))


@pytest.mark.parametrize("rehearsal", ALL.values(), ids=ALL)
def test_the_verdict_stands_first_and_unchanged(rehearsal):
    with_it, without = report(rehearsal), report(None)
    for name in ("text", "markdown", "github"):
        assert render(name, with_it).splitlines()[0] == render(name, without).splitlines()[0]
    assert "<h1>READY</h1>" in render("html", with_it)
    one, other = (json.loads(render("json", each)) for each in (with_it, without))
    assert (one["verdict"], one["counts"], one["findings"]) == (other["verdict"], other["counts"], other["findings"])


def test_programs_read_all_of_it():
    document = json.loads(render("json", report(NEVER._replace(twins=TWINS.twins))))
    assert list(document)[-4:] == ["certification", "rehearsal", "upload", "run"]
    assert document["rehearsal"] == {
        "outcome": "never-provisions",
        "passed": False,
        "cause": NEVER.cause,
        "remedy": NEVER.remedy,
        "missing": "metadata",
        "reached": [{"milestone": "kernel", "seconds": 8.1, "text": "Linux version 6.1.0"}, {"milestone": "dhcp", "seconds": 32.3, "text": ""}],
        "witnesses": [
            {"what": "what cloud-init says", "where": "/var/log/cloud-init.log", "value": "[WARNING]", "good": None},
            {"what": "host name", "where": "/etc/hostname", "value": "used", "good": False},
        ],
        "defects": [],
        "tried": ["metadata of another cloud: GET /2009-04-04"],
        "console": ["Failed to start cloud-init.service", "debian login:"],
        "screen": PICTURE,
        "machine": MACHINE,
        "without": ["dvd"],
        "seconds": 95.25,
        "twins": [
            {"what": "machine id", "where": "/etc/machine-id", "equal": True, "value": "sha256:0123456789abcdef"},
            {"what": "SSH host key", "where": "/etc/ssh/ssh_host_rsa_key.pub", "equal": False, "value": ""},
            {"what": "random seed", "where": "/var/lib/systemd/random-seed", "equal": None, "value": ""},
        ],
        "common": ["/etc/machine-id"],
        "claim": CLAIM,
    }


@pytest.mark.parametrize("rehearsal", [None, *ALL.values(), *(PASSED._replace(outcome=each, missing=step) for each in Did for step in Milestone)])
def test_the_json_report_follows_its_schema(rehearsal):
    document = json.loads(render("json", report(rehearsal)))
    REPORT.validate(document)
    del document["rehearsal"]
    REPORT.validate(document)


def test_the_schema_has_a_name_for_every_outcome_and_every_milestone():
    _, described = REPORT.schema["properties"]["rehearsal"]["anyOf"]
    assert described["properties"]["outcome"]["enum"] == [str(each) for each in Did]
    assert described["properties"]["missing"]["enum"] == [each.name.lower().replace("_", "-") for each in Milestone] + [None]
    assert [*described["properties"]] == described["required"] == [*json.loads(render("json", report(PASSED)))["rehearsal"]]


def test_markdown_shows_the_facts_and_folds_the_guests_words():
    page = render("markdown", report(NEVER))
    assert page[page.index("### Rehearsal") : page.index("<details><summary>What was read")] == (
        "### Rehearsal: never provisions \\(95 s\\)\n\n"
        "- **Cause**: It came up, and not one request for provisioning came.\n"
        "- **Remedy**: Install cloud-init.\n"
        "- **Reached**: the kernel started \\(8 s\\), an address was asked for \\(32 s\\)\n"
        "- **Never came**: instance metadata was asked for\n"
        "- **Asked for outside of the platform, in vain**: metadata of another cloud: GET /2009-04-04\n"
        "- **Ran on**: QEMU 7.2.9 with TCG, UEFI, disk on virtio-blk\n"
        "- **Left out on purpose**: dvd\n"
        f"- {CLAIM}\n"
        "- A picture of its screen is in the reports html and json.\n\n"
        "<details><summary>Evidence and the serial console</summary>\n\n"
        "- bad: host name: `used` in `/etc/hostname`\n"
        "- console: `Failed to start cloud-init.service`\n"
        "- console: `debian login:`\n\n"
        "</details>\n\n"
    )


def test_github_annotates_what_did_not_pass_as_an_error_right_after_the_verdict():
    lines = {name: render("github", report(each)).splitlines() for name, each in ALL.items()}
    assert {name: page[1].partition("::")[2].partition("::")[0] for name, page in lines.items()} == {
        "passed": "notice title=Rehearsal%3A rehearsed (73 s)",
        "never": "error title=Rehearsal%3A never provisions (95 s)",
        "twins": "error title=Rehearsal%3A rehearsed (150 s)%2C but two machines of it have the same machine id",
        "impossible": "error title=Rehearsal%3A not rehearsable",
    }
    assert lines["never"][1].split("::", 2)[2].split("%0A") == [
        "Cause: It came up, and not one request for provisioning came.",
        "Remedy: Install cloud-init.",
        "Reached: the kernel started (8 s), an address was asked for (32 s)",
        "Never came: instance metadata was asked for",
        "Asked for outside of the platform, in vain: metadata of another cloud: GET /2009-04-04",
        "Ran on: QEMU 7.2.9 with TCG, UEFI, disk on virtio-blk",
        "Left out on purpose: dvd",
        "  host name: used (/etc/hostname)",
        "  | Failed to start cloud-init.service",
        "  | debian login:",
        CLAIM,
    ]


def test_sarif_has_a_result_for_what_failed_and_an_open_one_for_what_could_not_be_tried():
    found = {}
    for name, each in ALL.items():
        (run,) = json.loads(render("sarif", report(each)))["runs"]
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        assert [rules[result["ruleIndex"]] for result in run["results"]] == [result["ruleId"] for result in run["results"]] == rules
        found[name] = (
            [(result["ruleId"], result["kind"], result["level"], result["message"]["text"]) for result in run["results"]],
            run["invocations"][0]["exitCode"],
            run["invocations"][0]["exitCodeDescription"],
            run["properties"]["rehearsal"]["passed"],
        )
    title = "The image boots, and does on its first boot what Azure asks of it"
    said = "Two machines of the image have in common what must differ: it is not generalized, by behaviour"
    assert found == {
        "passed": ([], 0, "ready; rehearsal: rehearsed", True),
        "never": ([("rehearsal", "fail", "error", f"never provisions: {NEVER.cause}")], 1, "ready; rehearsal: never-provisions", False),
        "twins": ([("rehearsal-twins", "fail", "error", said)], 1, "ready; rehearsal: rehearsed", False),
        "impossible": (
            [("rehearsal", "open", "none", f"{title}: unknown (Its disk is encrypted.)")],
            3,
            "ready; rehearsal: not-rehearsable",
            None,
        ),
    }


def test_sarif_points_at_what_was_missing_and_what_was_bad():
    (run,) = json.loads(render("sarif", report(NEVER)))["runs"]
    (result,) = run["results"]
    assert [each["message"]["text"] for each in result["locations"]] == [
        "instance metadata was asked for: never came",
        "host name: /etc/hostname: used",
    ]
    (run,) = json.loads(render("sarif", report(APART), verbose=True))["runs"]
    assert [(each["ruleId"], each["kind"], each["level"]) for each in run["results"]] == [
        ("rehearsal", "pass", "none"),
        ("rehearsal-twins", "pass", "none"),
        ("a-b", "pass", "none"),
    ]


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize(
    "rehearsal",
    [
        *ALL.values(),
        APART,
        IMPOSSIBLE._replace(twins=TWINS.twins),
        *(PASSED._replace(outcome=outcome, missing=step) for outcome in Did for step in (None, Milestone.SSH, Milestone.FINISHED)),
    ],
)
def test_the_suite_of_a_rehearsal_is_red_if_and_only_if_it_did_not_pass(rehearsal, verdict):
    *disks, suite = ET.fromstring(render("junit", report(rehearsal, verdict)))
    assert suite.get("name") == "rehearsal of disk.vhd"
    cases = suite.findall("testcase")
    counted = {key: int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")}
    found = {f"{kind}s" if kind != "skipped" else kind: len(suite.findall(f"testcase/{kind}")) for kind in ("failure", "error", "skipped")}
    assert counted == {"tests": len(cases), **found}
    assert len(cases) == len({(case.get("classname"), case.get("name")) for case in cases})
    assert bool(counted["failures"] + counted["errors"]) is (rehearsal.passed is not True)
    assert any(int(each.attrib["failures"]) + int(each.attrib["errors"]) for each in disks) is (verdict is not Verdict.READY)
    assert len({each.get("id") for each in (*disks, suite)}) == len(disks) + 1


def test_junit_has_a_case_for_each_step_of_a_first_boot():
    suite = ET.fromstring(render("junit", report(NEVER._replace(twins=TWINS.twins))))[-1]
    told = {case.get("name"): next(((each.tag, each.get("message")) for each in case), None) for case in suite.findall("testcase")}
    assert told == {
        "rehearsal": ("failure", f"never provisions: {NEVER.cause}"),
        "the console spoke": ("skipped", "not reached: it never came"),
        "the kernel started": None,
        "an address was asked for": None,
        "instance metadata was asked for": ("failure", "the first step that never came"),
        "the goal state was fetched": ("skipped", "not reached: it never came"),
        "the provisioning DVD was ejected": ("skipped", "not reached: it never came"),
        "provisioning was reported Ready": ("skipped", "not reached: it never came"),
        "a login prompt came": ("skipped", "not reached: it never came"),
        "the new user logged in with the key": ("skipped", "not reached: it never came"),
        "the agent reported Ready": ("skipped", "not reached: it never came"),
        "the agent sent its status": ("skipped", "not reached: it never came"),
        "cloud-init finished": ("skipped", "not reached: it never came"),
        "rehearsal-twins": ("failure", "Two machines of the image have in common what must differ: it is not generalized, by behaviour"),
    }
    assert (suite.findtext("system-out") or "").splitlines() == [
        "never provisions (95 s), and two machines of it have the same machine id",
        CLAIM,
        "bad: host name: used (/etc/hostname)",
        "told: what cloud-init says: [WARNING] (/var/log/cloud-init.log)",
        "Failed to start cloud-init.service",
        "debian login:",
    ]


def test_the_page_shows_the_picture_and_fetches_nothing():
    page = Shape(render("html", report(NEVER)))
    assert [value for tag, name, value in page.values if (tag, name) == ("img", "src")] == [PICTURE]
    assert [value for tag, name, value in page.values if tag == "meta" and name == "content" and "default-src" in value] == [
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    ]
    assert not {tag[0] for tag in page.tags} & {"script", "iframe", "object", "embed", "form", "link", "base", "svg", "video"}
    ids = [value for _, name, value in page.values if name == "id"]
    assert len(ids) == len(set(ids))
    targets = {value.lstrip("#") for _, name, value in page.values if name == "aria-labelledby" or (name == "href" and value.startswith("#"))}
    assert targets <= set(ids)
    for said in ("Rehearsal: never provisions (95 s)", NEVER.cause, NEVER.remedy, "instance metadata was asked for", "debian login:"):
        assert said in page.text


def test_a_long_picture_is_shown_whole():
    screen = "data:image/png;base64," + "iVBORw0KGgo" * 10_000 + "="
    assert f'src="{screen}"' in render("html", report(NEVER._replace(screen=screen)))


@pytest.mark.parametrize(
    "screen",
    [
        "data:image/svg+xml;base64,PHN2Zz4=",
        "data:text/html;base64,PHN2Zz4=",
        "data:image/png;base64,",
        'data:image/png;base64,AAAA" onerror="alert(1)',
        "data:image/png;base64,AAAA\n",
        "data:image/png;base64,AA=A",
        "data:image/png;base64,A===",
        "data:image/png,<svg>",
        "DATA:IMAGE/PNG;BASE64,AAAA",
        " data:image/png;base64,AAAA",
        "https://evil.example/p.png",
        "data:image/png;base64," + "A" * rehearsed.MAX_PICTURE,
    ],
)
def test_what_is_no_picture_is_not_shown_as_one(screen):
    found = report(NEVER._replace(screen=screen))
    page = render("html", found)
    assert not [tag for tag in Shape(page).tags if tag[0] == "img"]
    assert "img-src" not in page
    document = json.loads(render("json", found))
    assert document["rehearsal"]["screen"] == ""
    REPORT.validate(document)
    assert "picture" not in render("text", found)


def saying(text: str, outcome: Did = Did.NEVER) -> Rehearsal:
    """A rehearsal in which everything that can come from the guest is ``text``."""
    return Rehearsal(
        outcome,
        text,
        text,
        Milestone.READY,
        reached=tuple(Reached(each, 1.0, text) for each in Milestone),
        witnesses=tuple(Witness(text, text, text, good) for good in (True, False, None)),
        defects=(f"{text}.",),
        tried=(text, text),
        console=(text, text),
        screen=text,
        machine=text,
        without=(text,),
        seconds=1.0,
        twins=tuple(Twin(text, text, equal, text) for equal in (True, False, None)),
    )


OF_ALL_KINDS = [*ALL.values(), APART, *(saying(text, outcome) for text in NASTY[::4] for outcome in (Did.NEVER, Did.DEFECTS, Did.IMPOSSIBLE))]


@pytest.mark.data
def test_sarif_with_a_rehearsal_follows_the_schema_of_oasis(data):
    schema = json.loads(data("schemas/sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
    for each in OF_ALL_KINDS:
        page = json.loads(render("sarif", report(each), verbose=True))
        assert [error.message for error in validator.iter_errors(page)] == []


@pytest.mark.data
@pytest.mark.parametrize("name", ["junit-ant.xsd", "junit-10.xsd"], ids=["ant", "jenkins"])
def test_junit_with_a_rehearsal_follows_the_schemas_of_ant_and_jenkins(data, name):
    schema = xmlschema.XMLSchema(data(f"schemas/{name}"))
    for each in OF_ALL_KINDS:
        schema.validate(ET.fromstring(render("junit", report(each))))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile)
def test_no_text_of_a_guest_changes_the_shape_of_a_report(text):
    found, harmless = report(saying(text)), report(saying("harmless"))
    pages = {name: render(name, found, verbose=True) for name in FOR_PEOPLE}
    assert [name for name, page in pages.items() if not is_clean(page)] == []
    plain = {name: render(name, harmless, verbose=True) for name in FOR_PEOPLE}
    assert Shape(pages["html"]).tags == Shape(plain["html"]).tags
    assert shape_of_markdown(pages["markdown"]) == shape_of_markdown(plain["markdown"])
    assert [line.split(" ")[0] for line in pages["github"].splitlines()] == [line.split(" ")[0] for line in plain["github"].splitlines()]
    assert [each.tag for each in ET.fromstring(pages["junit"]).iter()] == [each.tag for each in ET.fromstring(plain["junit"]).iter()]
    (run,), (other,) = (json.loads(each["sarif"])["runs"] for each in (pages, plain))
    assert [(each["ruleId"], len(each["locations"])) for each in run["results"]] == [
        (each["ruleId"], len(each["locations"])) for each in other["results"]
    ]
    REPORT.validate(json.loads(render("json", found)))


@pytest.mark.parametrize("text", NASTY)
def test_a_text_report_keeps_the_guests_words_on_lines_of_their_own(text):
    """No line of the guest stands at the left margin, where verdicts stand."""
    page = section(render("text", report(saying(text)), verbose=True))
    first, *lines = page.splitlines()
    assert first == f"Rehearsal: never provisions (1 s), and two machines of it have the same {words.safe(text)}"
    assert [line for line in lines if not line.startswith("  ")] == []


@pytest.mark.parametrize("name", FOR_PEOPLE)
def test_a_mebibyte_in_every_field_is_no_mebibyte_of_report(name):
    page = render(name, report(saying("A" * 2**20)), verbose=True)
    assert len(page) < 200_000
    assert "more characters" in page


@pytest.mark.parametrize("name", FOR_PEOPLE)
def test_ten_thousand_of_everything_are_counted_and_not_all_shown(name):
    many = 10_000
    found = NEVER._replace(
        witnesses=(*(Witness("told", f"/w{number}", "x", None) for number in range(many)), NEVER.witnesses[1]),
        defects=tuple(f"Defect {number}." for number in range(many)),
        tried=tuple(f"host{number}" for number in range(many)),
        console=tuple(f"line {number}" for number in range(many)),
        twins=tuple(Twin("key", f"/t{number}", number == many - 1, "") for number in range(many)),
    )
    page = render(name, report(found), verbose=True)
    assert len(page) < 200_000
    assert "/etc/hostname" in page, "bad news is never crowded out"
    assert "/t9999" in page, "nor is what both have"
    assert "/w9999" not in page
    if name not in ("sarif", "github"):
        assert "9900 lines before" in page.replace("\\", "")
    if name != "sarif":
        assert "line 9999" in page


def test_one_defect_is_said_once():
    found = PASSED._replace(outcome=Did.DEFECTS, cause="No agent.", remedy="Mend it.", defects=("No agent.", "No DVD."))
    lines = section(render("text", report(found))).splitlines()
    assert lines[:4] == ["Rehearsal: rehearsed, with defects (73 s)", "  Defect: No agent.", "  Defect: No DVD.", "  Remedy: Mend it."]
    (run,) = json.loads(render("sarif", report(found)))["runs"]
    assert run["results"][0]["message"]["text"] == "rehearsed, with defects: No agent. No DVD."


def test_the_upload_is_not_told_of_what_failed_when_it_was_booted():
    told = {name: render("text", report(each)) for name, each in ALL.items()}
    assert {name: "To upload it as" in page for name, page in told.items()} == {"passed": True, "never": False, "twins": False, "impossible": True}
    assert {name: "How to upload it is told when its rehearsal has passed." in page for name, page in told.items()} == {
        "passed": False,
        "never": True,
        "twins": True,
        "impossible": False,
    }
    assert json.loads(render("json", report(NEVER)))["upload"] is None


@pytest.mark.parametrize("rehearsal", ALL.values(), ids=ALL)
def test_a_saved_report_with_a_rehearsal_is_read_back_and_compared(rehearsal, tmp_path):
    sides = []
    for name, each in (("one", rehearsal), ("other", None)):
        path = tmp_path / f"{name}.json"
        path.write_text(render("json", report(each)), encoding="utf-8")
        read = savedreport.read(path)
        assert read.verdict is Verdict.READY
        sides.append(diff.side(read, name))
    compared = diff.compare(*sides)
    assert (compared.differences, compared.unread) == ((), ())


def digested(rehearsal: Rehearsal | None) -> Report:
    judged = report(rehearsal)
    return judged._replace(disks=(judged.disks[0]._replace(digests=Digests("1" * 64, "2" * 64)),))


def test_an_attestation_carries_the_rehearsal_and_says_passed_only_if_it_did():
    predicates = {name: json.loads(statement.make(digested(each)))["predicate"] for name, each in {**ALL, "none": None}.items()}
    assert {name: (each["result"], each["passedTests"], each["failedTests"]) for name, each in predicates.items()} == {
        "none": ("PASSED", ["a-b"], []),
        "passed": ("PASSED", ["a-b", "rehearsal"], []),
        "never": ("FAILED", ["a-b"], ["rehearsal"]),
        "twins": ("FAILED", ["a-b", "rehearsal"], ["rehearsal-twins"]),
        "impossible": ("FAILED", ["a-b"], ["rehearsal"]),
    }
    stated = statement.read(statement.make(digested(NEVER)))
    assert stated.report["rehearsal"] == json.loads(render("json", report(NEVER)))["rehearsal"]


def test_a_rehearsal_is_what_two_reports_of_one_image_differ_in():
    one, other = (json.loads(render("json", report(each))) for each in (PASSED, PASSED._replace(seconds=80.0)))
    assert one.pop("rehearsal") != other.pop("rehearsal")
    assert one == other
    assert report_saying("x").rehearsal is None
