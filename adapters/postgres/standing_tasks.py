"""Standing tasks: work that tables know of and the queue does not: what was given up, what people are to be told, erasures.

Each is named by a kind and a key, and is ordered by since when it stands so and by its key, the latest first.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from domain.ids import UserId
from domain.ports.database import Db

TaskState = Literal["queued", "running", "failed", "dead"]

# A delivery is pending, being told or dead: of each, and of those that were tried before, one page of each channel is looked at by an
# index of its own. The order is that of the whole list: a key begins with the account, and ids are as long as each other.
# The id of an erasure is the secret that reads it: it is named by whose it is.
# Of exports those that people called off, or that went as they should, are no failures. A rebuild that was done later is none.
SELECT_PAGE = """
    SELECT kind, key, state, attempts, error, at, due_at, user_id, about_id FROM (
        SELECT CASE WHEN scan IS NULL THEN 'scan' WHEN mime_type = 'application/pdf' THEN 'document' ELSE 'image' END AS kind,
            id::text AS key, 'dead' AS state, NULL::int AS attempts, error, processed_at AS at, NULL::timestamptz AS due_at,
            uploader_id AS user_id, id AS about_id
        FROM read.files WHERE status = 'failed' AND error = 'gave_up'
        UNION ALL
        SELECT d.* FROM unnest($1::text[]) of_kind CROSS JOIN LATERAL (
            SELECT channel, account_id || '.' || position || '.' || target_id AS key,
                'queued', tries, reason,
                changed_at, due_at, account_id, target_id
            FROM notify.deliveries
            WHERE channel = of_kind AND state = 'pending' AND tries = 0 AND 'queued' = ANY ($2::text[])
                AND (changed_at, (account_id || '.' || position || '.' || target_id) COLLATE "C") < ($3, $4)
            ORDER BY changed_at DESC, account_id DESC, (account_id || '.' || position || '.' || target_id) COLLATE "C" DESC LIMIT $5
        ) d
        UNION ALL
        SELECT d.* FROM unnest($1::text[]) of_kind CROSS JOIN LATERAL (
            SELECT channel, account_id || '.' || position || '.' || target_id AS key,
                CASE WHEN due_at > clock_timestamp() THEN 'failed' ELSE 'queued' END, tries, reason,
                changed_at, due_at, account_id, target_id
            FROM notify.deliveries
            WHERE channel = of_kind AND state = 'pending' AND tries > 0
                AND CASE WHEN due_at > clock_timestamp() THEN 'failed' ELSE 'queued' END = ANY ($2::text[])
                AND (changed_at, (account_id || '.' || position || '.' || target_id) COLLATE "C") < ($3, $4)
            ORDER BY changed_at DESC, account_id DESC, (account_id || '.' || position || '.' || target_id) COLLATE "C" DESC LIMIT $5
        ) d
        UNION ALL
        SELECT d.* FROM unnest($1::text[]) of_kind CROSS JOIN LATERAL (
            SELECT channel, account_id || '.' || position || '.' || target_id AS key,
                'running', tries, reason,
                changed_at, NULL::timestamptz, account_id, target_id
            FROM notify.deliveries
            WHERE channel = of_kind AND state = 'telling' AND 'running' = ANY ($2::text[])
                AND (changed_at, (account_id || '.' || position || '.' || target_id) COLLATE "C") < ($3, $4)
            ORDER BY changed_at DESC, account_id DESC, (account_id || '.' || position || '.' || target_id) COLLATE "C" DESC LIMIT $5
        ) d
        UNION ALL
        SELECT d.* FROM unnest($1::text[]) of_kind CROSS JOIN LATERAL (
            SELECT channel, account_id || '.' || position || '.' || target_id AS key,
                'dead', tries, reason,
                changed_at, NULL::timestamptz, account_id, target_id
            FROM notify.deliveries
            WHERE channel = of_kind AND state = 'dead' AND 'dead' = ANY ($2::text[])
                AND (changed_at, (account_id || '.' || position || '.' || target_id) COLLATE "C") < ($3, $4)
            ORDER BY changed_at DESC, account_id DESC, (account_id || '.' || position || '.' || target_id) COLLATE "C" DESC LIMIT $5
        ) d
        UNION ALL
        SELECT 'export', id::text, 'dead', NULL, fault, ended_at, NULL, requested_by, id
        FROM read.exports WHERE state = 'failed' AND fault IN ('gave_up', 'proof_unavailable', 'recipient_unusable')
        UNION ALL
        SELECT 'rebuild', r.id::text, 'dead', NULL, r.fault, r.ended_at, NULL, r.asked_by, r.id
        FROM read.rebuilds r WHERE r.state = 'failed' AND NOT EXISTS (
            SELECT FROM read.rebuilds o WHERE o.group_name = r.group_name AND o.state = 'done' AND o.asked_at > r.asked_at
        )
        UNION ALL
        SELECT 'erasure', user_id::text, 'queued', NULL, CASE WHEN held_by <> '' THEN 'held' END, requested_at, NULL, user_id,
            user_id
        FROM read.erasures WHERE completed_at IS NULL AND NOT is_cancelled AND NOT awaits_approval
    ) t
    WHERE kind = ANY ($1::text[]) AND state = ANY ($2::text[]) AND (at, key COLLATE "C") < ($3, $4)
    ORDER BY at DESC, key COLLATE "C" DESC LIMIT $5
