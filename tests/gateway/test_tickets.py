"""Tickets: one use, half a minute, one session, one origin. And no token in an address."""

import asyncio
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from websockets.exceptions import InvalidStatus

from adapters.credentials.tickets import SignedTickets
from adapters.postgres.master_key import Master
from adapters.redis.cluster_state import ClusterState
from domain.errors import BadTokenError
from domain.ids import RecordId, SessionId, UserId
from domain.ports.credentials import Access
from tests.deployments import MASTER, Gateway, Person, deployment, gateway
from tests.lines import line

ORIGIN = "https://chat.example.com"


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def ticket_of(person: Person, **headers: str) -> str:
    answer = await person.ask("POST", "/ws/tickets", 201, headers=headers)
    assert answer["expires_in"] == 30
    return str(answer["ticket"])


async def refused(to: Gateway, query: str, person: Person | None = None, **options: object) -> int:
    with pytest.raises(InvalidStatus) as answer:
        async with line(to, person, None, query, **options):
            pass
    body = json.loads(answer.value.response.body or b"")
    assert body["status"] == answer.value.response.status_code
    return int(body["status"])


async def test_a_ticket_opens_one_socket_on_any_gateway(hansard: Gateway, database_url: str, redis_url: str) -> None:
    ada = await hansard.person()
    ticket = await ticket_of(ada)
    async with gateway(database_url, redis_url) as second:
        async with line(second, None, None, f"?ticket={ticket}") as hers:
            assert (await hers.until("hello"))["session_expires_in"] <= 900
            room_id = await ada.room()
            assert (await hers.ask("send", room_id=room_id, content="by ticket"))["ok"]
        assert await refused(hansard, f"?ticket={ticket}") == 401
        assert await refused(second, f"?ticket={ticket}") == 401


async def test_of_many_uses_at_once_one_succeeds(hansard: Gateway, database_url: str, redis_url: str) -> None:
    ada = await hansard.person()
    ticket = await ticket_of(ada)

    async def use(to: Gateway) -> bool:
        try:
            async with line(to, None, None, f"?ticket={ticket}") as hers:
                return bool((await hers.frame())["type"] == "hello")
        except InvalidStatus:
            return False

    async with gateway(database_url, redis_url) as second:
        opened = await asyncio.gather(*(use(to) for to in (hansard, second) for _ in range(8)))
    assert sum(opened) == 1


async def test_a_ticket_is_for_pages_of_the_origin_that_asked(database_url: str, redis_url: str) -> None:
    async with (
        deployment(database_url, redis_url) as hansard,
        gateway(database_url, redis_url, origins=(ORIGIN,)) as listed,
    ):
        ada = await hansard.person()
        ticket = await ticket_of(ada, Origin=ORIGIN)
        assert await refused(listed, f"?ticket={ticket}") == 401
        async with line(listed, None, None, f"?ticket={ticket}", origin=ORIGIN) as hers:
            await hers.until("hello")
        assert await refused(hansard, f"?ticket={await ticket_of(ada, Origin=ORIGIN)}", origin=ORIGIN) == 403


async def test_a_ticket_of_an_ended_session_opens_nothing(hansard: Gateway) -> None:
    ada = await hansard.person()
    ticket = await ticket_of(ada)
    await ada.ask("POST", "/auth/logout", 204)
    assert await refused(hansard, f"?ticket={ticket}") == 401


async def test_a_ticket_beside_a_token_is_of_the_same_session(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    assert await refused(hansard, f"?ticket={await ticket_of(ada)}", ben) == 401
    async with line(hansard, ada, None, f"?ticket={await ticket_of(ada)}") as hers:
        await hers.until("hello")


async def test_what_is_wrong_with_the_address_spends_no_ticket(hansard: Gateway) -> None:
    ada = await hansard.person()
    ticket = await ticket_of(ada)
    assert await refused(hansard, f"?ticket={ticket}&nonsense=1") == 422
    assert await refused(hansard, f"?ticket={ticket}&ticket={ticket}") == 422
    async with line(hansard, None, None, f"?ticket={ticket}") as hers:
        await hers.until("hello")


class TestSigned:
    """The ticket itself, without a Redis: then the process remembers what was spent."""

    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    access = Access(UserId(uuid4()), SessionId(uuid4()), now + timedelta(minutes=9))

    @pytest.fixture
    async def tickets(self) -> AsyncIterator[SignedTickets]:
        cluster_state = ClusterState.open("redis://127.0.0.1:1/0", RecordId(uuid4()), "g")
        yield SignedTickets(MASTER, cluster_state, chance=os.urandom)
        await cluster_state.close()

    async def test_once(self, tickets: SignedTickets) -> None:
        ticket = tickets.issue(self.access, ORIGIN, self.now)
        assert await tickets.spend(ticket, ORIGIN, self.now + timedelta(seconds=30)) == self.access
        with pytest.raises(BadTokenError):
            await tickets.spend(ticket, ORIGIN, self.now)

    async def test_not_later(self, tickets: SignedTickets) -> None:
        ticket = tickets.issue(self.access, ORIGIN, self.now)
        with pytest.raises(BadTokenError):
            await tickets.spend(ticket, ORIGIN, self.now + timedelta(seconds=31))

    async def test_only_ours_and_unchanged(self, tickets: SignedTickets) -> None:
        ticket = tickets.issue(self.access, "", self.now)
        raw = bytearray(urlsafe_b64decode(ticket))
        for at in range(len(raw)):
            changed = bytearray(raw)
            changed[at] ^= 1
            with pytest.raises(BadTokenError):
                await tickets.spend(urlsafe_b64encode(changed).decode(), "", self.now)
        other = SignedTickets(Master(bytes(32)), tickets._cluster_state, chance=os.urandom)
        for bad in ("", "x", "é", "=" * 9, ticket[:-4], ticket + "AAAA", other.issue(self.access, "", self.now)):
            with pytest.raises(BadTokenError):
                await tickets.spend(bad, "", self.now)
        assert await tickets.spend(ticket, "", self.now) == self.access
