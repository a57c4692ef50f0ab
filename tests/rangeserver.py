"""A web server on loopback that serves ranges of a file, honestly or in one of many wrong ways."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class Asked(NamedTuple):
    """A request as it came."""

    path: str
    begin: int
    end: int
    headers: dict[str, str]


class RangeServer(ThreadingHTTPServer):
    """Serves ``path`` under every name; from the request number ``after`` on (0 = the first) in the way that ``mode`` says."""

    daemon_threads = True

    def __init__(self, path, mode="good", after=0, times=1_000_000):
        super().__init__(("127.0.0.1", 0), Handler)
        self.file, self.mode, self.after, self.times = path, mode, after, times
        self.size = path.stat().st_size
        self.asked: list[Asked] = []
        self.sent = 0
        self.released = threading.Event()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """A client that hangs up is what many of these tests are about."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Quiet."""

    def do_GET(self):
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        begin, last = map(int, match.groups()) if match else (0, self.server.size - 1)
        number = len(self.server.asked)
        self.server.asked.append(Asked(self.path, begin, last + 1, dict(self.headers)))
        bad = self.server.after <= number < self.server.after + self.server.times
        mode = self.server.mode if bad else "good"
        if begin >= self.server.size:
            self.answer(416, {"Content-Range": f"bytes */{self.server.size}"}, b"")
            return
        end = min(last + 1, self.server.size)
        with self.server.file.open("rb") as file:
            file.seek(begin)
            data = file.read(min(end - begin, 8 * 2**20))
        getattr(self, mode.replace("-", "_"))(begin, end, data)

    def answer(self, status, headers, data):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.server.sent += len(data)

    def part(self, begin, end, data, size=None, tag='"one"', **more):
        headers = {"Content-Range": f"bytes {begin}-{end - 1}/{size or self.server.size}", "ETag": tag}
        self.answer(206, {**headers, **{name.replace("_", "-"): value for name, value in more.items()}}, data)

    def good(self, begin, end, data):
        self.part(begin, end, data)

    def untagged(self, begin, end, data):
        self.part(begin, end, data, tag=None)

    def no_ranges(self, *_):
        """The whole file, as far as somebody takes it."""
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.size))
        self.end_headers()
        with self.server.file.open("rb") as file:
            while piece := file.read(65536):
                self.wfile.write(piece)
                self.server.sent += len(piece)

    def wrong_range(self, begin, end, data):
        self.part(begin + 512, end + 512, data)

    def no_content_range(self, begin, end, data):
        self.part(begin, end, data, Content_Range=None)

    def unknown_size(self, begin, end, data):
        self.part(begin, end, data, Content_Range=f"bytes {begin}-{end - 1}/*")

    def too_much(self, begin, end, data):
        """Without a length, more than was announced, and without an end."""
        self.part(begin, end, data, Content_Length=None, Connection="close")
        self.close_connection = True
        while not self.server.released.wait(0):
            self.wfile.write(b"\0" * 65536)
            self.server.sent += 65536

    def short(self, begin, end, data):
        self.part(begin, end, data[: len(data) // 2], Content_Length=str(len(data)))
        self.close_connection = True

    def honest_but_short(self, begin, end, data):
        self.part(begin, end, data[: len(data) // 2])

    def drop(self, *_):
        self.close_connection = True

    def stall(self, *_):
        self.server.released.wait(60)
        self.close_connection = True

    def trickle(self, begin, end, data):
        self.part(begin, end, b"", Content_Length=str(len(data)))
        while not self.server.released.wait(0.1):
            self.wfile.write(b"\0")

    def garbage(self, *_):
        self.wfile.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        self.close_connection = True

    def changed(self, begin, end, data):
        """What a server says that knows of If-Match, and one that does not."""
        if "If-Match" in self.headers:
            self.answer(412, {}, b"")
        else:
            self.part(begin, end, data, tag='"two"')

    def changed_anyway(self, begin, end, data):
        self.part(begin, end, data, tag='"two"')

    def grown(self, begin, end, data):
        self.part(begin, end, data, size=self.server.size + 512)

    def huge(self, begin, end, data):
        """A size that is not there."""
        self.part(begin, end, data, size=64 * 2**40)

    def packed(self, begin, end, data):
        self.part(begin, end, data, Content_Encoding="gzip")

    def broken(self, *_):
        self.answer(503, {}, b"busy")

    def throttled(self, *_):
        self.answer(429, {}, b"")

    def forbidden(self, *_):
        self.answer(403, {}, b"<Error>sig=SECRET</Error>")

    def missing(self, *_):
        self.answer(404, {}, b"")

    def to_file(self, *_):
        self.answer(302, {"Location": "file:///etc/passwd?sig=OTHERSECRET"}, b"")

    def to_elsewhere(self, *_):
        self.answer(307, {"Location": "http://127.0.0.1:9/metadata?sig=OTHERSECRET"}, b"")


@contextmanager
def serving(path, mode="good", after=0, times=1_000_000):
    """A server that runs while the block does."""
    server = RangeServer(path, mode, after, times)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
