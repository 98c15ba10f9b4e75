"""Comparing counts: what read tables serve, held against what the record says, all at one position.

The record is counted while everything goes on; then the served tables are read in one snapshot, at whose checkpoint the
counting ends. Nothing waits, and what is written meanwhile is no difference. Tables are read page by page.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from adapters.postgres.database import Database
from domain.ports.database import Db
from domain.topics import names_of
from projections import LIVE, checkpoints
from workers import threads_served
from workers.counting import COUNTED_MAX, EVERYBODY, TOPICS, Counts, MemberCounts, by_key, members_of
from workers.differences import snapshot
from workers.rebuild_reports import Difference, Progress

PAGE_ROWS = 5_000
STRETCH_EVENTS = 20_000
DIFFERENCES_TOLD_MAX = 100  # of a column
NO_ROW = UUID(int=0)
# First of all: a rebuild that exchanges the tables while this reads waits for it, and none has done so in between.
LOCK_TABLES = """
    LOCK TABLE read.rooms, read.room_members, read.messages, read.message_reactions, read.reaction_counts, read.mentions,
        read.threads, read.thread_followers IN ACCESS SHARE MODE
"""
SELECT_EVENTS = """
    SELECT position, topic, data, recorded_at FROM record.events WHERE position > $1::bigint AND position <= $2::bigint
        AND topic = ANY ($3::text[]) ORDER BY position
"""
SELECT_ROOMS = """
    SELECT r.id, r.member_count, r.last_posted, (
        SELECT m.position FROM read.messages m WHERE (m.room_id, m.position) >= (r.id, 0)
            AND (m.room_id, m.position) <= (r.id, 9223372036854775807) AND m.in_room IS NOT FALSE
        ORDER BY m.room_id DESC, m.position DESC LIMIT 1
    ) AS last_message
    FROM read.rooms r WHERE r.id > $1 ORDER BY r.id LIMIT $2
"""
SELECT_MEMBERS = """
    SELECT m.room_id, m.user_id, m.role IS NOT NULL AS is_member, m.joined_position, m.read_position, (
        SELECT count(*) FROM (
            SELECT FROM read.messages new
            WHERE m.role IS NOT NULL AND new.sender_id <> m.user_id AND NOT new.deleted AND new.in_room IS NOT FALSE
                AND (new.room_id, new.position) > (m.room_id, greatest(m.read_position, m.joined_position))
                AND (new.room_id, new.position) <= (m.room_id, 9223372036854775807)
            ORDER BY new.room_id, new.position LIMIT $4
        ) counted
    ) AS unread, (
        SELECT count(*) FROM (
            SELECT DISTINCT n.position FROM read.mentions n JOIN read.messages msg ON msg.position = n.position
            WHERE m.role IS NOT NULL AND n.room_id = m.room_id AND n.user_id = ANY (ARRAY[m.user_id, $5::uuid])
                AND n.position > greatest(m.read_position, m.joined_position) AND msg.sender_id <> m.user_id
                AND NOT msg.deleted AND msg.in_room IS NOT FALSE
            LIMIT $4
        ) found
    ) AS mention_count
    FROM read.room_members m WHERE (m.room_id, m.user_id) > ($1, $2) ORDER BY m.room_id, m.user_id LIMIT $3
"""
SELECT_REACTIONS = """
    SELECT c.posted_position, c.emoji, c.count, c.first_position, (
        SELECT count(*) FROM read.message_reactions r
        WHERE r.posted_position = c.posted_position AND r.emoji = c.emoji AND r.given
    ) AS given
    FROM read.reaction_counts c WHERE c.posted_position > $1 AND c.posted_position <= (
        SELECT max(page.posted_position) FROM (
            SELECT posted_position FROM read.reaction_counts WHERE posted_position > $1 ORDER BY posted_position LIMIT $2
        ) page
    )
    ORDER BY c.posted_position, c.emoji COLLATE "C"
