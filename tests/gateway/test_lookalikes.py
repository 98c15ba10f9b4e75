"""A name that looks like one that exists is taken, whoever wants it, and whenever that one was registered."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from commands.account import ChangeProfile
from domain.account import ACCOUNT, AccountRegistered
from domain.events import Caller
from domain.ids import UserId
from domain.ports.record import Append, Appended, Claim, Write
from domain.text import fold
from tests.deployments import PASSWORD, Gateway, Person, deployment, ledger
from workers.janitor import Janitor

ALIKE = "\u0430d\u0430"  # `ada` with the Cyrillic a


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def register(hansard: Gateway, name: str) -> Any:
    body = {"email": f"{uuid4().hex}@example.com", "username": name, "password": PASSWORD}
    return await hansard.client().post("/auth/register", json=body)


async def rename(person: Person, name: str) -> Any:
    return await person.http.put("/users/me", json={"username": name})


def code_of(answer: Any) -> str:
    return str(answer.json().get("code", answer.status_code))


async def test_a_look_alike_of_somebody_s_name_is_taken(hansard: Gateway) -> None:
    await hansard.person("ada")
    refused = await register(hansard, ALIKE)
    assert (refused.status_code, code_of(refused)) == (409, "account.username_taken")
    ben = await hansard.person("modern")
    assert code_of(await rename(ben, ALIKE)) == "account.username_taken"
    for name in ("rnodern", "MODERN", "m\u043edern"):
        answer = await register(hansard, name)
        assert (answer.status_code, code_of(answer)) == (409, "account.username_taken"), name
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/username"]
    assert (await register(hansard, "adan")).status_code == 201


async def test_one_may_take_a_variant_of_one_s_own_name_and_leave_it_to_others(hansard: Gateway) -> None:
    ada = await hansard.person("ada")
    for name in ("Ada", ALIKE, "\u0430da", "ada"):
        assert (await rename(ada, name)).status_code == 200, name
    assert code_of(await register(hansard, ALIKE)) == "account.username_taken"
    assert (await rename(ada, "grace")).status_code == 200
    assert (await register(hansard, ALIKE)).status_code == 201, "what she gave up is free"
    assert code_of(await rename(ada, "ada")) == "account.username_taken"


async def test_of_two_that_look_alike_side_by_side_one_is_registered(hansard: Gateway) -> None:
    for i in range(3):
        names = (f"turn{i}ada", f"turn{i}{ALIKE}")
        answers = await asyncio.gather(*(register(hansard, name) for name in names))
        assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_names_of_before_are_protected_too(hansard: Gateway, database_url: str) -> None:
    """Accounts of an earlier version claimed their names alone; two of them may look alike, and stay."""
    elder, younger, _ = [await earlier(hansard, name) for name in ("ada", ALIKE, "grace")]
    async with ledger(database_url, kind="worker") as (db, record, command_bus):
        janitor = Janitor(record, command_bus, db)
        await hansard.settled()
        assert (await janitor.claim_names(), await janitor.claim_names()) == (2, 0)
        assert await record.claimant("username_skeleton", "ada") == ACCOUNT.id(elder), "the elder has it"
        assert (await command_bus.see(ACCOUNT, younger)).version == 1, "the younger stays as they are"
    assert code_of(await register(hansard, "\u0430da")) == "account.username_taken"
    assert code_of(await register(hansard, "gr\u0430ce")) == "account.username_taken"


async def test_who_gives_up_a_look_alike_leaves_the_other_one_s_claim(hansard: Gateway, database_url: str) -> None:
    await earlier(hansard, "ada")
    younger = await earlier(hansard, ALIKE)
    async with ledger(database_url) as (db, record, command_bus):
        await hansard.settled()
        await Janitor(record, command_bus, db).claim_names()
        await command_bus.do(ChangeProfile(username="somebody"), Caller(user_id=younger))
    assert code_of(await register(hansard, "\u0430d" + "a")) == "account.username_taken"
    assert (await register(hansard, "s\u043emebody")).status_code == 409


async def earlier(hansard: Gateway, name: str) -> UserId:
    """Register somebody as an earlier version did."""
    user_id = UserId(hansard.services.command_bus.new_id())
    stream = ACCOUNT.id(user_id)
    event = AccountRegistered(user_id, f"{uuid4().hex}@example.com", name, "no hash")
    append = Append(
        "RegisterAccount",
        Caller(user_id=user_id),
        (Write(stream, 0, (event,)),),
        claims=(Claim("username", fold(name), stream),),
    )
    assert isinstance(await hansard.services.record.append(append), Appended)
    return user_id
