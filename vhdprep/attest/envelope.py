"""Signing and checking with securesystemslib, whose envelopes in-toto's and cosign's tools read (DSSE v1). The only code that knows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vhdprep import hostfile
from vhdprep.attest.statement import PAYLOAD_TYPE
from vhdprep.errors import BackendUnavailable, NotProven, UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAX_ENVELOPE = 64 * 1024 * 1024
"""Bytes of an attestation that is read."""
MAX_KEY = 64 * 1024
"""Bytes of a key that is read."""


def sign(payload: bytes, key: Path, passphrase: str | None = None) -> str:
    """An envelope around ``payload``, signed with the private key in ``key`` (PEM: Ed25519, ECDSA P-256 or P-384, RSA).

    Raises:
        UsageError: the key cannot be read or used.
        BackendUnavailable: securesystemslib is not installed.
    """
    signing, dsse, failures = _library()
    from cryptography.exceptions import UnsupportedAlgorithm  # late: only who signs needs it
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = hostfile.read(key, MAX_KEY, "the key", "key")
    try:
        private: Any = load_pem_private_key(data, passphrase.encode() if passphrase else None)
        envelope = dsse.Envelope(payload, PAYLOAD_TYPE, {})
        envelope.sign(signing.CryptoSigner(private))
    except TypeError as error:
        hint = "it needs a passphrase: VHDPREP_KEY_PASSPHRASE" if passphrase is None else "it needs no passphrase"
        raise UsageError(f"{key}: the private key cannot be opened; {hint}") from error
    except (ValueError, UnsupportedAlgorithm, failures.Error) as error:
        raise UsageError(f"{key}: is no private key that can be used (PEM; Ed25519, ECDSA or RSA)") from error
    return json.dumps(envelope.to_dict(), indent=1) + "\n"


def open_envelope(path: Path, key: Path) -> bytes:
    """The payload of the envelope in ``path``, signed by the owner of the public key in ``key`` (PEM).

    Raises:
        NotProven: it was not, or was changed afterwards.
        UsageError: one of the files cannot be read, or is something else.
        BackendUnavailable: securesystemslib is not installed.
    """
    signing, dsse, failures = _library()
    public = _public(signing, key)
    try:
        envelope = dsse.Envelope.from_dict(json.loads(hostfile.read(path, MAX_ENVELOPE, "the attestation", "attestation")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, failures.Error) as error:
        raise NotProven(f"{path}: is no attestation, or a damaged one; `vhdprep check --attest` makes them") from error
    if envelope.payload_type != PAYLOAD_TYPE:
        raise NotProven(f"{path}: holds {envelope.payload_type[:80]!r}, not an in-toto statement")
    if public.keyid not in envelope.signatures:
        raise NotProven(f"{path}: was signed with another key than {key}")
    try:
        envelope.verify([public], 1)
    except (ValueError, failures.Error) as error:
        raise NotProven(f"{path}: the signature does not fit the statement: one of them was changed after it was signed") from error
    payload: bytes = envelope.payload
    return payload


def _public(signing: Any, key: Path) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = hostfile.read(key, MAX_KEY, "the key", "key")
    try:
        return signing.SSlibKey.from_crypto(load_pem_public_key(data))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{key}: is no public key that can be used (PEM; Ed25519, ECDSA or RSA)") from error


def _library() -> tuple[Any, Any, Any]:
    try:
        from securesystemslib import dsse
        from securesystemslib import exceptions as failures
        from securesystemslib import signer as signing
    except ImportError as error:
        raise BackendUnavailable("attestations need securesystemslib; install it: pip install 'vhdprep[attest]'") from error
    return signing, dsse, failures
