"""The keys that sign access tokens: a table of our own, in which the private keys are wrapped by the master key."""

from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from adapters.postgres.master_key import Master, fingerprint
from domain.errors import ReadableError
from domain.ports.database import Db

SELECT_KEYS = """
    SELECT kid, wrapped, public, signs_from FROM vault.signing_keys
    WHERE retired_at IS NULL ORDER BY signs_from DESC, created_at DESC, kid
"""
INSERT_FIRST_KEY = """
    INSERT INTO vault.signing_keys (kid, wrapped, public)
    SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM vault.signing_keys WHERE retired_at IS NULL)
"""
INSERT_KEY = """
    INSERT INTO vault.signing_keys (kid, wrapped, public, signs_from)
    VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4)) RETURNING signs_from
"""
RETIRE_KEY = """
    UPDATE vault.signing_keys SET retired_at = clock_timestamp() WHERE kid = $1 AND retired_at IS NULL
        AND EXISTS (SELECT FROM vault.signing_keys o WHERE o.kid <> $1 AND o.retired_at IS NULL AND o.signs_from <= now())
"""
EVER = datetime.min.replace(tzinfo=UTC)


class SigningKey(Struct, frozen=True):
    kid: str
    wrapped: bytes
    public: bytes
    signs_from: datetime = EVER


class KeyNotRetiredError(ReadableError):
    """No such key, or it is the only one that may sign: rotate first, and wait until the new one signs."""


async def read_or_make(db: Db, master: Master) -> list[SigningKey]:
    """Return the keys that are not retired, the newest first. The first process of a deployment makes the first one."""
    keys = await db.all(SigningKey, SELECT_KEYS)
    if not keys:
        await db.run(INSERT_FIRST_KEY, *_new_key(master))
        keys = await db.all(SigningKey, SELECT_KEYS)
    return keys


class Keys:
    """The operator's side of the table of keys."""

    def __init__(self, db: Db, master: Master) -> None:
        self._db = db
        self._master = master

    async def rotate(self, *, lead_seconds: float) -> tuple[str, datetime]:
        """Make a key that signs from `lead_seconds` on; return its kid and when that is."""
        kid, wrapped, public = _new_key(self._master)
        return kid, await self._db.value(INSERT_KEY, kid, wrapped, public, lead_seconds)

    async def retire(self, kid: str) -> None:
        """Have a key's tokens refused from now on. Raise `KeyNotRetiredError` if it cannot be."""
        if await self._db.run(RETIRE_KEY, kid) != "UPDATE 1":
            raise KeyNotRetiredError(f"{kid}: {KeyNotRetiredError.__doc__}")

    async def every(self) -> list[SigningKey]:
        """Return the keys that are not retired, the newest first."""
        return await self._db.all(SigningKey, SELECT_KEYS)


def _new_key(master: Master) -> tuple[str, bytes, bytes]:
    """Return the kid, the wrapped private key and the public key of a new pair."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    kid = fingerprint(public)
    return kid, master.wrap(private.private_bytes_raw(), name=kid.encode()), public
