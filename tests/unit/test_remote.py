"""Images on the network: what is transferred, what is kept, and every way in which a server can fail or lie."""

from __future__ import annotations

import random
import socket
import time

import pytest

from tests.rangeserver import serving
from vhdprep import location
from vhdprep.check import check, inspect
from vhdprep.errors import BackendUnavailable, Unreadable, UsageError
from vhdprep.location import Transferred, parse
from vhdprep.model import Outcome, Verdict
from vhdprep.remote import http, image, ranges, store
from vhdprep.remote.image import BLOCK, RemoteImage

MIB = 2**20
SECRET = "sv=2024-11-04&sp=r&sig=SECRET%2Bpart%3D"


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Nobody waits for seconds here."""
    for module in (http, ranges, store):
        monkeypatch.setattr(module, "MAX_REQUEST_SECONDS", 1)
    monkeypatch.setattr(image, "_PAUSE", 0.01)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A file in which no two blocks are alike, and the last one is not whole."""
    path = tmp_path_factory.mktemp("noise") / "noise.vhd"
    path.write_bytes(random.Random(9).randbytes(20 * MIB + 1000))
    return path


def url(server, query=SECRET):
    return parse(f"http://somebody:PASSWORD@127.0.0.1:{server.server_port}/images/disk.vhd?{query}")


def failure(call, *arguments):
    with pytest.raises((Unreadable, UsageError)) as caught:
        call(*arguments)
    assert "SECRET" not in str(caught.value)
    assert "PASSWORD" not in str(caught.value)
    return type(caught.value).__name__, str(caught.value).partition("disk.vhd: ")[2]


class Scripted:
    """A server without a network: answers from ``data``; ``faults`` are raised first, one a request."""

    must_confirm = True

    def __init__(self, data, *faults):
        self.data, self.faults, self.asked = data, list(faults), []

    def measure(self):
        return len(self.data)

    def fetch(self, begin, end):
        self.asked.append((begin, end))
        if self.faults:
            raise self.faults.pop(0)
        return self.data[begin:end]

    def confirm(self):
        if self.faults:
            raise self.faults.pop(0)


# What is shown of an address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://a.blob.core.windows.net/c/d.vhd?sig=S&se=1", "https://a.blob.core.windows.net/c/d.vhd"),
        ("https://user:S@host:8080/d.vhd#S", "https://host:8080/d.vhd"),
        ("https://S@host/d.vhd", "https://host/d.vhd"),
        ("https://user:p@S@host/d.vhd", "https://host/d.vhd"),
        ("abfs://images@account.dfs.core.windows.net/d.vhd", "abfs://images@account.dfs.core.windows.net/d.vhd"),
        ("abfs://images:S@account.dfs.core.windows.net/d.vhd", "abfs://account.dfs.core.windows.net/d.vhd"),
        ("https://host/?S/d.vhd", "https://host/"),
        ("https://host?sig=S", "https://host"),
    ],
)
def test_no_secret_of_an_address_is_in_any_text_of_it(address, shown):
    found = parse(address)
    assert (str(found), repr(found), f"{found}") == (shown, f"Url({shown!r})", shown)


def test_a_path_stays_a_path_and_an_address_is_not_mangled(tmp_path):
    assert parse(str(tmp_path / "a:b")) == tmp_path / "a:b"
    assert str(parse("C:\\disks\\a.vhd")).startswith("C:")
    assert str(parse("https://host//a/../b.vhd")) == "https://host//a/../b.vhd"
    assert parse("https://host/folder/my%20disk.vhd?x").name == "my disk.vhd"


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "local://x",
        "simplecache::https://host/d.vhd",
        "https://h/a.zip::zip://d.vhd",
        "https:///d.vhd",
        "https://host:99999/d.vhd",
        "https://[h/d.vhd?SECRET",
        "https://h/a b?sig=SECRET",
        "https://h/a\r\nX: y",
    ],
)
def test_what_is_no_single_address_on_the_network_is_refused(address):
    with pytest.raises(UsageError) as caught:
        parse(address)
    assert "SECRET" not in str(caught.value)


def test_the_command_line_forgets_secrets_and_parse_finds_them_again(monkeypatch):
    monkeypatch.setattr(location, "_kept", {})
    before = ["check", "https://u:S@h/d.vhd?sig=S", "--data=https://h/e.vhd?sig=S", "--verbose", "a?b"]
    after = location.conceal(before)
    assert after == ["check", "https://h/d.vhd", "--data=https://h/e.vhd", "--verbose", "a?b"]
    assert parse(after[1])._address == before[1]
    with pytest.raises(UsageError, match="is named twice, with different queries"):
        location.conceal(["https://h/d.vhd?snapshot=2"])


