"""Rewrapping: all data keys wrapped anew, under a new wrapping key or a new master key. What they sealed is not touched.

Everything goes on meanwhile. The new wrapping key is in the file before anything is wrapped by it; from `begin_wrapping` on no key is
made that is wrapped by an earlier one; so when none of those is left, there will never be one again, and it may be destroyed.
"""

from typing import NamedTuple
from uuid import UUID

from msgspec import Struct

from adapters.postgres.data_keys import StoredKey
from adapters.postgres.master_key import Master
from adapters.postgres.master_key_check import NAME, ROOT, TEXT
from domain.ports.database import Db

PAGE_KEYS = 1_000
NO_KEY = UUID(int=0)

SELECT_OLDER = """
    SELECT key_id, wrapped, wrapped_with FROM vault.data_keys
    WHERE key_id > $1 AND wrapped IS NOT NULL AND wrapped_with < $2 ORDER BY key_id LIMIT $3
"""
SELECT_LEFT = "SELECT count(*) FROM vault.data_keys WHERE wrapped IS NOT NULL AND wrapped_with < $1"
SELECT_IN_USE = "SELECT oldest FROM vault.wrapping"
SELECT_WRAPPED_BY = """
    SELECT wrapped_with AS version, count(*) AS count FROM vault.data_keys WHERE wrapped IS NOT NULL
    GROUP BY wrapped_with ORDER BY wrapped_with DESC
"""
BEGIN_WRAPPING = "SELECT vault.begin_wrapping($1)"
REWRAP = "SELECT vault.rewrap($1::uuid[], $2::bytea[], $3::bytea[], $4)"
REPLACE = "SELECT vault.replace_master($1, $2, $3::text[], $4::bytea[])"
SELECT_SIGNING = "SELECT kid, wrapped FROM vault.signing_keys WHERE retired_at IS NULL ORDER BY kid"


class SigningKey(NamedTuple):
    """A key that signs access tokens, which the master key wraps."""

    kid: str
    wrapped: bytes


class WrappedBy(Struct, frozen=True):
    """How many data keys a wrapping key wraps; version 0: the master key alone."""

    version: int
    count: int


async def wrapped_by(db: Db) -> list[WrappedBy]:
    """Return how many data keys there are of each wrapping key that wraps any, the newest first. It reads all of them."""
    return await db.all(WrappedBy, SELECT_WRAPPED_BY)


async def in_use(db: Db) -> int | None:
    """Return the version of the wrapping key that all keys are wrapped by, or are being; None: the master key alone."""
    return int(await db.value(SELECT_IN_USE)) or None


async def rewrap(db: Db, master: Master, version: int) -> int:
    """Wrap all keys by the newest wrapping key, which is of this version; return how many were. Those that are destroyed
    meanwhile stay so."""
    await db.value(BEGIN_WRAPPING, version)
    done = 0
    while await db.value(SELECT_LEFT, version):
        after = NO_KEY
        while page := await db.all(StoredKey, SELECT_OLDER, after, version, PAGE_KEYS):
            wrapped = [_anew(master, row) for row in page]
            ids, before = [row.key_id for row in page], [row.wrapped for row in page]
            done += int(await db.value(REWRAP, ids, before, wrapped, version))
            after = page[-1].key_id
    return done


async def replace_others(db: Db, master: Master) -> None:
    """Wrap by the master key that is first now what else the one before wraps: the check, the root, keys that sign tokens."""
    keys = await db.all(SigningKey, SELECT_SIGNING)
    anew = [master.wrap(master.unwrap(key.wrapped, name=key.kid.encode()), name=key.kid.encode()) for key in keys]
    await db.run(
        REPLACE, master.wrap(TEXT, name=NAME), master.wrap(master.root, name=ROOT), [key.kid for key in keys], anew
    )


def _anew(master: Master, row: StoredKey) -> bytes:
    assert row.wrapped is not None, "the statement leaves out those that are destroyed"
    key_id = str(row.key_id)
    return master.wrap_data_key(master.unwrap_data_key(row.wrapped, key_id, row.wrapped_with), key_id)[0]
