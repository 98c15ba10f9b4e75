"""What proves who somebody is: access tokens that only we can make, and passwords that are dear to guess."""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.database import Database
from adapters.passwords import WAITING_MAX, Argon2Passwords
from adapters.tokens import EdDsaTokens, SigningKey
from adapters.vault import Master, MasterKeyWrong
from domain.ids import SessionId, UserId
from domain.ports import Access
from domain.refusals import BadToken, Busy
from tests.houses import MASTER

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ADA, SESSION = UserId(UUID(int=1)), SessionId(UUID(int=2))
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"a key that is only for tests, 32")
KEY = SigningKey(
    "kid-1", MASTER.wrap(PRIVATE.private_bytes_raw(), name=b"kid-1"), PRIVATE.public_key().public_bytes_raw()
)
TOKENS = EdDsaTokens([KEY], MASTER, issuer="hansard")
HEADER: dict[str, Any] = {"typ": "at+jwt", "kid": "kid-1"}
CLAIMS: dict[str, Any] = {
    "iss": "hansard",
    "aud": "hansard",
    "sub": str(ADA),
    "sid": str(SESSION),
    "iat": int(NOON.timestamp()),
    "nbf": int(NOON.timestamp()),
    "exp": int(NOON.timestamp()) + 900,
    "jti": "1",
}


