"""The vault and what it seals: key files, wrapped keys, boxes that stay where they were put, and the form on the disk."""

import asyncio
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import pytest
from cryptography.exceptions import InvalidTag
from msgspec.structs import replace

from adapters.clock import now
from adapters.postgres.audit import AuditReader
from adapters.postgres.audit_index import Filter
from adapters.postgres.codec import StoredRow, decode_all
from adapters.postgres.data_keys import DATA_KEYS_CACHED_MAX, KEY_SECONDS, KeyName, Vault
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.key_news import KeyNews
from adapters.postgres.master_key import Master, MasterKeyWrongError, load_master
from commands import HANDLERS
from commands.account import GrantRole, RegisterAccount
from commands.audit import NoteAuditRead
from commands.command_bus import CommandBus
from commands.membership import RemoveMember
from commands.message import PostMessage
from domain.events import Caller, UnknownEvent, UnreadableEvent
from domain.ids import MessageId, RoomId, UserId
from domain.message import MessagePosted
from domain.ports.database import Db
from domain.ports.record import KeysMissingError
from projections import LIVE
from tests.commands.test_desk import person, room_of
from tests.commands.test_folds import as_owner
from tests.deployments import MASTER, ledger, running
from tests.record.test_record import post
from workers.projector import Follower
from workers.rebuild import Rebuild

