"""As much of HTTP/1.0 and 1.1 as a machine's agents speak (RFC 9110, RFC 9112), towards a client that may do anything.

A request is read whole before it is answered, and everything about it is bounded: what is malformed gets 400, what is too much 413 or 431, what
is too slow 408, and then the connection ends. Where two readers could disagree on where a request ends (RFC 9112 section 11.2), it is malformed.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_REQUESTS = 1000
"""Requests on one connection."""
MAX_LINE = 16 * 1024
"""Bytes of a request line or of one header; the certificate that agents send in one is some 2 KiB."""
MAX_HEAD = 64 * 1024
"""Bytes of all headers of a request together, and of the trailers of a body in chunks."""
MAX_HEADERS = 100
"""Headers of a request."""
MAX_BODY = 8 * 1024 * 1024
"""Bytes of a request's body. Status blobs are some KiB, the agent's packed logs some MiB."""
MAX_CHUNKS = 16 * 1024
"""Chunks of a body; Python's client makes them of 8 KiB."""
MAX_CHUNK_LINE = 1024
"""Bytes of the line that tells a chunk's size."""
MAX_IDLE = 60.0
"""Seconds that a connection waits for its next request."""
MAX_SLOW_REQUEST = 60.0
"""Seconds between a request's first byte and its last."""
MAX_SLOW_RESPONSE = 60.0
"""Seconds in which a client must take the response."""
MAX_GOODBYE = 1.0
"""Seconds for which what a refused client still sends is thrown away, so that it sees why it was refused."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb"{1,32}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_HEADER = re.compile(rb"(" + _TOKEN + rb"+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_AUTHORITY = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_ONCE = frozenset({"host", "content-length", "transfer-encoding", "expect"})


class Patience(NamedTuple):
    """Seconds for which a client is waited for, in each respect."""

    idle: float = MAX_IDLE
    request: float = MAX_SLOW_REQUEST
    response: float = MAX_SLOW_RESPONSE
    goodbye: float = MAX_GOODBYE


PATIENCE = Patience()


class Request(NamedTuple):
    """One request, whole; untrusted."""

    method: str
    target: str
    """Path and query as they were sent, without scheme and host."""
    headers: dict[str, str]
    """Name in lower case → value; those of one name are joined with commas."""
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target without its query, not decoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        """(name, value) of each parameter, in their order, decoded."""
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def agent(self) -> str:
        """Who asks: the User-Agent, or what those who send none call themselves (Afterburn: ``x-ms-agent-name``)."""
        names = ("user-agent", "x-ms-guest-agent-name", "x-ms-agent-name")
        return next((self.headers[name] for name in names if self.headers.get(name)), "")


class Response(NamedTuple):
    """One response."""

    status: int = HTTPStatus.OK
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


class _RefusedError(Exception):
    """The request cannot be taken, and nothing after it can be found; with the status to answer."""


class _Head(NamedTuple):
    method: str
    target: str
    minor: int
    """1 for HTTP/1.1"""
    headers: dict[str, str]

    def tokens(self, name: str) -> set[str]:
        return {each.strip().lower() for each in self.headers.get(name, "").split(",")}


async def serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Callable[[Request], Response], patience: Patience = PATIENCE
) -> None:
    """Answer the requests of one connection until it ends, and end it; raises nothing that a client could cause.

    Args:
        reader: what the client sends; where its own limit is below ``MAX_LINE``, that one counts.
        writer: where responses go; it is closed in the end.
        answer: makes the response to a well-formed request.
        patience: how long the client is waited for.
    """
    writer.transport.set_write_buffer_limits(high=0)  # so that a drained response has really left
    try:
        for number in range(1, MAX_REQUESTS + 1):
            if not await _exchange(reader, writer, answer, patience, last=number == MAX_REQUESTS):
                break
            await asyncio.sleep(0)  # a client that sends ahead must not keep the others waiting
    except OSError:  # it is gone, or did not take its response in time
        pass
    finally:
        writer.transport.abort()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Callable[[Request], Response], patience: Patience, *, last: bool
) -> bool:
    """One request and its response; whether another may follow.

    Raises:
        OSError: the connection broke; TimeoutError: nothing more came, or the response was not taken.
    """
    async with asyncio.timeout(patience.idle):
        first = await reader.read(1)
    if not first:
        return False
    try:
        async with asyncio.timeout(patience.request):
            head = await _head(first, reader)
            body = await _body(head, reader, writer)
    except (_RefusedError, TimeoutError) as error:
        status: HTTPStatus = error.args[0] if isinstance(error, _RefusedError) else HTTPStatus.REQUEST_TIMEOUT
        await _send(writer, _encode(Response(status, f"{status.phrase}\n".encode()), keep=False), patience.response)
        await _goodbye(reader, writer, patience.goodbye)
        return False
    response = answer(Request(head.method, head.target, head.headers, body))
    connection = head.tokens("connection")
    keep = not last and "close" not in connection and (head.minor >= 1 or "keep-alive" in connection)
    await _send(writer, _encode(response, keep=keep, without_body=head.method == "HEAD"), patience.response)
    return keep


async def _send(writer: asyncio.StreamWriter, data: bytes, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        writer.write(data)
        await writer.drain()


async def _goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Take what the client still sends for a moment: a socket closed with unread data would take the response away with it."""
    async with asyncio.timeout(seconds):
        if writer.can_write_eof():
            writer.write_eof()
        while await reader.read(MAX_LINE):
            pass


