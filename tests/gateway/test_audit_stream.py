"""The audit stream: what is recorded comes in order, once resumed with nothing missed, as long as its listener may listen."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest

from commands.account import GrantRole, RevokeRole
from domain.account import AccountRole
from domain.events import Caller
from domain.ids import UserId
from gateway.http.audit_streams import STREAMS_OF_PERSON_MAX
from gateway.operations.audit_stream import POLL_SECONDS
from tests.deployments import Gateway, Person, deployment, until

WHY = {"Hansard-Reason": "complaint 17"}
STREAM = "/audit/stream"


class Told(NamedTuple):
    """An event of the stream; of a heartbeat `name` is empty."""

    name: str
    id: int | None
    data: Any


class Listener:
    """Somebody who listens; `next` waits for an event."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.begin: int | None = None  # what it says before anything else: after which position it begins
        self._lines = answer.aiter_lines()

    async def next(self, *, heartbeats: bool = False) -> Told | None:
        """Return the next event; None at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(20):
            async for line in self._lines:
                if line.startswith(":") and heartbeats:
                    return Told("", None, None)
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif set(fields) == {"retry", "id"}:
                    self.begin, fields = int(fields["id"]), {}
                elif "data" in fields:
                    position = int(fields["id"]) if "id" in fields else None
                    return Told(fields["event"], position, json.loads(fields["data"]))
        return None

    async def several(self, count: int) -> list[Told]:
        found = [await self.next() for _ in range(count)]
        assert None not in found
        return [told for told in found if told]


@asynccontextmanager
async def listening(who: Person, query: str = "", **headers: str) -> AsyncIterator[Listener]:
    async with who.http.stream("GET", STREAM + query, headers={**WHY, **headers}) as answer:
        assert answer.status_code == 200, (await answer.aread()).decode()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Listener(answer)


async def with_role(hansard: Gateway, role: AccountRole = "auditor") -> Person:
    who = await hansard.person()
    await hansard.services.command_bus.do(GrantRole(UserId(UUID(who.id)), role), Caller())
    return who


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def head(hansard: Gateway) -> int:
    return (await hansard.services.record.head()).position


async def test_all_of_the_record_comes_in_order_and_then_what_is_new(hansard: Gateway) -> None:
    auditor, ben = await with_role(hansard), await hansard.person()
    room = await ben.room()
    for i in range(120):  # more than two pages
        await ben.say(room, f"message {i}")
    async with listening(auditor, "?after=0") as listener:
        until_now = await head(hansard)
        told = await listener.several(until_now)
        assert [each.id for each in told] == list(range(1, until_now + 1))
        assert {each.name for each in told} == {"entry"}
        said = await ben.say(room, "one more")
        [new] = await listener.several(1)
        assert (new.id, new.data["type"]) == (said["position"], "message.posted")
        assert listener.answer.headers["hansard-record"] == str(hansard.services.record_id)
    shown = await auditor.ask("GET", f"/audit/events/{new.id}", 200, headers=WHY)
    assert new.data["leaf_hash"] == shown["leaf_hash"] and len(new.data["leaf_hash"]) == 44


async def test_whoever_comes_again_with_the_last_id_misses_nothing(hansard: Gateway) -> None:
    auditor, ben = await with_role(hansard), await hansard.person()
    room = await ben.room()
    async with listening(auditor) as listener:  # from now on
        first = await ben.say(room, "heard")
        [told] = await listener.several(1)
        assert told.id == first["position"] and listener.begin == first["position"] - 1
    missed = [(await ben.say(room, f"missed {i}"))["position"] for i in range(3)]
    # A browser sends both: what the page asked for first, and what it got last.
    async with listening(auditor, "?after=0", **{"Last-Event-ID": str(told.id)}) as listener:
        again = await listener.several(3)
        positions = [each.id for each in again if each.data["type"] == "message.posted"]
        assert positions == missed[: len(positions)] and next(each.id for each in again) == first["position"] + 1
    for wrong in ("x", "-1", "01", "1.0", "1" * 19):
        answer = await auditor.http.get(STREAM, headers={**WHY, "Last-Event-ID": wrong})
        assert (answer.status_code, answer.json()["code"]) == (422, "header.last_event_id")
    beyond = await auditor.http.get(STREAM, params={"after": await head(hansard) + 10}, headers=WHY)
    assert (beyond.status_code, beyond.json()["code"]) == (409, "record_changed")


async def test_what_people_wrote_comes_only_where_it_is_asked_for(hansard: Gateway) -> None:
    auditor, ben = await with_role(hansard), await hansard.person("ben.texts")
    room = await ben.room(name="A secret room")
    message = await ben.say(room, "a secret text")
    await ben.ask("PATCH", f"/messages/{message['id']}", 200, json={"content": "another secret text"})
    last = await head(hansard)
    async with listening(auditor, "?after=0") as listener:
        plain = json.dumps([each.data for each in await listener.several(last)])
    assert "secret" not in plain and "ben.texts" not in plain
    async with listening(auditor, "?after=0&texts=true") as listener:
        told = await listener.several(last)
    whole = json.dumps([each.data for each in told])
    assert "A secret room" in whole and "ben.texts@example.com" in whole and "argon2" not in whole
    [edited] = [each.data for each in told if each.data["type"] == "message.edited"]
    assert (edited["before"], edited["data"]["content"]) == ({"content": "a secret text"}, "another secret text")


async def test_it_ends_when_the_role_is_taken_away_or_the_session_ends(hansard: Gateway) -> None:
    hansard.services.audit_streams.check_seconds = 0.0
    auditor, other = await with_role(hansard), await with_role(hansard)
    bus = hansard.services.command_bus
    async with listening(auditor) as listener, listening(other) as second:
        await bus.do(RevokeRole(UserId(UUID(auditor.id)), "auditor"), Caller())
        told = [each async for each in _rest(listener)]
        assert (told[-1].name, told[-1].data["code"]) == ("end", "auth.role_needed")
        await other.ask("POST", "/auth/logout", 204)
        told = [each async for each in _rest(second)]
        assert (told[-1].name, told[-1].data["code"]) == ("end", "auth.session_revoked")
    await auditor.ask("GET", STREAM, 403, headers=WHY)
    await until(lambda: _none(hansard))


async def _rest(listener: Listener) -> AsyncIterator[Told]:
    while (told := await listener.next()) is not None:
        yield told


async def _none(hansard: Gateway) -> bool:
    return len(hansard.services.audit_streams) == 0


async def test_so_many_listen_at_once_and_no_more(hansard: Gateway) -> None:
    auditor, other = await with_role(hansard), await with_role(hansard)
    open_streams = [listening(auditor) for _ in range(STREAMS_OF_PERSON_MAX)]
    for each in open_streams:
        await each.__aenter__()
    refused = await auditor.http.get(STREAM, headers=WHY)
    assert (refused.status_code, refused.json()["code"]) == (429, "audit.too_many_streams")
    assert int(refused.headers["retry-after"]) >= 1
    hansard.services.audit_streams.of_gateway = STREAMS_OF_PERSON_MAX + 1
    async with listening(other):
        assert (await other.http.get(STREAM, headers=WHY)).status_code == 429
    for each in open_streams:
        with suppress(httpx.HTTPError):
            await each.__aexit__(None, None, None)
    await until(lambda: _none(hansard))  # who is gone is counted no more
    async with listening(auditor):
        pass


async def test_a_quiet_stream_has_heartbeats_and_head_has_no_body(hansard: Gateway) -> None:
    hansard.services.audit_streams.heartbeat_seconds = 0.0
    auditor = await with_role(hansard)
    async with listening(auditor) as listener:
        assert await listener.next(heartbeats=True) == Told("", None, None)
    answer = await auditor.http.head(STREAM, headers=WHY)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_listener_who_does_not_read_is_not_read_ahead_for(hansard: Gateway) -> None:
    """What waits for a client is what the connection holds, and a page: memory has a bound."""
    auditor, ben = await with_role(hansard), await hansard.person()
    room = await ben.room()
    large, count = "\U0001f600" * 10_000, 200  # 8 MB: more than the sockets on both sides hold
    for _ in range(count):
        await ben.say(room, large)
    read: list[int] = []
    page = hansard.services.audit.page

    async def counted(*args: Any, **named: Any) -> Any:
        found = await page(*args, **named)
        read.append(len(found.entries))
        return found

    hansard.services.audit.page = counted  # type: ignore[method-assign]
    async with listening(auditor, "?after=0&texts=true") as listener:
        await listener.several(1)
        await until(lambda: _steady(read))
        assert sum(read) < count, "it waits for the client"
        rest = await listener.several(await head(hansard) - 1)
        assert rest[-1].id == await head(hansard)


async def _steady(read: list[int]) -> bool:
    """Return whether nothing more is read for a while: longer than the stream polls for what is new."""
    before = len(read)
    await asyncio.sleep(2 * POLL_SECONDS)
    return len(read) == before


async def test_listening_is_for_auditors_with_a_reason_and_recorded(hansard: Gateway) -> None:
    auditor, reviewer, eve = (
        await with_role(hansard),
        await with_role(hansard, "records_manager"),
        await hansard.person(),
    )
    assert (await eve.ask("GET", STREAM, 403, headers=WHY))["code"] == "auth.role_needed"
    assert (await auditor.ask("GET", STREAM, 422))["code"] == "reason.missing"
    async with listening(auditor, "?after=3&texts=true"):
        pass
    reads = (await reviewer.ask("GET", f"/audit/events?actor={auditor.id}&type=audit.read", 200, headers=WHY))["items"]
    assert [(each["data"]["filter"], each["reason"]) for each in reads] == [
        ("/api/v1/audit/stream?texts=true", "complaint 17")
    ]
