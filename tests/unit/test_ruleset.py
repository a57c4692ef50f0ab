"""The engine: three-valued logic that fails closed, matchers, conditions, strict loading."""

from __future__ import annotations

import time

import pytest

from tests.unit.memory import image
from vhdprep.errors import RuleError, Unreadable
from vhdprep.guest.formats.masking import mask
from vhdprep.model import ABSENT, Finding, Observation, Outcome, Severity, Target, Verdict
from vhdprep.probes.registry import Probe
from vhdprep.remedy import Manual
from vhdprep.ruleset.evaluate import judge_rule, show
from vhdprep.ruleset.load import load_rules, select
from vhdprep.ruleset.matchers import MATCHERS, quantity, version
from vhdprep.ruleset.rule import AllOf, AnyOf, AppliesTo, Leaf, Not, Rule
from vhdprep.verdict import judge


def leaf(value, place="/x"):
    """A check that is true, false, or cannot be decided (None)."""

    def look(_image):
        if value is None:
            raise Unreadable(f"{place} cannot be read")
        if value == "crash":
            raise ZeroDivisionError("a bug")
        return Observation(value, place)

    return Leaf(Probe(look, "", exact=True, each_disk=False), {}, "equals", True)


def rule(check, **changes):
    base = Rule("a-rule", "A rule", Severity.ERROR, (), AppliesTo(), None, "Because.", check, "{where} is {observed}.", Manual(("Do it.",)),
                ("https://example.org/",), None, "a-rule.yaml:1", "0")  # fmt: skip
    return base._replace(**changes)


TRUE, FALSE, UNKNOWN = leaf(True), leaf(False, "/f"), leaf(None, "/u")


@pytest.mark.parametrize(
    ("check", "outcome"),
    [
        (TRUE, "pass"), (FALSE, "fail"), (UNKNOWN, "unknown"),
        (Not(TRUE), "fail"), (Not(FALSE), "pass"), (Not(UNKNOWN), "unknown"),
        (AnyOf((FALSE, TRUE)), "pass"), (AnyOf((UNKNOWN, TRUE)), "pass"), (AnyOf((FALSE, UNKNOWN)), "unknown"), (AnyOf((FALSE, FALSE)), "fail"),
        (AllOf((TRUE, TRUE)), "pass"), (AllOf((TRUE, FALSE)), "fail"), (AllOf((UNKNOWN, FALSE)), "fail"), (AllOf((TRUE, UNKNOWN)), "unknown"),
        (AllOf((AnyOf((FALSE, UNKNOWN)), TRUE)), "unknown"), (leaf("crash"), "unknown"),
    ],
)  # fmt: skip
def test_what_cannot_be_looked_at_is_unknown_and_never_a_pass(check, outcome):
    assert judge_rule(rule(check), image()).outcome == outcome


def test_any_stops_at_the_first_that_holds():
    assert judge_rule(rule(AnyOf((TRUE, leaf("crash")))), image()).outcome is Outcome.PASS


def test_a_failing_rule_shows_what_decided_and_the_remedy():
    finding = judge_rule(rule(AllOf((TRUE, FALSE, leaf(False, "/g")))), image())
    assert finding.message == "/f, /g is no."
    assert [each.where for each in finding.observations] == ["/f", "/g"]
    assert finding.remedy == Manual(("Do it.",))
    assert judge_rule(rule(TRUE), image()).remedy is None


@pytest.mark.parametrize(("message", "shown"), [("{where}: {observed}.", "data0: LUN 1."), ("{observed}.", "data0."), ("{where}.", "data0.")])
def test_a_message_names_a_place_once_and_what_stands_there(message, shown):
    seen = Observation.listing("data disks", (Observation("LUN 1", "data0"),))
    check = Leaf(Probe(lambda _image: seen, "", exact=True, each_disk=False), {}, "empty", True)
    assert judge_rule(rule(check)._replace(message=message), image()).message == shown


