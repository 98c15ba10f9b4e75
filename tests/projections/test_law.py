"""The law, for every event that has a frame: an old answer and the frames since are the new answer.

In generated histories, members of rooms hold what REST answered in the middle (members, messages, threads and their replies, pins,
their profile and read mark), fold the frames that they get, and must end with what REST answers at the end, to the last field.
"""

from collections import Counter
from typing import Any
from uuid import UUID

import msgspec

from adapters.postgres.database import Database
from domain.events import Event, Recorded
from domain.ids import MessageId, RoomId, UserId, system_message_id
from domain.room import RoomOpened
from projections import LIVE, frames, members, message_additions, message_pages, pins, rooms, thread_pages, users
from projections.frames import OWN_FRAMES, ROOM_FRAMES, EventSkipped
from projections.notifications import Notified
from tests.conftest import Servers, fresh_database
from tests.projections import folded_threads
from tests.projections.test_snapshot_and_frames import OF_THE_ROOM, SELECT_MEMBERS, Member, plain
from tests.runtime.test_generating import everything, generated
from workers.projector import Follower

EVENTS = 3_000
MEMBERS_OF_ROOM = 3  # who are looked at
PAGE = 200
SEEDS = (26, 27)
# What is never recorded: what takes the place of events that cannot be shown, and what inboxes are told. And who holds a room already has heard of its opening.
NEVER_TOLD = {EventSkipped, Notified, RoomOpened}
Json = dict[str, Any]


async def answered(db: Database, user_id: UserId, room_id: RoomId) -> Json:
    """What REST answers to a member."""
    page = (await message_pages.page(db, user_id, room_id, limit=PAGE)).messages
    for root in [each for each in page if each.thread is not None]:
        replies, is_more = await thread_pages.page(db, user_id, MessageId(root.id), after=0, limit=PAGE)
        assert not is_more
        page += [each for each in replies if each.in_room is False]
    pinned, _ = await pins.pinned(db, user_id, room_id)
    people = await members.page(db, user_id, room_id, after=None, limit=1_000)
    room = plain(await rooms.one(db, user_id, room_id))
    return {
        "room": {name: room[name] for name in (*OF_THE_ROOM, "my_role", "member_count", "read_position")},
        "messages": {each.position: plain(each) for each in await message_additions.complete(db, user_id, page)},
        "members": {each["user_id"]: each for each in (plain(member) for member, _ in people)},
        "pinned": [each.position for each in pinned],
        "profile": {name: plain(await users.me(db, user_id))[name] for name in ("username", "avatar_url")},
    }


class Holder:
    """A member, and what they hold of a room."""

    def __init__(self, member: Member, held: Json) -> None:
        self.me = str(member.user_id)
        self.member = member
        self.held = held
        self.is_member = True

    def take(self, frame: Json) -> None:
        """Fold a frame of the room."""
        data, event, messages = frame["data"], frame["event"], self.held["messages"]
        match event:
            case "message.posted":
                messages[data["position"]] = data | {"reactions": [], "pinned": False}
            case "message.edited":
                self._change(
                    data["position"], **{name: data[name] for name in ("content", "is_edited", "updated_at", "version")}
                )
            case "message.deleted":
                told = {name: data[name] for name in ("content", "updated_at", "version", "deleted", "file_id")}
                self._change(data["position"], **told, reactions=[], mentions=[], file=None, mentions_room=None)
            case "reaction.added" | "reaction.removed":
                self._react(data, is_added=event == "reaction.added")
            case "message.pinned" | "message.unpinned":
                self._change(data["posted_position"], pinned=event == "message.pinned")
                self.held["pinned"] = [each for each in self.held["pinned"] if each != data["posted_position"]]
                if event == "message.pinned":
                    self.held["pinned"].insert(0, data["posted_position"])
            case "file.completed" | "file.failed":
                for position, message in list(messages.items()):
                    if message["file_id"] == data["id"] and not message["deleted"]:
                        self._change(position, file=data)
            case "thread.replied" | "thread.reply_deleted":
                self._turn_to_thread(event, data)
            case _:
                self._arrange(frame)

    def _arrange(self, frame: Json) -> None:
        """Fold what happened to the room or its members, and the system message that it makes."""
        data, event, room = frame["data"], frame["event"], self.held["room"]
        subjects = [data["user_id"]] if "user_id" in data else [data["by"]]
        match event:
            case "member.joined":
                self.held["members"][data["user_id"]] = {
                    "user_id": data["user_id"],
                    "role": data["role"],
                    "joined_at": frame["at"],
                }
                room["member_count"] += 1
            case "member.left" | "member.removed":
                del self.held["members"][data["user_id"]]
                room["member_count"] -= 1
                self.is_member = self.is_member and data["user_id"] != self.me
            case "member.role_changed":
                self.held["members"][data["user_id"]]["role"] = data["role"]
                room["my_role"] = self.held["members"][self.me]["role"]
            case "room.changed" | "room.archived":
                room |= {name: data[name] for name in OF_THE_ROOM}
            case _:
                raise AssertionError(f"{event} is a frame that no client here folds")
        if "user_id" in data and data.get("by", data["user_id"]) != data["user_id"]:
            subjects.append(data["by"])
        self.held["messages"][frame["position"]] = {
            "id": str(system_message_id(frame["position"])), "room_id": frame["room_id"], "sender_id": None,
            "message_type": "system", "content": event, "file_id": None, "reply_to": None, "is_edited": False,
            "created_at": frame["at"], "updated_at": frame["at"], "position": frame["position"], "version": 1,
            "deleted": False, "subjects": subjects, "reactions": [], "pinned": False, "mentions": [],
        }  # fmt: skip

    def take_own(self, frame: Json) -> None:
        """Fold a frame of one's own feed."""
        data = frame["data"]
        if frame["event"] == "reading.marked" and data["room_id"] == str(self.member.room_id):
            self.held["room"]["read_position"] = data["position"]
        if frame["event"].startswith("thread."):
            self._turn_to_thread(frame["event"], data)
        if frame["event"] == "account.profile_changed":
            self.held["profile"] = {"username": data["username"], "avatar_url": data["avatar_url"] or None}

    def _change(self, position: int, **values: object) -> None:
        if position in self.held["messages"]:
            changed = self.held["messages"][position] | values
            absent = {name for name in ("file", "mentions_room") if changed.get(name) is None}
            self.held["messages"][position] = {name: value for name, value in changed.items() if name not in absent}

    def _turn_to_thread(self, event: str, data: Json) -> None:
        if (root := self.held["messages"].get(data["posted_position"])) is not None:
            root["thread"] = folded_threads.after_frame(root.get("thread"), event, data)

    def _react(self, data: Json, *, is_added: bool) -> None:
        message = self.held["messages"].get(data["posted_position"])
        if message is None or message["deleted"]:
            return
        before = next((each for each in message["reactions"] if each["emoji"] == data["emoji"]), None)
        mine = is_added if data["user_id"] == self.me else bool(before and before["me"])
        after = {"emoji": data["emoji"], "count": data["count"], "me": mine}
        others = [each for each in message["reactions"] if each["emoji"] != data["emoji"]]
        if before is None:
            message["reactions"] = [*message["reactions"], after]
        elif data["count"] == 0:
            message["reactions"] = others
        else:
            message["reactions"] = [after if each is before else each for each in message["reactions"]]


