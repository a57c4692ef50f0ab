"""GRUB's menu: its entries, and which of them is the default (GRUB 2.06 ``grub-core/normal/menu.c``, ``commands/menuentry.c``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.guest.formats.grubscript import Block

_VALUED = ("--class", "--users", "--hotkey", "--id", "--source")


class Item(NamedTuple):
    """A line of the menu."""

    title: str
    id: str
    place: str
    """The file that defines it."""
    line: int
    unrestricted: bool
    """No password is needed, whoever the superusers are."""
    block: Block
    """What is run when it is chosen."""
    is_submenu: bool = False
    doubtful: bool = False
    """Whether it is in the menu is known only to the running machine: GRUB 2.12 asks the firmware before it offers its settings."""


def arguments(words: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """Title and options of a ``menuentry``."""
    title, options = None, {}
    waiting = ""
    for word in words:
        if waiting:
            options[waiting], waiting = word, ""
        elif word in _VALUED:
            waiting = word[2:]
        elif word.startswith("--"):
            name, _, value = word[2:].partition("=")
            options[name] = value
        elif title is None:
            title = word
    return title, options


def choose(items: Sequence[Item], wanted: str) -> tuple[Item | None, str]:
    """The item that ``default`` names by id, title or number, the first one where it names none; and what is left for its submenu.

    Raises:
        Unreadable: that depends on whether a doubtful item is there.
    """
    head, _, rest = re.sub(">>", "\0", wanted).partition(">")
    head, rest = head.replace("\0", ">"), rest.replace("\0", ">>")
    for item in items:
        if head in (item.id, item.title):
            _refuse_doubtful([item])
            return item, rest
    index = int(head) if re.fullmatch(r"[0-9]{1,9}", head) else 0
    index = index if index < len(items) else 0
    _refuse_doubtful(items[: index + 1])
    return (items[index] if items else None), rest


def _refuse_doubtful(items: Sequence[Item]) -> None:
    for item in items:
        if item.doubtful:
            name = "submenu" if item.is_submenu else "menuentry"
            raise Unreadable(f"{item.place}:{item.line}: whether GRUB runs `{name}` there is known only to the running machine")
