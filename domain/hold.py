"""Legal holds: what must not be destroyed while a matter is open, by person, room and time.

All holds are one stream. Whoever destroys something loads it, asks `covering`, and writes its own event: the stream is then a
guard of that append, so that a hold placed at the same moment is either seen or makes the append conflict. A hold covers what
was there before it was placed, too. A released one covers for `HOLD_GRACE_DAYS` more, so that a release by mistake, or one
that another matter objects to, destroys nothing at once.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import ClassVar, NewType, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.bounds import HOLDS_ACTIVE_MAX
from domain.errors import ConflictError, InvalidError, NotFoundError
from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, UserId
from domain.moments import require_in_range

HoldId = NewType("HoldId", UUID)

ALL_HOLDS = UUID("3f6f0c1e-52a7-5d0b-8c1d-7d1c2f7b9e15")  # the key of their one stream
HOLD_GRACE_DAYS = 7
RELEASED_KEPT_MAX = 1_000  # of which a second release is known to be one


class HoldNotFoundError(NotFoundError, code="hold.not_found"):
    """There is no such legal hold."""


class TooManyHoldsError(ConflictError, code="hold.too_many"):
    """There are as many active legal holds as there may be; release one that has served its purpose."""


class HoldTimesError(InvalidError, code="hold.times"):
    """A legal hold ends after it begins."""


class HoldScopeError(InvalidError, code="hold.scope"):
    """A legal hold names people and rooms that there are."""


class HeldError(ConflictError, code="hold.held"):
    """A legal hold keeps this."""

    def __init__(self, hold_ids: tuple[HoldId, ...]) -> None:
        super().__init__()
        self.hold_ids = hold_ids


class HoldPlaced(Event, frozen=True):
    """No persons: whoever it was; no rooms: wherever it was; no times: whenever it was. `from_at` is in it, `to_at` is not.

    The name of a matter may be anybody's secret: it is sealed under the hold's own key.
    """

    topic: ClassVar = "hold.placed"
    sealed: ClassVar = ("name",)

    hold_id: HoldId
    name: str
    by: UserId
    persons: tuple[UserId, ...] = ()
    rooms: tuple[RoomId, ...] = ()
    from_at: datetime | None = None
    to_at: datetime | None = None

    def encryption_subject(self) -> tuple[UUID, RoomId | None]:
        return self.hold_id, None


class HoldReleased(Event, frozen=True):
    topic: ClassVar = "hold.released"
    changes: ClassVar = ("released_at",)

    hold_id: HoldId
    by: UserId


HoldEvent = HoldPlaced | HoldReleased


class Hold(Struct, frozen=True):
    """What a hold covers. `released_at` None: it is active."""

    hold_id: HoldId
    persons: frozenset[UserId]
    rooms: frozenset[RoomId]
    from_at: datetime | None
    to_at: datetime | None
    released_at: datetime | None = None


class Holds(Struct, frozen=True):
    """All active holds, and those that were released last, in the order in which they were placed and released."""

    active: tuple[Hold, ...] = ()
    released: tuple[Hold, ...] = ()


NO_HOLDS = Holds()


def covering(
    holds: Holds | None,
    *,
    person: UserId,
    room: RoomId | None,
    since: datetime | None,
    until: datetime | None,
    at: datetime,
) -> tuple[HoldId, ...]:
    """Return the holds that cover what this person wrote in this room within [since, until), as seen at `at`; () if none
    does, and it may be destroyed. None for a time is no bound; `room` None is what was not said in a room, which holds of
    rooms do not cover."""
    return tuple(
        hold.hold_id
        for hold in _holding(holds or NO_HOLDS, at)
        if (not hold.persons or person in hold.persons)
        and (not hold.rooms or room in hold.rooms)
        and (hold.from_at is None or until is None or hold.from_at < until)
        and (hold.to_at is None or since is None or since < hold.to_at)
    )


def place(
    holds: Holds | None,
    *,
    hold_id: HoldId,
    name: str,
    by: UserId,
    persons: tuple[UserId, ...] = (),
    rooms: tuple[RoomId, ...] = (),
    from_at: datetime | None = None,
    to_at: datetime | None = None,
) -> tuple[HoldEvent, ...]:
    """Place a hold; the same one again changes nothing. People and rooms are named once each, in order."""
    holds = holds or NO_HOLDS
    if any(hold.hold_id == hold_id for hold in (*holds.active, *holds.released)):
        return ()
    require_in_range(from_at, pointer="/from")
    require_in_range(to_at, pointer="/to")
    if from_at is not None and to_at is not None and to_at <= from_at:
        raise HoldTimesError(pointer="/to")
    if len(holds.active) >= HOLDS_ACTIVE_MAX:
        raise TooManyHoldsError
    return (
        HoldPlaced(hold_id, name, by, tuple(sorted(set(persons))), tuple(sorted(set(rooms))), from_at, to_at),
    )  # fmt: skip


def release(holds: Holds | None, *, hold_id: HoldId, by: UserId) -> tuple[HoldEvent, ...]:
    """Release a hold; doing so again changes nothing."""
    holds = holds or NO_HOLDS
    if any(hold.hold_id == hold_id for hold in holds.released):
        return ()
    if all(hold.hold_id != hold_id for hold in holds.active):
        raise HoldNotFoundError
    return (HoldReleased(hold_id, by),)


def evolve(holds: Holds | None, recorded: Recorded[HoldEvent]) -> Holds:
    holds, event = holds or NO_HOLDS, recorded.event
    match event:
        case HoldPlaced():
            hold = Hold(event.hold_id, frozenset(event.persons), frozenset(event.rooms), event.from_at, event.to_at)
            return replace(holds, active=(*holds.active, hold))
        case HoldReleased():
            gone = tuple(
                replace(hold, released_at=recorded.at) for hold in holds.active if hold.hold_id == event.hold_id
            )
            left = tuple(hold for hold in holds.active if hold.hold_id != event.hold_id)
            return Holds(left, (*holds.released, *gone)[-RELEASED_KEPT_MAX:])
        case _:
            assert_never(event)


def _holding(holds: Holds, at: datetime) -> Iterator[Hold]:
    """Yield the holds that are active at this time, and those that were not released long enough ago."""
    yield from holds.active
    grace = timedelta(days=HOLD_GRACE_DAYS)
    yield from (hold for hold in holds.released if hold.released_at is None or at < hold.released_at + grace)


HOLDS: Stream[Holds] = Stream("holds", evolve, Holds)
EVENTS: tuple[type[Event], ...] = (HoldPlaced, HoldReleased)
