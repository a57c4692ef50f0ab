"""Plans over plain values: no disk, no appliance."""

from __future__ import annotations

import json

import pytest

from vhdprep import remedy as kinds
from vhdprep.disk.backend import FileKind
from vhdprep.errors import Unreadable, UsageError
from vhdprep.guest.formats.masking import mask
from vhdprep.model import Finding, Observation, Outcome, Severity
from vhdprep.prepare import actions, plan, planfile
from vhdprep.prepare.draft import Content, Draft, DraftDisk, Spot
from vhdprep.ruleset.load import load_rules
from vhdprep.ruleset.selftest import build_disk, build_image

RULES = {rule.id: rule for rule in load_rules()}


def made(files, *ids, **wishes):
    disk = DraftDisk(build_disk({"files": files}))
    return plan.make(lambda: build_image({"files": files}, disk), [RULES[each] for each in ids], **wishes)


def test_a_plan_says_what_stands_there_and_what_will():
    planned = made({"/etc/hostname": "builder\n"}, "linux-hostname-reset")
    spot = Spot("p1", "/etc/hostname")
    assert planned.contents == {spot: b"localhost.localdomain\n"}
    (change,) = planned.plan.changes
    assert (change.rules, change.what, change.shown, change.spot) == (("linux-hostname-reset",), "write", "/etc/hostname", spot)
    assert (change.before.size, change.after.size, change.lines) == (8, 22, ("-builder", "+localhost.localdomain"))
    assert planned.plan.forecast == (plan.Forecast("linux-hostname-reset", Severity.WARNING, Outcome.FAIL, Outcome.PASS),)


def test_a_link_on_the_way_is_followed_inside_the_guest_and_the_link_itself_removed():
    files = {"/etc/ssh": {"link": "../secure"}, "/secure/ssh_host_rsa_key": "k", "/etc/ssh_host": {"link": "/x"}}
    planned = made(files, "linux-ssh-host-keys-removed")
    assert [(each.what, each.spot.path) for each in planned.plan.changes] == [("remove", "/secure/ssh_host_rsa_key")]
    planned = made({"/etc/ssh/ssh_host_rsa_key": {"link": "/keep"}, "/keep": "k"}, "linux-ssh-host-keys-removed")
    assert [(each.what, each.spot.path, each.before) for each in planned.plan.changes] == [
        ("remove", "/etc/ssh/ssh_host_rsa_key", Content(FileKind.LINK, target="/keep"))
    ]