# Bytes, blocks, requests


def test_bytes_are_those_of_the_file_wherever_one_looks(noise):
    data = noise.read_bytes()
    with serving(noise) as server, url(server).image.handle() as handle:
        rng = random.Random(1)
        for _ in range(40):
            at, count = rng.randrange(len(data) + 100), rng.choice((1, 511, 4096, BLOCK, 3 * MIB))
            handle.seek(at)
            assert handle.read(count) == data[at : at + count]
        assert handle.seek(0, 2) == len(data)
        assert handle.read(10) == b""


def test_a_long_span_is_asked_for_in_few_requests_and_twice_read_is_once_fetched():
    server = Scripted(bytes(32 * BLOCK))
    found = RemoteImage(server, "it")
    found.read_at(0, 20 * BLOCK)
    found.read_at(3 * BLOCK + 5, 10 * BLOCK)
    assert server.asked == [(0, 16 * BLOCK), (16 * BLOCK, 20 * BLOCK)]
    assert (found.fetched, found.requests) == (20 * BLOCK, 3)


def test_reading_on_reads_ahead_and_jumping_does_not():
    server = Scripted(bytes(200 * BLOCK))
    found = RemoteImage(server, "it")
    for number in (100, 50, 20, *range(0, 16)):
        found.read_at(number * BLOCK, 1)
    assert [(begin // BLOCK, end // BLOCK) for begin, end in server.asked] == [
        (100, 101),
        (50, 51),
        (20, 21),
        (0, 1),
        (1, 3),
        (3, 7),
        (7, 15),
        (15, 20),
    ]


def test_no_more_is_kept_than_the_limit(monkeypatch):
    monkeypatch.setattr(image, "MAX_CACHE", 4 * BLOCK)
    server = Scripted(bytes(64 * BLOCK))
    found = RemoteImage(server, "it")
    for number in (0, 10, 20, 30, 40, 40, 10, 0):
        found.read_at(number * BLOCK, 1)
    assert len(found._blocks) == 4
    assert [begin // BLOCK for begin, _ in server.asked] == [0, 10, 20, 30, 40, 0]


def test_a_whole_image_is_not_transferred_by_the_way(monkeypatch):
    monkeypatch.setattr(image, "MAX_TRANSFERRED", 6 * MIB)
    found = RemoteImage(Scripted(bytes(20 * MIB)), "https://h/disk.vhd")
    assert failure(found.read_at, 0, 20 * MIB) == ("Unreadable", "more than 6 MiB of it would have to be transferred; download it first")
    assert found.fetched <= 6 * MIB


def test_a_request_that_failed_is_tried_again():
    server = Scripted(b"x" * 100, ranges.TransientError("busy"), ranges.TransientError("busy"), ranges.TransientError("busy"))
    assert RemoteImage(server, "it").read_at(0, 100) == b"x" * 100


def test_after_a_failure_nothing_is_asked_anymore():
    server = Scripted(b"x" * 100, ranges.UnfitError("lies"))
    found = RemoteImage(server, "https://h/disk.vhd")
    assert failure(found.read_at, 0, 10) == ("Unreadable", "lies")
    assert failure(found.read_at, 50, 10) == ("Unreadable", "lies")
    assert (found.confirm(), len(server.asked)) == ("https://h/disk.vhd: lies", 1)


def test_a_server_is_not_waited_for_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(image, "MAX_WAITING_SECONDS", -1)
    found = RemoteImage(Scripted(b"x" * 100), "https://h/disk.vhd")
    assert failure(found.read_at, 0, 10) == ("Unreadable", "its server was waited for more than -1 seconds")


def test_the_signature_goes_to_the_server_as_it_was_typed(noise):
    with serving(noise) as server:
        url(server).image.read_at(0, 10)
    assert {each.path for each in server.asked} == {f"/images/disk.vhd?{SECRET}"}
    assert server.asked[0].headers["Authorization"] == "Basic c29tZWJvZHk6UEFTU1dPUkQ="
    assert [each.headers.get("If-Match") for each in server.asked] == [None, '"one"']


# Servers that fail or lie

CHANGED = "the image changed on the server while it was read; stop what writes to it, and run again"
FAULTS = {
    "no-ranges": "the server ignores that a part was asked for, and would send the whole image; download it, or name another server",
    "wrong-range": "the server sent the bytes 513 to 262656 where 1 to 262144 were asked for",
    "no-content-range": "the server does not say which part of how many bytes it sends",
    "unknown-size": "the server does not say which part of how many bytes it sends",
    "short": "the connection broke off (ClientPayloadError), in each of 4 tries",
    "honest-but-short": "the server sent 131072 of 262144 bytes, in each of 4 tries",
    "too-much": "the server sent more than the 262144 bytes that it announced",
    "drop": "the connection broke off (ServerDisconnectedError), in each of 4 tries",
    "stall": "the server did not answer within 1 seconds, in each of 4 tries",
    "trickle": "the server did not answer within 1 seconds, in each of 4 tries",
    "changed": CHANGED,
    "changed-anyway": CHANGED,
    "untagged": CHANGED,
    "grown": CHANGED,
    "packed": "the server sends the image compressed, in which no part can be found",
    "broken": "the server failed (HTTP 503), in each of 4 tries",
    "throttled": "the server failed (HTTP 429), in each of 4 tries",
    "forbidden": "may not be read (HTTP 403); name an address with a SAS that is valid and allows reading",
    "missing": "there is no such image on the server (HTTP 404); check the address",
    "to-file": "the server sends elsewhere (HTTP 302), to file:///etc/passwd; that is not followed: name the address itself",
    "to-elsewhere": "the server sends elsewhere (HTTP 307), to http://127.0.0.1:9/metadata; that is not followed: name the address itself",
}


@pytest.mark.parametrize("mode", FAULTS)
def test_what_a_server_does_wrong_is_said_in_bounded_time(noise, mode):
    begin = time.monotonic()
    with serving(noise, mode, after=1) as server:
        found = failure(url(server).image.read_at, 0, 10)
    expected = FAULTS[mode].replace("513 to 262656 where 1 to 262144", "512 to 262655 where 0 to 262143")
    assert found == ("Unreadable", expected)
    assert time.monotonic() - begin < 10
    assert server.sent < 10 * MIB


def test_a_server_that_speaks_no_http_is_named(noise):
    with serving(noise, "garbage") as server:
        assert failure(url(server).image.size) == ("Unreadable", "the connection broke off (ClientResponseError), in each of 4 tries")


@pytest.mark.parametrize("mode", ["forbidden", "missing", "to-file", "to-elsewhere"])
def test_an_image_that_is_not_there_or_may_not_be_read_is_a_wrong_call(noise, mode):
    with serving(noise, mode) as server:
        assert failure(url(server).image.size) == ("UsageError", FAULTS[mode])
    assert len(server.asked) == 1


def test_a_host_that_cannot_be_reached_is_a_wrong_call():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    kind, text = failure(parse(f"http://127.0.0.1:{port}/disk.vhd?{SECRET}").image.size)
    assert (kind, text.partition(" (")[0]) == ("UsageError", "the host cannot be reached")


def test_a_kind_of_address_that_nobody_knows_is_a_wrong_call():
    with pytest.raises(UsageError, match=r"gopher://h/disk\.vhd: gopher:// is no kind of address that fsspec knows"):
        _ = parse(f"gopher://h/disk.vhd?{SECRET}").image


def test_what_is_not_installed_is_named_with_its_cure(monkeypatch):
    def missing(*_):
        raise ImportError("No module named 'adlfs'", name="adlfs")

    monkeypatch.setattr(store.fsspec, "get_filesystem_class", missing)
    with pytest.raises(BackendUnavailable, match=r"\(adlfs\); run: pip install 'vhdprep\[azure\]'"):
        _ = parse("abfs://c/disk.vhd").image


# File systems of fsspec


@pytest.fixture
def stored(noise):
    """The same bytes in fsspec's own memory."""
    files = store.fsspec.filesystem("memory")
    files.pipe("/folder/disk.vhd", noise.read_bytes())
    yield files
    files.rm("/folder", recursive=True)


def test_any_file_system_of_fsspec_is_read_in_parts(stored, noise):
    found = parse("memory://folder/disk.vhd").image
    assert found.read_at(MIB, 100) == noise.read_bytes()[MIB : MIB + 100]
    assert (found.size(), found.fetched, found.confirm()) == (noise.stat().st_size, BLOCK, None)


def test_a_missing_image_and_a_folder_are_wrong_calls(stored):
    assert failure(parse("memory://folder/other/disk.vhd").image.size) == ("UsageError", "there is no such image; check the address")
    with pytest.raises(UsageError, match="is no image: it is a folder"):
        parse("memory://folder").image.size()


def test_an_image_of_a_file_system_that_changed_is_noticed_at_the_end(stored):
    found = parse("memory://folder/disk.vhd").image
    found.read_at(0, 10)
    stored.pipe("/folder/disk.vhd", bytes(100))
    assert found.confirm() == "memory://folder/disk.vhd: the image changed while it was read; stop what writes to it, and run again"


class SomebodysError(Exception):
    """What a library may raise, with what it may say."""

    status_code = 401


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            SomebodysError("key=SECRET"),
            "the library that reads it gave up (SomebodysError HTTP 401); check the address and the credentials that it asks for",
        ),
        (ConnectionResetError("SECRET"), "the library that reads it failed (ConnectionResetError), in each of 4 tries"),
        (PermissionError("SECRET"), "may not be read; give the credentials that its library asks for"),
    ],
)
def test_errors_of_libraries_are_told_without_their_words(stored, monkeypatch, error, words):
    found = parse("memory://folder/disk.vhd").image
    found.size()

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(type(stored), "cat_file", fail)
    assert failure(found.read_at, 0, 10) == ("Unreadable", words)


