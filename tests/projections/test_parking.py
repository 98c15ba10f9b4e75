"""An event that a group cannot take is parked, with an alarm; whatever else was in its batch, and all that follows, goes on."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from adapters.postgres.audit import AuditReader
from adapters.postgres.audit_index import Filter
from adapters.postgres.codec import Sealed, StoredRow, _bound, _open, _seal
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database, Session
from adapters.postgres.event_store import PostgresRecord
from commands.account import RegisterAccount
from commands.command_bus import CommandBus
from commands.file import NoteProcessing, NoteScan, ReceiveFile
from commands.message import EditMessage, PostMessage
from commands.room import OpenRoom
from domain.events import Caller, Event, Recorded
from domain.file import Variant
from domain.ids import FileId, MessageId, RoomId, UserId
from domain.message import MessageEdited, MessagePosted
from domain.ports.record import RecordUnavailableError
from projections import AUDIT_INDEX, LIVE, MESSAGE_HTML, checkpoints, message_html, parked
from projections.parked import ParkedIn
from projections.tables import Change, Group, Projection
from runtime.operators.doctor import doctor
from runtime.settings import Settings
from tests.deployments import MASTER, ledger
from tests.poison import SPOILT, spoil
from tests.poison import Change as Spoil
from workers.projector import Follower
from workers.rebuild import Rebuild

SELECT_POSTED = "SELECT position FROM read.messages WHERE message_type <> 'system' ORDER BY position"
SELECT_BUILDING = "SELECT count(*) FROM read.parked_events WHERE is_building"


class Scene:
    """A room in which messages are posted."""

    def __init__(self, db: Database, record: PostgresRecord, command_bus: CommandBus) -> None:
        self.db, self.record, self.command_bus = db, record, command_bus
        self.user = UserId(uuid4())
        self.caller = Caller(user_id=self.user)
        self.room = RoomId(uuid4())
        self.posted: dict[int, MessageId] = {}

    async def open(self) -> "Scene":
        name = f"u{self.user.hex[:9]}"
        await self.command_bus.do(RegisterAccount(self.user, f"{name}@example.com", name, "x"), Caller())
        await self.command_bus.do(OpenRoom(self.room, "Room", None, False), self.caller)
        return self

    async def post(self, count: int, content: str = "hello") -> list[int]:
        ids = [MessageId(uuid4()) for _ in range(count)]
        outcomes = await asyncio.gather(
            *(self.command_bus.do(PostMessage(self.room, at, content), self.caller) for at in ids)
        )
        positions = [outcome.position for outcome in outcomes]
        self.posted |= dict(zip(positions, ids, strict=True))
        return sorted(positions)

    async def follow(self, group: Group = LIVE) -> Follower:
        follower = Follower(group, self.record, self.db, owner="test")
        while await follower.step() > 0:
            pass
        assert await checkpoints.position(self.db, group.name) == (await self.record.head()).position
        assert follower.lease
        await checkpoints.let_go(self.db, group.name, follower.lease.epoch)
        return follower

    async def rows(self) -> list[int]:
        return await self.db.all(int, SELECT_POSTED)


@asynccontextmanager
async def scene(database_url: str) -> AsyncIterator[Scene]:
    async with ledger(database_url) as (db, record, command_bus):
        yield await Scene(db, record, command_bus).open()


@pytest.mark.parametrize(
    "how", [SPOILT["no JSON"], SPOILT["half a box"], SPOILT["a list"]], ids=["JSON", "box", "shape"]
)
async def test_what_cannot_be_read_is_parked_and_the_rest_goes_on(database_url: str, how: bytes | Spoil) -> None:
    async with scene(database_url) as here:
        positions = await here.post(9)
        await spoil(database_url, positions[4], data=how)
        await here.follow()
        assert await here.rows() == [at for at in positions if at != positions[4]]
        [found] = await parked.listed(here.db, limit=10)
        assert (found.group, found.position, found.topic) == ("live", positions[4], "message.posted")
        assert found.error.startswith("unreadable: ")
        assert await parked.counts(here.db) == {"live": 1}


async def test_the_index_of_the_audit_trail_parks_what_cannot_be_read_and_goes_on(database_url: str) -> None:
    async with scene(database_url) as here:
        positions = await here.post(9)
        await spoil(database_url, positions[4], data=SPOILT["half a box"])
        await here.follow(AUDIT_INDEX)
        indexed = await here.db.all(
            int, "SELECT position FROM read.audit_entries WHERE topic = 'message.posted' ORDER BY 1"
        )
        assert indexed == [at for at in positions if at != positions[4]]
        [found] = await parked.listed(here.db, limit=10)
        assert (found.group, found.position, found.topic) == ("audit_index", positions[4], "message.posted")
        assert found.error == "unreadable: not what was sealed"
        assert await parked.counts(here.db) == {"audit_index": 1}
        audit = AuditReader(here.db, Vault(here.db, MASTER))
        page = await audit.page(Filter(room=here.room, type="message.posted"), after=0, limit=20)
        assert [entry.position for entry in page.entries] == positions, "who asks is told of it all the same"


async def test_a_picture_that_is_2_to_the_40_wide_stops_nobody(database_url: str) -> None:
    """What a child that lied left in the record of an earlier version."""
    async with scene(database_url) as here:
        file_id = FileId(uuid4())
        await here.command_bus.do(ReceiveFile(file_id, "a.png", "image/png", 10, "ab" * 32), here.caller)
        await here.command_bus.do(NoteScan(file_id, "basic", None), Caller())
        made = (Variant("original", 77, 1, "image/webp", 9, "cd" * 32),)
        processed = await here.command_bus.do(NoteProcessing(file_id, made), Caller())
        for position in range(processed.position - 1, processed.position + 1):
            await widen(here, database_url, position)
        positions = await here.post(3)
        await here.follow()
        assert await here.rows() == positions
        assert [(found.position, found.topic) for found in await parked.listed(here.db, limit=10)] == [
            (processed.position, "file.completed")
        ]
        assert await here.db.value("SELECT status FROM read.files WHERE id = $1", file_id) == "processing"


async def widen(here: Scene, database_url: str, position: int) -> None:
    """Seal a file's event anew, its variant 2^40 wide."""
    [row] = await here.db.all(
        StoredRow,
        "SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events WHERE position = $1",
        position,
    )
    vault, plain, event_id = Vault(here.db, MASTER), json.loads(row.data), UUID(json.loads(row.meta)["id"])
    sealed, bound = Sealed(**plain["sealed"]), _bound(row.stream, row.topic, event_id)
    await vault.gather([sealed.key])
    private = _open(sealed, bound, vault)
    assert private is not None and private["variants"][0]["width"] == 77
    private["variants"][0]["width"] = 2**40
    again = _seal(private, sealed.key, bound, vault)
    assert again.key == sealed.key
    await spoil(database_url, position, data=lambda json: json.update(sealed={"key": again.key, "box": again.box}))