"""
SELECT_DELIVERY = """
    SELECT CASE WHEN state = 'telling' THEN 'running' WHEN state = 'dead' THEN 'dead'
            WHEN tries > 0 AND due_at > clock_timestamp() THEN 'failed' ELSE 'queued' END AS state, changed_at
    FROM notify.deliveries
    WHERE channel = $1 AND account_id = $2 AND position = $3 AND target_id = $4 AND state IN ('pending', 'telling', 'dead')
"""
# Whoever was given up begins again with all its tries; nothing that is being told, or was, comes back.
MAKE_DUE = """
    UPDATE notify.deliveries SET state = 'pending', due_at = clock_timestamp(), changed_at = clock_timestamp(),
        tries = CASE WHEN state = 'dead' THEN 0 ELSE tries END, reason = NULL
    WHERE channel = $1 AND account_id = $2 AND position = $3 AND target_id = $4
        AND (state = 'dead' OR (state = 'pending' AND tries > 0))
"""


class StandingTask(Struct, frozen=True):
    """`error` is a code of the kind's, or a sentence; `at` is since when it stands so; `about_id` is a file, device, export or rebuild;
    of an erasure the person."""

    kind: str
    key: str
    state: TaskState
    attempts: int | None
    error: str | None
    at: datetime
    due_at: datetime | None
    user_id: UserId | None
    about_id: UUID


class DeliveryState(Struct, frozen=True):
    state: TaskState
    changed_at: datetime


class DeliveryKey(Struct, frozen=True):
    """A delivery as the list of tasks names it: `channel`, then account, position and target with dots between."""

    channel: str
    account_id: UUID
    position: int
    target_id: UUID


async def page(
    db: Db, kinds: Sequence[str], states: Sequence[TaskState], *, before: tuple[datetime, str], limit: int
) -> list[StandingTask]:
    """Return what stands so, the latest first, from before a place."""
    return await db.all(StandingTask, SELECT_PAGE, list(kinds), list(states), *before, limit)


async def delivery(db: Db, key: DeliveryKey) -> DeliveryState | None:
    """Return how a delivery stands; None if it is over, or never was."""
    return await db.one(DeliveryState, SELECT_DELIVERY, key.channel, key.account_id, key.position, key.target_id)


async def make_due(db: Db, key: DeliveryKey) -> bool:
    """Have a delivery told again that failed. Return False if it does not stand so any more."""
    return await db.run(MAKE_DUE, key.channel, key.account_id, key.position, key.target_id) == "UPDATE 1"
