"""Erasure as a whole: nothing that a person left is found anywhere afterwards, the record is whole, and the certificate says so."""

import asyncio
import os
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import pysequoia
import pytest
import pytest_asyncio
from msgspec import Struct
from structlog.processors import JSONRenderer

from adapters.clock import now
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_entries import EventEntries
from adapters.postgres.event_store import PostgresRecord
from adapters.postgres.key_destruction import live_keys
from adapters.postgres.tiles import TileStore
from commands.account import Activate, GrantRole
from commands.erasure import CondemnKeys, EraseMessage, EraseReaction, RequestErasure, sealed_by
from commands.export import BeginExport
from commands.hold import PlaceHold, ReleaseHold
from domain.account import ACCOUNT
from domain.approval import FourEyes, approval_key
from domain.erasure import ERASURE, HeldBackError
from domain.errors import AccountErasedError
from domain.events import Caller
from domain.hold import HOLD_GRACE_DAYS, HoldId
from domain.ids import MessageId, RoomId, UserId
from domain.leaf import PREFIX
from domain.merkle import includes, leaf_hash
from domain.tree_head import read_note, read_tree_head
from projections import LIVE, MESSAGE_HTML, NOTIFICATIONS, exports
from tests.conftest import Servers, fresh_database
from tests.deployments import MASTER, PASSWORD, Person, as_login, logged, until
from tests.erasure import scans
from tests.erasure.deployments import House, ask_erasure, house
from tests.erasure.planting import planted
from tests.exports.deployments import ALL, Exporting, export_worker, exported, opened
from tests.files.deployments import ended
from tests.files.pictures import png
from workers.erasing import Eraser
from workers.rebuild import Rebuild
from workers.verification import Note, Verification

pytestmark = pytest.mark.asyncio(loop_scope="module")
LET_GO = "UPDATE files.holds SET until = clock_timestamp() - interval '1 second' WHERE NOT condemned"
STEPS_MAX = 60


class Home(NamedTuple):
    house: House
    owner: asyncpg.Connection
    url: str
    redis_url: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(servers: Servers) -> AsyncIterator[Home]:
    async with fresh_database(servers) as url, house(url, servers.redis_url) as made:
        owner = await asyncpg.connect(url)
        yield Home(made, owner, url, servers.redis_url)
        await owner.close()


async def erased(home: Home) -> None:
    """Do all that there is to be erased now."""
    await home.owner.execute(LET_GO)  # what was uploaded lately is held against the sweeper
    await settled(home)
    async with asyncio.timeout(60):
        while not await home.house.eraser.step(at_once=True):
            pass


async def settled(home: Home) -> None:
    """Wait until the tables have what was recorded."""
    await home.house.hansard.settled()