class Choosy:
    """A group of HTML whose handler fails on some texts, and makes rows that no table takes of others."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.error: type[Exception] = ValueError
        handlers: dict[type[Event], Callable[[Recorded[Any]], Iterable[Change]]] = {
            MessagePosted: self.posted,
            MessageEdited: message_html.edited,
        }
        self.group = Group("message_html", MESSAGE_HTML.version, (Projection((message_html.MESSAGE_HTML,), handlers),))

    def posted(self, recorded: Recorded[MessagePosted]) -> Iterable[Change]:
        self.seen.append(recorded.position)
        content, version, key = recorded.event.content, recorded.version, recorded.position
        match content:
            case "fails":
                yield message_html.MESSAGE_HTML.new(recorded.position, version=1, html="half of it")
                raise self.error("secret words of the message")
            case "wide":
                version = 2**40
            case "wrong":
                version = "one"  # type: ignore[assignment]
            case "null":
                content = None  # type: ignore[assignment]
            case "nul":
                content = "a\0b"
            case "half":
                content = "\ud800"
            case "twice":
                key = recorded.position - 1
        yield message_html.MESSAGE_HTML.new(key, version=version, html=content)


ERRORS = {
    "fails": "ValueError",
    "wide": "DataError (22000)",
    "wrong": "DataError (22000)",
    "null": "NotNullViolationError (23502)",
    "nul": "CharacterNotInRepertoireError (22021)",
    "half": "DataError (22000)",
    "twice": "UniqueViolationError (23505)",
}
SELECT_HTML = "SELECT position FROM read.message_html ORDER BY position"


@pytest.mark.parametrize(("content", "error"), ERRORS.items())
async def test_the_culprit_of_a_batch_is_found_and_parked(
    database_url: str, content: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with scene(database_url) as here:
        choosy, good = Choosy(), await here.post(20)
        [bad] = await here.post(1, content)
        good += await here.post(20)
        await here.follow(choosy.group)
        assert await here.db.all(int, SELECT_HTML) == good
        assert await parked.listed(here.db, limit=10) == [ParkedIn("message_html", bad, "message.posted", error)]
        assert sorted(choosy.seen) == choosy.seen == [*good[:20], bad, *good[20:]], "no handler runs twice"
        said = capsys.readouterr()
        assert "event parked" in said.out + said.err and "secret words" not in said.out + said.err
        # A version that takes it heals by a rebuild: the row comes, and what is parked goes, with the swap.
        other = Group("message_html", choosy.group.version, (message_html.PROJECTION,))
        if content in ("fails", "wide", "wrong", "twice"):
            [verdict] = await Rebuild(other, here.record, here.db, progress=lambda progress: None).run(swap=True)
            assert not verdict.is_equal and await parked.counts(here.db) == {}
            assert await here.db.all(int, SELECT_HTML) == sorted([*good, bad])


async def test_several_culprits_are_parked_each(database_url: str) -> None:
    async with scene(database_url) as here:
        contents = ["wide", "hello", "fails", "hello", "null", "nul", "hello", "twice", "hello", "wide"]
        positions = [(await here.post(1, content))[0] for content in contents]
        await here.follow(Choosy().group)
        good = [at for at, content in zip(positions, contents, strict=True) if content == "hello"]
        assert await here.db.all(int, SELECT_HTML) == good
        assert await parked.counts(here.db) == {"message_html": 6}


async def test_later_events_of_its_stream_find_no_row_and_change_nothing(database_url: str) -> None:
    async with scene(database_url) as here:
        [bad] = await here.post(1, "fails")
        await here.follow(Choosy().group)
        await here.command_bus.do(EditMessage(here.posted[bad], "hello"), here.caller)
        await here.follow(Choosy().group)
        assert await here.db.all(int, SELECT_HTML) == []
        assert await parked.counts(here.db) == {"message_html": 1}


async def test_a_rebuild_parks_what_it_cannot_take_too(database_url: str) -> None:
    async with scene(database_url) as here:
        choosy, good = Choosy(), await here.post(5)
        bad = await here.post(1, "null") + await here.post(1, "fails")
        good += await here.post(5)
        await here.follow(choosy.group)
        rebuild = Rebuild(choosy.group, here.record, here.db, progress=lambda progress: None)
        [verdict] = await rebuild.run(swap=False)
        assert verdict.is_equal and await here.db.value(SELECT_BUILDING) == 0
        [verdict] = await Rebuild(choosy.group, here.record, here.db, progress=lambda progress: None).run(swap=True)
        assert verdict.is_equal and await here.db.value(SELECT_BUILDING) == 0
        assert [found.position for found in await parked.listed(here.db, limit=10)] == bad
        assert await here.db.all(int, SELECT_HTML) == good


async def test_a_rebuild_parks_in_the_middle_of_its_swap(database_url: str) -> None:
    """What came between the comparison and the swap is written within the swap's own transaction."""
    async with scene(database_url) as here:
        choosy, good = Choosy(), await here.post(5)
        await here.follow(choosy.group)
        rebuild = Rebuild(choosy.group, here.record, here.db, progress=lambda progress: None)
        compare = rebuild._compare

        async def compare_and_go_on(session: Session, *, swapped: bool) -> Any:
            verdicts = await compare(session, swapped=swapped)
            late.extend(await here.post(1) + await here.post(1, "null") + await here.post(1))
            await here.follow(choosy.group)
            return verdicts

        late: list[int] = []
        rebuild._compare = compare_and_go_on  # type: ignore[method-assign]
        await rebuild.run(swap=True)
        assert await here.db.all(int, SELECT_HTML) == [*good, late[0], late[2]]
        assert [found.position for found in await parked.listed(here.db, limit=10)] == [late[1]]


