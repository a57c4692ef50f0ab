"""What must not reach strangers: nothing is raised of clean images, and what is found is shown nowhere."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fixtures import build, planted
from vhdprep.check import check
from vhdprep.model import Outcome, Target
from vhdprep.report import REPORTERS, load_reporter

READY = [
    name
    for name, recipe in build.recipes().items()
    if recipe["expect"]["verdict"] == "ready" and recipe["expect"].get("target", "generalized") == "generalized" and not recipe.get("data")
]
TRUE = {
    "windows-2022-secrets": ["windows-cloud-logins-removed"],
    "windows-2022-dns-suffix": ["windows-names-not-internal"],
}
"""Images that are ready for their owner and are rightly said to leak."""
SECRETS = planted.secrets()
WINDOW = 16


@pytest.fixture(scope="module")
def leaking(rules):
    return check(build.build("debian-12-secrets"), rules, target=Target.COMMUNITY_GALLERY)


def pieces():
    """What must be nowhere: every stretch of a secret, beside the prefix that tells its kind."""
    for name, (_, value) in SECRETS.items():
        for at in range(8, max(9, len(value) - WINDOW), WINDOW // 2):
            yield name, value[at : at + WINDOW]


def shown_in(text):
    return sorted({name for name, piece in pieces() if piece in text})


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "vhdprep", *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", READY)
def test_a_clean_image_raises_nothing_when_strangers_are_to_run_it(name, rules):
    about = tuple(rule for rule in rules if "leaks" in rule.tags)
    report = check(build.build(name), about, target=Target.COMMUNITY_GALLERY)
    raised = [each.rule_id for each in report.findings if each.outcome not in (Outcome.PASS, Outcome.NOT_APPLICABLE)]
    assert raised == TRUE.get(name, [])


def test_every_secret_that_was_planted_is_found(leaking):
    kinds = {part.value.partition(",")[0] for each in leaking.findings if each.rule_id.startswith("guest-") for part in each.observations}
    assert kinds == {name.partition(":")[0] for name in SECRETS}


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("name", REPORTERS)
def test_no_report_shows_a_secret(leaking, name, verbose):
    text = load_reporter(name).render(leaking, verbose=verbose)
    assert ("guest-cloud-keys-removed" in text) is (name != "selftest")  # which names only items of certification
    assert shown_in(text) == []


def test_the_search_for_shown_secrets_would_see_one():
    assert shown_in("".join(text for text, _ in SECRETS.values())) == sorted(SECRETS)


def test_neither_a_plan_nor_the_difference_of_two_images_shows_a_secret(tmp_path):
    image, clean = build.build("debian-12-secrets"), build.build("debian-12-for-strangers")
    said = [
        run("prepare", image, "--plan-only", "--as", "community-gallery", "--allow", "unsafe", *more)
        for more in ((), ("--format", "json"), ("--verbose",))
    ]
    said += [run("diff", clean, image, "--as", "community-gallery", *more) for more in ((), ("--format", "json"))]
    assert [(done.returncode in (0, 1), done.stderr) for done in said] == [(True, "")] * len(said)
    assert all(done.stdout for done in said)
    assert shown_in("".join(done.stdout for done in said)) == []


def plan_of(name, *more):
    done = run("prepare", build.build(name), "--plan-only", "--as", "community-gallery", "--format", "json", *more)
    assert done.returncode in (0, 1)
    return json.loads(done.stdout)["plan"]


@pytest.mark.parametrize("name", ["debian-12-logins", "debian-12-traces", "windows-2022-leaks"])
def test_with_leave_prepare_takes_away_all_but_what_its_owner_must_revoke_first(name):
    plan = plan_of(name, "--allow", "unsafe")
    left = {"guest-cloud-keys-removed", "guest-code-tokens-removed", "guest-passwords-removed", "guest-settings-without-passwords"}
    assert {each["rule"] for each in plan["manual"]} <= left
    assert plan["withheld"] == []


def test_a_plan_shows_no_line_that_was_secret():
    assert "invented" not in json.dumps([each["lines"] for each in plan_of("debian-12-logins", "--allow", "unsafe")["changes"]])


def test_a_line_that_tells_something_does_not_stay_as_a_comment():
    lines = [line for each in plan_of("debian-12-traces", "--allow", "unsafe")["changes"] for line in each["lines"]]
    assert [line for line in lines if line.startswith("+")] == ["+"] * 7


def test_without_leave_prepare_removes_logins_and_histories_and_withholds_the_rest():
    plan = plan_of("debian-12-logins")
    assert [each["shown"] for each in plan["changes"]] == [
        "/root/.azure/msal_token_cache.json",
        "/root/.git-credentials",
        "/root/.mozilla/firefox/a.default/cookies.sqlite",
    ]
    assert "linux-tls-keys-removed" in {each["rule"] for each in plan["withheld"]}
