"""The outbox: what people are to be told outside the chat, and what became of it. It is never made again.

It is planned once: moving the place and adding deliveries is one transaction, from the place that was read, so that of two who
plan at once one does nothing. It is told at most once: a delivery is `telling` on the disk before anything is sent, and nobody
takes one that is. One that stays so, because its process died, is `unknown` in the end: it may have been told.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from domain.delivery import Delivery
from domain.ids import MessageId, RecordId, RoomId, UserId
from domain.ports.database import Db
from domain.telling import Kind

LAST_ACCOUNT = UUID(int=2**128 - 1)
CLAIM_ROWS_MAX = 5_000
TARGETS_MAX = 100  # of which something is claimed at once

SELECT_PLACE = "SELECT record, position, account_id, is_behind FROM notify.place"
MOVE = """
    UPDATE notify.place SET record = $3, position = $4, account_id = $5, is_behind = $6 WHERE position = $1 AND account_id = $2
"""
# What came after a place, with what decides whether and when it is told.
SELECT_NEW = """
    SELECT n.account_id, n.position, n.kind, n.room_id, n.message_id, n.actor_id, n.at, n.is_here, s.settings
    FROM read.notifications n LEFT JOIN read.notification_settings s ON s.user_id = n.account_id
    WHERE (n.position, n.account_id) > ($1, $2) AND n.position <= $3 ORDER BY n.position, n.account_id LIMIT $4
"""
INSERT = """
    INSERT INTO notify.deliveries
        (account_id, position, channel, target_id, kind, room_id, message_id, actor_id, at, due_at, changed_at)
    SELECT d.*, $11 FROM unnest(
        $1::uuid[], $2::bigint[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::uuid[], $8::uuid[], $9::timestamptz[],
        $10::timestamptz[]
    ) d
    ON CONFLICT (account_id, position, channel, target_id) DO NOTHING
"""
# What is due to a few targets, whole, and what became of it meanwhile: whether it was read (in the inbox or in its room), or is
# nothing to be told any more (deleted, left, blocked, deactivated). While the plan is behind, what is older than $2 waits.
SELECT_DUE = """
    SELECT d.account_id, d.position, d.channel, d.target_id, d.kind, d.room_id, d.message_id, d.actor_id, d.at, d.is_held, d.tries,
        n.thread_id, s.settings,
        d.position <= greatest(
            coalesce(i.read_position, 0), coalesce(f.read_position, 0),
            CASE WHEN n.in_room IS NOT FALSE THEN coalesce(m.read_position, 0) ELSE 0 END
        ) AS is_read,
        msg.deleted IS TRUE OR (d.room_id IS NOT NULL AND m.role IS NULL) OR u.is_active IS NOT TRUE
            OR b.blocked IS TRUE AS is_void
    FROM notify.deliveries d
    LEFT JOIN read.notifications n ON n.account_id = d.account_id AND n.position = d.position
    LEFT JOIN read.thread_followers f ON f.root_position = n.root_position AND f.user_id = d.account_id
    LEFT JOIN read.notification_settings s ON s.user_id = d.account_id
    LEFT JOIN read.notification_inboxes i ON i.user_id = d.account_id
    LEFT JOIN read.notification_blocks b ON b.user_id = d.account_id AND b.blocked_id = d.actor_id
    LEFT JOIN read.room_members m ON m.room_id = d.room_id AND m.user_id = d.account_id
    LEFT JOIN read.messages msg ON msg.position = d.position
    LEFT JOIN read.users u ON u.id = d.account_id
    WHERE d.state = 'pending' AND d.channel = ANY ($5::text[]) AND d.due_at <= $1 AND (d.at > $2 OR d.tries > 0 OR NOT (SELECT p.is_behind FROM notify.place p))
        AND (d.channel, d.target_id) IN (
            SELECT f.channel, f.target_id FROM (
                SELECT e.channel, e.target_id, e.due_at FROM notify.deliveries e
                WHERE e.state = 'pending' AND e.channel = ANY ($5::text[]) AND e.due_at <= $1
                    AND (e.at > $2 OR e.tries > 0 OR NOT (SELECT p.is_behind FROM notify.place p))
                ORDER BY e.due_at LIMIT $3
            ) f
        )
    ORDER BY d.channel, d.target_id, d.position LIMIT $4
    FOR UPDATE OF d SKIP LOCKED
"""
SET_STATE = """
    UPDATE notify.deliveries d SET state = $5, reason = $6, changed_at = $7, tries = d.tries + $8
    FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[]) k (account_id, position, channel, target_id)
    WHERE d.account_id = k.account_id AND d.position = k.position AND d.channel = k.channel AND d.target_id = k.target_id
