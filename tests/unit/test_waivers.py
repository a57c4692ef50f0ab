"""Waivers: which findings they cover, which they do not, and what a broken file is told."""

from __future__ import annotations

from datetime import date

import pytest

from vhdprep import waivers
from vhdprep.accepted import Waiver
from vhdprep.errors import RuleError, UsageError
from vhdprep.model import Finding, Observation, Outcome, Report, Severity, Target, Verdict

TODAY = date(2026, 11, 29)
KEYS, FOOTER = "linux-ssh-host-keys-removed", "vhd-footer-checksum-valid"
DIGEST = "sha256:" + "a" * 64


def finding(rule=KEYS, outcome="fail", *places):
    return Finding(rule, "T", Severity.ERROR, Outcome(outcome), "M.", tuple(Observation("x", where) for where in places))


def report(*findings, gaps=()):
    return Report("out/debian.vhd", Target.GENERALIZED, None, (), None, None, None, gaps, findings, "", 0, 0, "", 0.0, "native", "0")


def waiver(**fields):
    return Waiver(**({"rule": KEYS, "reason": "R", "owner": "O", "expiry": "2026-12-31", "place": "w.yaml:1"} | fields))


def applied(rules, waived, *findings, image=None, gaps=()):
    done = waivers.apply(report(*findings, gaps=gaps), waived, rules, TODAY, image)
    return done.verdict, [str(each.outcome) for each in done.findings], done.notices


@pytest.mark.parametrize(
    ("fields", "found", "outcome", "notice"),
    [
        ({}, finding(), "waived", None),
        ({"expiry": "2026-11-29"}, finding(), "waived", None),
        ({"expiry": "2026-11-28"}, finding(), "fail", "w.yaml:1: the waiver of linux-ssh-host-keys-removed by O expired on 2026-11-28; the finding counts again"),
        ({}, finding(KEYS, "unknown"), "unknown", "w.yaml:1: the waiver of linux-ssh-host-keys-removed does not hold, for it could not be decided; one that is meant for that says `outcome: unknown`"),
        ({"outcome": "unknown"}, finding(KEYS, "unknown"), "waived", None),
        ({"outcome": "unknown"}, finding(), "fail", "w.yaml:1: the waiver of linux-ssh-host-keys-removed does not hold, for it failed; one that is meant for that says `outcome: fail`"),
        ({"rule": FOOTER}, finding(FOOTER), "fail", "w.yaml:1: the waiver of vhd-footer-checksum-valid does not hold, for it is about the disk itself; one that is meant for that says `outcome: fail`"),
        ({"rule": FOOTER, "outcome": "fail"}, finding(FOOTER), "waived", None),
        ({}, finding(KEYS, "pass"), "pass", "w.yaml:1: the waiver of linux-ssh-host-keys-removed is of no use here any more; remove it"),
        ({}, finding(KEYS, "not-applicable"), "not-applicable", "w.yaml:1: the waiver of linux-ssh-host-keys-removed is of no use here any more; remove it"),
        ({"rule": "linux-swap-absent"}, finding(), "fail", None),
        ({"path": "/etc/ssh/*"}, finding(KEYS, "fail", "/etc/ssh/a", "/etc/ssh/b"), "waived", None),
        ({"path": "/etc/ssh/a"}, finding(KEYS, "fail", "/etc/ssh/a", "/etc/ssh/b"), "fail", "w.yaml:1: the waiver of linux-ssh-host-keys-removed does not cover /etc/ssh/b; the finding counts"),
        ({"path": "/etc/fstab"}, finding(KEYS, "fail", "/etc/fstab:3"), "waived", None),
        ({"path": "/srv/*"}, finding(KEYS, "fail", "/etc/ssh/a"), "fail", "w.yaml:1: the waiver of linux-ssh-host-keys-removed is of no use here any more; remove it"),
        ({"path": "/etc/*"}, finding(), "fail", "w.yaml:1: the waiver of linux-ssh-host-keys-removed is of no use here any more; remove it"),
        ({"image": "debian*.vhd"}, finding(), "waived", None),
        ({"image": "out/*"}, finding(), "waived", None),
        ({"image": "ubuntu*"}, finding(), "fail", None),
        ({"image": DIGEST}, finding(), "waived", None),
        ({"image": "sha256:" + "b" * 64}, finding(), "fail", None),
    ],
)  # fmt: skip
def test_what_a_waiver_covers(rules, fields, found, outcome, notice):
    verdict = {"waived": Verdict.READY, "pass": Verdict.READY, "fail": Verdict.NOT_READY}.get(outcome, Verdict.INCONCLUSIVE)
    assert applied(rules, [waiver(**fields)], found, image=DIGEST) == (verdict, [outcome], (notice,) if notice else ())


