"""The law of snapshots and frames: what a client read of a room, and the frames that it got since, are what it would read now.

For generated histories, each member of each room holds what `GET /rooms/{id}` answered in the middle, folds the frames of the
room and their own, and must end with the room's name, the count of its members, their role, read mark and unread messages, and
the last message, as they are answered at the end. A room shows less of its last message than a frame: neither its file, nor
whom it mentions.
"""

from collections import Counter
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest

from adapters.postgres.database import Database
from domain.events import Event, Recorded
from domain.ids import RoomId, UserId
from projections import LIVE, frames, rooms
from projections.rooms import RoomView
from tests.deployments import ledger
from tests.projections.test_read_models import make_history, small_step
from workers.projector import Follower

SELECT_MEMBERS = "SELECT room_id, user_id, joined_position FROM read.room_members WHERE role IS NOT NULL ORDER BY 1, 2"
SELECT_MESSAGES = "SELECT position, sender_id::text AS sender, deleted FROM read.messages WHERE room_id = $1"
OF_THE_ROOM = ("name", "description", "is_private", "history", "is_archived", "topic")
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
            case "message.posted":
                self.last[data["position"]] = data
                self.unread |= {data["position"]} if data["sender_id"] != self.me else set()
            case "message.edited":
                self.last[data["position"]] = data
            case "message.deleted":
                self.last[data["position"]] = data
                self.unread.discard(data["position"])
            case "room.changed" | "room.archived":
                self.room |= {name: data[name] for name in OF_THE_ROOM}

    def take_own(self, frame: dict[str, Any]) -> None:
        """Fold a frame of the person's own feed."""
        if frame["event"] == "reading.marked" and frame["data"]["room_id"] == str(self.member.room_id):
            self.room["read_position"] = frame["data"]["position"]

    def holds(self) -> dict[str, Any]:
        after = max(self.room["read_position"], self.member.joined_position)
        self.room["unread"] = sum(position > after for position in self.unread)
        return {name: self.room[name] for name in LAW}


async def clients_of(db: Database) -> list[Client]:
    return [
        Client(
            member,
            await rooms.one(db, UserId(member.user_id), RoomId(member.room_id)),
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
            now = await rooms.one(db, UserId(client.member.user_id), RoomId(client.member.room_id))
            read, holds = plain(now), client.holds()
            assert holds == {name: read[name] for name in LAW}
            if now.last_message is not None and now.last_message.position in client.last:
                told = client.last[now.last_message.position]
                assert {name: told[name] for name in read["last_message"]} == read["last_message"]
                changed["last_message"] += 1
            changed.update(name for name in LAW if holds[name] != held[name])
        assert {"member_count", "unread", "last_message"} <= changed.keys(), changed
