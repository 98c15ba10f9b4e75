"""Sessions over HTTP and sockets, with two gateways: refreshed once, ended everywhere within a second."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway import protocol
from tests.gateway.test_bad_input import assert_problem
from tests.gateway.test_sockets import line
from tests.houses import Gateway, Person, deployment, gateway


@pytest.fixture
async def house(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


@pytest.fixture
async def other(house: Gateway, database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    """A second gateway of the same house; it follows Redis from its first moment, where something was told already."""
    await house.person()
    while await house.house.lanes.told() is None:
        await asyncio.sleep(0.01)
    async with gateway(database_url, redis_url) as made:
        yield made


@asynccontextmanager
async def ended_within_a_second(other: Gateway, *people: Person) -> AsyncIterator[None]:
    """What the block does ends these sessions at the other gateway: sockets are closed, tokens refused."""
    async with asyncio.timeout(30), _sockets(other, *people) as sockets:
        yield
        async with asyncio.timeout(1):
            for socket in sockets:
                assert await socket.closed() == protocol.SESSION_REVOKED
        for person in people:
            assert_problem(await other.client(person.token).get("/users/me"), 401, "auth.session_revoked")


@asynccontextmanager
async def _sockets(to: Gateway, *people: Person) -> AsyncIterator[list[Any]]:
    if not people:
        yield []
        return
    async with line(to, people[0]) as socket, _sockets(to, *people[1:]) as more:
        await socket.until("hello")
        yield [socket, *more]


async def refreshed(house: Gateway, token: str, **headers: str) -> Any:
    async with house.client() as http:
        return await http.post("/auth/refresh", json={"refresh_token": token}, headers=headers)


async def test_reuse_ends_the_session_everywhere(house: Gateway, other: Gateway) -> None:
    ada = await house.person()
    spent = ada.tokens["refresh_token"]
    fresh = (await refreshed(house, spent)).json()
    async with ended_within_a_second(other, ada):
        assert_problem(await refreshed(house, spent), 401, "auth.session_revoked")
    for gate in (house, other):
        assert_problem(await refreshed(gate, fresh["refresh_token"]), 401, "auth.session_revoked")


async def test_fifty_uses_at_once_give_exactly_one_success(house: Gateway, other: Gateway) -> None:
    ada = await house.person()
    token = ada.tokens["refresh_token"]
    answers = await asyncio.gather(*(refreshed(gate, token) for _ in range(25) for gate in (house, other)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 49
    (success,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert_problem(await refreshed(house, success["refresh_token"]), 401, "auth.session_revoked")


async def test_a_lost_answer_is_given_again_to_who_has_the_key_and_to_nobody_else(
    house: Gateway, other: Gateway
) -> None:
    ada = await house.person()
    token = ada.tokens["refresh_token"]
    answers = await asyncio.gather(
        *(refreshed(gate, token, **{"Idempotency-Key": "one"}) for _ in range(10) for gate in (house, other))
    )
    assert {answer.status_code for answer in answers} == {200}
    (fresh,) = {answer.json()["refresh_token"] for answer in answers}
    assert (await other.client(answers[0].json()["access_token"]).get("/users/me")).status_code == 200
    following = await refreshed(house, fresh, **{"Idempotency-Key": "one"})
    assert following.status_code == 200 and following.json()["refresh_token"] != fresh
    assert_problem(await refreshed(house, token, **{"Idempotency-Key": "one"}), 401, "auth.session_revoked")

    ben = await house.person()
    assert (await refreshed(house, ben.tokens["refresh_token"], **{"Idempotency-Key": "his"})).status_code == 200
    for headers in ({"Idempotency-Key": "hers"}, {}):
        assert_problem(await refreshed(house, ben.tokens["refresh_token"], **headers), 401, "auth.session_revoked")
    assert_problem(await refreshed(house, "x", **{"Idempotency-Key": "a b"}), 401, "auth.refresh_invalid")


async def test_a_made_up_token_ends_nobodys_session(house: Gateway) -> None:
    ada = await house.person()
    name, secret, proof = ada.tokens["refresh_token"].split(".")
    for made_up in (f"{name}.{'A' * 43}.{proof}", f"{name}.{secret}.{'A' * 22}", name, ada.token, "x" * 512):
        assert_problem(await refreshed(house, made_up), 401, "auth.refresh_invalid")
    assert (await refreshed(house, ada.tokens["refresh_token"])).status_code == 200
