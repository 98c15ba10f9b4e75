"""Retention: how long at least and at most what is said in rooms is kept, by room and by default.

A policy is a stream of its room, the default's that of no room. What it is about is the content: whoever deletes a message
hides it from members, and auditors read it until it is disposed of. That happens by days: everything that a person said in a
room on one day of UTC is sealed under one data key, which is destroyed when the last of it is older than the maximum.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar, Literal, NamedTuple, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.bounds import DISPOSED_KEYS_MAX, RETENTION_DAYS_MAX
from domain.errors import ConflictError, InvalidError
from domain.events import Event, Recorded, Stream
from domain.ids import RoomId, UserId
from domain.integers import Int4, Int8

Source = Literal["room", "default", "none"]

DEFAULT = RoomId(UUID(int=0))  # stands for all rooms without a policy of their own
# A policy destroys nothing in its first day: there is time to notice a mistake.
POLICY_GRACE = timedelta(hours=24)
# What was said near midnight may be sealed under the key of the day beside.
MIDNIGHT_SPARE = timedelta(hours=1)


class RetentionDaysError(InvalidError, code="retention.days"):
    """What must be kept for some days cannot be disposed of before."""


class KeptError(ConflictError, code="retention.kept"):
    """A retention policy keeps this for longer, or no policy disposes of it any more."""


class RetentionSet(Event, frozen=True):
    """`days_min`: nothing is destroyed before; `days_max`: everything is afterwards. None: no bound."""

    topic: ClassVar = "retention.set"
    changes: ClassVar = ("days_min", "days_max")

    room_id: RoomId
    by: UserId
    days_min: Int4 | None = None
    days_max: Int4 | None = None


class RetentionCleared(Event, frozen=True):
    """The room has no policy of its own any more: the default's holds."""

    topic: ClassVar = "retention.cleared"
    changes: ClassVar = ("days_min", "days_max")

    room_id: RoomId
    by: UserId


class RetentionApplied(Event, frozen=True):
    """Everything that these people said in the room on these days is disposed of: the data keys are destroyed right after this
    is recorded. `messages` and `files` were not deleted before; `source` is whose policy it was."""

    topic: ClassVar = "retention.applied"

    room_id: RoomId
    source: Source
    days_max: Int4
    from_day: date
    to_day: date
    key_ids: tuple[UUID, ...]
    messages: Int8
    files: Int8


class Policy(Struct, frozen=True):
    """The policy of a room, or the default; `is_set` False: it was cleared. `set_at`: when it was set, or cleared."""

    is_set: bool
    days_min: int | None = None
    days_max: int | None = None
    set_at: datetime | None = None


class Disposals(Struct, frozen=True):
    """What was disposed of in a room: how much, and the keys that the last event names, which may be there still."""

    key_ids: tuple[UUID, ...]
    messages: int
    files: int
    keys: int


class Effective(NamedTuple):
    """The policy that holds in a room, whose it is, and since when."""

    source: Source
    days_min: int | None
    days_max: int | None
    since: datetime | None


class Window(NamedTuple):
    """When what is sealed under the key of a day was said, with what is spared at midnight: [since, until)."""

    since: datetime
    until: datetime


RetentionEvent = RetentionSet | RetentionCleared
NO_POLICY = Effective("none", None, None, None)


def effective(room: Policy | None, default: Policy | None) -> Effective:
    """Return what holds in a room: its own policy as a whole, else the default, else none. The default holds in it since it was
    set, or since the room's own was cleared if that was later."""
    if room is not None and room.is_set:
        return Effective("room", room.days_min, room.days_max, room.set_at)
    if default is not None and default.is_set:
        times = [at for at in (default.set_at, None if room is None else room.set_at) if at is not None]
        return Effective("default", default.days_min, default.days_max, max(times, default=None))
    return NO_POLICY


def window_of(day: date) -> Window:
    began = datetime.combine(day, time(), UTC)
    return Window(began - MIDNIGHT_SPARE, began + timedelta(days=1) + MIDNIGHT_SPARE)


