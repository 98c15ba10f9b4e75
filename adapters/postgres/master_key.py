"""The master key, a file of mode 0600: it wraps all other keys, and keys the digests of claims and tickets."""

import os
from hashlib import sha256
from hmac import digest
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from adapters.key_file import make_key_file, read_key_file
from domain.errors import SetupError

NONCE_BYTES = 12


class MasterKeyWrongError(SetupError):
    """The master key does not open this record's keys: restore the key file that belongs to it."""


class Master:
    """The master key: wraps keys, and keys the digests of claims."""

    def __init__(self, secret: bytes) -> None:
        assert len(secret) == 32, "a master key has 32 bytes"
        self._secret = secret
        self._wrapping = AESGCM(_derived(secret, b"hansard wrap"))
        self._claims = _derived(secret, b"hansard claims")
        self._tickets = _derived(secret, b"hansard tickets")

    def wrap(self, key: bytes, *, name: bytes) -> bytes:
        """Encrypt a key; `name` is bound to it, so that wrapped keys cannot be exchanged."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._wrapping.encrypt(nonce, key, name)

    def unwrap(self, wrapped: bytes, *, name: bytes) -> bytes:
        """Decrypt a key. Raise `MasterKeyWrongError` if another master key wrapped it."""
        try:
            return self._wrapping.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], name)
        except InvalidTag:
            raise MasterKeyWrongError(MasterKeyWrongError.__doc__) from None

    def unwrap_data_key(self, wrapped: bytes, key_id: str) -> bytes:
        """Decrypt a data key. Its id is bound to it as text; the first version of Hansard bound the bytes of the id, and what it
        wrote is read for ever. Raise `MasterKeyWrongError`."""
        try:
            return self.unwrap(wrapped, name=key_id.encode())
        except MasterKeyWrongError:
            return self.unwrap(wrapped, name=UUID(key_id).bytes)

    def secret_of(self, purpose: bytes) -> bytes:
        """Return a secret for one purpose, the same in every process of the deployment."""
        return _derived(self._secret, purpose)

    def claim(self, kind: str, value: str) -> bytes:
        """Return the keyed hash under which a claim is kept (HMAC-SHA-256)."""
        return digest(self._claims, f"{kind}\n{value}".encode(), "sha256")

    def ticket_mark(self, ticket: bytes) -> bytes:
        """Return what proves that a ticket is ours (HMAC-SHA-256)."""
        return digest(self._tickets, ticket, "sha256")


def load_master(path: Path, *, create: bool) -> Master:
    """Read the key file (64 hex digits). With `create`, make it first if there is none, with mode 0600. Raise
    `MasterKeyWrongError`."""
    try:
        if create and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            make_key_file(path)
    except OSError as error:
        raise MasterKeyWrongError(
            f"No master key can be made at {path} ({error.strerror}): name a file in HANSARD_MASTER_KEY_FILE whose folder "
            "you may write to."
        ) from None
    try:
        secret = read_key_file(path)
    except FileNotFoundError:
        raise MasterKeyWrongError(
            f"There is no master key at {path}: put back the one that this record was written with, or make the first "
            "one of a new record with 'hansard keys master new'."
        ) from None
    except OSError as error:
        raise MasterKeyWrongError(
            f"The master key at {path} cannot be read ({error.strerror}): it is a file of mode 0600 that belongs to the "
            "user whom this process runs as."
        ) from None
    if not secret:
        raise MasterKeyWrongError(
            f"The master key at {path} is not 64 hexadecimal digits: name the right file in HANSARD_MASTER_KEY_FILE, or put "
            "back the copy that you kept."
        )
    return Master(secret)


def fingerprint(key: bytes) -> str:
    """Return a short public name of a key."""
    return sha256(key).hexdigest()[:16]


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(SHA256(), 32, purpose).derive(secret)
