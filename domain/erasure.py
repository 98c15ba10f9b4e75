"""Erasure: what a person wrote, and what is known of them, is made unreadable for ever. One stream for each person.

It is a saga of two recorded steps with any number between them: requested; keys condemned, or held back by a legal hold; and
completed. The last one is the certificate: it stands in the signed tree like every event, so what proves it is what proves the
record. Nothing in these events is personal but the id, which tells nothing once the account is erased.
"""

from collections.abc import Collection
from datetime import datetime
from typing import ClassVar, Literal, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from domain.errors import ConflictError, NotFoundError
from domain.events import Event, Recorded, Stream
from domain.ids import UserId
from domain.integers import Int4, Int8

CONDEMNED_KEYS_MAX = 500  # in one event

# What an erasure does not reach, for the certificate: docs/erasure.md says of each how long it lasts.
Unreached = Literal["backups", "exports", "logs_elsewhere", "others_words", "plain_facts", "receivers"]
UNREACHED: tuple[Unreached, ...] = (
    "backups", "exports", "logs_elsewhere", "others_words", "plain_facts", "receivers",
)  # fmt: skip


class ErasureNotFoundError(NotFoundError, code="erasure.not_found"):
    """There is no erasure with this id."""


class ErasureUnfinishedError(ConflictError, code="erasure.unfinished"):
    """Something of this person is not erased yet."""


class HeldBackError(ConflictError, code="erasure.held"):
    """A legal hold keeps this from being erased."""

    def __init__(self, hold_ids: Collection[UUID]) -> None:
        super().__init__()
        self.hold_ids = tuple(hold_ids)


class _OfErasure(Event, frozen=True):
    user_id: UserId


class ErasureRequested(_OfErasure, frozen=True):
    """`by` is who asked; null: an operator at the command line. Whoever knows `erasure_id` may see how it goes. With
    `awaits_approval` nothing is done before somebody else approves of it."""

    topic: ClassVar = "erasure.requested"

    erasure_id: UUID
    by: UserId | None = None
    awaits_approval: bool = False


class ErasureBegun(_OfErasure, frozen=True):
    """Somebody else approved of it: the account is deactivated, and its sessions are ended."""

    topic: ClassVar = "erasure.begun"

    erasure_id: UUID


class ErasureCancelled(_OfErasure, frozen=True):
    """It was not approved, or the person asked for it themselves meanwhile; nothing was erased."""

    topic: ClassVar = "erasure.cancelled"

    erasure_id: UUID


class ErasureHeld(_OfErasure, frozen=True):
    """Legal holds keep the rest from being erased. It goes on when they are released."""

    topic: ClassVar = "erasure.held"

    erasure_id: UUID
    hold_ids: tuple[UUID, ...]


class KeysCondemned(_OfErasure, frozen=True):
    """These data keys are destroyed right after this is recorded, and again in whatever is restored from a backup."""

    topic: ClassVar = "erasure.keys_condemned"

    erasure_id: UUID
    key_ids: tuple[UUID, ...]


class ErasureCompleted(_OfErasure, frozen=True):
    """The certificate. `messages`, `files` and `keys` are how many of this person there were: all are erased.

    `hold_ids` are the holds that delayed it. `wrapping` is the version of the wrapping key that copies of these data keys
    outside of the database are wrapped by, at most: once it is destroyed, nobody opens them. Null: none is in use.
    """

    topic: ClassVar = "erasure.completed"

    erasure_id: UUID
    messages: Int8
    files: Int8
    reactions: Int8
    keys: Int8
    hold_ids: tuple[UUID, ...] = ()
    wrapping: Int4 | None = None
    unreached: tuple[Unreached, ...] = UNREACHED


ErasureEvent = ErasureRequested | ErasureBegun | ErasureCancelled | ErasureHeld | KeysCondemned | ErasureCompleted


class Erasure(Struct, frozen=True):
    """`held_by` are the holds that it waits for now, `hold_ids` all that it ever waited for."""

    erasure_id: UUID
    user_id: UserId
    position: int
    requested_at: datetime
    keys: int = 0
    held_by: tuple[UUID, ...] = ()
    hold_ids: tuple[UUID, ...] = ()
    completed_at: datetime | None = None
    awaits_approval: bool = False
    is_cancelled: bool = False


