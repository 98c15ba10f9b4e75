"""Retention end to end: what is too old goes from everywhere, nothing else does, and the record still says the same."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres.database import Database
from projections import LIVE, MESSAGE_HTML, NOTIFICATIONS, PAST, checkpoints
from tests.deployments import Gateway, Person, as_login, deployment, ledger
from tests.lines import line
from tests.record.offices import office_on
from tests.retention.scenes import WHY, Clock, counts, officer, put, retainer
from workers.count_comparison import compare_counts
from workers.rebuild import Rebuild

PHRASE = "zimtstern"
SELECT_TABLES = (
    "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relnamespace = 'read'::regnamespace AND c.relkind = 'r'"
)
SELECT_LIVING = "SELECT count(*) FROM vault.data_keys WHERE room_id = $1 AND subject <> room_id AND wrapped IS NOT NULL"


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def caught_up(person: Person, database_url: str) -> dict[str, str]:
    """Return the header by which a read waits for all that is on the record."""
    owner = await asyncpg.connect(database_url)
    position = await owner.fetchval("SELECT position FROM record.head")
    await owner.close()
    return {"Hansard-After": str(position)}


async def tables_that_say(database_url: str, phrase: str) -> list[str]:
    owner = await asyncpg.connect(database_url)
    tables = [row[0] for row in await owner.fetch(SELECT_TABLES)]
    found = [
        table for table in tables
        if await owner.fetchval(f"SELECT count(*) FROM {table} t WHERE position($1 IN t::text) > 0", phrase)
    ]  # fmt: skip
    await owner.close()
    return found


async def living_keys(database_url: str, room_id: str) -> int:
    owner = await asyncpg.connect(database_url)
    found: int = await owner.fetchval(SELECT_LIVING, room_id)
    await owner.close()
    return found


async def everything_follows_from_the_record(database_url: str) -> None:
    """Rebuild what is served, count anew, and verify what was signed."""
    db = await Database.open(as_login(database_url, "operator"), size=4)
    groups = (LIVE, MESSAGE_HTML, PAST, NOTIFICATIONS)
    async with ledger(database_url) as (_, record, _bus):
        assert await checkpoints.have_reached(db, [group.name for group in groups], (await record.head()).position)
        for group in groups:
            [*verdicts] = await Rebuild(group, record, db, progress=lambda progress: None).run(swap=False)
            assert [each for each in verdicts if not each.is_equal] == [], group.name
    verdict = await compare_counts(db, lambda progress: None, time.perf_counter)
    assert (verdict.differing, verdict.differences, verdict.unreadable) == (0, [], 0)
    await db.close()


async def test_what_is_too_old_goes_from_everywhere_and_the_record_still_verifies(
    database_url: str, hansard: Gateway, tmp_path: Path
) -> None:
    clock = Clock()
    ada, ben, manager = await hansard.person(), await hansard.person(), await officer(hansard)
    room_id = await ada.room(ben)
    await ben.ask("PUT", "/users/me/notifications", 200, json={"keywords": [PHRASE]})
    root = await ada.say(room_id, f"first {PHRASE}")
    await ada.ask("PATCH", f"/messages/{root['id']}", 200, json={"content": f"edited {PHRASE}"})
    await ada.ask("PUT", f"/messages/{root['id']}/pin", 204)
    reply = await ben.say(room_id, f"reply {PHRASE}", thread_id=root["id"], in_room=True)
    await ada.ask("DELETE", f"/messages/{(await ada.say(room_id, f'{PHRASE} too much'))['id']}", 200)
    signed = AsyncExitStack()
    office = await signed.enter_async_context(office_on(database_url, tmp_path))
    await office.notary().step()
    other = await ben.room()
    kept = await ben.say(other, "elsewhere")
    await put(manager, f"/rooms/{room_id}/retention", days_min=7, days_max=30)
    before = int((await caught_up(ada, database_url))["Hansard-After"])
    async with retainer(database_url, clock) as worker:
        clock.days = 29
        assert await worker.step() == (0, 0, 0, 0)
        assert await living_keys(database_url, room_id) == 2
        clock.days = 33
        counted = await counts(hansard, room_id, clock, days_max=30)
        async with line(hansard, ben, room_id) as his:
            await his.until("live")
            assert await worker.step() == (2, 0, 2, 0)
            deleted = {(await his.until("event", event="message.deleted"))["data"]["id"] for _ in range(2)}
            assert deleted == {root["id"], reply["id"]}
        assert await worker.step() == (0, 0, 0, 0), "what is done is done"
    assert (counted.messages, counted.keys, counted.held_keys, counted.is_complete) == (2, 2, 0, True)
    seen = await caught_up(ada, database_url)
    page = (await ada.ask("GET", f"/rooms/{room_id}/messages?render=html", 200, headers=seen))["items"]
    told = {item["id"]: (item["content"], item["deleted"]) for item in page if item["message_type"] == "text"}
    assert set(told.values()) == {("", True)} and {root["id"], reply["id"]} <= told.keys()
    past = (await ada.ask("GET", f"/rooms/{room_id}/messages?as_of={before}", 200, headers=seen))["items"]
    assert PHRASE not in str(past) and {item["id"] for item in past} >= {root["id"], reply["id"]}
    assert (await ada.ask("GET", f"/rooms/{room_id}/pins", 200))["items"] == []
    assert PHRASE not in str(await ada.ask("GET", f"/messages/{root['id']}/history", 200))
    assert (await ben.ask("GET", f"/messages/{kept['id']}", 200))["content"] == "elsewhere"
    assert await tables_that_say(database_url, PHRASE) == ["read.notification_settings"], "whose keyword it is"
    edit = await ada.http.patch(f"/messages/{root['id']}", json={"content": "again"})
    assert (edit.status_code, edit.json()["code"]) == (409, "message.deleted")
    trail = await manager.ask("GET", f"/audit/events?room={room_id}&limit=200", 200, headers=WHY)
    assert PHRASE not in str(trail)
    applied = await manager.ask("GET", "/audit/events?type=retention.applied", 200, headers=WHY)
    [entry] = applied["items"]
    assert (entry["data"]["messages"], entry["data"]["days_max"], entry["data"]["source"]) == (2, 30, "room")
    assert len(entry["data"]["key_ids"]) == 2 and await living_keys(database_url, room_id) == 0
    await everything_follows_from_the_record(database_url)
