"""HTTP towards clients that are honest, broken, slow, or hostile: a real server on a real socket."""

from __future__ import annotations

import asyncio
import socket
import time
from functools import partial

import pytest

from tests.rehearse.talk import SHORT, SOON, exchange, listening, platform, send
from vhdprep.rehearse.platform import http
from vhdprep.rehearse.platform.http import Request, Response, serve


def echo(request):
    """What was understood of a request, as the body."""
    return Response(200, f"{request.method} {request.target} {len(request.body)} {request.body[:20].decode('latin-1')}".encode(), "text/plain")


def ok(body, connection="close"):
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: {connection}\r\n\r\n{body}".encode()


def refused(status):
    body = status.partition(" ")[2] + "\n"
    return f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


def talk(*connections, end=False, answer=echo, patience=SHORT):
    return exchange(partial(serve, answer=answer, patience=patience), *connections, end=end)


def get(*headers, version="1.1"):
    return "\r\n".join((f"GET / HTTP/{version}", "Host: a", *headers, "", "")).encode()


def post(*headers, body=b""):
    return "\r\n".join(("POST / HTTP/1.1", "Host: a", *headers, "", "")).encode() + body


# What honest clients do


def test_an_http_1_1_connection_is_kept_until_the_client_asks_to_close_it():
    assert talk(get() + get() + get("Connection: close")) == [ok("GET / 0 ", "keep-alive") * 2 + ok("GET / 0 ")]


def test_an_http_1_0_connection_is_closed_unless_the_client_asks_to_keep_it():
    assert talk(b"GET / HTTP/1.0\r\n\r\n", get("Connection: Keep-Alive", version="1.0") + get(version="1.0")) == [
        ok("GET / 0 "),
        ok("GET / 0 ", "keep-alive") + ok("GET / 0 "),
    ]


def test_a_body_is_read_by_its_length_and_the_next_request_begins_after_it():
    assert talk(post("Content-Length: 5", body=b"12345") + get("Connection: close")) == [ok("POST / 5 12345", "keep-alive") + ok("GET / 0 ")]


def test_a_body_in_chunks_is_put_together_with_extensions_and_trailers_left_out():
    chunks = b"3;name=value\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n"
    assert talk(post("Transfer-Encoding: Chunked", "Connection: close", body=chunks)) == [ok("POST / 13 abc0123456789")]


def test_who_expects_100_gets_it_before_the_body_is_read():
    async def run():
        async with asyncio.timeout(SOON), listening(partial(serve, answer=echo, patience=SHORT)) as path:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(post("Expect: 100-continue", "Content-Length: 2", "Connection: close"))
            first = await reader.readexactly(25)
            writer.write(b"ab")
            rest = await reader.read()
            writer.close()
            return first, rest

    assert asyncio.run(run()) == (b"HTTP/1.1 100 Continue\r\n\r\n", ok("POST / 2 ab"))


def test_a_response_to_head_tells_the_length_and_has_no_body():
    assert talk(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") == [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"
    ]


def test_a_target_with_scheme_and_host_is_one_without():
    assert talk(b"GET http://169.254.169.254/a?b=c HTTP/1.1\r\nHost: a\r\n\r\n", end=True) == [ok("GET /a?b=c 0 ", "keep-alive")]


def test_one_empty_line_before_a_request_is_forgiven():
    assert talk(b"\r\n" + get("Connection: close"), b"\r\n\r\n" + get()) == [ok("GET / 0 "), refused("400 Bad Request")]


def test_a_request_is_given_with_its_headers_in_lower_case_and_equal_ones_joined():
    seen = []

    def answer(request):
        seen.append(request)
        return Response(204)

    talk(b"PUT /a?b=1&b=&c=%20 HTTP/1.1\r\nHOST: h\r\nX-A:  1 \r\nx-a: 2\r\nContent-Length: 1\r\nConnection: close\r\n\r\nz", answer=answer)
    assert seen == [Request("PUT", "/a?b=1&b=&c=%20", {"host": "h", "x-a": "1, 2", "content-length": "1", "connection": "close"}, b"z")]
    assert (seen[0].path, seen[0].query) == ("/a", [("b", "1"), ("b", ""), ("c", " ")])


def test_an_idle_connection_is_ended_without_a_word():
    assert talk(b"", get()) == [b"", ok("GET / 0 ", "keep-alive")]


# What is malformed is refused, and nothing after it is read

