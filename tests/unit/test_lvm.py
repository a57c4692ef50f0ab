"""LVM2: what the metadata says, and what becomes of metadata that lies."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time

import pytest
import pyvslvm
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures import build, lvm
from fixtures.lvm import AREA, EXTENT, SECTOR, START, Logical, Segment
from tests.disks import open_disk
from tests.unit.test_tables import Bytes
from vhdprep.check import check
from vhdprep.disk.native import NativeDisk, lvmlabel, lvmtext
from vhdprep.disk.native import lvm as reader
from vhdprep.disk.native.assembly import join
from vhdprep.disk.native.stream import Stream
from vhdprep.errors import Unreadable
from vhdprep.guest.devices import find_volume
from vhdprep.model import Outcome, Volume, VolumeKind

ELSEWHERE = "if it is on another disk of the machine, name that with --data"
ROOT = Logical("root", (Segment(0, 2, ((0, 0),)),))


def physical(text, *, number=1, extents=4, place=SECTOR):
    """A physical volume in memory; byte values of its extents tell them apart."""
    disk = Bytes(START + extents * EXTENT)
    disk.data[:START] = lvm.head(lvm.identity(number), disk.size, text, place=place)
    for extent in range(extents):
        at = START + extent * EXTENT
        disk.data[at : at + EXTENT] = bytes([number << 4 | extent]) * EXTENT
    return disk


def read(**disks):
    return reader.read({name: Stream(disk, 0, disk.size) for name, disk in disks.items()})[:2]


def summary(**disks):
    """Id, size in extents and reason of each logical volume; and reason and need of each physical one."""
    volumes, members = read(**disks)
    return [(each.id, each.size // EXTENT, each.reason) for each in volumes], {name: tuple(each) for name, each in members.items()}


def described(*volumes, extents=4, change=lambda text: text, **more):
    """Metadata of one physical volume, its text changed."""
    return change(lvm.metadata("vg", [extents], list(volumes) or [ROOT], **more).decode()).encode()


def test_a_linear_volume_is_its_extents():
    volumes, members = read(p1=physical(described(Logical("root", (Segment(0, 1, ((0, 3),)), Segment(1, 2, ((0, 0),)))))))
    assert members == {"p1": ("a physical volume of the LVM2 volume group vg", False)}
    (root,) = volumes
    assert (root.id, root.size, root.reason, root.holds_files) == ("vg/root", 3 * EXTENT, None, True)
    assert [root.reader.read_at(at * EXTENT, 1) for at in range(3)] == [b"\x13", b"\x10", b"\x11"]
    assert root.reader.read_at(EXTENT - 1, 2) == b"\x13\x10"
    assert root.reader.read_at(3 * EXTENT - 1, 9) == b"\x11"
    assert root.reader.read_at(9 * EXTENT, 9) == b""


def test_a_striped_volume_takes_turns_among_its_physical_volumes():
    text = lvm.metadata("vg", [4, 4], [Logical("root", (Segment(0, 4, ((0, 1), (1, 2))),))])
    volumes, members = read(p1=physical(text), p2=physical(text, number=2))
    assert [each.needed for each in members.values()] == [False, False]
    assert volumes[0].size == 4 * EXTENT
    data = volumes[0].reader.read_at(0, 4 * EXTENT)
    turns = [data[at : at + lvm.STRIPE] for at in range(0, len(data), lvm.STRIPE)]
    assert [set(turn) for turn in turns] == [{0x11}, {0x22}] * 16 + [{0x12}, {0x23}] * 16


def test_the_newest_metadata_counts_wherever_it_stands():
    old = lvm.metadata("vg", [4, 4], [], seqno=3)
    new = lvm.metadata("vg", [4, 4], [ROOT], seqno=12)
    for first, second in ((old, new), (new, old)):
        volumes, members = read(p1=physical(first), p2=physical(second, number=2))
        assert [each.id for each in volumes] == ["vg/root"]
        assert [each.needed for each in members.values()] == [False, False]


def test_a_text_that_meets_the_end_of_its_area_goes_on_behind_the_header():
    text = described()
    volumes, _ = read(p1=physical(text, place=START - AREA - 100))
    assert [each.id for each in volumes] == ["vg/root"]


def test_two_groups_are_kept_apart_and_sorted():
    other = (
        lvm.metadata("aa", [4], [ROOT])
        .replace(b"xxx999", b"xxx998")
        .replace(lvm.hyphened(lvm.identity(1)).encode(), lvm.hyphened(lvm.identity(2)).encode())
    )
    volumes, members = read(p1=physical(described()), p2=physical(other, number=2))
    assert [each.id for each in volumes] == ["aa/root", "vg/root"]
    assert [each.reason[-2:] for each in members.values()] == ["vg", "aa"]


def test_a_physical_volume_without_a_group_holds_nothing():
    assert summary(p1=physical(b"")) == ([], {"p1": ("an LVM2 physical volume that belongs to no volume group", False)})


def test_a_physical_volume_that_is_not_here_leaves_its_volumes_unread():
    text = lvm.metadata("vg", [4, 4], [ROOT, Logical("far", (Segment(0, 1, ((0, 2),)), Segment(1, 1, ((1, 0),))))])
    volumes, members = summary(p1=physical(text))
    where = lvm.hyphened(lvm.identity(2))
    assert volumes == [("vg/far", 2, f"it lies partly on the physical volume {where}, which is missing; {ELSEWHERE}"), ("vg/root", 2, None)]
    assert members == {"p1": ("a physical volume of the LVM2 volume group vg", False)}


def test_hidden_volumes_are_not_listed():
    hidden = described(ROOT, Logical("pool_tdata", (Segment(0, 1, ((0, 2),)),)))
    at = hidden.index(b"pool_tdata")
    volumes, _ = read(p1=physical(hidden[:at] + hidden[at:].replace(b', "VISIBLE"', b"")))
    assert [each.id for each in volumes] == ["vg/root"]


@pytest.mark.parametrize(
    ("kind", "holds_files"),
    [("thin", True), ("thin-pool", False), ("cache", True), ("cache+METADATA_FORMAT", True), ("mirror", True), ("raid1", True), ("raid5_ls", True),
     ("writecache", True), ("vdo", True), ("vdo-pool", False), ("error", True), ("invented", True)],
)  # fmt: skip
def test_kinds_that_are_not_read_are_named(kind, holds_files):
    volumes, members = read(p1=physical(described(change=lambda text: text.replace('type = "striped"', f'type = "{kind}"'))))
    (volume,) = volumes
    assert volume == ("vg/root", 2 * EXTENT, "p1", None, f"an LVM2 volume of the type {kind.partition('+')[0]}, which is not read", holds_files)
    assert members["p1"].needed is False


SNAPSHOT = """snapshot0 {
id = "x" status = ["READ", "WRITE", "VISIBLE"] segment_count = 1
segment1 { start_extent = 0 extent_count = 2 type = "snapshot" chunk_size = 8 origin = "root" %s = "kept" }
}
"""


@pytest.mark.parametrize(("word", "root"), [("cow_store", None), ("merging_store", "a snapshot is waiting to be merged into it")])
def test_a_snapshot_is_named_and_its_origin_read_unless_they_merge(word, root):
    kept = Logical("kept", (Segment(0, 1, ((0, 2),)),))
    text = described(ROOT, kept, change=lambda text: text.replace("kept {", SNAPSHOT % word + "kept {"))
    volumes, _ = summary(p1=physical(text))
    assert volumes == [("vg/kept", 2, "an LVM2 volume of the type snapshot, which is not read"), ("vg/root", 2, root)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("extent_count = 2", "extent_count = 20"), "its logical volumes use extents that pv0 does not have"),
        (('"pv0", 0', '"pv0", 4294967295'), "its logical volumes use extents that pv0 does not have"),
        (('"pv0", 0', '"pv0", -1'), "the stripes of a segment are not given as they must be"),
        (('"pv0", 0', '"pv0"'), "the stripes of a segment are not given as they must be"),
        (("stripe_count = 1", "stripe_count = 2"), "the stripes of a segment are not given as they must be"),
        (("start_extent = 0", "start_extent = 1"), "the segments of its logical volume root leave a gap or overlap at extent 0"),
        (("extent_size = 2048", "extent_sizes = 2048"), "its metadata has no number 'extent_size' where one must be"),
        (("extent_size = 2048", 'extent_size = "2048"'), "its metadata has no number 'extent_size' where one must be"),
        (("pe_start = 2048", "pe_start = -2048"), "its metadata has no number 'pe_start' where one must be"),
        (("root {", "ro/ot {"), "one of its logical volumes is called 'ro/ot'"),
    ],
)
def test_a_group_that_contradicts_itself_is_not_read(change, reason):
    text = described(change=lambda text: text.replace(*change))
    assert summary(p1=physical(text)) == ([], {"p1": (f"a physical volume of the LVM2 volume group 'vg', but {reason}", True)})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("vg {", "{"), "its metadata breaks off at '{': a new name was expected"),
        (("seqno = 3", "seqno = 3 seqno = 4"), "its metadata breaks off at 'seqno': a new name was expected"),
        (("seqno = 3", "seqno = " + "9" * 20), "its metadata breaks off at '99999999999999999999': a value was expected"),
        (("seqno = 3", "seqno 3"), "its metadata breaks off at 'seqno': neither a value nor a section follows"),
        (("seqno = 3", "a {" * 10), "its metadata breaks off at 'a': neither a value nor a section follows"),
        (("\n}\n# Generated", "\n# Generated"), "its metadata ends inside a section"),
        (("version = 1", "other { }"), "its metadata does not describe exactly one volume group"),
    ],
)
def test_a_text_that_is_no_metadata_is_refused(change, reason):
    text = described(change=lambda text: text.replace(*change))
    assert summary(p1=physical(text)) == ([], {"p1": (f"an LVM2 physical volume, but {reason}", True)})


def put(disk, at, data):
    disk.data[at : at + len(data)] = data
    return disk


def label_again(disk):
    return put(disk, SECTOR + 16, struct.pack("<I", lvm.checksum(bytes(disk.data[SECTOR + 20 : 2 * SECTOR]))))


def area_again(disk):
    return put(disk, AREA, struct.pack("<I", lvm.checksum(bytes(disk.data[AREA + 4 : AREA + SECTOR]))))


UNREADABLE = "its metadata cannot be read"


@pytest.mark.parametrize(
    ("wound", "reason"),
    [
        (lambda disk: put(disk, SECTOR + 40, b"?"), "its label has a wrong checksum"),
        (lambda disk: put(disk, SECTOR, bytes(SECTOR)), "it has no label where one must be"),
        (lambda disk: label_again(put(disk, SECTOR + 20, struct.pack("<I", 0xFFFFFFF0))), "its label points outside itself"),
        (lambda disk: label_again(put(disk, SECTOR + 32 + 40 + 32, struct.pack("<QQ", 1 << 60, 1 << 60))), UNREADABLE),
        (lambda disk: label_again(put(disk, SECTOR + 32 + 40 + 32, struct.pack("<QQ", AREA, 1 << 63))), UNREADABLE),
        (lambda disk: label_again(put(disk, SECTOR + 32 + 40 + 32, bytes(16))), "the metadata of its volume group is not here; " + ELSEWHERE),
        (lambda disk: put(disk, AREA + 10, b"?"), UNREADABLE),
        (lambda disk: area_again(put(disk, AREA + 24, struct.pack("<Q", START))), UNREADABLE),
        (lambda disk: area_again(put(disk, AREA + 40, struct.pack("<Q", 8))), UNREADABLE),
        (lambda disk: area_again(put(disk, AREA + 40, struct.pack("<Q", 1 << 50))), UNREADABLE),
        (lambda disk: area_again(put(disk, AREA + 48, struct.pack("<Q", 1 << 50))), UNREADABLE),
        (lambda disk: area_again(put(disk, AREA + 48, struct.pack("<Q", 0))), UNREADABLE),
        (lambda disk: area_again(put(disk, AREA + 60, struct.pack("<I", 1))), UNREADABLE),
        (lambda disk: put(disk, AREA + SECTOR + 9, b"?"), UNREADABLE),
    ],
)  # fmt: skip
def test_a_wounded_label_or_area_is_named(wound, reason):
    volumes, members = summary(p1=wound(physical(described())))
    assert (volumes, members) == ([], {"p1": (f"an LVM2 physical volume, but {reason}", True)})


def test_two_physical_volumes_of_one_identity_are_not_both_believed():
    volumes, members = summary(p1=physical(described()), p2=physical(described()))
    assert [each[0] for each in volumes] == ["vg/root"]
    assert members["p2"] == ("an LVM2 physical volume, but another one has its identity", True)


def test_two_groups_of_one_name_or_on_one_physical_volume_are_not_both_read():
    again = described().replace(b"xxx999", b"xxx998")
    other = again.replace(lvm.hyphened(lvm.identity(1)).encode(), lvm.hyphened(lvm.identity(2)).encode())
    volumes, members = summary(p1=physical(described()), p2=physical(other, number=2))
    assert len(volumes) == 1
    assert members["p2"] == ("a physical volume of the LVM2 volume group 'vg', but another volume group has its name", True)
    volumes, members = summary(p1=physical(described()), p2=physical(again.replace(b"vg {", b"other {"), number=2))
    assert [each[0] for each in volumes] == ["vg/root"]
    assert members["p1"] == ("a physical volume of the LVM2 volume group 'other', but another volume group has the same physical volumes", True)


def test_segments_that_share_extents_are_refused():
    twice = described(ROOT, Logical("twin", (Segment(0, 1, ((0, 1),)),)))
    _, members = summary(p1=physical(twice))
    assert members["p1"] == ("a physical volume of the LVM2 volume group 'vg', but two segments of its logical volumes share extents of pv0", True)


def test_a_physical_volume_that_was_cut_short_is_named():
    disk = physical(described(Logical("root", (Segment(0, 4, ((0, 0),)),))))
    disk.size -= EXTENT
    disk.data = disk.data[: disk.size]
    volumes, _ = summary(p1=disk)
    assert volumes == [("vg/root", 4, "it reaches past the end of p1")]


def test_a_volume_made_of_the_label_itself_ends():
    """Its extents begin at the physical volume's first byte: LVM inside itself, which is not followed."""
    disk = physical(described(change=lambda text: text.replace("pe_start = 2048", "pe_start = 0")))
    found = NativeDisk(disk)
    join([found])
    whole, inner = found.volumes
    assert (whole.id, whole.needed) == ("disk", False)
    assert (inner.id, inner.filesystem, inner.reason) == (
        "vg/root",
        "LVM2_member",
        "an LVM2 physical volume inside another volume, which is not read",
    )
    assert inner.needed


