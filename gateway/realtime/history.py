"""History: the frames of a room as the record has them, and which of them a member may see.

Where a room's history begins for each member with their joining, an edit, a deletion or the end of a file may be about a
message older than that. Such a frame is withheld from the member, and the `prev` of their next one names what they have
(`gateway/realtime/subscription.py`). In rooms whose history everybody sees nothing is looked up here, and one frame serves
all. Wherever a frame is made from the record, the text of a deleted message is left out.
"""

from collections.abc import Sequence
from typing import NamedTuple

from adapters.redis.lanes import Entry
from domain.events import Event, Recorded
from domain.file import FileCompleted, FileFailed
from domain.ids import RoomId
from domain.ports.database import Db
from domain.ports.record import Record
from domain.room import RoomChanged
from gateway.protocol.framing import text_frame
from gateway.realtime.room_frames import RoomFrame
from projections import frames, message_queries

REPLAY_PAGE_EVENTS = 500
REPLAY_PAGE_EVENTS_MIN = 16


class Subject(NamedTuple):
    """What an event is about: the position of a posting (None: of nothing older than itself), and whether it is deleted."""

    posted: int | None = None
    is_deleted: bool = False


def frame_of(entry: Entry, *, is_since_joining: bool) -> RoomFrame:
    """Return the frame of a lane's entry. Frames of files are never made so: what they may tell must be looked up."""
    summary = frames.summary_of(entry.frame, is_since_joining=is_since_joining)
    return RoomFrame(
        entry.position, entry.prev, text_frame(entry.frame), entry.ended, summary.topic, summary.posted, summary.history
    )


class RoomHistory:
    """Reads frames from the record. Every method raises `RecordUnavailableError` while Postgres does not answer."""

    def __init__(self, record: Record, db: Db) -> None:
        self._record = record
        self._db = db

    async def page(
        self, room_id: RoomId, after: int, until: int, *, limit: int = REPLAY_PAGE_EVENTS
    ) -> tuple[list[RoomFrame], int]:
        """Return a room's frames after a position, as they may be delivered now, and the position up to which these are all."""
        events, is_last = await self._record.room_after(room_id, after, until=until, limit=limit)
        if not events:
            return [], until
        (prev,) = await self._record.previous_in_rooms([(room_id, events[0].position)])
        page = await self._frames_of(room_id, events, prev)
        return page, until if is_last else events[-1].position

    async def last_visible(self, room_id: RoomId, until: int, *, since: int) -> int:
        """Return the last event up to `until` that a member sees whose history begins at `since`, or 0 if there is none."""
        limit, before = REPLAY_PAGE_EVENTS_MIN, until + 1
        while before > since:
            events, is_last = await self._record.room_before(room_id, before, limit=limit)
            subjects = await self._subjects(room_id, events)
            for event in events:
                if event.position < since:
                    return 0
                posted = subjects[event.position].posted
                if posted is None or posted >= since:
                    return event.position
            if is_last:
                return 0
            before, limit = events[-1].position, min(2 * limit, REPLAY_PAGE_EVENTS)
        return 0

    async def _frames_of(self, room_id: RoomId, events: Sequence[Recorded[Event]], prev: int) -> list[RoomFrame]:
        """Return the frames of successive events of a room; `prev` is the position of the event before them."""
        subjects = await self._subjects(room_id, events)
        page = []
        for recorded in events:
            page.append(_frame_of_event(recorded, prev, subjects[recorded.position]))
            prev = recorded.position
        return page

    async def _subjects(self, room_id: RoomId, events: Sequence[Recorded[Event]]) -> dict[int, Subject]:
        postings = {recorded.position: frames.posting_of(recorded) for recorded in events}
        file_ids = {each.event.file_id for each in events if isinstance(each.event, (FileCompleted, FileFailed))}
        deleted = await message_queries.deleted_among(
            self._db, {posted for posted in postings.values() if posted is not None}
        )
        attached = await message_queries.latest_with_files(self._db, room_id, file_ids)
        found = {}
        for recorded in events:
            posted = postings[recorded.position]
            found[recorded.position] = Subject(posted, posted in deleted and frames.has_text(recorded))
            if isinstance(recorded.event, (FileCompleted, FileFailed)):
                posted = attached.get(recorded.event.file_id)
                found[recorded.position] = Subject(posted, is_deleted=posted is None)
        return found


def _frame_of_event(recorded: Recorded[Event], prev: int, subject: Subject) -> RoomFrame:
    event = recorded.event
    frame = frames.tombstone_frame(recorded, prev) if subject.is_deleted else frames.room_frame(recorded, prev)
    ended = frames.ends_membership(event)
    topic = (frames.EventSkipped if frames.SKIPPED_MARK in frame else event).topic.encode()
    history = event.history if isinstance(event, RoomChanged) else None
    return RoomFrame(recorded.position, prev, text_frame(frame), ended, topic, subject.posted, history)
