"""Runs a grub.cfg as far as the default entry depends on it: variables, conditions, files; no command does anything else.

What only the running machine can know stays unknown, and is refused where the entry depends on it.
Sources: GRUB 2.06 ``grub-core/{script,normal,commands}``, ``util/grub.d``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest import bootfiles
from vhdprep.guest.formats import grubscript
from vhdprep.guest.formats.grubscript import Block, Command, If, Unknown, expand
from vhdprep.guest.formats.grubtest import evaluate
from vhdprep.guest.loaders.grubcommands import COMMANDS, Load
from vhdprep.guest.loaders.grubmenu import Item, arguments
from vhdprep.guest.loaders.grubwords import ASSIGNMENT, commands, set_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vhdprep.guest.bootfiles import BootFile, Spot
    from vhdprep.guest.formats.grubscript import Statement
    from vhdprep.guest.image import Guest

MAX_STEPS = 200_000
"""Commands that one configuration may run."""
MAX_VALUE = 64 * 1024
"""Characters of a variable."""
MAX_DEPTH = 20
"""Files and functions that may be entered from one another."""

_FEATURES = (
    "feature_menuentry_id", "feature_platform_search_hint", "feature_default_font_path", "feature_all_video_module", "feature_menuentry_options",
    "feature_chainloader_bpb", "feature_ntldr", "feature_nativedisk_cmd", "feature_timeout_style", "feature_200_final",
)  # fmt: skip
_DECIDING = {"linux", "linux16", "linuxefi", "initrd", "initrd16", "initrdefi", "chainloader", "configfile", "normal", "source", ".", "blscfg",
             "bls_import", "load_env", "search", "search.fs_uuid", "search.fs_label", "search.file", "menuentry", "submenu", "exit"}  # fmt: skip
"""Commands on which the entry may depend."""


class Machine:
    """The state of GRUB while it runs a script."""

    def __init__(self, guest: Guest, variables: Mapping[str, str | None]) -> None:
        """``variables``: ``root``, ``prefix``, ``grub_platform`` and whatever was exported."""
        self.guest = guest
        self.variables: dict[str, str | None] = {**dict.fromkeys(_FEATURES, "y"), **variables}
        self.items: list[Item] = []
        self.load: Load | None = None
        self.following: tuple[BootFile, Machine] | None = None
        """The configuration that takes this one's place."""
        self.lost: str | None = None
        """A configuration that should take this one's place and is not there."""
        self.unfound: list[str] = []
        """What was searched for in vain."""
        self._functions: dict[str, tuple[Block, str]] = {}
        self._steps = self._depth = 0
        self._returning = False

    def run(self, block: Block, place: str) -> bool | None:
        """Run a script; gives its last command's success, None = not known.

        Raises:
            Unreadable: it cannot be told what GRUB would do, or GRUB would not take it.
        """
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable(f"{place}: more than {MAX_DEPTH} files and functions call one another")
        status = self._run(grubscript.parse(block, place), place)
        self._depth -= 1
        self._returning = False
        return status

    def run_file(self, file: BootFile) -> bool:
        """Run a configuration file; False = it is not there."""
        if file.spot is None:
            return False
        self.run(Block(file.text(), 1), file.spot.shown)
        return True

    def find(self, named: str) -> BootFile:
        """The file that GRUB finds under a name such as ``/vmlinuz`` or ``(hd0,gpt2)/vmlinuz``."""
        device, path = self._split(named)
        return bootfiles.find(self.guest, device, path, path)

    def spots(self, named: str) -> list[Spot]:
        """Where the directory or file of that name may be."""
        return bootfiles.spots(self.guest, *self._split(named))

    def words(self, written: Iterable[str], where: str) -> list[str]:
        """Words as GRUB hands them to a command on which the entry depends."""
        try:
            return [word for each in written for word in expand(each, self.variables)]
        except Unknown as unknown:
            raise Unreadable(f"{where}: the value of ${unknown} is known only to the running machine") from unknown

    def _split(self, named: str) -> tuple[str | None, str]:
        if named.startswith("("):
            device, _, path = named[1:].partition(")")
            return device or None, path
        root = self.variables.get("root", "")
        if root is None:
            raise Unreadable(f"which device the boot loader reads {named} from is known only to the running machine")
        return root or None, named

    def _run(self, statements: Iterable[Statement], place: str) -> bool | None:
        status: bool | None = True
        for each in statements:
            if self.following is not None or self._returning:
                break
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise Unreadable(f"{place}: more than {MAX_STEPS} commands are run")
            if isinstance(each, Command):
                status = self._command(each, place)
            elif isinstance(each, If):
                status = self._branch(each, place)
            elif each.name is None:
                self._give_up(each, place)
            else:
                for word in self.words(each.words, f"{place}:{each.line}"):
                    self.variables[each.name] = word
                    status = self._run(each.body, place)
            self.variables["?"] = None if status is None else "0" if status else "1"
        return status

    def _branch(self, each: If, place: str) -> bool | None:
        for condition, body in each.branches:
            holds = self._run(condition, place)
            if holds is None:
                self._give_up(each, place)
                return None
            if holds:
                return self._run(body, place)
        return True

    def _give_up(self, statement: Statement, place: str) -> None:
        """Leave out what may or may not be run: variables that it sets are not known from here on, and items that it adds are doubtful.

        Raises:
            Unreadable: the entry may depend on more of it than that.
        """
        waiting, entered = [*commands([statement])], set()
        while waiting:
            each = waiting.pop()
            name = each.words[0]
            if name in ("menuentry", "submenu") and each.block is not None:
                self.items += (item._replace(doubtful=True) for item in self._item(each, place))
                continue
            if name in _DECIDING:
                raise Unreadable(f"{place}:{statement.line}: whether GRUB runs `{name}` there is known only to the running machine")
            if name in self._functions and name not in entered:
                entered.add(name)
                waiting += commands(grubscript.parse(*self._functions[name]))
            for variable in set_by(each):
                self.variables[variable] = None

    def _command(self, each: Command, place: str) -> bool | None:
        where = f"{place}:{each.line}"
        name = " ".join(self.words(each.words[:1], where)) if "$" in each.words[0] else each.words[0]
        if name == "function" and each.block is not None:
            self._functions[each.words[1]] = each.block, place
            return True
        if name in ("menuentry", "submenu") and each.block is not None:
            self.items += self._item(each, place)
            return True
        if name in ("[", "test"):
            return self._test(each.words[1:], where)
        if name in self._functions:
            return self.run(*self._functions[name])
        if name in COMMANDS:
            return COMMANDS[name](self, self.words(each.words[1:], where), where)
        return self._assign(each, name, place)

    def _assign(self, each: Command, name: str, place: str) -> bool | None:
        """A variable is set, or the command is none that matters."""
        words = each.words[1:] if name == "set" else each.words
        if words and (match := ASSIGNMENT.fullmatch(words[0])):
            try:
                value = " ".join(expand(match[2], self.variables))
            except Unknown:
                value = None
            if value is not None and len(value) > MAX_VALUE:
                raise Unreadable(f"{place}:{each.line}: ${match[1]} becomes longer than {MAX_VALUE} characters")
            self.variables[match[1]] = value
            return True
        if name == "set":
            return True
        for variable in set_by(each):
            self.variables[variable] = None
        return True if name in ("insmod", "export", "echo", "true", "save_env", "load_video") else None

    def _test(self, written: Iterable[str], where: str) -> bool | None:
        try:
            words = [word for each in written for word in expand(each, self.variables)]
        except Unknown:
            return None
        if words and words[-1] == "]":
            words.pop()
        return evaluate(words, lambda kind, path: self._stands(kind, path, where))

    def _stands(self, kind: str, named: str, where: str) -> bool:
        if not named.partition(")")[2 if named.startswith("(") else 0].startswith("/"):
            return False
        for spot in self.spots(named):
            found = spot.files.stat(spot.path)
            if found is not None:
                directory = found.kind == "directory"
                return {"d": directory, "e": True, "f": not directory, "s": found.size > 0 and not directory}[kind]
        return False

    def _item(self, each: Command, place: str) -> list[Item]:
        words = self.words(each.words[1:], f"{place}:{each.line}")
        title, options = arguments(words)
        if title is None or each.block is None:
            return []
        return [Item(title, options.get("id", title), place, each.line, "unrestricted" in options, each.block, is_submenu=each.words[0] == "submenu")]

    def follow(self, file: BootFile, directory: str) -> None:
        """Let another configuration take this one's place, with the few variables that it inherits."""
        kept = {name: self.variables[name] for name in ("root", "prefix", "grub_platform", "superusers") if name in self.variables}
        self.following = file, Machine(self.guest, kept | {"config_directory": directory})

    def stop(self) -> None:
        """Leave the file or function that is being run."""
        self._returning = True