def test_more_of_anything_than_is_looked_at_is_refused(monkeypatch):
    monkeypatch.setattr(reader, "MAX_LOGICAL_VOLUMES", 1)
    monkeypatch.setattr(reader, "MAX_SEGMENTS", 1)
    many = described(ROOT, Logical("other", (Segment(0, 1, ((0, 2),)),)))
    assert "more than 1 logical volumes" in summary(p1=physical(many))[1]["p1"][0]
    split = described(Logical("root", (Segment(0, 1, ((0, 3),)), Segment(1, 2, ((0, 0),)))))
    assert "more than 1 segments" in summary(p1=physical(split))[1]["p1"][0]
    monkeypatch.setattr(reader, "MAX_METADATA_TOTAL", 100)
    assert "longer than 100 bytes" in summary(p1=physical(described()))[1]["p1"][0]


def test_the_longest_text_that_is_read_takes_no_long_time():
    noise = "a = [" + "1," * 500_000 + "]"
    text = f'vg {{ id = "x" seqno = 1 {noise} }}\n'.encode()
    begin = time.process_time()
    with pytest.raises(Unreadable):
        lvmtext.number(lvmtext.sections(lvmtext.parse(text.decode()))["vg"], "extent_size")
    assert time.process_time() - begin < 3


@settings(max_examples=200, deadline=None)
@given(wounds=st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6))
def test_wounded_metadata_with_a_right_checksum_never_breaks_the_reader(wounds):
    text = bytearray(described())
    for at, bits in wounds:
        text[at : at + len(bits)] = bits
    volumes, members = read(p1=physical(bytes(text)))
    assert set(members) == {"p1"}
    for each in volumes:
        assert each.reader is None or len(each.reader.read_at(0, 4096)) <= 4096