def test_the_password_of_a_url_is_never_shown():
    finding = judge_rule(
        rule(Leaf(Probe(lambda _image: Observation("http://joe:secret@proxy:3128", "/f"), "", exact=True, each_disk=False), {}, "empty", True)),
        image(),
    )
    assert finding.message == "/f is http://joe:***@proxy:3128."
    assert finding.observations[0].value == "http://joe:***@proxy:3128"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("//nas/x /mnt cifs user=joe,password=hun,ter2 0 0", "//nas/x /mnt cifs user=joe,password=*** 0 0"),
        ("//nas/x /mnt cifs credentials=/root/.smb", "//nas/x /mnt cifs credentials=***"),
        ('OMS_TOKEN="two words" A=1', "OMS_TOKEN=*** A=1"),
        ("userPassword: correct horse", "userPassword: ***"),
        ("client_secret = correct horse", "client_secret = ***"),
        ('{"password": "s3cret"}', '{"password": ***'),
        ("ExecStart=/x --token abc --verbose", "ExecStart=/x --token *** --verbose"),
        ("pass=1 db_pass=2 compass=3 bypass=4", "pass=*** db_pass=*** compass=3 bypass=4"),
        ("%sudo ALL=(ALL) NOPASSWD:ALL", "%sudo ALL=(ALL) NOPASSWD:ALL"),
        ("lock_passwd: true", "lock_passwd: true"),
        ("/etc/passwd:joe", "/etc/passwd:joe"),
        ("http://joe:p@ss@proxy:3128", "http://joe:***@proxy:3128"),
        ('DB_PASSWORD=a\\ b"c d"e A=1', "DB_PASSWORD=*** A=1"),
        ('PASSWORD="a\\" b" A=1', "PASSWORD=*** A=1"),
        ("<password>s3cret</password>", "<password>***</password>"),
        ('<add key="ClearTextPassword" value="s3cret" />', '<add key="ClearTextPassword" value="***" />'),
        ("curl -s -u joe:s3cret https://x", "curl -s -u joe:*** https://x"),
        ("sshpass -p s3cret ssh x", "sshpass -p *** ssh x"),
        ("@daily root mysqldump -u a -ps3cret b | mail joe", "@daily root mysqldump -u a -p*** b | mail joe"),
        ("docker login -u joe -p s3cret registry", "docker login -u joe -p *** registry"),
        ("X-Api-Key: s3cret", "X-Api-Key: ***"),
        ("AccountName=a;AccountKey=s3cret", "AccountName=a;AccountKey=***"),
        ("https://x/?token=abc", "https://x/?token=***"),
        ("PasswordAuthentication yes", "PasswordAuthentication yes"),
    ],
)
def test_what_a_key_names_a_secret_is_never_shown(line, shown):
    for value in (line, (line,)):
        seen = judge_rule(
            rule(Leaf(Probe(lambda _image, value=value: Observation(value, "/f"), "", exact=True, each_disk=False), {}, "empty", True)), image()
        )
        assert seen.message == f"/f is {shown}."
        assert seen.observations[0].value in (shown, (shown,))


def test_a_line_made_to_be_slow_is_masked_in_time():
    started = time.process_time()
    for text in (
        "password" * 2000,
        "pass" * 4000,
        "a-" * 8000,
        "--" * 8000,
        "token " * 3000,
        "_pass" * 3000,
        "passwd " + " " * 16000,
        "a://b:" * 2700,
        "-u a:" * 3000,
        "sshpass " * 2000,
        "mysql " * 2700,
        'token="\\' * 2000,
        "a>" * 8000,
    ):
        mask(text)
    assert time.process_time() - started < 2


def test_a_line_is_cut_only_after_its_password_was_found():
    from vhdprep.guest.formats.masking import MAX_SHOWN, excerpt

    for length in range(150, MAX_SHOWN):
        line = "x" * length + " http://joe:correcthorsebatterystaple@proxy/"
        assert "correct" not in excerpt(line)
    assert len(excerpt("x " * 1000)) == MAX_SHOWN


