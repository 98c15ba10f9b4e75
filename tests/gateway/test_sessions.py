"""Sessions over HTTP and sockets, with two gateways: refreshed once, ended everywhere within a second."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.clock import now
from adapters.credentials.passwords import Argon2Passwords
from commands.account import Activate, ChangePassword, Deactivate, RehashPassword
from commands.session import SESSIONS_LIVE_MAX, OpenSession
from domain.account import ACCOUNT
from domain.errors import BadCredentialsError, WrongPasswordError
from domain.events import Caller
from domain.ids import SessionId, UserId
from domain.session import SessionEnded
from gateway.protocol import close_codes
from tests.commands.test_desk import person as person_of
from tests.deployments import PASSWORD, Gateway, Person, deployment, gateway, ledger
from tests.gateway.test_bad_input import assert_problem
from tests.lines import a_second, line


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


@pytest.fixture
async def other(hansard: Gateway, database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    """A second gateway of the same house; it follows Redis from its first moment, where something was told already."""
    await hansard.person()
    while await hansard.services.lanes.published() is None:
        await asyncio.sleep(0.01)
    async with gateway(database_url, redis_url) as made:
        yield made


@asynccontextmanager
async def ended_within_a_second(other: Gateway, *people: Person) -> AsyncIterator[None]:
    """What the block does ends these sessions at the other gateway: sockets are closed, tokens refused."""
    async with asyncio.timeout(30), _sockets(other, *people) as sockets:
        within = await a_second(other)
        yield
        async with asyncio.timeout(within):
            for socket in sockets:
                assert await socket.closed() == close_codes.SESSION_REVOKED
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


async def refreshed(hansard: Gateway, token: str, **headers: str) -> Any:
    async with hansard.client() as http:
        return await http.post("/auth/refresh", json={"refresh_token": token}, headers=headers)


async def test_reuse_ends_the_session_everywhere(hansard: Gateway, other: Gateway) -> None:
    ada = await hansard.person()
    spent = ada.tokens["refresh_token"]
    fresh = (await refreshed(hansard, spent)).json()
    async with ended_within_a_second(other, ada):
        assert_problem(await refreshed(hansard, spent), 401, "auth.session_revoked")
    for gate in (hansard, other):
        assert_problem(await refreshed(gate, fresh["refresh_token"]), 401, "auth.session_revoked")


async def test_fifty_uses_at_once_give_exactly_one_success(hansard: Gateway, other: Gateway) -> None:
    ada = await hansard.person()
    token = ada.tokens["refresh_token"]
    answers = await asyncio.gather(*(refreshed(gate, token) for _ in range(25) for gate in (hansard, other)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 49
    (success,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert_problem(await refreshed(hansard, success["refresh_token"]), 401, "auth.session_revoked")


async def test_a_lost_answer_is_given_again_to_who_has_the_key_and_to_nobody_else(
    hansard: Gateway, other: Gateway
) -> None:
    ada = await hansard.person()
    token = ada.tokens["refresh_token"]
    answers = await asyncio.gather(
        *(refreshed(gate, token, **{"Idempotency-Key": "one"}) for _ in range(10) for gate in (hansard, other))
    )
    assert {answer.status_code for answer in answers} == {200}
    (fresh,) = {answer.json()["refresh_token"] for answer in answers}
    assert (await other.client(answers[0].json()["access_token"]).get("/users/me")).status_code == 200
    following = await refreshed(hansard, fresh, **{"Idempotency-Key": "one"})
    assert following.status_code == 200 and following.json()["refresh_token"] != fresh
    assert_problem(await refreshed(hansard, token, **{"Idempotency-Key": "one"}), 401, "auth.session_revoked")

    ben = await hansard.person()
    assert (await refreshed(hansard, ben.tokens["refresh_token"], **{"Idempotency-Key": "his"})).status_code == 200
    for headers in ({"Idempotency-Key": "hers"}, {}):
        assert_problem(await refreshed(hansard, ben.tokens["refresh_token"], **headers), 401, "auth.session_revoked")
    assert_problem(await refreshed(hansard, "x", **{"Idempotency-Key": "a b"}), 401, "auth.refresh_invalid")


async def test_a_made_up_token_ends_nobodys_session(hansard: Gateway) -> None:
    ada = await hansard.person()
    name, secret, proof = ada.tokens["refresh_token"].split(".")
    for made_up in (f"{name}.{'A' * 43}.{proof}", f"{name}.{secret}.{'A' * 22}", name, ada.token, "x" * 512):
        assert_problem(await refreshed(hansard, made_up), 401, "auth.refresh_invalid")
    assert (await refreshed(hansard, ada.tokens["refresh_token"])).status_code == 200


async def logged_in(hansard: Gateway, person: Person, *, agent: str = "second device") -> Person:
    """The same person on another device."""
    async with hansard.client(**{"User-Agent": agent}) as http:
        answer = await http.post("/auth/login", json={"email": person.email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
    return Person(hansard.client(answer.json()["access_token"]), answer.json())


async def test_a_person_sees_their_sessions_and_nobody_elses(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    phone = await logged_in(hansard, ada, agent="a phone")
    await refreshed(hansard, phone.tokens["refresh_token"], **{"User-Agent": "a newer phone"})
    head = (await ada.http.get("/meta")).json()["position"]
    listed = await ada.ask("GET", "/auth/sessions", 200, headers={"Hansard-After": str(head)})
    assert listed["next_cursor"] is None
    newest, first = listed["items"]
    assert (newest["agent"], newest["address"], newest["is_current"]) == ("a newer phone", "127.0.0.1", False)
    assert newest["last_used_at"] > newest["created_at"] > first["created_at"]
    assert first["is_current"] and first["last_used_at"] == first["created_at"]
    assert len((await ben.ask("GET", "/auth/sessions", 200))["items"]) == 1
    assert_problem(await ben.http.delete(f"/auth/sessions/{first['id']}"), 404, "session.not_found")
    assert_problem(await ben.http.delete(f"/auth/sessions/{uuid4()}"), 404, "session.not_found")
    await ada.ask("GET", "/users/me", 200)


async def test_a_session_ended_from_another_device_is_ended_everywhere(hansard: Gateway, other: Gateway) -> None:
    ada = await hansard.person()
    phone = await logged_in(hansard, ada)
    (session,) = [s for s in (await ada.ask("GET", "/auth/sessions", 200))["items"] if not s["is_current"]]
    async with ended_within_a_second(other, phone):
        await ada.ask("DELETE", f"/auth/sessions/{session['id']}", 204)
    await ada.ask("DELETE", f"/auth/sessions/{session['id']}", 204)
    assert len((await ada.ask("GET", "/auth/sessions", 200))["items"]) == 1
    assert_problem(await refreshed(other, phone.tokens["refresh_token"]), 401, "auth.session_revoked")


async def test_a_new_password_ends_all_other_sessions(hansard: Gateway, other: Gateway) -> None:
    ada = await hansard.person()
    phone, tablet = await logged_in(hansard, ada), await logged_in(other, ada)
    change = {"current_password": PASSWORD, "new_password": "another horse battery"}
    answer = await ada.http.put("/auth/password", json=change | {"current_password": "not it at all"})
    assert_problem(answer, 403, "auth.wrong_password", "/current_password")
    answer = await ada.http.put("/auth/password", json=change | {"new_password": "short"})
    assert_problem(answer, 422, "field.invalid", "/new_password")
    await phone.ask("GET", "/users/me", 200)
    async with ended_within_a_second(other, phone, tablet):
        await ada.ask("PUT", "/auth/password", 204, json=change)
    await ada.ask("GET", "/users/me", 200)
    async with hansard.client() as http:
        old = await http.post("/auth/login", json={"email": ada.email, "password": PASSWORD})
        assert_problem(old, 401, "auth.bad_credentials")
        new = await http.post("/auth/login", json={"email": ada.email, "password": "another horse battery"})
        assert new.status_code == 200


async def test_deactivation_ends_all_sessions_for_good(hansard: Gateway, other: Gateway) -> None:
    ada = await hansard.person()
    phone = await logged_in(other, ada)
    user_id = UserId(UUID(ada.id))
    async with ended_within_a_second(other, ada, phone):
        outcome = await hansard.services.command_bus.do(Deactivate(user_id), Caller())
        ended = [recorded.event.reason for recorded in outcome.events if isinstance(recorded.event, SessionEnded)]
        assert ended == ["deactivated", "deactivated"], "on the record, together with it"
    outcome = await hansard.services.command_bus.do(Activate(user_id), Caller())
    await other.settled(outcome.position)
    while other.services.sessions.is_deactivated(user_id):
        await asyncio.sleep(0.01)
    for person in (ada, phone):
        assert_problem(await other.client(person.token).get("/users/me"), 401, "auth.session_revoked")
        assert_problem(await refreshed(other, person.tokens["refresh_token"]), 401, "auth.session_revoked")
    again = await logged_in(other, ada)
    await again.ask("GET", "/users/me", 200)


async def test_of_too_many_sessions_the_oldest_ends(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada = await person_of(command_bus)
        assert ada.user_id
        opened = [SessionId(uuid4()) for _ in range(SESSIONS_LIVE_MAX + 1)]
        for i, session_id in enumerate(opened):
            # The first is of the past by now: it takes nobody's place.
            life = timedelta(days=7) if i else timedelta(seconds=-1)
            await command_bus.do(OpenSession(session_id, ada.user_id, "token", now() + life), Caller())
        outcome = await command_bus.do(
            OpenSession(SessionId(uuid4()), ada.user_id, "x", now() + timedelta(days=7)), Caller()
        )
        ended = [recorded.event for recorded in outcome.events if isinstance(recorded.event, SessionEnded)]
        assert ended == [SessionEnded(opened[1], ada.user_id, "too_many")]


async def test_a_password_that_changed_meanwhile_opens_nothing(database_url: str) -> None:
    async with ledger(database_url) as (_, _, command_bus):
        ada = await person_of(command_bus)
        assert ada.user_id
        account = (await command_bus.see(ACCOUNT, ada.user_id)).state
        assert account is not None
        seen = account.password_hash
        await command_bus.do(RehashPassword(ada.user_id, seen, "rehashed"), Caller())
        assert not (await command_bus.do(RehashPassword(ada.user_id, seen, "late"), Caller())).events
        with pytest.raises(WrongPasswordError):
            await command_bus.do(ChangePassword(seen, "changed"), ada)
        await command_bus.do(ChangePassword("rehashed", "changed"), ada)
        with pytest.raises(BadCredentialsError):
            await command_bus.do(
                OpenSession(SessionId(uuid4()), ada.user_id, "t", now() + timedelta(days=7), seen), Caller()
            )


@pytest.mark.parametrize(
    "password",
    [
        "password1",
        "PassWord1",
        "qwertyuiop",
        "iloveyou1",
        "grace.hopper",
        "Grace.Hopper1!",
        "hansard2026",
        "12345678901",
    ],
)
async def test_a_password_that_is_guessed_first_is_refused(hansard: Gateway, password: str) -> None:
    body = {"email": "grace.hopper@example.com", "username": "gracie", "password": password}
    async with hansard.client() as http:
        assert_problem(await http.post("/auth/register", json=body), 422, "password.too_common", "/password")
    ada = await hansard.person("grace.hopper")
    answer = await ada.http.put("/auth/password", json={"current_password": PASSWORD, "new_password": password})
    assert_problem(answer, 422, "password.too_common", "/new_password")


async def test_a_log_in_hashes_anew_when_the_parameters_changed(hansard: Gateway) -> None:
    ada = await hansard.person()
    before = (await hansard.services.command_bus.see(ACCOUNT, UserId(UUID(ada.id)))).state
    with Argon2Passwords(memory_kib=16, time_cost=2, parallelism=1) as dearer:
        object.__setattr__(hansard.services, "passwords", dearer)
        assert before is not None and dearer.is_outdated(before.password_hash)
        await logged_in(hansard, ada)
        after = (await hansard.services.command_bus.see(ACCOUNT, UserId(UUID(ada.id)))).state
        assert after is not None and "m=16,t=2" in after.password_hash and not dearer.is_outdated(after.password_hash)
        await logged_in(hansard, ada)
        assert (await hansard.services.command_bus.see(ACCOUNT, UserId(UUID(ada.id)))).state == after, "once"


async def test_too_many_log_ins_at_once_are_sent_away_soon(hansard: Gateway) -> None:
    with Argon2Passwords(memory_kib=16_384, time_cost=1, parallelism=1) as dear:
        object.__setattr__(hansard.services, "passwords", dear)
        ada = await hansard.person()
        async with hansard.client() as http:
            wrong = {"email": ada.email, "password": "wrong wrong"}
            answers = await asyncio.gather(*(http.post("/auth/login", json=wrong) for _ in range(99)))
    busy = [answer for answer in answers if answer.status_code == 503]
    assert busy and {answer.status_code for answer in answers} == {401, 503}
    for answer in busy:
        assert_problem(answer, 503, "server.busy")
        assert int(answer.headers["retry-after"]) >= 1
