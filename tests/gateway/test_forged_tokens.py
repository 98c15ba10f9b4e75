"""Tokens that are not ours, or not for this: each gets one answer, the same for all, by HTTP and on sockets."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from hashlib import sha256
from hmac import digest
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.clock import now
from adapters.credentials.signing_keys import Keys
from adapters.postgres.database import Database
from domain.ids import SessionId, UserId
from gateway.protocol import close_codes
from tests.deployments import MASTER, Gateway, Person, deployment
from tests.lines import line, turned_away

Signer = Callable[[bytes], bytes]
PLACES = ("https://evil.example/keys", "file:///dev/null", "data:application/json,{}")


class Material(NamedTuple):
    """What a forger may have: somebody's good token, the public key; and, for what only we could sign, our key."""

    ada: Person
    kid: str
    ours: Ed25519PrivateKey
    ticket: str

    @property
    def header(self) -> dict[str, Any]:
        return dict(jwt.get_unverified_header(self.ada.token))

    @property
    def claims(self) -> dict[str, Any]:
        return dict(jwt.decode(self.ada.token, options={"verify_signature": False}))


def part(value: Any) -> str:
    """A part of a token: bytes as they are, anything else as JSON."""
    return urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=").decode()


def made(header: Any, claims: Any, sign: Signer) -> str:
    said = f"{part(header)}.{part(claims)}"
    return f"{said}.{part(sign(said.encode()))}"


def hmac_of(key: bytes) -> Signer:
    return lambda said: digest(key, said, "sha256")


def without_signature(m: Material) -> dict[str, str]:
    head, claims, signature = m.ada.token.split(".")
    found = {f"alg {alg}": f"{part(m.header | {'alg': alg})}.{claims}." for alg in ("none", "None", "NONE", "nOnE", "")}
    found["alg none, signed"] = f"{part(m.header | {'alg': 'none'})}.{claims}.{signature}"
    found["no alg"] = f"{part({'typ': 'at+jwt', 'kid': m.kid})}.{claims}.{signature}"
    found["no signature"] = f"{head}.{claims}."
    found["two parts"] = f"{head}.{claims}"
    return found


def with_the_public_key(m: Material) -> dict[str, str]:
    """HMAC keyed by what everybody may know, in every form in which a verifier might hold it."""
    public = m.ours.public_key()
    x = urlsafe_b64encode(public.public_bytes_raw()).rstrip(b"=")
    forms = {
        "raw": public.public_bytes_raw(),
        "PEM": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "DER": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "base64url": x,
        "JWK": json.dumps({"kty": "OKP", "crv": "Ed25519", "x": x.decode()}).encode(),
        "nothing": b"",
    }
    return {f"HMAC, {name}": made(m.header | {"alg": "HS256"}, m.claims, hmac_of(key)) for name, key in forms.items()}


def with_another_key(m: Material) -> dict[str, str]:
    """The forger's own key, and headers that would have us fetch or believe it."""
    foreign = Ed25519PrivateKey.generate()
    jwk = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": part(foreign.public_key().public_bytes_raw())}
    curve, rsa_key = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    headers: dict[str, dict[str, Any]] = {
        "our kid": {},
        "jwk": {"jwk": jwk},
        **{f"jku {place}": {"jku": place} for place in PLACES},
        "x5u": {"x5u": PLACES[0]},
        "x5c": {"x5c": [b64encode(foreign.public_key().public_bytes_raw()).decode()]},
        "x5t": {"x5t": part(sha256(b"x").digest())},
        "crit": {"crit": ["exp"]},
        "unknown kid": {"kid": "unknown"},
        "kid with SQL": {"kid": f"x' UNION SELECT '{m.kid}"},
        "kid with a path": {"kid": "../../../../dev/null"},
        "kid with NUL": {"kid": f"{m.kid}\x00"},
        "kid is a list": {"kid": [m.kid]},
        "kid is null": {"kid": None},
    }
    found = {name: made(m.header | more, m.claims, foreign.sign) for name, more in headers.items()}
    found["ES256"] = made(
        m.header | {"alg": "ES256"}, m.claims, lambda said: curve.sign(said, ec.ECDSA(hashes.SHA256()))
    )
    found["RS256"] = made(
        m.header | {"alg": "RS256"}, m.claims, lambda said: rsa_key.sign(said, padding.PKCS1v15(), hashes.SHA256())
    )
    found["Ed448"] = made(m.header, m.claims, Ed448PrivateKey.generate().sign)
    found["kid of nothing, HMAC of nothing"] = made(
        {"alg": "HS256", "typ": "at+jwt", "kid": "/dev/null"}, m.claims, hmac_of(b"")
    )
    twice = f'{{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"{m.kid}"}}'.encode()
    found["alg twice"] = made(twice, m.claims, foreign.sign)
    return found


