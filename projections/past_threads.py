"""Threads as roots showed them at a position: how many replies there were says the last event of the thread's stream up to it, what
the viewer had to do with the thread that of their following. Only unread replies are counted, in the index of the thread's replies.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from domain.events import Recorded, UnknownEvent
from domain.ids import StreamId, UserId
from domain.ports.database import Db
from domain.ports.past import Past
from domain.thread import FOLLOWING, THREAD, evolve_following
from projections.messages import MessageView
from projections.threads import THREAD_UNREAD_COUNTED_MAX, ThreadView, thread_after

NOBODY_REPLIED = ThreadView(0, None, [], 0)
# Of the threads that they followed then, as members of the room.
SELECT_UNREAD = """
    SELECT asked.root_position, unread.count AS unread
    FROM unnest($2::bigint[], $3::uuid[], $4::bigint[]) asked (root_position, room_id, after)
    CROSS JOIN LATERAL (
        SELECT p.role FROM read.past_roles p
        WHERE p.room_id = asked.room_id AND p.user_id = $1 AND p.position <= $5 ORDER BY p.position DESC LIMIT 1
    ) became
    CROSS JOIN LATERAL (
        SELECT count(*) FROM (
            SELECT FROM read.messages new
            WHERE new.root_position IS NOT NULL AND new.sender_id <> $1 AND (NOT new.deleted OR EXISTS (
                    SELECT FROM read.past_deletions d WHERE d.posted_position = new.position AND d.position > $5))
                AND (new.root_position, new.position) > (asked.root_position, asked.after)
                AND (new.root_position, new.position) <= (asked.root_position, $5)
            ORDER BY new.root_position, new.position LIMIT $6
        ) counted
    ) unread
    WHERE became.role IS NOT NULL
"""


class UnreadReplies(Struct, frozen=True):
    """How many replies somebody had not read, of a thread that they followed."""

    root_position: int
    unread: int


async def of_roots(
    db: Db, past: Past, viewer_id: UserId, position: int, roots: Sequence[MessageView]
) -> dict[int, ThreadView]:
    """Return by position the threads of these roots, as this person saw them. A root is left out if nobody had ever replied to it
    and they did not follow it."""
    if not roots:
        return {}
    threads = {root.position: THREAD.id(root.id) for root in roots}
    followings = {root.position: FOLLOWING.id(root.id, viewer_id) for root in roots}
    last = await past.last_until([*threads.values(), *followings.values()], position)
    known = {stream: each for stream, each in last.items() if not isinstance(each.event, UnknownEvent)}
    marks = _marks(roots, followings, known)
    asked = [root for root in roots if root.position in marks]
    rows = (
        await db.all(
            UnreadReplies, SELECT_UNREAD, viewer_id, [root.position for root in asked], [root.room_id for root in asked],
            [marks[root.position] for root in asked], position, THREAD_UNREAD_COUNTED_MAX,
        )
        if asked
        else []
    )  # fmt: skip
    unread = {row.root_position: row.unread for row in rows}
    counted = {place: thread_after(known[stream]).thread for place, stream in threads.items() if stream in known}
    return {
        place: replace(
            counted.get(place, NOBODY_REPLIED),
            following=place in unread,
            unread=unread.get(place),
            read_position=marks[place] if place in unread else None,
        )
        for place in threads
        if place in counted or place in unread
    }


def _marks(
    roots: Sequence[MessageView], followings: Mapping[int, StreamId], known: Mapping[StreamId, Recorded[Any]]
) -> dict[int, int]:
    """Return how far the person had read the threads that they followed, by the root's position."""
    last = {root.position: known.get(followings[root.position]) for root in roots}
    states = {place: evolve_following(None, each) for place, each in last.items() if each is not None}
    return {place: state.read_position for place, state in states.items() if state.is_following}