def test_neither_a_reason_nor_a_traceback_shows_a_password():
    def look(_image):
        raise ValueError("http://joe:s3cret@proxy/")

    def refuse(_image):
        raise Unreadable("/f: password=s3cret is no number")

    for probe in (look, refuse):
        finding = judge_rule(rule(Leaf(Probe(probe, "", exact=True, each_disk=False), {}, "empty", True)), image())
        assert "***" in finding.reason
        assert "s3cret@" not in f"{finding.reason}{finding.traceback}"
        assert "=s3cret" not in finding.reason


def test_an_undecided_rule_says_why():
    assert judge_rule(rule(UNKNOWN), image()).reason == "/u cannot be read"


def test_a_crashed_rule_keeps_its_traceback_and_the_run_goes_on():
    finding = judge_rule(rule(leaf("crash")), image())
    assert finding.reason == "the rule crashed: ZeroDivisionError: a bug"
    assert "Traceback" in finding.traceback


def test_a_precondition_decides_whether_a_rule_applies():
    assert judge_rule(rule(FALSE, when=FALSE), image()).outcome is Outcome.NOT_APPLICABLE
    assert judge_rule(rule(TRUE, when=UNKNOWN), image()).outcome is Outcome.UNKNOWN
    assert judge_rule(rule(FALSE, when=TRUE), image()).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("only", "unless", "given", "outcome"),
    [
        ({"os": ("linux",)}, {}, {}, "pass"),
        ({"os": ("windows",)}, {}, {}, "not-applicable"),
        ({"distro": ("debian", "ubuntu")}, {}, {}, "pass"),
        ({}, {"distro": ("debian",)}, {}, "not-applicable"),
        ({}, {"distro": ("debian",), "version": ("11",)}, {}, "pass"),
        ({}, {"distro": ("debian",), "version": ("12",)}, {}, "not-applicable"),
        ({"version": (">=11,<13",)}, {}, {}, "pass"),
        ({"version": ("<12",)}, {}, {}, "not-applicable"),
        ({"version": (">=8",)}, {}, {"facts": {"version": None}}, "unknown"),
        ({"arch": ("aarch64",)}, {}, {"facts": {"arch": None}}, "unknown"),
        ({"boot": ("bios",)}, {}, {"facts": {"boot": None}}, "not-applicable"),
        ({"target": ("marketplace",)}, {}, {}, "not-applicable"),
        ({"target": ("marketplace",)}, {}, {"target": "marketplace"}, "pass"),
        ({"format": ("vhd",), "type": ("dynamic",)}, {}, {}, "not-applicable"),
        ({"os": ("linux",)}, {}, {"guest": None}, "unknown"),
        ({"os": ("linux",), "target": ("marketplace",)}, {}, {"guest": None}, "not-applicable"),
    ],
)
def test_the_conditions_of_a_rule(only, unless, given, outcome):
    finding = judge_rule(rule(TRUE, applies_to=AppliesTo(only, unless)), image(**given))
    assert finding.outcome == outcome


def finding_of(severity, outcome):
    return Finding("r", "R", severity, outcome, "m")


@pytest.mark.parametrize(
    ("outcomes", "gaps", "verdict"),
    [
        (["pass"], (), Verdict.READY),
        (["pass", "not-applicable"], (), Verdict.READY),
        (["pass", "waived"], (), Verdict.READY),
        (["pass", "fail", "unknown"], ("x",), Verdict.NOT_READY),
        (["pass", "unknown"], (), Verdict.INCONCLUSIVE),
        (["pass"], ("p2: encrypted",), Verdict.INCONCLUSIVE),
        ([], (), Verdict.INCONCLUSIVE),
        (["not-applicable"], (), Verdict.INCONCLUSIVE),
        (["waived"], (), Verdict.READY),
        (["waived"], ("p2: encrypted",), Verdict.INCONCLUSIVE),
    ],
)
def test_the_verdict_fails_closed(outcomes, gaps, verdict):
    errors = tuple(finding_of(Severity.ERROR, Outcome(each)) for each in outcomes)
    warning = finding_of(Severity.WARNING, Outcome.FAIL)
    assert judge((*errors, warning), gaps) is verdict


