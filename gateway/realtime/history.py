"""History: which of a room's frames a member may hear, where the room's history begins for each with their joining.

An edit, a deletion or the end of a file tells of a message that may be older than a member's joining: such a frame is not
for them, and their next one names as `prev` what they hold (`gateway/realtime/feeds.py`). In rooms whose history everybody sees
nothing here is asked, and one frame serves all. What was deleted is told to nobody any more, wherever a frame is made of
the record.
"""

from collections.abc import Sequence
from typing import NamedTuple

from adapters.redis.lanes import Entry
from domain.bounds import REPLAY_PAGE_EVENTS, REPLAY_PAGE_EVENTS_MIN
from domain.events import Event, Recorded
from domain.file import FileCompleted, FileFailed
from domain.ids import RoomId
from domain.ports import Db, Record
from domain.room import RoomChanged
from gateway.realtime.feeds import Told
from gateway.server.transport import prepared
from projections import frames, messages


class Subject(NamedTuple):
    """What an event tells of: the position of a posting (None: of nothing older than itself), and whether that is deleted."""

    posted: int | None = None
    is_deleted: bool = False


def heard(entry: Entry, *, is_since_joining: bool) -> Told:
    """Return an entry of a lane, ready to be told. Files are not heard from lanes: what may be told of them is looked up."""
    glance = frames.glance(entry.frame, is_since_joining=is_since_joining)
    return Told(
        entry.position, entry.prev, prepared(entry.frame), entry.ended, glance.topic, glance.posted, glance.history
    )


async def told(db: Db, room_id: RoomId, facts: Sequence[Recorded[Event]], prev: int) -> list[Told]:
    """Return what a room was told by these events of it, as it may be told now; `prev` is the event before them."""
    subjects = await _subjects(db, room_id, facts)
    page = []
    for fact in facts:
        subject = subjects[fact.position]
        frame = frames.tombstone_frame(fact, prev) if subject.is_deleted else frames.room_frame(fact, prev)
        ended = frames.ends_membership(fact.event)
        topic = (frames.EventSkipped if frames.SKIPPED_MARK in frame else fact.event).topic.encode()
        history = fact.event.history if isinstance(fact.event, RoomChanged) else None
        page.append(Told(fact.position, prev, prepared(frame), ended, topic, subject.posted, history))
        prev = fact.position
    return page


async def last_heard(record: Record, db: Db, room_id: RoomId, place: int, *, since: int) -> int:
    """Return the last event up to a place that a member who hears a room since a position was told of; 0: none."""
    limit, before = REPLAY_PAGE_EVENTS_MIN, place + 1
    while before > since:
        facts, is_last = await record.room_before(room_id, before, limit=limit)
        subjects = await _subjects(db, room_id, facts)
        for fact in facts:
            if fact.position < since:
                return 0
            posted = subjects[fact.position].posted
            if posted is None or posted >= since:
                return fact.position
        if is_last:
            return 0
        before, limit = facts[-1].position, min(2 * limit, REPLAY_PAGE_EVENTS)
    return 0


async def _subjects(db: Db, room_id: RoomId, facts: Sequence[Recorded[Event]]) -> dict[int, Subject]:
    postings = {fact.position: frames.posting_of(fact) for fact in facts}
    file_ids = {fact.event.file_id for fact in facts if isinstance(fact.event, (FileCompleted, FileFailed))}
    deleted = await messages.deleted_among(db, {posted for posted in postings.values() if posted is not None})
    showings = await messages.showings(db, room_id, file_ids)
    found = {}
    for fact in facts:
        posted = postings[fact.position]
        found[fact.position] = Subject(posted, posted in deleted and frames.tells_text(fact))
        if isinstance(fact.event, (FileCompleted, FileFailed)):
            showing = showings.get(fact.event.file_id)
            found[fact.position] = Subject(showing, is_deleted=showing is None)
    return found
