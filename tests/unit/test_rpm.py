"""Package databases of rpm, apk and pacman: what is installed is read, what is damaged is named, nothing is silently missing."""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
import subprocess
import time
import tracemalloc

import pytest

from fixtures import content, rpmdb
from tests.unit.memory import guest
from vhdprep.errors import Unreadable
from vhdprep.guest import packages, rpm
from vhdprep.guest.formats import rpmversion, sqlitewal

KINDS = ["sqlite", "ndb", "bdb"]
NAMES = {"sqlite": "rpmdb.sqlite", "ndb": "Packages.db", "bdb": "Packages"}
HOME = "/var/lib/rpm"
FEW = {"bash": "5.1.8-9.el9", "openssl": "1:3.0.7-28.el9_4", "zlib": "1.2.11-40.el9"}
MANY = {f"package{number:04}": f"{'2:' if number % 7 else ''}{number}.1-{number % 5}.el9" for number in range(3000)}


def listed(files, distro="fedora", **given):
    return packages.installed(guest(files, facts={"distro": distro}, **given))


def installed(data, kind, beside=None):
    return listed({f"{HOME}/{name}": value for name, value in {NAMES[kind]: data, **(beside or {})}.items()})


def headers(versions, **given):
    return [rpmdb.header(name, version, **given) for name, version in versions.items()]


@pytest.mark.parametrize("kind", KINDS)
def test_packages_have_version_and_release_and_an_epoch_that_is_not_0(kind):
    assert installed(rpmdb.write(FEW, kind), kind) == FEW
    assert installed(rpmdb.write({"a": "0:1-2"}, kind), kind) == {"a": "1-2"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("files", [0, 3, 400])
def test_thousands_of_packages_are_read_in_little_time_and_memory(kind, files):
    data = getattr(rpmdb, kind)(headers(MANY, files=files))
    started = time.process_time()
    assert installed(data, kind) == MANY
    assert time.process_time() - started < 1.5  # 0.04 s
    tracemalloc.start()
    found = installed(data, kind)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == MANY
    assert peak < 10 * 2**20


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_without_packages_is_empty_not_unreadable(kind):
    assert installed(rpmdb.write({}, kind), kind) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_keys_are_no_packages(kind):
    assert installed(getattr(rpmdb, kind)([rpmdb.key(), *headers(FEW), rpmdb.key()]), kind) == FEW


@pytest.mark.parametrize("kind", KINDS)
def test_of_several_kernels_the_newest_counts_wherever_it_stands(kind):
    kernels = ["5.14.0-70.el9", "5.14.0-427.13.1.el9", "5.14.0-427.el9", "5.14.0-9.el9"]
    assert installed(rpmdb.write({"kernel": kernels}, kind), kind) == {"kernel": "5.14.0-427.13.1.el9"}
    assert installed(rpmdb.write({"kernel": ["1:1-1", "9-1"]}, kind), kind) == {"kernel": "1:1-1"}


@pytest.mark.parametrize(
    ("older", "newer"),
    [("1.9", "1.10"), ("1.0~rc1", "1.0"), ("1.0", "1.0^git1"), ("1.0^git1", "1.0.1"), ("1.0a", "1.0.1"), ("1.0", "1.0a"), ("5.el8", "5.el9"), ("1.0~~", "1.0~"),
     ("1.0^20200101", "1.0^20200102"), ("007", "8"), ("1.0^~b", "1.0^"), ("1." + "8" * 5000, "1." + "9" * 5000)],
)  # fmt: skip
def test_versions_are_ordered_as_rpm_orders_them(older, newer):
    assert rpmversion.key(older) < rpmversion.key(newer)


@pytest.mark.parametrize("same", [("1.0", "1_0"), ("1.01", "1.1"), ("a.", "a"), ("1.0", "1.0é")])
def test_what_stands_between_the_parts_of_a_version_does_not_count(same):
    assert rpmversion.key(same[0]) == rpmversion.key(same[1])


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("page_size", "version"), [(512, 9), (4096, 8), (65536, 10)])
def test_berkeley_databases_of_either_byte_order_with_long_chains(order, page_size, version):
    found = installed(rpmdb.bdb(headers(MANY, files=20), order=order, page_size=page_size, buckets=4, version=version), "bdb")
    assert found == MANY


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_sqlite_databases_with_pages_of_any_size(page_size):
    assert installed(rpmdb.sqlite(headers(MANY, files=20), page_size=page_size), "sqlite") == MANY


