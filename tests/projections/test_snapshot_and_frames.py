"""The law of snapshots and frames: what a client read of a room, and the frames that it got since, are what it would read now.

For generated histories, each member of each room holds what `GET /rooms/{id}` answered in the middle, folds the frames of the
room and their own, and must end with the room's name, the count of its members, their role, read mark and unread messages, and
each message since, as they are answered at the end: its reactions, its pin and its thread, too. Its `file` alone goes on by
other frames.
"""

from collections import Counter
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest

from adapters.postgres.database import Database
from domain.events import Event, Recorded
from domain.ids import RoomId, UserId
from projections import LIVE, frames, message_additions, message_pages, rooms
from projections.messages import MessageView
from projections.rooms import RoomView
from tests.deployments import ledger
from tests.projections import folded_threads
from tests.projections.test_read_models import make_history, small_step
from workers.projector import Follower

SELECT_MEMBERS = "SELECT room_id, user_id, joined_position FROM read.room_members WHERE role IS NOT NULL ORDER BY 1, 2"
SELECT_MESSAGES = """
    SELECT position, sender_id::text AS sender, deleted FROM read.messages WHERE room_id = $1 AND in_room IS NOT FALSE
"""
OF_THE_ROOM = ("name", "description", "is_private", "history", "is_archived", "topic")
UNTOUCHED = {"reactions": [], "pinned": False, "mentions": []}
EVERYTHING = {"member_count", "unread", "last_message", "reactions", "thread"}
LAW = (*OF_THE_ROOM, "my_role", "member_count", "read_position", "unread")


class Member(NamedTuple):
    room_id: UUID
    user_id: UUID
    joined_position: int


class Posted(NamedTuple):
    position: int
    sender: str | None
    deleted: bool


def plain(value: object) -> Any:
    """As a client has it, from JSON."""
    return msgspec.json.decode(msgspec.json.encode(value))


class Client:
    """One person's room: what was read of it, and what frames made of that."""

    def __init__(self, member: Member, view: RoomView, messages: list[Posted]) -> None:
        self.member = member
        self.me = str(member.user_id)
        self.room = plain(view)
        self.last = {view.last_message.position: plain(view.last_message)} if view.last_message else {}
        self.unread = {each.position for each in messages if not each.deleted and each.sender not in (None, self.me)}
        self.is_member = True

    def take(self, frame: dict[str, Any]) -> None:
        """Fold a frame of the room."""
        data = frame["data"]
        match frame["event"]:
            case "member.joined":
                self.room["member_count"] += 1
            case "member.left" | "member.removed":
                self.room["member_count"] -= 1
                self.is_member = self.is_member and data["user_id"] != self.me
            case "member.role_changed" if data["user_id"] == self.me:
                self.room["my_role"] = data["role"]
            case "message.posted" if data.get("in_room") is not False:
                self.last[data["position"]] = UNTOUCHED | data
                self.unread |= {data["position"]} if data["sender_id"] != self.me else set()
            case "message.edited" if data["position"] in self.last:
                self.last[data["position"]] |= data
            case "message.deleted" if data["position"] in self.last:
                gone: dict[str, Any] = {"reactions": [], "mentions": [], "mentions_room": None}
                self.last[data["position"]] |= data | gone
                self.unread.discard(data["position"])
            case _ if data.get("posted_position") in self.last:
                self.last[data["posted_position"]] |= self._touched(frame["event"], data)
            case "room.changed" | "room.archived":
                self.room |= {name: data[name] for name in OF_THE_ROOM}

    def _touched(self, event: str, data: dict[str, Any]) -> dict[str, Any]:
        """Return what a frame that tells of an older message makes of it."""
        message = self.last[data["posted_position"]]
        match event:
            case "message.pinned" | "message.unpinned":
                return {"pinned": event == "message.pinned"}
            case "thread.replied" | "thread.reply_deleted":
                return {"thread": folded_threads.after_frame(message.get("thread"), event, data)}
            case "reaction.added" | "reaction.removed" if not message["deleted"]:
                of = {each["emoji"]: each for each in message["reactions"]}
                mine = of.get(data["emoji"], {"me": False})["me"]
                me = event == "reaction.added" if data["user_id"] == self.me else mine
                of[data["emoji"]] = {"emoji": data["emoji"], "count": data["count"], "me": me}
                return {"reactions": [each for each in of.values() if each["count"]]}
        return {}

    def take_own(self, frame: dict[str, Any]) -> None:
        """Fold a frame of the person's own feed."""
        if frame["event"] == "reading.marked" and frame["data"]["room_id"] == str(self.member.room_id):
            self.room["read_position"] = frame["data"]["position"]
        if frame["event"].startswith("thread.") and (root := self.last.get(frame["data"]["posted_position"])):
            root["thread"] = folded_threads.after_frame(root.get("thread"), frame["event"], frame["data"])

    def holds(self) -> dict[str, Any]:
        after = max(self.room["read_position"], self.member.joined_position)
        self.room["unread"] = sum(position > after for position in self.unread)
        return {name: self.room[name] for name in LAW}