def test_hashes_of_passwords_are_in_no_plan():
    files = {"/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "/etc/shadow": "root:$6$salt$secret:1:0:::::\nbob:$6$other:1:0:::::\n"}
    planned = made(files, "linux-root-password-locked")
    assert "$6$" not in json.dumps(planfile.as_values(planned.plan))
    assert planned.contents[Spot("p1", "/etc/shadow")] == b"root:*:1:0:::::\nbob:$6$other:1:0:::::\n"


def test_a_hash_in_passwd_and_a_secret_behind_a_link_are_in_no_plan():
    files = {"/etc": {"link": "/real"}, "/real/passwd": "root:ab3xkd9sk2ld0:0:0::/root:/bin/sh\nal:x:1000:1000::/home/al:/bin/sh\n"}
    planned = made(files, "linux-root-password-locked", users=["al"])
    assert planned.contents == {Spot("p1", "/real/passwd"): b"root:*:0:0::/root:/bin/sh\n"}
    assert "ab3xkd9sk2ld0" not in json.dumps(planfile.as_values(planned.plan))
    files = {"/etc": {"link": "/real"}, "/real/hostname": "0123456789abcdef0123456789abcdef\n"}
    disk, draft = DraftDisk(build_disk({"files": files})), Draft()
    draft.write(build_image({"files": {}}, disk).guest.files, "/etc/hostname", "")
    draft.write(build_image({"files": {}}, disk).guest.files, "/etc/hostname", "new")
    finding = Finding("r", "t", Severity.ERROR, Outcome.FAIL, "m.", (Observation("(not shown)", "/etc/hostname:1"),))
    assert [each.lines for each in plan._changes(draft, [finding])] == [()]
    assert [each.lines for each in plan._changes(draft, [])] == [("-0123456789abcdef0123456789abcdef", "+new")]


def test_of_a_line_that_is_taken_out_because_it_leaks_no_more_is_told_than_its_finding_does():
    files = {"/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "/etc/monit/monitrc": 'set mailserver x username "a" password "s3cret" joe@firm.tld\n'}
    disk = DraftDisk(build_disk({"files": files}))
    given = {"files": files, "target": "community-gallery"}
    planned = plan.make(lambda: build_image(given, disk), [RULES["linux-mail-addresses-removed"]], unsafe=True)
    assert [each.lines for each in planned.plan.changes] == [("-(not shown)", "+")]


def test_hashes_of_passwords_are_masked_wherever_they_stand():
    assert mask("- passwd $6$salt$abc/.x: $y$j9T$ab$cd, price $5 or $1") == "- passwd ***: ***, price $5 or $1"


def test_what_is_unsafe_is_withheld_until_it_is_allowed():
    files = {"/etc/krb5.keytab": "k"}
    withheld = made(files, "linux-host-keytab-removed").plan
    assert (withheld.changes, [each.rule for each in withheld.withheld]) == ((), ["linux-host-keytab-removed"])
    allowed = made(files, "linux-host-keytab-removed", unsafe=True).plan
    assert ([each.shown for each in allowed.changes], allowed.withheld) == (["/etc/krb5.keytab"], ())


def test_what_takes_a_person_stays_with_its_steps():
    files = {"/etc/passwd": "al:x:1000:1000::/home/al:/bin/sh\n"}
    (left,) = made(files, "linux-human-accounts-removed").plan.manual
    assert (left.rule, left.reason) == ("linux-human-accounts-removed", "it takes a person")
    assert any("--delete-user" in step for step in left.steps)


def test_an_account_is_deleted_only_by_name_and_with_everything_that_is_its_own():
    files = {
        "/etc/passwd": "root:x:0:0::/root:/bin/sh\nal:x:1000:1000::/home/al:/bin/sh\n",
        "/etc/shadow": "root:*:1::::::\nal:x:1::::::\n",
        "/etc/group": "al:x:1000:\nsudo:x:27:al\n",
        "/etc/subuid": "al:100000:65536\n",
        "/etc/sudoers.d/al": "# ours\nal ALL=(ALL) NOPASSWD: ALL\n",
        "/home/al/file": "x",
        "/var/mail/al": "m",
    }
    planned = made(files, "linux-human-accounts-removed", users=["al"])
    assert planned.plan.manual == ()
    assert [(each.what, each.shown) for each in planned.plan.changes] == [
        ("remove", "/etc/sudoers.d/al"), ("remove", "/home/al"), ("remove", "/var/mail/al"),
        ("write", "/etc/group"), ("write", "/etc/passwd"), ("write", "/etc/shadow"), ("write", "/etc/subuid"),
    ]  # fmt: skip
    assert planned.contents[Spot("p1", "/etc/group")] == b"sudo:x:27:\n"


@pytest.mark.parametrize("home", ["/home/../etc", "//etc", "/lib/x", "/home/./../usr/share", "/home/bob/..", "/home/al/../bob"])
def test_a_home_that_leads_elsewhere_is_spared(home):
    files = {
        "/etc/passwd": f"root:x:0:0::/root:/bin/sh\nal:x:1000:1000::{home}:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n",
        "/etc/important": "x", "/lib": {"link": "usr/lib"}, "/usr/lib/x/y": "x", "/usr/share/doc": "x", "/home/bob/file": "x",
    }  # fmt: skip
    assert [each.shown for each in made(files, "linux-human-accounts-removed", users=["al"]).plan.changes] == ["/etc/passwd"]


def test_a_home_in_which_another_account_lives_is_spared():
    files = {"/etc/passwd": "al:x:1000:1000::/home/al:/bin/sh\nbo:x:1001:1001::/home/al/bo:/bin/sh\n", "/home/al/bo/x": "x"}
    assert [each.shown for each in made(files, "linux-human-accounts-removed", users=["al"]).plan.changes] == ["/etc/passwd"]


@pytest.mark.parametrize(("name", "why"), [("nobody-there", "no such account"), ("root", "rights of root")])
def test_an_account_that_is_not_there_or_is_root_is_refused(name, why):
    with pytest.raises(UsageError, match=why):
        made({"/etc/passwd": "root:x:0:0::/root:/bin/sh\n"}, "linux-human-accounts-removed", users=[name])


def test_the_home_of_an_account_is_spared_where_it_is_a_directory_of_the_system():
    files = {"/etc/passwd": "al:x:1000:1000::/usr/share:/bin/sh\nbo:x:1001:1001::/:/bin/sh\n", "/usr/share/doc": "x"}
    assert [each.shown for each in made(files, "linux-human-accounts-removed", users=["al", "bo"]).plan.changes] == ["/etc/passwd"]


def test_a_plan_is_the_same_after_it_was_written_and_read(tmp_path):
    made_plan = made({"/etc/hostname": "b\n", "/etc/krb5.keytab": "k", "/a\udcff/x": "y"}, "linux-hostname-reset", "linux-host-keytab-removed").plan
    terms = planfile.Terms(1, "d", "r", "generalized", False, (), ("x",), ("al",))
    path = tmp_path / "plan.json"
    path.write_text(planfile.render(made_plan, terms), encoding="utf-8")
    assert planfile.read(path) == (made_plan, terms)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "vhdprep-plan/1"}', '{"schema": "vhdprep-plan/1", "plan": {}, "terms": {}}', "[" * 100_000])
def test_a_file_that_is_no_plan_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "plan.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"plan\.json: (is no plan|the plan is damaged)"):
        planfile.read(path)


@pytest.mark.parametrize(
    ("term", "value"),
    [("target", "nope"), ("target", 5), ("selected", 5), ("selected", "abc"), ("selected", [["x"]]), ("selected", ["x" * 10_000]), ("users", [{}]),
     ("users", [1]), ("unsafe", "yes"), ("size", True), ("size", {}), ("digest", "x" * 1_000_000), ("another", 1)],
)  # fmt: skip
def test_terms_that_are_none_are_refused_in_one_short_line(tmp_path, term, value):
    stated = json.loads(planfile.render(made({}).plan, planfile.Terms(1, "d", "r", "generalized", False, (), (), ())))
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(stated), encoding="utf-8")
    assert planfile.read(path)[1].size == 1
    stated["terms"][term] = value
    path.write_text(json.dumps(stated), encoding="utf-8")
    with pytest.raises(UsageError, match=r"plan\.json: the plan is damaged \((Type|Value)Error: .{5,200}\); make it anew$"):
        planfile.read(path)


