"""Messages as they were at a position: pages of today's rows, put back to what they were then.

A row that nothing happened to is as it was. Of one that was edited, the last event of its stream up to the position says what
it was; that is looked for by halving the stream's versions, so it costs the same however long ago it was. What was
deleted or erased since is shown as it is today: a tombstone.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from domain.events import Recorded, UnknownEvent
from domain.ids import RoomId, UserId
from domain.message import MESSAGE, MessageDeleted
from domain.ports.database import Db
from domain.ports.past import Past
from projections import message_pages, past_files, past_threads
from projections.message_html import render
from projections.message_pages import PAGE_TEXT_BYTES_MAX, POSITION_MAX
from projections.messages import THREAD_ASKED, MessageView, RenderedMessageView, tombstone
from projections.reactions import MessageReaction, ReactionView

SELECT_REACTIONS = """
    SELECT c.posted_position, c.emoji, latest.count, coalesce(mine.given, false) AS me
    FROM read.reaction_counts c
    CROSS JOIN LATERAL (
        SELECT r.count FROM read.past_reactions r
        WHERE r.posted_position = c.posted_position AND r.emoji = c.emoji AND r.position <= $3
        ORDER BY r.position DESC LIMIT 1
    ) latest
    LEFT JOIN LATERAL (
        SELECT r.given FROM read.past_reactions r
        WHERE r.posted_position = c.posted_position AND r.emoji = c.emoji AND r.user_id = $1 AND r.position <= $3
        ORDER BY r.position DESC LIMIT 1
    ) mine ON true
    LEFT JOIN LATERAL (
        SELECT r.position FROM read.past_reactions r
        WHERE r.posted_position = c.posted_position AND r.emoji = c.emoji AND r.given AND r.count = 1 AND r.position <= $3
        ORDER BY r.position DESC LIMIT 1
    ) began ON true
    WHERE c.posted_position = ANY ($2::bigint[]) AND latest.count > 0
    ORDER BY c.posted_position, began.position
"""
SELECT_PINNED = """
    SELECT asked.position FROM unnest($1::bigint[]) asked (position)
    CROSS JOIN LATERAL (
        SELECT p.pinned FROM read.past_pins p WHERE p.posted_position = asked.position AND p.position <= $2
        ORDER BY p.position DESC LIMIT 1
    ) latest WHERE latest.pinned
"""


class Wanted(NamedTuple):
    """Which page of a room's messages is asked for, as by `message_pages.page`."""

    before: int | None
    after: int | None
    around: int | None
    limit: int
    html: bool


class Then(NamedTuple):
    """Whose eyes it is seen with, and at which position of the record."""

    viewer_id: UserId
    position: int


async def page(db: Db, past: Past, then: Then, room_id: RoomId, wanted: Wanted) -> tuple[list[MessageView], bool]:
    """Return at most `limit` messages as they were, and whether there may be more; in order and bounds as `message_pages.page`,
    as if the record ended there. Raise `DomainError` if this person may not read them today."""
    end = then.position + 1
    before = (
        None
        if (wanted.after, wanted.around) != (None, None)
        else min(end if wanted.before is None else wanted.before, end)
    )
    rows, has_more, _ = await message_pages.page(
        db, then.viewer_id, room_id, before=before, after=wanted.after, around=wanted.around, limit=wanted.limit,
        html=wanted.html,
    )  # fmt: skip
    posted = [message for message in rows if message.position < end]
    found = await texts(past, then, posted)
    shown = fitting(found) if wanted.around is None else found
    has_more = (has_more and len(posted) == len(rows)) or len(shown) < len(found)
    return await complete(db, past, then, shown), has_more and wanted.around is None


def fitting(found: list[MessageView]) -> list[MessageView]:
    """Return messages from the first one on, as many as a page may hold: they may have been longer than they are."""
    left = PAGE_TEXT_BYTES_MAX
    for i, message in enumerate(found):
        left -= len(message.content.encode("utf-8", "surrogatepass"))
        if left < 0 and i > 0:
            return found[:i]
    return found


async def texts(past: Past, then: Then, found: Sequence[MessageView]) -> list[MessageView]:
    """Return these messages with the text, version and times that they had. All of them were posted by then."""
    changed = [message.id for message in found if message.version > 1 and not message.deleted]
    if not changed:
        return list(found)
    streams = [MESSAGE.id(message_id) for message_id in changed]
    last = await past.last_until(streams, then.position)
    # Read after that: nothing of a message that was deleted by then is shown, whatever the tables say yet.
    newest = await past.last_until(streams, POSITION_MAX)
    deleted = {stream for stream, recorded in newest.items() if isinstance(recorded.event, MessageDeleted)}
    return [
        tombstone(message)
        if MESSAGE.id(message.id) in deleted
        else await _as_of(message, last.get(MESSAGE.id(message.id)))
        for message in found
    ]


async def complete(db: Db, past: Past, then: Then, found: Sequence[MessageView]) -> list[MessageView]:
    """Return these messages with what hung on them: files, reactions, pins and threads."""
    alive = [message for message in found if not message.deleted]
    files = await past_files.views(past, {m.file_id for m in alive if m.file_id is not None}, then.position)
    reactions = await _reactions(db, then, [m.position for m in alive if m.reactions is None])
    pinned = await _pinned(db, then, [m.position for m in alive])
    seen = [
        message
        if message.deleted
        else replace(
            message,
            file=None if message.file_id is None else files.get(message.file_id),
            reactions=reactions.get(message.position, []),
            pinned=message.position in pinned,
        )
        for message in found
    ]
    return await _with_threads(db, past, then, seen)


async def _with_threads(db: Db, past: Past, then: Then, found: list[MessageView]) -> list[MessageView]:
    """Return these messages with the threads that there were; a root that is a tombstone today keeps its thread, as it does there."""
    roots = [message for message in found if message.thread is THREAD_ASKED]
    views = await past_threads.of_roots(db, past, then.viewer_id, then.position, roots)
    return [
        replace(message, thread=views.get(message.position)) if message.thread is THREAD_ASKED else message
        for message in found
    ]


async def _as_of(message: MessageView, recorded: Recorded[Any] | None) -> MessageView:
    """Return a message as it was after this event of it; None: nothing happened to it but its posting."""
    if recorded is None:
        return message
    if recorded.erased or isinstance(recorded.event, UnknownEvent):
        return tombstone(message)
    content = recorded.event.content
    past = replace(
        message, content=content, is_edited=recorded.version > 1, updated_at=recorded.at, version=recorded.version
    )
    if isinstance(past, RenderedMessageView) and recorded.version != message.version:
        past = replace(past, html=await asyncio.to_thread(render, content))
    return past


async def _reactions(db: Db, then: Then, postings: Collection[int]) -> dict[int, list[ReactionView]]:
    """Return the reactions to the messages at these positions, in the order of their first."""
    if not postings:
        return {}
    found: dict[int, list[ReactionView]] = {position: [] for position in postings}
    for row in await db.all(MessageReaction, SELECT_REACTIONS, then.viewer_id, list(postings), then.position):
        found[row.posted_position].append(ReactionView(row.emoji, row.count, row.me))
    return found


async def _pinned(db: Db, then: Then, postings: Collection[int]) -> set[int]:
    return set(await db.all(int, SELECT_PINNED, list(postings), then.position)) if postings else set()