SMUGGLED = get("Connection: close")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", id="two blanks"),
        pytest.param(b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", id="a blank at the end"),
        pytest.param(b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n", id="zero in the method"),
        pytest.param(b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", id="zero in the target"),
        pytest.param(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", id="no ASCII in the target"),
        pytest.param(b"\n" + get(), id="line feed alone at the beginning"),
        pytest.param(b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", id="carriage return alone at the beginning"),
        pytest.param(b"GET / HTTP/1.1\nHost: a\n\n", id="line feeds alone"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 12\n\r\n", id="line feed alone after a header"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(get("Host: b"), id="two hosts"),
        pytest.param(get("X-A : 1"), id="blank before the colon"),
        pytest.param(get("X-A: 1", " folded"), id="folded header"),
        pytest.param(get("X-A"), id="no colon"),
        pytest.param(get(": 1"), id="no name"),
        pytest.param(get("X-A: \x00"), id="zero in a header"),
        pytest.param(get("X-A: a\rX-B: b"), id="carriage return in a header"),
        pytest.param(post("Content-Length: -1"), id="negative length"),
        pytest.param(post("Content-Length: +1", body=b"a"), id="length with a sign"),
        pytest.param(post("Content-Length: 1 1", body=b"a"), id="length of two words"),
        pytest.param(post("Content-Length: 0x1", body=b"a"), id="length in hexadecimal"),
        pytest.param(post("Content-Length: 1_0", body=b"a"), id="length with an underscore"),
        pytest.param(post("Content-Length: \xb2", body=b"ab"), id="length in superscript"),
        pytest.param(post("Content-Length:"), id="empty length"),
        pytest.param(post("Content-Length: 1", "Content-Length: 1", body=b"a"), id="the same length twice"),
        pytest.param(post("Content-Length: 1, 1", body=b"a"), id="the same length twice in one"),
        pytest.param(post("Content-Length: 6", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), id="length and chunks"),
        pytest.param(post("Transfer-Encoding: chunked", "Content-Length: 6", body=b"0\r\n\r\n"), id="chunks and length"),
        pytest.param(post("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=b"0\r\n\r\n"), id="two codings"),
        pytest.param(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunks in HTTP/1.0"),
        *(
            pytest.param(post("Transfer-Encoding: chunked", body=body), id=f"chunk {body[:24]!r}")
            for body in (
                b"-1\r\n",
                b"+1\r\na\r\n0\r\n\r\n",
                b"0x1\r\na\r\n0\r\n\r\n",
                b"\r\n",
                b"g\r\n",
                b" 1\r\na\r\n0\r\n\r\n",
                b"1\na\r\n0\r\n\r\n",
                b"1\r\nab\r\n0\r\n\r\n",
                b"2\r\na\r\n0\r\n\r\n",
                b"1\r\naXX0\r\n\r\n",
                b"123456789\r\n",
                b"1;\x00\r\na\r\n0\r\n\r\n",
                b"1;" + b"x" * http.MAX_CHUNK_LINE + b"\r\na\r\n0\r\n\r\n",
                b"0\r\nbad trailer\r\n\r\n",
            )
        ),
    ],
)
def test_what_is_malformed_is_refused_and_what_follows_is_not_read(data):
    assert talk(data + SMUGGLED) == [refused("400 Bad Request")]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 HTTP Version Not Supported"),
        (post("Transfer-Encoding: gzip, chunked"), "501 Not Implemented"),
        (post("Transfer-Encoding: chunked\x0b"), "400 Bad Request"),
        (post("Expect: 200-ok", "Content-Length: 1", body=b"a"), "417 Expectation Failed"),
        (post(f"Content-Length: {http.MAX_BODY + 1}"), "413 Request Entity Too Large"),
        (post(f"Content-Length: {'9' * 4000}"), "413 Request Entity Too Large"),
        (post("Content-Length: 99999999", "Expect: 100-continue"), "413 Request Entity Too Large"),
        (post("Transfer-Encoding: chunked", body=b"FFFFFFFF\r\n"), "413 Request Entity Too Large"),
        (post("Transfer-Encoding: chunked", body=b"1\r\na\r\n" * http.MAX_CHUNKS), "413 Request Entity Too Large"),
        (b"GET /" + b"a" * http.MAX_LINE + b" HTTP/1.1\r\nHost: a\r\n\r\n", "414 Request-URI Too Long"),
        (b"G" * 200_000, "414 Request-URI Too Long"),
        (get("X-A: " + "a" * http.MAX_LINE), "431 Request Header Fields Too Large"),
        (get(*(["X-A: 1"] * http.MAX_HEADERS)), "431 Request Header Fields Too Large"),
        (get(*(["X-A: " + "a" * (http.MAX_LINE - 10)] * 5)), "431 Request Header Fields Too Large"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-A: 1\r\n" * 100_000, "431 Request Header Fields Too Large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_too_much_or_unknown_is_refused_and_what_follows_is_not_read(data, status):
    assert talk(data + SMUGGLED) == [refused(status)]


def test_the_largest_body_is_taken_whole():
    assert talk(post(f"Content-Length: {http.MAX_BODY}", "Connection: close", body=b"a" * http.MAX_BODY), patience=http.PATIENCE) == [
        ok(f"POST / {http.MAX_BODY} {'a' * 20}")
    ]


def test_bytes_that_are_no_http_at_all_are_refused():
    assert talk(bytes(range(256)) * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n") == [refused("400 Bad Request")] * 2


# Slow ones


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET", id="request line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n", id="headers"),
        pytest.param(post("Content-Length: 10", body=b"12345"), id="body"),
        pytest.param(post("Transfer-Encoding: chunked", body=b"5\r\n123"), id="chunk"),
        pytest.param(post("Transfer-Encoding: chunked", body=b"0\r\n"), id="trailers"),
        pytest.param(post("Content-Length: 1", "Expect: 100-continue")[:-1], id="end of headers"),
    ],
)
def test_who_stops_within_a_request_is_refused_in_time_and_who_ends_there_at_once(data):
    assert talk(data) == [refused("408 Request Timeout")]
    assert talk(data, end=True) == [refused("400 Bad Request")]


def test_who_sends_byte_by_byte_has_no_more_time_than_others():
    async def run():
        async with asyncio.timeout(SOON), listening(partial(serve, answer=echo, patience=SHORT)) as path:
            reader, writer = await asyncio.open_unix_connection(path)
            begin = time.monotonic()
            response = asyncio.create_task(reader.readuntil(b"\r\nRequest Timeout\n"))
            while not response.done() and not writer.is_closing():
                writer.write(b"G")
                await asyncio.sleep(0.02)
            seconds = time.monotonic() - begin
            writer.transport.abort()
            return await response, seconds

    response, seconds = asyncio.run(run())
    assert response == refused("408 Request Timeout")
    assert seconds < 5


def test_who_never_reads_is_let_go():
    async def run():
        ended = asyncio.Event()

        async def served(reader, writer):
            await serve(reader, writer, lambda _: Response(200, b"a" * 20_000_000), SHORT)
            ended.set()

        async with asyncio.timeout(SOON), listening(served) as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=1024)
            writer.write(get() * 3)
            await ended.wait()
            writer.transport.abort()
            return len(reader._buffer) < 20_000_000

    assert asyncio.run(run())


def test_who_reads_slowly_gets_the_whole_response_before_the_connection_ends():
    async def served(reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the kernel keeps some KiB
        await serve(reader, writer, lambda _: Response(200, b"a" * 1_000_000))

    async def run():
        async with asyncio.timeout(SOON), listening(served) as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=1024)
            writer.write(get("Connection: close"))
            size = 0
            while data := await reader.read(4096):
                size += len(data)
                await asyncio.sleep(0)
            writer.close()
            return size

    assert asyncio.run(run()) == 1_000_000 + len(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\n"
    )


def test_who_resets_the_connection_at_any_point_does_no_harm():
    async def run():
        async with asyncio.timeout(SOON), listening(partial(serve, answer=echo, patience=SHORT)) as path:
            for data in (b"", b"GET", get(), get() * 1000, post("Content-Length: 10"), b"\x00", post("Expect: 100-continue", "Content-Length: 1")):
                _, writer = await asyncio.open_unix_connection(path)
                writer.write(data)
                await asyncio.sleep(0)
                writer.transport.abort()
            return await send(path, get("Connection: close"))

    assert asyncio.run(run()) == ok("GET / 0 ")


def test_a_connection_has_a_last_request(monkeypatch):
    monkeypatch.setattr(http, "MAX_REQUESTS", 3)
    assert talk(get() * 5) == [ok("GET / 0 ", "keep-alive") * 2 + ok("GET / 0 ")]


def test_who_sends_ahead_does_not_keep_others_waiting():
    async def run():
        order = []
        async with asyncio.timeout(SOON), listening(partial(serve, answer=lambda r: order.append(r.target) or Response(204), patience=SHORT)) as path:
            greedy = asyncio.create_task(send(path, get() * 1500))
            await asyncio.sleep(0)
            await send(path, b"GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            await greedy
        return order.index("/other")

    assert asyncio.run(run()) < 100


def test_a_limit_of_the_reader_below_ours_counts():
    async def run():
        reader = asyncio.StreamReader(limit=100)
        reader.feed_data(b"G" * 1000)
        reader.feed_eof()
        with pytest.raises(http._RefusedError) as caught:
            await http._line(reader, http.MAX_LINE, 414)
        return caught.value.args

    assert asyncio.run(run()) == (414,)


# Connections


def test_connections_beyond_the_limit_are_ended_at_once_and_others_are_served_once_there_is_room(monkeypatch):
    monkeypatch.setattr("vhdprep.rehearse.platform.MAX_CONNECTIONS", 3)
    emulated = platform(patience=SHORT._replace(idle=SOON))

    async def run():
        async with asyncio.timeout(SOON), listening(lambda r, w: emulated.serve("hostplugin", r, w)) as path:
            held = [await asyncio.open_unix_connection(path) for _ in range(3)]
            for _, writer in held:
                writer.write(b"GET /hea")
            await asyncio.sleep(0.05)
            beyond = [await send(path, b"") for _ in range(20)]
            for reader, writer in held:
                writer.write(b"lth HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
                writer.close()
            return beyond, await send(path, b"GET /health HTTP/1.0\r\n\r\n")

    beyond, afterwards = asyncio.run(run())
    assert beyond == [b""] * 20
    assert afterwards.startswith(b"HTTP/1.1 200 OK\r\n")
