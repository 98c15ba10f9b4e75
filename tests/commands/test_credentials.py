"""What proves who somebody is: access tokens that only we can make, and passwords that are dear to guess."""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.credentials.passwords import AT_ONCE_MAX, WAITING_MAX, Argon2Passwords
from adapters.credentials.signing_keys import KeyNotRetiredError, Keys, SigningKey
from adapters.credentials.tokens import EdDsaTokens
from adapters.postgres.database import Database
from adapters.postgres.master_key import Master, MasterKeyWrongError
from domain.errors import BadRefreshTokenError, BadTokenError, BusyError
from domain.ids import SessionId, UserId
from domain.ports.credentials import Access
from tests.deployments import MASTER

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ADA, SESSION = UserId(UUID(int=1)), SessionId(UUID(int=2))
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"a key that is only for tests, 32")
KEY = SigningKey(
    "kid-1", MASTER.wrap(PRIVATE.private_bytes_raw(), name=b"kid-1"), PRIVATE.public_key().public_bytes_raw()
)
OTHER = Master(b"another master key, 32 bytes, ok")
KEY2 = SigningKey("kid-2", OTHER.wrap(PRIVATE.private_bytes_raw(), name=b"kid-2"), KEY.public)
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
    token, _ = TOKENS.access(user_id=ADA, session_id=SESSION, now=NOON)
    expected = Access(ADA, SESSION, NOON + timedelta(minutes=15))
    assert TOKENS.read(token, NOON) == TOKENS.read(signed(CLAIMS), NOON) == expected
    assert jwt.get_unverified_header(token) == HEADER | {"alg": "EdDSA"}
    assert TOKENS.access(user_id=ADA, session_id=SESSION, now=NOON)[0] != token, "each is one of its kind"


def test_a_token_lives_fifteen_minutes_with_half_a_minute_of_leeway() -> None:
    token, _ = TOKENS.access(user_id=ADA, session_id=SESSION, now=NOON)
    for seconds in (-30, 0, 900, 929):
        TOKENS.read(token, NOON + timedelta(seconds=seconds))
    for seconds in (-31, 930, 931, 10**6):
        with pytest.raises(BadTokenError):
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
    with pytest.raises(BadTokenError):
        TOKENS.read(token, NOON)


def test_a_token_is_verified_once_and_never_outlives_its_time_or_its_key() -> None:
    other = Ed25519PrivateKey.generate()
    wrapped = MASTER.wrap(other.private_bytes_raw(), name=b"kid-3")
    tokens = EdDsaTokens([KEY], MASTER, issuer="hansard")
    token = signed(CLAIMS)
    said = tokens.read(token, NOON)
    tokens._public["kid-1"] = other.public_key()  # nothing that is verified now would pass
    assert tokens.read(token, NOON) == said
    with pytest.raises(BadTokenError):
        tokens.read(signed(CLAIMS | {"jti": "2"}), NOON)
    for late in (930, -31):
        with pytest.raises(BadTokenError):
            tokens.read(token, NOON + timedelta(seconds=late))
    tokens._take([SigningKey("kid-3", wrapped, other.public_key().public_bytes_raw())])
    with pytest.raises(BadTokenError):
        tokens.read(token, NOON)


def test_another_key_under_our_name_signs_nothing() -> None:
    foreign = Ed25519PrivateKey.generate()
    with pytest.raises(BadTokenError):
        TOKENS.read(jwt.encode(CLAIMS, foreign, algorithm="EdDSA", headers=HEADER), NOON)


def test_a_token_does_not_outlive_its_session() -> None:
    token, seconds = TOKENS.access(user_id=ADA, session_id=SESSION, now=NOON, until=NOON + timedelta(seconds=60))
    assert (seconds, TOKENS.read(token, NOON).expires_at) == (60, NOON + timedelta(seconds=60))
    assert TOKENS.access(user_id=ADA, session_id=SESSION, now=NOON, until=NOON + timedelta(days=1))[1] == 900


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def test_processes_share_one_key_and_a_new_one_signs_when_everybody_knows_it(database_url: str) -> None:
    db = await Database.open(database_url)
    one, two = [await EdDsaTokens.load(db, MASTER, issuer="hansard") for _ in range(2)]
    today = datetime.now(UTC)
    token, _ = one.access(user_id=ADA, session_id=SESSION, now=today)
    assert two.read(token, today).user_id == ADA and one.jwks(today) == two.jwks(today)
    assert "d" not in one.jwks(today)["keys"][0], "the private part is nobody's to see"
    kid, begins = await Keys(db, MASTER).rotate(lead_seconds=360)
    assert kid not in {key["kid"] for key in one.jwks(today)["keys"]}
    await one.reload()
    before, after = begins - timedelta(seconds=1), begins + timedelta(seconds=1)
    assert [key["kid"] for key in one.jwks(before)["keys"]] == [kid, kid_of(token)], "told before it signs"
    old, _ = one.access(user_id=ADA, session_id=SESSION, now=before)
    new, _ = one.access(user_id=ADA, session_id=SESSION, now=after)
    assert (kid_of(old), kid_of(new)) == (kid_of(token), kid)
    last = begins + timedelta(seconds=929)
    assert one.read(old, last - timedelta(seconds=2)).user_id == ADA, "what the older one signed is read until it ends"
    assert [key["kid"] for key in one.jwks(last + timedelta(seconds=60))["keys"]] == [kid]
    await two.reload()
    assert two.read(new, after).user_id == ADA
    await db.close()


