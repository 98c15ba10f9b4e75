"""Guessing and flooding: what an attacker's tries cost the owner of an account, and everybody else. Nothing but time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace

from adapters.credentials.passwords import WAITING_MAX, Argon2Passwords
from domain.errors import BusyError
from domain.quotas import STRICT
from gateway.edge.client_address import Proxies
from tests.deployments import PASSWORD, Gateway, Person, deployment, gateway, until
from tests.gateway.test_bad_input import assert_problem
from tests.gateway.test_letters import Box

PROXIES = Proxies((ip_network("127.0.0.0/8"),))
HOME, ELSEWHERE = "203.0.113.1", "198.51.100.7"


def at(hansard: Gateway, address: str, token: str | None = None) -> httpx.AsyncClient:
    """Return a client whose requests come from this address."""
    return hansard.client(token, **{"X-Forwarded-For": address})


@pytest.mark.parametrize("victims_address", [HOME, ELSEWHERE], ids=["another address", "the same address"])
async def test_a_token_that_floods_the_queue_for_hashing_keeps_nobody_else_from_logging_in(
    database_url: str, redis_url: str, victims_address: str
) -> None:
    with Argon2Passwords(memory_kib=16_384, time_cost=1, parallelism=1) as dear:
        async with gateway(database_url, redis_url, proxies=PROXIES) as hansard:
            ada, eve = await hansard.person(), await hansard.person()
            object.__setattr__(hansard.services, "passwords", dear)
            object.__setattr__(hansard.door, "_passwords", dear)
            attacker = at(hansard, ELSEWHERE, eve.token)
            body = {"current_password": "wrong wrong", "new_password": PASSWORD}
            refused = 0

            async def flood() -> None:
                nonlocal refused
                while True:
                    answer = await attacker.put("/auth/password", json=body)
                    refused += answer.status_code == 503

            floods = [asyncio.create_task(flood()) for _ in range(WAITING_MAX + 16)]

            async def is_full() -> bool:
                return refused > 0

            try:
                await until(is_full)
                login = {"email": ada.email, "password": PASSWORD}
                answers = [await at(hansard, victims_address).post("/auth/login", json=login) for _ in range(4)]
            finally:
                for each in floods:
                    each.cancel()
                await asyncio.gather(*floods, return_exceptions=True)
    assert [answer.status_code for answer in answers] == [200] * 4


GUESSED = replace(STRICT, logins=None, registrations=None, requests=None)
WRONG = "wrong wrong"
NEW = "another horse battery"


@asynccontextmanager
async def attacked(database_url: str, redis_url: str) -> AsyncIterator[tuple[Gateway, Person, Box]]:
    """Somebody who logged in at home, and on whom strangers at many addresses have tried all that they may."""
    box = Box()
    made = deployment(database_url, redis_url, proxies=PROXIES, quotas=GUESSED, mails=box)
    async with made as hansard:
        ada = await hansard.person()
        signed_in = await at(hansard, HOME).post("/auth/login", json={"email": ada.email, "password": PASSWORD})
        assert signed_in.status_code == 200
        await hansard.settled()
        yield hansard, ada, box


async def guess(hansard: Gateway, email: str, *, addresses: int) -> list[int]:
    """Try a wrong password from so many addresses; answers the statuses."""
    answers = [
        await at(hansard, f"198.51.100.{i}").post("/auth/login", json={"email": email, "password": WRONG})
        for i in range(addresses)
    ]
    return [answer.status_code for answer in answers]


async def test_who_guesses_locks_the_owner_out_of_no_address_that_the_account_knows(
    database_url: str, redis_url: str
) -> None:
    async with attacked(database_url, redis_url) as (hansard, ada, _):
        right = {"email": ada.email.upper(), "password": PASSWORD}
        assert await guess(hansard, ada.email, addresses=20) == [401] * 5 + [429] * 15, "in sum as slow as ever"
        for _ in range(8):
            assert (await at(hansard, HOME).post("/auth/login", json=right)).status_code == 200
        refused = await at(hansard, "198.51.100.99").post("/auth/login", json=right)
        assert_problem(refused, 429, "limit.reached")
        assert 300 <= int(refused.headers["retry-after"]) <= 360, "a guess that was right is told no more than others"
        at_home = [
            (await at(hansard, HOME).post("/auth/login", json=right | {"password": WRONG})).status_code
            for _ in range(7)
        ]
        assert at_home == [401] * 5 + [429] * 2, "and there one guesses no faster"


class BusyPasswords:
    """A pool of hashing whose queue is always full, but for who looks before coming."""

    def is_full_for(self, address: str) -> bool:
        return False

    async def verify(self, password: str, hashed: str | None, *, address: str, account: str) -> bool:
        raise BusyError


async def test_a_log_in_that_was_not_looked_at_is_no_wrong_password(database_url: str, redis_url: str) -> None:
    async with deployment(database_url, redis_url, quotas=GUESSED) as hansard:
        ada = await hansard.person()
        right, passwords = {"email": ada.email, "password": PASSWORD}, hansard.services.passwords
        object.__setattr__(hansard.services, "passwords", BusyPasswords())
        async with hansard.client() as http:
            for _ in range(7):
                assert_problem(await http.post("/auth/login", json=right), 503, "server.busy")
            object.__setattr__(hansard.services, "passwords", passwords)
            assert (await http.post("/auth/login", json=right)).status_code == 200


async def test_an_account_that_nobody_has_is_guessed_as_one_that_somebody_has_elsewhere(
    database_url: str, redis_url: str
) -> None:
    async with attacked(database_url, redis_url) as (hansard, ada, _):
        ben = await hansard.person()  # at no address that these tests come from
        told = []
        for email in (ada.email, ben.email, "nobody@example.com"):
            statuses = await guess(hansard, email, addresses=7)
            asked = [
                (await at(hansard, ELSEWHERE).post("/auth/password/forgot", json={"email": email})).status_code
                for _ in range(7)
            ]
            told.append((statuses, asked))
        assert told == [([401] * 5 + [429] * 2, [202] * 5 + [429] * 2)] * 3


async def test_who_is_guessed_at_may_change_the_password_and_who_has_a_token_guesses_no_faster(
    database_url: str, redis_url: str
) -> None:
    async with attacked(database_url, redis_url) as (hansard, ada, _):
        await guess(hansard, ada.email, addresses=6)
        tries = [
            (await ada.http.put("/auth/password", json={"current_password": WRONG, "new_password": NEW})).status_code
            for _ in range(7)
        ]
        assert tries == [403] * 5 + [429] * 2
        tokens = (await at(hansard, HOME).post("/auth/login", json={"email": ada.email, "password": PASSWORD})).json()
        other = at(hansard, HOME, tokens["access_token"])
        changed = await other.put("/auth/password", json={"current_password": PASSWORD, "new_password": NEW})
        assert changed.status_code == 204, "a thief of one session does not keep the owner's others from it"


async def test_who_asks_for_mails_blocks_none_that_are_asked_for_at_home(database_url: str, redis_url: str) -> None:
    async with attacked(database_url, redis_url) as (hansard, ada, box):
        body = {"email": ada.email}
        asked = [
            (await at(hansard, f"198.51.100.{i}").post("/auth/password/forgot", json=body)).status_code
            for i in range(9)
        ]
        assert asked == [202] * 5 + [429] * 4
        at_home = [(await at(hansard, HOME).post("/auth/password/forgot", json=body)).status_code for _ in range(7)]
        assert at_home == [202] * 5 + [429] * 2, "in sum the mails to one address stay few"
        for _ in range(10):
            assert (await box.next()).to == ada.email


async def test_who_resets_the_password_at_a_new_address_logs_in_there_though_strangers_guess(
    database_url: str, redis_url: str
) -> None:
    async with attacked(database_url, redis_url) as (hansard, ada, box):
        await guess(hansard, ada.email, addresses=6)
        hotel = at(hansard, "192.0.2.77")
        assert (await hotel.post("/auth/password/forgot", json={"email": ada.email})).status_code == 202
        code = await box.code()
        login = {"email": ada.email, "password": NEW}
        assert (await hotel.post("/auth/login", json=login)).status_code == 429
        assert (await hotel.post("/auth/password/reset", json={"token": code, "password": NEW})).status_code == 204
        assert (await hotel.post("/auth/login", json=login)).status_code == 200
        assert (await at(hansard, "192.0.2.78").post("/auth/login", json=login)).status_code == 429


async def test_who_registers_with_an_address_blocks_no_code_for_its_owner(database_url: str, redis_url: str) -> None:
    box = Box()
    made = gateway(database_url, redis_url, proxies=PROXIES, quotas=GUESSED, mails=box, verify_email=True)
    async with made as hansard, hansard.client() as http:
        email = "ada@example.com"
        for _ in range(8):
            name = f"p{uuid4().hex[:12]}"
            made_up = {"email": email, "username": name, "password": PASSWORD}
            assert (await http.post("/auth/register", json=made_up)).status_code == 201
        told = [(await box.next()).subject for _ in range(6)]
        assert len(set(told)) == 2, "one to confirm, and then that there is an account"
        assert (await http.post("/auth/password/forgot", json={"email": email})).status_code == 202
        assert "new password" in (await box.next()).subject.lower()
