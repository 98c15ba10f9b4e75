"""Access tokens: JWTs (RFC 9068) signed with EdDSA, by a key of `signing_keys.py` that is found by `kid`.

One algorithm, and nothing of a token's header is believed but a `kid` that we know: `alg`, `typ` and `crit` must be
what we write ourselves.

Refresh tokens are opaque: `<session>.<secret>.<proof>`. The proof (HMAC) says that the token was once given out, so that
a spent one can be told from one that somebody made up, without keeping the spent ones.
"""

import os
import re
from base64 import urlsafe_b64encode
from collections import OrderedDict
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Any, Self
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from adapters.credentials.signing_keys import Keys, SigningKey, read_or_make
from adapters.postgres.master_key import Master
from domain.bounds import ACCESS_SECONDS, CLOCK_LEEWAY_SECONDS
from domain.errors import BadRefreshTokenError, BadTokenError
from domain.ids import SessionId, UserId
from domain.ports.credentials import Access, Refreshing
from domain.ports.database import Db

TOKEN_CHARS_MAX = 2_048
VERIFIED_MAX = 10_000  # tokens remembered as verified, about a KiB each
TOKEN_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
REFRESH_SHAPE = re.compile(r"([0-9a-f]{32})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{22})")
AUDIENCE = "hansard"
HEADER = {"alg": "EdDSA", "typ": "at+jwt"}
REQUIRED = ["exp", "iat", "nbf", "sub", "sid", "iss", "aud", "jti"]
OVERLAP = timedelta(seconds=ACCESS_SECONDS + 2 * CLOCK_LEEWAY_SECONDS)


class EdDsaTokens:
    """The port `domain.ports.Tokens`. Signs with the newest key that may sign; accepts the keys whose tokens may not
    have expired yet."""

    def __init__(self, keys: list[SigningKey], master: Master, *, issuer: str, db: Db | None = None) -> None:
        self._db = db
        self._master = master
        self._issuer = issuer
        self._refreshing = master.secret_of(b"hansard refresh tokens")
        self._signed = 0
        self._verified: OrderedDict[bytes, tuple[str, dict[str, Any]]] = OrderedDict()
        self._take(keys)

    @classmethod
    async def load(cls, db: Db, master: Master, *, issuer: str) -> Self:
        """Read the keys; the first process of a deployment makes the first one."""
        return cls(await read_or_make(db, master), master, issuer=issuer, db=db)

    async def reload(self) -> None:
        assert self._db is not None, "keys that were given cannot be read anew"
        self._take(await Keys(self._db, self._master).every())

    def _take(self, keys: list[SigningKey]) -> None:
        """Use these keys, the newest first."""
        assert keys, "there is always a key that signs"
        self._verified.clear()
        self._keys = keys
        self._private = {
            key.kid: Ed25519PrivateKey.from_private_bytes(self._master.unwrap(key.wrapped, name=key.kid.encode()))
            for key in keys
        }
        self._public = {key.kid: Ed25519PublicKey.from_public_bytes(key.public) for key in keys}
        # A key's last token was signed, at the latest, when the next one began.
        followers = [None, *(key.signs_from for key in keys)]
        self._until = {key.kid: None if by is None else by + OVERLAP for key, by in zip(keys, followers, strict=False)}

    def access(
        self, *, user_id: UserId, session_id: SessionId, now: datetime, until: datetime | None = None
    ) -> tuple[str, int]:
        self._signed += 1
        issued = int(now.timestamp())
        expires = issued + ACCESS_SECONDS
        if until is not None:
            expires = max(issued, min(expires, int(until.timestamp())))
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "iat": issued,
            "nbf": issued,
            "exp": expires,
            "jti": f"{session_id.hex}-{self._signed}-{int(now.timestamp() * 1e6)}",
        }
        kid = next((key.kid for key in self._keys if key.signs_from <= now), self._keys[-1].kid)
        token = jwt.encode(claims, self._private[kid], algorithm="EdDSA", headers={**HEADER, "kid": kid})
        return token, expires - issued

    def refresh(self, session_id: SessionId, *, after: str = "", key: str | None = None) -> Refreshing:
        secret = os.urandom(32) if key is None else self._mac(f"next\n{session_id}\n{after}\n{key}")
        named = f"{session_id.hex}.{_base64(secret)}"
        return _refreshing(session_id, f"{named}.{_base64(self._mac(named)[:16])}")

    def read_refresh(self, token: str) -> Refreshing:
        found = REFRESH_SHAPE.fullmatch(token)
        if not found or not compare_digest(_base64(self._mac(f"{found[1]}.{found[2]}")[:16]), found[3]):
            raise BadRefreshTokenError
        return _refreshing(SessionId(UUID(hex=found[1])), token)

    def _mac(self, text: str) -> bytes:
        return digest(self._refreshing, text.encode(), "sha256")

    def read(self, token: str, now: datetime) -> Access:
        if len(token) > TOKEN_CHARS_MAX or not TOKEN_SHAPE.fullmatch(token):
            raise BadTokenError
        try:
            kid, claims = self._verified_claims(token, now)
            if not self._is_read(kid, now):
                raise BadTokenError
            return _access(claims, now)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
            raise BadTokenError from None

    def _verified_claims(self, token: str, now: datetime) -> tuple[str, dict[str, Any]]:
        """Return a token's key and claims. A token is verified once, and remembered by its digest until the keys change: what
        depends on the time is the caller's to check, each time."""
        name = sha256(token.encode()).digest()
        if (known := self._verified.get(name)) is not None:
            return known
        header = jwt.get_unverified_header(token)
        kid = header.pop("kid", None)
        if header != HEADER or not isinstance(kid, str) or not self._is_read(kid, now):
            raise BadTokenError
        claims = jwt.decode(
            token,
            self._public[kid],
            algorithms=["EdDSA"],
            audience=AUDIENCE,
            issuer=self._issuer,
            options={"require": REQUIRED, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
        if len(self._verified) >= VERIFIED_MAX:
            self._verified.popitem(last=False)
        self._verified[name] = kid, claims
        return kid, claims

    def jwks(self, now: datetime) -> dict[str, list[dict[str, str]]]:
        return {
            "keys": [
                {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.kid, "x": _base64(key.public)}
                for key in self._keys
                if self._is_read(key.kid, now)
            ]
        }

    def _is_read(self, kid: str, now: datetime) -> bool:
        """Return whether tokens of this key are accepted: it is ours, and one that it signed may not have expired yet."""
        return kid in self._until and ((until := self._until[kid]) is None or now < until)


def _refreshing(session_id: SessionId, token: str) -> Refreshing:
    return Refreshing(session_id, token, sha256(token.encode()).hexdigest())


def _base64(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _access(claims: dict[str, Any], now: datetime) -> Access:
    """Check the times by our own clock (whole seconds, a leeway both ways) and the types of the ids."""
    seconds = now.timestamp()
    times = [claims[name] for name in ("iat", "nbf", "exp")]
    if any(type(time) is not int for time in times):
        raise BadTokenError
    issued, not_before, expires = times
    if max(issued, not_before) > seconds + CLOCK_LEEWAY_SECONDS or expires + CLOCK_LEEWAY_SECONDS <= seconds:
        raise BadTokenError
    if expires - issued > ACCESS_SECONDS:
        raise BadTokenError
    user_id, session_id = UserId(UUID(claims["sub"])), SessionId(UUID(claims["sid"]))
    return Access(user_id, session_id, datetime.fromtimestamp(expires, now.tzinfo))
