"""The sweeper: orphans go, and only orphans, whoever uploads at the same moment. Quotas are exact."""

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from adapters.postgres.blob_leases import BlobLeases
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from commands.command_bus import CommandBus
from commands.file import FailFile, NoteProcessing, NoteScan, ReceiveFile
from domain.events import Caller
from domain.file import Variant
from domain.ids import FileId, UserId
from domain.ports.blobs import Blobs, BlobsUnavailableError
from projections import LIVE
from tests.blobs.stores import names, opened, put, staged
from tests.commands.test_desk import person
from tests.deployments import ledger, running, until
from workers.files.sweeper import Sweeper
from workers.projector import Follower

SAGA = Caller(agent="test")


def sweeper_of(blobs: Blobs, db: Database, record: PostgresRecord) -> Sweeper:
    return Sweeper(blobs, BlobLeases(db), record, db, now=lambda: datetime.now(UTC), age_seconds=-60)


async def receive(command_bus: CommandBus, who: Caller, blob: str, mime_type: str = "text/plain") -> FileId:
    file_id = FileId(uuid4())
    await command_bus.do(ReceiveFile(file_id, "a", mime_type, 1, blob), who)
    return file_id


async def test_what_nothing_refers_to_goes_and_the_rest_stays(database_url: str, tmp_path: Path) -> None:
    async with ledger(database_url) as (db, record, command_bus), opened("", tmp_path) as blobs:
        ada = await person(command_bus)
        text, picture, harmful, broken = [await put(blobs, bytes([i])) for i in range(4)]
        original, thumbnail, orphan = [await put(blobs, bytes([9, i])) for i in range(3)]
        await receive(command_bus, ada, text)
        file_id = await receive(command_bus, ada, picture, "image/png")
        await command_bus.do(NoteScan(file_id, "basic"), SAGA)
        made = [
            Variant(name, 1, 1, "image/webp", 2, blob)
            for name, blob in (("original", original), ("thumbnail", thumbnail))
        ]
        await command_bus.do(NoteProcessing(file_id, tuple(made)), SAGA)
        await command_bus.do(NoteScan(await receive(command_bus, ada, harmful), "basic", "Eicar"), SAGA)
        await command_bus.do(FailFile(await receive(command_bus, ada, broken), "unreadable"), SAGA)
        async with running(Follower(LIVE, record, db, owner="test").run()):
            assert await sweeper_of(blobs, db, record).step() == 3
        assert await names(blobs) == {text, original, thumbnail, harmful}
        assert not {picture, broken, orphan} & await names(blobs)


async def test_nothing_goes_while_the_tables_lag(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.files.sweeper.SWEEP_CATCH_UP_SECONDS", 0.1)
    async with ledger(database_url) as (db, record, command_bus), opened("", tmp_path) as blobs:
        ada = await person(command_bus)
        await receive(command_bus, ada, await put(blobs, b"not in the tables yet"))
        assert await sweeper_of(blobs, db, record).step() == 0
        assert len(await names(blobs)) == 1


async def test_young_blobs_are_left_alone(database_url: str, tmp_path: Path) -> None:
    async with ledger(database_url) as (db, record, _), opened("", tmp_path) as blobs:
        await put(blobs, b"an upload whose event is on its way")
        sweeper = Sweeper(blobs, BlobLeases(db), record, db, now=lambda: datetime.now(UTC))
        async with running(Follower(LIVE, record, db, owner="test").run()):
            assert await sweeper.step() == 0


async def test_what_is_held_cannot_be_condemned_and_what_is_condemned_cannot_be_held(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.postgres.blob_leases.BLOB_CONDEMNED_WAIT_SECONDS", 0.1)
    async with ledger(database_url) as (db, _, _):
        holds = BlobLeases(db)
        await holds.hold(["aa", "bb"])
        await holds.hold(["bb", "aa"])
        assert await holds.condemn(["aa", "bb", "cc"]) == ["cc"]
        assert await holds.condemn(["cc"]) == []
        with pytest.raises(BlobsUnavailableError):
            await holds.hold(["cc"])
        await holds.bury(["cc", "aa"])
        await holds.hold(["cc"])
        await holds.hold(["dd"], seconds=-1)
        assert await holds.condemn(["dd", "aa"]) == ["dd"]


async def test_sweeping_amid_uploads_of_the_same_bytes_never_takes_what_is_referred_to(
    database_url: str, tmp_path: Path
) -> None:
    """A sweeper without any patience, and uploads that put three blobs again and again: each accepted file's bytes stay."""
    chance = random.Random(4)
    async with ledger(database_url) as (db, record, command_bus), opened("", tmp_path) as blobs:
        ada, holds = await person(command_bus), BlobLeases(db)
        kept: set[str] = set()
        done = asyncio.Event()

        async def upload(content: bytes, *, broken_off: bool) -> None:
            blob, file = staged(blobs, content)
            await holds.hold([blob], seconds=0.05 if broken_off else 60)
            await blobs.put(blob, file)
            if not broken_off:
                await receive(command_bus, ada, blob)
                kept.add(blob)

        async def sweep() -> int:
            removed = 0
            while not done.is_set():
                removed += await sweeper_of(blobs, db, record).step()
            return removed

        async with running(Follower(LIVE, record, db, owner="test").run()):
            sweeping = asyncio.create_task(sweep())
            for turn in range(40):
                contents = [b"%d" % (turn % 7), b"x%d" % turn, b"y%d" % chance.randrange(3)]
                await asyncio.gather(*(upload(content, broken_off=chance.random() < 0.6) for content in contents))
            done.set()
            assert await sweeping > 0

            async def swept() -> bool:
                await sweeper_of(blobs, db, record).step()
                return await names(blobs) == kept

            await until(swept)


async def test_a_quota_is_exact_however_many_ask_at_once(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        ada = await person(command_bus)
        assert ada.user_id
        holds, ids = BlobLeases(db), [FileId(uuid4()) for _ in range(20)]
        granted = await asyncio.gather(*(holds.reserve(ada.user_id, i, 10, quota_bytes=75) for i in ids))
        assert sum(granted) == 7
        first = ids[granted.index(True)]
        await holds.release(first)
        assert await holds.reserve(ada.user_id, first, 10, quota_bytes=75)
        # Once its row can be read it counts there, and not twice.
        await command_bus.do(ReceiveFile(first, "a", "text/plain", 10, "ab" * 32), ada)
        follower = Follower(LIVE, record, db, owner="test")
        while await follower.step():
            pass
        assert not await holds.reserve(ada.user_id, FileId(uuid4()), 6, quota_bytes=75)
        assert await holds.reserve(ada.user_id, FileId(uuid4()), 5, quota_bytes=75)
        assert await holds.reserve(UserId(uuid4()), FileId(uuid4()), 75, quota_bytes=75)
