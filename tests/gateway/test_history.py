"""Rooms whose history begins for each member with their joining: what came before reaches them by no way at all."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.clock import now
from adapters.postgres.data_keys import Vault
from adapters.postgres.database import Database
from adapters.postgres.event_store import PostgresRecord
from commands.file import NoteScan
from domain.events import Caller
from domain.ids import FileId
from projections import LIVE
from tests.deployments import MASTER, Gateway, Person, deployment, gateway, running
from tests.lines import Frame, Line, line
from workers.projector import Follower

OLD = "a secret of before"


@pytest.fixture
async def hansard(database_url: str, redis_url: str) -> AsyncIterator[Gateway]:
    async with deployment(database_url, redis_url) as made:
        yield made


class Scene:
    """A room of history `joined`: what Ada said before Ben came, and both of them in it."""

    def __init__(self, ada: Person, ben: Person, room_id: str, old: str, joined: int) -> None:
        self.ada, self.ben, self.room_id, self.old, self.joined = ada, ben, room_id, old, joined


async def scene(hansard: Gateway, history: str = "joined") -> Scene:
    ada, ben = await hansard.person(), await hansard.person()
    room_id = await ada.room()
    await ada.ask("PATCH", f"/rooms/{room_id}", 200, json={"history": history})
    old = (await ada.say(room_id, OLD))["id"]
    joined = await ben.http.post(f"/rooms/{room_id}/join")
    return Scene(ada, ben, room_id, old, int(joined.headers["hansard-position"]))


async def edit(person: Person, message_id: str, content: str) -> None:
    await person.ask("PATCH", f"/messages/{message_id}", 200, json={"content": content})


async def heard(until: str, socket: Line) -> list[Frame]:
    """Return a room's events up to the message of this text."""
    found: list[Frame] = []
    while not found or found[-1]["data"].get("content") != until:
        found += await socket.events(1)
    return found


def contents(events: list[Frame]) -> list[str]:
    return [event["data"].get("content", event["event"]) for event in events]


def links(events: list[Frame]) -> list[int]:
    return [event["prev"] for event in events]


def places(events: list[Frame]) -> list[int]:
    return [event["position"] for event in events]


@pytest.mark.parametrize("after", ["", "?after=0"])
async def test_what_becomes_of_an_older_message_is_not_told_live(hansard: Gateway, after: str) -> None:
    s = await scene(hansard)
    async with line(hansard, s.ada, s.room_id) as hers, line(hansard, s.ben, s.room_id, after) as his:
        await hers.until("live")
        replayed = await his.events(1) if after else []
        await his.until("live")
        await edit(s.ada, s.old, OLD + " 2")
        first = await s.ada.say(s.room_id, "one")
        await edit(s.ada, s.old, OLD + " 3")
        whole = await heard(OLD + " 3", hers)  # of what is deleted before it is published only a tombstone is
        await s.ada.ask("DELETE", f"/messages/{s.old}", 200)
        await edit(s.ada, first["id"], "one, edited")
        await s.ada.say(s.room_id, "two")
        whole += await heard("two", hers)
        his_part = await heard("two", his)
    assert contents(whole) == [OLD + " 2", "one", OLD + " 3", "", "one, edited", "two"]
    assert links(whole)[1:] == places(whole)[:-1], "who sees all hears every link of the chain"
    assert contents(his_part) == ["one", "one, edited", "two"]
    assert links(his_part) == [s.joined, *places(his_part)[:-1]], "the first names what he may hold, the others his own"
    assert places(replayed) == ([s.joined] if after else [])


