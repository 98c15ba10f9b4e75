"""Frames of the inbox: they are made of its rows, and not of events. So many are made that they are made directly; they are what
`projections.frames.control` makes of `Notified`."""

from projections.frames import Own, own_frame
from projections.notifications import NotificationView, Notified, Told


def own_of(row: Told) -> Own:
    """Return the frame of a row of somebody's inbox, for all of their sockets."""
    view = NotificationView(
        row.position, row.kind, row.room_id, row.message_id, row.file_id, row.actor_id, row.at, row.thread_id, False
    )
    frame = own_frame(Notified.topic, row.position, row.at, row.actor_id, view)
    return Own(row.user_id, frame, row.position)
