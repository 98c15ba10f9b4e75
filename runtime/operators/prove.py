"""`hansard prove MESSAGE`: a receipt that an event stands on the record, as a C2SP tlog-proof, verified offline for ever."""

import argparse
import asyncio
from pathlib import Path
from uuid import UUID

from adapters.postgres.database import Database
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.tile_proofs import TileProofs, TilesAlteredError
from adapters.postgres.tiles import TileStore
from domain.errors import ReadableError
from domain.merkle import includes, leaf_hash
from domain.message import MESSAGE
from domain.tree_head import origin_of, read_note, read_tree_head, tlog_proof
from runtime.command import Command, MisusedError
from runtime.locations import database_url
from runtime.settings import Settings

SELECT_POSTED = "SELECT position FROM record.events WHERE stream = $1 AND version = 1"


class NotProvedError(ReadableError):
    """There is no such event, or nothing was signed that holds it."""


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Write the proof. Raise `NotProvedError`."""
    db = await Database.open(database_url(settings), size=2)
    try:
        position = await _position(db, asked.what)
        text = await prove(db, position)
    finally:
        await db.close()
    path = asked.output or Path(f"{asked.what}.tlog-proof")
    await asyncio.to_thread(path.write_text, text)
    print(f"The receipt of position {position:,} is {path}. Verify it: hansard-verify proof {path} --key …")
    return 0


async def prove(db: Database, position: int) -> str:
    """Return the proof of the event at a position, with cosignatures if there are any. Raise `NotProvedError`."""
    origin, store = origin_of((await EventEntries(db).head()).record), TileStore(db)
    witnessed, newest = await store.witnessed(origin), await store.newest(origin)
    checkpoint = next((found for found in (witnessed, newest) if found is not None and found.size >= position), None)
    if checkpoint is None:
        raise NotProvedError(f"Position {position:,} was not signed yet: try again when the notary has run.")
    head = read_tree_head(read_note(checkpoint.note)[0])
    try:
        found = await TileProofs(store).inclusion(position - 1, head.size)
    except TilesAlteredError:
        raise NotProvedError("The tiles are not those that were signed: 'hansard verify' says where.") from None
    if not includes(leaf_hash(found.entry), position - 1, head.size, found.hashes, head.root):
        raise NotProvedError("The tiles are not those that were signed: 'hansard verify' says where.")
    return tlog_proof(found.entry, position - 1, found.hashes, checkpoint.note)


async def _position(db: Database, what: str) -> int:
    """Return the position of a message's posting, or the position that was named. Raise `NotProvedError`."""
    if what.isascii() and what.isdecimal():
        return max(1, int(what))
    try:
        stream = MESSAGE.id(UUID(what))
    except ValueError:
        raise MisusedError(f"{what!r} is neither the id of a message nor a position.") from None
    found = await db.value(SELECT_POSTED, stream)
    if found is None:
        raise NotProvedError(f"There is no message {what} on the record.")
    return int(found)


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", help="the id of a message, or the position of any event")
    parser.add_argument("--output", type=Path, help="the file to write; else WHAT.tlog-proof here")


COMMAND = Command(run, _describe)
