"""What a configuration file says after a change: text in, text out. Comments, order and line ends stay as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

_VALUE = r"""(?:"[^"\n]*"|'[^'\n]*'|[^\n\r]*?)"""
_GRUB_LINE = re.compile(r"\s*(?:linux|linux16|linuxefi|kernel)\s")
_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*'|["'])+""")
_DEFAULT_NAME = re.compile(r"\s*(?:export\s+)?GRUB_CMDLINE_LINUX\w*\+?=")
_DEFAULT = re.compile(rf"""({_DEFAULT_NAME.pattern})("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s#"'\\;]*)(\s*(?:#.*)?\r?\n?)$""")
GRUBENV_SIZE = 1024
"""GRUB writes its environment block in place and never lets it grow."""


def pieces(text: str) -> list[str]:
    """The lines with their ends; only a line feed ends one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def set_value(text: str, key: str, value: str) -> str:
    """``KEY=value``: where the last line that sets it stands, else below a comment that shows it, else at the end."""
    lines = pieces(text)
    active = re.compile(rf"(\s*(?:export\s+)?{re.escape(key)}\s*=\s*)({_VALUE})(\s+#.*|\s*)(\r?\n?)$")
    for at in reversed(range(len(lines))):
        if found := active.match(lines[at]):
            lines[at] = f"{found[1]}{value}{found[3]}{found[4]}"
            return "".join(lines)
    shown = re.compile(rf"\s*#\s*{re.escape(key)}\s*=")
    place = next((at + 1 for at, line in enumerate(lines) if shown.match(line)), len(lines))
    return _insert(lines, place, f"{key}={value}")


def set_ini_value(text: str, section: str, key: str, value: str) -> str:
    """The same within ``[section]``, which is made at the end where it is missing."""
    lines = pieces(text)
    start = next((at for at, line in enumerate(lines) if line.strip() == f"[{section}]"), None)
    if start is None:
        gap = "\n" if lines and lines[-1].strip() else ""
        return _insert(lines, len(lines), f"{gap}[{section}]\n{key}={value}")
    end = next((at for at in range(start + 1, len(lines)) if lines[at].lstrip().startswith("[")), len(lines))
    inside = set_value("".join(lines[start + 1 : end]), key, value)
    return "".join(lines[: start + 1]) + inside + ("" if inside.endswith("\n") or end == len(lines) else "\n") + "".join(lines[end:])


def set_ssh_option(text: str, keyword: str, value: str) -> str:
    """``Keyword value`` where the first line outside Match sets it, else before everything that sshd reads: the first value counts."""
    lines = pieces(text)
    for at, line in enumerate(lines):
        words = line.replace("=", " ", 1).split()
        if words and words[0].lower() == "match":
            break
        if words and words[0].lower() == keyword.lower():
            lines[at] = f"{keyword} {value}" + _end(line)
            return "".join(lines)
    place = next((at for at, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), len(lines))
    return _insert(lines, place, f"{keyword} {value}")


def comment_out(text: str, numbers: Collection[int]) -> str:
    """The text with a ``#`` before these lines, counted from 1, and before what belongs to them; comments and empty lines stay."""
    out, at = [], 0
    for whole in _logical_lines(text):
        is_meant = any(at + number in numbers for number in range(1, len(whole) + 1))
        out += [f"# {line}" if is_meant and line.strip() and not line.lstrip().startswith("#") else line for line in whole]
        at += len(whole)
    return "".join(out)


def blank(text: str, numbers: Collection[int]) -> str:
    """The text with nothing in these lines, counted from 1, and in what belongs to them; the others keep their numbers, which findings name."""
    out, at = [], 0
    for whole in _logical_lines(text):
        is_meant = any(at + number in numbers for number in range(1, len(whole) + 1))
        out += [line[len(line.rstrip("\r\n")) :] if is_meant else line for line in whole]
        at += len(whole)
    return "".join(out)


def set_fields(text: str, name: str, fields: dict[int, str]) -> str:
    """Records of colons such as shadow(5): fields (from 0) of every record that begins with ``name``."""
    lines = pieces(text)
    for at, line in enumerate(lines):
        parts = line.rstrip("\r\n").split(":")
        if parts[0].strip() == name and len(parts) > max(fields):
            lines[at] = ":".join(fields.get(number, part) for number, part in enumerate(parts)) + _end(line)
    return "".join(lines)


def remove_records(text: str, name: str) -> str:
    """Records of colons without those of ``name``."""
    return "".join(line for line in pieces(text) if line.partition(":")[0].strip() != name or ":" not in line)


def remove_member(text: str, name: str) -> str:
    """group(5) and gshadow(5) without ``name`` among the members; the group that is its own goes when nobody else is in it."""
    kept = []
    for line in pieces(text):
        parts = line.rstrip("\r\n").split(":")
        if len(parts) == 4:
            for at in (2, 3) if not parts[2].isdecimal() else (3,):
                parts[at] = ",".join(each for each in parts[at].split(",") if each != name)
            if parts[0] == name and not parts[3]:
                continue
            line = ":".join(parts) + _end(line)
        kept.append(line)
    return "".join(kept)


def remove_grants(text: str, name: str) -> str:
    """A file of sudoers without the lines that begin with ``name``."""
    return "".join(line for whole in _logical_lines(text) if whole[0].split()[:1] != [name] for line in whole)


def replace_field(text: str, number: int, field: int, value: str) -> str:
    """Field (from 0) of blank-separated line ``number``, the blanks kept."""
    lines = pieces(text)
    parts = re.split(r"(\s+)", lines[number - 1])
    at = 2 * field + (2 if parts[0] == "" else 0)
    if at < len(parts):
        parts[at] = value
    lines[number - 1] = "".join(parts)
    return "".join(lines)


def arguments(line: str, add: Sequence[str], remove: Sequence[str]) -> str:
    """A kernel command line with ``add`` at its end and without ``remove``: names, or ``name=value`` for exactly that one."""
    kept = [word for word in _WORD.findall(line) if not any(_is_argument(word, each) for each in remove)]
    return " ".join([*kept, *(each for each in add if each not in kept)])


def set_default_arguments(text: str, add: Sequence[str], remove: Sequence[str]) -> str:
    """``/etc/default/grub``: added to GRUB_CMDLINE_LINUX, removed from every variable whose name begins so.

    Raises:
        ValueError: a line goes on in the next one, or is no one quoted text.
    """
    lines, added = pieces(text), False
    last = max((at for at, each in enumerate(lines) if re.match(r"\s*(?:export\s+)?GRUB_CMDLINE_LINUX\+?=", each)), default=None)
    for at, each in enumerate(lines):
        if not _DEFAULT_NAME.match(each):
            continue
        found = _DEFAULT.match(each)
        if found is None:
            raise ValueError(f"line {at + 1} is quoted in a way that is not edited here")
        is_quoted = found[2][:1] in ('"', "'")
        quote, inner = (found[2][0], found[2][1:-1]) if is_quoted else ('"', found[2])
        changed = arguments(inner, add if at == last else (), remove)
        added = added or at == last
        if changed != " ".join(_WORD.findall(inner)):
            blank = " " if found[1].endswith("+=") else ""
            lines[at] = f"{found[1]}{quote}{blank}{changed}{quote}{found[3]}"
    if add and not added:
        return _insert(lines, len(lines), f'GRUB_CMDLINE_LINUX="{" ".join(add)}"')
    return "".join(lines)


def set_menu_arguments(text: str, add: Sequence[str], remove: Sequence[str]) -> str:
    """grub.cfg: every ``linux`` line; the command and the kernel before the arguments stay."""

    def change(line: str) -> str:
        if not _GRUB_LINE.match(line):
            return line
        found = re.match(r"(\s*\S+\s+\S+)(.*)$", line.rstrip("\r\n"))
        return line if found is None else _with_arguments(found[1], found[2], add, remove) + _end(line)

    return _each_line(text, change)


def set_entry_arguments(text: str, add: Sequence[str], remove: Sequence[str], word: str = "options") -> str:
    """A boot entry of the Boot Loader Specification, or with ``word`` ``append`` EXTLINUX's menu: every such line."""

    def change(line: str) -> str:
        found = re.match(rf"(?i)(\s*{word})(\s.*)?$", line.rstrip("\r\n"))
        return line if found is None else _with_arguments(found[1], found[2] or "", add, remove) + _end(line)

    return _each_line(text, change)


def set_environment(text: str, name: str, change: Callable[[str], str]) -> str:
    """GRUB's environment block: a variable changed, the block as long as it was.

    Raises:
        ValueError: it has no such variable, or would be too long.
    """
    found = re.search(rf"(?m)^{re.escape(name)}=(.*)$", text)
    if found is None:
        raise ValueError(f"the environment block has no {name}")
    return fit_environment(text[: found.start(1)] + change(found[1]) + text[found.end(1) :])


def fit_environment(text: str) -> str:
    """GRUB's environment block after a change, as long as GRUB wants it.

    Raises:
        ValueError: it is longer.
    """
    body = text.rstrip("#").encode("utf-8", "surrogateescape")
    if len(body) > GRUBENV_SIZE:
        raise ValueError("the environment block is full")
    return body.ljust(GRUBENV_SIZE, b"#").decode("utf-8", "surrogateescape")


def _logical_lines(text: str) -> Iterator[list[str]]:
    """Lines, each with those that a backslash at its end joins to it."""
    whole: list[str] = []
    for line in pieces(text):
        whole.append(line)
        if not line.rstrip("\r\n").endswith("\\") or whole[0].lstrip().startswith("#"):
            yield whole
            whole = []
    if whole:
        yield whole


def _with_arguments(head: str, line: str, add: Sequence[str], remove: Sequence[str]) -> str:
    changed = arguments(line, add, remove)
    return head + line if changed == " ".join(_WORD.findall(line)) else f"{head} {changed}".rstrip()


def _each_line(text: str, change: Callable[[str], str]) -> str:
    return "".join(change(line) for line in pieces(text))


def _is_argument(word: str, wanted: str) -> bool:
    return word == wanted or ("=" not in wanted and word.partition("=")[0] == wanted)


def _insert(lines: list[str], at: int, line: str) -> str:
    end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    if at and not lines[at - 1].endswith("\n"):
        lines[at - 1] += end
    return "".join([*lines[:at], line + end, *lines[at:]])


def _end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
