"""What well-known secrets look like: a table of kind, expression and check. It reads nothing.

Sources: the makers' own descriptions of their tokens as collected in GitHub's list of supported patterns
(https://docs.github.com/code-security/secret-scanning/introduction/supported-secret-scanning-patterns) and in Microsoft's definitions of
sensitive information (https://learn.microsoft.com/purview/sit-sensitive-information-type-entity-definitions).

Every expression starts at something fixed or after a boundary, and every repetition has an end, so a hostile file costs no more than a usual one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.guest.formats import secretchecks as checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_FOUND = 100
"""Secrets that are told of one file."""
_EMULATOR = b"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key of Azure's storage emulator, the same for everybody."""


_CONNECTION = re.compile(rb"(?i)\b(?:server|data source|host|address|user id|uid|initial catalog|database)\s{0,3}=")
_VARIED = 16
"""Different characters that the body of a key has at least."""


class Pattern(NamedTuple):
    """One shape of one kind of secret."""

    kind: str
    needles: tuple[bytes, ...]
    """Without one of these, in lower case, a file is not searched for it."""
    expression: re.Pattern[bytes]
    """Its last group is the secret."""
    check: Callable[[re.Match[bytes]], bool]
    path: str = ""
    """Only in files whose path has this text, in lower case."""


def _shape(kind: str, needles: str, expression: bytes, check: Callable[[re.Match[bytes]], bool], path: str = "") -> Pattern:
    return Pattern(kind, tuple(needles.encode().split(b"|")), re.compile(expression), check, path)


class Secret(NamedTuple):
    """One secret in a text. Its value is for hashing, never to be shown."""

    kind: str
    line: int
    value: bytes


def _random(match: re.Match[bytes]) -> bool:
    return checks.is_random(match[match.lastindex or 0])


def _typed(match: re.Match[bytes]) -> bool:
    return not checks.is_placeholder(match[match.lastindex or 0])


def _checked(match: re.Match[bytes]) -> bool:
    return checks.has_check_digits(match[match.lastindex or 0])


def _of_github(match: re.Match[bytes]) -> bool:
    """Longer ones than the usual 40 characters have no check digits that anybody wrote down."""
    return _checked(match) if len(match[1]) == 40 else _random(match)


def _clear(match: re.Match[bytes]) -> bool:
    return len(set(match[3])) >= _VARIED and not _is_encrypted(match)


def _is_encrypted(match: re.Match[bytes]) -> bool:
    label, headers, body = match.groups()
    return b"ENCRYPTED" in label + (headers or b"") or (b"OPENSSH" in label and checks.is_encrypted_openssh(body))


def _of_storage(match: re.Match[bytes]) -> bool:
    return match[1] != _EMULATOR and _random(match)


def _signs_access(match: re.Match[bytes]) -> bool:
    line = checks.around(match)
    return _random(match) and re.search(rb"[?&;\"]s[ver]=", line) is not None and b"se=" in line and b"sv=" in line


def _connects(match: re.Match[bytes]) -> bool:
    return (
        _typed(match)
        and re.search(rb"(?i)\b(?:server|data source|host|address|user id|uid|initial catalog|database)\s{0,3}=", checks.around(match)) is not None
    )


def _set(match: re.Match[bytes]) -> bool:
    return checks.is_password(match[match.lastindex or 0]) and not checks.is_comment(match)


def _named(match: re.Match[bytes]) -> bool:
    """Behind blanks alone only where the name begins a line, or an option."""
    return _set(match) and (match[2] is None or re.search(rb"^[ \t]*\Z|[\s>\"']--?[\w-]*\Z", checks.before(match)) is not None)


def _wrapped(match: re.Match[bytes]) -> bool:
    head = checks.decoded(match[1][:64]) or b""
    return b"PRIVATE KEY-----" in head and b"ENCRYPTED" not in head


def _basic(match: re.Match[bytes]) -> bool:
    return checks.is_login(match[1])


def _signed(match: re.Match[bytes]) -> bool:
    return checks.is_web_token(match[1])


