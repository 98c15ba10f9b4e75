"""Read models on real Postgres: batches equal single steps, rebuilt equals served, one owner, frames told once."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from adapters.redis.lanes import CONTROL, Entry, Lanes, LanesUnavailableError
from commands.account import ChangeProfile, RegisterAccount
from commands.command_bus import CommandBus
from commands.direct import OpenDirect
from commands.file import FailFile, NoteProcessing, NoteScan, ReceiveFile, RetryFile
from commands.membership import JoinRoom, LeaveRoom, PutMember, RemoveMember
from commands.message import DeleteMessage, EditMessage, PostMessage
from commands.pin import PinMessage, UnpinMessage
from commands.reaction import AddReaction, RemoveReaction
from commands.reading import MarkRead
from commands.room import ArchiveRoom, ChangeRoom, OpenRoom
from commands.thread import FollowThread, MarkThreadRead, UnfollowThread
from domain.bounds import MESSAGE_CHARS_MAX
from domain.errors import DomainError
from domain.events import Caller
from domain.file import Variant
from domain.ids import FileId, MessageId, RecordId, RoomId, UserId
from domain.message import MessageDeleted, MessageEdited, MessagePosted
from domain.ports.record import RecordUnavailableError
from projections import AUDIT_INDEX, LIVE, MESSAGE_HTML, NOTIFICATIONS, PAST, PROJECTIONS, checkpoints
from projections.message_html import render
from runtime.operators.doctor import doctor
from runtime.settings_reader import read
from tests.commands.test_desk import person, room_of
from tests.deployments import ledger, running
from workers.projector import Follower
from workers.publisher import UNTOLD_BYTES_MAX, Publisher, bytes_of
from workers.rebuild import Rebuild

EMOJIS = ("👍", "👎", "❤", "❤️")
SELECT_HTML = "SELECT position, version, html FROM read.message_html"


class Html(NamedTuple):
    position: int
    version: int
    html: str


async def make_history(command_bus: CommandBus, seed: int, steps: int = 150) -> None:
    """Let six people do what they like in four rooms; what is refused does not happen."""
    chance = random.Random(seed)
    people = [Caller(user_id=UserId(uuid4()), address="127.0.0.1") for _ in range(6)]
    for i, who in enumerate(people):
        assert who.user_id
        await command_bus.do(RegisterAccount(who.user_id, f"{seed}-{i}@example.com", f"p{seed}-{i}", "x"), Caller())
    rooms: list[RoomId] = []
    messages: list[MessageId] = []
    places: dict[MessageId, RoomId] = {}
    replies: list[MessageId] = []
    files = [FileId(uuid4())]
    for _ in range(4):
        rooms.append(RoomId(uuid4()))
        await command_bus.do(OpenRoom(rooms[-1], "Room", None, chance.random() < 0.3), chance.choice(people))
    moods = random.Random(f"{seed} moods")  # its own: what else is done is the same with and without
    for step in range(steps):
        who, other, room_id = chance.choice(people), chance.choice(people), chance.choice(rooms)
        assert other.user_id
        message_id = chance.choice(messages) if messages else MessageId(uuid4())
        new_id, file_id = MessageId(uuid4()), FileId(uuid4())
        command = chance.choice(
            [
                PostMessage(room_id, new_id, f"**text** {step}"),
                PostMessage(room_id, new_id, f"plain {step} @room @q{seed}-{step - 1} @p{seed}-1"),
                PostMessage(room_id, new_id, f"more {step}"),
                EditMessage(message_id, f"edited {step}"),
                DeleteMessage(message_id),
                JoinRoom(room_id),
                LeaveRoom(room_id),
                PutMember(room_id, other.user_id, chance.choice(["owner", "admin", "member"])),
                RemoveMember(room_id, other.user_id, chance.random() < 0.5),
                ChangeRoom(room_id, name=f"Room {step}", history=chance.choice(["shared", "joined"])),
                ChangeProfile(username=f"q{seed}-{step}"),
                MarkRead(room_id, step),
                ReceiveFile(file_id, f"{step}.png", chance.choice(["image/png", "text/plain"]), 10, "ab" * 32),
                NoteScan(chance.choice(files), "basic", chance.choice([None, None, "Eicar"])),
                NoteProcessing(chance.choice(files), (Variant("original", 1, 1, "image/webp", 9, "cd" * 32),)),
                FailFile(chance.choice(files), chance.choice(["gave_up", "unreadable"])),
                RetryFile(chance.choice(files)),
                PostMessage(room_id, new_id, "", "file", chance.choice(files)),
                *([ArchiveRoom(room_id)] if chance.random() < 0.05 else []),
            ]
        )
        await hang_on(command_bus, moods, who, other.user_id, message_id)
        if message_id in places:
            await talk_aside(command_bus, moods, who, places[message_id], message_id, replies)
        try:
            await command_bus.do(command, who)
        except DomainError:
            continue
        if isinstance(command, PostMessage):
            messages.append(new_id)
            places[new_id] = room_id
        if isinstance(command, ReceiveFile):
            files.append(file_id)


async def hang_on(
    command_bus: CommandBus, moods: random.Random, who: Caller, other: UserId, message_id: MessageId
) -> None:
    """Let somebody react to a message, pin it, or turn to another one alone, if they may."""
    emoji = moods.choice(EMOJIS)
    deeds = (
        AddReaction(message_id, emoji), AddReaction(message_id, emoji), RemoveReaction(message_id, emoji),
        PinMessage(message_id), PinMessage(message_id), UnpinMessage(message_id), OpenDirect((other,)),
    )  # fmt: skip
    with suppress(DomainError):
        await command_bus.do(moods.choice(deeds), who)


async def talk_aside(
    command_bus: CommandBus,
    moods: random.Random,
    who: Caller,
    room_id: RoomId,
    root: MessageId,
    replies: list[MessageId],
) -> None:
    """Let somebody reply in a thread, take a reply back, or follow and read the thread, if they may."""
    new_id = MessageId(UUID(int=moods.getrandbits(128)))
    reply = PostMessage(room_id, new_id, "aside @room", thread_id=root, in_room=moods.random() < 0.4)
    old = moods.choice(replies or [root])
    deeds = (
        reply, reply, reply, DeleteMessage(old), EditMessage(old, "other"), AddReaction(old, "👍"), FollowThread(root),
        UnfollowThread(root), MarkThreadRead(root, 2**40), MarkThreadRead(root, 2**40),
    )  # fmt: skip
    deed = moods.choice(deeds)
    with suppress(DomainError):
        await command_bus.do(deed, who)
        replies += [new_id] if deed is reply else []


async def project(record: PostgresRecord, db: Database) -> None:
    """Follow every group to the head."""
    for group in PROJECTIONS.values():
        follower = Follower(group, record, db, owner="test")
        while await follower.step() > 0:
            pass
        assert follower.lease
        await checkpoints.let_go(db, group.name, follower.lease.epoch)


@pytest.mark.parametrize("seed", range(6))
async def test_rebuilt_equals_served(database_url: str, seed: int) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        follower = Follower(LIVE, record, db, owner="small steps")
        await make_history(command_bus, seed)
        # Served by many small batches …
        while (head := (await record.head()).position) > (follower.lease.position if follower.lease else 0):
            assert follower.lease is None or follower.lease.position < head
            await small_step(follower, record, 1 + seed * 7)
        await Follower(MESSAGE_HTML, record, db, owner="html").step()
        await Follower(AUDIT_INDEX, record, db, owner="index").step()
        past = Follower(PAST, record, db, owner="past")
        while past.lease is None or past.lease.position < head:
            await small_step(past, record, 1 + seed * 7)
        await Follower(NOTIFICATIONS, record, db, owner="notifications").step()
        rows = 0
        # … and rebuilt by one big one.
        for group in PROJECTIONS.values():
            verdicts = await Rebuild(group, record, db, progress=lambda progress: None).run(swap=True)
            assert [verdict.table for verdict in verdicts if not verdict.is_equal] == []
            again = await Rebuild(group, record, db, progress=lambda progress: None).run(swap=True)
            assert [verdict.rebuilt for verdict in again] == [verdict.rebuilt for verdict in verdicts]
            rows += sum(verdict.rows for verdict in verdicts)
        assert rows > 0


async def small_step(follower: Follower, record: PostgresRecord, size: int) -> None:
    """One step of at most `size` events."""

    class Few:
        async def after(self, position: int, *, until: int | None = None, limit: int) -> object:
            return await record.after(position, limit=size)

    follower._record = Few()  # type: ignore[assignment]
    await follower.step()


async def test_a_rebuild_mends_and_reports_what_differs(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 99, 60)
        await project(record, db)
        await db.run(
            "UPDATE read.messages SET content = 'tampered' WHERE position = (SELECT min(position) FROM read.messages)"
        )
        (messages,) = [
            v for v in await Rebuild(LIVE, record, db, progress=print).run(swap=False) if v.table == "read.messages"
        ]
        assert (messages.is_equal, messages.swapped) == (False, False)
        assert await db.value("SELECT count(*) FROM read.messages WHERE content = 'tampered'") == 1
        await Rebuild(LIVE, record, db, progress=print).run(swap=True)
        assert await db.value("SELECT count(*) FROM read.messages WHERE content = 'tampered'") == 0
        served = set(
            await db.all(
                str,
                "SELECT indexname::text FROM pg_catalog.pg_indexes WHERE schemaname = 'read' AND tablename !~ '__old'",
            )
        )
        assert {
            "messages_pkey",
            "timeline_of_room",
            "replies_of_thread",
            "rooms_by_last_posted",
            "users_by_name",
        } <= served


async def test_a_rebuild_goes_on_while_everybody_writes_and_reads(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, 7, 100)
        follower = Follower(LIVE, record, db, owner="live")
        async with running(follower.run()):
            for _ in range(3):
                writing = asyncio.create_task(make_history(command_bus, random.randrange(10**9), 60))
                reading = asyncio.create_task(read_on(db, writing))
                verdicts = await Rebuild(LIVE, record, db, progress=lambda progress: None).run(swap=True)
                assert all(verdict.is_equal for verdict in verdicts)
                await writing
                await reading
        await project(record, db)
        assert all(v.is_equal for v in await Rebuild(LIVE, record, db, progress=lambda progress: None).run(swap=False))


async def read_on(db: Database, until: "asyncio.Task[None]") -> None:
    while not until.done():
        await db.all(str, "SELECT content FROM read.messages ORDER BY position DESC LIMIT 5")
        await asyncio.sleep(0)


async def test_the_loser_of_a_lease_writes_nothing(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        one, two = Follower(LIVE, record, db, owner="one"), Follower(LIVE, record, db, owner="two")
        await make_history(command_bus, 1, 10)
        assert await one.step() > 0
        assert await two.step() == -1, "a standby waits"
        await db.run("UPDATE read.checkpoints SET leased_to = '-infinity'")
        await make_history(command_bus, 2, 10)
        assert await two.step() > 0
        await make_history(command_bus, 3, 10)
        before = await db.value("SELECT count(*) FROM read.users")
        assert await one.step() == -1, "thawed, it finds another epoch"
        assert await db.value("SELECT count(*) FROM read.users") == before
        assert await two.step() > 0


@pytest.mark.parametrize("talk_goes_on", [True, False])
async def test_commits_that_a_crash_took_back_are_made_again(database_url: str, talk_goes_on: bool) -> None:
    """Rows and checkpoint do not wait for the disk: after a crash of Postgres both may stand where they stood before,
    while the follower lives on and remembers more."""
    async with ledger(database_url) as (db, record, command_bus):
        follower = Follower(MESSAGE_HTML, record, db, owner="one")
        await make_history(command_bus, 1, 30)
        assert await follower.step() > 0
        assert follower.lease
        before, rows = follower.lease, await db.all(Html, SELECT_HTML)
        await make_history(command_bus, 2, 60)
        assert await follower.step() > 0
        # What a crash leaves: the rows and the checkpoint of the first batch.
        async with db.transaction() as crash:
            await crash.run("DELETE FROM read.message_html")
            for row in rows:
                await crash.run("INSERT INTO read.message_html (position, version, html) VALUES ($1, $2, $3)", *row)
            await crash.run("UPDATE read.checkpoints SET position = $1", before.position)
        if talk_goes_on:
            await make_history(command_bus, 3, 20)
        head = (await record.head()).position
        async with asyncio.timeout(30):
            while await checkpoints.position(db, MESSAGE_HTML.name) < head:
                await follower.step()
        (verdict,) = await Rebuild(MESSAGE_HTML, record, db, progress=lambda progress: None).run(swap=False)
        assert verdict.is_equal, verdict.sentence()


async def test_a_batch_whose_commit_was_not_heard_of_is_not_written_again(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        follower = Follower(MESSAGE_HTML, record, db, owner="one")
        await make_history(command_bus, 1, 60)
        assert await follower.step() > 0
        assert follower.lease
        heard_of = checkpoints.Lease(follower.lease.epoch, 0, follower.lease.version)
        follower.lease = heard_of
        assert await follower.step() == 0
        assert await checkpoints.position(db, MESSAGE_HTML.name) == (await record.head()).position


@pytest.fixture
async def lanes(redis_url: str) -> AsyncIterator[Lanes]:
    made = Lanes.open(redis_url, RecordId(uuid4()), 4)
    yield made
    await made.close()


async def test_a_lane_takes_every_position_once_and_in_order(lanes: Lanes) -> None:
    room = RoomId(uuid4())
    entries = [Entry(p, room, p - 1, b"f%d" % p, None) for p in range(1, 6)]
    await lanes.publish(entries[:3], published=3)
    await lanes.publish(entries, published=5)
    lane = lanes.lane_of(room)
    place, told = (await lanes.read({lane: "0-0"}))[lane]
    assert told == entries and place == "5-0"
    assert (await lanes.published(), await lanes.last(lane), await lanes.last(CONTROL)) == (5, "5-0", "0-0")


async def test_lanes_carry_whose_membership_ended_and_what_everybody_hears(lanes: Lanes) -> None:
    room, user = RoomId(uuid4()), uuid4()
    entries = [Entry(7, room, 3, b"gone", user), Entry(8, None, 0, b"control", None)]
    await lanes.publish(entries, published=8)
    told = await lanes.read({lanes.lane_of(room): "0-0", CONTROL: "0-0"})
    assert told[lanes.lane_of(room)][1] == entries[:1] and told[CONTROL][1] == entries[1:]


async def test_lanes_say_when_redis_is_away() -> None:
    nowhere = Lanes.open("unix:///nowhere/valkey.sock", RecordId(uuid4()), 4)
    with pytest.raises(LanesUnavailableError):
        await nowhere.published()
    await nowhere.close()


async def test_the_publisher_goes_on_where_it_was_and_after_a_flush_from_the_checkpoint(
    database_url: str, redis_url: str
) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        lanes = Lanes.open(redis_url, (await record.head()).record, 4)
        await make_history(command_bus, 5, 40)
        await project(record, db)
        handed = Publisher(record, db, lanes, LIVE)
        await handed.step()
        head = (await record.head()).position
        assert await lanes.published() is None, "nothing is behind the checkpoint of a first start"
        handed.hand_over(await record.after(0, limit=10_000))
        await handed.step()
        await make_history(command_bus, 6, 40)
        await project(record, db)
        # Another publisher, as after a crash: Redis does not know how far things are, so it begins at the checkpoint.
        await lanes.publish([], published=head)
        other = Publisher(record, db, lanes, LIVE)
        await other.step()
        told = [entry.position for lane in range(4) for entry in await entries_of(lanes, lane)]
        told_after = sorted(position for position in told if position > head)
        assert told_after == [position for position in await kept_on_lanes(record) if position > head]
        entries = [entry for lane in range(4) for entry in await entries_of(lanes, lane)]
        asked = [(entry.room_id, entry.position) for entry in entries if entry.room_id is not None]
        assert [entry.prev for entry in entries] == list(await record.previous_in_rooms(asked))
        redis = Redis.from_url(redis_url)
        await redis.delete(*[key async for key in redis.scan_iter(match=f"hansard:{(await record.head()).record}:*")])
        await redis.aclose()
        await Publisher(record, db, lanes, LIVE).step()
        await lanes.close()


@pytest.mark.parametrize("other_told", [True, False])
async def test_who_publishes_again_after_another_did_knows_what_rooms_heard_meanwhile(
    database_url: str, redis_url: str, other_told: bool
) -> None:
    """A `prev` that skips what was told in between would hide it from every hub that missed it."""
    async with ledger(database_url) as (db, record, command_bus):
        lanes = Lanes.open(redis_url, (await record.head()).record, 4)
        one, two = (Publisher(record, db, lanes, LIVE) for _ in range(2))
        await one.step()
        await two.step()
        place = 0
        for seed, publisher in ((5, one), (6, two if other_told else None), (7, one)):
            await make_history(command_bus, seed, 40)
            if publisher is not None:
                publisher.hand_over(await record.after(place, limit=10_000))
                await publisher.step()
            place = (await record.head()).position
        told = [entry for lane in range(4) for entry in await entries_of(lanes, lane)]
        assert sorted(entry.position for entry in told) == await kept_on_lanes(record)
        asked = [(entry.room_id, entry.position) for entry in told if entry.room_id is not None]
        assert [entry.prev for entry in told] == list(await record.previous_in_rooms(asked))
        await lanes.close()


async def kept_on_lanes(record: PostgresRecord) -> list[int]:
    """Return the positions of what rooms heard, but for the texts that left the lanes when their deletion was told."""
    recorded = await record.after(0, limit=10_000)
    deleted = {each.event.message_id for each in recorded if isinstance(each.event, MessageDeleted)}
    return [
        each.position for each in recorded
        if each.event.frame_room() is not None
        and not (isinstance(each.event, (MessagePosted, MessageEdited)) and each.event.message_id in deleted)
    ]  # fmt: skip


async def entries_of(lanes: Lanes, lane: int) -> list[Entry]:
    if await lanes.last(lane) == "0-0":
        return []
    return (await lanes.read({lane: "0-0"}))[lane][1]


async def test_followers_wait_out_a_database_that_is_away() -> None:
    with pytest.raises(RecordUnavailableError):
        await Database.open("postgresql://nobody@127.0.0.1:1/none")


@pytest.mark.parametrize(
    ("content", "html"),
    [
        ("hello", "<p>hello</p>\n"),
        ("", ""),
        ("**b** _i_ `c`", "<p><strong>b</strong> <em>i</em> <code>c</code></p>\n"),
        ("<b>raw</b>", "<p>&lt;b&gt;raw&lt;/b&gt;</p>\n"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        (
            "![x](https://x.example/a.png)",
            '<p>!<a href="https://x.example/a.png" rel="noopener noreferrer nofollow">x</a></p>\n',
        ),
        ("a & b < c", "<p>a &amp; b &lt; c</p>\n"),
        ("one\ntwo", "<p>one<br>\ntwo</p>\n"),
        ("1. one", "<ol>\n<li>one</li>\n</ol>\n"),
        ("# big", "<p># big</p>\n"),
    ],
)
def test_html_of_a_message(content: str, html: str) -> None:
    assert render(content) == html


async def test_the_doctor_names_read_tables_that_an_earlier_release_made(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = read({"HANSARD_DATABASE_URL": database_url})
    async with ledger(database_url) as (db, record, _):
        await project(record, db)
        assert await doctor(settings, ["projections"]) == 0
        await db.run("UPDATE read.checkpoints SET version = version - 1 WHERE name = 'message_html'")
        capsys.readouterr()
        assert await doctor(settings, ["projections"]) == 1
        said = capsys.readouterr().out
        assert "message_html was made by an earlier release: run 'hansard rebuild message_html'" in said
        await Rebuild(MESSAGE_HTML, record, db, progress=lambda progress: None).run(swap=True)
        assert await doctor(settings, ["projections"]) == 0


async def test_rows_that_a_crash_of_postgres_took_back_are_written_again(database_url: str) -> None:
    """Commits of rows need not wait for the disk: a crash may lose the last ones, while their owner lives on."""
    async with ledger(database_url) as (db, record, command_bus):
        follower = Follower(LIVE, record, db, owner="one")
        people = [UserId(uuid4()) for _ in range(4)]
        kept = 0
        for i, user_id in enumerate(people):
            await command_bus.do(
                RegisterAccount(user_id, f"{user_id}@example.com", f"u{user_id.hex[:9]}", "x"), Caller()
            )
            assert await follower.step() == 1
            kept = (await record.head()).position if i == 1 else kept
        # What is left after the crash: the tables and the checkpoint of an earlier commit.
        await db.run("DELETE FROM read.users WHERE id = ANY ($1::uuid[])", people[2:])
        await db.run("UPDATE read.checkpoints SET position = $1 WHERE name = 'live'", kept)
        last = UserId(uuid4())
        await command_bus.do(RegisterAccount(last, f"{last}@example.com", f"u{last.hex[:9]}", "x"), Caller())
        # Its owner sees that this is not where it was.
        while await follower.step() != 0:
            pass
        assert set(await db.all(UserId, "SELECT id FROM read.users")) == {*people, last}


async def test_what_waits_to_be_told_is_bounded_in_bytes(database_url: str, redis_url: str) -> None:
    """Few events of long texts are as much as many of short ones; past the bound they are read again when they are told."""
    async with ledger(database_url) as (db, record, command_bus):
        ada = await person(command_bus)
        room_id = await room_of(command_bus, ada)
        for _ in range(10):
            await command_bus.do(PostMessage(room_id, MessageId(uuid4()), "x" * MESSAGE_CHARS_MAX), ada)
        events = await record.after((await record.head()).position - 10, limit=10)
        lanes = Lanes.open(redis_url, (await record.head()).record, 16)
        publisher = Publisher(record, db, lanes, LIVE)
        batches = UNTOLD_BYTES_MAX // bytes_of(events)
        assert bytes_of(events) > 10 * MESSAGE_CHARS_MAX and batches * 10 < 20_000
        for _ in range(batches):
            publisher.hand_over(events)
        assert len(publisher._untold) == batches
        publisher.hand_over(events)
        assert not publisher._untold
        await lanes.close()
