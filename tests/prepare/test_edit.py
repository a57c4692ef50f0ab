from __future__ import annotations

import pytest

from vhdprep.prepare import edit


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A=1\nKEY=old # why\nB=2\n", "A=1\nKEY=new # why\nB=2\n"),
        ("KEY=first\nKEY=last\n", "KEY=first\nKEY=new\n"),
        ("# KEY=shown\nA=1\n", "# KEY=shown\nKEY=new\nA=1\n"),
        ("A=1", "A=1\nKEY=new\n"),
        ("KEY=a\r\n", "KEY=new\r\n"),
        ('KEY="a # b"\n', "KEY=new\n"),
        ("KEY=a#b\n", "KEY=new\n"),
        ("KEYS=1\n", "KEYS=1\nKEY=new\n"),
        ("", "KEY=new\n"),
    ],
)
def test_a_key_is_set_where_its_last_line_stands_and_everything_else_is_kept(before, after):
    assert edit.set_value(before, "KEY", "new") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[main]\na=1\n[other]\nkey=x\n", "[main]\na=1\nkey=new\n[other]\nkey=x\n"),
        ("[main]\nkey=old\n", "[main]\nkey=new\n"),
        ("[other]\na=1\n", "[other]\na=1\n\n[main]\nkey=new\n"),
    ],
)
def test_a_key_of_an_ini_file_is_set_in_its_own_section(before, after):
    assert edit.set_ini_value(before, "main", "key", "new") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# a\nport 22\npermitrootlogin yes\n", "# a\nport 22\nPermitRootLogin no\n"),
        ("# a\nInclude x\n", "# a\nPermitRootLogin no\nInclude x\n"),
        ("Match User a\n  PermitRootLogin yes\n", "PermitRootLogin no\nMatch User a\n  PermitRootLogin yes\n"),
        ("PermitRootLogin=yes\n", "PermitRootLogin no\n"),
    ],
)
def test_an_option_of_sshd_stands_before_whatever_would_win_over_it(before, after):
    assert edit.set_ssh_option(before, "PermitRootLogin", "no") == after


def test_lines_are_commented_out_by_their_numbers():
    assert edit.comment_out("a\n# b\nc", {1, 2, 3}) == "# a\n# b\n# c"


def test_lines_are_emptied_by_their_numbers_and_the_others_keep_theirs():
    assert edit.blank("a\nb\r\nc \\\n d\ne", {2, 3}) == "a\n\r\n\n\ne"


def test_what_a_backslash_joins_goes_or_is_commented_out_together():
    text = "# see \\\nal ALL = \\\n  NOPASSWD: ALL\nbob ALL = ALL\nUser_Alias OPS = bob, \\\n  al\n"
    assert edit.remove_grants(text, "al") == "# see \\\nbob ALL = ALL\nUser_Alias OPS = bob, \\\n  al\n"
    assert edit.comment_out(text, {2}) == text.replace("al ALL = \\\n  NO", "# al ALL = \\\n#   NO")
    assert edit.comment_out(text, {6}) == text.replace("User_Alias", "# User_Alias").replace("  al\n", "#   al\n")


def test_bytes_that_are_no_text_and_odd_line_ends_survive_an_edit():
    text = b"\xff\xfe\nA=1\r\n\x0cB\n".decode("utf-8", "surrogateescape")
    assert edit.set_value(text, "A", "2").encode("utf-8", "surrogateescape") == b"\xff\xfe\nA=2\r\n\x0cB\n"


def test_a_field_of_fstab_is_replaced_and_its_blanks_are_kept():
    assert edit.replace_field("# x\n /dev/sda1 \t/  ext4\n", 2, 0, "UUID=1") == "# x\n UUID=1 \t/  ext4\n"


def test_records_of_an_account_are_changed_and_removed_without_touching_namesakes():
    assert edit.set_fields("root:x:1\nroot2:y:2\n", "root", {1: "*"}) == "root:*:1\nroot2:y:2\n"
    assert edit.remove_records("al:x:1\nalice:x:2\n", "al") == "alice:x:2\n"
    assert edit.remove_member("al:x:1000:\nsudo:x:27:al,bob\nbob:x:5:al\n", "al") == "sudo:x:27:bob\nbob:x:5:\n"
    assert edit.remove_member("sudo:*:al,bob:al\n", "al") == "sudo:*:bob:\n"
    assert edit.remove_grants("al ALL=(ALL) ALL\nalice ALL=(ALL) ALL\n", "al") == "alice ALL=(ALL) ALL\n"


