"""The vault: data keys by subject, room and day, wrapped by a master key that is a file of mode 0600.

A key is AES-256; it is made the first time somebody writes on a day, and is on the disk before anything sealed with it
is. Destroying its row's `wrapped` erases all that it ever sealed; what the same subject says afterwards is sealed under a
key of the next generation. A row that is not there is no erasure: nothing goes on as if it were, and no other key takes
its place (`record.made_keys` says which were ever made).
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import date
from functools import lru_cache
from hashlib import sha256
from hmac import digest
from pathlib import Path
from tempfile import mkstemp
from typing import NamedTuple
from uuid import UUID, uuid5

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from adapters.clock import lapsed
from domain.bounds import DATA_KEYS_CACHED_MAX
from domain.errors import SetupError
from domain.ids import KeyId, RoomId
from domain.ports import Db, KeysMissing

SELECT_KEYS = "SELECT key_id, wrapped FROM vault.data_keys WHERE key_id = ANY($1::uuid[])"
# A key that was made before is not made again, whether it is still there or not.
INSERT_KEYS = """
    WITH made AS (
        INSERT INTO record.made_keys (key_id) SELECT unnest($1::uuid[]) ON CONFLICT (key_id) DO NOTHING RETURNING key_id
    )
    INSERT INTO vault.data_keys (key_id, subject, room_id, day, wrapped)
    SELECT named.key_id, named.subject, named.room_id, named.day, named.wrapped
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::date[], $5::bytea[]) named (key_id, subject, room_id, day, wrapped)
    JOIN made ON made.key_id = named.key_id
    ON CONFLICT (key_id) DO NOTHING
"""
NONCE_BYTES = 12
KEY_SECONDS = 60.0
KEYS = UUID("5d0a6a38-0c83-5b6c-9ad4-7e0a3c6f0b55")


class MasterKeyWrong(SetupError):
    """The master key does not open this record's keys: restore the key file that belongs to it."""


class KeyName(NamedTuple):
    """What a data key is for. `room_id` None: what was not said in a room. `generation` counts the keys of the same
    subject, room and day that were destroyed before this one."""

    subject: UUID
    room_id: RoomId | None
    day: date
    generation: int = 0

    def id(self) -> KeyId:
        return _key_id(self)


class _Kept(NamedTuple):
    """A key as it was read; `key` None: destroyed. `news`: how often news of keys had come when it was asked for."""

    key: AESGCM | None
    read_at: float
    news: int


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
        """Raise `MasterKeyWrong` when it was wrapped by another master key."""
        try:
            return self._wrapping.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], name)
        except InvalidTag:
            raise MasterKeyWrong(MasterKeyWrong.__doc__) from None

    def secret_of(self, purpose: bytes) -> bytes:
        """Return a secret for one purpose, the same in every process of the house."""
        return _derived(self._secret, purpose)

    def claim(self, kind: str, value: str) -> bytes:
        """Return the keyed hash under which a claim is kept (HMAC-SHA-256)."""
        return digest(self._claims, f"{kind}\n{value}".encode(), "sha256")

    def ticket_mark(self, ticket: bytes) -> bytes:
        """Return what proves that a ticket is ours (HMAC-SHA-256)."""
        return digest(self._tickets, ticket, "sha256")