async def test_what_becomes_of_an_older_message_is_not_told_in_a_replay(hansard: Gateway) -> None:
    s = await scene(hansard)
    await edit(s.ada, s.old, OLD + " 2")
    said = await s.ada.say(s.room_id, "one")
    await edit(s.ada, s.old, OLD + " 3")
    await s.ada.ask("DELETE", f"/messages/{s.old}", 200)
    await s.ada.say(s.room_id, "two")
    head = (await s.ben.ask("GET", "/meta", 200))["position"]
    for after, expected in (
        (0, [(0, "member.joined"), (s.joined, "one"), (said["position"], "two")]),
        (s.joined, [(s.joined, "one"), (said["position"], "two")]),
        (s.joined + 1, [(s.joined, "one"), (said["position"], "two")]),
        (said["position"], [(said["position"], "two")]),
        (head - 1, [(said["position"], "two")]),
    ):
        async with line(hansard, s.ben, s.room_id, f"?after={after}") as his:
            found = await his.events(len(expected))
            await his.live()  # nothing more is told
        assert list(zip(links(found), contents(found), strict=True)) == expected, f"after {after}"
        assert OLD not in str(found)


async def test_a_first_frame_after_many_withheld_ones_names_what_may_be_held(hansard: Gateway) -> None:
    s = await scene(hansard)
    for i in range(40):
        await edit(s.ada, s.old, f"{OLD} {i}")
    async with line(hansard, s.ben, s.room_id) as his:
        await his.until("live")
        await edit(s.ada, s.old, OLD)
        await s.ada.say(s.room_id, "one")
        assert links(await heard("one", his)) == [s.joined]


async def test_it_is_not_told_either_where_frames_are_read_from_the_record(database_url: str, redis_url: str) -> None:
    """Nothing is published here: the hub finds by the read tables that it missed something, and heals."""
    async with unpublished(database_url), gateway(database_url, redis_url) as hansard:
        s = await scene(hansard)
        async with line(hansard, s.ada, s.room_id) as hers, line(hansard, s.ben, s.room_id) as his:
            await hers.until("live")
            await his.until("live")
            await edit(s.ada, s.old, OLD + " 2")
            await s.ada.say(s.room_id, "one")
            assert contents(await heard("one", hers)) == [OLD + " 2", "one"]
            mine = await heard("one", his)
    assert list(zip(links(mine), contents(mine), strict=True)) == [(s.joined, "one")]


@asynccontextmanager
async def unpublished(database_url: str) -> AsyncIterator[None]:
    """A projector that keeps the rows and tells nothing."""
    db = await Database.open(database_url, size=4)
    record = PostgresRecord(db, Vault(db, MASTER), now=now, chance=lambda n: bytes(n))
    async with running(Follower(LIVE, record, db, owner=uuid4().hex).run()):
        yield
    await db.close()


async def test_coming_back_moves_where_the_history_begins(hansard: Gateway) -> None:
    s = await scene(hansard)
    own = await s.ben.say(s.room_id, "while ben was here")
    await s.ben.ask("POST", f"/rooms/{s.room_id}/leave", 204)
    back = await s.ben.http.post(f"/rooms/{s.room_id}/join")
    joined = int(back.headers["hansard-position"])
    async with line(hansard, s.ada, s.room_id) as hers, line(hansard, s.ben, s.room_id, "?after=0") as his:
        await hers.until("live")
        assert (places(await his.events(1)), (await his.frame())["type"]) == ([joined], "live")
        await s.ada.ask("DELETE", f"/messages/{own['id']}", 200)
        await s.ada.say(s.room_id, "one")
        assert contents(await heard("one", hers)) == ["", "one"]
        assert links(await heard("one", his)) == [joined]
    await s.ben.ask("PATCH", f"/messages/{own['id']}", 404, json={"content": "mine, of then"})