@given(st.text(max_size=300))
def test_any_text_ends_in_sections_or_unreadable(text):
    try:
        assert isinstance(lvmtext.parse(text), dict)
    except Unreadable as error:
        assert str(error).startswith("its metadata")


def test_the_text_is_read_as_lvm_writes_it():
    assert lvmtext.parse('a {\n# note }\nb = -1 # one\nc="q \\"x\\" # {"\nd=[]\ne = ["pv0", 3, 1.5]\n}\nf-g.h+1 = 2\n') == {
        "a": {"b": -1, "c": 'q "x" # {', "d": [], "e": ["pv0", 3, 1.5]},
        "f-g.h+1": 2,
    }


def test_the_checksum_is_lvms_own():
    assert lvmlabel.checksum(b"123456789") == lvm.checksum(b"123456789")
    assert lvmlabel.checksum(b"") == 0xF597A6CF


@pytest.mark.parametrize("spec", ["/dev/mapper/my--vg-a--b", "/dev/my-vg/a-b", "/dev/disk/by-id/dm-name-my--vg-a--b", "UUID=ABC"])
def test_a_logical_volume_is_found_by_each_of_its_names(spec):
    volumes = [
        Volume("p1", VolumeKind.PARTITION, 1, 0, None, "LVM2_member"),
        Volume("my-vg/a-b", VolumeKind.LOGICAL_VOLUME, 1, None, None, "ext4", "abc"),
    ]
    assert find_volume(spec, volumes) is volumes[1]


