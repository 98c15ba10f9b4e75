"""The master key, a file of mode 0600: it wraps all other keys, and keys the digests of claims and tickets."""

import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from hmac import digest
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from adapters.key_file import SECRET_BYTES, make_key_file, read_key_files_secrets
from adapters.wrapping_keys import FILE_NAME, WrappingKey, WrappingKeyError, WrappingKeys
from domain.errors import SetupError

NONCE_BYTES = 12


class MasterKeyWrongError(SetupError):
    """The master key does not open this record's keys: restore the key file that belongs to it."""


class Master:
    """The master key: wraps keys, data keys together with a wrapping key, and keys the digests of claims.

    While it is replaced there are two of them: the first wraps, both unwrap. Where something cannot be unwrapped the file is
    read again, so no process has to be started anew.
    """

    def __init__(
        self, secret: bytes, *before: bytes, path: Path | None = None, wrappings: WrappingKeys | None = None
    ) -> None:
        self.wrappings = wrappings
        self._path = path
        self._take((secret, *before))
        self.adopt(secret)

    @property
    def root(self) -> bytes:
        """What other secrets than the wrapping are derived from: that of the record's first master key, whichever is in use."""
        return self._root

    @property
    def mark(self) -> str:
        """A short public name of the key that wraps."""
        return fingerprint(_derived(self._secrets[0], b"hansard mark"))

    def adopt(self, root: bytes) -> None:
        """Go on with the secrets that were derived from an earlier master key: claims would be lost with them."""
        self._root = root
        self._claims = _derived(root, b"hansard claims")
        self._tickets = _derived(root, b"hansard tickets")

    def wrap(self, key: bytes, *, name: bytes) -> bytes:
        """Encrypt a key; `name` is bound to it, so that wrapped keys cannot be exchanged."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._wrapping[0].encrypt(nonce, key, name)

    def unwrap(self, wrapped: bytes, *, name: bytes) -> bytes:
        """Decrypt a key. Raise `MasterKeyWrongError` if another master key wrapped it."""
        for _ in self._tries():
            for wrapping in self._wrapping:
                with suppress(InvalidTag):
                    return wrapping.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], name)
        raise MasterKeyWrongError(MasterKeyWrongError.__doc__)

    def wrap_data_key(self, key: bytes, key_id: str) -> tuple[bytes, int]:
        """Encrypt a data key under this key and the newest wrapping key; return it with the version of that."""
        newest = self.wrappings.newest() if self.wrappings else None
        if newest is None:
            return self.wrap(key, name=key_id.encode()), 0
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._both(newest).encrypt(nonce, key, key_id.encode()), newest.version

    def unwrap_data_key(self, wrapped: bytes, key_id: str, version: int = 0) -> bytes:
        """Decrypt a data key. Its id is bound to it as text; the first version of Hansard bound the bytes of the id, and what it
        wrote is read for ever. Raise `MasterKeyWrongError`, or `WrappingKeyError` if the wrapping key of this version is gone."""
        if version:
            if self.wrappings is None:
                raise WrappingKeyError(f"The wrapping key {version} is needed, and there is no file of wrapping keys.")
            both = self._both(self.wrappings.one(version))
            try:
                return both.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], key_id.encode())
            except InvalidTag:
                raise MasterKeyWrongError(MasterKeyWrongError.__doc__) from None
        try:
            return self.unwrap(wrapped, name=key_id.encode())
        except MasterKeyWrongError:
            return self.unwrap(wrapped, name=UUID(key_id).bytes)

    def secret_of(self, purpose: bytes) -> bytes:
        """Return a secret for one purpose, the same in every process of the deployment."""
        return _derived(self._root, purpose)

    def claim(self, kind: str, value: str) -> bytes:
        """Return the keyed hash under which a claim is kept (HMAC-SHA-256)."""
        return digest(self._claims, f"{kind}\n{value}".encode(), "sha256")

    def ticket_mark(self, ticket: bytes) -> bytes:
        """Return what proves that a ticket is ours (HMAC-SHA-256)."""
        return digest(self._tickets, ticket, "sha256")

    def _both(self, wrapping: WrappingKey) -> AESGCM:
        """Return what wraps by a wrapping key and the master key that it goes with. Raise `MasterKeyWrongError`."""
        for _ in self._tries():
            for secret in self._secrets:
                if fingerprint(_derived(secret, b"hansard mark")) == wrapping.master:
                    return AESGCM(digest(secret, b"hansard wrapping key\n" + wrapping.secret, "sha256"))
        raise MasterKeyWrongError(MasterKeyWrongError.__doc__)

    def _tries(self) -> Iterator[None]:
        """Yield once, and once more if the file holds other secrets by now."""
        yield
        found = () if self._path is None or not self._path.exists() else read_key_files_secrets(self._path)
        if found and found != self._secrets:
            self._take(found)
            yield

    def _take(self, secrets: tuple[bytes, ...]) -> None:
        assert all(len(secret) == SECRET_BYTES for secret in secrets), "a master key has 32 bytes"
        self._secrets = secrets
        self._wrapping = [AESGCM(_derived(secret, b"hansard wrap")) for secret in secrets]


def load_master(path: Path, *, create: bool) -> Master:
    """Read the key file (64 hex digits; a second line while it is replaced). With `create`, make it first if there is none, with mode 0600. Raise
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
        secrets = read_key_files_secrets(path)
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
    if not secrets:
        raise MasterKeyWrongError(
            f"The master key at {path} is not 64 hexadecimal digits: name the right file in HANSARD_MASTER_KEY_FILE, or put "
            "back the copy that you kept."
        )
    return Master(*secrets, path=path, wrappings=WrappingKeys(path.with_name(FILE_NAME)))


def fingerprint(key: bytes) -> str:
    """Return a short public name of a key."""
    return sha256(key).hexdigest()[:16]


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(SHA256(), 32, purpose).derive(secret)
