"""Erasing: the saga that erases a person. The record and the tables say what is left to do, so it goes on after any crash.

Each round does what can be done of everything: messages become tombstones, reactions are taken back, files end as erased and
their bytes are removed, the account is emptied, data keys are destroyed (the record says first which), what was to be told is
forgotten, and exports that are kept here are recalled. What a legal hold covers is left, and noted; a later round goes on when the hold is released. When nothing is left,
the erasure is completed, which is its certificate.

The keys of what was not said in a room are the last ones: with them goes what says where the bytes of files are.
"""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import structlog
from msgspec import Struct

from adapters.clock import monotonic
from adapters.postgres.key_destruction import destroy, forget_deliveries, live_keys
from adapters.postgres.rewrapping import in_use
from commands.command_bus import CommandBus
from commands.erasure import (
    MOMENT,
    BeginErasure,
    CancelErasure,
    CompleteErasure,
    CondemnKeys,
    EraseAccount,
    EraseFile,
    EraseMessage,
    EraseReaction,
    HoldErasure,
    sealed_by,
)
from commands.held import Holding, Rooms, holding
from domain.bounds import POLL_SECONDS
from domain.erasure import CONDEMNED_KEYS_MAX, ERASURE, ErasureNotFoundError, HeldBackError, KeysCondemned
from domain.errors import (
    ApprovalExpiredError,
    ApprovalNeededError,
    ApprovalRefusedError,
    DomainError,
    EventUnreadableError,
)
from domain.events import Caller, Event
from domain.file import FILE, FileCompleted, FileProcessed, FileReceived
from domain.ids import RoomId
from domain.message import MESSAGE
from domain.ports.blobs import BlobsUnavailableError
from domain.ports.database import Db
from domain.ports.record import Record, RecordUnavailableError
from projections import checkpoints, erasure_queries, erasures
from projections.erasures import ErasureRow
from workers.exports.recalling import left, recall
from workers.files.sweeper import Sweeper

ERASURES_AT_ONCE = 10
COMMANDS_AT_ONCE = 64  # so many may stand in one commit
HELD_SECONDS = 60.0  # until an erasure that is held is looked at again
SCRUBBED = ("live", "message_html", "notifications")  # groups that must have taken everything before keys are destroyed

log = structlog.get_logger()


class World(NamedTuple):
    """What a round works on."""

    record: Record
    command_bus: CommandBus
    db: Db
    sweeper: Sweeper


class Eraser:
    """Does what was requested. Several may run: whatever two do at once is done once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._next: dict[UUID, float] = {}

    async def run(self) -> None:
        while True:
            try:
                await self.step()
            except (RecordUnavailableError, BlobsUnavailableError) as error:
                log.warning("erasures wait", reason=str(error))
            await asyncio.sleep(POLL_SECONDS)

    async def step(self, *, at_once: bool = False) -> int:
        """Make a round; return how many erasures were completed. `at_once` looks at those that are held, too."""
        completed = after = 0
        while some := await erasures.unfinished(self._world.db, after=after, limit=ERASURES_AT_ONCE):
            after = some[-1].requested_position
            for erasure in some:
                if at_once or self._next.get(erasure.id, 0.0) <= monotonic():
                    completed += await self._round(erasure)
        return completed

    async def _round(self, erasure: ErasureRow) -> bool:
        """Make a round of one erasure; return whether it was completed. What is at fault with it is no other one's fault."""
        rooms = {key.room_id for key in await live_keys(self._world.db, erasure.user_id) if key.room_id is not None}
        try:
            held = await _Round(self._world, erasure, await holding(self._world.command_bus, rooms)).go()
        except DomainError as error:
            log.warning("an erasure waits", reason=str(error))
            return False
        self._next[erasure.id] = monotonic() + (HELD_SECONDS if held else 0.0)
        return held is not None and not held


class _File(NamedTuple):
    """A file of the person: when it came, where messages show it, its bytes, and whether a hold keeps it."""

    at: datetime
    rooms: tuple[RoomId, ...]
    blobs: frozenset[str]
    is_held: bool


