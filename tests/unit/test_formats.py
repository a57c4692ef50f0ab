"""Small parsers: each reads as the program it stands for does."""

from __future__ import annotations

import bz2
import gzip
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures import content
from tests.unit.memory import guest
from vhdprep.errors import Unreadable
from vhdprep.guest import cloudconfig, packages
from vhdprep.guest.formats import bls, cpio, crypttab, fstab, grubscript, keyvalue, passwd, pe, yamltext
from vhdprep.model import ABSENT


def values(settings):
    return {key: setting.value for key, setting in settings.items()}


def test_waagent_conf_is_read_as_the_agent_reads_it():
    text = '#Provisioning.Agent=no\nA=1 # comment\nA="2"\nB = y\nC=None\nD=a=b\nno equals\n  # E=1\n'
    assert values(keyvalue.agent(text)) == {"A": "2", "B": "y", "D": "a=b", "# E": "1"}
    assert keyvalue.agent(text)["A"].line == 3


def test_os_release_is_read_as_shell_does():
    text = 'NAME="A B"\nID=\'x\'\nVERSION_ID=12 # no\n# C=1\nBROKEN="x\nE=\n'
    assert values(keyvalue.shell(text)) == {"NAME": "A B", "ID": "x", "VERSION_ID": "12", "BROKEN": "x", "E": ""}


def test_units_keep_every_value_and_join_lines():
    found = keyvalue.ini("[Unit]\nWants=a\nWants=b \\\n  c\n; x\n[Service]\nExecStart=/x\n")
    assert [each.value for each in found["Unit.Wants"]] == ["a", "b    c"] or [each.value.split() for each in found["Unit.Wants"]] == [
        ["a"],
        ["b", "c"],
    ]
    assert found["Service.ExecStart"][0].value == "/x"


def test_fstab_fields_are_unescaped_and_judged():
    entries = fstab.parse(
        '# x\nUUID="1" / ext4\n/dev/sda2 /my\\040disk ext4 nofail 0 0\nnas:/x /n nfs rw\n//h/s /c cifs\ntmpfs /tmp tmpfs\n/a /b none bind\nonly\n'
    )
    assert [(each.spec, each.point, each.needs_disk, each.may_be_missing) for each in entries] == [
        ("UUID=1", "/", True, False),
        ("/dev/sda2", "/my disk", True, True),
        ("nas:/x", "/n", False, False),
        ("//h/s", "/c", False, False),
        ("tmpfs", "/tmp", False, False),
        ("/a", "/b", False, False),
    ]
    assert entries[1].line == 3


@pytest.mark.parametrize(
    ("field", "state"),
    [("*", "locked"), ("!", "locked"), ("!!", "locked"), ("!$6$x", "locked"), ("*LOCK*", "locked"), ("x", "locked"), ("", "empty"),
     ("$6$salt$hash", "usable"), ("$y$j9T$x", "usable"), ("abXYdes", "usable")],
)  # fmt: skip
def test_the_password_field_of_shadow(field, state):
    (account,) = passwd.parse("root:x:0:0:root:/root:/bin/bash", f"root:{field}:19000:0:99999:7:::")
    assert (account.password_state, account.place) == (state, "/etc/shadow:1")


def test_a_hash_in_passwd_itself_counts():
    (account,) = passwd.parse("old:$1$x$y:5:5::/h:", None)
    assert (account.password_state, account.place, account.shell) == ("usable", "/etc/passwd:1", "/bin/sh")


def test_accounts_that_are_no_accounts_are_ignored():
    assert passwd.parse("+::::::\nshort:x:1\nbad:x:abc:1::/:/bin/sh\n", "") == ()


