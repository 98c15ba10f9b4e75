"""Sessions on sockets: tokens that end, sessions that are over, members who are banned, and who asks too much."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from adapters.clock import now
from domain.bounds import WRITE_STALL_SECONDS
from domain.ids import RoomId, SessionId, UserId
from domain.membership import MemberRemoved
from domain.message import MessagePosted
from domain.quotas import OFF, Quota
from gateway.realtime.outbox import Outbox
from gateway.sockets.token_expiry import EXPIRY_NOTICE_SECONDS
from tests.deployments import PASSWORD, Gateway, Person, deployment, gateway
from tests.lines import Line, a_second, line

RACES = 200


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


def token_for(hansard: Gateway, person: Person, *, seconds: float) -> str:
    """Return a token of this person's session that ends in so many seconds."""
    user_id, moment = UserId(UUID(person.id)), now()
    token, _ = hansard.services.tokens.access(
        user_id=user_id,
        session_id=session_of(hansard, person),
        now=moment,
        until=moment + timedelta(seconds=seconds),
    )
    return token


def session_of(hansard: Gateway, person: Person) -> SessionId:
    return hansard.services.tokens.read(person.token, now()).session_id


async def logged_in_again(hansard: Gateway, person: Person) -> Person:
    async with hansard.client() as http:
        tokens = (await http.post("/auth/login", json={"email": person.email, "password": PASSWORD})).json()
    return Person(hansard.client(tokens["access_token"]), tokens)


async def test_an_ending_token_is_announced_and_renewed_in_band(hansard: Gateway) -> None:
    ada = await hansard.person()
    short = Person(ada.http, {**ada.tokens, "access_token": token_for(hansard, ada, seconds=EXPIRY_NOTICE_SECONDS + 1)})
    async with line(hansard, short) as hers:
        assert (await hers.until("hello"))["session_expires_in"] <= EXPIRY_NOTICE_SECONDS + 1
        assert 0 < (await hers.until("expiring"))["in_seconds"] <= EXPIRY_NOTICE_SECONDS
        reply = await hers.ask("authenticate", token=ada.token)
        assert reply["ok"] and reply["session_expires_in"] > EXPIRY_NOTICE_SECONDS + 1
        room_id = await ada.room()
        assert (await hers.ask("send", room_id=room_id, content="still here"))["ok"]


async def test_a_token_that_ends_closes_its_socket(hansard: Gateway) -> None:
    ada = await hansard.person()
    short = Person(ada.http, {**ada.tokens, "access_token": token_for(hansard, ada, seconds=2)})
    async with line(hansard, short) as hers:
        await hers.until("expiring")
        async with asyncio.timeout(20):
            assert await hers.closed() == 4401


async def test_a_socket_is_renewed_by_its_own_session_alone(hansard: Gateway) -> None:
    ada, ben = await hansard.person(), await hansard.person()
    other = await logged_in_again(hansard, ada)
    async with line(hansard, ada) as hers:
        for token in (ben.token, other.token, "nonsense"):
            reply = await hers.ask("authenticate", token=token)
            assert (reply["ok"], reply["error"]["code"], reply["error"]["status"]) == (False, "auth.token_invalid", 401)
        assert (await hers.ask("ping"))["ok"]


async def test_an_ended_session_closes_all_of_its_sockets_and_no_others_within_a_second(
    hansard: Gateway, database_url: str, redis_url: str
) -> None:
    ada = await hansard.person()
    phone = await logged_in_again(hansard, ada)
    async with gateway(database_url, redis_url) as second, AsyncExitStack() as stack:
        ending = [await stack.enter_async_context(line(to, ada)) for to in (hansard, second) for _ in range(3)]
        staying = [await stack.enter_async_context(line(to, phone)) for to in (hansard, second)]
        for each in (*ending, *staying):
            await each.until("hello")
        within = await a_second(hansard)
        await ada.ask("POST", "/auth/logout", 204)
        async with asyncio.timeout(within):
            assert [await each.closed() for each in ending] == [4501] * 6
        for each in staying:
            assert (await each.ask("ping"))["ok"]


async def test_a_reused_refresh_token_closes_the_sockets_of_its_session(hansard: Gateway) -> None:
    ada = await hansard.person()
    async with line(hansard, ada) as hers, hansard.client() as http:
        await hers.until("hello")
        spent = {"refresh_token": ada.tokens["refresh_token"]}
        assert (await http.post("/auth/refresh", json=spent)).status_code == 200
        within = await a_second(hansard)
        assert (await http.post("/auth/refresh", json=spent)).status_code == 401
        async with asyncio.timeout(within):
            assert await hers.closed() == 4501


