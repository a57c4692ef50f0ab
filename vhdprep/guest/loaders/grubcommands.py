"""The commands of GRUB on which the default entry may depend; each gives its success, None = not known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest import bootfiles
from vhdprep.guest.loaders.grubwords import environment, search_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from vhdprep.guest.bootfiles import BootFile
    from vhdprep.guest.loaders.grubmachine import Machine


class Load(NamedTuple):
    """What an entry loads."""

    kernel: BootFile
    options: str
    initrds: tuple[BootFile, ...] = ()


def _return(machine: Machine, words: list[str], where: str) -> bool:
    machine.stop()
    return not words or words[0] == "0"


def _exit(machine: Machine, words: list[str], where: str) -> bool:
    raise Unreadable(f"{where}: GRUB leaves its place to the firmware's next boot entry")


def _unset(machine: Machine, words: list[str], where: str) -> bool:
    for word in words:
        machine.variables.pop(word, None)
    return True


def _load_env(machine: Machine, words: list[str], where: str) -> bool:
    named = words[words.index("-f") + 1] if "-f" in words[:-1] else f"{machine.variables.get('prefix') or ''}/grubenv"
    file = machine.find(named)
    if file.spot is None:
        return False
    found = environment(file.spot.files.text(file.spot.path) or "")
    only = [word for word in words if not word.startswith("-") and word != named]
    machine.variables.update({key: value for key, value in found.items() if not only or key in only})
    return True


def _search(machine: Machine, words: list[str], where: str) -> bool | None:
    name, variable, kind = search_words(words)
    if name is None or not machine.guest.volumes:
        return None
    device = _with_file(machine, name) if kind == "file" else bootfiles.search(machine.guest, name, by_partition=kind == "partition")
    if device is None:
        machine.variables[variable] = None
        return None
    found = not device.startswith("missing/")
    machine.unfound += [] if found else [name]
    if found or not machine.variables.get(variable):
        machine.variables[variable] = device
    return found


def _search_key(machine: Machine, words: list[str], where: str) -> bool | None:
    return _search(machine, [f"--set={words[1] if len(words) > 1 else 'root'}", *words[:1]], where)


def _search_file(machine: Machine, words: list[str], where: str) -> bool | None:
    return _search(machine, [f"--set={words[1] if len(words) > 1 else 'root'}", "--file", *words[:1]], where)


def _with_file(machine: Machine, path: str) -> str | None:
    """The one device that has a file; None = several have."""
    found = []
    for volume in machine.guest.volumes:
        files = bootfiles.volume_files(machine.guest, volume)
        if files is not None and files.is_file(path):
            found.append(f"volume/{volume.id}")
    return found[0] if len(found) == 1 else None if found else f"missing/{path}"


def _next_slot(machine: Machine, words: list[str], where: str) -> bool:
    """Flatcar's: the partition that is to be booted next, by the priorities of ChromeOS."""
    options = dict(zip(words[::2], words[1::2], strict=False))
    chosen = max(machine.guest.volumes, key=lambda volume: volume.boot_priority, default=None)
    if chosen is None or not chosen.boot_priority:
        return False
    found = {"-d": f"volume/{chosen.id}", "-u": chosen.part_uuid}
    machine.variables.update({options[each]: value for each, value in found.items() if each in options})
    return True


def _source(machine: Machine, words: list[str], where: str) -> bool:
    return bool(words) and machine.run_file(machine.find(words[0]))


def _configfile(machine: Machine, words: list[str], where: str) -> bool:
    if not words:
        return False
    file = machine.find(words[0])
    if file.spot is not None:
        machine.follow(file, words[0].rpartition("/")[0])
    else:
        machine.lost = words[0]
    return file.spot is not None


def _linux(machine: Machine, words: list[str], where: str) -> bool:
    if not words:
        return False
    options = " ".join(f'"{word}"' if " " in word else word for word in words[1:])
    machine.load = Load(machine.find(words[0]), options)
    return machine.load.kernel.spot is not None


def _initrd(machine: Machine, words: list[str], where: str) -> bool:
    if machine.load is not None:
        named = (word.split(":", 2)[-1] if word.startswith("newc:") else word for word in words if not word.startswith("--"))
        machine.load = machine.load._replace(initrds=tuple(machine.find(word) for word in named))
    return True


def _chainloader(machine: Machine, words: list[str], where: str) -> bool:
    machine.load = None
    return True


def _blscfg(machine: Machine, words: list[str], where: str) -> bool:
    from vhdprep.guest.loaders import grubbls  # late: most distributions have none

    machine.items += grubbls.items(machine, words)
    return True


COMMANDS: dict[str, Callable[[Machine, list[str], str], bool | None]] = {
    "false": lambda *_: False,
    "keystatus": lambda *_: False,  # nobody holds a key down
    "sleep": lambda *_: True,  # nor interrupts it
    "return": _return,
    "exit": _exit,
    "unset": _unset,
    "load_env": _load_env,
    "search": _search,
    "search.fs_uuid": _search_key,
    "search.fs_label": _search_key,
    "search.file": _search_file,
    "source": _source,
    ".": _source,
    "configfile": _configfile,
    "normal": _configfile,
    "linux": _linux,
    "linux16": _linux,
    "linuxefi": _linux,
    "initrd": _initrd,
    "initrd16": _initrd,
    "initrdefi": _initrd,
    "gptprio.next": _next_slot,
    "chainloader": _chainloader,
    "multiboot": _chainloader,
    "multiboot2": _chainloader,
    "blscfg": _blscfg,
    "bls_import": _blscfg,
}
