"""The guest's tree: links stay inside it, mounts cover it, globs list it."""

from __future__ import annotations

import pytest

from tests.unit.memory import guest
from vhdprep.disk.memory import MemoryFiles
from vhdprep.errors import Unreadable
from vhdprep.guest.files import MAX_LINE, MAX_TEXT, GuestFiles, expand_braces


def tree(files, **mounts):
    found = GuestFiles(MemoryFiles(files))
    for point, value in mounts.items():
        found.mount(f"/{point}", value if isinstance(value, str) else MemoryFiles(value))
    return found


def test_a_deep_bind_shows_what_is_mounted_below_its_source():
    for deep, seen in ((False, None), (True, "x")):
        files = GuestFiles(MemoryFiles({"/srv/lib/a": "1", "/var/b": "2"}))
        files.mount("/srv/lib", MemoryFiles({"/inner": "x"}))
        files.bind("/var", "/srv", deep=deep)
        assert files.text("/var/lib/inner") == seen
        assert files.text("/var/lib/a") == (None if deep else "1")


def test_absolute_and_relative_links_are_followed_inside_the_guest():
    files = tree({"/usr/lib/os-release": "ID=x", "/etc/os-release": {"link": "../usr/lib/os-release"}, "/lib": {"link": "/usr/lib"}})
    assert files.text("/etc/os-release") == "ID=x"
    assert files.text("/lib/os-release") == "ID=x"
    assert files.resolve("/lib/os-release") == "/usr/lib/os-release"


def test_a_link_that_climbs_out_ends_at_the_root_of_the_guest(tmp_path):
    canary = tmp_path / "canary"
    canary.write_text("of the host")
    files = tree({"/etc/evil": {"link": f"../../../../../..{canary}"}, "/etc/evil2": {"link": str(canary)}})
    assert files.text("/etc/evil") is None
    assert files.text("/etc/evil2") is None
    assert tree({str(canary): "of the guest", "/a/evil": {"link": f"../../..{canary}"}}).text("/a/evil") == "of the guest"


def test_links_in_a_circle_are_not_followed_forever():
    files = tree({"/a": {"link": "b"}, "/b": {"link": "a"}, "/c": {"link": "c/c"}})
    for path in ("/a", "/b/x", "/c"):
        with pytest.raises(Unreadable, match="circle"):
            files.stat(path)
    assert files.lstat("/a").kind == "link"


def test_a_path_through_a_file_leads_nowhere():
    assert tree({"/etc/passwd": "x"}).lstat("/etc/passwd/x") is None
    assert tree({"/etc/passwd": "x"}).stat("/etc/passwd/../passwd") is None


def test_dots_and_double_slashes_are_resolved():
    files = tree({"/etc/ssh/sshd_config": "x"})
    assert files.text("//etc/./ssh/../ssh//sshd_config") == "x"
    assert files.resolve("/..") == ""


def test_a_mount_covers_what_is_below_it():
    files = tree({"/boot/old": "hidden", "/etc/x": "1"}, boot={"/vmlinuz": "kernel"})
    assert files.names("/boot") == ["vmlinuz"]
    assert files.text("/boot/vmlinuz") == "kernel"
    assert files.lstat("/boot/old") is None


def test_what_lies_on_an_unread_volume_is_unreadable_not_absent():
    files = tree({"/etc/x": "1", "/log": {"link": "/var/log"}}, var="it lies on p3, which was not read: encrypted with LUKS")
    assert files.text("/etc/x") == "1"
    for look in (lambda: files.lstat("/var/log/syslog"), lambda: files.glob("/var/log/*"), lambda: files.text("/log/syslog")):
        with pytest.raises(Unreadable, match="encrypted with LUKS"):
            look()


def test_a_bind_mount_shows_the_directory_at_its_second_place():
    files = tree({"/x/joe/.ssh/id_rsa": "key", "/home/old/f": "hidden", "/etc/f": "1"}, srv={"/data/deep/f": "mounted"})
    files.bind("/home", "/x")
    files.bind("/data", "/srv/data")
    files.bind("/nothing", "/nowhere")
    assert files.glob("/home/*/.ssh/*") == ["/home/joe/.ssh/id_rsa"]
    assert files.text("/data/deep/f") == "mounted"
    assert files.names("/home") == ["joe"]
    assert files.text("/etc/f") == "1"


def test_a_path_of_absurd_length_is_refused():
    with pytest.raises(Unreadable, match="too long"):
        tree({"/a": ""}).stat("/a" * 2000)


