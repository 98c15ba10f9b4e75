"""The index of the audit trail: of each event who did it, to whom, in which room, and what. Owns `read.audit_entries`.

A group of its own, so that it never holds up a message. It holds ids in plain, as the record does, and nothing sealed: what
is erased leaves no trace in it. The reader for auditors (`adapters/postgres/audit.py`) answers from it as far as it goes and looks
through the rest of the record, so that no answer is behind.
"""

from collections.abc import Iterable
from typing import Any

from domain.events import Recorded, UnknownEvent
from domain.topics import TOPICS
from projections.tables import Change, Handler, Projection, Table

# One of these fields says who an event is about; never a sealed one, which no search of the record sees either.
SUBJECTS = ("user_id", "sender_id", "owner_id")

AUDIT_ENTRIES = Table(
    "read.audit_entries",
    key={"position": "bigint"},
    columns={"actor": "uuid", "subject": "uuid", "room_id": "uuid", "topic": "text", "is_known": "bool"},
)


def happened(recorded: Recorded[Any]) -> Iterable[Change]:
    e = recorded.event
    room_id = e.frame_room() or (None if "room_id" in e.sealed else getattr(e, "room_id", None))
    subjects = (getattr(e, name, None) for name in SUBJECTS if name not in e.sealed)
    yield AUDIT_ENTRIES.new(
        recorded.position, actor=recorded.meta.actor, room_id=room_id, topic=e.topic, is_known=True,
        subject=next((subject for subject in subjects if subject is not None), None),
    )  # fmt: skip


def unknown(recorded: Recorded[UnknownEvent]) -> Iterable[Change]:
    e = recorded.event
    yield AUDIT_ENTRIES.new(
        recorded.position, actor=recorded.meta.actor, room_id=e.room_id, topic=e.recorded_topic, is_known=False
    )


HANDLERS: dict[type[Any], Handler] = {**dict.fromkeys(TOPICS.values(), happened), UnknownEvent: unknown}
PROJECTION = Projection(tables=(AUDIT_ENTRIES,), handlers=HANDLERS, reads_meta=True)
