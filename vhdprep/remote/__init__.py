"""Images on the network, read in parts through fsspec: only what is looked at is transferred.

``image`` keeps blocks and bounds everything; ``http`` and ``store`` ask for a range, of web servers and of whatever else fsspec reads.
Nothing out of an image ever becomes an address: the one that the user named is the only one that is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.errors import BackendUnavailable, UsageError
from vhdprep.remote.image import RemoteImage

if TYPE_CHECKING:
    from vhdprep.remote.ranges import Ranges

_EXTRAS = {"abfs": "azure", "abfss": "azure", "az": "azure", "adl": "azure", "http": "remote", "https": "remote"}
"""Kind of address → the extra of this package that reads it."""


def connect(address: str, shown: str) -> RemoteImage:
    """The image at ``address``, of which nothing was asked yet; ``shown`` is the address without its secrets.

    Raises:
        BackendUnavailable: a library is not installed that this kind of address needs.
        UsageError: no library knows this kind of address.
    """
    scheme = address.partition("://")[0].lower()
    try:
        return RemoteImage(_ranges(scheme, address), shown)
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        cure = f"run: pip install 'vhdprep[{extra}]'" if extra else "install fsspec and the package that reads it"
        what = f"{scheme}:// is not read without a library that is not installed ({error.name or error})"
        raise BackendUnavailable(f"{shown}: {what}; {cure}") from None
    except LookupError:
        raise UsageError(f"{shown}: {scheme}:// is no kind of address that fsspec knows") from None


def _ranges(scheme: str, address: str) -> Ranges:
    if scheme in ("http", "https"):
        from vhdprep.remote.http import HttpRanges

        return HttpRanges(address)
    from vhdprep.remote.store import StoreRanges

    return StoreRanges(scheme, address)
