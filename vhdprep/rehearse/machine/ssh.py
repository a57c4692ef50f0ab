"""The second witness: log in as the new user with the new key, look around, and leave the file systems clean."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from vhdprep.errors import BackendUnavailable
from vhdprep.rehearse.identity import CUSTOM_DATA
from vhdprep.rehearse.machine import leash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_ANSWER = 256 * 1024
"""Bytes of everything that one look around prints."""
_BANNER_SECONDS = 15
_LOGIN_SECONDS = 110
"""A little less than ``LoginGraceTime``: servers since OpenSSH 9.8 punish an address that comes and goes, and a busy emulator needs half a minute."""
MAX_COMPLAINT = 4096
"""Bytes of what the client says of a failure."""
_KEY_SECONDS = 60
_END_SECONDS = 5
_LOOK_SECONDS = 60

EARLY = {
    "user": "id -un",
    "host": "cat /proc/sys/kernel/hostname",
    "sudo": "sudo -n true && echo yes",
    "virtualization": "systemd-detect-virt",
}
"""What is asked for → a shell command, as soon as somebody can log in. Nothing here decides alone: the post-mortem sees more from outside."""
LATE = {
    "agent": "for u in walinuxagent waagent; do systemctl is-enabled $u.service; systemctl is-active $u.service; done 2>/dev/null",
    "cloud-init": "timeout 40 cloud-init status --wait --long",
    "failed": "systemctl --failed --no-legend --plain",
    "custom data": f"cat {CUSTOM_DATA}",
}
"""The same, when everything has come up, or had its time for it."""


_QUIESCE = b"""sync; echo u | sudo -n tee /proc/sysrq-trigger >/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do grep -q ' / [^ ]* ro' /proc/mounts && break; sleep 0.3; done; echo done
"""
"""The kernel makes everything read-only on its own time, even where files are open for writing (``SysRq u``)."""


class Key:
    """A pair of keys that exists as long as the block runs; the private one lies in memory alone."""

    def __init__(self) -> None:
        """Make it with OpenSSH's own program, for that is what a user has.

        Raises:
            BackendUnavailable: OpenSSH is not installed, or refuses.
        """
        self._file = os.memfd_create("key")
        os.fchmod(self._file, 0o600)  # ssh refuses a key that others may read
        try:
            said = _keygen("-q", "-t", "rsa", "-b", "3072", "-N", "", "-C", "", "-f", self.path)  # it finds no place for the public key
            made = _keygen("-y", "-f", self.path)
        except (OSError, subprocess.SubprocessError) as error:
            self.close()
            raise BackendUnavailable("no key can be made with ssh-keygen; run: sudo apt-get install openssh-client") from error
        self.public = made.stdout.decode(errors="replace").strip()
        if made.returncode or not self.public:
            self.close()
            raise BackendUnavailable(f"ssh-keygen makes no key: {said.stderr.decode(errors='replace').strip()[:200]}")

    @property
    def path(self) -> str:
        """For ``ssh -i``."""
        return f"/proc/{os.getpid()}/fd/{self._file}"

    def close(self) -> None:
        """The private key is gone then."""
        os.close(self._file)


def _keygen(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Let it overwrite the file in memory that it is given."""
    return subprocess.run(
        ("ssh-keygen", *words),
        input=b"y\n",
        capture_output=True,
        timeout=_KEY_SECONDS,
        check=False,
        cwd=leash.ELSEWHERE,
        env=leash.environment(),
        preexec_fn=leash.leash(),
    )


async def answers(address: tuple[str, int]) -> bool:
    """Whether an SSH server speaks there."""
    try:
        async with asyncio.timeout(_BANNER_SECONDS):
            reader, writer = await asyncio.open_connection(*address)
            try:
                return (await reader.read(4)).startswith(b"SSH-")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


class Session:
    """A shell of the guest, held open until the end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Use ``open``."""
        self._process = process

    @classmethod
    async def open(cls, address: tuple[str, int], user: str, key: Key) -> Session | str:
        """Log in; a string says why that was refused, in the words of the client."""
        process = await asyncio.create_subprocess_exec(
            *_words(address, user, key),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            limit=MAX_ANSWER,
            cwd=leash.ELSEWHERE,
            env=leash.environment(),
            preexec_fn=leash.leash(),
        )
        session = cls(process)
        try:
            async with asyncio.timeout(_LOGIN_SECONDS):
                said = await session._ask({"here": "echo here"})
                if said.get("here", "").strip() == "here":
                    return session
                await process.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:  # nobody waits for it any more
            await session.close()
            raise
        complaint = await session.close()
        return (complaint.decode(errors="replace").strip().splitlines() or ["no answer"])[-1][:300]

    async def look(self, commands: Mapping[str, str]) -> dict[str, str]:
        """What each command prints; without those whose answer did not come in time."""
        found: dict[str, str] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._ask(commands, found)
        return found

    async def quiesce(self) -> None:
        """Have everything written, and the file systems read-only, so that they can be looked at from outside."""
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.write(_QUIESCE)
                await self._process.stdin.drain()
        with suppress(TimeoutError, ValueError):  # ValueError: a line longer than any answer may be
            async with asyncio.timeout(_BANNER_SECONDS * 2):
                assert self._process.stdout
                while line := await self._process.stdout.readline():
                    if line.strip() == b"done":
                        break

    async def close(self) -> bytes:
        """End it; what the client said on standard error last.

        Everything that still waits in the pipes is taken: only then do they end, and a process counts as ended only with its pipes.
        """
        with suppress(ProcessLookupError):
            self._process.kill()
        assert self._process.stdout
        assert self._process.stderr
        said = asyncio.gather(_rest(self._process.stderr), _rest(self._process.stdout), self._process.wait())
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                return (await said)[0]
        return b""

    async def _ask(self, commands: Mapping[str, str], found: dict[str, str] | None = None) -> dict[str, str]:
        """Each answer ends with a line that nothing in the guest can know beforehand."""
        found = {} if found is None else found
        assert self._process.stdin
        assert self._process.stdout
        size = 0
        for name, command in commands.items():
            token = secrets.token_hex(8)
            lines: list[str] | None = None
            with suppress(OSError):
                self._process.stdin.write(f"echo begin-{token}; {{ {command}; }} 2>&1 </dev/null; echo; echo end-{token}\n".encode())
                await self._process.stdin.drain()
            while True:
                try:
                    line = await self._process.stdout.readline()
                except ValueError:  # longer than any answer may be
                    return found
                if not line or (size := size + len(line)) > MAX_ANSWER:
                    return found
                text = line.decode(errors="replace").rstrip("\r\n")
                if text == f"end-{token}":
                    break
                if lines is not None:
                    lines.append(text)
                elif text == f"begin-{token}":  # what comes before is of a question that nobody waited for
                    lines = []
            found[name] = "\n".join(lines or ()).strip()
        return found


async def _rest(stream: asyncio.StreamReader) -> bytes:
    """The end of what comes, to the last byte."""
    kept = b""
    while more := await stream.read(MAX_ANSWER):
        kept = (kept + more)[-MAX_COMPLAINT:]
    return kept


def _words(address: tuple[str, int], user: str, key: Key) -> Sequence[str]:
    host, port = address
    options = (
        "BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null",
        "PasswordAuthentication=no", "ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes", "ControlMaster=no", "PermitLocalCommand=no",
        "UpdateHostKeys=no", "ConnectTimeout=30", "LogLevel=ERROR",
    )  # fmt: skip
    return ["ssh", "-F", "none", "-T", "-i", key.path, "-p", str(port), *(word for each in options for word in ("-o", each)), f"{user}@{host}", "sh"]