async def test_of_200_races_of_a_ban_with_sends_none_slips_through(
    hansard: Gateway, database_url: str, redis_url: str
) -> None:
    """Sends go out on one gateway while the ban is written on another; his own feed ends with the removal."""
    ada, ben = await hansard.person(), await hansard.person()
    rooms = [await ada.room(ben, name=f"race {i}") for i in range(RACES)]
    async with gateway(database_url, redis_url) as second:
        owner = Person(second.client(ada.token), ada.tokens)
        async with line(hansard, ben) as his:
            for i in range(0, RACES, 100):
                await his.ask("subscribe", rooms=dict.fromkeys(rooms[i : i + 100], 0))

            async def speak(room_id: str) -> None:
                for i in range(6):
                    await his.send("send", id=i, room_id=room_id, content="a last word")

            for i in range(0, RACES, 20):
                async with asyncio.TaskGroup() as group:
                    for room_id in rooms[i : i + 20]:
                        group.create_task(speak(room_id))
                        group.create_task(owner.ask("DELETE", f"/rooms/{room_id}/members/{ben.id}?ban=true", 204))
            told = await _told_until_unsubscribed(his, len(rooms))
    removed: dict[RoomId, int] = {}
    posted: dict[RoomId, int] = {}
    position, refused = 0, 0
    while events := await hansard.services.record.after(position, limit=1_000):
        position = events[-1].position
        for recorded in events:
            if isinstance(recorded.event, MemberRemoved):
                removed[recorded.event.room_id] = recorded.position
            elif isinstance(recorded.event, MessagePosted):
                assert recorded.event.room_id not in removed, f"{recorded.position} was recorded after the ban"
                posted[recorded.event.room_id] = posted.get(recorded.event.room_id, 0) + 1
    assert len(removed) == RACES
    refused = sum(count < 6 for count in posted.values()) + RACES - len(posted)
    assert refused > 0, "not one ban came before the last send: nothing raced"
    for room_id in rooms:
        assert told[room_id][-1] == removed[RoomId(UUID(room_id))]
        assert told[room_id] == sorted(set(told[room_id]))


async def _told_until_unsubscribed(his: Line, count: int) -> dict[str, list[int]]:
    """Read every room's positions until each was unsubscribed; nothing may follow that."""
    told: dict[str, list[int]] = {}
    over: set[str] = set()
    while len(over) < count:
        frame = await his.frame(seconds=20)
        if frame["type"] == "event" and frame["room_id"] is not None:
            assert frame["room_id"] not in over
            told.setdefault(frame["room_id"], []).append(frame["position"])
        elif frame["type"] == "unsubscribed":
            assert frame["reason"] == "removed"
            over.add(frame["room_id"])
    return told


async def test_more_sends_than_a_person_may_are_refused_with_the_time_to_wait(
    database_url: str, redis_url: str
) -> None:
    quotas = replace(OFF, sends=Quota("sends", 1, 60, 3))
    async with (
        deployment(database_url, redis_url) as hansard,
        gateway(database_url, redis_url, quotas=quotas) as first,
        gateway(database_url, redis_url, quotas=quotas) as second,
    ):
        ada = await hansard.person()
        room_id = await ada.room()
        async with line(first, ada) as hers, line(second, ada) as elsewhere:
            replies = [
                await each.ask("send", room_id=room_id, content="x") for _ in range(3) for each in (hers, elsewhere)
            ]
    assert [reply["ok"] for reply in replies] == [True] * 3 + [False] * 3
    error = replies[-1]["error"]
    assert (error["code"], error["status"], error["retryable"]) == ("limit.reached", 429, True)
    assert 1 <= error["retry_after_seconds"] <= 60


async def test_a_flood_of_frames_closes_the_socket(database_url: str, redis_url: str) -> None:
    quotas = replace(OFF, frames=Quota("frames", 1, 10, 20))
    async with (
        deployment(database_url, redis_url) as hansard,
        gateway(database_url, redis_url, quotas=quotas) as limited,
    ):
        ada = await hansard.person()
        async with line(limited, ada) as hers, line(limited, ada) as calm:
            for _ in range(21):
                await hers.socket.send('{"type":"ping"}')
            assert await hers.closed() == 4013
            assert (await calm.ask("ping"))["ok"]


async def test_frames_that_are_too_large_or_no_text_close_the_socket(hansard: Gateway) -> None:
    ada = await hansard.person()
    for sent, code in (("x" * 131_073, 1009), (b"\x00", 4500)):
        async with line(hansard, ada) as hers:
            await hers.until("hello")
            await hers.socket.send(sent)
            assert await hers.closed() == code
    async with line(hansard, ada) as hers:
        most = json.dumps({"id": 1, "type": "ping"})
        await hers.socket.send(most + " " * (131_072 - len(most)))
        assert (await hers.until("reply", id=1))["ok"]


class Transport:
    """A client that takes as many bytes as it is told to."""

    def __init__(self) -> None:
        self.is_paused = True
        self.buffered_bytes = 1_000
        self.written: list[bytes] = []
        self.closed: list[int] = []

    def write(self, frames: bytes) -> None:
        self.written.append(frames)

    async def drained(self) -> None: ...

    def close(self, code: int, reason: str) -> None:
        self.closed.append(code)


def test_who_takes_no_byte_for_thirty_seconds_has_stalled() -> None:
    transport = Transport()
    outbox = Outbox(transport, write_soon=lambda _: None)
    assert not outbox.has_stalled(100.0)
    assert not outbox.has_stalled(100.0 + WRITE_STALL_SECONDS)
    transport.buffered_bytes -= 1  # one byte was taken: the time begins anew
    assert not outbox.has_stalled(101.0 + WRITE_STALL_SECONDS)
    assert not outbox.has_stalled(101.0 + 2 * WRITE_STALL_SECONDS)
    assert outbox.has_stalled(101.1 + 2 * WRITE_STALL_SECONDS)
    transport.is_paused = False
    assert not outbox.has_stalled(102.0 + 9 * WRITE_STALL_SECONDS)


def test_ephemera_are_dropped_first() -> None:
    transport = Transport()
    outbox = Outbox(transport, write_soon=lambda _: None)
    assert not outbox.push_ephemeral(b"typing"), "a client that does not read hears no typing"
    outbox.push(b"an event")
    transport.is_paused = False
    taken = 0
    while outbox.push_ephemeral(b"typing"):
        taken += 1
    assert taken < 256 and not outbox.is_full, "long before events must wait, typing is dropped"
    outbox.flush()
    assert transport.written == [b"an event" + b"typing" * taken]