SELECT_ROWS = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events ORDER BY position
"""
SELECT_BYTES = "SELECT data, meta FROM record.events WHERE position = $1"
GOLDEN = json.loads((Path(__file__).parent / "golden" / "sealed.json").read_text())


class Bytes(NamedTuple):
    data: bytes
    meta: bytes


def test_a_master_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    before = os.umask(0)
    try:
        with ThreadPoolExecutor(8) as threads:
            masters = list(threads.map(lambda _: load_master(path, create=True), range(8)))
    finally:
        os.umask(before)
    assert len({master.claim("email", "a@b.c") for master in masters}) == 1, "all found the first one's key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["master.key"]
    assert len(bytes.fromhex(path.read_text())) == 32


def test_what_a_crash_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    for name in (f"master.key.{os.getpid()}", "master.key.1"):
        (tmp_path / name).write_text("half a k")
    load_master(path, create=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_file_that_is_missing_or_broken_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyWrongError, match="There is no master key at"):
        load_master(tmp_path / "none", create=False)
    for content in ("", "00" * 31, "00" * 33, "no digits", "0" * 63):
        (tmp_path / "bad").write_text(content)
        with pytest.raises(MasterKeyWrongError, match="not 64 hexadecimal digits"):
            load_master(tmp_path / "bad", create=True)


def test_a_wrapped_key_opens_under_its_name_and_its_master_only() -> None:
    wrapped = MASTER.wrap(b"k" * 32, name=b"one")
    assert b"k" * 32 not in wrapped and MASTER.unwrap(wrapped, name=b"one") == b"k" * 32
    for master, name in ((MASTER, b"two"), (Master(b"another master key, 32 bytes, ok"), b"one")):
        with pytest.raises(MasterKeyWrongError):
            master.unwrap(wrapped, name=name)


async def test_another_master_key_reads_nothing_and_says_so(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        await record.append(post())
    async with ledger(database_url, master=Master(b"another master key, 32 bytes, ok")) as (_, record, _):
        with pytest.raises(MasterKeyWrongError):
            await record.after(0, limit=1)


async def test_keys_are_of_a_person_a_room_and_a_day(database_url: str) -> None:
    async with ledger(database_url) as (db, _, _):
        vaults = [Vault(db, MASTER) for _ in range(4)]
        ada, lobby, day = uuid4(), RoomId(uuid4()), date(2026, 11, 24)
        names = [KeyName(ada, lobby, day), KeyName(ada, None, day), KeyName(ada, lobby, date(2026, 11, 25))]
        await asyncio.gather(*(vault.make(names) for vault in vaults))
        assert await db.value("SELECT count(*) FROM vault.data_keys WHERE subject = $1", ada) == 3
        sealed = vaults[0].seal(names[0].id(), b"hello", b"bound")
        assert [vault.open(names[0].id(), sealed, b"bound") for vault in vaults] == [b"hello"] * 4
        for name, bound in ((names[0], b"elsewhere"), (names[1], b"bound"), (names[2], b"bound")):
            with pytest.raises(InvalidTag):
                vaults[0].open(name.id(), sealed, bound)
        assert vaults[0].seal(names[0].id(), b"hello", b"bound") != sealed, "every box has its own nonce"


async def test_no_box_opens_anywhere_else(database_url: str) -> None:
    async with ledger(database_url) as (db, record, _):
        await record.append(post("one"))
        await record.append(post("two"))
        one, two = await db.all(StoredRow, SELECT_ROWS)
        vault = Vault(db, MASTER)
        said, told = json.loads(one.data), json.loads(one.meta)
        for moved in (
            replace(one, stream=two.stream),
            replace(one, topic="message.edited"),
            replace(one, data=json.dumps(said | {"sealed": told["sealed"]}).encode()),
            replace(one, meta=json.dumps(told | {"sealed": said["sealed"]}).encode()),
            replace(one, meta=json.dumps(told | {"sealed": json.loads(two.meta)["sealed"]}).encode()),
            replace(one, meta=json.dumps(told | {"id": str(uuid4())}).encode()),
        ):
            [recorded] = await decode_all([moved], vault, whole_meta=True)
            assert recorded.event == UnreadableEvent(
                moved.topic, RoomId(moved.room_id) if moved.room_id else None, "not what was sealed"
            )
        (whole,) = await decode_all([one], vault, whole_meta=True)
        assert (whole.event.content, whole.meta.address) == ("one", "203.0.113.9")  # type: ignore[attr-defined]


async def test_an_entry_whose_key_is_destroyed_says_that_it_is_erased(database_url: str) -> None:
    async with ledger(database_url) as (_, record, _):
        await record.append(post("forget me"))
    superuser = await asyncpg.connect(database_url)
    await superuser.execute("UPDATE vault.data_keys SET wrapped = NULL")
    await superuser.close()
    async with ledger(database_url) as (db, _, _):
        entry = await AuditReader(db, Vault(db, MASTER)).entry(1)
        assert entry is not None and entry.erased
        assert (entry.data["content"], entry.address, entry.command) == ("", None, "PostMessage")


async def test_a_key_that_is_missing_is_no_erasure(database_url: str) -> None:
    """Half a restore: no text comes back as erased, no table is replaced by blanks, and readers are told a problem."""
    async with ledger(database_url) as (db, record, command_bus):
        ada = await person(command_bus)
        room_id = await room_of(command_bus, ada)
        await command_bus.do(PostMessage(room_id, MessageId(uuid4()), "still here"), ada)
        head = (await record.head()).position
        follower = Follower(LIVE, record, db, owner="one")
        await follower.step()
        lost = "DELETE FROM vault.data_keys RETURNING key_id, subject, room_id, day, wrapped"
        owner = await asyncpg.connect(database_url)
        kept = await owner.fetch(lost)
        async with ledger(database_url) as (db, record, other):
            for read in (
                record.after(0, limit=head),
                AuditReader(db, Vault(db, MASTER)).page(Filter(), after=0, limit=50),
                Rebuild(LIVE, record, db, progress=lambda progress: None).run(swap=True),
                other.do(PostMessage(room_id, MessageId(uuid4()), "decided on nothing"), ada),
            ):
                with pytest.raises(KeysMissingError, match="restore"):
                    await read
        assert await owner.fetchval("SELECT content FROM read.messages WHERE sender_id IS NOT NULL") == "still here"
        await owner.executemany(
            "INSERT INTO vault.data_keys (key_id, subject, room_id, day, wrapped) VALUES ($1, $2, $3, $4, $5)",
            [tuple(row) for row in kept],
        )
        await owner.close()
        async with ledger(database_url) as (db, record, _):
            verdicts = await Rebuild(LIVE, record, db, progress=lambda progress: None).run(swap=True)
            assert all(verdict.is_equal for verdict in verdicts)


async def test_after_an_erasure_the_same_subject_and_day_has_another_key(database_url: str) -> None:
    async with ledger(database_url) as (db, _, _):
        clock = [0.0]
        old, fresh = Vault(db, MASTER, lambda: clock[0]), Vault(db, MASTER)
        name = KeyName(uuid4(), None, date(2026, 11, 24))
        first = (await old.make([name]))[name]
        sealed = old.seal(first, b"hello", b"")
        owner = await asyncpg.connect(database_url)
        await owner.execute("UPDATE vault.data_keys SET wrapped = NULL WHERE key_id = $1", UUID(first))
        await owner.close()
        second = (await fresh.make([name]))[name]
        assert second != first and fresh.open(second, fresh.seal(second, b"again", b""), b"") == b"again"
        assert fresh.open(first, sealed, b"") is None
        clock[0] = KEY_SECONDS + 1
        assert (await old.make([name]))[name] == second, "no process seals under a destroyed key for long"
        assert old.open(first, sealed, b"") is None


async def test_a_destroyed_key_is_gone_at_once_in_every_process(database_url: str) -> None:
    """Long before keys expire, in a vault that has it at hand."""
    heard = asyncio.Event()
    async with ledger(database_url) as (db, _, _), ledger(database_url) as (other_db, _, _):
        one, other = Vault(db, MASTER), Vault(other_db, MASTER)
        name = KeyName(uuid4(), None, date(2026, 11, 24))
        first = (await one.make([name]))[name]
        await other.make([name])
        sealed = one.seal(first, b"hello", b"")
        async with running(KeyNews(other_db.url, other.hear, heard.set).run()):
            await asyncio.wait_for(heard.wait(), 10)  # it listens
            await other.gather([first])
            assert other.open(first, sealed, b"") == b"hello"
            heard.clear()
            await as_owner(database_url, ("UPDATE vault.data_keys SET wrapped = NULL WHERE key_id = $1", UUID(first)))
            await asyncio.wait_for(heard.wait(), 10)
            assert (await other.make([name]))[name] != first
            await other.gather([first])
            assert other.open(first, sealed, b"") is None


async def test_news_that_nobody_heard_are_made_good_on_the_next_connection(database_url: str) -> None:
    heard = asyncio.Event()
    async with ledger(database_url) as (db, _, _):
        vault, name = Vault(db, MASTER), KeyName(uuid4(), None, date(2026, 11, 24))
        first = (await vault.make([name]))[name]
        async with running(KeyNews(db.url, vault.hear, heard.set).run()):
            await asyncio.wait_for(heard.wait(), 10)
            await vault.make([name])
            heard.clear()
            await as_owner(
                database_url,
                ("ALTER TABLE vault.data_keys DISABLE TRIGGER tell_gone",),
                ("UPDATE vault.data_keys SET wrapped = NULL",),
                ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%hansard_keys%'",),
            )
            await asyncio.wait_for(heard.wait(), 10)
            assert (await vault.make([name]))[name] != first


async def test_who_is_woken_by_appends_hears_of_destroyed_keys_by_the_same_connection(database_url: str) -> None:
    destroy = ("UPDATE vault.data_keys SET wrapped = NULL",)
    async with ledger(database_url) as (_, record, _), asyncio.timeout(30), record.wakes() as wakes:
        await anext(wakes)
        vault, name = record._vault, KeyName(uuid4(), None, date(2026, 11, 24))
        first = (await vault.make([name]))[name]
        await as_owner(database_url, destroy)
        while (second := (await vault.make([name]))[name]) == first:
            await asyncio.sleep(0.01)
        await as_owner(
            database_url,
            ("ALTER TABLE vault.data_keys DISABLE TRIGGER tell_gone",),
            destroy,
            ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%hansard_keys%'",),
        )
        while (await vault.make([name]))[name] == second:
            await anext(wakes)


async def test_no_other_key_takes_the_place_of_one_that_is_missing(database_url: str) -> None:
    """Of today, whose subject goes on writing: it would leave what the first one sealed unreadable, restored or not."""
    async with ledger(database_url) as (db, _, _):
        name = KeyName(uuid4(), None, date(2026, 11, 24))
        key_id = (await Vault(db, MASTER).make([name]))[name]
        owner = await asyncpg.connect(database_url)
        [row] = await owner.fetch("DELETE FROM vault.data_keys RETURNING key_id, subject, room_id, day, wrapped")
        with pytest.raises(KeysMissingError, match="restore"):
            await Vault(db, MASTER).make([name])
        await owner.execute("INSERT INTO vault.data_keys VALUES ($1, $2, $3, $4, $5)", *row)
        await owner.close()
        assert (await Vault(db, MASTER).make([name]))[name] == key_id


class SlowDb:
    """The vault's database, which answers when it is let."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self.answers = asyncio.Event()
        self.asked = asyncio.Event()
        self.answers.set()

    async def all(self, *asked: Any) -> list[Any]:
        self.asked.set()
        await self.answers.wait()
        return await self._db.all(*asked)

    async def run(self, *asked: Any) -> str:
        return await self._db.run(*asked)