@pytest.mark.parametrize("spec", ["/dev/mapper/my-vg-a-b", "/dev/mapper/my--vg/a--b", "/dev/my--vg/a--b", "/dev/mapper/p1"])
def test_other_names_are_not_a_logical_volume(spec):
    assert (
        find_volume(
            spec, [Volume("my-vg/a-b", VolumeKind.LOGICAL_VOLUME, 1, None, None, "ext4"), Volume("p1", VolumeKind.PARTITION, 1, 0, None, None)]
        )
        is None
    )


def opened(path):
    return open_disk(path)


def as_pyvslvm_reads(stream):
    """Name, size and first MiB of every volume that the other library reads: those of one segment on a single physical volume."""
    handle = pyvslvm.handle()
    handle.open_file_object(stream)
    handle.open_physical_volume_files_as_file_objects([stream])
    group = handle.get_volume_group()
    found = {}
    for number in range(group.number_of_logical_volumes):
        each = group.get_logical_volume(number)
        found[f"{group.name}/{each.name}"] = (each.size, each.read_buffer_at_offset(min(each.size, EXTENT), 0))
    return found


def as_read_here(stream):
    return {each.id: (each.size, each.reader.read_at(0, EXTENT)) for each in reader.read({"p": stream})[0]}


def member_of(disk):
    return next(Stream(disk._reader, each.offset, each.size) for each in disk.volumes if each.filesystem == "LVM2_member")


