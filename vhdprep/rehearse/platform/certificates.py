"""The certificates of a goal state: a PFX without a password, in a CMS envelope for the certificate that the agent sends along.

Made by the ``openssl`` program, late and once. The ``cryptography`` package cannot: its envelopes are AES only, and agents ask for DES_EDE3_CBC too
(WALinuxAgent, goal_state.py; cloud-init, sources/helpers/azure.py). Opened in the guest by ``openssl cms -decrypt -recip``, which takes base64 in
lines of 64 columns only, and ``openssl pkcs12``. SHA-1 and 3DES inside the PFX are what every OpenSSL from 1.0 to 3 opens without extra options.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

MAX_CERTIFICATE = 3 * 1024
"""Bytes of base64 of a certificate that an agent sends; one with a key of 4096 bits has 2 KiB. With its lines it is less than a page of memory."""
MAX_ENVELOPES = 32
"""Different certificates for which an envelope is made; each takes a process."""
MAX_SECONDS = 10.0
"""Seconds that one call of ``openssl`` may take."""

_CIPHERS = {"DES_EDE3_CBC": "-des3", "AES128_CBC": "-aes128"}
_OLD = ("-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1")


class Certificates:
    """One certificate with its key, as Azure gives each machine one, and the envelopes made of it."""

    def __init__(self, openssl: str, pfx: bytes) -> None:
        self._openssl = openssl
        self._pfx = pfx
        self._made: dict[tuple[str, str], str | None] = {}

    def envelope(self, certificate: str, cipher: str) -> str | None:
        """The PFX for the owner of ``certificate``.

        Args:
            certificate: an X.509 certificate, DER in base64, as in the header ``x-ms-guest-agent-public-x509-cert``.
            cipher: the header ``x-ms-cipher-name``; Azure's default is AES128_CBC (WALinuxAgent, wire.py).

        Returns:
            DER in base64, wrapped at 64 columns; None = that is no certificate, or too many were sent.
        """
        key = (certificate, _CIPHERS.get(cipher, "-aes128"))
        if len(certificate) > MAX_CERTIFICATE:
            return None
        if key not in self._made:
            if len(self._made) == MAX_ENVELOPES:
                return None
            self._made[key] = self._make(*key)
        return self._made[key]

    def _make(self, certificate: str, cipher: str) -> str | None:
        try:
            der = base64.b64decode(certificate, validate=True)
        except ValueError:
            return None
        read, write = os.pipe()
        try:
            with os.fdopen(write, "wb") as recipient:  # every pipe holds a page (pipe(7)), so nobody needs to read yet
                recipient.write(f"-----BEGIN CERTIFICATE-----\n{_wrap(der)}\n-----END CERTIFICATE-----\n".encode())
            command = (self._openssl, "cms", "-encrypt", "-binary", "-outform", "DER", cipher, f"/dev/fd/{read}")
            return _wrap(_run(*command, given=self._pfx, open_for_it=(read,)))
        except (OSError, subprocess.SubprocessError):
            return None
        finally:
            os.close(read)


def make() -> Certificates | None:
    """A new key and certificate; None where the ``openssl`` program is missing or does not do it: then certificates are not offered."""
    openssl = shutil.which("openssl")
    if openssl is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = str(Path(folder, "key.pem")), str(Path(folder, "certificate.pem"))
        subject = ("-subj", "/CN=Windows Azure CRP Certificate Generator", "-days", "730")
        try:
            _run(openssl, "req", "-x509", "-nodes", "-newkey", "rsa:2048", *subject, "-keyout", key, "-out", certificate)
            return Certificates(openssl, _run(openssl, "pkcs12", "-export", "-inkey", key, "-in", certificate, "-passout", "pass:", *_OLD))
        except (OSError, subprocess.SubprocessError):
            return None


def _run(*command: str, given: bytes = b"", open_for_it: tuple[int, ...] = ()) -> bytes:
    return subprocess.run(command, input=given, capture_output=True, check=True, timeout=MAX_SECONDS, pass_fds=open_for_it).stdout


def _wrap(data: bytes) -> str:
    text = base64.b64encode(data).decode("ascii")
    return "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
