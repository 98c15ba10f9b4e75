"""Retaining: disposes of what is older than its room's policy lets it get. One worker does, the others stand by.

What is left to do is what the vault has: the data keys of days that are due (`projections/retention_plan.py`). Messages become
tombstones, files that no message shows any more end, the record says which keys go, and then they are destroyed. So it goes on
after any crash where it was: what is a tombstone already stays one, and keys that the record named last are destroyed first.
What a legal hold covers is left, and so is everything that a policy has set to be destroyed for less than a day.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import structlog
from msgspec import Struct

from adapters.postgres.database import Database
from adapters.postgres.key_destruction import destroy
from adapters.prometheus.workers import RetentionMetrics
from commands.command_bus import CommandBus
from commands.retention import ApplyRetention, DisposeFile, DisposeMessage, DueKey
from domain.errors import DomainError, EventUnreadableError
from domain.events import Caller
from domain.hold import ALL_HOLDS, HOLDS, HeldError
from domain.ids import RoomId
from domain.ports.record import Record, RecordUnavailableError
from domain.retention import DEFAULT, DISPOSALS, RETENTION, KeptError, due_before, effective
from projections import LIVE, checkpoints, retention_plan
from projections.retention_plan import Due

ROUND_SECONDS = 600.0
COMMANDS_AT_ONCE = 64  # so many may stand in one commit
DISPOSED_A_SECOND_MAX = 500  # so that those who write wait for a small part of a commit
TAKE_LEASE = "SELECT pg_try_advisory_lock(hashtext('hansard retention'))"
LET_GO = "SELECT pg_advisory_unlock(hashtext('hansard retention'))"

log = structlog.get_logger()


class Disposed(NamedTuple):
    """What a round disposed of, and the keys that holds keep."""

    messages: int = 0
    files: int = 0
    keys: int = 0
    held_keys: int = 0

    def plus(self, other: "Disposed") -> "Disposed":
        return Disposed(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Retainer:
    """Makes rounds over all rooms, in the order of their ids. Any number may run: the one with the lease works."""

    def __init__(
        self,
        record: Record,
        command_bus: CommandBus,
        db: Database,
        *,
        a_second: float = DISPOSED_A_SECOND_MAX,
        metrics: RetentionMetrics | None = None,
        clock: Callable[[datetime], datetime] = lambda at: at,
    ) -> None:
        """`a_second`: how many messages at most. `clock` makes of the record's time the one that is meant (tests)."""
        self._record = record
        self._command_bus = command_bus
        self._db = db
        self._pause = COMMANDS_AT_ONCE / a_second
        self._metrics = metrics or RetentionMetrics()
        self._clock = clock

    async def run(self) -> None:
        while True:
            try:
                await self.step()
            except (RecordUnavailableError, DomainError) as error:
                log.warning("retention waits", reason=str(error))
            await asyncio.sleep(ROUND_SECONDS)

    async def step(self) -> Disposed | None:
        """Make a round; return what it disposed of. None: another worker is at it."""
        async with self._alone() as is_mine:
            if not is_mine:
                return None
            head = await self._record.head()
            if not await self._are_messages_known(head.position):
                return Disposed()
            at = self._clock(max(head.at, head.clock))
            total, after = Disposed(), DEFAULT
            while found := await retention_plan.rooms(self._db, after=after, before=at.date()):
                for room_id, before in (await self._due_rooms(found, at)).items():
                    total = total.plus(await _Room(self, room_id, at).dispose(before))
                after = found[-1]
        self._metrics.round_ended(total.held_keys, at)
        if total.keys:
            log.info("retention has disposed", messages=total.messages, files=total.files, keys=total.keys)
        return total

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[bool]:
        """Hold the lease, which ends with its connection: yield whether it is held."""
        async with self._db.session() as session:
            is_mine = bool(await session.value(TAKE_LEASE))
            try:
                yield is_mine
            finally:
                with suppress(RecordUnavailableError):  # then the lease went with the connection
                    if is_mine:
                        await session.value(LET_GO)

    async def _are_messages_known(self, head: int) -> bool:
        """Return whether the read tables have every message: what is not in them would be forgotten without a tombstone."""
        return await checkpoints.have_reached(self._db, (LIVE.name,), head)

    async def _due_rooms(self, rooms: Sequence[RoomId], at: datetime) -> dict[RoomId, date]:
        """Return those of these rooms that have a maximum, each with the day before which things are due."""
        streams = {RETENTION.id(room_id): RETENTION for room_id in (DEFAULT, *rooms)}
        folds = await self._command_bus.read(streams)
        default = folds[RETENTION.id(DEFAULT)].state
        found = {room_id: effective(folds[RETENTION.id(room_id)].state, default) for room_id in rooms}
        return {room_id: day for room_id, policy in found.items() if (day := due_before(policy, at)) is not None}