async def test_the_rule_changes_under_those_who_listen(hansard: Gateway) -> None:
    s = await scene(hansard, "shared")
    async with line(hansard, s.ada, s.room_id) as hers, line(hansard, s.ben, s.room_id) as his:
        await hers.until("live")
        await his.until("live")
        await edit(s.ada, s.old, OLD + " 2")
        await s.ada.ask("PATCH", f"/rooms/{s.room_id}", 200, json={"history": "joined"})
        await edit(s.ada, s.old, OLD + " 3")
        await s.ada.say(s.room_id, "one")
        await edit(s.ada, s.old, OLD + " 4")
        await s.ada.ask("PATCH", f"/rooms/{s.room_id}", 200, json={"history": "shared"})
        await edit(s.ada, s.old, OLD + " 5")
        await s.ada.say(s.room_id, "two")
        whole, mine = await heard("two", hers), await heard("two", his)
    told = [f"{OLD} 2", "room.changed", f"{OLD} 3", "one", f"{OLD} 4", "room.changed", f"{OLD} 5", "two"]
    assert contents(whole) == told
    assert contents(mine) == [f"{OLD} 2", "room.changed", "one", "room.changed", f"{OLD} 5", "two"]
    assert links(mine)[1:] == places(mine)[:-1]


async def test_a_file_is_told_of_to_those_who_may_see_a_message_that_shows_it(hansard: Gateway) -> None:
    s = await scene(hansard)
    later = await hansard.person()
    async with line(hansard, s.ada, s.room_id) as hers, line(hansard, s.ben, s.room_id) as his:
        await hers.until("live")
        await his.until("live")
        shown = await pending(s.ada, s.room_id, "first.bin")
        await later.ask("POST", f"/rooms/{s.room_id}/join", 200)
        again = await pending(s.ada, s.room_id, "second.bin")
        async with line(hansard, later, s.room_id) as theirs:
            await theirs.until("live")
            await finish(hansard, shown["file_id"])
            await finish(hansard, again["file_id"])
            await s.ada.say(s.room_id, "one")
            for socket in (hers, his):
                found = [event for event in await heard("one", socket) if event["event"] == "file.completed"]
                assert [event["data"]["original_name"] for event in found] == ["first.bin", "second.bin"]
            found = await heard("one", theirs)
    assert [event["data"].get("original_name", "") for event in found] == ["second.bin", ""]
    assert links(found)[1:] == places(found)[:-1]
    await later.ask("GET", f"/files/{shown['file_id']}", 404)
    await later.ask("GET", f"/files/{again['file_id']}", 200)
    async with line(hansard, later, s.room_id, "?after=0") as theirs:
        assert "first.bin" not in str(await heard("one", theirs))


async def test_nothing_is_told_of_a_file_whose_message_is_deleted(hansard: Gateway) -> None:
    s = await scene(hansard, "shared")
    async with line(hansard, s.ben, s.room_id) as his:
        await his.until("live")
        shown = await pending(s.ada, s.room_id, "regretted.bin")
        gone = await s.ada.ask("DELETE", f"/messages/{shown['id']}", 200)
        deleted = (await his.events(2))[1]["data"]
        await finish(hansard, shown["file_id"])
        (event,) = await his.events(1)
    assert (event["event"], event["data"]["original_name"], event["data"]["variants"]) == ("file.completed", "", {})
    async with line(hansard, s.ben, s.room_id, f"?after={shown['position'] - 1}") as his:
        replayed = await his.events(3)
    assert "regretted" not in str(replayed)
    read = await s.ben.ask("GET", f"/messages/{shown['id']}", 200)
    page = await s.ben.ask("GET", f"/rooms/{s.room_id}/messages?limit=1", 200)
    room = await s.ben.ask("GET", f"/rooms/{s.room_id}", 200)
    for tombstone in (
        gone,
        deleted,
        replayed[0]["data"],
        replayed[1]["data"],
        read,
        *page["items"],
        room["last_message"],
    ):
        assert (tombstone["deleted"], tombstone["file_id"]) == (True, None)


async def pending(person: Person, room_id: str, name: str) -> dict[str, Any]:
    """Post a message that shows a file which is not looked at yet."""
    uploaded = await person.upload(b"\x00\x01 of no kind", name)
    return await person.say(room_id, "", message_type="file", file_id=uploaded["id"])


