"""QCOW2, VMDK and VDI through qemu-img, and what such an image must not make qemu-img read."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest

from vhdprep.errors import BackendUnavailable, CopyFailed, Unreadable
from vhdprep.prepare import foreign
from vhdprep.prepare.source import open_source

MIB = 1024 * 1024
CONTENT = random.Random(3).randbytes(70_000).ljust(3 * MIB, b"\0") + random.Random(4).randbytes(MIB + 512)
CANARY = b"a secret of the host "

needs_qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img (qemu-utils)")


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "disk.raw"
    path.write_bytes(CONTENT)
    return path


def pack(raw, kind, options=""):
    target = raw.with_suffix(f".{kind}")
    command = ["qemu-img", "convert", "-f", "raw", "-O", kind, *(["-o", options] if options else []), str(raw), str(target)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def read(path):
    with open_source(path, path.parent) as reader:
        return reader.read_at(0, reader.size)


@needs_qemu
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("qcow2", ""),
        ("qcow2", "compat=0.10"),
        ("vdi", ""),
        ("vmdk", "subformat=monolithicSparse"),
        ("vmdk", "subformat=streamOptimized"),
        ("vmdk", "subformat=monolithicFlat"),
        ("vmdk", "subformat=twoGbMaxExtentSparse"),
    ],
)
def test_every_byte_is_what_was_packed_and_nothing_is_left_beside(raw, kind, options):
    path = pack(raw, kind, options)
    before = sorted(raw.parent.iterdir())
    assert read(path).ljust(len(CONTENT), b"\0") == CONTENT
    assert sorted(raw.parent.iterdir()) == before


@needs_qemu
def test_a_name_full_of_punctuation_is_a_name(raw):
    path = pack(raw, "qcow2").rename(raw.with_name('nbd:a,b="c" d.qcow2'))
    assert read(path) == CONTENT


@needs_qemu
def test_a_qcow2_that_leads_to_another_file_is_refused(raw, tmp_path):
    canary = tmp_path / "canary"
    canary.write_bytes(CANARY * 100_000)
    child, data = tmp_path / "child.qcow2", tmp_path / "data.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(canary), str(child)], check=True)
    with pytest.raises(Unreadable, match=r"child\.qcow2 holds only changes to another image"):
        read(child)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={canary},data_file_raw=on", str(data), "64k"], check=True)
    with pytest.raises(Unreadable, match=r"data\.qcow2 keeps its data in another file"):
        read(data)


DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicFlat"
{}
ddb.virtualHWVersion = "4"
"""


@pytest.mark.parametrize(
    "line",
    [
        'RW 4096 FLAT "/etc/passwd" 0',
        'RW 4096 FLAT "../canary" 0',
        'RW 4096 FLAT "json:{}" 0',
        'RW\n4096 FLAT "/etc/passwd" 0',
        'RW 4096 FLAT\n"/etc/passwd" 0',
        'RW 4096 FLAT\x0b"/etc/passwd" 0',
        '\tRW 4096\tFLAT "/etc/passwd" 0',
        'RW 4096 FLAT "link" 0',
        'RW 4096 FLAT "missing" 0',
        'RW 4096 SPARSE "further" 0',
        'parentFileNameHint="canary"',
    ],
)
def test_a_vmdk_that_leads_out_of_its_folder_is_refused_before_qemu_img_sees_it(tmp_path, line, monkeypatch):
    monkeypatch.setattr(foreign, "_run", lambda *_: pytest.fail("qemu-img was started"))
    folder = tmp_path / "image"
    folder.mkdir()
    (tmp_path / "canary").write_bytes(CANARY * 100_000)
    (folder / "link").symlink_to(tmp_path / "canary")
    (folder / "further").write_bytes(b"KDMV" + bytes(60) + DESCRIPTOR.format('RW 4096 FLAT "/etc/passwd" 0').encode())
    path = folder / "disk.vmdk"
    path.write_text(DESCRIPTOR.format(line))
    with pytest.raises(Unreadable):
        read(path)


@needs_qemu
def test_a_snapshot_of_a_vmdk_is_refused(raw, monkeypatch):
    monkeypatch.setattr(foreign, "_run", lambda *_: pytest.fail("qemu-img was started"))
    base = pack(raw, "vmdk")
    child = raw.with_name("child.vmdk")
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", "-F", "vmdk", "-b", str(base), str(child)], check=True)
    with pytest.raises(Unreadable, match="merge its snapshots first"):
        read(child)


@needs_qemu
def test_a_damaged_image_is_one_line_of_what_qemu_img_says(raw):
    path = pack(raw, "qcow2")
    data = bytearray(path.read_bytes())
    data[20:24] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(Unreadable, match=r"disk\.qcow2: qemu-img does not read it") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_without_qemu_img_the_one_command_that_helps_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "disk.qcow2"
    path.write_bytes(b"QFI\xfb\0\0\0\2".ljust(4096, b"\0"))
    with pytest.raises(BackendUnavailable, match="run: sudo apt-get install qemu-utils"):
        read(path)


@needs_qemu
def test_no_room_to_unpack_is_said(raw, monkeypatch):
    script = raw.with_name("qemu-img")
    script.write_text("#!/bin/sh\necho 'qemu-img: error while writing at byte 0: No space left on device' >&2\nexit 1\n")
    script.chmod(0o755)
    path = pack(raw, "vdi")
    monkeypatch.setenv("PATH", str(raw.parent))
    with pytest.raises(CopyFailed, match="no room to unpack"):
        read(path)
