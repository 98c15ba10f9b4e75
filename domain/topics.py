"""Topics: all that were ever recorded, and the stream of each. They stay decodable for ever. A feature adds a line.

On the record, events of a topic's first version stand under its name (`room.changed`), later ones under name and version
(`room.changed@2`). `upcast` brings the members of any of them to today's.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from domain import (
    account,
    approval,
    audit,
    block,
    clock,
    email_token,
    erasure,
    export,
    file,
    hold,
    key_rotation,
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
    retention,
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
    (hold.HOLDS, hold.EVENTS),
    (approval.APPROVAL, approval.EVENTS),
    (retention.RETENTION, retention.EVENTS),
    (retention.DISPOSALS, retention.APPLIED),
    (audit.AUDIT_READS, audit.EVENTS),
    (audit.FORWARDINGS, audit.FORWARDING),
    (operating.OPERATIONS_READS, operating.READS),
    (operating.REBUILDS, operating.ASKS),
    (operating.TASK_RETRIES, operating.RETRYING),
    (export.EXPORT, export.EVENTS),
    (security.SECURITY, security.EVENTS),
    (clock.CLOCK, clock.EVENTS),
    (erasure.ERASURE, erasure.EVENTS),
    (restoration.RESTORATIONS, restoration.EVENTS),
    (key_rotation.NOTARY_KEYS, key_rotation.EVENTS),
    (parking.PARKING, parking.EVENTS),
)
TOPICS: dict[str, type[Event]] = {event.topic: event for _, events in FEATURES for event in events}
STREAM_OF: dict[str, Stream[Any]] = {event.topic: stream for stream, events in FEATURES for event in events}
VERSION_SIGN = "@"


class Written(NamedTuple):
    """As what an event stands on the record: its topic, and the version of that."""

    topic: str
    version: int


def written_as(kind: type[Event]) -> str:
    """Return the name under which events of this type are recorded."""
    return kind.topic if kind.topic_version == 1 else f"{kind.topic}{VERSION_SIGN}{kind.topic_version}"


def names_of(topic: str) -> list[str]:
    """Return the names under which events of a topic may be recorded: of its first version and of all later ones."""
    return [topic, *(f"{topic}{VERSION_SIGN}{version}" for version in range(2, TOPICS[topic].topic_version + 1))]


def read_written(name: str) -> Written:
    """Return the topic and version of a name on the record."""
    topic, sign, version = name.rpartition(VERSION_SIGN)
    if sign and version.isdecimal() and version == str(int(version)) and int(version) > 1:
        return Written(topic, int(version))
    return Written(name, 1)


def kind_of(name: str, topics: Mapping[str, type[Event]] = TOPICS) -> type[Event] | None:
    """Return the type of events under this name; None for a topic that is not known here, or a version of later releases."""
    if (kind := topics.get(name)) is not None:
        return kind
    topic, version = read_written(name)
    kind = topics.get(topic)
    return kind if kind is not None and version <= kind.topic_version else None


def upcast(kind: type[Event], name: str, members: dict[str, Any]) -> dict[str, Any]:
    """Return the members of an event under this name as today's version has them, one version after the other."""
    for version in range(read_written(name).version, kind.topic_version):
        members = kind.upcasts[version](members)
    return members
