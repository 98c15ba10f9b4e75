"""Folding: from events to changes of rows, and from changes to rows, so that no event blocks those behind it.

Handlers run in slices, between which the event loop gets its turn. An event that a handler or the database cannot take
is *parked*: it is noted by group and position (`projections/parked.py`), in the transaction that skips it, and the rest
goes on. In a batch that the database refuses, the culprit is found by halving, each half in a transaction of its own.

Only faults of the event itself are parked: a handler that fails on it, values that no column takes. A database that is
away, full, read-only, or has other tables than this version expects is no fault of an event, and is waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from msgspec import Struct

from adapters.clock import monotonic
from adapters.postgres.database import blames_values
from domain.events import Event, Recorded, UnreadableEvent
from domain.ports.record import RecordUnavailableError
from domain.topics import kind_of
from projections.batches import Batch
from projections.checkpoints import LeaseLostError
from projections.parked import Parked
from projections.tables import Change, Handlers, Policy

FOLD_SLICE_SECONDS = 0.01  # of handlers in one go: then the loop has its turn

log = structlog.get_logger()

PASSING = (RecordUnavailableError, LeaseLostError, MemoryError)


class Folded(Struct, frozen=True, gc=False):
    """An event and what it changes. `fault` says why it is parked; then it changes nothing."""

    recorded: Recorded[Event]
    changes: Sequence[Change]
    fault: str | None = None


async def fold(
    events: Sequence[Recorded[Event]], handlers: Handlers, *, between: Callable[[float], Awaitable[bool]]
) -> list[Folded]:
    """Run the handlers. `between` is awaited after each slice with the seconds used so far; False ends the batch."""
    folded: list[Folded] = []
    began = slice_began = monotonic()
    clock = asyncio.get_running_loop().time  # what `monotonic` asks, looked up once
    for recorded in events:
        folded.append(folded_one(recorded, handlers))
        now = clock()
        if now - slice_began >= FOLD_SLICE_SECONDS and recorded is not events[-1]:
            if not await between(now - began):
                break
            await asyncio.sleep(0)
            waited = clock() - now
            began, slice_began = began + waited, now + waited
    return folded


class PoisonedError(RecordUnavailableError):
    """A group stands still before an event that it cannot take, as its policy says; what came before is committed."""


async def write(
    folded: Sequence[Folded], commit: Callable[[Sequence[Folded]], Awaitable[None]], *, policy: Policy = "park"
) -> None:
    """Commit everything, in order and at once. If the database refuses a value, commit by halves, and park the culprit.
    With the policy `stop` commit what comes before it, and raise `PoisonedError`.

    Halving `n` events for `k` culprits takes at most `2 k log n` transactions; each that commits moves the checkpoint.
    """
    faulty = next((i for i, each in enumerate(folded) if each.fault is not None), None) if policy == "stop" else None
    if faulty is not None:
        if faulty:
            await write(folded[:faulty], commit, policy=policy)
        raise _poisoned(folded[faulty], str(folded[faulty].fault))
    try:
        await commit(folded)
    except PASSING:
        raise
    except Exception as error:
        if not blames_values(error):
            raise RecordUnavailableError(f"Rows cannot be written: {error}") from error
        if len(folded) == 1:
            [only] = folded
            if policy == "stop":
                raise _poisoned(only, _name(error)) from error
            await commit([Folded(only.recorded, (), _name(error))])
            return
        middle = len(folded) // 2
        await write(folded[:middle], commit, policy=policy)
        await write(folded[middle:], commit, policy=policy)


def batch_of(folded: Sequence[Folded]) -> Batch:
    """Return the changes of all events that are not parked."""
    batch = Batch()
    for each in folded:
        for change in each.changes:
            batch.apply(change)
    return batch


def parked_of(folded: Sequence[Folded]) -> list[Parked]:
    """Return what is to be noted of the events that are parked."""
    return [
        Parked(each.recorded.position, _topic(each.recorded.event), each.fault)
        for each in folded
        if each.fault is not None
    ]


def say_parked(group: str, folded: Sequence[Folded]) -> None:
    """Log each event that was parked as an error."""
    for parked in parked_of(folded):
        log.error("event parked", group=group, position=parked.position, topic=parked.topic, error=parked.error)


def folded_one(recorded: Recorded[Event], handlers: Handlers) -> Folded:
    """Return what an event changes, or why the handlers cannot take it."""
    if isinstance(recorded.event, UnreadableEvent):
        kind = kind_of(recorded.event.recorded_topic)
        return Folded(recorded, (), f"unreadable: {recorded.event.fault}" if kind in handlers else None)
    try:
        return Folded(
            recorded, [change for handler in handlers.get(type(recorded.event), ()) for change in handler(recorded)]
        )
    except MemoryError:
        raise
    except Exception as error:
        return Folded(recorded, (), _name(error))


def _poisoned(folded: Folded, fault: str) -> PoisonedError:
    position, topic = folded.recorded.position, _topic(folded.recorded.event)
    return PoisonedError(
        f"The event at position {position:,} ({topic}) cannot be taken: {fault}. The policy is to stop before it: have a "
        "version follow that takes it, or take the projection out of HANSARD_STOPPING to park it."
    )


def _topic(event: Event) -> str:
    return event.recorded_topic if isinstance(event, UnreadableEvent) else event.topic


def _name(error: Exception) -> str:
    """Return the kind of an error, without its text, which may quote the event."""
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__} ({state})" if isinstance(state, str) else type(error).__name__
