"""Batches: what one process appends at a time, how Postgres is asked to, and what it answers.

One process appends at a time. A process that finds another one appending queues its batch in the database, and the next
one to append takes all queued batches, in one commit (`migrations/0080_append_in_turns.sql`, and 0280 for how a batch is
written). All that is one statement here. If it fails, the batch is taken out of the queue again, so that "nothing was written" is true.
"""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, get_args
from uuid import UUID

from msgspec import Struct

from adapters.postgres.codec import encode
from adapters.postgres.data_keys import KeyName, Vault
from adapters.postgres.database import translated
from adapters.postgres.rows import decode
from domain.events import Event, Meta, Recorded
from domain.ids import KeyId
from domain.ports.record import (
    Answer,
    Append,
    Appended,
    ClaimKind,
    ClaimTaken,
    Conflicted,
    NothingWrittenError,
    ReceiptFound,
    RecordUnavailableError,
)
from domain.topics import written_as

# Of one process that waits for nobody, as the bridge to the library does.
APPEND = """
    SELECT command, outcome, first, last, at, detail
    FROM record.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
"""
APPEND_IN_TURN = """
    CALL record.append_in_turn(
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, NULL
    )
"""
WITHDRAW = "SELECT record.withdraw($1)"
CLAIM_KINDS: tuple[ClaimKind, ...] = get_args(ClaimKind)


class PendingAppend(Struct):
    """A command in the queue, its metas made; `touched` are the streams, claims and receipt it writes or guards."""

    append: Append
    metas: list[Meta]
    answer: asyncio.Future[Answer]
    written: frozenset[object]
    touched: frozenset[object]
    size: int
    since: float


class CommandOutcome(Struct, frozen=True):
    """What became of a command, as `record.answer` has it; positions and time are null if nothing was appended."""

    command: int
    outcome: int
    first: int | None
    last: int | None
    at: datetime | None
    detail: str | None


async def append_in_turn(
    connection: Any, ticket: UUID, latest: datetime, columns: list[list[Any]]
) -> list[CommandOutcome]:
    """Append a batch, alone or together with others in the queue. Return the outcome of each command, or nothing if the
    database's clock is later than `latest`.

    Raise `NothingWrittenError` if that is certain, and `RecordUnavailableError` if the batch may have been appended or may yet
    be.
    """
    try:
        with translated():
            return decode(CommandOutcome, await connection.fetchval(APPEND_IN_TURN, ticket, latest, *columns))
    except Exception as error:
        if isinstance(error, RecordUnavailableError) and not isinstance(error, NothingWrittenError):
            raise
        if (appended := await _withdraw(connection, ticket, error)) is None:
            raise
        return appended


async def _withdraw(connection: Any, ticket: UUID, reason: Exception) -> list[CommandOutcome] | None:
    """Take a batch out of the queue. If somebody appended it already, return what became of it, else None."""
    try:
        with translated():
            answers = await connection.fetchval(WITHDRAW, ticket)
    except Exception as error:
        raise RecordUnavailableError(f"A batch could not be taken out of the queue: {error}") from reason
    return None if answers is None else decode(CommandOutcome, answers)


class BatchColumns:
    """The arrays of `record.append`, in the order of its arguments."""

    def __init__(self) -> None:
        self._expected: tuple[list[Any], ...] = ([], [], [])
        self._events: tuple[list[Any], ...] = ([], [], [], [], [], [], [])
        self._claims: tuple[list[Any], ...] = ([], [], [], [])
        self._receipts: tuple[list[Any], ...] = ([], [], [])

    def add(self, number: int, pending: PendingAppend, day: date, keys: Mapping[KeyName, KeyId], vault: Vault) -> None:
        append = pending.append
        metas = iter(pending.metas)
        for write in append.writes:
            _push(self._expected, number, write.stream, write.expected)
            for version, event in enumerate(write.events, write.expected + 1):
                data, meta = encode(event, next(metas), stream=write.stream, day=day, keys=keys, vault=vault)
                _push(
                    self._events, number, write.stream, version, written_as(type(event)), data, meta, event.frame_room()
                )
        for stream, version in append.guards:
            _push(self._expected, number, stream, version)
        for claim in append.claims:
            _push(self._claims, number, claim.kind, vault.master.claim(claim.kind, claim.value), claim.stream)
        if append.receipt:
            _push(self._receipts, number, append.receipt.digest, append.receipt.request)

    def all(self) -> list[list[Any]]:
        return [*self._expected, *self._events, *self._claims, *self._receipts]


def _push(columns: tuple[list[Any], ...], *values: object) -> None:
    for column, value in zip(columns, values, strict=True):
        column.append(value)


def answer_of(pending: PendingAppend, found: CommandOutcome) -> Answer:
    """Return the answer to a command."""
    match found.outcome:
        case 0:  # APPENDED
            assert found.first is not None and found.at is not None, "what was appended has a position and a time"
            return Appended(tuple(_recorded(pending, found.first, found.at)))
        case 2:
            return ClaimTaken(next(kind for kind in CLAIM_KINDS if kind == found.detail))
        case 3:
            assert found.first is not None and found.last is not None, "a receipt has positions"
            return ReceiptFound(found.first, found.last, bytes.fromhex(found.detail or ""))
        case _:
            return Conflicted()


def _recorded(pending: PendingAppend, first: int, at: datetime) -> list[Recorded[Event]]:
    events: list[Recorded[Event]] = []
    for write in pending.append.writes:
        for version, event in enumerate(write.events, write.expected + 1):
            meta = pending.metas[len(events)]
            events.append(Recorded(first + len(events), write.stream, version, at, event, meta))
    return events