@pytest.mark.parametrize(
    "trouble",
    [
        "DROP TABLE read.message_html",
        "ALTER TABLE read.message_html RENAME COLUMN html TO text",
        "ALTER TABLE read.message_html ADD COLUMN more int NOT NULL DEFAULT 1, ADD CONSTRAINT odd CHECK (more < 2)",
        "ALTER DATABASE {name} SET default_transaction_read_only = on",
    ],
    ids=["no table", "other columns", "a sound one", "read-only"],
)
async def test_trouble_that_is_no_events_fault_parks_nothing(database_url: str, trouble: str) -> None:
    async with scene(database_url) as here:
        await here.post(5)
        name = urlsplit(database_url).path.removeprefix("/")
        superuser = await asyncpg.connect(database_url)
        await superuser.execute(trouble.replace("{name}", f'"{name}"'))
        await superuser.close()
        db = await Database.open(database_url, size=2)
        follower = Follower(Choosy().group, here.record, db, owner="test")
        if "odd" in trouble:
            assert await follower.step() > 0
        else:
            with pytest.raises((RecordUnavailableError, asyncpg.PostgresError)):
                for _ in range(3):
                    await follower.step()
        assert await parked.counts(here.db) == {}
        assert await checkpoints.position(here.db, "message_html") in (0, (await here.record.head()).position)
        await db.close()