def test_an_image_whose_digest_was_not_taken_is_not_the_one_that_is_named(rules):
    assert applied(rules, [waiver(image=DIGEST)], finding())[0] is Verdict.NOT_READY


def test_two_waivers_cover_together_what_neither_does_alone(rules):
    both = [waiver(path="/a"), waiver(path="/b", place="w.yaml:9")]
    assert applied(rules, both, finding(KEYS, "fail", "/a", "/b")) == (Verdict.READY, ["waived"], ())


def test_an_expired_waiver_that_was_renewed_is_of_no_use_any_more(rules):
    both = [waiver(expiry="2026-01-01"), waiver(place="w.yaml:9")]
    told = ("w.yaml:1: the waiver of linux-ssh-host-keys-removed is of no use here any more; remove it",)
    assert applied(rules, both, finding()) == (Verdict.READY, ["waived"], told)


def test_what_was_not_read_cannot_be_waived(rules):
    assert applied(rules, [waiver(outcome="unknown"), waiver()], finding(), gaps=("p2: LUKS",))[0] is Verdict.INCONCLUSIVE


def test_an_expired_waiver_stays_with_its_finding(rules):
    (found,) = waivers.apply(report(finding()), [waiver(expiry="2026-01-01")], rules, TODAY).findings
    assert [(each.owner, each.expired) for each in found.waivers] == [("O", True)]


GOOD = "- rule: linux-ssh-host-keys-removed\n  reason: Kept for\n    the lab.\n  owner: lab@example.org\n  expiry: 2027-01-31\n"


def test_a_file_of_waivers(tmp_path, rules):
    path = tmp_path / "w.yaml"
    path.write_text(f"# ours\n{GOOD}  image: lab-*.vhd\n  path: /etc/ssh/*\n  outcome: fail\n")
    assert waivers.load(path, [each.id for each in rules]) == (
        Waiver(KEYS, "Kept for the lab.", "lab@example.org", "2027-01-31", "fail", "lab-*.vhd", "/etc/ssh/*", f"{path}:2"),
    )
    path.write_text("# none yet\n")
    assert waivers.load(path, []) == ()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (GOOD.replace("keys-removed", "key-removed"), "1: no rule is called 'linux-ssh-host-key-removed'; did you mean linux-ssh-host-keys-removed?"),
        (GOOD.replace("keys-removed", "*"), "1: no rule is called 'linux-ssh-host-*'; did you mean linux-ssh-host-keys-removed?"),
        (GOOD.replace("linux-ssh-host-keys-removed", "zzz"), "1: no rule is called 'zzz'; see `vhdprep rules list`"),
        (GOOD.replace("owner", "onwer"), "1: key 'owner' is missing; a waiver says rule, reason, owner, expiry\n4: unknown key 'onwer'; did you mean owner?"),
        (GOOD.replace("2027-01-31", "2027-02-31"), "5: expiry '2027-02-31' is no day; write it as 2027-01-31"),
        (GOOD.replace("2027-01-31", "20270131"), "5: expiry is a text, and not empty"),
        (GOOD.replace("2027-01-31", "never"), "5: expiry 'never' is no day; write it as 2027-01-31"),
        (GOOD.replace("lab@example.org", "''"), "4: owner is a text, and not empty"),
        (GOOD + "  outcome: pass\n", "6: outcome 'pass' cannot be waived; choose fail or unknown"),
        (GOOD + "  image: sha256:abc\n", "6: a digest is sha256: and 64 digits, small letters, as sha256sum prints it"),
        (GOOD + "  owner: twice\n", "6: key 'owner' stands twice"),
        ("rule: a\n", "1: waivers are a list; each begins with `- rule: ID`, and says reason, owner, expiry below"),
        ("- a\n", "1: waivers are a list; each begins with `- rule: ID`, and says reason, owner, expiry below"),
        ("- [\n", "2: did not find expected node content"),
        ("\xff", "1: is no text in UTF-8"),
    ],
)  # fmt: skip
def test_a_broken_file_is_told_line_by_line(tmp_path, rules, text, complaint):
    path = tmp_path / "w.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RuleError) as told:
        waivers.load(path, [each.id for each in rules])
    assert str(told.value) == "\n".join(f"{path}:{line}" for line in complaint.split("\n"))


def test_a_file_that_is_none_is_told(tmp_path):
    for path, words in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError, match=words):
            waivers.load(path, [])
