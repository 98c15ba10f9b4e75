"""Recalling: when somebody's texts are erased, no package that is kept here may hold them any longer.

Which packages hold somebody is not known, so all go that were made, or are being made; they are asked for again, and then have
what is erased marked as such. What was handed out already is beyond reach, and the record says to whom it went.
"""

from datetime import datetime

from commands.command_bus import CommandBus
from commands.export import ExpireExport, FailExport
from domain.events import Caller
from domain.ids import UserId
from domain.ports.database import Db
from projections import exports
from workers.exports.parts import BLOB_CHARS

WORKER = Caller(agent="hansard worker")


async def recall(command_bus: CommandBus, db: Db, before: datetime, requested_by: UserId | None = None) -> int:
    """End what is being made, and have finished packages expire; return how many there were. Call it after the keys are destroyed,
    which was recorded at `before`: what was asked for later has never had them.

    What the person themselves asked for ends, too, though nobody makes it yet: the key that it is for is destroyed with the others.
    """
    running = [
        row
        for row in await exports.under_way(db)
        if row.requested_by == requested_by or (row.state == "running" and row.requested_at < before)
    ]
    for row in running:
        await command_bus.do(FailExport(row.id, "recalled"), WORKER)
        await exports.end(db, row.id, "failed", "recalled")
    kept = await exports.kept(db, before)
    for export_id in kept:
        await command_bus.do(ExpireExport(export_id), WORKER)
        await exports.end(db, export_id, "expired")
    if requested_by is not None:
        await exports.forget_recipients(db, requested_by)
    return len(running) + len(kept)


async def left(db: Db, before: datetime) -> set[str]:
    """Return the blobs of what was recalled, and of other exports that have ended lately, parts too: some may be there still."""
    return {path[-BLOB_CHARS:] for path in await exports.left(db, before)}