async def test_a_handler_without_memory_is_tried_again(database_url: str) -> None:
    async with scene(database_url) as here:
        choosy = Choosy()
        choosy.error = MemoryError
        await here.post(1, "fails")
        with pytest.raises(MemoryError):
            await Follower(choosy.group, here.record, here.db, owner="test").step()
        assert await parked.counts(here.db) == {}


async def test_who_lost_the_lease_parks_nothing(database_url: str) -> None:
    async with scene(database_url) as here:
        choosy = Choosy()
        one = Follower(choosy.group, here.record, here.db, owner="one")
        await here.post(1)
        assert await one.step() > 0
        await here.db.run("UPDATE read.checkpoints SET leased_to = '-infinity'")
        two = Follower(choosy.group, here.record, here.db, owner="two")
        assert await two.step() >= 0
        await here.post(1, "null")
        assert await one.step() == -1
        assert await parked.counts(here.db) == {}
        assert await two.step() > 0
        assert await parked.counts(here.db) == {"message_html": 1}


async def test_the_doctor_names_what_is_parked_and_what_stands_still(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(home=tmp_path, database_url=database_url, redis_url=redis_url)
    async with scene(database_url) as here:
        [bad] = await here.post(1, "wide")
        await here.follow()
        await here.follow(Choosy().group)
        assert await doctor(settings, ["projections"]) == 1
        said = capsys.readouterr().out
        assert f"message_html at {bad:,} (message.posted: DataError (22000))" in said and "Parked events" in said
        await parked.forget(here.db, "message_html", is_building=False)
        assert await doctor(settings, ["projections"]) == 0
        monkeypatch.setattr(checkpoints, "STANDS_STILL_SECONDS", -1.0)
        await here.post(1)
        assert await doctor(settings, ["projections"]) == 1
        assert "it stands still: live for 0 s, 1 events behind; message_html" in capsys.readouterr().out
