"""The container as a file format: what the bytes say, and what is wrong with them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from fixtures import vhdfile
from vhdprep.errors import UsageError
from vhdprep.model import DiskType
from vhdprep.vhd import footer, layout
from vhdprep.vhd.container import describe

MIB = 1024 * 1024


@pytest.fixture
def fixed(tmp_path):
    """A fixed VHD of 1 MiB; fields of its footer may be given."""

    def make(**fields) -> Path:
        path = tmp_path / "disk.vhd"
        path.write_bytes(bytes(MIB) + vhdfile.make_footer(MIB, 2, fields))
        return path

    return make


@pytest.fixture
def dynamic(tmp_path):
    """A dynamic VHD of 8 MiB whose second block holds data."""
    raw = tmp_path / "disk.raw"
    raw.write_bytes(bytes(2 * MIB) + b"data" + bytes(6 * MIB - 4))
    path = tmp_path / "disk.vhd"
    vhdfile.write(raw, path, kind="dynamic")
    return path


def kinds(path: Path) -> list[str]:
    return [defect.kind for defect in describe(path).defects]


def patch(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_a_sound_fixed_vhd_is_described_whole(fixed):
    path = fixed(creator="qem2")
    found = describe(path)
    assert (found.format, found.type, found.virtual_size, found.file_size) == ("vhd", DiskType.FIXED, MIB, MIB + 512)
    assert (found.creator, found.parent, found.defects) == ("qem2", None, ())
    assert found.fields == {
        "footer:cookie": "conectix", "footer:features": 2, "footer:format_version": 0x10000, "footer:data_offset": layout.NO_OFFSET,
        "footer:time_stamp": 800_000_000, "footer:creator_application": "qem2", "footer:creator_version": 0x000A0000,
        "footer:creator_host_os": "Wi2k", "footer:original_size": MIB, "footer:current_size": MIB, "footer:cylinders": 30, "footer:heads": 4,
        "footer:sectors_per_track": 17, "footer:disk_type": 2, "footer:checksum": found.fields["footer:checksum"],
        "footer:unique_id": "00010203-0405-0607-0809-0a0b0c0d0e0f", "footer:saved_state": 0,
    }  # fmt: skip


def test_a_sound_dynamic_vhd_has_its_header_described(dynamic):
    found = describe(dynamic)
    assert (found.type, found.virtual_size, found.defects) == (DiskType.DYNAMIC, 8 * MIB, ())
    header = {name: value for name, value in found.fields.items() if name.startswith("header:")}
    assert header["header:max_table_entries"] == 4
    assert header["header:block_size"] == 2 * MIB
    assert header["header:table_offset"] == 1536


def test_a_wrong_footer_checksum_is_named_with_both_numbers(fixed):
    path = fixed()
    patch(path, MIB + 100, b"\x01")
    (defect,) = describe(path).defects
    good = struct.unpack(">I", vhdfile.make_footer(MIB, 2, {})[64:68])[0]
    assert defect.kind == "footer-checksum"
    assert defect.message == f"The footer's checksum is 0x{good:08x}, its bytes give 0x{good - 1:08x}."


def test_an_unknown_disk_type_is_named(fixed):
    found = describe(fixed(disk_type=9))
    assert found.type is None
    assert [defect.kind for defect in found.defects] == ["disk-type"]


def test_bytes_after_the_footer_are_counted(fixed):
    path = fixed()
    with path.open("ab") as file:
        file.write(b"\xa5" * 700)
    found = describe(path)
    assert found.virtual_size == MIB
    assert [(defect.kind, defect.message) for defect in found.defects] == [("trailing-bytes", "The file goes on for 700 bytes after its footer.")]


def test_a_footer_of_511_bytes_is_named(fixed):
    path = fixed()
    with path.open("r+b") as file:
        file.truncate(MIB + 511)
    assert kinds(path) == ["footer-short"]


def test_a_footer_cut_in_the_middle_is_named(fixed):
    path = fixed()
    with path.open("r+b") as file:
        file.truncate(MIB + 200)
    assert "footer-cut" in kinds(path)


def test_a_payload_shorter_than_the_footer_says_is_truncated(fixed):
    path = fixed(current_size=2 * MIB)
    (defect,) = describe(path).defects
    assert defect.kind == "truncated"
    assert defect.message == f"The footer stands at byte {MIB}; a disk of {2 * MIB} bytes should come before it: {MIB} are missing."


def test_a_claim_of_64_tib_in_a_small_file_is_truncated(tmp_path):
    path = tmp_path / "huge.vhd"
    path.write_bytes(bytes(1536) + vhdfile.make_footer(1536, 2, {"current_size": 64 * 1024**4}))
    assert kinds(path) == ["truncated"]


def test_a_fixed_footer_on_a_dynamic_file_is_named(dynamic):
    size = dynamic.stat().st_size
    patch(dynamic, size - 512, vhdfile.make_footer(8 * MIB, 2, {}))
    assert "leading-footer" in kinds(dynamic)


def test_footers_that_disagree_are_named(dynamic):
    patch(dynamic, 0, vhdfile.make_footer(8 * MIB, 3, {"creator": "qemu"}))
    assert kinds(dynamic) == ["footer-copy"]


def test_a_dynamic_file_without_its_end_is_read_by_the_leading_copy(dynamic):
    with dynamic.open("r+b") as file:
        file.truncate(dynamic.stat().st_size - 512)
    found = describe(dynamic)
    assert found.virtual_size == 8 * MIB
    assert [defect.kind for defect in found.defects] == ["footer-missing", "block-outside-file"] or found.defects[0].kind == "footer-missing"


def test_a_missing_dynamic_header_is_named(dynamic):
    patch(dynamic, 512, b"xxxxxxxx")
    assert kinds(dynamic) == ["header-missing"]


def test_a_wrong_header_checksum_is_named(dynamic):
    patch(dynamic, 512 + 900, b"\x01")
    assert kinds(dynamic) == ["header-checksum"]


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [(28, 1, "block-count"), (28, 0xFFFFFFF0, "block-count"), (32, 0, "block-size"), (32, 3000, "block-size"), (16, 2**40, "block-table-outside")],
)
def test_a_header_that_cannot_be_right_is_named(dynamic, field, value, kind):
    width = 8 if field == 16 else 4
    patch(dynamic, 512 + field, value.to_bytes(width, "big"))
    assert kind in kinds(dynamic)


def test_a_block_outside_the_file_is_named_with_its_place(dynamic):
    patch(dynamic, 1536, (0x00100000).to_bytes(4, "big"))
    (defect,) = describe(dynamic).defects
    assert (defect.kind, defect.message) == ("block-outside-file", "1 of 2 blocks lie outside the file; the first at byte 536870912.")


def test_overlapping_blocks_are_named(dynamic):
    place = dynamic.read_bytes()[1540:1544]
    patch(dynamic, 1536, place)
    assert kinds(dynamic) == ["block-overlap"]


def test_a_block_inside_the_header_is_named(dynamic):
    patch(dynamic, 1536, (1).to_bytes(4, "big"))
    assert kinds(dynamic) == ["block-overlap"]


@pytest.mark.parametrize(
    ("start", "kind", "contents"),
    [
        (b"", "unknown", "nothing: it is empty"),
        (b"short", "unknown", "only 5 bytes, too few for a disk"),
        (bytes(2048), "unknown", "nothing that is a known disk format"),
        (b"garbage " * 200, "unknown", "nothing that is a known disk format"),
        (b"a text about conectix footers " * 40, "unknown", "nothing that is a known disk format"),
        (b"QFI\xfb" + bytes(2000) + b"conectix" + bytes(4) + b"\0\1\0\0" + bytes(900), "qcow2", "a QCOW2 container"),
        (b"vhdxfile" + bytes(2000), "vhdx", "a damaged VHDX"),
        (b"QFI\xfb" + bytes(2000), "qcow2", "a QCOW2 container"),
        (b"KDMV" + bytes(2000), "vmdk", "a VMDK container"),
        (b"# Disk DescriptorFile\n" + bytes(2000), "vmdk", "a VMDK descriptor without the disk itself"),
        (bytes(0x40) + b"\x7f\x10\xda\xbe" + bytes(2000), "vdi", "a VDI container"),
        (b"\x1f\x8b\x08" + bytes(2000), "unknown", "gzip-compressed data"),
        (b"\xfd7zXZ\x00" + bytes(2000), "unknown", "xz-compressed data"),
        (b"PK\x03\x04" + bytes(2000), "unknown", "a zip archive"),
        (bytes(510) + b"\x55\xaa" + bytes(2000), "raw", "a raw disk without a VHD footer"),
    ],
)
def test_a_file_is_named_by_its_bytes_whatever_it_is_called(tmp_path, start, kind, contents):
    path = tmp_path / "image.vhd"
    path.write_bytes(start)
    found = describe(path)
    assert (found.format, found.contents, found.type) == (kind, contents, None)


@pytest.mark.parametrize("size", [0, 1, MIB, 20 * MIB, 263454720, 4212736, 32212254720, 136365211648, 2 * 1024**4])
def test_the_geometry_of_two_independent_writers_agrees(size):
    cylinders, heads, sectors = footer.geometry(size)
    data = vhdfile.make_footer(size, 2, {})
    assert struct.unpack(">HBB", data[56:60]) == (cylinders, heads, sectors)
    assert cylinders * heads * sectors * 512 <= size


def test_geometry_matches_what_hyper_v_wrote(data):
    found = describe(data("vhd/hyperv2012r2-dynamic.vhd"))
    names = ("cylinders", "heads", "sectors_per_track")
    assert tuple(found.fields[f"footer:{name}"] for name in names) == footer.geometry(found.virtual_size)


def test_a_missing_file_a_directory_and_a_device_are_refused_in_one_line(tmp_path):
    for path, word in ((tmp_path / "no.vhd", "no such file"), (tmp_path, "directory"), (Path("/dev/null"), "device")):
        with pytest.raises(UsageError, match=word) as caught:
            describe(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