"""
SET_DUE = """
    UPDATE notify.deliveries d SET state = 'pending', due_at = $5, is_held = d.is_held OR $6, changed_at = $7, tries = d.tries + $8
    FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::uuid[]) k (account_id, position, channel, target_id)
    WHERE d.account_id = k.account_id AND d.position = k.position AND d.channel = k.channel AND d.target_id = k.target_id
"""
SET_GONE = """
    UPDATE notify.deliveries SET state = 'gone', changed_at = $3
    WHERE channel = $1 AND target_id = $2 AND state IN ('pending', 'telling')
"""
SET_UNKNOWN = (
    "UPDATE notify.deliveries SET state = 'unknown', changed_at = $2 WHERE state = 'telling' AND changed_at < $1"
)
WITHDRAW_ALL = "UPDATE notify.deliveries SET state = 'withdrawn', changed_at = $1 WHERE state = 'pending'"
DELETE_ENDED = """
    DELETE FROM notify.deliveries WHERE state NOT IN ('pending', 'telling') AND changed_at < CASE WHEN state = 'dead' THEN $2::timestamptz ELSE $1::timestamptz END
"""
SELECT_SHOWN = """
    SELECT msg.position, r.name AS room_name, u.username AS actor_name, msg.content AS text
    FROM read.messages msg JOIN read.rooms r ON r.id = msg.room_id LEFT JOIN read.users u ON u.id = msg.sender_id
    WHERE msg.position = $1 AND NOT msg.deleted
"""
SELECT_COUNTS = "SELECT channel, state, count(*) AS count FROM notify.deliveries GROUP BY 1, 2 ORDER BY 1, 2"
SELECT_DEAD = """
    SELECT channel, target_id, position, kind, tries, reason, changed_at FROM notify.deliveries WHERE state = 'dead'
    ORDER BY changed_at DESC LIMIT $1