def request(
    erasure: Erasure | None, *, user_id: UserId, erasure_id: UUID, by: UserId | None, awaits_approval: bool = False
) -> tuple[ErasureEvent, ...]:
    """Request the erasure of a person; one that was requested already stays as it is. Nobody has to approve of one's own: it takes
    the place of one that waits for that."""
    asked = ErasureRequested(user_id, erasure_id, by, awaits_approval)
    if erasure is None or erasure.is_cancelled:
        return (asked,)
    if erasure.awaits_approval and not awaits_approval:
        return (ErasureCancelled(user_id, erasure.erasure_id), asked)
    return ()


def begin(erasure: Erasure | None) -> tuple[ErasureEvent, ...]:
    """Begin what was approved of; what has begun already goes on."""
    erasure = require_open(erasure)
    return (ErasureBegun(erasure.user_id, erasure.erasure_id),) if erasure.awaits_approval else ()


def cancel(erasure: Erasure | None) -> tuple[ErasureEvent, ...]:
    """Cancel what was not approved of; what has begun goes on."""
    erasure = require_open(erasure)
    return (ErasureCancelled(erasure.user_id, erasure.erasure_id),) if erasure.awaits_approval else ()


def hold(erasure: Erasure | None, *, hold_ids: tuple[UUID, ...]) -> tuple[ErasureEvent, ...]:
    """Note what it waits for, or that it waits no more; the same again changes nothing, nor does what comes after the end."""
    if erasure is not None and erasure.completed_at is not None:
        return ()
    erasure = require_open(erasure)
    found = tuple(sorted(set(hold_ids)))
    return () if found == erasure.held_by else (ErasureHeld(erasure.user_id, erasure.erasure_id, found),)


def condemn(erasure: Erasure | None, *, key_ids: tuple[UUID, ...]) -> tuple[ErasureEvent, ...]:
    """Note which keys are destroyed next."""
    erasure = require_open(erasure)
    assert len(key_ids) <= CONDEMNED_KEYS_MAX, "an event of so many keys would be too long"
    return (KeysCondemned(erasure.user_id, erasure.erasure_id, key_ids),) if key_ids else ()


def complete(
    erasure: Erasure | None, *, messages: int, files: int, reactions: int, wrapping: int | None
) -> tuple[ErasureEvent, ...]:
    """Certify that everything is erased. Raise `ErasureUnfinishedError` while a hold keeps something."""
    if erasure is not None and erasure.completed_at is not None:
        return ()
    erasure = require_open(erasure)
    if erasure.held_by:
        raise ErasureUnfinishedError
    return (
        ErasureCompleted(
            erasure.user_id, erasure.erasure_id, messages, files, reactions, erasure.keys, erasure.hold_ids, wrapping
        ),
    )


def require_open(erasure: Erasure | None) -> Erasure:
    """Return an erasure that was requested and is not completed. Raise `ErasureNotFoundError` otherwise."""
    if erasure is None or erasure.is_cancelled or erasure.completed_at is not None:
        raise ErasureNotFoundError
    return erasure


def evolve(erasure: Erasure | None, recorded: Recorded[ErasureEvent]) -> Erasure:
    event = recorded.event
    if isinstance(event, ErasureRequested):
        return Erasure(
            event.erasure_id, event.user_id, recorded.position, recorded.at, awaits_approval=event.awaits_approval
        )
    assert erasure is not None, "an erasure is requested before anything else happens to it"
    match event:
        case ErasureBegun():
            return replace(erasure, awaits_approval=False)
        case ErasureCancelled():
            return replace(erasure, is_cancelled=True)
        case ErasureHeld():
            known = tuple(sorted({*erasure.hold_ids, *event.hold_ids}))
            return replace(erasure, held_by=event.hold_ids, hold_ids=known)
        case KeysCondemned():
            return replace(erasure, keys=erasure.keys + len(event.key_ids))
        case ErasureCompleted():
            return replace(erasure, completed_at=recorded.at)
        case _:
            assert_never(event)


ERASURE: Stream[Erasure] = Stream("erasure", evolve, Erasure)
EVENTS: tuple[type[Event], ...] = (
    ErasureRequested, ErasureBegun, ErasureCancelled, ErasureHeld, KeysCondemned, ErasureCompleted,
)  # fmt: skip
