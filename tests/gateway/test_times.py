"""Known and unknown: the same bytes, after the same work. `make bench ROWS=T1` holds a stopwatch to it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from adapters.credentials.passwords import Argon2Passwords
from adapters.postgres.database import Database
from gateway.operations.passwords import LOOK_UP_SECONDS
from tests.deployments import PASSWORD, Gateway, gateway
from tests.gateway.test_letters import posting

UnitOfWork = Counter[str]


class CountedPasswords(Argon2Passwords):
    """Passwords that say how often they are hashed, and when."""

    def __init__(self) -> None:
        super().__init__(memory_kib=8, time_cost=1, parallelism=1)
        self.begun: list[float] = []

    async def _run(self, *args: Any) -> Any:
        self.begun.append(asyncio.get_running_loop().time())
        return await super()._run(*args)


@asynccontextmanager
async def watched(
    hansard: Gateway, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[CountedPasswords, UnitOfWork]]:
    """Count what a request with the id `watched` asks of passwords and, in its own task, of the database."""
    statements = UnitOfWork()

    def counted(method: Any) -> Any:
        async def ask(db: Database, *args: Any) -> Any:
            if structlog.contextvars.get_contextvars().get("request_id") == "watched":
                statements[next(arg for arg in args if isinstance(arg, str))] += 1
            return await method(db, *args)

        return ask

    for name in ("all", "one", "value", "run"):
        monkeypatch.setattr(Database, name, counted(getattr(Database, name)))
    with CountedPasswords() as passwords:
        object.__setattr__(hansard.services, "passwords", passwords)
        yield passwords, statements


async def asked(hansard: Gateway, path: str, body: dict[str, str]) -> tuple[int, bytes, frozenset[str]]:
    async with hansard.client(**{"X-Request-Id": "watched"}) as http:
        answer = await http.post(path, json=body)
        return answer.status_code, answer.content, frozenset(answer.headers)


async def test_a_log_in_does_the_same_for_known_and_unknown(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hash each, begun at the same moment: what was read until then, and how much of it, took no time of its own.

    Without the decoy there is no hash for a stranger; without the moment, an account that this gateway has not read yet
    costs one statement more (its data key), and one with a long history its decoding.
    """
    async with gateway(database_url, redis_url) as first:
        known = await first.person()
    async with gateway(database_url, redis_url) as hansard, watched(hansard, monkeypatch) as (passwords, statements):
        answers, reads, waits = [], [], []
        for email in (known.email, "nobody@example.com", known.email, "nobody@example.com"):
            began = asyncio.get_running_loop().time()
            answers.append(await asked(hansard, "/auth/login", {"email": email, "password": "wrong wrong"}))
            reads.append(statements.total())
            waits.append([begun - began for begun in passwords.begun])
            statements.clear()
            passwords.begun.clear()
    assert len(set(answers)) == 1 and answers[0][0] == 401
    assert [len(begun) for begun in waits] == [1] * 4
    assert reads == [4, 3, 3, 3], "the first look at an account fetches its key"
    assert min(begun for (begun,) in waits) >= LOOK_UP_SECONDS, "and that is why nobody is hashed before this moment"


async def test_registering_does_the_same_for_known_and_unknown(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with posting(database_url, redis_url, verify_email=True) as (hansard, _):
        body = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
        async with hansard.client() as http:
            assert (await http.post("/auth/register", json=body)).status_code == 201
        async with watched(hansard, monkeypatch) as (passwords, statements):
            unit = []
            for email, name in (("ada@example.com", "ann"), ("ben@example.com", "ben")):
                status, _, headers = await asked(hansard, "/auth/register", body | {"email": email, "username": name})
                unit.append((status, headers, len(passwords.begun), dict(statements)))
                statements.clear()
                passwords.begun.clear()
    assert unit[0] == unit[1] and unit[0][:1] == (201,) and unit[0][2] == 1


async def test_asking_for_a_new_password_does_the_same_for_known_and_unknown(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with posting(database_url, redis_url) as (hansard, box):
        ada = await hansard.person()
        async with watched(hansard, monkeypatch) as (passwords, statements):
            answers = [
                await asked(hansard, "/auth/password/forgot", {"email": e}) for e in (ada.email, "x@example.com")
            ]
            assert len(set(answers)) == 1 and answers[0][0] == 202
            assert not passwords.begun and not statements, "whatever depends on it is done after the answer"
        assert (await box.next()).to == ada.email
