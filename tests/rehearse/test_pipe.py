from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
from contextlib import contextmanager

import pytest

from vhdprep.rehearse.network import doors, slirp


@contextmanager
def helper(name: str):
    """The helper as slirp starts it: one socket is its input, output and error; yields our end."""
    ours, its = socket.socketpair()
    ours.settimeout(10)
    with ours, its, subprocess.Popen([*slirp.PIPE, name], stdin=its, stdout=its, stderr=its) as process:
        its.close()
        try:
            yield ours, process
            ours.close()
            assert process.wait(10) == 0
        finally:
            process.kill()


@pytest.fixture
def door():
    """A listening abstract socket: its name, and itself."""
    name = f"vhdprep-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        listener.settimeout(10)
        yield name, listener


def accepted(listener: socket.socket) -> socket.socket:
    served, _ = listener.accept()
    served.settimeout(10)
    return served


def read_all(end: socket.socket) -> bytes:
    return b"".join(iter(lambda: end.recv(65536), b""))


def test_data_goes_both_ways_and_a_half_that_ends_ends_on_the_other_side(door):
    name, listener = door
    with helper(name) as (guest, _), accepted(listener) as server:
        guest.sendall(b"question")
        guest.shutdown(socket.SHUT_WR)
        assert read_all(server) == b"question"
        server.sendall(b"answer")
        server.shutdown(socket.SHUT_WR)
        assert read_all(guest) == b"answer"


def test_much_data_arrives_whole(door):
    name, listener = door
    data = secrets.token_bytes(3_000_000)
    with helper(name) as (guest, _), accepted(listener) as server:
        pid = os.fork()
        if pid == 0:
            server.sendall(data)
            os._exit(0)
        server.close()
        assert read_all(guest) == data
        os.waitpid(pid, 0)


def test_the_server_may_speak_on_when_the_guest_has_ended_and_the_guest_when_the_server_has(door):
    name, listener = door
    with helper(name) as (guest, _), accepted(listener) as server:
        server.shutdown(socket.SHUT_WR)
        assert read_all(guest) == b""
        guest.sendall(b"still here")
        guest.shutdown(socket.SHUT_WR)
        assert read_all(server) == b"still here"


def test_a_server_that_is_gone_ends_the_helper_though_the_guest_holds_on(door):
    name, listener = door
    with helper(name) as (guest, process):
        with accepted(listener) as server:
            server.sendall(b"last words")
        assert read_all(guest) == b"last words"
        assert process.wait(10) == 0


def test_a_server_that_ends_and_then_goes_ends_the_helper(door):
    name, listener = door
    with helper(name) as (guest, process):
        with accepted(listener) as server:
            server.shutdown(socket.SHUT_WR)
            assert read_all(guest) == b""
        assert process.wait(10) == 0


def test_without_a_server_the_connection_ends_without_a_word():
    with helper("vhdprep-test-nobody") as (guest, process):
        assert read_all(guest) == b""
        assert process.wait(10) == 0


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readline())
    await writer.drain()


async def heard(name: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(f"\0{name}")
    try:
        writer.write(b"hello\n")
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:  # closed with our words unread
        return b""
    finally:
        writer.close()


def test_a_door_lets_our_own_user_in_and_nobody_else(monkeypatch):
    async def visit():
        name = doors.invent().wire
        async with await doors.listen(name, echo):
            first = await heard(name)
            monkeypatch.setattr(os, "getuid", lambda: 12345)
            return first, await heard(name)

    assert asyncio.run(visit()) == (b"hello\n", b"")


def test_a_door_holds_so_many_and_closes_on_the_next(monkeypatch):
    monkeypatch.setattr(doors, "MAX_CONNECTIONS", 2)

    async def visit():
        name = doors.invent().wire
        async with await doors.listen(name, echo):
            inside = [await asyncio.open_unix_connection(f"\0{name}") for _ in range(2)]
            await asyncio.sleep(0.05)
            full = await heard(name)
            for reader, writer in inside:
                writer.write(b"bye\n")
                assert await reader.read() == b"bye\n"
                writer.close()
            return full, await heard(name)

    assert asyncio.run(visit()) == (b"", b"hello\n")


def test_a_door_at_an_address():
    async def visit():
        async with await doors.listen_at("127.0.0.1", 0, echo) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            said = await reader.read()
            writer.close()
            return said

    assert asyncio.run(visit()) == b"hello\n"


def test_no_two_rehearsals_share_a_door():
    assert len({*doors.invent(), *doors.invent()}) == 6
