"""Text of a guest as it may be shown: without passwords, and without tokens and keys of well-known shape. Pure functions."""

from __future__ import annotations

import re

from vhdprep.guest.formats import secretpatterns

MAX_SHOWN = 200
"""Characters of a line that are shown."""
_SHORT = 24
"""No token is shorter."""
_HASH = re.compile(r"\$(?:1|2[abxy]?|5|6|7|y|gy)\$[^\s:'\",]+")
"""A password as crypt(5) stores it."""
_URL_SECRET = re.compile(r"(?<!\w)(\w++://[^/\s:@]*+:)[^/\s]*@")
_NAMES = "passw(?:or)?d|passphrase|secret|token|credential|(?:api|access|account)[_-]?key"
_KEY = rf"(?:(?>[\w.-]*?(?:{_NAMES}))[\w.-]*+|(?:[\w.-]*[_.-])?(?:pass|pwd|psk))"
_WORD = r"""(?:"(?:[^"\\]|\\.)*+"?|'[^']*+'?|\\.|[^\s"'\\]|\\)++"""
"""A word as shells take it: quotes begin and end within it."""
_SECRET = re.compile(
    rf"""(?im)((?<![\w.-])(?:(?<!/)|(?=[\w.-]++["']?\s*+=))(?!nopasswd){_KEY}["']?(?:(?P<loose>\s*+:\s*+|\s++=\s*+|=\s++)|=)|(?<!\S)--?{_KEY}\s++)"""
    rf"""(?!(?:yes|no|on|off|true|false|none|null)(?:[\s,}}]|$))(?(loose).+|{_WORD})"""
)
"""A key that names a secret and its value: to the end of the line where blanks or a colon part them, else to the end of the word."""
_ELEMENT = re.compile(rf"""(?i)(?<![\w.-])({_KEY}(?:>|["']\s++value\s*+=\s*+["']))[^<"'>]++""")
"""The same in XML: ``<password>…``, ``key="Password" value="…"``."""
_LOGIN = re.compile(
    rf"""(?<!\S)((?:-u|--user|--proxy-user)(?:\s++|=)["']?[^\s:"']++:){_WORD}"""
    rf"""|(?<![\w.-])((?:sshpass|docker\s++login|(?:mysql|mariadb)[\w-]*+)\s(?:[^|;&\n]{{0,200}}?\s)?-p\s*+){_WORD}"""
)
"""What curl, sshpass, docker and MySQL's commands take on their command line."""
_SIGNS = re.compile(r"[:=>$-]")
"""Each of these expressions needs one of them; most texts have none."""


def mask(text: str) -> str:
    """A text without passwords: of URLs, of keys that name one, of commands; and without tokens and keys of well-known shape."""
    plain = text
    if _SIGNS.search(text):
        plain = _SECRET.sub(r"\1***", _URL_SECRET.sub(r"\1***@", text))
        plain = _HASH.sub("***", _LOGIN.sub(r"\1\2***", _ELEMENT.sub(r"\1***", plain)))
    return plain if len(plain) < _SHORT else secretpatterns.hidden(plain)


def excerpt(line: str) -> str:
    """The beginning of a line, without passwords; cut after they were found, for half a password has no shape."""
    return mask(line.strip())[:MAX_SHOWN]
