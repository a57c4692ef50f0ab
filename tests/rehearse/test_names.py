from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vhdprep.rehearse.network import names

# glibc asks for archive.ubuntu.com, type A
GLIBC = bytes.fromhex("1a2b0100000100000000000007617263686976650 67562756e747503636f6d0000010001".replace(" ", ""))
# systemd-resolved asks with EDNS: one additional record, OPT with 1232 bytes
EDNS = GLIBC[:10] + b"\0\x01" + GLIBC[12:] + bytes.fromhex("00002904d000000000 0000".replace(" ", ""))
NO_SUCH_NAME = bytes.fromhex("1a2b81830001000000000000") + GLIBC[12:]


def test_there_is_no_such_name():
    assert names.answer(GLIBC) == names.Answer("archive.ubuntu.com", NO_SUCH_NAME)


def test_edns_is_answered_as_by_a_server_without():
    assert names.answer(EDNS) == names.Answer("archive.ubuntu.com", NO_SUCH_NAME)


def query(name: bytes, flags: bytes = b"\x01\0", count: int = 1) -> bytes:
    return b"\0\1" + flags + bytes([0, count]) + bytes(6) + name + b"\0\1\0\1"


def test_the_machine_itself_is_known_by_its_address():
    known = {"archive.ubuntu.com": "10.0.0.4"}
    found = bytes.fromhex("1a2b81800001000100000000") + GLIBC[12:] + bytes.fromhex("c00c00010001 0000003c0004 0a000004".replace(" ", ""))
    assert names.answer(GLIBC, known) == names.Answer("archive.ubuntu.com", found)
    nothing = bytes.fromhex("1a2b81800001000000000000") + GLIBC[12:-4] + b"\0\x1c\0\1"
    assert names.answer(GLIBC[:-4] + b"\0\x1c\0\1", known) == names.Answer("archive.ubuntu.com", nothing), "it has no IPv6 address"


def test_letters_are_folded_and_strange_bytes_written_out():
    answer = names.answer(query(b"\x05Ab\n.c\x00"))
    assert answer is not None
    assert answer.name == "ab\\010\\046c"


def test_the_root_has_a_name():
    answer = names.answer(query(b"\0"))
    assert answer is not None
    assert answer.name == "."


def test_what_is_no_plain_question_is_not_answered():
    assert names.answer(query(b"\x01a\0", b"\x81\0")) is None, "an answer"
    assert names.answer(query(b"\x01a\0", b"\x28\0")) is None, "an update"
    assert names.answer(query(b"\x01a\0", count=2)) is None, "two questions"
    assert names.answer(query(b"\xc0\x0c")) is None, "a pointer to itself"
    assert names.answer(query(b"\x40" + b"a" * 64 + b"\0")) is None, "a label of 64 bytes"
    assert names.answer(query((b"\x3f" + b"a" * 63) * 4 + b"\0")) is None, "a name of 257 bytes"
    assert names.answer(GLIBC[:-1]) is None, "cut off"
    assert names.answer(GLIBC[:20]) is None, "cut off within the name"


@given(st.binary(max_size=300))
def test_no_name_raises(data):
    names.answer(query(data))
