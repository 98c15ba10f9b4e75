"""Whatever is read of the record in pages holds so many bytes at once, however long the events are, and nothing is left out."""

import asyncio
import os
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from msgspec import Struct

from adapters.postgres import event_store
from adapters.postgres.event_store import RECORD_PAGE_BYTES_MAX, REPLAY_PAGE_BYTES_MAX, PostgresRecord
from commands.account import RegisterAccount
from commands.command_bus import CommandBus
from commands.message import EditMessage, PostMessage
from commands.room import OpenRoom
from domain.events import Caller
from domain.ids import MessageId, RoomId, UserId
from domain.message import MESSAGE, MessageEdited, MessagePosted
from tests.conftest import Servers, fresh_database
from tests.deployments import ledger

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "\U0001d11e" * 9_990  # 40 kB; somewhat more as it is recorded
LONG_BYTES = 4 * len(LONG)
MESSAGES = 2 * RECORD_PAGE_BYTES_MAX // LONG_BYTES
EDITS = 2 * REPLAY_PAGE_BYTES_MAX // LONG_BYTES
AT_ONCE = 8


class Talk(Struct):
    """A record of long messages, of which the last one was edited often."""

    record: PostgresRecord
    bus: CommandBus
    ada: UserId
    edited: MessageId


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def talk(servers: Servers) -> AsyncIterator[Talk]:
    async with fresh_database(servers) as database_url, ledger(database_url) as (_, record, bus):
        ada, room_id = UserId(uuid4()), RoomId(uuid4())
        await bus.do(RegisterAccount(ada, "ada@example.com", "ada", "hash"), Caller())
        await bus.do(OpenRoom(room_id, "Lobby"), Caller(user_id=ada))
        posts = [PostMessage(room_id, MessageId(uuid4()), LONG) for _ in range(MESSAGES)]
        for i in range(0, MESSAGES, AT_ONCE):
            await asyncio.gather(*(bus.do(post, Caller(user_id=ada)) for post in posts[i : i + AT_ONCE]))
        edited = posts[-1].message_id
        for i in range(EDITS):
            await bus.do(EditMessage(edited, f"{i} {LONG}"), Caller(user_id=ada))
        yield Talk(record, bus, ada, edited)


def bytes_of(events: object) -> int:
    """Return how many bytes of text these events hold."""
    found = [recorded.event for recorded in events if isinstance(recorded.event, MessagePosted | MessageEdited)]  # type: ignore[attr-defined]
    return sum(len(event.content.encode()) for event in found)


async def test_a_page_of_all_events_ends_where_it_holds_enough(talk: Talk) -> None:
    head = (await talk.record.head()).position
    found: list[int] = []
    pages = 0
    while events := await talk.record.after(found[-1] if found else 0, limit=500):
        assert bytes_of(events) <= RECORD_PAGE_BYTES_MAX + LONG_BYTES
        found += [recorded.position for recorded in events]
        pages += 1
    assert found == list(range(1, head + 1))
    assert pages >= 3
    until = found[len(found) // 2]
    assert (await talk.record.after(until - 1, until=until, limit=500))[0].position == until


async def test_one_event_longer_than_a_page_is_a_page(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_store, "RECORD_PAGE_BYTES_MAX", LONG_BYTES // 2)
    head = (await talk.record.head()).position
    for position in (head - 1, head - 2):
        assert [recorded.position for recorded in await talk.record.after(position, limit=2)] == [position + 1]


async def test_a_page_of_a_stream_ends_where_it_holds_enough(talk: Talk) -> None:
    stream_id, versions = MESSAGE.id(talk.edited), list[int]()
    other = MESSAGE.id(MessageId(uuid4()))
    while True:
        asked = {stream_id: versions[-1] if versions else 0, other: 0}
        pages = await talk.record.stream_pages(asked, limit=500)
        assert pages[other] == ([], True)
        events, is_last = pages[stream_id]
        assert 0 < bytes_of(events) <= REPLAY_PAGE_BYTES_MAX + LONG_BYTES
        versions += [recorded.version for recorded in events]
        if is_last:
            break
    assert versions == list(range(1, EDITS + 2))


async def test_a_stream_of_several_pages_is_folded_whole(talk: Talk) -> None:
    async with asyncio.timeout(20):
        fresh = CommandBus(talk.record, {}, now=talk.bus.now, chance=os.urandom)
        folded = await fresh.see(MESSAGE, talk.edited)
    assert folded.state is not None
    assert (folded.version, folded.state.edits) == (EDITS + 1, EDITS)
