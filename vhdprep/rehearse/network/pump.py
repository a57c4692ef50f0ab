"""Frames between the relay and the two descriptors it lies between: the guest's socket, and the uplink's socket or tap device."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import TYPE_CHECKING

from vhdprep.rehearse.network.frames import MAX_FRAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from vhdprep.rehearse.network.relay import Forward, Relay

MAX_WAITING = 256
"""Frames that wait for one side; later ones are lost, as on a wire."""
MAX_BURST = 64
"""Frames that are taken from one side before others have their turn."""


class Pump:
    """Moves frames while the running loop runs. A frame that cannot be sent is lost; TCP sends it again."""

    def __init__(self, relay: Relay, guest: int, uplink: int) -> None:
        """A pump that stands still.

        Args:
            relay: What becomes of a frame.
            guest: A descriptor of which each read and write is one frame, set to not block; it stays the caller's.
            uplink: Another.
        """
        self._guest = _Side(guest, relay.from_guest, self._deliver)
        self._uplink = _Side(uplink, relay.from_uplink, self._deliver)

    def start(self) -> None:
        """Move frames from now on; called where a loop runs."""
        self._guest.start()
        self._uplink.start()

    def stop(self) -> None:
        """Move no more frames; before the descriptors are closed."""
        self._guest.stop()
        self._uplink.stop()

    def _deliver(self, forward: Forward) -> None:
        for frame in forward.guest:
            self._guest.send(frame)
        for frame in forward.uplink:
            self._uplink.send(frame)


class _Side:
    """One descriptor: what comes out of it, and what waits to go in."""

    def __init__(self, descriptor: int, judge: Callable[[bytes], Forward], deliver: Callable[[Forward], None]) -> None:
        self._descriptor = descriptor
        self._judge = judge
        self._deliver = deliver
        self._waiting: deque[bytes] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._read)

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
        self._loop = None
        self._waiting.clear()

    def send(self, frame: bytes) -> None:
        if self._loop is None or (not self._waiting and _write(self._descriptor, frame)):
            return
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(frame)
        self._loop.add_writer(self._descriptor, self._drain)

    def _drain(self) -> None:
        while self._waiting and _write(self._descriptor, self._waiting[0]):
            self._waiting.popleft()
        if not self._waiting and self._loop is not None:
            self._loop.remove_writer(self._descriptor)

    def _read(self) -> None:
        for _ in range(MAX_BURST):
            try:
                data = os.read(self._descriptor, MAX_FRAME + 1)
            except OSError:  # nothing there any more, or the other end is gone: whoever watches QEMU knows that
                return
            self._deliver(self._judge(data))


def _write(descriptor: int, frame: bytes) -> bool:
    """Whether the frame is off our hands; false where the other side cannot take it now."""
    try:
        os.write(descriptor, frame)
    except BlockingIOError:
        return False
    except OSError:  # the other end is gone
        return True
    return True
