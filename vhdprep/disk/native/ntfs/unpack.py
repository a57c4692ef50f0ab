"""What libfwnt unpacks: LZNT1 of NTFS and XPRESS of the overlay filter. Its errors end here."""

from __future__ import annotations

import importlib
from typing import Any

from vhdprep.errors import Unreadable, first_line


def lznt1(data: bytes, size: int) -> bytes:
    """At most ``size`` bytes; zeros after the last block end the data."""
    return _unpack("lznt1_decompress", data, size)


def xpress(data: bytes, size: int) -> bytes:
    """At most ``size`` bytes of one chunk with a Huffman code."""
    return _unpack("lzxpress_huffman_decompress", data, size)


def _unpack(method: str, data: bytes, size: int) -> bytes:
    try:
        library: Any = importlib.import_module("pyfwnt")  # late: only compressed files need it
        unpacked: bytes = getattr(library, method)(data, size)
    except ImportError as error:
        raise Unreadable("it is compressed, and libfwnt-python is not installed; run `vhdprep doctor`") from error
    except (OSError, RuntimeError, MemoryError, ValueError) as error:
        raise Unreadable(f"its compressed content is damaged ({first_line(error)})") from error
    return unpacked
