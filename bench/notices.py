"""Notices: how many people one worker tells in an hour (E1), from the record to their devices, each of them on its own.

The channel is one in memory, so it is the planning, the claims and the notes on the disk that are measured. What posting takes is
not: each round is posted first, then followed, planned and told.
"""

import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from adapters.memory.notices import MemoryChannel, MemoryPresence
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.master_key import load_master
from bench.record import record_in
from bench.sockets import Measured
from commands import HANDLERS
from commands.account import RegisterAccount
from commands.command_bus import CommandBus
from commands.membership import PutMember
from commands.message import PostMessage
from commands.room import OpenRoom
from domain.bounds import MENTIONS_MAX
from domain.events import Caller
from domain.ids import MessageId, RoomId, UserId
from projections import LIVE, NOTIFICATIONS
from runtime.embedded.servers import Embedded
from runtime.migrate import create_database, migrate
from workers.notice_planner import NoticePlanner
from workers.notice_teller import NoticeTeller
from workers.projector import Follower

PEOPLE, ROUNDS = 200, 10
MAIL_SECONDS = 600.0


async def rate() -> list[Measured]:
    """E1: notices an hour of one worker."""
    with tempfile.TemporaryDirectory(prefix="hansard-bench-") as folder:
        home = Path(folder) / "home"
        with Embedded(home, redis=False) as embedded:
            url = embedded.servers.database_url
            await create_database(url)
            await migrate(url, say=lambda sentence: None)
            async with record_in(url, load_master(home / "master.key", create=True)) as record:
                db = await Database.open(url)
                try:
                    return [await _rate(record, db)]
                finally:
                    await db.close()


async def _rate(record: PostgresRecord, db: Database) -> Measured:
    command_bus = CommandBus(record, HANDLERS, now=_now, chance=os.urandom)
    push, here = MemoryChannel(), MemoryPresence()
    followers = [Follower(group, record, db, owner="bench") for group in (LIVE, NOTIFICATIONS)]
    planner = NoticePlanner(record, db, (push,), here, now=_now, mail_seconds=MAIL_SECONDS)
    teller = NoticeTeller(db, (push,), here, now=_now, mail_seconds=MAIL_SECONDS)
    caller, room_id, names = await _people(command_bus, push)
    seconds, told = 0.0, 0
    for number in range(ROUNDS + 1):
        for i in range(0, PEOPLE, MENTIONS_MAX):
            text = " ".join(f"@{name}" for name in names[i : i + MENTIONS_MAX])
            await command_bus.do(PostMessage(room_id, MessageId(uuid4()), text), caller)
        before, started = len(push.told), time.perf_counter()
        for follower in followers:
            while await follower.step() > 0:
                pass
        while await planner.step():
            pass
        while await teller.step():
            pass
        if number:  # the first round also tells everybody that they were brought into the room
            seconds, told = seconds + time.perf_counter() - started, told + len(push.told) - before
    assert told == PEOPLE * ROUNDS, "each was told of each mention on its own"
    return Measured("E1 notices an hour on one worker, from the record to a device", f"{told / seconds * 3600:,.0f}")


async def _people(command_bus: CommandBus, push: MemoryChannel) -> tuple[Caller, RoomId, list[str]]:
    """Make a room of people with a device each; answers whose it is, the room, and the names of the others."""
    ids = [UserId(uuid4()) for _ in range(PEOPLE + 1)]
    for user_id in ids:
        name = _name(user_id)
        await command_bus.do(RegisterAccount(user_id, f"{name}@example.com", name, "no hash"), Caller())
    caller, room_id = Caller(user_id=ids[0]), RoomId(uuid4())
    await command_bus.do(OpenRoom(room_id, "E1"), caller)
    for user_id in ids[1:]:
        await command_bus.do(PutMember(room_id, user_id, "member"), caller)
        push.add(UUID(bytes=os.urandom(16)), user_id)
    return caller, room_id, [_name(user_id) for user_id in ids[1:]]


def _name(user_id: UserId) -> str:
    return user_id.hex[:20]


def _now() -> datetime:
    return datetime.now(UTC)
