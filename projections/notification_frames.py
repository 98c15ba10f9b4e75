"""Frames of the inbox: they are made of its rows, and not of events."""

from uuid import UUID

from domain.events import Meta, Recorded
from domain.ids import EventId, StreamId
from projections import frames
from projections.frames import Control
from projections.notifications import Notified, Told


def notified(row: Told) -> Control:
    """Return the frame of a row of somebody's inbox, as the control lane carries frames."""
    event = Notified(row.user_id, row.kind, row.room_id, row.message_id, row.file_id, row.thread_id)
    meta = Meta(EventId(UUID(int=0)), "", actor=row.actor_id)
    made = frames.control(Recorded(row.position, StreamId(UUID(int=0)), 0, row.at, event, meta))
    return made or Control(row.position)
