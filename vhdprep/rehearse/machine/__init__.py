"""The running machine: started with everything it needs as file descriptors, watched, and ended so that nothing of it is left."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from vhdprep.errors import RehearsalFailed
from vhdprep.rehearsal import Milestone
from vhdprep.rehearse.machine import leash
from vhdprep.rehearse.machine.console import Console
from vhdprep.rehearse.machine.overlay import MAX_OVERLAY

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from typing import BinaryIO

    from qemu.qmp import EventListener, QMPClient

    from vhdprep.rehearse.journal import Journal

MAX_COMPLAINT = 64 * 1024
"""Bytes of what the emulator itself says that are kept."""
MAX_PICTURE = 4 * 1024 * 1024
"""Bytes of a picture of the screen."""
MAX_RESETS = 5
"""Resets of a first boot; relabelling for SELinux and growing a root take one each."""
MAX_TROUBLE = 200
"""Characters of what is told of a disk that failed."""
_CHUNK = 64 * 1024
_ANSWER_SECONDS = 20
_QUIT_SECONDS = 5
_DRAIN_SECONDS = 0.2
_OFF_SECONDS = 12
_MENU_SECONDS = 30
_TOO_LARGE = "File too large"
"""By which the emulator says that the bound on its files was reached (EFBIG)."""


class Machine:
    """One run of the emulator."""

    def __init__(self, process: asyncio.subprocess.Process, control: QMPClient, events: EventListener, journal: Journal) -> None:
        """Use ``start``."""
        self._process, self._control, self._events, self._journal = process, control, events, journal
        self.console = Console(journal)
        self.complaint = b""
        """What the emulator says on its own standard error."""
        self.resets = 0
        self.ended = asyncio.Event()
        """The emulator is gone."""
        self.shut_down = False
        """The guest switched itself off; the emulator waits then."""
        self.full = False
        """The guest wrote more to a disk than it may."""
        self.trouble = ""
        """What failed below a disk of the guest, of which it is innocent: ``write: No space left on device``."""
        self._tasks = [
            asyncio.ensure_future(each) for each in (self._read_console(), self._read_complaint(), self._read_events(), self._wait(), self._hurry())
        ]

    @classmethod
    async def start(cls, words: Sequence[str], pass_on: Sequence[int], control: socket.socket, journal: Journal, most: int = MAX_OVERLAY) -> Machine:
        """Switch it on; ``control``: our end of the socket for QMP; ``most``: bytes that it may write to one file.

        Raises:
            RehearsalFailed: the emulator does not start; all descriptors that were given are closed then.
        """
        from qemu.qmp import EventListener, QMPClient, QMPError

        journal.power_on()
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=tuple(pass_on),
                start_new_session=True,
                cwd=leash.ELSEWHERE,
                env=leash.environment(),
                preexec_fn=leash.leash(most),
            )
        except OSError as error:
            control.close()
            raise RehearsalFailed(f"the emulator does not start: {error}") from error
        finally:
            for each in pass_on:  # the emulator's end; ours would keep it from ever seeing ours closed
                os.close(each)
        logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)  # what goes wrong is raised, too
        client = QMPClient("vhdprep")
        client.register_listener(events := EventListener())  # before the first one can come
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await client.connect(control)
        except (QMPError, OSError, EOFError, TimeoutError, AssertionError) as error:  # the last where it dies in the moment of being greeted
            with suppress(ProcessLookupError):
                process.kill()
            await _leave(client)
            _, said = await process.communicate()
            control.close()
            raise RehearsalFailed(f"the emulator does not start: {said.decode(errors='replace').strip()[-500:] or error}") from error
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.kill()
            raise
        return cls(process, client, events, journal)

    async def close(self) -> None:
        """End it: by its own leave, so that it writes what it holds of the overlay, else by force."""
        from qemu.qmp import QMPError

        with suppress(QMPError, OSError, EOFError, TimeoutError):
            async with asyncio.timeout(_QUIT_SECONDS):
                await self._control.execute("quit")
                await self._process.wait()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await _leave(self._control)
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ask(self, command: str, **arguments: object) -> object:
        """What QMP answers; None = the emulator refuses or is gone."""
        from qemu.qmp import QMPError

        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._control.execute(command, arguments or None)
        except (QMPError, OSError, EOFError, TimeoutError):
            return None

    async def picture(self) -> str:
        """The screen as ``data:image/png;base64,…``; empty where none can be had."""
        file = os.memfd_create("screen")
        try:
            with os.fdopen(os.dup(file), "rb") as reading:
                taken = await self.ask("screendump", filename=f"/proc/{os.getpid()}/fd/{file}", format="png")
                data = _whole(reading) if taken is not None else b""
        finally:
            os.close(file)
        return f"data:image/png;base64,{base64.b64encode(data).decode()}" if data else ""

    async def activity(self) -> int:
        """A number that grows while the guest reads or writes its disks."""
        found = await self.ask("query-blockstats")
        stats = [each.get("stats", {}) for each in found if isinstance(each, dict)] if isinstance(found, list) else []
        return sum(int(each.get(name, 0)) for each in stats for name in ("rd_operations", "wr_operations"))

    async def switch_off(self) -> None:
        """Have the guest put its disks in order, by whichever way it takes: the power button, Ctrl-Alt-Del, or SysRq on the keyboard."""
        if self.shut_down:
            return
        await self.ask("set-action", reboot="shutdown", shutdown="poweroff")
        await self.ask("system_powerdown")
        if await self._gone(_OFF_SECONDS):
            return
        await self._press("ctrl", "alt", "delete")
        if await self._gone(_OFF_SECONDS):
            return
        for letter in "su":  # write everything, then make it read-only
            await self._press("alt", "sysrq", letter)
            await asyncio.sleep(1)

    async def _hurry(self) -> None:
        """Press Enter until a kernel speaks: boot menus that wait for somebody start what they would have started."""
        for _ in range(_MENU_SECONDS):
            await asyncio.sleep(1)
            if Milestone.KERNEL in self._journal.reached:
                return
            if self.console.bytes:
                await self._press("ret")

    async def _gone(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            return False
        return True

    async def _press(self, *keys: str) -> None:
        await self.ask("send-key", keys=[{"type": "qcode", "data": each} for each in keys])

    async def _read_console(self) -> None:
        assert self._process.stdout
        while data := await self._process.stdout.read(_CHUNK):
            self.console.feed(data)

    async def _read_complaint(self) -> None:
        assert self._process.stderr
        while data := await self._process.stderr.read(_CHUNK):
            self.complaint = (self.complaint + data)[-MAX_COMPLAINT:]

    async def _read_events(self) -> None:
        async for event in self._events:
            self._take(event["event"], event.get("data", {}))

    def _take(self, name: object, data: object) -> None:
        fields = data if isinstance(data, dict) else {}
        if name == "DEVICE_TRAY_MOVED" and fields.get("tray-open"):
            self._journal.mark(Milestone.DVD)
        elif name == "SHUTDOWN" and fields.get("guest"):
            self.shut_down = True
        elif name == "RESET" and fields.get("guest"):
            self.resets += 1
        elif name == "BLOCK_IO_ERROR":
            reason = str(fields.get("reason", ""))
            self.full = self.full or reason == _TOO_LARGE
            if reason != _TOO_LARGE:
                self.trouble = self.trouble or f"{fields.get('operation')}: {reason}"[:MAX_TROUBLE]
        self._journal.changed.set()

    async def _wait(self) -> None:
        await self._process.wait()
        await asyncio.sleep(_DRAIN_SECONDS)  # for its last events and words, which tell whether the guest wanted it
        self.ended.set()
        self._journal.changed.set()


async def _leave(control: QMPClient) -> None:
    """End the conversation, whatever state it is in."""
    from qemu.qmp import QMPError

    with suppress(QMPError, OSError, EOFError, TimeoutError):
        async with asyncio.timeout(_ANSWER_SECONDS):
            await control.disconnect()


def _whole(reading: BinaryIO) -> bytes:
    reading.seek(0)
    data = reading.read(MAX_PICTURE + 1)
    return data if len(data) <= MAX_PICTURE else b""