def test_the_draft_shows_what_will_be_and_the_disk_stays_as_it_is():
    disk = DraftDisk(build_disk({"files": {"/d/old": "1", "/d/sub/x": "2"}}))
    files, draft = disk.files(disk.volumes[0]), Draft()
    guest = build_image({"files": {}}, disk).guest
    draft.write(guest.files, "/d/new/deep/file", "text")
    draft.remove(guest.files, "/d/sub")
    draft.link(guest.files, "/d/old", "/elsewhere")
    assert (sorted(files.list("/d")), files.list("/d/sub"), files.lstat("/d/sub/x")) == (["new", "old"], (), None)
    assert (files.read("/d/new/deep/file", 9), files.readlink("/d/old")) == (b"text", "/elsewhere")
    assert (sorted(files.base.list("/d")), files.base.read("/d/old", 9)) == (["old", "sub"], b"1")


def test_what_lies_on_a_file_system_that_cannot_be_written_is_left_to_a_person_with_the_reason():
    given = {"facts": {"os": "freebsd"}, "files": {"/etc/ssh/ssh_host_rsa_key": "k"}}
    disk = DraftDisk(build_disk(given))
    planned = plan.make(lambda: build_image(given, disk), [RULES["linux-ssh-host-keys-removed"]]).plan
    assert planned.changes == ()
    assert [each.reason for each in planned.manual] == ["p1: Linux, which changes the copy, does not write ufs"]


def test_names_without_case_are_spelled_as_they_are_stored():
    given = {"facts": {"os": "windows"}, "files": {"/Windows/PANTHER/Unattend.xml": "x"}}
    disk = DraftDisk(build_disk(given))
    guest, draft = build_image(given, disk).guest, Draft()
    draft.remove(guest.files, "/windows/panther/unattend.xml")
    assert list(draft.touched) == [Spot("p1", "/Windows/PANTHER/Unattend.xml")]


