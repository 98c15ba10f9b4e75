"""`hansard verify counts` counts anew from the record, and names every row that says something else."""

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import ClassVar

import asyncpg
import pytest

from adapters.postgres.database import Database
from domain import topics
from domain.message import MessagePosted
from projections import LIVE, parked
from runtime.operators import verify_counts
from runtime.settings_reader import read
from tests.conftest import Servers, fresh_database
from tests.deployments import as_login, running
from tests.runtime.test_generating import generate, generated
from workers.count_comparison import CountsVerdict, compare_counts
from workers.projector import Follower

# Replies that their thread alone shows, behind the last message of their room.
ASIDE = """
    WHERE position = (SELECT max(reply.position) FROM read.messages reply JOIN read.rooms r ON r.id = reply.room_id
        WHERE reply.in_room IS FALSE AND NOT reply.deleted AND reply.position > r.last_posted
"""
# Mentions in such replies, unread by whom they name: none of them counts.
SELECT_UNREAD_ASIDE = """
    SELECT count(*) FROM read.mentions n JOIN read.messages reply ON reply.position = n.position
    JOIN read.room_members m ON m.room_id = n.room_id AND m.user_id = n.user_id
    WHERE reply.in_room IS FALSE AND NOT reply.deleted AND m.role IS NOT NULL AND reply.sender_id <> n.user_id
        AND n.position > greatest(m.read_position, m.joined_position)
"""
# What is planted, and the sentence that must name it; each changes one row of one column.
PLANTED = {
    "UPDATE read.rooms SET member_count = member_count + 1 WHERE id = $1": "read.rooms member_count",
    "UPDATE read.rooms SET last_posted = last_posted - 1 WHERE id = $1": "read.rooms last_posted",
    "UPDATE read.room_members SET role = NULL WHERE ctid = (SELECT ctid FROM read.room_members WHERE room_id = $1"
    " AND role IS NOT NULL LIMIT 1)": "read.room_members is_member",
    "UPDATE read.room_members SET joined_position = joined_position + 1 WHERE ctid = (SELECT ctid FROM read.room_members"
    " WHERE room_id = $1 AND role IS NOT NULL LIMIT 1)": "read.room_members joined_position",
    "UPDATE read.room_members SET read_position = 9999999 WHERE ctid = (SELECT ctid FROM read.room_members WHERE room_id = $1"
    " AND role IS NOT NULL ORDER BY read_position LIMIT 1)": "read.room_members read_position",
    "UPDATE read.messages SET deleted = true WHERE position = (SELECT max(position) FROM read.messages WHERE room_id = $1"
    " AND NOT deleted AND sender_id IS NOT NULL)": "read.room_members unread",
    "DELETE FROM read.messages WHERE position = (SELECT max(position) FROM read.messages WHERE room_id = $1)":
        "read.rooms last_message",
    "DELETE FROM read.mentions": "read.room_members mention_count",
    "UPDATE read.reaction_counts SET count = count + 1 WHERE ctid = (SELECT min(ctid) FROM read.reaction_counts)"
    " AND $1::uuid IS NOT NULL": "read.reaction_counts count",
    "UPDATE read.reaction_counts SET first_position = 1 WHERE ctid = (SELECT min(ctid) FROM read.reaction_counts)"
    " AND $1::uuid IS NOT NULL": "read.reaction_counts first_position",
    "UPDATE read.message_reactions SET given = false WHERE ctid = (SELECT min(ctid) FROM read.message_reactions WHERE given)"
    " AND $1::uuid IS NOT NULL": "read.reaction_counts given",
    "DELETE FROM read.rooms WHERE id = $1": "read.rooms None",
    "DELETE FROM read.room_members WHERE room_id = $1": "read.room_members None",
    "INSERT INTO read.reaction_counts VALUES (1, 'x', 1, 1)": "read.reaction_counts None",
    "UPDATE read.threads SET reply_count = reply_count + 1 WHERE ctid = (SELECT min(ctid) FROM read.threads)":
        "read.threads reply_count",
    "UPDATE read.threads SET last_reply_at = last_reply_at + interval '1 microsecond' WHERE ctid ="
    " (SELECT min(ctid) FROM read.threads WHERE reply_count > 0)": "read.threads last_reply_at",
    "UPDATE read.threads SET participants = reverse(participants) WHERE ctid = (SELECT min(ctid) FROM read.threads"
    " WHERE reply_count > 0)": "read.threads participants",
    "UPDATE read.threads SET participant_count = 0 WHERE ctid = (SELECT min(ctid) FROM read.threads WHERE reply_count > 0)":
        "read.threads participant_count",
    "UPDATE read.messages SET root_position = NULL WHERE position = (SELECT max(position) FROM read.messages"
    " WHERE thread_id IS NOT NULL AND NOT deleted)": "read.threads replies",
    "DELETE FROM read.threads": "read.threads None",
    "UPDATE read.thread_followers SET following = NOT following WHERE ctid = (SELECT min(ctid) FROM read.thread_followers)":
        "read.thread_followers following",
    "UPDATE read.thread_followers SET read_position = read_position + 1 WHERE ctid = (SELECT min(ctid)"
    " FROM read.thread_followers)": "read.thread_followers read_position",
    "UPDATE read.messages SET threaded = NULL WHERE position = (SELECT max(root_position) FROM read.threads)":
        "read.thread_followers threaded",
    "UPDATE read.messages SET deleted = true WHERE position = (SELECT max(reply.position) FROM read.messages reply"
    " JOIN read.thread_followers f ON f.root_position = reply.root_position AND f.following AND f.user_id <> reply.sender_id"
    " JOIN read.room_members m ON m.room_id = f.room_id AND m.user_id = f.user_id AND m.role IS NOT NULL"
    " WHERE f.read_position < reply.position AND NOT reply.deleted AND reply.in_room IS FALSE)":
        "read.thread_followers unread",
    "DELETE FROM read.thread_followers": "read.thread_followers None",
    # A reply that its thread alone shows, as if the room did, too.
    f"UPDATE read.messages SET in_room = true {ASIDE})": "read.rooms last_message",
    f"UPDATE read.rooms SET last_posted = (SELECT position FROM read.messages {ASIDE}))"
    " WHERE id = (SELECT room_id FROM read.messages LIMIT 1)": "read.rooms last_posted",
}  # fmt: skip


