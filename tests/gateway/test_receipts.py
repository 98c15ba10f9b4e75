"""Receipts of requests: what is kept of a body tells nobody what it was, and nothing of a password is kept at all."""

import hmac
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from gateway.app import API
from gateway.http.declarations import declaration_of
from tests.commands.test_folds import as_owner
from tests.deployments import MASTER, PASSWORD, Gateway, deployment

SELECT_REQUEST = "SELECT request FROM record.receipts"
KEY = {"Idempotency-Key": "once", "Content-Type": "application/json"}


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def kept(hansard: Gateway) -> list[bytes]:
    return await hansard.services.db.all(bytes, SELECT_REQUEST)


async def test_who_reads_receipts_cannot_try_passwords_on_them(hansard: Gateway) -> None:
    body = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
    async with hansard.client() as http:
        first = await http.post("/auth/register", json=body, headers=KEY)
        assert first.status_code == 201
        (receipt,) = await kept(hansard)
        secret = MASTER.secret_of(b"hansard receipts")
        for said in (body, {name: value for name, value in body.items() if name != "password"}):
            forms = [json.dumps(said).encode(), msgspec.json.encode(said)]
            assert receipt not in [sha256(form).digest() for form in forms], "a guess is not proven without our secret"
            has_password = "password" in said
            assert (receipt in [hmac.digest(secret, form, "sha256") for form in forms]) != has_password
        again = await http.post("/auth/register", json=body, headers=KEY)
        assert (again.status_code, again.content) == (201, first.content)
        for other in (body | {"password": "another horse battery"}, body | {"username": "eve"}):
            refused = await http.post("/auth/register", json=other, headers=KEY)
            assert (refused.status_code, refused.json()["code"]) == (422, "idempotency.mismatch")


async def test_a_key_of_the_day_before_the_update_still_holds(hansard: Gateway, database_url: str) -> None:
    ada = await hansard.person()
    first = await ada.http.post("/rooms", content=b'{"name":"One"}', headers=KEY)
    plain = sha256(b'{"name":"One"}').digest()
    assert await kept(hansard) != [plain]
    await as_owner(database_url, ("UPDATE record.receipts SET request = $1", plain))
    again = await ada.http.post("/rooms", content=b'{"name":"One"}', headers=KEY)
    assert (first.status_code, again.content) == (201, first.content)
    assert (await ada.http.post("/rooms", content=b'{"name":"Two"}', headers=KEY)).status_code == 422


def test_every_route_that_keeps_receipts_names_the_passwords_in_its_body() -> None:
    found: list[Any] = []
    for handler in API:
        parameters = handler.fn.__annotations__
        if "receipt" not in parameters or "data" not in parameters:
            continue
        secrets = [name for name in parameters["data"].__struct_fields__ if "password" in name]
        declared = declaration_of(handler)
        assert declared is not None and sorted(declared.secrets) == sorted(secrets), handler
        found += secrets
    assert found == ["password", "password"]
