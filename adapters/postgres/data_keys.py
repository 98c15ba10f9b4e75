"""The vault: data keys by subject, room and day, wrapped by the master key (`master_key.py`).

A key is AES-256. It is made at the first write of a day, and is on the disk before anything that is sealed with it.
Destroying its row's `wrapped` erases everything that it sealed; what the same subject writes afterwards is sealed under
a key of the next generation. A missing row is no erasure: it is an error (`KeysMissingError`), and no other key takes its
place (`record.made_keys` says which were ever made).
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from datetime import date
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID, uuid5

from asyncpg import ObjectNotInPrerequisiteStateError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.clock import monotonic
from adapters.postgres.master_key import NONCE_BYTES, Master
from adapters.wrapping_keys import WrappingKeyError
from domain.ids import KeyId, RoomId
from domain.ports.database import Db
from domain.ports.record import KeysMissingError

DATA_KEYS_CACHED_MAX = 50_000

SELECT_KEYS = "SELECT key_id, wrapped, wrapped_with FROM vault.data_keys WHERE key_id = ANY($1::uuid[])"
# A key that was made before is not made again, whether it is still there or not.
INSERT_KEYS = """
    WITH made AS (
        INSERT INTO record.made_keys (key_id) SELECT unnest($1::uuid[]) ON CONFLICT (key_id) DO NOTHING RETURNING key_id
    )
    INSERT INTO vault.data_keys (key_id, subject, room_id, day, wrapped, wrapped_with)
    SELECT named.key_id, named.subject, named.room_id, named.day, named.wrapped, named.wrapped_with
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::date[], $5::bytea[], $6::int[])
        named (key_id, subject, room_id, day, wrapped, wrapped_with)
    JOIN made ON made.key_id = named.key_id
    ON CONFLICT (key_id) DO NOTHING
"""
STALE_WRAPPING = "Data keys are wrapped by a newer wrapping key than this process has: copy wrapping.keys here from where it was made."
KEY_SECONDS = 60.0
KEYS = UUID("5d0a6a38-0c83-5b6c-9ad4-7e0a3c6f0b55")


Opening = Callable[[bytes, bytes, bytes | None], bytes]


class KeyName(NamedTuple):
    """What a data key is for. `room_id` is None for what was not said in a room. `generation` counts the destroyed keys
    of the same subject, room and day."""

    subject: UUID
    room_id: RoomId | None
    day: date
    generation: int = 0

    def id(self) -> KeyId:
        return _key_id(self)


class StoredKey(NamedTuple):
    """A row of `vault.data_keys`; `wrapped` is None if the key was destroyed. `wrapped_with` is the version of the wrapping key."""

    key_id: UUID
    wrapped: bytes | None
    wrapped_with: int


class _Kept(NamedTuple):
    """A key as it was read; `key` is None if it was destroyed. `news` counts the news of keys that had come by then."""

    key: AESGCM | None
    read_at: float
    news: int


class Vault:
    """Data keys, kept in memory for sealing and opening. `make` and `gather` wait for the database; the rest is
    immediate.

    A key that was destroyed soon seals and opens nothing any more, in any process: keys are read again when there is news
    of them (`adapters/postgres/key_news.py`), and after `KEY_SECONDS` in case the news was lost.
    """

    def __init__(self, db: Db, master: Master, clock: Callable[[], float] = monotonic) -> None:
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
        """Make sure that for each name there is a key that is not destroyed, on the disk and in memory; return its id.

        Raise `KeysMissingError` if one was made before and is not there: another one in its place would leave what the first
        sealed unreadable, even after it is restored.
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
        """Have these keys in memory, as far as they exist. One query fetches all that are missing, or were read too
        long ago."""
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
        found = {KeyId(str(row.key_id)): row for row in await self._db.all(StoredKey, SELECT_KEYS, wanted)}
        for key_id in wanted:
            # Only now: others may have gathered it, and wait for other keys of theirs.
            self._keys.pop(key_id, None)
            if key_id in found:
                self._keys[key_id] = _Kept(self._unwrapped(found[key_id]), read_at, news)
        while len(self._keys) > max(DATA_KEYS_CACHED_MAX, len(key_ids)):
            self._keys.popitem(last=False)

    def seal(self, key_id: KeyId, plain: bytes, bound: bytes) -> bytes:
        """Encrypt under a key that is in memory (nonce first); `bound` must be given again to open it."""
        key = self._at_hand(key_id).key
        assert key is not None, "`make` names no key that is destroyed"
        nonce = os.urandom(NONCE_BYTES)
        return nonce + key.encrypt(nonce, plain, bound)

    def open(self, key_id: KeyId, sealed: bytes, bound: bytes) -> bytes | None:
        """Decrypt; return None if the key was destroyed.

        Raise `InvalidTag` if it is not what was sealed, and `KeysMissingError` if there is no such key: that is no erasure,
        but a vault that was lost or restored in part.
        """
        kept = self._at_hand(key_id)
        if len(sealed) < NONCE_BYTES:
            raise InvalidTag
        return None if kept.key is None else kept.key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)

    def opening(self, key_ids: Collection[KeyId]) -> dict[KeyId, Opening]:
        """Return what decrypts for each of these keys that is in memory and not destroyed: takes the nonce, what was sealed, and
        what it was bound to. For many boxes at once, right after `gather`; raises `InvalidTag` if it is not what was sealed."""
        return {
            key_id: kept.key.decrypt
            for key_id in key_ids
            if (kept := self._keys.get(key_id)) is not None and kept.key is not None
        }

    def _at_hand(self, key_id: KeyId) -> _Kept:
        kept = self._keys.get(key_id)
        if kept is None:
            raise KeysMissingError(
                f"The data key {key_id} is missing in vault.data_keys: restore the keys that belong to this record."
            )
        return kept

    def _unwrapped(self, row: StoredKey) -> AESGCM | None:
        if row.wrapped is None:
            return None
        try:
            return AESGCM(self.master.unwrap_data_key(row.wrapped, str(row.key_id), row.wrapped_with))
        except WrappingKeyError as error:
            raise KeysMissingError(str(error)) from None

    async def _insert(self, missing: Mapping[KeyId, KeyName]) -> None:
        """Make keys, in order, so that two processes do not wait for each other. If both make the same, the first one's
        is kept."""
        for last in (False, True):
            rows = [
                (key_id, name.subject, name.room_id, name.day, *self.master.wrap_data_key(AESGCM.generate_key(256), key_id))
                for key_id, name in sorted(missing.items())
            ]  # fmt: skip
            try:
                await self._db.run(INSERT_KEYS, *(list(column) for column in zip(*rows, strict=True)))
                return
            except ObjectNotInPrerequisiteStateError:  # a newer wrapping key came into use at this moment
                if last:
                    raise KeysMissingError(STALE_WRAPPING) from None


@lru_cache(maxsize=65_536)
def _key_id(name: KeyName) -> KeyId:
    generation = f"/{name.generation}" if name.generation else ""
    return KeyId(str(uuid5(KEYS, f"{name.subject}/{name.room_id or ''}/{name.day.isoformat()}{generation}")))
