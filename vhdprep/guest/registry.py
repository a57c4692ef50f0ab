r"""The registry of a Windows guest as its programs see it: ``HKLM\SYSTEM\CurrentControlSet\…`` over hive files.

A path begins with ``HKLM`` and a hive, or with a hive file of the guest: ``/Users/Default/NTUSER.DAT\Software``. The
boot configuration is where Windows shows it too: ``HKLM\BCD00000000``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from vhdprep.disk.backend import fold_case
from vhdprep.errors import Unreadable
from vhdprep.guest.files import GuestFiles
from vhdprep.model import ABSENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vhdprep.disk.backend import Files
    from vhdprep.model import Value

_CONFIG = "System32/config"
_HIVES = {"SYSTEM": "Select", "SOFTWARE": "Microsoft", "SAM": "SAM", "SECURITY": "Policy"}
"""Hives of HKLM, each with a key that shows that it is the one."""
BOOT_STORE = "BCD00000000"
DEFAULT = "(default)"
"""How people write the value without a name."""
_EFI_STORE, _BIOS_STORE = "/EFI/Microsoft/Boot/BCD", "/Boot/BCD"


class Key(Protocol):
    """A key of a hive, or of plain values that stand for one."""

    @property
    def name(self) -> str:
        """As stored."""
        ...

    def subkey(self, name: str) -> Key | None:
        """The key below that is called ``name``, without regard to case."""
        ...

    def subkeys(self) -> Iterator[Key]:
        """The keys below."""
        ...

    def value(self, name: str) -> Value:
        """The value ``name``, without regard to case; an empty name is the default value."""
        ...

    def values(self) -> Iterator[tuple[str, Value]]:
        """Every value with its name."""
        ...


class Registry:
    """Keys by their path; every hive is opened once, when it is first asked for.

    A look-up raises ``Unreadable`` when the hive, or what lies on the way to the key, cannot be read.
    """

    def __init__(self, open_root: Callable[[str], Key | None]) -> None:
        """``open_root`` gives the root key of ``SYSTEM``, ``SOFTWARE`` … or of a hive file; None = there is none."""
        self._open_root = open_root
        self._roots: dict[str, Key | Unreadable | None] = {}
        self._keys: dict[str, Key | None] = {}

    def key(self, path: str) -> Key | None:
        """The key at ``path``; None = there is none."""
        if path not in self._keys:
            parent, _, name = path.rpartition("\\")
            if parent.upper() in ("", "HKLM"):
                self._keys[path] = self._root(name)
            else:
                above = self.key(parent)
                if path.upper() == r"HKLM\SYSTEM\CURRENTCONTROLSET":
                    name = self._control_set()
                self._keys[path] = None if above is None else above.subkey(name)
        return self._keys[path]

    def value(self, path: str, name: str) -> Value:
        """The value ``name`` of the key at ``path``; ``ABSENT`` when either is missing."""
        key = self.key(path)
        return ABSENT if key is None else key.value(name)

    @property
    def unread(self) -> tuple[str, ...]:
        """Why hives that were asked for could not be read."""
        return tuple(str(root) for root in self._roots.values() if isinstance(root, Unreadable))

    def _root(self, name: str) -> Key | None:
        """A hive's root; a hive that cannot be read is tried once."""
        if name not in self._roots:
            try:
                self._roots[name] = self._open_root(name)
            except Unreadable as error:
                self._roots[name] = error
        root = self._roots[name]
        if isinstance(root, Unreadable):
            raise Unreadable(str(root)) from root
        return root

    def _control_set(self) -> str:
        """The control set that Windows starts with: ``CurrentControlSet`` exists only while it runs."""
        number, following = (self.value(r"HKLM\SYSTEM\Select", name) for name in ("Current", "Default"))
        if type(number) is not int:
            raise Unreadable(r"HKLM\SYSTEM\Select\Current is missing, so the current control set is not known")
        if following not in (number, ABSENT):
            raise Unreadable(rf"HKLM\SYSTEM\Select: Windows last started with control set {number}, and is to start with another (Default)")
        name = f"ControlSet{number:03}"
        if self.key(rf"HKLM\SYSTEM\{name}") is None:
            raise Unreadable(rf"HKLM\SYSTEM\{name} is missing, which HKLM\SYSTEM\Select\Current names")
        return name