def test_kernel_arguments_are_matched_by_name_or_by_name_and_value():
    assert edit.arguments("ro quiet resume=/dev/sda3 x=1 x=2", ["a=b"], ["quiet", "resume", "x=1"]) == "ro x=2 a=b"
    assert edit.arguments('ro dyndbg="file a +p" quiet', [], ["quiet"]) == 'ro dyndbg="file a +p"'


def test_the_defaults_of_grub_gain_in_one_variable_and_lose_in_all():
    before = 'GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\nGRUB_CMDLINE_LINUX="" # ours\n'
    after = 'GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="splash"\nGRUB_CMDLINE_LINUX="console=ttyS0" # ours\n'
    assert edit.set_default_arguments(before, ["console=ttyS0"], ["quiet"]) == after
    assert edit.set_default_arguments("", ["a"], []) == 'GRUB_CMDLINE_LINUX="a"\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (r'GRUB_CMDLINE_LINUX="dyndbg=\"file a +p\" quiet"', r'GRUB_CMDLINE_LINUX="dyndbg=\"file a +p\" a=1"'),
        (r'GRUB_CMDLINE_LINUX="quiet b=\"c\""', r'GRUB_CMDLINE_LINUX="b=\"c\" a=1"'),
        ("GRUB_CMDLINE_LINUX+=' quiet'", "GRUB_CMDLINE_LINUX+=' a=1'"),
        ("GRUB_CMDLINE_LINUX=quiet", 'GRUB_CMDLINE_LINUX="a=1"'),
        ("GRUB_CMDLINE_LINUX='b=\"c d\"' # x", "GRUB_CMDLINE_LINUX='b=\"c d\" a=1' # x"),
    ],
)
def test_the_defaults_of_grub_stay_a_script_that_the_shell_reads(before, after):
    assert edit.set_default_arguments(before, ["a=1"], ["quiet"]) == after


@pytest.mark.parametrize("text", ['GRUB_CMDLINE_LINUX="a \\\n  b"\n', 'GRUB_CMDLINE_LINUX="a"$MORE\n', 'GRUB_CMDLINE_LINUX="a\n'])
def test_defaults_whose_quotes_are_not_understood_are_left_alone(text):
    with pytest.raises(ValueError, match="line 1 is quoted in a way"):
        edit.set_default_arguments(text, ["a=1"], [])


def test_a_quote_without_its_fellow_is_kept():
    assert edit.arguments("ro it's quiet", ["a"], ["quiet"]) == "ro it's a"


def test_every_entry_of_a_menu_gets_the_arguments():
    before = "menuentry 'x' {\n\tlinux\t/vmlinuz root=UUID=1 quiet\n\tinitrd /i\n}\n"
    after = "menuentry 'x' {\n\tlinux\t/vmlinuz root=UUID=1 a=1\n\tinitrd /i\n}\n"
    assert edit.set_menu_arguments(before, ["a=1"], ["quiet"]) == after
    assert edit.set_menu_arguments(after, ["a=1"], ["quiet"]) == after
    assert edit.set_entry_arguments("title x\noptions ro quiet\n", ["a=1"], ["quiet"]) == "title x\noptions ro a=1\n"
    assert edit.set_entry_arguments("LABEL l\n  APPEND ro\n", ["a"], [], "append") == "LABEL l\n  APPEND ro a\n"


def test_grubs_environment_keeps_its_size():
    block = "# GRUB Environment Block\nkernelopts=ro quiet \n".ljust(edit.GRUBENV_SIZE, "#")
    changed = edit.set_environment(block, "kernelopts", lambda line: edit.arguments(line, ["a=1"], ["quiet"]))
    assert changed == "# GRUB Environment Block\nkernelopts=ro a=1\n".ljust(edit.GRUBENV_SIZE, "#")
    with pytest.raises(ValueError, match="full"):
        edit.set_environment(block, "kernelopts", lambda line: "x" * 1024)
    with pytest.raises(ValueError, match="no kernelopts"):
        edit.set_environment("short", "kernelopts", lambda line: line)
    with pytest.raises(ValueError, match="full"):  # a variable that no longer fits is never cut off
        edit.fit_environment(block.rstrip("#") + "saved_entry=" + "x" * 1000 + "\n")
    assert len(edit.fit_environment("# GRUB Environment Block\ntitle=ä\n").encode()) == edit.GRUBENV_SIZE