async def seen(home: Home, erasure_id: UUID) -> dict[str, Any]:
    await settled(home)  # the server waits for people who have logged in
    answer = await home.house.hansard.client().get(f"/erasures/{erasure_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def package(home: Home) -> bytes:
    """Have an export of everything in all formats made now, and fetch it."""
    hansard, auditor = home.house.hansard, await granted(home, "auditor")
    async with export_worker(home.url, home.redis_url, hansard.services.blobs) as worker:
        made = await exported(Exporting(hansard, worker, home.house.notary, "", worker._source, auditor), formats=ALL)
    assert "manifest.json" in opened(made).namelist()
    return made


async def granted(home: Home, role: Any) -> Person:
    person = await home.house.hansard.person()
    await home.house.hansard.services.command_bus.do(GrantRole(UserId(UUID(person.id)), role), Caller())
    return person


async def test_pages_that_a_gateway_keeps_hold_nothing_of_who_is_erased(home: Home) -> None:
    hansard = home.house.hansard
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room(ben)
    await ada.say(room_id, "what she said")
    kept = hansard.services.kept_pages
    kept.seconds = 3600.0
    for _ in range(3):
        page = await ben.http.get(f"/rooms/{room_id}/messages")
    assert b"what she said" in page.content and kept.bytes
    await ask_erasure(ada)
    await erased(home)

    async def is_empty() -> bool:
        return kept.bytes == 0

    await until(is_empty)
    assert b"what she said" not in (await ben.http.get(f"/rooms/{room_id}/messages")).content


async def test_none_of_fifty_phrases_is_anywhere_after_an_erasure(home: Home) -> None:
    with logged(JSONRenderer()) as written:
        made = await planted(home.house.hansard)
        await home.house.hansard.settled(groups=(LIVE.name, MESSAGE_HTML.name))
        before = await scans.in_tables(home.owner, made.phrases)
        assert {"read.messages", "read.message_html", "read.users", "read.files", "read.sessions"} <= before.keys()
        assert len(set().union(*before.values())) > 30 and await scans.in_redis(home.redis_url, made.phrases)
        assert scans.in_files(home.house.blobs, made.phrases), "the scans find what is there"
        assert len(set().union(*scans.in_package(await package(home), made.phrases).values())) > 30
        erasure_id = await ask_erasure(made.person)
        await erased(home)
        assert await scans.in_tables(home.owner, made.phrases) == {}
        assert await scans.in_heap(home.owner, made.phrases) == {}
        assert await scans.in_reach_of_the_log(home.owner, made.phrases) == set()
        assert await scans.in_redis(home.redis_url, made.phrases) == {}
        assert scans.in_files(home.house.blobs, made.phrases) == {}
        assert scans.in_package(await package(home), made.phrases) == {}, "exports that are made afterwards"
    assert scans.phrases_in(written.getvalue().encode(), made.phrases) == set()
    certificate = (await seen(home, erasure_id))["certificate"]
    counts = {name: certificate[name] for name in ("messages", "files", "reactions", "hold_ids")}
    assert counts == {"messages": len(made.messages), "files": 2, "reactions": 1, "hold_ids": []}
    assert certificate["keys"] >= 4 and "backups" in {each["code"] for each in certificate["unreached"]}


async def test_others_see_tombstones_and_nobody_in_their_place(home: Home) -> None:
    ada, ben = await home.house.hansard.person(), await home.house.hansard.person()
    room_id = await ben.room(ada)
    said, kept = await ada.say(room_id, "hers"), await ben.say(room_id, "his")
    await ask_erasure(ada)
    await erased(home)
    page = await ben.ask("GET", f"/rooms/{room_id}/messages", 200)
    texts = {each["id"]: (each["content"], each["deleted"]) for each in page["items"] if each["sender_id"]}
    assert texts == {said["id"]: ("", True), kept["id"]: ("his", False)}
    await ben.ask("GET", f"/users/{ada.id}", 404)
    assert (await ben.ask("GET", f"/users?ids={ada.id},{ben.id}", 200))["items"][0]["id"] == ben.id
    again = await home.house.hansard.client().post("/auth/login", json={"email": ada.email, "password": PASSWORD})
    assert again.status_code == 401 and (await ada.http.get("/users/me")).status_code == 401
    same = {"email": ada.email, "username": ada.username, "password": PASSWORD}
    assert (await home.house.hansard.client().post("/auth/register", json=same)).status_code == 201
    with pytest.raises(AccountErasedError):
        await home.house.hansard.services.command_bus.do(Activate(UserId(UUID(ada.id))), Caller())


async def test_no_process_remembers_what_it_folded(home: Home) -> None:
    ada, services = await home.house.hansard.person(), home.house.hansard.services
    stream = ACCOUNT.id(UserId(UUID(ada.id)))
    await ask_erasure(ada)
    cached = services.command_bus.cached(ACCOUNT, stream)
    assert cached is not None and cached.state is not None and cached.state.email == ada.email
    await erased(home)
    await until(lambda: asyncio.sleep(0, services.command_bus.cached(ACCOUNT, stream) is None))


async def test_the_certificate_stands_in_the_tree_that_was_signed(home: Home) -> None:
    ada = await home.house.hansard.person()
    erasure_id = await ask_erasure(ada)
    await erased(home)

    async def is_signed() -> bool:
        return (await seen(home, erasure_id))["certificate"]["proof"] is not None

    await until(is_signed)
    certificate = (await seen(home, erasure_id))["certificate"]
    lines, note = certificate["proof"].split("\n\n", 1)
    _, extra, index, *hashes = lines.split("\n")
    entry = sha256(PREFIX + b64decode(certificate["row"])).digest()
    assert b64decode(extra.removeprefix("extra ")) == entry, "the row that is told is the one that was hashed"
    head = read_tree_head(read_note(note)[0])
    at = int(index.removeprefix("index "))
    assert at == certificate["position"] - 1
    assert includes(leaf_hash(entry), at, head.size, [b64decode(each) for each in hashes], head.root)
    assert str(erasure_id).encode() in b64decode(certificate["row"])


async def test_the_record_is_whole_and_a_rebuild_makes_the_same_rows(home: Home) -> None:
    made = await planted(home.house.hansard)
    picture = (await made.person.upload(png(300, 300), "picture.png"))["id"]
    assert (await ended(made.person, picture))["variants"]
    await ask_erasure(made.person)
    await erased(home)
    operator = await Database.open(as_login(home.url, "operator"), size=4)
    record = PostgresRecord(operator, Vault(operator, MASTER), now=now, chance=os.urandom)
    for group in (LIVE, MESSAGE_HTML, NOTIFICATIONS):
        verdicts = await Rebuild(group, record, operator, progress=lambda progress: None).run(swap=False)
        assert [verdict.table for verdict in verdicts if not verdict.is_equal] == []
    events, store = EventEntries(operator), TileStore(operator)
    checkpoint = (await home.house.hansard.client().get("/audit/checkpoint")).text
    key = home.house.notary._key.verifier
    judgement = await Verification(events, store, key, [Note("here", checkpoint)], lambda at, of: None).judge()
    assert judgement.findings == [] and judgement.size > 0
    await operator.close()


async def test_it_goes_on_after_a_death_at_any_step(home: Home) -> None:
    """Somebody is erased while the process dies before and after each thing that it does; then another goes on."""
    ada, ben = await home.house.hansard.person(), await home.house.hansard.person()
    room_id = await ben.room(ada)
    for number in range(3):
        await ada.say(room_id, f"{number}")
    await ended(ada, (await ada.upload(b"some bytes of hers", "hers.txt"))["id"])  # so that nobody holds them anew
    erasure_id = await ask_erasure(ada)
    await home.owner.execute(LET_GO)
    await settled(home)  # an eraser that does not see it yet does nothing, step after step
    bus, do = home.house.bus, home.house.bus.do
    topics = "SELECT count(*) FROM record.events WHERE topic = $1 AND stream = $2"
    stream = ERASURE.id(UserId(UUID(ada.id)))
    step = left = 0

    async def dies(command: Struct, caller: Caller, *more: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        done = await do(command, caller, *more)
        if left == 1 and step % 2:
            raise Killed  # it was recorded, and nobody heard
        return done

    for step in range(1, STEPS_MAX):
        left = step
        bus.do = dies  # type: ignore[method-assign, assignment]
        try:
            with suppress(Killed, ExceptionGroup):
                await Eraser(home.house.world).step(at_once=True)
        finally:
            bus.do = do  # type: ignore[method-assign]
        if await home.owner.fetchval(topics, "erasure.completed", stream):
            break  # maybe by one who died and told nobody
    assert 3 < step < STEPS_MAX - 1
    certificate = (await seen(home, erasure_id))["certificate"]
    assert (certificate["messages"], certificate["files"]) == (3, 1)
    assert await home.owner.fetchval(topics, "erasure.completed", stream) == 1
    alive = "SELECT count(*) FROM vault.data_keys WHERE subject = $1 AND wrapped IS NOT NULL"
    assert await home.owner.fetchval(alive, UUID(ada.id)) == 0


class Killed(BaseException):
    """The process is gone."""


async def steps_under(home: Home, user_id: UserId, room_id: RoomId, message_id: MessageId) -> list[Struct]:
    """Return the steps that concern a room, as a round takes them."""
    keys = [key for key in await live_keys(home.house.world.db, user_id) if key.room_id == room_id]
    return [
        EraseMessage(message_id),
        EraseReaction(user_id, room_id, message_id, 1, "👍", now()),
        CondemnKeys(user_id, tuple(sealed_by(key.key_id, key.room_id, key.day) for key in keys)),
    ]


async def test_a_hold_beats_it_and_it_goes_on_once_the_hold_is_released(home: Home) -> None:
    ada, ben = await home.house.hansard.person(), await home.house.hansard.person()
    held, free = await ben.room(ada), await ben.room(ada)
    kept, gone = await ada.say(held, "kept for the court"), await ada.say(free, "kept for nobody")
    manager = await granted(home, "records_manager")
    by, hold_id = Caller(UserId(UUID(manager.id))), HoldId(uuid4())
    await home.house.bus.do(PlaceHold(hold_id, "matter", rooms=(RoomId(UUID(held)),)), by)
    asked = await ada.ask("DELETE", "/users/me", 202, json={"password": PASSWORD})
    assert (asked["status"], asked["held_by"]) == ("waiting", [str(hold_id)])
    for step in await steps_under(home, UserId(UUID(ada.id)), RoomId(UUID(held)), MessageId(UUID(kept["id"]))):
        with pytest.raises(HeldBackError):  # a round that looked before the hold was placed
            await home.house.bus.do(step, Caller())
    erasure_id = UUID(asked["erasure_id"])
    await settled(home)
    assert await home.house.eraser.step(at_once=True) == 0
    await settled(home)
    assert (await ben.ask("GET", f"/messages/{kept['id']}", 200))["content"] == "kept for the court"
    assert (await ben.ask("GET", f"/messages/{gone['id']}", 200))["deleted"] is True
    waiting = await seen(home, erasure_id)
    assert (waiting["status"], waiting["held_by"], waiting["certificate"]) == ("waiting", [str(hold_id)], None)
    rooms = "SELECT room_id FROM vault.data_keys WHERE subject = $1 AND wrapped IS NOT NULL"
    assert [row[0] for row in await home.owner.fetch(rooms, UUID(ada.id))] == [UUID(held)]
    await home.house.bus.do(ReleaseHold(hold_id), by)
    assert await home.house.eraser.step(at_once=True) == 0, "a release may be a mistake"
    clock = home.house.bus.now
    home.house.bus.now = lambda: clock() + timedelta(days=HOLD_GRACE_DAYS, minutes=1)
    try:
        await erased(home)
    finally:
        home.house.bus.now = clock
    done = await seen(home, erasure_id)
    assert (done["status"], done["certificate"]["hold_ids"]) == ("completed", [str(hold_id)])
    assert [row[0] for row in await home.owner.fetch(rooms, UUID(ada.id))] == []


async def test_those_that_wait_keep_no_other_one_waiting(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A matter may be open for years, with more people in it than are looked at at once."""
    monkeypatch.setattr("workers.erasing.ERASURES_AT_ONCE", 1)
    keeper = await granted(home, "records_manager")
    held, awaiting, free = [await home.house.hansard.person() for _ in range(3)]
    hold_id, caller = HoldId(uuid4()), Caller(UserId(UUID(keeper.id)), reason="matter 9")
    await home.house.bus.do(PlaceHold(hold_id, "matter 9", persons=(UserId(UUID(held.id)),)), caller)
    asked = [await ask_erasure(held)]
    admin = Caller(UserId(UUID((await granted(home, "admin")).id)), reason="a letter")
    command = RequestErasure(UserId(UUID(awaiting.id)), uuid4(), four_eyes=FourEyes(frozenset(["erasure"])))
    await home.house.hansard.services.command_bus.do(command, admin)
    asked += [command.erasure_id, await ask_erasure(free)]
    await settled(home)
    async with asyncio.timeout(60):
        for _ in range(STEPS_MAX):
            if await home.house.eraser.step():
                break
    assert [(await seen(home, each))["status"] for each in asked] == ["waiting", "waiting", "completed"]
    await home.house.bus.do(ReleaseHold(hold_id), caller)


async def test_only_oneself_with_the_password_or_an_admin_with_a_reason_may_ask(home: Home) -> None:
    ada, ben, admin = await home.house.hansard.person(), await home.house.hansard.person(), await granted(home, "admin")
    why = {"headers": {"Hansard-Reason": "she wrote us a letter"}}
    refused = await ada.ask("DELETE", "/users/me", 403, json={"password": "not that"})
    assert refused["code"] == "auth.wrong_password"
    await ben.ask("POST", f"/users/{ada.id}/erasure", 403, **why)
    await admin.ask("POST", f"/users/{ada.id}/erasure", 422)
    await admin.ask("POST", f"/users/{uuid4()}/erasure", 404, **why)
    first = await admin.ask("POST", f"/users/{ada.id}/erasure", 202, **why)
    assert (await ada.http.get("/users/me")).status_code == 401
    again = await admin.ask("POST", f"/users/{ada.id}/erasure", 202, **why)
    assert first == again and first["status"] == "running"
    await erased(home)
    third = await admin.ask("POST", f"/users/{ada.id}/erasure", 202, **why)
    assert third == {**first, "status": "completed"}
    assert (await home.house.hansard.client().get(f"/erasures/{uuid4()}")).status_code == 404


async def test_exports_that_are_kept_here_are_recalled(home: Home) -> None:
    """One that is being made has read some of the words already: it ends too, and is asked for again."""
    ada, auditor = await home.house.hansard.person(), await granted(home, "auditor")
    why = {"Hansard-Reason": "matter 17"}
    asked = await auditor.ask("POST", "/audit/exports", 202, json={"formats": ["jsonl"]}, headers=why)
    await exports.tell(home.house.world.db, UUID(asked["id"]), run_by="a worker", progress=0.5, messages=1)
    await home.house.bus.do(BeginExport(UUID(asked["id"])), Caller())
    await ask_erasure(ada)
    await erased(home)
    ended = await auditor.ask("GET", f"/audit/exports/{asked['id']}", 200, headers=why)
    assert (ended["status"], ended["error"]) == ("failed", "recalled")


async def test_an_auditors_own_key_for_exports_goes_with_them(home: Home) -> None:
    """It says their name and their address; what they asked for and is not made yet ends, and is never made without it."""
    auditor, why = await granted(home, "auditor"), {"Hansard-Reason": "matter 17"}
    with pytest.warns(DeprecationWarning, match="generate"):
        key = str(pysequoia.Cert.generate("Ada of the auditors <ada@auditors.example>"))
    line = max(key.splitlines(), key=len).lower()
    phrases = {"ada of the auditors", "ada@auditors.example", line}
    body = {"formats": ["jsonl"], "recipient": key}
    queued, cancelled = [await auditor.ask("POST", "/audit/exports", 202, json=body, headers=why) for _ in range(2)]
    await auditor.ask("POST", f"/audit/exports/{cancelled['id']}/cancel", 200, headers=why)
    assert (await scans.in_tables(home.owner, phrases))["read.exports"] == phrases
    await ask_erasure(auditor)
    await erased(home)
    assert await scans.in_tables(home.owner, phrases) == {}
    rows = [await exports.of(home.house.world.db, UUID(each["id"])) for each in (queued, cancelled)]
    assert [(row.state, row.requested.recipient) for row in rows if row] == [("failed", ""), ("cancelled", "")]


async def test_exports_that_are_asked_for_afterwards_are_not_recalled(home: Home) -> None:
    """An erasure that waits, until nobody holds the bytes of a package of before, goes round and round meanwhile."""
    ada = await home.house.hansard.person()
    await ada.say(await ada.room(), "in both")
    await package(home)
    erasure_id = await ask_erasure(ada)
    await settled(home)
    assert await home.house.eraser.step(at_once=True) == 0
    await package(home)
    made = (await exports.newest(home.house.world.db, limit=2))[::-1]
    assert await home.house.eraser.step(at_once=True) == 0
    states = [row.state for each in made if (row := await exports.of(home.house.world.db, each.id))]
    assert states == ["expired", "completed"] and (await seen(home, erasure_id))["status"] == "running"
    await erased(home)
    assert (await seen(home, erasure_id))["status"] == "completed"


async def test_with_four_eyes_an_admins_waits_for_somebody_else_and_ones_own_does_not(home: Home) -> None:
    admin, keeper = await granted(home, "admin"), await granted(home, "records_manager")
    caller = Caller(UserId(UUID(admin.id)), reason="she wrote us a letter")
    why = {"headers": {"Hansard-Reason": "I read the letter"}}
    people = [await home.house.hansard.person() for _ in range(3)]
    ids = {}
    for person in people:
        command = RequestErasure(UserId(UUID(person.id)), uuid4(), four_eyes=FourEyes(frozenset(["erasure"])))
        await home.house.hansard.services.command_bus.do(command, caller)
        ids[person] = command.erasure_id
    approved, refused, impatient = people
    await settled(home)
    assert await home.house.eraser.step(at_once=True) == 0
    assert [(await seen(home, ids[person]))["status"] for person in people] == ["waiting"] * 3
    await approved.ask("GET", "/users/me", 200)
    await admin.ask("POST", f"/approvals/{approval_key('erasure', ids[approved])}/approve", 403, **why)
    await keeper.ask("POST", f"/approvals/{approval_key('erasure', ids[approved])}/approve", 200, **why)
    await keeper.ask("POST", f"/approvals/{approval_key('erasure', ids[refused])}/refuse", 200, **why)
    own = await ask_erasure(impatient)
    assert own != ids[impatient]
    await settled(home)
    while (await seen(home, own))["status"] != "completed" or (await seen(home, ids[approved]))[
        "status"
    ] != "completed":
        await erased(home)
    assert [(await seen(home, ids[person]))["status"] for person in people] == ["completed", "cancelled", "cancelled"]
    await refused.ask("GET", "/users/me", 200)
    assert (await approved.http.get("/users/me")).status_code == 401
    assert await ask_erasure(refused) != ids[refused], "what was refused to somebody else is still theirs to ask"
