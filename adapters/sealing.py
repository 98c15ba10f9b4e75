"""Sealing a file for somebody's public key, so that only they can open it: age (age-encryption.org/v1) or OpenPGP (RFC 9580).

Both are Rust underneath and work from file to file, so a package of any size is sealed with flat memory. What is sealed is not
the same twice: that is what a fresh key is for.
"""

from pathlib import Path

import pyrage
import pysequoia

from domain.errors import InvalidError

ARMOUR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
SECRET = "PRIVATE KEY"  # noqa: S105 – how a mistake would begin
AGE = "age1"


class SealingError(Exception):
    """This key cannot be sealed for."""


def require_recipient(recipient: str) -> str:
    """Return a public key as it is recorded. Raise `InvalidError` for what is none that can be sealed for."""
    text = recipient.strip()
    try:
        _key(text)
    except SealingError as error:
        raise InvalidError(str(error), pointer="/recipient") from None
    return text


def ending(recipient: str | None) -> str:
    """Return how the name of a sealed file ends."""
    if recipient is None:
        return ""
    return ".pgp" if recipient.startswith(ARMOUR) else ".age"


def seal(source: Path, target: Path, recipient: str) -> None:
    """Write a file sealed for a public key. Blocks. Raise `SealingError`."""
    key = _key(recipient)
    try:
        if isinstance(key, pysequoia.Cert):
            pysequoia.encrypt_file(str(source), str(target), recipients=[key], armor=False)
        else:
            pyrage.encrypt_file(str(source), str(target), [key])
    except (pyrage.EncryptError, OSError, RuntimeError, ValueError) as error:
        raise SealingError(f"This key cannot be sealed for: {error}") from error


def _key(recipient: str) -> "pysequoia.Cert | pyrage.x25519.Recipient":
    if SECRET in recipient or recipient.upper().startswith("AGE-SECRET-KEY"):
        raise SealingError("This is a secret key: keep it, and give the public one.")
    try:
        if recipient.startswith(ARMOUR):
            cert = pysequoia.Cert.from_bytes(recipient.encode())
            pysequoia.encrypt(b"", recipients=[cert])  # that it has a key for this, neither expired nor revoked
            return cert
        if recipient.startswith(AGE):
            return pyrage.x25519.Recipient.from_str(recipient)
    except Exception as error:
        raise SealingError(f"This public key cannot be used: {error}.") from error
    raise SealingError("A recipient is an age key (age1…) or an OpenPGP public key (armoured).")