@pytest.fixture(scope="module")
def url(servers: Servers) -> Iterator[str]:
    """A database with a generated history that was followed to its end."""
    loop = asyncio.new_event_loop()
    database = fresh_database(servers)
    found = loop.run_until_complete(database.__aenter__())
    loop.run_until_complete(_filled(found))
    yield found
    loop.run_until_complete(database.__aexit__(None, None, None))
    loop.close()


async def _filled(url: str, *, events: int = 3_000) -> None:
    async with generated(url, events=events, seed=11) as (db, record, _):
        follower = Follower(LIVE, record, db, owner="test")
        while await follower.step() > 0:
            await asyncio.sleep(0)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    db = await Database.open(as_login(url, "operator"), size=3)
    yield db
    await db.close()


async def compared(db: Database) -> CountsVerdict:
    return await compare_counts(db, lambda progress: None, time.perf_counter)


async def test_what_is_served_is_what_the_record_says(url: str) -> None:
    async with opened(url) as db:
        verdict = await compared(db)
        assert (verdict.differing, verdict.differences, verdict.unreadable) == (0, [], 0)
        assert verdict.rows > 100
        assert await db.value("SELECT count(*) FROM read.mentions") > 0
        assert await db.value("SELECT count(*) FROM read.message_reactions WHERE NOT given") > 0
        assert await db.value(SELECT_UNREAD_ASIDE) > 0, "no member has a mention to read that a thread alone shows"


