"""What is kept: by legal holds, by the minimum, by a policy that is too young, and through the death of whoever disposes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from adapters.clock import now
from adapters.postgres.blob_leases import BlobLeases
from commands.message import PostMessage
from commands.retention import ApplyRetention, DisposeMessage, DueKey
from domain.events import Caller
from domain.hold import HOLD_GRACE_DAYS, HeldError
from domain.ids import MessageId, RoomId, UserId
from domain.retention import DEFAULT, KeptError
from tests.deployments import PASSWORD, Gateway, Person, deployment, ledger, until
from tests.retention.scenes import WHY, Clock, counts, officer, put, retainer
from tests.retention.test_retaining import caught_up, everything_follows_from_the_record, living_keys
from workers.erasing import Eraser, World
from workers.files.sweeper import Sweeper

APPLIED = "SELECT count(*) FROM record.events WHERE topic = 'retention.applied'"
DELETED = "SELECT count(*) FROM record.events WHERE topic = 'message.deleted'"
SELECT_KEY = "SELECT key_id, day FROM vault.data_keys WHERE room_id = $1 AND subject = $2"


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


async def content_of(who: Person, message: dict[str, Any], database_url: str) -> str:
    seen = await caught_up(who, database_url)
    return str((await who.ask("GET", f"/messages/{message['id']}", 200, headers=seen))["content"])


async def counted(database_url: str, sql: str) -> int:
    owner = await asyncpg.connect(database_url)
    found: int = await owner.fetchval(sql)
    await owner.close()
    return found


async def test_a_hold_beats_retention_until_it_is_released_and_its_grace_is_over(
    database_url: str, hansard: Gateway
) -> None:
    clock = Clock()
    ada, ben, manager = await hansard.person(), await hansard.person(), await officer(hansard)
    room_id = await ada.room(ben)
    held, free = await ada.say(room_id, "held"), await ben.say(room_id, "free")
    await put(manager, "/retention", days_max=30)
    hold = await manager.ask("POST", "/legal-holds", 201, json={"name": "M", "persons": [ada.id]}, headers=WHY)
    clock.days = 33
    dry = await counts(hansard, room_id, clock, days_max=30)
    assert (dry.messages, dry.keys, dry.held_messages, dry.held_keys) == (1, 1, 1, 1)
    assert [str(each) for each in dry.held_by] == [hold["id"]]
    async with retainer(database_url, clock) as worker:
        done = await worker.step()
        assert done == (1, 0, 1, 1), "as the dry run said, by room and by default"
        dry = await counts(hansard, str(DEFAULT), clock, days_max=30)
        assert [str(room.room_id) for room in dry.rooms] == [room_id] and (dry.messages, dry.held_messages) == (0, 1)
        assert await content_of(ada, held, database_url) == "held" and await content_of(ben, free, database_url) == ""
        await manager.ask("POST", f"/legal-holds/{hold['id']}/release", 200, headers=WHY)
        clock.days = HOLD_GRACE_DAYS - 0.1
        await put(manager, "/retention", days_max=1)
        assert await worker.step() == (0, 0, 0, 1), "a release destroys nothing at once"
        assert await content_of(ada, held, database_url) == "held"
        clock.days = HOLD_GRACE_DAYS + 0.1
        assert await worker.step() == (1, 0, 1, 0)
        assert await content_of(ada, held, database_url) == "" and await living_keys(database_url, room_id) == 0


async def test_a_hold_that_is_placed_between_the_look_and_the_deed_is_not_missed(
    database_url: str, hansard: Gateway
) -> None:
    """Another process placed it; whoever disposes has older folds at hand, and planned without it."""
    ada, manager = await hansard.person(), await officer(hansard)
    room_id = await ada.room()
    said = await ada.say(room_id, "held")
    await put(manager, f"/rooms/{room_id}/retention", days_max=1)
    at = datetime.now(UTC) + timedelta(days=4)
    owner = await asyncpg.connect(database_url)
    key = await owner.fetchrow(SELECT_KEY, room_id, ada.id)
    await owner.close()
    dispose = DisposeMessage(MessageId(UUID(said["id"])), at)
    named = DueKey(key["key_id"], UserId(UUID(ada.id)), key["day"], at)
    apply = ApplyRetention(RoomId(UUID(room_id)), (named,), 1, 0, at)
    async with ledger(database_url, kind="worker") as (_, _, command_bus):
        with pytest.raises(KeptError):  # and so all streams are at hand
            await command_bus.do(DisposeMessage(dispose.message_id, datetime.now(UTC)), Caller())
        await manager.ask("POST", "/legal-holds", 201, json={"name": "M", "rooms": [room_id]}, headers=WHY)
        for command in (dispose, apply):
            with pytest.raises(HeldError):
                await command_bus.do(command, Caller())
        assert await counted(database_url, DELETED) == await counted(database_url, APPLIED) == 0


async def test_a_policy_destroys_nothing_in_its_first_day(database_url: str, hansard: Gateway) -> None:
    clock = Clock()
    ada, manager = await hansard.person(), await officer(hansard)
    room_id = await ada.room()
    said = await ada.say(room_id, "kept")
    async with retainer(database_url, clock) as worker:
        clock.days = 400
        assert await worker.step() == (0, 0, 0, 0), "without a policy everything is kept"
        policy = await put(manager, f"/rooms/{room_id}/retention", days_max=1)
        since = datetime.fromisoformat(policy["set_at"])
        assert datetime.fromisoformat(policy["destroys_from"]) - since == timedelta(hours=24)
        clock.days = 0.9
        assert await worker.step() == (0, 0, 0, 0)
        await manager.ask("DELETE", f"/rooms/{room_id}/retention", 204, headers=WHY)
        clock.days = 400
        assert await worker.step() == (0, 0, 0, 0), "a policy that was taken back does nothing either"
        assert await content_of(ada, said, database_url) == "kept"


async def test_whoever_deletes_hides_and_auditors_read_on_until_the_maximum(
    database_url: str, hansard: Gateway
) -> None:
    clock = Clock()
    ada, auditor, manager = await hansard.person(), await officer(hansard, "auditor"), await officer(hansard)
    room_id = await ada.room()
    await put(manager, f"/rooms/{room_id}/retention", days_min=10, days_max=20)
    said = await ada.say(room_id, "regretted")
    await ada.ask("DELETE", f"/messages/{said['id']}", 200)
    trail = f"/audit/events?room={room_id}&type=message.posted"
    async with retainer(database_url, clock) as worker:
        for clock.days in (9, 19):
            assert await worker.step() == (0, 0, 0, 0)
            assert await content_of(ada, said, database_url) == ""
            [entry] = (await auditor.ask("GET", trail, 200, headers=WHY))["items"]
            assert entry["data"]["content"] == "regretted"
        clock.days = 23
        assert await worker.step() == (0, 0, 1, 0), "nothing is left to be hidden, and the key goes"
    hansard.services.audit.hear_of_keys()  # as a process is told whenever keys are destroyed
    [entry] = (await auditor.ask("GET", trail, 200, headers=WHY))["items"]
    assert entry["data"]["content"] == ""


async def test_a_maximum_below_the_minimum_is_refused_and_only_records_managers_set_either(hansard: Gateway) -> None:
    ada, auditor, manager = await hansard.person(), await officer(hansard, "auditor"), await officer(hansard)
    room_id = await ada.room()
    path = f"/rooms/{room_id}/retention"
    refused = await manager.http.put(path, json={"days_min": 30, "days_max": 7}, headers=WHY)
    assert (refused.status_code, refused.json()["code"]) == (422, "retention.days")
    for who in (ada, auditor):
        await who.ask("PUT", path, 403, json={"days_max": 7}, headers=WHY)
    await manager.ask("PUT", path, 422, json={"days_max": 7})
    await manager.ask("PUT", f"/rooms/{uuid4()}/retention", 404, json={"days_max": 7}, headers=WHY)
    assert (await auditor.ask("GET", path, 200, headers=WHY))["source"] == "none"
    await put(manager, "/retention", days_max=365)
    seen = {**WHY, "Hansard-After": str(10**0)}
    view = await auditor.ask("GET", path, 200, headers=seen)
    assert (view["source"], view["days_max"], view["room_id"]) == ("default", 365, room_id)
    own = await manager.http.put(path, json={"days_min": 7}, headers=WHY)
    seen = {**WHY, "Hansard-After": own.headers["Hansard-Position"]}
    [listed] = (await auditor.ask("GET", "/retention/rooms", 200, headers=seen))["items"]
    assert (listed["room_id"], listed["days_min"], listed["days_max"], listed["source"]) == (room_id, 7, None, "room")
    await manager.ask("DELETE", path, 204, headers=WHY)
    again = await auditor.ask("GET", path, 200, headers=WHY)
    assert again["days_max"] == 365 and again["destroys_from"] > view["destroys_from"], "it holds in the room since now"
    dry = await manager.ask("PUT", f"{path}?dry_run=true", 200, json={"days_max": 1}, headers=WHY)
    assert dry["dry_run"]["messages"] == 0 and dry["days_max"] == 1
    assert (await auditor.ask("GET", path, 200, headers=WHY))["days_max"] == 365, "a dry run sets nothing"


async def test_killed_in_the_middle_it_goes_on_and_only_one_works(database_url: str, hansard: Gateway) -> None:
    ada, manager = await hansard.person(), await officer(hansard)
    room_id = await ada.room()
    caller = Caller(user_id=UserId(UUID(ada.id)))
    posts = [PostMessage(RoomId(UUID(room_id)), MessageId(uuid4()), f"text {i}") for i in range(300)]
    await asyncio.gather(*(hansard.services.command_bus.do(each, caller) for each in posts))
    await put(manager, "/retention", days_max=1)
    seen = await caught_up(ada, database_url)
    await ada.ask("GET", f"/messages/{posts[-1].message_id}", 200, headers=seen)
    clock = Clock()
    clock.days = 4
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.retention.disposer", database_url, "4")
    try:

        async def has_begun() -> bool:
            return await counted(database_url, DELETED) >= 64

        await until(has_begun, seconds=60)
        async with retainer(database_url, clock) as other:
            assert await other.step() is None, "the one with the lease works"
    finally:
        process.kill()
        await process.wait()
    before = await counted(database_url, DELETED)
    assert (
        64 <= before < 300
        and await counted(database_url, APPLIED) == 0
        and await living_keys(database_url, room_id) == 1
    )
    async with retainer(database_url, clock) as worker:

        async def is_free() -> bool:
            return await worker.step() is not None

        await until(is_free)
    assert (await counted(database_url, DELETED), await counted(database_url, APPLIED)) == (300, 1)
    assert await living_keys(database_url, room_id) == 0
    await everything_follows_from_the_record(database_url)


async def test_keys_that_the_record_names_and_that_are_there_are_destroyed_first(
    database_url: str, hansard: Gateway
) -> None:
    """Whoever recorded it died before they were destroyed."""
    clock = Clock()
    clock.days = 4
    ada, manager = await hansard.person(), await officer(hansard)
    room_id = await ada.room()
    said = await ada.say(room_id, "text")
    await put(manager, "/retention", days_max=1)
    await content_of(ada, said, database_url)
    at = clock(datetime.now(UTC))
    owner = await asyncpg.connect(database_url)
    key = await owner.fetchrow(SELECT_KEY, room_id, ada.id)
    await owner.close()
    async with ledger(database_url, kind="worker") as (_, _, command_bus):
        await command_bus.do(DisposeMessage(MessageId(UUID(said["id"])), at), Caller())
        named = DueKey(key["key_id"], UserId(UUID(ada.id)), key["day"], at)
        await command_bus.do(ApplyRetention(RoomId(UUID(room_id)), (named,), 1, 0, at), Caller())
    assert await living_keys(database_url, room_id) == 1
    async with retainer(database_url, clock) as worker:
        assert await worker.step() == (0, 0, 0, 0)
    assert await living_keys(database_url, room_id) == 0 and await counted(database_url, APPLIED) == 1


async def test_an_erasure_waits_for_the_minimum_and_says_so(
    database_url: str, redis_url: str, hansard: Gateway
) -> None:
    ada, manager = await hansard.person(), await officer(hansard)
    kept, free = await ada.room(name="kept"), await ada.room(name="free")
    said, gone = await ada.say(kept, "must be kept"), await ada.say(free, "may go")
    await put(manager, f"/rooms/{kept}/retention", days_min=2_000)
    await put(manager, "/retention", days_max=3_000)
    erasure = await ada.ask("DELETE", "/users/me", 202, json={"password": PASSWORD})
    async with ledger(database_url, kind="worker") as (db, record, command_bus):
        leases = BlobLeases(db)
        eraser = Eraser(World(record, command_bus, db, Sweeper(hansard.services.blobs, leases, record, db, now=now)))

        async def waits() -> bool:
            await eraser.step(at_once=True)
            view = await manager.ask("GET", f"/erasures/{erasure['erasure_id']}", 200)
            return bool(view["status"] == "waiting" and view["held_by"] == [kept])

        await until(waits, seconds=60)
        texts = "SELECT id::text, content FROM read.messages WHERE sender_id IS NOT NULL"
        owner = await asyncpg.connect(database_url)
        found = dict(await owner.fetch(texts))
        await owner.close()
        assert (found[said["id"]], found[gone["id"]]) == ("must be kept", "")
        assert (await living_keys(database_url, kept), await living_keys(database_url, free)) == (1, 0)
        await manager.ask("DELETE", f"/rooms/{kept}/retention", 204, headers=WHY)

        async def is_completed() -> bool:
            await eraser.step(at_once=True)
            view = await manager.ask("GET", f"/erasures/{erasure['erasure_id']}", 200)
            return bool(view["status"] == "completed")

        await until(is_completed, seconds=60)
        assert await living_keys(database_url, kept) == 0