def test_a_library_that_never_answers_is_left_behind(stored, monkeypatch):
    found = parse("memory://folder/disk.vhd").image
    found.size()
    monkeypatch.setattr(type(stored), "cat_file", lambda *_, **__: time.sleep(3))
    assert failure(found.read_at, 0, 10) == ("Unreadable", "the server did not answer within 1 seconds, in each of 4 tries")


# Reports

OF_THE_CALL = {
    "machine-architecture-as-declared",
    "machine-data-disks-without-system",
    "machine-generation-as-declared",
    "machine-layout-as-before",
    "machine-luns-in-range",
    "machine-luns-unique",
    "machine-sizes-as-declared",
    "machine-version-numbered",
}
"""Rules about a manifest or data disks, of which there are none here."""


def test_the_report_of_a_remote_image_differs_from_the_local_one_in_name_and_run_only(image, rules):
    path = image("debian-12-used")
    here = check(path, rules)
    with serving(path) as server:
        there = check(url(server), rules)
        shown = f"http://127.0.0.1:{server.server_port}/images/disk.vhd"
    assert there.subject == there.disks[0].container.path == shown
    assert there.transferred is not None
    assert there.transferred == Transferred(there.transferred.bytes, path.stat().st_size, len(server.asked))
    assert 0 < there.transferred.bytes <= server.sent
    (disk,) = there.disks
    same = {"subject": here.subject, "disks": (disk._replace(container=disk.container._replace(path=str(path))),), "transferred": None}
    assert there._replace(**same, started=here.started, seconds=here.seconds) == here