def test_globs_take_stars_braces_classes_and_any_depth():
    files = tree({"/a/x1.conf": "", "/a/x2.conf": "", "/a/.hidden.conf": "", "/a/b/c/deep.conf": "", "/other/y.txt": "", "/dir/sub/f": ""})
    assert files.glob("/a/X?.conf") == []
    assert files.glob("/a/x?.conf") == ["/a/x1.conf", "/a/x2.conf"]
    assert files.glob("/a/*.conf") == ["/a/.hidden.conf", "/a/x1.conf", "/a/x2.conf"]
    assert files.glob("/{a/x[2-9].conf,other/*}") == ["/a/x2.conf", "/other/y.txt"]
    assert files.glob("/a/**/deep.conf") == ["/a/b/c/deep.conf"]
    assert files.glob("/*/sub") == ["/dir/sub"]
    assert files.glob("/nowhere/*") == []


def test_a_glob_below_a_directory_takes_its_name_by_letters():
    files = tree({"/home/a[b]{c,d}*/.ssh/id": "x", "/home/ab/.ssh/id": "x", "/home/ac/.ssh/id": "x"})
    assert files.glob(".ssh/*", "/home/a[b]{c,d}*") == ["/home/a[b]{c,d}*/.ssh/id"]
    assert files.glob("/home/a?/.ssh/id", "/") == ["/home/ab/.ssh/id", "/home/ac/.ssh/id"]


def test_a_glob_ends_at_a_link_and_never_descends_through_one():
    files = tree({"/a/b/f": "", "/a/loop": {"link": "/a"}, "/a/dead": {"link": "/nowhere"}})
    assert files.glob("/a/**/f") == ["/a/b/f"]
    assert "/a/dead" in files.glob("/a/*")


def test_a_file_too_large_for_configuration_is_refused():
    with pytest.raises(Unreadable, match="too many"):
        tree({"/etc/huge": {"size": MAX_TEXT + 1}}).text("/etc/huge")


def test_foreign_bytes_become_replacement_characters():
    assert tree({"/f": b"a\xff"}).text("/f") == "a\ufffd"


def test_braces_expand_in_order():
    assert expand_braces("/x/{a,b}/{1,2}") == ["/x/a/1", "/x/a/2", "/x/b/1", "/x/b/2"]


def test_an_unreadable_directory_is_not_an_empty_one():
    with pytest.raises(Unreadable):
        guest(unreadable=["/etc/ssh"]).files.glob("/etc/ssh/*")


WINDOWS = {"/Windows/System32/Drivers/a.SYS": "a", "/Windows/System32/drivers2/b.sys": "b", "/Windows/win.ini": "w", "/link": {"link": "/WINDOWS"}}


def windows():
    return GuestFiles(MemoryFiles(WINDOWS, case_sensitive=False))


def test_names_of_a_windows_are_found_and_matched_without_case():
    files = windows()
    assert files.text("/windows/SYSTEM32/drivers/A.sys") == files.text("/Link/system32/Drivers/a.SYS") == "a"
    assert files.glob("/windows/*.INI") == ["/windows/win.ini"]
    assert files.glob("/Windows/[s]ystem32/DRIVERS*/?.sys") == ["/Windows/System32/Drivers/a.SYS", "/Windows/System32/drivers2/b.sys"]
    assert files.glob("/windows/**/*.sys") == ["/windows/System32/Drivers/a.SYS", "/windows/System32/drivers2/b.sys"]
    assert files.glob("/{Windows,WINDOWS}/{win,WIN}.ini") == ["/Windows/win.ini"]


def test_names_of_a_linux_are_not():
    files = tree({"/etc/Hosts": "x"}, boot={})
    assert files.text("/etc/hosts") is None
    assert files.glob("/etc/h*") == []


def test_on_a_linux_only_its_fat_volume_has_names_without_case():
    files = tree({"/boot/efi": {"directory": True}, "/etc/x": ""})
    files.mount("/boot/efi", MemoryFiles({"/EFI/Debian/grubx64.efi": "loader"}, case_sensitive=False))
    assert files.glob("/boot/efi/efi/*/GRUB*") == ["/boot/efi/efi/Debian/grubx64.efi"]
    assert files.glob("/BOOT/*") == []


def test_a_line_that_expressions_would_take_hours_for_is_refused():
    assert tree({"/a": "x" * MAX_LINE + "\n"}).text("/a") == "x" * MAX_LINE + "\n"
    with pytest.raises(Unreadable, match="a line of more than 16384 bytes"):
        tree({"/a": "x" * (MAX_LINE + 1)}).text("/a")


def test_what_is_ignored_in_windows_is_ignored_in_any_spelling():
    from vhdprep.probes.files import file_glob
    from vhdprep.ruleset.selftest import build_image

    image = build_image({"facts": {"os": "windows"}, "files": {"/Users/Public": {"directory": True}, "/Users/ops": {"directory": True}}})
    assert file_glob(image, patterns=("/Users/*",), ignore=("/users/public",)).value == ("/Users/ops",)