def test_a_real_physical_volume_is_read_as_pyvslvm_reads_it(data):
    with opened(data("raw/lvm.raw")) as disk:
        mine = as_read_here(member_of(disk))
        assert mine == as_pyvslvm_reads(member_of(disk))
        assert list(mine) == ["test_volume_group/test_logical_volume1", "test_volume_group/test_logical_volume2"]


def test_a_fixture_of_one_physical_volume_is_read_as_pyvslvm_reads_it(image):
    with opened(image("debian-12-lvm")) as disk:
        assert as_read_here(member_of(disk)) == as_pyvslvm_reads(member_of(disk))


def test_volumes_of_several_segments_on_a_real_disk_are_whole(data):
    """pyvslvm fails on them; the file system must find its own structures where its later segment lies."""
    with opened(data("vhdx/lvm2.vhdx")) as disk:
        found = {each.id: (each.filesystem, each.size, each.read) for each in disk.volumes}
        assert found["test/vol01"] == ("ext3", 306 * 4 * EXTENT, True)
        assert found["test/fat"] == ("vfat", 178 * 4 * EXTENT, True)
        assert found["test/ntfs"][:2] == ("ntfs", 281 * 4 * EXTENT)
        volumes = {each.id: each.reader for each in reader.read({"p1": member_of(disk)})[0]}
        backup = 9 * 32768 * 4096  # ext3: group 9 has a copy of the superblock, in the second segment
        assert volumes["test/vol01"].read_at(backup + 0x38, 2) == b"\x53\xef"