class Vault:
    """Data keys, kept at hand for sealing and opening. `gather` does the waiting; everything else is immediate.

    One that was destroyed seals and opens nothing any more, anywhere: keys are read anew when there is news of them
    (`adapters/postgres/key_news.py`), and after `KEY_SECONDS` where news were lost.
    """

    def __init__(self, db: Db, master: Master, clock: Callable[[], float] = lapsed) -> None:
        self.master = master
        self._db = db
        self._clock = clock
        self._keys: OrderedDict[KeyId, _Kept] = OrderedDict()
        self._news = 0

    def hear(self) -> None:
        """Take news that keys were destroyed: all are read anew before they are used again. What a caller gathered
        already stays at hand for it, since nothing but a `gather` takes a key away."""
        self._news += 1

    async def make(self, names: Collection[KeyName]) -> dict[KeyName, KeyId]:
        """See to it that a key of each name exists that is not destroyed, on the disk and at hand; return which it is.

        Raises `KeysMissing` where one was made before and is not there: another one in its place would leave what it
        sealed unreadable, even when it is restored.
        """
        found: dict[KeyName, KeyId] = {}
        wanted = {name: name for name in names}
        while wanted:
            ids = {named.id(): named for named in wanted.values()}
            await self.gather(ids)
            missing = {key_id: named for key_id, named in ids.items() if key_id not in self._keys}
            if missing:
                await self._insert(missing)
                await self.gather(ids)
            destroyed = {}
            for name, named in wanted.items():
                if self._at_hand(named.id()).key is None:
                    destroyed[name] = named._replace(generation=named.generation + 1)
                else:
                    found[name] = named.id()
            wanted = destroyed
        return found

    async def gather(self, key_ids: Collection[KeyId]) -> None:
        """Have these keys at hand, those that exist; one query for all that are not yet, or were read too long ago."""
        before = self._clock() - KEY_SECONDS
        wanted = []
        for key_id in key_ids:
            kept = self._keys.get(key_id)
            if kept is None or kept.read_at < before or kept.news != self._news:
                wanted.append(key_id)
            else:
                self._keys.move_to_end(key_id)
        if not wanted:
            return
        read_at, news = self._clock(), self._news
        found = dict(await self._db.all(_pair, SELECT_KEYS, wanted))
        for key_id in wanted:
            # Only now: others may have gathered it, and wait for other keys of theirs.
            self._keys.pop(key_id, None)
            if key_id in found:
                wrapped = found[key_id]
                key = None if wrapped is None else AESGCM(self.master.unwrap(wrapped, name=key_id.encode()))
                self._keys[key_id] = _Kept(key, read_at, news)
        while len(self._keys) > max(DATA_KEYS_CACHED_MAX, len(key_ids)):
            self._keys.popitem(last=False)

    def seal(self, key_id: KeyId, plain: bytes, bound: bytes) -> bytes:
        """Encrypt under a key at hand (nonce first); `bound` must be given again to open it."""
        key = self._at_hand(key_id).key
        assert key is not None, "`make` names no key that is destroyed"
        nonce = os.urandom(NONCE_BYTES)
        return nonce + key.encrypt(nonce, plain, bound)

    def open(self, key_id: KeyId, sealed: bytes, bound: bytes) -> bytes | None:
        """Decrypt; None when the key was destroyed.

        Raises `InvalidTag` when it is not what was sealed, and `KeysMissing` when there is no such key: that is no
        erasure, but a vault that was lost or restored in part.
        """
        kept = self._at_hand(key_id)
        if len(sealed) < NONCE_BYTES:
            raise InvalidTag
        return None if kept.key is None else kept.key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)

    def _at_hand(self, key_id: KeyId) -> _Kept:
        kept = self._keys.get(key_id)
        if kept is None:
            raise KeysMissing(
                f"The data key {key_id} is missing in vault.data_keys: restore the keys that belong to this record."
            )
        return kept

    async def _insert(self, missing: Mapping[KeyId, KeyName]) -> None:
        """Make keys; of two processes that make the same one, the first one's holds. In order, lest they wait for each
        other."""
        rows = [
            (key_id, name.subject, name.room_id, name.day, self.master.wrap(AESGCM.generate_key(256), name=key_id.encode()))
            for key_id, name in sorted(missing.items())
        ]  # fmt: skip
        await self._db.run(INSERT_KEYS, *(list(column) for column in zip(*rows, strict=True)))


def load_master(path: Path, *, create: bool) -> Master:
    """Read the key file (64 hex digits); with `create`, make it first where there is none, with mode 0600."""
    try:
        if create and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _create_key_file(path)
    except OSError as error:
        raise MasterKeyWrong(
            f"No master key can be made at {path} ({error.strerror}): name a file in HANSARD_MASTER_KEY_FILE whose folder "
            "you may write to."
        ) from None
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except FileNotFoundError:
        raise MasterKeyWrong(
            f"There is no master key at {path}: put back the one that this record was written with, or make the first "
            "one of a new record with 'hansard keys master new'."
        ) from None
    except OSError as error:
        raise MasterKeyWrong(
            f"The master key at {path} cannot be read ({error.strerror}): it is a file of mode 0600 that belongs to the "
            "user whom this process runs as."
        ) from None
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise MasterKeyWrong(
            f"The master key at {path} is not 64 hexadecimal digits: name the right file in HANSARD_MASTER_KEY_FILE, or put "
            "back the copy that you kept."
        )
    return Master(secret)


def _create_key_file(path: Path) -> None:
    """Make the file whole or not at all: written beside, on the disk, and only then under its name."""
    handle, draft = mkstemp(dir=path.parent, prefix=f"{path.name}.")  # of mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(os.urandom(32).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process of the same house was first: its key holds
            os.link(draft, path)
    finally:
        os.unlink(draft)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # a key whose name a power cut takes away opens nothing any more
    finally:
        os.close(folder)


def fingerprint(key: bytes) -> str:
    """Return a short public name of a key."""
    return sha256(key).hexdigest()[:16]


@lru_cache(maxsize=65_536)
def _key_id(name: KeyName) -> KeyId:
    generation = f"/{name.generation}" if name.generation else ""
    return KeyId(str(uuid5(KEYS, f"{name.subject}/{name.room_id or ''}/{name.day.isoformat()}{generation}")))


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(SHA256(), 32, purpose).derive(secret)


def _pair(key_id: UUID, wrapped: bytes | None) -> tuple[KeyId, bytes | None]:
    return KeyId(str(key_id)), wrapped
