"""FreeBSD and OpenBSD as guests: which release, who they say they are, where their file systems and accounts are."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest

from vhdprep.disk.memory import MemoryDisk, MemoryFiles
from vhdprep.errors import Unreadable
from vhdprep.guest import accounts, detect_bsd
from vhdprep.guest.assemble import assemble, assemble_tree, find_volume
from vhdprep.guest.formats import passwd, shellvars
from vhdprep.guest.gaps import find_gaps
from vhdprep.guest.image import Image, ImageDisk
from vhdprep.model import Container, Target, Volume, VolumeKind
from vhdprep.probes import files as looking

SH = {"hex": "7f454c4602010100" + "00" * 8 + "02003e00"}
FREEBSD = {
    "/bin/freebsd-version": '#!/bin/sh\nUSERLAND_VERSION="14.1-RELEASE-p5"\n',
    "/etc/os-release": {"link": "../var/run/os-release"},
    "/etc/master.passwd": "root:*:0:0::0:0:Charlie &:/root:/bin/sh\n",
    "/etc/rc.conf": 'hostname="box"\n',
    "/bin/sh": SH,
}
OPENBSD = {
    "/bsd": {"hex": ("x" * 5000 + "OpenBSD 7.5 (GENERIC.MP) #82: ").encode().hex()},
    "/etc/master.passwd": "root:*:0:0:daemon:0:0:Charlie &:/root:/bin/ksh\n",
    "/etc/myname": "# mine\nbox.example.org\n",
    "/bin/sh": SH,
}


def facts(tree):
    return assemble_tree(MemoryFiles(tree)).facts


def test_freebsd_is_known_by_its_version_script():
    found = facts(FREEBSD)
    assert (found.os, found.distro, found.family, found.version) == ("freebsd", "freebsd", "freebsd", "14.1")
    assert (found.product, found.arch, found.init, found.hostname) == ("FreeBSD 14.1-RELEASE-p5", "x86_64", "rc", "box")


def test_a_stale_os_release_does_not_outdo_the_script():
    stale = 'NAME=FreeBSD\nVERSION_ID=13.2\nID=freebsd\nPRETTY_NAME="FreeBSD 13.2-RELEASE"\n'
    found = facts({**FREEBSD, "/var/run/os-release": stale})
    assert (found.version, found.product) == ("14.1", "FreeBSD 14.1-RELEASE-p5")


def test_a_system_made_from_freebsd_keeps_its_name():
    found = facts({**FREEBSD, "/etc/os-release": 'ID=ghostbsd\nPRETTY_NAME="GhostBSD 24.10"\nVERSION_ID=24.10\n'})
    assert (found.os, found.distro, found.family, found.version, found.product) == ("freebsd", "ghostbsd", "freebsd", "24.10", "GhostBSD 24.10")


@pytest.mark.parametrize(
    ("motd", "version"),
    [
        ("OpenBSD 7.6 (GENERIC) #0: Mon Oct  7\n\nWelcome\n", "7.6"),
        ("OpenBSD ?.? (UNKNOWN)\n", "7.5"),
        ("Welcome\nOpenBSD 1.0 was long ago\n", "7.5"),
        (None, "7.5"),
    ],
    ids=["the motd says so", "never booted", "another motd", "no motd"],
)
def test_openbsd_is_known_by_its_kernel_and_motd(motd, version):
    found = facts({**OPENBSD, **({"/etc/motd": motd} if motd else {})})
    assert (found.os, found.distro, found.version, found.product, found.hostname) == (
        "openbsd",
        "openbsd",
        version,
        f"OpenBSD {version}",
        "box.example.org",
    )


def test_the_version_of_a_kernel_is_found_across_the_pieces_it_is_read_in(monkeypatch):
    monkeypatch.setattr(detect_bsd, "_CHUNK", 5004)
    assert facts(OPENBSD).version == "7.5"


@pytest.mark.parametrize(
    ("tree", "gap"),
    [
        ({**FREEBSD, "/bin/freebsd-version": "#!/bin/sh\n"}, "which release of FreeBSD this is could not be told"),
        ({**OPENBSD, "/bsd": "x"}, "which release of OpenBSD this is could not be told"),
        ({**FREEBSD}, None),
    ],
)
def test_a_release_that_cannot_be_told_is_a_gap(tree, gap):
    guest = assemble_tree(MemoryFiles(tree))
    assert find_gaps(Image((), guest, None, Target.GENERALIZED)) == ((gap,) if gap else ())


def test_linux_is_no_bsd_because_it_has_a_file_of_that_name():
    found = facts({"/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "/bsd": "notes", "/bin/sh": SH})
    assert (found.os, found.distro) == ("linux", "unknown")


def volume(name, **values):
    return Volume(name, VolumeKind.PARTITION, 1, 0, values.pop("type_id", None), values.pop("filesystem", "ufs"), read=True, **values)


VOLUMES = [
    volume("p1", type_id="0xa5"),
    volume("p1a", part_uuid="52fdd1ce48744600.a", uuid="65a1b2c3d4e5f607"),
    volume("p2", part_label="rootfs", label="ROOT", part_uuid="11111111-2222-3333-4444-000000000002"),
    volume("p3", filesystem="vfat", label="EFISYS"),
]


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("/dev/gpt/rootfs", "p2"),
        ("/dev/gptid/11111111-2222-3333-4444-000000000002", "p2"),
        ("/dev/ufs/ROOT", "p2"),
        ("/dev/ufsid/65a1b2c3d4e5f607", "p1a"),
        ("/dev/msdosfs/EFISYS", "p3"),
        ("/dev/da0p2", "p2"),
        ("/dev/ada0s1a", "p1a"),
        ("/dev/vtbd0p3", "p3"),
        ("/dev/sd0a", "p1a"),
        ("52fdd1ce48744600.a", "p1a"),
        ("52fdd1ce48744600.b", None),
        ("0123456789abcdef.a", None),
        ("/dev/gpt/ROOT", None),
        ("/dev/ufs/rootfs", None),
        ("/dev/da1p2", None),
        ("/dev/sd0d", None),
    ],
)
def test_what_fstab_of_a_bsd_names_is_found(spec, found):
    volume = find_volume(spec, VOLUMES)
    assert (volume.id if volume else None) == found


def guest_on(*volumes, fstab, others=None):
    tree = {**FREEBSD, "/etc/fstab": fstab}
    return assemble(MemoryDisk(1, "gpt", list(volumes), {volumes[0].id: MemoryFiles(tree), **(others or {})}))


def test_mount_points_of_freebsd_are_put_together():
    fstab = "/dev/gpt/rootfs / ufs rw 1 1\n/dev/gpt/var /var ufs rw 2 2\nproc /proc procfs rw 0 0\n/var/old /srv nullfs rw 0 0\nmd none swap sw,file=/x 0 0\n"
    guest = guest_on(volume("p1", part_label="rootfs"), volume("p2", part_label="var"), fstab=fstab, others={"p2": MemoryFiles({"/old/here": "x"})})
    assert guest.mounts == {"/": "p1", "/var": "p2"}
    assert (guest.files.text("/var/old/here"), guest.files.text("/srv/here")) == ("x", "x")


@pytest.mark.parametrize(("name", "gap"), [("rootfs", None), ("other", "the boot loader starts what lies on p2")])
def test_a_root_that_fstab_does_not_name_is_a_gap(name, gap):
    volumes = [volume("p1", part_label="rootfs"), volume("p2", part_label="other")]
    guest = guest_on(*volumes, fstab=f"/dev/gpt/{name} / ufs rw 1 1\n", others={"p2": MemoryFiles({"/x": ""})})
    disk = MemoryDisk(1, "gpt", volumes, {})
    container = Container("x", "vhd", "", None, 1, 1, None, None)
    gaps = find_gaps(Image((ImageDisk("os", container, disk),), guest, None, Target.GENERALIZED))
    assert gaps[-1] == "p2: its files were not judged, for nothing mounts this ufs"
    assert [each[: len(gap or "")] for each in gaps[:-1]] == ([gap] if gap else [])


def test_accounts_of_a_bsd_come_from_the_file_with_the_passwords():
    text = "# $FreeBSD$\nroot:*:0:0::0:0:Charlie &:/root:/bin/csh\nops:$6$x$y:1001:1001:staff:0:0:Ops:/home/ops:/bin/sh\n+:::::::::\nshort:*:1:1\n"
    tree = {**FREEBSD, "/etc/master.passwd": text, "/etc/passwd": "root:*:0:0::/root:/bin/csh\n"}
    guest = assemble_tree(MemoryFiles(tree))
    assert [(each.name, each.uid, each.home, each.shell, each.password_state, each.place) for each in accounts.accounts(guest)] == [
        ("root", 0, "/root", "/bin/csh", "locked", "/etc/master.passwd:2"),
        ("ops", 1001, "/home/ops", "/bin/sh", "usable", "/etc/master.passwd:3"),
    ]
    assert [each.name for each in accounts.humans(guest)] == ["ops"]


@pytest.mark.parametrize(
    ("field", "state"), [("", "empty"), ("*", "locked"), ("*LOCKED*$6$x", "locked"), ("$2b$10$x", "usable"), ("*" * 13, "locked")]
)
def test_password_fields_of_the_bsds(field, state):
    (account,) = passwd.parse_master(f"a:{field}:1:1::0:0:A:/a:\n")
    assert (account.password_state, account.shell) == (state, "/bin/sh")


SCRIPTS = [
    ("a=1\na=2\n", {"a": "2"}),
    ("a=1; b=\"2\" # more\n", {"a": "1", "b": "2"}),
    ("export a='1 2'\n", {"a": "1 2"}),
    ("a=\"x\"\"y\"z\n", {"a": "xyz"}),
    ("a=x#y\n", {"a": "x#y"}),
    ("a=1 \\\n  b=2\n", {"a": "1", "b": "2"}),
    ("a=\"one \\\ntwo\"\n", {"a": "one two"}),
    ("a=\"one\ntwo\"\n", {"a": "one\ntwo"}),
    ("a=1\nb=\"$a ${a}\"\n", {"a": "1", "b": "1 1"}),
    ("a='$b'\n", {"a": "$b"}),
    ("a=\n", {"a": ""}),
    ("# a=1\n", {}),
    ("true a=1\n", {}),
    ("a+=1\n", {}),
    ("if x; then :; fi\na=1\n", {"a": "1"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "values"), SCRIPTS)
def test_variables_are_those_that_the_shell_would_set(text, values):
    found = shellvars.variables(text)
    assert {name: each.value for name, each in found.items()} == values
    assert all(each.is_certain for each in found.values())


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")
@pytest.mark.parametrize("text", [text for text, _ in SCRIPTS])
def test_a_shell_agrees(text):
    names = ("a", "b")
    script = f"{text}\nprintf '%s\\0' " + " ".join(f'"${{{name}-unset}}"' for name in names)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env={}, check=False)
    values = shellvars.variables(text)
    assert done.stdout.split("\0")[-3:-1] == [values[name].value if name in values else "unset" for name in names]


@pytest.mark.parametrize(
    "text",
    ["a=$(hostname)\n", "a=`hostname`\n", "a=$HOME\n", "a=\"${b:-c}\"\n", "if x; then a=1; fi\n", "x && a=1\n", "x || a=1\n", "case x in y) a=1;; esac\n",
     "for x in 1; do\na=$x\ndone\n", "f() {\na=1\n}\n", "a=1\n. /etc/rc.more\n", "b=$(x)\na=$b\n", "a=1\neval x\n"],
)  # fmt: skip
def test_what_only_the_shell_can_tell_is_not_certain(text):
    assert not shellvars.variables(text)["a"].is_certain


def test_what_is_set_after_another_file_was_read_is_certain():
    found = shellvars.variables("a=1\n. /etc/rc.more\nb=2\n")
    assert (found["a"].is_certain, found["b"].is_certain, found[shellvars.ELSEWHERE].line) == (False, True, 2)


def test_lines_are_counted():
    found = shellvars.variables('a="x\ny"\nb=1\n\nc=2; d=3\n')
    assert {name: each.line for name, each in found.items()} == {"a": 1, "b": 3, "c": 5, "d": 5}


@pytest.mark.parametrize(
    "text", ["a=1\n" + 'a="$a$a"\n' * 2000, '"' * 100_001, "a=${" * 20_000, "".join(f"a{n}=1\n. x\n" for n in range(20_000)), "((" * 50_000]
)
def test_files_made_to_hurt_end(text):
    begin = time.process_time()
    found = shellvars.variables(text)
    assert time.process_time() - begin < 2
    assert all(len(each.value) <= shellvars.MAX_VALUE for each in found.values())


def test_bytes_are_found_across_the_pieces_a_file_is_read_in(monkeypatch):
    monkeypatch.setattr(looking, "_CHUNK", 8192)
    tree = {**FREEBSD, "/kernel": {"hex": (b"\0" * 8190 + b"storvsc").hex()}, "/other": {"hex": (b"\0" * 8190 + b"storv").hex()}}
    image = Image((), assemble_tree(MemoryFiles(tree)), None, Target.GENERALIZED)
    seen = looking.file_bytes(image, patterns=("/kernel", "/other", "/nothing"), matching=r"stor\x76sc")
    assert [(part.where, part.value) for part in seen.parts] == [("/kernel", "(not shown)")]


def test_a_file_too_large_to_search_is_not_passed(monkeypatch):
    monkeypatch.setattr(looking, "MAX_SEARCHED", 3)
    image = Image((), assemble_tree(MemoryFiles({**FREEBSD, "/kernel": "four"})), None, Target.GENERALIZED)
    with pytest.raises(Unreadable, match="/kernel: 4 bytes are too many to search"):
        looking.file_bytes(image, patterns=("/kernel",), matching="x")