@pytest.mark.skipif(shutil.which("pvck", path="/usr/sbin:/sbin:/usr/bin") is None, reason="pvck (package lvm2) is not installed")
def test_lvm_itself_finds_no_fault_with_the_fixtures_metadata(tmp_path):
    path = tmp_path / "pv"
    path.write_bytes(physical(described()).data)
    pvck = shutil.which("pvck", path="/usr/sbin:/sbin:/usr/bin")
    done = subprocess.run([pvck, "--dump", "headers", path], capture_output=True, text=True, check=False)
    if "label_header" not in done.stdout:
        pytest.skip("this pvck reads no files")
    assert "metadata text at 4608" in done.stdout
    assert "vgname vg seqno 3" in done.stdout
    assert "CHECK:" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["debian-12-lvm", "debian-12-lvm-two-partitions", "debian-12-lvm-striped", "debian-12-lvm-two-disks"])
def test_the_same_tree_on_logical_volumes_gives_the_same_facts_and_findings(name, rules):
    plain, other = (check(build.build(each), rules, data=build.data_disks(each)) for each in ("debian-12-generalized", name))
    assert other.guest == plain.guest
    differing = [one.rule_id for one, two in zip(plain.findings, other.findings, strict=True) if one.outcome != two.outcome]
    on_data_disk = {"machine-data-mounts-optional", "machine-data-disks-within-limit"}  # of the group that goes on there
    assert set(differing) - {"linux-boot-root-found"} - on_data_disk == {"linux-disk-lvm-absent"}
    assert all(each.outcome is not Outcome.UNKNOWN for each in other.findings)
    assert [volume.id for volume in other.disks[0].volumes if volume.kind is VolumeKind.LOGICAL_VOLUME] == [
        "debian-vg/root",
        "debian-vg/usr",
        "debian-vg/var-1",
    ]


def test_a_group_whose_other_disk_is_not_named_is_not_concluded(rules):
    report = check(build.build("debian-12-lvm-two-disks"), rules)
    assert report.verdict == "inconclusive"
    assert any("name that with --data" in gap for gap in report.gaps)


def test_the_data_disk_alone_says_where_the_group_may_lie(rules):
    (data,) = build.data_disks("debian-12-lvm-two-disks")
    build.build("debian-12-lvm-two-disks")
    report = check(data, rules)
    assert report.guest is None
    assert any("name that with --data" in gap for gap in report.gaps)


def test_many_groups_of_much_metadata_are_read_up_to_the_limit(monkeypatch):
    """Each of a hundred physical volumes may claim another text; only so much of them is kept."""
    monkeypatch.setattr(reader, "MAX_METADATA_TOTAL", 6000)
    disks = {}
    for number in range(1, 9):
        text = described(change=lambda text, number=number: text.replace("xxx999", f"xxx99{number}").replace("vg {", f"vg{number} {{"))
        disks[f"p{number}"] = physical(
            text.replace(lvm.hyphened(lvm.identity(1)).encode(), lvm.hyphened(lvm.identity(number)).encode()), number=number
        )
    volumes, members = summary(**disks)
    assert len(volumes) == sum(not needed for _, needed in members.values()) == 6000 // len(text)
    assert {reason for reason, needed in members.values() if needed} == {
        "an LVM2 physical volume, but the metadata of all of them is longer than 6000 bytes"
    }