def _encode(response: Response, *, keep: bool, without_body: bool = False) -> bytes:
    lines = [
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        f"Connection: {'keep-alive' if keep else 'close'}",
    ]
    return "\r\n".join((*lines, "", "")).encode("ascii") + (b"" if without_body else response.body)


async def _line(reader: asyncio.StreamReader, limit: int, excess: HTTPStatus) -> bytes:
    """A line without its end, which is CR LF and nothing else.

    Raises:
        _RefusedError: it is longer than ``limit`` bytes, ends otherwise, or the connection ended within it.
    """
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise _RefusedError(excess) from None
    except asyncio.IncompleteReadError:
        raise _RefusedError(HTTPStatus.BAD_REQUEST) from None
    if len(line) > limit:
        raise _RefusedError(excess)
    if not line.endswith(b"\r\n"):
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    return line[:-2]


async def _head(first: bytes, reader: asyncio.StreamReader) -> _Head:
    if first == b"\r" and await _exactly(reader, 1) == b"\n":  # one empty line before a request is forgiven (RFC 9112 section 2.2)
        first = b""
    found = _REQUEST_LINE.fullmatch(first + await _line(reader, MAX_LINE, HTTPStatus.REQUEST_URI_TOO_LONG))
    if not found:
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    if found[3] != b"1":
        raise _RefusedError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    headers = _headers(await _lines(reader))
    minor = int(found[4])
    if minor >= 1 and "host" not in headers:
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    target = _AUTHORITY.sub("", found[2].decode("ascii"), count=1) or "/"
    return _Head(found[1].decode("ascii"), target, minor, headers)


async def _lines(reader: asyncio.StreamReader) -> list[bytes]:
    """Header lines up to the empty one."""
    lines: list[bytes] = []
    left = MAX_HEAD
    while line := await _line(reader, MAX_LINE, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE):
        left -= len(line)
        if left < 0 or len(lines) == MAX_HEADERS:
            raise _RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        lines.append(line)
    return lines


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if not found:  # folded lines too: they are obsolete, and read differently by different servers
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        name, value = found[1].decode("ascii").lower(), found[2].decode("latin-1").rstrip(" \t")
        if name in headers and name in _ONCE:
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _body(head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    length = _length(head)
    if length == 0:
        return b""
    expect = head.headers.get("expect", "").lower()
    if expect and expect != "100-continue":
        raise _RefusedError(HTTPStatus.EXPECTATION_FAILED)
    if expect and head.minor >= 1:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
    return await (_chunks(reader) if length is None else _exactly(reader, length))


def _length(head: _Head) -> int | None:
    """Bytes of the body; None = it comes in chunks (RFC 9112 section 6)."""
    coding, length = head.headers.get("transfer-encoding"), head.headers.get("content-length")
    if coding is not None:
        if length is not None or head.minor < 1:
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        if coding.lower() != "chunked":
            raise _RefusedError(HTTPStatus.NOT_IMPLEMENTED)
        return None
    if length is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,4000}", length, re.ASCII):  # ``int`` reads no more digits, and reads others than these
        raise _RefusedError(HTTPStatus.BAD_REQUEST)
    if int(length) > MAX_BODY:
        raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return int(length)


async def _exactly(reader: asyncio.StreamReader, count: int) -> bytes:
    try:
        return await reader.readexactly(count)
    except asyncio.IncompleteReadError:
        raise _RefusedError(HTTPStatus.BAD_REQUEST) from None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    for _ in range(MAX_CHUNKS):
        found = _CHUNK.fullmatch(await _line(reader, MAX_CHUNK_LINE, HTTPStatus.BAD_REQUEST))
        if not found:
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        count = int(found[1], 16)
        if count == 0:
            _headers(await _lines(reader))  # trailers are read to find the end, and mean nothing
            return bytes(body)
        if len(body) + count > MAX_BODY:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body += await _exactly(reader, count)
        if await _exactly(reader, 2) != b"\r\n":
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
    raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