async def seen(db: Database, member: Member) -> RoomView:
    """Return a room as a member reads it."""
    room = await rooms.one(db, UserId(member.user_id), RoomId(member.room_id))
    [room] = await message_additions.complete_last(db, UserId(member.user_id), [room])
    return room


async def page(db: Database, member: Member) -> list[MessageView]:
    """Return the newest messages of a room as a member reads them."""
    found = (await message_pages.page(db, UserId(member.user_id), RoomId(member.room_id), limit=200)).messages
    return await message_additions.complete(db, UserId(member.user_id), found)


def alike(told: dict[str, Any], read: dict[str, Any]) -> list[str]:
    """Hold what frames made of a message to what is read of it; answers which of what may change is there."""
    for name in (told.keys() | read.keys()) - {"file", "thread"}:
        assert (name, told.get(name)) == (name, read.get(name))
    thread = folded_threads.marked(read.get("thread"))
    assert folded_threads.marked(told.get("thread")) == thread
    found = {**read, "thread": None if thread == folded_threads.NO_THREAD else thread}
    return [name for name in ("reactions", "pinned", "thread", "mentions_room", "thread_id") if found.get(name)]


async def clients_of(db: Database) -> list[Client]:
    return [
        Client(
            member,
            await seen(db, member),
            await db.all(Posted, SELECT_MESSAGES, member.room_id),
        )
        for member in await db.all(Member, SELECT_MEMBERS)
    ]


def deliver(recorded: Recorded[Event], clients: list[Client]) -> None:
    """Give an event's frames to those who get them: the room's to its members, one's own to oneself."""
    if (room_id := recorded.event.frame_room()) is not None:
        frame = msgspec.json.decode(frames.room_frame(recorded, 0))
        for client in clients:
            if client.member.room_id == room_id and client.is_member:
                client.take(frame)
    for own in entry.own if (entry := frames.control(recorded)) else []:
        for client in clients:
            if client.member.user_id == own.user_id and client.is_member:
                client.take_own(msgspec.json.decode(own.frame))


@pytest.mark.parametrize("seed", range(70, 74))
async def test_what_was_read_and_the_frames_since_are_what_is_read_now(database_url: str, seed: int) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        await make_history(command_bus, seed, 200)
        follower = Follower(LIVE, record, db, owner="test")
        head = (await record.head()).position
        while follower.lease is None or follower.lease.position < head // 2:
            await small_step(follower, record, 5)
        middle = follower.lease.position
        clients = await clients_of(db)
        before = [client.holds() for client in clients]
        assert before == [{name: client.room[name] for name in LAW} for client in clients]
        while follower.lease.position < head:
            await small_step(follower, record, 50)
        for recorded in await record.after(middle, limit=1_000):
            deliver(recorded, clients)

        changed: Counter[str] = Counter()
        for client, held in zip(clients, before, strict=True):
            if not client.is_member:
                continue
            now = await seen(db, client.member)
            read, holds = plain(now), client.holds()
            assert holds == {name: read[name] for name in LAW}
            if now.last_message is not None and now.last_message.position in client.last:
                assert now.last_message == (await page(db, client.member))[0]
                changed["last_message"] += 1
            for message in map(plain, await page(db, client.member)):
                if message["position"] in client.last:
                    changed.update(alike(client.last[message["position"]], message))
            changed.update(name for name in LAW if holds[name] != held[name])
        assert changed.keys() >= EVERYTHING, changed