class _Round:
    """One round of one erasure."""

    def __init__(self, world: World, erasure: ErasureRow, holding: Holding) -> None:
        self._record, self._command_bus, self._db, self._sweeper = world
        self._user_id = erasure.user_id
        self._until = erasure.requested_position
        self._holding = holding
        self._held: set[UUID] = set()
        self._destroyed_at: datetime | None = None  # the last keys

    async def go(self) -> set[UUID] | None:
        """Do what can be done. Return the holds that keep the rest; if none does, it is completed. None: there is more to do."""
        if not await self._begun():
            return None
        await self._destroy_condemned()
        await self._erase_words()
        files = await self._erase_files()
        if not self._note([None], None, None):
            await self._do([EraseAccount(self._user_id)])
        if not await self._are_tables_scrubbed():
            return None
        bytes_left = await self._sweeper.sweep(frozenset().union(*(each.blobs for each in files if not each.is_held)))
        await self._condemn_keys(files, everything=not bytes_left)
        await forget_deliveries(self._db, self._user_id)
        if bytes_left:
            return None
        await self._command_bus.do(HoldErasure(self._user_id, tuple(self._held)), Caller())
        if not self._held:
            # A process that died may have destroyed keys and not come to this.
            if await self._recall():
                return None
            await self._complete(len(files))
        return self._held

    async def _begun(self) -> bool:
        """Begin what was approved of, and cancel what was not. Return whether there is something to do."""
        try:
            await self._command_bus.do(BeginErasure(self._user_id), Caller())
        except ApprovalNeededError:
            return False
        except (ApprovalRefusedError, ApprovalExpiredError):
            await self._command_bus.do(CancelErasure(self._user_id), Caller())
            return False
        except ErasureNotFoundError:  # it has ended, and the tables do not say so yet
            return False
        return True

    async def _erase_words(self) -> None:
        """Leave tombstones of messages, and take reactions back."""
        async for window in erasure_queries.messages(self._db, self._user_id, self._until):
            free = [
                each for each in window if not self._note([each.room_id], each.created_at, each.created_at + MOMENT)
            ]
            for i in range(0, len(free), COMMANDS_AT_ONCE):
                some = free[i : i + COMMANDS_AT_ONCE]
                await self._command_bus.read({MESSAGE.id(each.id): MESSAGE for each in some})  # in one look
                await self._do([EraseMessage(each.id) for each in some])
        given = [
            EraseReaction(self._user_id, each.room_id, each.message_id, each.posted_position, each.emoji, each.at)
            for each in await erasure_queries.reactions(self._db, self._user_id)
        ]
        await self._do([each for each in given if not self._note([each.room_id], each.at, each.at + MOMENT)])

    async def _erase_files(self) -> list[_File]:
        """End the person's files as erased, as far as they are not held; return all of them."""
        files = []
        for row in await erasure_queries.files(self._db, self._user_id):
            stream = FILE.id(row.id)
            events = [recorded.event for recorded in (await self._record.streams([stream]))[stream]]
            state = (await self._command_bus.see(FILE, row.id)).state
            rooms = () if state is None else state.rooms
            is_held = self._note([None, *rooms], row.created_at, row.created_at + MOMENT)
            if not is_held and not row.is_erased:
                await self._do([EraseFile(row.id)])
            files.append(_File(row.created_at, rooms, _blobs_of(events), is_held))
        return files

    async def _destroy_condemned(self) -> None:
        """Destroy what the record says is destroyed: whoever recorded that may not have come to it."""
        stream = ERASURE.id(self._user_id)
        for recorded in (await self._record.streams([stream]))[stream]:
            if isinstance(recorded.event, KeysCondemned):
                await destroy(self._db, recorded.event.key_ids)
                self._destroyed_at = recorded.at

    async def _condemn_keys(self, files: Sequence[_File], *, everything: bool) -> None:
        """Destroy what is not held, each only after the record says so. `everything`: also the keys of what was in no room."""
        shown: dict[date, set[RoomId]] = {}
        for file in files:
            shown.setdefault(file.at.date(), set()).update(file.rooms)
        wanted = [
            sealed_by(key.key_id, key.room_id, key.day, shown.get(key.day, ()))
            for key in await live_keys(self._db, self._user_id)
            if everything or key.room_id is not None
        ]
        free = [key for key in wanted if not self._note(key.rooms, key.since, key.until)]
        for i in range(0, len(free), CONDEMNED_KEYS_MAX):
            await self._do([CondemnKeys(self._user_id, tuple(free[i : i + CONDEMNED_KEYS_MAX]))])
        await self._destroy_condemned()
        if free:
            await self._recall()

    async def _recall(self) -> set[str]:
        """Recall exports that may have what the destroyed keys sealed; return those of their blobs that somebody still holds."""
        if self._destroyed_at is None:
            return set()
        await recall(self._command_bus, self._db, self._destroyed_at, self._user_id)
        return await self._sweeper.sweep(await left(self._db, self._destroyed_at))

    async def _are_tables_scrubbed(self) -> bool:
        """Wait a little for the read tables to take what was recorded so far; return whether they have."""
        return await checkpoints.have_reached(self._db, SCRUBBED, (await self._record.head()).position)

    async def _complete(self, files: int) -> None:
        messages = await erasure_queries.message_count(self._db, self._user_id, self._until)
        reactions = await erasure_queries.reaction_count(self._db, self._user_id)
        complete = CompleteErasure(self._user_id, messages, files, reactions, await in_use(self._db))
        await self._command_bus.do(complete, Caller())
        log.info("an erasure is completed", messages=messages, files=files)

    def _note(self, rooms: Rooms, since: datetime | None, until: datetime | None) -> bool:
        """Return whether holds cover this, and note which."""
        held = self._holding.on(self._user_id, rooms, since, until)
        self._held |= held
        return bool(held)

    async def _do(self, commands: Sequence[Struct]) -> None:
        """Do commands, some at a time: those that wait together stand in one commit."""
        for i in range(0, len(commands), COMMANDS_AT_ONCE):
            await asyncio.gather(*(self._one(each) for each in commands[i : i + COMMANDS_AT_ONCE]))

    async def _one(self, command: Struct) -> None:
        try:
            await self._command_bus.do(command, Caller())
        except HeldBackError as error:
            self._held |= set(error.hold_ids)
        except EventUnreadableError:  # nothing can be decided about it, and what it sealed is gone with its key
            log.error("something of an erased person cannot be read", command=type(command).__name__)


def _blobs_of(events: Sequence[Event]) -> frozenset[str]:
    """Return the blobs of a file: as it was uploaded, and what was made of it; none if it is erased already."""
    blobs: set[str] = set()
    for event in events:
        if isinstance(event, (FileReceived, FileCompleted)):
            blobs.add(event.blob)
        if isinstance(event, (FileProcessed, FileCompleted)):
            blobs |= {variant.blob for variant in event.variants}
    return frozenset(blobs - {""})