async def test_a_key_that_somebody_reads_anew_is_missing_for_nobody_else(database_url: str) -> None:
    """Who gathered it has it at hand while another one's read, because it expired, is under way."""
    async with ledger(database_url) as (db, _, _):
        clock, slow = [0.0], SlowDb(db)
        vault, name = Vault(slow, MASTER, lambda: clock[0]), KeyName(uuid4(), None, date(2026, 11, 24))  # type: ignore[arg-type]
        key_id = (await vault.make([name]))[name]
        sealed = vault.seal(key_id, b"hello", b"")
        clock[0] = KEY_SECONDS + 1
        slow.answers.clear()
        slow.asked.clear()
        reading = asyncio.create_task(vault.gather([key_id]))
        await slow.asked.wait()
        assert vault.open(key_id, sealed, b"") == b"hello"
        slow.answers.set()
        await reading


async def test_a_batch_of_more_keys_than_are_kept_evicts_none_of_its_own(database_url: str) -> None:
    async with ledger(database_url) as (db, _, _):
        vault = Vault(db, MASTER)
        names = [KeyName(uuid4(), None, date(2026, 11, 24)) for _ in range(DATA_KEYS_CACHED_MAX + 500)]
        keys = await vault.make(names)
        assert len({vault.seal(key_id, b"", b"") for key_id in keys.values()}) == len(names)


