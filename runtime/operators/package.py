"""`hansard package FILE`: the whole record in a file that anybody verifies without this server ('hansard verify FILE').

It holds what the record holds: who did what and when in plain, texts and what is personal sealed. No key goes with it.
"""

import argparse
import asyncio
from pathlib import Path

from adapters.notary.package import Contents, PackagedEvent, PackageWriter
from adapters.postgres.database import Database
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.tiles import TileStore
from domain.errors import ReadableError
from domain.tiles import WIDTH, Tile
from domain.tree_head import origin_of
from runtime.command import Command
from runtime.locations import database_url
from runtime.settings import Settings

PACKED_AT_ONCE = 2000
TILES_AT_ONCE = 64


class NothingToPackError(ReadableError):
    """Nothing of the record was signed yet."""


async def run(settings: Settings, asked: argparse.Namespace) -> int:
    """Write the package up to the newest checkpoint. Raise `NothingToPackError`."""
    db = await Database.open(database_url(settings), size=2)
    try:
        size = await pack(EventEntries(db), TileStore(db), asked.file)
    finally:
        await db.close()
    print(f"{size:,} events are in {asked.file}. Verify it anywhere: hansard verify {asked.file} --key …")
    return 0


async def pack(events: EventEntries, store: TileStore, path: Path) -> int:
    """Write a package of everything that was signed; return how many events. Raise `NothingToPackError`."""
    origin = origin_of((await events.head()).record)
    newest, witnessed = await store.newest(origin), await store.witnessed(origin)
    if newest is None:
        raise NothingToPackError("Nothing of this record was signed yet: let the notary run first.")
    notes = [witnessed.note] if witnessed is not None and witnessed.size <= newest.size else []
    contents = Contents(origin, newest.size, True, newest.note, notes, await events.rotations(newest.size))
    entries = bytearray()
    for first in range(0, -(-newest.size // WIDTH), TILES_AT_ONCE):
        tiles = await store.tiles([Tile(0, number) for number in range(first, first + TILES_AT_ONCE)])
        entries += b"".join(tiles[tile] for tile in sorted(tiles))
    with await asyncio.to_thread(PackageWriter, path, contents, bytes(entries[: newest.size * 32])) as package:
        for start in range(0, newest.size, PACKED_AT_ONCE):
            wanted = range(start + 1, min(newest.size, start + PACKED_AT_ONCE) + 1)
            rows = await events.rows(wanted)
            for position in sorted(rows):
                package.add(PackagedEvent(rows[position], []))
    return newest.size


def _describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the file to write (a ZIP)")


COMMAND = Command(run, _describe)