def test_disks_of_a_machine_may_lie_in_different_places(image, rules):
    system, data = image("debian-12-generalized"), image("debian-12-mbr")
    with serving(data) as server:
        report = check(system, rules, data=[url(server)])
        assert [each.container.path for each in report.disks] == [str(system), str(url(server))]
        with pytest.raises(UsageError, match="is named twice"):
            check(url(server), rules, data=[url(server)])
    assert report.transferred is not None
    assert report.transferred.of == data.stat().st_size


@pytest.mark.parametrize("after", [1, 2, 4, 8, 12])
@pytest.mark.parametrize("mode", ["drop", "wrong-range", "changed"])
def test_an_image_whose_server_fails_midway_is_inconclusive_and_no_rule_fails_for_that(image, rules, mode, after):
    with serving(image("debian-12-used"), mode, after=after) as server:
        report = check(url(server), rules)
    assert len(server.asked) > after
    assert report.verdict is Verdict.INCONCLUSIVE
    reason = f"{url(server)}: {FAULTS[mode].partition(' bytes ')[0]}"
    assert [gap for gap in report.gaps if not gap.startswith(reason)] == []
    assert report.how_many(Outcome.FAIL) == 0
    assert {each.rule_id for each in report.findings if each.outcome is Outcome.PASS} == OF_THE_CALL
    assert not [each for each in report.findings if each.traceback]


def test_a_size_that_is_a_lie_is_no_finding_about_the_image(image, rules):
    with serving(image("debian-12-used"), "huge") as server:
        report = check(url(server), rules)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.gaps == (f"{url(server)}: the server says that the image ends before a part that should be there",)


def test_an_empty_image_is_an_empty_image(tmp_path, rules):
    path = tmp_path / "disk.vhd"
    path.touch()
    with serving(path) as server:
        report = check(url(server), rules)
    assert report.verdict is Verdict.NOT_READY
    assert report.disks[0].container.contents == "nothing: it is empty"


def test_a_container_that_could_not_be_described_is_a_gap_of_inspect_too(noise):
    with serving(noise, "no-ranges") as server:
        report = inspect(url(server), container_only=True)
    assert report.gaps == (f"{url(server)}: {FAULTS['no-ranges']}",)
    assert server.sent < 10 * MIB


def test_parents_of_a_differencing_disk_are_not_asked_for(data, rules):
    with serving(data("vhd/fat-differential.vhd")) as server:
        report = check(url(server), rules)
    assert report.verdict is not Verdict.READY
    assert any("is not looked for on the network" in gap for gap in report.gaps)
    assert {each.path for each in server.asked} == {f"/images/disk.vhd?{SECRET}"}
