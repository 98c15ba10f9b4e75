"""The record alone: commands a second through the command bus into Postgres (S6), and events a second of a rebuild (S7)."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from uuid import UUID, uuid4

from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.master_key import Master, load_master
from bench.sockets import TEXT, Measured
from commands import HANDLERS
from commands.account import RegisterAccount
from commands.command_bus import CommandBus
from commands.message import PostMessage
from commands.room import OpenRoom
from domain.events import Caller
from domain.ids import KeyId, MessageId, RoomId, UserId
from projections import LIVE
from runtime.embedded.servers import Embedded
from runtime.migrate import create_database, migrate
from workers.projector import Follower
from workers.rebuild import Rebuild
from workers.rebuild_reports import Progress

ROOMS = 100
RUNS = 3
PAIRS = 7
NONCE = bytes(12)


@asynccontextmanager
async def record_in(url: str, master: Master, *, vault: type[Vault] = Vault) -> AsyncIterator[PostgresRecord]:
    """A record with its writer running."""
    db = await Database.open(url)
    record = PostgresRecord(db, vault(db, master), now=lambda: datetime.now(UTC), chance=os.urandom)
    writer = asyncio.create_task(record.run())
    try:
        yield record
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        await db.close()


async def commands(url: str, master: Master) -> list[Measured]:
    """S6: posts into 100 rooms at 1, 8 and 64 waiting; the median of three runs each."""
    async with record_in(url, master) as record:
        command_bus = CommandBus(record, HANDLERS, now=lambda: datetime.now(UTC), chance=os.urandom)
        caller, rooms = await settle(command_bus)
        rows = []
        for waiting, each in ((1, 400), (8, 300), (64, 100)):
            rates = [await post_all(command_bus, caller, rooms, waiting, each) for _ in range(RUNS)]
            rows.append(Measured(f"S6 commands/s into the record, {waiting} waiting", f"{median(rates):,.0f}"))
        return rows


async def rebuilds(url: str, master: Master) -> list[Measured]:
    """S7: rebuild the live tables, after they were made once by following."""
    async with record_in(url, master) as record:
        db = await Database.open(url, statement_seconds=600)
        follower = Follower(LIVE, record, db, owner="bench")
        started = time.perf_counter()
        followed = 0
        while (written := await follower.step()) > 0:
            followed += written
        rate = followed / (time.perf_counter() - started)
        progress: list[Progress] = []
        started = time.perf_counter()
        verdicts = await Rebuild(LIVE, record, db, progress=progress.append).run(swap=True)
        elapsed = time.perf_counter() - started
        await db.close()
        same = "equal" if all(verdict.is_equal for verdict in verdicts) else "DIFFERENT"
        return [
            Measured("S7 following, events/s", f"{rate:,.0f}"),
            Measured(f"S7 rebuild of {followed:,} events, events/s ({same})", f"{followed / elapsed:,.0f}"),
        ]


async def fill(url: str, master: Master, events: int) -> None:
    """Post until the record holds this many events."""
    async with record_in(url, master) as record:
        command_bus = CommandBus(record, HANDLERS, now=lambda: datetime.now(UTC), chance=os.urandom)
        caller, rooms = await settle(command_bus)
        missing = events - (await record.head()).position
        await post_all(command_bus, caller, rooms, 256, max(0, missing) // 256)


class Clear(Vault):
    """A vault that leaves what it is given as it is, to know what sealing costs. Nothing that it wrote can be read again."""

    def seal(self, key_id: KeyId, plain: bytes, bound: bytes) -> bytes:
        return NONCE + plain


async def sealing() -> list[Measured]:
    """N1: commands a second into the record as they are sealed, to those in the clear; in turns, 64 waiting."""
    with tempfile.TemporaryDirectory(prefix="hansard-bench-") as folder:
        with Embedded(Path(folder) / "home", redis=False) as embedded:
            url = embedded.servers.database_url
            await create_database(url)
            await migrate(url, say=lambda sentence: None)
            master = load_master(Path(folder) / "home" / "master.key", create=True)
            async with record_in(url, master) as sealed, record_in(url, master, vault=Clear) as clear:
                buses = [
                    CommandBus(each, HANDLERS, now=lambda: datetime.now(UTC), chance=os.urandom)
                    for each in (sealed, clear)
                ]
                caller, rooms = await settle(buses[0])
                for bus in buses:  # what rooms and people are is folded before it is timed
                    await post_all(bus, caller, rooms, 64, 10)
                rates = [[await post_all(bus, caller, rooms, 64, 100) for bus in buses] for _ in range(PAIRS)]
    pairs = sorted(on / off for on, off in rates)
    on, off = (median(column) for column in zip(*rates, strict=True))
    return [
        Measured(
            f"N1 commands/s into the record, sealed, to those in the clear (median of {PAIRS} pairs)",
            f"{on:,.0f} : {off:,.0f}, × {median(pairs):.2f} ({pairs[0]:.2f}–{pairs[-1]:.2f})",
        )
    ]


async def settle(command_bus: CommandBus) -> tuple[Caller, list[RoomId]]:
    user_id, name = UserId(uuid4()), uuid4().hex
    await command_bus.do(
        RegisterAccount(user_id, f"{name}@example.com", name[:20], "no hash"), Caller(address="127.0.0.1")
    )
    caller = Caller(user_id=user_id, address="127.0.0.1", agent="bench")
    rooms = [RoomId(uuid4()) for _ in range(ROOMS)]
    for room_id in rooms:
        await command_bus.do(OpenRoom(room_id, "S6"), caller)
    return caller, rooms


async def post_all(command_bus: CommandBus, caller: Caller, rooms: list[RoomId], waiting: int, each: int) -> float:
    async def post(first: int) -> None:
        for i in range(each):
            await command_bus.do(
                PostMessage(rooms[(first + i) % len(rooms)], MessageId(UUID(bytes=os.urandom(16))), TEXT), caller
            )

    started = time.perf_counter()
    await asyncio.gather(*(post(first) for first in range(waiting)))
    return waiting * each / (time.perf_counter() - started)
