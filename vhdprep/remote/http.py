"""Ranges of a web server, by a session that fsspec keeps.

fsspec's own reading of a range takes whatever comes: a server that ignores the range would send the whole disk into memory, and another
image would not be noticed. So each answer is judged here before its body is read (RFC 9110: "Range Requests", "Conditional Requests").
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import aiohttp
import fsspec.asyn
import fsspec.config
from fsspec.exceptions import FSTimeoutError
from yarl import URL

from vhdprep.address import masked
from vhdprep.remote.ranges import MAX_REQUEST_SECONDS, RefusedError, TransientError, UnfitError, UnreachedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_EMPTY = "bytes */0"
_AGAIN = (408, 425, 429)
"""Beside all of 5xx."""
_MOVED = range(300, 400)
_CHANGED = "the image changed on the server while it was read; stop what writes to it, and run again"
_REASONS = {
    401: "may not be read without credentials (HTTP 401); name an address with a SAS that is valid",
    403: "may not be read (HTTP 403); name an address with a SAS that is valid and allows reading",
    404: "there is no such image on the server (HTTP 404); check the address",
    410: "is no longer on the server (HTTP 410)",
}


class HttpRanges:
    """One address, and what its first answer said of the image."""

    must_confirm = False

    def __init__(self, address: str) -> None:
        """Nothing is asked yet."""
        self._address = address
        self._size: int | None = None
        self._identity: str | None = None
        scheme = address.partition("://")[0].lower()
        configured = fsspec.config.conf.get(scheme, {}).get("client_kwargs", {})
        timeout = aiohttp.ClientTimeout(total=MAX_REQUEST_SECONDS)
        options = {**configured, "timeout": timeout, "trust_env": True, "auto_decompress": False}
        self._files: Any = fsspec.filesystem(scheme, skip_instance_cache=True, client_kwargs=options)

    def measure(self) -> int:
        """By the total that the answer to a range of one byte names."""
        self._ask(0, 1)
        return self._size or 0

    def fetch(self, begin: int, end: int) -> bytes:
        """Bytes of the same image that was measured."""
        return self._ask(begin, end)

    def confirm(self) -> None:
        """Each answer names the image that it is of."""

    def _ask(self, begin: int, end: int) -> bytes:
        try:
            return bytes(fsspec.asyn.sync(self._files.loop, self._get, begin, end, timeout=MAX_REQUEST_SECONDS + 1))
        except (FSTimeoutError, TimeoutError):
            raise TransientError(f"the server did not answer within {MAX_REQUEST_SECONDS} seconds") from None
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise RefusedError(f"the server's certificate or encryption is not trusted ({type(error).__name__})") from None
        except aiohttp.InvalidURL:
            raise RefusedError("this is no address of a web server") from None
        except aiohttp.ClientConnectorError as error:
            raise UnreachedError(f"the host cannot be reached ({error.os_error.strerror or type(error).__name__})") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransientError(f"the connection broke off ({type(error).__name__})") from None

    async def _get(self, begin: int, end: int) -> bytes:
        session = await self._files.set_session()
        headers = {"Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"}
        if self._identity and self._identity.startswith('"'):  # only a strong ETag may be asked for (RFC 9110, "If-Match")
            headers["If-Match"] = self._identity
        url = URL(self._address, encoded=self._address.isascii())
        async with session.get(url, headers=headers, allow_redirects=False) as answer:
            try:
                if self._is_empty(answer.status, answer.headers):
                    self._size = 0
                    return b""
                self._judge(answer.status, answer.headers)
                self._compare(answer.headers, begin, end)
                return await _body(answer.content, end - begin)
            finally:
                if not answer.content.is_eof():
                    answer.close()  # nothing more of it is wanted

    def _is_empty(self, status: int, headers: Mapping[str, str]) -> bool:
        """Whether the image has no bytes, of which no range can be had."""
        return self._size is None and (
            (status == 416 and headers.get("Content-Range") == _EMPTY) or (status == 200 and headers.get("Content-Length") == "0")
        )

    def _judge(self, status: int, headers: Mapping[str, str]) -> None:
        """Let nothing through but the answer to a range."""
        if status == 206:
            return
        if status == 200:
            raise UnfitError("the server ignores that a part was asked for, and would send the whole image; download it, or name another server")
        if status == 412:
            raise UnfitError(_CHANGED)
        if status == 416:
            raise UnfitError("the server says that the image ends before a part that should be there")
        if status in _AGAIN or status >= 500:
            raise TransientError(f"the server failed (HTTP {status})")
        if status in _MOVED:
            target = masked(urljoin(self._address, headers.get("Location", "")))
            raise RefusedError(f"the server sends elsewhere (HTTP {status}), to {target}; that is not followed: name the address itself")
        raise RefusedError(_REASONS.get(status, f"the server refused (HTTP {status})"))

    def _compare(self, headers: Mapping[str, str], begin: int, end: int) -> None:
        """Whether these are the bytes asked for, of the image that was measured."""
        if headers.get("Content-Encoding", "identity") != "identity":
            raise UnfitError("the server sends the image compressed, in which no part can be found")
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if match is None:
            raise UnfitError("the server does not say which part of how many bytes it sends")
        first, last, size = map(int, match.groups())
        if (first, last) != (begin, end - 1):
            raise UnfitError(f"the server sent the bytes {first} to {last} where {begin} to {end - 1} were asked for")
        identity = headers.get("ETag") or headers.get("Last-Modified")
        if self._size is None:
            self._size, self._identity = size, identity
        if (size, identity) != (self._size, self._identity):
            raise UnfitError(_CHANGED)


async def _body(content: Any, count: int) -> bytes:
    """``count`` bytes, and not one more."""
    data = bytearray()
    while len(data) <= count and (piece := await content.read(count + 1 - len(data))):
        data += piece
    if len(data) > count:
        raise UnfitError(f"the server sent more than the {count} bytes that it announced")
    if len(data) < count:
        raise TransientError(f"the server sent {len(data)} of {count} bytes")
    return bytes(data)