async def test_topics_of_later_versions_and_of_others_are_passed_over(database_url: str) -> None:
    superuser = await asyncpg.connect(database_url)
    room_id, meta = uuid4(), json.dumps({"id": str(uuid4()), "command": "Later", "unheard": True}).encode()
    for position, data in enumerate((b'{"more":1,"sealed":{"later":"form"}}', b"[1]", b"\x00\xff no JSON"), 1):
        await superuser.execute(
            "INSERT INTO record.events VALUES ($1, gen_random_uuid(), 1, 'later.topic', $2, $3, $4, now())",
            position, data, meta, room_id,
        )  # fmt: skip
    await superuser.close()
    async with ledger(database_url) as (_, record, _):
        await record.append(post())
        events = await record.after(0, limit=10)
        assert [recorded.event for recorded in events[:3]] == [UnknownEvent("later.topic", RoomId(room_id))] * 3
        assert isinstance(events[3].event, MessagePosted) and events[3].position == 4


async def test_what_was_sealed_by_the_first_version_still_opens(database_url: str) -> None:
    """Key derivation, wrapping, associated data and base64 are for ever: a golden row of the first version proves it."""
    superuser = await asyncpg.connect(database_url)
    key, row = GOLDEN["key"], GOLDEN["row"]
    await superuser.execute(
        "INSERT INTO vault.data_keys (key_id, subject, room_id, day, wrapped) VALUES ($1, $2, $3, $4, $5)",
        UUID(key["key_id"]), UUID(key["subject"]), UUID(key["room_id"]), date.fromisoformat(key["day"]),
        bytes.fromhex(key["wrapped"]),
    )  # fmt: skip
    await superuser.execute(
        "INSERT INTO record.events VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        1, UUID(row["stream"]), 1, row["topic"], row["data"].encode(), row["meta"].encode(), UUID(row["room_id"]),
        datetime(2026, 11, 24, 12, tzinfo=UTC),
    )  # fmt: skip
    await superuser.close()
    async with ledger(database_url) as (_, record, _):
        (recorded,) = await record.after(0, limit=1)
    assert isinstance(recorded.event, MessagePosted) and not recorded.erased
    assert recorded.event.content == "Golden words: ä 𝄞"
    name = KeyName(UUID(key["subject"]), RoomId(UUID(key["room_id"])), date.fromisoformat(key["day"]))
    assert name.id() == key["key_id"], "the same name finds the same key"
    assert MASTER.claim("email", "ada@example.com").hex() == GOLDEN["claim"]


