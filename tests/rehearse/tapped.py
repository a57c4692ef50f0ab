"""What runs inside a network namespace of its own: the tap as uplink, a server on a real address, a guest made of frames. Prints what it saw."""

from __future__ import annotations

import asyncio
import json
import os

from tests.rehearse.guests import IDENTITY, accept, ask, wires
from vhdprep.rehearse.identity import GATEWAY, GUEST, METADATA, WIRE
from vhdprep.rehearse.journal import Journal
from vhdprep.rehearse.network import doors, tap
from vhdprep.rehearse.network.pump import Pump
from vhdprep.rehearse.network.relay import SERVICES, Relay


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"%r heard %s" % (writer.get_extra_info("sockname"), await reader.readline()))
    await writer.drain()


async def knock() -> bytes:
    reader, writer = await asyncio.open_connection(GUEST, 22)
    writer.write(b"SSH-2.0-probe\r\n")
    said = await reader.readline()
    writer.close()
    return said


async def main() -> None:
    uplink = tap.open_tap()
    for address, port in SERVICES:
        await doors.listen_at(address, port, serve)
    with wires() as (guest, card):
        pump = Pump(Relay(IDENTITY, Journal(), GATEWAY), card.fileno(), uplink)
        pump.start()
        answers = [await ask(guest, service, 40000 + at, b"hello\n") for at, service in enumerate([(WIRE, 80), (WIRE, 32526), (METADATA, 80)])]
        probe = asyncio.create_task(knock())
        heard = await accept(guest, b"SSH-2.0-guest\r\n")
        said = await asyncio.wait_for(probe, 10)
        pump.stop()
    os.close(uplink)
    os.write(1, json.dumps([each.decode() for each in (*answers, heard, said)]).encode())


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(), 30))
