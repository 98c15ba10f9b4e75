"""Streams read from the record with the events that made their state, so that it can be said since when something holds."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from domain.account import ACCOUNT, Account
from domain.errors import ReadableError
from domain.events import Recorded, Stream, UnknownEvent, UnreadableEvent
from domain.file import FILE
from domain.ids import StreamId, UserId
from domain.message import MESSAGE
from domain.ports.record import ClaimKind
from domain.room import ROOM
from domain.text import fold, fold_email
from runtime.composition.process_context import ProcessContext

State = TypeVar("State")
CLAIMS: tuple[ClaimKind, ...] = ("email", "username")


class NotJudgedError(ReadableError):
    """Something that was named is not there, or not what this operation is asked of."""


class Read(NamedTuple, Generic[State]):
    """A stream from the record: its state, and the events that made it."""

    stream: Stream[Any]
    state: State | None
    events: Sequence[Recorded[Any]]

    @property
    def known(self) -> State:
        """The state of something that is known to be there."""
        assert self.state is not None, "what is not there was refused before"
        return self.state

    def since(self, holds: Callable[[State], bool]) -> Recorded[Any] | None:
        """Return the event since which this has held; None if it does not hold."""
        state, began = None, None
        for recorded in self.events:
            state = _evolved(self.stream, state, recorded)
            if state is None or not holds(state):
                began = None
            elif began is None:
                began = recorded
        return began


async def person(base: ProcessContext, named: str) -> Read[Account]:
    """Return the account with this id, e-mail or name. Raise `NotJudgedError` if there is none."""
    ids: list[StreamId] = [ACCOUNT.id(UUID(named))] if _is_id(named) else []
    for kind in CLAIMS:
        claimed = await base.record.claimant(kind, fold_email(named) if kind == "email" else fold(named))
        ids += [claimed] if claimed is not None else []
    for stream_id in ids:
        account: Read[Account] = await read_stream(base, ACCOUNT, stream_id)
        if account.state is not None:
            return account
    raise NotJudgedError(f"There is no account with this id, name or e-mail: {named}.")


async def found(base: ProcessContext, stream: Stream[Any], named: str, kind: str) -> Read[Any]:
    """Return what this id names. Raise `NotJudgedError` unless it is of this kind."""
    if not _is_id(named):
        raise NotJudgedError(f"Name the {kind} by its id; {named!r} is none.")
    wanted = await read(base, stream, UUID(named))
    if wanted.state is not None:
        return wanted
    for other, name in ((ROOM, "room"), (MESSAGE, "message"), (FILE, "file"), (ACCOUNT, "person")):
        if (await read(base, other, UUID(named))).events:
            raise NotJudgedError(f"This is asked of a {kind}, and {named} is a {name}.")
    raise NotJudgedError(f"There is no {kind} {named} on the record; whoever asks for it is told that.")


async def read(base: ProcessContext, stream: Stream[Any], *key: UUID) -> Read[Any]:
    return await read_stream(base, stream, stream.id(*key))


async def read_stream(base: ProcessContext, stream: Stream[Any], stream_id: StreamId) -> Read[Any]:
    events = (await base.record.streams([stream_id]))[stream_id]
    state = None
    for recorded in events:
        state = _evolved(stream, state, recorded)
    return Read(stream, state, events)


def _evolved(stream: Stream[Any], state: Any, recorded: Recorded[Any]) -> Any:
    if isinstance(recorded.event, UnreadableEvent):
        raise NotJudgedError(
            f"Position {recorded.position} ({recorded.event.recorded_topic}) cannot be read: {recorded.event.fault}."
        )
    return state if isinstance(recorded.event, UnknownEvent) else stream.evolve(state, recorded)


async def actor_of(base: ProcessContext, recorded: Recorded[Any]) -> str:
    """Return who did it, as the end of a sentence; empty if nobody did."""
    if recorded.meta.actor is None:
        return ""
    actor: Read[Account] = await read(base, ACCOUNT, recorded.meta.actor)
    return f", by {name_of(actor.state) if actor.state else recorded.meta.actor}"


def since_event(recorded: Recorded[Any] | None) -> str:
    assert recorded is not None, "what holds began to"
    return f"since position {recorded.position} ({recorded.at:%Y-%m-%d %H:%M:%S} UTC, {recorded.event.topic})"


def name_of(account: Account) -> str:
    return f"{account.username} ({UserId(account.user_id)})"


def _is_id(named: str) -> bool:
    try:
        UUID(named)
    except ValueError:
        return False
    return True