@pytest.mark.parametrize("compression", ["none", "gzip", "xz", "lzma", "bzip2", "zstd", "lz4"])
@pytest.mark.parametrize("microcode", [False, True])
def test_names_in_an_initramfs_of_every_compression(compression, microcode):
    data = content.initramfs(["a/hv_vmbus.ko", "b/x.ko.xz"], compression, microcode=microcode)
    chunks = (data[at : at + 100] for at in range(0, len(data), 100))
    early = ["kernel/x86/microcode/GenuineIntel.bin"] if microcode else []
    assert list(cpio.names(chunks, "initrd")) == [*early, "a/hv_vmbus.ko", "b/x.ko.xz"]


@pytest.mark.parametrize("compression", ["gzip", "xz", "bzip2", "zstd"])
def test_archives_one_after_another_are_all_read_packed_together_or_apart(compression):
    one, two = (content.initramfs([name], compression, microcode=False) for name in ("a.ko", "b.ko"))
    assert list(cpio.names(iter([one + two]), "initrd")) == ["a.ko", "b.ko"]
    plain = b"".join(content.initramfs([name], "none", microcode=False) for name in ("a.ko", "b.ko"))
    assert list(cpio.names(iter([gzip.compress(plain)]), "initrd")) == ["a.ko", "b.ko"]
    halves = gzip.compress(plain[:100]) + gzip.compress(plain[100:])
    assert list(cpio.names(iter([halves]), "initrd")) == ["a.ko", "b.ko"]


def test_reading_an_initramfs_stops_when_the_name_was_seen():
    asked = []

    def chunks():
        data = content.initramfs([f"m{number}.ko" for number in range(5000)], "none", microcode=False)
        for at in range(0, len(data), 4096):
            asked.append(at)
            yield data[at : at + 4096]

    assert next(cpio.names(chunks(), "initrd")) == "m0.ko"
    assert len(asked) < 5


@pytest.mark.parametrize("data", [b"\x1f\x8b\x08garbage", b"\xfd7zXZ\x00bad", b"BZhbad", b"\x28\xb5\x2f\xfdbad", b"nonsense", b"070701short"])
def test_a_broken_initramfs_is_unreadable_not_empty(data):
    with pytest.raises(Unreadable):
        list(cpio.names(iter([data]), "initrd"))


def test_a_decompression_bomb_is_stopped(monkeypatch):
    monkeypatch.setattr(cpio, "MAX_UNPACKED", 100_000)
    data = content.initramfs(["a"], "gzip", microcode=False)
    import zlib

    bomb = zlib.compress(b"070701" + b"0" * 104 + bytes(10_000_000), wbits=31)
    assert len(data) < len(bomb) < 20_000
    with pytest.raises(Unreadable):
        list(cpio.names(iter([bomb]), "initrd"))


@given(st.binary(max_size=400))
def test_any_bytes_as_initramfs_end_in_names_or_unreadable(data):
    try:
        list(cpio.names(iter([data]), "initrd"))
    except Unreadable as error:
        assert str(error).startswith("initrd")


def test_yaml_knows_lines_and_refuses_duplicates_and_bombs():
    found = yamltext.load("a: 1\nb:\n  c: yes\n  d: [x, 010, null]\n")
    assert found == {"a": 1, "b": {"c": True, "d": ["x", 8, None]}}
    assert found["b"].lines == {"c": 3, "d": 4}
    with pytest.raises(yamltext.YamlError, match="twice") as caught:
        yamltext.load("a: 1\na: 2\n")
    assert caught.value.line == 2
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(8))
    with pytest.raises(yamltext.YamlError, match="expands"):
        yamltext.load(bomb)
    with pytest.raises(yamltext.YamlError):
        yamltext.load("[" * 5000)


