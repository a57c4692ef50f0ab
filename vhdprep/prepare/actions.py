"""Remedies performed on the draft: what each kind means, in one ``match``.

Nothing of the guest is executed, and nothing is written: the draft takes the changes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, assert_never

from vhdprep import remedy as kinds
from vhdprep.disk.backend import FileKind
from vhdprep.guest import accounts, boot, unitfiles
from vhdprep.guest.devices import find_volume
from vhdprep.guest.files import GuestFiles
from vhdprep.guest.formats import fstab
from vhdprep.prepare import bootargs, edit, units
from vhdprep.probes.files import find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vhdprep.guest.image import Guest
    from vhdprep.model import Finding
    from vhdprep.prepare.draft import Draft

_PLACE = re.compile(r"(/.*?):(\d+)$")
_LOCKED = "*"
_ESP = "ESP:"
_NEEDED = ("/", "/usr")


class CannotApply(Exception):  # noqa: N818 - a reason in words
    """The remedy cannot be performed on this guest; the message says why."""


class Task(NamedTuple):
    """What an action works on."""

    finding: Finding
    guest: Guest
    draft: Draft

    def edit(self, path: str, change: Callable[[str], str]) -> None:
        """Change a text file that is there."""
        text = self.draft.text(self.guest.files, path)
        if text is None:
            raise CannotApply(f"{path} is not there")
        if (changed := change(text)) != text:
            self.draft.write(self.guest.files, path, changed)

    def paths(self) -> list[str]:
        """Paths that the finding names, without those that are lines or settings of a file."""
        named = dict.fromkeys(each.where for each in self.finding.observations if each.where.startswith("/"))
        return [path for path in named if path not in self.guest.mounts and self._may_go(path)]

    def _may_go(self, path: str) -> bool:
        """Whether something stands there; a directory of the root is never meant as a whole."""
        found = self.guest.files.lstat(path)
        return found is not None and (path.count("/") > 1 or found.kind is not FileKind.DIRECTORY)

    def lines(self) -> Iterator[tuple[str, set[int]]]:
        """Files and the numbers of their lines that the finding names."""
        found: dict[str, set[int]] = {}
        for each in self.finding.observations:
            if (place := _PLACE.match(each.where)) and self.guest.files.lstat(each.where) is None:
                found.setdefault(place[1], set()).add(int(place[2]))
        yield from found.items()


def apply(finding: Finding, guest: Guest, draft: Draft) -> None:
    """Perform the remedy of ``finding`` on the draft.

    Raises:
        CannotApply: it cannot be done on this guest.
        Unreadable: what it needs to see cannot be read.
    """
    if finding.remedy is not None:
        _apply(finding.remedy, Task(finding, guest, draft))


def _apply(remedy: kinds.Remedy, task: Task) -> None:  # noqa: C901 - one case a kind
    guest, draft = task.guest, task.draft
    match remedy:
        case kinds.RemoveFiles():
            _remove(task, [*_matching(task, remedy.patterns), *task.paths()])
            _remove_from_esp(task)
        case kinds.RemoveFoundFiles():
            _remove(task, [*task.paths(), *(path for path, _ in task.lines())])
        case kinds.TruncateFiles():
            _truncate(task, [*_matching(task, remedy.patterns), *task.paths()])
        case kinds.WriteFile():
            draft.write(guest.files, remedy.path, remedy.text if remedy.text.endswith("\n") else f"{remedy.text}\n")
        case kinds.MakeLink():
            draft.link(guest.files, remedy.path, remedy.target)
        case kinds.AppendLine():
            _append(task, remedy.first_present, remedy.line)
        case kinds.SetConfigValue():
            task.edit(remedy.path, lambda text: edit.set_value(text, remedy.key, remedy.value))
        case kinds.SetIniValue():
            task.edit(remedy.path, lambda text: edit.set_ini_value(text, remedy.section, remedy.key, remedy.value))
        case kinds.SetSshOption():
            _set_ssh_option(task, remedy.option, remedy.value)
        case kinds.CommentOutFoundLines():
            for path, numbers in task.lines():
                task.edit(path, lambda text, numbers=numbers: edit.comment_out(text, numbers))  # type: ignore[misc]
            _remove(task, task.paths())
        case kinds.BlankFoundLines():
            for path, numbers in task.lines():
                task.edit(path, lambda text, numbers=numbers: edit.blank(text, numbers))  # type: ignore[misc]
            _remove(task, task.paths())
        case kinds.NameFoundVolumes():
            _name_volumes(task)
        case kinds.NameRootByUuid():
            _name_root(task)
        case kinds.AddMountOption():
            _add_mount_option(task, remedy.option)
        case kinds.SetKernelArguments():
            bootargs.change(guest, draft, remedy.add, remedy.remove)
        case kinds.EnableSystemdUnit():
            _enable(task, remedy.first_present, only_first=True)
        case kinds.EnableSystemdUnits():
            _enable(task, remedy.units, only_first=False)
        case kinds.DisableSystemdUnits():
            for name in remedy.units:
                units.disable(guest, draft, name)
        case kinds.AddUnitSettings():
            _add_unit_settings(task, remedy.first_present, remedy.name, remedy.text)
        case kinds.LockPassword():
            _lock(task, [remedy.account])
        case kinds.LockFoundPasswords():
            _lock(task, [each.name for each in accounts.accounts(guest) if each.place in {seen.where for seen in task.finding.observations}])
        case kinds.SetRegistryValue() | kinds.RemoveRegistryValue() | kinds.RemoveRegistryKey() | kinds.SetRegistryValues():
            _edit_keys(task)
        case kinds.RemoveFoundKeys():
            _remove(task, [*task.paths(), *(path for path, _ in task.lines())])
            _edit_keys(task)
        case kinds.StartFoundServices() | kinds.EnableFirewallRules():
            _edit_keys(task)
        case kinds.ConvertVhd():
            return  # the copy is what it asks for
        case kinds.Manual():
            raise CannotApply("it takes a person")
        case _:
            assert_never(remedy)


def _matching(task: Task, patterns: Sequence[str]) -> list[str]:
    """Paths that match, what lies above the root of no volume left out."""
    found = dict.fromkeys(path for pattern in patterns for path in find(task.guest, pattern))
    return [path for path in found if path.strip("/") and path not in task.guest.mounts]


def _remove(task: Task, paths: Sequence[str]) -> None:
    for path in paths:
        task.draft.remove(task.guest.files, path)


def _remove_from_esp(task: Task) -> None:
    """What the finding names on the EFI system partition, mounted or not."""
    named = [each.where[len(_ESP) :] for each in task.finding.observations if each.where.startswith(_ESP)]
    if task.guest.esp is not None and named:
        for path in named:
            task.draft.remove(GuestFiles(task.guest.esp), path)
        task.guest.files.forget()


def _truncate(task: Task, paths: Sequence[str]) -> None:
    files = task.guest.files
    for path in paths:
        found = files.stat(path)
        if found is not None and found.kind is FileKind.FILE and found.size:
            task.draft.write(files, path, "")


def _set_ssh_option(task: Task, option: str, value: str) -> None:
    """Where sshd takes the option from now, else at the beginning of its own file."""
    from vhdprep.guest import ssh

    _, place = ssh.options(task.guest).get(option.lower(), ("", ""))
    found = _PLACE.match(place)
    main = next((each for each in ssh.FILES if task.guest.files.is_file(each)), ssh.FILES[0])
    task.edit(found[1] if found else main, lambda text: edit.set_ssh_option(text, option, value))


def _name_volumes(task: Task) -> None:
    for path, numbers in task.lines():
        text = task.draft.text(task.guest.files, path) or ""
        for number, words in fstab.fields(text):
            if number not in numbers:
                continue
            volume = find_volume(words[0], task.guest.volumes)
            if volume is None or not volume.uuid:
                raise CannotApply(f"{path}:{number}: which volume of this image {words[0]} is, is not known")
            if sum(each.uuid == volume.uuid for each in task.guest.volumes) > 1:
                raise CannotApply(f"{path}:{number}: two volumes have the UUID {volume.uuid}")
            text = edit.replace_field(text, number, 0, f"UUID={volume.uuid}")
        task.draft.write(task.guest.files, path, text)


def _name_root(task: Task) -> None:
    guest = task.guest
    volume = boot.root_volume(guest)
    if volume is None or not volume.uuid:
        raise CannotApply("which volume of this image is the root, or its UUID, is not known")
    if not boot.default_entry(guest).initrds:
        raise CannotApply("the entry has no initramfs, and the kernel alone finds no UUID")
    bootargs.name_root(guest, task.draft, f"UUID={volume.uuid}")


def _append(task: Task, paths: Sequence[str], line: str) -> None:
    for path in paths:
        if task.guest.files.is_file(path):
            task.edit(path, lambda text: text + ("" if text.endswith("\n") or not text else "\n") + f"{line}\n")
            return
    raise CannotApply(f"none of {', '.join(paths)} is there")


def _add_mount_option(task: Task, option: str) -> None:
    for path, numbers in task.lines():
        text = task.draft.text(task.guest.files, path) or ""
        for number, words in fstab.fields(text):
            if number in numbers and words[1] in _NEEDED:
                raise CannotApply(f"{path}:{number}: without {words[1]} the system does not start")
            if number in numbers and len(words) > 3:
                text = edit.replace_field(text, number, 3, f"{words[3]},{option}")
            elif number in numbers:
                raise CannotApply(f"{path}:{number}: the line has no options")
        task.draft.write(task.guest.files, path, text)


def _enable(task: Task, names: Sequence[str], *, only_first: bool) -> None:
    done = 0
    for name in names:
        if units.enable(task.guest, task.draft, name):
            done += 1
            if only_first:
                return
    if not done:
        raise CannotApply(f"none of {', '.join(names)} is installed as a unit of systemd that can be enabled")


def _add_unit_settings(task: Task, names: Sequence[str], file: str, text: str) -> None:
    for name in names:
        unit = unitfiles.find(task.guest, name)
        if unit is not None and not unit.masked:
            task.draft.write(task.guest.files, f"/etc/systemd/system/{name}.d/{file}", text)
            return
    raise CannotApply(f"none of {', '.join(names)} is installed as a unit of systemd")


def _lock(task: Task, names: Sequence[str]) -> None:
    """The second field of shadow, or of passwd where the hash stands there."""
    guest = task.guest
    known = {each.name: each for each in accounts.accounts(guest)}
    for name in names:
        if name not in known:
            raise CannotApply(f"there is no account {name}")
        path = known[name].place.rpartition(":")[0]
        task.edit(path, lambda text, name=name: edit.set_fields(text, name, {1: _LOCKED}))  # type: ignore[misc]


def _edit_keys(task: Task) -> None:
    from vhdprep.prepare import keyactions  # late: of no use to a Linux guest

    for hive, change in keyactions.edits(task.finding, task.guest):
        task.draft.edit_key(task.guest.files, hive, change)
