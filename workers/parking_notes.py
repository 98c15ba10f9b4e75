"""Parking notes: that an event was parked, and that it was replayed, is an event on the record too.

Whoever parks or replays writes a line beside its rows, in the same transaction; here each line becomes an event, then goes. A
crash in between notes nothing twice: the stream of the parked event says what is noted already. A rebuild that parks the same
events writes no lines.
"""

import asyncio

import structlog

from commands.command_bus import CommandBus
from commands.parking import NoteParked, NoteReplayed
from domain.errors import DomainError
from domain.events import Caller
from domain.ports.database import Db
from domain.ports.record import RecordUnavailableError
from projections import parked

NOTES_AT_ONCE = 200
ROUND_SECONDS = 2.0
WORKER = Caller(agent="hansard worker")

log = structlog.get_logger()


class ParkingNotes:
    """Notes on the record what was parked and replayed. Any number may run."""

    def __init__(self, command_bus: CommandBus, db: Db) -> None:
        self._command_bus = command_bus
        self._db = db

    async def step(self) -> int:
        """Note what waits, in order; return how much there was."""
        found = await parked.notes(self._db, limit=NOTES_AT_ONCE)
        for note in found:
            at = note.group_name, note.position, note.topic
            command = NoteReplayed(*at) if note.error is None else NoteParked(*at, note.error)
            await self._command_bus.do(command, WORKER)
            await parked.noted(self._db, note.number)
        return len(found)

    async def run(self) -> None:
        """Note for ever."""
        while True:
            try:
                while await self.step():
                    pass
            except (RecordUnavailableError, DomainError) as error:
                log.warning("notes of parked events wait", reason=str(error))
            await asyncio.sleep(ROUND_SECONDS)
