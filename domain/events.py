"""The record's vocabulary: what an event is, what surrounds it, and how streams fold into states.

An `Event` is plain data with a topic that is for ever. Fields named in `sealed` are encrypted in the record, under a key
of `encryption_subject` and day. When the key is destroyed they come back as their default (else an empty text), and
`Recorded.erased` is true. `frame_room` is the room in which the event is published; no other event has one on the record,
so a frame's `prev` is a function of the record.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Generic, Literal, TypeVar
from uuid import UUID

from msgspec import Struct

from domain.ids import EventId, RoomId, SessionId, StreamId, UserId, stream_id
from domain.integers import bounds_of, require_bounds

# The members of an event of one version as the next version has them. What is sealed is open, or missing if it was erased.
Upcast = Callable[[dict[str, Any]], dict[str, Any]]
PERSONS = ("user_id", "sender_id", "uploader_id")


class Event(Struct, frozen=True):
    """What happened. Subclasses name their topic, their room and whom their sealed fields belong to.

    `changes` names what this event replaces or ends beside its own fields: fields of the stream's state, or of its earlier
    events. Auditors see their values from before the event.

    `topic_version` rises with each change of the fields but an added one with a default; `upcasts` has, for each version before,
    what makes the next one of it. So a record of any age is read as if it was written today.
    """

    topic: ClassVar[str] = ""
    topic_version: ClassVar[int] = 1
    upcasts: ClassVar[Mapping[int, Upcast]] = {}
    sealed: ClassVar[tuple[str, ...]] = ()
    changes: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if bounds_of(type(self)):  # every event that is read comes by here, and few have numbers
            require_bounds(self)

    def frame_room(self) -> RoomId | None:
        """Return the room in which this event is published, or None if it is in none."""
        return None

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        """Return whose data the sealed fields are: the person (or the room), and the room in which it happened."""
        raise AssertionError(f"{self.topic} seals nothing")

    def about(self) -> UUID | None:
        """Return the person whom the event is about, or None. The reason that was given for it is their data."""
        return next((found for name in PERSONS if (found := getattr(self, name, None)) is not None), None)


class UnknownEvent(Event, frozen=True):
    """An event whose topic this version does not know. Followers of the record skip it."""

    recorded_topic: str
    room_id: RoomId | None

    def frame_room(self) -> RoomId | None:
        return self.room_id


Fault = Literal["not JSON", "of another shape", "not what was sealed"]


class UnreadableEvent(UnknownEvent, frozen=True):
    """An event that cannot be decoded, because of a bug or because somebody altered it. Nothing may be decided on its stream;
    followers of the record park it and go on."""

    fault: Fault


class Meta(Struct, frozen=True, omit_defaults=True):
    """Who, from where and why; recorded with every event of one command.

    `address`, `agent` and `correlation` are sealed under the actor's key, `reason` under the key of the person whom the
    event is about.
    """

    id: EventId
    command: str
    actor: UserId | None = None
    session: SessionId | None = None
    correlation: str | None = None
    causation: str | None = None
    address: str | None = None
    agent: str | None = None
    reason: str | None = None


E_co = TypeVar("E_co", bound=Event, covariant=True)
State_co = TypeVar("State_co", covariant=True)


class Recorded(Struct, Generic[E_co], frozen=True):
    """An event with its place in the record. `version` counts from 1 in its stream, `at` is the record's clock (UTC)."""

    position: int
    stream: StreamId
    version: int
    at: datetime
    event: E_co
    meta: Meta
    erased: bool = False


class Stream(Generic[State_co]):
    """A kind of stream, and how its events fold: `evolve` takes the state so far (None at first) and the next event.

    `state` is the type of the state, and `fold` the version of `evolve`: raise it when the same events come to mean another
    state, so that no earlier snapshot is used. `subject` names whose data a state holds: its snapshots are sealed under their
    key. None: nobody's.
    """

    def __init__(
        self,
        kind: str,
        evolve: Callable[[Any, Recorded[Any]], State_co],
        state: type[State_co],
        *,
        fold: int = 1,
        subject: Callable[[Any], tuple[UUID, RoomId | None]] | None = None,
    ) -> None:
        self.kind = kind
        self.evolve = evolve
        self.state = state
        self.fold = fold
        self.subject = subject

    def id(self, *key: UUID) -> StreamId:
        return stream_id(self.kind, *key)


class Caller(Struct, frozen=True):
    """On whose behalf a command runs. `user_id` is None for a stranger, and for the operator at the command line."""

    user_id: UserId | None = None
    session_id: SessionId | None = None
    correlation: str | None = None
    causation: str | None = None
    address: str | None = None
    agent: str | None = None
    reason: str | None = None
