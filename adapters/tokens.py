"""Access tokens: JWTs (RFC 9068) signed with EdDSA, by keys of our own table, found by `kid`.

One algorithm, and nothing of a token's header is believed but a `kid` that we know: `alg`, `typ` and `crit` must be
what we write ourselves. The private keys are wrapped by the master key.
"""

import re
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from adapters.vault import Master, fingerprint
from domain.ids import SessionId, UserId
from domain.limits import ACCESS_SECONDS, CLOCK_LEEWAY_SECONDS
from domain.ports import Access, Db
from domain.refusals import BadToken

SELECT_KEYS = """
    SELECT kid, wrapped, public FROM vault.signing_keys WHERE retired_at IS NULL ORDER BY created_at DESC, kid
"""
INSERT_FIRST_KEY = """
    INSERT INTO vault.signing_keys (kid, wrapped, public)
    SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM vault.signing_keys WHERE retired_at IS NULL)
"""
TOKEN_CHARS_MAX = 2_048
TOKEN_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
AUDIENCE = "hansard"
HEADER = {"alg": "EdDSA", "typ": "at+jwt"}
REQUIRED = ["exp", "iat", "nbf", "sub", "sid", "iss", "aud", "jti"]


class SigningKey(Struct, frozen=True):
    kid: str
    wrapped: bytes
    public: bytes


class EdDsaTokens:
    """The port `domain.ports.Tokens`. Signs with the newest key, reads with any that is not retired."""

    def __init__(self, keys: list[SigningKey], master: Master, *, issuer: str) -> None:
        newest = keys[0]
        self._kid = newest.kid
        self._private = Ed25519PrivateKey.from_private_bytes(master.unwrap(newest.wrapped, name=newest.kid.encode()))
        self._public = {key.kid: Ed25519PublicKey.from_public_bytes(key.public) for key in keys}
        self._bytes = {key.kid: key.public for key in keys}
        self._issuer = issuer
        self._signed = 0

    @classmethod
    async def load(cls, db: Db, master: Master, *, issuer: str) -> Self:
        """Read the keys; the first process of a house makes the first one."""
        keys = await db.all(SigningKey, SELECT_KEYS)
        if not keys:
            private = Ed25519PrivateKey.generate()
            public = private.public_key().public_bytes_raw()
            kid = fingerprint(public)
            wrapped = master.wrap(private.private_bytes_raw(), name=kid.encode())
            await db.run(INSERT_FIRST_KEY, kid, wrapped, public)
            keys = await db.all(SigningKey, SELECT_KEYS)
        return cls(keys, master, issuer=issuer)

    def access(self, *, user_id: UserId, session_id: SessionId, now: datetime) -> str:
        self._signed += 1
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + timedelta(seconds=ACCESS_SECONDS)).timestamp()),
            "jti": f"{session_id.hex}-{self._signed}-{int(now.timestamp() * 1e6)}",
        }
        return jwt.encode(claims, self._private, algorithm="EdDSA", headers={**HEADER, "kid": self._kid})

    def read(self, token: str, now: datetime) -> Access:
        if len(token) > TOKEN_CHARS_MAX or not TOKEN_SHAPE.fullmatch(token):
            raise BadToken
        try:
            header = jwt.get_unverified_header(token)
            kid = header.pop("kid", None)
            if header != HEADER or not isinstance(kid, str) or kid not in self._public:
                raise BadToken
            claims = jwt.decode(
                token,
                self._public[kid],
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=self._issuer,
                options={"require": REQUIRED, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
            return _access(claims, now)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
            raise BadToken from None

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        return {
            "keys": [
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "alg": "EdDSA",
                    "use": "sig",
                    "kid": kid,
                    "x": urlsafe_b64encode(public).rstrip(b"=").decode(),
                }
                for kid, public in self._bytes.items()
            ]
        }


def _access(claims: dict[str, Any], now: datetime) -> Access:
    """Judge the times by our own clock (whole seconds, a leeway both ways) and the ids by their type."""
    seconds = now.timestamp()
    times = [claims[name] for name in ("iat", "nbf", "exp")]
    if any(type(time) is not int for time in times):
        raise BadToken
    issued, not_before, expires = times
    if max(issued, not_before) > seconds + CLOCK_LEEWAY_SECONDS or expires + CLOCK_LEEWAY_SECONDS <= seconds:
        raise BadToken
    if expires - issued > ACCESS_SECONDS:
        raise BadToken
    user_id, session_id = UserId(UUID(claims["sub"])), SessionId(UUID(claims["sid"]))
    return Access(user_id, session_id, datetime.fromtimestamp(expires, now.tzinfo))
