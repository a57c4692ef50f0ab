"""The registry of the draft: values set and removed over what the hives hold.

Hives themselves are edited in the copy alone (``editor``); a hive that Windows did not finish writing is left as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.backend import fold_case
from vhdprep.errors import Unreadable
from vhdprep.guest.registry import Registry
from vhdprep.model import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest
    from vhdprep.guest.registry import Key
    from vhdprep.model import Value

_CURRENT = "HKLM\\SYSTEM\\CURRENTCONTROLSET"
_HEAD = 512


class KeyEdit(NamedTuple):
    """One change in a hive."""

    rule: str
    shown: str
    """The key as Windows names it."""
    key: str
    """Its path below the root of the hive."""
    name: str | None
    """The value; None = the key itself."""
    type: str | None = None
    """``dword | sz | expand_sz | multi_sz`` (of one text); None = it is removed."""
    value: str | None = None
    before: str | None = None
    """What stands there; None = nothing."""


class DraftRegistry(Registry):
    """A registry with changes over it."""

    def __init__(self, base: Registry, edits: list[KeyEdit]) -> None:
        """``edits`` may grow; later ones count."""
        super().__init__(lambda name: base.key(f"HKLM\\{name}" if not name.startswith("/") else name))
        self.base, self.edits = base, edits

    def key(self, path: str) -> Key | None:
        """The key at ``path`` as it will be."""
        base = self.base.key(path)
        if not self.edits:
            return base
        mine = fold_case(stored(self.base, path))
        removed = [fold_case(stored(self.base, each.shown)) for each in self.edits if each.name is None]
        if any(mine == each or mine.startswith(f"{each}\\") for each in removed):
            return None
        own = [each for each in self.edits if each.name is not None and fold_case(stored(self.base, each.shown)) == mine]
        made = any(fold_case(stored(self.base, each.shown)).startswith(f"{mine}\\") for each in self.edits if each.type)
        if base is None and not made and not any(each.type for each in own):
            return None
        return _DraftKey(base, path.rpartition("\\")[2], own, self, path)

    @property
    def unread(self) -> tuple[str, ...]:
        """Why hives could not be read."""
        return self.base.unread


class _DraftKey:
    """A key with other values."""

    def __init__(self, base: Key | None, name: str, edits: list[KeyEdit], registry: DraftRegistry, path: str) -> None:
        self._base, self._edits, self._registry, self._path = base, edits, registry, path
        self.name = base.name if base is not None else name

    def subkey(self, name: str) -> Key | None:
        """The key below."""
        return self._registry.key(f"{self._path}\\{name}")

    def subkeys(self) -> Iterator[Key]:
        """Those below that stay."""
        for each in self._base.subkeys() if self._base is not None else ():
            found = self.subkey(each.name)
            if found is not None:
                yield found

    def value(self, name: str) -> Value:
        """The value as it will be."""
        for each in reversed(self._edits):
            if each.name is not None and fold_case(each.name) == fold_case(name):
                return value(each)
        return ABSENT if self._base is None else self._base.value(name)

    def values(self) -> Iterator[tuple[str, Value]]:
        """Every value that there will be."""
        names = dict.fromkeys(name for name, _ in (self._base.values() if self._base is not None else ()))
        known = {fold_case(name) for name in names}
        names |= dict.fromkeys(each.name for each in self._edits if each.name is not None and fold_case(each.name) not in known)
        yield from ((name, value) for name in names if (value := self.value(name)) is not ABSENT)


def stored(registry: Registry, path: str) -> str:
    """``path`` with the control set that Windows starts with in the place of ``CurrentControlSet``."""
    if not path.upper().startswith(_CURRENT) or path.upper()[len(_CURRENT) :][:1] not in ("", "\\"):
        return path
    number = registry.value("HKLM\\SYSTEM\\Select", "Current")
    if type(number) is not int:
        raise Unreadable("which control set Windows starts with is not known")
    return f"HKLM\\SYSTEM\\ControlSet{number:03}" + path[len(_CURRENT) :]


def place(guest: Guest, path: str) -> tuple[str, str]:
    """The hive file that holds a key, and the key's path in it.

    Raises:
        Unreadable: the hive is not edited here, is missing, or was not written to its end.
    """
    from vhdprep.guest import detect_windows
    from vhdprep.guest.formats import regf

    parts = stored(guest.need_registry(), path).split("\\")
    if parts[0].upper() != "HKLM" or parts[1].upper() not in ("SYSTEM", "SOFTWARE", "SECURITY"):
        raise Unreadable(f"{path}: only SYSTEM, SOFTWARE and SECURITY are edited here")
    root, _ = guest.files.locate("")
    directory = detect_windows.find_directory(root) or "/Windows"
    file = f"{directory}/System32/config/{parts[1].upper()}"
    if not guest.files.is_file(file):
        raise Unreadable(f"{file}: the hive is not there")
    base = regf.base_block(guest.files.read(file, _HEAD))
    if base is not None and base.is_dirty:
        raise Unreadable(f"{file}: Windows had not written this hive to its end; start the machine, shut it down, and run again")
    return file, "\\".join(parts[2:])


def words(value: Value) -> str | None:
    """A value in words; None = there is none."""
    if value is ABSENT:
        return None
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def value(edit: KeyEdit) -> Value:
    """What will stand there."""
    if edit.type is None:
        return ABSENT
    if edit.type == "dword":
        return int(edit.value or "0")
    return (str(edit.value),) if edit.type == "multi_sz" else str(edit.value or "")
