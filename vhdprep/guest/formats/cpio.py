"""Names inside an initramfs: concatenated newc archives, each plain or compressed, read as a stream.

Source: Linux ``Documentation/driver-api/early-userspace/buffer-format.rst``, ``init/initramfs.c``. Nothing is
kept but names; what a file holds is skipped, so memory stays small however large the archive is.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 256 * 1024
MAX_UNPACKED = 512 * 1024**2
"""Bytes that one initramfs may unpack to before reading stops."""
_STEP = 8 * 1024**2
"""Bytes unpacked at once by a library that can stop there."""
_HEADER = 110
_NEWC = (b"070701", b"070702")
_TRAILER = "TRAILER!!!"


class _Decoder(Protocol):
    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes: ...


class _Pausing(Protocol):
    """What bz2 and lzma can do besides: stop when enough was unpacked."""

    eof: bool
    needs_input: bool

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Codec(NamedTuple):
    """A decoder and the errors its library raises for broken data."""

    decoder: _Decoder
    errors: tuple[type[Exception], ...]
    piece: int = 4096
    """Packed bytes unpacked at once: a bomb grows a thousand times in gzip, ten thousand elsewhere; memory stays near 100 MiB."""
    pausing: _Pausing | None = None
    """The decoder again, if it can stop: 45 bytes of bzip2 are 45 MiB."""


def _gzip() -> _Codec:
    library = importlib.import_module("zlib_ng.zlib_ng")
    return _Codec(library.decompressobj(31), (library.error,), 64 * 1024)


def _xz() -> _Codec:
    library = importlib.import_module("lzma")
    decoder = library.LZMADecompressor(memlimit=256 * 1024**2)
    return _Codec(decoder, (library.LZMAError, EOFError), pausing=decoder)


def _bzip2() -> _Codec:
    decoder = importlib.import_module("bz2").BZ2Decompressor()
    return _Codec(decoder, (OSError, EOFError, ValueError), pausing=decoder)


def _zstd() -> _Codec:
    library = importlib.import_module("zstandard")
    return _Codec(library.ZstdDecompressor(max_window_size=2**27).decompressobj(), (library.ZstdError,))


_CODECS: tuple[tuple[bytes, str, Callable[[], _Codec]], ...] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"\xfd7zXZ\x00", "xz", _xz),
    (b"\x5d\x00\x00", "lzma", _xz),
    (b"BZh", "bzip2", _bzip2),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
)
_LZ4_LEGACY = b"\x02\x21\x4c\x18"


def names(chunks: Iterator[bytes], place: str) -> Iterator[str]:
    """Every file name in the initramfs whose bytes ``chunks`` yields; ``place`` names it in messages.

    Raises:
        Unreadable: an unknown or broken compression, or a broken archive.
    """
    source = _Source(chunks, place)
    while source.skip_zeros():
        magic = source.peek(6)
        if magic.startswith(_NEWC):
            yield from _members(source)
            continue
        inner = _Source(_decompress(source, magic, place), place)
        while inner.skip_zeros():
            yield from _members(inner)


class _Source:
    """A byte stream with look-ahead."""

    def __init__(self, chunks: Iterator[bytes], place: str) -> None:
        self._chunks, self.place = chunks, place
        self._data, self._at = b"", 0
        self.position = 0
        """Bytes handed out so far."""

    def peek(self, size: int) -> bytes:
        """Up to ``size`` bytes, left in place."""
        while len(self._data) - self._at < size:
            more = next(self._chunks, None)
            if more is None:
                break
            self._data, self._at = self._data[self._at :] + more, 0
        return self._data[self._at : self._at + size]

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes."""
        data = self.peek(size)
        if len(data) < size:
            raise Unreadable(f"{self.place}: the archive ends in the middle of a file")
        self._at += size
        self.position += size
        return data

    def skip(self, size: int) -> None:
        """Drop ``size`` bytes without joining them."""
        self.position += size
        left = size - (len(self._data) - self._at)
        if left <= 0:
            self._at += size
            return
        self._data, self._at = b"", 0
        while left > 0:
            more = next(self._chunks, None)
            if more is None:
                raise Unreadable(f"{self.place}: the archive ends in the middle of a file")
            left -= len(more)
            self._data, self._at = more, len(more) + min(left, 0)

    def rest(self) -> Iterator[bytes]:
        """Everything left, chunk by chunk; give back what was too much with ``push``."""
        if self._at < len(self._data):
            data, self._data, self._at = self._data[self._at :], b"", 0
            yield data
        # NOTE: not "yield from": closing this generator would close the source with it.
        while (more := next(self._chunks, None)) is not None:
            yield more

    def push(self, data: bytes) -> None:
        """Put bytes back in front."""
        self._data, self._at = data + self._data[self._at :], 0

    def skip_zeros(self) -> bool:
        """Drop padding; False = nothing is left."""
        while self.peek(1):
            kept = self._data[self._at :].lstrip(b"\0")
            self.position += len(self._data) - self._at - len(kept)
            self._data, self._at = kept, 0
            if kept:
                return True
        return False