def of_our_key(m: Material) -> dict[str, str]:
    """What only we could sign, and never do."""
    seconds, ours = int(now().timestamp()), m.ours.sign
    claims: dict[str, dict[str, Any]] = {
        "foreign aud": {"aud": "another"},
        "foreign iss": {"iss": "https://another.example"},
        "expired": {"iat": seconds - 931, "nbf": seconds - 931, "exp": seconds - 31},
        "not yet": {"nbf": seconds + 60},
        "of the future": {"iat": seconds + 60, "nbf": seconds + 60, "exp": seconds + 960},
        "lives too long": {"exp": m.claims["iat"] + 901},
        "exp is text": {"exp": str(m.claims["exp"])},
        "exp is huge": {"exp": 2**80},
        "iat is a fraction": {"iat": m.claims["iat"] + 0.5},
        "nbf is true": {"nbf": True},
        "sub is a number": {"sub": 7},
        "sub is nobody": {"sub": "nobody"},
        "sid is null": {"sid": None},
        "sid is a list": {"sid": [m.claims["sid"]]},
        "aud is an object": {"aud": {"hansard": True}},
    }
    found = {name: made(m.header, m.claims | changed, ours) for name, changed in claims.items()}
    found |= {
        f"no {name}": made(m.header, {n: v for n, v in m.claims.items() if n != name}, ours)
        for name in ("exp", "aud", "sid")
    }
    found |= {f"typ {typ}": made(m.header | {"typ": typ}, m.claims, ours) for typ in ("JWT", "rt+jwt", "AT+JWT", "")}
    found["crit, ours"] = made(m.header | {"crit": ["exp"]}, m.claims, ours)
    found["b64"] = made(m.header | {"b64": False, "crit": ["b64"]}, m.claims, ours)
    found["claims are a list"] = made(m.header, [m.claims], ours)
    found["claims twice"] = made(m.header, json.dumps(m.claims)[:-1].encode() + b',"aud":"another"}', ours)
    return found


def of_another_kind(m: Material) -> dict[str, str]:
    """Good secrets of ours, where an access token is asked for."""
    return {
        "refresh token": m.ada.tokens["refresh_token"],
        "ticket": m.ticket,
        "password reset": f"{uuid4().hex}.{'A' * 43}",
    }


def mangled(m: Material) -> dict[str, str]:
    head, claims, signature = m.ada.token.split(".")
    return {
        "one letter": "x",
        "three letters": "a.b.c",
        "8 KB": "A" * 8_150,
        "8 KB of claims": made(m.header, m.claims | {"filling": "x" * 5_000}, m.ours.sign),
        "junk behind": f"{m.ada.token}x",
        "a fourth part": f"{m.ada.token}.x",
        "an empty part": m.ada.token.replace(".", "..", 1),
        "padded": f"{m.ada.token}=",
        "other alphabet": f"{head}.{claims}.+/{signature[2:]}",
        "cut": m.ada.token[:-1],
        "another's signature": f"{head}.{part(m.claims | {'sub': str(uuid4())})}.{signature}",
        "another signature": f"{head}.{claims}.{part(bytes(64))}",
        "twice": f"{m.ada.token} {m.ada.token}",
        "with a comma": f"{m.ada.token},{m.ada.token}",
        "in quotes": f'"{m.ada.token}"',
        "header is null": f"{part(None)}.{claims}.{signature}",
    }


KINDS = (without_signature, with_the_public_key, with_another_key, of_our_key, of_another_kind, mangled)


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as opened:
        yield opened


async def forged(hansard: Gateway, database_url: str) -> tuple[Person, dict[str, str]]:
    """Return somebody, and every forgery of their token by what is wrong with it."""
    ada = await hansard.person()
    db = await Database.open(database_url)
    (key,) = await Keys(db, MASTER).every()
    await db.close()
    ours = Ed25519PrivateKey.from_private_bytes(MASTER.unwrap(key.wrapped, name=key.kid.encode()))
    ticket = (await ada.ask("POST", "/ws/tickets", 201))["ticket"]
    material = Material(ada, key.kid, ours, ticket)
    found = {name: token for kind in KINDS for name, token in kind(material).items()}
    assert len(found) >= 24 and ada.token not in found.values()
    genuine = made(material.header, material.claims, ours.sign)
    answer = await hansard.client(genuine).get("/users/me")
    assert answer.status_code == 200, "it is what the others say that is refused, and not how they are made here"
    return ada, found


