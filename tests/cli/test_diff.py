"""``vhdprep diff``: two images or two reports by meaning, and its exit codes."""

from __future__ import annotations

import json
import os

import pytest

from tests.cli.test_cli import copy_of, run
from vhdprep.diff import Difference, Side, compare


def difference(a, b):
    done = run("diff", a, b, "--format", "json")
    return done.returncode, json.loads(done.stdout)


def test_what_happened_to_an_image_is_told_and_nothing_else(image):
    code, found = difference(image("debian-12-generalized"), image("debian-12-host-keys"))
    assert (code, found["unread"], found["left_out"]) == (1, [], [])
    assert found["differences"] == [
        {"part": "verdict", "name": "verdict", "a": "ready", "b": "not-ready"},
        {"part": "rules", "name": "linux-ssh-host-keys-removed", "a": "pass", "b": "fail (/etc/ssh/ssh_host_ed25519_key)"},
    ]


def test_text_for_people(image):
    a, b = image("debian-12-generalized"), image("debian-12-host-keys")
    assert run("diff", a, b).stdout == (
        f"{a}, {b}: 2 differences\n"
        "\n"
        "verdict\n"
        "    verdict: ready -> not-ready\n"
        "\n"
        "rules\n"
        "    linux-ssh-host-keys-removed: pass -> fail (/etc/ssh/ssh_host_ed25519_key)\n"
    )


@pytest.mark.parametrize("name", ["debian-12-generalized", "windows-2022-generalized"])
def test_an_image_is_the_same_as_its_copy(image, tmp_path, name):
    copy = copy_of(image(name), tmp_path / "copy.vhd", lambda data: data)
    done = run("diff", image(name), copy)
    assert (done.returncode, done.stdout) == (0, f"{image(name)}, {copy}: the same\n")


def test_accounts_services_and_state_are_named(image):
    _, found = difference(image("debian-12-used"), image("debian-12-generalized"))
    told = {(each["part"], each["name"]): (each["a"], each["b"]) for each in found["differences"]}
    assert told["system", "hostname"] == ("builder01", "localhost")
    assert told["accounts", "azureuser"] == ("uid 1000, /home/azureuser, /bin/bash, password usable", None)
    _, found = difference(image("windows-2022-in-use"), image("windows-2022-generalized"))
    told = {(each["part"], each["name"]): (each["a"], each["b"]) for each in found["differences"]}
    assert told["state", "phase"] == ("in-use", "sealed-oobe")


def test_two_reports_are_compared_by_what_they_hold(image, tmp_path):
    reports = []
    for name in ("debian-12-generalized", "debian-12-host-keys"):
        reports.append(tmp_path / f"{name}.json")
        run("check", image(name), "--format", "json", "--output", reports[-1])
    code, found = difference(*reports)
    assert (code, len(found["differences"])) == (1, 2)
    assert found["left_out"] == ["boot", "services", "drivers", "accounts", "agent", "packages"]
    assert difference(reports[0], reports[0])[0] == 0
    assert difference(image("debian-12-generalized"), reports[0])[:1] == (0,)


def test_what_could_not_be_read_is_not_the_same(image):
    done = run("diff", image("container-garbage"), image("container-garbage"))
    assert (done.returncode, "no difference was found" in done.stdout, "not compared: what was read:" in done.stdout) == (3, True, True)


def test_what_is_no_image_and_no_report_is_told(image, tmp_path):
    (tmp_path / "bad.json").write_text("{")
    for bad, words in ((tmp_path / "none.vhd", "none.vhd"), (tmp_path / "bad.json", "is no JSON"), (tmp_path, str(tmp_path))):
        done = run("diff", image("debian-12-generalized"), bad)
        assert (done.returncode, done.stdout, words in done.stderr, "Traceback" in done.stderr) == (2, "", True, False)


def test_other_rules_make_no_difference_of_the_image_but_are_told():
    one, other = (Side(name, {"rules": rules}, {}) for name, rules in (("a", {"x": "pass", "y": "pass"}), ("b", {"x": "fail", "z": "pass"})))
    found = compare(one, other)
    assert found.differences == (Difference("rules", "x", "pass", "fail"),)
    assert found.unread == ("rules: 2 were asked of one of the two only, such as y",)


def test_a_bent_report_is_told_or_taken_for_what_it_says(image, tmp_path):
    path = tmp_path / "r.json"
    run("inspect", image("debian-12-generalized"), "--format", "json", "--output", path)
    values = json.loads(path.read_text())
    for bent in ({"guest": 7}, {"guest": {"product": {"a": []}}}, {"disks": [3, {"container": []}]}, {"disks": {}}, {"phase": []}):
        path.write_text(json.dumps(values | bent))
        done = run("diff", path, path)
        assert (done.returncode, done.stderr) == (0, ""), bent


@pytest.mark.real_image
def test_the_used_and_the_generalized_real_image_are_compared_in_little_time(real_image):
    images = [real_image(f"debian-12-{state}.fixed.vhd") for state in ("used", "generalized")]
    before = os.times()
    done = run("diff", *images)
    after = os.times()
    spent = sum(
        getattr(after, name) - getattr(before, name) for name in ("children_user", "children_system")
    )  # by the clock it is the load that is measured
    assert (done.returncode, spent < 6) == (1, True)
    assert not {"disks", "volumes", "boot", "drivers"} & set(done.stdout.splitlines())


def test_disks_and_volumes_are_told_in_words(image):
    _, found = difference(image("debian-12-generalized"), image("debian-12-dynamic"))
    told = {(each["part"], each["name"]): (each["a"], each["b"]) for each in found["differences"]}
    assert told["disks", "disk type"] == ("fixed", "dynamic")
    _, found = difference(image("debian-12-generalized"), image("debian-12-mbr"))
    told = {(each["part"], each["name"]): (each["a"], each["b"]) for each in found["differences"]}
    assert told["disks", "disk table"] == ("gpt", "mbr")
    assert told["volumes", "p2"] == ("filesystem vfat, size 12 MiB, offset 2 MiB, uuid A1B2-C3D4, type id C12A7328-F81F-11D2-BA4B-00A0C93EC93B", None)


def test_what_an_image_says_is_escaped(image, tmp_path):
    good, evil = tmp_path / "good.json", tmp_path / "evil.json"
    run("inspect", image("debian-12-generalized"), "--format", "json", "--output", good)
    values = json.loads(good.read_text())
    evil.write_text(json.dumps(values | {"guest": values["guest"] | {"hostname": "h\x1b[2J\u202e\n::error::x"}, "gaps": ["p2: \x07"]}))
    done = run("diff", good, evil)
    assert "    hostname: localhost -> h\\x1b[2J\\u202e\\x0a::error::x\n" in done.stdout
    assert "\nnot compared: what was read: " in done.stdout
    assert not {"\x1b", "\u202e", "\x07"} & set(done.stdout + run("diff", good, evil, "--format", "json").stdout)