class _Room:
    """One room in one round."""

    def __init__(self, retainer: Retainer, room_id: RoomId, at: datetime) -> None:
        self._of, self._room_id, self._at = retainer, room_id, at

    async def dispose(self, before: date) -> Disposed:
        """Dispose of what was said before a day, some keys at a time."""
        await self._destroy_named()
        total = Disposed()
        holds = (await self._of._command_bus.see(HOLDS, ALL_HOLDS)).state
        async for some in retention_plan.due(self._of._db, self._room_id, before=before, holds=holds, at=self._at):
            total = total.plus(await self._dispose_some(some))
        return total

    async def _dispose_some(self, some: Sequence[Due]) -> Disposed:
        free = [due for due in some if not due.held_by]
        refused = await self._do([DisposeMessage(said.id, self._at) for due in free for said in due.messages])
        free = [due for due in free if not refused & {said.id for said in due.messages}]
        await self._of._are_messages_known((await self._of._record.head()).position)
        gone = await retention_plan.unshown(self._of._db, {each for due in free for each in due.file_ids})
        files = len(gone) - len(await self._do([DisposeFile(file_id, self._at) for file_id in gone]))
        messages = sum(len(due.messages) for due in free)
        if not free or not await self._apply(free, messages, files):
            return Disposed(held_keys=len(some))
        self._of._metrics.disposed(messages, files, len(free))
        return Disposed(messages, files, len(free), len(some) - len(free))

    async def _apply(self, free: Sequence[Due], messages: int, files: int) -> bool:
        """Have the record say which keys go, and destroy them. Return False if something keeps them since: then nothing is."""
        keys = tuple(DueKey(due.key.key_id, due.key.person, due.key.day, due.until) for due in free)
        try:
            await self._of._command_bus.do(ApplyRetention(self._room_id, keys, messages, files, self._at), Caller())
        except (HeldError, KeptError):
            return False
        await self._destroy_named()
        return True

    async def _destroy_named(self) -> None:
        """Destroy the keys that the record named last: whoever recorded that may not have come to it."""
        disposals = (await self._of._command_bus.see(DISPOSALS, self._room_id)).state
        if disposals is not None:
            await destroy(self._of._db, disposals.key_ids)

    async def _do(self, commands: Sequence[DisposeMessage | DisposeFile]) -> set[UUID]:
        """Do commands, some at a time and not too many a second; return the ids of what is kept after all."""
        refused: set[UUID] = set()
        for i in range(0, len(commands), COMMANDS_AT_ONCE):
            some = commands[i : i + COMMANDS_AT_ONCE]
            done = await asyncio.gather(*(self._one(each) for each in some))
            refused |= {
                each.message_id if isinstance(each, DisposeMessage) else each.file_id
                for each, is_done in zip(some, done, strict=True)
                if not is_done
            }
            await asyncio.sleep(self._of._pause * len(some) / COMMANDS_AT_ONCE)
        return refused

    async def _one(self, command: Struct) -> bool:
        """Do a command; return False if a hold, or a policy that was changed, keeps what it is about."""
        try:
            await self._of._command_bus.do(command, Caller())
        except (HeldError, KeptError):
            return False
        except EventUnreadableError:  # nothing can be decided about it, and what it sealed goes with its key
            log.error("something that is too old cannot be read", command=type(command).__name__)
        return True