async def finish(hansard: Gateway, file_id: str) -> None:
    outcome = await hansard.services.command_bus.do(NoteScan(FileId(UUID(file_id)), "basic"), Caller())
    await hansard.settled(outcome.position)


async def test_an_older_message_is_as_unknown_as_one_that_never_was(hansard: Gateway) -> None:
    """To answer, edit or delete it would else tell that it is there."""
    s = await scene(hansard)
    await s.ada.ask("PUT", f"/rooms/{s.room_id}/members/{s.ben.id}", 200, json={"role": "admin"})
    answers = []
    for message_id in (s.old, str(uuid4())):
        reply = {"content": "an answer", "reply_to": message_id}
        found = [
            await s.ben.http.post(f"/rooms/{s.room_id}/messages", json=reply),
            await s.ben.http.patch(f"/messages/{message_id}", json={"content": "edited"}),
            await s.ben.http.patch(f"/messages/{message_id}", json={"content": 5}),
            await s.ben.http.delete(f"/messages/{message_id}"),
        ]
        answers.append([(each.status_code, _without_request(each.json())) for each in found])
    assert answers[0] == answers[1]
    assert [status for status, _ in answers[0]] == [422, 404, 404, 404]
    async with line(hansard, s.ben, s.room_id) as his:
        refused = [
            await his.ask("send", room_id=s.room_id, content="an answer", reply_to=message_id)
            for message_id in (s.old, str(uuid4()))
        ]
        assert refused[0]["error"] == refused[1]["error"]
        for kind, fields in (("edit", {"content": "edited"}), ("delete", {})):
            known, unknown = [await his.ask(kind, message_id=at, **fields) for at in (s.old, str(uuid4()))]
            assert known["error"] == unknown["error"] and known["error"]["status"] == 404
    since = await s.ada.say(s.room_id, "since ben is here")
    await s.ben.say(s.room_id, "an answer", reply_to=since["id"])
    reply = await s.ada.say(s.room_id, "ada saw it", reply_to=s.old)
    after = {"Hansard-After": str(reply["position"])}
    assert (await s.ben.ask("GET", f"/messages/{reply['id']}", 200, headers=after))["reply_to"] == s.old


async def test_what_was_posted_before_is_still_a_duplicate_for_its_sender(hansard: Gateway) -> None:
    s = await scene(hansard)
    asked = {"id": str(uuid4()), "content": "an answer", "reply_to": (await s.ben.say(s.room_id, "of ben"))["id"]}
    first = await s.ben.ask("POST", f"/rooms/{s.room_id}/messages", 201, json=asked)
    await s.ben.ask("POST", f"/rooms/{s.room_id}/leave", 204)
    await s.ben.ask("POST", f"/rooms/{s.room_id}/join", 200)
    again = await s.ben.ask("POST", f"/rooms/{s.room_id}/messages", 200, json=asked)
    assert again["position"] == first["position"]


async def test_lists_and_counts_begin_with_the_joining(hansard: Gateway) -> None:
    s = await scene(hansard)
    room = await s.ben.ask("GET", f"/rooms/{s.room_id}", 200)
    assert (room["unread"], room["last_message"]["content"]) == (0, "member.joined")
    await s.ben.ask("PUT", f"/rooms/{s.room_id}/read", 204, json={"position": 1})
    edited = await s.ada.http.patch(f"/messages/{s.old}", json={"content": OLD + " 2"})
    after = {"Hansard-After": edited.headers["hansard-position"]}
    for path in (f"/messages/{s.old}", f"/messages/{s.old}/history"):
        await s.ben.ask("GET", path, 404, headers=after)
    [listed] = (await s.ben.ask("GET", "/rooms?joined=true", 200, headers=after))["items"]
    assert (listed["unread"], listed["last_message"]["content"]) == (0, "member.joined")


def _without_request(problem: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in problem.items() if key not in ("request_id", "instance")}
