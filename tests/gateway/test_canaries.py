"""Secrets leave no trace: after all that can be done with them, none stands in logs, in the record, in Redis or in a table."""

import json
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
import structlog
from redis.asyncio import Redis

from adapters.postgres.audit_index import Filter
from tests.deployments import Gateway, logged, projector
from tests.gateway.test_letters import Box, posting
from tests.gateway.test_sessions import refreshed
from tests.lines import line

PASSWORDS = [f"canary password {i}" for i in range(4)]
TABLES = (
    "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('record', 'read', 'vault')"
)


async def secrets_used(hansard: Gateway, box: Box) -> list[str]:
    """Register, log in, refresh, reuse, change, forget, reset, open sockets, and fail at all of it; answers the secrets."""
    found = list(PASSWORDS)
    body: dict[str, Any] = {"email": "ada@example.com", "username": "ada", "password": PASSWORDS[0]}
    async with hansard.client() as http:
        assert (await http.post("/auth/register", json=body)).status_code == 201
        await http.post("/auth/register", json=body)
        await http.post(
            "/auth/register", content=f'{{"password":"{PASSWORDS[0]}"', headers={"Content-Type": "application/json"}
        )
        await http.post("/auth/login", json={"email": "ada@example.com", "password": PASSWORDS[3]})
        await http.post("/auth/login", json={"email": PASSWORDS[3], "password": "x"})
        code = await box.code()
        assert (await http.post("/auth/verify-email", json={"token": code})).status_code == 204
        await http.post("/auth/verify-email", json={"token": code})
        login = {"email": "ada@example.com", "password": PASSWORDS[0]}
        tokens = (await http.post("/auth/login", json=login)).json()
        other = (await http.post("/auth/login", json=login)).json()
        fresh = (await refreshed(hansard, tokens["refresh_token"])).json()
        ada = hansard.client(fresh["access_token"])
        change = {"current_password": PASSWORDS[0], "new_password": PASSWORDS[1]}
        assert (await ada.put("/auth/password", json=change)).status_code == 204
        ticket = (await ada.post("/ws/tickets")).json()["ticket"]
        async with line(hansard, None, query=f"?ticket={quote(ticket)}") as socket:
            await socket.until("hello")
            await socket.ask("authenticate", token=fresh["access_token"])
            await socket.ask("authenticate", token=other["access_token"] + "x")
        await refreshed(hansard, tokens["refresh_token"])
        await http.post("/auth/password/forgot", json={"email": "ada@example.com"})
        reset = await box.code()
        assert (
            await http.post("/auth/password/reset", json={"token": reset, "password": PASSWORDS[2]})
        ).status_code == 204
        await http.post("/auth/password/reset", json={"token": reset, "password": PASSWORDS[2]})
        for given in (tokens, other, fresh):
            found += [given["access_token"], given["refresh_token"], given["refresh_token"].split(".")[1]]
        await http.get("/users/me", headers={"Authorization": f"Bearer {fresh['access_token']}x"})
        return [*found, ticket, code, code.split(".")[1], reset, reset.split(".")[1]]


async def test_no_secret_stands_anywhere(database_url: str, redis_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    with logged(structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr)) as written:
        async with projector(database_url, redis_url):
            async with posting(database_url, redis_url, verify_email=True) as (hansard, box):
                secrets = await secrets_used(hansard, box)
                await hansard.services.refusals.step()
                head = await hansard.services.record.head()
                await hansard.settled(head.position)
                # What is sealed is looked at as well: opened, as an auditor's entries and as facts.
                page = await hansard.services.audit.page(Filter(), after=0, limit=1_000)
                events = await hansard.services.record.after(0, limit=1_000)
                record_id = str(head.record)
        said = capfd.readouterr()
        places = {"logs": written.getvalue() + said.out + said.err, "entries": repr(page), "facts": repr(events)}
    places["database"] = await dump(database_url)
    redis = Redis.from_url(redis_url, protocol=2)
    keys = [key async for key in redis.scan_iter("*") if record_id in key.decode()]
    places["redis"] = repr([(key, await redis.dump(key)) for key in keys])
    await redis.aclose()
    assert events and "account.registered" in places["database"] and keys
    for secret in secrets:
        for place, text in places.items():
            assert secret not in text, f"{secret[:20]}… in {place}"
            assert json.dumps(secret)[1:-1] not in text, place


async def dump(url: str) -> str:
    """Return every row of every table of the house, as text; bytes that are text too."""
    connection = await asyncpg.connect(url)
    found = []
    for schema, name in await connection.fetch(TABLES):
        for row in await connection.fetch(f'SELECT * FROM "{schema}"."{name}"'):
            found += [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in row]
    await connection.close()
    return "\n".join(found)