def said(answer: httpx.Response) -> tuple[bytes, frozenset[tuple[str, str]]]:
    """Return body and headers of an answer, but for the date."""
    return answer.content, frozenset(answer.headers.items()) - {("date", answer.headers["date"])}


async def test_every_forged_token_gets_one_answer(hansard: Gateway, database_url: str) -> None:
    ada, tokens = await forged(hansard, database_url)
    answers = set()
    async with hansard.client(**{"X-Request-Id": "same"}) as http:
        for name, token in tokens.items():
            for path in ("/users/me", "/rooms"):
                answer = await http.get(path, headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == 401, name
                answers.add(said(answer))
        (single,) = answers
        stranger = await http.get("/users/me")
        assert said(stranger) == single, "and it is that of no token at all"
    await ada.ask("GET", "/users/me", 200)


async def test_sockets_give_every_forged_token_one_answer(hansard: Gateway, database_url: str) -> None:
    ada, tokens = await forged(hansard, database_url)
    handshakes, replies, renewals = set(), set(), set()
    async with line(hansard, ada) as socket:
        await socket.until("hello")
        for name, token in tokens.items():
            refused = await turned_away(hansard, Authorization=f"Bearer {token}", **{"X-Request-Id": "same"})
            assert refused.status_code == 401, name
            handshakes.add(bytes(refused.body or b""))
            async with line(hansard, None) as first:
                await first.send("authenticate", id=1, token=token)
                replies.add(json.dumps(await first.until("reply")))
                assert await first.closed() == close_codes.UNAUTHENTICATED, name
            await socket.send("authenticate", id=1, token=token)
            renewals.add(json.dumps(await socket.until("reply")))
        assert (await socket.ask("authenticate", token=ada.token))["ok"], "and the socket lives"
    assert len(handshakes) == len(replies) == len(renewals) == 1
    assert replies == renewals and json.loads(replies.pop())["error"]["code"] == "auth.token_invalid"


async def test_a_handshake_that_cannot_be_read_is_answered_at_once(hansard: Gateway) -> None:
    """A header line of more than 8 KiB: uvicorn leaves such a client waiting without an answer."""
    refused = await turned_away(hansard, Authorization=f"Bearer {'A' * 9_000}")
    assert refused.status_code == 400
    async with hansard.client("A" * 9_000) as http:
        assert (await http.get("/users/me")).status_code == 401


async def test_a_forged_ticket_is_no_ticket(hansard: Gateway, database_url: str) -> None:
    ada, _ = await forged(hansard, database_url)
    ticket = (await ada.ask("POST", "/ws/tickets", 201))["ticket"]
    other = (await ada.ask("POST", "/ws/tickets", 201))["ticket"]
    bodies = set()
    for wrong in (
        "",
        "x",
        ticket[:-4],
        ticket[:-8] + "AAAAAAAA",
        ("B" if ticket.startswith("A") else "A") + ticket[1:],
        ticket[:100] + other[100:],
        ticket * 30,
    ):
        refused = await turned_away(hansard, f"/api/v1/ws?ticket={wrong}", **{"X-Request-Id": "same"})
        assert refused.status_code == 401, wrong
        bodies.add(bytes(refused.body or b""))
    assert len(bodies) == 1
    for place in (f"?ticket={ada.token}", f"?token={ada.token}", f"?{ada.token}"):
        assert (await turned_away(hansard, f"/api/v1/ws{place}")).status_code == 401, "a token stands in no address"


async def test_the_edges_of_a_tokens_life(hansard: Gateway) -> None:
    """Half a minute of leeway, either way, and not a second more."""
    ada, tokens = await hansard.person(), hansard.services.tokens
    claims = jwt.decode(ada.token, options={"verify_signature": False})
    user_id, session_id = UserId(UUID(claims["sub"])), SessionId(UUID(claims["sid"]))
    for seconds, status in ((-960, 401), (-931, 401), (-900, 200), (0, 200), (25, 200), (40, 401), (960, 401)):
        token, _ = tokens.access(user_id=user_id, session_id=session_id, now=now() + timedelta(seconds=seconds))
        assert (await hansard.client(token).get("/users/me")).status_code == status, seconds