async def test_an_audit_read_of_before_is_still_read(database_url: str) -> None:
    """Its filter and request id stand in plain, and its reason under the auditor's key."""
    key, row = GOLDEN["audit_read"]["key"], GOLDEN["audit_read"]["row"]
    superuser = await asyncpg.connect(database_url)
    await superuser.execute(
        "INSERT INTO vault.data_keys (key_id, subject, day, wrapped) VALUES ($1, $2, $3, $4)",
        UUID(key["key_id"]), UUID(key["subject"]), date.fromisoformat(key["day"]), bytes.fromhex(key["wrapped"]),
    )  # fmt: skip
    await superuser.execute(
        "INSERT INTO record.events VALUES (1, $1, 1, $2, $3, $4, NULL, now())",
        UUID(row["stream"]), row["topic"], row["data"].encode(), row["meta"].encode(),
    )  # fmt: skip
    await superuser.close()
    async with ledger(database_url) as (db, _, _):
        entry = await AuditReader(db, Vault(db, MASTER)).entry(1)
    assert entry is not None and not entry.erased
    assert entry.data["filter"] == f"/api/v1/audit/events?subject={UUID(int=1)}"
    assert (entry.correlation, entry.reason) == ("req-1", "why, of old")
    assert (entry.address, entry.agent) == ("203.0.113.9", "agent/1")


async def test_what_is_said_of_a_person_is_sealed_under_their_key_and_goes_with_it(database_url: str) -> None:
    destroy = "UPDATE vault.data_keys SET wrapped = NULL WHERE subject = $1"
    async with ledger(database_url) as (db, _, command_bus):
        ada, auditor = await person(command_bus), await person(command_bus)
        assert ada.user_id and auditor.user_id
        await command_bus.do(GrantRole(auditor.user_id, "auditor"), Caller())
        said = {"correlation": "request-17", "address": "203.0.113.9", "agent": "agent/2", "reason": "she is suspected"}
        filter = f"/audit/events?subject={ada.user_id}"
        outcome = await command_bus.do(NoteAuditRead(filter, ada.user_id), replace(auditor, **said))
        [[data, meta]] = await db.all(Bytes, SELECT_BYTES, outcome.position)
        for text in (*said.values(), filter):
            assert text.encode() not in data + meta
        for erased, expected in (
            (None, (said, filter)),
            (auditor.user_id, ({**dict.fromkeys(said), "reason": said["reason"]}, filter)),
            (ada.user_id, (dict.fromkeys(said), "")),
        ):
            await as_owner(database_url, (destroy, erased or uuid4()))
            entry = await AuditReader(db, Vault(db, MASTER)).entry(outcome.position)
            assert entry is not None
            assert ({name: getattr(entry, name) for name in said}, entry.data["filter"]) == expected
        assert entry is not None
        assert (entry.actor, entry.data["person"], entry.erased) == (auditor.user_id, str(ada.user_id), True)