"""
SELECT_OLDEST = "SELECT coalesce(extract(epoch FROM $1::timestamptz - min(due_at)), 0)::float8 FROM notify.deliveries WHERE state = 'pending' AND due_at <= $1"


class Place(Struct, frozen=True):
    """Up to where it was planned: the last notification, in the order of position and account."""

    record: RecordId
    position: int
    account_id: UserId
    is_behind: bool


class NewNotification(Struct, frozen=True):
    """A notification that nobody looked at yet. `settings` as JSON, None where the person never said anything."""

    account_id: UserId
    position: int
    kind: Kind
    room_id: RoomId | None
    message_id: MessageId | None
    actor_id: UserId | None
    at: datetime
    is_here: bool
    settings: str | None


class Due(Delivery, frozen=True):
    """A delivery that is due, and what became of it meanwhile."""

    settings: str | None = None
    is_read: bool = False
    is_void: bool = False


class Planned(Struct, frozen=True):
    """A notification by one channel to one target, and when it is due."""

    notification: NewNotification
    channel: str
    target_id: UUID
    due_at: datetime


class Shown(Struct, frozen=True):
    """What may be shown of a message to those who want it."""

    position: int
    room_name: str
    actor_name: str | None
    text: str


class Count(Struct, frozen=True):
    channel: str
    state: str
    count: int


class DeadLetter(Struct, frozen=True):
    """A notice that was given up, and why."""

    channel: str
    target_id: UUID
    position: int
    kind: Kind
    tries: int
    reason: str | None
    changed_at: datetime


class Outbox:
    """The deliveries of one deployment; each call is a transaction of its own that waits for the disk."""

    def __init__(self, db: Db) -> None:
        self._db = db

    async def place(self) -> Place:
        found = await self._db.one(Place, SELECT_PLACE)
        assert found is not None, "the migration made it"
        return found

    async def new(self, after: Place, until: int, *, limit: int) -> list[NewNotification]:
        """Return notifications after a place and up to a position, in order."""
        return await self._db.all(NewNotification, SELECT_NEW, after.position, after.account_id, until, limit)

    async def plan(self, before: Place, after: Place, planned: Sequence[Planned], now: datetime) -> bool:
        """Add deliveries and move the place. Return False, and do nothing, if it is not where it was."""
        async with self._db.transaction() as transaction:
            if not await _move(transaction, before, after):
                return False
            if planned:
                of = [each.notification for each in planned]
                await transaction.run(
                    INSERT, [n.account_id for n in of], [n.position for n in of], [each.channel for each in planned],
                    [each.target_id for each in planned], [n.kind for n in of], [n.room_id for n in of],
                    [n.message_id for n in of], [n.actor_id for n in of], [n.at for n in of],
                    [each.due_at for each in planned], now,
                )  # fmt: skip
        return True

    async def begin_anew(self, before: Place, after: Place, now: datetime) -> None:
        """Move the place to that of another record, and withdraw what was still to be told of the earlier one."""
        async with self._db.transaction() as transaction:
            await _move(transaction, before, after)
            await transaction.run(WITHDRAW_ALL, now)

    async def gone(self, channel: str, target_id: UUID, now: datetime) -> None:
        """Note that a target is no more: nothing is told to it."""
        await self._db.run(SET_GONE, channel, target_id, now)

    async def sweep(
        self, *, telling_before: datetime, ended_before: datetime, dead_before: datetime, now: datetime
    ) -> int:
        """End what a dead process was telling; forget what ended long ago. Return how many are unknown."""
        ended = await self._db.run(SET_UNKNOWN, telling_before, now)
        await self._db.run(DELETE_ENDED, ended_before, dead_before)
        return int(ended.rpartition(" ")[2])

    async def shown(self, position: int) -> Shown | None:
        """Return what may be shown of a message; None if it was deleted, or there is none at this position."""
        return await self._db.one(Shown, SELECT_SHOWN, position)

    async def counts(self) -> list[Count]:
        return await self._db.all(Count, SELECT_COUNTS)

    async def dead_letters(self, *, limit: int) -> list[DeadLetter]:
        """Return what was given up, the latest first."""
        return await self._db.all(DeadLetter, SELECT_DEAD, limit)

    async def oldest_seconds(self, now: datetime) -> float:
        """Return for how long the oldest of what is due has waited."""
        return float(await self._db.value(SELECT_OLDEST, now))


async def due(db: Db, channels: Collection[str], now: datetime, fresh_since: datetime) -> list[Due]:
    """Return what is due by these channels, by target, and hold it against other claims until the transaction ends."""
    return await db.all(Due, SELECT_DUE, now, fresh_since, TARGETS_MAX, CLAIM_ROWS_MAX, list(channels))


async def set_state(
    db: Db, deliveries: Collection[Delivery], state: str, now: datetime, *, reason: str | None = None, tries: int = 0
) -> None:
    """Set what became of deliveries; `tries` is added to theirs."""
    if deliveries:
        await db.run(SET_STATE, *_keys(deliveries), state, reason, now, tries)


async def set_due(
    db: Db, deliveries: Collection[Delivery], due_at: datetime, now: datetime, *, is_held: bool = False, tries: int = 0
) -> None:
    """Have deliveries wait until then."""
    if deliveries:
        await db.run(SET_DUE, *_keys(deliveries), due_at, is_held, now, tries)


def _keys(deliveries: Collection[Delivery]) -> tuple[list[object], ...]:
    return (
        [each.account_id for each in deliveries],
        [each.position for each in deliveries],
        [each.channel for each in deliveries],
        [each.target_id for each in deliveries],
    )


async def _move(transaction: Db, before: Place, after: Place) -> bool:
    """Move the place. Return False if it is not where it was."""
    from_there = (before.position, before.account_id)
    to = (after.record, after.position, after.account_id, after.is_behind)
    return await transaction.run(MOVE, *from_there, *to) == "UPDATE 1"