"""


class EventRead(Struct, frozen=True):
    position: int
    topic: str
    data: bytes
    recorded_at: datetime


class RoomServed(Struct, frozen=True):
    id: UUID
    member_count: int
    last_posted: int
    last_message: int | None


class MemberServed(Struct, frozen=True):
    room_id: UUID
    user_id: UUID
    is_member: bool
    joined_position: int
    read_position: int
    unread: int
    mention_count: int


class ReactionServed(Struct, frozen=True):
    posted_position: int
    emoji: str
    count: int
    first_position: int
    given: int


class CountsVerdict(NamedTuple):
    """What differs, column by column, at most `DIFFERENCES_TOLD_MAX` of each; how many differ; and how much was compared."""

    position: int
    differences: list[Difference]
    differing: int
    rows: int
    unreadable: int


class CountsNotJudgedError(Exception):
    """The tables are not where they were a moment ago; the sentence says why nothing can be said."""


async def compare_counts(
    db: Database, progress: Callable[[Progress], None], clock: Callable[[], float]
) -> CountsVerdict:
    """Count the record, and name every row that differs. Raise `CountsNotJudgedError`."""
    counts, began = Counts(), clock()
    names = [name for topic in sorted(TOPICS) for name in names_of(topic)]

    async def count(until: int) -> None:
        while counts.position < until:
            end = min(counts.position + STRETCH_EVENTS, until)
            for event in await db.all(EventRead, SELECT_EVENTS, counts.position, end, names):
                counts.take(event.position, event.topic, event.data, event.recorded_at)
            counts.position = end
            progress(Progress("counts", end, until, clock() - began))

    await count(await checkpoints.position(db, LIVE.name))
    async with db.session() as session, snapshot(session) as moment:
        await moment.run(LOCK_TABLES)
        position = await checkpoints.position(moment, LIVE.name)
        if position < counts.position:
            raise CountsNotJudgedError(
                f"The tables were at position {counts.position:,} and are at {position:,}: the database was restored or has "
                "crashed meanwhile. Try again."
            )
        await count(position)
        found = _Found()
        await _compare(found, "read.rooms", ("id",), _rooms(counts), _served_rooms(moment))
        await _compare(found, "read.room_members", ("room_id", "user_id"), members_of(counts), _served_members(moment))
        await _compare(
            found, "read.reaction_counts", ("posted_position", "emoji"), _reactions(counts), _served_reactions(moment)
        )
        await _compare_threads(found, counts, moment)
    return CountsVerdict(position, found.told, sum(found.counts.values()), found.rows, counts.unreadable)


async def _compare_threads(found: "_Found", counts: Counts, moment: Db) -> None:
    threads, followers = threads_served.threads(moment), threads_served.followers(moment)
    await _compare(found, "read.threads", ("root_position",), counts.threads.counted(counts.people), threads)
    followed = counts.threads.followed(counts.number, counts.is_member)
    await _compare(found, "read.thread_followers", ("root_position", "user_id"), followed, followers)


class RoomCounted(NamedTuple):
    member_count: int
    last_posted: int
    last_message: int | None


class ReactionCounted(NamedTuple):
    count: int  # type: ignore[assignment]  # the column's name; nobody counts in this tuple
    first_position: int
    given: int


class _Found:
    """The differences so far; of each column only the first ones are told."""

    def __init__(self) -> None:
        self.told: list[Difference] = []
        self.counts: dict[tuple[str, str | None], int] = {}
        self.rows = 0

    def note(self, difference: Difference) -> None:
        column = (difference.table, difference.column)
        self.counts[column] = self.counts.get(column, 0) + 1
        if self.counts[column] <= DIFFERENCES_TOLD_MAX:
            self.told.append(difference)


def _rooms(counts: Counts) -> Iterator[tuple[tuple[Any, ...], RoomCounted]]:
    for room_id in sorted(counts.rooms):
        room = counts.rooms[room_id]
        last = room.last_message
        yield (room_id,), RoomCounted(room.member_count, room.opened if last is None else last, last)


def _reactions(counts: Counts) -> Iterator[tuple[tuple[Any, ...], ReactionCounted]]:
    for key, reactions in by_key(counts.reactions):
        given = len(reactions.given)
        yield (key.posted_position, key.emoji.encode()), ReactionCounted(given, reactions.first, given)


async def _served_rooms(db: Db) -> AsyncIterator[tuple[tuple[Any, ...], RoomCounted]]:
    after = NO_ROW
    while page := await db.all(RoomServed, SELECT_ROOMS, after, PAGE_ROWS):
        for row in page:
            yield (row.id,), RoomCounted(row.member_count, row.last_posted, row.last_message)
        after = page[-1].id


async def _served_members(db: Db) -> AsyncIterator[tuple[tuple[Any, ...], MemberCounts]]:
    after = (NO_ROW, NO_ROW)
    while page := await db.all(MemberServed, SELECT_MEMBERS, *after, PAGE_ROWS, COUNTED_MAX, EVERYBODY):
        for row in page:
            counted = MemberCounts(row.is_member, row.joined_position, row.read_position, row.unread, row.mention_count)
            yield (row.room_id, row.user_id), counted
        after = (page[-1].room_id, page[-1].user_id)


async def _served_reactions(db: Db) -> AsyncIterator[tuple[tuple[Any, ...], ReactionCounted]]:
    posted = 0
    while page := await db.all(ReactionServed, SELECT_REACTIONS, posted, PAGE_ROWS):
        for row in page:
            yield (row.posted_position, row.emoji.encode()), ReactionCounted(row.count, row.first_position, row.given)
        posted = page[-1].posted_position


async def _compare(
    found: _Found,
    table: str,
    key_columns: Sequence[str],
    counted: Iterator[tuple[tuple[Any, ...], Any]],
    served: AsyncIterator[tuple[tuple[Any, ...], Any]],
) -> None:
    """Walk through both in the order of their keys, and note the columns in which rows differ, and rows that one lacks."""
    expected = next(counted, None)
    async for key, row in served:
        while expected is not None and expected[0] < key:
            found.note(Difference(table, _name(key_columns, expected[0]), None, "", None, "row"))
            expected = next(counted, None)
        found.rows += 1
        if expected is None or expected[0] != key:
            found.note(Difference(table, _name(key_columns, key), None, "", "row", None))
            continue
        for column, old, new in zip(row._fields, row, expected[1], strict=True):
            if old != new:
                found.note(Difference(table, _name(key_columns, key), column, "count", _text(old), _text(new)))
        expected = next(counted, None)
    while expected is not None:
        found.note(Difference(table, _name(key_columns, expected[0]), None, "", None, "row"))
        expected = next(counted, None)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _name(columns: Sequence[str], key: Sequence[object]) -> str:
    texts = (part.decode() if isinstance(part, bytes) else str(part) for part in key)
    return ", ".join(f"{column} {text}" for column, text in zip(columns, texts, strict=True))