async def test_a_retired_key_opens_nothing_and_the_last_one_cannot_be_retired(database_url: str) -> None:
    db = await Database.open(database_url)
    keys, today = Keys(db, MASTER), datetime.now(UTC)
    tokens = await EdDsaTokens.load(db, MASTER, issuer="hansard")
    token, _ = tokens.access(user_id=ADA, session_id=SESSION, now=today)
    with pytest.raises(KeyNotRetiredError):
        await keys.retire(kid_of(token))
    await keys.rotate(lead_seconds=60)
    with pytest.raises(KeyNotRetiredError):
        await keys.retire(kid_of(token))
    kid, _ = await keys.rotate(lead_seconds=0)
    await keys.retire(kid_of(token))
    with pytest.raises(KeyNotRetiredError):
        await keys.retire(kid_of(token))
    await tokens.reload()
    with pytest.raises(BadTokenError):
        tokens.read(token, today)
    assert kid_of(tokens.access(user_id=ADA, session_id=SESSION, now=datetime.now(UTC))[0]) == kid
    assert len(await keys.every()) == 2
    with pytest.raises(MasterKeyWrongError):
        await EdDsaTokens.load(db, Master(b"another master key, 32 bytes, ok"), issuer="hansard")
    await db.close()


def test_a_refresh_token_is_opaque_and_only_we_can_make_one() -> None:
    made = TOKENS.refresh(SESSION)
    assert TOKENS.read_refresh(made.token) == made and made.session_id == SESSION
    assert made.token != TOKENS.refresh(SESSION).token and made.hash not in made.token
    name, secret, proof = made.token.split(".")
    other = TOKENS.refresh(SessionId(UUID(int=3))).token.split(".")
    forged = (
        "", "x", name, f"{name}.{secret}", f"{name}.{secret}.", f"{name}.{secret}.{'A' * 22}", f"{name}.{other[1]}.{proof}",
        f"{other[0]}.{secret}.{proof}", f"{name}.{secret}.{other[2]}", made.token + "\n", f" {made.token}", made.token.upper(),
        f"{name}.{secret}.{proof}.x", "ä" * 89,
    )  # fmt: skip
    for token in forged:
        with pytest.raises(BadRefreshTokenError):
            TOKENS.read_refresh(token)
    with pytest.raises(BadRefreshTokenError):
        EdDsaTokens([KEY2], OTHER, issuer="hansard").read_refresh(made.token)


def test_a_refresh_token_made_of_a_key_is_made_again_by_the_same_and_by_nothing_else() -> None:
    first = TOKENS.refresh(SESSION)
    asked = TOKENS.refresh(SESSION, after=first.token, key="k")
    assert TOKENS.refresh(SESSION, after=first.token, key="k") == asked
    others = [
        TOKENS.refresh(SESSION, after=first.token, key="l"),
        TOKENS.refresh(SESSION, after=asked.token, key="k"),
        TOKENS.refresh(SessionId(UUID(int=3)), after=first.token, key="k"),
        TOKENS.refresh(SESSION, after=first.token),
        EdDsaTokens([KEY2], OTHER, issuer="hansard").refresh(SESSION, after=first.token, key="k"),
    ]
    assert asked.hash not in {other.hash for other in others}


HERE = {"address": "address 192.0.2.1", "account": "email ada@example.com"}


@pytest.fixture
def passwords() -> Any:
    with Argon2Passwords(memory_kib=8, time_cost=1, parallelism=1) as made:
        yield made


async def test_a_password_is_kept_as_a_salted_hash_and_matches_itself_only(passwords: Argon2Passwords) -> None:
    hashed = await passwords.hash("correct horse", **HERE)
    assert hashed.startswith("$argon2id$") and "horse" not in hashed
    assert hashed != await passwords.hash("correct horse", **HERE)
    assert await passwords.verify("correct horse", hashed, **HERE)
    for wrong in ("", "Correct horse", "correct horse ", "correct hors"):
        assert not await passwords.verify(wrong, hashed, **HERE)
    long = "ä" * 512
    assert not await passwords.verify(long[:-1], await passwords.hash(long, **HERE), **HERE), "nothing is cut off"


@pytest.mark.parametrize("hashed", [None, "", "no hash", "$argon2id$v=19$broken"])
async def test_no_hash_matches_nothing(passwords: Argon2Passwords, hashed: str | None) -> None:
    assert not await passwords.verify("no account has this password", hashed, **HERE)


async def test_hashing_never_stops_the_loop_and_what_waits_is_bounded(passwords: Argon2Passwords) -> None:
    work: list[Callable[[], Any]] = [lambda: passwords.hash("x", **HERE)] * (WAITING_MAX + 10)
    answers = await asyncio.gather(*(each() for each in work), return_exceptions=True)
    assert sum(isinstance(answer, str) for answer in answers) == WAITING_MAX
    assert sum(isinstance(answer, BusyError) for answer in answers) == 10
    assert await passwords.hash("x", **HERE), "and afterwards there is room again"


async def test_who_goes_away_while_they_wait_or_are_served_keeps_no_place(passwords: Argon2Passwords) -> None:
    tasks = [asyncio.create_task(passwords.hash("x", **HERE)) for _ in range(WAITING_MAX)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    again = await asyncio.gather(*(passwords.hash("x", **HERE) for _ in range(WAITING_MAX - AT_ONCE_MAX)))
    assert all(again) and not passwords.is_full_for("another")