def _members(source: _Source) -> Iterator[str]:
    start = source.position
    while True:
        head = source.peek(_HEADER)
        if not head:
            return  # an archive without its trailer, as the kernel accepts it
        if not head.startswith(_NEWC) or len(head) < _HEADER:
            raise Unreadable(f"{source.place}: the cpio archive is broken after {source.position} bytes")
        try:
            size, name_size = int(head[54:62], 16), int(head[94:102], 16)
        except ValueError as error:
            raise Unreadable(f"{source.place}: the cpio archive is broken after {source.position} bytes") from error
        if not 0 < name_size <= 4096:
            raise Unreadable(f"{source.place}: a name of {name_size} bytes in the cpio archive")
        source.take(_HEADER)
        name = source.take(name_size)[:-1].decode("utf-8", "replace")
        source.skip(-(source.position - start) % 4)
        if name == _TRAILER:
            return
        yield name
        source.skip(size)
        if source.peek(1):
            source.skip(-(source.position - start) % 4)


def _decompress(source: _Source, magic: bytes, place: str) -> Iterator[bytes]:
    if magic.startswith(_LZ4_LEGACY):
        yield from _bounded(_lz4_blocks(source), place)
        return
    for prefix, name, make in _CODECS:
        if magic.startswith(prefix):
            yield from _bounded(_streams(source, prefix, make, name), place)
            return
    raise Unreadable(f"{place}: the compression beginning with {magic.hex()} is not known")


def _streams(source: _Source, prefix: bytes, make: Callable[[], _Codec], name: str) -> Iterator[bytes]:
    """Members of one compression that follow each other are one stream, as the kernel unpacks them."""
    yield from _stream(source, make(), name)
    while source.peek(len(prefix)) == prefix:
        yield from _stream(source, make(), name)


def _stream(source: _Source, codec: _Codec, name: str) -> Iterator[bytes]:
    for chunk in source.rest():
        for at in range(0, len(chunk), codec.piece):
            try:
                yield from filter(None, _unpack(codec, chunk[at : at + codec.piece]))
            except codec.errors as error:
                raise Unreadable(f"{source.place}: the {name} stream is broken ({error})") from error
            if codec.decoder.eof:
                source.push(codec.decoder.unused_data + chunk[at + codec.piece :])
                return
    raise Unreadable(f"{source.place}: the {name} stream ends too early")


def _unpack(codec: _Codec, piece: bytes) -> Iterator[bytes]:
    """What ``piece`` unpacks to, a step at a time where the library can be told to stop."""
    if codec.pausing is None:
        yield codec.decoder.decompress(piece)
        return
    yield codec.pausing.decompress(piece, _STEP)
    while not codec.pausing.eof and not codec.pausing.needs_input:
        yield codec.pausing.decompress(b"", _STEP)


def _lz4_blocks(source: _Source) -> Iterator[bytes]:
    """The kernel's "legacy" lz4 frames: length, block, length, block, and so on."""
    block = importlib.import_module("lz4.block")
    source.take(4)
    while len(size := source.peek(4)) == 4:
        length = int.from_bytes(size, "little")
        if not 0 < length <= 16 * 1024**2:
            return
        source.take(4)
        try:
            yield block.decompress(source.take(length), uncompressed_size=8 * 1024**2)
        except block.LZ4BlockError as error:
            raise Unreadable(f"{source.place}: the lz4 stream is broken ({error})") from error


def _bounded(chunks: Iterator[bytes], place: str) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > MAX_UNPACKED:
            raise Unreadable(f"{place}: unpacks to more than {MAX_UNPACKED} bytes")
        yield chunk
