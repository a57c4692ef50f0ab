"""What may be shown of an address on the network."""

from __future__ import annotations

import re

_ACCOUNTS = ("abfs", "abfss", "az", "wasb", "wasbs")
"""Their addresses have the container where others have the user: ``abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH``."""


def masked(address: str) -> str:
    """An address without query, fragment and what stands before the host: there the right to read is."""
    scheme, _, rest = re.split(r"[?#]", address, maxsplit=1)[0].partition("://")
    host, slash, path = rest.partition("/")
    user, at, name = host.rpartition("@")
    keeps_user = at and scheme.lower() in _ACCOUNTS and ":" not in user
    return f"{scheme}://{host if keeps_user else name}{slash}{path}"
