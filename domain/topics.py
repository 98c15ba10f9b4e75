"""Topics: all that were ever recorded, and the stream of each. They stay decodable for ever. A feature adds a line."""

from typing import Any

from domain import (
    account,
    audit,
    block,
    clock,
    email_token,
    file,
    mail_notices,
    membership,
    message,
    notification,
    operating,
    own_webhook,
    parking,
    pin,
    push,
    reaction,
    reading,
    restoration,
    room,
    security,
    session,
    thread,
)
from domain.events import Event, Stream

FEATURES: tuple[tuple[Stream[Any], tuple[type[Event], ...]], ...] = (
    (account.ACCOUNT, account.EVENTS),
    (session.SESSION, session.EVENTS),
    (session.SESSIONS, session.LISTING),
    (email_token.EMAIL_TOKEN, email_token.EVENTS),
    (room.ROOM, room.EVENTS),
    (block.BLOCKS, block.EVENTS),
    (membership.MEMBERSHIP, membership.EVENTS),
    (message.MESSAGE, message.EVENTS),
    (pin.PINS, pin.EVENTS),
    (push.SUBSCRIPTIONS, push.EVENTS),
    (own_webhook.OWN_WEBHOOK, own_webhook.EVENTS),
    (mail_notices.MAIL_NOTICES, mail_notices.EVENTS),
    (reaction.REACTIONS, reaction.EVENTS),
    (thread.THREAD, thread.EVENTS),
    (thread.FOLLOWING, thread.FOLLOWING_EVENTS),
    (reading.READING, reading.EVENTS),
    (notification.SETTINGS, notification.EVENTS),
    (notification.INBOX, notification.INBOX_EVENTS),
    (file.FILE, file.EVENTS),
    (audit.AUDIT_READS, audit.EVENTS),
    (operating.OPERATIONS_READS, operating.READS),
    (operating.REBUILDS, operating.ASKS),
    (security.SECURITY, security.EVENTS),
    (clock.CLOCK, clock.EVENTS),
    (restoration.RESTORATIONS, restoration.EVENTS),
    (parking.PARKING, parking.EVENTS),
)
TOPICS: dict[str, type[Event]] = {event.topic: event for _, events in FEATURES for event in events}
STREAM_OF: dict[str, Stream[Any]] = {event.topic: stream for stream, events in FEATURES for event in events}
