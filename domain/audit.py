"""Audit reads: whoever looks at the record leaves an event on it.

There is one event for each session, filter and minute, however many pages were read. The key of the stream is a UUIDv5 of
the three, so the second read of a minute finds the first one's stream and changes nothing.
"""

from typing import ClassVar
from uuid import UUID, uuid5

from msgspec import Struct

from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, SessionId, UserId
from domain.integers import Int8

READS = UUID("c0a4ef0b-3f5e-5c8b-91b5-0f6a7a2f9d51")


class AuditRead(Event, frozen=True):
    """`filter` is the request's path and query without the cursors of pages. `person` is the one whose data was asked for, if
    the query names one. Filter and reason are sealed for that person, else for the auditor."""

    topic: ClassVar = "audit.read"
    sealed: ClassVar = ("filter",)

    auditor_id: UserId
    filter: str
    minute: Int8
    person: UserId | None = None

    def about(self) -> UUID:
        return self.person or self.auditor_id

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.about(), None


class ForwardingBegan(Event, frozen=True):
    """An operator has the record forwarded from here. `destination` is the scheme, host and port; `texts`: with what people wrote."""

    topic: ClassVar = "audit.forwarding_began"
    sealed: ClassVar = ("destination",)

    forwarding_id: UUID
    destination: str
    format: str
    texts: bool
    after: Int8

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.forwarding_id, None


class Forwarding(Struct, frozen=True):
    after: int


class AuditReads(Struct, frozen=True):
    minute: int


def read_key(session_id: SessionId, filter: str, minute: int) -> UUID:
    return uuid5(READS, f"{session_id}\n{minute}\n{filter}")


def note(
    reads: AuditReads | None, *, auditor_id: UserId, filter: str, minute: int, person: UserId | None = None
) -> tuple[AuditRead, ...]:
    """Record the first read of a minute. `minute` counts from 1970."""
    return () if reads else (AuditRead(auditor_id, filter, minute, person),)


def evolve(reads: AuditReads | None, recorded: Recorded[AuditRead]) -> AuditReads:
    return AuditReads(recorded.event.minute)


def begin_forwarding(
    forwarding: Forwarding | None, *, forwarding_id: UUID, destination: str, format: str, texts: bool, after: int
) -> tuple[ForwardingBegan, ...]:
    """Record that forwarding begins; the same one again changes nothing."""
    return () if forwarding else (ForwardingBegan(forwarding_id, destination, format, texts, after),)


def evolve_forwarding(forwarding: Forwarding | None, recorded: Recorded[ForwardingBegan]) -> Forwarding:
    return Forwarding(recorded.event.after)


AUDIT_READS: Stream[AuditReads] = Stream("audit-read", evolve, AuditReads)
FORWARDINGS: Stream[Forwarding] = Stream("audit-forwarding", evolve_forwarding, Forwarding)
EVENTS: tuple[type[Event], ...] = (AuditRead,)
FORWARDING: tuple[type[Event], ...] = (ForwardingBegan,)