def test_layered_yaml_lets_the_last_file_win_and_lists_replace():
    files = {
        "/etc/cloud/cloud.cfg": "datasource_list: [NoCloud, Azure]\nusers: [default, {name: bob}]\nkeep: 1\n",
        "/etc/cloud/cloud.cfg.d/10.cfg": "datasource_list: [Ec2]\n",
        "/etc/cloud/cloud.cfg.d/20.cfg": "broken: [\n",
        "/etc/cloud/cloud.cfg.d/90.cfg": "datasource_list: [ Azure ]\ndatasource: {Azure: {apply_network_config: no}}\n",
        "/etc/cloud/cloud.cfg.d/99.txt": "datasource_list: [None]\n",
    }
    patterns = ("/etc/cloud/cloud.cfg", "/etc/cloud/cloud.cfg.d/*.cfg")
    here = guest(files)
    assert cloudconfig.look_up(here, patterns, "datasource_list") == (("Azure",), "/etc/cloud/cloud.cfg.d/90.cfg:1")
    assert cloudconfig.look_up(here, patterns, "datasource.Azure.apply_network_config") == (False, "/etc/cloud/cloud.cfg.d/90.cfg:2")
    assert cloudconfig.look_up(here, patterns, "users")[0] == ("default", "bob")
    assert cloudconfig.look_up(here, patterns, "nothing")[0] is ABSENT
    assert [layer.path for layer in cloudconfig.layers(here, patterns) if layer.problem] == ["/etc/cloud/cloud.cfg.d/20.cfg"]


def test_dpkg_lists_only_what_is_installed():
    status = "Package: a\nStatus: install ok installed\nPriority: x\nVersion: 1:2.0-1\nDescription: x\n Version: fake\n\nPackage: b\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: c\nStatus: hold ok installed\nVersion: 3\n"
    assert packages.installed(guest({"/var/lib/dpkg/status": status})) == {"a": "1:2.0-1", "c": "3"}


def test_essential_packages_count_too():
    status = "Package: bash\nEssential: yes\nStatus: install ok installed\nVersion: 5.2\n"
    assert packages.installed(guest({"/var/lib/dpkg/status": status})) == {"bash": "5.2"}


def test_a_package_database_that_is_not_read_makes_the_answer_unknown():
    with pytest.raises(Unreadable, match=r"/var/lib/rpm/rpmdb\.sqlite: is no SQLite database"):
        packages.installed(guest({"/var/lib/rpm/rpmdb.sqlite": "x"}, facts={"distro": "rhel"}))
    with pytest.raises(Unreadable, match="no package database"):
        packages.installed(guest({}))


def test_an_efi_program_is_known_by_its_headers():
    found = pe.parse(content.efi("aarch64", signed=False, sections=[".text", ".sbat"]))
    assert (found.machine, found.is_signed, found.sections) == ("aarch64", False, (".text", ".sbat"))
    assert pe.parse(content.efi("x86_64", signed=True, sections=[])).is_signed
    assert pe.parse(b"MZ") is None
    assert pe.parse(b"\x7fELF" + bytes(100)) is None


@given(st.text(max_size=300))
def test_no_text_breaks_a_parser(text):
    keyvalue.shell(text)
    keyvalue.agent(text)
    keyvalue.ini(text)
    fstab.parse(text)
    passwd.parse(text, text)
    crypttab.parse(text)
    bls.compare_versions(text, bls.parse("a.conf", text).first("version"))
    with suppress(Unreadable):
        grubscript.parse(grubscript.Block(text, 1), "grub.cfg")
    try:
        yamltext.load(text)
    except yamltext.YamlError as error:
        assert error.line >= 1


@given(st.binary(max_size=300))
def test_no_bytes_break_the_pe_parser(data):
    pe.parse(data)
    pe.parse(b"MZ" + data)


def test_accounts_are_read_as_glibc_reads_them():
    # fgetpwent(3) and fgetspent(3): white space before a name, a uid with a sign, six fields; only a newline ends a line
    shadow = " lead:$6$a:1::::::\n"
    found = passwd.parse(" lead:x:1000:1000::/home/lead:/bin/sh\nsix:$6$b:+5:5::/home/six\nodd:$6$c:7:7:a\u2028b:/home/odd:/bin/sh\n", shadow)
    assert [(each.name, each.uid, each.shell, each.password_state) for each in found] == [
        ("lead", 1000, "/bin/sh", "usable"),
        ("six", 5, "/bin/sh", "usable"),
        ("odd", 7, "/bin/sh", "usable"),
    ]


