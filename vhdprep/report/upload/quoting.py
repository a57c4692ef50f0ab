"""Any text as one literal of each language, in one line in which everything can be seen.

File names are the user's and may be anybody's: quotes, newlines, ``$(x)``, ``${x}``, letters that hide or turn text around. Each function
gives a literal that its language reads as exactly this text, of visible characters only: what is shown is what is run.
"""

from __future__ import annotations

import re
import shlex
from itertools import groupby

from vhdprep.report.words import is_visible

_APOSTROPHE = re.compile("(['\u2018\u2019\u201a\u201b])")
"""Each of these ends a single-quoted string of PowerShell (its language specification, "String literals")."""
_BICEP = {"\\": "\\\\", "'": "\\'", "$": "\\$", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_HCL = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def shell(text: str) -> str:
    """For bash and zsh: single quotes, or ``$'…'`` with the bytes of what cannot be seen."""
    if all(map(is_visible, text)):
        return shlex.quote(text)
    return "$'" + "".join(map(_shell_letter, text)) + "'"


def powershell(text: str) -> str:
    """For PowerShell 5 and later: single quotes; what cannot be seen is added by its number (``Data types``, ``about_Quoting_Rules``)."""
    if all(map(is_visible, text)):
        return _apostrophes(text)
    parts = [_apostrophes("".join(run)) if seen else " + ".join(map(_powershell_letter, run)) for seen, run in groupby(text, is_visible)]
    return f"('' + {' + '.join(parts)})"


def bicep(text: str) -> str:
    """A single-quoted string (Bicep's documentation, "Data types", strings)."""
    return "'" + "".join(_BICEP.get(each) or (each if is_visible(each) else f"\\u{{{_scalar(each):x}}}") for each in text) + "'"


def hcl(text: str) -> str:
    """A quoted template that has no template in it (HCL's specification, "Quoted literals"): the mark before a brace goes by its number."""
    text = re.sub(r"[$%](?=\{)", lambda mark: f"\0{mark[0]}", text.replace("\0", "\ufffd"))
    return '"' + re.sub(r"\0(.)|(.)", _hcl_letter, text, flags=re.DOTALL) + '"'


def _shell_letter(letter: str) -> str:
    if letter in "\\'":
        return f"\\{letter}"
    if is_visible(letter):
        return letter
    raw = letter.encode("utf-8", "surrogateescape" if "\udc80" <= letter <= "\udcff" else "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in raw)


def _apostrophes(run: str) -> str:
    return "'" + _APOSTROPHE.sub(r"\1\1", run) + "'"


def _powershell_letter(letter: str) -> str:
    return f"[char]{ord(letter)}" if ord(letter) < 0x10000 else f"[char]::ConvertFromUtf32({ord(letter)})"


def _hcl_letter(match: re.Match[str]) -> str:
    if match[1]:
        return f"\\u{ord(match[1]):04x}"
    letter = match[2]
    return _HCL.get(letter) or (letter if is_visible(letter) else f"\\U{_scalar(letter):08x}")


def _scalar(letter: str) -> int:
    """A byte that is no text in the host's encoding (PEP 383) has no number of its own: it is shown as what cannot be read."""
    return 0xFFFD if 0xD800 <= ord(letter) <= 0xDFFF else ord(letter)