_PEM = (
    rb"""-----BEGIN ((?:(?:RSA|EC|DSA|OPENSSH|ENCRYPTED|ANY) )?PRIVATE KEY)-----(?:\s|\\[nr]){1,8}((?:[A-Za-z-]{1,20}: [^\n]{1,100}\n){0,6})\s{0,8}"""
)
_BODY = rb"""([A-Za-z0-9+/=\\ \t\r\n]{64,16384})"""
_PUTTY = rb"PuTTY-User-Key-File-[123]: [^\r\n]{1,40}\r?\nEncryption: "
_NAMED = rb"""["']?\s{0,4}(?:=>|[=:])\s{0,4}["']?"""

_PASSWORD = (
    rb"(?i)(?:passw(?:or)?d|passphrase|authtok|bindpw|secret|api[_-]?key|(?:access|secret|auth)[_-]?(?:key|token)"
    rb"|pass(?<![a-z0-9]pass)|pwd(?<![a-z0-9]pwd)|token(?<![a-z0-9]token))"
    rb"""(?:(?:["']?\s{0,4}(?:=>|:=|[=:,])\s{0,4}["']|["']\s{1,4}value\s?=\s?["']|>)([^"'<>\r\n]{6,128}+)["'<]"""
    rb"""|(?:["']?[ \t]{0,8}[=:][ \t]{0,8}|([ \t]{1,8})["']?)([^\s"'<>,;(){}\[\]]{6,128}+)(?=[\s"',;}<]|\Z))"""
)
"""What a setting calls a password, quoted or not; where nothing but blanks parts the two, they are the second group."""
_PASSWORDS = "pass|authtok|bindpw|secret|pwd|token|api_key|apikey|api-key|access_key|accesskey|access-key"

