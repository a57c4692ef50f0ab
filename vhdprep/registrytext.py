"""Values of the Windows registry as remedies write them down."""

from __future__ import annotations

import re
from typing import NamedTuple

REGISTRY_TYPES = ("dword", "sz", "expand_sz", "multi_sz")
STARTS = ("boot", "system", "automatic", "manual", "disabled")
"""How a Windows service starts, by its number."""
_VALUE = re.compile(rf"(HKLM(?:\\[^\\]+)+)\\([^\\]+) = ({'|'.join(REGISTRY_TYPES)}):(.*)")


class RegistryValue(NamedTuple):
    """A value that is to be."""

    key: str
    name: str
    type: str
    data: str


def registry_value(text: str) -> RegistryValue:
    r"""``KEY\NAME = TYPE:DATA``.

    Raises:
        ValueError: it is something else.
    """
    found = _VALUE.fullmatch(text)
    if found is None or (found[3] == "dword" and not found[4].isdecimal()):
        raise ValueError(rf"{text!r} is no KEY\NAME = TYPE:DATA with a type of {', '.join(REGISTRY_TYPES)}")
    return RegistryValue(*found.groups())