def test_passwords_in_the_registry_are_in_no_plan():
    key = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon"
    given = {"registry": {key: {"DefaultPassword": "opensesame"}}, "files": {"/Windows/System32/config/SOFTWARE": ""}}
    disk, draft = DraftDisk(build_disk(given)), Draft()
    finding = Finding("r", "t", Severity.ERROR, Outcome.FAIL, "m.", remedy=kinds.RemoveRegistryValue(key, "DefaultPassword"))
    actions.apply(finding, build_image(given, disk).guest, draft)
    assert [(each.name, each.before) for each in draft.keys] == [("DefaultPassword", "(not shown)")]


def changes_of(disk, draft):
    return [(each.what, each.spot.path, each.before, each.after) for each in plan._changes(draft, ())]


def test_what_is_no_file_goes_before_a_file_or_a_link_comes_there():
    disk = DraftDisk(build_disk({"files": {"/a": {"link": "/nowhere"}, "/b": "file", "/c": {"link": "/old"}, "/d/old": "x"}}))
    guest, draft = build_image({"files": {}}, disk).guest, Draft()
    draft.write(guest.files, "/a", "text")
    draft.link(guest.files, "/b", "/new")
    draft.link(guest.files, "/c", "/new")
    draft.remove(guest.files, "/d")
    draft.write(guest.files, "/d/new", "text")
    text = Content(FileKind.FILE, 4, "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1")
    new, directory = Content(FileKind.LINK, target="/new"), Content(FileKind.DIRECTORY)
    assert changes_of(disk, draft) == [
        ("remove", "/a", Content(FileKind.LINK, target="/nowhere"), None),
        ("remove", "/b", Content(FileKind.FILE, 4, "3b9c358f36f0a31b6ad3e14f309c7cf198ac9246e8316f9ce543d5b19ac02b80"), None),
        ("remove", "/c", Content(FileKind.LINK, target="/old"), None),
        ("remove", "/d", directory, None),
        ("write", "/a", None, text),
        ("link", "/b", None, new),
        ("link", "/c", None, new),
        ("directory", "/d", None, directory),
        ("write", "/d/new", None, text),
    ]


def test_nothing_is_written_over_a_directory_or_under_a_name_that_is_no_text():
    disk = DraftDisk(build_disk({"files": {"/d/x": "1", "/\udcff": "2"}}))
    guest, draft = build_image({"files": {}}, disk).guest, Draft()
    with pytest.raises(Unreadable, match="/d: is no regular file"):
        draft.write(guest.files, "/d", "text")
    with pytest.raises(Unreadable, match="no name that is not UTF-8"):
        draft.remove(guest.files, "/\udcff")
    draft.write(guest.files, "/d/x", "1")  # what is there already is no change
    assert draft.touched == {}


def test_what_another_volume_is_mounted_on_stays():
    disk = DraftDisk(build_disk({"files": {"/home/al/data/x": "1", "/home/bo": {"directory": True}}}))
    guest, draft = build_image({"files": {}}, disk).guest, Draft()
    guest.files.mount("/home/al/data", disk.files(disk.volumes[0]))
    for path in ("/home/al/data", "/home/al", "/home"):
        with pytest.raises(Unreadable, match="/home/al/data is a mount point, and stays"):
            draft.remove(guest.files, path)
    draft.remove(guest.files, "/home/bo")
    assert [spot.path for spot in draft.touched] == ["/home/bo"]


def test_a_name_that_ends_like_the_number_of_a_line_is_a_name():
    files = {"/etc/ssh/ssh_host_rsa_key:1": "k", "/etc/ssh/ssh_host_rsa_key": {"directory": True}}
    finding = Finding(
        "r", "t", Severity.ERROR, Outcome.FAIL, "m.", (Observation("x", "/etc/ssh/ssh_host_rsa_key:1"),), remedy=kinds.RemoveFoundFiles()
    )
    disk, draft = DraftDisk(build_disk({"files": files})), Draft()
    actions.apply(finding, build_image({"files": {}}, disk).guest, draft)
    assert [spot.path for spot in draft.touched] == ["/etc/ssh/ssh_host_rsa_key:1"]