def signed(claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
    """A token with our own signature: what is wrong with it is what it says."""
    return jwt.encode(claims, PRIVATE, algorithm="EdDSA", headers=HEADER | (header or {}))


def raw(header: Any, claims: Any) -> str:
    """The same, also for what no library would encode."""
    parts = [base64.urlsafe_b64encode(p if isinstance(p, bytes) else json.dumps(p).encode()) for p in (header, claims)]
    body = b".".join(part.rstrip(b"=") for part in parts)
    return (body + b"." + base64.urlsafe_b64encode(PRIVATE.sign(body)).rstrip(b"=")).decode()


def without(name: str) -> dict[str, Any]:
    return {claim: value for claim, value in CLAIMS.items() if claim != name}


def test_a_token_says_who_and_until_when() -> None:
    token = TOKENS.access(user_id=ADA, session_id=SESSION, now=NOON)
    expected = Access(ADA, SESSION, NOON + timedelta(minutes=15))
    assert TOKENS.read(token, NOON) == TOKENS.read(signed(CLAIMS), NOON) == expected
    assert jwt.get_unverified_header(token) == HEADER | {"alg": "EdDSA"}
    assert TOKENS.access(user_id=ADA, session_id=SESSION, now=NOON) != token, "each is one of its kind"


def test_a_token_lives_fifteen_minutes_with_half_a_minute_of_leeway() -> None:
    token = TOKENS.access(user_id=ADA, session_id=SESSION, now=NOON)
    for seconds in (-30, 0, 900, 929):
        TOKENS.read(token, NOON + timedelta(seconds=seconds))
    for seconds in (-31, 930, 931, 10**6):
        with pytest.raises(BadToken):
            TOKENS.read(token, NOON + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "token",
    [
        *(pytest.param(signed(without(name)), id=f"no {name}") for name in CLAIMS),
        pytest.param(signed(CLAIMS | {"iss": "another"}), id="foreign iss"),
        pytest.param(signed(CLAIMS | {"aud": "another"}), id="foreign aud"),
        pytest.param(signed(CLAIMS | {"sub": "ada"}), id="sub is no id"),
        pytest.param(signed(CLAIMS | {"sid": ""}), id="sid is empty"),
        pytest.param(signed(CLAIMS | {"sid": 7}), id="sid is a number"),
        pytest.param(signed(CLAIMS | {"sid": None}), id="sid is null"),
        pytest.param(signed(CLAIMS | {"exp": CLAIMS["exp"] + 1}), id="lives too long"),
        pytest.param(signed(CLAIMS | {"exp": 2**80}), id="exp beyond time"),
        pytest.param(signed(CLAIMS | {"exp": str(CLAIMS["exp"])}), id="exp is text"),
        pytest.param(signed(CLAIMS | {"exp": float(CLAIMS["exp"])}), id="exp is a float"),
        pytest.param(signed(CLAIMS | {"iat": True}), id="iat is true"),
        pytest.param(signed(CLAIMS | {"iat": CLAIMS["iat"] - 1}), id="issued too long before"),
        pytest.param(signed(CLAIMS | {"nbf": CLAIMS["nbf"] + 31}), id="not yet"),
        pytest.param(signed(CLAIMS, {"typ": "JWT"}), id="typ JWT"),
        pytest.param(signed(CLAIMS, {"typ": "rt+jwt"}), id="typ of another kind"),
        pytest.param(signed(CLAIMS, {"kid": "kid-2"}), id="unknown kid"),
        pytest.param(signed(CLAIMS, {"crit": ["exp"]}), id="crit"),
        pytest.param(signed(CLAIMS, {"jku": "https://evil.example/keys"}), id="jku"),
        pytest.param(raw(HEADER | {"alg": "EdDSA", "b64": True}, CLAIMS), id="b64"),
        pytest.param(raw(HEADER | {"alg": "eddsa"}, CLAIMS), id="alg in small letters"),
        pytest.param(raw(HEADER | {"alg": ["EdDSA"]}, CLAIMS), id="alg is a list"),
        pytest.param(raw(HEADER | {"alg": "EdDSA", "kid": ["kid-1"]}, CLAIMS), id="kid is a list"),
        pytest.param(raw(HEADER | {"alg": "none"}, CLAIMS), id="alg none"),
        pytest.param(raw([], CLAIMS), id="header is a list"),
        pytest.param(raw(HEADER | {"alg": "EdDSA"}, []), id="claims are a list"),
        pytest.param(raw(HEADER | {"alg": "EdDSA"}, b"not JSON"), id="claims are no JSON"),
        pytest.param(raw(HEADER | {"alg": "EdDSA"}, b"[" * 1_000), id="nested deep"),
        pytest.param(raw(HEADER | {"alg": "EdDSA"}, b'{"exp":1e999}'), id="infinite"),
        pytest.param(signed(CLAIMS)[:-1], id="cut"),
        pytest.param(signed(CLAIMS) + "\n", id="a newline behind"),
        pytest.param(" " + signed(CLAIMS), id="a space before"),
        pytest.param("", id="empty"),
        pytest.param("\ud800.a.b", id="surrogate"),
    ],
)
def test_a_token_that_says_anything_else_is_refused(token: str) -> None:
    with pytest.raises(BadToken):
        TOKENS.read(token, NOON)


def test_another_key_under_our_name_signs_nothing() -> None:
    foreign = Ed25519PrivateKey.generate()
    with pytest.raises(BadToken):
        TOKENS.read(jwt.encode(CLAIMS, foreign, algorithm="EdDSA", headers=HEADER), NOON)


async def test_processes_share_one_key_and_the_newest_signs(database_url: str) -> None:
    db = await Database.open(database_url)
    one, two = [await EdDsaTokens.load(db, MASTER, issuer="hansard") for _ in range(2)]
    token = one.access(user_id=ADA, session_id=SESSION, now=NOON)
    assert two.read(token, NOON).user_id == ADA and one.jwks() == two.jwks()
    assert "d" not in one.jwks()["keys"][0], "the private part is nobody's to see"
    await db.run(
        "INSERT INTO vault.signing_keys (kid, wrapped, public, created_at) VALUES ($1, $2, $3, now() + interval '1 s')",
        KEY.kid,
        KEY.wrapped,
        KEY.public,
    )
    three = await EdDsaTokens.load(db, MASTER, issuer="hansard")
    assert three.read(token, NOON).user_id == ADA, "what the older one signed is still read"
    newer = three.access(user_id=ADA, session_id=SESSION, now=NOON)
    assert jwt.get_unverified_header(newer)["kid"] == "kid-1"
    assert three.jwks()["keys"][0]["kid"] == "kid-1"
    superuser = await asyncpg.connect(database_url)
    await superuser.execute("UPDATE vault.signing_keys SET retired_at = now() WHERE kid <> 'kid-1'")
    await superuser.close()
    four = await EdDsaTokens.load(db, MASTER, issuer="hansard")
    with pytest.raises(BadToken):
        four.read(token, NOON)
    with pytest.raises(MasterKeyWrong):
        await EdDsaTokens.load(db, Master(b"another master key, 32 bytes, ok"), issuer="hansard")
    await db.close()


@pytest.fixture
def passwords() -> Any:
    with Argon2Passwords(memory_kib=8, time_cost=1, parallelism=1) as made:
        yield made


async def test_a_password_is_kept_as_a_salted_hash_and_matches_itself_only(passwords: Argon2Passwords) -> None:
    hashed = await passwords.hash("correct horse")
    assert hashed.startswith("$argon2id$") and "horse" not in hashed
    assert hashed != await passwords.hash("correct horse")
    assert await passwords.verify("correct horse", hashed)
    for wrong in ("", "Correct horse", "correct horse ", "correct hors"):
        assert not await passwords.verify(wrong, hashed)
    long = "ä" * 512
    assert not await passwords.verify(long[:-1], await passwords.hash(long)), "nothing is cut off"


@pytest.mark.parametrize("hashed", [None, "", "no hash", "$argon2id$v=19$broken"])
async def test_no_hash_matches_nothing(passwords: Argon2Passwords, hashed: str | None) -> None:
    assert not await passwords.verify("no account has this password", hashed)


async def test_hashing_never_stops_the_loop_and_what_waits_is_bounded(passwords: Argon2Passwords) -> None:
    work: list[Callable[[], Any]] = [lambda: passwords.hash("x")] * (WAITING_MAX + 10)
    answers = await asyncio.gather(*(each() for each in work), return_exceptions=True)
    assert sum(isinstance(answer, str) for answer in answers) == WAITING_MAX
    assert sum(isinstance(answer, Busy) for answer in answers) == 10
    assert await passwords.hash("x"), "and afterwards there is room again"
