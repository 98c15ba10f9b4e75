"""The notary: what it costs those who send, and how fast it catches up and a record is verified (N1).

Sends are measured in turns, with the notary running and stopped, so that what else the machine does meets both.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from statistics import median

import asyncpg
import httpx

from adapters.notary.key import NotaryKey
from adapters.notary.memory import LastSigned
from adapters.postgres.database import Database
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.standing_rows import StandingRows
from adapters.postgres.tiles import TileStore
from bench.deployment import Deployment
from bench.sockets import Measured, Sender, people, room_of
from domain.tree_head import origin_of
from runtime.embedded.servers import Embedded
from runtime.migrate import create_database, migrate
from workers.notary import Notary
from workers.record_rules import RecordRules
from workers.verification import Verification

ROOMS, SECONDS, TURNS = 20, 4.0, 5
EVENTS = 300_000
INSERT_EVENTS = """
    INSERT INTO record.events (position, stream, version, topic, data, meta, room_id, recorded_at)
    SELECT i, gen_random_uuid(), 1, CASE WHEN i = 1 THEN 'member.joined' ELSE 'message.posted' END,
        convert_to('{"room_id":"r","sender_id":"u","user_id":"u","sealed":"' || repeat(md5(i::text), 9) || '"}', 'UTF8'),
        convert_to(repeat(md5((-i)::text), 9), 'UTF8'), gen_random_uuid(), clock_timestamp()
    FROM generate_series(1, $1) i
"""


async def price(deployment: Deployment) -> Measured:
    """N1: durable sends a second with the notary, to those without it."""
    crowd = await people(deployment.base, 5)
    names = [await room_of(crowd[0], crowd[1:], f"N1-{i}") for i in range(ROOMS)]
    sending = [Sender(deployment, person, room, window=1) for room in names for person in crowd]
    for sender in sending:
        await sender.open()
    rates: dict[bool, list[float]] = {True: [], False: []}
    notary = deployment.process("notary")
    for turn in range(2 * TURNS):
        is_running = turn % 4 in (0, 3)  # on, off, off, on: what drifts meets both
        if not is_running:
            notary.suspend()
        before, started = sum(sender.acknowledged for sender in sending), time.perf_counter()
        for sender in sending:
            sender.start()
        await asyncio.sleep(SECONDS)
        for sender in sending:
            sender.stop()
        rates[is_running].append(
            (sum(sender.acknowledged for sender in sending) - before) / (time.perf_counter() - started)
        )
        notary.resume()
        await _caught_up(deployment.base)
    for sender in sending:
        sender.socket.close()
    on, off = median(rates[True]), median(rates[False])
    pairs = sorted(a / b for a, b in zip(rates[True], rates[False], strict=True))
    return Measured(
        f"N1 durable sends/s with the notary, to without (median of {TURNS} pairs)",
        f"{on:,.0f} : {off:,.0f}, × {median(pairs):.2f} ({pairs[0]:.2f}–{pairs[-1]:.2f})",
    )


async def rates() -> list[Measured]:
    """N1: events a second of a notary that catches up, and of a verification."""
    with tempfile.TemporaryDirectory(prefix="hansard-bench-") as folder:
        with Embedded(Path(folder) / "home", redis=False) as embedded:
            url = embedded.servers.database_url
            await create_database(url)
            await migrate(url, say=lambda sentence: None)
            owner = await asyncpg.connect(url)
            await owner.execute(INSERT_EVENTS, EVENTS, timeout=600)
            await owner.close()
            db = await Database.open(url, size=3)
            events, store, memory = EventEntries(db), TileStore(db), LastSigned(Path(folder))
            key = NotaryKey(os.urandom(32), origin_of((await events.head()).record))
            folding = await _timed(Notary(events, store, key, memory).step())
            rules = RecordRules(StandingRows(db))
            judging = await _timed(Verification(events, store, key.verifier, [], lambda at, of: None, rules).judge())
            await db.close()
    return [
        Measured(f"N1 events/s of {what}: wall clock, its own processor time", f"{wall:,.0f}, {cpu:,.0f}")
        for what, (wall, cpu) in (("a notary that catches up", folding), ("hansard verify", judging))
    ]


async def _timed(work: Awaitable[object]) -> tuple[float, float]:
    started, cpu = time.perf_counter(), time.process_time()
    await work
    return EVENTS / (time.perf_counter() - started), EVENTS / (time.process_time() - cpu)


async def _caught_up(base: str) -> None:
    """Wait until everything is signed."""
    async with httpx.AsyncClient(base_url=f"{base}/api/v1") as http:
        while True:
            signed, head = await http.get("/audit/checkpoint"), (await http.get("/meta")).json()["position"]
            if signed.status_code == 200 and int(signed.text.split("\n")[1]) >= head:
                return
            await asyncio.sleep(0.1)