async def test_why_somebody_was_removed_is_sealed_under_their_key(database_url: str) -> None:
    async with ledger(database_url) as (db, _, command_bus):
        ada, ben = await person(command_bus), await person(command_bus)
        assert ada.user_id and ben.user_id
        room_id = await room_of(command_bus, ada, ben)
        outcome = await command_bus.do(RemoveMember(room_id, ben.user_id), replace(ada, reason="he was rude"))
        before = await AuditReader(db, Vault(db, MASTER)).entry(outcome.position)
        await as_owner(database_url, ("UPDATE vault.data_keys SET wrapped = NULL WHERE subject = $1", ben.user_id))
        after = await AuditReader(db, Vault(db, MASTER)).entry(outcome.position)
        assert before is not None and after is not None
        assert (before.reason, after.reason) == ("he was rude", None)


@dataclass(frozen=True)
class Asked:
    """A filter, and the positions that it finds among those written below."""

    filter: Filter
    positions: list[int]


async def test_the_audit_reader_filters_and_pages(database_url: str) -> None:
    async with ledger(database_url) as (db, record, _):
        events: list[Any] = [(await record.append(post(str(i)))) for i in range(5)]
        reader = AuditReader(db, Vault(db, MASTER))
        second = events[1].events[0]
        sender, room_id = second.event.sender_id, second.event.room_id
        for asked in (
            Asked(Filter(), [1, 2, 3, 4, 5]),
            Asked(Filter(actor=sender, room=room_id, subject=sender, type="message.posted"), [1, 2, 3, 4, 5]),
            Asked(Filter(actor=uuid4()), []),
            Asked(Filter(room=uuid4()), []),
            Asked(Filter(subject=uuid4()), []),
            Asked(Filter(type="room.opened"), []),
            Asked(Filter(from_=second.at), [2, 3, 4, 5]),
            Asked(Filter(to=second.at), [1]),
        ):
            page = await reader.page(asked.filter, after=0, limit=10)
            assert ([entry.position for entry in page.entries], page.next_after) == (asked.positions, None), asked
        seen: list[int] = []
        after: int | None = 0
        while after is not None:
            page = await reader.page(Filter(), after=after, limit=2)
            seen += [entry.position for entry in page.entries]
            after = page.next_after
        assert seen == [1, 2, 3, 4, 5]
        assert await reader.entry(6) is None


@pytest.mark.parametrize("days", [-3, 3])
async def test_the_day_of_a_key_is_that_of_the_records_clock(database_url: str, days: int) -> None:
    """A process whose clock is days off seals under the day on which the event was recorded, so that who destroys the keys of a
    time, or holds them, meets the events of that time."""
    async with ledger(database_url) as (db, _, _):
        wrong = PostgresRecord(db, Vault(db, MASTER), now=lambda: now() + timedelta(days=days), chance=os.urandom)
        bus = CommandBus(wrong, HANDLERS, now=now, chance=os.urandom)
        async with running(wrong.run()):
            outcome = await bus.do(RegisterAccount(UserId(uuid4()), "a@example.com", "ada", "x"), Caller())
        assert await db.value("SELECT DISTINCT day FROM vault.data_keys") == outcome.events[0].at.date()