PATTERNS: tuple[Pattern, ...] = (
    # keys
    _shape("google-service-account", "service_account",
           rb'"private_key"\s{0,4}:\s{0,4}"-----BEGIN PRIVATE KEY-----\\n([A-Za-z0-9+/=\\]{64,4096})', _typed),
    _shape("private-key", "private key", _PEM + _BODY, _clear),
    _shape("private-key", "putty-user-key-file",
           _PUTTY + rb"none\r?\n(?:[^\n]{0,200}\n){1,40}?Private-Lines: \d{1,3}\r?\n([A-Za-z0-9+/=]{16,80})", _typed),
    _shape("private-key", "ls0tls1crudjt", rb"(?<![A-Za-z0-9+/])(LS0tLS1CRUdJT[A-Za-z0-9+/]{100,16384}={0,2})", _wrapped),
    _shape("private-key", "age-secret-key-1", rb"(?<![\w-])AGE-SECRET-KEY-1([QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58})(?!\w)", _random),
    _shape("pgp-private-key", "pgp private key",
           rb"-----BEGIN PGP PRIVATE KEY BLOCK-----\s{1,8}(?:[A-Za-z]{1,20}: [^\n]{0,100}\n){0,6}\s{0,8}" + _BODY, _typed),
    _shape("encrypted-private-key", "private key", _PEM + _BODY, _is_encrypted),
    _shape("encrypted-private-key", "putty-user-key-file",
           _PUTTY + rb"(?!none)([^\r\n]{1,40})", _typed),
    # clouds
    _shape("aws-key", "akia|asia", rb"(?<![A-Za-z0-9])((?:AKIA|ASIA)[A-Z2-7]{16})(?![A-Za-z0-9])", _random),
    _shape("aws-key", "secret|aws", rb"(?i)(?:aws_?|aws_?secret_?|secret_?)(?:access_?)?key" + _NAMED + rb"([a-z0-9/+]{40})(?![a-z0-9/+=])", _random),
    _shape("azure-storage-key", "accountkey", rb"(?i)AccountKey=([a-z0-9+/]{86}==)", _of_storage),
    _shape("azure-shared-access-signature", "sig=", rb"(?i)(?<=[?&;\"])sig=([a-z0-9%+/]{40,80}(?:%3d|=))", _signs_access),
    _shape("azure-client-secret", "q~", rb"(?<![\w~.-])([A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34})(?![\w~.-])", _random),
    _shape("azure-service-bus-key", "sharedaccesskey", rb"(?i)SharedAccessKey=([a-z0-9+/]{43}=)", _random),
    _shape("azure-devops-token", "azdo", rb"(?<![A-Za-z0-9])([A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4})(?![A-Za-z0-9])", _random),
    _shape("azure-devops-token", "azure_devops|azp_token|vsts_",
           rb"(?i)(?:azure_devops_ext_pat|azp_token|vsts_\w{0,12}(?:pat|token))" + _NAMED + rb"([a-z2-7]{52})(?![a-z0-9])", _random),
    _shape("google-key", "aiza", rb"(?<![\w-])(AIza[\w-]{35})(?![\w-])", _random),
    _shape("google-key", "ya29.", rb"(?<![\w-])(ya29\.[\w-]{30,2048})", _random),
    _shape("digitalocean-token", "_v1_", rb"(?<![\w-])(do[oprt]_v1_[0-9a-f]{64})(?!\w)", _random),
    _shape("heroku-key", "hrku-", rb"(?<![\w-])(HRKU-[\w-]{36,128})", _random),
    _shape("heroku-key", "heroku", rb"(?i)heroku\w{0,12}key" + _NAMED + rb"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", _random),
    _shape("cloudflare-token", "cloudflare|cf_",
           rb"(?i)(?:cloudflare|(?<![a-z0-9_])cf)_(?:api_)?(?:token|key)" + _NAMED + rb"([\w-]{37,40})(?![\w-])", _random),
    _shape("cloudflare-token", "v1.0-", rb"(?<![\w.-])(v1\.0-[0-9a-f]{24}-[0-9a-f]{146})(?!\w)", _random),
    # code and packages
    _shape("github-token", "ghp_|gho_|ghu_|ghs_|ghr_", rb"(?<![A-Za-z0-9_])(gh[pousr]_[A-Za-z0-9]{36,251})(?![A-Za-z0-9_])", _of_github),
    _shape("github-token", "github_pat_", rb"(?<![A-Za-z0-9_])(github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})(?![A-Za-z0-9_])", _random),
    _shape("gitlab-token", "glpat-|gldt-|glrt-|glptt-|glcbt-|glsoat-", rb"(?<![\w-])(gl(?:pat|dt|rt|ptt|cbt|soat)-[\w.-]{20,300})", _random),
    _shape("npm-token", "npm_", rb"(?<![A-Za-z0-9_])(npm_[A-Za-z0-9]{36})(?![A-Za-z0-9_])", _checked),
    _shape("pypi-token", "pypi-age", rb"(?<![\w-])(pypi-AgE[\w-]{50,1000})", _random),
    _shape("registry-login", '"auth"', rb'"auth"\s{0,8}:\s{0,8}"([A-Za-z0-9+/]{6,4096}={0,2})"', _basic),
    _shape("terraform-token", ".atlasv1.", rb"(?<![A-Za-z0-9])([A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,70})(?![\w-])", _random),
    # services
    _shape("slack-token", "xox", rb"(?<![\w-])(xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{20,250})", _random),
    _shape("slack-token", "hooks.slack.com", rb"hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/]{40,120})", _random),
    _shape("stripe-key", "k_live_", rb"(?<![A-Za-z0-9_])([sr]k_live_[A-Za-z0-9]{16,247})(?!\w)", _random),
    _shape("twilio-key", "twilio", rb"(?i)twilio\w{0,20}(?:token|secret)" + _NAMED + rb"([0-9a-f]{32})(?![0-9a-f])", _random),
    _shape("sendgrid-key", "sg.", rb"(?<![\w.-])(SG\.[\w-]{22}\.[\w-]{43})(?![\w-])", _random),
    _shape("vault-token", "hvs.|hvb.", rb"(?<![\w-])(hv[sb]\.[\w-]{24,300})", _random),
    _shape("databricks-token", "dapi", rb"(?<![\w-])(dapi[0-9a-f]{32}(?:-\d)?)(?![\w-])", _random),
    _shape("datadog-key", "dd_|datadog",
           rb"(?i)(?:datadog|(?<![a-z0-9])dd)_(?:api|app|application)_key" + _NAMED + rb"([0-9a-f]{32,40})(?![0-9a-f])", _random),
    _shape("datadog-key", "api_key|app_key", rb"(?m)^\s{0,8}(?:api_key|app_key):\s{0,8}[\"']?([0-9a-f]{32,40})(?![0-9a-f])", _random, path="datadog"),
    _shape("openai-key", "t3blbkfj", rb"(?<![\w-])(sk-[\w-]{20,200}?T3BlbkFJ[\w-]{20,200})", _random),
    _shape("anthropic-key", "sk-ant-", rb"(?<![\w-])(sk-ant-[a-z]{3,8}\d\d-[\w-]{80,200})", _random),
    # logins
    _shape("url-password", "://", rb"://[^\s/:@'\"<>]{0,64}:([^\s/@'\"<>]{1,128})@[\w.\[-]", _typed),
    _shape("url-password", "://", rb"(?i)\bhttps?://([\w-]{20,128})@(?![\w.-]{0,64}sentry)[\w.-]", _random),
    _shape("connection-string", "password|pwd", rb"(?i)(?<=[;\"'\s])(?:password|pwd)\s{0,3}=\s{0,3}([^;\"'\s<>]{1,128})(?=;|\"|')", _connects),
    _shape("authorization-header", "authorization",
           rb"(?i)authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?basic\s{1,3}([a-z0-9+/]{6,1024}={0,2})", _basic),
    _shape("authorization-header", "authorization",
           rb"(?i)authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:bearer|token)\s{1,3}([\w.~+/=-]{16,4096})", _random),
    _shape("web-token", "eyj", rb"(?<![\w.-])(eyJ[\w-]{8,1024}\.eyJ[\w-]{4,8192}\.[\w-]{16,1024})(?![\w.-])", _signed),
    _shape("named-password", _PASSWORDS, _PASSWORD, _named),
    _shape("named-password", "securestring", rb"""(?i)ConvertTo-SecureString\s{1,4}(?:-String\s{1,4})?["']([^"'$\r\n]{6,128})["']""", _set),
)  # fmt: skip
"""The table; an expression's last group is the secret."""
_NEEDLES = tuple(dict.fromkeys(needle for pattern in PATTERNS for needle in pattern.needles))
KINDS = tuple(dict.fromkeys(pattern.kind for pattern in PATTERNS))
"""Every kind, by the table's order."""


def search(text: bytes, path: str, most: int = MAX_FOUND) -> Iterator[Secret]:
    """Every secret of a text, at most ``most``; ``path`` says which patterns belong to it."""
    small, place, told = text.lower(), path.lower(), set[int]()
    there = {needle for needle in _NEEDLES if needle in small}  # most files have none, and cost no more than this line
    for pattern in PATTERNS if there else ():
        if there.isdisjoint(pattern.needles) or pattern.path not in place:
            continue
        line, at = 1, 0
        for match in pattern.expression.finditer(text):
            if (spot := match.start(match.lastindex or 0)) not in told and pattern.check(match):
                line, at = line + text.count(b"\n", at, match.start()), match.start()
                yield Secret(pattern.kind, line, match[match.lastindex or 0])
                told.add(spot)  # by the first pattern of the table that knows it
                if len(told) == most:
                    return


def hidden(text: str) -> str:
    """A text without the secrets that it holds."""
    data = text.encode("utf-8", "surrogatepass")
    values = {each.value for each in search(data, "", len(data))}
    for value in sorted(values, key=len, reverse=True):
        data = data.replace(value, b"***")
    return data.decode("utf-8", "surrogatepass")