@pytest.mark.parametrize(
    ("outcome", "verdict"), [("pass", Verdict.READY), ("waived", Verdict.READY), ("fail", Verdict.NOT_READY), ("unknown", Verdict.INCONCLUSIVE)]
)
def test_a_warning_counts_like_an_error_where_that_is_asked_for(outcome, verdict):
    findings = (finding_of(Severity.ERROR, Outcome.PASS), finding_of(Severity.WARNING, Outcome(outcome)), finding_of(Severity.NOTE, Outcome.FAIL))
    assert (judge(findings, ()), judge(findings, (), Severity.WARNING)) == (Verdict.READY, verdict)


@pytest.mark.parametrize(
    ("matcher", "value", "argument", "holds"),
    [
        ("equals", "a", "a", True), ("equals", True, 1, False), ("equals", 1, True, False), ("equals", "1", 1, False), ("equals", ABSENT, "a", False),
        ("one_of", "a", ["a", "b"], True), ("one_of", "c", ["a", "b"], False), ("one_of", ABSENT, ["a"], False),
        ("matches", "abc", "^a", True), ("matches", ABSENT, ".*", False), ("matches", ("abc",), "a", False),
        ("contains", ("a", "b"), "a", True), ("contains", "ab", "a", False), ("contains_match", ("x", "ab"), "^a", True), ("contains_match", (), "", False),
        ("empty", (), True, True), ("empty", "", True, True), ("empty", ABSENT, True, False), ("empty", False, True, False), ("empty", ABSENT, False, False), ("empty", 0, False, False), ("version_at_least", "1.0", "1.0.0", True), ("empty", ("a",), False, True),
        ("absent", ABSENT, True, True), ("absent", "", True, False), ("absent", ABSENT, False, False),
        ("at_least", 5, 5, True), ("at_least", 4, 5, False), ("at_least", True, 0, False), ("at_least", "9", 5, False), ("at_most", 5, 5, True),
        ("multiple_of", 2097152, 1048576, True), ("multiple_of", 2097153, 1048576, False), ("multiple_of", ABSENT, 1, False),
        ("version_at_least", "2.2.53.1", "2.2.53.1", True), ("version_at_least", "1:9.2p1-2+deb12u3", "9.2", True),
        ("version_at_least", "2.2.53", "2.2.53.1", False), ("version_at_least", "10.0", "9.9", True), ("version_at_least", ABSENT, "1", False),
    ],
)  # fmt: skip
def test_matchers_never_judge_by_truthiness(matcher, value, argument, holds):
    assert MATCHERS[matcher].compare(value, argument) is holds


def test_sizes_and_versions_are_read_with_their_units():
    assert [quantity(each) for each in ("1 MiB", "30 GiB", "4 TiB", "x", 7)] == [1048576, 32212254720, 4398046511104, "x", 7]
    assert version("1:2.7.3.0-4.1") == (2, 7, 3, 0)


def test_values_are_shown_in_words():
    assert [show(each) for each in (ABSENT, True, False, 5, "x", (), ("a",), ("a", "b", "c", "d", "e"))] == [
        "absent", "yes", "no", "5", "x", "nothing", "a", "a and 4 more"]  # fmt: skip


