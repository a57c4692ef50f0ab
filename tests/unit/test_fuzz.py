"""Hostile bytes in footers, headers, block tables, logs, MBR and GPT: never a traceback, a hang, or much memory."""

from __future__ import annotations

import tempfile
import tracemalloc
from contextlib import suppress
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures import hive, vhdfile, vhdxfile
from tests.unit.hives import PLACE, guest_files
from tests.unit.test_tables import SECTOR, Bytes, boot_record, gpt_disk
from vhdprep.check import check, inspect
from vhdprep.disk.native import NativeDisk
from vhdprep.errors import VhdprepError
from vhdprep.guest import windows
from vhdprep.guest.registry import open_registry
from vhdprep.model import Verdict
from vhdprep.ruleset.load import load_rules

RULES = load_rules()
MIB = 1024 * 1024
BOUNDED = settings(max_examples=60, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
wounds = st.lists(st.tuples(st.integers(0, 4095), st.binary(min_size=1, max_size=12)), max_size=6)


def sound_dynamic(tmp_path):
    raw, path = tmp_path / "disk.raw", tmp_path / "disk.vhd"
    raw.write_bytes(bytes(gpt_disk().data))
    vhdfile.write(raw, path, kind="dynamic")
    data = path.read_bytes()
    path.unlink()
    return data


def judge(path):
    """The program's whole path; any error outside our own tree fails the test."""
    tracemalloc.start()
    try:
        report = check(path, RULES)
        inspect(path)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert report.verdict in (Verdict.NOT_READY, Verdict.INCONCLUSIVE)
    assert [finding.traceback for finding in report.findings if finding.traceback] == []
    assert peak < 200 * MIB


@BOUNDED
@given(wounds=wounds, cut=st.integers(0, 3 * MIB))
def test_a_wounded_dynamic_vhd_is_judged_not_feared(tmp_path, wounds, cut):
    data = bytearray(sound_dynamic(tmp_path))
    for at, bits in wounds:
        data[at : at + len(bits)] = bits
    path = tmp_path / "wounded.vhd"
    path.write_bytes(data[: len(data) - cut] if cut < len(data) else b"")
    judge(path)


@cache
def sound_vhdx(parent):
    """A small VHDX whose block table stands in the log only, ``parent``: as changes to another one."""
    content = bytes(gpt_disk().data)
    base = vhdxfile.Parent(bytes(len(content)), vhdxfile.DATA_WRITE, {"relative_path": "wounded.vhd"}) if parent else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sound.vhdx")
        vhdxfile.write(content, path, parent=base)
        vhdxfile.interrupt(path, ((vhdxfile.METADATA + 65536, 4096), (vhdxfile.TABLE, 36864)), entries=2)
        return path.read_bytes()


STRUCTURES = ((65536, 80), (131072, 80), (196608, 100), (262144, 100), (vhdxfile.LOG, 400), (vhdxfile.LOG + 0x1000, 500), (vhdxfile.LOG + 0x3000, 400),
              (vhdxfile.METADATA, 260), (vhdxfile.METADATA + 65536, 300), (vhdxfile.TABLE, 64))  # fmt: skip
vhdx_wounds = st.lists(st.tuples(st.sampled_from(STRUCTURES), st.floats(0, 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6)


@settings(BOUNDED, max_examples=30)
@given(wounds=vhdx_wounds, is_sealed=st.booleans(), parent=st.booleans(), cut=st.sampled_from([0, 0, 1, MIB, 3 * MIB]))
def test_a_wounded_vhdx_is_judged_not_feared(tmp_path, wounds, is_sealed, parent, cut):
    data = bytearray(sound_vhdx(parent))
    for (begin, length), part, bits in wounds:
        at = begin + int(part * length)
        data[at : at + len(bits)] = bits
        for place, size in ((65536, 4096), (131072, 4096), (196608, 65536), (262144, 65536), (vhdxfile.LOG, 0x3000), (vhdxfile.LOG + 0x3000, 0x1000)):
            if is_sealed and place <= at < place + size:
                data[place : place + size] = vhdxfile.seal(data[place : place + size])
    path = tmp_path / "wounded.vhd"
    path.write_bytes(data[: len(data) - cut])
    judge(path)


@BOUNDED
@given(footer=st.binary(max_size=600), body=st.binary(max_size=3000))
def test_any_bytes_with_a_cookie_are_judged(tmp_path, footer, body):
    path = tmp_path / "any.vhd"
    path.write_bytes(body + b"conectix" + footer)
    judge(path)


@BOUNDED
@given(wounds=st.lists(st.tuples(st.integers(0, 20 * SECTOR), st.binary(min_size=1, max_size=16)), min_size=1, max_size=8), tail=st.booleans())
def test_a_wounded_gpt_never_breaks_the_reader(wounds, tail):
    disk = gpt_disk(((2048, 2100), (2101, 3000)))
    for at, bits in wounds:
        place = disk.size - 1 - at if tail else at
        disk.data[place : place + len(bits)] = bits
    disk.data = disk.data[: disk.size]
    with suppress(VhdprepError):
        opened = NativeDisk(disk)
        assert len(opened.volumes) <= 128


@BOUNDED
@given(entries=st.lists(st.tuples(st.sampled_from([0, 0x80]), st.sampled_from([0x83, 5, 0xF, 0xEE, 7]), st.integers(0, 5000), st.integers(0, 2**32 - 1)),
                        max_size=4), second=st.binary(min_size=64, max_size=64))  # fmt: skip
def test_any_mbr_ends(entries, second):
    disk = Bytes()
    disk.put(0, boot_record(*entries))
    for sector in (100, 1000, 2000):
        disk.put(sector, bytes(446) + second + b"\x55\xaa")
    with suppress(VhdprepError):
        assert len(NativeDisk(disk).volumes) <= 140


HIVE = hive.write({"Select": {"Current": 1}, "Setup": {"a": "x", "b": ["y"], "c": {"size": 40_000}}, **{f"ControlSet001\\Services\\s{n}": {"Start": n} for n in range(40)}},
                  leaf=16)  # fmt: skip
CHANGED = hive.write({"Select": {"Current": 1}, "Setup": {"a": "z"}, **{f"ControlSet001\\Services\\s{n}": {"Start": 4} for n in range(60)}}, leaf=16)
DIRTY, LOG = hive.with_log(HIVE, CHANGED)
_, OLD_LOG = hive.with_old_log(HIVE, CHANGED)
hive_wounds = st.lists(st.tuples(st.integers(0, len(HIVE) - 1), st.binary(min_size=1, max_size=8)), max_size=8)


def read_all(content):
    """Everything that a rule could ask of a registry; only ``Unreadable`` may come of it."""
    registry = open_registry(guest_files(content))
    for path in (
        r"HKLM\SYSTEM\Setup",
        r"HKLM\SYSTEM\CurrentControlSet\Services",
        r"HKLM\SYSTEM\CurrentControlSet\Services\s7",
        r"HKLM\BCD00000000\Objects",
    ):
        with suppress(VhdprepError):
            key = registry.key(path)
            assert len([(each.name, *each.values()) for each in key.subkeys()] if key else []) < 100_000
            assert len(list(key.values()) if key else []) < 100_000
    windows.release(registry)


@BOUNDED
@given(wounds=hive_wounds, sound_checksum=st.booleans())
def test_a_wounded_hive_is_read_or_refused(wounds, sound_checksum):
    data = bytearray(HIVE)
    for at, bits in wounds:
        data[at : at + len(bits)] = bits
    if sound_checksum:
        data[:4096] = hive._base(bytes(data[:4096]), 7, 7)
    read_all({PLACE: bytes(data)})


@BOUNDED
@given(
    wounds=st.lists(st.tuples(st.integers(0, len(LOG) - 1), st.binary(min_size=1, max_size=8)), max_size=6),
    cut=st.integers(0, 5000),
    old=st.booleans(),
)
def test_a_wounded_log_is_replayed_or_refused(wounds, cut, old):
    data = bytearray(OLD_LOG if old else LOG)
    for at, bits in wounds:
        data[at : at + len(bits)] = bits
    data[:512] = hive._base(bytes(data[:512]).ljust(4096, b"\0"), 8 if old else 7, 8 if old else 7, kind=1 if old else 6)[:512]
    read_all({PLACE: DIRTY, f"{PLACE}.LOG1": bytes(data[: len(data) - cut])})


@BOUNDED
@given(data=st.binary(max_size=9000))
def test_any_bytes_called_a_hive_are_refused(data):
    read_all({PLACE: b"regf" + data, f"{PLACE}.LOG1": data})
