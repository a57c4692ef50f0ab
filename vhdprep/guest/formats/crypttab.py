"""``/etc/crypttab`` (crypttab(5) of systemd and of cryptsetup on Debian)."""

from __future__ import annotations

from typing import NamedTuple

from vhdprep.guest.formats.fstab import fields, tagged

_TOKENS = ("tpm2-device", "fido2-device", "pkcs11-uri", "keyscript", "try-empty-password", "headless")
"""Options with which nobody is asked."""


class CrypttabEntry(NamedTuple):
    """One line that opens an encrypted volume."""

    line: int
    name: str
    """What it is called below /dev/mapper."""
    spec: str
    """The device: ``UUID=…``, ``/dev/…``."""
    key: str
    """The file with its key; empty when there is none."""
    options: tuple[str, ...]

    @property
    def may_be_missing(self) -> bool:
        """Whether boot goes on without it."""
        return bool({"nofail", "noauto"} & set(self.options))

    @property
    def asks(self) -> bool:
        """Whether a person must type something, unless a key lies where systemd looks by itself."""
        names = {option.partition("=")[0] for option in self.options}
        return not self.key and not names & set(_TOKENS)


def parse(text: str) -> tuple[CrypttabEntry, ...]:
    """Entries in the order of their lines; lines with fewer than two fields are ignored, as systemd does."""
    entries = []
    for number, words in fields(text):
        name, spec = words[0], tagged(words[1])
        key = words[2] if len(words) > 2 and words[2] not in ("none", "-") else ""
        options = tuple(words[3].split(",")) if len(words) > 3 else ()
        entries.append(CrypttabEntry(number, name, spec, key, options))
    return tuple(entries)