GOOD = """id: site-a
title: A
severity: warning
why: Because.
check: {probe: file_kind, with: {path: /a}, expect: {equals: file}}
message: '{where} is {observed}.'
remedy: {kind: manual, steps: [Do it.]}
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("id: site-a", "id: site-b", 1, "they must agree"),
        ("title: A", "title: A.", 2, "no full stop"),
        ("severity: warning", "severity: fatal", 3, "choose error, warning or note"),
        ("severity: warning", "severity: error", 1, "at least one reference"),
        ("probe: file_kind", "probe: file_kinds", 5, "did you mean 'file_kind'"),
        ("path: /a", "paths: /a", 5, "did you mean 'path'"),
        ("path: /a", "path: 7", 5, "takes str, not 7"),
        ("equals: file", "equal: file", 5, "did you mean 'equals'"),
        ("equals: file", "matches: '['", 5, "no regular expression"),
        ("equals: file", "equals: file, absent: true", 5, "exactly one matcher"),
        ("equals: file", "at_least: many", 5, "takes a number"),
        ("is {observed}.'", "is {seen}.'", 6, "{seen} is unknown"),
        ("is {observed}.'", "is {observed}'", 6, "ends in a full stop"),
        ("kind: manual", "kind: magic", 7, "unknown remedy 'magic'"),
        ("kind: manual, steps: [Do it.]", "kind: start_found_services, with: {start: often}, disposition: safe", 7, "starts as boot"),
        ("kind: manual, steps: [Do it.]", "kind: set_registry_values, with: {values: [HKLM]}, disposition: safe", 7, "KEY\\NAME = TYPE:DATA"),
        ("why: Because.\n", "", 1, "key 'why' is missing"),
        ("why: Because.", "why: Because.\nwhy: Twice.", 5, "stands twice"),
        ("why: Because.", "why: Because.\napplies_to: {system: linux}", 5, "unknown condition 'system'"),
        ("why: Because.", "why: Because.\napplies_to: {os: Linux}", 5, "did you mean 'linux'"),
        ("why: Because.", "why: Because.\napplies_to: {target: generalised}", 5, "did you mean 'generalized'"),
        ("why: Because.", "why: Because.\napplies_to: {unless: [debian]}", 5, "unless is a mapping"),
        (
            "check: {probe: file_kind, with: {path: /a}, expect: {equals: file}}",
            "check: {probe: vhd_defects, with: {kinds: [footer-chekcsum]}, expect: {empty: true}}",
            5,
            "did you mean 'footer-checksum'",
        ),
        (
            "check: {probe: file_kind, with: {path: /a}, expect: {equals: file}}",
            "check: {probe: disk_field, with: {field: 'mbr:signatur'}, expect: {absent: true}}",
            5,
            "did you mean 'mbr:signature'",
        ),
        ("why: Because.", "why: [Because.", 5, ""),
    ],
)
def test_a_wrong_rule_is_named_with_its_line(tmp_path, old, new, line, words):
    assert old in GOOD
    (tmp_path / "site-a.yaml").write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(RuleError) as caught:
        load_rules((tmp_path,))
    assert any(complaint.line == line and words in complaint.text for complaint in caught.value.complaints), caught.value


def test_a_good_rule_loads_and_is_selected_by_id_glob_or_tag(tmp_path):
    (tmp_path / "site-a.yaml").write_text(GOOD.replace("severity: warning", "severity: warning\ntags: [mine]"), encoding="utf-8")
    rules = load_rules((tmp_path,))
    for pattern in ("site-a", "site-*", "tag:mine"):
        assert [each.id for each in select(rules, (pattern,), ())] == ["site-a"]
    assert "site-a" not in [each.id for each in select(rules, (), ("site-*",))]


def test_a_stale_compiled_entry_is_not_used(tmp_path):
    from vhdprep.guest.formats import yamltext
    from vhdprep.ruleset import compiled

    document = yamltext.load(GOOD.replace("title: A", "title: Stale"))
    for text in (compiled.render({"0" * 64: document}), "no JSON"):
        (tmp_path / compiled.NAME).write_text(text, encoding="utf-8")
        (tmp_path / "site-a.yaml").write_text(GOOD, encoding="utf-8")
        assert next(each.title for each in load_rules((tmp_path,)) if each.id == "site-a") == "A"
    assert compiled.read(tmp_path) == {}


def test_every_target_is_a_choice_of_the_command_line():
    assert [str(each) for each in Target] == ["generalized", "specialized", "marketplace", "community-gallery"]