def open_registry(files: GuestFiles, esp: Files | None = None, active: Files | None = None, directory: str = "/Windows") -> Registry:
    """The registry in the hive files of the Windows in ``directory``.

    ``esp`` is the EFI system partition, ``active`` the one that a BIOS starts from: one of them holds the boot store.
    """
    from vhdprep.guest.hive import open_hive  # late: of no use to a Linux guest

    stores = [(GuestFiles(each), path) for each, path in ((esp, _EFI_STORE), (active, _BIOS_STORE)) if each is not None]

    def open_root(name: str) -> Key | None:
        if name.startswith("/"):
            return open_hive(files, name)
        if name.upper() == BOOT_STORE:
            found = next(((tree, path) for tree, path in stores if tree.is_file(path)), None)
            return None if found is None else open_hive(*found, "Objects")
        if name.upper() not in _HIVES:
            raise Unreadable(f"{name}: no hive is called so; HKLM has {', '.join(_HIVES)} and {BOOT_STORE}")
        return open_hive(files, f"{directory}/{_CONFIG}/{name.upper()}", _HIVES[name.upper()])

    return Registry(open_root)


def binary(value: Value) -> bytes:
    """The bytes of a binary value, which is kept as hexadecimal text; none of any other."""
    try:
        return bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        return b""


class MemoryKey:
    """A key of plain values."""

    def __init__(self, name: str) -> None:
        """An empty key."""
        self.name = name
        self.content: dict[str, Value] = {}
        self.reason: str | None = None
        """Why it cannot be read."""
        self._below: dict[str, MemoryKey] = {}

    def subkey(self, name: str) -> MemoryKey | None:
        """The key below that is called ``name``."""
        self._refuse()
        return self._below.get(fold_case(name))

    def subkeys(self) -> Iterator[MemoryKey]:
        """The keys below."""
        self._refuse()
        return iter(self._below.values())

    def value(self, name: str) -> Value:
        """The value ``name``."""
        return next((value for each, value in self.values() if fold_case(each) == fold_case(name)), ABSENT)

    def values(self) -> Iterator[tuple[str, Value]]:
        """Every value with its name."""
        self._refuse()
        return iter(self.content.items())

    def make(self, path: str) -> MemoryKey:
        """The key at ``path`` below this one; what is missing on the way is made."""
        key = self
        for name in path.split("\\"):
            key = key._below.setdefault(fold_case(name), MemoryKey(name))
        return key

    def _refuse(self) -> None:
        if self.reason:
            raise Unreadable(self.reason)


def memory_registry(content: Mapping[str, Mapping[str, Any] | None], unreadable: Sequence[str] = ()) -> Registry:
    """A registry of ``key path → name → value``, for the examples of rules; control set 1 is the current one.

    A list stands for a list of texts, ``(default)`` for the value without a name, no values at all for an empty key.
    Keys at or below one of ``unreadable`` raise ``Unreadable``; paths of files among these do not matter here.
    """
    top = MemoryKey("HKLM")
    for hive, mark in _HIVES.items():
        top.make(f"{hive}\\{mark}")
    top.make("SYSTEM\\Select").content["Current"] = 1
    top.make("SYSTEM\\ControlSet001")
    for path, values in content.items():
        plain = {name: tuple(value) if isinstance(value, list) else value for name, value in (values or {}).items()}
        top.make(_stored(path)).content.update({"" if name == DEFAULT else name: value for name, value in plain.items()})
    for path in unreadable:
        if path.startswith("HKLM"):
            top.make(_stored(path)).reason = f"{path}: cannot be read (as this example says)"
    return Registry(top.make)


def _stored(path: str) -> str:
    """Where a key lies in its hive file."""
    return path.removeprefix("HKLM\\").replace("SYSTEM\\CurrentControlSet", "SYSTEM\\ControlSet001", 1)