def test_mount_points_are_brought_to_one_spelling_and_lines_end_at_newlines_alone():
    text = "UUID=a //home ext4\nUUID=b /./srv/ ext4\n# c\u2028UUID=c /etc/ssh ext4\n"
    assert [(each.spec, each.point) for each in fstab.parse(text)] == [("UUID=a", "/home"), ("UUID=b", "/srv")]


@pytest.mark.parametrize("text", ["x: " + "[" * 200_000, "- " * 100_000, "{a: " * 100_000, "\n".join(" " * n + "a:" for n in range(300))])
def test_yaml_that_nests_without_end_is_refused_before_a_library_follows_it(text):
    with pytest.raises(yamltext.YamlError, match="nested too deeply"):
        yamltext.load(text)


def test_many_lists_beside_each_other_are_not_deep():
    assert len(yamltext.load("[" + "[1], " * 1000 + "[2]]")) == 1001


def test_a_few_bytes_that_unpack_to_gigabytes_are_unpacked_in_steps(monkeypatch):
    monkeypatch.setattr(cpio, "MAX_UNPACKED", 16 * 1024**2)
    packed = bz2.compress(bytes(64 * 1024**2))
    sizes = []
    counted = cpio._unpack

    def unpack(codec, piece):
        for data in counted(codec, piece):
            sizes.append(len(data))
            yield data

    monkeypatch.setattr(cpio, "_unpack", unpack)
    with pytest.raises(Unreadable, match="unpacks to more than"):
        list(cpio.names(iter([packed]), "/boot/initrd"))
    assert max(sizes) <= 8 * 1024**2
    assert sum(sizes) <= 24 * 1024**2


def test_crypttab_is_read_as_systemd_reads_it():
    text = '# x\ndata UUID="0a-0b" none luks,tpm2-device=auto\nswap /dev/sda3 /dev/urandom swap\nbad\nroot PARTUUID=1 - initramfs,nofail\nlast /dev/vg/x\n'
    entries = crypttab.parse(text)
    assert [(each.line, each.name, each.spec, each.key) for each in entries] == [
        (2, "data", "UUID=0a-0b", ""),
        (3, "swap", "/dev/sda3", "/dev/urandom"),
        (5, "root", "PARTUUID=1", ""),
        (6, "last", "/dev/vg/x", ""),
    ]
    assert [each.asks for each in entries] == [False, False, True, True]
    assert [each.may_be_missing for each in entries] == [False, False, True, False]


def test_a_mount_that_another_unit_wants_may_be_missing():
    entries = fstab.parse(
        "UUID=1 /a ext4 x-systemd.required-by=x.service\nUUID=2 /b ext4 x-systemd.device-timeout=5\nUUID=3 /c ext4 x-systemd.automount\n"
    )
    assert [each.may_be_missing for each in entries] == [True, False, True]


def test_the_sections_of_an_efi_program_are_found():
    data = content.efi("x86_64", signed=True, sections={".cmdline": "quiet", ".linux": b"k" * 600})
    assert [(each.name, data[each.offset : each.offset + each.size]) for each in pe.parse(data).layout] == [
        (".cmdline", b"quiet"),
        (".linux", b"k" * 600),
    ]


@pytest.mark.parametrize(
    ("data", "release", "linux"),
    [(content.kernel("6.1.0-25", signed=True), "6.1.0-25", True), (b"MZ" + bytes(0x36) + b"ARM\x64", None, True), (b"MZ" + bytes(0x300), None, False), (b"", None, False)],
)  # fmt: skip
def test_a_linux_kernel_is_known_and_states_its_version(data, release, linux):
    assert (pe.kernel_release(data), pe.is_linux(data)) == (release, linux)