def due_before(policy: Effective, at: datetime) -> date | None:
    """Return the day before which the keys of all days are due at this time; None if none is, or the policy is too young."""
    if policy.days_max is None or (policy.since is not None and at < policy.since + POLICY_GRACE):
        return None
    return (at - timedelta(days=policy.days_max) - MIDNIGHT_SPARE).date()


def is_due(policy: Effective, said_at: datetime, at: datetime) -> bool:
    """Return whether what was said then is older than the maximum at this time, and the policy old enough to be applied."""
    if policy.days_max is None or (policy.since is not None and at < policy.since + POLICY_GRACE):
        return False
    return said_at + timedelta(days=policy.days_max) <= at


def keeps(policy: Effective, until: datetime | None, at: datetime) -> bool:
    """Return whether the minimum keeps what was said up to this time (None: up to any), as seen at `at`."""
    return policy.days_min is not None and (until is None or at < until + timedelta(days=policy.days_min))


def set_policy(
    policy: Policy | None, *, room_id: RoomId, by: UserId, days_min: int | None, days_max: int | None
) -> tuple[RetentionEvent, ...]:
    """Set a policy; the same again changes nothing, and does not make it younger."""
    require_days(days_min, days_max)
    if policy is not None and policy.is_set and (policy.days_min, policy.days_max) == (days_min, days_max):
        return ()
    return (RetentionSet(room_id, by, days_min, days_max),)


def clear_policy(policy: Policy | None, *, room_id: RoomId, by: UserId) -> tuple[RetentionEvent, ...]:
    return (RetentionCleared(room_id, by),) if policy is not None and policy.is_set else ()


def require_days(days_min: int | None, days_max: int | None) -> None:
    """Raise `RetentionDaysError` if these bounds contradict each other, or are none."""
    if any(days is not None and not 1 <= days <= RETENTION_DAYS_MAX for days in (days_min, days_max)):
        raise RetentionDaysError(f"Days are 1 to {RETENTION_DAYS_MAX}.", pointer="/days_max")
    if days_min is not None and days_max is not None and days_max < days_min:
        raise RetentionDaysError(pointer="/days_max")


def apply(
    policy: Effective, *, room_id: RoomId, days: tuple[date, ...], key_ids: tuple[UUID, ...], messages: int, files: int
) -> tuple[RetentionApplied, ...]:
    """Note that these keys, of these days, are destroyed next."""
    assert policy.days_max is not None, "what is due has a maximum"
    assert 0 < len(key_ids) <= DISPOSED_KEYS_MAX, "an event of so many keys would be too long"
    return (
        RetentionApplied(
            room_id, policy.source, policy.days_max, min(days), max(days), tuple(sorted(key_ids)), messages, files
        ),
    )  # fmt: skip


def evolve(policy: Policy | None, recorded: Recorded[RetentionEvent]) -> Policy:
    event = recorded.event
    match event:
        case RetentionSet():
            return Policy(True, event.days_min, event.days_max, recorded.at)
        case RetentionCleared():
            return Policy(False, set_at=recorded.at)
        case _:
            assert_never(event)


def evolve_disposals(disposals: Disposals | None, recorded: Recorded[RetentionApplied]) -> Disposals:
    e, before = recorded.event, disposals or Disposals((), 0, 0, 0)
    return replace(
        before, key_ids=e.key_ids, messages=before.messages + e.messages, files=before.files + e.files,
        keys=before.keys + len(e.key_ids),
    )  # fmt: skip


RETENTION: Stream[Policy] = Stream("retention", evolve, Policy, fold=2)
EVENTS: tuple[type[Event], ...] = (RetentionSet, RetentionCleared)
DISPOSALS: Stream[Disposals] = Stream("disposals", evolve_disposals, Disposals)
APPLIED: tuple[type[Event], ...] = (RetentionApplied,)
