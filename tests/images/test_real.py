"""A real Debian 12, used and generalized, and a Debian 13: what a person who looked at its tree knows, and what the program says."""

from __future__ import annotations

import json

import pytest

from vhdprep.check import check
from vhdprep.model import Outcome, Severity, Verdict

pytestmark = pytest.mark.real_image

# What no rule asks for: left by every package installation, the same in a distribution's own images.
HARMLESS = {"package_backups", "service_state", "home_files", "apt_lists"}
# Empty files, a lock, and what may stay in an image for one's own tenant.
HARMLESS_PATHS = {"etc/subgid-", "etc/subuid-", "var/cache/apt/archives/lock", "etc/opt/microsoft/mdatp/mdatp_onboard.json"}


@pytest.fixture(scope="module")
def facts(real_image):
    return json.loads(real_image("facts.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def judged(real_image, rules):
    """Report by state and container type; each image is judged once."""
    done = {}

    def judge(state, kind):
        if (state, kind) not in done:
            done[state, kind] = check(real_image(f"debian-12-{state}.{kind}.vhd"), rules)
        return done[state, kind]

    return judge


def failed(report, severity=None):
    return {each.rule_id for each in report.findings if each.outcome is Outcome.FAIL and severity in (None, each.severity)}


def test_the_facts_are_those_of_the_tree(judged, facts):
    report = judged("used", "fixed")
    release = facts["guest"]["os_release"]
    guest = report.guest
    assert (guest.distro, guest.version, guest.product) == (release["ID"], release["VERSION_ID"], release["PRETTY_NAME"])
    assert (guest.family, guest.arch, guest.boot, guest.generations, guest.init) == ("debian", "x86_64", "uefi", (1, 2), "systemd")
    assert guest.hostname == facts["used"]["text"]["etc/hostname"].strip()
    uuids = {volume.uuid for volume in report.disks[0].volumes}
    assert {facts["guest"]["root_uuid"], facts["guest"]["esp_uuid"]} <= uuids


def test_every_leftover_of_the_used_machine_is_named_with_its_path(judged, facts):
    report = judged("used", "fixed")
    findings = [each for each in report.findings if each.outcome is Outcome.FAIL]
    named = {observation.where.split(":")[0] for finding in findings for observation in finding.observations}
    places = {place.replace("/var/run/", "/run/") for place in named}
    missed = {
        kind: paths
        for kind, listed in facts["used"]["leftovers"].items()
        if kind not in HARMLESS
        and (
            paths := [
                path
                for path in set(listed) - HARMLESS_PATHS
                if not any(f"/{path}" == place or f"/{path}".startswith(f"{place}/") for place in places)
            ]
        )
    }
    assert report.verdict is Verdict.NOT_READY
    assert missed == {}


def test_every_usable_password_is_named_without_its_hash(judged, facts):
    report = judged("used", "fixed")
    seen = [str(each.value) for finding in report.findings for each in finding.observations]
    for account in facts["used"]["usable_hashes"]:
        assert f"{account} has a usable password hash" in seen
    assert not any(account["shadow"] in text for account in facts["used"]["accounts"] for text in seen)


def test_the_generalized_machine_is_ready(judged):
    report = judged("generalized", "fixed")
    assert failed(report, Severity.ERROR) == set()
    assert (report.verdict, report.gaps, report.how_many(Outcome.UNKNOWN)) == (Verdict.READY, (), 0)
    assert len(failed(report)) <= 3


def test_another_release_is_ready_as_well(real_image, rules):
    report = check(real_image("debian-13-generalized.fixed.vhd"), rules)
    assert (report.verdict, report.gaps, report.how_many(Outcome.UNKNOWN)) == (Verdict.READY, (), 0)
    assert failed(report) == {"linux-boot-trusted-launch-listed", "linux-nvme-release-listed", "linux-nvme-timeout-raised"}
    guest = report.guest
    assert (guest.distro, guest.version, guest.family, guest.boot, guest.generations) == ("debian", "13", "debian", "uefi", (1, 2))


@pytest.mark.parametrize("state", ["used", "generalized"])
def test_fixed_and_dynamic_give_the_same_findings(judged, state):
    fixed, dynamic = judged(state, "fixed"), judged(state, "dynamic")
    assert failed(dynamic) - failed(fixed) == {"vhd-type-fixed"}
    assert failed(fixed) <= failed(dynamic)
    assert fixed.guest == dynamic.guest
    assert fixed.disks[0].volumes == dynamic.disks[0].volumes