def test_free_slots_and_gaps_of_a_slot_database_are_passed_over():
    assert installed(rpmdb.ndb(headers(MANY), gap=3), "ndb") == MANY


def test_tags_that_were_added_later_replace_those_from_the_build():
    blob = rpmdb.header("a", "1-1", extra=[(1001, rpmdb.STRING, 1, b"2\0"), (1003, rpmdb.INT32, 1, struct.pack(">I", 4))])
    assert installed(rpmdb.ndb([blob]), "ndb") == {"a": "4:2-1"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fixture_may_hold_a_database_of_each_kind(kind):
    assert installed(content.render({"packages": FEW, "format": kind}), kind) == FEW
    assert listed({packages.DPKG_STATUS: content.render({"packages": {"a": "1"}})}, "debian") == {"a": "1"}


# Where it lies


SQLITE, OTHER = rpmdb.write(FEW, "sqlite"), rpmdb.write({"old": "1-1"}, "bdb")


@pytest.mark.parametrize("home", rpm.HOMES)
def test_the_database_is_found_at_home_and_through_links(home):
    links = {each: {"link": home} for each in rpm.HOMES if each != home}
    assert listed({f"{home}/rpmdb.sqlite": SQLITE, **links}) == FEW
    assert listed({f"{home}/rpmdb.sqlite": SQLITE, "/var/lib/rpm/.rpm.lock": ""}) == FEW


def test_of_two_homes_the_one_that_rpm_is_set_up_for_counts():
    both = {"/usr/lib/sysimage/rpm/rpmdb.sqlite": SQLITE, "/var/lib/rpm/Packages": OTHER}
    macros = {"/usr/lib/rpm/macros": "%_dbpath\t\t%{_var}/lib/rpm\n"}
    assert listed(both | macros) == {"old": "1-1"}
    assert listed(both | macros | {"/usr/lib/rpm/macros.d/macros.dbpath": "%_dbpath %{_usr}/lib/sysimage/rpm\n"}) == FEW
    with pytest.raises(Unreadable, match=r"/usr/lib/sysimage/rpm/rpmdb.sqlite and /var/lib/rpm/Packages: two package databases"):
        listed(both)


def test_of_two_kinds_in_one_place_the_configured_one_counts_else_rpms_own_order():
    both = {f"{HOME}/rpmdb.sqlite": SQLITE, f"{HOME}/Packages": OTHER}
    assert listed(both) == FEW
    assert listed(both | {"/etc/rpm/macros": "%_db_backend      bdb\n"}) == {"old": "1-1"}
    assert listed(both | {"/etc/rpm/macros": "%_db_backend ndb\n"}) == FEW


def test_a_place_without_a_database_is_not_a_place_without_packages():
    with pytest.raises(Unreadable, match=r"^/var/lib/rpm: none of rpmdb.sqlite, Packages.db, Packages, rpm's databases, is there"):
        listed({f"{HOME}/.rpm.lock": ""})
    with pytest.raises(Unreadable, match="is no file"):
        listed({f"{HOME}/Packages/x": ""})
    with pytest.raises(Unreadable, match="cannot be read"):
        listed({f"{HOME}/Packages": OTHER}, unreadable=["/var/lib/rpm/Packages"])


def test_the_distributions_own_package_manager_counts_where_there_are_two():
    both = {f"{HOME}/rpmdb.sqlite": SQLITE, packages.DPKG_STATUS: ""}
    assert listed(both, "fedora") == FEW
    assert listed(both, "debian") == {}
    with pytest.raises(Unreadable, match="no package database of rpm was found"):
        listed({packages.DPKG_STATUS: ""}, "sles")


def test_of_a_distribution_that_is_not_known_the_only_database_counts():
    assert listed({f"{HOME}/rpmdb.sqlite": SQLITE}, "photon") == FEW
    with pytest.raises(Unreadable, match="/var/lib/dpkg/status and /var/lib/rpm: several package databases"):
        listed({f"{HOME}/rpmdb.sqlite": SQLITE, packages.DPKG_STATUS: ""}, "photon")
    with pytest.raises(Unreadable, match="no package database was found"):
        listed({}, "gentoo")


def test_a_database_that_is_too_large_is_not_read(monkeypatch):
    monkeypatch.setattr(rpm, "MAX_DATABASE", 4096)
    with pytest.raises(Unreadable, match="bytes are too many for a package database"):
        installed(SQLITE, "sqlite")


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_with_too_many_packages_is_given_up(kind, monkeypatch):
    monkeypatch.setattr(rpm, "MAX_PACKAGES", 2)
    with pytest.raises(Unreadable, match="more than 2 packages"):
        installed(rpmdb.write(FEW, kind), kind)


# The write-ahead log


class Logged:
    """A database of SQLite with a log beside it, as a machine leaves them that was switched off."""

    def __init__(self, path):
        self.path = path
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA wal_autocheckpoint = 0")
        rpmdb.fill(self.database, headers(FEW, files=300))
        self.database.execute("PRAGMA wal_checkpoint = TRUNCATE")

    def put(self, name, version):
        self.database.execute("INSERT INTO Packages(blob) VALUES (?)", (rpmdb.header(name, version, files=300),))

    @property
    def log(self):
        return self.path.with_name(f"{self.path.name}-wal").read_bytes()

    def read(self, log=None):
        log = self.log if log is None else log
        return installed(self.path.read_bytes(), "sqlite", beside={"rpmdb.sqlite-wal": log})


@pytest.fixture
def logged(tmp_path):
    made = Logged(tmp_path / "rpmdb.sqlite")
    yield made
    made.database.close()


def test_changes_that_are_only_in_the_log_count(logged):
    assert logged.read() == FEW
    logged.put("added", "1-1")
    logged.database.execute("DELETE FROM Packages WHERE hnum = 1")
    assert logged.read() == {"openssl": FEW["openssl"], "zlib": FEW["zlib"], "added": "1-1"}
    assert logged.read(b"") == FEW


def test_a_transaction_that_did_not_end_is_left_out(logged):
    logged.put("ended", "1-1")
    logged.database.execute("PRAGMA cache_size = 2")
    logged.database.execute("BEGIN")
    before = len(logged.log)
    for number in range(20):
        logged.put(f"open{number}", "1-1")
    assert len(logged.log) > before
    assert logged.read() == {**FEW, "ended": "1-1"}


def test_a_log_that_was_not_written_completely_counts_as_far_as_it_goes(logged):
    logged.put("first", "1-1")
    one = len(logged.log)
    logged.put("second", "1-1")
    assert logged.read() == {**FEW, "first": "1-1", "second": "1-1"}
    assert logged.read(logged.log[:-1]) == {**FEW, "first": "1-1"}
    assert logged.read(logged.log[:one] + b"\xff" * 30_000) == {**FEW, "first": "1-1"}
    assert logged.read(logged.log[: one + 100] + b"damage" + logged.log[one + 106 :]) == {**FEW, "first": "1-1"}


def test_what_an_earlier_log_left_behind_is_ignored(logged):
    logged.put("first", "1-1")
    logged.put("second", "1-1")
    logged.database.execute("PRAGMA wal_checkpoint = FULL")
    logged.put("third", "1-1")  # begins the log anew; the frames of the second stay behind it
    assert logged.read() == {**FEW, "first": "1-1", "second": "1-1", "third": "1-1"}


def test_a_database_that_is_still_only_a_log_is_read(tmp_path):
    """SQLite wrote nothing but the head of the database so far."""
    made = Logged(tmp_path / "first")
    new = Logged.__new__(Logged)
    new.path, new.database = tmp_path / "rpmdb.sqlite", sqlite3.connect(tmp_path / "rpmdb.sqlite", isolation_level=None)
    new.database.execute("PRAGMA journal_mode = WAL")
    new.database.execute("PRAGMA wal_autocheckpoint = 0")
    rpmdb.fill(new.database, headers(FEW, files=300))
    assert len(new.path.read_bytes()) == 4096
    assert new.read() == FEW
    with pytest.raises(Unreadable, match="the database has no table Packages"):
        new.read(b"")
    made.database.close()
    new.database.close()


def test_a_log_that_sqlite_itself_would_ignore_is_ignored(logged):
    logged.put("added", "1-1")
    for log in (b"\0" * 50_000, b"?" * 20, logged.log[:8] + b"\1" + logged.log[9:]):
        assert logged.read(log) == FEW


def test_a_log_that_does_not_fit_is_named(logged, monkeypatch):
    logged.put("added", "1-1")
    head = struct.pack(">IIII", 0x377F0682, 3007000, 8192, 1) + bytes(8)
    with pytest.raises(Unreadable, match=r"rpmdb\.sqlite-wal: is a log of version 3007000 with pages of 8192 bytes; the database has 4096"):
        logged.read(head + struct.pack(">II", *sqlitewal._checksum("<", head, (0, 0))))
    monkeypatch.setattr(sqlitewal, "MAX_LOG", 1000)
    with pytest.raises(Unreadable, match="bytes of changes that are not yet in the database are too many"):
        logged.read()


def test_a_change_that_was_begun_the_old_way_is_named():
    assert installed(SQLITE, "sqlite", beside={"rpmdb.sqlite-journal": bytes(512)}) == FEW
    with pytest.raises(Unreadable, match="a change was not finished"):
        installed(SQLITE, "sqlite", beside={"rpmdb.sqlite-journal": b"\xd9\xd5\x05\xf9" + bytes(508)})


# Second opinions


def tool(name, package):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed ({package})")
    return name


def run(*command, **more):
    return subprocess.run([str(each) for each in command], capture_output=True, check=True, **more).stdout


def rpm_with(kind):
    tool("rpm", "rpm")
    if kind not in run("rpm", "--showrc").decode().split("available backends", 1)[-1].split("\n")[0]:
        pytest.skip(f"rpm cannot handle {kind} databases here")
    return "--define", f"_db_backend {kind}"


def by_rpm(place, *options):
    """What rpm itself lists."""
    lines = run("rpm", *options, "--dbpath", place, "-qa", "--qf", r"%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n").decode().splitlines()
    return dict(line.split() for line in lines if not line.startswith("gpg-pubkey "))


@pytest.mark.parametrize("kind", ["sqlite", "ndb"])
def test_a_database_that_rpm_made_is_read_as_rpm_reads_it(kind, tmp_path):
    options = rpm_with(kind)
    listed = b"".join(bytes.fromhex("8eade80100000000") + each for each in [*headers(MANY, files=20), rpmdb.key()])
    run("rpmdb", *options, "--dbpath", tmp_path, "--importdb", input=listed)
    assert installed((tmp_path / NAMES[kind]).read_bytes(), kind) == by_rpm(tmp_path, *options) == MANY


SPEC = """Name: {name}
Epoch: {epoch}
Version: {version}
Release: 1%{{?dist}}
Summary: x
License: x
BuildArch: noarch
%description
%files
"""


@pytest.mark.parametrize("kind", ["sqlite", "ndb"])
def test_packages_that_were_built_installed_and_removed_are_read_as_rpm_reads_them(kind, tmp_path):
    options = (*rpm_with(kind), "--dbpath", tmp_path / "db")
    tool("rpmbuild", "rpm")
    for name, epoch, version in [("kernel", 0, "5.9"), ("kernel", 0, "5.10"), ("openssl", 1, "3.0~rc1"), ("omi", 0, "1.6.8.0")]:
        spec = tmp_path / "x.spec"
        spec.write_text(SPEC.format(name=name, epoch=epoch, version=version))
        run("rpmbuild", "--quiet", "-bb", "--define", f"_topdir {tmp_path}", spec)
    run("rpm", *options, "-i", "--justdb", "--nodeps", *sorted(tmp_path.glob("RPMS/*/*.rpm")))
    run("rpm", *options, "-e", "--justdb", "--nodeps", "omi")
    found = installed((tmp_path / "db" / NAMES[kind]).read_bytes(), kind)
    assert found == {"kernel": "5.10-1", "openssl": "1:3.0~rc1-1"}


def test_rpm_reads_our_berkeley_database_as_it_was_written(tmp_path):
    options = rpm_with("bdb_ro")
    (tmp_path / "Packages").write_bytes(rpmdb.bdb(headers(MANY, files=20)))
    assert by_rpm(tmp_path, *options) == MANY


def test_rpm_orders_versions_in_the_same_way():
    tool("rpm", "rpm")
    chance = random.Random(1)
    pairs = [["".join(chance.choices("019aB._~^", k=chance.randrange(1, 6))) for _ in range(2)] for _ in range(2000)]
    calls = "".join(f'print(rpm.vercmp("{one}", "{two}") .. " ")' for one, two in pairs)
    said = [int(each) for each in run("rpm", "--eval", f"%{{lua: {calls}}}").split()]
    assert said == [(a > b) - (a < b) for a, b in ((rpmversion.key(one), rpmversion.key(two)) for one, two in pairs)]


@pytest.mark.parametrize("order", "<>")
def test_a_database_that_berkeleys_own_tool_made_is_read(order, tmp_path):
    tool("db5.3_load", "db5.3-util")
    blobs = [struct.pack(f"{order}I", 1), *headers(MANY, files=20)]
    text = "".join(f" {struct.pack(f'{order}I', number).hex()}\n {blob.hex()}\n" for number, blob in enumerate(blobs))
    head = f"VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\ndb_lorder={1234 if order == '<' else 4321}\nHEADER=END\n"
    run("db5.3_load", tmp_path / "Packages", input=f"{head}{text}DATA=END\n".encode())
    assert installed((tmp_path / "Packages").read_bytes(), "bdb") == MANY


@pytest.mark.parametrize("order", "<>")
def test_berkeleys_own_tool_finds_no_fault_with_our_database(order, tmp_path):
    tool("db5.3_verify", "db5.3-util")
    (tmp_path / "Packages").write_bytes(rpmdb.bdb(headers(MANY, files=20), order=order, buckets=4))
    run("db5.3_verify", "-q", tmp_path / "Packages")


# apk and pacman

APK = "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nF:lib\nR:ld-musl.so\n\nC:Q1y=\nP:busybox\nV:1.36.1-r29\n\n"


@pytest.mark.parametrize("path", ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"])
def test_apk_lists_names_and_versions(path):
    assert listed({path: APK}, "alpine") == {"musl": "1.2.5-r0", "busybox": "1.36.1-r29"}
    assert listed({path: ""}, "alpine") == {}


@pytest.mark.parametrize("text", ["\x7fELF garbage", "P:musl\nA:x\n\n", "V:1\n\nP:a\nV:1\n", APK[:-20]])
def test_a_damaged_database_of_apk_is_named(text):
    with pytest.raises(Unreadable, match="/lib/apk/db/installed: the package database is damaged"):
        listed({"/lib/apk/db/installed": text}, "alpine")


def test_pacman_keeps_a_directory_for_each_package():
    local = "/var/lib/pacman/local"
    files = {f"{local}/ALPM_DB_VERSION": "9", f"{local}/linux-firmware-1:20260101-1/desc": "", f"{local}/zlib-1.3.1-2/desc": ""}
    assert listed(files, "arch") == {"linux-firmware": "1:20260101-1", "zlib": "1.3.1-2"}
    assert listed({f"{local}/ALPM_DB_VERSION": "9"}, "arch") == {}
    with pytest.raises(Unreadable, match="damaged: a directory is not called name-version-release"):
        listed({**files, f"{local}/zlib-1/desc": ""}, "arch")
    with pytest.raises(Unreadable, match="/var/lib/pacman/local: the package database is not there"):
        listed({local: {"directory": True}}, "arch")
