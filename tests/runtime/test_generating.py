"""What `hansard bench generate` writes is a history like any other, and the same for the same seed."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from adapters.clock import now
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from domain.events import Event, Recorded, UnknownEvent
from domain.message import MessagePosted
from projections import LIVE
from projections.frames import OWN_FRAMES, ROOM_FRAMES, EventSkipped
from projections.notifications import Notified
from runtime.operators.generating.generator import Generator
from runtime.operators.generating.in_order import InOrder
from tests.conftest import Servers, fresh_database
from tests.deployments import MASTER, as_login, running
from workers.projector import Follower
from workers.rebuild import Rebuild
from workers.rebuild_reports import Progress

EVENTS = 4_000
# Nobody who is generated has a device, or asks for what needs four eyes.
EMPTY = {"read.push_subscriptions", "read.approvals", "read.erasures", "read.legal_holds", "read.retention_policies"}


@asynccontextmanager
async def generated(
    database_url: str, *, events: int, seed: int
) -> AsyncIterator[tuple[Database, InOrder, list[Progress]]]:
    """A record with a generated history, and what was said while it was written."""
    db = await Database.open(as_login(database_url, "operator"), size=4)
    record = InOrder(db, Vault(db, MASTER), now=now, chance=os.urandom)
    said: list[Progress] = []
    async with running(record.run()):
        written = await generate(record, events=events, seed=seed, progress=said.append)
        assert written == (await record.head()).position >= events
        yield db, record, said
    await db.close()


async def generate(
    record: InOrder, *, events: int, seed: int, progress: Callable[[Progress], None] = lambda progress: None
) -> int:
    """Write a history, or another one behind it; return how many events it has."""
    return await Generator(record, events=events, seed=seed, now=now, chance=os.urandom, progress=progress).run()


async def everything(record: InOrder) -> list[Recorded[Event]]:
    found: list[Recorded[Event]] = []
    while page := await record.after(len(found), limit=1_000):
        found += page
    return found


def without_times(recorded: Recorded[Event]) -> tuple[object, ...]:
    """Return what a seed decides: everything but the record's times and the ids that are made from them."""
    event, times = recorded.event, ("posted_at", "received_at", "last_reply_at", "file")
    fields = {name: getattr(event, name) for name in event.__struct_fields__ if name not in times}
    return recorded.position, recorded.stream, recorded.version, event.topic, fields, recorded.meta.actor


async def test_the_same_seed_makes_the_same_history_and_another_one_another(servers: Servers) -> None:
    made = []
    for seed in (5, 5, 6):
        async with fresh_database(servers) as url, generated(url, events=600, seed=seed) as (_, record, _):
            made.append([without_times(recorded) for recorded in await everything(record)])
    assert made[0] == made[1]
    assert made[0] != made[2]


async def test_a_generated_history_can_be_read_and_holds_every_event_that_has_a_frame(database_url: str) -> None:
    async with generated(database_url, events=EVENTS, seed=1) as (_, record, said):
        events = await everything(record)
    assert not [each for each in events if isinstance(each.event, UnknownEvent)]
    kinds = Counter(type(each.event) for each in events)
    missing = {*ROOM_FRAMES, *OWN_FRAMES} - {EventSkipped, Notified} - kinds.keys()
    assert not missing, f"a client is told of these, and none is ever generated: {missing}"
    replies = Counter(each.event.in_room for each in events if isinstance(each.event, MessagePosted))
    assert replies.keys() == {None, False, True}
    assert [each.done for each in said] == sorted(each.done for each in said)
    assert (said[-1].done, said[-1].share) == (len(events), 1.0)


async def test_a_generated_history_is_followed_and_rebuilt_like_any_other(database_url: str) -> None:
    async with generated(database_url, events=EVENTS, seed=2) as (db, record, _):
        follower = Follower(LIVE, record, db, owner="test")
        while await follower.step() > 0:
            await asyncio.sleep(0)
        assert await db.value("SELECT count(*) FROM read.parked_events") == 0
        verdicts = await Rebuild(LIVE, record, db, progress=lambda progress: None).run(swap=False)
        assert [verdict.table for verdict in verdicts if not verdict.is_equal] == []
        assert {verdict.table for verdict in verdicts if verdict.rows == 0} <= EMPTY