async def holders(db: Database) -> list[Holder]:
    found: list[Holder] = []
    seen: Counter[UUID] = Counter()
    for member in await db.all(Member, SELECT_MEMBERS):
        seen[member.room_id] += 1
        if seen[member.room_id] <= MEMBERS_OF_ROOM:
            held = await answered(db, UserId(member.user_id), RoomId(member.room_id))
            found.append(Holder(member, held))
    return found


def deliver(recorded: Recorded[Event], everybody: list[Holder], told: Counter[type[Event]]) -> None:
    """Give an event's frames to those who get them."""
    room_id = recorded.event.frame_room()
    frame = None if room_id is None else msgspec.json.decode(frames.room_frame(recorded, 0))
    for holder in everybody:
        if frame is not None and holder.member.room_id == room_id and holder.is_member:
            holder.take(frame)
            told[type(recorded.event)] += 1
    for own in entry.own if (entry := frames.control(recorded)) else []:
        for holder in everybody:
            if holder.member.user_id == own.user_id and holder.is_member:
                holder.take_own(msgspec.json.decode(own.frame))
                told[type(recorded.event)] += 1


async def middle_of(follower: Follower, position: int) -> int:
    """Follow to about there, in small batches; return where it is."""
    follower._events_max = 50
    while follower.lease is None or follower.lease.position < position:
        await follower.step()
    return follower.lease.position


def require_same(me: str, held: Json, now: Json, middle: int) -> None:
    """Fail unless what somebody holds is what is answered. A file tells its end, and no step before."""
    assert now["room"] == held["room"]
    assert now["members"] == held["members"]
    assert now["profile"] == held["profile"]
    known = held["messages"].keys() & now["messages"].keys()
    assert all(position <= middle for position in now["messages"].keys() - known)
    assert [each for each in now["pinned"] if each in known] == [each for each in held["pinned"] if each in known]
    for position in known:
        told, read = held["messages"][position], now["messages"][position]
        threads = {"thread": folded_threads.counted(told, me, held["messages"].values())}
        told, read = told | threads, {"thread": folded_threads.NO_THREAD} | read
        if "file" in read and read["file"]["status"] in ("pending", "processing"):
            told, read = told | {"file": None}, read | {"file": None}
        assert read == told


async def test_an_old_answer_and_the_frames_since_are_the_new_answer(servers: Servers) -> None:
    told: Counter[type[Event]] = Counter()
    unread = 0
    for seed in SEEDS:
        async with fresh_database(servers) as url, generated(url, events=EVENTS, seed=seed) as (db, record, _):
            events = await everything(record)
            follower = Follower(LIVE, record, db, owner="test")
            middle = await middle_of(follower, len(events) // 3)
            everybody = await holders(db)
            while await follower.step() > 0:
                pass
            for recorded in events[middle:]:
                deliver(recorded, everybody, told)
            for holder in everybody:
                if holder.is_member:
                    who, where = UserId(holder.member.user_id), RoomId(holder.member.room_id)
                    now = await answered(db, who, where)
                    require_same(holder.me, holder.held, now, middle)
                    unread += sum(
                        each["thread"].get("unread", 0) for each in now["messages"].values() if "thread" in each
                    )
    assert unread > 0
    missing = {*ROOM_FRAMES, *OWN_FRAMES} - told.keys()
    assert missing == NEVER_TOLD, "a frame that no generated history holds, or that nobody here folds"
