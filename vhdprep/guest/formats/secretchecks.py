"""What tells a secret from something that only has its shape: check digits, encodings, placeholders, randomness. Pure functions of bytes."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import zlib
from collections import Counter
from itertools import pairwise

MAX_CONTEXT = 512
"""Bytes on either side of a match that its check may look at."""

_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK_LENGTH = 6
_RANDOM = 2.8
"""Bits of entropy a character from which on a token may be random; hexadecimal has at most 4."""
_RUN = 8
"""So many characters in a row of the alphabet or of the digits were typed, not drawn."""
_MARKERS = re.compile(
    rb"(?i)example|changeme|change_me|placeholder|redacted|replace|dummy|sample|x{4}|\*{3}|\.{3}|[<>]|\$[({]|^\$\w+$|\{\{|^\{|%s|%\(|^%\w+%$|^\[|your[_-]"
)
_WORDS = frozenset(
    b"password passwd pass pwd secret token key user username test foo bar baz none null true false mypassword mysecret letmein hunter2".split()
)
_VARIED = 5
"""Different characters that a password has at least."""
_OTHER = re.compile(
    rb"""(?ix)^[!]?[$%@~/&*] | &\w+;?$ | ^\.{1,2}/ | ^[a-z]:[\\/] | :// | \\\\ | [()|]       # variables, paths, addresses, code
    | ^[a-z_]\w*(?:(?:\.|->|::)[a-z_]\w*)+$                                # names within names
    | ^(?:hmac-?)?(?:sha-?|md|aes-?|rsa-?|base|utf-?|oauth|bcrypt|argon)\d  # procedures
    | ^[a-z]+[_-]?\d{1,2}$ | \.(?:so|key|pem|txt|ya?ml|json|conf|service|py|sh|png|html?)$ | \s"""
)
"""What stands where a password could: ``$PASS``, ``/run/secrets/x``, ``config.password``, ``sha512``, ``field2``."""
_COMMENTS = (b"#", b";", b"//", b"*", b"/*", b"--", b"<!--", b"REM ", b"rem ", b"%", b"'")
_ALGORITHM = "alg"
_KEY_MAGIC = b"openssh-key-v1\0"


def is_placeholder(value: bytes) -> bool:
    """Whether a value stands for another one: ``<token>``, ``${TOKEN}``, ``xxxx``, ``changeme``, a word such as ``password``."""
    return len(set(value)) < 3 or value.lower() in _WORDS or _MARKERS.search(value) is not None


def is_random(value: bytes) -> bool:
    """Whether a value may have been drawn by chance: no placeholder, nothing typed in a row, enough entropy (Shannon's, per character)."""
    if is_placeholder(value) or _has_run(value):
        return False
    total = len(value)
    return -sum(count / total * math.log2(count / total) for count in Counter(value).values()) >= _RANDOM


def _has_run(value: bytes) -> bool:
    length = 1
    for before, after in pairwise(value):
        length = length + 1 if after == before + 1 else 1
        if length == _RUN:
            return True
    return False


def is_password(value: bytes) -> bool:
    """Whether what a setting calls a password may be one: letters and more than letters, no variable, path, address, name or function.

    It is a guess: a password of letters alone is taken for a word.
    """
    mixed = re.search(rb"[A-Za-z]", value) and re.search(rb"[0-9!@#$%^&*+=?~]", value)
    return bool(mixed) and len(set(value)) >= _VARIED and not (is_placeholder(value) or _has_run(value) or _OTHER.search(value))


def is_comment(match: re.Match[bytes]) -> bool:
    """Whether the line that a match begins in is a comment in one of the usual languages."""
    return before(match).lstrip().startswith(_COMMENTS)


def has_check_digits(token: bytes) -> bool:
    """Whether the last six characters are the CRC-32 of those after the prefix, in base 62.

    Source: https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/ ; GitHub and npm make tokens so.
    """
    body = token.partition(b"_")[2]
    number, digits = zlib.crc32(body[:-_CHECK_LENGTH]), b""
    while number:
        number, rest = divmod(number, 62)
        digits = _DIGITS[rest : rest + 1] + digits
    return body[-_CHECK_LENGTH:] == digits.rjust(_CHECK_LENGTH, b"0") and is_random(body)


def decoded(value: bytes) -> bytes | None:
    """What base64 (either alphabet, padding left out or not) says; None = it is none."""
    text = value.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None


def is_login(value: bytes) -> bool:
    """Whether base64 hides ``user:password``."""
    user, colon, password = (decoded(value) or b"").partition(b":")
    return bool(colon and user.isascii() and user and password) and not is_placeholder(password)


def is_web_token(value: bytes) -> bool:
    """Whether three parts are a JSON Web Token whose header names an algorithm (RFC 7519, section 7.2); one that is not signed is none."""
    try:
        header = json.loads(decoded(value.partition(b".")[0]) or b"")
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and isinstance(header.get(_ALGORITHM), str) and header[_ALGORITHM].casefold() != "none"


def is_encrypted_openssh(body: bytes) -> bool:
    """Whether an OpenSSH private key names a cipher (PROTOCOL.key: after the magic, a length and ``ciphername``)."""
    data = decoded(re.sub(rb"[^A-Za-z0-9+/]", b"", body)[:128]) or b""
    name = data[len(_KEY_MAGIC) + 4 :]
    return data.startswith(_KEY_MAGIC) and not name.startswith(b"none")


def before(match: re.Match[bytes]) -> bytes:
    """What stands before a match in its line, as far as ``MAX_CONTEXT`` reaches."""
    return match.string[max(0, match.start() - MAX_CONTEXT) : match.start()].rpartition(b"\n")[2]


def around(match: re.Match[bytes]) -> bytes:
    """The line that a match stands in, as far as ``MAX_CONTEXT`` reaches."""
    after = match.string[match.end() : match.end() + MAX_CONTEXT].partition(b"\n")[0]
    return before(match) + match[0] + after