@pytest.mark.parametrize("plant", PLANTED)
async def test_a_difference_in_each_column_is_named(url: str, plant: str) -> None:
    async with opened(url) as db:
        room = await db.value(
            "SELECT room_id FROM read.mentions n JOIN read.rooms r ON r.id = n.room_id ORDER BY r.member_count DESC LIMIT 1"
        )
        assert (await compared(db)).differing == 0
        owner = await asyncpg.connect(url)
        kept = (
            "rooms", "room_members", "messages", "mentions", "reaction_counts", "message_reactions", "threads",
            "thread_followers",
        )  # fmt: skip
        for table in kept:
            await owner.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM read.{table}")
        changed = await owner.execute(plant, *([room] if "$1" in plant else []))
        assert not changed.endswith(" 0")
        found = {f"{each.table} {each.column}" for each in (await compared(db)).differences}
        for table in kept:
            await owner.execute(
                f"TRUNCATE read.{table}; INSERT INTO read.{table} SELECT * FROM kept_{table}; DROP TABLE kept_{table}"
            )
        await owner.close()
        assert PLANTED[plant] in found


async def test_the_command_says_so_and_ends_with_1(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = read({"HANSARD_DATABASE_URL": as_login(url, "operator")})
    asked = argparse.Namespace(json=False)
    assert await verify_counts.run(settings, asked) == 0
    assert capsys.readouterr().out.startswith("equal: ")
    async with opened(url) as db:
        room = await db.value("UPDATE read.rooms SET member_count = member_count + 7 RETURNING id")
        rooms = await db.value("SELECT count(*) FROM read.rooms")
        assert await verify_counts.run(settings, asked) == 1
        said = capsys.readouterr().out
        assert said.startswith(f"DIFFERS: {rooms:,} values")
        assert f"read.rooms, id {room}, member_count: " in said
        assert await verify_counts.run(settings, argparse.Namespace(json=True)) == 1
        document = json.loads(capsys.readouterr().out)
        assert {each["column"] for each in document["differences"]} == {"member_count"}
        assert document["parked"] == 0
        await db.run("UPDATE read.rooms SET member_count = member_count - 7")
        await parked.park(db, "live", [parked.Parked(1, "user.registered", "ValueError")])
        assert await verify_counts.run(settings, asked) == 0
        assert "1 events are parked: live goes without them" in capsys.readouterr().out
        assert await verify_counts.run(settings, argparse.Namespace(json=True)) == 0
        assert json.loads(capsys.readouterr().out)["parked"] == 1
        await parked.forget(db, "live", is_building=False)


async def test_it_counts_beside_a_serving_deployment(database_url: str) -> None:
    async with generated(database_url, events=400, seed=12) as (db, record, _):
        follower = Follower(LIVE, record, db, owner="test")
        async with running(follower.run()):
            writing = asyncio.create_task(generate(record, events=900, seed=13))
            verdicts = [await compared(db)]
            while not writing.done() or verdicts[-1].position < (await record.head()).position:
                verdicts.append(await compared(db))
            await writing
    assert [verdict.differences for verdict in verdicts] == [[]] * len(verdicts)
    assert len({verdict.position for verdict in verdicts}) > 1, "nothing was written meanwhile"


class PostedInTwo(MessagePosted, frozen=True):
    """Of a later release: what it calls `sender_id` was `author_id` in the first version."""

    topic_version: ClassVar = 2
    upcasts: ClassVar = {1: lambda members: {**members, "sender_id": members.pop("author_id")}}


# Half of the postings as the first version would have written them, half as the second one.
IN_TWO_VERSIONS = """
    UPDATE record.events SET
        topic = CASE WHEN position % 2 = 0 THEN topic || '@2' ELSE topic END,
        data = CASE WHEN position % 2 = 0 THEN data
            ELSE convert_to(replace(convert_from(data, 'UTF8'), '"sender_id"', '"author_id"'), 'UTF8') END
    WHERE topic = 'message.posted'
"""


async def test_events_of_every_version_of_a_topic_are_counted(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _filled(database_url, events=300)
    owner = await asyncpg.connect(database_url)
    await owner.execute("SET session_replication_role = replica")
    await owner.execute(IN_TWO_VERSIONS)
    assert await owner.fetchval("SELECT count(*) FROM record.events WHERE topic = 'message.posted@2'") > 50
    await owner.close()
    monkeypatch.setitem(topics.TOPICS, MessagePosted.topic, PostedInTwo)
    async with opened(database_url) as db:
        verdict = await compare_counts(db, lambda progress: None, time.perf_counter)
    assert (verdict.differing, verdict.unreadable) == (0, 0) and verdict.rows > 50
